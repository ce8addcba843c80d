"""Who may lease an address, to whom, and for how long: the one place that a pair of servers changes.

A server alone may do everything. Two partners share the addresses: each may
lease those in one status (FREE or BACKUP), answers its share of new clients,
and gives no lease longer than what its partner knows of plus MCLT. All of it is
asked here and nowhere else, so that failover is one more ``Authority``.

Source: draft-ietf-dhc-failover-12 sections 5.2, 7.1.5 and 9; spec/dhcp.md sections 2.7 to 2.11.
"""

from __future__ import annotations

from holdfast.dhcp.lease import FREE, Lease


class Authority:
    """What the server asks before it leases; one per scope."""

    # A class to derive from: compiled, what is asked of a protocol is looked for by name.

    def __init__(self) -> None:
        # The status of the free addresses that are ours to lease; whether those never leased are ours too.
        self.free_status = FREE
        self.fresh = True
        # Reserved addresses of which our partner may not know that, so that it may lease them to anybody.
        self.unsettled: frozenset[int] = frozenset()

    def answers(self, now: float, client: bytes, secs: int) -> bool:
        """Whether a new client is ours to answer, and not our partner's.

        Args:
            now: by our clock.
            client: its identifier where it sent one, else its hardware address without the type.
            secs: as its message has it.
        """
        raise NotImplementedError

    def leases(self, now: float) -> bool:
        """Whether a client that chose our offer gets the address."""
        raise NotImplementedError

    def extends(self, now: float) -> bool:
        """Whether clients that renew or rebind are answered."""
        raise NotImplementedError

    def lease_s(self, now: float, lease: Lease | None, desired_s: int) -> int:
        """How long an address may be leased, at most ``desired_s`` seconds."""
        raise NotImplementedError

    def granted(self, now: float, lease: Lease, desired_s: int) -> Lease:
        """The lease as it is written down, with the times of the pair in it."""
        raise NotImplementedError

    def changed(self, lease: Lease) -> Lease:
        """A lease as it is written down after a change."""
        raise NotImplementedError

    def gave(self, lease: Lease, *, late: bool) -> bool:
        """Whether it was we who gave a lease last, as far as we know.

        Args:
            lease: as we know it.
            late: whether what is decided now may have waited here for a slow disk.
        """
        raise NotImplementedError

    def is_free(self, lease: Lease | None) -> bool:
        """Whether an address of the pool is ours to lease to anybody; None of it when it never was leased."""
        raise NotImplementedError

    def ended_status(self, status: int) -> int:
        """Into which status an address comes whose lease became EXPIRED, RELEASED or RESET."""
        raise NotImplementedError

    def committed(self, now: float, leases: list[Lease]) -> None:
        """Leases are durable here: the partner may be told."""
        raise NotImplementedError


class Alone(Authority):
    """A server without a partner."""

    def answers(self, now: float, client: bytes, secs: int) -> bool:
        """Every client is ours."""
        return True

    def extends(self, now: float) -> bool:
        """Always."""
        return True

    def lease_s(self, now: float, lease: Lease | None, desired_s: int) -> int:
        """As long as desired."""
        return desired_s

    def granted(self, now: float, lease: Lease, desired_s: int) -> Lease:
        """As it is."""
        return lease

    def leases(self, now: float) -> bool:
        """Always."""
        return True

    def changed(self, lease: Lease) -> Lease:
        """As it is."""
        return lease

    def gave(self, lease: Lease, *, late: bool) -> bool:
        """Nobody else gives any."""
        return True

    def is_free(self, lease: Lease | None) -> bool:
        """Every address that nobody has."""
        return lease is None or lease.status == FREE

    def ended_status(self, status: int) -> int:
        """Free at once, for nobody else has to know."""
        return FREE

    def committed(self, now: float, leases: list[Lease]) -> None:
        """Nobody is told."""
