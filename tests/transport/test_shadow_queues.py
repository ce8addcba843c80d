from __future__ import annotations

import pytest

from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.queue import Queue, RecoveredQueue
from holdfast.transport.shadow_queues import TAKE_OVER_COUNT, HolderWrite, ShadowQueues
from holdfast.transport.shadow_writes import (
    DropCopies,
    ForgetTakeOver,
    HeldCopy,
    HoldCopy,
    NarrowCopy,
    RecoveredShadows,
    TakeOver,
)
from holdfast.transport.tracking import TrackingWriter
from holdfast.wire import shadow

NOW = 1000.0
ONE, TWO = "1" * 32, "2" * 32


def copy(number: int, name: str = "") -> shadow.Copy:
    nmid = NetworkMessageId(name or f"id-{number}")
    return shadow.Copy(number, nmid, 0.0, "s@x", ("a@x",), "", "", b"f", b"", b"data")


class Holder:
    def __init__(self) -> None:
        self.queue = Queue(RecoveredQueue((), 1, {}))
        self.held = ShadowQueues(self.queue, TrackingWriter("mail2", with_subject=True))

    def up(self, identity: str = ONE, now: float = NOW) -> list[shadow.HolderFrame]:
        self.held.link_up(now, "mail1", identity)
        return self.said()

    def say(self, *frames: shadow.PrimaryFrame) -> None:
        for frame in frames:
            self.held.said(NOW, "mail1", frame)

    def writes(self) -> list[HolderWrite]:
        writes, self.held.writes = self.held.writes, []
        return writes

    def commit(self) -> list[HolderWrite]:
        writes = self.writes()
        for write in writes:
            self.held.committed(write)
        return writes

    def said(self) -> list[shadow.HolderFrame]:
        frames, self.held.frames = self.held.frames, []
        return [frame for _, frame in frames]

    def hold(self, *numbers: int) -> None:
        self.say(*(copy(number) for number in numbers))
        self.commit()
        self.said()


@pytest.fixture
def holder() -> Holder:
    holder = Holder()
    assert holder.up() == [shadow.Holding((), True)]
    return holder


def test_a_copy_is_answered_when_it_is_durable(holder: Holder) -> None:
    holder.say(copy(5))
    assert holder.said() == []
    (write,) = holder.commit()
    assert isinstance(write, HoldCopy)
    assert (write.primary, write.identity, write.primary_number) == ("mail1", ONE, 5)
    assert "HARECEIVE" in write.tracking
    assert holder.said() == [shadow.Held((5,))]


def test_the_same_copy_again_is_answered_at_once_and_another_one_is_refused(holder: Holder) -> None:
    holder.hold(5)
    holder.say(copy(5))
    assert holder.said() == [shadow.Held((5,))]
    assert holder.writes() == []
    with pytest.raises(Refusal, match="is another one than before"):
        holder.say(copy(5, "other"))


def test_a_full_disk_or_back_pressure_refuses_the_copy(holder: Holder) -> None:
    holder.say(copy(5))
    (write,) = holder.writes()
    holder.held.failed(NOW, write, "the disk is full")
    assert holder.said() == [shadow.NotHeld((5,), "the disk is full")]
    assert holder.held.copy_count == 0
    holder.held.refuse_copies = lambda: "under pressure"
    holder.say(copy(6))
    assert holder.said() == [shadow.NotHeld((6,), "under pressure")]


def test_a_discard_is_told_when_it_is_durable_and_keeps_what_mailboxes_have(holder: Holder) -> None:
    holder.hold(5, 6)
    holder.say(shadow.Finished((5,), (6, 7)))
    assert holder.said() == [shadow.Discarded((7,))]  # it never came
    (write,) = holder.commit()
    assert isinstance(write, DropCopies)
    assert (len(write.kept), len(write.gone)) == (1, 1)
    assert holder.said() == [shadow.Discarded((5, 6))]


def test_a_discard_that_overtakes_the_commit_of_its_copy_wins(holder: Holder) -> None:
    holder.say(copy(5), shadow.Finished((), (5,)))
    assert [type(each) for each in holder.commit()] == [HoldCopy, DropCopies]
    assert holder.held.copy_count == 0
    # And the number may come again, after a crash of its primary.
    holder.say(copy(5, "other"))
    holder.commit()
    assert holder.held.copy_count == 1


def test_a_discard_that_cannot_be_written_is_written_later(holder: Holder) -> None:
    holder.hold(5)
    holder.say(shadow.Finished((), (5,)))
    (write,) = holder.writes()
    holder.held.failed(NOW, write, "the disk is full")
    assert holder.said() == []
    due = holder.held.deadline()
    assert due is not None
    holder.held.timer(due)
    assert holder.commit() == [write]
    assert holder.said() == [shadow.Discarded((5,))]


