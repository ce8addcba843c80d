"""What of a pool may be leased, compared with looking at every address."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.directory.dhcp_organisation import office

from holdfast.directory.dhcp_ranges import (
    host_range,
    is_network,
    leased_ranges,
    subnet_mask,
    without_ranges,
)
from holdfast.kernel.iprange import IPRange, parse_ip_range

ENDS = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted)


def _range(ends: list[int]) -> IPRange:
    return IPRange(IPv4Address(ends[0]), IPv4Address(ends[1]))


@settings(deadline=None)
@given(ENDS, st.lists(ENDS, max_size=6))
def test_what_is_left_is_what_no_hole_holds(whole: list[int], holes: list[list[int]]) -> None:
    left = without_ranges(_range(whole), [_range(each) for each in holes])
    addresses = [number for each in left for number in range(int(each.first), int(each.last) + 1)]
    expected = [
        number
        for number in range(whole[0], whole[1] + 1)
        if not any(first <= number <= last for first, last in holes)
    ]
    assert addresses == expected
    assert all(int(one.last) + 1 < int(other.first) for one, other in itertools.pairwise(left))


def test_exclusions_are_taken_out_of_the_pool() -> None:
    scope = office(exclusions=(parse_ip_range("192.0.2.50-192.0.2.59"), parse_ip_range("192.0.2.200")))
    assert [f"{each.first}-{each.last}" for each in leased_ranges(scope)] == [
        "192.0.2.10-192.0.2.49",
        "192.0.2.60-192.0.2.199",
    ]
    assert leased_ranges(office(pool=None)) == ()


@pytest.mark.parametrize(
    ("subnet", "hosts", "mask"),
    [
        ("192.0.2.0/24", "192.0.2.1-192.0.2.254", "255.255.255.0"),
        ("192.0.2.8/30", "192.0.2.9-192.0.2.10", "255.255.255.252"),
        ("192.0.2.8/31", "192.0.2.8/31", "255.255.255.254"),
        ("192.0.2.8/32", "192.0.2.8", "255.255.255.255"),
        ("10.0.0.0/8", "10.0.0.1-10.255.255.254", "255.0.0.0"),
    ],
)
def test_hosts_and_mask(subnet: str, hosts: str, mask: str) -> None:
    assert str(host_range(parse_ip_range(subnet))) == hosts
    assert str(subnet_mask(parse_ip_range(subnet))) == mask


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.0/24", True),
        ("192.0.2.1", True),
        ("192.0.2.0-192.0.2.2", False),
        ("192.0.2.1-192.0.2.2", False),
        ("2001:db8::/64", False),
    ],
)
def test_network(text: str, *, network: bool) -> None:
    assert is_network(parse_ip_range(text)) is network
