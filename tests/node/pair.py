"""Two transport nodes with a disk each, that talk to each other; what is on the wire can be held up."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from holdfast.directory.model import (
    AcceptedDomain,
    Mailbox,
    MailboxDatabase,
    Organisation,
    ReceiveConnector,
    Server,
    Site,
    Usage,
)
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import ConnectionId, MailboxId
from holdfast.kernel.iprange import parse_ip_range
from holdfast.node.ports import (
    Abort,
    CallStore,
    Close,
    CommitQueue,
    Connect,
    InFlight,
    Landed,
    Log,
    Peer,
    ReadKept,
    ReadQueued,
    Resolve,
    Send,
    StartTls,
)
from holdfast.node.transport import TransportNode
from holdfast.sim.disk import QueueDisk
from holdfast.transport.ledger import Ledger, LedgerBuilder
from holdfast.transport.queue import QueueWrite
from holdfast.transport.tls_policy import TlsFacts
from holdfast.transport.tracking import TrackingEvent, parse_lines
from holdfast.wire import store

EVERYONE = (parse_ip_range("0.0.0.0/0"),)
# DER of one empty-ish sequence each: the directory asks no more of a certificate.
CERTIFICATES = {
    name: f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
    for name, text in (("mail1", "MAMCAQE="), ("mail2", "MAMCAQI="), ("mail3", "MAMCAQM="))
}
START = 1_700_000_000.0
BODY = b"Message-ID: <1@other.test>\r\nSubject: hello\r\n\r\nbody\r\n"


def organisation(count: int = 2) -> Organisation:
    """Servers mail1, mail2 … with a mailbox database and a user each."""
    names = [f"mail{number}" for number in range(1, count + 1)]
    return Organisation(
        name="example",
        sites=(Site("here"),),
        servers=tuple(
            Server(
                name,
                f"{name}.example.test",
                "here",
                addresses=(f"192.0.2.{number}",),
                certificate=CERTIFICATES[name],
            )
            for number, name in enumerate(names, 1)
        ),
        accepted_domains=(AcceptedDomain("example.test"),),
        mailbox_databases=tuple(MailboxDatabase(f"db{number}", name) for number, name in enumerate(names, 1)),
        mailboxes=tuple(
            Mailbox(f"user{number}@example.test", MailboxId(f"user{number}"), f"db{number}")
            for number in range(1, count + 1)
        ),
        receive_connectors=tuple(
            each
            for number, name in enumerate(names, 1)
            for each in (
                ReceiveConnector(
                    f"in {name}", name, (f"192.0.2.{number}:25",), EVERYONE, tarpit_s=0.0,
                    connection_count_per_source_max=1000, connection_percent_per_source=100,
                ),
                ReceiveConnector(
                    f"servers {name}", name, (f"192.0.2.{number}:26",), EVERYONE, usage=Usage.INTERNAL,
                    tarpit_s=0.0,
                ),
            )
        ),
    )  # fmt: skip


class Side:
    """One server."""

    def __init__(self, pair: Pair, name: str) -> None:
        self.pair = pair
        self.name = name
        self.number = int(name.removeprefix("mail"))
        self.disk = QueueDisk(2 * 86400.0, name)
        self.mail: dict[tuple[str, str], bytes] = {}
        self.last_delivery_at: float | None = None
        self.outside: list[str] = []
        self.up = False
        self.life = 0
        # Whether the disk takes its time, the mailbox database answers, the disk is full.
        self.hold_commits = False
        self.full_mailboxes: set[str] = set()
        self.stores_up = True
        self.full = False

    def start(self) -> None:
        self.up = True
        self.life += 1
        self.said: dict[int, bytes] = {}
        self.log: list[str] = []
        self.commits: list[list[QueueWrite]] = []
        self.calls: list[CallStore] = []
        # Our number of a connection to the other side and its number.
        self.wires: dict[int, tuple[Side, int]] = {}
        self.last_id = 1000
        recovered = self.disk.recover(self.pair.now)
        luck = random.Random(f"{self.name} {self.life}")
        self.node = TransportNode(self.pair.organisation, self.name, recovered, luck)
        self.do(self.node.started)
        if self.stores_up:
            self.do(self.node.store_connected, f"db{self.number}")

    def die(self) -> None:
        """Lose everything but the disk."""
        self.up = False
        wires, self.wires = self.wires, {}
        for other, its_number in wires.values():
            other.wires.pop(its_number, None)
            if other.up:
                other.do(other.node.connection_lost, ConnectionId(its_number), "reset")
        self.commits = []

    def do(self, method: Callable[..., None], *arguments: object) -> None:
        method(self.pair.now, *arguments)
        while self.node.outputs:
            outputs, self.node.outputs = self.node.outputs, []
            for output in outputs:
                self.perform(output)

    def perform(self, output: object) -> None:
        match output:
            case Send(number, data):
                if number in self.wires:
                    self.pair.post(self, number, "bytes", data)
                else:
                    self.said[number] = self.said.get(number, b"") + data
            case Close(number) | Abort(number):
                self.pair.post(self, number, "closed", b"")
            case StartTls(number):
                self.pair.post(self, number, "tls", b"")
            case Connect(number, address):
                self.connect(number, address)
            case CommitQueue(writes):
                self.commits.append(writes)
            case CallStore():
                self.calls.append(output)
            case ReadQueued(numbers):
                for each in numbers:
                    self.pair.soon(self, lambda n=each: self.do(self.node.queued_read, n, self.disk.read(n)))
            case ReadKept(since, until, after_number):
                batch = self.disk.shadows.read_kept(since, until, after_number)
                self.pair.soon(self, lambda: self.do(self.node.kept_read, batch))
            case Log(event):
                self.log.append(event.message())
            case InFlight(number):
                self.disk.in_flight.append(number)
            case Landed(numbers):
                self.disk.landed(numbers)
            case Resolve():
                raise AssertionError(output)
            case _:
                raise AssertionError(output)

    def connect(self, number: int, address: str) -> None:
        other = self.pair.sides[f"mail{address.rpartition('.')[2]}"]
        mail = ConnectionId(number) not in self.node._shadows.links.outgoing
        if not other.up or self.pair.cut or (mail and self.pair.no_mail):
            self.pair.soon(self, lambda: self.do(self.node.connection_lost, ConnectionId(number), "refused"))
            return
        other.last_id += 1
        theirs = other.last_id
        self.wires[number], other.wires[theirs] = (other, theirs), (self, number)
        self.do(self.node.outbound_connected, ConnectionId(number), f"192.0.2.{self.number}")
        peer = Peer(f"192.0.2.{self.number}", 4000, address, 26, tls=False)
        other.do(other.node.connection_opened, ConnectionId(theirs), f"servers {other.name}", peer)

    def commit(self) -> None:
        while self.commits:
            writes = self.commits.pop(0)
            if self.full:
                self.do(self.node.queue_failed, writes, Unavailable("the disk is full"))
            else:
                self.disk.apply(writes)
                self.do(self.node.queue_committed, writes)

    def deliver(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            if isinstance(call.operation, store.FindMissing):
                asked = enumerate(call.operation.asked)
                places = [place for place, (nmid, box) in asked if (box, nmid) not in self.mail]
                answer = store.Missing(places, self.last_delivery_at)
                self.do(self.node.store_answered, call.number, answer)
                continue
            assert isinstance(call.operation, store.Deliver)
            outcomes = []
            for delivery in call.operation.deliveries:
                row = []
                for target in delivery.targets:
                    key = (target.mailbox_id, delivery.network_message_id)
                    if target.mailbox_id in self.full_mailboxes:
                        row.append(store.Outcome.OVER_QUOTA)
                        continue
                    row.append(store.Outcome.DUPLICATE if key in self.mail else store.Outcome.DELIVERED)
                    if key not in self.mail:
                        self.mail[key] = target.prefix + delivery.data
                        self.last_delivery_at = self.pair.now
                outcomes.append(row)
            self.do(self.node.store_answered, call.number, store.Delivered(outcomes))

    def send(
        self, *recipients: str, number: int = 1, body: bytes = BODY, sender: str = "x@other.test"
    ) -> bytes:
        """A whole message from a client, up to its final dot; returns the answer, empty while it waits."""
        if number not in self.said:
            self.said[number] = b""
            peer = Peer("198.51.100.7", 1234, f"192.0.2.{self.number}", 25, tls=False)
            self.do(self.node.connection_opened, ConnectionId(number), f"in {self.name}", peer)
            self.say(b"EHLO client.test\r\n", number)
        lines = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{each}>" for each in recipients), "DATA"]
        answers = self.say("".join(f"{each}\r\n" for each in lines).encode(), number)
        assert answers.endswith(b"354 end data with <CRLF>.<CRLF>\r\n"), answers
        return self.say(body + b".\r\n", number)

    def say(self, data: bytes, number: int = 1) -> bytes:
        self.said[number] = b""
        self.do(self.node.bytes_received, ConnectionId(number), data)
        return self.said[number]

    def events(self) -> list[TrackingEvent]:
        return [event for text in self.disk.tracking for event in parse_lines(text)]

    def event_ids(self) -> list[str]:
        return [event.event_id.value for event in self.events()]

    def ledger(self) -> Ledger:
        builder = LedgerBuilder()
        for text in self.disk.tracking:
            builder.add_lines(text)
        waiting = self.disk.messages.values()
        return builder.finish((each.network_message_id, each.number, each.recipients) for each in waiting)

    def mailbox(self, user: str) -> list[bytes]:
        return [data for (owner, _), data in self.mail.items() if owner == user]

    @property
    def protection(self):
        return self.node._shadows.protection

    @property
    def held(self):
        return self.node._shadows.held


class Pair:
    """Servers of one organisation."""

    def __init__(self, count: int = 2, change: Callable[[Organisation], Organisation] = lambda o: o) -> None:
        self.now = START
        self.organisation = change(organisation(count))
        self.cut = False
        # No connection for mail between the servers; links for copies go on.
        self.no_mail = False
        self._wire: deque[tuple[Side, int, str, bytes]] = deque()
        self._soon: deque[tuple[Side, int, Callable[[], None]]] = deque()
        self._tls: dict[frozenset[tuple[str, int]], list[tuple[Side, int]]] = {}
        self.hold_wire = False
        self.sides = {f"mail{number}": Side(self, f"mail{number}") for number in range(1, count + 1)}
        for side in self.sides.values():
            side.start()

    def change(self, **settings: object) -> None:
        self.organisation = replace(self.organisation, **settings)
        for side in self.sides.values():
            side.do(side.node.organisation_changed, self.organisation)

    def post(self, side: Side, number: int, kind: str, data: bytes) -> None:
        self._wire.append((side, number, kind, data))

    def soon(self, side: Side, action: Callable[[], None]) -> None:
        self._soon.append((side, side.life, action))

    def _carry(self, side: Side, number: int, kind: str, data: bytes) -> None:
        wire = side.wires.get(number)
        if kind == "closed":
            side.wires.pop(number, None)
            if side.up:
                side.do(side.node.connection_lost, ConnectionId(number), "closed")
            side.said.pop(number, None)
        if wire is None:
            return
        other, theirs = wire
        if kind == "closed":
            other.wires.pop(theirs, None)
            if other.up:
                other.do(other.node.connection_lost, ConnectionId(theirs), "closed")
        elif kind == "tls":
            key = frozenset(((side.name, number), (other.name, theirs)))
            ready = self._tls.setdefault(key, [])
            ready.append((side, number))
            if len(ready) == 2:
                del self._tls[key]
                for each, its_number in ready:
                    facts = TlsFacts("TLSv1.3", "X", verified=True, server=each.wires[its_number][0].name)
                    each.do(each.node.tls_started, ConnectionId(its_number), facts)
        elif other.up:
            other.do(other.node.bytes_received, ConnectionId(theirs), data)

    def move(self, *, deliver: bool = True) -> None:
        """Let everything happen that needs no time."""
        for _ in range(10_000):
            if self._soon:
                side, life, action = self._soon.popleft()
                if side.up and side.life == life:
                    action()
            elif self._wire and not self.hold_wire:
                self._carry(*self._wire.popleft())
            elif busy := [each for each in self.sides.values() if each.commits and not each.hold_commits]:
                busy[0].commit()
            elif deliver and (
                calling := [each for each in self.sides.values() if each.up and each.calls and each.stores_up]
            ):
                calling[0].deliver()
            else:
                return
        raise AssertionError("it never comes to rest")

    def wait(self, seconds: float, *, deliver: bool = True) -> None:
        """Let time pass."""
        end = self.now + seconds
        self.move(deliver=deliver)
        for _ in range(20_000):
            due = [
                deadline
                for side in self.sides.values()
                if side.up and (deadline := side.node.deadline()) is not None
            ]
            if not due or min(due) > end:
                break
            self.now = max(self.now, min(due))
            for side in self.sides.values():
                deadline = side.node.deadline() if side.up else None
                if deadline is not None and deadline <= self.now:
                    side.do(side.node.timer)
            self.move(deliver=deliver)
        else:
            raise AssertionError("a timer is wanted all the time")
        self.now = end
