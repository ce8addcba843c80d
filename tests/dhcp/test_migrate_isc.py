"""What an ISC dhcpd configuration is here."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from dhcp.moving_samples import ISC, notes_of, problems_of
from holdfast.dhcp.migrate_isc import arrive_from_isc, with_included
from holdfast.dhcp.moving import Arrival
from holdfast.directory.dhcp import ClientKind, Condition, ConditionField, DnsUpdates, Match, Policy
from holdfast.directory.dhcp_options import OptionDefinition, OptionType, OptionValue
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import parse_ip_range
from holdfast.wire.isc_conf import read_configuration

SAMPLES = Path(os.environ.get("HOLDFAST_CONFORMANCE", "../shared/conformance")) / "dhcp" / "isc-failover-run"
PXE = Policy(
    "pxe",
    (Condition(ConditionField.VENDOR_CLASS, ("PXEClient*",)),),
    options=(OptionValue(43, ("08:04:c0:00:02:09",)),),
    next_server="192.0.2.9",
    boot_file="pxelinux.0",
)


def arrive(text: bytes) -> Arrival:
    return arrive_from_isc(read_configuration(text), server="dhcp1")


def test_the_whole_sample() -> None:
    arrival = arrive(ISC)
    assert problems_of(arrival) == []
    server = arrival.server
    assert server.authoritative
    assert server.policies == (PXE,)
    assert server.options == (
        OptionValue(15, ("office.example",)),
        OptionValue(6, ("192.0.2.2", "192.0.2.3")),
        OptionValue(119, ("office.example lab.example",)),
    )
    office, lab, still = arrival.scopes
    assert (office.pool, office.exclusions) == (
        parse_ip_range("192.0.2.100-192.0.2.199"),
        (parse_ip_range("192.0.2.150-192.0.2.159"),),
    )
    assert (office.superscope, office.serves, office.boot_file) == ("floor", ClientKind.BOTH, "office.0")
    assert (office.lease_s, office.shortest_lease_s, office.longest_lease_s) == (3600.0, 600.0, 7200.0)
    assert office.dns_updates is DnsUpdates.NEVER
    # The class said a file of its own, and in dhcpd it wins over the subnet.
    assert office.policies == (PXE,)
    assert office.options == (
        OptionValue(224, ("192.0.2.5 5060",)),
        OptionValue(121, ("192.168.1.0/24 192.0.2.254",)),
        OptionValue(3, ("192.0.2.1",)),
    )
    assert lab.policies == (
        Policy(
            "lab",
            (Condition(ConditionField.MAC, ("02:00:00:00:00:aa", "02:00:00:00:00:bb")),),
            Match.ANY,
            ranges=(parse_ip_range("198.51.100.10-198.51.100.20"),),
        ),
    )
    assert lab.pool == parse_ip_range("198.51.100.10-198.51.100.255")
    assert parse_ip_range("198.51.100.255") in lab.exclusions  # the broadcast address
    assert (still.pool, still.lease_s) == (None, 7200.0)  # dhcpd cuts it to the longest
    printer, scanner = arrival.reservations
    assert (printer.mac, printer.options) == ("02:00:00:00:99:01", (OptionValue(12, ("printer",)),))
    assert (scanner.client_id, scanner.boot_file) == ("01:73:63:61:6e", "scan")
    assert arrival.definitions == [OptionDefinition(224, "phones", (OptionType.ADDRESS, OptionType.UINT16))]


def test_what_is_left_behind_is_listed_with_its_line() -> None:
    arrival = arrive(ISC)
    assert sorted(notes_of(arrival)) == [
        (13, "left behind", "log-facility local7"),
        (14, "left behind", 'include "/etc/dhcp/more.conf"'),
        (15, "left behind", 'key "omapi"'),
        (16, "left behind", 'failover peer "office"'),
        (25, "left behind", 'class "odd"'),
        (38, "left behind", "frobnicate on"),
        (45, "left behind", "deny unknown-clients"),
        (47, "left behind", "option routers 198.51.100.1"),
        (55, "left behind", "host scanner"),
        (57, "left behind", "fixed-address 192.0.2.51 , scanner.example , 10.9.9.9"),
        (61, "left behind", "host roaming"),
        (62, "left behind", "host nobody"),
        (63, "left behind", 'if option host-name = "x"'),
    ]
    assert not any("c2VjcmV0" in each.what + each.reason for each in arrival.notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\nsubnet 192.0.2.1 netmask 255.255.255.0 { }", 'line 2: "subnet 192.0.2.1 netmask 255.255.255.0"'),
        (b"subnet 192.0.2.0 netmask 255.255.255.0 { range 10.0.0.1; }", "is not in the subnet 192.0.2.0/24"),
        (b"subnet 192.0.2.0 netmask 255.255.255.0 { range 192.0.2.9 192.0.2.1; }", "ends before it begins"),
        (b"subnet 192.0.2.0 netmask 255.255.255.0 { range; }", "is not a range of addresses"),
        (b"default-lease-time soon;", "is not a number of seconds"),
        (b"host a { hardware ethernet zz; }", "is not a hardware address"),
        (b"host a { hardware carrier-pigeon 1:2; }", "is not a hardware address"),
    ],
)
def test_what_everything_depends_on_is_refused_with_its_line(text: bytes, said: str) -> None:
    with pytest.raises(Refusal) as caught:
        arrive(text)
    assert said in caught.value.text
    assert caught.value.text.startswith("dhcpd.conf line ")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"subnet6 2001:db8::/32 { }", "subnet6 2001:db8::/32"),
        (b"zone example.org { }", "zone example.org"),
        (b"deny bootp;", "deny bootp"),
        (b"deny unknown-clients;", "deny unknown-clients"),
        (b"allow leasequery;", "allow leasequery"),
        (b"update-optimization off;", "update-optimization off"),
        (b"pool { }", "pool"),
        (b"range 10.0.0.1;", "range 10.0.0.1"),
        (b"next-server boot.example;", "next-server boot.example"),
        (b"option mystery 1;", "option mystery 1"),
        (b"option routers boot.example;", "option routers boot.example"),
        (b"option x code 300 = text;", "option x code 300 = text"),
        (b"option x code 224 = ip6-address;", "option x code 224 = ip6-address"),
        (b"option space A; option A.x 1;", "option A.x 1"),
        (b'group { class "a" { } }', 'class "a"'),
        (b"interface eth0;", "interface eth0"),
        (b"use-host-decl-names on;", "use-host-decl-names on"),
        (b"subnet 192.0.2.0 netmask 255.255.255.0 { not authoritative; }", "not authoritative"),
        (
            b'host a { option dhcp-client-identifier ""; fixed-address 10.0.0.1; }',
            'option dhcp-client-identifier ""',
        ),
    ],
)
def test_statements_that_cannot_be_said_here_are_noted(text: bytes, what: str) -> None:
    assert what in [note[2] for note in notes_of(arrive(text))]


def test_what_only_says_how_it_is_anyway_is_not_noted() -> None:
    text = b"allow booting; allow bootp; not authoritative; ping-check false; ddns-update-style interim;"
    assert notes_of(arrive(text)) == []
    assert arrive(b"ping-check true;").server.probe_count == 1
    assert not arrive(text).server.authoritative


def test_times() -> None:
    subnet = b" subnet 192.0.2.0 netmask 255.255.255.0 { }"
    (scope,) = arrive(subnet).scopes
    assert scope.lease_s == 43200.0
    (scope,) = arrive(b"default-lease-time -1;" + subnet).scopes
    assert scope.lease_unlimited
    arrival = arrive(b"default-lease-time 60; min-lease-time 600; max-lease-time 600;" + subnet)
    assert (arrival.scopes[0].lease_s, arrival.scopes[0].longest_lease_s) == (600.0, None)
    assert notes_of(arrival) == [(1, "changed", "min-lease-time 600")]


def test_a_class_says_more_than_its_members() -> None:
    text = (
        b'class "a" { match if option user-class = "a"; default-lease-time 60;'
        b' server-name "boot"; lease limit 4; }'
        b"subnet 192.0.2.0 netmask 255.255.255.0 { range 192.0.2.1; }"
    )
    arrival = arrive(text)
    (policy,) = arrival.server.policies
    assert (policy.lease_s, policy.server_name) == (60.0, "boot")
    # Times are said by every scope, so the policy stands in each.
    assert arrival.scopes[0].policies == (policy,)
    assert notes_of(arrival) == [(1, "left behind", "lease limit 4")]
    forever = arrive(text.replace(b" 60;", b" -1;")).server.policies[0]
    assert forever == replace(policy, lease_s=None, lease_unlimited=True)


def test_one_address_more_than_one_subnet() -> None:
    text = (
        b"subnet 192.0.2.0 netmask 255.255.255.0 { }"
        b"subnet 198.51.100.0 netmask 255.255.255.254 { range 198.51.100.0; }"
        b"host a { hardware ethernet 2:0:0:0:0:1; fixed-address 192.0.2.5, 198.51.100.1; }"
    )
    arrival = arrive(text)
    assert [str(each.address) for each in arrival.reservations] == ["192.0.2.5", "198.51.100.1"]
    assert arrival.scopes[1].exclusions == ()
    assert problems_of(arrival) == []


def test_pools_of_a_shared_network_are_those_of_its_subnets() -> None:
    text = b"""shared-network a {
      range 192.0.2.1 192.0.2.3;
      pool { range 192.0.2.10 192.0.2.11; range dynamic-bootp 198.51.100.5; deny unknown-clients; }
      pool { range 10.0.0.1; }
      subnet 192.0.2.0 netmask 255.255.255.0 { }
      subnet 198.51.100.0 netmask 255.255.255.0 { range 198.51.100.9; }
    }"""
    arrival = arrive(text)
    one, other = arrival.scopes
    assert one.pool == parse_ip_range("192.0.2.1-192.0.2.11")
    assert one.exclusions == (parse_ip_range("192.0.2.4-192.0.2.9"),)
    assert other.pool == parse_ip_range("198.51.100.5-198.51.100.9")
    assert other.serves is ClientKind.BOTH
    assert (one.superscope, other.superscope) == ("a", "a")
    assert [note[2] for note in notes_of(arrival)] == ["pool", "deny unknown-clients", "deny unknown-clients"]
    broken = b"shared-network a { subnet 192.0.2.1 netmask 255.0.0.0 { } range x; }"
    with pytest.raises(Refusal, match="has host bits set"):
        arrive(broken)


def test_files_stand_where_they_are_included() -> None:
    main = (
        b'subnet 192.0.2.0 netmask 255.255.255.0 {\n include "/etc/dhcp/hosts.conf";\n} include "gone.conf";'
    )
    hosts = (
        b'\nhost a { hardware ethernet 2:0:0:0:0:1; fixed-address 192.0.2.5; }\nodd;\ninclude "hosts.conf";'
    )
    files = {
        name: read_configuration(text, name=name)
        for name, text in (("dhcpd.conf", main), ("hosts.conf", hosts), ("more.conf", b"authoritative;"))
    }
    arrival = arrive_from_isc(with_included(files), server="dhcp1")
    assert [str(each.address) for each in arrival.reservations] == ["192.0.2.5"]
    assert arrival.server.authoritative
    assert [(each.place, each.what) for each in arrival.notes] == [
        ("hosts.conf line 3", "odd"),
        ("hosts.conf line 4", 'include "hosts.conf"'),
        ("dhcpd.conf line 3", 'include "gone.conf"'),
    ]


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the conformance data is not here")
@pytest.mark.parametrize("name", ["s1.conf", "s2.conf"])
def test_the_configuration_of_a_real_failover_pair(name: str) -> None:
    arrival = arrive((SAMPLES / name).read_bytes())
    assert problems_of(arrival) == []
    (scope,) = arrival.scopes
    assert str(scope.subnet) == "10.77.0.0/24"
    assert scope.pool == parse_ip_range("10.77.0.100-10.77.0.199")
    assert (scope.lease_s, scope.longest_lease_s, scope.shortest_lease_s) == (120.0, 240.0, 60.0)
    assert [str(each.address) for each in arrival.reservations] == ["10.77.0.50"]
    assert {note[2] for note in notes_of(arrival)} == {"omapi-port 7911", 'failover peer "office"'}
