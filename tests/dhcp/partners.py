"""Two failover partners without any network: what one says the other hears at once."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from dhcp.conversations import NOW, organisation, scope
from holdfast.dhcp.desk import Arrival, Link
from holdfast.dhcp.failover_declared import declared_settings
from holdfast.dhcp.failover_endpoint import Endpoint
from holdfast.dhcp.failover_record import Agreed, Departed, Record
from holdfast.dhcp.failover_states import State
from holdfast.dhcp.lease import Lease
from holdfast.directory.dhcp import DhcpServer
from holdfast.directory.failover import FailoverRelationship
from holdfast.directory.model import Organisation
from holdfast.kernel.events import LogEvent
from holdfast.node.dhcp import CommitLeases, DhcpLog, DhcpNode, SendReplies, UpdateDns
from holdfast.node.failover import Dial, HangUp, SendToPartner
from holdfast.wire import dhcp4
from holdfast.wire.dhcp4 import Message, encode_message, read_message
from holdfast.wire.dns_update import DnsUpdate, Do, UpdateAnswer, UpdateOutcome
from holdfast.wire.failover import MessageReader
from holdfast.wire.failover import read_message as read_failover
from holdfast.wire.failover_messages import Content

ADDRESSES = ("10.9.0.1", "10.9.0.2")
FIRST = int(IPv4Address("10.0.0.10"))


def related(**more: object) -> Organisation:
    """Two servers that share a scope of ten addresses, MCLT a minute, leases of an hour."""
    plain = FailoverRelationship("pair", ("ns1", "ns2"), ("office",), mclt_s=60.0, addresses=ADDRESSES)
    relationship = replace(plain, **more)  # type: ignore[arg-type]  # the tests change fields by name
    servers = (DhcpServer("ns1"), DhcpServer("ns2"))
    return organisation(scope(), dhcp_servers=servers, failover_relationships=(relationship,))


class Server:
    """One of the two."""

    def __init__(self, pair: Pair, number: int, declared: Organisation, secret: str | None) -> None:
        self.pair, self.number, self.declared, self.secret = pair, number, declared, secret
        self.disk: dict[int, Lease] = {}
        self.records: dict[str, Record] = {}
        self.departed: dict[int, Departed] = {}
        self.agreed: dict[str, Agreed] = {}
        self.alive_at = 0.0
        self.ahead_s = 0.0  # of the machine's clock
        self.node: DhcpNode | None = None
        self.answers: list[Message] = []
        self.log: list[LogEvent] = []
        self.said: list[Content] = []  # to the partner
        self.durable = True
        self.updates: list[DnsUpdate] = []  # that no DNS server has answered yet
        self._readers: dict[int, MessageReader] = {}

    def start(self) -> None:
        name = f"ns{self.number}"
        self.node = DhcpNode(
            self.declared, name, list(self.disk.values()),
            failover=[*self.records.values(), *self.departed.values(), *self.agreed.values()],
            alive_at=self.alive_at,
        )  # fmt: skip
        self.node.links_changed([Link(1, "eth0", int(IPv4Address("10.0.0.0")) + self.number)])
        self.node.failover.clock_offset_s = self.ahead_s
        self._follow()
        self.drain()

    def stop(self) -> None:
        self.node = None
        self.alive_at = self.pair.now
        for connection in [number for server, number in self.pair.ways if server == self.number]:
            self.pair.hang_up(self.number, connection)

    @property
    def endpoint(self) -> Endpoint:
        assert self.node is not None
        return self.node.failover.endpoints["pair"]

    @property
    def state(self) -> State:
        return self.endpoint.state

    def drain(self) -> None:
        node = self.node
        while node is not None and node.outputs:
            outputs, node.outputs = node.outputs, []
            for output in outputs:
                match output:
                    case CommitLeases() if self.durable:
                        self.disk.update({each.address: each for each in output.leases})
                        self._store(output)
                        node.leases_committed(self.pair.now)
                    case CommitLeases():
                        node.commit_failed(self.pair.now, "the disk is full")
                    case SendReplies():
                        self.answers += [read_message(each.data) for each in output.replies]
                    case Dial():
                        self.pair.dial(self.number, output.connection)
                    case SendToPartner():
                        self.pair.send(self.number, output.connection, output.data)
                    case HangUp():
                        self.pair.hang_up(self.number, output.connection)
                    case DhcpLog():
                        self.log.append(output.event)
                    case UpdateDns():
                        self.updates.append(output.update)

    def _store(self, output: CommitLeases) -> None:
        for record in output.failover:
            if isinstance(record, Record):
                self.records.pop(record.relationship, None)
                if record.state:
                    self.records[record.relationship] = record
            elif isinstance(record, Agreed):
                self.agreed.pop(record.relationship, None)
                if record.version:
                    self.agreed[record.relationship] = record
            else:
                self.departed.pop(record.first, None)
                if record.since:
                    self.departed[record.first] = record

    def change(self, declared: Organisation) -> None:
        """An administrator changed the organisation of this server."""
        self.declared = declared
        if self.node is not None:
            self.node.organisation_changed(self.pair.now, declared)
            self._follow()
            self.drain()

    def _follow(self) -> None:
        assert self.node is not None
        settings = declared_settings(self.declared, f"ns{self.number}", lambda _: self.secret)
        self.node.failover.follow(self.pair.now, settings)

    def dns_answers(self) -> list[str]:
        """A DNS server does all that is asked of it; the names that it adds, with - those that it removes."""
        done = []
        while self.updates:
            update = self.updates.pop(0)
            adds = any(each.kind is Do.ADD for each in update.changes)
            done.append(("" if adds else "-") + update.changes[0].name)
            assert self.node is not None
            self.node.dns_answered(self.pair.now, update.number, UpdateAnswer(UpdateOutcome.DONE))
            self.drain()
        return done

    def note(self, data: bytes) -> None:
        if self.secret is None and len(data) >= 12:
            self.said.append(read_failover(data).content)

    def timer(self) -> None:
        node = self.node
        if node is not None:
            deadline = node.deadline()
            if deadline is not None and deadline <= self.pair.now:
                node.timer(self.pair.now)
                self.drain()

    def ask(
        self, client: int, options: dict[int, bytes], ciaddr: str = "0.0.0.0", secs: int = 0
    ) -> list[Message]:
        """A client's message; the answers."""
        assert self.node is not None
        hardware = b"\x02\x00" + client.to_bytes(4, "big")
        message = Message(
            op=1, hardware_type=1, hardware=hardware, hops=0, xid=client.to_bytes(4, "big"), secs=secs,
            flags=0x8000, ciaddr=IPv4Address(ciaddr).packed, yiaddr=bytes(4), siaddr=bytes(4),
            giaddr=bytes(4),
            sname=b"", file=b"", options=options,
        )  # fmt: skip
        self.answers = []
        self.node.datagrams_received(self.pair.now, [Arrival(encode_message(message), 1, bytes(4), False)])
        self.drain()
        return self.answers

    def lease(self, client: int, secs: int = 9) -> tuple[str, int] | None:
        """Get an address as a client does; it and its seconds, None when nobody answers or it is refused."""
        offers = self.ask(client, {53: bytes((dhcp4.DISCOVER,))}, secs=secs)
        if not offers:
            return None
        address = offers[0].yiaddr
        acks = self.ask(
            client, {53: bytes((dhcp4.REQUEST_LEASE,)), 50: address, 54: offers[0].options[54]}
        )  # fmt: skip
        return _given(acks)

    def renew(self, client: int, address: str) -> tuple[str, int] | None:
        """Go on with an address."""
        return _given(self.ask(client, {53: bytes((dhcp4.REQUEST_LEASE,))}, ciaddr=address))

    def release(self, client: int, address: str) -> None:
        own = (int(IPv4Address("10.0.0.0")) + self.number).to_bytes(4, "big")
        self.ask(client, {53: bytes((dhcp4.RELEASE,)), 54: own}, ciaddr=address)

    def texts(self, event_id: str) -> list[str]:
        """What was logged of one kind."""
        return [each.message() for each in self.log if each.kind.event_id == event_id]


