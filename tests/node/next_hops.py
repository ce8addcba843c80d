"""A transport node, and next hops around it that behave as told: for the tests of mail that leaves."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from holdfast.directory.model import (
    AcceptedDomain,
    Mailbox,
    MailboxDatabase,
    Organisation,
    SendConnector,
    Server,
)
from holdfast.kernel.ids import ConnectionId, MailboxId, NetworkMessageId
from holdfast.node.ports import (
    Abort,
    Close,
    CommitQueue,
    Connect,
    GoOn,
    InFlight,
    Landed,
    Log,
    ReadQueued,
    Resolve,
    Send,
    StartTls,
)
from holdfast.node.transport import TransportNode
from holdfast.transport.ledger import LedgerBuilder
from holdfast.transport.outcomes import facts_of
from holdfast.transport.queue import (
    AddMessage,
    FinishRecipients,
    MarkMessage,
    QueuedMessage,
    QueueWrite,
    RecoveredQueue,
)
from holdfast.transport.tls_policy import TlsFacts
from holdfast.transport.tracking import EventId, TrackingWriter, parse_lines
from holdfast.wire.dns_answers import Answer, MxRecord, Outcome, Question, RecordType

ORGANISATION = Organisation(
    name="example",
    servers=(Server("mail1", "mail1.example.test", "here", addresses=("192.0.2.1",)),),
    accepted_domains=(AcceptedDomain("example.test"),),
    mailbox_databases=(MailboxDatabase("db1", "mail1"),),
    mailboxes=(Mailbox("alice@example.test", MailboxId("alice"), "db1"),),
    send_connectors=(SendConnector("out", ("*",), ("192.0.2.9",)),),
)
SENDER = "alice@example.test"
GREETING = b"220 hop.test ESMTP\r\n"
EHLO = b"250-hop.test\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n"


def queued(number: int, *recipients: str, sender: str = SENDER, at: float = 1_700_000_000.0) -> QueuedMessage:
    nmid = NetworkMessageId(f"nmid-{number}")
    return QueuedMessage(number, nmid, at, sender, recipients, 30, None, f"<{number}@x>", "s", b"f")


def data_of(number: int) -> bytes:
    return f"Subject: {number}\r\n\r\nbody\r\n".encode()


def known(*rows: tuple[str, RecordType, MxRecord | str]) -> dict[Question, Answer]:
    """What DNS says of names."""
    return {
        Question(name, kind): Answer(Question(name, kind), Outcome.FOUND, (record,), name, ttl_s=300.0)
        for name, kind, record in rows
    }


class Hop:
    """A next hop that answers as told: by default it takes everything."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.rcpt: dict[str, str] = {}
        self.answers: dict[str, str] = {}
        self.said: list[str] = []

    def heard_all(self) -> None:
        """Told after each message."""

    def command(self, talk: Talk, line: str) -> bytes:
        """Answer a command."""
        self.said.append(line)
        verb = line.split(" ")[0].split(":")[0].upper()
        answer = "250 2.0.0 ok"
        if verb == "EHLO":
            return EHLO
        if verb == "MAIL":
            talk.recipients = 0
        if verb == "RCPT":
            answer = self.rcpt.get(line.partition("<")[2].partition(">")[0], answer)
            talk.recipients += answer.startswith("2")
        if verb == "DATA":
            answer = "354 go on" if talk.recipients else "554 5.5.1 no valid recipients"
        answer = self.answers.get(verb, answer)
        talk.in_data = verb == "DATA" and answer.startswith("354")
        return answer.encode() + b"\r\n"


class Talk:
    """One connection to it."""

    def __init__(self, hop: Hop) -> None:
        self.hop = hop
        self.buffer = b""
        self.in_data = False
        self.recipients = 0

    def hear(self, data: bytes) -> bytes:
        self.buffer += data
        out = b""
        while True:
            found: str | bytes
            if self.in_data:
                message, found, rest = self.buffer.partition(b"\r\n.\r\n")
                if not found:
                    return out
                self.buffer, self.in_data = rest, False
                answer = self.hop.answers.get("message", "250 2.0.0 ok")
                if answer == "silence":
                    return out
                if answer.startswith("250"):
                    self.hop.taken.append(message + b"\r\n")
                self.hop.heard_all()
                out += answer.encode() + b"\r\n"
                continue
            line, found, rest = self.buffer.partition(b"\r\n")
            if not found:
                return out
            self.buffer = rest
            out += self.hop.command(self, line.decode())


class TlsHop(Hop):
    """Offers STARTTLS."""

    def command(self, talk: Talk, line: str) -> bytes:
        if line.startswith("EHLO"):
            self.said.append(line)
            return b"250-hop.test\r\n250 STARTTLS\r\n"
        if line == "STARTTLS":
            self.said.append(line)
            return b"220 go on\r\n"
        return super().command(talk, line)


