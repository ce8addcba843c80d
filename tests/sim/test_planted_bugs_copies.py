"""Bugs of shadow copies, take-over and hand-over, planted on purpose: the simulator must find each.

The committed list: acknowledge before the partner's commit, a partner that
answers before its commit, forget a fork, discard before the commit, reuse an
identity, deliver before the commit, take over without telling the old primary, not leave to a partner what
it took over, never take over, a late copy that is lost, what is unprotected not
written down, a second try at the other server taken for a new message, a
network message id that is not kept from server to server.
"""

from __future__ import annotations

import random
from typing import ClassVar, TypeGuard

import pytest

from holdfast.directory.model import Mailbox, Organisation
from holdfast.kernel.ids import NetworkMessageId
from holdfast.node.ports import CallStore
from holdfast.node.shadow import Shadows
from holdfast.node.transport import TransportNode
from holdfast.sim.disk import QueueDisk
from holdfast.sim.run import Parts, simulate
from holdfast.sim.scenario import load_scenario
from holdfast.sim.shadow_tables import ShadowTables
from holdfast.transport.intake import Intake
from holdfast.transport.outcomes import RecipientOutcome
from holdfast.transport.protection import Protection
from holdfast.transport.queue import (
    AddMessage,
    Entry,
    FinishRecipients,
    Queue,
    QueuedMessage,
    QueueWrite,
    RecoveredQueue,
)
from holdfast.transport.session_terms import MessageReceived
from holdfast.transport.shadow_queues import ShadowQueues
from holdfast.transport.shadow_writes import HeldCopy
from holdfast.wire import shadow, store

SEED_COUNT = 200  # as many as ``make test`` runs of each scenario


def first_failure(parts: Parts, scenario: str = "disk-loss", begin: int = 0) -> str:
    """Run seeds until one fails; ``begin`` leaves out those that are known not to find it."""
    for seed in range(begin, SEED_COUNT):
        result = simulate(seed, load_scenario(scenario), parts)
        if result.failure is not None:
            return result.failure
    pytest.fail(f"{SEED_COUNT} seeds did not find the planted bug")


class Planted(TransportNode):
    """A node of which some parts have a bug."""

    protection: ClassVar[type[Protection]] = Protection
    held: ClassVar[type[ShadowQueues]] = ShadowQueues
    shadows: ClassVar[type[Shadows]] = Shadows
    intake: ClassVar[type[Intake]] = Intake
    queue: ClassVar[type[Queue]] = Queue

    def __init__(
        self, organisation: Organisation, server_name: str, recovered: RecoveredQueue, luck: random.Random
    ) -> None:
        super().__init__(organisation, server_name, recovered, luck)
        self._shadows.protection.__class__ = self.protection
        self._shadows.held.__class__ = self.held
        self._shadows.__class__ = self.shadows
        self._intake.__class__ = self.intake
        self._queue.__class__ = self.queue


class DoesNotWaitForThePartner(Protection):
    """Takes a copy for held as soon as it was sent."""

    def _send_copy(self, now: float, write: AddMessage, holder: str, *, required: bool) -> None:
        super()._send_copy(now, write, holder, required=required)
        del self._waiting[write.message.number]
        write.holder = holder
        self._commit(write)

    def held(self, now: float, name: str, numbers: tuple[int, ...]) -> None:
        late = tuple(number for number in numbers if self._late.get(number) == name)
        super().held(now, name, late)


def test_250_before_the_partners_commit_is_found() -> None:
    class Node(Planted):
        protection = DoesNotWaitForThePartner

    assert "which it does not" in first_failure(Parts(transport=Node))


class AnswersBeforeItsCommit(ShadowQueues):
    """Says that it holds a copy while that is on its way to the disk."""

    def _copy(self, now: float, name: str, primary: object, frame: shadow.Copy) -> None:
        known = frame.number in primary.copies  # type: ignore[attr-defined]  # a class of that module's own
        super()._copy(now, name, primary, frame)  # type: ignore[arg-type]  # the same
        if not known and frame.number in primary.copies:  # type: ignore[attr-defined]  # the same
            self.frames.append((name, shadow.Held((frame.number,))))


def test_a_partner_that_answers_before_its_commit_is_found() -> None:
    class Node(Planted):
        held = AnswersBeforeItsCommit

    failure = first_failure(Parts(transport=Node))
    assert "which it does not" in failure


class ForgetsForks(TransportNode):
    """Discards the copy of a message as soon as one of its forks is finished."""

    def queue_committed(self, now: float, writes: list[QueueWrite]) -> None:
        super().queue_committed(now, writes)
        for write in writes:
            if isinstance(write, FinishRecipients) and write.remaining:
                self._shadows.protection.finished(write.number, kept=False, outside=True)
        self._flush(now)


def test_a_forgotten_fork_is_found() -> None:
    assert "which it does not" in first_failure(Parts(transport=ForgetsForks))


class DiscardsBeforeItsCommit(Queue):
    """Has the copy discarded while it is being written down that the message is finished."""

    protection: Protection

    def begin_write(
        self, entry: Entry, kept: float = 0.0
    ) -> tuple[FinishRecipients, tuple[RecipientOutcome, ...]]:
        write, outcomes = super().begin_write(entry, kept)
        if not write.remaining:
            self.protection.finished(write.number, kept=False, outside=True)
        return write, outcomes


