from __future__ import annotations

import pytest

from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.copy_state import OUTSIDE
from holdfast.transport.protection import LATE_COPY_COUNT_MAX, Protection
from holdfast.transport.queue import AddMessage, Queue, QueuedMessage, RecoveredQueue
from holdfast.transport.shadow_writes import Copied, ForgetCopies
from holdfast.transport.tracking import TrackingWriter
from holdfast.wire import shadow

NOW = 1000.0


class Desk:
    """A queue with its protection, and two partners."""

    def __init__(self, *partners: str) -> None:
        self.queue = Queue(RecoveredQueue((), 1, {}))
        self.protection = Protection(self.queue, TrackingWriter("mail1", with_subject=True))
        self.protection.follow(NOW, partners or ("mail2",), 5.0)

    def up(self, name: str = "mail2", holds: tuple[int, ...] = ()) -> None:
        self.protection.link_up(name)
        self.protection.holding(NOW, name, shadow.Holding(holds, True))

    def message(self) -> AddMessage:
        number = self.queue.take_number()
        return AddMessage(
            QueuedMessage(
                number, NetworkMessageId(f"id-{number}"), NOW, "s@x", ("a@x",), 4, b"data", "", "", b"f"
            ),
            "",
        )

    def commit(self, write: AddMessage) -> None:
        self.queue.add(NOW, write.message)
        self.protection.committed(NOW, write)

    def unprotected(self) -> int:
        """A message that was taken in without a partner; returns its number."""
        write = self.message()
        assert self.protection.take(NOW, write, required=False)
        self.commit(write)
        return write.message.number

    def waiting(self) -> AddMessage:
        """A message whose copy a partner was asked to hold."""
        write = self.message()
        assert not self.protection.take(NOW, write, required=False)
        return write

    def protected(self, name: str = "mail2") -> int:
        write = self.waiting()
        self.protection.held(NOW, name, (write.message.number,))
        assert self.protection.ready.pop() is write
        self.commit(write)
        return write.message.number

    def said(self) -> list[tuple[str, shadow.PrimaryFrame]]:
        self.protection.advance(NOW)
        frames, self.protection.frames = self.protection.frames, []
        return frames


def pair_of_partners() -> Desk:
    """A desk whose two partners are up."""
    desk = Desk("mail2", "mail3")
    desk.up("mail2")
    desk.up("mail3")
    return desk


def test_nothing_goes_to_a_partner_before_it_has_listed_what_it_holds() -> None:
    desk = Desk()
    desk.protection.link_up("mail2")
    assert not desk.protection.usable("mail2")
    desk.protection.holding(NOW, "mail2", shadow.Holding((), False))
    assert not desk.protection.usable("mail2")
    desk.protection.holding(NOW, "mail2", shadow.Holding((), True))
    assert desk.protection.usable("mail2")


def test_what_a_partner_holds_and_we_do_not_know_is_discarded_first() -> None:
    desk = Desk()
    desk.up(holds=(77,))
    assert desk.said() == [("mail2", shadow.Finished((), (77,)))]
    desk.protection.discarded("mail2", (77,))
    assert desk.protection.discard_count("mail2") == 0


def test_what_a_partner_holds_and_we_believed_unprotected_is_protected() -> None:
    desk = Desk()
    number = desk.unprotected()
    desk.up(holds=(number,))
    assert desk.protection.holder_of(number) == "mail2"
    assert Copied(number, "mail2", NOW) in desk.protection.writes


def test_what_a_partner_lost_is_unprotected_and_copied_again() -> None:
    desk = Desk()
    desk.up()
    number = desk.protected()
    desk.said()
    desk.protection.link_down(NOW, "mail2")
    desk.up()
    assert desk.protection.holder_of(number) == ""
    assert [each.kind.event_id for each in desk.protection.logs] == ["TRN-0501", "TRN-0503", "TRN-0501"]
    ((_, frame),) = [each for each in desk.said() if isinstance(each[1], shadow.Copy)]
    assert isinstance(frame, shadow.Copy)
    assert frame.number == number
    assert frame.fingerprint == b""  # nobody will try again
    desk.protection.held(NOW, "mail2", (number,))
    assert desk.protection.holder_of(number) == "mail2"


