"""The queue: which messages wait here, and what each may do next.

The queue database holds every accepted message until all its recipients are
finished. What is written to it, and in which order, is decided here; a driver
(or the simulator) makes it durable.

Invariant: a message is in the queue database before its sender reads 250, and
leaves it only in the same transaction that records what became of its last
recipient.

Source: exchange-behaviour QU-4, QU-6; RFC 5321 section 6.1.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.envelope import PLAIN_ENVELOPE, EnvelopeOptions
from holdfast.transport.shadow_writes import NO_SHADOWS, RecoveredShadows, ShadowWrite


class DeliveryType(enum.Enum):
    """How a next hop is reached (exchange-behaviour RT-11)."""

    MAILBOX = "mailbox"  # a mailbox database of this server
    SERVER = "server"  # transport servers of ours, in this or another site
    SMART_HOST = "smart-host"
    DNS = "dns"
    UNREACHABLE = "unreachable"  # no connector leads there, now
    HELD = "held"  # messages that an administrator stopped
    POISON = "poison"  # messages that are set aside, since the transport role crashed over them


class NextHopKey(NamedTuple):
    """Where parts of messages go together; each distinct key is one queue (exchange-behaviour RT-11).

    Attributes:
        delivery_type: how.
        domain: the mailbox database, site (or site/server in our own), recipient domain (DNS), or the
            smart hosts joined by commas, with ``;tls=`` and the level where domains require more TLS.
        connector: the send connector; empty where none is involved.
    """

    delivery_type: DeliveryType
    domain: str
    connector: str = ""

    def __str__(self) -> str:
        """As people read and type it: ``dns:example.org``, ``smart-host:internet``, ``mailbox:DB01``."""
        word = self.domain
        if self.connector and self.delivery_type is DeliveryType.SMART_HOST:
            _, mark, level = word.partition(";")
            word = self.connector + mark + level
        return f"{self.delivery_type.value}:{word}" if word else self.delivery_type.value


@dataclass(frozen=True, slots=True)
class Marks:
    """What is known of a waiting message beyond its envelope, and must outlive a crash.

    Attributes:
        held: an administrator stopped it (``queue hold``).
        poison: it is set aside, since the transport role crashed over it.
        delay_told: its sender was told that it waits.
        redirect: where an administrator sent recipients instead (``redirects``); empty for nowhere.
        resubmitted: it comes from the Safety Net: nobody is told what becomes of it (SN-6).
    """

    held: bool = False
    poison: bool = False
    delay_told: bool = False
    redirect: str = ""
    resubmitted: bool = False


NO_MARKS = Marks()


# What is made per message is not frozen: each field would take 0.3 µs more. Nobody changes it.
@dataclass(slots=True, unsafe_hash=True)
class QueuedMessage:
    """An accepted message with the recipients that are not finished yet.

    Attributes:
        number: key in this queue database; grows, never reused.
        received_at: seconds since the epoch, by the wall clock.
        reverse_path: the envelope sender; empty for the null sender.
        recipients: envelope recipients that are still to be served.
        size_bytes: of ``data``.
        data: the message with our trace header on top; None when it is only on
            disk (found there at start, or pushed out of memory).
        message_id: the Message-ID header, for tracking; may be empty.
        subject: the Subject header, for tracking; may be empty.
        fingerprint: digest of envelope and message as received. It tells a
            sender's second try, when the answer to its first may have been
            lost, from a new message (exchange-behaviour SR13-5); empty of one that was found at start.
        options: what the envelope said beyond sender and recipients.
        marks: what happened to it since, and must outlive a crash.
        line_ends_checked: whether ``data`` is known to have no line end but CRLF; what is found on
            disk, or is made by ourselves, is looked at when it is sent.
    """

    number: int
    network_message_id: NetworkMessageId
    received_at: float
    reverse_path: str
    recipients: tuple[str, ...]
    size_bytes: int
    data: bytes | None
    message_id: str
    subject: str
    fingerprint: bytes
    options: EnvelopeOptions = PLAIN_ENVELOPE
    marks: Marks = NO_MARKS
    line_ends_checked: bool = field(default=False, compare=False)


@dataclass(slots=True, unsafe_hash=True)
class AddMessage:
    """Take a message into the queue; ``tracking`` are its lines for the tracking log.

    ``holder`` is the server that holds its shadow copy: empty for none, None where there is no other server.
    """

    message: QueuedMessage
    tracking: str
    holder: str | None = None


@dataclass(slots=True, unsafe_hash=True)
class FinishRecipients:
    """Record that recipients are finished; ``remaining`` empty removes the message.

    ``kept`` moves it to the Safety Net then, at this instant by the wall clock; 0 removes it for good. Who
    holds its shadow copy stays written down until ``ForgetCopies``.
    """

    number: int
    remaining: tuple[str, ...]
    tracking: str
    kept: float = 0.0


@dataclass(slots=True, unsafe_hash=True)
class TrackOnly:
    """Write tracking lines that go with no change of the queue (a refused message, a duplicate)."""

    tracking: str


@dataclass(slots=True, unsafe_hash=True)
class SettleAnswers:
    """Record that senders have read their 250; ``fingerprints`` are no longer uncertain after a crash."""

    fingerprints: tuple[bytes, ...]
    tracking: str = ""  # every write says which lines go with it; with this one none


@dataclass(frozen=True, slots=True)
class MarkMessage:
    """Record what is known of a waiting message from now on; nothing happens when it has left the queue."""

    number: int
    marks: Marks
    tracking: str = ""


@dataclass(frozen=True, slots=True)
class HoldQueue:
    """Record that an administrator stopped a queue (``held``), or let it go on.

    Attributes:
        key: as people type it, see ``NextHopKey.__str__``.
    """

    key: str
    held: bool
    tracking: str = ""


QueueWrite = AddMessage | FinishRecipients | TrackOnly | SettleAnswers | MarkMessage | HoldQueue | ShadowWrite


@dataclass(frozen=True, slots=True)
class RecoveredQueue:
    """What a queue database holds when its transport starts.

    Attributes:
        messages: all that wait, by number, without their data.
        next_number: never used, nor any above it; after a kill some below it may be unused too.
        uncertain: fingerprints of messages whose sender may not have read our
            250, as far as that was written down, each with the network message
            id of the copy that we have or had; oldest first.
        held_queues: the queues that an administrator stopped, as people type them.
        in_flight: numbers of messages that may have been handed to a next hop
            just before the last life of this process ended; some may have left the queue.
        crash_counts: how often this process died of a fault of ours over a message, by number.
        at_work: where to keep ``Queue.at_work``, if that is to outlive the process.
        shadows: what it holds for other servers, and they for us.
    """

    messages: tuple[QueuedMessage, ...]
    next_number: int
    uncertain: dict[bytes, NetworkMessageId]
    held_queues: tuple[str, ...] = ()
    in_flight: tuple[int, ...] = ()
    crash_counts: Mapping[int, int] = field(default_factory=dict)
    shadows: RecoveredShadows = NO_SHADOWS
    at_work: memoryview | None = None


UNCERTAIN_COUNT_MAX = 100_000  # fingerprints of messages whose sender may not have read our 250
OLD_S = 60.0  # a message that comes with a greater age is sorted in by it
MEMORY_BYTES_MAX = 64 << 20  # of message data; what is above it is read from disk when its turn comes


@dataclass(slots=True, eq=False)
class Entry:
    """A durable message while it waits here.

    There may be a million of them: what few messages have is a tuple, which costs nothing
    while it is empty.

    Attributes:
        message: ``message.data`` None means on disk only.
        queued_at: from when its age counts, on the steady clock; of a message that was found at
            start, when it was received.
        remaining: recipients as the queue database has them.
        outcomes: what happened to recipients and is not yet on its way to disk.
        writing: the commit that is under way for this message. Only one is, ever:
            if an earlier one could fail after a later one succeeded, a recipient
            could leave the queue without a line that says what became of it.
        recording: the outcomes that this commit records.
        adding: the recipients that it puts in (a group's members).
        parts: what of this message waits for or is at a mailbox database or a next hop.
        deferred: whether a DEFER was tracked; one in the life of a process is enough.
        alone: it is sent to the store by itself, since a batch with it was refused.
        failure_count: refusals in a row that were about this message.
        inside, outside: whether a mailbox of ours has it, or a host of others, as far as is known now.
    """

    message: QueuedMessage
    queued_at: float
    remaining: tuple[str, ...]
    outcomes: tuple[RecipientOutcome, ...] = ()
    writing: FinishRecipients | None = None
    recording: tuple[RecipientOutcome, ...] = ()
    adding: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    deferred: bool = False
    alone: bool = False
    failure_count: int = 0
    inside: bool = False
    outside: bool = False

    @property
    def settled(self) -> bool:
        """Whether nothing is under way for it: no part, no outcome, no write."""
        return not (self.parts or self.outcomes or self.writing)


class PartState(enum.Enum):
    """Where a part is; a part that is ``GONE`` is passed over wherever it is still listed."""

    WAITING = enum.auto()  # in its lane
    READING = enum.auto()  # its data is being read from disk
    DEFERRED = enum.auto()  # until an instant of its own
    AT_WORK = enum.auto()  # at a mailbox database or a next hop
    GONE = enum.auto()  # settled, or routed anew


SPARE_COUNT = 64  # parts that are gone may stay listed so long as they are no more than these and the others


@dataclass(slots=True, eq=False)
class Part:
    """What of one message goes to one place; ``failure`` is why it alone waits, None where its lane knows."""

    entry: Entry
    lane: Lane
    recipients: tuple[str, ...]
    state: PartState = PartState.WAITING
    failure: Failure | None = None


@dataclass(slots=True, eq=False)
class Lane:
    """One queue: the parts that go to one place, in order (exchange-behaviour RT-11).

    Attributes:
        waiting: those whose turn comes; may list some that are gone.
        part_count: all of them that are not gone, wherever they are.
        held: an administrator stopped it.
        not_before: nothing is tried before this instant.
        failure_count: failures in a row.
        last_error: the last of them, for people.
        last_delivery_at: when something last left by it, or when it began.
        empty_since: since when nothing waits; None while something does.
    """

    key: NextHopKey
    waiting: deque[Part] = field(default_factory=deque)
    part_count: int = 0
    held: bool = False
    not_before: float = 0.0
    failure_count: int = 0
    last_error: str = ""
    last_delivery_at: float = 0.0
    empty_since: float | None = None

    def join(self, entry: Entry, recipients: tuple[str, ...]) -> Part:
        """Count recipients of a message here; the caller says what they wait for."""
        part = Part(entry, self, recipients)
        entry.parts += (part,)
        self.part_count += 1
        self.empty_since = None
        return part

    def put(self, entry: Entry, recipients: tuple[str, ...], *, front: bool = False) -> Part:
        """Let recipients of a message wait for their turn here."""
        part = self.join(entry, recipients)
        if front:
            self.waiting.appendleft(part)
        else:
            self.waiting.append(part)
        return part

    def put_back(self, part: Part) -> None:
        """Let a part wait here again, before all others."""
        part.state = PartState.WAITING
        self.waiting.appendleft(part)

    def drop(self, now: float, part: Part) -> None:
        """Part with a part: it is settled, or was routed anew."""
        assert part.state is not PartState.GONE
        part.state = PartState.GONE
        entry = part.entry
        # Most messages have one part, and comparing is dearer than to see that.
        entry.parts = () if len(entry.parts) == 1 else tuple(each for each in entry.parts if each is not part)
        self.part_count -= 1
        if not self.part_count:
            self.empty_since = now
            self.waiting.clear()
        elif len(self.waiting) > 2 * self.part_count + SPARE_COUNT:
            self.waiting = deque(each for each in self.waiting if each.state is PartState.WAITING)

    def first(self) -> Part | None:
        """The part whose turn it is."""
        waiting = self.waiting
        while waiting:
            if waiting[0].state is PartState.WAITING:
                return waiting[0]
            waiting.popleft()
        return None

    def take_all(self) -> list[Part]:
        """Take everything that waits, to route it anew."""
        found = [part for part in self.waiting if part.state is PartState.WAITING]
        self.waiting.clear()
        return found


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a recipient cannot be served.

    Attributes:
        status: an enhanced status code (RFC 3463).
        text: a sentence for its sender.
        remote_host: the next hop that refused it, by name; empty when it was our own decision.
        reply: what that host said, code and text.
    """

    status: str
    text: str
    remote_host: str = ""
    reply: str = ""


class Served(enum.Enum):
    """How a recipient was served, in the words of a delivery report (RFC 3464 section 2.3.3)."""

    DELIVERED = "delivered"  # into a mailbox
    RELAYED = "relayed"  # to a next hop that knows nothing of delivery reports
    EXPANDED = "expanded"  # a group whose members took its place


@dataclass(slots=True, unsafe_hash=True)
class RecipientOutcome:
    """What happened to recipients of one message, to be recorded in the queue database.

    Attributes:
        finished: recipients that leave the queue.
        tracking: the lines that say why.
        added: recipients that take their place (a group's members).
        failure: given when they failed: their sender gets a bounce.
        served: what the sender may have asked to be told when it went well (RFC 3461).
        remote_host: the next hop that took them.
        in_flight_count: notes of the in-flight journal that this makes needless.
        outside: whether a host that is not ours has taken it.
    """

    finished: tuple[str, ...]
    tracking: str
    added: tuple[str, ...] = ()
    failure: Failure | None = None
    served: Served | None = None
    remote_host: str = ""
    in_flight_count: int = 0
    outside: bool = False


class Queue:
    """The messages that wait, in memory, with a bound on the data that is kept with them.

    ``at_work[0]`` is the message that is being looked at, 0 for none: when the process dies of a
    fault of ours, it is the one to blame (exchange-behaviour QU-5).
    """

    def __init__(self, recovered: RecoveredQueue, memory_bytes_max: int = MEMORY_BYTES_MAX) -> None:
        self._memory_bytes_max = memory_bytes_max
        self.memory_bytes = 0
        self.at_work = recovered.at_work or memoryview(bytearray(8)).cast("Q")
        self.next_number = recovered.next_number  # never used, nor any above it
        self._entries: dict[int, Entry] = {}
        # Those whose sender was not told that they wait, in the order of arrival.
        self.untold: dict[int, Entry] = {}
        self.unsorted = False
        for message in recovered.messages:
            found = message if message.data is None else replace(message, data=None)
            entry = Entry(found, message.received_at, message.recipients)
            self._entries[message.number] = entry
            if not message.marks.delay_told:
                self.untold[message.number] = entry

    def sort_by_age(self) -> None:
        """Put the oldest first, where a message came that was old already."""
        if self.unsorted:
            self.unsorted = False
            oldest_first = sorted(self._entries.items(), key=lambda item: item[1].queued_at)
            self._entries = dict(oldest_first)
            self.untold = {number: entry for number, entry in oldest_first if number in self.untold}

    def put_in_order(self, now: float) -> None:
        """Let no message that was found be younger than ``now``, and put the oldest first.

        The wall clock may have been wrong when one came; who looks for what is old stops at the first
        that is not.
        """
        in_order = True
        last_at = 0.0
        for entry in self._entries.values():
            # When one came from the Safety Net is not written down.
            entry.queued_at = now if entry.message.marks.resubmitted else min(entry.queued_at, now)
            in_order = in_order and last_at <= entry.queued_at
            last_at = entry.queued_at
        self.unsorted = not in_order
        self.sort_by_age()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __getitem__(self, number: int) -> Entry:
        return self._entries[number]

    def get(self, number: int) -> Entry | None:
        """The entry of a number, or None when it is finished."""
        return self._entries.get(number)

    def take_number(self) -> int:
        """Return a number that was never used in this queue database."""
        number = self.next_number
        self.next_number += 1
        return number

    def add(self, now: float, message: QueuedMessage, age_s: float = 0.0) -> Entry:
        """Keep a message that has just become durable; without its data when memory is full.

        Args:
            now: steady.
            message: of a number that was taken.
            age_s: how long ago a server of ours took it in; what this one took to make it durable is no age.
        """
        assert message.number < self.next_number
        assert message.number not in self._entries
        if message.data is None:
            pass  # taken over from another server, or from the Safety Net: it is on disk
        elif self.memory_bytes + message.size_bytes > self._memory_bytes_max:
            message = replace(message, data=None)
        else:
            self.memory_bytes += message.size_bytes
        entry = Entry(message, now - age_s if age_s > OLD_S else now, message.recipients)
        self.unsorted = self.unsorted or age_s > OLD_S
        self._entries[message.number] = entry
        if not message.marks.delay_told:
            self.untold[message.number] = entry
        return entry

    def data_read(self, entry: Entry, data: bytes) -> None:
        """Keep data that came from disk. Readers ask ``room_for`` first."""
        if entry.message.data is None:
            entry.message = replace(entry.message, data=data)
            self.memory_bytes += entry.message.size_bytes

    def room_for(self, size_bytes: int) -> bool:
        """Whether that much more data may be in memory; one message always may."""
        return self.memory_bytes == 0 or self.memory_bytes + size_bytes <= self._memory_bytes_max

    def begin_write(
        self, entry: Entry, kept: float = 0.0
    ) -> tuple[FinishRecipients, tuple[RecipientOutcome, ...]]:
        """Turn the outcomes of a message into one write, and return the outcomes it records.

        A message that a mailbox of ours has goes to the Safety Net at ``kept``, by the wall clock; 0: none
        does.
        """
        assert entry.writing is None
        assert entry.outcomes
        outcomes, entry.outcomes = entry.outcomes, ()
        for outcome in outcomes:
            if outcome.outside:
                entry.outside = True
            elif outcome.served is Served.DELIVERED:
                entry.inside = True
        if len(outcomes) == 1 and outcomes[0].finished == entry.remaining and not outcomes[0].added:
            remaining: tuple[str, ...] = ()
            tracking = outcomes[0].tracking
        else:
            finished = {recipient for outcome in outcomes for recipient in outcome.finished}
            others = tuple(recipient for recipient in entry.remaining if recipient not in finished)
            entry.adding = tuple(
                dict.fromkeys(r for outcome in outcomes for r in outcome.added if r not in others)
            )
            remaining = others + entry.adding
            tracking = "".join(outcome.tracking for outcome in outcomes)
        write = FinishRecipients(entry.message.number, remaining, tracking)
        if kept and entry.inside and not remaining:
            write.kept = kept
        entry.writing = write
        entry.recording = outcomes
        return write, outcomes

    def write_failed(self, write: FinishRecipients) -> Entry:
        """Record that a write did not happen: its outcomes wait again."""
        entry = self._entries[write.number]
        assert entry.writing == write
        entry.outcomes = entry.recording + entry.outcomes
        entry.writing, entry.recording, entry.adding = None, (), ()
        return entry

    def landed_by(self, write: FinishRecipients) -> list[int]:
        """The notes of the journal that a durable write makes needless; asked before ``written``."""
        count = sum(outcome.in_flight_count for outcome in self._entries[write.number].recording)
        return [write.number] * count

    def written(self, write: FinishRecipients) -> tuple[Entry, tuple[str, ...]]:
        """Record that a write is durable; a message without recipients is forgotten.

        Returns:
            The message, and the recipients that were put in and wait for a route.
        """
        entry = self._entries[write.number]
        assert entry.writing == write
        added, entry.adding = entry.adding, ()
        entry.writing, entry.recording = None, ()
        entry.remaining = write.remaining
        if not entry.remaining:
            assert entry.settled
            del self._entries[write.number]
            self.untold.pop(write.number, None)
            if entry.message.data is not None:
                self.memory_bytes -= entry.message.size_bytes
        return entry, added

    def mark(self, entry: Entry, marks: Marks) -> None:
        """Know something else of a message from now on."""
        entry.message = replace(entry.message, marks=marks)
        if marks.delay_told:
            self.untold.pop(entry.message.number, None)

    def not_told(self, number: int) -> None:
        """Record that it could not be written down that a sender was told; it is told later."""
        entry = self._entries.get(number)
        if entry is not None:
            self.mark(entry, replace(entry.message.marks, delay_told=False))
            self.untold = {number: entry, **self.untold}  # the oldest come first

    def forget_data(self, entry: Entry) -> None:
        """Let go of the data of a message; it is on disk."""
        if entry.message.data is not None:
            entry.message = replace(entry.message, data=None)
            self.memory_bytes -= entry.message.size_bytes
