"""The queue in memory: one write per message at a time, and a bound on the data it keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.queue import (
    FinishRecipients,
    Marks,
    Queue,
    QueuedMessage,
    RecipientOutcome,
    RecoveredQueue,
)


def message(number: int, size_bytes: int = 10) -> QueuedMessage:
    data = b"x" * size_bytes
    nmid = NetworkMessageId(str(number))
    return QueuedMessage(number, nmid, 0.0, "s@x", ("a@x", "b@x"), size_bytes, data, "", "", b"f")


def queue(memory_bytes_max: int = 100) -> Queue:
    return Queue(RecoveredQueue((message(3),), 4, {}), memory_bytes_max)


def test_what_was_found_waits_without_its_data() -> None:
    found = queue()
    assert len(found) == 1
    assert [entry.message.data for entry in found] == [None]
    assert found.take_number() == 4
    assert found.get(9) is None


def test_outcomes_become_one_write_and_the_last_takes_the_message_out() -> None:
    held = queue()
    entry = held[3]
    entry.outcomes += (RecipientOutcome(("a@x",), "A\r\n", added=("b@x", "c@x")),)
    write, _ = held.begin_write(entry)
    assert write == FinishRecipients(3, ("b@x", "c@x"), "A\r\n")
    entry.outcomes += (RecipientOutcome(("b@x",), "B\r\n"),)
    assert held.written(write) == (entry, ("c@x",))
    entry.outcomes += (RecipientOutcome(("c@x",), "C\r\n"),)
    write, outcomes = held.begin_write(entry)
    assert (write.remaining, write.tracking, len(outcomes)) == ((), "B\r\nC\r\n", 2)
    held.written(write)
    assert len(held) == 0


def test_only_one_write_at_a_time() -> None:
    held = queue()
    held[3].outcomes += (RecipientOutcome(("a@x",), ""),)
    held.begin_write(held[3])
    held[3].outcomes += (RecipientOutcome(("b@x",), ""),)
    with pytest.raises(AssertionError):
        held.begin_write(held[3])


def test_a_failed_write_gives_its_outcomes_back_in_front() -> None:
    held = queue()
    entry = held[3]
    entry.outcomes += (RecipientOutcome(("a@x",), "A"),)
    write, _ = held.begin_write(entry)
    entry.outcomes += (RecipientOutcome(("b@x",), "B"),)
    assert held.write_failed(write) is entry
    write, _ = held.begin_write(entry)
    assert write == FinishRecipients(3, (), "AB")


def test_data_above_the_bound_stays_on_disk() -> None:
    held = Queue(RecoveredQueue((), 1, {}), 100)
    assert held.room_for(1000)  # one message always may
    first = held.add(0.0, message(held.take_number(), 80))
    second = held.add(0.0, message(held.take_number(), 80))
    assert first.message.data is not None
    assert second.message.data is None
    assert (held.memory_bytes, held.room_for(20), held.room_for(21)) == (80, True, False)
    held.forget_data(first)
    held.forget_data(first)
    held.data_read(second, b"x" * 80)
    held.data_read(second, b"x" * 80)
    assert held.memory_bytes == 80
    second.outcomes += (RecipientOutcome(("a@x", "b@x"), ""),)
    held.written(held.begin_write(second)[0])
    assert held.memory_bytes == 0


def test_a_number_is_used_once() -> None:
    held = queue()
    with pytest.raises(AssertionError):
        held.add(0.0, message(3))
    with pytest.raises(AssertionError):
        held.add(0.0, message(99))


def test_a_message_that_comes_old_is_sorted_in_by_its_age() -> None:
    held = queue()
    held[3].queued_at = 500.0
    for number, age_s in ((4, 0.5), (5, 700.0), (6, 100.0)):
        assert held.take_number() == number
        told = replace(message(number), marks=Marks(delay_told=number == 6))
        held.add(1000.0, told, age_s)
    # What this server took to make it durable is no age, and what comes young is not looked at again.
    assert [(entry.message.number, entry.queued_at) for entry in held] == [
        (3, 500.0), (4, 1000.0), (5, 300.0), (6, 900.0),
    ]  # fmt: skip
    assert held.unsorted
    held.sort_by_age()
    assert [entry.message.number for entry in held] == [5, 3, 6, 4]
    assert list(held.untold) == [5, 3, 4]
    assert not held.unsorted


def test_what_was_found_waiting_from_the_safety_net_begins_its_wait_anew() -> None:
    old = [replace(message(1), received_at=100.0), replace(message(2), received_at=100.0)]
    old[0] = replace(old[0], marks=Marks(resubmitted=True))
    held = Queue(RecoveredQueue(tuple(old), 3, {}))
    held.put_in_order(5000.0)
    assert {entry.message.number: entry.queued_at for entry in held} == {2: 100.0, 1: 5000.0}
