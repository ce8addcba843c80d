"""What is wrong with classes, definitions, values and policies is told with place, value and advice."""

from __future__ import annotations

import dataclasses
import typing

import pytest
from tests.directory.dhcp_organisation import BASE, MAC, reserve, with_office

from holdfast.directory.checks_dhcp_options import check_dhcp_options, check_policies, levels_of, option_words
from holdfast.directory.dhcp import Comparison, Condition, ConditionField, DhcpServer, Policy
from holdfast.directory.dhcp_options import ClassKind, DhcpClass, OptionDefinition, OptionType, OptionValue
from holdfast.directory.model import Organisation
from holdfast.directory.option_table import BUILT_IN
from holdfast.kernel.iprange import parse_ip_range

T = OptionType
PHONES = DhcpClass("Phones", ClassKind.VENDOR, "Phone 1")
GUESTS = DhcpClass("Guests", ClassKind.USER, "0x67756573")
CLASSED = dataclasses.replace(BASE, dhcp_classes=(PHONES, GUESTS))
ANYBODY = (Condition(ConditionField.MAC, ("02*",)),)


def _options(*options: OptionValue, **changes: typing.Any) -> Organisation:
    return dataclasses.replace(with_office(options=options, **changes), dhcp_classes=(PHONES, GUESTS))


def _defined(*definitions: OptionDefinition) -> Organisation:
    return dataclasses.replace(CLASSED, option_definitions=definitions)


def _conditions(*conditions: Condition) -> Organisation:
    return dataclasses.replace(
        with_office(policies=(Policy("p", conditions),)), dhcp_classes=(PHONES, GUESTS)
    )


def _looks_at(part: ConditionField, *values: str) -> Organisation:
    return _conditions(Condition(part, values))


