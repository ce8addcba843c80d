"""Clients that find every address in use are put off before they use up the pool.

Source: RFC 2131 section 4.3.3 says what a DECLINE is; how many are believed is ours.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

DECLINES_MAX: Final = 5  # in a row, without having kept an address
WINDOW_S: Final = 3600.0
PUT_OFF_S: Final = 600.0
CLIENTS_MAX: Final = 10_000


class Declines:
    """How often each client declined lately, by hardware address: an identifier is easily made up."""

    def __init__(self) -> None:
        self._counts: OrderedDict[bytes, tuple[int, float]] = OrderedDict()
        self._put_off: OrderedDict[bytes, float] = OrderedDict()

    def declined(self, now: float, hardware: bytes) -> int:
        """Count a DECLINE; how many in a row, when the client is put off now, else 0."""
        count, since = self._counts.pop(hardware, (0, now))
        if now - since > WINDOW_S:
            count, since = 0, now
        count += 1
        if count < DECLINES_MAX:
            self._counts[hardware] = (count, since)
            if len(self._counts) > CLIENTS_MAX:
                self._counts.popitem(last=False)
            return 0
        self._put_off[hardware] = now + PUT_OFF_S
        if len(self._put_off) > CLIENTS_MAX:
            self._put_off.popitem(last=False)
        return count

    def kept(self, hardware: bytes) -> None:
        """The client renewed an address: it can keep one."""
        if self._counts:
            self._counts.pop(hardware, None)

    def is_put_off(self, now: float, hardware: bytes) -> bool:
        """Whether the client gets no offer now."""
        until = self._put_off.get(hardware)
        if until is None:
            return False
        if until > now:
            return True
        del self._put_off[hardware]
        return False
