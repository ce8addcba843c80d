"""One side of a relationship where a pair does not show it: the disk, unknown states, orders."""

from __future__ import annotations

import pytest

from dhcp.partners import Pair
from holdfast.dhcp.failover_states import State
from holdfast.dhcp.lease import FREE
from holdfast.kernel.errors import Refusal
from holdfast.node.failover import Command
from holdfast.wire.failover_messages import StateTold, UpdateRequest, UpdateRequestAll


def test_a_state_takes_effect_when_it_is_durable_and_not_before() -> None:
    pair = Pair().normal()
    pair.second.stop()
    pair.first.durable = False
    pair.pass_s(4)
    assert pair.first.state is State.NORMAL  # that it is interrupted could not be written
    pair.first.durable = True
    pair.pass_s(3)
    assert pair.first.state is State.COMMUNICATIONS_INTERRUPTED
    assert State(pair.first.records["pair"].state) is State.COMMUNICATIONS_INTERRUPTED


def test_a_state_that_the_protocol_does_not_know_ends_the_connection() -> None:
    pair = Pair().normal()
    pair.first.endpoint.link.say(pair.now, StateTold(77, 0, int(pair.now)))
    pair.pass_s(1)
    assert any("state 77" in text for text in pair.second.texts("DHC-0403"))
    pair.pass_s(15)
    assert pair.states == ("NORMAL", "NORMAL")


def test_a_server_that_starts_again_is_where_it_was() -> None:
    pair = Pair().normal()
    pair.first.stop()
    pair.pass_s(2)
    pair.first.start()
    assert pair.first.state is State.STARTUP
    assert pair.first.lease(1) is None
    pair.pass_s(10)
    assert pair.states == ("NORMAL", "NORMAL")
    assert pair.first.said.count(UpdateRequestAll()) == 1  # of the first pairing


def test_a_start_without_a_partner_serves_after_a_few_seconds() -> None:
    pair = Pair().normal()
    pair.first.stop()
    pair.second.stop()
    pair.first.start()
    pair.pass_s(6)
    assert pair.first.state is State.COMMUNICATIONS_INTERRUPTED
    assert pair.first.lease(1) is not None


def test_an_order_to_recover_asks_for_everything() -> None:
    pair = Pair().normal()
    assert pair.first.lease(1) is not None
    pair.pass_s(1)
    pair.second.said.clear()
    pair.second.endpoint.recover(pair.now)
    assert pair.second.node is not None
    pair.second.node.failover.timer(pair.now)
    pair.second.node.timer(pair.now)
    pair.second.drain()
    pair.pass_s(80)
    assert UpdateRequestAll() in pair.second.said
    assert pair.states == ("NORMAL", "NORMAL")


def test_orders_that_make_no_sense_say_why() -> None:
    pair = Pair().normal()
    with pytest.raises(Refusal, match="nothing is to be resumed"):
        pair.first.endpoint.resume(pair.now)
    lone = Pair()
    lone.first.start()
    lone.pass_s(10)
    with pytest.raises(Refusal, match="may not know all leases of its partner"):
        lone.first.endpoint.partner_down(lone.now)
    lone.first.endpoint.partner_down(lone.now, force=True)


def test_until_when_something_lasts_is_known() -> None:
    pair = Pair(switch_over_s=30.0).normal()
    assert pair.first.endpoint.waits_until() is None
    pair.second.stop()
    pair.pass_s(1)
    until = pair.first.endpoint.waits_until()
    assert until is not None
    assert 27 <= until - pair.now <= 30
    assert pair.first.node is not None
    (status,) = pair.first.node.failover.status(pair.now)
    assert status.serves == "everybody"


def test_a_partner_in_recover_is_told_nothing_that_it_did_not_ask_for() -> None:
    """It took the end of a lease that it had extended before its disk was lost: the address was leased."""
    pair = Pair().normal()
    endpoint = pair.first.endpoint
    assert endpoint._tells
    endpoint.partner_state = State.RECOVER
    assert not endpoint._tells
    endpoint.partner_state = State.RECOVER_WAIT
    assert endpoint._tells


def test_what_became_durable_while_a_scope_was_closed_is_told_when_it_opens() -> None:
    """Found by the simulator: the lease ended in that moment, and each waited for the other's word."""
    pair = Pair().normal()
    assert pair.first.lease(1) is not None
    pair.pass_s(2)
    endpoint = pair.second.endpoint
    endpoint.pools.closed = frozenset(endpoint.settings.scopes)
    assert pair.second.node is not None
    pair.second.node.failover._share()
    pair.pass_s(120)
    assert endpoint.pools.closed == frozenset()
    assert [each.status for each in pair.second.disk.values() if each.hardware] == [FREE]


def test_a_conflict_that_begins_again_waits_for_the_primary_to_resolve_it() -> None:
    """Found by the simulator: the secondary was NORMAL first, and its primary in CONFLICT-DONE for ever."""
    pair = Pair().normal().apart()
    first = pair.first.endpoint  # as if they had parted right after it resolved an earlier one
    first.state = State.CONFLICT_DONE
    first._keep(state=int(first.state), resume=int(first.state))
    assert pair.second.node is not None
    pair.second.node.failover.command(pair.now, "pair", Command.PARTNER_DOWN)
    pair.second.drain()
    assert pair.states == ("CONFLICT-DONE", "PARTNER-DOWN")
    said = pair.first.said = pair.second.said = []
    pair.cut = False
    pair.pass_s(10)
    assert pair.states == ("NORMAL", "NORMAL")
    resolved = [at for at, each in enumerate(said) if _is_state(each, State.CONFLICT_DONE)]
    asked = [at for at, each in enumerate(said) if each == UpdateRequest()]
    # The primary asks, has resolved it, and then the secondary asks.
    assert len(asked) == 2
    assert asked[0] < resolved[-1] < asked[1]


def _is_state(said: object, state: State) -> bool:
    return isinstance(said, StateTold) and said.state == state
