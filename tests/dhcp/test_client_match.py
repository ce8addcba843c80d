"""Which clients meet a policy, and whom the lists of hardware addresses let in."""

from __future__ import annotations

import pytest

from dhcp.conversations import Client
from holdfast.dhcp.client_match import ClassTest, Facts, Filters, PolicyTest
from holdfast.directory.dhcp import (
    Comparison,
    Condition,
    ConditionField,
    FilterAction,
    MacFilter,
    Match,
    Policy,
)
from holdfast.directory.dhcp_options import ClassKind, DhcpClass
from holdfast.kernel.errors import Refusal
from holdfast.wire.relay_agent import encode_relay_agent

CLASSES = {
    "Windows": DhcpClass("Windows", ClassKind.VENDOR, "MSFT 5.0"),
    "PXE": DhcpClass("PXE", ClassKind.VENDOR, "PXEClient"),
    "lab": DhcpClass("lab", ClassKind.USER, "0x6c6162"),
}
RELAY = encode_relay_agent({1: b"\x00\x07", 2: b"switch 4", 6: b"room 12"})
OPTIONS = {
    60: b"PXEClient:Arch:00007",
    61: b"\xff\x01\x02",
    77: b"\x03lab\x05other",
    81: b"\x00\0\0Host.Lab.Example",
    82: RELAY,
    93: b"\x00\x07\x00\x09",
}
F = ConditionField


def facts(options: dict[int, bytes] | None = None) -> Facts:
    return Facts(Client(1, mac=b"\x00\x1a\x2b\x3c\x4d\x5e").discover(OPTIONS if options is None else options))


@pytest.mark.parametrize(
    ("looks_at", "value", "met"),
    [
        (F.VENDOR_CLASS, "PXE", False),
        (F.VENDOR_CLASS, "PXE*", True),
        (F.VENDOR_CLASS, "Windows*", False),
        (F.USER_CLASS, "lab", True),
        (F.MAC, "00:1a:2b:3c:4d:5e", True),
        (F.MAC, "001A2B*", True),
        (F.MAC, "00:1a:2c*", False),
        (F.CLIENT_ID, "ff:01:02", True),
        (F.CLIENT_ID, "ff01*", True),
        (F.CIRCUIT_ID, "0x0007", True),
        (F.REMOTE_ID, "switch*", True),
        (F.REMOTE_ID, "switch", False),
        (F.SUBSCRIBER_ID, "room 12", True),
        (F.RELAY_AGENT, f"{RELAY.hex()}", True),
        (F.FQDN, "host.lab.example", True),
        (F.FQDN, "HOST.*", True),
        (F.FQDN, "other*", False),
        (F.ARCHITECTURE, "7", True),
        (F.ARCHITECTURE, "9", True),
        (F.ARCHITECTURE, "0", False),
    ],
)
def test_conditions(looks_at: ConditionField, value: str, met: bool) -> None:
    policy = Policy("p", (Condition(looks_at, (value,)),))
    assert PolicyTest(policy, CLASSES).meets(facts()) is met
    reverse = Policy("p", (Condition(looks_at, (value,), Comparison.NOT_EQUALS),))
    assert PolicyTest(reverse, CLASSES).meets(facts()) is not met
    # A client that says nothing of itself meets nothing, and is not equal to anything.
    if looks_at is not F.MAC:
        assert PolicyTest(policy, CLASSES).meets(facts({})) is False
        assert PolicyTest(reverse, CLASSES).meets(facts({})) is True


def test_all_or_any() -> None:
    holds, fails = Condition(F.MAC, ("00:1a*",)), Condition(F.MAC, ("01*", "02*"))
    assert PolicyTest(Policy("p", (holds, fails), Match.ANY), {}).meets(facts())
    assert not PolicyTest(Policy("p", (holds, fails)), {}).meets(facts())
    assert not PolicyTest(Policy("p", ()), {}).meets(facts())


def test_what_the_checks_would_not_let_through_is_refused() -> None:
    with pytest.raises(Refusal, match='no class "gone"'):
        PolicyTest(Policy("p", (Condition(F.VENDOR_CLASS, ("gone",)),)), CLASSES)


def test_what_is_malformed_meets_nothing() -> None:
    broken = facts({82: b"\x01\x09x", 81: b"\x04", 12: b"host"})
    assert (broken.relay, broken.fqdn) == ({}, "host")


@pytest.mark.parametrize(
    ("allow", "deny", "served"),
    [
        (False, False, "abc"),
        (True, False, "ab"),
        (False, True, "ac"),
        (True, True, "a"),
    ],
)
def test_lists_of_hardware_addresses(allow: bool, deny: bool, served: str) -> None:
    filters = [
        MacFilter("02:00*", FilterAction.ALLOW),
        MacFilter("02:00:00:00:00:0b", FilterAction.DENY),
    ]
    lists = Filters(filters, allow=allow, deny=deny)
    clients = {"a": b"\2\0\0\0\0\x0a", "b": b"\2\0\0\0\0\x0b", "c": b"\4\0\0\0\0\x0c"}
    assert "".join(name for name, mac in clients.items() if lists.lets_in(mac)) == served
    assert lists.is_on is (allow or deny)


def test_classes_of_a_client() -> None:
    classes = ClassTest(CLASSES.values())
    assert classes.user_classes(facts()) == ("lab",)
    assert classes.vendor_class(facts()) == ""
    assert classes.vendor_class(facts({60: b"MSFT 5.0"})) == "Windows"
