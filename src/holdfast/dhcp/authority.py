"""Who may lease an address, to whom, and for how long: the one place that a pair of servers changes.

A server alone may do everything. Two partners share the addresses: each may
lease those in one status (FREE or BACKUP), answers its share of new clients,
and gives no lease longer than what its partner knows of plus MCLT. All of it is
asked here and nowhere else, so that failover is one more ``Authority``.

Source: draft-ietf-dhc-failover-12 sections 5.2, 7.1.5 and 9; spec/dhcp.md sections 2.7 to 2.11.
"""

from __future__ import annotations

from typing import Protocol

from holdfast.dhcp.lease import FREE, Lease


class Authority(Protocol):
    """What the server asks before it leases; one per scope."""

    # The status of the free addresses that are ours to lease, and whether those that were never leased are.
    free_status: int
    fresh: bool

    def answers(self, now: float, client: bytes, secs: int) -> bool:
        """Whether a new client is ours to answer, and not our partner's.

        Args:
            now: by our clock.
            client: its identifier where it sent one, else its hardware address without the type.
            secs: as its message has it.
        """
        ...

    def leases(self, now: float) -> bool:
        """Whether a client that chose our offer gets the address."""
        ...

    def extends(self, now: float) -> bool:
        """Whether clients that renew or rebind are answered."""
        ...

    def lease_s(self, now: float, lease: Lease | None, desired_s: int) -> int:
        """How long an address may be leased, at most ``desired_s`` seconds."""
        ...

    def granted(self, now: float, lease: Lease, desired_s: int) -> Lease:
        """The lease as it is written down, with the times of the pair in it."""
        ...

    def changed(self, lease: Lease) -> Lease:
        """A lease as it is written down after a change."""
        ...

    def gave(self, lease: Lease, *, late: bool) -> bool:
        """Whether it was we who gave a lease last, as far as we know.

        Args:
            lease: as we know it.
            late: whether what is decided now may have waited here for a slow disk.
        """
        ...

    def is_free(self, lease: Lease | None) -> bool:
        """Whether an address of the pool is ours to lease to anybody; None of it when it never was leased."""
        ...

    def ended_status(self, status: int) -> int:
        """Into which status an address comes whose lease became EXPIRED, RELEASED or RESET."""
        ...

    def committed(self, now: float, leases: list[Lease]) -> None:
        """Leases are durable here: the partner may be told."""
        ...


class Alone:
    """A server without a partner."""

    free_status = FREE
    fresh = True

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
