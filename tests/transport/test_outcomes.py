"""Outcomes: each has the line that says why, and a DEFER is said once."""

from __future__ import annotations

from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.outcomes import Outcomes, remote_words
from holdfast.transport.queue import Entry, Failure, QueuedMessage, Served
from holdfast.transport.tracking import EventId, TrackingEvent, TrackingWriter, parse_lines

NOW = 1_700_000_000.0


def entry() -> Entry:
    message = QueuedMessage(1, NetworkMessageId("n"), NOW, "s@x", ("a@x", "b@x"), 9, None, "<m>", "hi", b"")
    return Entry(message, NOW, message.recipients)


def made() -> Outcomes:
    return Outcomes(TrackingWriter("s", with_subject=True))


def lines(text: str) -> list[TrackingEvent]:
    return list(parse_lines(text))


def test_a_failure_names_the_next_hop_and_its_words() -> None:
    outcomes, waiting = made(), entry()
    failure = Failure("5.1.1", "no such user", "mx.test", "550 5.1.1 unknown")
    outcomes.failed(NOW, waiting, ("a@x", "b@x"), failure, "SMTP")
    (outcome,) = waiting.outcomes
    assert (outcome.finished, outcome.failure) == (("a@x", "b@x"), failure)
    (line,) = lines(outcome.tracking)
    assert line.event_id is EventId.FAIL
    assert line.source == "SMTP"
    assert line.recipient_status == "5.1.1 no such user"
    assert line.custom_data == "mx.test: 550 5.1.1 unknown"
    assert [event.fields["recipient"] for event in outcomes.logs] == ["a@x", "b@x"]
    assert outcomes.touched == [waiting]
    assert remote_words(Failure("5.0.0", "ours")) == ""


def test_a_defer_is_tracked_once() -> None:
    outcomes, waiting = made(), entry()
    outcomes.deferred(NOW, waiting, ("a@x",), Failure("4.4.1", "away"), "SMTP")
    outcomes.deferred(NOW, waiting, ("a@x",), Failure("4.4.2", "gone"), "SMTP")
    (text,) = outcomes.tracks
    (line,) = lines(text)
    assert (line.event_id, line.recipient_status) == (EventId.DEFER, "4.4.1 away")
    assert not waiting.outcomes


def test_groups_mailboxes_and_what_is_dropped() -> None:
    outcomes, waiting = made(), entry()
    outcomes.expanded(NOW, waiting, "g@x", ("a@x", "b@x"), empty=False)
    outcomes.expanded(NOW, waiting, "e@x", (), empty=True)
    outcomes.stored(NOW, waiting, EventId.DELIVER, ("a@x",))
    outcomes.dropped(NOW, waiting, ("b@x",), "an administrator said so")
    assert [each.served for each in waiting.outcomes] == [
        Served.EXPANDED,
        Served.EXPANDED,
        Served.DELIVERED,
        None,
    ]
    assert waiting.outcomes[0].added == ("a@x", "b@x")
    found = [line.event_id for each in waiting.outcomes for line in lines(each.tracking)]
    assert found == [EventId.EXPAND, EventId.DROP, EventId.DELIVER, EventId.DROP]
