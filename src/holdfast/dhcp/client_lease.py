"""A lease as its client sees it: read from an ACK, and written down for the next start.

The lease begins when the client *asked*, so that it never ends later here than
at the server. T1 and T2 are a half and seven eighths of it unless the server
says others that lie in order.

The file is JSON with a format version; any bytes are read or refused, and a
lease of another interface or of a newer version is refused with what to do.

Source: spec/dhcp.md section 1, client behaviour; RFC 2131 sections 4.3.1, 4.4.1 and
4.4.5; RFC 2132 sections 9.2 and 9.7; RFC 3442.
"""

from __future__ import annotations

import math
from ipaddress import IPv4Address, IPv4Network

import msgspec

from holdfast.kernel.errors import Refusal
from holdfast.wire import dhcp4_values as values
from holdfast.wire.dhcp4 import Message
from holdfast.wire.dhcp4_values import Route

RENEW_SHARE, REBIND_SHARE = 0.5, 0.875  # RFC 2131 section 4.4.5
FORMAT, VERSION = "holdfast dhcp client lease", 1
FILE_BYTES_MAX = 64 << 10
_UNLIMITED_S = 0xFFFF_FFFF  # RFC 2131 section 3.3
_MOMENT_MAX = 1e11


class ClientLease(msgspec.Struct, frozen=True, kw_only=True):
    """What a server granted; instants are seconds since the epoch, an unlimited lease ends at infinity.

    Attributes:
        address: ours.
        prefix_bits: of the network that it lies in.
        server: who granted it (option 54), and whom renewals go to.
        routers: default gateways, the best first; none where ``routes`` are told.
        routes: classless static routes.
        dns_servers: as told.
        domain: as told.
        asked_at: when it was asked for.
        renew_at: T1.
        rebind_at: T2.
        ends_at: when it must not be used any more.
    """

    address: IPv4Address
    prefix_bits: int
    server: IPv4Address
    routers: tuple[IPv4Address, ...] = ()
    routes: tuple[Route, ...] = ()
    dns_servers: tuple[IPv4Address, ...] = ()
    domain: str = ""
    asked_at: float
    renew_at: float
    rebind_at: float
    ends_at: float

    @property
    def gateway(self) -> IPv4Address | None:
        """The default gateway, wherever it was told."""
        if self.routers:
            return self.routers[0]
        return next((each.router for each in self.routes if each.destination.prefixlen == 0), None)

    @property
    def lease_s(self) -> float:
        """How long it was granted for."""
        return self.ends_at - self.asked_at


def read_grant(message: Message, asked_at: float) -> ClientLease:
    """Read what an OFFER or an ACK grants.

    Raises:
        Refusal: something that a client cannot do without is missing or makes no sense.
    """
    options = message.options
    address = IPv4Address(message.yiaddr)
    check_host_address(address, "the address")
    server = IPv4Address(values.read_number(_needed(options, values.SERVER_ID, "server identifier"), 4))
    check_host_address(server, "the server identifier")
    lease_s = float(values.read_number(_needed(options, values.LEASE_TIME, "lease time"), 4))
    if lease_s == 0:
        raise Refusal("a lease of 0 s")
    if lease_s == _UNLIMITED_S:
        lease_s = math.inf
    renew_s, rebind_s = _times(options, lease_s)
    routes = values.read_routes(options.get(values.CLASSLESS_ROUTES, b""))
    # RFC 3442: a client that understands the routes ignores the routers.
    routers = () if routes else _addresses(options, values.ROUTERS)
    return ClientLease(
        address=address, prefix_bits=_prefix_bits(options, address), server=server, routers=routers,
        routes=routes, dns_servers=_addresses(options, values.DNS_SERVERS),
        domain=readable(options.get(values.DOMAIN_NAME, b"")), asked_at=asked_at,
        renew_at=asked_at + renew_s, rebind_at=asked_at + rebind_s, ends_at=asked_at + lease_s,
    )  # fmt: skip


def _needed(options: dict[int, bytes], code: int, name: str) -> bytes:
    if code not in options:
        raise Refusal(f"no {name} (option {code})")
    return options[code]


def _times(options: dict[int, bytes], lease_s: float) -> tuple[float, float]:
    """T1 and T2 in seconds; what the server says counts only where it is in order."""
    if math.isinf(lease_s):
        return math.inf, math.inf
    renew_s, rebind_s = lease_s * RENEW_SHARE, lease_s * REBIND_SHARE
    told = [options.get(code, b"") for code in (values.RENEWAL_TIME, values.REBINDING_TIME)]
    told_renew_s, told_rebind_s = (
        float(int.from_bytes(each, "big")) if len(each) == 4 else default
        for each, default in zip(told, (renew_s, rebind_s), strict=True)
    )
    if 0 < told_renew_s < told_rebind_s < lease_s:
        return told_renew_s, told_rebind_s
    return renew_s, rebind_s


