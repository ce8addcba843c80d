"""What a start finds: some lines at a time, and only of what is still there."""

from __future__ import annotations

import pytest

from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport import recovery as recovery_module
from holdfast.transport.outcomes import Outcomes
from holdfast.transport.queue import (
    MarkMessage,
    Marks,
    Queue,
    QueuedMessage,
    RecipientOutcome,
    RecoveredQueue,
    TrackOnly,
)
from holdfast.transport.recovery import Recovery
from holdfast.transport.tracking import EventId, TrackingWriter, parse_lines


def found(count: int, **more: object) -> RecoveredQueue:
    messages = tuple(
        QueuedMessage(n, NetworkMessageId(f"n{n}"), 0.0, "", ("a@x",), 9, None, "", "", b"")
        for n in range(1, count + 1)
    )
    return RecoveredQueue(messages, count + 1, {}, **more)  # type: ignore[arg-type]  # few are given


class Start:
    """A start with what was found."""

    def __init__(self, recovered: RecoveredQueue, poison_count: int = 2) -> None:
        self.queue = Queue(recovered)
        tracking = TrackingWriter("s", with_subject=True)
        self.outcomes = Outcomes(tracking)
        self.recovery = Recovery(self.queue, self.outcomes, tracking)
        self.doubtful_count = self.recovery.started(0.0, recovered, poison_count)

    def lines(self) -> list[tuple[EventId, str]]:
        writes, self.recovery.writes = self.recovery.writes, []
        return [
            (line.event_id, line.internal_message_id)
            for write in writes
            for line in parse_lines(write.tracking)
        ]

    def logs(self) -> list[str]:
        return [event.kind.event_id for event in self.outcomes.logs]


def test_nothing_was_found() -> None:
    start = Start(found(0))
    assert (start.lines(), start.logs(), start.recovery.unfinished) == ([], [], False)


def test_lines_are_written_some_at_a_time_and_only_of_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery_module, "LINES_PER_WRITE", 2)
    start = Start(found(5))
    assert start.logs() == ["TRN-0104"]
    assert start.lines() == [(EventId.LOAD, "1"), (EventId.LOAD, "2")]
    entry = start.queue[3]
    entry.outcomes += (RecipientOutcome(("a@x",), ""),)
    start.queue.written(start.queue.begin_write(entry)[0])
    start.recovery.track_some(0.0)
    assert start.lines() == [(EventId.LOAD, "4"), (EventId.LOAD, "5")]
    assert not start.recovery.unfinished
    start.recovery.track_some(0.0)
    assert start.lines() == []


def test_what_was_in_flight_is_named() -> None:
    start = Start(found(2, in_flight=(2, 9)))
    assert start.doubtful_count == 1
    assert (EventId.DEFER, "2") in start.lines()
    assert start.recovery.landing == [2, 9]
    assert start.logs() == ["TRN-0104", "TRN-0332"]


@pytest.mark.parametrize(("poison_count", "aside"), [(1, [1, 2]), (2, [1]), (3, [])])
def test_poison_is_counted(poison_count: int, aside: list[int]) -> None:
    start = Start(found(3, crash_counts={1: 2, 2: 1, 8: 9}), poison_count)
    marked = [write for write in start.recovery.writes if isinstance(write, MarkMessage)]
    assert [write.number for write in marked] == aside
    assert [number for number in (1, 2, 3) if start.queue[number].message.marks.poison] == aside
    assert all(isinstance(write, TrackOnly | MarkMessage) for write in start.recovery.writes)


def test_a_message_that_was_set_aside_is_not_set_aside_again() -> None:
    recovered = found(1, crash_counts={1: 2})
    start = Start(recovered)
    start.queue.mark(start.queue[1], Marks(poison=True))
    again = Start(RecoveredQueue((start.queue[1].message,), 2, {}, crash_counts={1: 2}))
    assert not [write for write in again.recovery.writes if isinstance(write, MarkMessage)]
