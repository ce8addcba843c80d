"""The doors for SMTP clients: connections, their sessions, and what each may hold in memory.

The doors decide who comes in, drive the sessions and ask intake for commits; the
node (``node.transport``) makes them durable and then has the doors say 250.
What is to be done piles up in ``outputs`` and ``writes``; the node takes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from holdfast.directory.model import Organisation, ReceiveConnector
from holdfast.kernel.address import Address
from holdfast.kernel.errors import Refusal
from holdfast.kernel.events import EventKind, happened
from holdfast.kernel.ids import ConnectionId, MailboxId
from holdfast.node.ports import (
    CheckPassword,
    Close,
    Log,
    PauseReading,
    Peer,
    ResumeReading,
    Send,
    StartTls,
    TransportOutput,
)
from holdfast.transport import events
from holdfast.transport.admission import Admission, Doors
from holdfast.transport.categorize import Categorizer
from holdfast.transport.intake import Intake, Origin
from holdfast.transport.queue import AddMessage, QueueWrite, TrackOnly
from holdfast.transport.session import (
    MessageReceived,
    PasswordGiven,
    SessionEnded,
    SessionEvent,
    SmtpSession,
    TlsWanted,
)

PIPELINED_BYTES_MAX = 256 << 10  # while a session waits; then its client waits too

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


class SmtpDoors:
    """The receive connectors of one server with everybody who came in by them."""

    def __init__(self, intake: Intake, categorizer: Categorizer) -> None:
        self.outputs: list[TransportOutput] = []
        self.writes: list[QueueWrite] = []
        self.categorizer = categorizer
        self._intake = intake
        self._fqdn = "localhost"
        self._admission = Admission()
        self._connectors: dict[str, ReceiveConnector] = {}
        self._doors = Doors(())
        self._connections: dict[ConnectionId, _Connection] = {}
        self._stopping = False
        self._held_bytes = 0
        self._receive_memory_bytes = 0

    def follow(self, organisation: Organisation, server_name: str, fqdn: str) -> None:
        """Go by another organisation from now on; sessions that are open keep their limits.

        Args:
            organisation: the new one.
            server_name: ours in it; empty while nobody has declared us.
            fqdn: our name where a connector has none.
        """
        self._fqdn = fqdn
        ours = [each for each in organisation.receive_connectors if each.server == server_name]
        self._connectors = {connector.name: connector for connector in ours}
        self._doors = Doors(ours)
        self._receive_memory_bytes = organisation.receive_memory_bytes

    def next_deadline(self) -> float | None:
        """When ``timer`` wants to be called, or None."""
        return self._admission.next_deadline()

    def timer(self, now: float) -> None:
        """End the sessions whose time is up."""
        for connection_id, _ in self._admission.expired(now):
            connection = self._connections.get(connection_id)
            if connection is not None:
                self._end(now, connection_id, connection, "session timed out")

    def stopping(self, now: float) -> None:
        """Take no new message (421), finish what is being received."""
        self._stopping = True
        for connection_id, connection in list(self._connections.items()):
            if not connection.session.receiving_data:
                self._end(now, connection_id, connection, _STOPPING)

    @property
    def open_count(self) -> int:
        """How many connections are open."""
        return len(self._connections)

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
            judge_sender=lambda address, signed_in: self.categorizer.judge_sender(door, address, signed_in),
            judge_recipient=self._judge_recipient,
        )
        origin = Origin(peer.address, door.name, fqdn)
        connection = self._connections[connection_id] = _Connection(session, origin)
        session.greeting()
        self._perform(now, connection_id, connection, [])

    def _judge_recipient(self, address: Address, signed_in: MailboxId | None) -> None:
        # By the organisation of the moment, not that of when the session began.
        self.categorizer.judge_recipient(address, signed_in)

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

    def connection_ended(self, now: float, connection_id: ConnectionId) -> None:
        """A client says no more, but may still read (a half-closed connection)."""
        connection = self._connections.get(connection_id)
        if connection is None:
            return
        connection.half_closed = True
        self._perform(now, connection_id, connection, [])

    def connection_lost(self, now: float, connection_id: ConnectionId) -> None:
        """A connection is gone, whoever closed it; what was not sent is lost."""
        self._intake.connection_lost(now, connection_id)
        self._admission.closed(connection_id)
        connection = self._connections.pop(connection_id, None)
        if connection is not None:
            self._held_bytes -= connection.held_bytes

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
                        self.writes.append(write)
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

    # --- answers to messages ---------------------------------------------------------------

    def accepted(self, now: float, write: AddMessage | TrackOnly) -> None:
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

    def refused(self, now: float, write: AddMessage | TrackOnly) -> None:
        """Say 452: the message is not durable, and nothing of it is kept."""
        connection_id = self._intake.failed(write)
        connection = self._connections.get(connection_id) if connection_id is not None else None
        if connection is not None and connection_id is not None:
            refusal = Refusal("no room to store the message, try again later", code=452, status="4.3.1")
            self._perform(now, connection_id, connection, connection.session.refused(refusal))

    def _log(self, kind: EventKind, **fields: str | int) -> None:
        self.outputs.append(Log(happened(kind, **fields)))
