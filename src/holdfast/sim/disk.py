"""The made-up disks: what survives a crash, and the one writer that makes it so.

Each process has one writer. It takes everything that waits (up to a drawn
count), writes it as one transaction and tells its process after a drawn time.
When the process dies before that, what the transaction held is gone, or it is
durable though nobody was told: both are drawn. A full disk fails the whole
transaction; a slow disk takes a multiple of the time.

The queue disk keeps the tracking lines with the commit they belong to, so that
the ledger can be checked after any crash. ``delivered`` of the mailbox disk is
read through the same operations that clients use.

Source: architecture, "Where state lives"; the counterparts are
``drivers.sqlite_queue`` and the writer of the mailbox role.
"""

from __future__ import annotations

import dataclasses
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from holdfast.kernel.ids import NetworkMessageId
from holdfast.sim.scenario import Rates
from holdfast.sim.shadow_tables import ShadowTables, identity_of
from holdfast.sim.world import Violation, World, some
from holdfast.transport.queue import (
    AddMessage,
    FinishRecipients,
    HoldQueue,
    MarkMessage,
    QueuedMessage,
    QueueWrite,
    RecoveredQueue,
    SettleAnswers,
    TrackOnly,
)
from holdfast.transport.shadow_writes import HoldCopy, TakeOver


@dataclass(slots=True)
class Weather:
    """How a disk is doing: full until, slow until (instants of the world)."""

    full_until: float = 0.0
    slow_until: float = 0.0


class Writer:
    """The one writer of a process: everything that waits becomes one transaction.

    ``write`` makes a batch durable and returns what is told to the process
    afterwards; it is called with None for a full disk.
    """

    def __init__(
        self,
        world: World,
        weather: Weather,
        rates: WriterRates,
        later: Callable[[float, str, Callable[[], None]], None],
        told: Callable[[], None],
    ) -> None:
        self._world = world
        self._weather = weather
        self._rates = rates
        self._later = later  # schedules for the process: void when it dies
        self._told = told  # called when all of a batch were told: the drivers report a batch in one call
        self._luck = rates.luck
        self._waiting: deque[Job] = deque()
        self._batch: list[Job] = []
        self._untold: list[Callable[[], None]] = []

    @property
    def busy(self) -> bool:
        """Whether something waits or is being written, or was not told yet."""
        return bool(self._waiting or self._batch or self._untold)

    def put(self, job: Job) -> None:
        """Let a job be part of the next transaction."""
        self._waiting.append(job)
        if not self._batch:
            self._begin()

    def crash(self) -> None:
        """The process died: draw whether the transaction that was under way is durable."""
        if self._batch and not self._full() and self._luck.random() < self._rates.durable_untold_rate:
            self._world.note(f"{self._rates.name} durable, nobody told: {len(self._batch)}")
            for job in self._batch:
                job.write()
            self._rates.commit()
        self._batch = []
        self._waiting.clear()

    def _full(self) -> bool:
        return self._weather.full_until > self._world.now

    def _begin(self) -> None:
        while self._waiting and len(self._batch) < self._rates.batch_max:
            self._batch.append(self._waiting.popleft())
        commit_s = some(self._luck, self._rates.commit_s)
        if self._weather.slow_until > self._world.now:
            commit_s *= self._rates.slow_factor
        self._later(commit_s, f"{self._rates.name} commit of {len(self._batch)}", self._end)

    def _end(self) -> None:
        batch, self._batch = self._batch, []
        full = self._full()
        if full:
            self._world.note(f"{self._rates.name} is full")
        else:
            for job in batch:
                job.write()
            self._rates.commit()
        told = [job.failed if full else job.done for job in batch]
        self._untold += told
        # Told a little later, so that a crash can fall between the commit and the news of it.
        self._later(some(self._luck, 0.0001), "", lambda: self._tell(told))
        if self._waiting:
            self._begin()

    def _tell(self, told: list[Callable[[], None]]) -> None:
        del self._untold[: len(told)]
        for tell in told:
            tell()
        self._told()


@dataclass(frozen=True, slots=True)
class Job:
    """One part of a transaction: what it writes, and whom it tells afterwards."""

    write: Callable[[], None]
    done: Callable[[], None]
    failed: Callable[[], None]


@dataclass(frozen=True, slots=True)
class WriterRates:
    """How a writer behaves; ``commit`` ends the transaction of the disk below."""

    name: str
    luck: random.Random
    commit_s: float
    batch_max: int
    slow_factor: float
    durable_untold_rate: float
    commit: Callable[[], None]


def queue_writer_rates(world: World, rates: Rates, name: str = "queue disk") -> WriterRates:
    """How the writer of a queue database behaves."""
    return WriterRates(
        name=name,
        luck=world.luck(name),
        commit_s=rates.commit_s,
        batch_max=max(1, rates.commit_batch_max),
        slow_factor=rates.slow_factor,
        durable_untold_rate=rates.durable_untold_rate,
        commit=lambda: None,
    )


def store_writer_rates(
    world: World, rates: Rates, commit: Callable[[], None], name: str = "store disk"
) -> WriterRates:
    """How the writer of a mailbox database behaves."""
    return WriterRates(
        name=name,
        luck=world.luck(name),
        commit_s=rates.store_commit_s,
        batch_max=max(1, rates.store_batch_max),
        slow_factor=rates.slow_factor,
        durable_untold_rate=rates.durable_untold_rate,
        commit=commit,
    )


# A shadow copy may carry a number before it is in the queue: after a crash none of those comes again.
RESERVED_COUNT = 1000


class QueueObserver(Protocol):
    """Who is told of what comes into a queue database."""

    def taken_in(self, message: QueuedMessage) -> None: ...
    def taken_over(self, messages: list[QueuedMessage]) -> None: ...


