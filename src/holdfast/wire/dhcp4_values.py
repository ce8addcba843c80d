"""Read and write the values of DHCPv4 options: addresses, routes, classes, names, identities.

Codes are named here as far as a room of ours goes by them. Every reader takes
any bytes or refuses them.

Source: RFC 2132; RFC 3004 for user classes; RFC 3442 for routes; RFC 3925 for
vendor-identifying options; RFC 4361 for DUIDs; RFC 4702 for the name in DNS.
"""

from __future__ import annotations

import ipaddress
from typing import Final, NamedTuple

from holdfast.kernel.errors import Refusal

SUBNET_MASK: Final = 1
ROUTERS: Final = 3
DNS_SERVERS: Final = 6
HOST_NAME: Final = 12
DOMAIN_NAME: Final = 15
BROADCAST_ADDRESS: Final = 28
VENDOR_SPECIFIC: Final = 43
REQUESTED_ADDRESS: Final = 50
LEASE_TIME: Final = 51
SERVER_ID: Final = 54
PARAMETER_LIST: Final = 55
ERROR_TEXT: Final = 56
SIZE_MAX: Final = 57
RENEWAL_TIME: Final = 58
REBINDING_TIME: Final = 59
VENDOR_CLASS: Final = 60
CLIENT_ID: Final = 61
TFTP_SERVER: Final = 66
BOOT_FILE: Final = 67
USER_CLASS: Final = 77
RAPID_COMMIT: Final = 80
CLIENT_FQDN: Final = 81
LAST_TRANSACTION: Final = 91  # RFC 4388 section 6.1
ASSOCIATED_ADDRESSES: Final = 92
IPV6_ONLY: Final = 108  # RFC 8925 section 3.1
SUBNET_SELECTION: Final = 118  # RFC 3011
CLASSLESS_ROUTES: Final = 121
VENDOR_IDENTIFYING_CLASS: Final = 124
VENDOR_IDENTIFYING_OPTIONS: Final = 125
STATUS_CODE: Final = 151  # RFC 6926 section 6.2, and the six that follow
BASE_TIME: Final = 152
START_OF_STATE: Final = 153
QUERY_START: Final = 154
QUERY_END: Final = 155
DHCP_STATE: Final = 156
DATA_SOURCE: Final = 157
CLASSLESS_ROUTES_MICROSOFT: Final = 249

# Flags of the client's name (RFC 4702 section 2.1).
FQDN_SERVER_UPDATES: Final = 1
FQDN_OVERRIDE: Final = 2
FQDN_ENCODED: Final = 4
FQDN_NO_UPDATE: Final = 8
_FQDN_HEAD_BYTES: Final = 3
NAME_BYTES_MAX: Final = 255
LABEL_BYTES_MAX: Final = 63

DUID_CLIENT_ID: Final = 255  # RFC 4361 section 6.1


def read_addresses(value: bytes) -> tuple[ipaddress.IPv4Address, ...]:
    """Read one or more IPv4 addresses.

    Raises:
        Refusal: the length is no multiple of four, or nothing is there.
    """
    if not value or len(value) % 4:
        raise Refusal(f"{len(value)} bytes are no list of IPv4 addresses")
    return tuple(ipaddress.IPv4Address(value[at : at + 4]) for at in range(0, len(value), 4))


def read_number(value: bytes, size: int) -> int:
    """Read an unsigned number of ``size`` bytes.

    Raises:
        Refusal: it has another length.
    """
    if len(value) != size:
        raise Refusal(f"{len(value)} bytes where a number of {size} is expected")
    return int.from_bytes(value, "big")


class Route(NamedTuple):
    """One static route (RFC 3442)."""

    destination: ipaddress.IPv4Network
    router: ipaddress.IPv4Address


