"""Share the free addresses: each partner should own its part, so that it can lease while the other is away.

Each hands over what it has too much of and takes nothing: only the owner of an
address changes who owns it, so no address is ever owned twice. The giver no
longer leases it from its commit on, the taker leases it from its own.
PARTNER-DOWN is the exception: after MCLT the partner's are ours.

Handed over first is what was never leased, then what has been free for longest.

Source: draft-ietf-dhc-failover-12 sections 5.4 and 9.4.2; spec/dhcp.md section 2.11.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush

from holdfast.dhcp.desk import Desk
from holdfast.dhcp.failover_accept import ENDED, still_used_until
from holdfast.dhcp.failover_authority import PairAuthority
from holdfast.dhcp.failover_bindings import Book
from holdfast.dhcp.lease import ABANDONED, ACTIVE, BACKUP, EXPIRED, FREE, RELEASED, RESET, Lease
from holdfast.dhcp.lease_table import ScopeState

UNEVEN_PART = 10  # a tenth of the free addresses may be on the wrong side
MOVED_COUNT_MAX = 2000  # in one step: a commit of so many takes some milliseconds
STEP_S = 0.1


def free_counts(state: ScopeState) -> tuple[int, int]:
    """How many free addresses of a scope's pools the primary has, and the secondary."""
    counts = state.counts
    used = sum(counts[status] for status in (ACTIVE, EXPIRED, RELEASED, ABANDONED, RESET))
    secondarys = counts[BACKUP]
    return max(0, state.served.unreserved_count - used - secondarys), secondarys


