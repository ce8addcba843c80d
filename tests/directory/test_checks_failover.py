"""Each thing that is wrong with a failover relationship is told with its values."""

from __future__ import annotations

import dataclasses
import typing

import pytest
from tests.directory.dhcp_organisation import BASE, with_scopes

from holdfast.directory.checks import check_organisation
from holdfast.directory.model import FailoverRelationship, Organisation, Scope
from holdfast.kernel.iprange import parse_ip_range

LAB = Scope("lab", parse_ip_range("198.51.100.0/24"), "dhcp1")
THEIRS = dataclasses.replace(LAB, server="dhcp2")

ADDRESSES = {"dhcp1": ("192.0.2.1",), "dhcp2": ("192.0.2.2",)}
WITH_ADDRESSES = dataclasses.replace(
    BASE,
    servers=tuple(dataclasses.replace(each, addresses=ADDRESSES.get(each.name, ())) for each in BASE.servers),
)


def pair(*servers: str, **changes: typing.Any) -> FailoverRelationship:
    return FailoverRelationship("pair", servers or ("dhcp1", "dhcp2"), **changes)


def with_pairs(*pairs: FailoverRelationship, base: Organisation = BASE) -> Organisation:
    return dataclasses.replace(base, failover_relationships=pairs)


CASES: dict[str, tuple[Organisation, list[str]]] = {
    "as it should be": (
        with_pairs(pair(scopes=("office", "lab")), base=with_scopes(BASE.scopes[0], LAB)),
        [],
    ),
    "one server": (with_pairs(pair("dhcp1")), ['"pair": has 1 servers; it has two different partners']),
    "the same server twice": (with_pairs(pair("dhcp1", "dhcp1")), ['has server "dhcp1" twice']),
    "a server without the role": (
        with_pairs(pair("dhcp1", "mail1")),
        ['server "mail1" does not have the role dhcp'],
    ),
    "a scope of somebody else": (
        with_pairs(
            pair("dhcp1", "dhcp2", scopes=("far",)),
            base=with_scopes(Scope("far", parse_ip_range("198.51.100.0/24"), "mail1")),
        ),
        ['server "mail1" does not have the role dhcp', 'scope "far" belongs to server "mail1"'],
    ),
    "a scope of the secondary": (
        with_pairs(pair(scopes=("lab",)), base=with_scopes(THEIRS)),
        ['scope "lab" belongs to server "dhcp2", which is the secondary; its leases go on where "dhcp2"'],
    ),
    "a scope twice in one": (
        with_pairs(pair(scopes=("office", "office"))),
        ['names scope "office" twice'],
    ),
    "a scope in two": (
        with_pairs(pair(scopes=("office",)), FailoverRelationship("other", ("dhcp1", "dhcp2"), ("office",))),
        ['scope "office": is in failover relationships "pair" and "other"'],
    ),
    "one address": (with_pairs(pair(addresses=("192.0.2.1",))), ["has 1 addresses; give one for each"]),
    "addresses in the order of the other": (
        with_pairs(pair(addresses=("192.0.2.2", "192.0.2.1")), base=WITH_ADDRESSES),
        [
            'gives server "dhcp1" the address 192.0.2.2, which server "dhcp2" has',
            'gives server "dhcp2" the address 192.0.2.1, which server "dhcp1" has',
        ],
    ),
    "addresses of two kinds": (
        with_pairs(pair(addresses=("192.0.2.1", "2001:db8::2"))),
        ["192.0.2.1 and 2001:db8::2 do not reach each other"],
    ),
    "addresses of nobody and of many": (
        with_pairs(pair(addresses=("0.0.0.0", "224.0.0.1"))),
        ["0.0.0.0 is not that of one machine", "224.0.0.1 is not that of one machine"],
    ),
    "addresses that are none, and the same": (
        with_pairs(pair(addresses=("x", "x"))),
        ['its address "x" is no IP address', 'its address "x"', "both partners have the address x"],
    ),
    "no lead time": (with_pairs(pair(mclt_s=0.0)), ["mclt is 0 seconds; write whole seconds, 1 to"]),
    "half a second": (with_pairs(pair(receive_timeout_s=0.5)), ["receive_timeout is 0.5 seconds"]),
    "switch over before the partner can be missed": (
        with_pairs(pair(switch_over_s=3.0)),
        ["switch_over is 3 seconds, receive_timeout is 3; let it be longer"],
    ),
    "shares above all": (
        with_pairs(pair(split_percent=101, reserve_percent=-1)),
        ["split_percent is 101; it is at most 100", "reserve_percent is -1; it is at least 0"],
    ),
    "too many of one server": (
        with_pairs(*(FailoverRelationship(f"p{number}", ("dhcp1", "dhcp2")) for number in range(32))),
        [
            'server "dhcp1": is in 32 failover relationships, more than 31; put the scopes',
            'server "dhcp2": is in 32 failover relationships',
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_problems(case: str) -> None:
    organisation, expected = CASES[case]
    problems = [str(each) for each in check_organisation(organisation)]
    assert len(problems) == len(expected), problems
    for part in expected:
        assert any(part in each for each in problems), (part, problems)
