"""The administrator's side of the node: names of messages, and marks that follow the organisation."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.directory.model import (
    DistributionGroup,
    Mailbox,
    Organisation,
    Resource,
    ResourceThreshold,
)
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.ids import NetworkMessageId
from holdfast.node.administration import Administration, QueueTarget
from holdfast.transport.back_pressure import Reading
from holdfast.transport.delivery import Delivery
from holdfast.transport.queue import (
    Failure,
    HoldQueue,
    NextHopKey,
    Queue,
    QueuedMessage,
    RecoveredQueue,
)
from holdfast.transport.rights import ClientKind
from holdfast.transport.route import HopProfile, Unreachable
from holdfast.transport.tracking import TrackingWriter

MakeWorld = Callable[..., Any]  # makes the World of conftest.py
NAME = "00000000-0000-4000-8000-00000000000a"


class Routes:
    """Nothing leads anywhere."""

    def route(
        self, recipient: str, size_bytes: int, redirect: str = ""
    ) -> Mailbox | DistributionGroup | NextHopKey | Failure | Unreachable:
        return Unreachable("no connector")

    def profile(self, key: NextHopKey) -> HopProfile | None:
        return None


@pytest.fixture
def administration() -> Administration:
    message = QueuedMessage(
        number=7,
        network_message_id=NetworkMessageId(NAME),
        received_at=0.0,
        reverse_path="",
        recipients=("a@example.test",),
        size_bytes=3,
        data=None,
        message_id="",
        subject="",
        fingerprint=b"7",
    )
    queue = Queue(RecoveredQueue((message,), 8, {}))
    tracking = TrackingWriter("s", with_subject=True)
    delivery = Delivery(queue, Organisation(), Routes(), tracking, random.Random(1))
    delivery.started(0.0)
    return Administration(queue, delivery, tracking)


def test_messages_go_by_number_or_network_message_id(administration: Administration) -> None:
    assert administration.numbers(("7", NAME, NAME.upper())) == (7, 7, 7)
    for name in ("8", "", "9" * 30, "²", NAME[:-1]):
        with pytest.raises(Refusal, match="waits here"):
            administration.numbers((name,))


def test_an_operation_is_about_something(administration: Administration) -> None:
    for target in (QueueTarget(), QueueTarget("dns:x")):
        with pytest.raises(Refusal, match="queue"):
            administration.remove(0.0, target, with_bounce=True)
        with pytest.raises(Refusal, match="queue"):
            administration.redirect(0.0, target, "h")
        with pytest.raises(Refusal, match="queue"):
            administration.hold(0.0, target)


def test_a_shelf_is_shown_and_worked_off(administration: Administration) -> None:
    shown = administration.show_queue(5.0, QueueTarget("unreachable"))
    assert (shown.state.status, [each.number for each in shown.messages]) == ("retry", [7])
    assert administration.part_counts()["unreachable"] == 1
    assert administration.remove(5.0, QueueTarget("unreachable"), with_bounce=False).message_count == 1
    assert administration.show_queue(5.0, QueueTarget("unreachable")).messages == ()
    assert administration.queue_states(5.0) == []


def test_back_pressure_goes_by_the_organisations_marks(administration: Administration) -> None:
    marks = ResourceThreshold(Resource.QUEUE_DISK, 10, 20, 15, 5)
    administration.follow(Organisation(resource_thresholds=(marks,)))
    assert len(administration.sampled(0.0, {Resource.QUEUE_DISK: Reading(12.0)})) == 2
    assert administration.pressure.refuse_outside
    assert administration.resource_states()[0].threshold == marks
    administration.follow(Organisation())
    administration.sampled(2.0, {Resource.QUEUE_DISK: Reading(12.0)})
    assert not administration.pressure.refuse_outside


def mail(world: Any, number: int) -> bytes:
    world.connect(number)
    world.say(b"EHLO client.example\r\n", number)
    return bytes(world.say(b"MAIL FROM:<x@other.test>\r\n", number))


def test_mail_is_put_off_while_a_disk_is_short(make_world: MakeWorld) -> None:
    world = make_world()
    assert mail(world, 1).startswith(b"250 ")
    world.do(world.node.resources_sampled, {Resource.QUEUE_DISK: Reading(96.0)})
    assert world.log == ["TRN-0400", "TRN-0403"]
    assert mail(world, 2).startswith(b"452 4.3.1 ")
    world.do(world.node.resources_sampled, {Resource.QUEUE_DISK: Reading(93.0)})
    assert mail(world, 3).startswith(b"250 ")


def test_who_is_put_off(administration: Administration) -> None:
    def refused(value: float) -> list[str]:
        administration.sampled(0.0, {Resource.QUEUE_DISK: Reading(value)})
        return [kind.name for kind in ClientKind if administration.refuse_mail(kind) is not None]

    assert refused(50.0) == []
    assert refused(96.0) == ["ANONYMOUS", "PARTNER"]
    assert refused(99.0) == ["ANONYMOUS", "USER", "SERVER", "PARTNER"]


def test_what_an_administrator_stopped_is_written_down_when_the_disk_takes_it(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    world.do(world.node.store_connected, "db1")
    world.node.administration.hold(world.now, QueueTarget("mailbox:db1"))
    held = HoldQueue("mailbox:db1", held=True)
    world.do(world.node.administered)
    assert world.commits == [[held]]
    world.do(world.node.queue_failed, world.commits.pop(), Unavailable("the disk is full"))
    assert not world.node.is_written_down([held])
    world.now += 60.0
    world.do(world.node.timer)
    assert world.commits == [[held]]
    world.do(world.node.queue_committed, world.commits.pop())
    assert world.node.is_written_down([held])
    assert world.node.idle()


def test_what_was_held_is_held_after_a_restart(make_world: MakeWorld) -> None:
    world = make_world(RecoveredQueue((), 1, {}, held_queues=("mailbox:db1", "dns:example.org")))
    held = {row.key: row.status for row in world.node.administration.queue_states(world.now)}
    assert held["mailbox:db1"] == "suspended"
    assert world.node.administration.release(world.now, QueueTarget("dns:example.org")).message_count == 0


def test_messages_and_queues_are_worked_on_by_name(make_world: MakeWorld) -> None:
    message = QueuedMessage(
        3, NetworkMessageId(NAME), 0.0, "", ("alice@example.test",), 9, None, "<m>", "s", b"3"
    )
    world = make_world(RecoveredQueue((message,), 4, {}))
    administration = world.node.administration
    assert administration.show_message(world.now, "3").parts[0].queue == "mailbox:db1"
    assert administration.hold(world.now, QueueTarget(numbers=(3,))).message_count == 1
    assert administration.release(world.now, QueueTarget(numbers=(3,))).message_count == 1
    assert administration.retry(world.now, QueueTarget("mailbox:db1")).message_count == 1
    assert administration.redirect(world.now, QueueTarget(numbers=(3,)), "").message_count == 0
