"""What another server allowed and the directory does not."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from dhcp.moving_samples import problems_of
from holdfast.dhcp.moving import Arrival
from holdfast.dhcp.settling import settle
from holdfast.directory.dhcp import (
    Condition,
    ConditionField,
    DhcpServer,
    FilterAction,
    MacFilter,
    Policy,
    Reservation,
    Scope,
)
from holdfast.directory.dhcp_options import OptionDefinition, OptionType, OptionValue
from holdfast.kernel.iprange import parse_ip_range

MAC = Condition(ConditionField.MAC, ("02*",))
OFFICE = Scope("office", parse_ip_range("192.0.2.0/24"), "dhcp1", parse_ip_range("192.0.2.0-192.0.2.255"))


def settled(**parts: object) -> Arrival:
    arrival = Arrival(DhcpServer("dhcp1"), **{"scopes": [OFFICE]} | parts)  # type: ignore[arg-type]  # its fields
    settle(arrival)
    assert problems_of(arrival) == []
    first_count = len(arrival.notes)
    settle(arrival)
    assert len(arrival.notes) == first_count
    return arrival


def reserve(address: str, mac: str = "", **more: str) -> Reservation:
    return Reservation("office", IPv4Address(address), mac, **more)


def test_ends_of_the_network_are_excluded_from_a_pool() -> None:
    arrival = settled()
    assert arrival.scopes[0].exclusions == (parse_ip_range("192.0.2.0"), parse_ip_range("192.0.2.255"))
    assert [each.fate.value for each in arrival.notes] == ["changed", "changed"]
    point = replace(OFFICE, subnet=parse_ip_range("192.0.2.0/31"), pool=parse_ip_range("192.0.2.0/31"))
    assert settled(scopes=[point]).notes == []


def test_the_first_reservation_of_a_client_or_address_stays() -> None:
    arrival = settled(
        reservations=[
            reserve("192.0.2.5", "02:00:00:00:00:05"),
            reserve("192.0.2.5", "02:00:00:00:00:06"),
            reserve("192.0.2.6", client_id="01:02:00:00:00:00:05"),  # the same client
            reserve("192.0.2.255", "02:00:00:00:00:07"),
            reserve("192.0.2.8"),
            reserve("192.0.2.9", "zz"),
            replace(reserve("192.0.2.10", "02:00:00:00:00:0a"), scope="nowhere"),
        ]
    )
    assert [str(each.address) for each in arrival.reservations] == ["192.0.2.5"]
    assert [each.reason[:40] for each in arrival.notes[2:]] == [
        "the address is reserved for 02:00:00:00:",
        "its client has 192.0.2.5 reserved before",
        "192.0.2.255 is no address of a client in",
        "it says nothing of its client",
        '"zz" is not a hardware address; write he',
        "it lies in no scope",
    ]


def test_policies_keep_the_addresses_that_nobody_before_them_has() -> None:
    def policy(name: str, *ranges: str, **more: object) -> Policy:
        return Policy(name, (MAC,), ranges=tuple(map(parse_ip_range, ranges)), **more)  # type: ignore[arg-type]  # its fields

    policies = (
        policy("a", "192.0.2.10-192.0.2.19"),
        policy("A", "192.0.2.15-192.0.2.25", "192.0.2.30"),
        policy("gone", "192.0.2.12"),
        policy("options", "192.0.2.12", options=(OptionValue(12, ("x",)),)),
        Policy("odd", (Condition(ConditionField.CIRCUIT_ID, ("0xzz",)),)),
        Policy("name", (Condition(ConditionField.FQDN, ("a b",)),)),
    )
    arrival = settled(scopes=[replace(OFFICE, policies=policies)])
    assert [(each.name, [str(one) for one in each.ranges]) for each in arrival.scopes[0].policies] == [
        ("a", ["192.0.2.10-192.0.2.19"]),
        ("A (policy)", ["192.0.2.30"]),
        ("options", []),
    ]
    assert [each.what for each in arrival.notes if each.fate.value == "left behind"] == [
        'range 192.0.2.15-192.0.2.25 of policy "A"',
        'range 192.0.2.12-192.0.2.12 of policy "gone"',
        'range 192.0.2.12-192.0.2.12 of policy "options"',
        'policy "odd"',
        'policy "name"',
    ]


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        (
            {"definitions": [OptionDefinition(7, "v", (OptionType.TEXT,), vendor_class="nobody")]},
            "option 7 v",
        ),
        ({"definitions": [OptionDefinition(0, "zero", (OptionType.TEXT,))]}, "option 0 zero"),
        ({"filters": [MacFilter("zz", FilterAction.DENY)]}, "filter zz"),
        ({"filters": [MacFilter("*", FilterAction.DENY)]}, "filter *"),
        (
            {"filters": [MacFilter("02-aa*", FilterAction.DENY), MacFilter("02:AA*", FilterAction.ALLOW)]},
            "filter 02:AA*",
        ),
        (
            {"scopes": [replace(OFFICE, options=(OptionValue(12, ("a",)), OptionValue(12, ("b",))))]},
            "option 12 b",
        ),
    ],
)
def test_what_cannot_stand_is_left_behind(parts: dict[str, object], what: str) -> None:
    assert what in [each.what for each in settled(**parts).notes]