def test_without_a_partner_required_is_put_off_and_preferred_is_marked() -> None:
    desk = Desk()
    with pytest.raises(Refusal) as caught:
        desk.protection.take(NOW, desk.message(), required=True)
    assert (caught.value.code, caught.value.status) == (451, "4.4.0")
    write = desk.message()
    assert desk.protection.take(NOW, write, required=False)
    assert write.holder == ""
    assert "HAREDIRECTFAIL" in write.tracking


@pytest.mark.parametrize("required", [True, False])
def test_a_partner_that_goes_away_decides_for_what_waited(required: bool) -> None:
    desk = Desk()
    desk.up()
    write = desk.message()
    assert not desk.protection.take(NOW, write, required=required)
    desk.protection.link_down(NOW, "mail2")
    assert desk.protection.refused == ([write] if required else [])
    assert desk.protection.ready == ([] if required else [write])
    assert desk.protection.waiting_count == 0


def test_the_next_partner_is_asked_when_the_first_is_gone() -> None:
    desk = pair_of_partners()
    write = desk.message()
    desk.protection.take(NOW, write, required=True)
    desk.protection.link_down(NOW, "mail2")
    assert [name for name, each in desk.said() if isinstance(each, shadow.Copy)] == ["mail2", "mail3"]
    desk.protection.held(NOW, "mail3", (write.message.number,))
    assert desk.protection.ready == [write]
    assert write.holder == "mail3"
    desk.commit(write)
    # The first one may have it all the same; when it is back it is told to let it go.
    desk.up("mail2", holds=(write.message.number,))
    assert ("mail2", shadow.Finished((), (write.message.number,))) in desk.said()


def test_who_does_not_answer_in_time_is_distrusted_once() -> None:
    desk = Desk()
    desk.up()
    writes = [desk.message(), desk.message()]
    for write in writes:
        desk.protection.take(NOW, write, required=False)
    assert desk.protection.deadline() == NOW + 5.0
    desk.protection.timer(NOW + 5.0)
    assert desk.protection.distrusted == [("mail2", "it did not hold a copy within 5 s")]
    assert desk.protection.ready == writes
    assert desk.protection.deadline() is None


def test_an_answer_for_a_message_that_was_never_given_is_refused() -> None:
    desk = Desk()
    desk.up()
    desk.protection.take(NOW, desk.message(), required=False)
    with pytest.raises(Refusal, match="which it was not given"):
        desk.protection.held(NOW, "mail2", (999,))


def test_an_answer_that_comes_after_its_link_counts() -> None:
    desk = Desk()
    desk.up()
    write = desk.message()
    desk.protection.take(NOW, write, required=False)
    desk.protection.link_down(NOW, "mail2")
    desk.commit(write)
    desk.up()  # it was still on its way to the disk there
    desk.protection.held(NOW, "mail2", (write.message.number,))
    assert desk.protection.holder_of(write.message.number) == "mail2"


def test_a_message_is_discarded_when_its_report_is_protected() -> None:
    desk = Desk()
    desk.up()
    number = desk.protected()
    desk.said()
    report = desk.message()
    report.holder = ""
    desk.commit(report)
    desk.protection.finished(number, kept=True, outside=False, reports=(report.message.number,))
    frames = [frame for _, frame in desk.said()]
    assert [type(each).__name__ for each in frames] == ["Copy"]
    desk.protection.held(NOW, "mail2", (report.message.number,))
    assert desk.said() == [("mail2", shadow.Finished((number,), ()))]


def test_discards_wait_for_the_partner_and_are_told_again_until_they_are_durable_there() -> None:
    desk = Desk()
    desk.up()
    number = desk.protected()
    desk.said()
    desk.protection.link_down(NOW, "mail2")
    desk.protection.finished(number, kept=False, outside=True)
    assert desk.said() == []
    desk.up(holds=(number,))
    assert desk.said() == [("mail2", shadow.Finished((), (number,)))]
    assert desk.said() == []
    desk.protection.discarded("mail2", (number,))
    assert desk.protection.writes[-1] == ForgetCopies((number,))


