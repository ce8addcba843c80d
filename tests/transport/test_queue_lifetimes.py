"""How long things wait: tries of a next hop, what is routed anew, notices, expiry, queues without mail."""

from __future__ import annotations

import random
from typing import Any

import pytest

from holdfast.directory.model import Mailbox, MailboxDatabase, Organisation, SendConnector, Server, Site
from holdfast.kernel.ids import ConnectionId, MailboxId, NetworkMessageId
from holdfast.transport import events, retry
from holdfast.transport.delivery import Delivery
from holdfast.transport.outbound_queue import OutboundConnection, OutboundQueue
from holdfast.transport.queue import (
    DeliveryType,
    Failure,
    FinishRecipients,
    Marks,
    NextHopKey,
    Queue,
    QueuedMessage,
    RecoveredQueue,
)
from holdfast.transport.route import Router
from holdfast.transport.tracking import TrackingWriter

MINUTE, HOUR = 60.0, 3600.0
DOWN = Failure("4.4.1", "nobody answers")
ORGANISATION = Organisation(
    sites=(Site("here"),),
    servers=(Server("mx", "mx.example.test", "here"),),
    mailbox_databases=(MailboxDatabase("db", "mx"),),
    mailboxes=(Mailbox("alice@example.test", MailboxId("alice"), "db"),),
    send_connectors=(SendConnector("out", ("example.org",), ("192.0.2.9",)),),
)
HOP = NextHopKey(DeliveryType.SMART_HOST, "192.0.2.9", "out")


