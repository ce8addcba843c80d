"""What a Windows export is here."""

from __future__ import annotations

import math
import os
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from dhcp.moving_samples import WINDOWS, notes_of, problems_of
from holdfast.dhcp.migrate_windows import arrive_from_windows, windows_moment, with_dns_flags
from holdfast.dhcp.moving import Arrival, LeaseState
from holdfast.directory.dhcp import ClientKind, DnsUpdates, FilterAction, Scope
from holdfast.directory.dhcp_options import OptionValue
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import parse_ip_range
from holdfast.wire.windows_dhcp_export import read_export

SAMPLES = Path(os.environ.get("HOLDFAST_CONFORMANCE", "../shared/conformance")) / "dhcp" / "windows-export"


def arrive(data: bytes) -> Arrival:
    return arrive_from_windows(read_export(data), name="export.xml", server="dhcp1")


def ipv4(inside: str) -> Arrival:
    return arrive(f"<DHCPServer><IPv4>{inside}</IPv4></DHCPServer>".encode())


def scope(inside: str) -> Arrival:
    return ipv4(
        "<Scopes><Scope><ScopeId>192.0.2.0</ScopeId><SubnetMask>255.255.255.0</SubnetMask>"
        f"{inside}</Scope></Scopes>"
    )


def test_the_whole_sample() -> None:
    arrival = arrive(WINDOWS)
    assert problems_of(arrival) == []
    assert (arrival.server.probe_count, arrival.server.deny_filter, arrival.server.allow_filter) == (
        2,
        True,
        False,
    )
    assert [(each.pattern, each.action) for each in arrival.filters] == [
        ("cc:dd:ee:ff:11:11", FilterAction.DENY),
        ("02:aa*", FilterAction.DENY),
    ]
    office, other = arrival.scopes
    assert (office.name, other.name) == ("Office", "Office (198.51.100.0/24)")
    assert office.pool == parse_ip_range("192.0.2.10-192.0.2.200")
    assert office.exclusions == (parse_ip_range("192.0.2.20-192.0.2.29"),)
    assert (office.superscope, office.description, office.delay_ms) == ("floor", "first floor", 20)
    assert (office.serves, office.bootp_client_count_max, office.enabled) == (ClientKind.BOTH, 0, True)
    assert office.dns_updates is DnsUpdates.ALWAYS
    assert (other.enabled, other.lease_unlimited) == (False, True)
    printer, duid, odd = arrival.reservations
    assert (printer.mac, printer.client_id) == ("02:00:00:00:99:01", "")
    assert printer.options == (OptionValue(12, ("printer",)),)
    # Windows leaves the type out, which is 255 for an IAID and a DUID.
    assert duid.client_id == "ff:56:85:98:08:00:01:00:01:27:9c:3c:b3:00:50:56:ae:61:ca"
    assert odd.client_id.startswith("00:73:63")


def test_leases() -> None:
    leases = arrive(WINDOWS).leases
    assert {str(IPv4Address(address)): lease.state for address, lease in leases.items()} == {
        "192.0.2.60": LeaseState.ACTIVE,
        "192.0.2.61": LeaseState.DECLINED,
        "192.0.2.62": LeaseState.REMEMBERED,
    }
    active = leases[int(IPv4Address("192.0.2.60"))]
    assert (active.mac.hex(), active.host_name, active.line) == ("020000000060", b"pc.example", 76)
    assert active.ends_at == 1796112000.0
    assert leases[int(IPv4Address("192.0.2.61"))].ends_at == 1796112000.0 - 7200
    assert leases[int(IPv4Address("192.0.2.62"))].ends_at == math.inf


