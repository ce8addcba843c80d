"""Who reads beside the writer sees what was told, in the tables and in the commit log, of one instant."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from drivers.queue_homes import open_queue
from drivers.test_commit_log import add, finish, home, small, stored, write
from holdfast.drivers import queue_snapshot as queue_snapshot_module
from holdfast.drivers.commit_log import read_commits
from holdfast.drivers.protection_reader import read_unprotected
from holdfast.drivers.queue_frames import Batch
from holdfast.drivers.queue_reader import read_ledger, read_message, read_queue
from holdfast.drivers.queue_snapshot import queue_snapshot
from holdfast.transport.queue import TrackOnly

__all__ = ["home", "small"]  # fixtures


def test_without_a_database_there_is_nothing(home: Path) -> None:
    with queue_snapshot(home) as found:
        assert found is None


def test_a_message_that_came_and_went_never_reaches_the_tables(home: Path) -> None:
    database, _ = open_queue(home)
    assert write(database, add(1), add(2, b"stays")) is None
    assert write(database, finish(1, "b@example.test"), number=2) is None
    assert write(database, finish(1), number=3) is None
    assert (stored(home), database.in_tables) == ([], 0)
    assert [each.number for each in read_queue(home)] == [2]
    assert (read_message(home, "1"), read_message(home, "message-2")) == (None, b"stays")
    ledger = read_ledger(home)
    assert (ledger.accepted_count, ledger.delivered_count, ledger.queued_count) == (4, 2, 2)
    assert ledger.copies.alone_count == 1
    database.rest()
    assert (stored(home), database.in_tables) == ([2], 3)
    assert write(database, finish(2), number=4) is None
    assert (stored(home), read_queue(home), read_message(home, "2")) == ([2], [], None)
    assert read_ledger(home).copies.alone_count == 0
    database.close(True, {})
    assert stored(home) == []


def test_a_log_that_is_emptied_between_two_looks_hides_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(path: Path, identity: str, after: int) -> list[Batch]:
        read_after.append(after)
        if len(read_after) == 1:
            database.close(True, {})
        return read_commits(path, identity, after)

    database, _ = open_queue(home)
    assert write(database, add(1)) is None
    read_after: list[int] = []
    monkeypatch.setattr(queue_snapshot_module, "read_commits", late)
    assert [each.number for each in read_queue(home)] == [1]
    assert read_after == [0, 1]


def test_what_only_the_log_has_is_among_the_unprotected(home: Path) -> None:
    database, _ = open_queue(home)
    assert write(database, add(1), add(2), add(3)) is None
    database.rest()
    assert write(database, add(4), finish(2), finish(3, "b@example.test"), number=2) is None
    found = read_unprotected(home, with_alone=True, limit=2)
    assert [(each.number, each.recipients) for each in found] == [
        (1, ("a@example.test", "b@example.test")),
        (3, ("b@example.test",)),
    ]
    found = read_unprotected(home, with_alone=True, limit=9)
    assert [(each.number, each.since) for each in found] == [(1, 1001.5), (3, 1003.5), (4, 1004.5)]
    assert read_unprotected(home, with_alone=False, limit=9) == []
    database.close(True, {})


@pytest.mark.usefixtures("small")
def test_a_reader_beside_a_busy_writer_always_sees_one_instant(home: Path) -> None:
    database, _ = open_queue(home)
    stop = threading.Event()

    def busy() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            assert write(database, add(number, bytes(900)), number=2 * number) is None
            gone = [finish(number - 2)] if number > 2 else []
            assert write(database, *gone, TrackOnly(""), number=2 * number + 1) is None

    writer = threading.Thread(target=busy)
    writer.start()
    try:
        seen = 0
        while seen < 60:
            ledger = read_ledger(home)
            seen += 1
            assert ledger.unaccounted_count == 0
            assert ledger.accepted_count == ledger.delivered_count + ledger.queued_count
            assert ledger.queued_count <= 2 * 3
    finally:
        stop.set()
        writer.join()
    database.close(True, {})
