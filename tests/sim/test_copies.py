"""What the checker of shadow copies finds, on disks made by hand."""

from __future__ import annotations

import pytest

from holdfast.kernel.ids import NetworkMessageId
from holdfast.sim.copies import CopyChecker
from holdfast.sim.disk import QueueDisk
from holdfast.sim.queue_view import QueueView
from holdfast.sim.world import Violation
from holdfast.transport.queue import AddMessage, FinishRecipients, QueuedMessage
from holdfast.transport.shadow_writes import DropCopies, ForgetCopies, ForgetTakeOver, HoldCopy, TakeOver


def message(number: int) -> QueuedMessage:
    return QueuedMessage(number, NetworkMessageId("id"), 0.0, "", ("a@x.test",), 1, b"x", "", "", b"f")


class Pair:
    """hub1 has message 1, hub2 holds its copy under number 7."""

    def __init__(self, *, held: bool = True) -> None:
        self.first = QueueView(QueueDisk(1000.0, "queue disk hub1"), "192.0.2.1", "hub1")
        self.second = QueueView(QueueDisk(1000.0, "queue disk hub2"), "192.0.2.2", "hub2")
        self.checker = CopyChecker((self.first, self.second))
        self.identity = self.first.disk.shadows.identity
        if held:
            self.second.disk.apply([HoldCopy(message(7), "hub1", self.identity, 1, "")])
        self.first.disk.apply([AddMessage(message(1), "", "hub2")])


def test_what_is_called_protected_has_its_copy() -> None:
    pair = Pair()
    pair.checker.check()
    pair.second.disk.apply([TakeOver((7,), 0.0, "")])
    pair.checker.check()  # its holder answers for it
    with pytest.raises(
        Violation, match="hub1 says that hub2 holds the copy of its message 1, which it does not"
    ):
        Pair(held=False).checker.check()


def test_a_copy_that_was_dropped_too_early_is_missed() -> None:
    pair = Pair()
    pair.second.disk.apply([DropCopies((), (7,), 0.0)])
    with pytest.raises(Violation, match="which it does not"):
        pair.checker.check()


def test_a_server_cannot_know_at_once_that_its_partner_lost_its_disk() -> None:
    pair = Pair()
    pair.checker.disk_lost(pair.second)
    pair.second.disk.lose()
    pair.checker.check()
    pair.second.disk.apply([HoldCopy(message(1), "hub1", "another identity", 1, "")])
    pair.checker.check()


def test_what_is_left_over_at_the_end_is_told() -> None:
    pair = Pair()
    assert pair.checker.left_over() is None  # it waits, and so does its copy
    pair.first.disk.apply([FinishRecipients(1, (), "")])
    assert pair.checker.left_over() == "hub1 still has a discard of message 1 for hub2"
    pair.first.disk.apply([ForgetCopies((1,))])
    assert pair.checker.left_over() == "hub2 still holds message 1 of hub1 (7)"
    pair.second.disk.apply([DropCopies((), (7,), 0.0)])
    assert pair.checker.left_over() is None


def test_a_take_over_that_its_primary_does_not_know_is_left_over_unless_it_is_gone() -> None:
    pair = Pair()
    pair.second.disk.apply([TakeOver((7,), 0.0, "")])
    assert pair.checker.left_over() == "hub2 took over message 1 of hub1, which does not know it"
    pair.first.gone = True
    assert pair.checker.left_over() is None
    pair.first.gone = False
    pair.second.disk.apply([ForgetTakeOver("hub1", pair.identity, (1,))])
    assert pair.checker.left_over() is None
