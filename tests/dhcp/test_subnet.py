"""Subnets: addresses, counts, splitting, merging, the next free one, containment; IPv4 and IPv6."""

from __future__ import annotations

import ipaddress
import itertools
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.dhcp.subnet import (
    Network,
    address_pieces,
    describe,
    holders_of,
    merge,
    next_free,
    parse_subnet,
    parse_subnets,
    split_pieces,
)
from holdfast.kernel.errors import Refusal


def addresses(*subnets: str, everything: bool = False) -> list[str]:
    return "\n".join(address_pieces(parse_subnets(subnets), everything=everything)).split("\n")


@pytest.mark.parametrize(
    ("subnet", "expected"),
    [
        ("192.0.2.0/30", ["192.0.2.1", "192.0.2.2"]),
        ("192.0.2.0/31", ["192.0.2.0", "192.0.2.1"]),  # RFC 3021
        ("192.0.2.9/32", ["192.0.2.9"]),
        ("192.0.2.9", ["192.0.2.9"]),
        ("192.0.2.0/255.255.255.252", ["192.0.2.1", "192.0.2.2"]),
        ("2001:db8::/126", ["2001:db8::1", "2001:db8::2", "2001:db8::3"]),
        ("2001:db8::/127", ["2001:db8::", "2001:db8::1"]),  # RFC 6164
        ("2001:db8::/128", ["2001:db8::"]),
        ("::/126", ["::1", "::2", "::3"]),
    ],
)
def test_host_addresses(subnet: str, expected: list[str]) -> None:
    assert addresses(subnet) == expected


def test_several_subnets_come_in_the_order_given() -> None:
    assert addresses("10.0.1.0/31", "10.0.0.0/31") == ["10.0.1.0", "10.0.1.1", "10.0.0.0", "10.0.0.1"]
    assert addresses("192.0.2.0/30", everything=True)[0::3] == ["192.0.2.0", "192.0.2.3"]
    assert list(address_pieces([])) == []


networks = st.one_of(
    st.builds(
        lambda number, prefix: ipaddress.ip_network((number, prefix), strict=False),
        st.integers(0, (1 << 32) - 1),
        st.integers(18, 32),
    ),
    st.builds(
        lambda number, prefix: ipaddress.ip_network((number << 96 >> 96, prefix), strict=False),
        st.integers(1 << 32, (1 << 128) - 1),
        st.integers(114, 128),
    ),
    st.builds(
        lambda high, prefix: ipaddress.ip_network((high << 112, prefix), strict=False),
        st.integers(0, (1 << 16) - 1),
        st.integers(110, 128),
    ),
)


@given(networks)
@settings(max_examples=60, deadline=None)
def test_every_address_is_written_as_the_library_writes_it(network: Network) -> None:
    assert addresses(str(network), everything=True) == [str(each) for each in network]
    assert addresses(str(network)) == [str(each) for each in network.hosts()]


def test_a_network_of_any_size_takes_no_memory() -> None:
    tracemalloc.start()
    for subnet in ("10.0.0.0/8", "::/0"):
        pieces = address_pieces([parse_subnet(subnet)])
        assert sum(piece.count("\n") + 1 for piece in itertools.islice(pieces, 40)) > 1_000_000
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 8 << 20


def test_a_large_network_is_complete() -> None:
    count, last = 0, ""
    for piece in address_pieces([parse_subnet("10.0.0.0/12")]):
        count += piece.count("\n") + 1
        last = piece.rpartition("\n")[2]
    assert (count, last) == ((1 << 20) - 2, "10.15.255.254")