class World:
    """A queue with messages for ``recipients``, one each, that were taken at 0."""

    def __init__(
        self, *recipients: str, marks: Marks | None = None, organisation: Organisation = ORGANISATION
    ) -> None:
        messages = tuple(
            QueuedMessage(
                number=number,
                network_message_id=NetworkMessageId(f"{number:032x}"),
                received_at=0.0,
                reverse_path="alice@example.test",
                recipients=(recipient,),
                size_bytes=9,
                data=None,
                message_id="<m>",
                subject="s",
                fingerprint=b"",
                marks=marks or Marks(),
            )
            for number, recipient in enumerate(recipients, 1)
        )
        self.now = 0.0
        self.queue = Queue(RecoveredQueue(messages, 100, {}))
        router = Router(organisation, "mx")
        tracking = TrackingWriter("mx", with_subject=True)
        self.delivery = Delivery(self.queue, organisation, router, tracking, random.Random(1))
        self.delivery.started(0.0)

    @property
    def lane(self) -> OutboundQueue:
        return self.delivery.outbound.lanes[HOP]

    def wait_until(self, end: float, *, hop_is_down: bool = False) -> None:
        """Fire the timer whenever it wants; a hop that is down is tried and fails."""
        while (due := self.delivery.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.delivery.timer(self.now)
            for lane in self.delivery.outbound.take_stirred(self.now):
                if hop_is_down:
                    self.delivery.outbound.unreachable(self.now, lane, DOWN)
        self.now = end

    def failed(self) -> dict[str, str]:
        """The recipients that were given up, with their status."""
        return {
            recipient: f"{outcome.failure.status} {outcome.failure.text}"
            for entry in self.queue
            for outcome in entry.outcomes
            if outcome.failure is not None
            for recipient in outcome.finished
        }

    def routed_anew(self) -> list[str]:
        """The queues of which the log says so."""
        logs = self.delivery.outcomes.logs
        return [str(event.fields["queue"]) for event in logs if event.kind is events.QUEUE_ROUTED_ANEW]


def test_waits_between_tries_grow_twice() -> None:
    waits = [retry.wait_s(ORGANISATION, count) / MINUTE for count in range(1, 14)]
    assert waits == [1, 1, 1, 1, 5, 5, 5, 5, 5, 5, 10, 10, 10]


def test_a_next_hop_that_is_down_is_tried_by_schedule() -> None:
    world = World("bob@example.org")
    tried: list[float] = []
    unreachable = world.delivery.outbound.unreachable

    def noted(now: float, lane: OutboundQueue, failure: Failure) -> None:
        tried.append(now / MINUTE)
        unreachable(now, lane, failure)

    (lane,) = world.delivery.outbound.take_stirred(0.0)
    noted(0.0, lane, DOWN)
    world.delivery.outbound.unreachable = noted  # type: ignore[method-assign]  # to see the instants
    world.wait_until(HOUR, hop_is_down=True)
    assert tried == [0, 1, 2, 3, 4, 9, 14, 19, 24, 29, 34, 44, 54]


def test_what_was_idle_for_half_a_day_is_routed_anew() -> None:
    world = World("bob@example.org", "x@nowhere.example")
    (lane,) = world.delivery.outbound.take_stirred(0.0)
    world.delivery.outbound.unreachable(0.0, lane, DOWN)
    world.wait_until(12 * HOUR - 1, hop_is_down=True)
    assert world.routed_anew() == []
    world.wait_until(12 * HOUR + 2 * MINUTE, hop_is_down=True)
    assert sorted(world.routed_anew()) == [str(HOP), "unreachable"]
    assert world.lane.part_count == 1


def test_a_sender_is_to_be_told_after_four_hours_and_has_it_back_after_two_days() -> None:
    world = World("bob@example.org", "x@nowhere.example")
    (lane,) = world.delivery.outbound.take_stirred(0.0)
    world.delivery.outbound.unreachable(0.0, lane, DOWN)
    world.wait_until(4 * HOUR - 1, hop_is_down=True)
    assert world.delivery.delayed == []
    world.wait_until(4 * HOUR + MINUTE, hop_is_down=True)
    assert {entry.message.number for entry, _ in world.delivery.delayed} == {1, 2}
    for number in (1, 2):  # they are told
        world.queue.untold.pop(number, None)
    world.wait_until(48 * HOUR - 1, hop_is_down=True)
    assert world.failed() == {}
    world.wait_until(48 * HOUR + MINUTE, hop_is_down=True)
    assert world.failed() == {
        "bob@example.org": "4.4.7 it could not be delivered for too long: nobody answers",
        "x@nowhere.example": "4.4.7 it could not be delivered for too long: "
        "no send connector leads to the recipient's domain",
    }


@pytest.mark.parametrize("marks", [Marks(held=True), Marks(poison=True)])
def test_what_was_set_aside_never_expires(marks: Marks) -> None:
    world = World("bob@example.org", marks=marks)
    world.wait_until(3 * 24 * HOUR)
    assert world.failed() == {}
    assert world.delivery.delayed == []


def test_a_queue_without_mail_is_forgotten_after_three_minutes() -> None:
    world = World("bob@example.org")
    (part,) = world.lane.take_all()
    world.lane.drop(0.0, part)
    world.delivery.outbound.forget_empty(179.0)
    assert HOP in world.delivery.outbound.lanes
    world.delivery.outbound.forget_empty(180.0)
    assert HOP not in world.delivery.outbound.lanes


def test_each_next_hop_has_one_queue() -> None:
    connectors = (*ORGANISATION.send_connectors, SendConnector("dns", ("*",)))
    organisation = Organisation(
        sites=ORGANISATION.sites,
        servers=ORGANISATION.servers,
        mailbox_databases=ORGANISATION.mailbox_databases,
        mailboxes=ORGANISATION.mailboxes,
        send_connectors=connectors,
    )
    world = World(
        "a@example.org", "b@example.org", "a@one.test", "b@one.test", "a@two.test", "alice@example.test",
        organisation=organisation,
    )  # fmt: skip
    counts = {str(lane.key): lane.part_count for lane in world.delivery.lanes() if lane.part_count}
    assert counts == {
        str(HOP): 2,
        str(NextHopKey(DeliveryType.DNS, "one.test", "dns")): 2,
        str(NextHopKey(DeliveryType.DNS, "two.test", "dns")): 1,
        "mailbox:db": 1,
    }


def standing(number: ConnectionId, lane: OutboundQueue) -> OutboundConnection:
    """A connection of which only that it stands is looked at."""
    none: Any = None
    return OutboundConnection(number, lane, none, none, ready=True)


def test_another_connection_only_for_more_mail_and_never_more_than_may_be() -> None:
    world = World(*(f"{number}@example.org" for number in range(60)))
    lane = world.lane
    opened = []
    for _ in range(30):
        wanted = lane.wanted_count(20)
        opened.append(wanted)
        for _ in range(wanted):
            number = ConnectionId(-1 - len(lane.connections))
            lane.connections[number] = standing(number, lane)
    assert opened[:3] == [1, 2, 4]
    assert len(lane.connections) == 15 + 5
    assert World("a@example.org").lane.wanted_count(20) == 1


def test_the_last_recipient_takes_its_message_out_of_the_queue() -> None:
    world = World("bob@example.org")
    entry = world.queue[1]
    (part,) = world.lane.take_all()
    world.lane.drop(0.0, part)
    world.delivery.outcomes.failed(0.0, entry, part.recipients, Failure("5.1.1", "no such user"), "SMTP")
    write, _ = world.queue.begin_write(entry)
    assert isinstance(write, FinishRecipients)
    assert write.remaining == ()


def test_nothing_is_routed_anew_under_pressure() -> None:
    world = World("x@nowhere.example")
    world.delivery.resubmits_paused = True
    world.wait_until(24 * HOUR)
    assert world.routed_anew() == []
    world.delivery.resubmits_paused = False
    world.wait_until(24 * HOUR + MINUTE)
    assert world.routed_anew() == ["unreachable"]


def test_nothing_is_sent_while_the_disk_is_behind() -> None:
    world = World("bob@example.org")
    outbound = world.delivery.outbound
    outbound.stop(stopped=True)
    assert outbound.take_stirred(0.0) == []
    outbound.stop(stopped=False)
    assert outbound.take_stirred(0.0) == [world.lane]


def test_many_recipients_of_one_next_hop_are_cut_into_parts_of_a_hundred() -> None:
    world = World("bob@example.org")
    world.delivery.route(0.0, world.queue[1], tuple(f"{number}@example.org" for number in range(250)))
    assert [len(part.recipients) for part in world.lane.waiting] == [1, 100, 100, 50]
