"""Hold, release, retry, remove and redirect, with what is under way and with what is written down."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from holdfast.directory.model import DistributionGroup, Mailbox, Organisation
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.delivery import Delivery
from holdfast.transport.queue import (
    DeliveryType,
    Failure,
    HoldQueue,
    MarkMessage,
    Marks,
    NextHopKey,
    PartState,
    Queue,
    QueuedMessage,
    RecoveredQueue,
)
from holdfast.transport.queue_operations import Done, QueueOperations
from holdfast.transport.queue_report import queue_states
from holdfast.transport.route import HopProfile, Unreachable
from holdfast.transport.tracking import TrackingWriter

NOW = 10.0
DNS = NextHopKey(DeliveryType.DNS, "example.org", "internet")


class Routes:
    """Mail goes to example.org by DNS, to where it was redirected, or nowhere while that is so."""

    nowhere = False

    def route(
        self, recipient: str, size_bytes: int, redirect: str = ""
    ) -> Mailbox | DistributionGroup | NextHopKey | Failure | Unreachable:
        if redirect:
            return NextHopKey(DeliveryType.SMART_HOST, redirect)
        return Unreachable("no connector") if self.nowhere else DNS

    def profile(self, key: NextHopKey) -> HopProfile | None:
        return None


class World:
    """A queue of ten messages, each with two recipients in one queue."""

    def __init__(self, marks: dict[int, Marks] | None = None, *, nowhere: bool = False) -> None:
        self.routes = Routes()
        self.routes.nowhere = nowhere
        messages = tuple(
            QueuedMessage(
                number=number,
                network_message_id=NetworkMessageId(f"{number:032x}"),
                received_at=float(number),
                reverse_path="alice@example.test",
                recipients=("a@example.org", "b@example.org"),
                size_bytes=9,
                data=None,
                message_id="<m>",
                subject="s",
                fingerprint=b"",
                marks=(marks or {}).get(number, Marks()),
            )
            for number in range(1, 11)
        )
        self.queue = Queue(RecoveredQueue(messages, 100, {}))
        tracking = TrackingWriter("s", with_subject=True)
        self.delivery = Delivery(self.queue, Organisation(), self.routes, tracking, random.Random(1))
        self.delivery.started(NOW)
        self.operations = QueueOperations(self.queue, self.delivery, tracking)

    def places(self) -> dict[str, list[int]]:
        """Which messages are in which queue."""
        found: dict[str, list[int]] = {}
        for entry in self.queue:
            for part in entry.parts:
                found.setdefault(str(part.lane.key), []).append(entry.message.number)
        return found

    def take_to_work(self, number: int) -> None:
        (part,) = self.queue[number].parts
        part.lane.waiting.remove(part)
        part.state = PartState.AT_WORK

    def defer(self, number: int) -> None:
        (part,) = self.queue[number].parts
        part.lane.waiting.remove(part)
        self.delivery.later(1000.0, part)

    def tracked(self) -> list[str]:
        return [write.tracking for write in self.operations.writes if isinstance(write, MarkMessage)]


def others(*numbers: int) -> list[int]:
    return [each for each in range(1, 11) if each not in numbers]


def refused(pattern: str) -> pytest.RaisesExc[Refusal]:
    return pytest.raises(Refusal, match=pattern)


def test_a_held_queue_sends_nothing_until_it_is_released() -> None:
    world = World()
    lane = world.delivery.outbound.lanes[DNS]
    assert world.delivery.outbound.take_stirred(NOW) == [lane]
    assert world.operations.hold_queue(NOW, "DNS:example.ORG") == Done(10)
    assert world.operations.hold_queue(NOW, "dns:example.org") == Done(10)  # it is held already
    world.delivery.outbound.stir(lane)
    assert world.delivery.outbound.take_stirred(NOW) == []
    with refused("is held; let it go on first"):
        world.operations.retry_queue(NOW, "dns:example.org")
    assert world.operations.release_queue("Dns:example.org") == Done(10)
    assert world.delivery.outbound.take_stirred(NOW) == [lane]
    assert world.operations.writes == [
        HoldQueue("dns:example.org", held=True),
        HoldQueue("dns:example.org", held=False),
    ]
    assert world.delivery.held_queues == set()


def test_a_queue_is_held_before_there_is_mail_for_it() -> None:
    world = World()
    entry, key = world.queue[3], "dns:example.org"
    world.delivery.outbound.take_stirred(NOW)
    del world.delivery.outbound.lanes[DNS]  # as if it had been empty for a while
    assert world.operations.hold_queue(NOW, "DNS:Example.ORG") == Done()
    assert world.operations.writes == [HoldQueue(key, held=True)]
    world.delivery.outbound.forget_empty(NOW + 1e6)
    world.delivery.route(NOW, entry, ("c@example.org",))
    assert world.delivery.outbound.take_stirred(NOW) == []
    assert world.operations.release_queue(key) == Done(1)
    assert world.delivery.outbound.take_stirred(NOW) == [world.delivery.outbound.lanes[DNS]]
    with refused(r"mail to example.net would not get into it \(queue dns:example.org\)"):
        world.operations.hold_queue(NOW, "dns:example.net")


def test_a_hold_of_a_queue_that_is_gone_can_be_released() -> None:
    world = World()
    world.delivery.held_queues.add("dns:gone.example")
    assert world.operations.release_queue("dns:GONE.example") == Done()
    assert world.operations.writes == [HoldQueue("dns:gone.example", held=False)]


def test_a_queue_that_is_held_and_empty_is_listed_after_a_restart() -> None:
    """Nobody could see that mail for it would wait without a word, and never expire."""
    world = World()
    world.delivery.held_queues.add("smart-host:gone;tls=domain")
    world.operations.hold_queue(NOW, "dns:example.org")
    found = {row.key: row for row in queue_states(NOW, world.delivery, world.queue)}
    gone = found["smart-host:gone;tls=domain"]
    assert (gone.delivery_type, gone.status, gone.message_count) == ("smart-host", "suspended", 0)
    assert [each.status for each in found.values()].count("suspended") == 2
    world.operations.release_queue("smart-host:gone;tls=domain")
    assert len(queue_states(NOW, world.delivery, world.queue)) == len(found) - 1


def test_what_cannot_be_done_to_a_queue_is_said() -> None:
    world = World({1: Marks(held=True), 2: Marks(poison=True)}, nowhere=True)
    operations = world.operations
    with refused(
        r'no queue "dns:x", and mail to x would not .* \(waits in the unreachable queue: no connector'
    ):
        operations.hold_queue(NOW, "dns:x")
    for absent in ("smart-host:x", "dns:a..b", "dns", "x"):
        with refused(f'there is no queue "{absent}"; those that there are: holdfast queue list'):
            operations.hold_queue(NOW, absent)
    with refused('no queue "dns:x"'):
        operations.release_queue("dns:x")
    with refused('queue "unreachable" is not held'):
        operations.release_queue("unreachable")
    for shelf in ("unreachable", "held", "poison"):
        with refused("nothing is sent from queue"):
            operations.hold_queue(NOW, shelf)
    for shelf in ("held", "poison"):
        with refused("waits for you: holdfast queue release --message"):
            operations.retry_queue(NOW, shelf)
    with refused('no message "77" waits here'):
        operations.hold_messages(NOW, [77])
    assert operations.writes == []


def test_retry_tries_the_next_hop_and_what_was_put_off() -> None:
    world = World()
    lane = world.delivery.outbound.lanes[DNS]
    lane.not_before, lane.failure_count = 900.0, 4
    world.delivery.outbound.take_stirred(NOW)
    world.defer(3)
    world.queue[3].failure_count = 2
    assert len(lane.waiting) == 9
    assert world.operations.retry_queue(NOW, "dns:example.org") == Done(10)
    assert (lane.not_before, lane.failure_count, world.queue[3].failure_count) == (0.0, 0, 0)
    assert sum(part.state is PartState.WAITING for part in lane.waiting) == 10
    assert world.delivery.outbound.take_stirred(NOW) == [lane]
    assert list(world.delivery.deferred_parts()) == []


def test_retry_of_the_unreachable_queue_routes_everything_anew() -> None:
    world = World(nowhere=True)
    assert world.places() == {"unreachable": list(range(1, 11))}
    world.routes.nowhere = False
    world.operations.retry_queue(NOW, "unreachable")
    world.delivery.timer(NOW)
    assert world.places() == {"dns:example.org": list(range(1, 11))}


def test_messages_are_held_wherever_they_wait_and_released() -> None:
    world = World()
    world.defer(3)
    world.take_to_work(4)
    assert world.operations.hold_messages(NOW, [2, 3, 4]) == Done(3, busy_count=1)
    assert world.places() == {"dns:example.org": others(2, 3), "held": [2, 3]}
    assert all(world.queue[number].message.marks.held for number in (2, 3, 4))
    assert [write.marks.held for write in world.operations.writes if isinstance(write, MarkMessage)] == [
        True
    ] * 3
    assert all(",ADMIN,DEFER," in line and ",held," in line for line in world.tracked())
    assert world.operations.hold_messages(NOW, [2]) == Done()  # it is held already
    world.operations.writes.clear()
    assert world.operations.release_messages(NOW, [2, 3]) == Done(2)
    assert world.places() == {"dns:example.org": list(range(1, 11))}
    assert all(",ADMIN,RESUBMIT," in line for line in world.tracked())


def test_a_poison_message_goes_on_when_it_is_released() -> None:
    world = World({5: Marks(poison=True, delay_told=True)})
    assert world.places() == {"dns:example.org": others(5), "poison": [5]}
    assert world.operations.release_messages(NOW, [5]) == Done(1)
    assert world.places() == {"dns:example.org": list(range(1, 11))}
    assert world.operations.writes == [
        MarkMessage(5, Marks(delay_told=True), world.tracked()[0]),
    ]
    assert ",ADMIN,POISONMESSAGE," in world.tracked()[0]


@pytest.mark.parametrize("with_bounce", [True, False])
def test_removed_messages_leave_by_an_outcome(*, with_bounce: bool) -> None:
    world = World({9: Marks(poison=True)})
    world.defer(3)
    world.take_to_work(4)
    operations = world.operations
    done = operations.remove(NOW, operations.entries([2, 3, 4, 9]), with_bounce=with_bounce)
    assert done == Done(3, busy_count=1)
    assert world.places() == {"dns:example.org": others(2, 3, 9)}
    for number in (2, 3, 9):
        (outcome,) = world.queue[number].outcomes
        assert outcome.finished == ("a@example.org", "b@example.org")
        assert (outcome.failure is not None) == with_bounce
        assert (",ADMIN,FAIL," if with_bounce else ",ADMIN,DROP,") in outcome.tracking
    assert [entry.message.number for entry in world.delivery.outcomes.touched] == [2, 3, 9]


def worked_off(world: World, key: str, count_max: int) -> list[int]:
    counts = []
    while entries := world.operations.entries_of(key, count_max):
        counts.append(world.operations.remove(NOW, entries, with_bounce=False).message_count)
    return counts


def test_a_queue_is_removed_in_steps_but_for_what_is_under_way() -> None:
    world = World()
    world.defer(3)
    world.take_to_work(4)
    assert worked_off(world, "dns:example.org", 4) == [4, 4, 1]
    assert world.places() == {"dns:example.org": [4]}
    assert worked_off(world, "dns:example.org", 4) == []
    with refused("there is no queue"):
        world.operations.entries_of("dns:gone.example", 1)


def test_parts_of_a_message_in_one_queue_stay_together() -> None:
    world = World()
    lane = world.delivery.outbound.lanes[DNS]
    lane.put(world.queue[1], ("c@example.org",))
    (found,) = world.operations.entries_of("dns:example.org", 1)
    assert [part.recipients for part in found[1]] == [("a@example.org", "b@example.org"), ("c@example.org",)]


def redirect_all(world: World, host: str, keys: Iterable[str]) -> list[int]:
    counts = []
    for key in keys:
        while entries := world.operations.entries_of(key, 4, but_redirected_to=host):
            counts.append(world.operations.redirect(NOW, entries, host).message_count)
    return counts


def test_a_queue_is_redirected_in_steps_and_back() -> None:
    world = World()
    world.take_to_work(4)
    assert redirect_all(world, "192.0.2.9", ["dns:example.org"]) == [4, 4, 1]
    assert sorted(world.places()) == ["dns:example.org", "smart-host:192.0.2.9"]
    assert world.places()["dns:example.org"] == [4]
    assert all(",ADMIN,REDIRECT," in line and "redirected to 192.0.2.9" in line for line in world.tracked())
    assert redirect_all(world, "192.0.2.9", ["smart-host:192.0.2.9"]) == []  # they are all on their way there
    assert redirect_all(world, "", ["smart-host:192.0.2.9"]) == [4, 4, 1]
    assert world.places() == {"dns:example.org": list(range(1, 11))}
    assert world.operations.redirect(NOW, world.operations.entries([1]), "") == Done()


def test_of_a_message_in_two_queues_only_the_one_is_redirected() -> None:
    world = World()
    other = NextHopKey(DeliveryType.DNS, "example.net", "internet")
    entry = world.queue[1]
    elsewhere = world.delivery.outbound.lane(NOW, other).put(entry, ("c@example.net",))
    assert redirect_all(world, "192.0.2.9", ["dns:example.org"]) == [4, 4, 2]
    assert elsewhere in entry.parts  # it waits on where it was
    assert entry.message.marks.redirect == "192.0.2.9 example.org"
    assert {part.recipients: str(part.lane.key) for part in entry.parts} == {
        ("a@example.org", "b@example.org"): "smart-host:192.0.2.9",
        ("c@example.net",): "dns:example.net",
    }
    assert world.queue[2].message.marks.redirect == "192.0.2.9"
    assert "c@example.net" not in world.tracked()[0]
    assert redirect_all(world, "", ["smart-host:192.0.2.9"]) == [4, 4, 2]
    assert entry.message.marks.redirect == ""


def test_what_is_under_way_goes_the_new_way_when_it_comes_back() -> None:
    world = World()
    world.take_to_work(4)
    done = world.operations.redirect(NOW, world.operations.entries([4]), "192.0.2.9")
    assert done == Done(1, busy_count=1)
    (part,) = world.queue[4].parts
    world.delivery.later(NOW, part)
    world.delivery.timer(NOW)
    assert "dns:example.org" not in {str(each.lane.key) for each in world.queue[4].parts}
