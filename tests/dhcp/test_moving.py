"""What every reader of another server's configuration builds on."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.dhcp import moving
from holdfast.dhcp.moving import (
    Arrival,
    Fate,
    exclusions_in,
    free_name,
    free_policy_name,
    merged_options,
    number_bytes,
    pool_of,
    shown,
)
from holdfast.directory.dhcp import DhcpServer, Policy
from holdfast.directory.dhcp_options import ClassKind, DhcpClass, OptionDefinition, OptionType, OptionValue
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange, parse_ip_range


def ranges(*texts: str) -> list[IPRange]:
    return [parse_ip_range(text) for text in texts]


def test_several_ranges_are_one_pool_with_the_gaps_excluded() -> None:
    pool, gaps = pool_of(
        ranges("10.0.0.20-10.0.0.29", "10.0.0.1-10.0.0.9", "10.0.0.5-10.0.0.10", "10.0.0.30-10.0.0.31")
    )
    assert pool == parse_ip_range("10.0.0.1-10.0.0.31")
    assert gaps == (parse_ip_range("10.0.0.11-10.0.0.19"),)
    assert pool_of([]) == (None, ())


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), min_size=1, max_size=8))
def test_a_pool_leases_exactly_what_the_ranges_did(pairs: list[tuple[int, int]]) -> None:
    given_ranges = [IPRange(IPv4Address(low), IPv4Address(low + size)) for low, size in pairs]
    pool, gaps = pool_of(given_ranges)
    assert pool is not None
    leased = {
        each
        for each in range(100)
        if IPv4Address(each) in pool and not any(IPv4Address(each) in gap for gap in gaps)
    }
    assert leased == {each for low, size in pairs for each in range(low, low + size + 1)}
    assert exclusions_in(pool, gaps) == gaps


def test_exclusions_are_cut_to_the_pool_and_joined() -> None:
    pool = parse_ip_range("10.0.0.10-10.0.0.100")
    found = exclusions_in(
        pool,
        ranges("10.0.0.1-10.0.0.12", "10.0.0.50-10.0.0.60", "10.0.0.55-10.0.0.70", "10.0.0.71", "10.9.9.9"),
    )
    assert found == tuple(ranges("10.0.0.10-10.0.0.12", "10.0.0.50-10.0.0.71"))
    assert exclusions_in(None, found) == ()


def test_names_are_made_to_fit_and_to_differ() -> None:
    assert free_name(' a "b"\n', (), "x") == "a 'b'"
    assert free_name("", (), "192.0.2.0/24") == "192.0.2.0/24"
    assert free_name("Office", {"office"}, "10.0.0.0/8") == "Office (10.0.0.0/8)"
    assert free_name("Office", {"office", "office (x)"}, "x") == "Office 2"
    long = free_name("n" * 200, {"n" * 64}, "10.0.0.0/8")
    assert len(long) <= 64
    assert free_policy_name("a", [Policy("A", ())]) == "a (policy)"
    assert shown("a\n b" + "c" * 200 + "\x00").endswith("…")
    assert shown("a\x00b") == "a\ufffdb"


def test_the_nearest_level_has_the_option() -> None:
    near, far = OptionValue(3, ("10.0.0.1",)), OptionValue(3, ("10.0.0.2",))
    assert merged_options([near], [far, OptionValue(6, ("10.0.0.3",))]) == (
        near,
        OptionValue(6, ("10.0.0.3",)),
    )


def test_options_become_values_of_our_form_or_notes() -> None:
    arrival = Arrival(DhcpServer("a"))
    assert arrival.option(3, bytes([10, 0, 0, 1]), "here") == OptionValue(3, ("10.0.0.1",))
    assert arrival.option(1, b"\xff\xff\xff\0", "here") is None
    assert arrival.notes == []
    assert arrival.option(3, b"\1", "here") is None
    assert arrival.option(53, b"\1", "here") is None
    assert arrival.option_of_texts(53, ("1",), "here") is None
    assert arrival.option_of_texts(230, ("1",), "here") is None
    assert arrival.option_of_texts(58, ("many",), "here") is None
    assert [each.fate for each in arrival.notes] == [Fate.LEFT] * 5
    assert arrival.option_of_texts(58, ("60",), "here") == OptionValue(58, ("60",))
    # What nobody defined is taken over as bytes.
    assert arrival.option(230, b"\1\2", "here") == OptionValue(230, ("01:02",))
    assert arrival.definition(230) == OptionDefinition(230, "option-230", (OptionType.HEX,))


def test_definitions_and_classes_are_taken_once() -> None:
    arrival = Arrival(DhcpServer("a"))
    arrival.define(OptionDefinition(51, "lease", (OptionType.UINT32,)), "here")
    arrival.define(OptionDefinition(224, "x", (OptionType.TEXT,)), "here")
    arrival.define(OptionDefinition(224, "other", (OptionType.HEX,)), "here")
    arrival.define(OptionDefinition(225, "X", (OptionType.TEXT,)), "here")
    assert [each.name for each in arrival.definitions] == ["x", "X-225"]
    assert arrival.note_count == 1
    assert arrival.new_class(DhcpClass("a", ClassKind.VENDOR, "PXE")) == "a"
    assert arrival.new_class(DhcpClass("b", ClassKind.VENDOR, "0x505845")) == "a"
    assert arrival.new_class(DhcpClass("a", ClassKind.USER, "PXE")) == "a (user)"


def test_notes_are_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "NOTES_MAX", 2)
    arrival = Arrival(DhcpServer("a"))
    for _ in range(3):
        arrival.left("here", "x", "y")
    assert (len(arrival.notes), arrival.note_count) == (2, 3)


def test_numbers_that_do_not_fit_are_refused() -> None:
    assert number_bytes(OptionType.UINT16, 258) == b"\1\2"
    with pytest.raises(Refusal, match="300 does not fit uint8"):
        number_bytes(OptionType.UINT8, 300)