def test_what_is_left_behind_is_listed_with_its_line() -> None:
    assert sorted(notes_of(arrive(WINDOWS))) == [
        (34, "left behind", "FrobnicationLevel 7"),
        (62, "left behind", "policy third"),
        (72, "changed", "client 73-63-61-6e-6e-65-72"),
        (86, "left behind", "lease of 192.0.2.63"),
        (96, "left behind", "1 IPv6 scopes"),
    ]


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("<ScopeId>192.0.2.1</ScopeId>", "scope 192.0.2.0"),
        ("<StartRange>192.0.2.9</StartRange>", 'line 1: "192.0.2.9" to "" is not an IP range'),
        ("<StartRange>192.0.2.9</StartRange><EndRange>192.0.2.1</EndRange>", "ends before it begins"),
        ("<LeaseDuration>soon</LeaseDuration>", 'LeaseDuration "soon" is not d.hh:mm:ss'),
        ("<Delay>long</Delay>", 'Delay "long" is not a number'),
        (
            "<Reservations><Reservation><IPAddress>x</IPAddress></Reservation></Reservations>",
            'reservation for "x"',
        ),
        (
            "<Reservations><Reservation><IPAddress>192.0.2.1</IPAddress><ClientId>zz</ClientId></Reservation>"
            "</Reservations>",
            'client "zz" is not in hexadecimal',
        ),
        ("<OptionValues><OptionValue><OptionId>x</OptionId></OptionValue></OptionValues>", 'option "x"'),
    ],
)
def test_what_everything_depends_on_is_refused_with_its_line(inside: str, said: str) -> None:
    if "ScopeId" in inside:
        inside = "<SubnetMask>x</SubnetMask>"
        with pytest.raises(Refusal, match=r"scope 192\.0\.2\.1"):
            ipv4(
                "<Scopes><Scope><ScopeId>192.0.2.1</ScopeId><SubnetMask>255.0.0.0</SubnetMask></Scope></Scopes>"
            )
        return
    with pytest.raises(Refusal) as caught:
        scope(inside)
    assert said in caught.value.text
    assert "export.xml line 1" in caught.value.text


@pytest.mark.parametrize(
    ("inside", "what"),
    [
        ("<Odd>1</Odd>", "Odd 1"),
        ("<Type>Quantum</Type>", "Type Quantum"),
        (
            "<Reservations><Reservation><IPAddress>192.0.2.1</IPAddress><ClientId>00-11</ClientId><Odd />"
            "<OptionValues><OptionValue><OptionId>81</OptionId><Value>1</Value></OptionValue></OptionValues>"
            "</Reservation></Reservations>",
            "registration in DNS of a reservation",
        ),
    ],
)
def test_elements_that_are_not_known_are_noted(inside: str, what: str) -> None:
    assert what in [note[2] for note in notes_of(scope(inside))]


def test_what_the_server_cannot_say_here_is_noted() -> None:
    arrival = ipv4(
        "<OptionValues><OptionValue><OptionId>51</OptionId><Value>60</Value></OptionValue><OptionValue>"
        "<OptionId>81</OptionId><Value>1</Value></OptionValue></OptionValues><Filters><Odd /></Filters>"
        "<Scopes><Odd /></Scopes><Statistics />"
    )
    assert sorted(note[2] for note in notes_of(arrival)) == [
        "Odd", "Odd", "lease (option 51) of the server", "registration in DNS (option 81) of the server",
    ]  # fmt: skip
    with pytest.raises(Refusal, match="has no IPv4 element"):
        arrive(b"<DHCPServer><Odd /></DHCPServer>")


def test_flags_of_registration_in_dns() -> None:
    base = Scope("a", parse_ip_range("192.0.2.0/24"), "b")
    assert with_dns_flags(base, 0).dns_updates is DnsUpdates.NEVER
    all_on = with_dns_flags(base, 0x67)
    assert all_on.dns_updates is DnsUpdates.ON_REQUEST
    assert (all_on.dns_without_request, all_on.dns_remove, all_on.dns_protect) == (True, True, True)
    assert not all_on.dns_reverse


def test_moments() -> None:
    assert windows_moment("") == math.inf
    assert windows_moment("2026-12-01T08:00:00Z") == windows_moment("2026-12-01T08:00:00")
    with pytest.raises(ValueError, match="soon"):
        windows_moment("soon")


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the conformance data is not here")
def test_a_real_export() -> None:
    arrival = arrive((SAMPLES / "gravity_test_a.xml").read_bytes())
    assert problems_of(arrival) == []
    assert arrival.notes == []
    assert [(each.name, str(each.subnet), each.lease_s) for each in arrival.scopes] == [
        (".5 scope", "10.0.5.0/24", 691200.0),
        (".10 scope", "10.0.10.0/24", 691200.0),
    ]
    assert len(arrival.reservations) == 12
    assert [each.mac for each in arrival.reservations if each.mac] == [
        "00:0c:29:a2:42:a6",
        "00:50:56:85:ae:2b",
    ]
    assert len(arrival.classes) == 5
    assert {each.vendor_class for each in arrival.definitions} == {
        "Microsoft Options",
        "Microsoft Windows 2000 Options",
    }
    assert OptionValue(67, ("netboot.xyz.kpxe",)) in arrival.scopes[0].options
