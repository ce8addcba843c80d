"""What an administrator orders is done by the role, and what is dangerous is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.admin.conftest import World
from tests.admin.failover_answers import PairRole, state
from tests.admin.test_verbs_dhcp_failover import servers  # noqa: F401  # the fixture

from holdfast.drivers.failover_requests import FailoverOrder
from holdfast.kernel.errors import Refusal, Unavailable

Call = Callable[..., Any]
DANGERS = {
    "partner-down": "when second still runs, two clients get the same address",
    "recover": "until it has asked second for everything, and the MCLT (3600 s) has passed",
    "pause": "until: holdfast dhcp failover resume pair",
    "shutdown": "second takes everything over",
}


@pytest.fixture(autouse=True)
def _pair(call: Call, servers: None) -> None:  # noqa: F811  # the fixture
    call("dhcp failover create", name="pair", partner="second", yes=True)


@pytest.mark.parametrize("command", DANGERS)
def test_what_is_dangerous_is_asked_for(call: Call, world: World, command: str) -> None:
    world.dhcp = role = PairRole(state(), state(state="PARTNER-DOWN"))
    with pytest.raises(Refusal, match="nothing was done: it is dangerous") as caught:
        call(f"dhcp failover {command}", name="pair")
    assert DANGERS[command] in caught.value.problems[0].text
    assert role.ordered == []
    done = call(f"dhcp failover {command}", name="PAIR", yes=True)
    assert role.ordered == [FailoverOrder("pair", command)]
    assert (done.relationship, done.before, done.after) == ("pair", "NORMAL", "PARTNER-DOWN")
    assert "leases alone" in done.meaning


def test_going_on_needs_no_yes_and_force_is_passed_on(call: Call, world: World) -> None:
    world.dhcp = role = PairRole(state(state="PAUSED"), state())
    assert call("dhcp failover resume", name="pair").after == "NORMAL"
    call("dhcp failover partner-down", name="pair", yes=True, force=True)
    assert role.ordered == [
        FailoverOrder("pair", "resume"),
        FailoverOrder("pair", "partner-down", force=True),
    ]


def test_a_server_that_is_no_partner_sends_to_one(call: Call, world: World) -> None:
    world.dhcp = PairRole(state())
    world.server_name = "elsewhere"
    with pytest.raises(Refusal, match="order it at one of demo and second"):
        call("dhcp failover resume", name="pair")


def test_without_the_role_nothing_is_ordered(call: Call) -> None:
    with pytest.raises(Unavailable, match="the dhcp role is not running"):
        call("dhcp failover resume", name="pair")
