"""What the administrator sees of the queues, in every state that they have."""

from __future__ import annotations

import random
from dataclasses import replace

from holdfast.directory.model import DistributionGroup, Mailbox, Organisation
from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.transport.delivery import Delivery
from holdfast.transport.queue import (
    DeliveryType,
    Failure,
    Marks,
    NextHopKey,
    PartState,
    Queue,
    QueuedMessage,
    RecoveredQueue,
)
from holdfast.transport.queue_report import (
    find_lane,
    message_of,
    messages_of,
    part_counts,
    queue_states,
    stored_queues,
)
from holdfast.transport.route import HopProfile, Unreachable
from holdfast.transport.tracking import TrackingWriter

DB = NextHopKey(DeliveryType.MAILBOX, "DB01")
DNS = NextHopKey(DeliveryType.DNS, "example.org", "internet")
SMART = NextHopKey(DeliveryType.SMART_HOST, "a.example,b.example", "relay")


class Routes:
    """The local part of a recipient says where it goes."""

    def route(
        self, recipient: str, size_bytes: int, redirect: str = ""
    ) -> Mailbox | DistributionGroup | NextHopKey | Failure | Unreachable:
        match recipient.partition("@")[0]:
            case "dns":
                return DNS
            case "smart":
                return SMART
            case "fails":
                return Failure("5.1.1", "no such mailbox")
            case "all":
                return DistributionGroup(recipient, ())
            case "mailbox":
                return Mailbox(recipient, MailboxId("1" * 32), "DB02")
            case "nowhere":
                return Unreachable("no send connector leads to nowhere.example")
            case _:
                return DB

    def profile(self, key: NextHopKey) -> HopProfile | None:
        return None


def message(number: int, *recipients: str, marks: Marks | None = None) -> QueuedMessage:
    return QueuedMessage(
        number=number,
        network_message_id=NetworkMessageId(f"{number:032x}"),
        received_at=float(number),
        reverse_path="alice@example.test",
        recipients=recipients,
        size_bytes=9,
        data=None,
        message_id="<m>",
        subject="s",
        fingerprint=b"",
        marks=marks or Marks(),
    )


MESSAGES = (
    message(1, "dns@example.org", "x@example.test"),
    message(2, "smart@example.org", "dns@example.org"),
    message(3, "nowhere@nowhere.example"),
    message(4, "dns@example.org", marks=Marks(held=True)),
    message(5, "dns@example.org", marks=Marks(poison=True, redirect="192.0.2.1")),
    message(6, "dns@example.org", "y@example.test"),
)


def made(*messages: QueuedMessage) -> tuple[Delivery, Queue]:
    queue = Queue(RecoveredQueue(messages, 100, {}))
    tracking = TrackingWriter("s", with_subject=True)
    delivery = Delivery(queue, Organisation(), Routes(), tracking, random.Random(1))
    delivery.started(10.0)
    return delivery, queue


def test_a_row_per_queue() -> None:
    delivery, queue = made(*MESSAGES)
    rows = queue_states(10.0, delivery, queue)
    assert [(each.key, each.status, each.message_count, each.oldest_s) for each in rows] == [
        ("mailbox:DB01", "retry", 2, 9.0),
        ("smart-host:relay", "ready", 1, 8.0),
        ("dns:example.org", "ready", 3, 9.0),
        ("unreachable", "retry", 1, 7.0),
        ("held", "suspended", 1, 6.0),
        ("poison", "suspended", 1, 5.0),
    ]
    assert rows[0].last_error == "the mailbox role does not answer"
    assert rows[3].last_error == "no send connector leads to nowhere.example"
    assert (rows[1].domain, rows[1].connector) == ("a.example,b.example", "relay")
    assert part_counts(delivery) == {
        "mailbox": 2,
        "server": 0,
        "smart-host": 1,
        "dns": 3,
        "unreachable": 1,
        "held": 1,
        "poison": 1,
    }


def test_the_states_of_a_queue_to_a_next_hop() -> None:
    delivery, queue = made(*MESSAGES)
    lane = delivery.outbound.lanes[DNS]

    def row(now: float) -> tuple[str, float | None, str, int]:
        found = next(each for each in queue_states(now, delivery, queue) if each.key == "dns:example.org")
        return found.status, found.next_try_s, found.last_error, found.connection_count

    lane.not_before, lane.last_error = 70.0, "connection refused"
    assert row(10.0) == ("retry", 60.0, "connection refused", 0)
    assert row(71.0) == ("ready", None, "connection refused", 0)
    lane.held = True
    assert row(10.0) == ("suspended", None, "connection refused", 0)


def test_a_queue_whose_messages_were_put_off_one_by_one_says_why_and_until_when() -> None:
    delivery, queue = made(*MESSAGES)
    lane = delivery.outbound.lanes[DNS]

    def row(now: float) -> tuple[str, float | None, str]:
        found = next(each for each in queue_states(now, delivery, queue) if each.key == "dns:example.org")
        return found.status, found.next_try_s, found.last_error

    parts = list(lane.waiting)
    lane.waiting.clear()
    for at, part in zip((300.0, 100.0, 200.0), parts, strict=True):
        assert row(10.0)[0] == "ready"  # some may go
        part.failure = Failure("4.2.1", f"450 wait until {at}")
        delivery.later(at, part)
    assert row(10.0) == ("retry", 90.0, "450 wait until 300.0")
    lane.held = True
    assert row(10.0) == ("suspended", None, "450 wait until 300.0")