class World:
    """A node whose queue holds messages for outside, and next hops."""

    def __init__(
        self, *messages: QueuedMessage, organisation: Organisation = ORGANISATION, **more: object
    ) -> None:
        self.now = 1_700_000_000.0
        self.disk = {message.number: message for message in messages}
        recovered = RecoveredQueue(messages, max(self.disk, default=0) + 1, {}, **more)  # type: ignore[arg-type]  # few are given
        self.organisation = organisation
        self.node = TransportNode(organisation, "mail1", recovered, random.Random(1))
        self.connects: list[Connect] = []
        self.hops: dict[int, Talk] = {}
        self.heard: dict[int, bytes] = {}
        self.commits: list[list[QueueWrite]] = []
        self.reads: list[int] = []
        self.log: list[str] = []
        self.tracking: list[str] = []
        self.noted: list[int] = []
        self.closed: set[int] = set()
        self.questions: list[Question] = []
        self.handshakes: list[int] = []
        self.goes_on_count = 0  # of GoOn that were not answered yet
        # What DNS says, and why TLS fails; None lets it succeed.
        self.names: dict[Question, Answer] = {}
        self.tls_problem: str | None = None
        self.tls_facts = TlsFacts("TLSv1.3", "AES", verified=False)
        writer = TrackingWriter("mail1", with_subject=True)
        for message in messages:
            line = writer.line(self.now, EventId.RECEIVE, "SMTP", facts_of(message), message.recipients)
            self.tracking.append(line)
        self.make_hop: Callable[[Connect], Hop | str] = lambda _: Hop()
        self.do(self.node.started)

    def do(self, method: Callable[..., None], *arguments: object) -> None:
        method(self.now, *arguments)
        outputs, self.node.outputs = self.node.outputs, []
        for output in outputs:
            match output:
                case Connect():
                    self.connects.append(output)
                case Send(number, data):
                    self.heard[number] = self.heard.get(number, b"") + data
                case CommitQueue(writes):
                    self.commits.append(writes)
                case ReadQueued(numbers):
                    self.reads += numbers
                case Close(number) | Abort(number):
                    self.closed.add(number)
                case InFlight(number):
                    self.noted.append(number)
                case Landed(numbers):
                    for number in numbers:
                        self.noted.remove(number)
                case Log(event):
                    assert event.message()
                    self.log.append(event.kind.event_id)
                case Resolve(question):
                    self.questions.append(question)
                case StartTls(number):
                    self.handshakes.append(number)
                case GoOn():
                    self.goes_on_count += 1

    def commit(self) -> None:
        while self.commits:
            writes = self.commits.pop(0)
            for write in writes:
                self.write(write)
            self.do(self.node.queue_committed, writes)

    def write(self, write: QueueWrite) -> None:
        self.tracking.append(write.tracking)
        if isinstance(write, AddMessage):
            self.disk[write.message.number] = write.message
        elif isinstance(write, FinishRecipients):
            message = self.disk.pop(write.number)
            if write.remaining:
                self.disk[write.number] = replace(message, recipients=write.remaining)
        elif isinstance(write, MarkMessage) and write.number in self.disk:
            self.disk[write.number] = replace(self.disk[write.number], marks=write.marks)

    def move(self) -> None:
        """Let everything happen that can happen now: reads, connections, answers."""
        while self.reads or self.connects or self.heard or self.closed or self.questions or self.handshakes:
            questions, self.questions = self.questions, []
            for question in questions:
                nothing = Answer(question, Outcome.NO_NAME, ttl_s=300.0)
                self.do(self.node.resolved, self.names.get(question, nothing))
            handshakes, self.handshakes = self.handshakes, []
            for number in handshakes:
                if self.tls_problem is not None:
                    self.hops.pop(number)
                    self.do(self.node.connection_lost, ConnectionId(number), self.tls_problem)
                else:
                    self.do(self.node.tls_started, ConnectionId(number), self.tls_facts)
            reads, self.reads = self.reads, []
            for number in reads:
                data = self.disk[number].data or data_of(number)
                self.do(self.node.queued_read, number, data)
            connects, self.connects = self.connects, []
            for connect in connects:
                hop = self.make_hop(connect)
                if isinstance(hop, str):
                    self.do(self.node.connection_lost, connect.connection_id, hop)
                    continue
                self.hops[connect.connection_id] = Talk(hop)
                self.do(self.node.outbound_connected, connect.connection_id)
                self.do(self.node.bytes_received, connect.connection_id, GREETING)
            heard, self.heard = self.heard, {}
            for number, data in heard.items():
                if number not in self.hops:
                    continue
                answer = self.hops[number].hear(data)
                if answer:
                    self.do(self.node.bytes_received, ConnectionId(number), answer)
            if self.heard:
                continue  # what was sent before a close arrives before it
            closed, self.closed = self.closed, set()
            for number in closed:
                self.hops.pop(number, None)
                self.do(self.node.connection_lost, ConnectionId(number))

    def settle(self) -> None:
        self.move()
        while self.commits:
            self.commit()
            self.move()

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        for _ in range(20_000):
            deadline = self.node.deadline()
            if deadline is None or deadline > end:
                break
            self.now = max(self.now, deadline)
            self.do(self.node.timer)
            self.settle()
        else:
            raise AssertionError("the timer is wanted all the time")
        self.now = end

    def event_ids(self) -> list[str]:
        """What the tracking log says after the messages came."""
        found = [e.event_id.value for text in self.tracking for e in parse_lines(text)]
        return [each for each in found if each != "RECEIVE"]

    def ledger(self) -> tuple[int, int, int]:
        builder = LedgerBuilder()
        for text in self.tracking:
            builder.add_lines(text)
        ledger = builder.finish((m.network_message_id, m.number, m.recipients) for m in self.disk.values())
        return ledger.unaccounted_count, ledger.queued_count, ledger.bounced_count
