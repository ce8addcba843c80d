"""What a connection is given, and what follows from each answer of a next hop."""

from __future__ import annotations

import random

from holdfast.directory.model import (
    AcceptedDomain,
    MailboxDatabase,
    Organisation,
    SendConnector,
    Server,
    Site,
)
from holdfast.kernel.ids import ConnectionId, NetworkMessageId
from holdfast.transport.delivery import Delivery
from holdfast.transport.host_health import Choice
from holdfast.transport.next_hop import Host
from holdfast.transport.outbound import FORGET_EMPTY_S, failure_of
from holdfast.transport.outbound_queue import OutboundConnection, OutboundQueue
from holdfast.transport.outbound_session import OutboundSession, Reply, TransactionDone
from holdfast.transport.queue import (
    Entry,
    Failure,
    Marks,
    PartState,
    Queue,
    QueuedMessage,
    RecoveredQueue,
    Served,
)
from holdfast.transport.route import Router
from holdfast.transport.tracking import TrackingWriter, parse_lines

NOW = 1_700_000_000.0
ORGANISATION = Organisation(
    sites=(Site("here"),),
    servers=(Server("s", "s.test", "here"),),
    accepted_domains=(AcceptedDomain("ours.test"),),
    mailbox_databases=(MailboxDatabase("db1", "s"),),
    send_connectors=(SendConnector("out", ("*",)),),
)
OK = Reply(250, "2.0.0", "ok", "message")


class Desk:
    """Queues to one next hop, and a connection to it."""

    def __init__(self, memory_bytes_max: int = 10_000) -> None:
        self.queue = Queue(RecoveredQueue((), 1, {}), memory_bytes_max)
        tracking = TrackingWriter("s", with_subject=True)
        router = Router(ORGANISATION, "s")
        self.delivery = Delivery(self.queue, ORGANISATION, router, tracking, random.Random(1))
        self.delivery.started(NOW)
        self.outbound = self.delivery.outbound

    def add(self, *recipients: str) -> Entry:
        number = self.queue.take_number()
        nmid = NetworkMessageId(str(number))
        message = QueuedMessage(number, nmid, NOW, "s@x.test", recipients, 100, bytes(100), "", "", b"")
        entry = self.queue.add(NOW, message)
        self.delivery.route(NOW, entry, entry.remaining)
        return entry

    @property
    def lane(self) -> OutboundQueue:
        (lane,) = self.outbound.lanes.values()
        return lane

    def connection(self) -> OutboundConnection:
        choice = Choice(Host("mx.test", ("192.0.2.1",), 25), "192.0.2.1")
        session = OutboundSession(ehlo_name="s.test")
        connection = OutboundConnection(ConnectionId(-1), self.lane, choice, session, ready=True)
        self.lane.connections[connection.connection_id] = connection
        return connection

    def logs(self) -> list[str]:
        return [event.kind.event_id for event in self.delivery.outcomes.logs]


def test_messages_go_in_their_order_and_are_settled_by_the_answer() -> None:
    desk = Desk()
    first, second = desk.add("a@one.test"), desk.add("b@one.test")
    assert desk.outbound.take_stirred(NOW) == [desk.lane]
    connection = desk.connection()
    one = desk.outbound.next_transaction(NOW, connection)
    two = desk.outbound.next_transaction(NOW, connection)
    assert one is not None
    assert two is not None
    assert (one.recipients, two.recipients) == (("a@one.test",), ("b@one.test",))
    assert desk.outbound.next_transaction(NOW, connection) is None
    assert desk.outbound.dot_sent(connection, one.number) == first.message.number
    desk.outbound.done(NOW, connection, TransactionDone(one.number, ("a@one.test",), (), OK))
    (outcome,) = first.outcomes
    assert (outcome.in_flight_count, outcome.served, outcome.remote_host) == (1, Served.RELAYED, "mx.test")
    (line,) = parse_lines(outcome.tracking)
    assert (line.event_id.value, line.connector, line.recipient_status) == ("SEND", "out", "250 ok")
    assert not second.outcomes
    assert desk.delivery.in_flight_count == 1


def test_a_refusal_of_the_message_makes_its_note_needless() -> None:
    desk = Desk()
    entry = desk.add("a@one.test")
    connection = desk.connection()
    given = desk.outbound.next_transaction(NOW, connection)
    assert given is not None
    desk.outbound.dot_sent(connection, given.number)
    no = Reply(554, "5.7.1", "spam", "message")
    desk.outbound.done(NOW, connection, TransactionDone(given.number, (), (("a@one.test", no),), no))
    (outcome,) = entry.outcomes
    assert outcome.failure == Failure("5.7.1", "mx.test said: 554 spam", "mx.test", "554 spam")
    assert desk.outbound.landed == [entry.message.number]
    assert failure_of("mx.test", no) == outcome.failure


