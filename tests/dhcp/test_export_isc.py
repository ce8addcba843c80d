"""What is written for ISC dhcpd."""

from __future__ import annotations

import math
from dataclasses import replace
from ipaddress import IPv4Address

from dhcp.moving_samples import EMPTY
from dhcp.round_trips import NOW, arrived, differences, trip
from holdfast.dhcp.departing import Departure
from holdfast.dhcp.export_isc import isc_configuration, isc_lease_entries
from holdfast.dhcp.moving import LeaseState, MovedLease
from holdfast.directory.dhcp import (
    ClientKind,
    Condition,
    ConditionField,
    DhcpServer,
    Policy,
    Reservation,
    Scope,
)
from holdfast.directory.dhcp_options import OptionDefinition, OptionType, OptionValue
from holdfast.kernel.iprange import parse_ip_range
from holdfast.wire.isc_leases import BindingState

OFFICE = Scope("office", parse_ip_range("192.0.2.0/24"), "dhcp1", parse_ip_range("192.0.2.10-192.0.2.99"))
MAC = Condition(ConditionField.MAC, ("02*",))


def test_what_came_from_dhcpd_goes_back_as_it_was() -> None:
    there_and_back = trip(arrived("isc"), "isc")
    assert differences(there_and_back.before, there_and_back.after) == []
    assert there_and_back.out == there_and_back.back == []


def test_leases_go_out_and_come_back() -> None:
    leases = [
        MovedLease(
            int(IPv4Address("192.0.2.120")),
            LeaseState.ACTIVE,
            1,
            b"\2\0\0\0\0\1",
            b"\1a",
            5.0,
            NOW + 9,
            b"pc",
        ),
        MovedLease(
            int(IPv4Address("192.0.2.121")), LeaseState.ACTIVE, 1, b"\2\0\0\0\0\2", b"", 5.0, math.inf, b""
        ),
        MovedLease(int(IPv4Address("192.0.2.122")), LeaseState.DECLINED, 1, b"", b"", 5.0, NOW + 9, b""),
        MovedLease(
            int(IPv4Address("192.0.2.123")), LeaseState.ACTIVE, 1, b"\2\0\0\0\0\3", b"", 5.0, NOW - 9, b""
        ),
    ]
    back = trip(arrived("isc"), "isc", leases).leases
    assert [each._replace(line=0) for each in back] == leases[:3]
    states = [each.state for each in isc_lease_entries(leases, NOW)]
    assert states == [BindingState.ACTIVE, BindingState.ACTIVE, BindingState.ABANDONED]


def test_what_dhcpd_has_no_word_for_is_noted() -> None:
    policies = (
        Policy(
            "ranges",
            (MAC,),
            ranges=(parse_ip_range("192.0.2.20-192.0.2.29"),),
            boot_file="x",
            lease_unlimited=True,
        ),
        Policy("none", (MAC,), options=(OptionValue(12, ("a",)),)),
        Policy("name", (Condition(ConditionField.FQDN, ("a",)),), ranges=(parse_ip_range("192.0.2.40"),)),
    )
    scopes = (
        replace(OFFICE, policies=policies, serves=ClientKind.BOOTP, relays=(IPv4Address("10.0.0.1"),)),
        Scope("off", parse_ip_range("198.51.100.0/24"), "dhcp1", enabled=False),
        Scope(
            "bare", parse_ip_range("203.0.113.0/24"), "dhcp1", policies=policies[:1], policies_enabled=False
        ),
    )
    reservations = (
        Reservation(
            "office", IPv4Address("192.0.2.5"), "02:01", hardware_type=7, name="ä b", description="d"
        ),
        Reservation("office", IPv4Address("192.0.2.6"), "02:02", name="ok", serves=ClientKind.DHCP),
    )
    definitions = (
        OptionDefinition(224, "Odd name!", (OptionType.UINT8,), array=True),
        OptionDefinition(225, "routers", (OptionType.TEXT,)),
        OptionDefinition(226, "e", (OptionType.EMPTY,)),
    )
    server = DhcpServer(
        "dhcp1",
        interfaces=("eth0",),
        allow_filter=True,
        probe_count=1,
        authoritative=False,
        server_name="boot",
        options=(
            OptionValue(224, ("1", "2")),
            OptionValue(225, ("hi",)),
            OptionValue(226, ()),
            OptionValue(3, ("192.0.2.1",), always=True),
        ),
    )
    organisation = replace(
        EMPTY,
        scopes=scopes,
        reservations=reservations,
        option_definitions=definitions,
        dhcp_servers=(server,),
    )
    departure = Departure(organisation, server, scopes)
    text = "".join(isc_configuration(departure))
    assert "not authoritative;\n" in text
    assert "option odd-name code 224 = array of unsigned integer 8;\n" in text
    assert "option holdfast-225 code 225 = text;\n" in text
    assert "option holdfast-226 code 226 = string;\n" in text
    assert 'option holdfast-226 "";\n' in text
    assert "host host-192-0-2-5 {\n  hardware ethernet 02:01;\n" in text
    assert "    range dynamic-bootp 192.0.2.20 192.0.2.29;\n" in text
    assert "192.0.2.40" not in text  # for nobody whom dhcpd could name
    assert "  default-lease-time 4294967295;\n" in text
    assert [each.what for each in departure.notes] == [
        "interfaces ('eth0',)",
        "allow_filter True",
        "always of option 3",
        'policy "ranges"',
        'policy "none"',
        'policy "name"',
        "policies",
        "the scope",
        "relays (IPv4Address('10.0.0.1'),)",
        "serves bootp",
        "name ä b of 192.0.2.5",
        "hardware type 7 of 192.0.2.5",
        "description of 192.0.2.5",
        "serves dhcp of 192.0.2.6",
    ]
