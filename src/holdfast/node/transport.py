"""The transport role of one server: sessions, intake, queue and delivery, put together.

A message goes: session, intake, commit, 250, delivery, commit. The 250 is said
in ``queue_committed`` and nowhere else. See ``node.ports`` for how a node is
driven, and docs/flow.md for the whole way.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from holdfast.directory.model import Organisation, ReceiveConnector
from holdfast.kernel.address import Address
from holdfast.kernel.backoff import Backoff
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.events import EventKind, happened
from holdfast.kernel.ids import ConnectionId, MailboxId, NetworkMessageId
from holdfast.node.ports import (
    CallStore,
    CheckPassword,
    Close,
    CommitQueue,
    Log,
    PauseReading,
    Peer,
    ReadQueued,
    ResumeReading,
    Send,
    StartTls,
    TransportOutput,
)
from holdfast.transport import events
from holdfast.transport.admission import Admission, Doors
from holdfast.transport.bounce import Bouncer
from holdfast.transport.categorize import Categorizer
from holdfast.transport.delivery import Delivery, facts_of
from holdfast.transport.intake import SETTLE_S, Intake, Origin
from holdfast.transport.queue import (
    AddMessage,
    Entry,
    FinishRecipients,
    Queue,
    QueueWrite,
    RecoveredQueue,
    SettleAnswers,
    TrackOnly,
)
from holdfast.transport.session import (
    MessageReceived,
    PasswordGiven,
    SessionEnded,
    SessionEvent,
    SmtpSession,
    TlsWanted,
)
from holdfast.transport.tracking import EventId, TrackingWriter
from holdfast.wire import store

PIPELINED_BYTES_MAX = 256 << 10  # while a session waits; then its client waits too
REWRITE = Backoff(first_s=0.5, longest_s=30.0)
LOAD_LINES_PER_WRITE = 500

_STOPPING = "the service is stopping, try again later"


@dataclass(slots=True, eq=False)
class _Connection:
    """One client connection.

    Attributes:
        committing_bytes: of the message whose commit the client waits for.
        held_bytes: what it takes of the memory for messages being received.
        half_closed: the client says no more; close after the last answer.
        paused: whether reading is paused.
        closing: whether the driver was told to close it.
        goodbye: the text of the 421 that ends it, after the answer that the client
            waits for; empty when we do not end it.
    """

    session: SmtpSession
    origin: Origin
    committing_bytes: int = 0
    held_bytes: int = 0
    half_closed: bool = False
    paused: bool = False
    closing: bool = False
    goodbye: str = ""


class TransportNode:
    """Everything the transport role decides."""

    def __init__(
        self, organisation: Organisation, server_name: str, recovered: RecoveredQueue, luck: random.Random
    ) -> None:
        self.outputs: list[TransportOutput] = []
        self._server_name = server_name
        self._luck = luck
        self._recovered = recovered
        self._fqdn = "localhost"
        self._tracking = TrackingWriter(self._fqdn, with_subject=organisation.tracking_subject)
        self._queue = Queue(recovered)
        self._categorizer = Categorizer(organisation)
        self._delivery = Delivery(self._queue, self._categorizer, self._tracking, luck)
        self._bouncer = Bouncer(self._queue, self._categorizer, self._tracking, luck, self._fqdn)
        self._intake = Intake(self._queue, self._tracking, luck, memory_s=organisation.duplicate_memory_s)
        self._admission = Admission()
        self._connectors: dict[str, ReceiveConnector] = {}
        self._doors = Doors(())
        self._take_identity(organisation)
        self._connections: dict[ConnectionId, _Connection] = {}
        self._stopping = False
        self._held_bytes = 0
        self._receive_memory_bytes = organisation.receive_memory_bytes
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
        name = server.name if server is not None else ""
        ours = [each for each in organisation.receive_connectors if each.server == name]
        self._connectors = {connector.name: connector for connector in ours}
        self._doors = Doors(ours)

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
        self._intake.memory_s = organisation.duplicate_memory_s
        self._receive_memory_bytes = organisation.receive_memory_bytes
        self._tracking.with_subject = organisation.tracking_subject
        self._take_identity(organisation)
        self._delivery.organisation_changed(now, self._categorizer)
        self._flush(now)

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called, or None."""
        deadline = self._delivery.deadline()
        admission = self._admission.next_deadline()
        if admission is not None and (deadline is None or admission < deadline):
            deadline = admission
        if self._rewrite_at is not None and (deadline is None or self._rewrite_at < deadline):
            deadline = self._rewrite_at
        if self._settle_at is not None and (deadline is None or self._settle_at < deadline):
            deadline = self._settle_at
        return deadline

    def timer(self, now: float) -> None:
        """Do what is due."""
        for connection_id, _ in self._admission.expired(now):
            connection = self._connections.get(connection_id)
            if connection is not None:
                self._end(now, connection_id, connection, "session timed out")
        self._delivery.timer(now)
        if self._rewrite_at is not None and now >= self._rewrite_at:
            self._rewrite_at = None
            self._delivery.touched += self._rewrite_entries
            self._rewrite_entries = []
            self._write_own(*self._rewrite_tracks)
            self._rewrite_tracks = []
        self._flush(now)

    def stopping(self, now: float) -> None:
        """Take no new message (421), finish what was acknowledged or is being received."""
        self._stopping = True
        for connection_id, connection in list(self._connections.items()):
            if not connection.session.receiving_data:
                self._end(now, connection_id, connection, _STOPPING)
        self._flush(now)

    def idle(self) -> bool:
        """Whether nothing is open, being committed or being delivered: a stop loses no work."""
        return not (
            self._connections
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

    def connection_opened(self, now: float, connection_id: ConnectionId, connector: str, peer: Peer) -> None:
        """A client came to a binding of a receive connector.

        ``connector`` empty: the node chooses among the connectors bound to where
        the client came to (exchange-behaviour RC-1).
        """
        assert connection_id not in self._connections
        try:
            if self._stopping:
                raise Refusal(_STOPPING, code=421, status="4.3.2")
            door = self._door(connector, peer)
            self._admission.opened(now, connection_id, door, peer.address)
        except Refusal as refusal:
            reply = f"{refusal.code} {refusal.status} {refusal.text}\r\n"
            self.outputs += (Send(connection_id, reply.encode()), Close(connection_id))
            return
        fqdn = door.fqdn or self._fqdn
        session = SmtpSession(
            door,
            fqdn,
            tls_active=peer.tls,
            local_client=peer.address in ("127.0.0.1", "::1"),
            judge_sender=lambda address, signed_in: self._categorizer.judge_sender(door, address, signed_in),
            judge_recipient=self._judge_recipient,
        )
        origin = Origin(peer.address, door.name, fqdn)
        connection = self._connections[connection_id] = _Connection(session, origin)
        session.greeting()
        self._perform(now, connection_id, connection, [])

    def _judge_recipient(self, address: Address, signed_in: MailboxId | None) -> None:
        # By the organisation of the moment, not that of when the session began.
        self._categorizer.judge_recipient(address, signed_in)

    def _door(self, name: str, peer: Peer) -> ReceiveConnector:
        if not name:
            return self._doors.choose(peer.address, peer.local_address, peer.local_port)
        connector = self._connectors.get(name)
        if connector is None:  # removed while its listener was still open
            raise Refusal("no service here any more", code=421, status="4.3.2")
        return connector

    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> None:
        """A client said something."""
        connection = self._connections.get(connection_id)
        if connection is None:
            return
        self._intake.client_spoke(connection_id)
        self._admission.activity(now, connection_id)
        self._perform(now, connection_id, connection, connection.session.receive(data))
        self._flush(now)

    def connection_ended(self, now: float, connection_id: ConnectionId) -> None:
        """A client says no more, but may still read (a half-closed connection)."""
        connection = self._connections.get(connection_id)
        if connection is None:
            return
        connection.half_closed = True
        self._perform(now, connection_id, connection, [])
        self._flush(now)

    def connection_lost(self, now: float, connection_id: ConnectionId) -> None:
        """A connection is gone, whoever closed it; what was not sent is lost."""
        self._intake.connection_lost(now, connection_id)
        self._admission.closed(connection_id)
        connection = self._connections.pop(connection_id, None)
        if connection is not None:
            self._held_bytes -= connection.held_bytes
        self._flush(now)

    def tls_started(self, now: float, connection_id: ConnectionId) -> None:
        """TLS is on; the session begins anew."""
        connection = self._connections.get(connection_id)
        if connection is not None:
            connection.session.tls_started()

    def password_checked(self, now: float, connection_id: ConnectionId, mailbox_id: MailboxId | None) -> None:
        """The answer to ``CheckPassword``."""
        connection = self._connections.get(connection_id)
        if connection is not None:
            self._admission.activity(now, connection_id)
            self._perform(now, connection_id, connection, connection.session.password_checked(mailbox_id))
            self._flush(now)

    def _perform(
        self,
        now: float,
        connection_id: ConnectionId,
        connection: _Connection,
        happenings: Sequence[SessionEvent],
    ) -> None:
        """Write a session's reply, then do what it asks for."""
        session = connection.session
        waiting = list(happenings)
        while waiting:
            event = waiting.pop(0)
            match event:
                case MessageReceived():
                    try:
                        write = self._intake.receive(now, connection_id, event, connection.origin)
                    except Refusal as refusal:
                        waiting += session.refused(refusal)
                    else:
                        connection.committing_bytes = len(event.data)
                        self._writes.append(write)
                case TlsWanted():
                    self._send(connection_id, session)
                    self.outputs.append(StartTls(connection_id))
                case PasswordGiven():
                    self.outputs.append(CheckPassword(connection_id, event.user, event.password))
                case SessionEnded():
                    pass  # after the reply, below
                case _:
                    assert_never(event)
        ends = connection.goodbye or (self._stopping and not session.receiving_data and _STOPPING)
        if ends and not session.waiting and not session.ended:
            session.say_goodbye(421, "4.3.2", ends)
        self._send(connection_id, session)
        self._weigh(connection)
        if session.ended or (connection.half_closed and not session.waiting):
            self._close(connection_id, connection)
        elif session.waiting and not connection.paused and session.buffered_bytes > PIPELINED_BYTES_MAX:
            connection.paused = True
            self.outputs.append(PauseReading(connection_id))
        elif connection.paused and not session.waiting:
            connection.paused = False
            self.outputs.append(ResumeReading(connection_id))

    def _weigh(self, connection: _Connection) -> None:
        """Count what a connection holds in memory; above the limit the message that grows is given up."""
        session = connection.session
        if not session.waiting:
            connection.committing_bytes = 0
        held_bytes = session.buffered_bytes + connection.committing_bytes
        self._held_bytes += held_bytes - connection.held_bytes
        connection.held_bytes = held_bytes
        if self._held_bytes > self._receive_memory_bytes and session.receiving_data and held_bytes:
            session.crowd_out()
            self._log(
                events.MESSAGE_CROWDED_OUT, source=connection.origin.client_ip, held_bytes=self._held_bytes
            )
            self._weigh(connection)

    def _send(self, connection_id: ConnectionId, session: SmtpSession) -> None:
        reply = session.take_reply()
        if reply:
            self.outputs.append(Send(connection_id, reply))

    def _close(self, connection_id: ConnectionId, connection: _Connection) -> None:
        """Close a connection; it counts as open until its loss is reported, so that a stop waits for it."""
        if not connection.closing:
            connection.closing = True
            self.outputs.append(Close(connection_id))

    def _end(self, now: float, connection_id: ConnectionId, connection: _Connection, text: str) -> None:
        """Say 421 and close, after the answer that the client waits for."""
        connection.goodbye = text
        self._perform(now, connection_id, connection, [])

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
                    self._delivery.touched.append(entry)
            elif isinstance(write, SettleAnswers):
                self._own_write_count -= 1
            elif isinstance(write, AddMessage):
                if self._intake.is_pending(write):
                    self._acknowledge(now, write)
                else:
                    self._own_write_count -= 1
                entry = self._queue.add(now, write.message)
                self._delivery.route(now, entry, entry.remaining)
            elif self._intake.is_pending(write):
                self._acknowledge(now, write)
            else:
                self._own_write_count -= 1
                self._own_tracks.discard(write)
        self._flush(now)

    def _acknowledge(self, now: float, write: AddMessage | TrackOnly) -> None:
        """Say 250: the one place where it is said, and the message is durable."""
        connection_id, network_message_id = self._intake.committed(now, write)
        connection = self._connections.get(connection_id) if connection_id is not None else None
        if connection is None or connection_id is None:
            return
        if isinstance(write, TrackOnly):
            self._log(
                events.MESSAGE_DUPLICATE,
                network_message_id=network_message_id,
                client_ip=connection.origin.client_ip,
            )
        self._admission.activity(now, connection_id)
        happenings = connection.session.accepted(f"queued as {network_message_id}")
        self._perform(now, connection_id, connection, happenings)

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
                self._refuse(now, write)
            else:
                # A bounce is made anew with the outcome that it belongs to; only plain lines are kept.
                self._own_write_count -= 1
                if isinstance(write, TrackOnly) and write in self._own_tracks:
                    self._own_tracks.discard(write)
                    self._rewrite_tracks.append(write)
        if (self._rewrite_entries or self._rewrite_tracks) and self._rewrite_at is None:
            self._rewrite_at = now + REWRITE.wait_s(self._write_failure_count, self._luck)
        self._flush(now)

    def _refuse(self, now: float, write: AddMessage | TrackOnly) -> None:
        connection_id = self._intake.failed(write)
        connection = self._connections.get(connection_id) if connection_id is not None else None
        if connection is not None and connection_id is not None:
            refusal = Refusal("no room to store the message, try again later", code=452, status="4.3.1")
            self._perform(now, connection_id, connection, connection.session.refused(refusal))

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
        self._delivery.store_connected(database)
        self._flush(now)

    def store_lost(self, now: float, database: str) -> None:
        """A mailbox database went away; every unanswered question to it is void."""
        self._delivery.store_lost(now, database)
        self._flush(now)

    def store_answered(self, now: float, number: int, answer: store.Answer) -> None:
        """The answer to ``CallStore`` of that number."""
        self._delivery.answered(now, number, answer)
        self._flush(now)

    # --- what follows from it ---------------------------------------------------------------

    def _flush(self, now: float) -> None:
        """Turn what the parts have decided into outputs."""
        delivery = self._delivery
        if not self._stopping:
            delivery.dispatch(now)
        if delivery.touched:
            touched, delivery.touched = delivery.touched, []
            for entry in touched:
                if entry.outcomes and entry.writing is None:
                    self._record(now, entry, entry.message.data)
        if delivery.tracks:
            self._track("".join(delivery.tracks))
            delivery.tracks = []
        self._settle(now)
        if self._writes:
            self.outputs.append(CommitQueue(self._writes))
            self._writes = []
        if delivery.calls:
            self.outputs += [CallStore(*call) for call in delivery.calls]
            delivery.calls = []
        if delivery.reads:
            self.outputs.append(ReadQueued(delivery.reads))
            delivery.reads = []
        if delivery.logs:
            self.outputs += [Log(event) for event in delivery.logs]
            delivery.logs = []

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
                self._delivery.logs.append(bounced.event)

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
