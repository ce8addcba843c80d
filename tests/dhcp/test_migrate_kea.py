"""What a Kea configuration is here."""

from __future__ import annotations

import pytest

from dhcp.moving_samples import KEA, notes_of, problems_of
from holdfast.dhcp.migrate_kea import arrive_from_kea
from holdfast.dhcp.moving import Arrival
from holdfast.directory.dhcp import Condition, ConditionField, DnsUpdates, Match, Policy
from holdfast.directory.dhcp_options import OptionDefinition, OptionType, OptionValue
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import parse_ip_range
from holdfast.wire.kea_config import read_configuration


def arrive(text: bytes) -> Arrival:
    return arrive_from_kea(read_configuration(text), name="kea.conf", server="dhcp1")[0]


def dhcp4(inside: str) -> Arrival:
    return arrive(f'{{ "Dhcp4": {{ {inside} }} }}'.encode())


def subnet(inside: str) -> Arrival:
    return dhcp4(f'"subnet4": [ {{ "subnet": "192.0.2.0/24", {inside} }} ]')


def test_the_whole_sample() -> None:
    arrival, subnet_ids = arrive_from_kea(read_configuration(KEA), name="kea.conf", server="dhcp1")
    assert problems_of(arrival) == []
    assert subnet_ids == {1: "Office", 2: "198.51.100.0/24", 3: "203.0.113.0/24"}
    server = arrival.server
    assert (server.authoritative, server.interfaces) == (True, ("eth0", "eth1"))
    assert server.policies == (
        Policy(
            "pxe",
            (Condition(ConditionField.VENDOR_CLASS, ("PXEClient*",)),),
            options=(OptionValue(43, ("08:04:c0:00:02:09",)),),
            next_server="192.0.2.9",
            boot_file="pxelinux.0",
        ),
    )
    assert server.options == (
        OptionValue(6, ("192.0.2.2", "192.0.2.3")),
        OptionValue(15, ("office.example",), always=True),
    )
    office, lab, still = arrival.scopes
    assert office.pool == parse_ip_range("192.0.2.100-192.0.2.199")
    assert office.exclusions == (parse_ip_range("192.0.2.150-192.0.2.159"),)
    assert (office.superscope, [str(each) for each in office.relays]) == ("floor", ["10.0.0.1"])
    assert (office.lease_s, office.longest_lease_s) == (3600.0, 7200.0)
    assert office.options == (
        OptionValue(224, ("192.0.2.5 5060",)),
        OptionValue(121, ("192.168.1.0/24 192.0.2.254",)),
        OptionValue(3, ("192.0.2.1",)),
        OptionValue(58, ("900",)),
    )
    assert lab.policies == (
        Policy(
            "lab",
            (Condition(ConditionField.MAC, ("02:00:00:00:00:aa", "02:00:00:00:00:bb")),),
            Match.ANY,
            ranges=(parse_ip_range("198.51.100.10-198.51.100.20"),),
        ),
    )
    assert still.lease_unlimited
    assert [(each.scope, each.mac, each.client_id) for each in arrival.reservations] == [
        ("Office", "02:00:00:00:99:01", ""),
        ("Office", "", "01:73:63:61:6e"),
        ("198.51.100.0/24", "02:00:00:00:99:09", ""),
    ]
    assert arrival.definitions == [OptionDefinition(224, "phones", (OptionType.ADDRESS, OptionType.UINT16))]


def test_what_is_left_behind_is_listed_with_its_line() -> None:
    assert sorted(notes_of(arrive(KEA))) == [
        (5, "changed", "renew-timer 900"),
        (7, "left behind", "lease-database"),
        (9, "left behind", "hooks-libraries"),
        (10, "left behind", "frobnicate 7"),
        (14, "left behind", "definition of pair (225)"),
        (19, "left behind", "option mystery"),
        (27, "left behind", "client-class odd"),
        (44, "left behind", "client-classes"),
        (45, "left behind", "reservation 192.0.2.52"),
        (46, "left behind", "reservation 02:00:00:00:99:02 roaming"),
        (54, "left behind", "interface eth1"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{ "Dhcp6": {} }', "has no Dhcp4"),
        (b'{ "Dhcp4": {\n"subnet4": [ { "subnet": "192.0.2.1/24" } ] } }', "kea.conf line 2: subnet"),
        (b'{ "Dhcp4": { "subnet4": [ {} ] } }', 'subnet ""'),
    ],
)
def test_what_everything_depends_on_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(Refusal) as caught:
        arrive(text)
    assert said in caught.value.text


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ('"pools": [ { "pool": "10.0.0.1-10.0.0.2" } ]', "is not in 192.0.2.0/24"),
        ('"pools": [ { "pool": "192.0.2.9-192.0.2.1" } ]', "ends before it begins"),
        ('"pools": [ { "pool": "192.0.2.1/24" } ]', "host bits"),
        ('"relay": { "ip-address": "x" }', 'relay "x" is not an IPv4 address'),
        ('"reservations": [ { "ip-address": "x" } ]', "reservation x"),
        ('"reservations": [ { "ip-address": "192.0.2.1", "hw-address": "zz" } ]', "reservation zz"),
    ],
)
def test_what_a_subnet_depends_on_is_refused_with_its_line(inside: str, said: str) -> None:
    with pytest.raises(Refusal) as caught:
        subnet(inside)
    assert said in caught.value.text
    assert caught.value.text.startswith("kea.conf line 1: ")


