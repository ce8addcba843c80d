"""The queue database: durable before it is told, each tracking line once, a full disk survived."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.drivers import sqlite_queue
from holdfast.drivers.queue_schema import SCHEMA
from holdfast.drivers.sqlite_queue import (
    QueueWriter,
    read_ledger,
    read_queue,
    read_tracking,
)
from holdfast.drivers.sqlite_schema import open_for_writing
from holdfast.drivers.tracking_log import TrackingLog, log_files
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.queue import (
    AddMessage,
    FinishRecipients,
    QueuedMessage,
    QueueWrite,
    RecoveredQueue,
    SettleAnswers,
    TrackOnly,
)
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


def open_queue(home: Path) -> tuple[QueueWriter, RecoveredQueue]:
    return QueueWriter.open(home / "queue.sqlite", home / "tracking")


async def write(writer: QueueWriter, *batches: list[QueueWrite]) -> Unavailable | None:
    told: asyncio.Future[Unavailable | None] = asyncio.get_running_loop().create_future()
    count = sum(len(writes) for writes in batches)
    seen: list[QueueWrite] = []

    def done(writes: list[QueueWrite], error: Unavailable | None) -> None:
        seen.extend(writes)
        if len(seen) == count:
            told.set_result(error)

    for writes in batches:
        writer.submit(writes, done)
    error = await told
    assert seen == [each for writes in batches for each in writes]
    return error


def crash(home: Path, writer: QueueWriter) -> Path:
    """What kill -9 leaves: the files as they are, seen by somebody who starts afresh."""
    copy = home.with_name(home.name + "-after")
    shutil.copytree(home, copy)
    writer.close(True)
    return copy


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
    writer, recovered = open_queue(home)
    assert recovered == RecoveredQueue((), 1, {})
    assert asyncio.run(write(writer, [add(1), add(2)], [add(3, b"third")])) is None
    assert asyncio.run(write(writer, [finish(1), finish(2, "b@example.test"), TrackOnly("")])) is None
    assert writer.read(3) == b"third"
    assert writer.read(1) is None
    after = crash(home, writer)
    writer, recovered = open_queue(after)
    assert [each.number for each in recovered.messages] == [2, 3]
    assert recovered.messages[0].recipients == ("b@example.test",)
    assert recovered.messages[1] == QueuedMessage(
        **{
            **{name: getattr(message(3, b"third"), name) for name in QueuedMessage.__slots__},
            "data": None,
            "fingerprint": b"",
        }
    )
    assert recovered.next_number >= 4  # some were reserved
    assert set(recovered.uncertain.values()) == {"message-1", "message-2", "message-3"}
    assert (after / "queue.sqlite").stat().st_mode & 0o777 == 0o600
    writer.close(True)
    ledger = read_ledger(after)
    assert (ledger.accepted_count, ledger.delivered_count, ledger.queued_count) == (6, 3, 3)
    assert ledger.unaccounted_count == 0


def test_a_clean_stop_leaves_only_what_it_hands_on(home: Path) -> None:
    writer, _ = open_queue(home)
    asyncio.run(write(writer, [add(1), add(2)]))
    writer.close(True, {b"\x01": NetworkMessageId("one")})
    writer, recovered = open_queue(home)
    assert recovered.uncertain == {b"\x01": "one"}
    assert recovered.next_number == 3
    writer.close(True)
    writer, recovered = open_queue(home)
    assert recovered.uncertain == {}
    writer.close(False)
    assert [each.number for each in read_queue(home)] == [1, 2]


def test_a_read_answer_is_certain_after_a_kill_and_a_lost_one_is_not(home: Path) -> None:
    writer, _ = open_queue(home)
    asyncio.run(write(writer, [add(1), add(2), add(3)]))
    asyncio.run(write(writer, [SettleAnswers((message(1).fingerprint, message(3).fingerprint)), finish(1)]))
    equal = AddMessage(replace(message(4), fingerprint=message(3).fingerprint), line(EventId.RECEIVE, 4))
    # Settled and used again in one transaction: what was added last counts.
    asyncio.run(write(writer, [SettleAnswers((message(3).fingerprint,)), equal]))
    for _ in range(2):  # also the second kill forgets nothing
        home = crash(home, writer)
        writer, recovered = open_queue(home)
        assert recovered.uncertain == {
            message(2).fingerprint: "message-2",
            message(3).fingerprint: "message-4",
        }
    writer.close(True)


def test_a_settlement_that_fails_with_its_transaction_settles_nothing(home: Path) -> None:
    writer, _ = open_queue(home)
    asyncio.run(write(writer, [add(1)]))
    with full_disk(200_000):
        settle = SettleAnswers((message(1).fingerprint,))
        assert asyncio.run(write(writer, [settle, add(2, os.urandom(1_000_000))])) is not None
    after = crash(home, writer)
    writer, recovered = open_queue(after)
    writer.close(True)
    assert set(recovered.uncertain) == {message(1).fingerprint}


def test_each_line_is_in_the_log_once_whenever_it_was_killed(home: Path) -> None:
    writer, _ = open_queue(home)
    number = 0
    copies = []
    for _ in range(5):
        number += 1
        asyncio.run(write(writer, [add(number)]))
        asyncio.run(write(writer, [finish(number)]))
        copy = home.with_name(f"copy-{number}")
        shutil.copytree(home, copy)
        copies.append((number, copy))
    writer.close(True)
    for count, copy in [*copies, (number, home)]:
        found = [(each.event_id, each.network_message_id) for each in read_tracking(copy)]
        assert len(found) == 2 * count
        assert read_ledger(copy).delivered_count == 2 * count
        for _ in range(2):  # also a second start after a first
            again, _ = open_queue(copy)
            again.close(False)
            assert len(log_lines(copy)) == len(set(log_lines(copy))) == 2 * count
        assert read_ledger(copy).unmatched_count == 0


def test_an_older_log_is_kept_beside_a_new_database(home: Path) -> None:
    writer, _ = open_queue(home)
    asyncio.run(write(writer, [add(1)]))
    writer.close(True)
    for name in ("queue.sqlite", "queue.sqlite-wal", "queue.sqlite-shm"):
        (home / name).unlink(missing_ok=True)
    writer, _ = open_queue(home)
    asyncio.run(write(writer, [TrackOnly(line(EventId.DEFER, 1))]))
    writer.close(True)
    assert len(log_lines(home)) == 2
    # The queue was thrown away with a message in it, and the ledger says so.
    assert read_ledger(home).unaccounted == (("message-1", "a@example.test"), ("message-1", "b@example.test"))


def test_a_full_disk_is_reported_and_recovers_by_itself(home: Path) -> None:
    writer, _ = open_queue(home)
    assert asyncio.run(write(writer, [add(1)])) is None
    with full_disk(200_000):
        error = asyncio.run(write(writer, [add(2, os.urandom(1_000_000))], [add(3)]))
        assert error is not None
        assert error.text.startswith("queue database: ")
    assert asyncio.run(write(writer, [add(4), finish(1)])) is None
    writer.close(True)
    assert [each.number for each in read_queue(home)] == [4]
    ledger = read_ledger(home)
    assert (ledger.accepted_count, ledger.unaccounted_count) == (4, 0)


def test_mail_goes_on_when_the_log_cannot_be_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_queue, "LOG_RETRY_S", 0.0)
    writer, _ = open_queue(home)
    # A log file that is larger than what the database needs reaches the limit first.
    asyncio.run(write(writer, [TrackOnly(line(EventId.DEFER, 9) * 10_000)]))
    writer.close(True)
    before = len(log_lines(home))
    writer, _ = open_queue(home)
    with full_disk((home / "tracking" / log_files(home / "tracking")[-1]).stat().st_size):
        assert asyncio.run(write(writer, [add(1)])) is None
        assert asyncio.run(write(writer, [finish(1)])) is None
        assert len(log_lines(home)) == before
    assert read_ledger(home).delivered_count == 2
    assert asyncio.run(write(writer, [TrackOnly(line(EventId.DEFER, 9))])) is None
    writer.close(True)
    assert len(log_lines(home)) == before + 3


def test_the_log_goes_on_after_an_error_of_the_database_in_its_retry(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_queue, "LOG_RETRY_S", 0.0)
    writer, _ = open_queue(home)
    # A log file that is larger than what the database needs reaches the limit first.
    asyncio.run(write(writer, [TrackOnly(line(EventId.DEFER, 9) * 10_000)]))
    writer.close(True)
    connection = open_for_writing(home / "queue.sqlite", SCHEMA)
    # Without its thread, so that each step comes when we say.
    writer = QueueWriter(home / "queue.sqlite", connection, TrackingLog(home / "tracking"))
    writer._recover()
    one = line(EventId.DEFER, 9)
    with full_disk((home / "tracking" / log_files(home / "tracking")[-1]).stat().st_size):
        writer._write_log(writer._commit([([TrackOnly(one)], lambda writes, error: None)]))
    connection.close()  # what the retry asks of it fails
    writer._catch_up_when_due()
    assert len(log_lines(home)) == 10_000
    writer._catch_up_when_due()
    assert len(log_lines(home)) == 10_001
    writer.close(False)


def test_the_outbox_waits_for_a_log_that_cannot_be_begun(home: Path) -> None:
    with full_disk(150_000):
        # The database fits, and the file of the log is made unwritable by hand.
        (home / "tracking").mkdir()
        (home / "tracking" / "MSGTRK9999999999-999999999.LOG").mkdir()
        (home / "tracking" / "MSGTRK9999999999-1000000000.LOG").mkdir()
        writer, _ = open_queue(home)
        assert asyncio.run(write(writer, [add(1)])) is None
        writer.close(True)
    shutil.rmtree(home / "tracking")
    writer, _ = open_queue(home)
    writer.close(True)
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
    writer, _ = open_queue(home)
    for number in range(1, 31):
        asyncio.run(write(writer, [add(number)]))
    after = crash(home, writer)
    writer, recovered = open_queue(after)
    writer.close(True)
    assert len(recovered.uncertain) <= 10
    assert "message-30" in recovered.uncertain.values()


def test_our_own_mistake_is_told_to_the_loop(home: Path) -> None:
    writer, _ = open_queue(home)
    found: list[BaseException] = []

    async def mistake() -> None:
        loop = asyncio.get_running_loop()
        broken = asyncio.Event()

        def handle(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
            error = context["exception"]
            assert isinstance(error, BaseException)
            found.append(error)
            broken.set()

        loop.set_exception_handler(handle)
        writer.submit([add(1), add(1)], lambda writes, error: None)
        await broken.wait()

    asyncio.run(mistake())
    assert isinstance(found[0], sqlite3.IntegrityError)
    writer.close(False)
