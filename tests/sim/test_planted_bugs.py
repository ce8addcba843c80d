"""Bugs that are planted on purpose: the simulator must find each within a few seeds.

A simulator that finds nothing proves nothing; these tests show what it can see.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from holdfast.directory.model import Organisation
from holdfast.kernel.ids import ConnectionId, NetworkMessageId
from holdfast.mailbox import service
from holdfast.mailbox.tables import Tables
from holdfast.node.mailbox import Perform, Performed
from holdfast.node.ports import CallStore
from holdfast.node.transport import TransportNode
from holdfast.sim.disk import Job, QueueDisk
from holdfast.sim.mailbox_process import MailboxProcess
from holdfast.sim.run import Parts, Result, crash_everywhere, simulate
from holdfast.sim.scenario import load_scenario
from holdfast.transport.intake import Intake
from holdfast.transport.queue import AddMessage, QueueWrite, RecoveredQueue
from holdfast.wire import store

SEED_COUNT = 60


def first_failure(parts: Parts, scenario: str = "plug-pull") -> Result:
    """Run seeds until one fails."""
    for seed in range(SEED_COUNT):
        result = simulate(seed, load_scenario(scenario), parts)
        if result.failure is not None:
            return result
    pytest.fail(f"{SEED_COUNT} seeds of {scenario} did not find the planted bug")


class EarlyAcknowledgement(TransportNode):
    """Says 250 before the commit."""

    def _flush(self, now: float) -> None:
        for write in list(self._doors.writes):
            if isinstance(write, AddMessage) and self._intake.is_pending(write):
                self._doors.accepted(now, write)
                self._own.under_way_count += 1
        super()._flush(now)


def test_250_before_the_commit_is_found() -> None:
    failure = first_failure(Parts(transport=EarlyAcknowledgement)).failure
    assert failure is not None
    assert "got 250" in failure
    assert "neither in the queue nor in the mailbox" in failure


def test_250_before_the_commit_is_found_by_a_crash_at_every_moment() -> None:
    results = list(crash_everywhere(1, load_scenario("tiny"), Parts(transport=EarlyAcknowledgement)))
    assert results[-1].failure is not None


class ForgetsSecondTries(TransportNode):
    """Does not know after a crash whose 250 may not have been read."""

    def started(self, now: float) -> None:
        self._recovered = replace(self._recovered, uncertain={})
        super().started(now)


class ForgetsBrokenConnections(TransportNode):
    """Takes every 250 for read, also when its connection broke."""

    def connection_lost(self, now: float, connection_id: ConnectionId, reason: str = "") -> None:
        self._intake.client_spoke(connection_id)
        super().connection_lost(now, connection_id, reason)


class SaysGoodbyeTooSimply(TransportNode):
    """Hands nothing to its next life when it stops cleanly."""

    @property
    def uncertain(self) -> dict[bytes, NetworkMessageId]:
        return {}


@pytest.mark.parametrize("node", [ForgetsSecondTries, ForgetsBrokenConnections, SaysGoodbyeTooSimply])
def test_a_second_copy_for_a_second_try_is_found(node: type[TransportNode]) -> None:
    failure = first_failure(Parts(transport=node)).failure
    assert failure is not None
    assert "times" in failure


class RenamesOnStoreLost(TransportNode):
    """Sends under a new id what a lost store had not confirmed, so that the store cannot recognise it."""

    def store_lost(self, now: float, database: str) -> None:
        for entry in self._queue:
            renamed = NetworkMessageId(f"{entry.message.network_message_id}-again")
            entry.message = replace(entry.message, network_message_id=renamed)
        super().store_lost(now, database)


def test_a_second_delivery_after_a_lost_store_is_found() -> None:
    failure = first_failure(Parts(transport=RenamesOnStoreLost)).failure
    assert failure is not None
    assert "times" in failure or "unaccounted" in failure  # the log tells of another message, too


class TakesRefusalsForDeliveries(TransportNode):
    """Believes that a mailbox database that has no room has stored the message."""

    def store_answered(self, now: float, number: int, answer: store.Answer) -> None:
        if isinstance(answer, store.Refused):
            asked = self.asked[number]
            outcomes = [[store.Outcome.DELIVERED] * len(each.targets) for each in asked.deliveries]
            answer = store.Delivered(outcomes)
        super().store_answered(now, number, answer)

    def __init__(
        self, organisation: Organisation, server_name: str, recovered: RecoveredQueue, luck: random.Random
    ) -> None:
        super().__init__(organisation, server_name, recovered, luck)
        self.asked: dict[int, store.Deliver] = {}

    def _flush(self, now: float) -> None:
        super()._flush(now)
        for output in self.outputs:
            if isinstance(output, CallStore) and isinstance(output.operation, store.Deliver):
                self.asked[output.number] = output.operation


def test_taking_a_refusal_of_the_store_for_a_delivery_is_found() -> None:
    failure = first_failure(Parts(transport=TakesRefusalsForDeliveries), "full-disk").failure
    assert failure is not None
    assert "neither in the queue nor in the mailbox" in failure


class NeverBounces(TransportNode):
    """Gives recipients up without telling anybody."""

    def __init__(
        self, organisation: Organisation, server_name: str, recovered: RecoveredQueue, luck: random.Random
    ) -> None:
        super().__init__(organisation, server_name, recovered, luck)
        self._reports.bouncer._not_sent_because = (  # type: ignore[method-assign]  # on this one node
            lambda message: "nobody needs to know"
        )


def test_a_failure_that_nobody_is_told_of_is_found() -> None:
    failure = first_failure(Parts(transport=NeverBounces), "full-mailbox").failure
    assert failure is not None
    assert "was not told" in failure


def without_memory(
    operation: store.Operation, tables: Tables, now: float, luck: random.Random
) -> service.Performance:
    """Perform as the room does, but deliver what was delivered before once more."""
    if isinstance(operation, store.Deliver):
        renamed = [
            replace_id(delivery, NetworkMessageId(f"{delivery.network_message_id}-{luck.random()}"))
            for delivery in operation.deliveries
        ]
        operation = store.Deliver(renamed)
    return service.perform(operation, tables, now, luck)


def replace_id(delivery: store.Delivery, network_message_id: NetworkMessageId) -> store.Delivery:
    return store.Delivery(network_message_id, delivery.data, delivery.received_at, delivery.targets)


def test_a_store_that_forgets_what_it_delivered_is_found() -> None:
    failure = first_failure(Parts(perform=without_memory)).failure
    assert failure is not None
    assert "times" in failure


class AnswersEarly(MailboxProcess):
    """Answers a delivery before its commit."""

    def job(self, asked: Perform) -> Job:
        job = super().job(asked)
        answer, touched = service.perform(asked.operation, self.disk.tables, self.clock(), random.Random(0))
        self.disk.tables.rollback()
        performed = Performed(asked.client_id, asked.number, answer, touched)
        self.later(0.0, "", lambda: self.tell(performed))
        return Job(job.write, lambda: None, lambda: None)


def test_a_store_that_answers_before_its_commit_is_found() -> None:
    failure = first_failure(Parts(mailbox=AnswersEarly)).failure
    assert failure is not None
    assert "neither in the queue nor in the mailbox" in failure


class TornQueueDisk(QueueDisk):
    """Loses the last message of a transaction."""

    def apply(self, writes: list[QueueWrite]) -> None:
        super().apply(writes)
        for write in writes:
            if isinstance(write, AddMessage) and write.message.number % 5 == 0:
                del self.messages[write.message.number]


def test_a_disk_that_loses_what_it_confirmed_is_found() -> None:
    assert first_failure(Parts(queue_disk=TornQueueDisk), "steady").failure is not None


class RecoversNothing(QueueDisk):
    """Does not find the waiting messages after a start."""

    def recover(self, now: float) -> RecoveredQueue:
        return replace(super().recover(now), messages=())


def test_a_queue_that_is_not_read_at_the_start_is_found() -> None:
    failure = first_failure(Parts(queue_disk=RecoversNothing)).failure
    assert failure is not None
    assert "still waits" in failure


class SpinsItsTimer(TransportNode):
    """Wants its timer at once, for ever."""

    def deadline(self) -> float | None:
        return 0.0


def test_a_timer_that_spins_is_found() -> None:
    failure = first_failure(Parts(transport=SpinsItsTimer), "steady").failure
    assert failure is not None
    assert "timer" in failure


class Breaks(TransportNode):
    """Fails an assertion now and then."""

    def connection_ended(self, now: float, connection_id: ConnectionId) -> None:
        raise AssertionError("half-closed connections are not expected")


def test_a_failed_assertion_is_found_with_its_place() -> None:
    result = first_failure(Parts(transport=Breaks))
    assert result.failure is not None
    assert "AssertionError in connection_ended" in result.failure
    assert any("Traceback" in line for line in result.last_lines)


class GoesByTheWallClock(TransportNode):
    """Takes the wall clock, which administrators and NTP set, for its deadlines."""

    def deadline(self) -> float | None:
        at = super().deadline()
        return None if at is None else at - self.clock_offset_s

    def timer(self, now: float) -> None:
        super().timer(now + self.clock_offset_s)

    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> None:
        super().bytes_received(now + self.clock_offset_s, connection_id, data)

    def queue_committed(self, now: float, writes: list[QueueWrite]) -> None:
        super().queue_committed(now + self.clock_offset_s, writes)

    def store_answered(self, now: float, number: int, answer: store.Answer) -> None:
        super().store_answered(now + self.clock_offset_s, number, answer)


def test_deadlines_by_the_wall_clock_are_found() -> None:
    assert first_failure(Parts(transport=GoesByTheWallClock), "clock-steps").failure is not None


class TakesReadAnswersForLost(TransportNode):
    """After a crash it takes every message since the start for one whose 250 may be lost."""

    def _settle(self, now: float) -> None:
        pass


class DropsWhatEqualsAnEarlierMessage(TransportNode):
    """Never believes that a 250 was read."""

    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> None:
        self._intake.connection_lost(now, connection_id)
        super().bytes_received(now, connection_id, data)


@pytest.mark.parametrize("node", [TakesReadAnswersForLost, DropsWhatEqualsAnEarlierMessage])
def test_a_dropped_repetition_on_purpose_is_found(node: type[TransportNode]) -> None:
    failure = first_failure(Parts(transport=node)).failure
    assert failure is not None
    assert "sent twice" in failure or "still uncertain" in failure


class SettlesOneByOne(Intake):
    """Stops when a second try that was pipelined several times is read."""

    def client_spoke(self, connection_id: ConnectionId) -> None:
        for answer in self._unread.pop(connection_id, ()):
            self._forget_answer(answer)
            if answer.duplicate:
                self._settle_first_tries(answer)
            self._settle(answer.fingerprint)


class StopsAtPipelinedSecondTries(TransportNode):
    def started(self, now: float) -> None:
        self._intake.__class__ = SettlesOneByOne
        super().started(now)


def test_a_stop_by_second_tries_that_are_pipelined_is_found() -> None:
    failure = first_failure(Parts(transport=StopsAtPipelinedSecondTries)).failure
    assert failure is not None
    assert "KeyError" in failure
