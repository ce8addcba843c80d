"""Blows fall in their order, also a second one; what only one server had is asked for before it is hit."""

from __future__ import annotations

import asyncio
import json
import random
import time

import pytest

from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.lab import blows as blows_module
from holdfast.lab.blows import Blows
from holdfast.lab.drill_plan import Blow, Letter, Orders, Schedule
from holdfast.lab.load import Load, subject_of
from holdfast.lab.sheet import TWO_SERVERS, Machine

PLAN = Schedule("mail1", 0.0, 0.02, None)
BOTH = Schedule("mail1", 0.0, 0.02, None, "mail2", 0.01)
A = "a@lab.test"


class Recorder:
    """A stage that writes down what is done to it."""

    machines: tuple[Machine, ...] = TWO_SERVERS.machines

    def __init__(self, *, returns: bool = True, refuses: bool = False) -> None:
        self.mailboxes: dict[str, Machine] = {}
        self.done: list[str] = []
        self._returns = returns
        self._refuses = refuses

    def passwords(self) -> dict[str, str]:
        return {}

    def check(self, orders: Orders) -> None:
        return

    def hit(self, name: str, orders: Orders) -> None:
        self.done.append(f"{orders.blow.value} {name}{' without its queue' if orders.lose_queue else ''}")

    def undo(self, name: str, orders: Orders) -> None:
        self.done.append(f"undo {orders.blow.value} {name}")

    def serves(self, name: str) -> bool:
        return self._returns

    def where_to_look(self, name: str) -> str:
        return "look at its log"

    def manage(self, name: str, *words: str) -> str:
        if self._refuses:
            raise Refusal("not now")
        self.done.append(f"{name}: {' '.join(words[:2])}")
        unprotected = [
            {"network_message_id": "id-7", "recipients": [A]},
            {"network_message_id": "id-x", "recipients": [A]},
        ]
        rows = [
            {"network_message_id": "id-7", "subject": subject_of("run", 7)},
            {"network_message_id": "id-x", "subject": "somebody's letter"},
        ]
        return json.dumps({"unprotected": unprotected, "rows": rows})


def strike(stage: Recorder, plan: Schedule, **given: object) -> Blows:
    orders = Orders(**({"rate": 1.0, "load_s": 1.0, "seed": 1} | given))  # type: ignore[arg-type]  # one of each

    async def run() -> Blows:
        load = Load((), iter(()), 1.0, "run", random.Random(1))
        load.sent.letters[7] = Letter(7, (A,), 400)
        blows = Blows(stage, orders, plan, "run")
        await blows.strike(load, time.monotonic())
        return blows

    return asyncio.run(run())


@pytest.mark.parametrize("blow", [Blow.KILL, Blow.FREEZE, Blow.CUT])
def test_a_server_is_hit_and_brought_back(blow: Blow) -> None:
    stage = Recorder()
    blows = strike(stage, PLAN, blow=blow)
    assert stage.done == [f"{blow.value} mail1", f"undo {blow.value} mail1"]
    assert [each.what for each in blows.marks][-1] == "back"
    ((name, gap),) = blows.down
    assert name == "mail1"
    assert gap.span_s > 0


def test_nobody_is_hit_when_nobody_is_to_be() -> None:
    stage = Recorder()
    assert strike(stage, PLAN, blow=Blow.NONE).marks == []
    assert stage.done == []


def test_the_others_are_told_that_it_is_lost() -> None:
    stage = Recorder()
    blows = strike(stage, Schedule("mail1", 0.0, 0.02, 0.01))
    assert stage.done == ["kill mail1", "mail2: server declare-lost", "undo kill mail1"]
    assert [each.what for each in blows.marks] == ["killed", "declared lost on mail2", "back"]
    refused = strike(Recorder(refuses=True), Schedule("mail1", 0.0, 0.02, 0.01))
    assert refused.notes == ["mail2 did not take the word that mail1 is lost: not now"]


def test_before_the_second_is_hit_it_names_what_only_it_has() -> None:
    stage = Recorder()
    blows = strike(stage, BOTH)
    assert stage.done == [
        "kill mail1",
        "mail2: message protection",
        "mail2: message track",
        "kill mail2 without its queue",
        "undo kill mail1",
        "undo kill mail2",
    ]
    assert blows.named == {(7, A)}
    assert blows.named_entries == {("id-7", A), ("id-x", A)}
    assert [each.server for each in blows.marks] == ["mail1", "mail2", "mail1", "mail2"]


def test_who_names_nothing_may_lose_nothing() -> None:
    blows = strike(Recorder(refuses=True), BOTH)
    assert blows.named == set()
    assert any("did not say `message protection`" in each for each in blows.notes)


def test_a_server_that_does_not_come_back_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blows_module, "READY_TIMEOUT_S", 0.0)
    with pytest.raises(Unavailable, match="mail1 does not come back; look at its log"):
        strike(Recorder(returns=False), PLAN)
