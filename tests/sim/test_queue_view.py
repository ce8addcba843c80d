"""What checkers read on one queue disk."""

from __future__ import annotations

from holdfast.kernel.ids import NetworkMessageId
from holdfast.sim.disk import QueueDisk
from holdfast.sim.queue_view import QueueView, marker_of
from holdfast.transport.queue import AddMessage, QueuedMessage
from holdfast.transport.tracking import EventId, MessageFacts, TrackingWriter

DATA = b"Received: x\r\nX-Letter: L7\r\n\r\nhello\r\n"


def filled() -> QueueView:
    disk = QueueDisk(1000.0)
    facts = MessageFacts(1, "", "id-1", 1, "", "")
    line = TrackingWriter("hub", with_subject=False).line(0.0, EventId.RECEIVE, "SMTP", facts, ("a@x.test",))
    message = QueuedMessage(1, NetworkMessageId("id-1"), 0.0, "", ("a@x.test",), 1, DATA, "", "", b"")
    disk.apply([AddMessage(message, line)])
    return QueueView(disk)


def test_a_line_is_told_once() -> None:
    view = filled()
    assert [event.event_id for event in view.new_events()] == [EventId.RECEIVE]
    assert list(view.new_events()) == []


def test_what_waits_has_the_marker_of_its_letter() -> None:
    assert [(marker, message.number) for marker, message in filled().waiting()] == [("L7", 1)]
    assert marker_of(b"no letter") == ""


def test_the_ledger_holds_while_it_waits_and_tells_when_it_is_gone() -> None:
    view = filled()
    assert (view.ledger().queued_count, view.ledger().unaccounted_count) == (1, 0)
    view.disk.messages.clear()
    assert view.ledger().unaccounted == (("id-1", "a@x.test"),)
