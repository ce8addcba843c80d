"""Where other servers register names comes over; secrets do not."""

from __future__ import annotations

import json

import pytest

from dhcp.test_migrate_isc import arrive
from holdfast.dhcp.migrate_kea import arrive_from_kea
from holdfast.dhcp.moving import Arrival
from holdfast.directory.dhcp import DnsUpdates, KeyAlgorithm
from holdfast.wire.kea_config import read_configuration

SUBNET = b"subnet 10.0.0.0 netmask 255.255.255.0 { %s }"
KEY = b'key "dhcp-key" { algorithm hmac-sha512; secret "c2VjcmV0"; };'


def zone(
    name: bytes = b"example.org.", server: bytes = b"192.0.2.53", key: bytes = b"key dhcp-key;"
) -> bytes:
    return b"zone %s { primary %s; %s }" % (name, server, key)


def noted(arrival: Arrival) -> str:
    return "\n".join(f"{each.what}: {each.reason}" for each in arrival.notes)


def test_zones_servers_and_the_key_of_dhcpd() -> None:
    arrival = arrive(
        b"ddns-update-style standard;" + KEY + zone() + zone(b"2.0.192.in-addr.arpa.") + SUBNET % b""
    )
    server = arrival.server
    assert (server.dns_servers, server.dns_zones) == (
        ("192.0.2.53",),
        ("example.org", "2.0.192.in-addr.arpa"),
    )
    assert (server.dns_key, server.dns_key_algorithm) == ("dhcp-key", KeyAlgorithm.HMAC_SHA512)
    (scope,) = arrival.scopes
    assert (scope.dns_updates, scope.dns_without_request) == (DnsUpdates.ON_REQUEST, True)
    assert "secret of key dhcp-key: set it with: holdfast dhcp dns set-secret dhcp-key" in noted(arrival)
    assert "c2VjcmV0" not in noted(arrival) + repr(arrival)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (zone() + KEY, "zone example.org.: the file has no ddns-update-style, or none"),
        (b"ddns-update-style none;" + zone() + KEY, "zone example.org.: the file has no ddns-update-style"),
        (b"ddns-update-style interim;" + zone(server=b"ns.example.org"), "it names no server by its address"),
        (
            b"ddns-update-style interim;" + zone() + zone(b"b.org", b"192.0.2.54"),
            "zone b.org: all updates go to",
        ),
        (b"ddns-update-style interim;" + zone() + zone(b"b.org", key=b""), "zone b.org: all updates go to"),
        (
            b"ddns-update-style interim; key dhcp-key { algorithm HMAC-MD5.SIG-ALG.REG.INT; secret x; }"
            + zone(),
            "a key with hmac-md5 is not safe: make one with hmac-sha256",
        ),
        (b"ddns-update-style interim; ddns-ttl 300;", "names in DNS are set otherwise"),
    ],
)
def test_what_is_not_taken_over_is_noted(text: bytes, said: str) -> None:
    assert said in noted(arrive(text))


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (b"", (DnsUpdates.ON_REQUEST, "", True)),
        (
            b'ddns-domainname "a.org."; update-conflict-detection off;',
            (DnsUpdates.ON_REQUEST, "a.org", False),
        ),
        (b"ddns-updates off; ignore client-updates;", (DnsUpdates.NEVER, "", True)),
        (b"ignore client-updates;", (DnsUpdates.ALWAYS, "", True)),
        (b"allow client-updates;", (DnsUpdates.ON_REQUEST, "", True)),
    ],
)
def test_what_a_subnet_says(inside: bytes, expected: tuple[DnsUpdates, str, bool]) -> None:
    for text in (
        b"ddns-update-style interim;" + SUBNET % inside,
        b"ddns-update-style interim;" + inside + SUBNET % b"",
    ):
        arrival = arrive(text)
        (scope,) = arrival.scopes
        assert (scope.dns_updates, scope.dns_suffix, scope.dns_protect) == expected
        assert noted(arrival) == ""


def kea(*, updates: bool = True, ddns: dict[str, object] | None = None, **members: object) -> Arrival:
    subnet = {"id": 1, "subnet": "10.0.0.0/24", **members}
    whole = {"Dhcp4": {"subnet4": [subnet], "dhcp-ddns": {"enable-updates": updates}}}
    if ddns is not None:
        whole["DhcpDdns"] = ddns  # type: ignore[assignment]  # JSON
    configuration = read_configuration(json.dumps(whole).encode())
    return arrive_from_kea(configuration, name="kea.conf", server="dhcp1")[0]


DDNS = {
    "forward-ddns": {
        "ddns-domains": [
            {
                "name": "example.org.",
                "key-name": "k",
                "dns-servers": [{"ip-address": "192.0.2.53", "port": 5353}],
            }
        ]
    },
    "reverse-ddns": {
        "ddns-domains": [
            {
                "name": "10.in-addr.arpa.",
                "key-name": "k",
                "dns-servers": [{"ip-address": "192.0.2.53", "port": 5353}],
            }
        ]
    },
    "tsig-keys": [{"name": "k", "algorithm": "HMAC-SHA256", "secret": "c2VjcmV0"}],
}


def test_the_part_of_kea_that_registers_names() -> None:
    arrival = kea(ddns=DDNS)
    server = arrival.server
    assert (server.dns_servers, server.dns_zones, server.dns_key) == (
        ("192.0.2.53:5353",), ("example.org", "10.in-addr.arpa"), "k",
    )  # fmt: skip
    assert arrival.scopes[0].dns_without_request
    assert "c2VjcmV0" not in noted(arrival) + repr(arrival)
    assert kea(ddns={}).server.dns_servers == ()


def test_what_a_subnet_of_kea_says() -> None:
    assert not kea(updates=False).scopes[0].dns_without_request
    assert kea(**{"ddns-conflict-resolution-mode": "check-with-dhcid"}).scopes[0].dns_protect
    assert not kea(**{"ddns-conflict-resolution-mode": "no-check-with-dhcid"}).scopes[0].dns_protect
