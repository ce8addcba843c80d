"""The transport role of one server: sessions, intake, queue and delivery, put together.

A message goes: session, intake, commit, 250, delivery, commit. The 250 is said
in ``queue_committed`` and nowhere else. See ``node.ports`` for how a node is
driven, and docs/flow.md for the whole way.
"""

from __future__ import annotations

import random

from holdfast.directory.model import DistributionGroup, Mailbox, Organisation
from holdfast.kernel.backoff import Backoff
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.events import EventKind, happened
from holdfast.kernel.ids import ConnectionId, MailboxId, NetworkMessageId
from holdfast.node.ports import (
    CallStore,
    CommitQueue,
    Log,
    Peer,
    ReadQueued,
    TransportOutput,
)
from holdfast.node.smtp_doors import SmtpDoors
from holdfast.transport import events
from holdfast.transport.bounce import Bouncer
from holdfast.transport.categorize import Categorizer
from holdfast.transport.delivery import Delivery, facts_of
from holdfast.transport.intake import SETTLE_S, Intake
from holdfast.transport.queue import (
    AddMessage,
    Entry,
    Failure,
    FinishRecipients,
    NextHopKey,
    Queue,
    QueueWrite,
    RecoveredQueue,
    SettleAnswers,
    TrackOnly,
)
from holdfast.transport.route import HopProfile, Unreachable
from holdfast.transport.tracking import EventId, TrackingWriter
from holdfast.wire import store

PIPELINED_BYTES_MAX = 256 << 10  # while a session waits; then its client waits too
REWRITE = Backoff(first_s=0.5, longest_s=30.0)
LOAD_LINES_PER_WRITE = 500

_STOPPING = "the service is stopping, try again later"


class Router:
    """Where mail goes, as long as there is no more than our own mailboxes."""

    def __init__(self, organisation: Organisation, server_name: str) -> None:
        self._categorizer = Categorizer(organisation)

    def route(
        self, recipient: str, size_bytes: int, redirect: str = ""
    ) -> Mailbox | DistributionGroup | NextHopKey | Failure | Unreachable:
        """Decide where a recipient's mail goes."""
        return self._categorizer.target(recipient)

    def profile(self, key: NextHopKey) -> HopProfile | None:
        """Nothing leads outside."""
        return None


