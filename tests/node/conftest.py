"""Everything around one transport node: clients, a disk and stores that behave as told."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from holdfast.directory.model import (
    AcceptedDomain,
    DistributionGroup,
    Mailbox,
    MailboxDatabase,
    Organisation,
    ReceiveConnector,
    Server,
    Usage,
)
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import ConnectionId, MailboxId
from holdfast.kernel.iprange import parse_ip_range
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
)
from holdfast.node.transport import TransportNode
from holdfast.transport.ledger import Ledger, LedgerBuilder
from holdfast.transport.queue import AddMessage, FinishRecipients, QueuedMessage, QueueWrite, RecoveredQueue
from holdfast.transport.tracking import TrackingEvent, parse_lines
from holdfast.wire import store

EVERYONE = (parse_ip_range("0.0.0.0/0"),)
ALICE, BOB, CAROL = MailboxId("alice"), MailboxId("bob"), MailboxId("carol")
ORGANISATION = Organisation(
    name="example",
    servers=(Server("mail1", "mail1.example.test", "here", addresses=("192.0.2.1",)),),
    accepted_domains=(AcceptedDomain("example.test"),),
    mailbox_databases=(MailboxDatabase("db1", "mail1"), MailboxDatabase("db2", "mail1")),
    mailboxes=(
        Mailbox("alice@example.test", ALICE, "db1", aliases=("al@example.test",)),
        Mailbox("bob@example.test", BOB, "db1"),
        Mailbox("carol@example.test", CAROL, "db2"),
    ),
    distribution_groups=(
        DistributionGroup(
            "all@example.test", ("alice@example.test", "bob@example.test", "team@example.test")
        ),
        DistributionGroup("team@example.test", ("carol@example.test", "all@example.test")),
        DistributionGroup("empty@example.test", ()),
    ),
    receive_connectors=(
        ReceiveConnector(
            "in", "mail1", ("192.0.2.1:25",), EVERYONE, connection_count_per_source_max=50, tarpit_s=0.0
        ),
        ReceiveConnector("client", "mail1", ("192.0.2.1:587",), EVERYONE, usage=Usage.CLIENT, tarpit_s=0.0),
    ),
)
PEER = Peer("198.51.100.7", 1234, "192.0.2.1", 25, tls=False)
EMPTY = RecoveredQueue((), 1, {})
BODY = b"Message-ID: <1@other.test>\r\nSubject: hello\r\n\r\nbody\r\n"


class World:
    """Everything around one node: clients, a disk and stores that behave as told."""

    def __init__(self, recovered: RecoveredQueue = EMPTY, seed: int = 1) -> None:
        self.now = 1_700_000_000.0
        self.organisation = ORGANISATION
        self.node = TransportNode(ORGANISATION, "mail1", recovered, random.Random(seed))
        self.said: dict[int, bytes] = {}
        self.closed: set[int] = set()
        self.flow: list[object] = []
        self.commits: list[list[QueueWrite]] = []
        self.calls: list[CallStore] = []
        self.reads: list[int] = []
        self.log: list[str] = []
        self.checks: list[CheckPassword] = []
        # What is on the disk.
        self.disk: dict[int, QueuedMessage] = {message.number: message for message in recovered.messages}
        self.data: dict[int, bytes] = {}
        self.tracking: list[str] = []
        # What the mailboxes hold.
        self.mail: dict[tuple[str, str], bytes] = {}
        self.do(self.node.started)

    def do(self, method: Callable[..., None], *arguments: object) -> None:
        method(self.now, *arguments)
        outputs, self.node.outputs = self.node.outputs, []
        for output in outputs:
            match output:
                case Send(connection_id, data):
                    self.said[connection_id] = self.said.get(connection_id, b"") + data
                case Close(connection_id):
                    self.closed.add(connection_id)
                case CommitQueue(writes):
                    self.commits.append(writes)
                case CallStore():
                    self.calls.append(output)
                case ReadQueued(numbers):
                    self.reads += numbers
                case Log(event):
                    assert event.message()
                    self.log.append(event.kind.event_id)
                case CheckPassword():
                    self.checks.append(output)
                case PauseReading() | ResumeReading() | StartTls():
                    self.flow.append(output)

    def connect(self, number: int = 1, connector: str = "in", peer: Peer = PEER) -> None:
        self.do(self.node.connection_opened, ConnectionId(number), connector, peer)

    def say(self, data: bytes, number: int = 1) -> bytes:
        self.said[number] = b""
        self.do(self.node.bytes_received, ConnectionId(number), data)
        return self.said[number]

    def send(
        self, *recipients: str, number: int = 1, sender: str = "x@other.test", body: bytes = BODY
    ) -> bytes:
        """A whole message, up to its final dot; returns the answer to that, empty while it waits."""
        if number not in self.said:
            self.connect(number)
            self.say(b"EHLO client.test\r\n", number)
        lines = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{each}>" for each in recipients), "DATA"]
        answers = self.say("".join(f"{each}\r\n" for each in lines).encode(), number)
        assert answers.endswith(b"354 end data with <CRLF>.<CRLF>\r\n"), answers
        return self.say(body + b".\r\n", number)

    def lose(self, number: int = 1) -> None:
        self.do(self.node.connection_lost, ConnectionId(number))
        self.said.pop(number, None)

    def connect_stores(self) -> None:
        for database in ("db1", "db2"):
            self.do(self.node.store_connected, database)

    def commit(self) -> None:
        """Make everything that waits durable, and what follows from it too."""
        while self.commits:
            writes = self.commits.pop(0)
            self.write(writes)
            self.do(self.node.queue_committed, writes)

    def write(self, writes: list[QueueWrite]) -> None:
        for write in writes:
            self.tracking.append(write.tracking)
            if isinstance(write, AddMessage):
                assert write.message.data is not None
                assert write.message.number not in self.disk
                self.disk[write.message.number] = write.message
                self.data[write.message.number] = write.message.data
            elif isinstance(write, FinishRecipients):
                message = self.disk.pop(write.number)
                if write.remaining:
                    self.disk[write.number] = replace(message, recipients=write.remaining)

    def fail_commit(self) -> None:
        commits, self.commits = self.commits, []
        for writes in commits:
            self.do(self.node.queue_failed, writes, Unavailable("the disk is full"))

    def read(self, *, readable: bool = True) -> None:
        reads, self.reads = self.reads, []
        for number in reads:
            self.do(self.node.queued_read, number, self.data[number] if readable else None)

    def take(self, call: CallStore, full: tuple[str, ...] = ()) -> store.Delivered:
        """What a real store does: each message into each mailbox once."""
        assert isinstance(call.operation, store.Deliver)
        outcomes = []
        for delivery in call.operation.deliveries:
            row = []
            for target in delivery.targets:
                key = (target.mailbox_id, delivery.network_message_id)
                if key in self.mail:
                    row.append(store.Outcome.DUPLICATE)
                elif target.mailbox_id in full:
                    row.append(store.Outcome.OVER_QUOTA)
                else:
                    self.mail[key] = target.prefix + delivery.data
                    row.append(store.Outcome.DELIVERED)
            outcomes.append(row)
        return store.Delivered(outcomes)

    def answer(self, full: tuple[str, ...] = ()) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            self.do(self.node.store_answered, call.number, self.take(call, full))

    def refuse(self, reason: store.RefusalReason = store.RefusalReason.UNAVAILABLE) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            self.do(self.node.store_answered, call.number, store.Refused(reason, "not now"))

    def settle(self, full: tuple[str, ...] = ()) -> None:
        """Let disk and stores work until nothing moves."""
        while self.commits or self.calls or self.reads:
            self.commit()
            self.read()
            self.answer(full)

    def wait(self, seconds: float) -> None:
        """Let time pass, with the timer fired when the node wants it."""
        end = self.now + seconds
        for _ in range(1000):
            deadline = self.node.deadline()
            if deadline is None or deadline > end:
                break
            self.now = max(self.now, deadline)
            self.do(self.node.timer)
        else:
            raise AssertionError("the timer is wanted all the time")
        self.now = end

    def events(self) -> list[TrackingEvent]:
        return [event for text in self.tracking for event in parse_lines(text)]

    def event_ids(self) -> list[str]:
        return [event.event_id.value for event in self.events()]

    def mailbox(self, mailbox_id: str) -> list[bytes]:
        return [data for (owner, _), data in self.mail.items() if owner == mailbox_id]

    def ledger(self) -> Ledger:
        builder = LedgerBuilder()
        for text in self.tracking:
            builder.add_lines(text)
        return builder.finish(
            (each.network_message_id, each.number, each.recipients) for each in self.disk.values()
        )

    def recovered(self, *, clean: bool) -> RecoveredQueue:
        """What a new life of the process finds on the disk."""
        messages = tuple(replace(each, data=None) for each in self.disk.values())
        known = {each.fingerprint: each.network_message_id for each in self.added}
        return RecoveredQueue(messages, max(self.data, default=0) + 1, {} if clean else known)

    @property
    def added(self) -> list[QueuedMessage]:
        return list(self.disk.values())


@pytest.fixture(scope="session")
def make_world() -> type[World]:
    """Make a world: ``make_world(recovered, seed)``."""
    return World
