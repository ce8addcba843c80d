"""Options and classes of a Kea configuration."""

from __future__ import annotations

import pytest

from dhcp.moving_samples import notes_of
from dhcp.test_migrate_kea import dhcp4
from holdfast.directory.dhcp import Condition, ConditionField, Policy
from holdfast.directory.dhcp_options import OptionValue
from holdfast.kernel.iprange import parse_ip_range


def options(inside: str, definitions: str = "") -> tuple[OptionValue, ...]:
    arrival = dhcp4(f'"option-def": [ {definitions} ], "option-data": [ {inside} ]')
    assert notes_of(arrival) == []
    return arrival.server.options


@pytest.mark.parametrize(
    ("inside", "values"),
    [
        ('{ "name": "routers", "data": "10.0.0.1" }', (3, ("10.0.0.1",))),
        ('{ "code": 3, "csv-format": false, "data": "0x0A000001" }', (3, ("10.0.0.1",))),
        ('{ "code": 15, "csv-format": false, "data": "\'a.b\'" }', (15, ("a.b",))),
        ('{ "code": 43, "data": "\'ab\'" }', (43, ("61:62",))),
        ('{ "code": 230, "data": "0102" }', (230, ("01:02",))),
    ],
)
def test_values(inside: str, values: tuple[int, tuple[str, ...]]) -> None:
    assert options(inside) == (OptionValue(*values),)


def test_own_definitions_and_spaces() -> None:
    definitions = (
        '{ "name": "holder", "code": 240, "type": "empty", "encapsulate": "ours" },'
        '{ "name": "a", "code": 1, "space": "ours", "type": "uint8" },'
        '{ "name": "own", "code": 241, "type": "string" }'
    )
    found = options(
        '{ "name": "a", "space": "ours", "data": "7" }, { "code": 2, "space": "ours", "data": "ff" },'
        '{ "code": 241, "data": "x" }',
        definitions.replace('"empty"', '"binary"'),
    )
    assert found == (OptionValue(241, ("x",)), OptionValue(240, ("01:01:07:02:01:ff",)))


@pytest.mark.parametrize(
    ("inside", "what"),
    [
        ('"option-data": [ { "name": "x", "space": "nowhere", "data": "1" } ]', "option x"),
        ('"option-data": [ { "code": 9, "space": "nowhere", "data": "1" } ]', "option 9"),
        ('"option-data": [ { "code": 3, "csv-format": false, "data": "zz" } ]', "option 3"),
        ('"option-data": [ { "code": 3, "data": "10.0.0.1", "never-send": true } ]', "never-send"),
        ('"option-def": [ { "name": "x", "code": 0, "type": "string" } ]', "definition of x"),
        ('"client-classes": [ { "name": "a", "boot-file-name": "x" } ]', "client-class a"),
        (
            '"client-classes": [ { "name": "a", "test": "option[60].hex == \'x\'", "odd": 1 } ]',
            "odd of client-class a",
        ),
    ],
)
def test_what_cannot_be_said_here_is_noted(inside: str, what: str) -> None:
    assert what in [note[2] for note in notes_of(dhcp4(inside))]


def test_a_class_of_clients_that_are_dropped_is_a_deny_list() -> None:
    arrival = dhcp4(
        '"client-classes": [ { "name": "DROP", "test": "pkt4.mac == 0x020000000001 or substring(pkt4.mac,0,2)'
        ' == 0x0300" } ]'
    )
    assert [each.pattern for each in arrival.filters] == ["02:00:00:00:00:01", "03:00*"]
    assert arrival.server.deny_filter
    for test in ("not (option[82].exists)", "option[77].hex == 'x'", "pkt4.mac == 0x01 and pkt4.mac == 0x02"):
        arrival = dhcp4(f'"client-classes": [ {{ "name": "DROP", "test": "{test}" }} ]')
        assert arrival.filters == []


def test_what_a_class_gives() -> None:
    arrival = dhcp4(
        '"client-classes": [ { "name": "a", "test": "option[77].hex == \'iPXE\'", "next-server": "0.0.0.0",'
        '"server-hostname": "boot", "valid-lifetime": 60, "only-if-required": false, "option-def": [] },'
        '{ "name": "b", "test": "option[77].hex == \'x\'", "valid-lifetime": 4294967295 } ],'
        '"subnet4": [ { "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.8/32", "client-class": "a" },'
        '{ "pool": "192.0.2.9/32", "client-class": "a" } ] } ]'
    )
    first, second = arrival.server.policies
    conditions = (Condition(ConditionField.USER_CLASS, ("iPXE",)),)
    assert first == Policy("a", conditions, server_name="boot", lease_s=60.0)
    assert second.lease_unlimited
    assert [(each.name, each.ranges) for each in arrival.scopes[0].policies] == [
        ("a", (parse_ip_range("192.0.2.8"),)),
        ("a (policy)", (parse_ip_range("192.0.2.9"),)),
    ]
    assert notes_of(arrival) == []
