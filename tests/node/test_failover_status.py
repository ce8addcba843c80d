"""How a relationship is, for people."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dhcp.conversations import reservation
from dhcp.partners import FIRST, Pair, related
from holdfast.node.failover import Command
from holdfast.node.failover_status import Status, status_of


def statuses(pair: Pair) -> tuple[Status, Status]:
    return status_of(pair.now, pair.first.endpoint), status_of(pair.now, pair.second.endpoint)


def test_two_that_speak() -> None:
    pair = Pair().normal()
    first, second = statuses(pair)
    assert (first.primary, second.primary) == (True, False)
    assert (first.state, first.partner_state, second.partner_state) == ("NORMAL", "NORMAL", "NORMAL")
    assert first.connected
    assert first.free_counts == (("office", 5, 5, 5),)
    assert (first.trouble, first.refused, first.untold_count) == ("", (), 0)


def test_reservations_that_the_partner_may_not_have() -> None:
    pair = Pair().normal().apart()
    reserved = tuple(reservation(address, mac) for address, mac in (
        ("10.0.0.12", "02:00:00:00:00:07"), ("10.0.0.11", "02:00:00:00:00:08"),
    ))  # fmt: skip
    pair.second.change(replace(related(), reservations=reserved))
    first, second = statuses(pair)
    assert (first.in_doubt, second.in_doubt) == ((), (FIRST + 1, FIRST + 2))


def test_one_that_is_left() -> None:
    pair = Pair().normal()
    pair.second.stop()
    pair.pass_s(6)
    assert pair.first.lease(1) is not None
    first = status_of(pair.now, pair.first.endpoint)
    assert (first.state, first.serves, first.connected) == ("COMMUNICATIONS-INTERRUPTED", "everybody", False)
    assert first.untold_count == 1
    assert first.spoken_at == pytest.approx(pair.now - 6, abs=1)
    assert pair.first.node is not None
    pair.first.node.failover.command(pair.now, "pair", Command.PARTNER_DOWN)
    pair.first.drain()
    down = status_of(pair.now, pair.first.endpoint)
    assert down.waits_until is not None
    assert down.waits_until == pytest.approx(pair.now + 60, abs=2)
