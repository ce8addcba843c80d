"""Every address of which something is known, by address, by client, and by when it ends.

Each change is one ``put`` of a whole lease, which keeps all indexes right: so
the undoing of a change that could not be made durable is one more ``put``.

Invariants: ``leases`` has at most one entry per address; a client's entry in
its scope's ``by_client`` is the active lease, where it has one; every lease
that ends is found by ``due``; an address that is free is in a pool.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from operator import itemgetter
from typing import Final

from holdfast.dhcp.lease import (
    ABANDONED,
    ACTIVE,
    BACKUP,
    BOOTP,
    EXPIRED,
    FREE,
    NEVER,
    RELEASED,
    RESERVED,
    RESET,
    Lease,
)
from holdfast.dhcp.offers import Offers
from holdfast.dhcp.pool import Pool
from holdfast.dhcp.served import ServedScope

_STATUS_COUNT: Final = 8  # statuses are 1 to 7
# Statuses that a lease leaves by itself, at the instant in ``expires_at``.
_ENDING = (ACTIVE, ABANDONED)
_ADDRESS_BITS: Final = 32
_ADDRESS: Final = itemgetter(Lease._fields.index("address"))
_ADDRESS_AND_END: Final = itemgetter(Lease._fields.index("address"), Lease._fields.index("expires_at"))
_CHANGED_AT: Final = itemgetter(Lease._fields.index("changed_at"))


class ScopeState:
    """What goes on in one scope: its pools, offers and clients."""

    def __init__(self, served: ServedScope, leases: dict[int, Lease], offers: Offers | None = None) -> None:
        """Make the state of a scope whose leases are put in afterwards.

        Args:
            served: the scope as it is declared.
            leases: those of the whole server.
            offers: what was offered before, of the same scope.
        """
        self.served = served
        self.offers = offers or Offers()
        # A client's address; the active one, else the last.
        self.by_client: dict[bytes, int] = {}
        # Where a client that has an identifier was last active, by its hardware address.
        self.by_hardware: dict[bytes, int] = {}
        # Addresses by status, those that are not reserved and those that are.
        self.counts = [0] * _STATUS_COUNT
        self.reserved_counts = [0] * _STATUS_COUNT
        self.bootp_count = 0  # addresses of the pools that clients have by BOOTP
        # The first is for everybody, the others are those of policies with ranges of their own.
        self.pools = [
            Pool(ranges, leases, self.offers.by_address, served.reserved) for ranges in served.pool_ranges
        ]

    def pool_of(self, address: int) -> Pool | None:
        """The pool that an address is in."""
        for pool in self.pools:
            if address in pool:
                return pool
        return None

    def counts_of(self, address: int) -> list[int]:
        """Where an address is counted: by what is reserved now, and not when it was leased."""
        return self.reserved_counts if address in self.served.reserved else self.counts

    @property
    def free_count(self) -> int:
        """How many addresses of the pools can still be leased to a client without a reservation."""
        used = sum(self.counts[status] for status in (ACTIVE, EXPIRED, RELEASED, ABANDONED, RESET))
        return max(0, self.served.unreserved_count - used - len(self.offers))

    def own_free_count(self, status: int, *, fresh: bool) -> int:
        """How many of them are ours to lease, where a partner has the others.

        Args:
            status: the status of the free addresses that are ours (FREE or BACKUP).
            fresh: whether addresses of which nothing is known are ours as well.
        """
        fresh_count = max(0, self.free_count - self.counts[FREE] - self.counts[BACKUP]) if fresh else 0
        return min(self.free_count, self.counts[status] + fresh_count)


def _is_dynamic_bootp(lease: Lease) -> bool:
    return bool(lease.flags & BOOTP and not lease.flags & RESERVED)


def _forget(state: ScopeState, lease: Lease) -> None:
    """A client has its address no more."""
    if state.by_client.get(lease.key) == lease.address:
        del state.by_client[lease.key]
    if state.by_hardware.get(lease.hardware) == lease.address:
        del state.by_hardware[lease.hardware]


class LeaseTable:
    """The leases of one server."""

    def __init__(self) -> None:
        self.leases: dict[int, Lease] = {}
        self.scopes: list[ScopeState] = []
        self._firsts: list[int] = []
        # One number per lease that ends: when, then the address. What was extended since is put back.
        self._ends: list[int] = []
        self._queued_end: dict[int, int] = {}

    def follow(self, scopes: Iterable[ServedScope]) -> None:
        """Go by other scopes; a scope that is served as before keeps its state."""
        before = {state.served.name: state for state in self.scopes}
        states = []
        for served in sorted(scopes, key=lambda each: each.first):
            old = before.get(served.name)
            if old is not None and old.served.same_addresses(served):
                old.served = served
                states.append(old)
            else:
                states.append(ScopeState(served, self.leases, old.offers if old else None))
        self.scopes = states
        self._firsts = [state.served.first for state in states]
        kept = set(map(id, before.values()))
        fresh = [state for state in states if id(state) not in kept]
        self._fill(fresh)

    def _fill(self, states: list[ScopeState]) -> None:
        """Put the leases of scopes that are new into their indexes; what has been free for longest first."""
        if not states:
            return  # most changes of an organisation: a million leases need not be looked at
        found: dict[int, list[Lease]] = {id(state): [] for state in states}
        for lease in self.leases.values():
            state = self.scope_of(lease[0])
            if state is not None and (of_scope := found.get(id(state))) is not None:
                of_scope.append(lease)
        for state in states:
            of_scope = found[id(state)]
            # Twice by one number: a quarter of the time of once by two.
            of_scope.sort(key=_ADDRESS)
            of_scope.sort(key=_CHANGED_AT)
            for lease in of_scope:
                self._index(state, lease, None)

    def load(self, leases: Sequence[Lease]) -> None:
        """Take what the lease database has; before ``follow``."""
        # Not by a loop: compiled, it would make its own copy of each number, a tenth of the memory.
        self.leases.update(zip(map(_ADDRESS, leases), leases, strict=True))
        ending = [lease for lease in leases if lease[1] in _ENDING and lease[6] < NEVER]
        self._queued_end.update(map(_ADDRESS_AND_END, ending))
        self._ends += [lease[6] << _ADDRESS_BITS | lease[0] for lease in ending]
        heapify(self._ends)

    def scope_of(self, address: int) -> ScopeState | None:
        """The scope in whose subnet an address lies."""
        at = bisect_right(self._firsts, address) - 1
        if at < 0 or address > self.scopes[at].served.last:
            return None
        return self.scopes[at]

    def put(self, lease: Lease) -> Lease | None:
        """Make a lease what is known of its address; what was known before."""
        address = lease.address
        old = self.leases.get(address)
        self.leases[address] = lease
        state = self.scope_of(address)
        if state is not None:
            self._index(state, lease, old)
        self._note_end(lease)
        return old

    def amend(self, lease: Lease) -> None:
        """Know more of a lease, in what no index goes by."""
        self.leases[lease.address] = lease

    def remove(self, address: int) -> None:
        """Know nothing of an address any more."""
        old = self.leases.pop(address, None)  # its end stays queued, and finds nothing
        state = self.scope_of(address)
        if state is None or old is None:
            return
        state.counts_of(address)[old.status] -= 1
        state.bootp_count -= _is_dynamic_bootp(old)
        _forget(state, old)
        self._give_back(state, address)

    def _index(self, state: ScopeState, lease: Lease, old: Lease | None) -> None:
        address, status, key = lease.address, lease.status, lease.key
        counts = state.counts_of(address)
        if old is not None:
            counts[old.status] -= 1
            state.bootp_count -= _is_dynamic_bootp(old)
            if old.key != key:
                _forget(state, old)
        counts[status] += 1
        state.bootp_count += _is_dynamic_bootp(lease)
        if status == ACTIVE:
            state.by_client[key] = address
            if lease.client_id and lease.client_id != lease.hardware:
                state.by_hardware[lease.hardware] = address
            if old is not None and old.status != ACTIVE and (pool := state.pool_of(address)) is not None:
                pool.used(address)
            return
        if key:
            known = self.leases.get(state.by_client.get(key, -1))
            if known is None or known.key != key or known.status != ACTIVE:
                state.by_client[key] = address
        pool = state.pool_of(address)
        if pool is None:
            return
        if status in (FREE, BACKUP):
            pool.freed(address, status)
        elif old is not None:
            pool.used(address)

    def _give_back(self, state: ScopeState, address: int) -> None:
        """An address without a lease: it may be taken again."""
        pool = state.pool_of(address)
        if pool is not None:
            pool.freed(address, FREE)

    def _note_end(self, lease: Lease) -> None:
        """See to it that ``due`` finds a lease when it ends; an entry that comes earlier is enough."""
        if lease.status not in _ENDING or lease.expires_at >= NEVER:
            return
        queued = self._queued_end.get(lease.address)
        if queued is None or queued > lease.expires_at:
            self._queued_end[lease.address] = lease.expires_at
            heappush(self._ends, lease.expires_at << _ADDRESS_BITS | lease.address)

    def due(self, now: float, count_max: int) -> list[Lease]:
        """Leases whose time is over, at most ``count_max``; each must be put again, else it is lost to us."""
        found: list[Lease] = []
        while self._ends and len(found) < count_max:
            end, address = self._ends[0] >> _ADDRESS_BITS, self._ends[0] & (1 << _ADDRESS_BITS) - 1
            if end > now:
                break
            heappop(self._ends)
            if self._queued_end.get(address) != end:
                continue  # it was queued for an earlier instant since, or forgotten
            del self._queued_end[address]
            lease = self.leases.get(address)
            if lease is None or lease.status not in _ENDING:
                continue
            if lease.expires_at <= now:
                found.append(lease)
            else:
                self._note_end(lease)
        return found

    def lapse_offers(self, now: float) -> int:
        """Give back what was offered and not taken; how many."""
        count = 0
        for state in self.scopes:
            for address in state.offers.lapsed(now):
                count += 1
                self.offer_dropped(state, address)
        return count

    def offer_dropped(self, state: ScopeState, address: int) -> None:
        """An offer was taken back: its address may be taken again, unless it is leased."""
        lease = self.leases.get(address)
        pool = state.pool_of(address)
        if pool is not None and (lease is None or lease.status in (FREE, BACKUP)):
            pool.freed(address, FREE if lease is None else lease.status)

    def next_due(self) -> float | None:
        """When ``due`` or ``lapse_offers`` has something to look at; None for never."""
        instants = [state.offers.next_lapse() for state in self.scopes]
        if self._ends:
            instants.append(float(self._ends[0] >> _ADDRESS_BITS))
        known = [each for each in instants if each is not None]
        return min(known) if known else None
