"""What a partner has acknowledged of leases: durable some time later, and of many leases at once.

Who forgets it tells its partner the same once more, and lets leases last no
longer than before; so no commit has to be made for it alone, and a lease that
changes meanwhile takes it along. A third of what a pair wrote was this.

Invariant: what waits here differs from the database in nothing but what the partner has acknowledged.

Source: draft-ietf-dhc-failover-12 sections 7.1.5 and 7.2; docs/decisions/0025.
"""

from __future__ import annotations

from typing import Final

from holdfast.dhcp.lease import Lease

WAIT_S: Final = 1.0
COUNT_MAX: Final = 128  # of so many none waits: they take half a millisecond of the next commit


class Acknowledged:
    """Leases as they are to be written sometime."""

    def __init__(self) -> None:
        self._waiting: dict[int, Lease] = {}
        self._until = 0.0
        self._at_stake: dict[int, Lease] = {}  # what the commit at hand has, as it is here or changed since
        self.is_due = False

    def add(self, now: float, lease: Lease) -> None:
        """The partner has acknowledged a lease that is durable."""
        if not self._waiting:
            self._until = now + WAIT_S
        self._waiting[lease.address] = lease
        if len(self._waiting) >= COUNT_MAX:
            self.is_due = True

    def overtaken(self, address: int) -> None:
        """A lease changes: it is written as a whole, with what was acknowledged."""
        lease = self._waiting.pop(address, None)
        if lease is not None:
            self._at_stake[address] = lease

    def take(self) -> list[Lease]:
        """A commit begins: what should be in it as well."""
        if not self.is_due:
            return []
        taken, self._waiting = self._waiting, {}
        self._at_stake.update(taken)
        self.is_due = False
        return list(taken.values())

    def committed(self) -> None:
        """The commit is done."""
        if self._at_stake:
            self._at_stake = {}

    def commit_failed(self) -> None:
        """The commit changed nothing, and what leases were before they are again."""
        self._waiting.update(self._at_stake)
        self._at_stake = {}

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called next."""
        return self._until if self._waiting else None

    def timer(self, now: float) -> None:
        """See whether anything has waited for long."""
        if self._waiting and now >= self._until:
            self.is_due = True

    def hurry(self) -> None:
        """Let the next commit have all."""
        self.is_due = bool(self._waiting)
