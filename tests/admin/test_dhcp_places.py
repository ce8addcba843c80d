"""What an administrator names is found in the shortest way that is clear; what is not clear is refused."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Address

import pytest
from tests.directory.dhcp_organisation import BASE, MAC, office, reserve, with_scopes

from holdfast.admin.dhcp_places import (
    Level,
    effective_rows,
    find_option,
    find_reservation,
    named_class,
    option_row,
    scope_of,
    the_dhcp_server,
)
from holdfast.directory.dhcp_options import ClassKind, DhcpClass, OptionDefinition, OptionType, OptionValue
from holdfast.directory.model import Organisation
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import parse_ip_range

SPLIT = dataclasses.replace(
    with_scopes(office(), office(name="second", server="dhcp2")),
    reservations=(reserve("192.0.2.5", MAC), reserve("192.0.2.5", MAC, "second"), reserve("192.0.2.6", MAC)),
)
DEFINED = dataclasses.replace(
    BASE,
    dhcp_classes=(DhcpClass("Phones", ClassKind.VENDOR, "x"),),
    option_definitions=(
        OptionDefinition(224, "routers", (OptionType.UINT8,)),
        OptionDefinition(1, "mode", (OptionType.UINT8,), vendor_class="Phones"),
    ),
)


def test_server_need_not_be_named_where_there_is_one_alone() -> None:
    one = dataclasses.replace(BASE, servers=(BASE.servers[0], BASE.servers[2]))
    assert the_dhcp_server(one, None) == "dhcp1"
    assert the_dhcp_server(BASE, "DHCP2") == "dhcp2"
    with pytest.raises(Refusal, match="servers dhcp1, dhcp2 have the role dhcp; say which"):
        the_dhcp_server(BASE, None)
    with pytest.raises(Refusal, match="no server has the role dhcp"):
        the_dhcp_server(Organisation(), None)


def test_scope_is_found_by_an_address_or_a_range_in_its_subnet() -> None:
    assert scope_of(BASE, IPv4Address("192.0.2.5"), None).name == "office"
    assert scope_of(BASE, parse_ip_range("192.0.2.5-192.0.2.9"), None).name == "office"
    assert scope_of(SPLIT, IPv4Address("192.0.2.5"), "SECOND").name == "second"
    with pytest.raises(Refusal, match='scopes "office", "second"; say which one with --scope'):
        scope_of(SPLIT, IPv4Address("192.0.2.5"), None)
    with pytest.raises(Refusal, match=r"192.0.2.250-192.0.3.5 lies in the subnet of no scope"):
        scope_of(BASE, parse_ip_range("192.0.2.250-192.0.3.5"), None)


def test_reservation_is_found_by_its_address() -> None:
    assert find_reservation(SPLIT, "192.0.2.6", None).key == "office/192.0.2.6"
    assert find_reservation(SPLIT, "192.0.2.5", "Second").key == "second/192.0.2.5"
    with pytest.raises(Refusal, match='is reserved in scopes "office", "second"'):
        find_reservation(SPLIT, "192.0.2.5", None)
    with pytest.raises(Refusal, match=r'192\.0\.2\.6 is not reserved in scope "second"'):
        find_reservation(SPLIT, "192.0.2.6", "second")


def test_option_is_found_by_name_or_code_own_definitions_first() -> None:
    assert find_option(BASE, "Routers", "") == 3
    assert find_option(DEFINED, "routers", "") == 224
    assert find_option(DEFINED, "mode", "Phones") == 1
    assert find_option(DEFINED, "250", "") == 250
    with pytest.raises(Refusal, match='there is no option "mode"'):
        find_option(DEFINED, "mode", "")
    with pytest.raises(Refusal, match='there is no option "dns-servers" of vendor class "Phones"'):
        find_option(DEFINED, "dns-servers", "Phones")


def test_class_is_named_as_it_is_declared() -> None:
    assert named_class(DEFINED, "PHONES") == "Phones"
    assert named_class(DEFINED, "other") == "other"
    assert named_class(DEFINED, None) == ""


def test_option_is_told_with_name_and_classes() -> None:
    row = option_row(DEFINED, OptionValue(1, ("7", "8"), vendor_class="Phones", user_class="g"), "scope")
    assert (row.level, row.name, row.text, row.classes) == ("scope", "mode", "7, 8", "vendor Phones, user g")
    assert option_row(DEFINED, OptionValue(250, ("x",)), "scope").name == ""


def test_nearest_level_wins_for_each_option_and_class() -> None:
    near = (OptionValue(6, ("192.0.2.1",)), OptionValue(6, ("192.0.2.2",), user_class="g"))
    far = (OptionValue(6, ("192.0.2.3",)), OptionValue(3, ("192.0.2.4",)))
    rows = effective_rows(BASE, (("scope", near), ("server", far)))
    assert [(each.level, each.text) for each in rows] == [
        ("server", "192.0.2.4"),
        ("scope", "192.0.2.1"),
        ("scope", "192.0.2.2"),
    ]


def test_options_of_a_level_are_replaced_in_their_place() -> None:
    (scope,) = BASE.scopes
    after = Level(scope).with_options(BASE, [OptionValue(3, ("192.0.2.1",))])
    assert after.scopes[0].options == (OptionValue(3, ("192.0.2.1",)),)
    assert Level(scope).words == 'scope "office"'
