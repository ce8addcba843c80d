"""The runs of a pool, compared with looking at every address."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Address

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.admin.pool_map import DECLINED, EXCLUDED, FREE, LEASED, OFFERED, RESERVED, counts, pool_runs
from holdfast.directory.dhcp import Reservation, Scope
from holdfast.kernel.iprange import IPRange, parse_ip_range

SUBNET = parse_ip_range("0.0.0.0/26")


def _range(first: int, last: int) -> IPRange:
    return IPRange(IPv4Address(first), IPv4Address(last))


@st.composite
def apart(draw: st.DrawFn, least: int, most: int) -> list[tuple[int, int]]:
    """Ranges in order that do not overlap."""
    ends = sorted(draw(st.sets(st.integers(least, most), max_size=12)))
    return list(zip(ends[::2], ends[1::2], strict=False))


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)).map(sorted),
    apart(0, 63),
    st.sets(st.integers(0, 63), max_size=8),
    apart(0, 63).flatmap(
        lambda runs: st.tuples(
            *(st.sampled_from(["active", "offered", "declined", "expired"]) for _ in runs)
        ).map(lambda words: [(*run, word) for run, word in zip(runs, words, strict=True)])
    ),
)
def test_every_address_is_in_one_run_of_its_state(
    pool: list[int],
    exclusions: list[tuple[int, int]],
    reserved: set[int],
    known: list[tuple[int, int, str]],
) -> None:
    scope = Scope("s", SUBNET, "d", _range(*pool), exclusions=tuple(_range(*each) for each in exclusions))
    reservations = [Reservation("s", IPv4Address(each), "02") for each in reserved]
    runs = pool_runs(scope, reservations, known)
    words = {"active": LEASED, "offered": OFFERED, "declined": DECLINED}
    expected = []
    for number in range(pool[0], pool[1] + 1):
        state = RESERVED if number in reserved else FREE
        state = next(
            (words[word] for first, last, word in known if first <= number <= last and word in words), state
        )
        if any(first <= number <= last for first, last in exclusions):
            state = EXCLUDED
        expected.append((number, state))
    assert [(number, state) for first, last, state in runs for number in range(first, last + 1)] == expected
    assert all(one[2] != other[2] for one, other in itertools.pairwise(runs)), runs
    assert sum(counts(runs).values()) == pool[1] - pool[0] + 1


def test_scope_without_a_pool_has_no_runs() -> None:
    assert pool_runs(Scope("s", SUBNET, "d"), [], [(1, 2, "active")]) == []
    assert counts([]) == dict.fromkeys((FREE, LEASED, OFFERED, DECLINED, RESERVED, EXCLUDED), 0)
