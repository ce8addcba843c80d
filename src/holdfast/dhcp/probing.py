"""Ask whether somebody uses an address before it is offered to a new client.

The client waits while the driver asks by ARP and ICMP; everybody else is served
meanwhile. How many are asked at once is bounded: beyond that an address is
offered unasked, for a flood of clients must not starve the rest.

Source: RFC 2131 section 2.2 and 4.4.1; RFC 5227 section 2.1.1 for the question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from holdfast.dhcp.choice import Asking, Choice

OUTSTANDING_MAX: Final = 256
TRIES_MAX: Final = 3  # addresses found in use one after the other, then the client has to ask again


class Probe(NamedTuple):
    """Ask for an address; ``probe_answered`` reports.

    Attributes:
        number: comes back with the answer.
        link: where its client is; 0 behind a relay, where only ICMP reaches.
        address: as a number.
        times: how often to ask.
    """

    number: int
    link: int
    address: int
    times: int


@dataclass(slots=True)
class Parked:
    """An offer that waits for its address."""

    asking: Asking
    choice: Choice
    try_count: int


class Probing:
    """The offers that wait."""

    def __init__(self) -> None:
        self._parked: dict[int, Parked] = {}
        self._clients: dict[bytes, int] = {}
        self._next_number = 1

    def __len__(self) -> int:
        return len(self._parked)

    def waits(self, client: bytes) -> bool:
        """Whether an offer of this client waits already; it repeats itself, and hears once."""
        return client in self._clients

    @property
    def has_room(self) -> bool:
        """Whether another address may be asked for."""
        return len(self._parked) < OUTSTANDING_MAX

    def park(self, parked: Parked, times: int) -> Probe:
        """Let an offer wait; what to ask."""
        number = self._next_number
        self._next_number += 1
        self._parked[number] = parked
        self._clients[parked.asking.key] = number
        link = parked.asking.link if parked.asking.message.giaddr == bytes(4) else 0
        return Probe(number, link, parked.choice.address, times)

    def answered(self, number: int) -> Parked | None:
        """Take the offer that waited; None when it was given up meanwhile."""
        parked = self._parked.pop(number, None)
        if parked is not None and self._clients.get(parked.asking.key) == number:
            del self._clients[parked.asking.key]
        return parked

    def forget_all(self) -> None:
        """The scopes changed: whoever waits asks again."""
        self._parked.clear()
        self._clients.clear()
