"""What the organisation answers about DHCP, and that all of it survives the way into a file and back."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Address

from holdfast.directory.dhcp import (
    ClientKind,
    Comparison,
    Condition,
    ConditionField,
    DhcpServer,
    FilterAction,
    MacFilter,
    Match,
    Policy,
    Reservation,
    Scope,
)
from holdfast.directory.dhcp_options import ClassKind, DhcpClass, OptionDefinition, OptionType, OptionValue
from holdfast.directory.failover import FailoverRelationship
from holdfast.directory.kinds import name_of, subject_of
from holdfast.directory.model import Organisation
from holdfast.directory.option_table import BUILT_IN
from holdfast.directory.toml_format import read_organisation, write_organisation
from holdfast.kernel.ids import MailboxId
from holdfast.kernel.iprange import parse_ip_range

OFFICE = Scope(
    "office",
    parse_ip_range("192.0.2.0/24"),
    "dhcp1",
    parse_ip_range("192.0.2.10-192.0.2.200"),
    exclusions=(parse_ip_range("192.0.2.50-192.0.2.59"),),
    relays=(IPv4Address("198.51.100.1"),),
    lease_s=3600.0,
    policies=(
        Policy(
            "phones",
            (
                Condition(ConditionField.MAC, ("00:1a:2b*",)),
                Condition(ConditionField.VENDOR_CLASS, ("Phones",), Comparison.NOT_EQUALS),
            ),
            Match.ANY,
            ranges=(parse_ip_range("192.0.2.100-192.0.2.119"),),
            lease_s=600.0,
            options=(OptionValue(150, ("192.0.2.2",)),),
        ),
    ),
    options=(OptionValue(3, ("192.0.2.1",)), OptionValue(1, ("7",), vendor_class="Phones", always=True)),
)
LAB = Scope("lab", parse_ip_range("192.0.1.0/24"), "dhcp2")
DESK = Reservation(
    "office", IPv4Address("192.0.2.70"), "00:1a:2b:3c:4d:5e", name="desk", serves=ClientKind.DHCP
)
DOOR = Reservation(
    "office", IPv4Address("192.0.2.7"), client_id="ff:00:01", options=(OptionValue(12, ("door",)),)
)
ORGANISATION = Organisation(
    dhcp_servers=(
        DhcpServer(
            "dhcp1", ("eth0",), probe_count=2, deny_filter=True, options=(OptionValue(6, ("192.0.2.2",)),)
        ),
    ),
    scopes=(OFFICE, LAB),
    reservations=(DESK, DOOR),
    dhcp_classes=(DhcpClass("Phones", ClassKind.VENDOR, "0x4d"),),
    option_definitions=(
        OptionDefinition(1, "mode", (OptionType.UINT8,), vendor_class="Phones"),
        OptionDefinition(224, "site", (OptionType.UINT8, OptionType.TEXT), default=("1 main",)),
        OptionDefinition(42, "time", (OptionType.HEX,)),
    ),
    mac_filters=(MacFilter("00:1a:2b*", FilterAction.DENY),),
    failover_relationships=(FailoverRelationship("pair", ("dhcp1", "dhcp2"), ("office",)),),
)


def test_all_of_it_is_read_back_equal() -> None:
    text = write_organisation(ORGANISATION)
    found = read_organisation(text, "o.toml", existing=Organisation(), new_id=lambda: MailboxId("none"))
    assert found == ORGANISATION
    assert "[[scope.policies.conditions]]" in text
    assert 'address = "192.0.2.70"' in text


def test_names_say_where_a_thing_belongs() -> None:
    assert subject_of(DESK) == 'reservation "office/192.0.2.70"'
    assert [name_of(each) for each in ORGANISATION.option_definitions] == ["Phones/1", "224", "42"]
    assert name_of(ORGANISATION.mac_filters[0]) == "00:1a:2b*"
    assert name_of(ORGANISATION.dhcp_servers[0]) == "dhcp1"


def test_reservations_are_found_by_scope_and_sorted_by_address() -> None:
    assert ORGANISATION.reservations_by_scope == {"office": (DOOR, DESK)}


def test_definition_of_ones_own_goes_before_the_built_in_one() -> None:
    assert ORGANISATION.option_definition(42) == ORGANISATION.option_definitions[2]
    assert ORGANISATION.option_definition(3) is BUILT_IN[3]
    assert ORGANISATION.option_definition(1, "Phones") == ORGANISATION.option_definitions[0]
    assert ORGANISATION.option_definition(3, "Phones") is None
    assert ORGANISATION.option_definition(225) is None


def test_server_leases_its_own_scopes_and_those_it_shares() -> None:
    assert ORGANISATION.scopes_of("dhcp1") == (OFFICE,)
    assert ORGANISATION.scopes_of("dhcp2") == (LAB, OFFICE)
    assert ORGANISATION.scopes_of("dhcp3") == ()


def test_server_without_an_entry_goes_by_the_defaults() -> None:
    assert ORGANISATION.dhcp_server("dhcp2") == DhcpServer("dhcp2")
    assert ORGANISATION.dhcp_server("dhcp1").probe_count == 2


def test_classes_and_scopes_are_found_by_name() -> None:
    assert ORGANISATION.dhcp_classes_by_name["Phones"].data_bytes == b"M"
    assert ORGANISATION.scopes_by_name["lab"] is LAB
    assert dataclasses.replace(ORGANISATION, scopes=()).scopes_by_name == {}
