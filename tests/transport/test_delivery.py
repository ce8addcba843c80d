"""Where parts of messages go, when they go elsewhere, and when they are given up."""

from __future__ import annotations

import random

import pytest

from holdfast.directory.model import (
    AcceptedDomain,
    Mailbox,
    MailboxDatabase,
    Organisation,
    SendConnector,
    Server,
    Site,
)
from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.transport import delivery as delivery_module
from holdfast.transport.delivery import HELD, POISON, UNREACHABLE, Delivery
from holdfast.transport.queue import (
    NO_MARKS,
    Entry,
    Failure,
    Marks,
    PartState,
    Queue,
    QueuedMessage,
    RecoveredQueue,
)
from holdfast.transport.route import Router
from holdfast.transport.tracking import TrackingWriter

NOW = 1_700_000_000.0
DAY_S = 86_400.0
ORGANISATION = Organisation(
    sites=(Site("here"),),
    servers=(Server("s", "s.test", "here"),),
    accepted_domains=(AcceptedDomain("ours.test"),),
    mailbox_databases=(MailboxDatabase("db1", "s"),),
    mailboxes=(Mailbox("a@ours.test", MailboxId("a"), "db1"),),
    send_connectors=(SendConnector("one", ("one.test",)),),
)


class Desk:
    """A queue and its delivery, and nobody at the other ends."""

    def __init__(self, organisation: Organisation = ORGANISATION) -> None:
        self.queue = Queue(RecoveredQueue((), 1, {}))
        tracking = TrackingWriter("s", with_subject=True)
        router = Router(organisation, "s")
        self.delivery = Delivery(self.queue, organisation, router, tracking, random.Random(1))
        self.delivery.started(NOW)

    def add(self, *recipients: str, marks: Marks = NO_MARKS, now: float = NOW) -> Entry:
        number = self.queue.take_number()
        nmid = NetworkMessageId(str(number))
        message = QueuedMessage(
            number, nmid, now, "s@x.test", recipients, 9, b"x" * 9, "", "", b"", marks=marks
        )
        entry = self.queue.add(now, message)
        self.delivery.route(now, entry, entry.remaining)
        return entry

    def follow(self, organisation: Organisation) -> None:
        self.delivery.organisation_changed(NOW, organisation, Router(organisation, "s"))

    def wait(self, until: float) -> None:
        for _ in range(10_000):
            deadline = self.delivery.deadline()
            if deadline is None or deadline > until:
                return
            self.delivery.timer(max(deadline, NOW))
        raise AssertionError("the timer is wanted all the time")

    def lanes(self) -> dict[str, int]:
        return {str(lane.key): lane.part_count for lane in self.delivery.lanes() if lane.part_count}


def test_a_message_is_cut_by_where_its_recipients_are() -> None:
    desk = Desk()
    entry = desk.add("a@ours.test", "b@one.test", "c@one.test", "d@nowhere.test", "e@ours.test")
    assert desk.lanes() == {"mailbox:db1": 1, "dns:one.test": 1, "unreachable": 1}
    assert {part.recipients for part in entry.parts} == {
        ("a@ours.test",),
        ("b@one.test", "c@one.test"),
        ("d@nowhere.test",),
    }
    assert [outcome.finished for outcome in entry.outcomes] == [("e@ours.test",)]
    nowhere = next(part for part in entry.parts if part.recipients == ("d@nowhere.test",))
    assert nowhere.failure == Failure("4.4.4", "no send connector leads to the recipient's domain")


def test_no_transaction_has_more_recipients_than_every_server_takes() -> None:
    desk = Desk()
    entry = desk.add(*(f"u{number}@one.test" for number in range(250)))
    assert [len(part.recipients) for part in entry.parts] == [100, 100, 50]


@pytest.mark.parametrize(("marks", "key"), [(Marks(held=True), HELD), (Marks(poison=True), POISON)])
def test_what_is_held_or_poison_waits_for_a_person_and_never_expires(marks: Marks, key: object) -> None:
    desk = Desk()
    entry = desk.add("a@ours.test", "b@one.test", marks=marks)
    assert [part.lane.key for part in entry.parts] == [key]
    assert entry.message.data is None
    desk.wait(NOW + 5 * DAY_S)
    assert not entry.outcomes
    assert not desk.delivery.delayed


def test_what_has_no_way_follows_the_organisation() -> None:
    desk = Desk()
    desk.add("b@two.test")
    assert desk.lanes() == {"unreachable": 1}
    fields = {name: getattr(ORGANISATION, name) for name in ORGANISATION.__dataclass_fields__}
    desk.follow(Organisation(**{**fields, "send_connectors": (SendConnector("all", ("*",)),)}))
    assert desk.lanes() == {"dns:two.test": 1}
    desk.follow(Organisation(**{**fields, "send_connectors": ()}))
    assert desk.lanes() == {"unreachable": 1}


def test_a_change_with_very_much_waiting_is_worked_off_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_module, "ROUTED_COUNT_MAX", 10)
    desk = Desk()
    entries = [desk.add("b@two.test") for _ in range(25)]
    entries[20].parts[0].lane.drop(NOW, entries[20].parts[0])  # an administrator removed it meanwhile
    fields = {name: getattr(ORGANISATION, name) for name in ORGANISATION.__dataclass_fields__}
    desk.follow(Organisation(**{**fields, "send_connectors": (SendConnector("all", ("*",)),)}))
    assert desk.lanes() == {"unreachable": 14, "dns:two.test": 10}
    assert desk.delivery.deadline() == 0.0
    desk.delivery.timer(NOW)
    desk.delivery.timer(NOW)
    assert desk.lanes() == {"dns:two.test": 24}


