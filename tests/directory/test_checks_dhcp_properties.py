"""Whatever is declared is checked without failing, and what the checks let pass can be relied on."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Address

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.directory.dhcp_organisation import BASE

from holdfast.directory.checks_dhcp import check_dhcp
from holdfast.directory.dangers_dhcp import find_dhcp_dangers
from holdfast.directory.dhcp import (
    Condition,
    ConditionField,
    DhcpServer,
    FilterAction,
    MacFilter,
    Policy,
    Reservation,
    Scope,
)
from holdfast.directory.dhcp_keys import client_keys
from holdfast.directory.dhcp_options import ClassKind, DhcpClass, OptionDefinition, OptionType, OptionValue
from holdfast.directory.dhcp_ranges import leased_ranges
from holdfast.directory.failover import FailoverRelationship
from holdfast.directory.model import Organisation
from holdfast.directory.option_values import encode_option
from holdfast.kernel.iprange import IPRange, parse_ip_range

# A small world, so that what is drawn meets: a /27 and its parts, and what does not belong there.
SUBNETS = st.sampled_from(
    ["192.0.2.0/27", "192.0.2.0/28", "192.0.2.16/28", "192.0.2.8/31", "192.0.2.9/32", "2001:db8::/124"]
).map(parse_ip_range)
ADDRESSES = st.integers(0xC0000200, 0xC0000220).map(IPv4Address)
RANGES = st.one_of(
    st.tuples(ADDRESSES, ADDRESSES).map(lambda ends: IPRange(*sorted(ends))),
    st.just(parse_ip_range("2001:db8::1-2001:db8::9")),
)
SERVERS = st.sampled_from(["dhcp1", "dhcp2", "mail1", "nobody"])
NAMES = st.sampled_from(["a", "b", "c", "d"])
WORDS = st.sampled_from(["", "1", "60", "192.0.2.1", "x", "00:1a", "0x", "*", "\ud800", "é"])
OPTIONS = st.lists(
    st.builds(
        OptionValue,
        st.sampled_from([0, 1, 3, 6, 43, 51, 58, 59, 80, 119, 121, 224, 225, 254]),
        st.lists(WORDS, max_size=2).map(tuple),
        st.sampled_from(["", "V", "U"]),
        st.sampled_from(["", "V", "U"]),
    ),
    max_size=3,
).map(tuple)
POLICIES = st.lists(
    st.builds(
        Policy,
        NAMES,
        st.lists(
            st.builds(
                Condition, st.sampled_from(list(ConditionField)), st.lists(WORDS, max_size=2).map(tuple)
            ),
            max_size=2,
        ).map(tuple),
        ranges=st.lists(RANGES, max_size=2).map(tuple),
        lease_s=st.none() | st.floats(0, 100),
        options=OPTIONS,
    ),
    max_size=2,
).map(tuple)
SCOPES = st.builds(
    Scope,
    NAMES,
    SUBNETS,
    SERVERS,
    st.none() | RANGES,
    exclusions=st.lists(RANGES, max_size=2).map(tuple),
    superscope=st.sampled_from(["", "", "floor"]),
    relays=st.lists(ADDRESSES, max_size=1).map(tuple),
    policies=POLICIES,
    options=OPTIONS,
)
RESERVATIONS = st.builds(
    Reservation,
    NAMES,
    ADDRESSES,
    st.sampled_from(["", "02:00:00:00:00:01", "020000000002", "x"]),
    client_id=st.sampled_from(["", "01:02:00:00:00:00:01", "ff00", "f"]),
    options=OPTIONS,
)
ORGANISATIONS = st.builds(
    lambda scopes, reservations, servers, relationships, filters, types: dataclasses.replace(
        BASE,
        scopes=tuple(scopes),
        reservations=tuple(reservations),
        dhcp_servers=tuple(servers),
        failover_relationships=tuple(relationships),
        mac_filters=tuple(filters),
        dhcp_classes=(DhcpClass("V", ClassKind.VENDOR, "v"), DhcpClass("U", ClassKind.USER, "u")),
        option_definitions=(
            OptionDefinition(224, "own", tuple(types), array=len(types) == 2),
            OptionDefinition(1, "vendor's", tuple(types), vendor_class="V"),
        ),
    ),
    st.lists(SCOPES, max_size=4, unique_by=lambda each: each.name),
    st.lists(RESERVATIONS, max_size=4, unique_by=lambda each: each.key),
    st.lists(st.builds(DhcpServer, SERVERS, policies=POLICIES, options=OPTIONS), max_size=1),
    st.lists(
        st.builds(
            FailoverRelationship,
            st.just("pair"),
            st.just(("dhcp1", "dhcp2")),
            st.lists(NAMES, max_size=2, unique=True).map(tuple),
        ),
        max_size=1,
    ),
    st.lists(st.builds(MacFilter, WORDS, st.sampled_from(list(FilterAction))), max_size=1),
    st.lists(st.sampled_from(list(OptionType)), max_size=3),
)
# Mostly right, so that the checks let some of them pass.
RIGHT_SCOPES = st.builds(
    Scope,
    NAMES,
    st.sampled_from(["192.0.2.0/27", "192.0.2.32/28", "192.0.2.48/28"]).map(parse_ip_range),
    st.sampled_from(["dhcp1", "dhcp2"]),
    st.none()
    | st.sampled_from(["192.0.2.2-192.0.2.9", "192.0.2.8-192.0.2.30", "192.0.2.40"]).map(parse_ip_range),
    exclusions=st.lists(
        st.sampled_from(["192.0.2.8-192.0.2.9", "192.0.2.20"]).map(parse_ip_range), max_size=1
    ).map(tuple),
)
RIGHT_ORGANISATIONS = st.builds(
    lambda scopes, reservations: dataclasses.replace(
        BASE, scopes=tuple(scopes), reservations=tuple(reservations)
    ),
    st.lists(RIGHT_SCOPES, max_size=3, unique_by=lambda each: each.name),
    st.lists(
        st.builds(
            Reservation,
            NAMES,
            ADDRESSES,
            st.sampled_from(["02:00:00:00:00:01", "020000000002"]),
            options=st.sampled_from([(), (OptionValue(6, ("192.0.2.1",)),), (OptionValue(6, ("x",)),)]),
        ),
        max_size=2,
        unique_by=lambda each: each.key,
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ORGANISATIONS, ORGANISATIONS)
def test_anything_is_checked(before: Organisation, after: Organisation) -> None:
    for problem in check_dhcp(after):
        assert problem.subject
        assert problem.advice
    assert all(find_dhcp_dangers(before, after))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(RIGHT_ORGANISATIONS)
def test_what_passes_can_be_relied_on(organisation: Organisation) -> None:
    if any(check_dhcp(organisation)):
        return
    owners: dict[int, str] = {}
    for scope in organisation.scopes:
        for each in leased_ranges(scope):
            for number in range(int(each.first), int(each.last) + 1):
                assert owners.setdefault(number, scope.name) == scope.name
                assert IPv4Address(number) in scope.subnet
    clients: set[object] = set()
    for reservation in organisation.reservations:
        assert reservation.address in organisation.scopes_by_name[reservation.scope].subnet
        for key in client_keys(reservation):
            assert (reservation.scope, key) not in clients
            clients.add((reservation.scope, key))
        for option in reservation.options:
            definition = organisation.option_definition(option.code)
            assert definition is not None
            assert encode_option(definition, option.values)
