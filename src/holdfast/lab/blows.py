"""Hit servers at the drawn moments, and bring them back.

With ``both``, the other server is killed while the first one is away and comes back
without its queue: what only it had is gone, by right. So before that the senders hold
their breath for a moment, and the server is asked which messages those are. Exactly
they may be lost, nothing else.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.lab.accounts import Copy, Entry, Gap
from holdfast.lab.drill_plan import PAST_WORDS, Blow, Orders, Schedule
from holdfast.lab.load import Load, number_of
from holdfast.lab.outcome import Mark
from holdfast.lab.stage import TRACK_LIMIT, Stage, said

READY_TIMEOUT_S = 60.0
HOLD_TIMEOUT_S = 20.0
POLL_S = 0.25


class Blows:
    """What is done to the servers of one drill, and what is known of it afterwards.

    Attributes:
        marks: what was done when.
        down: while each server was hit.
        notes: what did not work.
        named: copies that only a server had that was killed and lost its queue.
        named_entries: the same as the ledgers name them.
    """

    def __init__(self, stage: Stage, orders: Orders, plan: Schedule, run: str) -> None:
        """Take what was drawn; nothing is done yet."""
        self.marks: list[Mark] = []
        self.down: list[tuple[str, Gap]] = []
        self.notes: list[str] = []
        self.named: set[Copy] = set()
        self.named_entries: set[Entry] = set()
        self._stage = stage
        self._orders = orders
        self._plan = plan
        self._run = run
        self._started = 0.0
        self._hit_at_s: dict[str, float] = {}

    async def strike(self, load: Load, started: float) -> None:
        """Do everything at its time, counted from ``started`` on the monotonic clock.

        Raises:
            Unavailable: a server does not come back.
        """
        self._started = started
        plan = self._plan
        if self._orders.blow is Blow.NONE:
            return
        await self._until(plan.blow_at_s)
        await self._hit(plan.server, self._orders)
        if plan.lost_at_s is not None:
            await self._until(plan.lost_at_s)
            await self._declare_lost()
        if plan.second_at_s is not None:
            await self._until(plan.second_at_s)
            await self._hit_second(load)
        if plan.back_at_s is not None:
            await self._until(plan.back_at_s)
            await self.undo()
        if plan.second_at_s is not None:
            await self._undo(plan.second)

    async def undo(self) -> None:
        """Bring the first server back and wait until it serves.

        Raises:
            Unavailable: it does not.
        """
        await self._undo(self._plan.server)

    async def _hit(self, name: str, orders: Orders) -> None:
        await asyncio.to_thread(self._stage.hit, name, orders)
        self._hit_at_s[name] = self._now()
        lost = ", its queue lost" if orders.lose_queue else ""
        self._mark(name, PAST_WORDS[orders.blow] + lost)

    async def _hit_second(self, load: Load) -> None:
        name = self._plan.second
        if not await load.hold(HOLD_TIMEOUT_S):
            self.notes.append(f"letters were still on their way when {name} was asked what only it has")
        try:
            await self._name_unprotected(load, name)
            await self._hit(name, replace(self._orders, blow=Blow.KILL, lose_queue=True))
        finally:
            load.resume()

    async def _name_unprotected(self, load: Load, name: str) -> None:
        """Ask a server which messages only it has, and find the letters that they are."""
        words = ("message", "protection", "--list", "--limit", str(TRACK_LIMIT))
        rows = (await said(self._stage, name, words, self.notes)).get("unprotected", [])
        subjects: dict[str, str] = {}
        tracked = await said(self._stage, name, ("message", "track", "--limit", str(TRACK_LIMIT)), self.notes)
        for row in _dicts(tracked.get("rows")):
            subjects[str(row["network_message_id"])] = str(row["subject"])
        for row in _dicts(rows):
            message_id, recipients = str(row["network_message_id"]), row["recipients"]
            assert isinstance(recipients, list)
            number = number_of(self._run, subjects.get(message_id, ""))
            self.named_entries |= {(message_id, str(each)) for each in recipients}
            if number is not None and number in load.sent.letters:
                self.named |= {(number, str(each)) for each in recipients}

    async def _declare_lost(self) -> None:
        """Tell the others that the server will not come back, as an administrator would."""
        lost = self._plan.server
        for machine in self._stage.machines:
            if machine.name == lost:
                continue
            words = ("server", "declare-lost", lost, "--yes")
            try:
                await asyncio.to_thread(self._stage.manage, machine.name, *words)
                self._mark(lost, f"declared lost on {machine.name}")
            except (Refusal, Unavailable) as error:
                self.notes.append(f"{machine.name} did not take the word that {lost} is lost: {error.text}")

    async def _undo(self, name: str) -> None:
        orders = self._orders if name == self._plan.server else replace(self._orders, blow=Blow.KILL)
        await asyncio.to_thread(self._stage.undo, name, orders)
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not await asyncio.to_thread(self._stage.serves, name):
            if time.monotonic() > deadline:
                raise Unavailable(f"{name} does not come back; {self._stage.where_to_look(name)}")
            await asyncio.sleep(POLL_S)
        self._mark(name, "back")
        self.down.append((name, Gap(self._hit_at_s[name], self._now())))

    def _mark(self, server: str, what: str) -> None:
        self.marks.append(Mark(self._now(), server, what))

    def _now(self) -> float:
        return time.monotonic() - self._started

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self._now()))


def _dicts(rows: object) -> list[dict[str, object]]:
    """The rows of a table that a verb printed as JSON."""
    return [each for each in rows if isinstance(each, dict)] if isinstance(rows, list) else []
