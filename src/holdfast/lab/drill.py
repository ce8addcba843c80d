"""Run a fire drill: mail flows from outside, a server is hit, and everything promised is looked for.

    letters ──► senders ──► the servers ──► mailboxes ──► read by IMAP
                  250s         ▲   blow                       │
                   └───────────┴──────── accounts ◄───────────┘

The drill sees the servers as the world does: by SMTP and IMAP, and by the verbs that
an administrator has. It knows nothing of what goes on inside.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable

from holdfast.directory.model import Role
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.lab.accounts import (
    Copy,
    Entry,
    join_ledgers,
    longest_gap,
    missing_copies,
    outages,
    settle,
    without_service,
)
from holdfast.lab.blows import Blows
from holdfast.lab.drill_plan import Blow, Orders, Schedule, letters, schedule
from holdfast.lab.load import Load, Place, Sent, subject_of
from holdfast.lab.outcome import DoorLane, LedgerSums, Outcome, Protection
from holdfast.lab.probes import Door, Watched, watch
from holdfast.lab.reading import MailboxAccess, read_mailbox
from holdfast.lab.sheet import Machine
from holdfast.lab.stage import TRACK_LIMIT, Stage, said

POLL_S = 1.0
# In the order of ``LedgerSums``.
LEDGER_NAMES = (
    "accepted", "delivered", "relayed", "transferred_out", "queued", "bounced", "dropped", "unaccounted",
)  # fmt: skip
# Without a return, what can be delivered is when this many looks at the queues were the same.
STEADY_LOOK_COUNT = 4
# Lines of the tracking log after which nobody has any more to do with a recipient. Not SEND: letters of a
# drill go to mailboxes of ours, so whoever sends one hands it to the server that has to account for it then.
CLOSING = ("DELIVER", "DUPLICATEDELIVER", "FAIL", "DROP")

Progress = Callable[[float, str], None]  # from 0 to 1, and what is being done


class Drill:
    """One drill on servers that are up."""

    def __init__(self, stage: Stage, orders: Orders, run: str, progress: Progress) -> None:
        """Take servers that serve.

        Args:
            run: marks the letters of this drill; different for each.
            progress: told how far it is.

        Raises:
            Refusal: the orders name a server that does not take part, or what cannot be done there.
        """
        self._stage = stage
        self._orders = orders
        self._run = run
        self._progress = progress
        self._machines = stage.machines
        self._schedule: Schedule = schedule(orders, tuple(each.name for each in stage.machines))
        stage.check(orders)
        self._blows = Blows(stage, orders, self._schedule, run)
        self._notes = self._blows.notes
        self._started = 0.0
        # What the ledgers could not account for before: an earlier drill may have lost a disk.
        self._before: frozenset[Entry] = frozenset()

    async def run(self) -> Outcome:
        """Do it, from the first letter to the last mailbox.

        Raises:
            Unavailable: the lab itself failed; the drill says nothing about the servers then.
        """
        began_at = time.time()
        places = tuple(
            Place(each.name, each.address, each.ports.smtp)
            for each in self._machines
            if Role.TRANSPORT in each.roles
        )
        luck = random.Random(f"senders {self._orders.seed}")
        drawn = letters(self._orders, tuple(self._stage.mailboxes))
        load = Load(places, drawn, self._orders.rate, self._run, luck)
        await self._look_before()
        watched, stop = Watched(), asyncio.Event()
        self._started = time.monotonic()
        probes = asyncio.ensure_future(watch(self._doors(), watched, stop))
        shown = asyncio.ensure_future(self._show_load())
        try:
            await asyncio.gather(
                load.send_all(self._orders.patience_s), self._blows.strike(load, self._started)
            )
            shown.cancel()
            if self._orders.no_return and self._orders.blow is not Blow.NONE:
                await self._until_steady()
                await self._blows.undo()
            drained = await self._until_drained()
        finally:
            shown.cancel()
            stop.set()
            await asyncio.gather(probes, shown, return_exceptions=True)
        ended = time.monotonic()
        found = await self._read_all()
        return await self._close_books(load.sent, watched, ended, (began_at, drained, found))

    def _doors(self) -> tuple[Door, ...]:
        doors = []
        for each in self._machines:
            for protocol, port in (
                ("SMTP", each.ports.smtp),
                ("submission", each.ports.submission),
                ("IMAP", each.ports.imap),
            ):
                if (each.address, port) in each.listening():
                    doors.append(Door(protocol, Place(each.name, each.address, port)))
        return tuple(sorted(doors, key=lambda door: ("SMTP", "submission", "IMAP").index(door.protocol)))

    async def _show_load(self) -> None:
        while True:
            share = min(1.0, (time.monotonic() - self._started) / self._orders.load_s)
            last = self._blows.marks[-1:]
            text = f"mail flows ({last[0].server} {last[0].what})" if last else "mail flows"
            self._progress(0.8 * share, text)
            await asyncio.sleep(POLL_S / 2)

    # --- until everything is where it belongs --------------------------------------------------

    async def _until_drained(self) -> bool:
        deadline = time.monotonic() + self._orders.patience_s
        while True:
            ledgers, silent = await self._ledgers()
            queued = sum(each.queued for each in ledgers)
            self._progress(0.85, f"{queued:,} copies wait")
            if not silent and queued == 0:
                return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_S)

    async def _until_steady(self) -> None:
        """Wait until the queues of the others do not change any more: what they can deliver is delivered."""
        deadline = time.monotonic() + self._orders.patience_s
        seen: list[int] = []
        while time.monotonic() < deadline:
            ledgers, _ = await self._ledgers()
            seen.append(sum(each.delivered for each in ledgers))
            self._progress(0.82, "the others take over")
            if len(seen) > STEADY_LOOK_COUNT and len(set(seen[-STEADY_LOOK_COUNT:])) == 1:
                return
            await asyncio.sleep(POLL_S)

    async def _ledgers(self) -> tuple[tuple[LedgerSums, ...], tuple[str, ...]]:
        """The ledger of each server, and the servers that do not answer."""
        found, silent = [], []
        for machine in self._machines:
            try:
                text = await asyncio.to_thread(self._stage.manage, machine.name, "ledger", "--json")
            except (Refusal, Unavailable):
                silent.append(machine.name)
                continue
            sums = json.loads(text)
            found.append(LedgerSums(machine.name, *(int(sums[name]) for name in LEDGER_NAMES)))
        return tuple(found), tuple(silent)

    async def _protections(self) -> tuple[Protection, ...]:
        """What each server says of second copies; those that do not answer are passed over."""
        found = []
        for machine in self._machines:
            shown = await said(self._stage, machine.name, ("message", "protection"), self._notes)
            if shown:
                names = ("protected", "unprotected", "taken_over", "sent_by_both")
                values = [shown[f"{name}_message_count"] for name in names]
                counts = [value if isinstance(value, int) else None for value in values]
                found.append(Protection(machine.name, counts[0] or 0, counts[1] or 0, counts[2], counts[3]))
        return tuple(found)

    # --- what is there -------------------------------------------------------------------------

    async def _read_all(self) -> dict[str, Counter[int]]:
        found: dict[str, Counter[int]] = {}
        passwords = self._stage.passwords()
        for done, (address, machine) in enumerate(self._stage.mailboxes.items()):
            self._progress(0.9 + 0.1 * done / len(self._stage.mailboxes), f"read {address}")
            place = Place(machine.name, machine.address, machine.ports.imap_tls)
            access = MailboxAccess(address, place, passwords[address])
            try:
                found[address] = await asyncio.to_thread(read_mailbox, access, self._run)
            except Unavailable as error:
                self._notes.append(error.text)
        return found

    async def _close_books(
        self, sent: Sent, watched: Watched, ended: float, seen: tuple[float, bool, dict[str, Counter[int]]]
    ) -> Outcome:
        began_at, drained, found = seen
        missing = missing_copies(sent, found)
        queued = await self._waiting(missing) if missing else set()
        bounced = await self._bounced(missing - queued) if missing - queued else set()
        ledgers, silent = await self._ledgers()
        unaccounted = await self._join() if any(each.unaccounted for each in ledgers) else ()
        started = self._started
        last = max((each.at for each in sent.acknowledged.values()), default=ended)
        return Outcome(
            run=self._run,
            began_at=began_at,
            orders=self._orders,
            schedule=self._schedule,
            servers=tuple(each.name for each in self._machines),
            tally=settle(sent, found, queued=queued, bounced=bounced, named=self._blows.named),
            ended_s=ended - started,
            marks=tuple(self._blows.marks),
            down=tuple(self._blows.down),
            letters_per_s=self._rates(sent, ended),
            doors=tuple(
                DoorLane(door.protocol, door.place.server, outages(looks, started, ended))
                for door, looks in watched.looks.items()
            ),
            without_service_s=without_service(watched.looks, started, ended),
            without_250_s=longest_gap((each.at for each in sent.acknowledged.values()), started, last).span_s,
            drained=drained,
            put_off=dict(sent.put_off),
            ledgers=ledgers,
            protections=await self._protections(),
            silent=silent,
            unaccounted=unaccounted,
            notes=tuple(self._notes),
        )

    def _rates(self, sent: Sent, ended: float) -> dict[str, tuple[int, ...]]:
        seconds = int(ended - self._started) + 1
        rates = {each.name: [0] * seconds for each in self._machines}
        for each in sent.acknowledged.values():
            rates[each.server][min(seconds - 1, int(each.at - self._started))] += 1
        return {name: tuple(counts) for name, counts in rates.items()}

    async def _waiting(self, missing: set[Copy]) -> set[Copy]:
        """Which of some copies wait in a queue of a server, as `queue show` tells."""
        by_subject = {subject_of(self._run, number): number for number, _ in missing}
        found: set[Copy] = set()
        for machine in self._machines:
            for queue in await self._rows(machine, ("queue", "list"), "queues"):
                words = ("queue", "show", str(queue["queue"]))
                for row in await self._rows(machine, words, "messages") if queue["message_count"] else ():
                    number = by_subject.get(str(row["subject"]))
                    recipients = row["recipients"]
                    if number is not None and isinstance(recipients, list):
                        found |= {(number, str(each)) for each in recipients}
        return found & missing

    async def _bounced(self, missing: set[Copy]) -> set[Copy]:
        """Which of some copies a server gave up, as its tracking log tells."""
        by_subject = {subject_of(self._run, number): number for number, _ in missing}
        found: set[Copy] = set()
        for machine in self._machines:
            words = ("message", "track", "--subject", f"Fire drill {self._run} ", "--limit", str(TRACK_LIMIT))
            for row in await self._rows(machine, words, "rows"):
                number = by_subject.get(str(row["subject"]))
                recipients = row["recipients"]
                if row["event"] == "FAIL" and number is not None and isinstance(recipients, list):
                    found |= {(number, str(each)) for each in recipients}
        return found & missing

    async def _look_before(self) -> None:
        ledgers, _ = await self._ledgers()
        if any(each.unaccounted for each in ledgers):
            self._before = frozenset(await self._join())
        if self._before:
            self._notes.append(f"unaccounted for before this drill, and not counted: {len(self._before):,}")

    async def _join(self) -> tuple[Entry, ...]:
        """What one ledger misses and no other server has accounted for."""
        missing: dict[str, set[Entry]] = {}
        closed: dict[str, set[Entry]] = {}
        for machine in self._machines:
            rows = await self._rows(machine, ("ledger",), "missing")
            missing[machine.name] = {
                (str(each["network_message_id"]), str(each["recipient"])) for each in rows
            }
            closed[machine.name] = set()
            for row in await self._rows(machine, ("message", "track", "--limit", str(TRACK_LIMIT)), "rows"):
                recipients = row["recipients"]
                if row["event"] in CLOSING and isinstance(recipients, list):
                    message_id = str(row["network_message_id"])
                    closed[machine.name] |= {(message_id, str(each)) for each in recipients}
        joined = join_ledgers(missing, closed)
        # What was named beforehand as gone with one disk is known to be gone: that is its account.
        known = self._blows.named_entries | self._before
        return tuple(entry for entry in joined if entry not in known)

    async def _rows(self, machine: Machine, words: tuple[str, ...], name: str) -> list[dict[str, object]]:
        rows = (await said(self._stage, machine.name, words, self._notes)).get(name, [])
        assert isinstance(rows, list)
        return rows
