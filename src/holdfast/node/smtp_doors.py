"""The doors for SMTP clients: connections, their sessions, and what each may hold in memory.

The doors decide who comes in, drive the sessions and ask intake for commits; the
node (``node.transport``) makes them durable and then has the doors say 250.
What is to be done piles up in ``outputs`` and ``writes``; the node takes them.

An answer may be held for a while: a 5xx to a stranger (the tarpit, RC-7), a 250
while the server is under pressure. Meanwhile nothing more of that client is
obeyed; no other client notices.

Per input little is done, and no object made, when nothing follows from it: of a
message that comes command by command that is four times in five.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Protocol, assert_never

from holdfast.directory.model import Organisation, Protect
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
from holdfast.transport.admission import Admission, Doors, MessageRate, source_of
from holdfast.transport.categorize import Categorizer
from holdfast.transport.intake import Intake, Origin
from holdfast.transport.queue import AddMessage, QueueWrite, TrackOnly
from holdfast.transport.rights import Client, ClientKind
from holdfast.transport.session import SmtpSession
from holdfast.transport.session_terms import (
    MessageReceived,
    PasswordGiven,
    SessionEnded,
    SessionEvent,
    ShadowLinkWanted,
    Terms,
    TlsWanted,
)
from holdfast.transport.shadow_link import Hello
from holdfast.transport.sign_ins import Attempt, SignIns
from holdfast.transport.tls_policy import TlsFacts
from holdfast.wire.proxy_protocol import read_proxy_header

PIPELINED_BYTES_MAX = 256 << 10  # while a session waits; then its client waits too
# A balancer writes its header at once; who is silent for so long is none.
PROXY_WAIT_S = 5.0
BALANCER_SILENT_S = 60.0  # between two log lines about it

_STOPPING = "the service is stopping, try again later"


class BeforeCommit(Protocol):
    """See ``node.shadow.Shadows.before_commit``."""

    def __call__(self, now: float, write: AddMessage, *, required: bool) -> bool: ...


LinkWanted = Callable[[float, ConnectionId, Hello, str], bytes]


def _no_links(now: float, connection_id: ConnectionId, hello: Hello, certified: str) -> bytes:
    raise Refusal("there are no shadow copies here", code=502, status="5.5.1")


def _nothing_begun(now: float, connection_id: ConnectionId, data: bytes) -> None:
    """Nobody takes a connection over."""


class _Connection:
    """One client connection, and the judge of its session.

    Attributes:
        source: what it counts as (``admission.source_of``).
        committing_bytes: of the message whose commit the client waits for.
        held_bytes: what it takes of the memory for messages being received.
        half_closed: the client says no more; close after the last answer.
        paused: whether reading is paused.
        closing: whether the driver was told to close it.
        goodbye: the text of the 421 that ends it, after the answer that the client
            waits for; empty when we do not end it.
        release_at: until when an answer is held; 0 when none is.
        accepted_text: of the 250 that is held; empty when it is another answer.
    """

    __slots__ = (
        "_doors",
        "accepted_text",
        "closing",
        "committing_bytes",
        "connector",
        "goodbye",
        "half_closed",
        "held_bytes",
        "origin",
        "paused",
        "release_at",
        "session",
        "source",
    )

    def __init__(self, doors: SmtpDoors, terms: Terms, peer: Peer) -> None:
        self._doors = doors
        self.connector = terms.connector
        self.origin = Origin(peer.address, terms.connector.name, terms.fqdn)
        self.source = source_of(peer.address)
        self.committing_bytes = self.held_bytes = 0
        self.half_closed = self.paused = self.closing = False
        self.goodbye = self.accepted_text = ""
        self.release_at = 0.0
        self.session = SmtpSession(terms, self, peer.address, tls_active=peer.tls, tls_facts=peer.facts)

    @property
    def special(self) -> bool:
        """Whether more is to be done after an input than to write the reply."""
        return self.half_closed or self.paused or self.goodbye != ""

    def judge_sender(self, address: Address | None, client: Client) -> None:
        """See ``session_terms.Judge``; by the organisation of the moment."""
        doors = self._doors
        if doors.refuse_mail is not None:
            refusal = doors.refuse_mail(client.kind)
            if refusal is not None:
                raise refusal
        if self.connector.message_rate_max:
            doors.rate.check(doors.now, self.connector, self.sender(client))
        doors.categorizer.judge_sender(address, client)

    def judge_recipient(self, address: Address, client: Client) -> None:
        """See ``session_terms.Judge``; by the organisation of the moment."""
        self._doors.categorizer.judge_recipient(self.connector, address, client)

    def sender(self, client: Client) -> str:
        """Whose messages are counted together: a user's, else a source's."""
        return client.signed_in or self.source


class _Announced:
    """A connection of a balancer that has not said who its client is."""

    __slots__ = ("connector", "due_at", "peer", "received")

    def __init__(self, now: float, connector: str, peer: Peer) -> None:
        self.connector = connector
        self.peer = peer
        self.due_at = now + PROXY_WAIT_S
        self.received = b""


class SmtpDoors:
    """The receive connectors of one server with everybody who came in by them.

    Attributes:
        now: the instant of the input that is being worked on.
        delay_s: how long every 250 to a message is held; set from outside (back pressure).
        refuse_mail: asked at every MAIL by kind of client; a refusal that it returns is the answer.
        before_commit: has a second copy made of a message, and says whether it may be committed at once; None
            where there is no other server.
        link_wanted: answers a server of ours that wants a connection for shadow copies.
        link_begun: takes the connection over after that answer, with what came behind the command.
    """

    def __init__(self, intake: Intake, categorizer: Categorizer) -> None:
        self.outputs: list[TransportOutput] = []
        self.writes: list[QueueWrite] = []
        self.categorizer = categorizer
        self.now = 0.0
        self.delay_s = 0.0
        self.refuse_mail: Callable[[ClientKind], Refusal | None] | None = None
        self.before_commit: BeforeCommit | None = None
        self.link_wanted: LinkWanted = _no_links
        self.link_begun: Callable[[float, ConnectionId, bytes], None] = _nothing_begun
        self.rate = MessageRate()
        self._intake = intake
        self._fqdn = "localhost"
        self._admission = Admission()
        self._sign_ins = SignIns()
        self._terms: dict[str, Terms] = {}
        self._doors = Doors(())
        self._connections: dict[ConnectionId, _Connection] = {}
        # All wait equally long, so the first is the next that is due.
        self._announced: dict[ConnectionId, _Announced] = {}
        # When held answers may go, with places that are out of date.
        self._releases: list[tuple[float, ConnectionId]] = []
        self._silent_logged_at = -BALANCER_SILENT_S
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
        self._terms = {each.name: Terms(each, each.fqdn or fqdn, organisation) for each in ours}
        self._doors = Doors(ours)
        self._receive_memory_bytes = organisation.receive_memory_bytes
        self._sign_ins.follow(organisation)

    def next_deadline(self) -> float | None:
        """When ``timer`` wants to be called, or None."""
        deadline = self._admission.next_deadline()
        if self._releases and (deadline is None or self._releases[0][0] < deadline):
            deadline = self._releases[0][0]
        for announced in self._announced.values():
            if deadline is None or announced.due_at < deadline:
                deadline = announced.due_at
            break
        return deadline

    def timer(self, now: float) -> None:
        """Send the answers that were held long enough, and end the sessions whose time is up."""
        self.now = now
        while self._releases and self._releases[0][0] <= now:
            release_at, connection_id = heapq.heappop(self._releases)
            connection = self._connections.get(connection_id)
            if connection is not None and connection.release_at == release_at:
                self._release(now, connection_id, connection)
        for connection_id, announced in list(self._announced.items()):
            if announced.due_at > now:
                break
            self._not_announced(now, connection_id, announced, "it said nothing")
        for connection_id, _ in self._admission.expired(now):
            connection = self._connections.get(connection_id)
            if connection is not None:
                self._end(now, connection_id, connection, "session timed out")

    def stopping(self, now: float) -> None:
        """Take no new message (421), finish what is being received."""
        self.now = now
        self._stopping = True
        for connection_id in list(self._announced):
            self._turn_away(connection_id, Refusal(_STOPPING, code=421, status="4.3.2"))
        for connection_id, connection in list(self._connections.items()):
            if connection.release_at:
                self._release(now, connection_id, connection)
            elif not connection.session.receiving_data:
                self._end(now, connection_id, connection, _STOPPING)

    @property
    def open_count(self) -> int:
        """How many connections are open."""
        return len(self._connections) + len(self._announced)

    # --- connections -----------------------------------------------------------------------

    def connection_opened(self, now: float, connection_id: ConnectionId, connector: str, peer: Peer) -> None:
        """A client, or a balancer for it, came to a binding of a receive connector.

        ``connector`` empty: the doors choose among the connectors bound to where
        the client came to (exchange-behaviour RC-1).
        """
        assert connection_id not in self._connections
        self.now = now
        # Under TLS from the first byte the driver has read the header, which comes before TLS.
        if not peer.tls and self._doors.balancer_expected(peer.address, peer.local_address, peer.local_port):
            self._announced[connection_id] = _Announced(now, connector, peer)
        else:
            self._open(now, connection_id, connector, peer)

    def _open(self, now: float, connection_id: ConnectionId, connector: str, peer: Peer) -> None:
        try:
            if self._stopping:
                raise Refusal(_STOPPING, code=421, status="4.3.2")
            terms = self._choose(connector, peer)
            self._admission.opened(now, connection_id, terms.connector, peer.address)
        except Refusal as refusal:
            self._turn_away(connection_id, refusal)
            return
        connection = self._connections[connection_id] = _Connection(self, terms, peer)
        connection.session.greeting()
        self._perform(now, connection_id, connection, ())

    def _turn_away(self, connection_id: ConnectionId, refusal: Refusal) -> None:
        """Close a connection that has no session."""
        self._announced.pop(connection_id, None)
        reply = f"{refusal.code} {refusal.status} {refusal.text}\r\n"
        self.outputs += (Send(connection_id, reply.encode()), Close(connection_id))

    def _choose(self, name: str, peer: Peer) -> Terms:
        if not name:
            name = self._doors.choose(peer.address, peer.local_address, peer.local_port).name
        terms = self._terms.get(name)
        if terms is None or not terms.connector.enabled:  # gone while its listener was still open
            raise Refusal("no service here any more", code=421, status="4.3.2")
        return terms

    def _balancer_said(self, now: float, connection_id: ConnectionId, data: bytes) -> None:
        announced = self._announced.get(connection_id)
        if announced is None:
            return
        announced.received += data
        try:
            header = read_proxy_header(announced.received)
        except Refusal:
            self._not_announced(now, connection_id, announced, "it said something else")
            return
        if header is None:
            return
        del self._announced[connection_id]
        peer = announced.peer
        connector = announced.connector
        if header.client is not None:
            address, port = header.client
            # The connector is that of the real client, at the door that the balancer came to.
            connector = ""
            peer = Peer(address, port, peer.local_address, peer.local_port, peer.tls)
        self._open(now, connection_id, connector, peer)
        rest = announced.received[header.header_bytes :]
        if rest:
            self.bytes_received(now, connection_id, rest)

    def _not_announced(
        self, now: float, connection_id: ConnectionId, announced: _Announced, reason: str
    ) -> None:
        if now - self._silent_logged_at >= BALANCER_SILENT_S:
            self._silent_logged_at = now
            self._log(events.BALANCER_SILENT, source=announced.peer.address, reason=reason)
        self._turn_away(connection_id, Refusal("say who your client is first", code=421, status="4.3.2"))

    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> None:
        """A client said something."""
        connection = self._connections.get(connection_id)
        if connection is None:
            self._balancer_said(now, connection_id, data)
            return
        self.now = now
        self._intake.client_spoke(connection_id)
        self._admission.activity(now, connection_id)
        session = connection.session
        happenings = session.receive(data)
        if happenings or not session.calm or connection.special or self._stopping:
            self._perform(now, connection_id, connection, happenings)
            return
        # A step of a conversation: of a message that comes command by command four inputs in five.
        reply = session.take_reply()
        if reply:
            self.outputs.append(Send(connection_id, reply))
        if session.buffered_bytes + connection.committing_bytes != connection.held_bytes:
            self._weigh(connection)

    def connection_ended(self, now: float, connection_id: ConnectionId) -> None:
        """A client says no more, but may still read (a half-closed connection)."""
        connection = self._connections.get(connection_id)
        if connection is None:
            if self._announced.pop(connection_id, None) is not None:
                self.outputs.append(Close(connection_id))
            return
        connection.half_closed = True
        self._perform(now, connection_id, connection, ())

    def connection_lost(self, now: float, connection_id: ConnectionId) -> None:
        """A connection is gone, whoever closed it; what was not sent is lost."""
        self._intake.connection_lost(now, connection_id)
        self._admission.closed(connection_id)
        self._announced.pop(connection_id, None)
        self._sign_ins.gone(connection_id)
        connection = self._connections.pop(connection_id, None)
        if connection is not None:
            self._held_bytes -= connection.held_bytes

    def tls_started(self, now: float, connection_id: ConnectionId, facts: TlsFacts | None = None) -> None:
        """TLS is on; the session begins anew."""
        connection = self._connections.get(connection_id)
        if connection is not None:
            connection.session.tls_started(facts)

    def password_checked(self, now: float, connection_id: ConnectionId, mailbox_id: MailboxId | None) -> None:
        """The answer to ``CheckPassword``."""
        self.now = now
        locked = self._sign_ins.answered(now, connection_id, right=mailbox_id is not None)
        if locked is not None:
            lock_s = int(self._sign_ins.throttle.lock_s)
            self._log(events.SIGN_IN_LOCKED, user=locked.user, source=locked.source, lock_s=lock_s)
        connection = self._connections.get(connection_id)
        if connection is not None:
            self._admission.activity(now, connection_id)
            self._perform(now, connection_id, connection, connection.session.password_checked(mailbox_id))
        for waiting_id, attempt, refusal in self._sign_ins.ready(now):
            waiting = self._connections[waiting_id]
            if refusal is None:
                self.outputs.append(CheckPassword(waiting_id, attempt.user, attempt.password))
            else:
                self._perform(now, waiting_id, waiting, waiting.session.sign_in_refused(refusal))

    # --- what follows from it ---------------------------------------------------------------

    def _perform(
        self,
        now: float,
        connection_id: ConnectionId,
        connection: _Connection,
        happenings: Sequence[SessionEvent],
    ) -> None:
        """Do what a session asks for, and write its reply."""
        session = connection.session
        if happenings:
            self._do(now, connection_id, connection, happenings)
            if connection_id not in self._connections:
                return  # it is a shadow link now
        if self._stopping or connection.goodbye:
            self._say_goodbye(connection)
        if session.held:
            if not connection.release_at:
                self._hold(now + connection.connector.tarpit_s, connection_id, connection)
        else:
            reply = session.take_reply()
            if reply:
                self.outputs.append(Send(connection_id, reply))
        self._weigh(connection)
        waiting = session.waiting
        if not waiting:
            if session.ended or connection.half_closed:
                self._close(connection_id, connection)
            elif connection.paused:
                connection.paused = False
                self.outputs.append(ResumeReading(connection_id))
        elif not connection.paused and session.buffered_bytes > PIPELINED_BYTES_MAX:
            connection.paused = True
            self.outputs.append(PauseReading(connection_id))

    def _do(
        self,
        now: float,
        connection_id: ConnectionId,
        connection: _Connection,
        happenings: Sequence[SessionEvent],
    ) -> None:
        session = connection.session
        waiting = list(happenings)
        while waiting:
            event = waiting.pop(0)
            match event:
                case MessageReceived():
                    sender = connection.sender(session.client)
                    try:
                        # Again: other sessions of the same sender may have got there first.
                        self.rate.check(now, connection.connector, sender)
                        write = self._intake.receive(now, connection_id, event, connection.origin)
                    except Refusal as refusal:
                        waiting += session.refused(refusal)
                    else:
                        self.rate.count(now, connection.connector, sender)
                        connection.committing_bytes = len(event.data)
                        waiting += self._commit(now, connection, write)
                case TlsWanted():
                    self.outputs.append(Send(connection_id, session.take_reply()))
                    name, of_servers = connection.connector.name, session.from_server_address
                    self.outputs.append(StartTls(connection_id, name, of_servers=of_servers))
                case PasswordGiven():
                    attempt = Attempt(event.user, event.password, connection.source)
                    try:
                        if self._sign_ins.wanted(now, connection_id, attempt):
                            self.outputs.append(CheckPassword(connection_id, event.user, event.password))
                    except Refusal as refusal:
                        waiting += session.sign_in_refused(refusal)
                case ShadowLinkWanted():
                    self._begin_link(now, connection_id, connection, event)
                case SessionEnded():
                    pass  # after the reply, by whoever called
                case _:
                    assert_never(event)

    def _commit(
        self, now: float, connection: _Connection, write: AddMessage | TrackOnly
    ) -> Sequence[SessionEvent]:
        """Have a message made durable, here and at a partner; returns what follows when that cannot be."""
        if self.before_commit is not None and isinstance(write, AddMessage):
            required = connection.connector.protect is Protect.REQUIRED
            try:
                if not self.before_commit(now, write, required=required):
                    return ()  # it is committed when a partner has it
            except Refusal as refusal:
                self._intake.failed(write)
                connection.committing_bytes = 0
                return connection.session.refused(refusal)
        self.writes.append(write)
        return ()

    def _begin_link(
        self, now: float, connection_id: ConnectionId, connection: _Connection, event: ShadowLinkWanted
    ) -> None:
        """Hand a connection over: it carries shadow copies from now on, and no SMTP."""
        try:
            answer = self.link_wanted(now, connection_id, event.hello, event.certified)
        except Refusal as refusal:
            connection.session.link_refused(refusal)
            return
        self.outputs.append(Send(connection_id, connection.session.take_reply() + answer))
        self._held_bytes -= connection.held_bytes
        self._admission.closed(connection_id)
        del self._connections[connection_id]
        self.link_begun(now, connection_id, connection.session.take_rest())

    def _say_goodbye(self, connection: _Connection) -> None:
        """End a session of which we want no more, unless its client waits for a commit."""
        session = connection.session
        ends = connection.goodbye or (not session.receiving_data and _STOPPING)
        if ends and not session.ended and (session.held or not session.waiting):
            session.say_goodbye(421, "4.3.2", ends)
            connection.release_at = 0.0

    def _hold(self, until: float, connection_id: ConnectionId, connection: _Connection) -> None:
        """Keep an answer back, and obey nothing of that client meanwhile."""
        connection.release_at = until
        self._admission.activity(until, connection_id)  # until then it is we who are silent
        heapq.heappush(self._releases, (until, connection_id))

    def _release(self, now: float, connection_id: ConnectionId, connection: _Connection) -> None:
        """Give the answer that was held, and go on."""
        connection.release_at = 0.0
        self._admission.activity(now, connection_id)
        session = connection.session
        text, connection.accepted_text = connection.accepted_text, ""
        if text:
            happenings = session.accepted(text)
        else:
            self.outputs.append(Send(connection_id, session.take_reply()))
            happenings = session.go_on()
        self._perform(now, connection_id, connection, happenings)

    def _weigh(self, connection: _Connection) -> None:
        """Count what a connection holds in memory; above the limit the message that grows is given up."""
        session = connection.session
        held_bytes = session.buffered_bytes + connection.committing_bytes
        if held_bytes == connection.held_bytes:
            return
        self._held_bytes += held_bytes - connection.held_bytes
        connection.held_bytes = held_bytes
        if self._held_bytes > self._receive_memory_bytes and session.receiving_data and held_bytes:
            session.crowd_out()
            self._log(
                events.MESSAGE_CROWDED_OUT, source=connection.origin.client_ip, held_bytes=self._held_bytes
            )
            self._weigh(connection)

    def _close(self, connection_id: ConnectionId, connection: _Connection) -> None:
        """Close a connection; it counts as open until its loss is reported, so that a stop waits for it."""
        if not connection.closing:
            connection.closing = True
            self.outputs.append(Close(connection_id))

    def _end(self, now: float, connection_id: ConnectionId, connection: _Connection, text: str) -> None:
        """Say 421 and close, after the answer that the client waits for."""
        connection.goodbye = text
        self._perform(now, connection_id, connection, ())

    # --- answers to messages ---------------------------------------------------------------

    def accepted(self, now: float, write: AddMessage | TrackOnly) -> None:
        """Say 250: the one place where it is said, and the message is durable."""
        connection_id, network_message_id = self._intake.committed(now, write)
        connection = self._connections.get(connection_id) if connection_id is not None else None
        if connection is None or connection_id is None:
            return
        self.now = now
        connection.committing_bytes = 0
        if isinstance(write, TrackOnly):
            self._log(
                events.MESSAGE_DUPLICATE,
                network_message_id=network_message_id,
                client_ip=connection.origin.client_ip,
            )
        text = f"queued as {network_message_id}"
        if self.delay_s > 0 and not self._stopping and not connection.session.ended:
            connection.accepted_text = text
            self._hold(now + self.delay_s, connection_id, connection)
            return
        self._admission.activity(now, connection_id)
        self._perform(now, connection_id, connection, connection.session.accepted(text))

    def refused(self, now: float, write: AddMessage | TrackOnly, refusal: Refusal) -> None:
        """Put the sender off: the message is not durable, and nothing of it is kept."""
        connection_id = self._intake.failed(write)
        connection = self._connections.get(connection_id) if connection_id is not None else None
        if connection is not None and connection_id is not None:
            self.now = now
            connection.committing_bytes = 0
            self._perform(now, connection_id, connection, connection.session.refused(refusal))

    def _log(self, kind: EventKind, **fields: str | int) -> None:
        self.outputs.append(Log(happened(kind, **fields)))
