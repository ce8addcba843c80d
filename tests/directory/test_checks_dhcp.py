"""What is wrong with scopes, reservations, filters and servers is told with object, value and advice."""

from __future__ import annotations

import dataclasses
import time
from ipaddress import IPv4Address

import pytest
from tests.directory.dhcp_organisation import BASE, MAC, OTHER_MAC, office, reserve, with_office, with_scopes

from holdfast.directory.checks_dhcp import check_dhcp
from holdfast.directory.dhcp import (
    ClientKind,
    DhcpServer,
    FilterAction,
    MacFilter,
    Reservation,
    Scope,
)
from holdfast.directory.failover import FailoverRelationship
from holdfast.directory.model import Organisation
from holdfast.kernel.iprange import parse_ip_range


def _range(text: str) -> object:
    return parse_ip_range(text)


def _ranges(*texts: str) -> tuple[object, ...]:
    return tuple(map(parse_ip_range, texts))


def _reserved(*reservations: Reservation) -> Organisation:
    return dataclasses.replace(BASE, reservations=reservations)


def _server(**changes: object) -> Organisation:
    return dataclasses.replace(BASE, dhcp_servers=(DhcpServer("dhcp1", **changes),))  # type: ignore[arg-type] # from a table


def _filters(*filters: MacFilter) -> Organisation:
    return dataclasses.replace(BASE, mac_filters=filters)


