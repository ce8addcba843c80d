"""Hold shadow copies for other servers, and take over what a lost one leaves behind.

Each primary has a shadow queue here. A copy is answered (``Held``) when it is durable, and goes when its
primary discards it: into the Safety Net when a mailbox of ours has the message, else for good.

The copies of a primary become messages of our own queue

- when an administrator declares the server lost,
- at once when it comes back with another queue database: what was in the old one is gone (SR13-8), or
- when it has been silent for ``takeover_s``.

Declared or silent it may live all the same. So what was taken over is remembered, on disk, until the
primary has been told and does no more for it. Mailboxes take each message once whoever brings it, by its
network message id; what both have handed to the world outside is counted by the primary.

Invariant: a copy leaves here only by its primary's discard or by a take-over, each durable before anybody is
told.

Source: exchange-behaviour SR13-6..11, SR13-15, and its remark (a) on section 2.2; docs/decisions/0016.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from holdfast.kernel.errors import Refusal
from holdfast.kernel.events import LogEvent, happened
from holdfast.transport import shadow_events as events
from holdfast.transport.outcomes import facts_of
from holdfast.transport.queue import Queue, QueuedMessage
from holdfast.transport.shadow_copy import message_of
from holdfast.transport.shadow_writes import (
    DropCopies,
    ForgetTakeOver,
    HeldCopy,
    HoldCopy,
    NarrowCopy,
    RecoveredShadows,
    TakeOver,
)
from holdfast.transport.tracking import EventId, LineDetails, TrackingWriter
from holdfast.wire import shadow

TAKE_OVER_COUNT = 500  # per write, so that delivery begins with the first of many
REWRITE_S = 5.0

HolderWrite = HoldCopy | DropCopies | NarrowCopy | TakeOver | ForgetTakeOver


@dataclass(slots=True, eq=False)
class _Copy:
    """A copy, durable or on its way to the disk."""

    held: HeldCopy
    durable: bool = False


class _Primary:
    """A server whose messages we hold.

    Attributes:
        identity: of its queue database, as it said last; empty when it has not spoken yet.
        linked: whether a link of its stands.
        heard_at: when it last said anything.
        listing: whether it waits to be told what we hold.
        taking_count: copies for which a take-over is under way.
        copies: by its numbers.
        taken_over: numbers of its that it has to be told of, by identity.
    """

    def __init__(self, now: float) -> None:
        self.identity = ""
        self.linked = False
        self.heard_at = now
        self.listing = False
        self.taking_count = 0
        self.copies: dict[int, _Copy] = {}
        self.taken_over: dict[str, dict[int, None]] = defaultdict(dict)


@dataclass(frozen=True, slots=True)
class ShadowQueue:
    """One shadow queue, for people.

    Attributes:
        primary: the server whose messages these are.
        linked: whether it is connected to us.
        message_count, size_bytes: what is held.
        oldest_at: when the oldest of them was taken in, by its primary's wall clock; 0 without any.
        silent_s: how long nothing was heard of the server.
        untold_count: messages that were taken over and it does not know yet.
    """

    primary: str
    linked: bool
    message_count: int
    size_bytes: int
    oldest_at: float
    silent_s: float
    untold_count: int


class ShadowQueues:
    """All copies that this server holds.

    What is to be done piles up, and the caller takes it: ``frames`` for primaries, ``writes``,
    ``taken_over`` messages that are in our own queue database now and want a route, ``logs``.
    """

    def __init__(self, queue: Queue, tracking: TrackingWriter, now: float = 0.0) -> None:
        self._queue = queue
        self._tracking = tracking
        self.takeover_s = 180.0
        self.keeps = True
        # Why no copy is taken now (back pressure); empty when one is.
        self.refuse_copies: Callable[[], str] = lambda: ""
        self._primaries: dict[str, _Primary] = {}
        # Copies for which a write is under way that lets them go or takes them over; by our numbers.
        self._leaving: dict[int, HeldCopy] = {}
        self._rewrite: list[DropCopies | NarrowCopy | TakeOver | ForgetTakeOver] = []
        self._rewrite_at: float | None = None
        # Copies that became durable when their primary had another identity already.
        self._lost_late: list[tuple[str, int]] = []
        self.take_over_count = 0
        self.frames: list[tuple[str, shadow.HolderFrame]] = []
        self.writes: list[HolderWrite] = []
        self.taken_over: list[QueuedMessage] = []
        self.logs: list[LogEvent] = []

    def recovered(self, now: float, shadows: RecoveredShadows) -> None:
        """Take over what an earlier life has written down; every primary counts as heard now."""
        for held in shadows.copies:
            primary = self._primary(now, held.primary)
            primary.identity = held.identity
            primary.copies[held.primary_number] = _Copy(held, durable=True)
        for name, identity, number in shadows.taken_over:
            self._primary(now, name).taken_over[identity][number] = None

    def _primary(self, now: float, name: str) -> _Primary:
        found = self._primaries.get(name)
        if found is None:
            found = self._primaries[name] = _Primary(now)
        return found

    def queues(self, now: float) -> list[ShadowQueue]:
        """What is held, by primary."""
        return [
            ShadowQueue(
                name,
                primary.linked,
                len(primary.copies),
                sum(each.held.message.size_bytes for each in primary.copies.values()),
                min((each.held.message.received_at for each in primary.copies.values()), default=0.0),
                0.0 if primary.linked else max(0.0, now - primary.heard_at),
                sum(len(each) for each in primary.taken_over.values()),
            )
            for name, primary in sorted(self._primaries.items())
        ]

    @property
    def copy_count(self) -> int:
        """How many copies are held."""
        return sum(len(primary.copies) for primary in self._primaries.values())

    # --- what a primary says -----------------------------------------------------------------------

    def link_up(self, now: float, name: str, identity: str) -> None:
        """A primary has connected; it is told what we hold, and what we took over."""
        primary = self._primary(now, name)
        primary.identity, primary.linked, primary.heard_at = identity, True, now
        # One that is still on its way to the disk follows when it is there.
        lost = [
            number
            for number, each in primary.copies.items()
            if each.durable and each.held.identity != identity
        ]
        if lost:
            self._take_over(now, name, lost, "it came back with another queue database")
        for old, numbers_there in primary.taken_over.items():
            if old != identity and numbers_there:  # nobody is left to be told
                self.writes.append(ForgetTakeOver(name, old, tuple(numbers_there)))
        primary.listing = True
        self._list(name, primary)

    def _list(self, name: str, primary: _Primary) -> None:
        """Tell a primary what was taken over from it and what is held, once nothing changes hands."""
        if not primary.linked or not primary.listing or primary.taking_count:
            return
        primary.listing = False
        self._tell_taken_over(name, primary)
        # What is on its way to the disk is answered when it is there.
        numbers = [number for number, each in primary.copies.items() if each.durable]
        for start in range(0, max(1, len(numbers)), shadow.NUMBERS_PER_FRAME):
            some = tuple(numbers[start : start + shadow.NUMBERS_PER_FRAME])
            last = start + shadow.NUMBERS_PER_FRAME >= len(numbers)
            self.frames.append((name, shadow.Holding(some, last)))

    def _tell_taken_over(self, name: str, primary: _Primary) -> None:
        numbers = list(primary.taken_over.get(primary.identity, ()))
        for start in range(0, len(numbers), shadow.NUMBERS_PER_FRAME):
            some = tuple(numbers[start : start + shadow.NUMBERS_PER_FRAME])
            self.frames.append((name, shadow.TookOver(some)))

    def link_down(self, now: float, name: str) -> None:
        """The link of a primary is gone; its silence begins."""
        primary = self._primaries.get(name)
        if primary is not None and primary.linked:
            primary.linked, primary.heard_at = False, now

    def heard(self, now: float, name: str) -> None:
        """A server has said anything, on whichever link."""
        primary = self._primaries.get(name)
        if primary is not None:
            primary.heard_at = now

    def copies_of(self, name: str, numbers: Iterable[int]) -> list[QueuedMessage]:
        """Those messages of a primary, by its numbers, of which there is a copy here."""
        copies = self._primaries[name].copies
        return [copies[number].held.message for number in numbers if number in copies]

    def said(self, now: float, name: str, frame: shadow.PrimaryFrame) -> None:
        """Do what a primary asks; ``AnswersRead`` is for intake.

        Raises:
            Refusal: it makes no sense.
        """
        primary = self._primaries[name]
        primary.heard_at = now
        match frame:
            case shadow.Copy():
                self._copy(now, name, primary, frame)
            case shadow.Finished():
                self._finished(now, name, primary, frame)
            case shadow.Narrowed():
                self._narrowed(primary, frame)
            case shadow.Noted():
                known = primary.taken_over.get(primary.identity, {})
                if numbers := tuple(each for each in frame.numbers if each in known):
                    self.writes.append(ForgetTakeOver(name, primary.identity, numbers))
            case shadow.Ping():
                self.frames.append((name, shadow.Pong()))
            case shadow.AnswersRead():
                pass

    def _copy(self, now: float, name: str, primary: _Primary, frame: shadow.Copy) -> None:
        before = primary.copies.get(frame.number)
        if before is not None and before.held.message.network_message_id == frame.network_message_id:
            if before.durable:
                self.frames.append((name, shadow.Held((frame.number,))))
            return
        reason = self.refuse_copies()
        if reason:
            self.frames.append((name, shadow.NotHeld((frame.number,), reason)))
            return
        if before is not None:
            raise Refusal(f"message {frame.number} is another one than before")
        message = message_of(frame, self._queue.take_number(), self._tracking.wall(now))
        line = self._line(now, EventId.HARECEIVE, message, name)
        held = HeldCopy(replace(message, data=None), name, primary.identity, frame.number)
        primary.copies[frame.number] = _Copy(held)
        self.writes.append(HoldCopy(message, name, primary.identity, frame.number, line))

    def _narrowed(self, primary: _Primary, frame: shadow.Narrowed) -> None:
        """Keep a copy for the recipients that are left: a take-over must not send to the others again."""
        copy = primary.copies.get(frame.number)
        if copy is None or not frame.recipients:
            return
        message = replace(copy.held.message, recipients=frame.recipients)
        copy.held = replace(copy.held, message=message)
        self.writes.append(NarrowCopy(message.number, frame.recipients))

    def _line(self, now: float, event_id: EventId, message: QueuedMessage, primary: str) -> str:
        details = LineDetails(reference=primary)
        facts = facts_of(message)
        return self._tracking.line(now, event_id, "REDUNDANCY", facts, message.recipients, details)

    def _finished(self, now: float, name: str, primary: _Primary, frame: shadow.Finished) -> None:
        unknown: list[int] = []
        kept: list[int] = []
        gone: list[int] = []
        lines: list[str] = []
        for numbers, own_numbers in ((frame.kept, kept), (frame.gone, gone)):
            for number in numbers:
                copy = primary.copies.get(number)
                if copy is None:
                    unknown.append(number)
                else:
                    message = self._leave(primary, number)
                    own_numbers.append(message.number)
                    lines.append(self._line(now, EventId.HADISCARD, message, name))
        if unknown:
            self.frames.append((name, shadow.Discarded(tuple(unknown))))
        if not self.keeps:
            gone += kept
            kept = []
        if kept or gone:
            at = self._tracking.wall(now)
            self.writes.append(DropCopies(tuple(kept), tuple(gone), at, "".join(lines)))

    def _leave(self, primary: _Primary, number: int) -> QueuedMessage:
        held = primary.copies.pop(number).held
        self._leaving[held.message.number] = held
        return held.message

    # --- take-over -------------------------------------------------------------------------------

    def declare_lost(self, now: float, name: str) -> int:
        """An administrator, or the cluster, says that a server is lost; returns how many copies it had."""
        primary = self._primaries.get(name)
        numbers = _durable(primary) if primary is not None else []
        if numbers:
            self._take_over(now, name, numbers, "it was declared lost")
        return len(numbers)

    def _take_over(self, now: float, name: str, numbers: list[int], reason: str) -> None:
        primary = self._primaries[name]
        self.logs.append(happened(events.TAKE_OVER, server=name, reason=reason, message_count=len(numbers)))
        since = self._tracking.wall(now)
        primary.taking_count += len(numbers)
        for start in range(0, len(numbers), TAKE_OVER_COUNT):
            some = [self._leave(primary, number) for number in numbers[start : start + TAKE_OVER_COUNT]]
            lines = "".join(self._line(now, EventId.RESUBMIT, each, name) for each in some)
            self.writes.append(TakeOver(tuple(each.number for each in some), since, lines))

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called."""
        due = [self._rewrite_at] if self._rewrite_at is not None else []
        if self._lost_late:
            due.append(0.0)
        if self.takeover_s:
            due += [
                primary.heard_at + self.takeover_s
                for primary in self._primaries.values()
                if any(each.durable for each in primary.copies.values())
            ]
        return min(due, default=None)

    def timer(self, now: float) -> None:
        """Take over from who is silent for too long; write again what could not be written."""
        if self._rewrite_at is not None and self._rewrite_at <= now:
            self._rewrite_at = None
            self.writes += self._rewrite
            self._rewrite = []
        late, self._lost_late = self._lost_late, []
        for name, number in late:
            if number in self._primaries[name].copies:
                self._take_over(now, name, [number], "it came back with another queue database")
        if not self.takeover_s:
            return
        for name, primary in self._primaries.items():
            if now - primary.heard_at >= self.takeover_s and _durable(primary):
                silent_s = int(now - primary.heard_at)
                reason = f"nothing was heard of it for {silent_s} s"
                self._take_over(now, name, _durable(primary), reason)

    # --- the disk ----------------------------------------------------------------------------------

    def committed(self, write: HolderWrite) -> None:
        """A write of ours is durable."""
        match write:
            case HoldCopy():
                primary = self._primaries[write.primary]
                copy = primary.copies.get(write.primary_number)
                # Its primary may have finished with it meanwhile.
                if copy is not None and copy.held.message.number == write.message.number:
                    copy.durable = True
                    if write.identity != primary.identity:
                        self._lost_late.append((write.primary, write.primary_number))
                if primary.linked and primary.identity == write.identity:
                    self.frames.append((write.primary, shadow.Held((write.primary_number,))))
            case DropCopies():
                dropped = self._left((*write.kept, *write.gone))
                for name, held in dropped.items():
                    if self._primaries[name].linked:
                        numbers = tuple(each.primary_number for each in held)
                        self.frames.append((name, shadow.Discarded(numbers)))
            case TakeOver():
                self._took_over(self._left(write.numbers))
            case NarrowCopy():
                pass
            case ForgetTakeOver():
                known = self._primaries[write.primary].taken_over[write.identity]
                for number in write.numbers:
                    known.pop(number, None)

    def _left(self, own_numbers: tuple[int, ...]) -> dict[str, list[HeldCopy]]:
        """Part with copies for good; returns them by primary."""
        found: dict[str, list[HeldCopy]] = defaultdict(list)
        for number in own_numbers:
            held = self._leaving.pop(number)
            found[held.primary].append(held)
        return found

    def _took_over(self, taken: dict[str, list[HeldCopy]]) -> None:
        for name, held in taken.items():
            primary = self._primaries[name]
            primary.taking_count -= len(held)
            self.take_over_count += len(held)
            for each in held:
                self.taken_over.append(each.message)
                primary.taken_over[each.identity][each.primary_number] = None
            told = tuple(each.primary_number for each in held if each.identity == primary.identity)
            if told and primary.linked and not primary.listing:
                self.frames.append((name, shadow.TookOver(told)))
            self._list(name, primary)

    def failed(self, now: float, write: HolderWrite, reason: str) -> None:
        """A write did not happen: a copy is refused, all else is tried again."""
        if isinstance(write, HoldCopy):
            primary = self._primaries[write.primary]
            copy = primary.copies.get(write.primary_number)
            if copy is not None and copy.held.message.number == write.message.number:
                del primary.copies[write.primary_number]
            if primary.linked and primary.identity == write.identity:
                self.frames.append((write.primary, shadow.NotHeld((write.primary_number,), reason)))
            return
        self._rewrite.append(write)
        if self._rewrite_at is None:
            self._rewrite_at = now + REWRITE_S


def _durable(primary: _Primary) -> list[int]:
    """The copies that may be taken over: one on its way to the disk may still not get there."""
    return [number for number, each in primary.copies.items() if each.durable]