def test_of_each_recipient_it_is_told_what_its_own_next_hop_said() -> None:
    fields = {name: getattr(ORGANISATION, name) for name in ORGANISATION.__dataclass_fields__}
    desk = Desk(Organisation(**{**fields, "send_connectors": (SendConnector("all", ("*",)),)}))
    entry = desk.add("a@one.test", "b@two.test", "c@three.test")
    first, second, third = entry.parts
    greylisted = Failure("4.2.1", "mx.one.test said: 450 4.2.1 later", "mx.one.test", "450 4.2.1 later")
    full = Failure("4.3.1", "mx.two.test said: 452 4.3.1 full", "mx.two.test", "452 4.3.1 full")
    for part, failure in ((first, greylisted), (second, full)):
        part.lane.waiting.clear()
        part.failure = failure
        desk.delivery.later(NOW + 3 * DAY_S, part)
    third.lane.last_error, third.lane.not_before = "connection refused", NOW + 3 * DAY_S
    desk.wait(NOW + 4.1 * 3600)
    refused = Failure("4.4.7", "connection refused")
    assert desk.delivery.delayed[0] == (
        entry,
        (("a@one.test", greylisted), ("b@two.test", full), ("c@three.test", refused)),
    )
    desk.queue.untold.clear()
    desk.wait(NOW + 2 * DAY_S + 120)
    why = "it could not be delivered for too long: "
    assert {outcome.finished: outcome.failure for outcome in entry.outcomes} == {
        ("a@one.test",): Failure("4.4.7", why + greylisted.text, "mx.one.test", "450 4.2.1 later"),
        ("b@two.test",): Failure("4.4.7", why + full.text, "mx.two.test", "452 4.3.1 full"),
        ("c@three.test",): Failure("4.4.7", why + "connection refused"),
    }


def test_a_sender_is_told_before_and_everything_ends_after_two_days() -> None:
    desk = Desk()
    entry = desk.add("b@two.test")
    desk.wait(NOW + 3.9 * 3600)
    assert not desk.delivery.delayed
    desk.wait(NOW + 4.1 * 3600)
    why = Failure("4.4.4", "no send connector leads to the recipient's domain")
    assert desk.delivery.delayed[0] == (entry, (("b@two.test", why),))
    desk.queue.untold.clear()
    desk.wait(NOW + 2 * DAY_S - 60)
    assert not entry.outcomes
    desk.wait(NOW + 2 * DAY_S + 120)
    (outcome,) = entry.outcomes
    assert outcome.failure is not None
    assert outcome.failure.status == "4.4.7"
    assert desk.lanes() == {}


def test_a_server_that_was_off_for_days_tries_once_more() -> None:
    desk = Desk()
    entry = desk.add("b@two.test", now=NOW - 5 * DAY_S)
    desk.wait(NOW + 599.0)
    assert not entry.outcomes
    desk.wait(NOW + 700.0)
    assert entry.outcomes


def test_a_queue_without_any_delivery_is_routed_anew() -> None:
    desk = Desk()
    desk.add("b@one.test")
    (lane,) = desk.delivery.outbound.lanes.values()
    lane.not_before = NOW + 9 * DAY_S
    before = lane.waiting[0]
    desk.wait(NOW + 43_200.0 + 120.0)
    assert [event.kind.event_id for event in desk.delivery.outcomes.logs] == ["TRN-0333"]
    assert before.state is PartState.GONE
    assert desk.lanes() == {"dns:one.test": 1}


def test_an_empty_queue_is_forgotten() -> None:
    desk = Desk()
    entry = desk.add("b@one.test")
    (lane,) = desk.delivery.outbound.lanes.values()
    lane.drop(NOW, entry.parts[0])
    desk.wait(NOW + 170.0)
    assert desk.delivery.outbound.lanes
    desk.wait(NOW + 400.0)
    assert not desk.delivery.outbound.lanes


def test_a_held_queue_keeps_its_messages_on_disk_and_does_not_expire() -> None:
    desk = Desk()
    desk.delivery.held_queues.add("dns:one.test")
    entry = desk.add("b@one.test")
    assert entry.message.data is None
    assert not desk.delivery.outbound.take_stirred(NOW)
    desk.wait(NOW + 5 * DAY_S)
    assert not entry.outcomes
    assert desk.lanes() == {"dns:one.test": 1}


def test_data_read_for_a_part_that_went_elsewhere_is_not_kept() -> None:
    desk = Desk()
    entry = desk.add("a@ours.test")
    part = entry.parts[0]
    desk.queue.forget_data(entry)
    part.lane.waiting.popleft()
    desk.delivery.reading.begin(part)
    desk.delivery.data_read(NOW, entry.message.number, b"x" * 9)
    assert part.state is PartState.WAITING
    assert entry.message.data is None  # its database is not there
    assert desk.delivery.shelves[UNREACHABLE].part_count == 0
