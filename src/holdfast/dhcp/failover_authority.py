"""Who leases what in a shared scope: the answers of one partner to the server's questions.

Free addresses are owned: FREE is the primary's, BACKUP the secondary's, and one
of which nothing is known is the primary's. A server leases to a new client out
of its own; either extends any lease. No lease lasts longer than MCLT beyond
what the partner is known to know of, except in PARTNER-DOWN, where nobody else
leases (draft section 9.4.2; ISC keeps to MCLT there).

In NORMAL a new client is its bucket's server's to answer. The other one answers
as well once the client asks again a second later, or says that it has waited:
out of its own addresses that is always safe, and nobody waits for a time-out.

Source: draft-ietf-dhc-failover-12 sections 5.2 to 5.4, 7.1.5 and 9; spec/dhcp.md sections 2.7, 2.10 and 7.4.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from holdfast.dhcp.authority import Authority
from holdfast.dhcp.balance import bucket_of, is_primarys, waited_s
from holdfast.dhcp.failover_states import SERVES, Serves, State
from holdfast.dhcp.lease import ACTIVE, BACKUP, FREE, NEVER, UNTOLD, Lease, flagged, promised
from holdfast.directory.dhcp import UNLIMITED_LEASE_S

ASKS_AGAIN_S: Final = 1.0  # a client that repeats itself so much later was not answered
FORGOTTEN_S: Final = 120.0
CLIENTS_MAX: Final = 10_000
POTENTIAL_MAX_S: Final = 10 * 365 * 86400  # beyond that a lease is without end on the wire


class PairAuthority(Authority):
    """The authority of all scopes of one relationship."""

    def __init__(self, tell: Callable[[float, list[Lease]], None], *, primary: bool) -> None:
        """Make it for a server that serves nobody yet.

        Args:
            tell: takes leases that are durable.
            primary: whether we are the primary.
        """
        super().__init__()
        self._tell = tell
        self._primary = primary
        self.state = State.STARTUP
        self.mclt_s = 0  # by how much a lease may outlast what the partner knows of
        self.held_back_s = 0  # by how much one of the partner's may outlast what we know of
        self.buckets = b""
        self.load_balance_s = 3
        self.free_status = FREE if primary else BACKUP
        # Addresses that nobody ever leased are the primary's; the secondary's after PARTNER-DOWN and MCLT.
        self.fresh = primary
        self._passed: OrderedDict[bytes, float] = OrderedDict()

    @property
    def _serves(self) -> Serves:
        return SERVES[self.state]

    def answers(self, now: float, client: bytes, secs: int) -> bool:
        """Whether a new client is ours to answer now."""
        serves = self._serves
        if serves is Serves.EVERYBODY:
            return True
        if serves is not Serves.BALANCED:
            return False
        if is_primarys(self.buckets, bucket_of(client)) == self._primary:
            return True
        return waited_s(secs) >= self.load_balance_s or self._asks_again(now, client)

    def _asks_again(self, now: float, client: bytes) -> bool:
        """Whether a client of the partner's asked a while ago, and so was not answered."""
        passed_at = self._passed.get(client)
        if passed_at is not None and now - passed_at < FORGOTTEN_S:
            return now - passed_at >= ASKS_AGAIN_S
        self._passed[client] = now
        self._passed.move_to_end(client)
        if len(self._passed) > CLIENTS_MAX:
            self._passed.popitem(last=False)
        return False

    def extends(self, now: float) -> bool:
        """Whether clients that renew or rebind are answered."""
        return self._serves is not Serves.NOBODY

    def leases(self, now: float) -> bool:
        """Whether a client that chose our offer gets the address."""
        return self._serves in (Serves.BALANCED, Serves.EVERYBODY)

    def lease_s(self, now: float, lease: Lease | None, desired_s: int) -> int:
        """How long an address may be leased: at most MCLT beyond what the partner knows of."""
        if self.state is State.PARTNER_DOWN:
            return desired_s
        known_until = now
        if lease is not None and lease.status == ACTIVE:
            known_until = max(now, lease.potential_acked, lease.potential_received)
        return max(1, min(desired_s, int(known_until - now) + self.mclt_s))

    def granted(self, now: float, lease: Lease, desired_s: int) -> Lease:
        """The lease with what the partner is told that it may last."""
        if self.state is State.PARTNER_DOWN:  # nobody hears it, and nobody else extends it
            return promised(lease, max(lease.expires_at, lease.potential_sent))
        until = NEVER
        if desired_s < min(UNLIMITED_LEASE_S, POTENTIAL_MAX_S):
            given_s = max(0, lease.expires_at - int(now))
            until = int(now) + desired_s + given_s // 2 + 1
            until = max(until, lease.expires_at)
        return promised(lease, max(until, lease.potential_sent))

    def changed(self, lease: Lease) -> Lease:
        """A lease as it is written down: the partner does not know of it."""
        return flagged(lease, lease.flags | UNTOLD)

    def ended_status(self, status: int) -> int:
        """An address that a client had is nobody's to lease before the partner knows."""
        return status

    def gave(self, lease: Lease, *, late: bool) -> bool:
        """Whether we extended a lease last: what we told of it reaches further than what we were told.

        What waited for a disk was said before the client went to the partner, perhaps.
        """
        return not late and lease.potential_sent >= lease.potential_received

    def is_free(self, lease: Lease | None) -> bool:
        """Whether an address is ours to lease to anybody."""
        return self.fresh if lease is None else lease.status == self.free_status

    def committed(self, now: float, leases: list[Lease]) -> None:
        """Leases are durable here: the partner is told, and no client waits for it."""
        self._tell(now, leases)