def test_a_message_that_is_finished_while_its_late_copy_is_on_its_way_is_discarded() -> None:
    desk = Desk()
    number = desk.unprotected()
    desk.up()
    assert any(isinstance(frame, shadow.Copy) for _, frame in desk.said())
    desk.protection.finished(number, kept=False, outside=False)
    assert ("mail2", shadow.Finished((), (number,))) in desk.said()
    desk.protection.held(NOW, "mail2", (number,))
    assert desk.protection.holder_of(number) is None


def test_late_copies_are_few_at_a_time_and_read_from_disk_where_they_are_not_at_hand() -> None:
    desk = Desk()
    numbers = [desk.unprotected() for _ in range(LATE_COPY_COUNT_MAX + 5)]
    desk.queue.forget_data(desk.queue[numbers[0]])
    desk.up()
    frames = desk.said()
    assert desk.protection.wanted == [numbers[0]]
    assert len(frames) == LATE_COPY_COUNT_MAX - 1
    desk.protection.data_read(NOW, numbers[0], b"data")
    assert len(desk.said()) == 1
    desk.protection.held(NOW, "mail2", tuple(numbers[:10]))
    assert len(desk.said()) == 5


def test_a_partner_that_refuses_late_copies_is_asked_again_later() -> None:
    desk = Desk()
    number = desk.unprotected()
    desk.up()
    desk.said()
    desk.protection.not_held(NOW, "mail2", shadow.NotHeld((number,), "the disk is full"))
    assert desk.said() == []
    assert desk.protection.deadline() == NOW + 10.0
    desk.protection.timer(NOW + 10.0)
    desk.protection.advance(NOW + 10.0)
    assert [type(frame).__name__ for _, frame in desk.protection.frames] == ["Copy"]


def test_what_was_taken_over_is_nobodys_copy_and_says_whether_it_may_have_gone_out() -> None:
    desk = Desk()
    desk.up()
    waiting, inside, outside = desk.protected(), desk.protected(), desk.protected()
    desk.protection.finished(inside, kept=True, outside=False)
    desk.protection.finished(outside, kept=False, outside=True)
    assert not desk.protection.taken_over("mail2", inside)
    assert desk.protection.taken_over("mail2", outside)
    desk.protection.taken_over("mail2", waiting)
    assert desk.protection.protected_count == 0
    assert desk.protection.discard_count("mail2") == 0


def test_a_server_that_is_no_longer_declared_holds_nothing_for_us() -> None:
    desk = Desk("mail2", "mail3")
    desk.up("mail2")
    number, finished = desk.protected(), desk.protected()
    desk.protection.finished(finished, kept=False, outside=False)
    desk.protection.follow(NOW, ("mail3",), 5.0)
    assert desk.protection.holder_of(number) == ""
    assert ForgetCopies((finished,)) in desk.protection.writes


def test_an_earlier_life_is_taken_over() -> None:
    desk = Desk()
    desk.queue.take_number()
    desk.protection.recovered({1: ("mail2", 0.0), 2: ("", 7.0)}, ((3, "mail2", True),))
    assert desk.protection.held_by("mail2") == [1]
    assert desk.protection.unprotected == {2: 7.0}
    assert desk.protection.discard_count("mail2") == 1
    assert desk.protection.taken_over("mail2", 3)  # whether it went out is not known any more
    assert OUTSIDE


def test_a_copy_of_what_is_on_its_way_to_our_disk_is_not_discarded_when_the_link_comes_back() -> None:
    # Found by the simulator: our commit took longer than the link was down.
    desk = Desk()
    desk.up()
    write = desk.waiting()
    number = write.message.number
    desk.protection.held(NOW, "mail2", (number,))
    desk.protection.link_down(NOW, "mail2")
    desk.up(holds=(number,))
    desk.said()
    desk.commit(write)
    assert desk.protection.holder_of(number) == "mail2"
    assert desk.protection.discard_count("mail2") == 0


