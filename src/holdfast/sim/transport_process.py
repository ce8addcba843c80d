"""The transport process of the made-up world: a real ``TransportNode`` on a made-up disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from holdfast.directory.model import Organisation, Server
from holdfast.directory.server_certificates import known_certificates
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.events import Severity
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import (
    Abort,
    CallStore,
    CheckPassword,
    Close,
    CommitQueue,
    Connect,
    FetchPolicy,
    GoOn,
    InFlight,
    Landed,
    Log,
    PauseReading,
    Peer,
    ReadKept,
    ReadQueued,
    Resolve,
    ResumeReading,
    Send,
    StartTls,
    TransportOutput,
)
from holdfast.node.transport import TransportNode
from holdfast.sim.disk import Job, QueueDisk, Writer, queue_writer_rates
from holdfast.sim.elsewhere import Names
from holdfast.sim.network import Endpoint, Network, Receiver
from holdfast.sim.organisation import server_address
from holdfast.sim.process import Process
from holdfast.sim.scenario import Rates
from holdfast.sim.world import Violation, World, some
from holdfast.transport.kept import KeptFile
from holdfast.transport.queue import QueueWrite
from holdfast.transport.tls_policy import TlsFacts
from holdfast.wire import store
from holdfast.wire.dns_answers import Question
from holdfast.wire.framing import FrameReader

PLACE = server_address()  # of the first server
RECONNECT_S = 0.2

NodeFactory = type[TransportNode]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the processes of all servers share."""

    world: World
    network: Network
    rates: Rates
    organisation: Organisation
    names: Names


class _ClientConnection:
    """The server's end of a sender's connection."""

    def __init__(self, process: TransportProcess, connection_id: ConnectionId) -> None:
        self._process = process
        self._id = connection_id

    def opened(self) -> None:
        raise AssertionError("only the end that asked for a connection hears that it stands")

    def received(self, data: bytes) -> None:
        process = self._process
        process.node.bytes_received(process.clock(), self._id, data)
        process.after_input()

    def ended(self) -> None:
        process = self._process
        process.node.connection_ended(process.clock(), self._id)
        process.after_input()

    def lost(self) -> None:
        process = self._process
        del process.connections[self._id]
        process.node.connection_lost(process.clock(), self._id)
        process.after_input()


class _OutboundConnection:
    """Our end of a connection to a next hop."""

    def __init__(self, process: TransportProcess, wish: Connect) -> None:
        self._process = process
        self._id = wish.connection_id
        self._stands = False
        self.endpoint = process.network.connect(process.place, wish.address, self, wish.port)
        process.later(wish.timeout_s, "", self._timed_out)

    def opened(self) -> None:
        process = self._process
        self._stands = True
        process.node.outbound_connected(process.clock(), self._id)
        process.after_input()

    def received(self, data: bytes) -> None:
        process = self._process
        process.node.bytes_received(process.clock(), self._id, data)
        process.after_input()

    def ended(self) -> None:
        process = self._process
        process.node.connection_ended(process.clock(), self._id)
        process.after_input()

    def lost(self) -> None:
        self._process.outbound_lost(self._id, "reset" if self._stands else "refused")

    def _timed_out(self) -> None:
        if not self._stands and not self.endpoint.gone:
            self.endpoint.abort()
            self._process.outbound_lost(self._id, "no answer")


class _StoreLink:
    """The lasting connection to one mailbox database, as ``drivers.store_client`` keeps it."""

    def __init__(self, process: TransportProcess, database: str) -> None:
        self._process = process
        self._database = database
        self._reader = FrameReader()
        self._stands = False
        self._endpoint = process.network.connect(process.place, f"mailbox {database}", self)

    def opened(self) -> None:
        process = self._process
        self._stands = True
        process.node.store_connected(process.clock(), self._database)
        process.after_input()

    def received(self, data: bytes) -> None:
        process = self._process
        try:
            responses = [store.decode_response(body) for body in self._reader.feed(data)]
        except Refusal as refusal:
            raise Violation(f"the mailbox process does not speak the store protocol: {refusal}") from None
        incarnation = process.incarnation
        for response in responses:
            if process.incarnation != incarnation or not process.up:
                return
            process.node.store_answered(process.clock(), response.number, response.answer)
            process.after_input()

    def ended(self) -> None:
        self._endpoint.abort()
        self.lost()

    def lost(self) -> None:
        process = self._process
        process.links.pop(self._database)
        process.later(some(process.luck, RECONNECT_S), "", lambda: process.link(self._database))
        if self._stands:
            process.node.store_lost(process.clock(), self._database)
            process.after_input()

    def call(self, number: int, operation: store.Operation) -> bool:
        """Ask, when the connection stands."""
        if self._stands:
            self._endpoint.send(store.encode_frame(store.Request(number, operation)))
        return self._stands

    def abort(self) -> None:
        """The process died."""
        self._endpoint.abort()


