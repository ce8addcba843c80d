"""What was declared, made ready."""

from __future__ import annotations

from dataclasses import replace

from dhcp.conversations import option, organisation, packed, reservation, scope
from holdfast.dhcp.served import lease_seconds, make_served, subtract
from holdfast.directory.dhcp import Condition, ConditionField, Policy
from holdfast.directory.failover import FailoverRelationship
from holdfast.kernel.iprange import parse_ip_range


def number(address: str) -> int:
    return int.from_bytes(packed(address), "big")


def test_ranges_with_holes() -> None:
    assert subtract([(10, 20)], []) == ((10, 20),)
    assert subtract([(10, 20)], [(12, 13), (15, 15), (20, 30)]) == ((10, 11), (14, 14), (16, 19))
    assert subtract([(10, 20)], [(0, 99)]) == ()
    assert subtract([(15, 25), (10, 20)], []) == ((10, 20), (21, 25))
    assert subtract([(10, 20), (12, 14)], []) == ((10, 20),)


def test_policies_take_their_part_of_the_pool() -> None:
    policy = Policy(
        "phones",
        (Condition(ConditionField.MAC, ("00:1a*",)),),
        ranges=(parse_ip_range("10.0.0.12-10.0.0.15"),),
    )
    declared = organisation(
        scope(policies=(policy,), exclusions=(parse_ip_range("10.0.0.14"),)),
        reservations=(
            reservation("10.0.0.10", "02:00:00:00:00:01"),
            reservation("10.0.0.99", "02:00:00:00:00:02"),
        ),
    )
    (served,) = make_served(declared, "ns1").scopes
    first = number("10.0.0.0")
    assert [[(low - first, high - first) for low, high in ranges] for ranges in served.pool_ranges] == [
        [(10, 11), (16, 19)], [(12, 13), (15, 15)],
    ]  # fmt: skip
    assert served.unreserved_count == 8
    assert (served.mask, served.broadcast) == (packed("255.255.255.0"), packed("10.0.0.255"))
    assert served.policies[0].pool == 1


def test_what_cannot_be_used_is_left_out_and_named() -> None:
    wrong = Policy("wrong", (Condition(ConditionField.VENDOR_CLASS, ("gone",)),))
    declared = organisation(
        scope(policies=(wrong,), options=(option(3, "no address"), option(6, "10.0.0.53"), option(230, "x"))),
        reservations=(reservation("10.0.0.9", "zz"),),
    )
    served = make_served(declared, "ns1")
    assert len(served.scopes) == 1
    assert [value.code for value in served.scopes[0].options.values] == [6]
    assert len(served.problems) == 4
    assert any('"no address"' in problem for problem in served.problems)


def test_scopes_of_others_and_disabled_ones_are_not_ours() -> None:
    declared = organisation(
        scope("ours"), scope("theirs", "10.1.0.0/24", "10.1.0.10", server="ns2"),
        scope("off", "10.2.0.0/24", "10.2.0.10", enabled=False),
    )  # fmt: skip
    assert [each.name for each in make_served(declared, "ns1").scopes] == ["ours"]


def test_leases_in_seconds() -> None:
    assert lease_seconds(3600.5, unlimited=False) == 3600
    assert lease_seconds(0.1, unlimited=False) == 1
    assert lease_seconds(1e12, unlimited=False) == 0xFFFFFFFE
    assert lease_seconds(5, unlimited=True) == 0xFFFFFFFF


def test_a_shared_scope_is_served_by_both_partners_when_it_is_the_primarys() -> None:
    shared = FailoverRelationship("pair", ("ns1", "ns2"), ("office",))
    declared = organisation(scope(), failover_relationships=(shared,))
    assert len(make_served(declared, "ns1").scopes) == 1
    partner = make_served(declared, "ns2")
    assert [each.name for each in partner.scopes] == ["office"]
    assert partner.problems == ()
    turned = replace(declared, failover_relationships=(replace(shared, servers=("ns2", "ns1")),))
    partner = make_served(turned, "ns2")
    assert partner.scopes == ()
    assert partner.problems == (
        'scope "office" is leased by ns1 alone: make the primary of its failover relationship its server',
    )
