"""What a change of a relationship means for clients is told before it is made, and only then."""

from __future__ import annotations

import dataclasses

import pytest
from tests.directory.dhcp_organisation import BASE

from holdfast.directory.dangers import find_dangers
from holdfast.directory.failover import FailoverMode
from holdfast.directory.model import FailoverRelationship, Organisation

ADDRESSES = {"dhcp1": ("192.0.2.1",), "dhcp2": ("192.0.2.2",)}
REACHED = dataclasses.replace(
    BASE,
    servers=tuple(dataclasses.replace(each, addresses=ADDRESSES.get(each.name, ())) for each in BASE.servers),
)
PAIR = FailoverRelationship("pair", ("dhcp1", "dhcp2"), ("office",))
EMPTY = dataclasses.replace(PAIR, scopes=())


def with_pair(pair: FailoverRelationship, base: Organisation = REACHED) -> Organisation:
    return dataclasses.replace(base, failover_relationships=(pair,))


CASES: dict[str, tuple[Organisation, Organisation, list[str]]] = {
    "nothing changes": (with_pair(PAIR), with_pair(PAIR), []),
    "a relationship without scopes": (REACHED, with_pair(EMPTY), []),
    "scopes are shared": (
        REACHED,
        with_pair(PAIR),
        ['scope "office" is shared from now on by dhcp1 and dhcp2'],
    ),
    "a scope joins": (with_pair(EMPTY), with_pair(PAIR), ['scope "office" is shared from now on']),
    "a scope leaves": (
        with_pair(PAIR),
        with_pair(EMPTY),
        ['server "dhcp1" leases scope "office" alone from now on: clients keep their addresses'],
    ),
    "the relationship goes": (with_pair(PAIR), REACHED, ['server "dhcp1" leases scope "office" alone']),
    "what both must know alike": (
        with_pair(PAIR),
        with_pair(dataclasses.replace(PAIR, mclt_s=60.0, port=648)),
        ['"pair" changes its mclt and port: change it on both partners, they refuse each other'],
    ),
    "how they share is changed": (
        with_pair(PAIR),
        with_pair(dataclasses.replace(PAIR, split_percent=70)),
        ['"pair" changes its split_percent: change it on both partners, they share addresses by different'],
    ),
    "the standby has nothing": (
        with_pair(PAIR),
        with_pair(dataclasses.replace(PAIR, mode=FailoverMode.HOT_STANDBY, reserve_percent=0)),
        [
            '"pair" changes its mode and reserve_percent: change it on both partners',
            'server "dhcp2" has no free address of its own in failover relationship "pair": while "dhcp1" is',
        ],
    ),
    "the first has nothing": (
        REACHED,
        with_pair(dataclasses.replace(EMPTY, split_percent=0)),
        ['server "dhcp1" has no free address of its own in failover relationship "pair": while "dhcp2" is'],
    ),
    "an MCLT of years": (
        REACHED,
        with_pair(dataclasses.replace(EMPTY, mclt_s=1e9)),
        ['"pair" has an MCLT of 1000000000s: when a partner is lost, the addresses that were its to lease'],
    ),
    "what each may have for itself": (
        with_pair(PAIR),
        with_pair(dataclasses.replace(PAIR, receive_timeout_s=9.0)),
        [],
    ),
    "switch over by itself": (
        with_pair(PAIR),
        with_pair(dataclasses.replace(PAIR, switch_over_s=3600.0)),
        ['"pair" switches over by itself after 1h'],
    ),
    "servers without an address": (
        BASE,
        with_pair(EMPTY, BASE),
        ['server "dhcp1" of failover relationship "pair" has no IPv4 address', 'server "dhcp2" of'],
    ),
    "an address goes": (
        with_pair(EMPTY),
        with_pair(EMPTY, BASE),
        ['server "dhcp1" of failover relationship "pair" has no IPv4 address', 'server "dhcp2" of'],
    ),
    "it was so before": (with_pair(EMPTY, BASE), with_pair(EMPTY, BASE), []),
}


@pytest.mark.parametrize("case", CASES)
def test_dangers(case: str) -> None:
    before, after, expected = CASES[case]
    dangers = find_dangers(before, after)
    assert len(dangers) == len(expected), dangers
    for danger, part in zip(dangers, expected, strict=True):
        assert part in danger


def test_many_scopes_are_not_all_named() -> None:
    names = tuple(f"s{number}" for number in range(8))
    scopes = tuple(dataclasses.replace(BASE.scopes[0], name=name) for name in names)
    before = dataclasses.replace(REACHED, scopes=scopes)
    (danger,) = find_dangers(before, with_pair(dataclasses.replace(PAIR, scopes=names), before))
    assert 'scopes "s0", "s1", "s2", "s3", "s4" and 3 more are shared' in danger
