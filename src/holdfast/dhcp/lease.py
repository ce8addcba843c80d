"""What is known of one address: who has it, until when, and in which state it is.

A lease is a plain tuple, and the very row of the lease database: a change makes
a new one, so that what was there before can be put back when it could not be
made durable. Every instant is in whole seconds of the node's clock (which
nobody sets; ``drivers.lease_clock``), rounded so that no lease ends early.

The states are those of the failover draft, so that a pair of servers speaks of
the same thing that one server alone does; the three potential times are theirs
and 0 on a server alone (spec/dhcp.md sections 2.6 and 2.7).

Source: RFC 2131 section 2.2; draft-ietf-dhc-failover-12 sections 5.11 and 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple, cast

FREE: Final = 1  # may be leased to anybody; what it says of its last client is remembered
ACTIVE: Final = 2  # a client has it
EXPIRED: Final = 3  # it ended, and the partner does not know yet
RELEASED: Final = 4  # the client gave it back, and the partner does not know yet
ABANDONED: Final = 5  # somebody else was found using it
RESET: Final = 6  # an administrator took it back, and the partner does not know yet
BACKUP: Final = 7  # free, and the secondary's to lease
STATUS_NAMES = {
    FREE: "free",
    ACTIVE: "active",
    EXPIRED: "expired",
    RELEASED: "released",
    ABANDONED: "declined",
    RESET: "reset",
    BACKUP: "backup",
}

RESERVED: Final = 1  # flags: it is reserved for its client
BOOTP: Final = 2  # flags: it was given by BOOTP
UNTOLD: Final = 4  # flags: the failover partner has not acknowledged what is written here

NEVER: Final = 1 << 40  # when a lease without end expires


class Lease(NamedTuple):
    """One address.

    Attributes:
        address: as a number.
        status: FREE …
        flags: RESERVED, BOOTP, UNTOLD.
        hardware: hardware type and address of the client, as the failover draft writes them.
        client_id: option 61 of the client; empty when it sent none.
        started_at: since when this client has it.
        expires_at: when it ends; of a declined one, when it is free again.
        changed_at: when it came into its status.
        seen_at: when the client last spoke about it.
        host_name: what the client calls itself; any bytes.
        relay: option 82 as it came; empty when there was none.
        dns: what was registered in DNS for it; the registrar's own, empty for nothing.
        potential_sent: until when the partner was told that the lease may last.
        potential_acked: what of it the partner confirmed.
        potential_received: until when the partner told us that its lease may last.
    """

    address: int
    status: int
    flags: int
    hardware: bytes
    client_id: bytes
    started_at: int
    expires_at: int
    changed_at: int
    seen_at: int
    host_name: bytes = b""
    relay: bytes = b""
    dns: bytes = b""
    potential_sent: int = 0
    potential_acked: int = 0
    potential_received: int = 0

    @property
    def key(self) -> bytes:
        """Who the client is: its identifier, else its hardware address (RFC 2131 section 4.2).

        An identifier made of type 1 and the MAC address is the same as the
        hardware address, so that a boot ROM and the system that it loads are one client.
        """
        return self.client_id or self.hardware


# ``Lease(…)`` takes 0.3 us more, ``_replace`` 1.5, and a lease of a pair is made five times.
new_lease: Final = cast("Callable[[Iterable[object]], Lease]", partial(tuple.__new__, Lease))
_FLAGS: Final = Lease._fields.index("flags")
_SENT: Final = Lease._fields.index("potential_sent")
_ACKED: Final = Lease._fields.index("potential_acked")


def flagged(lease: Lease, flags: int) -> Lease:
    """A lease with other flags."""
    fields: list[object] = list(lease)
    fields[_FLAGS] = flags
    return new_lease(fields)


def promised(lease: Lease, potential_sent: int) -> Lease:
    """A lease with another instant until when the partner is told that it may last."""
    fields: list[object] = list(lease)
    fields[_SENT] = potential_sent
    return new_lease(fields)


def as_acknowledged(lease: Lease, potential_acked: int) -> Lease:
    """A lease as the partner has acknowledged it."""
    fields: list[object] = list(lease)
    fields[_FLAGS] = lease.flags & ~UNTOLD
    fields[_ACKED] = potential_acked
    return new_lease(fields)


def address_text(address: int) -> str:
    """An address as people write it."""
    return f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"


def hardware_text(hardware: bytes) -> str:
    """A hardware address as people write it; its type in front when it is not Ethernet."""
    text = hardware[1:].hex(":")
    return text if hardware[:1] in (b"\x01", b"") else f"{hardware[0]}/{text}"