ALLOW = FilterAction.ALLOW
SECOND = office(name="second", server="dhcp2")
CASES: dict[str, tuple[Organisation, list[str]]] = {
    "good": (BASE, []),
    "server without the role": (
        with_office(server="mail1"),
        ['scope "office": server "mail1" does not have the role dhcp; give it the role'],
    ),
    "server that is not there": (with_office(server="dhcp9"), ['server "dhcp9" does not exist']),
    "subnet of IPv6": (
        with_office(subnet=_range("2001:db8::/64")),
        ["its subnet 2001:db8::/64 is not one network of IPv4; write network and mask"],
    ),
    "subnet that is no network": (
        with_office(subnet=_range("192.0.2.0-192.0.2.200")),
        ["its subnet 192.0.2.0-192.0.2.200 is not one network"],
    ),
    "subnet that no client is in": (
        with_office(subnet=_range("224.0.0.0/24"), pool=None),
        ["its subnet 224.0.0.0/24 has no addresses for clients"],
    ),
    "pool outside the subnet": (
        with_office(pool=_range("192.0.2.200-192.0.3.10")),
        ["its pool 192.0.2.200-192.0.3.10 does not lie in its subnet 192.0.2.0/24; correct one"],
    ),
    "pool of IPv6": (
        with_scopes(office(pool=_range("2001:db8::/64")), SECOND),
        ["its pool 2001:db8::-2001:db8::ffff:ffff:ffff:ffff does not lie"],
    ),
    "pool larger than a /8": (
        with_office(subnet=_range("0.0.0.0/0"), pool=_range("16.0.0.0-48.0.0.0")),
        ["has no addresses for clients", "its pool has 536870913 addresses, more than 16777216"],
    ),
    "pool with the first and the last address": (
        with_office(pool=_range("192.0.2.0/24")),
        [
            "its pool 192.0.2.0-192.0.2.255 holds 192.0.2.0, the network's own address; leave it out",
            "its pool 192.0.2.0-192.0.2.255 holds 192.0.2.255, the broadcast address; leave it out",
        ],
    ),
    "first and last address excluded": (
        with_office(pool=_range("192.0.2.0/24"), exclusions=_ranges("192.0.2.0", "192.0.2.255")),
        [],
    ),
    "all of a /31": (with_office(subnet=_range("192.0.2.8/31"), pool=_range("192.0.2.8/31")), []),
    "all of a /32": (with_office(subnet=_range("192.0.2.8/32"), pool=_range("192.0.2.8/32")), []),
    "all of a /30": (
        with_office(subnet=_range("192.0.2.8/30"), pool=_range("192.0.2.8/30")),
        ["holds 192.0.2.8, the network's own", "holds 192.0.2.11, the broadcast"],
    ),
    "exclusion outside the pool": (
        with_office(exclusions=_ranges("192.0.2.5-192.0.2.12")),
        ["its exclusion 192.0.2.5-192.0.2.12 does not lie in its pool 192.0.2.10-192.0.2.200"],
    ),
    "exclusions that overlap": (
        with_office(exclusions=_ranges("192.0.2.60-192.0.2.70", "192.0.2.50-192.0.2.60")),
        ["its exclusions 192.0.2.50-192.0.2.60 and 192.0.2.60-192.0.2.70 overlap"],
    ),
    "exclusions without a pool": (
        with_office(pool=None, exclusions=_ranges("192.0.2.60")),
        ["has exclusions, but no pool"],
    ),
    "lease of no time": (with_office(lease_s=0.0), ["lease is 0 seconds; write whole seconds"]),
    "lease of half a second": (with_office(lease_s=0.5), ["lease is 0.5 seconds"]),
    "lease longer than its option": (with_office(lease_s=4294967295.0), ["lease is 4.29497e+09 seconds"]),
    "unlimited lease": (with_office(lease_unlimited=True, lease_s=0.0), []),
    "shortest above the lease": (
        with_office(lease_s=600.0, shortest_lease_s=601.0),
        ["shortest_lease is 601 seconds, lease is 600; let the lease be at least as long"],
    ),
    "longest below the lease": (
        with_office(lease_s=600.0, longest_lease_s=599.0),
        ["longest_lease is 599 seconds, lease is 600"],
    ),
    "shortest and longest of a lease that never ends": (
        with_office(lease_unlimited=True, shortest_lease_s=60.0, longest_lease_s=600.0),
        [
            "longest_lease is 600 seconds, lease is unlimited",
            "has a shortest_lease, but its leases never end",
        ],
    ),
    "limit of BOOTP clients that are not served": (
        with_office(bootp_client_count_max=5),
        ["bootp_client_count_max is 5, but it serves DHCP clients alone; set serves"],
    ),
    "BOOTP lease of no time": (
        with_office(serves=ClientKind.BOTH, bootp_lease_s=0.0),
        ["bootp_lease is 0 seconds"],
    ),
    "boot settings": (
        with_office(next_server="boot.example", boot_file="ä" * 64, server_name="n" * 64),
        [
            'next_server "boot.example" is not an IPv4 address of a machine',
            "server_name has 64 bytes; it has at most 63",
            "boot_file has 128 bytes; it has at most 127",
        ],
    ),
    "subnet inside another": (
        with_scopes(BASE.scopes[0], office(name="inner", subnet=_range("192.0.2.128/25"), pool=None)),
        ['scopes "office" and "inner": share addresses: 192.0.2.0/24 and 192.0.2.128/25; give each'],
    ),
    "one subnet twice on a server": (
        with_scopes(BASE.scopes[0], office(name="second", pool=None)),
        ['scopes "office" and "second": are both for the subnet 192.0.2.0/24, on server "dhcp1"; make one'],
    ),
    "split scope": (
        with_scopes(
            office(exclusions=_ranges("192.0.2.170-192.0.2.200")),
            dataclasses.replace(SECOND, exclusions=_ranges("192.0.2.10-192.0.2.169")),
        ),
        [],
    ),
    "split scope whose parts overlap": (
        with_scopes(
            office(exclusions=_ranges("192.0.2.170-192.0.2.200")),
            dataclasses.replace(SECOND, exclusions=_ranges("192.0.2.10-192.0.2.159")),
        ),
        [
            'scopes "office" and "second": lease the same addresses: 192.0.2.10-192.0.2.169 and '
            "192.0.2.160-192.0.2.200; exclude in each"
        ],
    ),
    "split scope and failover at once": (
        dataclasses.replace(
            with_scopes(
                office(pool=_range("192.0.2.10-192.0.2.99")), office(name="b", server="dhcp2", pool=None)
            ),
            failover_relationships=(FailoverRelationship("pair", ("dhcp1", "dhcp2"), ("office",)),),
        ),
        ['are both for the subnet 192.0.2.0/24, on server "dhcp2"'],
    ),
    "one relay of two scopes": (
        with_scopes(
            office(relays=(IPv4Address("10.0.0.1"),)),
            Scope("lab", parse_ip_range("198.51.100.0/24"), "dhcp1", relays=(IPv4Address("10.0.0.1"),)),
        ),
        ['scopes "office" and "lab": name the same relay agent 10.0.0.1; put them into one superscope'],
    ),
    "one relay of a superscope": (
        with_scopes(
            office(relays=(IPv4Address("10.0.0.1"),), superscope="floor"),
            Scope(
                "lab",
                parse_ip_range("198.51.100.0/24"),
                "dhcp1",
                relays=(IPv4Address("10.0.0.1"),),
                superscope="floor",
            ),
        ),
        [],
    ),
    "superscope of two servers": (
        with_scopes(
            office(superscope="floor"),
            Scope("lab", parse_ip_range("198.51.100.0/24"), "dhcp2", superscope="floor"),
        ),
        ['superscope "floor": scope "office" is leased by "dhcp1", scope "lab" by "dhcp2"; a client'],
    ),
    "good reservations, also outside the pool": (
        _reserved(reserve("192.0.2.5", MAC), reserve("192.0.2.50", client_id="ff:00:01", mac=OTHER_MAC)),
        [],
    ),
    "reservation in a scope that is not there": (
        _reserved(reserve("192.0.2.5", MAC, scope="ofice")),
        ['reservation "ofice/192.0.2.5": scope "ofice" does not exist; the nearest name is "office"'],
    ),
    "reservation outside the subnet": (
        _reserved(reserve("192.0.3.5", MAC)),
        ['192.0.3.5 does not lie in the subnet 192.0.2.0/24 of scope "office"; take an'],
    ),
    "reservation of the first and the last address": (
        _reserved(reserve("192.0.2.0", MAC), reserve("192.0.2.255", OTHER_MAC)),
        [
            "192.0.2.0 is the network's own address of 192.0.2.0/24; take another",
            "192.0.2.255 is the broadcast address of 192.0.2.0/24",
        ],
    ),
    "reservation for nobody": (
        _reserved(reserve("192.0.2.5")),
        ["says nothing of its client; give it the client's mac"],
    ),
    "malformed clients": (
        _reserved(reserve("192.0.2.5", "printer"), reserve("192.0.2.6", client_id="01")),
        ['"printer" is not a hardware address', '"01" is not a client identifier'],
    ),
    "one client twice": (
        _reserved(reserve("192.0.2.5", MAC), reserve("192.0.2.6", MAC.replace(":", "-").upper())),
        [
            'reservation "office/192.0.2.6": is for the client with the hardware address 00:1a:2b:3c:4d:5e, '
            "for whom 192.0.2.5 is reserved already; a client gets one address of a scope"
        ],
    ),
    "one client once by its hardware address, once by an identifier made of it": (
        _reserved(reserve("192.0.2.5", MAC), reserve("192.0.2.6", client_id=f"01:{MAC}")),
        ["is for the client with the hardware address 00:1a:2b:3c:4d:5e"],
    ),
    "one client id twice": (
        _reserved(reserve("192.0.2.5", client_id="ff0001"), reserve("192.0.2.6", client_id="ff:00:01")),
        ["is for the client with the client id ff:00:01"],
    ),
    "one hardware address of two types": (
        _reserved(reserve("192.0.2.5", MAC), reserve("192.0.2.6", MAC, hardware_type=6)),
        [],
    ),
    "one client in two subnets": (
        dataclasses.replace(
            with_scopes(BASE.scopes[0], Scope("lab", parse_ip_range("198.51.100.0/24"), "dhcp1")),
            reservations=(reserve("192.0.2.5", MAC), reserve("198.51.100.5", MAC, "lab")),
        ),
        [],
    ),
    "one address for two clients in a split scope": (
        dataclasses.replace(
            with_scopes(BASE.scopes[0], dataclasses.replace(SECOND, pool=None)),
            reservations=(
                reserve("192.0.2.5", MAC),
                reserve("192.0.2.5", OTHER_MAC, "second"),
                reserve("192.0.2.6", "00:1a:2b:00:00:01"),
                reserve("192.0.2.6", "00:1a:2b:00:00:01", "second"),
            ),
        ),
        ['reservation "second/192.0.2.5": 192.0.2.5 is reserved for another client in scope "office"'],
    ),
    "BOOTP reservation by client id": (
        _reserved(reserve("192.0.2.5", client_id="ff0001", serves=ClientKind.BOOTP)),
        ["is for BOOTP, but has no mac"],
    ),
    "server that does not lease": (
        dataclasses.replace(BASE, dhcp_servers=(DhcpServer("mail1"),)),
        ['dhcp server "mail1": server "mail1" does not have the role dhcp'],
    ),
    "settings of a server": (
        _server(interfaces=("eth0", "eth0"), offer_s=0.0, decline_s=0.0, dns_servers=("ns1",), dns_key="k"),
        [
            "names an interface twice",
            "offer is 0 seconds",
            "decline is 0 seconds",
            'dns_servers has "ns1", which is no IP address',
        ],
    ),
    "dns settings": (
        _server(
            dns_servers=("192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:5353"),
            dns_zones=("example.test.", "2.0.192.in-addr.arpa"),
            dns_key="dhcp-key.",
        ),
        [],
    ),
    "dns settings that are none": (
        _server(
            dns_servers=("192.0.2.53:0", *(f"192.0.2.{each}" for each in range(8))),
            dns_zones=("a..b",),
            dns_key="a key",
        ),
        [
            'dns_servers has "192.0.2.53:0", which is no IP address',
            'has "a..b" in its dns settings',
            'has "a key" in its dns settings',
            "has 9 dns_servers, more than 8",
        ],
    ),
    "key without servers": (_server(dns_key="k"), ['has the dns_key "k", but no dns_servers']),
    "good filters": (
        _filters(MacFilter("00:1a:2b*", ALLOW), MacFilter(MAC, FilterAction.DENY, ("dhcp1",))),
        [],
    ),
    "wrong filters": (
        _filters(
            MacFilter("printer", ALLOW),
            MacFilter("*", ALLOW),
            MacFilter("00:1a:2b*", ALLOW, ("mail1",)),
            MacFilter("00-1A-2B*", FilterAction.DENY),
        ),
        [
            '"printer" is not hexadecimal digits',
            'mac filter "*": is for every client',
            'server "mail1" does not have the role dhcp',
            'mac filter "00-1A-2B*": is the same as mac filter "00:1a:2b*"; take one away',
        ],
    ),
    "failover": (
        dataclasses.replace(
            with_scopes(BASE.scopes[0], Scope("lab", parse_ip_range("198.51.100.0/24"), "dhcp2")),
            failover_relationships=(
                FailoverRelationship("good", ("dhcp1", "dhcp2"), ("office",)),
                FailoverRelationship("bad", ("dhcp1", "mail1", "mail9"), ("office", "lab", "P9")),
            ),
        ),
        [
            'failover relationship "bad": has 3 servers; it has two different partners',
            'server "mail1" does not have the role dhcp',
            'server "mail9" does not exist',
            'scope "P9" does not exist',
            'scope "lab" belongs to server "dhcp2", which is none of its partners',
            'scope "office": is in failover relationships "good" and "bad"',
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_problems(case: str) -> None:
    organisation, expected = CASES[case]
    problems = [str(problem) for problem in check_dhcp(organisation)]
    assert len(problems) == len(expected), problems
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem


def test_every_problem_says_what_to_do() -> None:
    for organisation, _ in CASES.values():
        for problem in check_dhcp(organisation):
            assert problem.subject
            assert problem.text
            assert problem.advice


def test_a_thousand_scopes_and_a_hundred_thousand_reservations_take_seconds() -> None:
    scopes = tuple(
        Scope(f"s{i}", parse_ip_range(f"10.{i // 256}.{i % 256}.0/24"), "dhcp1") for i in range(1000)
    )
    reservations = tuple(
        Reservation(
            f"s{i // 100}",
            IPv4Address((10 << 24) + ((i // 100) << 8) + 1 + i % 100),
            f"02:00:00:{i >> 16:02x}:{i >> 8 & 255:02x}:{i & 255:02x}",
        )
        for i in range(100_000)
    )
    organisation = dataclasses.replace(BASE, scopes=scopes, reservations=reservations)
    begun = time.process_time()
    assert list(check_dhcp(organisation)) == []
    assert time.process_time() - begun < 10.0