def test_a_primary_that_is_back_is_told_what_is_held(holder: Holder) -> None:
    holder.hold(5, 6)
    holder.say(copy(7))  # on its way to the disk: answered when it is there
    holder.held.link_down(NOW, "mail1")
    assert holder.up() == [shadow.Holding((5, 6), True)]
    holder.commit()
    assert holder.said() == [shadow.Held((7,))]


def test_another_identity_is_a_loss(holder: Holder) -> None:
    holder.hold(5)
    assert holder.up(TWO) == []  # nothing is said while anything changes hands
    (write,) = holder.commit()
    assert isinstance(write, TakeOver)
    assert "RESUBMIT" in write.tracking
    assert [each.network_message_id for each in holder.held.taken_over] == ["id-5"]
    # The new database has never heard of that number.
    assert holder.said() == [shadow.Holding((), True)]


def test_who_was_declared_lost_and_lives_is_told_until_it_notes_it(holder: Holder) -> None:
    holder.hold(5, 6)
    assert holder.held.declare_lost(NOW, "mail1") == 2
    holder.commit()
    assert holder.said() == [shadow.TookOver((5, 6))]
    holder.held.link_down(NOW, "mail1")
    assert holder.up() == [shadow.TookOver((5, 6)), shadow.Holding((), True)]
    holder.say(shadow.Noted((5, 99)))
    assert holder.commit() == [ForgetTakeOver("mail1", ONE, (5,))]
    assert holder.up() == [shadow.TookOver((6,)), shadow.Holding((), True)]


def test_silence_is_a_loss_after_its_time_only(holder: Holder) -> None:
    holder.hold(5)
    holder.held.link_down(NOW, "mail1")
    assert holder.held.deadline() == NOW + 180.0
    holder.held.heard(NOW + 100.0, "mail1")  # on our own link to it
    holder.held.timer(NOW + 200.0)
    assert holder.writes() == []
    holder.held.timer(NOW + 280.0)
    assert [type(each) for each in holder.writes()] == [TakeOver]


def test_nobody_is_lost_by_silence_where_that_is_switched_off(holder: Holder) -> None:
    holder.held.takeover_s = 0.0
    holder.hold(5)
    holder.held.link_down(NOW, "mail1")
    assert holder.held.deadline() is None
    holder.held.timer(NOW + 1e6)
    assert holder.writes() == []


def test_many_are_taken_over_in_pieces(holder: Holder) -> None:
    holder.hold(*range(1, TAKE_OVER_COUNT + 2))
    holder.held.declare_lost(NOW, "mail1")
    assert [len(each.numbers) for each in holder.writes() if isinstance(each, TakeOver)] == [
        TAKE_OVER_COUNT,
        1,
    ]


def test_an_earlier_life_is_taken_over_and_shown() -> None:
    before, after = Holder(), Holder()
    before.up()
    before.hold(5)
    held = before.held._primaries["mail1"].copies[5].held
    assert isinstance(held, HeldCopy)
    after.held.recovered(NOW, RecoveredShadows(copies=(held,), taken_over=(("mail1", ONE, 9),)))
    (queue,) = after.held.queues(NOW + 7.0)
    assert (queue.primary, queue.message_count, queue.size_bytes, queue.untold_count) == ("mail1", 1, 4, 1)
    assert queue.silent_s == 7.0
    assert after.up() == [shadow.TookOver((9,)), shadow.Holding((5,), True)]


def test_a_copy_that_is_not_on_disk_yet_is_not_taken_over(holder: Holder) -> None:
    holder.say(copy(5))
    assert holder.held.declare_lost(NOW, "mail1") == 0
    writes = holder.writes()
    holder.held.failed(NOW, writes[0], "the disk is full")
    assert holder.held.copy_count == 0


def test_a_copy_that_comes_to_the_disk_after_its_primary_lost_its_own_is_taken_over(holder: Holder) -> None:
    holder.say(copy(5))
    (write,) = holder.writes()
    holder.up(TWO)
    holder.held.committed(write)
    due = holder.held.deadline()
    assert due is not None
    holder.held.timer(NOW)
    assert [type(each) for each in holder.writes()] == [TakeOver]


def test_what_was_taken_over_of_a_lost_queue_database_is_forgotten_when_there_is_another(
    holder: Holder,
) -> None:
    holder.hold(5)
    holder.held.declare_lost(NOW, "mail1")
    holder.commit()
    holder.held.link_down(NOW, "mail1")
    holder.up(TWO)
    assert holder.commit() == [ForgetTakeOver("mail1", ONE, (5,))]
    assert holder.held.queues(NOW)[0].untold_count == 0


def test_a_copy_is_kept_for_the_recipients_that_are_left(holder: Holder) -> None:
    holder.hold(5)
    holder.say(shadow.Narrowed(5, ("b@x",)), shadow.Narrowed(99, ("c@x",)))
    (write,) = holder.commit()
    assert isinstance(write, NarrowCopy)
    assert write.recipients == ("b@x",)
    holder.held.declare_lost(NOW, "mail1")
    holder.commit()
    assert [each.recipients for each in holder.held.taken_over] == [("b@x",)]