@dataclass(slots=True)
class QueueDisk:
    """The queue database as it lies on the disk; it survives every crash.

    Attributes:
        messages: what waits, by number.
        next_number: the first number never used, nor any above it.
        used_numbers: all that were ever used.
        uncertain: by fingerprint, which 250s may not have been read: network message id and instant.
        tracking: the tracking log, as committed.
        held_queues: the queues that were stopped.
        in_flight: numbers of messages that a next hop may have taken, a note each.
        generation: how many disks were lost in this place before.
        observer: is told of what comes into the queue, before it is there.
        shadows: what it holds for other servers, and they for it.
    """

    memory_s: float
    name: str = "queue disk"
    weather: Weather = field(default_factory=Weather)
    messages: dict[int, QueuedMessage] = field(default_factory=dict)
    next_number: int = 1
    used_numbers: set[int] = field(default_factory=set)
    uncertain: dict[bytes, tuple[NetworkMessageId, float]] = field(default_factory=dict)
    tracking: list[str] = field(default_factory=list)
    held_queues: dict[str, None] = field(default_factory=dict)
    in_flight: list[int] = field(default_factory=list)
    generation: int = 0
    observer: QueueObserver | None = None
    shadows: ShadowTables = field(init=False)

    def __post_init__(self) -> None:
        self.shadows = ShadowTables(self.messages, identity_of(self.name, self.generation))

    def apply(self, writes: list[QueueWrite]) -> None:
        """Make writes durable.

        Raises:
            Violation: a number is used again, or a message is finished that is not there.
        """
        for write in writes:
            match write:
                case AddMessage(message, tracking, holder):
                    self._use(message)
                    if self.observer is not None:
                        self.observer.taken_in(message)
                    self.messages[message.number] = message
                    self.shadows.added(message, holder)
                    if message.fingerprint:
                        known = (message.network_message_id, message.received_at)
                        self.uncertain[message.fingerprint] = known
                    self.tracking.append(tracking)
                case FinishRecipients(number, remaining, tracking, kept):
                    self._finish(number, remaining, kept)
                    self.tracking.append(tracking)
                case TrackOnly(tracking):
                    self.tracking.append(tracking)
                case SettleAnswers(fingerprints):
                    for fingerprint in fingerprints:
                        self.uncertain.pop(fingerprint, None)
                case MarkMessage(number, marks, tracking):
                    if number in self.messages:
                        self.messages[number] = dataclasses.replace(self.messages[number], marks=marks)
                    self.tracking.append(tracking)
                case HoldQueue(key, held):
                    self.held_queues[key] = None
                    if not held:
                        del self.held_queues[key]
                case _:
                    if isinstance(write, HoldCopy):
                        self._use(write.message)
                    elif isinstance(write, TakeOver) and self.observer is not None:
                        taken = (self.shadows.copies[each].message for each in write.numbers)
                        self.observer.taken_over(list(taken))
                    self.shadows.apply(write)
                    self.tracking.append(write.tracking)

    def _use(self, message: QueuedMessage) -> None:
        if message.number in self.used_numbers:
            raise Violation(f"queue number {message.number} is used a second time")
        if message.data is None:
            raise Violation(f"queue number {message.number} is added without its data")
        self.used_numbers.add(message.number)
        # A report may come to the disk before messages that took their numbers earlier.
        self.next_number = max(self.next_number, message.number + 1)

    def _finish(self, number: int, remaining: tuple[str, ...], kept: float) -> None:
        message = self.messages.get(number)
        if message is None:
            raise Violation(f"queue number {number} is finished, but it does not wait")
        if remaining:
            self.shadows.originals.setdefault(number, message.recipients)
            self.messages[number] = dataclasses.replace(message, recipients=remaining)
        else:
            del self.messages[number]
            self.shadows.finished(message, kept)

    def lose(self) -> None:
        """Everything on it is gone; another, empty disk is in its place."""
        self.generation += 1
        self.messages.clear()
        self.next_number = 1
        for rows in (self.used_numbers, self.uncertain, self.tracking, self.held_queues, self.in_flight):
            rows.clear()
        self.shadows = ShadowTables(self.messages, identity_of(self.name, self.generation))

    def recover(self, now: float) -> RecoveredQueue:
        """Read what a starting transport finds."""
        next_number = self.next_number
        self.next_number += RESERVED_COUNT
        oldest = now - self.memory_s
        self.uncertain = {key: known for key, known in self.uncertain.items() if known[1] >= oldest}
        waiting = sorted(self.messages.values(), key=lambda message: message.number)
        return RecoveredQueue(
            messages=tuple(dataclasses.replace(message, data=None) for message in waiting),
            next_number=next_number,
            uncertain={fingerprint: known[0] for fingerprint, known in self.uncertain.items()},
            held_queues=tuple(self.held_queues),
            in_flight=tuple(dict.fromkeys(self.in_flight)),
            shadows=self.shadows.recover(),
        )

    def landed(self, numbers: list[int]) -> None:
        """Take notes of messages away, one per number.

        Raises:
            Violation: there is no such note.
        """
        for number in numbers:
            if number not in self.in_flight:
                raise Violation(f"queue number {number} has landed, and was not in flight")
            self.in_flight.remove(number)

    def say_goodbye(self, now: float, uncertain: dict[bytes, NetworkMessageId]) -> None:
        """A process ends at rest, and tells which 250s may not have been read."""
        held = self.uncertain
        self.uncertain = {
            fingerprint: held.get(fingerprint, (message_id, now))
            for fingerprint, message_id in uncertain.items()
        }

    def read(self, number: int) -> bytes | None:
        """The data of a waiting message."""
        message = self.messages.get(number)
        return message.data if message is not None else self.shadows.read(number)
