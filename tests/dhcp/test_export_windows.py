"""What is written for Windows."""

from __future__ import annotations

import math
from dataclasses import replace
from ipaddress import IPv4Address

from dhcp.moving_samples import EMPTY
from dhcp.round_trips import NOW, arrived, differences, trip
from holdfast.dhcp.departing import Departure
from holdfast.dhcp.export_windows import windows_client, windows_export
from holdfast.dhcp.moving import LeaseState, MovedLease
from holdfast.directory.dhcp import (
    Condition,
    ConditionField,
    DhcpServer,
    DnsUpdates,
    Policy,
    Reservation,
    Scope,
)
from holdfast.directory.dhcp_options import OptionDefinition, OptionType, OptionValue
from holdfast.kernel.iprange import parse_ip_range

OFFICE = Scope("office", parse_ip_range("192.0.2.0/24"), "dhcp1", parse_ip_range("192.0.2.10-192.0.2.99"))


def test_what_came_from_windows_goes_back_as_it_was() -> None:
    there_and_back = trip(arrived("windows"), "windows")
    assert differences(there_and_back.before, there_and_back.after) == []
    assert there_and_back.out == []
    assert [each.what for each in there_and_back.back] == ["client 73-63-61-6e-6e-65-72"]


def test_leases_go_out_and_come_back() -> None:
    leases = [
        MovedLease(
            int(IPv4Address("192.0.2.120")), LeaseState.ACTIVE, 1, b"\2\0\0\0\0\1", b"", 0.0, NOW + 9, b"pc"
        ),
        MovedLease(
            int(IPv4Address("192.0.2.121")), LeaseState.ACTIVE, 1, b"", b"\0" + b"x" * 9, 0.0, math.inf, b""
        ),
        MovedLease(
            int(IPv4Address("192.0.2.122")), LeaseState.DECLINED, 1, b"\2\0\0\0\0\2", b"", 0.0, NOW + 9, b""
        ),
        MovedLease(
            int(IPv4Address("192.0.2.123")), LeaseState.ACTIVE, 1, b"\2\0\0\0\0\3", b"", 0.0, NOW - 9, b""
        ),
    ]
    back = trip(arrived("windows"), "windows", leases).leases
    assert [each._replace(line=0) for each in back] == leases[:3]


def test_what_windows_has_no_word_for_is_noted() -> None:
    fields = Condition(ConditionField.CIRCUIT_ID, ("port*",))
    policies = (
        Policy(
            "a",
            (fields, Condition(ConditionField.CIRCUIT_ID, ("0x01",))),
            lease_unlimited=True,
            server_name="s",
        ),
        Policy("b", (Condition(ConditionField.ARCHITECTURE, ("7",)),)),
    )
    scopes = (
        replace(
            OFFICE,
            policies=policies,
            next_server="192.0.2.9",
            boot_file="f",
            dns_updates=DnsUpdates.ALWAYS,
            dns_reverse=False,
            dns_without_request=True,
            options=(OptionValue(67, ("g",)), OptionValue(224, ("1 2",)), OptionValue(2, ("-60",))),
        ),
        Scope("bare", parse_ip_range("203.0.113.0/31"), "dhcp1", dns_updates=DnsUpdates.NEVER),
    )
    reservations = (
        Reservation("office", IPv4Address("192.0.2.5"), "02:01", client_id="00:02", boot_file="h"),
        Reservation("office", IPv4Address("192.0.2.6"), client_id="01:02"),
    )
    server = DhcpServer("dhcp1", authoritative=False, options=(OptionValue(3, ("192.0.2.1",)),))
    organisation = replace(
        EMPTY,
        scopes=scopes,
        reservations=reservations,
        dhcp_servers=(server,),
        option_definitions=(OptionDefinition(224, "two", (OptionType.UINT8, OptionType.UINT8)),),
    )
    departure = Departure(organisation, server, scopes)
    ipv4 = windows_export(departure, (), NOW).child("IPv4")
    assert ipv4 is not None
    office, bare = [each for one in ipv4.all("Scopes") for each in one.children]
    options = {
        each.value("OptionId"): [one.text for one in each.all("Value")]
        for each in office.all("OptionValues")[0].children
    }
    assert options["224"] == ["0x01", "0x02"]
    assert options["2"] == ["4294967236"]
    assert options["81"] == ["119"]
    assert options["67"] == ["g"]
    assert (bare.value("StartRange"), bare.value("EndRange")) == ("203.0.113.0", "203.0.113.1")
    (policy,) = office.all("Policies")[0].children
    assert [each.text for each in policy.all("CircuitId")] == ["EQ", "706f7274*"]
    assert [each.what for each in departure.notes] == [
        "authoritative False",
        'second condition on circuit-id of policy "a"',
        "server_name s",
        'policy "b"',
        "next_server 192.0.2.9",
        "boot_file f",
        "client id 00:02 of 192.0.2.5",
        "boot_file h",
        "client id 01:02 of 192.0.2.6",
        "no pool",
    ]


def test_a_client_goes_without_the_type_of_its_identifier() -> None:
    assert windows_client(b"\2\1", b"\1\2\1") == "02-01"
    assert windows_client(b"", b"\xff\1\2") == "01-02"


def test_lists_stand_in_the_order_of_windows_and_only_when_they_hold_something() -> None:
    organisation = replace(
        EMPTY, scopes=(OFFICE,), dhcp_servers=(DhcpServer("dhcp1", options=(OptionValue(252, ("x",)),)),)
    )
    departure = Departure(organisation, organisation.dhcp_server("dhcp1"), (OFFICE,))
    ipv4 = windows_export(departure, (), NOW).child("IPv4")
    assert ipv4 is not None
    assert [each.name for each in ipv4.children] == [
        "ConflictDetectionAttempts", "NapEnabled", "NpsUnreachableAction", "ActivatePolicies", "Classes",
        "OptionDefinitions", "OptionValues", "Filters", "Scopes",
    ]  # fmt: skip
    definitions, scopes = ipv4.child("OptionDefinitions"), ipv4.child("Scopes")
    assert definitions is not None
    assert scopes is not None
    # The usual options Windows knows itself.
    assert [(each.value("OptionId"), each.value("Type")) for each in definitions.children] == [
        ("252", "String")
    ]
    assert [each.name for each in scopes.children[0].children][-2:] == ["SuperScopeName", "OptionValues"]
