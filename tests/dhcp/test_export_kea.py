"""What is written for Kea."""

from __future__ import annotations

import math
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from dhcp.moving_samples import EMPTY
from dhcp.round_trips import NOW, arrived, differences, trip
from holdfast.dhcp.departing import Departure
from holdfast.dhcp.export_kea import kea_configuration, kea_lease_rows
from holdfast.dhcp.moving import LeaseState, MovedLease
from holdfast.directory.dhcp import (
    ClientKind,
    Condition,
    ConditionField,
    DhcpServer,
    DnsUpdates,
    FilterAction,
    MacFilter,
    Policy,
    Reservation,
    Scope,
)
from holdfast.directory.dhcp_options import ClassKind, DhcpClass, OptionDefinition, OptionType, OptionValue
from holdfast.kernel.iprange import parse_ip_range

OFFICE = Scope("office", parse_ip_range("192.0.2.0/24"), "dhcp1", parse_ip_range("192.0.2.10-192.0.2.99"))
MAC = Condition(ConditionField.MAC, ("02*",))


def test_what_came_from_kea_goes_back_as_it_was() -> None:
    there_and_back = trip(arrived("kea"), "kea")
    assert differences(there_and_back.before, there_and_back.after) == []
    assert there_and_back.out == []
    assert [each.what for each in there_and_back.back] == ["lease-database"]


def test_no_list_is_empty_but_that_of_an_empty_server() -> None:
    """Kea 2.2 does not read ``"client-classes": []``."""
    bare = replace(EMPTY, dhcp_servers=(DhcpServer("dhcp1"),), scopes=(OFFICE,))
    inside: Any = kea_configuration(Departure(bare, bare.dhcp_server("dhcp1"), bare.scopes))["Dhcp4"]
    assert [name for name, value in inside.items() if not value and isinstance(value, list)] == []
    assert [each["subnet"] for each in inside["subnet4"]] == ["192.0.2.0/24"]
    assert trip(bare, "kea").out == []


def test_leases_go_out_and_come_back() -> None:
    leases = [
        MovedLease(
            int(IPv4Address("192.0.2.120")),
            LeaseState.ACTIVE,
            1,
            b"\2\0\0\0\0\1",
            b"\1a",
            NOW,
            NOW + 9,
            b"pc",
        ),
        MovedLease(
            int(IPv4Address("192.0.2.121")), LeaseState.ACTIVE, 1, b"\2\0\0\0\0\2", b"", NOW, math.inf, b""
        ),
        MovedLease(int(IPv4Address("192.0.2.122")), LeaseState.DECLINED, 1, b"", b"", NOW, NOW + 9, b""),
        MovedLease(
            int(IPv4Address("192.0.2.123")), LeaseState.REMEMBERED, 1, b"\2\0\0\0\0\3", b"", NOW, NOW - 9, b""
        ),
        MovedLease(
            int(IPv4Address("10.0.0.1")), LeaseState.ACTIVE, 1, b"\2\0\0\0\0\4", b"", NOW, NOW + 9, b""
        ),
    ]
    organisation = arrived("kea")
    back = trip(organisation, "kea", leases).leases
    assert [each._replace(line=0) for each in back] == leases[:3]
    departure = Departure(organisation, organisation.dhcp_server("dhcp1"), organisation.scopes)
    assert [each.subnet_id for each in kea_lease_rows(departure, leases, NOW)] == [1, 1, 1]