def test_a_broken_connection_gives_back_what_it_had() -> None:
    desk = Desk()
    first, second = desk.add("a@one.test"), desk.add("b@one.test")
    connection = desk.connection()
    given = desk.outbound.next_transaction(NOW, connection)
    assert desk.outbound.next_transaction(NOW, connection) is not None
    assert given is not None
    desk.outbound.dot_sent(connection, given.number)
    desk.outbound.lost(NOW, connection, Failure("4.4.2", "reset"))
    assert first.parts[0].state is PartState.DEFERRED
    assert second.parts[0].state is PartState.WAITING
    assert desk.outbound.doubtful_count == 1
    assert desk.logs() == ["TRN-0331"]
    assert desk.outbound.take_stirred(NOW) == [desk.lane]
    assert desk.delivery.deadline() == NOW + 60.0
    desk.outbound.lost(NOW, connection, Failure("4.4.2", "reset"))  # it had nothing any more
    assert desk.outbound.doubtful_count == 1


def test_several_connections_that_fail_together_count_once() -> None:
    desk = Desk()
    entry = desk.add("a@one.test")
    for _ in range(3):
        desk.outbound.unreachable(NOW, desk.lane, Failure("4.4.1", "away"))
    assert desk.lane.failure_count == 1
    assert desk.lane.not_before == NOW + 60.0
    assert entry.message.data is None
    assert desk.logs() == ["TRN-0330"]
    assert desk.outbound.take_stirred(NOW) == []
    desk.outbound.timer(NOW + 60.0)
    assert desk.outbound.take_stirred(NOW + 60.0) == [desk.lane]


def test_an_administrator_may_try_at_once() -> None:
    desk = Desk()
    desk.add("a@one.test")
    desk.outbound.unreachable(NOW, desk.lane, Failure("4.4.1", "away"))
    desk.outbound.retry_now(desk.lane)
    assert desk.outbound.take_stirred(NOW) == [desk.lane]


def test_a_domain_that_takes_no_mail_fails_everything_that_waits() -> None:
    desk = Desk()
    entries = [desk.add("a@one.test"), desk.add("b@one.test")]
    desk.outbound.impossible(NOW, desk.lane, Failure("5.1.10", "it takes no mail"))
    assert [entry.outcomes[0].failure.status for entry in entries if entry.outcomes[0].failure] == [
        "5.1.10",
        "5.1.10",
    ]
    assert desk.lane.part_count == 0


def test_few_messages_are_read_ahead() -> None:
    desk = Desk(memory_bytes_max=1000)
    entries = [desk.add("a@one.test") for _ in range(20)]
    for entry in entries:
        desk.queue.forget_data(entry)
    desk.outbound.take_stirred(NOW)
    assert desk.outbound.next_transaction(NOW, desk.connection()) is None
    assert len(desk.delivery.reading.wanted) <= 4
    assert desk.delivery.reading.wanted[0] == entries[0].message.number
    desk.delivery.data_read(NOW, entries[0].message.number, bytes(100))
    given = desk.outbound.next_transaction(NOW, desk.connection())
    assert given is not None
    assert len(given.data) == 100


def test_only_queues_that_are_empty_for_long_are_forgotten() -> None:
    desk = Desk()
    entry = desk.add("a@one.test")
    desk.outbound.forget_empty(NOW + 2 * FORGET_EMPTY_S)
    assert desk.outbound.lanes
    desk.lane.drop(NOW, entry.parts[0])
    desk.outbound.stir(desk.lane)
    desk.outbound.forget_empty(NOW + FORGET_EMPTY_S - 1)
    assert desk.outbound.lanes
    desk.outbound.forget_empty(NOW + FORGET_EMPTY_S)
    assert not desk.outbound.lanes
    assert desk.outbound.take_stirred(NOW + FORGET_EMPTY_S) == []


def test_what_comes_from_the_safety_net_asks_next_hops_for_no_reports() -> None:
    desk = Desk()
    entry = desk.add("a@one.test")
    entry.message.marks = Marks(resubmitted=True)
    given = desk.outbound.next_transaction(NOW, desk.connection())
    assert given is not None
    assert given.options.of("a@one.test").notify == ("NEVER",)
