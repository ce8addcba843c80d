"""Deliver messages of the Safety Net again to a mailbox database that may have lost them.

Somebody asks for it (``holdfast safety-net resubmit``), or the database itself shows that it is older than
it was: each time it connects, it is asked for the instant of the newest delivery that it remembers, and what
the Safety Net has got since (and a little before) is held against it. After an ordinary restart nothing is
missing; a database that was restored from a copy, or is empty, lacks what came after, and gets it.

Recipients are found anew from the original envelope: groups are expanded as they are today, and only
mailboxes that are in the database asked for are left. A database that is connected here is asked which of
these deliveries it does not remember, and only those are made; what its owner deleted stays deleted. One that
is on another server gets all, and drops what it has by the network message id.

A few messages are in the queue at a time, so that those of today come between them.

Invariants: a message is in the Safety Net or in the queue, durably; nobody is told what becomes of one that
is resubmitted.

Source: exchange-behaviour SN-3, SN-4, SN-6; docs/decisions/0016.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from holdfast.directory.model import DistributionGroup, Mailbox
from holdfast.kernel.errors import Refusal
from holdfast.kernel.events import LogEvent, happened
from holdfast.kernel.ids import MailboxId
from holdfast.node.ports import CallStore, ReadKept
from holdfast.transport import shadow_events as events
from holdfast.transport.categorize import Categorizer
from holdfast.transport.outcomes import facts_of
from holdfast.transport.queue import Marks, QueuedMessage
from holdfast.transport.shadow_writes import KeptBatch, Resubmit
from holdfast.transport.tracking import EventId, TrackingWriter
from holdfast.wire import store

# In the queue at a time; more are read when there are fewer than half of it.
IN_QUEUE_COUNT_MAX = 400
ASKED_COUNT_MAX = 2000  # deliveries in one question
WAITING_COUNT_MAX = 100
RETRY_S = 5.0
# A message gets into the Safety Net after its delivery, and both instants are of this machine's clock; that
# may have been set back by a little in between.
BEFORE_LAST_S = 5.0
# What is about to leave the Safety Net is left alone: it could be gone before it is in the queue.
LEAVING_S = 600.0


class _Stage(enum.Enum):
    ASKING = "asking the database"  # since when it may lack something
    READING = "reading"
    CHECKING = "checking"  # what the database lacks
    WRITING = "writing"
    WAITING = "waiting"  # until fewer are in the queue, a wait is over, or back pressure is


@dataclass(slots=True)
class _Found:
    """A message, since when it is kept, and the mailboxes it is for, each with its recipient."""

    message: QueuedMessage
    at: float
    mailboxes: dict[MailboxId, str]


@dataclass(slots=True, eq=False)
class _Job:
    """One resubmission, under way or waiting."""

    database: str
    since: float
    until: float
    by_itself: bool
    stage: _Stage = _Stage.READING
    after_number: int = 0
    at_end: bool = False
    seen_count: int = 0
    resubmitted_count: int = 0
    failure: str = ""
    call: int = 0
    # Read and not yet checked; checked in this question; how many are being written; those in the queue.
    found: deque[_Found] = field(default_factory=deque)
    asked: list[_Found] = field(default_factory=list)
    writing_count: int = 0
    in_queue: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class ResubmissionState:
    """One resubmission, for people.

    Attributes:
        number: of it, since the start.
        by_itself: the database showed that it is older than it was.
        since, until: instants by the wall clock, of what is looked at.
        seen_count: messages of the Safety Net that were looked at.
        resubmitted_count: those of them that are in the queue again, or were.
        state: what it does; "done", or why it ended early.
        running: whether it goes on.
    """

    number: int
    database: str
    by_itself: bool
    since: float
    until: float
    seen_count: int
    resubmitted_count: int
    state: str
    running: bool


class Resubmission:
    """All resubmissions of one server, one after the other.

    What is to be done piles up, and the caller takes it: ``outputs``, ``writes``, ``came_back`` messages that
    are in the queue database now and want a route, ``logs``.
    """

    def __init__(self, tracking: TrackingWriter, categorizer: Callable[[], Categorizer]) -> None:
        self._tracking = tracking
        self._categorizer = categorizer
        self.hold_s = 0.0
        self._paused = False
        self._connected: set[str] = set()
        self._job: _Job | None = None
        self._waiting: deque[_Job] = deque()
        # Those that are told of, and the number of the first of them.
        self._jobs: deque[_Job] = deque()
        self._first_number = 1
        self._writing: dict[int, tuple[_Job, _Found]] = {}
        self._last_call = 0
        self._retry_at: float | None = None
        self.outputs: list[ReadKept | CallStore] = []
        self.writes: list[Resubmit] = []
        self.came_back: list[QueuedMessage] = []
        self.logs: list[LogEvent] = []

    @property
    def busy(self) -> bool:
        """Whether there is anything to do, or to be taken."""
        return self._job is not None or bool(self.logs)

    # --- what is wanted ----------------------------------------------------------------------------

    def ask(self, now: float, database: str, since: float, until: float) -> int:
        """Resubmit what got into the Safety Net in a span, by the wall clock; returns the number of it.

        Raises:
            Refusal: too much waits already, or nothing is kept.
        """
        if not self.hold_s:
            raise Refusal("there is no Safety Net: safety_net_hold of the organisation is 0")
        if len(self._waiting) >= WAITING_COUNT_MAX:
            raise Refusal(f"{WAITING_COUNT_MAX} resubmissions wait already; see: holdfast safety-net show")
        job = _Job(database, since, until, by_itself=False)
        self._waiting.append(job)
        number = self._tell_of(job)
        self._next(now)
        return number

    def _tell_of(self, job: _Job) -> int:
        self._jobs.append(job)
        if len(self._jobs) > 2 * WAITING_COUNT_MAX:
            self._jobs.popleft()
            self._first_number += 1
        return self._first_number + len(self._jobs) - 1

    def states(self) -> tuple[ResubmissionState, ...]:
        """The latest ones, oldest first."""
        return tuple(
            ResubmissionState(
                number=number,
                database=job.database,
                by_itself=job.by_itself,
                since=job.since,
                until=job.until,
                seen_count=job.seen_count,
                resubmitted_count=job.resubmitted_count,
                state=self._word(job),
                running=job is self._job or job in self._waiting,
            )
            for number, job in enumerate(self._jobs, self._first_number)
        )

    def _word(self, job: _Job) -> str:
        if job is self._job:
            return "paused by back pressure" if self._paused else job.stage.value
        return "waiting for the one before" if job in self._waiting else job.failure or "done"

    # --- the mailbox databases ---------------------------------------------------------------------

    def store_connected(self, now: float, database: str, *, something_kept: bool) -> None:
        """A mailbox database can be asked: find out whether it is older than it was."""
        self._connected.add(database)
        waits = any(each.by_itself and each.database == database for each in self._waiting)
        if something_kept and self.hold_s and not waits and len(self._waiting) < WAITING_COUNT_MAX:
            self._waiting.append(_Job(database, 0.0, float("inf"), by_itself=True, stage=_Stage.ASKING))
            self._next(now)

    def store_lost(self, now: float, database: str) -> None:
        """A mailbox database went away: it is asked again when it is back."""
        self._connected.discard(database)
        kept = [each for each in self._waiting if not (each.by_itself and each.database == database)]
        self._waiting = deque(kept)
        job = self._job
        if job is None or job.database != database:
            return
        if job.by_itself:
            # What is being written comes back all the same.
            self._end(now, job, "the mailbox database went away")
        elif job.stage is _Stage.CHECKING:
            self._write(now, job, job.asked)

    def answered(self, now: float, number: int, answer: store.Answer) -> None:
        """The answer to ``CallStore`` of that number, if it was ours."""
        job = self._job
        if job is None or number != job.call or job.stage not in (_Stage.ASKING, _Stage.CHECKING):
            return
        if not isinstance(answer, store.Missing):
            reason = answer.text if isinstance(answer, store.Refused) else "its answer does not fit"
            if job.by_itself:
                self._end(now, job, f"the mailbox database does not answer: {reason}")
            else:
                self._write(now, job, job.asked)
        elif job.stage is _Stage.ASKING:
            if answer.last_at is not None:
                job.since = answer.last_at - BEFORE_LAST_S
            self._read(job)
        else:
            self._write(now, job, _lacking(job.asked, answer.places))

    def _call(self, job: _Job, asked: list[tuple[_Found, MailboxId]]) -> None:
        self._last_call -= 1  # deliveries have numbers above 0
        job.call = self._last_call
        question = [(found.message.network_message_id, mailbox_id) for found, mailbox_id in asked]
        self.outputs.append(CallStore(job.database, job.call, store.FindMissing(question)))

    # --- one after the other -----------------------------------------------------------------------

    def _next(self, now: float) -> None:
        """Begin what waits, when nothing is under way."""
        while self._job is None and self._waiting:
            job = self._job = self._waiting.popleft()
            if job.stage is _Stage.ASKING:
                self._call(job, [])
            else:
                self._go_on(now, job)

    def _end(self, now: float, job: _Job, failure: str = "") -> None:
        job.failure = failure
        self._job = None
        self._retry_at = None
        if job.resubmitted_count:
            if job.by_itself:
                self._tell_of(job)
            count, database = job.resubmitted_count, job.database
            self.logs.append(happened(events.RESUBMITTED, message_count=count, database=database))
        self._next(now)

    def _read(self, job: _Job) -> None:
        job.stage = _Stage.READING
        self.outputs.append(ReadKept(job.since, job.until, job.after_number))

    def kept_read(self, now: float, batch: KeptBatch | None) -> None:
        """The answer to ``ReadKept``; None when it cannot be read now."""
        job = self._job
        if job is None or job.stage is not _Stage.READING:
            return
        if batch is None:
            job.stage = _Stage.WAITING
            self._retry_at = now + RETRY_S
            return
        job.after_number, job.at_end = batch.last_number, batch.at_end
        job.seen_count += len(batch.messages)
        for message, at in batch.messages:
            mailboxes = self._mailboxes(job.database, message.recipients)
            if mailboxes:
                job.found.append(_Found(message, at, mailboxes))
        self._go_on(now, job)

    def _mailboxes(self, database: str, recipients: Iterable[str]) -> dict[MailboxId, str]:
        """The mailboxes of a database that recipients lead to today, groups expanded."""
        categorizer = self._categorizer()
        found: dict[MailboxId, str] = {}
        for recipient in recipients:
            target = categorizer.find(recipient)
            names = categorizer.expand(target, ()) if isinstance(target, DistributionGroup) else (recipient,)
            for name in names:
                mailbox = categorizer.find(name)
                if isinstance(mailbox, Mailbox) and mailbox.enabled and mailbox.database == database:
                    found.setdefault(mailbox.mailbox_id, name)
        return found

    def _go_on(self, now: float, job: _Job) -> None:
        """Take the next step, if it may be taken now."""
        if job.writing_count:
            job.stage = _Stage.WRITING
        elif self._paused or self._retry_at is not None or len(job.in_queue) * 2 > IN_QUEUE_COUNT_MAX:
            job.stage = _Stage.WAITING
        elif not job.found:
            if job.at_end:
                self._end(now, job)
            else:
                self._read(job)
        elif job.database in self._connected:
            job.stage = _Stage.CHECKING
            job.asked = _some(job.found)
            self._call(job, [(each, mailbox_id) for each in job.asked for mailbox_id in each.mailboxes])
        else:
            self._write(now, job, _some(job.found))

    def _write(self, now: float, job: _Job, found: list[_Found]) -> None:
        """Put messages into the queue, for the mailboxes that are left of each."""
        job.asked = []
        oldest_at = self._tracking.wall(now) - self.hold_s + LEAVING_S
        for each in found:
            # What an earlier one, whose database went away, is still writing comes back all the same.
            under_way = each.message.number in self._writing
            if each.mailboxes and each.at >= oldest_at and not under_way:
                facts, recipients = facts_of(each.message), tuple(each.mailboxes.values())
                line = self._tracking.line(now, EventId.RESUBMIT, "SAFETYNET", facts, recipients)
                self.writes.append(Resubmit(each.message.number, recipients, line))
                self._writing[each.message.number] = job, each
                job.writing_count += 1
        self._go_on(now, job)

    # --- the queue ---------------------------------------------------------------------------------

    def committed(self, now: float, write: Resubmit) -> None:
        """A message is in the queue again, durably."""
        job, found = self._writing.pop(write.number)
        marks = Marks(resubmitted=True)
        self.came_back.append(replace(found.message, recipients=write.recipients, marks=marks))
        job.writing_count -= 1
        job.in_queue.add(write.number)
        job.resubmitted_count += 1
        if job is self._job:
            self._go_on(now, job)

    def failed(self, now: float, write: Resubmit) -> None:
        """A message could not be put into the queue: it is in the Safety Net as before, and tried again."""
        job, found = self._writing.pop(write.number)
        job.writing_count -= 1
        job.found.append(found)
        if job is self._job:
            self._retry_at = now + RETRY_S
            self._go_on(now, job)

    def finished(self, now: float, number: int) -> None:
        """A message has left the queue."""
        job = self._job
        if job is not None and number in job.in_queue:
            job.in_queue.discard(number)
            if job.stage is _Stage.WAITING:
                self._go_on(now, job)

    # --- time --------------------------------------------------------------------------------------

    def pause(self, now: float, *, paused: bool) -> None:
        """Stop or go on: there is enough to do, or no longer (back pressure)."""
        self._paused = paused
        job = self._job
        if job is not None and not paused and job.stage is _Stage.WAITING:
            self._go_on(now, job)

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called."""
        return self._retry_at

    def timer(self, now: float) -> None:
        """Try again what could not be read."""
        if self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None
            if self._job is not None:
                self._go_on(now, self._job)


def _some(found: deque[_Found]) -> list[_Found]:
    """Take so many that one question, or one write, is not too large; at least one."""
    taken: list[_Found] = []
    count = 0
    while found and (not taken or count + len(found[0].mailboxes) <= ASKED_COUNT_MAX):
        count += len(found[0].mailboxes)
        taken.append(found.popleft())
    return taken


def _lacking(asked: list[_Found], places: list[int]) -> list[_Found]:
    """Leave those mailboxes that lack a message; ``places`` are theirs in the question."""
    lacking = set(places)
    place = 0
    for each in asked:
        kept = {}
        for mailbox_id, name in each.mailboxes.items():
            if place in lacking:
                kept[mailbox_id] = name
            place += 1
        each.mailboxes = kept
    return asked