def _given(answers: list[Message]) -> tuple[str, int] | None:
    if not answers or answers[0].options[53][0] != dhcp4.ACK:
        return None
    return str(IPv4Address(answers[0].yiaddr)), int.from_bytes(answers[0].options[51], "big")


class Pair:
    """The two, their wire and their clock."""

    def __init__(self, *, secrets: tuple[str | None, str | None] = (None, None), **more: object) -> None:
        self.now = NOW
        self.ways: dict[tuple[int, int], tuple[int, int]] = {}
        self.queue: list[tuple[int, int, bytes | None]] = []
        self.cut = False
        self.first = Server(self, 1, related(**more), secrets[0])
        self.second = Server(self, 2, related(**more), secrets[1])
        self._is_delivering = False

    def server(self, number: int) -> Server:
        return self.first if number == 1 else self.second

    def start(self) -> Pair:
        self.first.start()
        self.second.start()
        return self

    def dial(self, caller: int, connection: int) -> None:
        mine, other = self.server(caller), self.server(3 - caller)
        theirs = None
        if other.node is not None and not self.cut:
            theirs = other.node.failover.accepted(self.now, ADDRESSES[caller - 1])
        assert mine.node is not None
        if theirs is None:
            mine.node.failover.disconnected(self.now, connection, "nobody listens")
        else:
            self.ways[caller, connection] = (3 - caller, theirs)
            self.ways[3 - caller, theirs] = (caller, connection)
            mine.node.failover.connected(self.now, connection)
            other.drain()
        mine.drain()

    def send(self, server: int, connection: int, data: bytes) -> None:
        if (server, connection) in self.ways:
            self.server(server).note(data)
            self.queue.append((*self.ways[server, connection], data))

    def hang_up(self, server: int, connection: int) -> None:
        other = self.ways.pop((server, connection), None)
        if other is not None:
            self.queue.append((*other, None))

    def deliver(self) -> None:
        """Let everything arrive."""
        while self.queue:
            number, connection, data = self.queue.pop(0)
            server = self.server(number)
            if self.cut or server.node is None:
                continue
            if data is None:
                self.ways.pop((number, connection), None)
                server.node.failover.disconnected(self.now, connection, "closed by the partner")
            else:
                server.node.failover.received(self.now, connection, data)
            server.drain()

    def pass_s(self, span_s: float) -> Pair:
        """Let time pass."""
        end = self.now + span_s
        while self.now < end:
            self.deliver()
            self.now = min(end, self.now + 0.25)
            self.first.timer()
            self.second.timer()
        self.deliver()
        return self

    @property
    def states(self) -> tuple[str, str]:
        return self.first.state.text, self.second.state.text

    def normal(self) -> Pair:
        """Two that have found each other."""
        self.start().pass_s(12)
        assert self.states == ("NORMAL", "NORMAL"), self.states
        return self

    def apart(self) -> Pair:
        """Two that were normal and do not reach each other any more."""
        self.cut = True
        self.pass_s(6)
        assert self.states == ("COMMUNICATIONS-INTERRUPTED", "COMMUNICATIONS-INTERRUPTED")
        return self
