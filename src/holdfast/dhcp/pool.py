"""Choose a free address: at the same cost in a full pool as in an empty one.

Addresses that were never leased come first, in order; then those that have been
free for longest, so that a client that comes back after weeks finds its own.
What a pool has in its queue is checked again when it is taken: leases, offers
and reservations are the truth, and the pool only remembers where to look.

Invariant: an address that is free is either ahead of ``_next`` in its range or
in the queue; each step forward or out of the queue is made once per address.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Container, Mapping

from holdfast.dhcp.lease import BACKUP, FREE, Lease

Ranges = tuple[tuple[int, int], ...]


class Pool:
    """The addresses of some ranges, each from first to last."""

    def __init__(
        self,
        ranges: Ranges,
        leases: Mapping[int, Lease],
        offered: Container[int],
        reserved: Container[int],
    ) -> None:
        """Make a pool whose addresses are all ahead.

        Args:
            ranges: in order, without overlap.
            leases: every address of which something is known.
            offered: addresses that are promised to a client.
            reserved: addresses that belong to one client for ever.
        """
        self.ranges = ranges
        self._leases = leases
        self._offered = offered
        self._reserved = reserved
        self._firsts = [first for first, _ in ranges]
        self._range = 0
        self._next = ranges[0][0] if ranges else 0
        # One per status, so that a partner's addresses are never in our way.
        self._queues: dict[int, OrderedDict[int, None]] = {FREE: OrderedDict(), BACKUP: OrderedDict()}

    @property
    def size(self) -> int:
        """How many addresses there are, reserved ones included."""
        return sum(last - first + 1 for first, last in self.ranges)

    def __contains__(self, address: object) -> bool:
        if not isinstance(address, int):
            return False
        at = bisect_right(self._firsts, address) - 1
        return at >= 0 and address <= self.ranges[at][1]

    def freed(self, address: int, status: int) -> None:
        """An address came free now (FREE or BACKUP); it is the last whose turn it is."""
        self.used(address)
        self._queues[status][address] = None

    def used(self, address: int) -> None:
        """An address is free no more."""
        for queue in self._queues.values():
            queue.pop(address, None)

    def take(self, status: int, *, fresh: bool) -> int | None:
        """Choose an address and take it out of the queue; None when none is free.

        Args:
            status: the status of the free addresses that we may lease (FREE or BACKUP).
            fresh: whether addresses of which nothing is known are ours as well.
        """
        if fresh:
            while self._range < len(self.ranges):
                last = self.ranges[self._range][1]
                while self._next <= last:
                    address = self._next
                    self._next += 1
                    if not (address in self._leases or address in self._offered or address in self._reserved):
                        return address
                self._range += 1
                if self._range < len(self.ranges):
                    self._next = self.ranges[self._range][0]
        return self._take_queued(status, fresh=fresh)

    def _take_queued(self, status: int, *, fresh: bool) -> int | None:
        queue = self._queues[status]
        while queue:
            address, _ = queue.popitem(last=False)
            lease = self._leases.get(address)
            if address in self._offered or address in self._reserved:
                continue  # an offer that lapses, and a reservation that goes, bring it back
            if fresh if lease is None else lease.status == status:
                return address
        return None