class TransportNode:
    """Everything the transport role decides."""

    def __init__(
        self, organisation: Organisation, server_name: str, recovered: RecoveredQueue, luck: random.Random
    ) -> None:
        self._server_name = server_name
        self._luck = luck
        self._recovered = recovered
        self._fqdn = "localhost"
        self._tracking = TrackingWriter(self._fqdn, with_subject=organisation.tracking_subject)
        self._queue = Queue(recovered)
        self._categorizer = Categorizer(organisation)
        self._delivery = Delivery(
            self._queue, organisation, Router(organisation, server_name), self._tracking, luck
        )
        self._bouncer = Bouncer(self._queue, self._categorizer, self._tracking, luck, self._fqdn)
        self._intake = Intake(self._queue, self._tracking, luck, memory_s=organisation.duplicate_memory_s)
        self._doors = SmtpDoors(self._intake, self._categorizer)
        self._take_identity(organisation)
        self._stopping = False
        self._writes: list[QueueWrite] = []
        # Our own writes that are under way, and those that failed and wait for the next try.
        self._own_write_count = 0
        self._own_tracks: set[TrackOnly] = set()
        self._rewrite_entries: list[Entry] = []
        self._rewrite_tracks: list[TrackOnly] = []
        self._rewrite_at: float | None = None
        self._write_failure_count = 0
        self._settle_at: float | None = None
        # Messages with failed recipients whose data is being read for the bounce.
        self._bounce_reads: set[int] = set()

    def _take_identity(self, organisation: Organisation) -> None:
        """Take who we are from the organisation: at first start nobody has declared us yet."""
        server = organisation.own_server(self._server_name)
        self._fqdn = server.fqdn if server is not None else "localhost"
        self._bouncer.fqdn = self._fqdn
        address = server.addresses[0] if server is not None and server.addresses else ""
        self._tracking.take_server(self._fqdn, address)
        self._doors.follow(organisation, server.name if server is not None else "", self._fqdn)

    @property
    def clock_offset_s(self) -> float:
        """Wall clock minus steady clock: added where an instant is written down (``node.ports``)."""
        return self._tracking.clock_offset_s

    @clock_offset_s.setter
    def clock_offset_s(self, offset_s: float) -> None:
        self._tracking.clock_offset_s = offset_s

    # --- the world -------------------------------------------------------------------------

    def started(self, now: float) -> None:
        """Begin work: deliver what was found in the queue."""
        self._intake.recovered(now, self._recovered.uncertain)
        lines = [
            self._tracking.line(now, EventId.LOAD, "BOOTLOADER", facts_of(entry.message), entry.remaining)
            for entry in self._queue
        ]
        for start in range(0, len(lines), LOAD_LINES_PER_WRITE):
            self._track("".join(lines[start : start + LOAD_LINES_PER_WRITE]))
        uncertain_count = len(self._recovered.uncertain)
        if lines or uncertain_count:
            self._log(events.QUEUE_FOUND, message_count=len(lines), uncertain_count=uncertain_count)
        self._delivery.started(now)
        self._flush(now)

    def organisation_changed(self, now: float, organisation: Organisation) -> None:
        """Go by another organisation from now on; sessions that are open keep their limits."""
        self._categorizer = Categorizer(organisation)
        self._bouncer.categorizer = self._categorizer
        self._doors.categorizer = self._categorizer
        self._intake.memory_s = organisation.duplicate_memory_s
        self._tracking.with_subject = organisation.tracking_subject
        self._take_identity(organisation)
        router = Router(organisation, self._server_name)
        self._delivery.organisation_changed(now, organisation, router)
        self._flush(now)

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called, or None."""
        deadline = self._delivery.deadline()
        doors = self._doors.next_deadline()
        if doors is not None and (deadline is None or doors < deadline):
            deadline = doors
        if self._rewrite_at is not None and (deadline is None or self._rewrite_at < deadline):
            deadline = self._rewrite_at
        if self._settle_at is not None and (deadline is None or self._settle_at < deadline):
            deadline = self._settle_at
        return deadline

    def timer(self, now: float) -> None:
        """Do what is due."""
        self._doors.timer(now)
        self._delivery.timer(now)
        if self._rewrite_at is not None and now >= self._rewrite_at:
            self._rewrite_at = None
            self._delivery.outcomes.touched += self._rewrite_entries
            self._rewrite_entries = []
            self._write_own(*self._rewrite_tracks)
            self._rewrite_tracks = []
        self._flush(now)

    def stopping(self, now: float) -> None:
        """Take no new message (421), finish what was acknowledged or is being received."""
        self._stopping = True
        self._doors.stopping(now)
        self._flush(now)

    def idle(self) -> bool:
        """Whether nothing is open, being committed or being delivered: a stop loses no work."""
        return not (
            self._doors.open_count
            or self._doors.writes
            or self._writes
            or self._intake.pending_count
            or self._own_write_count
            or self._delivery.in_flight_count
        )

    @property
    def uncertain(self) -> dict[bytes, NetworkMessageId]:
        """Fingerprints whose sender may not have read our 250; a clean stop hands them to the next life."""
        return self._intake.uncertain

    @property
    def queued_message_count(self) -> int:
        """How many messages wait."""
        return len(self._queue)

    # --- connections -----------------------------------------------------------------------

    @property
    def outputs(self) -> list[TransportOutput]:
        """What is to be done; the driver takes it after every input, in order."""
        return self._doors.outputs

    @outputs.setter
    def outputs(self, outputs: list[TransportOutput]) -> None:
        self._doors.outputs = outputs

    def connection_opened(self, now: float, connection_id: ConnectionId, connector: str, peer: Peer) -> None:
        """A client came to a binding of a receive connector.

        ``connector`` empty: the node chooses among the connectors bound to where
        the client came to (exchange-behaviour RC-1).
        """
        self._doors.connection_opened(now, connection_id, connector, peer)
        self._flush(now)

    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> None:
        """A client said something."""
        self._doors.bytes_received(now, connection_id, data)
        self._flush(now)

    def connection_ended(self, now: float, connection_id: ConnectionId) -> None:
        """A client says no more, but may still read (a half-closed connection)."""
        self._doors.connection_ended(now, connection_id)
        self._flush(now)

    def connection_lost(self, now: float, connection_id: ConnectionId) -> None:
        """A connection is gone, whoever closed it; what was not sent is lost."""
        self._doors.connection_lost(now, connection_id)
        self._flush(now)

    def tls_started(self, now: float, connection_id: ConnectionId) -> None:
        """TLS is on; the session begins anew."""
        self._doors.tls_started(now, connection_id)

    def password_checked(self, now: float, connection_id: ConnectionId, mailbox_id: MailboxId | None) -> None:
        """The answer to ``CheckPassword``."""
        self._doors.password_checked(now, connection_id, mailbox_id)
        self._flush(now)

    # --- the queue database ----------------------------------------------------------------

    def queue_committed(self, now: float, writes: list[QueueWrite]) -> None:
        """Writes are durable."""
        if self._write_failure_count:
            self._write_failure_count = 0
            self._log(events.QUEUE_WRITABLE)
        for write in writes:
            if isinstance(write, FinishRecipients):
                self._own_write_count -= 1
                entry, added = self._queue.written(write)
                if added:
                    self._delivery.route(now, entry, added)
                if entry.outcomes:
                    self._delivery.outcomes.touched.append(entry)
            elif isinstance(write, SettleAnswers):
                self._own_write_count -= 1
            elif isinstance(write, AddMessage):
                if self._intake.is_pending(write):
                    self._doors.accepted(now, write)
                else:
                    self._own_write_count -= 1
                entry = self._queue.add(now, write.message)
                self._delivery.route(now, entry, entry.remaining)
            elif self._intake.is_pending(write):
                self._doors.accepted(now, write)
            else:
                self._own_write_count -= 1
                self._own_tracks.discard(write)
        self._flush(now)

    def queue_failed(self, now: float, writes: list[QueueWrite], error: Unavailable) -> None:
        """Writes did not happen (a full disk): 452 to senders, try the rest again later."""
        if not self._write_failure_count:
            self._log(events.QUEUE_NOT_WRITABLE, reason=error.text)
        self._write_failure_count += 1
        for write in writes:
            if isinstance(write, FinishRecipients):
                self._own_write_count -= 1
                self._rewrite_entries.append(self._queue.write_failed(write))
            elif isinstance(write, SettleAnswers):
                self._own_write_count -= 1
                self._intake.settle_failed(write)
                self._settle_at = now + REWRITE.wait_s(self._write_failure_count, self._luck)
            elif self._intake.is_pending(write):
                self._doors.refused(now, write)
            else:
                # A bounce is made anew with the outcome that it belongs to; only plain lines are kept.
                self._own_write_count -= 1
                if isinstance(write, TrackOnly) and write in self._own_tracks:
                    self._own_tracks.discard(write)
                    self._rewrite_tracks.append(write)
        if (self._rewrite_entries or self._rewrite_tracks) and self._rewrite_at is None:
            self._rewrite_at = now + REWRITE.wait_s(self._write_failure_count, self._luck)
        self._flush(now)

    def queued_read(self, now: float, number: int, data: bytes | None) -> None:
        """The data of a queued message; None when it could not be read now."""
        if number in self._bounce_reads:
            self._bounce_reads.discard(number)
            entry = self._queue.get(number)
            if entry is not None and entry.outcomes and entry.writing is None:
                self._record(now, entry, data or b"")
        self._delivery.data_read(now, number, data)
        self._flush(now)

    # --- the mailbox databases -------------------------------------------------------------

    def store_connected(self, now: float, database: str) -> None:
        """A mailbox database can be asked (again)."""
        self._delivery.mailboxes.store_connected(now, database)
        self._flush(now)

    def store_lost(self, now: float, database: str) -> None:
        """A mailbox database went away; every unanswered question to it is void."""
        self._delivery.mailboxes.store_lost(now, database)
        self._flush(now)

    def store_answered(self, now: float, number: int, answer: store.Answer) -> None:
        """The answer to ``CallStore`` of that number."""
        self._delivery.mailboxes.answered(now, number, answer)
        self._flush(now)

    # --- what follows from it ---------------------------------------------------------------

    def _flush(self, now: float) -> None:
        """Turn what the parts have decided into outputs."""
        delivery, outcomes = self._delivery, self._delivery.outcomes
        if not self._stopping:
            delivery.mailboxes.dispatch(now)
        if outcomes.touched:
            touched, outcomes.touched = outcomes.touched, []
            for entry in touched:
                if entry.outcomes and entry.writing is None:
                    self._record(now, entry, entry.message.data)
        if outcomes.tracks:
            self._track("".join(outcomes.tracks))
            outcomes.tracks = []
        if self._doors.writes:
            self._writes += self._doors.writes
            self._doors.writes = []
        self._settle(now)
        if self._writes:
            self.outputs.append(CommitQueue(self._writes))
            self._writes = []
        if delivery.mailboxes.calls:
            self.outputs += [CallStore(*call) for call in delivery.mailboxes.calls]
            delivery.mailboxes.calls = []
        if delivery.reading.wanted:
            self.outputs.append(ReadQueued(delivery.reading.wanted))
            delivery.reading.wanted = []
        if outcomes.logs:
            self.outputs += [Log(event) for event in outcomes.logs]
            outcomes.logs = []
        self._queue.at_work = 0

    def _settle(self, now: float) -> None:
        """Write down which answers were read: with the next commit, or by itself after a while."""
        if not self._intake.has_settled:
            self._settle_at = None
        elif self._writes or (self._settle_at is not None and now >= self._settle_at):
            self._settle_at = None
            self._write_own(self._intake.take_settled())
        elif self._settle_at is None:
            self._settle_at = now + SETTLE_S

    def _record(self, now: float, entry: Entry, data: bytes | None) -> None:
        """Write down what became of recipients; in the same commit comes the bounce for those that failed."""
        failed = [
            (recipient, outcome.failure)
            for outcome in entry.outcomes
            if outcome.failure is not None
            for recipient in outcome.finished
        ]
        if failed and data is None:
            number = entry.message.number
            if number not in self._bounce_reads:
                self._bounce_reads.add(number)
                self.outputs.append(ReadQueued([number]))
            return
        write, _ = self._queue.begin_write(entry)
        self._write_own(write)
        if failed:
            bounced = self._bouncer.bounce(now, entry.message, failed, data or b"")
            self._write_own(bounced.write)
            if bounced.event is not None:
                self._delivery.outcomes.logs.append(bounced.event)

    def _track(self, lines: str) -> None:
        """Write tracking lines of our own; they are kept until they are durable."""
        write = TrackOnly(lines)
        self._own_tracks.add(write)
        self._write_own(write)

    def _write_own(self, *writes: QueueWrite) -> None:
        self._writes += writes
        self._own_write_count += len(writes)

    def _log(self, kind: EventKind, **fields: str | int) -> None:
        self.outputs.append(Log(happened(kind, **fields)))
