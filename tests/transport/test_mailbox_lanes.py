"""Lanes to the mailbox databases: batches, bounds, and a database that is down harms no other."""

from __future__ import annotations

import random

from holdfast.directory.model import Mailbox, MailboxDatabase, Organisation
from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.transport import mailbox_lanes
from holdfast.transport.delivery import Delivery
from holdfast.transport.queue import Queue, QueuedMessage, RecoveredQueue
from holdfast.transport.route import Router
from holdfast.transport.tracking import TrackingWriter
from holdfast.wire import store

ORGANISATION = Organisation(
    mailbox_databases=(MailboxDatabase("db1", "s"), MailboxDatabase("db2", "s")),
    mailboxes=(
        Mailbox("a@example.test", MailboxId("a"), "db1", quota_bytes=7),
        Mailbox("b@example.test", MailboxId("b"), "db2"),
    ),
)
NOW = 1_700_000_000.0


class Line:
    """A queue and its delivery."""

    def __init__(self, memory_bytes_max: int = 64 << 20) -> None:
        self.queue = Queue(RecoveredQueue((), 1, {}), memory_bytes_max)
        tracking = TrackingWriter("s", with_subject=True)
        self.delivery = Delivery(
            self.queue, ORGANISATION, Router(ORGANISATION, "s"), tracking, random.Random(1)
        )
        self.lanes = self.delivery.mailboxes
        self.delivery.started(NOW)
        self.data: dict[int, bytes] = {}

    def add(self, *recipients: str, size_bytes: int = 100) -> None:
        number = self.queue.take_number()
        data = self.data[number] = bytes(size_bytes)
        nmid = NetworkMessageId(str(number))
        entry = self.queue.add(
            NOW, QueuedMessage(number, nmid, NOW, "", recipients, size_bytes, data, "", "", b"f")
        )
        self.delivery.route(NOW, entry, entry.remaining)

    def calls(self) -> list[tuple[str, int]]:
        """Database and number of messages of every request since the last call."""
        self.lanes.dispatch(NOW)
        found, self.lanes.calls = self.lanes.calls, []
        self.sent = {number: request for _, number, request in found}
        return [(database, len(request.deliveries)) for database, _, request in found]

    def answer_all(self) -> None:
        for number, request in self.sent.items():
            rows = [[store.Outcome.DELIVERED] * len(each.targets) for each in request.deliveries]
            self.lanes.answered(NOW, number, store.Delivered(rows))
        outcomes = self.delivery.outcomes
        touched, outcomes.touched = outcomes.touched, []
        for entry in dict.fromkeys(touched):
            self.queue.written(self.queue.begin_write(entry)[0])

    def read_all(self) -> int:
        reads, self.delivery.reading.wanted = self.delivery.reading.wanted, []
        for number in reads:
            self.delivery.data_read(NOW, number, self.data[number])
        return len(reads)


def test_batches_are_bounded_in_count_bytes_and_number() -> None:
    line = Line()
    line.lanes.store_connected(NOW, "db1")
    for _ in range(600):
        line.add("a@example.test")
    assert line.calls() == [("db1", 256), ("db1", 256), ("db1", 88)]
    line.answer_all()
    for _ in range(20):
        line.add("a@example.test", size_bytes=1 << 20)
    assert line.calls() == [("db1", 4)] * mailbox_lanes.BATCHES_IN_FLIGHT_MAX
    assert line.delivery.in_flight_count == 4
    line.answer_all()
    assert line.calls() == [("db1", 4)]
    line.answer_all()
    line.add("a@example.test", size_bytes=9 << 20)
    assert line.calls() == [("db1", 1)]


def test_quota_and_prefix_travel_with_the_target() -> None:
    line = Line()
    line.lanes.store_connected(NOW, "db1")
    line.add("a@example.test")
    line.calls()
    (request,) = line.sent.values()
    (target,) = request.deliveries[0].targets
    assert target.quota_bytes == 7
    assert target.prefix == b"Return-Path: <>\r\nDelivered-To: a@example.test\r\n"


def test_a_database_that_is_down_holds_no_memory() -> None:
    line = Line(memory_bytes_max=1000)
    line.lanes.store_connected(NOW, "db2")
    for _ in range(50):
        line.add("a@example.test")
        line.add("b@example.test")
    assert line.queue.memory_bytes == 1000  # all of it by messages for the database that moves
    delivered = 0
    for _ in range(100):
        delivered += sum(count for _, count in line.calls())
        line.answer_all()
        line.read_all()
    assert delivered == 50
    assert line.queue.memory_bytes == 0
    line.lanes.store_connected(NOW, "db1")
    for _ in range(100):
        line.calls()
        line.answer_all()
        assert line.queue.memory_bytes <= 1000
        line.read_all()
    assert len(line.queue) == 0


def test_one_message_for_two_databases_is_read_once_for_both() -> None:
    line = Line()
    line.add("a@example.test", "b@example.test")
    line.lanes.store_connected(NOW, "db1")
    line.lanes.store_connected(NOW, "db2")
    assert line.calls() == []
    assert line.read_all() == 1
    assert line.calls() == [("db1", 1), ("db2", 1)]
    line.answer_all()
    assert len(line.queue) == 0


def test_a_lane_that_goes_while_data_is_read() -> None:
    line = Line()
    line.add("a@example.test")
    line.lanes.store_connected(NOW, "db1")
    line.calls()
    line.lanes.store_lost(NOW, "db1")
    assert line.read_all() == 1
    assert line.queue.memory_bytes == 0
    line.lanes.store_connected(NOW, "db1")
    line.calls()
    assert line.read_all() == 1
    assert line.calls() == [("db1", 1)]
