"""What the dhcp role tells management of failover, and what it does when an administrator orders it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from dhcp.conversations import NOW
from holdfast.drivers.dhcp_answers import DhcpAnswers
from holdfast.drivers.failover_requests import (
    ASK_PARTNER,
    ORDER_FAILOVER,
    REREAD_SECRETS,
    SHOW_FAILOVER,
    FailoverOrder,
    FailoverState,
    FailoverStates,
    SharedQuestion,
    SharedScope,
    SharedTold,
)
from holdfast.drivers.role_requests import Nothing, RequestKind
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.node.failover import Command
from holdfast.node.failover_status import Status

OFFSET_S = 1000.0
QUIET = Status(
    "pair", True, "COMMUNICATIONS-INTERRUPTED", 100, "NORMAL", 90, False, 95, -1.5, 3, 7.5,
    "everybody", 400.0, (("office", 40, 60, 50),), "nobody listens there",
    tuple(range(0x0A000001, 0x0A000017)), ("10.0.0.5 is strange",),
)  # fmt: skip
NEVER = Status(
    "new", False, "RECOVER", 100, "", 0, False, 0, None, 0, 0.0, "nobody", None, (), "no answer", (), ()
)


class Pair:
    """Partners as they would be."""

    def __init__(self) -> None:
        self.clock_offset_s = OFFSET_S
        self.ordered: list[tuple[str, Command, bool]] = []

    def status(self, now: float) -> list[Status]:
        assert now == NOW
        return [QUIET, NEVER]

    def command(self, now: float, relationship: str, command: Command, *, force: bool = False) -> None:
        if relationship != "pair":
            raise Refusal(f'this server has no failover relationship "{relationship}"')
        self.ordered.append((relationship, command, force))


class Node:
    """What is asked of the node."""

    def __init__(self) -> None:
        self.failover = Pair()
        self.durable = True


class Role:
    """A role with such partners."""

    def __init__(self) -> None:
        self.node = Node()
        self.pair = self.node.failover
        self.drained_count = 0
        self.answers = DhcpAnswers(self.node, self._drain, lambda: NOW)  # type: ignore[arg-type]  # enough of it

    def _drain(self) -> None:
        self.drained_count += 1

    def ask(self, kind: RequestKind, question: object) -> object:  # type: ignore[type-arg]  # of several kinds
        body = asyncio.run(self.answers.answer(kind.name, msgspec.msgpack.encode(question)))
        return msgspec.msgpack.decode(body, type=kind.answer)


def test_instants_are_those_of_the_machine() -> None:
    told = Role().ask(SHOW_FAILOVER, Nothing())
    assert isinstance(told, FailoverStates)
    quiet, new = told.relationships
    assert quiet == FailoverState(
        "pair", True, "COMMUNICATIONS-INTERRUPTED", 1100.0, "NORMAL", 1090.0, False, 1095.0, -1.5, 3, 7.5,
        "everybody", 1400.0, (SharedScope("office", 40, 60, 50),), "nobody listens there",
        differences=("10.0.0.5 is strange",),
        in_doubt=(*(f"10.0.0.{number}" for number in range(1, 21)), "and 2 more"),
    )  # fmt: skip
    assert (new.partner_since_at, new.spoken_at, new.waits_until_at) == (None, None, None)


def test_an_order_is_given_and_the_state_after_it_told() -> None:
    role = Role()
    state = role.ask(ORDER_FAILOVER, FailoverOrder("pair", "partner-down", force=True))
    assert isinstance(state, FailoverState)
    assert role.pair.ordered == [("pair", Command.PARTNER_DOWN, True)]
    assert (state.relationship, role.drained_count) == ("pair", 1)
    with pytest.raises(Refusal, match='"explode" is none of partner-down, recover'):
        role.ask(ORDER_FAILOVER, FailoverOrder("pair", "explode"))
    with pytest.raises(Refusal, match='no failover relationship "other"'):
        role.ask(ORDER_FAILOVER, FailoverOrder("other", "recover"))


def test_nothing_is_ordered_while_nothing_can_be_written() -> None:
    role = Role()
    role.node.durable = False
    with pytest.raises(Unavailable, match="nothing was done"):
        role.ask(ORDER_FAILOVER, FailoverOrder("pair", "recover"))
    assert role.pair.ordered == []


def test_secrets_are_read_again() -> None:
    role, times = Role(), []
    role.answers.failover.reread = lambda: times.append(1)
    assert role.ask(REREAD_SECRETS, Nothing()) == Nothing()
    assert (times, role.drained_count) == ([1], 1)


def test_the_partner_is_asked_and_compared() -> None:
    async def fetch(relationship: str) -> str:
        return f"all of {relationship}"

    role = Role()
    with pytest.raises(Unavailable, match="cannot be asked here"):
        role.ask(ASK_PARTNER, SharedQuestion("pair"))
    role.answers.failover.fetch = fetch
    role.answers.failover.compared = {"pair": "different", "new": ""}.__getitem__
    assert role.ask(ASK_PARTNER, SharedQuestion("pair")) == SharedTold("all of pair")
    assert [each.configuration for each in role.answers.failover.states()] == ["different", ""]
