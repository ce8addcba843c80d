"""Bugs of sending to next hops, planted on purpose: the simulator must find each within a few seeds."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import ClassVar

import pytest

from holdfast.directory.model import Organisation
from holdfast.node.transport import TransportNode
from holdfast.sim.run import Parts, simulate
from holdfast.sim.scenario import load_scenario
from holdfast.transport.outbound import Outbound
from holdfast.transport.outbound_queue import OutboundConnection
from holdfast.transport.outbound_session import Reply, TransactionDone
from holdfast.transport.queue import RecoveredQueue

SEED_COUNT = 60


class Planted(TransportNode):
    """A node whose queues to next hops have a bug."""

    outbound: ClassVar[type[Outbound]] = Outbound

    def __init__(
        self, organisation: Organisation, server_name: str, recovered: RecoveredQueue, luck: random.Random
    ) -> None:
        super().__init__(organisation, server_name, recovered, luck)
        self._delivery.outbound.__class__ = self.outbound


def first_failure(bug: type[Outbound]) -> str:
    """Run seeds until one fails."""

    class Node(Planted):
        outbound = bug

    for seed in range(SEED_COUNT):
        result = simulate(seed, load_scenario("relay"), Parts(transport=Node))
        if result.failure is not None:
            return result.failure
    pytest.fail(f"{SEED_COUNT} seeds of relay did not find the planted bug")


class FinishesEarly(Outbound):
    """Takes a message for delivered as soon as its final dot was sent, before the next hop's 250."""

    def dot_sent(self, connection: OutboundConnection, transaction: int) -> int:
        part = connection.given.pop(transaction)
        done = TransactionDone(transaction, part.recipients, (), Reply(250, "2.0.0", "sure", "message"))
        part.lane.drop(part.entry.queued_at, part)
        self._accepted(part.entry.queued_at, connection, part, done, in_flight_count=1)
        return part.entry.message.number

    def done(self, now: float, connection: OutboundConnection, done: TransactionDone) -> None:
        if done.number in connection.given:
            super().done(now, connection, done)


def test_a_message_finished_before_the_250_is_found() -> None:
    failure = first_failure(FinishesEarly)
    assert "neither in the queue nor with a next hop" in failure


class ForgetsTheRefused(Outbound):
    """Takes a message for delivered to all when it was to some."""

    def done(self, now: float, connection: OutboundConnection, done: TransactionDone) -> None:
        if done.accepted:
            everybody = (*done.accepted, *(recipient for recipient, _ in done.refused))
            done = replace(done, accepted=everybody, refused=())
        super().done(now, connection, done)


def test_a_forgotten_refused_recipient_is_found() -> None:
    failure = first_failure(ForgetsTheRefused)
    assert "neither in the queue nor with a next hop" in failure


class RetriesTheAccepted(Outbound):
    """Sends a message again to all when some were put off."""

    def done(self, now: float, connection: OutboundConnection, done: TransactionDone) -> None:
        if done.accepted and done.refused:
            later = Reply(451, "4.3.0", "later", "RCPT")
            everybody = (*done.refused, *((recipient, later) for recipient in done.accepted))
            done = replace(done, accepted=(), refused=everybody)
        super().done(now, connection, done)


def test_a_second_copy_for_an_accepted_recipient_is_found() -> None:
    failure = first_failure(RetriesTheAccepted)
    assert "only 0 acceptances could not be known" in failure


class GivesUpAtOnce(Outbound):
    """Returns a message to its sender when it was only put off."""

    def done(self, now: float, connection: OutboundConnection, done: TransactionDone) -> None:
        never = tuple((recipient, replace(reply, code=550)) for recipient, reply in done.refused)
        super().done(now, connection, replace(done, refused=never))


def test_somebody_given_up_whom_nobody_refused_is_found() -> None:
    assert "who can be served" in first_failure(GivesUpAtOnce)
