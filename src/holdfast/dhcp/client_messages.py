"""The messages that a DHCP client sends, with the fields that each of them must and must not have.

Source: RFC 2131 section 4.4.1 table 5, and sections 4.3.2, 4.4.3, 4.4.4 and 4.4.6; RFC 2132
sections 9.1, 9.8, 9.10, 9.13 and 9.14; RFC 3442 for the order of what is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from holdfast.dhcp.client_lease import ClientLease
from holdfast.wire import dhcp4
from holdfast.wire import dhcp4_values as values
from holdfast.wire.dhcp4 import NO_ADDRESS, Message, encode_message

SECS_MAX = 0xFFFF
MESSAGE_BYTES_TAKEN = 1500  # what fits into a frame; option 57
NOBODY = IPv4Address(0)
# RFC 3442: a client that knows the routes asks for them before the routers.
ASKED_FOR = bytes(
    (
        values.SUBNET_MASK,
        values.CLASSLESS_ROUTES,
        values.ROUTERS,
        values.DNS_SERVERS,
        values.DOMAIN_NAME,
        values.LEASE_TIME,
        values.RENEWAL_TIME,
        values.REBINDING_TIME,
    )
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the client says it is.

    Attributes:
        mac: its hardware address, six bytes.
        client_id: option 61; empty sends none.
        host_name: option 12; empty sends none.
        vendor_class: option 60; empty sends none.
        user_class: option 77; empty sends none.
        broadcast: asks for answers that go to everybody.
    """

    mac: bytes
    client_id: bytes = b""
    host_name: bytes = b""
    vendor_class: bytes = b""
    user_class: bytes = b""
    broadcast: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the messages of one attempt have in common.

    Attributes:
        xid: four bytes.
        secs: how long the client has tried, in seconds.
    """

    xid: bytes
    secs: int


def discover(identity: Identity, attempt: Attempt, wanted: IPv4Address | None) -> bytes:
    """Ask everybody for an offer; ``wanted`` is an address that the client would like."""
    options = {} if wanted is None else {values.REQUESTED_ADDRESS: wanted.packed}
    return _message(dhcp4.DISCOVER, identity, attempt, options)


def select(identity: Identity, attempt: Attempt, offer: ClientLease) -> bytes:
    """Take an offer; all other servers hear that theirs was not taken."""
    options = {values.REQUESTED_ADDRESS: offer.address.packed, values.SERVER_ID: offer.server.packed}
    return _message(dhcp4.REQUEST_LEASE, identity, attempt, options)


def reboot(identity: Identity, attempt: Attempt, address: IPv4Address) -> bytes:
    """Ask everybody whether an address from before may be used (INIT-REBOOT)."""
    return _message(dhcp4.REQUEST_LEASE, identity, attempt, {values.REQUESTED_ADDRESS: address.packed})


def extend(identity: Identity, attempt: Attempt, address: IPv4Address) -> bytes:
    """Ask for more time: the same bytes when renewing and when rebinding."""
    return _message(dhcp4.REQUEST_LEASE, identity, attempt, {}, address)


def decline(identity: Identity, xid: bytes, lease: ClientLease) -> bytes:
    """Tell the server that somebody else uses the address."""
    options = {
        values.REQUESTED_ADDRESS: lease.address.packed,
        values.SERVER_ID: lease.server.packed,
        values.ERROR_TEXT: b"somebody else answers ARP for it",
    }
    return _message(dhcp4.DECLINE, identity, Attempt(xid, 0), options)


def release(identity: Identity, xid: bytes, lease: ClientLease) -> bytes:
    """Give the address back."""
    options = {values.SERVER_ID: lease.server.packed}
    return _message(dhcp4.RELEASE, identity, Attempt(xid, 0), options, lease.address)


def inform(identity: Identity, attempt: Attempt, address: IPv4Address) -> bytes:
    """Ask for options alone; the client has its address from elsewhere (RFC 2131 section 4.4.3)."""
    return _message(dhcp4.INFORM, identity, attempt, {}, address)


_ASKS = (dhcp4.DISCOVER, dhcp4.REQUEST_LEASE, dhcp4.INFORM)


def _message(
    kind: int, identity: Identity, attempt: Attempt, options: dict[int, bytes], ciaddr: IPv4Address = NOBODY
) -> bytes:
    given = {dhcp4.OPTION_MESSAGE_TYPE: bytes((kind,))}
    if identity.client_id:
        given[values.CLIENT_ID] = identity.client_id
    given |= options
    if kind in _ASKS:  # table 5: DECLINE and RELEASE have none of these
        given[values.SIZE_MAX] = MESSAGE_BYTES_TAKEN.to_bytes(2, "big")
        for code, value in (
            (values.HOST_NAME, identity.host_name),
            (values.VENDOR_CLASS, identity.vendor_class),
            (values.USER_CLASS, identity.user_class),
        ):
            if value:
                given[code] = value
        given[values.PARAMETER_LIST] = ASKED_FOR
    flags = dhcp4.BROADCAST_FLAG if identity.broadcast and kind in _ASKS else 0
    return encode_message(
        Message(
            op=dhcp4.REQUEST, hardware_type=dhcp4.ETHERNET, hardware=identity.mac, hops=0, xid=attempt.xid,
            secs=min(attempt.secs, SECS_MAX), flags=flags, ciaddr=ciaddr.packed, yiaddr=NO_ADDRESS,
            siaddr=NO_ADDRESS, giaddr=NO_ADDRESS, sname=b"", file=b"", options=given,
        )
    )  # fmt: skip
