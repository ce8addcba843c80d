"""Settings of a relationship that are changed while it runs: on one server first, or while both are apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dhcp.partners import Pair, Server, related
from holdfast.dhcp.failover_states import State
from holdfast.node.failover import Command


@pytest.fixture
def pair() -> Pair:
    return Pair().normal()


def partner_is_down(server: Server) -> None:
    assert server.node is not None
    server.node.failover.command(server.pair.now, "pair", Command.PARTNER_DOWN)
    server.drain()


def leases(server: Server, clients: range) -> dict[str, float]:
    """Have all these clients ask; until when who got one has which address."""
    now = server.pair.now
    return {given[0]: now + given[1] for each in clients if (given := server.lease(each)) is not None}


@pytest.mark.parametrize(("lowered_at", "mclt_s"), [(1, 5.0), (2, 5.0), (1, 600.0), (2, 600.0)])
def test_an_mclt_that_one_alone_was_told_leases_no_address_twice(
    pair: Pair, lowered_at: int, mclt_s: float
) -> None:
    # It happened: of a lease that the partner gave by an MCLT of a minute nothing was known, and its address
    # was leased again after the five seconds that held here; or the other way round.
    changed, other = pair.server(lowered_at), pair.server(3 - lowered_at)
    pair.apart()
    changed.change(related(mclt_s=mclt_s))
    pair.pass_s(8)
    first, left = (other, changed) if mclt_s < 60 else (changed, other)
    given = leases(first, range(1, 30))
    assert given
    first.stop()
    partner_is_down(left)
    pair.pass_s(62 if mclt_s > 60 else 8)
    again = leases(left, range(101, 130))
    assert [each for each in again if given.get(each, 0.0) > pair.now] == []
    # Once the MCLT that held is over, all addresses are leased.
    pair.pass_s(60)
    assert set(given) <= {*again, *leases(left, range(201, 230))}


def test_an_mclt_that_both_were_told_holds_when_they_have_met(pair: Pair) -> None:
    for server in (pair.first, pair.second):
        server.change(related(mclt_s=600.0))
    pair.pass_s(12)
    assert pair.states == ("NORMAL", "NORMAL")
    assert {round(each - pair.now) for each in leases(pair.first, range(1, 4)).values()} == {600}


def test_a_shorter_mclt_counts_for_waiting_when_nothing_of_the_longer_one_is_left(pair: Pair) -> None:
    for server in (pair.first, pair.second):
        server.change(related(mclt_s=10.0))
    pair.pass_s(12)
    assert {round(each - pair.now) for each in leases(pair.first, range(1, 4)).values()} == {10}
    assert pair.first.records["pair"].mclt_s == 60
    pair.pass_s(62)
    assert pair.first.records["pair"].mclt_s == pair.second.records["pair"].mclt_s == 10
    pair.second.stop()
    pair.pass_s(1)
    partner_is_down(pair.first)
    pair.pass_s(12)
    assert pair.first.endpoint.authority.fresh
    assert len(leases(pair.first, range(11, 30))) >= 7


def test_a_setting_that_is_changed_in_the_second_of_a_connect_does_not_part_them() -> None:
    # It happened: the CONNECT of the same second was refused as one that was said before, for a minute.
    pair = Pair(secrets=("open sesame", "open sesame")).normal()
    for split_percent in (70, 60, 50):
        pair.first.change(related(split_percent=split_percent))
        pair.pass_s(0.25)
    pair.pass_s(12)
    assert pair.states == ("NORMAL", "NORMAL")
    assert pair.first.texts("DHC-0405") == pair.second.texts("DHC-0404") == []


def test_a_setting_that_is_changed_without_the_partner_stops_service_for_seconds_only(pair: Pair) -> None:
    # It happened: a server that had run for longer than MCLT waited half a minute for its partner.
    pair.pass_s(300)
    pair.second.stop()
    pair.pass_s(6)
    pair.first.change(related(split_percent=70))
    pair.pass_s(6)
    assert pair.first.state is State.COMMUNICATIONS_INTERRUPTED
    assert pair.first.lease(1) is not None


@pytest.mark.parametrize("name", ["new", "pair"])
def test_a_new_partner_leases_nothing_that_the_one_before_may_have_leased(pair: Pair, name: str) -> None:
    # It happened: a partner that was gone for good was replaced by another, in a relationship that was
    # deleted and created again; the new one had the free addresses of the old one at once.
    pair.apart()
    given = leases(pair.second, range(1, 30))
    assert len(given) == 5
    pair.second.stop()
    (relationship,) = related().failover_relationships
    pair.first.change(replace(related(), failover_relationships=()))
    pair.pass_s(2)
    declared = replace(related(), failover_relationships=(replace(relationship, name=name),))
    pair.first.change(declared)
    pair.second.declared, pair.second.alive_at = declared, 0.0
    for lost in (pair.second.disk, pair.second.records):
        lost.clear()
    pair.cut = False
    pair.second.start()
    for client in range(101, 160):
        pair.pass_s(1)
        for server in (pair.first, pair.second):
            got = server.lease(client)
            assert got is None or given.get(got[0], 0.0) <= pair.now
    pair.pass_s(20)
    assert {each.node.failover.endpoints[name].state for each in (pair.first, pair.second) if each.node} == {
        State.NORMAL
    }