@pytest.mark.parametrize(
    ("inside", "what"),
    [
        ('"match-client-id": false', "match-client-id false"),
        ('"client-class": "a"', "client-class a"),
        ('"frobnicate": [1]', "frobnicate"),
        ('"t1-percent": 0.4', "t1-percent 0.4"),
        ('"ddns-replace-client-name": "always"', "ddns-replace-client-name always"),
        ('"pools": [ { "pool": "192.0.2.0/25", "client-class": "a", "frob": 1 } ]', "frob 1"),
        ('"pools": [ { "pool": "192.0.2.0/25", "client-classes": ["a"] } ]', "client-class a"),
        (
            '"pools": [ { "pool": "192.0.2.8/32", "option-data": [{"code": 12, "data": "a"}] }, '
            '{ "pool": "192.0.2.9/32" } ]',
            "option-data",
        ),
        ('"reservations": [ { "hw-address": "1:2", "ip-address": "10.0.0.1" } ]', "reservation 1:2 10.0.0.1"),
    ],
)
def test_what_a_subnet_cannot_say_here_is_noted(inside: str, what: str) -> None:
    assert what in [note[2] for note in notes_of(subnet(inside))]


def test_what_the_server_cannot_say_here_is_noted() -> None:
    arrival = arrive(
        b'{ "Logging": {}, "Dhcp4": { "match-client-id": false, <?include "a.json"?>\n'
        b'"interfaces-config": { "interfaces": ["*"], "odd": 1 },'
        b'"shared-networks": [ { "name": "a", "odd": 2 } ] } }'
    )
    assert sorted(note[2] for note in notes_of(arrival)) == [
        "Logging", "include a.json", "match-client-id false", "odd 1", "odd 2",
    ]  # fmt: skip
    assert arrival.server.interfaces == ()


def test_what_is_inherited() -> None:
    arrival = dhcp4(
        '"valid-lifetime": 100, "decline-probation-period": 60,'
        '"next-server": "0.0.0.0", "boot-file-name": "x",'
        '"ddns-send-updates": false, "rebind-timer": 80, "shared-networks": [ { "name": "n", "relay": '
        '{ "ip-addresses": ["10.0.0.1"] }, "min-valid-lifetime": 50,'
        '"subnet4": [ { "subnet": "192.0.2.0/24", '
        '"server-hostname": "boot", "comment": "Here", "pools": [ { "pool": "192.0.2.0/31", '
        '"option-data": [ { "code": 12, "data": "a" } ] } ] } ] } ]'
    )
    (scope,) = arrival.scopes
    assert (scope.name, scope.lease_s, scope.shortest_lease_s) == ("Here", 100.0, 50.0)
    assert (scope.server_name, scope.boot_file, scope.next_server) == ("boot", "", "")
    assert (arrival.server.boot_file, arrival.server.next_server, arrival.server.decline_s) == ("x", "", 60.0)
    assert scope.dns_updates is DnsUpdates.NEVER
    assert scope.options == (OptionValue(12, ("a",)), OptionValue(59, ("80",)))
    assert str(scope.relays[0]) == "10.0.0.1"
    assert notes_of(arrival) == []


def test_registration_in_dns() -> None:
    (scope,) = subnet(
        '"ddns-override-client-update": true, "ddns-qualifying-suffix": "example.org.", '
        '"ddns-use-conflict-resolution": false'
    ).scopes
    assert scope.dns_updates is DnsUpdates.ALWAYS
    assert (scope.dns_suffix, scope.dns_protect) == ("example.org", False)