def test_what_there_is_to_say_of_a_subnet() -> None:
    facts = describe(parse_subnet("10.16.0.0/12"))
    assert (facts.first, facts.last, facts.broadcast) == ("10.16.0.1", "10.31.255.254", "10.31.255.255")
    assert (facts.mask, facts.address_count, facts.host_count) == ("255.240.0.0", 1 << 20, (1 << 20) - 2)
    point = describe(parse_subnet("192.0.2.0/31"))
    assert (point.first, point.last, point.broadcast, point.host_count) == ("192.0.2.0", "192.0.2.1", "", 2)
    wide = describe(parse_subnet("2001:db8::/32"))
    assert (wide.first, wide.mask, wide.host_count) == ("2001:db8::1", "", (1 << 96) - 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.0.0.1/8", "write 10.0.0.0/8 for the subnet that it is in, or 10.0.0.1 for the address alone"),
        ("2001:db8::1/64", "write 2001:db8::/64"),
        ("10.0.0.0/33", 'from 0 to 32, not "33"'),
        ("2001:db8::/129", 'from 0 to 128, not "129"'),
        ("10.0.0.0/", 'not ""'),
        ("10.0.0.0/-1", 'not "-1"'),
        ("10.0.0/8", "write an address and a prefix"),
        ("", "write an address and a prefix"),
        ("10.0.0.0 /8x", "from 0 to 32"),
    ],
)
def test_what_is_no_subnet_is_named_with_what_to_do(text: str, said: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_subnet(text)
    assert said in caught.value.text
    assert f'"{text.strip()}"' in caught.value.text


@given(st.text(max_size=40))
def test_any_text_is_a_subnet_or_refused(text: str) -> None:
    try:
        found = parse_subnet(text)
    except Refusal:
        return
    assert parse_subnet(str(found)) == found


def test_both_versions_in_one_call_are_refused() -> None:
    with pytest.raises(Refusal, match=r"192\.0\.2\.0/24 is IPv4 and 2001:db8::/32 is IPv6"):
        parse_subnets(["192.0.2.0/24", "192.0.2.0/25", "2001:db8::/32"])


def test_splitting() -> None:
    def split(prefix: int, *subnets: str) -> list[str]:
        return "\n".join(split_pieces(parse_subnets(subnets), prefix)).split("\n")

    assert split(9, "10.0.0.0/8") == ["10.0.0.0/9", "10.128.0.0/9"]
    assert split(33, "2001:db8::/32", "2001:db9::/33") == [
        "2001:db8::/33",
        "2001:db8:8000::/33",
        "2001:db9::/33",
    ]
    assert split(24, "192.0.2.0/24") == ["192.0.2.0/24"]
    assert len(split(24, "10.0.0.0/8")) == 1 << 16
    assert next(split_pieces([parse_subnet("::/0")], 128)).startswith("::/128\n::1/128")
    for prefix in (7, 33):
        with pytest.raises(
            Refusal, match=rf"10\.0\.0\.0/8 does not hold a /{prefix}: give a prefix from 8 to 32"
        ):
            split(prefix, "10.0.0.0/8")


def test_merging() -> None:
    def merged(*subnets: str) -> list[str]:
        return [str(each) for each in merge(parse_subnets(subnets))]

    assert merged("10.0.1.0/24", "10.0.0.0/24", "10.0.0.128/25", "10.9.0.0/32") == [
        "10.0.0.0/23",
        "10.9.0.0/32",
    ]
    assert merged("2001:db8::/33", "2001:db8:8000::/33") == ["2001:db8::/32"]
    assert merged() == []


@pytest.mark.parametrize(
    ("used", "prefix", "expected"),
    [
        ([], 24, "10.0.0.0/24"),
        (["10.0.0.0/24"], 24, "10.0.1.0/24"),
        (["10.0.0.0/25"], 24, "10.0.1.0/24"),
        (["10.0.0.0/25"], 25, "10.0.0.128/25"),
        (["10.0.0.128/25", "10.0.0.0/26"], 26, "10.0.0.64/26"),
        (["10.0.0.0/17", "10.0.128.0/24", "10.0.0.0/20"], 18, "10.0.192.0/18"),
        (["192.168.0.0/16"], 16, "10.0.0.0/16"),
        (["10.0.255.255"], 16, None),
        (["10.0.0.0/8"], 32, None),
        (["10.0.0.0/17", "10.0.128.0/18"], 17, None),
    ],
)
def test_the_next_free_subnet(used: list[str], prefix: int, expected: str | None) -> None:
    parent = parse_subnet("10.0.0.0/16")
    if expected is not None:
        assert str(next_free(parent, parse_subnets(used), prefix)) == expected
        return
    with pytest.raises(Refusal, match=rf"has no free /{prefix}"):
        next_free(parent, parse_subnets(used), prefix)


def test_when_nothing_of_the_size_is_free_the_largest_that_is_free_is_named() -> None:
    parent = parse_subnet("10.0.0.0/16")
    with pytest.raises(Refusal, match=r"the largest that is free is 10\.0\.192\.0/18"):
        next_free(parent, parse_subnets(["10.0.0.0/17", "10.0.128.0/19", "10.0.160.0/20"]), 17)
    with pytest.raises(Refusal, match="all of it is in use"):
        next_free(parent, [parent], 32)
    with pytest.raises(Refusal, match="give a prefix from 16 to 32"):
        next_free(parent, [], 8)
    with pytest.raises(Refusal, match="IPv6"):
        next_free(parent, parse_subnets(["::/0"]), 24)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(24, 32)), max_size=12), st.integers(24, 32))
@settings(deadline=None)
def test_the_next_free_subnet_is_the_first_of_all_that_are_free(
    used: list[tuple[int, int]], prefix: int
) -> None:
    parent = ipaddress.IPv4Network("192.0.2.0/24")
    taken = [ipaddress.IPv4Network((int(parent[0]) + number, size), strict=False) for number, size in used]
    free = [
        each for each in parent.subnets(new_prefix=prefix) if not any(each.overlaps(one) for one in taken)
    ]
    try:
        assert next_free(parent, taken, prefix) == free[0]
    except Refusal:
        assert free == []


def test_what_lies_in_what() -> None:
    subnets = parse_subnets(["10.0.0.0/24", "10.0.0.0/8", "10.0.0.128/25", "192.0.2.0/24"])
    whole, part = holders_of(parse_subnet("10.0.0.0/24"), subnets)
    assert [str(each) for each in whole] == ["10.0.0.0/24", "10.0.0.0/8"]
    assert [str(each) for each in part] == ["10.0.0.128/25"]
    assert holders_of(parse_subnet("198.51.100.1"), subnets) == ([], [])
    with pytest.raises(Refusal, match="IPv6"):
        holders_of(parse_subnet("::1"), subnets)
