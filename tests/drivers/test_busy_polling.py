"""When an event loop looks again before it sleeps, and that it lets everybody have his turn."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest

from holdfast.drivers import busy_polling
from holdfast.drivers.busy_polling import AWAY_S, CLIENT_COUNT_MAX, LOOK_S, REST_S, BusyPolling

SOON, LATE = LOOK_S / 2, LOOK_S * 2


class Turns:
    """A loop whose turns, and a clock whose time, are a test's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.waiting: list[Callable[[], None]] = []
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self)
        monkeypatch.setattr(busy_polling.clock, "steady", lambda: self.now)

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)

    def turn(self) -> None:
        """One turn of the loop."""
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()

    def hear(self, polling: BusyPolling, after_s: float, client_count: int = 1) -> bool:
        self.now += after_s
        polling.heard(self.now, client_count)
        return polling.looking


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    return Turns(monkeypatch)


def test_it_looks_after_two_things_that_came_soon_and_ends_when_nothing_more_comes(turns: Turns) -> None:
    polling = BusyPolling(2)
    assert not turns.hear(polling, LATE)
    assert not turns.hear(polling, LATE), "whoever is far away is slept for"
    assert turns.hear(polling, SOON)
    assert turns.hear(polling, SOON)
    assert len(turns.waiting) == 1, "one look at a time, however much comes"
    turns.turn()
    assert len(turns.waiting) == 1
    turns.now += LATE
    turns.turn()
    assert (polling.looking, turns.waiting) == (False, [])
    assert not turns.hear(polling, LATE)
    assert turns.hear(polling, SOON), "and begins again"


def test_whoever_else_wants_the_processor_has_it_between_two_looks(
    turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    yielded_at: list[float] = []
    monkeypatch.setattr(os, "sched_yield", lambda: yielded_at.append(turns.now))
    polling = BusyPolling(2)
    turns.hear(polling, LATE)
    assert turns.hear(polling, SOON)
    turns.turn()
    turns.turn()
    assert yielded_at == [turns.now, turns.now]
    turns.now += LATE
    turns.turn()
    assert len(yielded_at) == 2, "after the last look it sleeps"


@pytest.mark.parametrize(
    ("client_count", "looks"),
    [(0, False), (1, True), (CLIENT_COUNT_MAX, True), (CLIENT_COUNT_MAX + 1, False)],
)
def test_only_for_a_few_clients(turns: Turns, client_count: int, looks: bool) -> None:
    polling = BusyPolling(2)
    turns.hear(polling, LATE, client_count)
    assert turns.hear(polling, SOON, client_count) == looks


def test_when_somebody_else_needs_the_processor_nothing_is_looked_for_for_a_while(
    turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def somebody_else() -> None:
        turns.now += AWAY_S * 1.01

    polling = BusyPolling(2)
    turns.hear(polling, LATE)
    assert turns.hear(polling, SOON)
    monkeypatch.setattr(os, "sched_yield", somebody_else)
    turns.turn()
    turns.turn()
    assert (polling.looking, turns.waiting) == (False, [])
    begun = turns.now
    while not turns.hear(polling, SOON):
        pass
    assert turns.now - begun == pytest.approx(REST_S, abs=LOOK_S)


def test_it_ends_when_there_are_many_clients(turns: Turns) -> None:
    polling = BusyPolling(2)
    turns.hear(polling, LATE)
    assert turns.hear(polling, SOON)
    assert not turns.hear(polling, SOON, CLIENT_COUNT_MAX + 1)
    assert turns.hear(polling, SOON), "and some of them have gone before its turn comes"
    assert len(turns.waiting) == 1
    assert not turns.hear(polling, SOON, CLIENT_COUNT_MAX + 1)
    turns.turn()
    assert turns.waiting == []


def test_a_single_processor_is_left_to_whoever_is_waited_for(turns: Turns) -> None:
    polling = BusyPolling(1)
    turns.hear(polling, LATE)
    assert not turns.hear(polling, SOON)


def test_timers_and_sockets_have_their_turn_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async def ask() -> bytes:
        polling = BusyPolling(2)
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
            polling.heard(1.0, 1)
            polling.heard(1.0, 1)
            asyncio.get_running_loop().call_later(0.01, writer.write, b"a question\n")
            answer = await asyncio.wait_for(reader.readline(), 60)
            assert polling.looking
            writer.close()
        return answer

    # The moment does not go by, so it looks for ever.
    monkeypatch.setattr(busy_polling.clock, "steady", lambda: 1.0)
    assert asyncio.run(ask()) == b"a question\n"