def test_the_states_of_a_queue_to_a_mailbox_database() -> None:
    delivery, queue = made(*MESSAGES)
    lane = delivery.mailboxes.lanes["DB01"]

    def row(now: float) -> tuple[str, str, int]:
        found = next(each for each in queue_states(now, delivery, queue) if each.key == "mailbox:DB01")
        return found.status, found.last_error, found.connection_count

    lane.connected = True
    assert row(10.0) == ("ready", "", 1)
    lane.in_flight[1] = []
    assert row(10.0) == ("active", "", 1)
    lane.not_before, lane.last_error = 20.0, "the disk is full"
    assert row(10.0) == ("retry", "the disk is full", 1)
    lane.held = True
    assert row(10.0) == ("suspended", "the disk is full", 1)


def test_an_empty_server_has_no_queues() -> None:
    delivery, queue = made()
    assert queue_states(10.0, delivery, queue) == []


def test_messages_of_one_queue() -> None:
    delivery, queue = made(*MESSAGES)
    lane = find_lane(delivery, "DNS:Example.Org")
    assert lane is not None
    found = messages_of(11.0, delivery, queue, lane, 100)
    assert [(each.number, each.waiting_s, len(each.parts)) for each in found] == [
        (1, 10.0, 1),
        (2, 9.0, 1),
        (6, 5.0, 1),
    ]
    assert found[0].parts[0].recipients == ("dns@example.org",)
    assert [each.number for each in messages_of(11.0, delivery, queue, lane, 2)] == [1, 2]
    assert find_lane(delivery, "dns:example.net") is None


def test_a_message_with_all_its_parts() -> None:
    delivery, queue = made(*MESSAGES)
    part = delivery.outbound.lanes[DNS].waiting.popleft()
    delivery.later(100.0, part)
    part.failure = Failure("4.2.1", "450 greylisted")
    part.entry.failure_count = 2
    told = message_of(40.0, delivery, queue[1])
    assert (told.sender, told.subject, told.message_id, told.held) == (
        "alice@example.test",
        "s",
        "<m>",
        False,
    )
    by_queue = {each.queue: each for each in told.parts}
    deferred = by_queue["dns:example.org"]
    assert (deferred.state, deferred.next_try_s, deferred.failure_count) == ("deferred", 60.0, 2)
    assert deferred.last_error == "450 greylisted"
    assert by_queue["mailbox:DB01"].next_try_s is None
    assert by_queue["mailbox:DB01"].state == "waiting"
    part.state = PartState.AT_WORK
    assert {each.state for each in message_of(40.0, delivery, queue[1]).parts} == {"at work", "waiting"}


def test_what_is_held_or_set_aside_says_so() -> None:
    delivery, queue = made(*MESSAGES)
    held, poison = (message_of(40.0, delivery, queue[number]) for number in (4, 5))
    assert (held.held, held.parts[0].state, held.parts[0].queue) == (True, "held", "held")
    assert (poison.poison, poison.parts[0].state, poison.redirect) == (True, "poison", "192.0.2.1")
    nowhere = message_of(40.0, delivery, queue[3])
    assert nowhere.parts[0].last_error == "no send connector leads to nowhere.example"


def test_a_message_that_is_held_later_is_seen_in_its_queue() -> None:
    delivery, queue = made(message(1, "dns@example.org"))
    entry = queue[1]
    entry.message = replace(entry.message, marks=Marks(held=True))
    delivery.route_anew(10.0, delivery.outbound.lanes[DNS])
    delivery.timer(10.0)
    rows = queue_states(10.0, delivery, queue)
    assert [(each.key, each.message_count, each.oldest_s) for each in rows] == [
        ("dns:example.org", 0, None),
        ("held", 1, 9.0),
    ]


def test_the_database_alone_tells_where_messages_would_go() -> None:
    messages = (
        *MESSAGES,
        message(7, "mailbox@example.test", "mailbox@example.test"),
        message(8, "fails@example.test", "all@example.test"),
        message(9, "mailbox@example.test", "nowhere@nowhere.example"),
    )
    found = stored_queues(Routes(), messages)
    assert [(each.key, each.delivery_type, each.message_count, each.oldest_at) for each in found] == [
        ("dns:example.org", "dns", 3, 1.0),
        ("held", "held", 1, 4.0),
        ("mailbox:DB01", "mailbox", 2, 1.0),
        ("mailbox:DB02", "mailbox", 2, 7.0),
        ("poison", "poison", 1, 5.0),
        ("smart-host:relay", "smart-host", 1, 2.0),
        ("submission", "submission", 1, 8.0),
        ("unreachable", "unreachable", 2, 3.0),
    ]
