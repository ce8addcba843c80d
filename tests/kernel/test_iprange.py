"""Ranges of IP addresses are read, written and compared."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange, joined, not_within, parse_ip_range, parse_ipv4_address


@pytest.mark.parametrize(
    ("text", "written", "address_count"),
    [
        ("192.0.2.7", "192.0.2.7", 1),
        (" 192.0.2.0/24 ", "192.0.2.0/24", 256),
        ("192.0.2.1 - 192.0.2.9", "192.0.2.1-192.0.2.9", 9),
        ("192.0.2.0-192.0.2.15", "192.0.2.0/28", 16),
        ("0.0.0.0/0", "0.0.0.0/0", 1 << 32),
        ("2001:DB8::/32", "2001:db8::/32", 1 << 96),
        ("::1", "::1", 1),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24", 256),
        ("::ffff:192.0.2.1-::ffff:192.0.2.9", "192.0.2.1-192.0.2.9", 9),
        ("::ffff:0:0/96", "0.0.0.0/0", 1 << 32),
        ("::fffe:ffff:ffff-::ffff:0:1", "::fffe:ffff:ffff-::ffff:0:1", 3),
    ],
)
def test_reads_and_writes(text: str, written: str, address_count: int) -> None:
    found = parse_ip_range(text)
    assert str(found) == written
    assert found.address_count == address_count
    assert parse_ip_range(str(found)) == found


@pytest.mark.parametrize(
    "text",
    ["", "-", "192.0.2.1/24", "192.0.2.9-192.0.2.1", "192.0.2.1-::1", "192.0.2.256", "mail.example", "1-2-3"],
)
def test_refuses_with_the_text(text: str) -> None:
    with pytest.raises(Refusal, match="is not an IP range") as caught:
        parse_ip_range(text)
    assert f'"{text}"' in caught.value.text


def test_reads_one_ipv4_address() -> None:
    assert parse_ipv4_address(" 192.0.2.7 ") == ipaddress.IPv4Address("192.0.2.7")


@pytest.mark.parametrize("text", ["", "192.0.2.0/24", "2001:db8::1", "192.0.2.256", "host.example"])
def test_refuses_what_is_no_ipv4_address(text: str) -> None:
    with pytest.raises(Refusal, match="is not an IPv4 address") as caught:
        parse_ipv4_address(text)
    assert f'"{text}"' in caught.value.text


def test_holds_only_addresses_of_its_version_between_first_and_last() -> None:
    found = parse_ip_range("192.0.2.1-192.0.2.3")
    inside = [str(address) for address in ipaddress.ip_network("192.0.2.0/29") if address in found]
    assert inside == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert ipaddress.ip_address("::c000:201") not in found
    assert "192.0.2.1" not in found


@pytest.mark.parametrize(
    ("one", "other", "overlap", "contains"),
    [
        ("192.0.2.0/24", "192.0.2.0/28", True, True),
        ("192.0.2.0/28", "192.0.2.0/24", True, False),
        ("192.0.2.0/24", "192.0.2.0/24", True, True),
        ("192.0.2.1-192.0.2.9", "192.0.2.9-192.0.2.20", True, False),
        ("192.0.2.0/25", "192.0.2.128/25", False, False),
        ("0.0.0.0/0", "::/0", False, False),
    ],
)
def test_compares(one: str, other: str, overlap: bool, contains: bool) -> None:
    first, second = parse_ip_range(one), parse_ip_range(other)
    assert first.overlaps(second) is overlap
    assert second.overlaps(first) is overlap
    assert first.contains_range(second) is contains


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ([], []),
        (["11.0.0.0/8", "10.0.0.0/8"], ["10.0.0.0/7"]),
        (["192.0.2.0/24", "192.0.2.64/28"], ["192.0.2.0/24"]),
        (["192.0.2.1-192.0.2.9", "192.0.2.5-192.0.2.20"], ["192.0.2.1-192.0.2.20"]),
        (["192.0.2.0", "192.0.2.2"], ["192.0.2.0", "192.0.2.2"]),
        (["::/1", "255.255.255.255", "8000::/1"], ["255.255.255.255", "::/0"]),
    ],
)
def test_joins(written: list[str], expected: list[str]) -> None:
    assert [str(each) for each in joined(parse_ip_range(one) for one in written)] == expected


def test_what_several_ranges_hold_together_is_within() -> None:
    halves = [parse_ip_range("10.0.0.0/8"), parse_ip_range("11.0.0.0/8")]
    further = [parse_ip_range(each) for each in ("10.0.0.0/7", "11.0.0.1", "11.255.255.255-12.0.0.0")]
    assert not_within(further, halves) == (further[2],)


@settings(max_examples=200)
@given(st.one_of(st.text(max_size=40), st.text(alphabet="0123456789abf.:/-% ", max_size=40)))
def test_any_text_is_a_range_or_refused(text: str) -> None:
    try:
        found = parse_ip_range(text)
    except Refusal:
        return
    assert found.address_count >= 1


@settings(max_examples=100)
@given(st.lists(st.ip_addresses(v=4), min_size=2, max_size=2).map(sorted))
def test_every_range_can_be_read_back(ends: list[ipaddress.IPv4Address]) -> None:
    found = IPRange(ends[0], ends[1])
    assert parse_ip_range(str(found)) == found
