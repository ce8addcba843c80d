"""The queue database: durable before it is told, each tracking line once, a full disk survived."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.queue_homes import crash, open_queue
from holdfast.drivers import sqlite_queue
from holdfast.drivers.queue_frames import Batch, BatchBuilder
from holdfast.drivers.queue_reader import read_ledger, read_message, read_queue, read_tracking
from holdfast.drivers.queue_schema import SCHEMA
from holdfast.drivers.sqlite_queue import RESERVED_COUNT, QueueDatabase
from holdfast.drivers.sqlite_schema import connect, open_for_writing
from holdfast.drivers.tracking_log import TrackingLog, log_files
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.queue import (
    AddMessage,
    FinishRecipients,
    HoldQueue,
    QueuedMessage,
    QueueWrite,
    RecoveredQueue,
    SettleAnswers,
    TrackOnly,
)
from holdfast.transport.shadow_writes import RecoveredShadows
from holdfast.transport.tracking import EventId, MessageFacts, TrackingWriter

TRACKING = TrackingWriter("s", with_subject=True)
RECIPIENTS = ("a@example.test", "b@example.test")


def line(event_id: EventId, number: int, *recipients: str) -> str:
    facts = MessageFacts(number, "<m>", f"message-{number}", 100, "s", "x@y")
    return TRACKING.line(1_700_000_000.0, event_id, "SMTP", facts, recipients or RECIPIENTS)


def message(number: int, data: bytes = b"data") -> QueuedMessage:
    return QueuedMessage(
        number=number,
        network_message_id=NetworkMessageId(f"message-{number}"),
        received_at=1000.5,
        reverse_path="x@y",
        recipients=RECIPIENTS,
        size_bytes=len(data),
        data=data,
        message_id="<\udcff@y>",
        subject="S",
        fingerprint=number.to_bytes(16, "big"),
    )


def add(number: int, data: bytes = b"data") -> AddMessage:
    return AddMessage(message(number, data), line(EventId.RECEIVE, number))


def finish(number: int, *remaining: str) -> FinishRecipients:
    done = tuple(each for each in RECIPIENTS if each not in remaining)
    return FinishRecipients(number, remaining, line(EventId.DELIVER, number, *done))


def batch(writes: list[QueueWrite]) -> Batch:
    builder = BatchBuilder()
    builder.add(writes)
    return builder.finish(1)


def write(database: QueueDatabase, *batches: list[QueueWrite]) -> str | None:
    made = batch([each for writes in batches for each in writes])
    error = database.commit(made)
    if error is None:
        database.write_log()
    return error


def stored(home: Path, number: int) -> bytes | None:
    connection = connect(home / "queue.sqlite", SCHEMA)
    row = connection.execute("SELECT data FROM message WHERE number = ?", (number,)).fetchone()
    connection.close()
    return None if row is None else row[0]


def read_tracked(home: Path) -> list[int]:
    """The rows of the outbox."""
    connection = connect(home / "queue.sqlite", SCHEMA)
    found = [row[0] for row in connection.execute("SELECT id FROM outbox")]
    connection.close()
    return found


@contextmanager
def full_disk(size_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = tmp_path / "home"
    directory.mkdir()
    return directory


def log_lines(home: Path) -> list[str]:
    text = b"".join((home / "tracking" / name).read_bytes() for name in log_files(home / "tracking"))
    return [each for each in text.decode().splitlines() if not each.startswith("#")]


def test_what_was_told_is_there_after_a_kill(home: Path) -> None:
    database, recovered = open_queue(home)
    assert recovered == RecoveredQueue((), 1, {}, shadows=recovered.shadows)
    assert recovered.shadows == RecoveredShadows(recovered.shadows.identity)
    assert write(database, [add(1), add(2)], [add(3, b"third")]) is None
    assert write(database, [finish(1), finish(2, "b@example.test"), TrackOnly("")]) is None
    assert read_message(home, "3") == b"third"
    assert read_message(home, "1") is None
    after = crash(home, database)
    database, recovered = open_queue(after)
    assert [each.number for each in recovered.messages] == [2, 3]
    assert recovered.messages[0].recipients == ("b@example.test",)
    assert recovered.messages[1] == replace(message(3, b"third"), data=None, fingerprint=b"")
    assert recovered.next_number >= 4  # some were reserved
    assert set(recovered.uncertain.values()) == {"message-1", "message-2", "message-3"}
    assert (after / "queue.sqlite").stat().st_mode & 0o777 == 0o600
    database.close(True, {})
    ledger = read_ledger(after)
    assert (ledger.accepted_count, ledger.delivered_count, ledger.queued_count) == (6, 3, 3)
    assert ledger.unaccounted_count == 0


def test_a_clean_stop_leaves_only_what_it_hands_on(home: Path) -> None:
    database, _ = open_queue(home)
    write(database, [add(1), add(2)])
    database.close(True, {b"\x01": NetworkMessageId("one")})
    database, recovered = open_queue(home)
    assert recovered.uncertain == {b"\x01": "one"}
    assert recovered.next_number >= 3
    database.close(True, {})
    database, recovered = open_queue(home)
    assert recovered.uncertain == {}
    database.close(False, {})
    assert [each.number for each in read_queue(home)] == [1, 2]


def test_a_number_that_may_have_been_said_is_not_used_again_though_nothing_was_committed(home: Path) -> None:
    database, first = open_queue(home)
    home = crash(home, database)
    database, second = open_queue(home)
    assert second.next_number >= first.next_number + RESERVED_COUNT
    write(database, [add(second.next_number + RESERVED_COUNT // 2)])  # half of them are in use
    home = crash(home, database)
    database, third = open_queue(home)
    assert third.next_number >= second.next_number + RESERVED_COUNT + RESERVED_COUNT // 2
    database.close(False, {})


def test_a_read_answer_is_certain_after_a_kill_and_a_lost_one_is_not(home: Path) -> None:
    database, _ = open_queue(home)
    write(database, [add(1), add(2), add(3)])
    write(database, [SettleAnswers((message(1).fingerprint, message(3).fingerprint)), finish(1)])
    equal = AddMessage(replace(message(4), fingerprint=message(3).fingerprint), line(EventId.RECEIVE, 4))
    # Settled and used again in one transaction: what was added last counts.
    write(database, [SettleAnswers((message(3).fingerprint,)), equal])
    for _ in range(2):  # also the second kill forgets nothing
        home = crash(home, database)
        database, recovered = open_queue(home)
        assert recovered.uncertain == {
            message(2).fingerprint: "message-2",
            message(3).fingerprint: "message-4",
        }
    database.close(True, {})


def test_a_settlement_that_fails_with_its_transaction_settles_nothing(home: Path) -> None:
    database, _ = open_queue(home)
    write(database, [add(1)])
    with full_disk(200_000):
        settle = SettleAnswers((message(1).fingerprint,))
        assert write(database, [settle, add(2, os.urandom(1_000_000))]) is not None
    after = crash(home, database)
    database, recovered = open_queue(after)
    database.close(True, {})
    assert set(recovered.uncertain) == {message(1).fingerprint}


def test_each_line_is_in_the_log_once_whenever_it_was_killed(home: Path) -> None:
    database, _ = open_queue(home)
    number = 0
    copies = []
    for _ in range(5):
        number += 1
        write(database, [add(number)])
        write(database, [finish(number)])
        copy = home.with_name(f"copy-{number}")
        shutil.copytree(home, copy)
        copies.append((number, copy))
    database.close(True, {})
    for count, copy in [*copies, (number, home)]:
        found = [(each.event_id, each.network_message_id) for each in read_tracking(copy)]
        assert len(found) == 2 * count
        assert read_ledger(copy).delivered_count == 2 * count
        for _ in range(2):  # also a second start after a first
            again, _ = open_queue(copy)
            again.close(False, {})
            assert len(log_lines(copy)) == len(set(log_lines(copy))) == 2 * count
        assert read_ledger(copy).unmatched_count == 0


def test_an_older_log_is_kept_beside_a_new_database(home: Path) -> None:
    database, _ = open_queue(home)
    write(database, [add(1)])
    database.close(True, {})
    for name in ("queue.sqlite", "queue.sqlite-wal", "queue.sqlite-shm"):
        (home / name).unlink(missing_ok=True)
    database, _ = open_queue(home)
    write(database, [TrackOnly(line(EventId.DEFER, 1))])
    database.close(True, {})
    assert len(log_lines(home)) == 2
    # The queue was thrown away with a message in it, and the ledger says so.
    assert read_ledger(home).unaccounted == (("message-1", "a@example.test"), ("message-1", "b@example.test"))


def test_a_full_disk_is_reported_and_recovers_by_itself(home: Path) -> None:
    database, _ = open_queue(home)
    assert write(database, [add(1)]) is None
    with full_disk(200_000):
        error = write(database, [add(2, os.urandom(1_000_000))], [add(3)])
        assert error is not None
        assert error.startswith("queue database: ")
    assert write(database, [add(4), finish(1)]) is None
    database.close(True, {})
    assert [each.number for each in read_queue(home)] == [4]
    ledger = read_ledger(home)
    assert (ledger.accepted_count, ledger.unaccounted_count) == (4, 0)


def test_mail_goes_on_when_the_log_cannot_be_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_queue, "LOG_RETRY_S", 0.0)
    database, _ = open_queue(home)
    # A log file that is larger than what the database needs reaches the limit first.
    write(database, [TrackOnly(line(EventId.DEFER, 9) * 10_000)])
    database.close(True, {})
    before = len(log_lines(home))
    database, _ = open_queue(home)
    with full_disk((home / "tracking" / log_files(home / "tracking")[-1]).stat().st_size):
        assert write(database, [add(1)]) is None
        assert write(database, [finish(1)]) is None
        assert len(log_lines(home)) == before
    assert read_ledger(home).delivered_count == 2
    assert write(database, [TrackOnly(line(EventId.DEFER, 9))]) is None
    database.close(True, {})
    assert len(log_lines(home)) == before + 3


def test_the_log_goes_on_after_an_error_of_the_database_in_its_retry(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_queue, "LOG_RETRY_S", 0.0)
    database, _ = open_queue(home)
    # A log file that is larger than what the database needs reaches the limit first.
    write(database, [TrackOnly(line(EventId.DEFER, 9) * 10_000)])
    database.close(True, {})
    connection = open_for_writing(home / "queue.sqlite", SCHEMA)
    database = QueueDatabase(home / "queue.sqlite", connection, TrackingLog(home / "tracking"))
    database.recover()
    one = line(EventId.DEFER, 9)
    with full_disk((home / "tracking" / log_files(home / "tracking")[-1]).stat().st_size):
        assert write(database, [HoldQueue("dns:example.org", held=True, tracking=one)]) is None
    connection.close()  # what the retry asks of it fails
    database.rest()
    assert len(log_lines(home)) == 10_000
    database.rest()
    assert len(log_lines(home)) == 10_001
    database.close(False, {})


def test_the_outbox_waits_for_a_log_that_cannot_be_begun(home: Path) -> None:
    with full_disk(250_000):
        # The database fits, and the file of the log is made unwritable by hand.
        (home / "tracking").mkdir()
        (home / "tracking" / "MSGTRK9999999999-999999999.LOG").mkdir()
        (home / "tracking" / "MSGTRK9999999999-1000000000.LOG").mkdir()
        database, _ = open_queue(home)
        assert write(database, [add(1)]) is None
        database.close(True, {})
    shutil.rmtree(home / "tracking")
    database, _ = open_queue(home)
    database.close(True, {})
    assert len(log_lines(home)) == 1


def test_refusals_to_open(home: Path) -> None:
    path = home / "queue.sqlite"
    path.write_bytes(b"this is not a database" * 1000)
    with pytest.raises(Unavailable, match="is damaged"):
        open_queue(home)
    with pytest.raises(Unavailable, match="is damaged"):
        read_queue(home)
    path.unlink()
    connection = open_for_writing(path, SCHEMA)
    connection.execute("DELETE FROM state")
    connection.execute("DROP TABLE outbox")
    connection.close()
    with pytest.raises(Unavailable, match="cannot be read"):
        open_queue(home)


def test_a_home_without_a_queue_is_empty(home: Path) -> None:
    assert read_queue(home) == []
    assert read_ledger(home).accepted_count == 0
    assert list(read_tracking(home)) == []


def test_fingerprints_are_bounded_and_the_latest_are_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_queue, "UNCERTAIN_COUNT_MAX", 10)
    database, _ = open_queue(home)
    for number in range(1, 31):
        write(database, [add(number)])
    after = crash(home, database)
    database, recovered = open_queue(after)
    database.close(True, {})
    assert len(recovered.uncertain) <= 10
    assert "message-30" in recovered.uncertain.values()


def test_our_own_mistake_is_no_error_of_the_disk(home: Path) -> None:
    database, _ = open_queue(home)
    with pytest.raises(sqlite3.IntegrityError):
        write(database, [add(1), add(1)])
    assert write(database, [add(1)]) is None  # nothing of it was left
    database.close(False, {})
    assert [each.number for each in read_queue(home)] == [1]


def test_what_is_left_to_do_is_done_when_nothing_comes(home: Path) -> None:
    database, _ = open_queue(home)
    assert write(database, [add(1)]) is None
    assert (stored(home, 1), database.in_tables) == (None, 0)
    database.rest()
    database.rest()  # for nothing
    assert (stored(home, 1), database.in_tables) == (b"data", 1)
    assert write(database, [HoldQueue("dns:example.org", held=True, tracking=line(EventId.DEFER, 1))]) is None
    assert len(read_tracked(home)) == 1
    database.rest()
    assert read_tracked(home) == []
    assert len(log_lines(home)) == 2
    database.close(False, {})