def read_routes(value: bytes) -> tuple[Route, ...]:
    """Read classless static routes.

    Raises:
        Refusal: a prefix is longer than 32 bits, or a route is cut off.
    """
    routes = []
    at = 0
    while at < len(value):
        prefix_bits = value[at]
        significant = (prefix_bits + 7) // 8
        stop = at + 1 + significant + 4
        if prefix_bits > 32 or stop > len(value):
            raise Refusal(f"a route of {prefix_bits} bits does not fit into the option")
        # Bits beyond the prefix are ignored (RFC 3442, "Local Subnet Routes" and the encoding before it).
        network = value[at + 1 : at + 1 + significant].ljust(4, b"\0")
        destination = ipaddress.IPv4Network((network, prefix_bits), strict=False)
        routes.append(Route(destination, ipaddress.IPv4Address(value[stop - 4 : stop])))
        at = stop
    return tuple(routes)


def encode_routes(routes: tuple[Route, ...]) -> bytes:
    """Write classless static routes."""
    return b"".join(
        bytes((route.destination.prefixlen,))
        + route.destination.network_address.packed[: (route.destination.prefixlen + 7) // 8]
        + route.router.packed
        for route in routes
    )


def read_user_classes(value: bytes) -> tuple[bytes, ...]:
    """Read the user classes of a client.

    Microsoft's clients send one class without its length byte; what is no list
    by RFC 3004 is taken as that.
    """
    classes = []
    at = 0
    while at < len(value):
        stop = at + 1 + value[at]
        if value[at] == 0 or stop > len(value):
            return (value,)
        classes.append(value[at + 1 : stop])
        at = stop
    return tuple(classes)


def read_vendor_identifying(value: bytes) -> dict[int, bytes]:
    """Read what is told per enterprise number (options 124 and 125); data of one number is joined.

    Raises:
        Refusal: it is cut off.
    """
    found: dict[int, bytes] = {}
    at = 0
    while at < len(value):
        if at + 5 > len(value) or at + 5 + value[at + 4] > len(value):
            raise Refusal("vendor-identifying data is cut off")
        number = int.from_bytes(value[at : at + 4], "big")
        found[number] = found.get(number, b"") + value[at + 5 : at + 5 + value[at + 4]]
        at += 5 + value[at + 4]
    return found


class ClientName(NamedTuple):
    """The name that a client has or wants in DNS.

    Attributes:
        flags: see FQDN_….
        name: without the dot at the end.
        is_whole: whether it ends in the root; a host name alone does not.
    """

    flags: int
    name: bytes
    is_whole: bool


def read_client_name(value: bytes) -> ClientName:
    """Read the client's name option.

    Raises:
        Refusal: it is too short, or the name is malformed.

    Source: RFC 4702 section 2.
    """
    if len(value) < _FQDN_HEAD_BYTES:
        raise Refusal(f"a client's name option of {len(value)} bytes")
    flags, rest = value[0], value[_FQDN_HEAD_BYTES:]
    if not flags & FQDN_ENCODED:  # the old form in ASCII
        return ClientName(flags, rest.rstrip(b".\0"), rest.endswith(b"."))
    labels: list[bytes] = []
    at = 0
    while at < len(rest):
        size = rest[at]
        if size == 0:
            return ClientName(flags, b".".join(labels), True)
        if size > LABEL_BYTES_MAX or at + 1 + size > len(rest):
            raise Refusal("the client's name is malformed")
        labels.append(rest[at + 1 : at + 1 + size])
        at += 1 + size
    return ClientName(flags, b".".join(labels), False)


def encode_client_name(answer: ClientName) -> bytes:
    """Write the client's name option, with both result codes 255 (RFC 4702 section 2.2).

    Raises:
        Refusal: the name is no name.
    """
    head = bytes((answer.flags, 255, 255))
    if not answer.flags & FQDN_ENCODED:
        return head + answer.name + (b"." if answer.is_whole and answer.name else b"")
    parts = answer.name.split(b".") if answer.name else []
    if any(not 0 < len(part) <= LABEL_BYTES_MAX for part in parts) or len(answer.name) > NAME_BYTES_MAX:
        raise Refusal("a label of a name has 1 to 63 bytes, and a name 255 at most")
    return head + b"".join(bytes((len(part),)) + part for part in parts) + (b"\0" if answer.is_whole else b"")


def duid_of(client_id: bytes) -> bytes | None:
    """The DUID in a client identifier, without the interface's number; None when it has none.

    Source: RFC 4361 section 6.1.
    """
    if len(client_id) > 7 and client_id[0] == DUID_CLIENT_ID:
        return client_id[5:]
    return None
