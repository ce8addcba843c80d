"""The small files beside the queue database: what survives the end of the process, and what is nonsense."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.drivers.queue_journal import (
    AT_WORK_FILE,
    CRASHES_FILE,
    SLOT_BYTES,
    SLOT_COUNT_AT_FIRST,
    InFlightFile,
    keep_crashes,
    note_crash,
    note_end,
    open_at_work,
    read_crashes,
)
from holdfast.kernel.errors import Unavailable


def test_a_note_is_there_for_the_next_life_without_any_goodbye(tmp_path: Path) -> None:
    path = tmp_path / "queue.in_flight"
    first = InFlightFile(path)
    assert first.numbers == ()
    for number in (7, 8, 8, 9):
        first.note(number)
    first.forget([7, 8, 77])
    # Not closed: the process is gone.
    second = InFlightFile(path)
    assert sorted(second.numbers) == [8, 9]
    second.forget([8, 9, 9])
    second.close()
    third = InFlightFile(path)
    assert third.numbers == ()
    third.close()
    first.close()


def test_a_message_that_was_noted_twice_is_forgotten_at_once_by_the_next_life(tmp_path: Path) -> None:
    path = tmp_path / "f"
    first = InFlightFile(path)
    first.note(7)
    first.note(7)
    second = InFlightFile(path)
    assert second.numbers == (7,)
    second.forget([7])
    second.close()
    third = InFlightFile(path)
    assert third.numbers == ()
    third.close()
    first.close()


def test_no_note_lies_in_a_hole_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    notes = InFlightFile(path)
    for number in range(1, SLOT_COUNT_AT_FIRST + 2):
        notes.note(number)
    found = path.stat()
    assert found.st_blocks * 512 >= found.st_size
    notes.close()


def test_it_grows_and_uses_slots_again(tmp_path: Path) -> None:
    path = tmp_path / "f"
    notes = InFlightFile(path)
    many = range(1, SLOT_COUNT_AT_FIRST + 100)
    for number in many:
        notes.note(number)
    size = path.stat().st_size
    assert size == 2 * SLOT_COUNT_AT_FIRST * SLOT_BYTES
    for _ in range(3):
        notes.forget(many)
        for number in many:
            notes.note(number)
    assert path.stat().st_size == size
    again = InFlightFile(path)
    assert sorted(again.numbers) == list(many)
    again.close()
    notes.close()


@given(st.binary(max_size=100))
@settings(max_examples=40, deadline=None)
def test_any_file_is_read(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("journal") / "f"
    path.write_bytes(data)
    notes = InFlightFile(path)
    found = notes.numbers
    notes.forget(found)
    notes.note(5)
    assert 5 in notes.numbers
    notes.close()


def test_a_file_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    with pytest.raises(Unavailable, match="cannot open"):
        InFlightFile(tmp_path / "f")


def test_crashes_are_counted_and_forgotten_with_their_message(tmp_path: Path) -> None:
    assert read_crashes(tmp_path) == Counter()
    for number in (3, 4, 3):
        note_crash(tmp_path, number)
    counts = read_crashes(tmp_path)
    assert counts == {3: 2, 4: 1}
    keep_crashes(tmp_path, counts, {3, 4, 5})
    assert read_crashes(tmp_path) == {3: 2, 4: 1}
    keep_crashes(tmp_path, counts, {3})
    assert read_crashes(tmp_path) == {3: 2}
    keep_crashes(tmp_path, read_crashes(tmp_path), set())
    assert not (tmp_path / CRASHES_FILE).exists()


def test_lines_that_nobody_wrote_count_nothing(tmp_path: Path) -> None:
    (tmp_path / CRASHES_FILE).write_bytes(b"x\n-3\n\n" + b"9" * 30 + b"\n5\n\xff\n")
    assert read_crashes(tmp_path) == {5: 1}


def test_a_crash_that_cannot_be_written_down_stops_nothing(tmp_path: Path) -> None:
    note_crash(tmp_path / "nowhere", 1)


@pytest.mark.parametrize(
    ("exit_code", "counts"),
    [(-signal.SIGSEGV, {7: 1}), (-signal.SIGABRT, {7: 1}), (-signal.SIGKILL, {}), (1, {})],
)
def test_a_fault_that_ends_a_process_is_put_down_to_the_message_at_work(
    tmp_path: Path, exit_code: int, counts: dict[int, int]
) -> None:
    open_at_work(tmp_path / AT_WORK_FILE)[0] = 7
    note_end(tmp_path, exit_code)
    assert read_crashes(tmp_path) == counts
    note_end(tmp_path, exit_code)  # it ended again, before it looked at anything
    assert read_crashes(tmp_path) == counts


def test_a_new_life_works_on_nothing_yet(tmp_path: Path) -> None:
    open_at_work(tmp_path / AT_WORK_FILE)[0] = 7
    assert open_at_work(tmp_path / AT_WORK_FILE)[0] == 0
    note_end(tmp_path, -signal.SIGSEGV)
    assert read_crashes(tmp_path) == {}


def test_where_the_message_at_work_cannot_be_kept_work_goes_on(tmp_path: Path) -> None:
    slot = open_at_work(tmp_path / "nowhere" / AT_WORK_FILE)
    slot[0] = 7
    assert slot[0] == 7
    note_end(tmp_path, -signal.SIGSEGV)