def secondarys_share(free_count: int, percent: int) -> int:
    """How many of so many free addresses should be the secondary's; one at least, where it has a share."""
    return 0 if percent <= 0 else max(min(1, free_count // 2), round(free_count * percent / 100))


def surplus(counts: tuple[int, int], percent: int, *, primary: bool, at_once: bool = False) -> int:
    """How many free addresses we should hand over.

    Args:
        counts: free addresses of the primary, and of the secondary.
        percent: the secondary's share.
        primary: whether we are the primary.
        at_once: however few they are, since the partner asks for them.
    """
    primarys, secondarys = counts
    share = secondarys_share(primarys + secondarys, percent)
    count = share - secondarys if primary else secondarys - share
    has_none = (secondarys if primary else primarys) == 0
    if count <= 0 or not (at_once or has_none or count * UNEVEN_PART > primarys + secondarys):
        return 0
    return count


def owned(old: Lease | None, address: int, status: int, now: float) -> Lease:
    """A free address as another owner has it; what is remembered of its last client stays."""
    seconds = int(now)
    if old is None:
        return Lease(address, status, 0, b"", b"", seconds, seconds, seconds, 0)
    return old._replace(
        status=status, flags=0, changed_at=seconds, potential_sent=0, potential_acked=0, potential_received=0
    )


class Pools:
    """The free addresses of one relationship."""

    def __init__(self, desk: Desk, authority: PairAuthority, names: Iterable[str]) -> None:
        """Make it.

        Args:
            desk: has the leases, and takes the changes.
            authority: says which free addresses are ours.
            names: of the scopes.
        """
        self._desk = desk
        self._authority = authority
        self.names = frozenset(names)
        self.closed: frozenset[str] = frozenset()  # those of which we do not know what is leased
        self._is_under_way = False  # the last step was as long as one may be
        self._held: list[
            tuple[int, int]
        ] = []  # in PARTNER-DOWN: when an ended lease is free, and its address

    @property
    def scopes(self) -> list[ScopeState]:
        """The scopes of the relationship that are served."""
        return [state for state in self._desk.table.scopes if state.served.name in self.names]

    @property
    def _open(self) -> list[ScopeState]:
        return [state for state in self.scopes if state.served.name not in self.closed]

    def book(self) -> Book:
        """What is done with the leases of these scopes when the partner speaks of them."""
        registrar = self._desk.registrar

        def registers() -> bool:
            return registrar.is_on

        desk = self._desk
        return Book(
            desk.table.leases.get, self.is_ours, desk.put_told, desk.put_acknowledged, self.leases,
            registrar.ended, registers,
        )  # fmt: skip

    @property
    def _primary(self) -> bool:
        return self._authority.free_status == FREE

    def leases(self) -> Iterator[Lease]:
        """Every lease of the scopes."""
        return self._leases_of(self.scopes)

    def _leases_of(self, scopes: list[ScopeState]) -> Iterator[Lease]:
        spans = [(state.served.first, state.served.last) for state in scopes]
        for lease in list(self._desk.table.leases.values()):
            if any(first <= lease.address <= last for first, last in spans):
                yield lease

    def is_ours(self, address: int) -> bool:
        """Whether an address is one that clients of the relationship's scopes get."""
        state = self._desk.table.scope_of(address)
        if state is None or state.served.name not in self.names:
            return False
        return address in state.served.reserved or state.pool_of(address) is not None

    # In NORMAL

    def hands_over(self, now: float, percent: int) -> bool:
        """Hand over a part of what we have too much of; whether the next should follow soon.

        A large pool goes over in steps, between which clients are answered, and to its end.
        """
        moved_count = self.hand_over(now, percent, at_once=self._is_under_way)
        self._is_under_way = moved_count >= MOVED_COUNT_MAX
        return self._is_under_way

    def hand_over(self, now: float, percent: int, *, at_once: bool = False) -> int:
        """Hand over what we have too much of; how many addresses."""
        moved_count = 0
        for state in self._open:
            count = surplus(free_counts(state), percent, primary=self._primary, at_once=at_once)
            for address in self._next(state, min(count, MOVED_COUNT_MAX - moved_count)):
                status = BACKUP if self._primary else FREE
                self._desk.put(owned(self._desk.table.leases.get(address), address, status, now))
                moved_count += 1
        return moved_count

    def _next(self, state: ScopeState, count: int) -> Iterator[int]:
        """The next free addresses of ours; of each pool in turn, so that no policy's goes as a whole."""
        authority, pools = self._authority, list(state.pools)
        while count > 0 and pools:
            for pool in list(pools):
                if count <= 0:
                    return
                address = pool.take(authority.free_status, fresh=authority.fresh)
                if address is None:
                    pools.remove(pool)
                else:
                    count -= 1
                    yield address

    def lacks_addresses(self, percent: int) -> bool:
        """Whether we have none of our own in a scope where we should have some."""
        for state in self._open:
            primarys, secondarys = free_counts(state)
            share = secondarys_share(primarys + secondarys, percent)
            if not self._primary and share > 0 and secondarys * 2 < share:
                return True
        return False

    # In PARTNER-DOWN

    def take_over(self, now: float, entered_at: float) -> None:
        """MCLT is over: the partner's free addresses are ours, and what ended is ours after its own time."""
        authority = self._authority
        authority.fresh = True
        self._held = []
        for lease in self._leases_of(self._open):
            if lease.status in (FREE, BACKUP) and lease.status != authority.free_status:
                self._desk.put(owned(lease, lease.address, authority.free_status, now))
            elif lease.status in ENDED:
                self._held.append((self._free_at(lease, entered_at), lease.address))
        heapify(self._held)

    def _free_at(self, lease: Lease, entered_at: float) -> int:
        """When nobody uses an address any more that the partner may have extended (draft section 9.4.2)."""
        return int(max(still_used_until(lease), entered_at)) + self._authority.held_back_s + 1

    def ended(self, lease: Lease, entered_at: float) -> None:
        """A lease ended in PARTNER-DOWN."""
        heappush(self._held, (self._free_at(lease, entered_at), lease.address))

    def next_free_at(self) -> float | None:
        """When ``free`` has something to do."""
        return self._held[0][0] if self._held else None

    def free(self, now: float, entered_at: float) -> None:
        """In PARTNER-DOWN: what nobody can use any more is ours to lease."""
        for _ in range(MOVED_COUNT_MAX):
            if not self._held or self._held[0][0] > now:
                return
            _, address = heappop(self._held)
            lease = self._desk.table.leases.get(address)
            if lease is None or lease.status not in ENDED:
                continue
            if (free_at := self._free_at(lease, entered_at)) > now:
                heappush(self._held, (free_at, address))
                continue
            freed = lease._replace(dns=self._desk.registrar.ended(lease))
            self._desk.put(owned(freed, address, self._authority.free_status, now))

    def give_up_taking(self) -> None:
        """PARTNER-DOWN is over: from now on only what is ours is ours."""
        self._held = []
        self._authority.fresh = self._primary