def check_host_address(address: IPv4Address, what: str) -> None:
    """Refuse what no host can have."""
    if address.is_unspecified or address.is_multicast or address.is_loopback or int(address) >> 28 == 0xF:
        raise Refusal(f"{what} {address} is none of a host")


def _prefix_bits(options: dict[int, bytes], address: IPv4Address) -> int:
    mask = options.get(values.SUBNET_MASK)
    if mask is None:  # the classes of old (RFC 2132 section 3.3 leaves nothing better)
        first = int(address) >> 24
        return 8 if first < 128 else 16 if first < 192 else 24
    number = values.read_number(mask, 4)
    bits = number.bit_count()
    if number != (0xFFFF_FFFF << (32 - bits)) & 0xFFFF_FFFF or bits == 0:
        raise Refusal(f"{IPv4Address(number)} is no subnet mask")
    return bits


def _addresses(options: dict[int, bytes], code: int) -> tuple[IPv4Address, ...]:
    value = options.get(code, b"")
    return values.read_addresses(value) if value else ()


def readable(value: bytes) -> str:
    """A text of a stranger, as it may be shown and kept."""
    text = value.rstrip(b"\0").decode("ascii", "replace")
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


# --- the file ------------------------------------------------------------------------------------


class _Kept(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    version: int
    mac: str
    client_id: str
    address: str
    prefix_bits: int
    server: str
    routers: list[str]
    routes: list[tuple[str, str]]
    dns_servers: list[str]
    domain: str
    asked_at: float
    renew_at: float | None
    rebind_at: float | None
    ends_at: float | None


class _Head(msgspec.Struct):
    format: str
    version: int


def encode_lease(lease: ClientLease, mac: bytes, client_id: bytes) -> bytes:
    """Write a lease down, with whose it is."""
    kept = _Kept(
        FORMAT, VERSION, mac.hex(":"), client_id.hex(":"), str(lease.address), lease.prefix_bits,
        str(lease.server), [str(each) for each in lease.routers],
        [(str(each.destination), str(each.router)) for each in lease.routes],
        [str(each) for each in lease.dns_servers], lease.domain, lease.asked_at,
        *(None if math.isinf(each) else each for each in (lease.renew_at, lease.rebind_at, lease.ends_at)),
    )  # fmt: skip
    return msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n"


def decode_lease(data: bytes, mac: bytes, client_id: bytes) -> ClientLease:
    """Read a lease that was written down.

    Raises:
        Refusal: it is none, was written by a newer version, or is another client's.
    """
    try:
        head = msgspec.json.decode(data, type=_Head)
        if head.format != FORMAT:
            raise Refusal(f'its format is "{head.format[:40]}", not "{FORMAT}"')
        if head.version != VERSION:
            raise Refusal(f"its version is {head.version}, this program knows {VERSION}; remove the file")
        kept = msgspec.json.decode(data, type=_Kept)
        if (kept.mac, kept.client_id) != (mac.hex(":"), client_id.hex(":")):
            raise Refusal(f"it is the lease of {kept.mac[:40]}, another client; name another file")
        return _lease_of(kept)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Refusal(f"it is no lease: {str(error)[:200]}") from None


def _lease_of(kept: _Kept) -> ClientLease:
    moments = [kept.asked_at, *(
        math.inf if each is None else each for each in (kept.renew_at, kept.rebind_at, kept.ends_at)
    )]  # fmt: skip
    if not 0 <= moments[0] < _MOMENT_MAX or moments != sorted(moments) or not 0 < kept.prefix_bits <= 32:
        raise ValueError("its times or its network make no sense")
    asked_at, renew_at, rebind_at, ends_at = moments
    lease = ClientLease(
        address=IPv4Address(kept.address), prefix_bits=kept.prefix_bits, server=IPv4Address(kept.server),
        routers=tuple(IPv4Address(each) for each in kept.routers),
        routes=tuple(Route(IPv4Network(to), IPv4Address(router)) for to, router in kept.routes),
        dns_servers=tuple(IPv4Address(each) for each in kept.dns_servers), domain=kept.domain,
        asked_at=asked_at, renew_at=renew_at, rebind_at=rebind_at, ends_at=ends_at,
    )  # fmt: skip
    check_host_address(lease.address, "the address")
    check_host_address(lease.server, "the server")
    return lease
