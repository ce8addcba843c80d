"""What the DHCP client wants done: messages, questions on the wire, an address to use, a lease to keep.

The machine (``client.py``) only says it; the driver does it, and nothing of it
is answered but by a later input. Order matters: an address is dropped before
the next one is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from holdfast.dhcp.client_lease import ClientLease
from holdfast.wire.dhcp4_values import Route


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send a message to a server's port.

    Attributes:
        data: the message.
        source: the address it comes from; 0.0.0.0 without one.
        target: the server alone; None is everybody on the wire.
    """

    data: bytes
    source: IPv4Address
    target: IPv4Address | None


@dataclass(frozen=True, slots=True)
class AskArp:
    """Ask by ARP who has an address, without telling one of ours (RFC 5227 section 2.1.1)."""

    address: IPv4Address


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell everybody by ARP that the address is ours (RFC 5227 section 2.3)."""

    address: IPv4Address


@dataclass(frozen=True, slots=True)
class PingGateway:
    """Send the gateway an ICMP echo from an address that the interface need not have yet."""

    gateway: IPv4Address
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class UseAddress:
    """Use an address from now on; said again when only its end or its routers change.

    Attributes:
        address: which.
        prefix_bits: of its network.
        routers: default gateways, the best first.
        routes: static routes; when there are any, ``routers`` is empty (RFC 3442).
        lasts_s: how long from now; None has no end.
    """

    address: IPv4Address
    prefix_bits: int
    routers: tuple[IPv4Address, ...]
    routes: tuple[Route, ...]
    lasts_s: float | None


@dataclass(frozen=True, slots=True)
class DropAddress:
    """Stop using an address at once."""

    address: IPv4Address


@dataclass(frozen=True, slots=True)
class KeepLease:
    """Write a lease down, for the next start."""

    lease: ClientLease


@dataclass(frozen=True, slots=True)
class ForgetLease:
    """What was written down is worth nothing any more."""


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the timeline.

    Attributes:
        state: in which state the client is.
        what: one of ``sent``, ``heard``, ``ignored``, ``address``, ``lease``, ``waits``.
        text: for people.
        lease: what the line is about.
    """

    state: str
    what: str
    text: str
    lease: ClientLease | None = None


Output = (
    SendMessage | AskArp | Announce | PingGateway | UseAddress | DropAddress | KeepLease | ForgetLease | Told
)