def test_what_kea_has_no_word_for_is_noted() -> None:
    policies = (
        Policy("ranges", (MAC,), ranges=(parse_ip_range("192.0.2.20-192.0.2.29"),), boot_file="x"),
        Policy("none", (MAC,)),
        Policy("name", (Condition(ConditionField.FQDN, ("a",)),), ranges=(parse_ip_range("192.0.2.40"),)),
        Policy("off", (MAC,), enabled=False),
    )
    scopes = (
        replace(
            OFFICE,
            policies=policies,
            serves=ClientKind.BOTH,
            delay_ms=5,
            description="first floor",
            dns_updates=DnsUpdates.ALWAYS,
            dns_suffix="a.example",
            dns_protect=False,
            shortest_lease_s=60.0,
            options=(OptionValue(12, ("a",), user_class="lab"),),
        ),
        Scope("off", parse_ip_range("198.51.100.0/24"), "dhcp1", enabled=False),
        Scope(
            "bare", parse_ip_range("203.0.113.0/24"), "dhcp1", policies=policies[:1], policies_enabled=False
        ),
    )
    reservations = (
        Reservation("office", IPv4Address("192.0.2.5"), "02:01", client_id="01:02", description="d"),
        Reservation("office", IPv4Address("192.0.2.6"), client_id="01:02", server_name="s"),
    )
    server = DhcpServer(
        "dhcp1",
        probe_count=1,
        deny_filter=True,
        allow_filter=True,
        policies=(Policy("p", (MAC,), lease_s=60.0), Policy("q", (MAC,), lease_unlimited=True)),
        options=(
            OptionValue(7, ("5",), vendor_class="phone"),
            OptionValue(12, ("b",), vendor_class="", user_class="lab"),
            OptionValue(15, ("a,b",)),
        ),
    )
    organisation = replace(
        EMPTY,
        scopes=scopes,
        reservations=reservations,
        dhcp_servers=(server,),
        dhcp_classes=(DhcpClass("phone", ClassKind.VENDOR, "P"), DhcpClass("lab", ClassKind.USER, "L")),
        option_definitions=(
            OptionDefinition(7, "volume", (OptionType.UINT16,), vendor_class="phone"),
            OptionDefinition(224, "i", (OptionType.UINT64,)),
        ),
        mac_filters=(
            MacFilter("02:00*", FilterAction.DENY),
            MacFilter("021*", FilterAction.DENY),
            MacFilter("04:05", FilterAction.ALLOW),
        ),
    )
    departure = Departure(organisation, server, scopes)
    inside: Any = kea_configuration(departure)["Dhcp4"]  # type: ignore[index, call-overload]  # a map
    assert inside["client-classes"] == [
        {"name": "DROP", "test": "substring(pkt4.mac,0,2) == 0x0200 or not (pkt4.mac == 0x0405)"},
        {"name": "p", "test": "substring(pkt4.mac,0,1) == 0x02", "valid-lifetime": 60},
        {"name": "q", "test": "substring(pkt4.mac,0,1) == 0x02", "valid-lifetime": 0xFFFFFFFF},
        {"name": "office: ranges", "test": "substring(pkt4.mac,0,1) == 0x02", "boot-file-name": "x"},
        {
            "name": "options of phone",
            "test": "option[60].hex == 0x50",
            "option-data": [{"code": 43, "csv-format": False, "data": "07020005"}],
        },
        {
            "name": "options of lab",
            "test": "option[77].hex == 0x4c",
            "option-data": [{"code": 12, "data": "b"}],
        },
    ]
    assert inside["option-data"] == [{"code": 15, "csv-format": False, "data": "612c62"}]
    assert "option-def" not in inside
    office, bare = inside["subnet4"]
    assert office["pools"] == [
        {"pool": "192.0.2.10 - 192.0.2.19"},
        {"pool": "192.0.2.30 - 192.0.2.39"},
        {"pool": "192.0.2.41 - 192.0.2.99"},
        {"pool": "192.0.2.20 - 192.0.2.29", "client-class": "office: ranges"},
    ]
    assert office["ddns-override-client-update"] is True
    assert (office["ddns-qualifying-suffix"], office["ddns-use-conflict-resolution"]) == ("a.example", False)
    assert (office["min-valid-lifetime"], office["user-context"]["comment"]) == (60, "first floor")
    assert [each.get("hw-address") for each in office["reservations"]] == ["02:01", None]
    assert bare["pools"] == []
    assert [each.what for each in departure.notes] == [
        "probe_count 1",
        "filter 021*",
        'policy "off"',
        'policy "ranges"',
        'policy "none"',
        'policy "name"',
        "policies",
        "delay_ms 5",
        "serves both",
        "option 12 of a class",
        "client id 01:02 of 192.0.2.5",
        "the scope",
    ]
    server_off = replace(server, policies_enabled=False)
    quiet = Departure(organisation, server_off, ())
    kea_configuration(quiet)
    assert "policies" in [each.what for each in quiet.notes]