def test_a_copy_that_is_lost_while_we_commit_is_made_again() -> None:
    desk = Desk()
    desk.up()
    write = desk.waiting()
    number = write.message.number
    desk.protection.held(NOW, "mail2", (number,))
    desk.protection.link_down(NOW, "mail2")
    desk.up()  # it has another disk now
    desk.commit(write)
    assert desk.protection.holder_of(number) == ""
    assert Copied(number, "", NOW) in desk.protection.writes


@pytest.mark.parametrize("listed", [True, False])
def test_a_copy_that_came_about_while_we_commit_without_it_counts(listed: bool) -> None:
    desk = Desk()
    desk.up()
    write = desk.waiting()
    number = write.message.number
    desk.protection.link_down(NOW, "mail2")
    assert write.holder == ""
    desk.up(holds=(number,) if listed else ())
    if not listed:
        desk.protection.held(NOW, "mail2", (number,))
    desk.commit(write)
    assert desk.protection.holder_of(number) == "mail2"


def test_a_copy_that_was_discarded_meanwhile_protects_nothing() -> None:
    # Found by the simulator: the first partner listed its copy while the second was asked, and discarded it.
    desk = pair_of_partners()
    write = desk.waiting()
    number = write.message.number
    desk.protection.link_down(NOW, "mail2")
    desk.up("mail2", holds=(number,))
    desk.protection.link_down(NOW, "mail3")
    assert write.holder == ""
    desk.up("mail3")
    desk.protection.held(NOW, "mail3", (number,))
    desk.protection.discarded("mail2", (number,))
    desk.commit(write)
    assert desk.protection.holder_of(number) == "mail3"


def test_of_two_copies_that_came_about_while_we_commit_without_one_the_second_is_discarded() -> None:
    desk = pair_of_partners()
    write = desk.waiting()
    number = write.message.number
    desk.protection.link_down(NOW, "mail2")
    desk.protection.link_down(NOW, "mail3")
    desk.up("mail2", holds=(number,))
    desk.up("mail3", holds=(number,))
    desk.commit(write)
    assert desk.protection.holder_of(number) == "mail2"
    assert desk.protection.discard_count("mail2") == 0
    assert desk.protection.discard_count("mail3") == 1


def test_the_copies_of_what_could_not_be_committed_go_wherever_they_are() -> None:
    desk = Desk()
    desk.up()
    write = desk.waiting()
    desk.protection.link_down(NOW, "mail2")
    desk.up(holds=(write.message.number,))
    desk.said()
    desk.protection.failed(write)
    assert desk.said() == [("mail2", shadow.Finished((), (write.message.number,)))]


def test_a_late_copy_is_discarded_when_another_partner_turned_out_to_have_one() -> None:
    desk = Desk("mail2", "mail3")
    number = desk.unprotected()
    desk.up("mail2")
    desk.said()
    desk.up("mail3", holds=(number,))
    assert desk.protection.holder_of(number) == "mail3"
    desk.protection.held(NOW, "mail2", (number,))
    assert desk.protection.holder_of(number) == "mail3"
    assert desk.protection.discard_count("mail2") == 1


def test_no_late_copy_goes_where_the_discard_of_an_older_one_is_still_under_way() -> None:
    desk = Desk("mail2", "mail3")
    number = desk.unprotected()
    desk.up("mail2")
    desk.said()
    desk.up("mail3", holds=(number,))
    desk.protection.held(NOW, "mail2", (number,))
    desk.protection.link_down(NOW, "mail3")
    desk.up("mail3")  # it lost its disk
    assert desk.protection.holder_of(number) == ""
    assert not any(isinstance(frame, shadow.Copy) for _, frame in desk.said())
    desk.protection.discarded("mail2", (number,))
    assert any(isinstance(frame, shadow.Copy) for _, frame in desk.said())


@pytest.mark.parametrize("listed", [True, False])
def test_a_second_copy_of_what_is_committed_with_another_holder_is_discarded(listed: bool) -> None:
    # Found by the simulator: the first partner's link broke while it wrote, and came back during our commit.
    desk = pair_of_partners()
    write = desk.waiting()
    number = write.message.number
    desk.protection.link_down(NOW, "mail2")
    desk.protection.held(NOW, "mail3", (number,))
    desk.up("mail2", holds=(number,) if listed else ())
    if not listed:
        desk.protection.held(NOW, "mail2", (number,))
    desk.commit(write)
    assert desk.protection.holder_of(number) == "mail3"
    assert desk.protection.discard_count("mail2") == 1


