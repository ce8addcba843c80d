"""Conditions of policies as the tests of other servers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhcp.moving_samples import EMPTY
from holdfast.dhcp.departing import Departure
from holdfast.dhcp.export_conditions import isc_test, kea_test
from holdfast.dhcp.migrate_conditions import conditions_of, isc_terms, kea_terms
from holdfast.dhcp.moving import Arrival
from holdfast.directory.dhcp import Comparison, Condition, ConditionField, DhcpServer, Match, Policy
from holdfast.directory.dhcp_options import ClassKind, DhcpClass
from holdfast.kernel.errors import Refusal
from holdfast.wire.isc_conf import read_configuration

F = ConditionField
CLASSES = (DhcpClass("PXE", ClassKind.VENDOR, "PXE"), DhcpClass("lab", ClassKind.USER, "lab"))
THERE = Departure(replace(EMPTY, dhcp_classes=CLASSES), DhcpServer("dhcp1"), ())

conditions = st.one_of(
    st.builds(
        Condition,
        st.just(F.VENDOR_CLASS),
        st.sampled_from([("PXE",), ("PXE*",)]),
        st.sampled_from(Comparison),
    ),
    st.builds(Condition, st.just(F.USER_CLASS), st.just(("lab",)), st.sampled_from(Comparison)),
    st.builds(
        Condition,
        st.sampled_from([F.MAC, F.CLIENT_ID]),
        st.sampled_from([("02:00:00:00:00:01",), ("02:00*",), ("02:00:00:00:00:01", "03*")]),
        st.sampled_from(Comparison),
    ),
    st.builds(Condition, st.just(F.ARCHITECTURE), st.just(("7",)), st.sampled_from(Comparison)),
    st.builds(
        Condition,
        st.sampled_from([F.CIRCUIT_ID, F.REMOTE_ID, F.SUBSCRIBER_ID]),
        st.sampled_from([("0x0102",), ("0x01*",)]),
        st.sampled_from(Comparison),
    ),
)


def matches(condition: Condition) -> tuple[ConditionField, Comparison]:
    return condition.looks_at, condition.comparison


@given(st.lists(conditions, min_size=1, max_size=3, unique_by=matches), st.sampled_from(Match), st.booleans())
def test_what_is_written_says_the_same_when_it_is_read(
    given_ones: list[Condition], match: Match, isc: bool
) -> None:
    policy = Policy("p", tuple(given_ones), match)
    arrival = Arrival(DhcpServer("dhcp1"), classes=list(CLASSES))
    if isc:
        text = isc_test(THERE, policy)
        statement = read_configuration(f"match if {text};".encode())[0]
        read, written = isc_terms, statement.text.removeprefix("match if ")
    else:
        read, written = kea_terms, kea_test(THERE, policy)
    if len(given_ones) > 1 and any(len(each.values) > 1 for each in given_ones):
        return  # brackets inside are not read back
    terms, found = read(written)
    again = conditions_of(terms, found, arrival)
    if len(again) > 1 or len(given_ones) > 1:
        assert found is match
    assert sorted(again, key=repr) == sorted(given_ones, key=repr)


def test_what_is_written() -> None:
    policy = Policy(
        "p",
        (
            Condition(F.VENDOR_CLASS, ("PXE*",)),
            Condition(F.MAC, ("02:00:00:00:00:01", "02:00*")),
            Condition(F.CLIENT_ID, ("01:02",), Comparison.NOT_EQUALS),
        ),
    )
    assert kea_test(THERE, policy) == (
        "substring(option[60].hex,0,3) == 0x505845 and "
        "(pkt4.mac == 0x020000000001 or substring(pkt4.mac,0,2) == 0x0200) and not option[61].hex == 0x0102"
    )
    assert isc_test(THERE, policy) == (
        "substring(option vendor-class-identifier, 0, 3) = 50:58:45 and "
        "(hardware = 1:02:00:00:00:00:01 or substring(hardware, 1, 2) = 02:00) and "
        "not option dhcp-client-identifier = 01:02"
    )


@pytest.mark.parametrize(
    "condition", [Condition(F.FQDN, ("a",)), Condition(F.RELAY_AGENT, ("01",)), Condition(F.MAC, ("021*",))]
)
def test_what_has_no_word_is_refused(condition: Condition) -> None:
    for write in (kea_test, isc_test):
        with pytest.raises(Refusal):
            write(THERE, Policy("p", (condition,)))