OPTION_CASES: dict[str, tuple[Organisation, list[str]]] = {
    "good": (
        _options(
            OptionValue(3, ("192.0.2.1",)),
            OptionValue(6, ("192.0.2.2", "192.0.2.3")),
            OptionValue(6, ("192.0.2.4",), user_class="Guests"),
            OptionValue(1, ("255.255.255.0",)),
            OptionValue(58, ("60",)),
        ),
        [],
    ),
    "classes": (
        dataclasses.replace(
            BASE,
            dhcp_classes=(
                PHONES,
                DhcpClass("Same", ClassKind.VENDOR, "0x50686f6e652031"),
                DhcpClass("Other", ClassKind.USER, "Phone 1"),
                DhcpClass("Odd", ClassKind.USER, "0xabc"),
                DhcpClass("Empty", ClassKind.USER, ""),
            ),
        ),
        [
            'dhcp class "Same": vendor class "Phones" has the same data "0x50686f6e652031"; clients would be',
            'dhcp class "Odd": data "0xabc" is not in hexadecimal',
            'dhcp class "Empty": data has 0 bytes',
        ],
    ),
    "definitions": (
        _defined(
            OptionDefinition(224, "", (T.UINT8,)),
            OptionDefinition(225, "site", (T.UINT8,)),
            OptionDefinition(226, "Site", (T.UINT8,)),
            OptionDefinition(1, "site", (T.UINT8,), vendor_class="Phones"),
            OptionDefinition(2, "x", (T.UINT8,), vendor_class="Guests"),
            OptionDefinition(53, "kind", (T.UINT8,)),
            OptionDefinition(53, "kind", (T.UINT8,), vendor_class="Phones"),
        ),
        [
            'option definition "224": has no name',
            'option definition "226": option definition "225" has the name "Site" already',
            'option definition "Guests/2": vendor class "Guests" does not exist',
            'option definition "53": option 53 is the protocol\'s own; it is the kind of the message',
        ],
    ),
    "forms": (
        _defined(
            OptionDefinition(224, "a", ()),
            OptionDefinition(225, "b", (T.TEXT, T.UINT8)),
            OptionDefinition(226, "c", (T.HEX,), array=True),
            OptionDefinition(227, "d", (T.EMPTY, T.UINT8)),
            OptionDefinition(228, "e", (T.UINT8,), default=("256",)),
            OptionDefinition(229, "f", (T.UINT8, T.TEXT), default=("25 words",)),
        ),
        [
            "has no type; name at least one",
            "its type text goes to the end, but uint8 follows",
            "is an array, but its type hex goes to the end",
            "has the type empty and something else",
            'default: "256" is not a number from 0 to 255; write a number',
        ],
    ),
    "values": (
        _options(
            OptionValue(3, ("gateway",)),
            OptionValue(53, ("1",)),
            OptionValue(51, ("3600",)),
            OptionValue(224, ("1",)),
            OptionValue(6, ("192.0.2.2",)),
            OptionValue(6, ("192.0.2.3",)),
            OptionValue(1, ("255.255.0.0",)),
            OptionValue(15, ("x",), user_class="Phones"),
            OptionValue(7, ("1",), vendor_class="Phone"),
        ),
        [
            'scope "office": option 3 (routers): "gateway" is not an IPv4 address such as',
            "option 53 is the protocol's own and gets no value; it is the kind",
            "option 51 is the protocol's own and gets no value; it is the lease: set the lease of the scope",
            "option 224 has no definition; declare its form with: holdfast dhcp option-definition add",
            "has option 6 (dns-servers) twice for the same clients",
            "option 1 (subnet-mask) is 255.255.0.0, but the subnet 192.0.2.0/24 has 255.255.255.0",
            'user class "Phones" does not exist',
            'vendor class "Phone" does not exist; the nearest name is "Phones"',
            'option 7 of vendor class "Phone" has no definition',
        ],
    ),
    "value of a definition that is wrong itself": (
        dataclasses.replace(
            _options(OptionValue(224, ("a 1",))),
            option_definitions=(OptionDefinition(224, "b", (T.TEXT, T.UINT8)),),
        ),
        ["its type text goes to the end"],
    ),
    "every level is looked at": (
        dataclasses.replace(
            with_office(
                options=(OptionValue(3, ("a",)),),
                policies=(Policy("p", ANYBODY, options=(OptionValue(3, ("b",)),)),),
            ),
            dhcp_servers=(
                DhcpServer(
                    "dhcp1",
                    options=(OptionValue(3, ("c",)),),
                    policies=(Policy("q", ANYBODY, options=(OptionValue(3, ("d",)),)),),
                ),
            ),
            reservations=(reserve("192.0.2.5", MAC, options=(OptionValue(3, ("e",)),)),),
        ),
        [
            'dhcp server "dhcp1": option 3 (routers): "c"',
            'policy "q" of dhcp server "dhcp1": option 3 (routers): "d"',
            'scope "office": option 3 (routers): "a"',
            'policy "p" of scope "office": option 3 (routers): "b"',
            'reservation "office/192.0.2.5": option 3 (routers): "e"',
        ],
    ),
    "renewal after rebinding": (
        _options(OptionValue(58, ("600",)), OptionValue(59, ("500",)), lease_s=1000.0),
        ["renewal after 600, rebinding after 500 and the end of the lease after 1000 seconds do not follow"],
    ),
    "rebinding after the end": (
        _options(OptionValue(59, ("1000",)), lease_s=1000.0),
        ["renewal after 500, rebinding after 1000 and the end of the lease after 1000"],
    ),
    "renewal of the server does not suit the lease of the scope": (
        dataclasses.replace(
            with_office(lease_s=600.0),
            dhcp_servers=(DhcpServer("dhcp1", options=(OptionValue(58, ("3600",)),)),),
        ),
        ['scope "office": renewal after 3600'],
    ),
    "renewal of the scope does not suit the lease of a policy": (
        _options(
            OptionValue(58, ("3600",)),
            lease_s=86400.0,
            policies=(Policy("p", ANYBODY, lease_s=600.0), Policy("q", ANYBODY, lease_s=7200.0)),
        ),
        ['policy "p" of scope "office": renewal after 3600, rebinding after 525'],
    ),
    "renewal of a reservation": (
        dataclasses.replace(
            with_office(lease_s=600.0),
            reservations=(reserve("192.0.2.5", MAC, options=(OptionValue(58, ("601",)),)),),
        ),
        ['reservation "office/192.0.2.5": renewal after 601'],
    ),
    "times of a lease without an end": (
        _options(OptionValue(58, ("86400",)), lease_unlimited=True),
        [],
    ),
}
LAB = (parse_ip_range("192.0.2.100-192.0.2.119"),)
POLICY_CASES: dict[str, tuple[Organisation, list[str]]] = {
    "good": (
        _conditions(
            Condition(ConditionField.VENDOR_CLASS, ("Phones", "Phones*")),
            Condition(ConditionField.USER_CLASS, ("Guests",), Comparison.NOT_EQUALS),
            Condition(ConditionField.MAC, (MAC, "00:1a*")),
            Condition(ConditionField.CLIENT_ID, ("ff*",)),
            Condition(ConditionField.CIRCUIT_ID, ("port 7", "0x0102*")),
            Condition(ConditionField.RELAY_AGENT, ("0102*",)),
            Condition(ConditionField.FQDN, ("desk*", "a.example.com")),
            Condition(ConditionField.ARCHITECTURE, ("7",)),
        ),
        [],
    ),
    "no condition": (_conditions(), ['policy "p" of scope "office": has no condition']),
    "condition without a value": (
        _looks_at(ConditionField.MAC),
        ["its condition on mac compares with nothing"],
    ),
    "class that is not there": (
        _looks_at(ConditionField.VENDOR_CLASS, "Phone", "Guests*"),
        [
            'vendor class "Phone" does not exist; the nearest name is "Phones"',
            'vendor class "Guests" does not',
        ],
    ),
    "hardware address": (
        _looks_at(ConditionField.MAC, "printer"),
        ['condition on mac: "printer" is not hex'],
    ),
    "relay agent": (_looks_at(ConditionField.REMOTE_ID, "0xz"), ['condition on remote-id: "z" is not bytes']),
    "name": (_looks_at(ConditionField.FQDN, "a b"), ['condition on fqdn: "a b" is not a host name']),
    "architecture": (
        _looks_at(ConditionField.ARCHITECTURE, "x64", "65536"),
        ['"x64" is not a number from 0 to 65535', '"65536" is not a number'],
    ),
    "names": (
        with_office(policies=(Policy("p", ANYBODY), Policy("P", ANYBODY), Policy("", ANYBODY))),
        ['scope "office": has two policies "P"', 'policy "" has a name that is empty'],
    ),
    "leases": (
        with_office(
            policies=(
                Policy("p", ANYBODY, lease_s=0.0),
                Policy("q", ANYBODY, lease_s=60.0, lease_unlimited=True),
            )
        ),
        ['policy "p" of scope "office": lease is 0 seconds', "has a lease, and one that never ends"],
    ),
    "range of a policy of a server": (
        dataclasses.replace(
            BASE, dhcp_servers=(DhcpServer("dhcp1", policies=(Policy("p", ANYBODY, ranges=LAB),)),)
        ),
        ['policy "p" of dhcp server "dhcp1": has the range 192.0.2.100-192.0.2.119; addresses belong'],
    ),
    "ranges": (
        with_office(
            policies=(
                Policy("p", ANYBODY, ranges=LAB),
                Policy("q", ANYBODY, ranges=(parse_ip_range("192.0.2.119-192.0.2.130"),)),
                Policy("r", ANYBODY, ranges=(parse_ip_range("192.0.2.1-192.0.2.20"),)),
            )
        ),
        [
            'policy "r" of scope "office": its range 192.0.2.1-192.0.2.20 does not lie in its pool '
            "192.0.2.10-192.0.2.200",
            'its policies "p" and "q" claim the same addresses: 192.0.2.100-192.0.2.119 and 192.0.2.119-',
        ],
    ),
    "range without a pool": (
        with_office(pool=None, policies=(Policy("p", ANYBODY, ranges=LAB),)),
        ["does not lie in a pool: it has none"],
    ),
}


@pytest.mark.parametrize("case", OPTION_CASES)
def test_problems_of_options(case: str) -> None:
    organisation, expected = OPTION_CASES[case]
    problems = [str(problem) for problem in check_dhcp_options(organisation)]
    assert len(problems) == len(expected), problems
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem


@pytest.mark.parametrize("case", POLICY_CASES)
def test_problems_of_policies(case: str) -> None:
    organisation, expected = POLICY_CASES[case]
    problems = [str(problem) for problem in check_policies(organisation)]
    assert len(problems) == len(expected), problems
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem


def test_levels_are_told_in_words() -> None:
    organisation, _ = OPTION_CASES["every level is looked at"]
    assert [level.scope is None for level in levels_of(organisation)] == [True, True, False, False, False]
    assert option_words(BUILT_IN[6], 6, "") == "option 6 (dns-servers)"
    assert option_words(None, 7, "Phones") == 'option 7 of vendor class "Phones"'