class TransportProcess(Process):
    """Runs a transport node on a queue disk.

    Attributes:
        server: the server that it is a process of.
        place: where that is.
        peers: all servers of ours, by their place.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        server: Server,
        disk: QueueDisk,
        factory: NodeFactory = TransportNode,
    ) -> None:
        world, network, rates = surroundings.world, surroundings.network, surroundings.rates
        organisation = surroundings.organisation
        alone = len(organisation.servers) == 1
        super().__init__("transport" if alone else f"transport {server.name}", world, network, rates)
        self.organisation = organisation
        self.server = server
        self.place = server.addresses[0]
        self.peers = {each.addresses[0]: each for each in organisation.servers}
        self.disk = disk
        self.node: TransportNode
        self.connections: dict[ConnectionId, Endpoint] = {}
        self.links: dict[str, _StoreLink] = {}
        self.ended: Callable[[], None] = lambda: None  # told when a life is over, by a crash or cleanly
        self.calm = False  # no read fails any more
        self.names = surroundings.names
        self._factory = factory
        self._writer: Writer
        self._committed: list[QueueWrite] = []
        self._failed: list[QueueWrite] = []
        self._connection_count = 0

    def begin(self) -> None:
        recovered = self.disk.recover(self.clock())
        luck = self.world.luck(f"{self.name} node {self.incarnation}")
        rates = queue_writer_rates(self.world, self.rates, self.disk.name)
        self._writer = Writer(self.world, self.disk.weather, rates, self.later, self._report)
        self._committed, self._failed = [], []
        self.node = self._factory(self.organisation, self.server.name, recovered, luck)
        self.node.started(self.clock())
        self._listen(self._accept)
        for database in self.organisation.mailbox_databases:
            if database.server == self.server.name:
                self.link(database.name)

    def _listen(self, accept: Callable[[Endpoint], Receiver | None] | None) -> None:
        for connector in self.organisation.receive_connectors:
            if connector.server == self.server.name:
                for binding in connector.bindings:
                    self.network.listen(self.place, accept, int(binding.rpartition(":")[2]))

    def forget(self) -> None:
        self._listen(None)
        self._writer.crash()
        self.ended()
        for endpoint in self.connections.values():
            endpoint.abort()
        self.connections.clear()
        for link in self.links.values():
            link.abort()
        self.links.clear()

    def link(self, database: str) -> None:
        """Connect to a mailbox database."""
        self.links[database] = _StoreLink(self, database)

    def _accept(self, endpoint: Endpoint) -> Receiver | None:
        if self.stopping:
            return None
        self._connection_count += 1
        connection_id = ConnectionId(self._connection_count)
        self.connections[connection_id] = endpoint
        port = 40000 + self._connection_count % 20000
        peer = Peer(endpoint.peer.place, port, self.place, endpoint.port, tls=False)
        self.node.connection_opened(self.clock(), connection_id, "", peer)
        self.after_input()
        return _ClientConnection(self, connection_id)

    def declare_lost(self, name: str) -> None:
        """An administrator declares another server lost."""
        if self.up:
            self.node._shadows.held.declare_lost(self.clock(), name)
            self.node._flush(self.clock())
            self.after_input()

    def clock_stepped(self) -> None:
        self.node.clock_offset_s = self.clock_offset_s

    def node_deadline(self) -> float | None:
        return self.node.deadline()

    def node_timer(self) -> None:
        self.node.timer(self.clock())

    def _go_on(self) -> None:
        self.node.go_on(self.clock())
        self.after_input()

    def say_stop(self) -> None:
        self._listen(None)
        self.node.stopping(self.clock())

    def at_rest(self) -> bool:
        return self.node.idle() and not self._writer.busy

    def said_goodbye(self) -> None:
        self.disk.say_goodbye(self.clock(), self.node.uncertain)

    def drain(self) -> None:
        while self.node.outputs:
            outputs, self.node.outputs = self.node.outputs, []
            for output in outputs:
                self._perform(output)

    def _perform(self, output: TransportOutput) -> None:
        match output:
            case Send(connection_id, data):
                self._with(connection_id, lambda endpoint: endpoint.send(data))
            case Close(connection_id):
                self._with(connection_id, Endpoint.close)
            case PauseReading(connection_id):
                self._with(connection_id, Endpoint.pause)
            case ResumeReading(connection_id):
                self._with(connection_id, Endpoint.resume)
            case StartTls(connection_id):
                self._start_tls(connection_id)
            case CallStore(database, number, operation):
                self._call(database, number, operation)
            case CheckPassword(connection_id):
                self.later(some(self.luck, 0.05), "", lambda: self._password_checked(connection_id))
            case CommitQueue(writes):
                self._writer.put(self._commit(writes))
            case ReadQueued(numbers):
                for number in numbers:
                    self.later(some(self.luck, 0.002), "", partial(self._read, number))
            case ReadKept():
                self.later(some(self.luck, 0.002), "", partial(self._read_kept, output))
            case Log(event):
                self.world.note(f"log {event.kind.event_id} {event.message()}")
                if event.kind.severity is Severity.BROKEN:
                    raise Violation(f"the transport calls itself broken: {event.message()}")
            case Connect(connection_id):
                self.connections[connection_id] = _OutboundConnection(self, output).endpoint
            case Abort(connection_id):
                self._abort(connection_id)
            case Resolve(question):
                self.later(self.names.delay_s(), f"names {question.name}", partial(self._resolve, question))
            case FetchPolicy():
                raise Violation("the transport asks for a policy, which the organisation does not want")
            case KeptFile():
                pass  # nothing of it is read before the next start, and what it keeps may be lost
            case GoOn():
                self.later(0.0, "", self._go_on)
            case InFlight(number):
                self.disk.in_flight.append(number)
            case Landed(numbers):
                self.disk.landed(numbers)
            case _:
                assert_never(output)

    def _start_tls(self, connection_id: ConnectionId) -> None:
        """Begin the handshake; each end is shown the certificate of the server at the other."""
        endpoint = self.connections.get(connection_id)
        if endpoint is None or endpoint.gone:
            return
        peer = self.peers.get(endpoint.peer.place)
        if peer is None:
            raise Violation("the transport begins TLS on a connector that does not offer it")
        known = peer.name if known_certificates(peer) and known_certificates(self.server) else ""
        facts = TlsFacts(
            "TLSv1.3", "TLS_AES_256_GCM_SHA384", verified=True, peer_names=(peer.fqdn,), server=known
        )
        endpoint.start_tls(lambda: self._tls_started(connection_id, facts))

    def _tls_started(self, connection_id: ConnectionId, facts: TlsFacts) -> None:
        self.node.tls_started(self.clock(), connection_id, facts)
        self.after_input()

    def _with(self, connection_id: ConnectionId, action: Callable[[Endpoint], None]) -> None:
        endpoint = self.connections.get(connection_id)
        if endpoint is not None:  # it may be gone by now: the node hears of that next
            action(endpoint)

    def _abort(self, connection_id: ConnectionId) -> None:
        endpoint = self.connections.get(connection_id)
        if endpoint is not None and not endpoint.gone:
            endpoint.abort()
            self.later(0.0, "", lambda: self.outbound_lost(connection_id, "aborted"))

    def outbound_lost(self, connection_id: ConnectionId, reason: str) -> None:
        """A connection to a next hop is gone, or never came about."""
        del self.connections[connection_id]
        self.node.connection_lost(self.clock(), connection_id, reason)
        self.after_input()

    def _resolve(self, question: Question) -> None:
        self.node.resolved(self.clock(), self.names.answer(question))
        self.after_input()

    def _password_checked(self, connection_id: ConnectionId) -> None:
        self.node.password_checked(self.clock(), connection_id, None)
        self.after_input()

    def _call(self, database: str, number: int, operation: store.Operation) -> None:
        link = self.links.get(database)
        if link is None or not link.call(number, operation):
            refused = store.Refused(store.RefusalReason.UNAVAILABLE, "the mailbox database is not reachable")
            self.later(0.0, "", lambda: self._answered(number, refused))

    def _answered(self, number: int, answer: store.Answer) -> None:
        self.node.store_answered(self.clock(), number, answer)
        self.after_input()

    def _commit(self, writes: list[QueueWrite]) -> Job:
        return Job(
            lambda: self.disk.apply(writes),
            lambda: self._committed.extend(writes),
            lambda: self._failed.extend(writes),
        )

    def _report(self) -> None:
        """Tell the node of a whole transaction in one call, as ``drivers.sqlite_queue`` does."""
        committed, failed = self._committed, self._failed
        self._committed, self._failed = [], []
        if committed:
            self.node.queue_committed(self.clock(), committed)
        if failed:
            full = Unavailable("the disk of the queue database is full")
            self.node.queue_failed(self.clock(), failed, full)
        self.after_input()

    def _read_kept(self, output: ReadKept) -> None:
        batch = self.disk.shadows.read_kept(output.since, output.until, output.after_number)
        failed = not self.calm and self.luck.random() < self.rates.read_failure_rate
        self.node.kept_read(self.clock(), None if failed else batch)
        self.after_input()

    def _read(self, number: int) -> None:
        data = self.disk.read(number)
        if not self.calm and self.luck.random() < self.rates.read_failure_rate:
            data = None
        self.node.queued_read(self.clock(), number, data)
        self.after_input()