def test_a_discard_before_the_commit_is_found() -> None:
    class Node(Planted):
        queue = DiscardsBeforeItsCommit

        def started(self, now: float) -> None:
            assert isinstance(self._queue, DiscardsBeforeItsCommit)
            self._queue.protection = self._shadows.protection
            super().started(now)

    assert "which it does not" in first_failure(Parts(transport=Node))


class ReusesItsIdentity(QueueDisk):
    """Another disk in the place of one that was lost, under the same identity."""

    def lose(self) -> None:
        identity = self.shadows.identity
        super().lose()
        self.shadows = ShadowTables(self.messages, identity)


def test_an_identity_that_is_used_again_is_found() -> None:
    failure = first_failure(Parts(queue_disk=ReusesItsIdentity))
    assert "got 250" in failure
    assert "is neither in the queue" in failure


class TellsNobody(ShadowQueues):
    """Takes over without telling the old primary."""

    def _tell_taken_over(self, name: str, primary: object) -> None:
        pass

    def _took_over(self, taken: dict[str, list[HeldCopy]]) -> None:
        frames = list(self.frames)
        super()._took_over(taken)
        said = [each for each in self.frames[len(frames) :] if not isinstance(each[1], shadow.TookOver)]
        self.frames = frames + said


def test_a_take_over_that_the_old_primary_is_not_told_of_is_found() -> None:
    class Node(Planted):
        held = TellsNobody

    assert "took over message" in first_failure(Parts(transport=Node))


class LeavesNothing(Shadows):
    """Goes on with what a partner took over."""

    def _took_over(self, now: float, name: str, numbers: tuple[int, ...]) -> None:
        pass


def test_a_primary_that_leaves_nothing_to_its_partner_is_found() -> None:
    class Node(Planted):
        shadows = LeavesNothing

    assert "took over message" in first_failure(Parts(transport=Node))


class NeverTakesOver(ShadowQueues):
    """Keeps copies for ever."""

    def _take_over(self, now: float, name: str, numbers: list[int], reason: str) -> None:
        pass


def test_copies_that_nobody_takes_over_are_found() -> None:
    class Node(Planted):
        held = NeverTakesOver

    failure = first_failure(Parts(transport=Node))
    assert "is neither in the queue" in failure or "still holds message" in failure


class LosesLateCopies(Protection):
    """Takes a message for protected that was to be copied late, without copying it."""

    def _send_late(self, now: float, message: QueuedMessage, holder: str) -> None:
        self._protected(now, message.number, holder)


def test_a_late_copy_that_is_lost_is_found() -> None:
    class Node(Planted):
        protection = LosesLateCopies

    failure = first_failure(Parts(transport=Node))
    assert "which it does not" in failure or "RuntimeError" in failure


class HidesTheUnprotected(Protection):
    """Writes down a holder for what nobody holds."""

    def _mark_unprotected(self, now: float, write: AddMessage) -> None:
        super()._mark_unprotected(now, write)
        write.holder = self.partner_names[0]


def test_what_is_unprotected_and_not_called_so_is_found() -> None:
    class Node(Planted):
        protection = HidesTheUnprotected

    assert "which it does not" in first_failure(Parts(transport=Node))


class TakesSecondTriesForNew(Intake):
    """Gives a second try an id of its own although a copy of the first is held."""

    def first_try_elsewhere(
        self, now: float, fingerprint: bytes, network_message_id: NetworkMessageId, *, named: bool
    ) -> None:
        pass


def test_a_second_try_at_the_other_server_that_is_taken_for_new_is_found() -> None:
    class Node(Planted):
        intake = TakesSecondTriesForNew

    assert "times, by" in first_failure(Parts(transport=Node), begin=40)


class RenamesWhatIsHandedOver(Intake):
    """Gives a message that comes from another server an id of its own."""

    def _given_id(self, now: float, message: MessageReceived, fingerprint: bytes) -> NetworkMessageId | None:
        return None if message.transfer is not None else super()._given_id(now, message, fingerprint)


def test_an_id_that_is_not_kept_from_server_to_server_is_found() -> None:
    class Node(Planted):
        intake = RenamesWhatIsHandedOver

    failure = first_failure(Parts(transport=Node), begin=50)
    assert "times, by" in failure or "too many" in failure


class DeliversBeforeTheCommit(TransportNode):
    """Hands a message to its mailboxes while it is on its way to the disk."""

    def _flush(self, now: float) -> None:
        early = [write.message for write in (*self._writes, *self._doors.writes) if _is_new(write)]
        super()._flush(now)
        for message in early:
            for recipient in message.recipients:
                mailbox = self._delivery.router.route(recipient, message.size_bytes)
                if isinstance(mailbox, Mailbox):
                    target = store.Target(mailbox.mailbox_id, b"", 1 << 30)
                    delivery = store.Delivery(message.network_message_id, message.data or b"", now, [target])
                    self.outputs.append(CallStore(mailbox.database, -1, store.Deliver([delivery])))

    def store_answered(self, now: float, number: int, answer: store.Answer) -> None:
        if number >= 0:
            super().store_answered(now, number, answer)


def _is_new(write: QueueWrite) -> TypeGuard[AddMessage]:
    return isinstance(write, AddMessage) and write.message.fingerprint != b""


def test_a_delivery_before_the_commit_is_found() -> None:
    failure = first_failure(Parts(transport=DeliversBeforeTheCommit), "plug-pull-pair")
    assert "times, by" in failure or "times in" in failure
