"""The connections between servers of ours that carry shadow copies: one out to each partner, those of others
in.

What is said on them is decided by ``transport.protection`` (our messages) and ``transport.shadow_queues``
(the others'). Here connections are opened, kept alive, and given up when the other side is silent or
talks nonsense; frames are written in the order in which they were decided, many in one write.

A link that carries much waits: what a partner has not answered is bounded, the rest stays here.

Source: exchange-behaviour SR13-6; docs/decisions/0016.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Protocol

from holdfast.kernel.backoff import Backoff
from holdfast.kernel.errors import Refusal
from holdfast.kernel.events import LogEvent, happened
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Abort, Close, Connect, Send, StartTls, TransportOutput
from holdfast.transport import shadow_events as events
from holdfast.transport.shadow_link import STEP_S, Hello, LinkBeginning, Progress, answer_to
from holdfast.transport.shadow_partners import ShadowPartner
from holdfast.transport.tls_policy import TlsDemand, TlsFacts
from holdfast.wire import shadow
from holdfast.wire.framing import FrameReader

RETRY = Backoff(first_s=0.5, longest_s=10.0)
# A partner that takes copies and does not answer makes senders wait each time that it is believed again.
DISTRUST = Backoff(first_s=5.0, longest_s=300.0)
CONNECT_TIMEOUT_S = 10.0
SILENT_HEARTBEATS = 3
UNANSWERED_BYTES_MAX = 16 << 20


class OutLink:
    """Our link to a partner, which keeps copies for us.

    Attributes:
        partner: where it leads.
        demand: the TLS that it needs.
        connection_id: None while there is no connection.
        beginning: until it stands.
        stands: whether frames go.
        identity: of the partner's queue database, once it stands.
        heard_at, told_at: when anything last came, and went.
        retry_at: when it is tried again; 0 at once.
        failure_count: in a row.
        distrust_count: how often in a row it stood, and did not answer what it was given.
        reason: why it does not stand, for people.
        since: since when it stands, or does not.
    """

    def __init__(self, now: float, partner: ShadowPartner, demand: TlsDemand) -> None:
        self.partner = partner
        self.demand = demand
        self.connection_id: ConnectionId | None = None
        self.beginning: LinkBeginning | None = None
        self.stands = False
        self.identity = ""
        self.reader = FrameReader()
        self.heard_at = self.told_at = self.since = now
        self.retry_at = 0.0
        self.failure_count = self.distrust_count = 0
        self.reason = "not tried yet"
        self.logged_reason = ""
        # Frames that wait, with the number of the copy in each, 0 for none.
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._unanswered: dict[int, int] = {}
        self._unanswered_bytes = 0

    def put(self, number: int, frame: bytes) -> None:
        """Let a frame wait for its turn; ``number`` is that of the copy in it, 0 for none."""
        self._waiting.append((number, frame))

    def answered(self, numbers: tuple[int, ...]) -> None:
        """Copies were answered: there is room for others, and it is believed again."""
        self.distrust_count = 0
        for number in numbers:
            self._unanswered_bytes -= self._unanswered.pop(number, 0)

    def take_output(self) -> bytes:
        """What may be written now."""
        found = []
        while self._waiting and (not self._unanswered_bytes or self._unanswered_bytes < UNANSWERED_BYTES_MAX):
            number, frame = self._waiting.popleft()
            if number:
                self._unanswered_bytes += len(frame) - self._unanswered.pop(number, 0)
                self._unanswered[number] = len(frame)
            found.append(frame)
        return b"".join(found)

    def reset(self) -> None:
        """There is no connection any more."""
        self.connection_id = None
        self.beginning = None
        self.stands = False
        self.reader = FrameReader()
        self._waiting.clear()
        self._unanswered.clear()
        self._unanswered_bytes = 0


class InLink:
    """A link of another server, which has us keep copies."""

    def __init__(self, now: float, connection_id: ConnectionId, hello: Hello) -> None:
        self.connection_id = connection_id
        self.server = hello.server
        self.identity = hello.identity
        self.reader = FrameReader()
        self.heard_at = now
        self.output: list[bytes] = []


class LinkListener(Protocol):
    """Who hears what happens on links; see ``node.shadow``."""

    def partner_up(self, now: float, name: str) -> None: ...
    def partner_down(self, now: float, name: str) -> None: ...
    def partner_said(self, now: float, name: str, frame: shadow.HolderFrame) -> None: ...
    def primary_up(self, now: float, name: str, identity: str) -> None: ...
    def primary_down(self, now: float, name: str) -> None: ...
    def primary_said(self, now: float, name: str, frame: shadow.PrimaryFrame) -> None: ...
    def heard(self, now: float, name: str) -> None: ...


class ShadowLinks:
    """All shadow links of one server; ``outputs`` and ``logs`` pile up, the node takes them."""

    def __init__(
        self, listener: LinkListener, luck: random.Random, new_id: Callable[[], ConnectionId]
    ) -> None:
        """Have none yet.

        Args:
            listener: hears what happens.
            luck: varies the waits between tries.
            new_id: numbers connections out.
        """
        self._listener = listener
        self._luck = luck
        self._new_id = new_id
        self.own_name = ""
        self.own_identity = ""
        self.ehlo_name = "localhost"
        self.heartbeat_s = 2.0
        self.out: dict[str, OutLink] = {}
        self.outgoing: dict[ConnectionId, OutLink] = {}
        self.incoming: dict[ConnectionId, InLink] = {}
        self._in_by_server: dict[str, InLink] = {}
        self._stopping = False
        self.outputs: list[TransportOutput] = []
        self.logs: list[LogEvent] = []

    def follow(self, now: float, partners: tuple[ShadowPartner, ...], demands: dict[str, TlsDemand]) -> None:
        """Have links to these servers from now on."""
        wanted = {each.name: each for each in partners}
        for name, link in list(self.out.items()):
            partner = wanted.get(name)
            if partner != link.partner or demands[name] != link.demand:
                self.drop(now, name, "the organisation changed")
                del self.out[name]
        for name, partner in wanted.items():
            if name not in self.out:
                self.out[name] = OutLink(now, partner, demands[name])

    def has(self, connection_id: ConnectionId) -> bool:
        """Whether a connection is a link."""
        return connection_id in self.outgoing or connection_id in self.incoming

    def stopping(self) -> None:
        """Open no more links."""
        self._stopping = True

    # --- our links --------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called."""
        due: list[float] = []
        for link in self.out.values():
            if link.stands:
                due.append(
                    min(link.told_at + self.heartbeat_s, link.heard_at + SILENT_HEARTBEATS * self.heartbeat_s)
                )
            elif link.connection_id is not None:
                due.append(link.heard_at + STEP_S)
            elif not self._stopping:
                due.append(link.retry_at)
        due += [each.heard_at + SILENT_HEARTBEATS * self.heartbeat_s for each in self.incoming.values()]
        return min(due, default=None)

    def timer(self, now: float) -> None:
        """Open links that are due, say that we live, and give up who is silent."""
        silent_s = SILENT_HEARTBEATS * self.heartbeat_s
        for name, link in self.out.items():
            if link.stands:
                if now - link.heard_at >= silent_s:
                    self.drop(now, name, f"it was silent for {silent_s:g} s")
                elif now - link.told_at >= self.heartbeat_s:
                    link.told_at = now
                    link.put(0, shadow.encode_frame(shadow.Ping()))
            elif link.connection_id is not None:
                if now - link.heard_at >= STEP_S:
                    waits_for = link.beginning.waits_for if link.beginning is not None else "the connection"
                    self.drop(now, name, f"no answer to {waits_for} within {STEP_S:g} s")
            elif now >= link.retry_at and not self._stopping:
                self._connect(now, link)
        for each in list(self.incoming.values()):
            if now - each.heard_at >= silent_s:
                self.outputs.append(Close(each.connection_id))
                self._in_gone(now, each)

    def _connect(self, now: float, link: OutLink) -> None:
        link.connection_id = self._new_id()
        link.heard_at = now
        self.outgoing[link.connection_id] = link
        hello = Hello(shadow.VERSION, self.own_name, self.own_identity)
        link.beginning = LinkBeginning(self.ehlo_name, hello)
        partner = link.partner
        self.outputs.append(
            Connect(
                link.connection_id,
                partner.address,
                partner.port,
                partner.source_address,
                timeout_s=CONNECT_TIMEOUT_S,
            )
        )

    def drop(self, now: float, name: str, reason: str) -> None:
        """Give up our link to a partner; it is tried again later."""
        link = self.out.get(name)
        if link is not None and link.connection_id is not None:
            self.outputs.append(Abort(link.connection_id))
            self._out_gone(now, link, reason)

    def distrust(self, now: float, name: str, reason: str) -> None:
        """Give up our link to a partner that does not do what it should; later each time."""
        link = self.out.get(name)
        if link is not None:
            link.distrust_count += 1
            self.drop(now, name, reason)
            link.retry_at = max(link.retry_at, now + DISTRUST.wait_s(link.distrust_count, self._luck))

    def _out_gone(self, now: float, link: OutLink, reason: str) -> None:
        assert link.connection_id is not None
        del self.outgoing[link.connection_id]
        stood = link.stands
        link.reset()
        link.failure_count = 1 if stood else link.failure_count + 1
        link.retry_at = now + RETRY.wait_s(link.failure_count, self._luck)
        link.reason = reason
        if stood:
            link.since = now
        if (stood or link.logged_reason != reason) and not self._stopping:
            link.logged_reason = reason
            self.logs.append(happened(events.PARTNER_LOST, partner=link.partner.name, reason=reason))
        if stood:
            self._listener.partner_down(now, link.partner.name)

    def connected(self, now: float, connection_id: ConnectionId) -> None:
        """A connection to a partner stands."""
        self.outgoing[connection_id].heard_at = now

    def lost(self, now: float, connection_id: ConnectionId, reason: str) -> None:
        """A connection to a partner, or of another server, is gone."""
        link = self.outgoing.get(connection_id)
        if link is not None:
            self._out_gone(now, link, reason or "it closed the connection")
        elif (other := self.incoming.get(connection_id)) is not None:
            self._in_gone(now, other)

    def ended(self, now: float, connection_id: ConnectionId) -> None:
        """The other side says no more: there is no use in such a link."""
        link = self.outgoing.get(connection_id)
        if link is not None:
            self.drop(now, link.partner.name, "it closed the connection")
        elif (other := self.incoming.get(connection_id)) is not None:
            self.outputs.append(Close(connection_id))
            self._in_gone(now, other)

    def tls_started(self, now: float, connection_id: ConnectionId, facts: TlsFacts | None) -> None:
        """The handshake is done, and the driver found the certificate to be the one we know."""
        link = self.outgoing[connection_id]
        assert link.beginning is not None
        link.heard_at = now
        link.beginning.tls_started()
        self._write_beginning(link)

    def _write_beginning(self, link: OutLink) -> None:
        assert link.beginning is not None
        assert link.connection_id is not None
        data = link.beginning.take_output()
        if data:
            self.outputs.append(Send(link.connection_id, data))

    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> None:
        """Something came on a link of either kind."""
        link = self.outgoing.get(connection_id)
        if link is not None:
            link.heard_at = now
            try:
                self._from_partner(now, link, data)
            except Refusal as refusal:
                self.drop(now, link.partner.name, refusal.text)
            return
        other = self.incoming[connection_id]
        other.heard_at = now
        try:
            self._from_primary(now, other, data)
        except Refusal as refusal:
            self.logs.append(happened(events.WRONG_SERVER, address=other.server, reason=refusal.text))
            self.outputs.append(Close(connection_id))
            self._in_gone(now, other)

    def _from_partner(self, now: float, link: OutLink, data: bytes) -> None:
        name = link.partner.name
        if link.beginning is not None:
            progress = link.beginning.receive(data)
            self._write_beginning(link)
            if progress is Progress.START_TLS:
                assert link.connection_id is not None
                self.outputs.append(StartTls(link.connection_id, demand=link.demand))
            if progress is not Progress.STANDS:
                return
            peer = link.beginning.peer
            assert peer is not None
            if peer.server != name:
                raise Refusal(f'it calls itself "{peer.server[:60]}"')
            data = link.beginning.rest
            link.beginning = None
            link.stands, link.identity = True, peer.identity
            link.failure_count, link.reason, link.logged_reason = 0, "", ""
            link.since = link.told_at = now
            self._listener.partner_up(now, name)
        self._listener.heard(now, name)
        for body in link.reader.feed(data):
            frame = shadow.decode_holder(body)
            if isinstance(frame, shadow.Held | shadow.NotHeld):
                link.answered(frame.numbers)
            self._listener.partner_said(now, name, frame)
            if not link.stands:
                return  # what it said was not to be believed

    # --- links of others ---------------------------------------------------------------------------

    def wanted(self, now: float, connection_id: ConnectionId, hello: Hello, certified: str) -> bytes:
        """A server wants to speak frames on a connection from now on; returns the answer to it.

        Args:
            now: when.
            connection_id: of the connection, which is a link's from now on.
            hello: who it says it is.
            certified: the server of ours that its certificate is of.

        Raises:
            Refusal: 550, it is not who it says, or no server that we know.
        """
        if hello.server != certified or hello.server == self.own_name or not self.own_name:
            self.logs.append(
                happened(
                    events.WRONG_SERVER,
                    address=certified or "a client",
                    reason=f'it calls itself "{hello.server[:60]}"',
                )
            )
            raise Refusal("you are not that server", code=550, status="5.7.1")
        if self._stopping:
            raise Refusal("the service is stopping, try again later", code=421, status="4.3.2")
        before = self._in_by_server.get(hello.server)
        if before is not None:  # it began anew before we noticed that the old one is dead
            self.outputs.append(Close(before.connection_id))
            self._in_gone(now, before)
        answer, _ = answer_to(hello, own_name=self.own_name, own_identity=self.own_identity)
        link = InLink(now, connection_id, hello)
        self.incoming[connection_id] = self._in_by_server[hello.server] = link
        return answer

    def begun(self, now: float, connection_id: ConnectionId, rest: bytes) -> None:
        """The answer of ``wanted`` is on its way; ``rest`` came behind the command."""
        link = self.incoming[connection_id]
        self._listener.primary_up(now, link.server, link.identity)
        ours = self.out.get(link.server)
        if ours is not None and ours.connection_id is None and not ours.distrust_count:
            ours.retry_at = now  # it is back: there is nothing to wait for
        if rest:
            self.bytes_received(now, connection_id, rest)

    def _in_gone(self, now: float, link: InLink) -> None:
        self.incoming.pop(link.connection_id, None)
        if self._in_by_server.get(link.server) is link:
            del self._in_by_server[link.server]
            self._listener.primary_down(now, link.server)

    def _from_primary(self, now: float, link: InLink, data: bytes) -> None:
        self._listener.heard(now, link.server)
        for body in link.reader.feed(data):
            self._listener.primary_said(now, link.server, shadow.decode_primary(body))
            if link.connection_id not in self.incoming:
                return

    # --- what goes out -----------------------------------------------------------------------------

    def to_partner(self, name: str, frame: shadow.PrimaryFrame) -> None:
        """Say something to a partner.

        Raises:
            Refusal: it cannot be written.
        """
        link = self.out.get(name)
        if link is not None and link.stands:
            number = frame.number if isinstance(frame, shadow.Copy) else 0
            link.put(number, shadow.encode_frame(frame))

    def to_primary(self, name: str, frame: shadow.HolderFrame) -> None:
        """Say something to a server whose copies we keep."""
        link = self._in_by_server.get(name)
        if link is not None:
            link.output.append(shadow.encode_frame(frame))

    def write(self, now: float) -> None:
        """Write what piled up, one write per link."""
        for link in self.out.values():
            if link.stands and (data := link.take_output()):
                assert link.connection_id is not None
                link.told_at = now
                self.outputs.append(Send(link.connection_id, data))
        for other in self._in_by_server.values():
            if other.output:
                self.outputs.append(Send(other.connection_id, b"".join(other.output)))
                other.output = []
