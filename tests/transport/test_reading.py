"""Data of queued messages that is on disk only: read once for all, within bounds, and again when it fails."""

from __future__ import annotations

import random

from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.outcomes import Outcomes
from holdfast.transport.queue import (
    DeliveryType,
    Lane,
    NextHopKey,
    Part,
    PartState,
    Queue,
    QueuedMessage,
    RecoveredQueue,
)
from holdfast.transport.reading import Reading
from holdfast.transport.tracking import TrackingWriter


class Desk:
    """A queue with messages of 60 bytes whose data is on disk, and room for 100."""

    def __init__(self) -> None:
        messages = tuple(
            QueuedMessage(n, NetworkMessageId(str(n)), 0.0, "", ("a@x",), 60, None, "", "", b"")
            for n in (1, 2)
        )
        self.queue = Queue(RecoveredQueue(messages, 3, {}), 100)
        self.outcomes = Outcomes(TrackingWriter("s", with_subject=True))
        self.reading = Reading(self.queue, self.outcomes, random.Random(1))
        self.lane = Lane(NextHopKey(DeliveryType.DNS, "x"))

    def part(self, number: int) -> Part:
        return self.lane.put(self.queue[number], ("a@x",))


def test_parts_of_one_message_share_a_read() -> None:
    desk = Desk()
    first, second = desk.part(1), desk.part(1)
    assert desk.reading.begin(first)
    assert desk.reading.begin(second)
    assert desk.reading.wanted == [1]
    assert first.state is PartState.READING
    parts, wait_s = desk.reading.done(1, b"x" * 60)
    assert (parts, wait_s) == ([first, second], 0.0)
    assert desk.queue[1].message.data == b"x" * 60


def test_what_is_being_read_counts_as_memory() -> None:
    desk = Desk()
    assert desk.reading.begin(desk.part(1))
    assert not desk.reading.begin(desk.part(2))
    desk.reading.done(1, b"x" * 60)
    assert not desk.reading.begin(desk.part(2))
    desk.queue.forget_data(desk.queue[1])
    assert desk.reading.begin(desk.part(2))


def test_a_read_that_fails_is_tried_again_later_each_time() -> None:
    desk = Desk()
    part = desk.part(1)
    waits = []
    for _ in range(3):
        part.state = PartState.WAITING
        assert desk.reading.begin(part)
        parts, wait_s = desk.reading.done(1, None)
        assert parts == [part]
        waits.append(wait_s)
    assert waits[0] < waits[1] < waits[2]
    assert [event.kind.event_id for event in desk.outcomes.logs] == ["TRN-0205"] * 3


def test_nobody_waits_any_more() -> None:
    desk = Desk()
    assert desk.reading.done(1, b"x") == ([], 0.0)
    part = desk.part(1)
    desk.reading.begin(part)
    desk.lane.drop(0.0, part)
    assert desk.reading.done(1, b"x" * 60) == ([], 0.0)
    assert desk.queue[1].message.data is None
    assert desk.queue.memory_bytes == 0
