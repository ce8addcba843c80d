"""What waits in which queue, when a next hop is tried, and what back pressure stops."""

from __future__ import annotations

import random

from holdfast.directory.model import Mailbox, MailboxDatabase, Organisation, SendConnector, Server, Site
from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.transport import events
from holdfast.transport.delivery import Delivery
from holdfast.transport.outbound_queue import OutboundQueue
from holdfast.transport.queue import (
    DeliveryType,
    Failure,
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

    def __init__(self, *recipients: str, organisation: Organisation = ORGANISATION) -> None:
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
            )
            for number, recipient in enumerate(recipients, 1)
        )
        self.now = 0.0
        self.tried: list[float] = []  # the minutes at which a next hop that is down was tried
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
                    self.tried.append(self.now / MINUTE)
                    self.delivery.outbound.unreachable(self.now, lane, DOWN)
        self.now = end

    def routed_anew(self) -> list[str]:
        """The queues of which the log says so."""
        logs = self.delivery.outcomes.logs
        return [str(event.fields["queue"]) for event in logs if event.kind is events.QUEUE_ROUTED_ANEW]


def test_a_next_hop_that_is_down_is_tried_by_schedule() -> None:
    world = World("bob@example.org")
    (lane,) = world.delivery.outbound.take_stirred(0.0)
    world.delivery.outbound.unreachable(0.0, lane, DOWN)
    world.wait_until(HOUR, hop_is_down=True)
    assert world.tried == [1, 2, 3, 4, 9, 14, 19, 24, 29, 34, 44, 54]


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


def test_nothing_is_routed_anew_under_pressure() -> None:
    world = World("x@nowhere.example")
    world.delivery.resubmits_paused = True
    world.wait_until(24 * HOUR)
    assert world.routed_anew() == []
    world.delivery.resubmits_paused = False
    world.wait_until(24 * HOUR + MINUTE)
    assert world.routed_anew() == ["unreachable"]
    assert ",QUEUE,RESUBMIT,1," in "".join(world.delivery.outcomes.tracks)


def test_nothing_is_sent_while_the_disk_is_behind() -> None:
    world = World("bob@example.org")
    outbound = world.delivery.outbound
    outbound.stop(stopped=True)
    assert outbound.take_stirred(0.0) == []
    outbound.stop(stopped=False)
    assert outbound.take_stirred(0.0) == [world.lane]
