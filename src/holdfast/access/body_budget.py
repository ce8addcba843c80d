"""Bound what all sessions together hold of messages, and say whose turn it is.

Small shares (a piece of an answer, held until the client has read it) and
large ones (a message that has to be parsed whole, held for a moment) have
separate funds: whoever needs little never waits for whoever needs much, and a
large one cannot be starved. Within a fund it goes by the order of asking, but
nobody keeps others out: one mailbox gets at most a quarter of the small fund.

Invariant: no fund is overdrawn, but by a single share that is larger than the
whole fund: that one is given when nobody else has any.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from holdfast.kernel.ids import ConnectionId, MailboxId

SMALL_BYTES_MAX = 56 << 20
LARGE_BYTES_MAX = 72 << 20  # the largest message that is taken, twice
SMALL_SHARE_BYTES = 512 << 10  # up to this a share is small
MAILBOX_SHARE = 4  # a mailbox gets one part of so many of the small fund


@dataclass(slots=True)
class _Fund:
    bytes_max: int
    mailbox_bytes_max: int
    used_bytes: int = 0
    # In the order of asking: who, for which mailbox, how much.
    waiting: dict[ConnectionId, tuple[MailboxId, int]] = field(default_factory=dict)
    held: dict[ConnectionId, tuple[MailboxId, int]] = field(default_factory=dict)
    by_mailbox: Counter[MailboxId] = field(default_factory=Counter)

    def fits(self, mailbox_id: MailboxId, byte_count: int) -> bool:
        of_mailbox = self.by_mailbox[mailbox_id]
        return (not self.used_bytes or self.used_bytes + byte_count <= self.bytes_max) and (
            not of_mailbox or of_mailbox + byte_count <= self.mailbox_bytes_max
        )

    def grant(self) -> ConnectionId | None:
        for connection_id, (mailbox_id, byte_count) in self.waiting.items():
            if self.used_bytes >= self.bytes_max:
                return None
            if self.fits(mailbox_id, byte_count):
                self.held[connection_id] = self.waiting.pop(connection_id)
                self.used_bytes += byte_count
                self.by_mailbox[mailbox_id] += byte_count
                return connection_id
        return None

    def release(self, connection_id: ConnectionId) -> None:
        self.waiting.pop(connection_id, None)
        share = self.held.pop(connection_id, None)
        if share is not None:
            mailbox_id, byte_count = share
            self.used_bytes -= byte_count
            self.by_mailbox[mailbox_id] -= byte_count
            if not self.by_mailbox[mailbox_id]:
                del self.by_mailbox[mailbox_id]


class BodyBudget:
    """The two funds of one node."""

    def __init__(
        self, small_bytes_max: int = SMALL_BYTES_MAX, large_bytes_max: int = LARGE_BYTES_MAX
    ) -> None:
        self._small = _Fund(small_bytes_max, small_bytes_max // MAILBOX_SHARE)
        self._large = _Fund(large_bytes_max, large_bytes_max)

    @property
    def used_bytes(self) -> int:
        """How much is held now."""
        return self._small.used_bytes + self._large.used_bytes

    def ask(self, connection_id: ConnectionId, mailbox_id: MailboxId, byte_count: int) -> None:
        """Wait for a share; a connection holds or waits for one at a time."""
        fund = self._small if byte_count <= SMALL_SHARE_BYTES else self._large
        assert not any(connection_id in each for each in (fund.waiting, fund.held))
        fund.waiting[connection_id] = (mailbox_id, byte_count)

    def grant(self) -> ConnectionId | None:
        """Give the next share and return who has it now, or None when nobody can get one."""
        granted = self._small.grant()
        return self._large.grant() if granted is None else granted

    def release(self, connection_id: ConnectionId) -> None:
        """Take a share back, or strike who waits from the list."""
        self._small.release(connection_id)
        self._large.release(connection_id)
