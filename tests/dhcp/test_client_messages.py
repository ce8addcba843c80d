"""What a client sends, against table 5 of RFC 2131: which fields each message must and must not have."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from dhcp.client_world import MAC, remembered
from holdfast.dhcp import client_messages as messages
from holdfast.dhcp.client_messages import Attempt, Identity
from holdfast.wire import dhcp4_values as values
from holdfast.wire.dhcp4 import BROADCAST_FLAG, MESSAGE_NAMES, read_message

IDENTITY = Identity(MAC, b"\x01" + MAC, b"pc", b"MSFT 5.0", b"\x03lab", broadcast=True)
ATTEMPT = Attempt(b"\1\2\3\4", 7)
LEASE = remembered()
ADDRESS = LEASE.address

# message: (its name, secs and flags, ciaddr, requested address, server, list of what is asked for)
TABLE_5 = {
    "DISCOVER": (messages.discover(IDENTITY, ATTEMPT, None), "DISCOVER", True, False, False, False, True),
    "DISCOVER with a wish": (
        messages.discover(IDENTITY, ATTEMPT, ADDRESS), "DISCOVER", True, False, True, False, True,
    ),
    "SELECTING": (messages.select(IDENTITY, ATTEMPT, LEASE), "REQUEST", True, False, True, True, True),
    "INIT-REBOOT": (messages.reboot(IDENTITY, ATTEMPT, ADDRESS), "REQUEST", True, False, True, False, True),
    "RENEWING, REBINDING": (
        messages.extend(IDENTITY, ATTEMPT, ADDRESS), "REQUEST", True, True, False, False, True,
    ),
    "DECLINE": (messages.decline(IDENTITY, ATTEMPT.xid, LEASE), "DECLINE", False, False, True, True, False),
    "RELEASE": (messages.release(IDENTITY, ATTEMPT.xid, LEASE), "RELEASE", False, True, False, True, False),
    "INFORM": (messages.inform(IDENTITY, ATTEMPT, ADDRESS), "INFORM", True, True, False, False, True),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE_5)
def test_table_5(name: str) -> None:
    data, kind, timed, has_address, wants, names_server, asks = TABLE_5[name]
    message = read_message(data)
    options = message.options
    assert MESSAGE_NAMES[options[53][0]] == kind
    assert (message.op, message.hardware_type, message.hops) == (1, 1, 0)
    assert (message.hardware, message.xid) == (MAC, ATTEMPT.xid)
    assert (message.secs, message.flags) == ((7, BROADCAST_FLAG) if timed else (0, 0))
    assert message.ciaddr == (ADDRESS.packed if has_address else bytes(4))
    assert message.yiaddr == message.siaddr == message.giaddr == bytes(4)
    assert options.get(values.REQUESTED_ADDRESS) == (ADDRESS.packed if wants else None)
    assert options.get(values.SERVER_ID) == (LEASE.server.packed if names_server else None)
    assert options[values.CLIENT_ID] == b"\x01" + MAC
    for code in (
        values.PARAMETER_LIST,
        values.SIZE_MAX,
        values.HOST_NAME,
        values.VENDOR_CLASS,
        values.USER_CLASS,
    ):
        assert (code in options) == asks
    assert values.LEASE_TIME not in options


def test_routes_are_asked_for_before_routers() -> None:
    asked = read_message(messages.discover(IDENTITY, ATTEMPT, None)).options[values.PARAMETER_LIST]
    assert asked.index(values.CLASSLESS_ROUTES) < asked.index(values.ROUTERS)


def test_what_an_identity_does_not_have_is_not_sent() -> None:
    message = read_message(messages.discover(Identity(MAC), Attempt(bytes(4), 1 << 20), None))
    assert set(message.options) == {53, values.SIZE_MAX, values.PARAMETER_LIST}
    assert (message.flags, message.secs) == (0, 0xFFFF)


def test_nobody_is_the_address_of_a_client_without_one() -> None:
    assert IPv4Address("0.0.0.0") == messages.NOBODY
