"""The transport role, driven input by input: what it says, what it writes, what it asks the stores."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from holdfast.kernel.ids import ConnectionId, MailboxId, NetworkMessageId
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
from holdfast.transport.tracking import EventId, TrackingEvent, parse_lines
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
        ReceiveConnector("in", "mail1", ("192.0.2.1:25",), EVERYONE, connection_count_per_source_max=50),
        ReceiveConnector("client", "mail1", ("192.0.2.1:587",), EVERYONE, usage=Usage.CLIENT),
    ),
)
PEER = Peer("198.51.100.7", 1234, "192.0.2.1", 25, tls=False)
EMPTY = RecoveredQueue((), 1, {})
BODY = b"Message-ID: <1@other.test>\r\nSubject: hello\r\n\r\nbody\r\n"


class World:
    """Everything around one node: clients, a disk and stores that behave as told."""

    def __init__(self, recovered: RecoveredQueue = EMPTY, seed: int = 1) -> None:
        self.now = 1_700_000_000.0
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
                    fields = {name: getattr(message, name) for name in QueuedMessage.__slots__}
                    self.disk[write.number] = QueuedMessage(**{**fields, "recipients": write.remaining})

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
        return builder.finish((each.network_message_id, each.recipients) for each in self.disk.values())

    def recovered(self, *, clean: bool) -> RecoveredQueue:
        """What a new life of the process finds on the disk."""
        fields = [
            {name: getattr(each, name) for name in QueuedMessage.__slots__} for each in self.disk.values()
        ]
        messages = tuple(QueuedMessage(**{**each, "data": None}) for each in fields)
        known = {each.fingerprint: each.network_message_id for each in self.added}
        return RecoveredQueue(messages, max(self.data, default=0) + 1, {} if clean else known)

    @property
    def added(self) -> list[QueuedMessage]:
        return list(self.disk.values())


def test_250_only_after_the_commit() -> None:
    world = World()
    assert world.send("alice@example.test") == b""
    assert [type(write) for writes in world.commits for write in writes] == [AddMessage]
    world.commit()
    (message,) = world.disk.values()
    assert world.said[1] == f"250 2.0.0 queued as {message.network_message_id}\r\n".encode()
    assert message.message_id == "<1@other.test>"
    assert message.subject == "hello"


def test_a_message_reaches_its_mailbox_with_its_trace() -> None:
    world = World()
    world.connect_stores()
    world.send("alice@example.test")
    world.settle()
    (data,) = world.mailbox(ALICE)
    lines = data.split(b"\r\n")
    assert lines[0] == b"Return-Path: <x@other.test>"
    assert lines[1] == b"Delivered-To: alice@example.test"
    assert lines[2] == b"Received: from client.test ([198.51.100.7])"
    assert data.endswith(BODY)
    assert world.event_ids() == ["RECEIVE", "DELIVER"]
    assert not world.disk
    assert world.node.queued_message_count == 0
    assert world.say(b"QUIT\r\n").startswith(b"221")
    assert world.closed == {1}
    world.lose()
    assert world.node.idle()


def test_queue_failed_452_and_nothing_kept() -> None:
    world = World()
    world.send("alice@example.test")
    world.fail_commit()
    assert world.said[1].startswith(b"452 4.3.1 ")
    assert world.log == ["TRN-0102"]
    assert world.send("alice@example.test") == b""
    world.commit()
    assert world.said[1].startswith(b"250 2.0.0 ")
    assert world.log == ["TRN-0102", "TRN-0103"]
    assert len(world.disk) == 1
    assert world.ledger().accepted_count == 1


def test_two_equal_messages_on_purpose_are_both_delivered() -> None:
    world = World()
    world.connect_stores()
    for number in (1, 1, 2):
        world.send("alice@example.test", number=number)
        world.settle()
    assert len(world.mailbox(ALICE)) == 3


def lost_before_commit(world: World) -> None:
    world.send("alice@example.test")
    world.lose()
    world.settle()


def lost_after_250(world: World) -> None:
    world.send("alice@example.test")
    world.settle()
    world.lose()


def silent_after_250(world: World) -> None:
    world.send("alice@example.test")
    world.settle()
    world.now += 6.0


@pytest.mark.parametrize("trouble", [lost_before_commit, lost_after_250, silent_after_250])
def test_a_second_try_gets_250_and_no_second_copy(trouble: Callable[[World], None]) -> None:
    world = World()
    world.connect_stores()
    trouble(world)
    world.send("alice@example.test", number=2)
    world.settle()
    assert world.said[2].startswith(b"250 2.0.0 queued as ")
    assert len(world.mailbox(ALICE)) == 1
    assert world.event_ids() == ["RECEIVE", "DELIVER", "RECEIVE", "DROP"]
    assert world.events()[-1].custom_data.startswith("duplicate of ")
    assert world.log == ["TRN-0101"]
    ledger = world.ledger()
    assert (ledger.accepted_count, ledger.delivered_count, ledger.dropped_count) == (2, 1, 1)
    assert ledger.unaccounted_count == 0
    # The sender has read it now: the same message once more is meant so.
    world.say(b"NOOP\r\n", 2)
    world.send("alice@example.test", number=2)
    world.settle()
    assert len(world.mailbox(ALICE)) == 2


def test_a_first_try_that_is_still_being_stored() -> None:
    world = World()
    world.send("alice@example.test")
    world.lose()
    assert world.send("alice@example.test", number=2).startswith(b"451 4.3.0 ")
    world.fail_commit()
    world.send("alice@example.test", number=2)
    world.commit()
    assert world.said[2].startswith(b"250 ")
    assert len(world.disk) == 1


def test_a_kill_makes_what_was_accepted_uncertain_and_a_clean_stop_does_not() -> None:
    for clean, copies in ((False, 1), (True, 2)):
        first = World()
        first.send("alice@example.test")
        first.commit()
        world = World(first.recovered(clean=clean), seed=2)
        world.data = first.data
        world.tracking = first.tracking
        world.connect_stores()
        world.send("alice@example.test")
        world.settle()
        assert len(world.mailbox(ALICE)) == copies
        assert world.said[1].startswith(b"250 ")
        assert world.ledger().unaccounted_count == 0
        assert world.log[0] == "TRN-0104"
        assert "LOAD" in world.event_ids()


def test_a_clean_stop_hands_on_what_is_uncertain() -> None:
    world = World()
    world.send("alice@example.test")
    world.commit()
    world.send("bob@example.test", number=2)
    world.commit()
    world.lose(2)
    assert set(world.node.uncertain.values()) == {each.network_message_id for each in world.disk.values()}
    world.say(b"NOOP\r\n")
    assert len(world.node.uncertain) == 1


def test_store_lost_and_back() -> None:
    world = World()
    world.connect_stores()
    world.send("alice@example.test", "carol@example.test")
    world.commit()
    assert sorted(call.database for call in world.calls) == ["db1", "db2"]
    # The store takes them, and its answer is lost.
    for call in world.calls:
        world.take(call)
    lost, world.calls = world.calls, []
    world.do(world.node.store_lost, "db1")
    world.do(world.node.store_lost, "db2")
    for call in lost:
        world.do(world.node.store_answered, call.number, store.Delivered([[store.Outcome.DELIVERED]]))
    assert not world.commits
    world.connect_stores()
    world.settle()
    assert world.event_ids() == ["RECEIVE", "DUPLICATEDELIVER", "DUPLICATEDELIVER"]
    assert len(world.mail) == 2
    assert not world.disk
    assert world.ledger().unaccounted_count == 0
    assert world.log == ["TRN-0201", "TRN-0201"]


def test_a_store_that_cannot_now_is_asked_again_later_each_time() -> None:
    world = World()
    world.connect_stores()
    world.send("alice@example.test")
    world.commit()
    waits = []
    for _ in range(4):
        world.refuse()
        world.commit()
        assert not world.calls
        deadline = world.node.deadline()
        assert deadline is not None
        waits.append(deadline - world.now)
        world.now = deadline
        world.do(world.node.timer)
        world.read()
    assert all(1.5 * first < second for first, second in itertools.pairwise(waits))
    assert world.event_ids() == ["RECEIVE", "DEFER"]
    world.settle()
    assert len(world.mailbox(ALICE)) == 1


def test_one_message_that_a_store_does_not_take_does_not_hold_the_others() -> None:
    world = World()
    world.connect_stores()
    for number, name in enumerate((b"poison", b"good", b"fine")):
        world.send("alice@example.test", number=number, body=b"Subject: " + name + b"\r\n\r\n")
        world.lose(number)
    for _ in range(6):
        world.commit()
        world.read()
        calls, world.calls = world.calls, []
        for call in calls:
            assert isinstance(call.operation, store.Deliver)
            poison = any(b"poison" in each.data for each in call.operation.deliveries)
            refused = store.Refused(store.RefusalReason.CANNOT, "cannot")
            world.do(world.node.store_answered, call.number, refused if poison else world.take(call))
    assert len(world.mailbox(ALICE)) == 2
    assert len(world.disk) == 1
    world.now += 2 * 86400.0
    for _ in range(10):
        world.wait(50.0)
        world.commit()
        world.read()
        world.refuse(store.RefusalReason.CANNOT)
    assert world.event_ids()[-2:] == ["FAIL", "DROP"]
    assert world.ledger().bounced_count == 1


def test_an_answer_that_does_not_fit_is_a_refusal() -> None:
    world = World()
    world.connect_stores()
    world.send("alice@example.test")
    world.commit()
    for answer in (store.Delivered([]), store.Delivered([[]]), store.Done()):
        (call,) = world.calls
        world.calls = []
        world.do(world.node.store_answered, call.number, answer)
        world.wait(30.0)
        world.read()
    world.settle()
    assert len(world.mailbox(ALICE)) == 1


def test_over_quota_bounces_to_our_own_user() -> None:
    world = World()
    world.connect_stores()
    world.send("alice@example.test", "bob@example.test", sender="carol@example.test")
    world.settle(full=(BOB,))
    (bounce,) = world.mailbox(CAROL)
    assert bounce.startswith(b"Return-Path: <>\r\nDelivered-To: carol@example.test\r\n")
    assert b"Final-Recipient: rfc822; bob@example.test\r\nAction: failed\r\nStatus: 5.2.2\r\n" in bounce
    assert b"Subject: hello" in bounce
    assert world.event_ids() == ["RECEIVE", "DELIVER", "FAIL", "DSN", "DELIVER"]
    assert world.events()[3].reference == world.events()[0].network_message_id
    ledger = world.ledger()
    assert (ledger.accepted_count, ledger.delivered_count, ledger.bounced_count) == (3, 2, 1)


@pytest.mark.parametrize("sender", ["", "x@other.test"])
def test_nobody_can_be_told(sender: str) -> None:
    world = World()
    world.connect_stores()
    world.send("bob@example.test", sender=sender)
    world.settle(full=(BOB,))
    assert world.event_ids() == ["RECEIVE", "FAIL", "DROP"]
    assert world.events()[-1].custom_data.startswith("no bounce: ")
    assert world.log == ["TRN-0203", "TRN-0204"]
    assert world.ledger().bounced_count == 1
    assert not world.disk


def test_a_finish_that_cannot_be_written_is_written_later_with_its_bounce() -> None:
    world = World()
    world.connect_stores()
    world.send("bob@example.test", sender="carol@example.test")
    world.commit()
    world.answer(full=(BOB,))
    world.fail_commit()
    assert not world.commits
    assert not world.node.idle()
    world.wait(60.0)
    world.settle()
    assert len(world.mailbox(CAROL)) == 1
    assert world.event_ids() == ["RECEIVE", "FAIL", "DSN", "DELIVER"]
    assert world.ledger().unaccounted_count == 0


def test_lines_of_our_own_that_cannot_be_written_are_written_later() -> None:
    world = World()
    world.connect_stores()
    world.send("alice@example.test")
    world.commit()
    world.refuse()
    world.fail_commit()
    world.wait(60.0)
    world.settle()
    assert sorted(world.event_ids()) == ["DEFER", "DELIVER", "RECEIVE"]


def test_a_group_reaches_each_mailbox_once() -> None:
    world = World()
    world.connect_stores()
    world.send("all@example.test", "al@example.test", "team@example.test", "empty@example.test")
    world.settle()
    assert {owner for owner, _ in world.mail} == {ALICE, BOB, CAROL}
    assert len(world.mail) == 3
    expand = [event for event in world.events() if event.event_id is EventId.EXPAND]
    assert [event.recipients for event in expand] == [("bob@example.test", "carol@example.test"), ()]
    ledger = world.ledger()
    assert (ledger.accepted_count, ledger.delivered_count, ledger.dropped_count) == (4, 3, 1)
    assert not world.disk


def test_an_alias_and_its_mailbox_are_one_copy() -> None:
    world = World()
    world.connect_stores()
    world.send("alice@example.test", "al@example.test")
    world.settle()
    assert len(world.mail) == 1
    assert world.event_ids() == ["RECEIVE", "DELIVER", "DUPLICATEDELIVER"]
    assert world.ledger().delivered_count == 2


def test_a_recipient_that_vanished_bounces_and_a_mailbox_that_moved_is_found() -> None:
    world = World()
    world.send("bob@example.test", "alice@example.test", sender="carol@example.test")
    world.commit()
    alice, _, carol = ORGANISATION.mailboxes
    moved = Mailbox(alice.address, ALICE, "db2")
    fields = dict(ORGANISATION.__dict__)
    fields = {name: fields[name] for name in ORGANISATION.__dataclass_fields__}
    world.do(world.node.organisation_changed, Organisation(**{**fields, "mailboxes": (moved, carol)}))
    world.do(world.node.store_connected, "db2")
    world.settle()
    assert len(world.mailbox(ALICE)) == 1
    (bounce,) = world.mailbox(CAROL)
    assert b"Status: 5.1.1" in bounce
    assert world.ledger().unaccounted_count == 0


def test_mail_that_nobody_takes_for_two_days_bounces() -> None:
    world = World()
    world.do(world.node.store_connected, "db2")
    world.send("alice@example.test", sender="carol@example.test")
    world.commit()
    world.lose()
    world.wait(2 * 86400.0 - 1)
    assert len(world.disk) == 1
    world.wait(120.0)
    world.read()
    world.settle()
    (bounce,) = world.mailbox(CAROL)
    assert b"Status: 4.4.7" in bounce
    assert b"Subject: hello" in bounce
    assert world.node.deadline() is None


def test_data_that_cannot_be_read_is_tried_again() -> None:
    world = World()
    world.send("alice@example.test")
    world.commit()
    world.connect_stores()
    assert world.reads == [1]
    world.read(readable=False)
    assert world.log == ["TRN-0205"]
    world.wait(5.0)
    world.settle()
    assert len(world.mailbox(ALICE)) == 1


def test_a_message_refused_at_the_door() -> None:
    world = World()
    world.connect()
    world.say(b"EHLO c\r\nMAIL FROM:<x@other.test>\r\n")
    assert world.say(b"RCPT TO:<nobody@example.test>\r\n").startswith(b"550 5.1.1 ")
    assert world.say(b"RCPT TO:<x@elsewhere.test>\r\n").startswith(b"550 5.7.1 ")
    assert world.say(b"RCPT TO:<postmaster@example.test>\r\n").startswith(b"250 ")


def test_a_user_signs_in_and_sends_as_himself_only() -> None:
    world = World()
    local = Peer("127.0.0.1", 1, "192.0.2.1", 587, tls=False)
    world.connect(1, "client", local)
    world.say(b"EHLO c\r\n")
    assert world.say(b"MAIL FROM:<alice@example.test>\r\n").startswith(b"530 ")
    world.say(b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n")
    assert [(check.user, check.password) for check in world.checks] == [("alice", "secret")]
    world.do(world.node.password_checked, ConnectionId(1), ALICE)
    assert world.said[1].startswith(b"235 ")
    assert world.say(b"MAIL FROM:<bob@example.test>\r\n").startswith(b"550 5.7.1 ")
    assert world.say(b"MAIL FROM:<al@example.test>\r\n").startswith(b"250 ")
    assert world.say(b"RCPT TO:<x@elsewhere.test>\r\n").startswith(b"550 5.4.4 ")
    assert world.say(b"RCPT TO:<bob@example.test>\r\n").startswith(b"250 ")


def test_a_stop_finishes_what_is_being_received() -> None:
    world = World()
    world.connect_stores()
    world.connect(1)
    world.send("alice@example.test", number=2)
    world.connect(3)
    world.say(b"EHLO c\r\nMAIL FROM:<x@other.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n", 3)
    world.said.clear()
    world.do(world.node.stopping)
    assert world.said[1].startswith(b"421 4.3.2 ")
    assert world.closed == {1}
    world.commit()
    assert b"250 2.0.0 queued" in world.said[2]
    assert world.said[2].endswith(b"421 4.3.2 the service is stopping, try again later\r\n")
    assert world.say(BODY + b".\r\n", 3) == b""
    world.commit()
    assert world.closed == {1, 2, 3}
    world.connect(4)
    assert world.said[4].startswith(b"421 4.3.2 ")
    assert not world.node.idle()
    for number in (1, 2, 3, 4):
        world.lose(number)
    world.settle()
    assert world.node.idle()
    assert len(world.disk) == 2  # a stop begins no delivery


def test_silence_ends_a_session_but_not_while_it_waits_for_us() -> None:
    world = World()
    world.connect(1)
    world.send("alice@example.test", number=2)
    world.wait(310.0)
    assert world.said[1].endswith(b"421 4.3.2 session timed out\r\n")
    assert world.closed == {1}
    world.commit()
    assert b"250 2.0.0" in world.said[2]
    assert world.closed == {1, 2}


def test_a_half_closed_connection_gets_its_answer() -> None:
    world = World()
    world.send("alice@example.test")
    world.do(world.node.connection_ended, ConnectionId(1))
    assert world.closed == set()
    world.commit()
    assert world.said[1].startswith(b"250 ")
    assert world.closed == {1}
    world.do(world.node.connection_ended, ConnectionId(1))
    world.do(world.node.connection_ended, ConnectionId(9))


def test_a_client_that_pipelines_while_it_waits_is_paused() -> None:
    world = World()
    world.send("alice@example.test")
    world.say(b"NOOP\r\n" * 50_000)
    assert world.flow == [PauseReading(ConnectionId(1))]
    world.say(b"NOOP\r\n")
    assert len(world.flow) == 1
    world.commit()
    assert world.flow == [PauseReading(ConnectionId(1)), ResumeReading(ConnectionId(1))]
    assert world.said[1].startswith(b"250 2.0.0 queued")


def test_whole_messages_pipelined_are_each_taken_once() -> None:
    world = World()
    world.connect_stores()
    world.connect()
    envelope = b"MAIL FROM:<x@other.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
    world.say(b"EHLO c\r\n" + 3 * (envelope + BODY + b".\r\n") + b"QUIT\r\n")
    world.settle()
    assert world.said[1].count(b"250 2.0.0 queued as") == 3
    assert len(world.mailbox(ALICE)) == 3


def test_doors() -> None:
    world = World()
    world.connect(1, "")
    assert world.said[1].startswith(b"220 mail1.example.test ")
    world.connect(2, "", Peer("198.51.100.7", 1, "192.0.2.1", 26, tls=False))
    assert world.said[2].startswith(b"554 ")
    world.connect(3, "removed")
    assert world.said[3].startswith(b"421 ")
    for number in range(10, 70):
        world.connect(number)
    assert world.said[69].startswith(b"421 4.7.0 ")
    assert {2, 3, 69} <= world.closed


def test_tls_is_begun_when_asked() -> None:
    world = World()
    world.connect()
    world.say(b"EHLO c\r\n")
    world.say(b"STARTTLS\r\n")
    assert world.flow == [StartTls(ConnectionId(1))]
    world.do(world.node.tls_started, ConnectionId(1))
    assert world.say(b"EHLO c\r\n").startswith(b"250")


def test_news_of_a_connection_that_is_gone_is_nothing() -> None:
    world = World()
    world.lose(7)
    world.do(world.node.bytes_received, ConnectionId(7), b"NOOP\r\n")
    world.do(world.node.tls_started, ConnectionId(7))
    world.do(world.node.password_checked, ConnectionId(7), None)
    world.do(world.node.queued_read, 99, b"")
    world.do(world.node.store_answered, 99, store.Done())
    assert world.node.idle()


STEPS = [
    "send",
    "commit",
    "fail",
    "answer",
    "full",
    "refuse",
    "down",
    "up",
    "wait",
    "read",
    "unread",
    "lose",
    "crash",
]


def take_step(world: World, step: str, lost: int) -> None:
    match step:
        case "commit":
            world.commit()
        case "fail":
            world.fail_commit()
        case "answer":
            world.answer()
        case "full":
            world.answer(full=(BOB,))
        case "refuse":
            world.refuse()
        case "down":
            world.calls = [call for call in world.calls if call.database != "db1"]
            world.do(world.node.store_lost, "db1")
        case "up":
            world.do(world.node.store_connected, "db1")
        case "wait":
            world.wait(20.0)
        case "read":
            world.read()
        case "unread":
            world.read(readable=False)
        case "lose":
            world.lose(lost)


@given(st.lists(st.sampled_from(STEPS), max_size=40), st.integers(0, 2**32))
@settings(max_examples=120, deadline=None)
def test_no_interleaving_loses_or_doubles_mail(steps: list[str], seed: int) -> None:
    luck = random.Random(seed)
    world = World()
    sent = 0
    names = ["alice", "bob", "carol", "all", "al", "team"]
    for step in steps:
        if step == "send":
            sent += 1
            recipients = [f"{name}@example.test" for name in luck.sample(names, luck.randint(1, 3))]
            body = f"Subject: {sent}\r\n\r\n".encode()
            world.send(
                *recipients,
                number=1000 + sent,
                sender=luck.choice(["bob@example.test", "x@y.test"]),
                body=body,
            )
        elif step == "crash":
            # Memory is gone; what waited for the disk is there or not.
            for writes in world.commits:
                if luck.random() < 0.5:
                    world.write(writes)
            after = World(world.recovered(clean=False), luck.getrandbits(32))
            after.now, after.data, after.mail = world.now, world.data, world.mail
            after.tracking = world.tracking + after.tracking
            world = after
        else:
            take_step(world, step, lost=1000 + sent)
    world.calls = [call for call in world.calls if call.database != "db1"]
    world.do(world.node.store_lost, "db1")
    world.connect_stores()
    for _ in range(8):
        world.settle()
        world.wait(700.0)
    assert world.disk == {}
    ledger = world.ledger()
    assert ledger.unaccounted == ()
    assert ledger.queued_count == ledger.unmatched_count == 0
    assert world.node.queued_message_count == 0
    subjects = [
        (owner, [line for line in data.split(b"\r\n") if line.startswith(b"Subject: ")][-1])
        for (owner, _), data in world.mail.items()
        if not data.startswith(b"Return-Path: <>")
    ]
    assert len(subjects) == len(set(subjects))


def test_network_message_ids_are_of_one_kind() -> None:
    world = World()
    world.send("alice@example.test")
    world.commit()
    assert {len(NetworkMessageId(each.network_message_id)) for each in world.disk.values()} == {36}