def test_partners_that_both_refuse_a_message_are_asked_once_each() -> None:
    desk = pair_of_partners()
    write = desk.message()
    desk.protection.take(NOW, write, required=False)
    full = shadow.NotHeld((write.message.number,), "the disk is full")
    desk.protection.not_held(NOW, "mail2", full)
    desk.protection.not_held(NOW, "mail3", full)
    copies = [name for name, frame in desk.said() if isinstance(frame, shadow.Copy)]
    assert copies == ["mail2", "mail3"]
    assert desk.protection.ready == [write]
    assert write.holder == ""
    assert desk.protection.usable("mail2")


def test_messages_that_are_finished_while_their_late_copies_travel_leave_room_for_others() -> None:
    desk = Desk()
    numbers = [desk.unprotected() for _ in range(12)]
    for number in numbers:
        desk.queue[number].message.size_bytes = 4 << 20
    desk.up()
    first = [frame.number for _, frame in desk.said() if isinstance(frame, shadow.Copy)]
    assert len(first) == 8
    for number in first:
        desk.protection.finished(number, kept=False, outside=False)
        desk.protection.held(NOW, "mail2", (number,))
    others = [frame.number for _, frame in desk.said() if isinstance(frame, shadow.Copy)]
    assert others == numbers[8:]


def test_what_an_earlier_life_knows_to_be_held_is_not_unprotected_as_well() -> None:
    # Found by the simulator: after a start a message was both, and its copy at one partner was discarded.
    desk = Desk("mail2", "mail3")
    number = desk.unprotected()
    desk.protection.recovered({number: ("mail2", NOW)}, ())
    assert number not in desk.protection.unprotected
    desk.up("mail3")
    assert not any(isinstance(frame, shadow.Copy) for _, frame in desk.said())
    assert desk.protection.holder_of(number) == "mail2"


def test_a_large_copy_that_takes_long_costs_no_partner_that_answers_for_others() -> None:
    desk = Desk()
    desk.up()
    large = desk.message()
    desk.protection.take(NOW, large, required=False)
    for second in range(1, 6):
        small = desk.message()
        desk.protection.take(NOW + second - 0.5, small, required=False)
        desk.protection.held(NOW + second, "mail2", (small.message.number,))
        desk.protection.timer(NOW + second)
    assert desk.protection.distrusted == []
    assert desk.protection.ready[-1] is large
    assert large.holder == ""
    desk.commit(large)
    desk.protection.held(NOW + 8.0, "mail2", (large.message.number,))
    assert desk.protection.holder_of(large.message.number) == "mail2"


def test_what_a_host_outside_has_is_no_longer_held_for_its_recipient() -> None:
    desk = Desk()
    desk.up()
    number = desk.protected()
    desk.said()
    desk.queue[number].outside = True
    desk.queue[number].remaining = ("b@x",)
    desk.protection.narrowed(number, ("b@x",))
    assert desk.said() == [("mail2", shadow.Narrowed(number, ("b@x",)))]
    desk.protection.link_down(NOW, "mail2")
    desk.up(holds=(number,))  # it may not have heard
    assert ("mail2", shadow.Narrowed(number, ("b@x",))) in desk.said()


def test_what_one_partner_took_over_is_discarded_at_the_one_that_held_a_copy_since() -> None:
    # Found by the simulator: an earlier holder took a message over; a later one kept its copy for ever.
    desk = Desk("mail2", "mail3")
    desk.up("mail3")
    number = desk.protected("mail3")
    desk.said()
    desk.up("mail2")
    desk.protection.taken_over("mail2", number)
    assert desk.protection.holder_of(number) == "mail3"
    desk.protection.finished(number, kept=False, outside=False)
    assert ("mail3", shadow.Finished((), (number,))) in desk.said()
