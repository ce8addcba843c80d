"""The commit log in front of the queue database: what was told is there, in whichever of the two it lies."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.queue_homes import crash, open_queue
from holdfast.drivers import commit_log, sqlite_queue
from holdfast.drivers.commit_log import BEGIN, RECORD, CommitLog, read_commits
from holdfast.drivers.queue_frames import Batch, BatchBuilder, pack
from holdfast.drivers.queue_reader import read_queue, read_tracking
from holdfast.drivers.queue_schema import SCHEMA
from holdfast.drivers.sqlite_queue import QueueDatabase
from holdfast.drivers.sqlite_schema import connect
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.envelope import EnvelopeOptions
from holdfast.transport.queue import (
    AddMessage,
    FinishRecipients,
    MarkMessage,
    Marks,
    QueuedMessage,
    QueueWrite,
    SettleAnswers,
)
from holdfast.transport.tracking import EventId, MessageFacts, TrackingWriter

TRACKING = TrackingWriter("s", with_subject=True)
RECIPIENTS = ("a@example.test", "b@example.test")
IDENTITY = "0123456789abcdef" * 2
OTHER = "f" * 32


def line(event_id: EventId, number: int, recipients: tuple[str, ...] = RECIPIENTS) -> str:
    facts = MessageFacts(number, "<m>", f"message-{number}", 100, "s", "x@y")
    return TRACKING.line(1_700_000_000.0, event_id, "SMTP", facts, recipients)


def message(number: int, data: bytes = b"data", fingerprint: bytes | None = None) -> QueuedMessage:
    fingerprint = number.to_bytes(16, "big") if fingerprint is None else fingerprint
    return QueuedMessage(
        number, NetworkMessageId(f"message-{number}"), 1000.5 + number, "x@y", RECIPIENTS, len(data), data,
        "<m>", "S", fingerprint,
    )  # fmt: skip


def add(number: int, data: bytes = b"data", holder: str | None = None) -> AddMessage:
    return AddMessage(message(number, data), line(EventId.RECEIVE, number), holder)


def finish(number: int, *remaining: str) -> FinishRecipients:
    done = tuple(each for each in RECIPIENTS if each not in remaining)
    return FinishRecipients(number, remaining, line(EventId.DELIVER, number, done))


def batch(*writes: QueueWrite, number: int = 1) -> Batch:
    builder = BatchBuilder()
    builder.add(list(writes))
    return builder.finish(number)


def write(database: QueueDatabase, *writes: QueueWrite, number: int = 1) -> str | None:
    error = database.commit(batch(*writes, number=number))
    if error is None:
        database.write_log()
    return error


def stored(home: Path) -> list[int]:
    """What is in the tables."""
    connection = connect(home / "queue.sqlite", SCHEMA)
    found = [row[0] for row in connection.execute("SELECT number FROM message ORDER BY number")]
    connection.close()
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = tmp_path / "h"
    directory.mkdir()
    return directory


@pytest.fixture
def log(tmp_path: Path) -> CommitLog:
    return CommitLog.open(tmp_path / "log", IDENTITY, 0)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that is full after a few messages."""
    monkeypatch.setattr(commit_log, "FILE_BYTES", BEGIN + 6_000)
    monkeypatch.setattr(sqlite_queue, "AHEAD_BYTES_MAX", 3_000)


def append(log: CommitLog, each: Batch) -> None:
    frame = pack(each)
    log.append(frame, sum(map(len, frame)))


def found(path: Path, after: int = 0, identity: str = IDENTITY) -> list[int]:
    return [each.number for each in read_commits(path, identity, after)]


def test_what_was_appended_is_read_back(tmp_path: Path, log: CommitLog) -> None:
    for number in range(1, 4):
        append(log, batch(add(number, os.urandom(number * 1000)), finish(number), number=number))
    log.close()
    one, two, three = read_commits(tmp_path / "log", IDENTITY, 0)
    assert (one.adds[0][1], len(two.data[0]), three.finished) == ("message-1", 2000, [3])
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_a_record_is_read_as_it_was_written_by_an_earlier_version(tmp_path: Path, log: CommitLog) -> None:
    """The bytes of format 1; a reader of them stays when there is a format 2."""
    frame = bytes.fromhex(
        "fb00000004000000000000009f0107c404720a640a919a03a96d6573736167652d33cb408f5c0000000000c403784079c41d"
        "61406578616d706c652e746573740a62406578616d706c652e7465737404c4033c6d3ec40153c41000000000000000000000"
        "00000000000304919303c43285a468656c64c3a6706f69736f6ec2aa64656c61795f746f6c64c2a87265646972656374a0ab"
        "72657375626d6974746564c2c43f85ae72657475726e5f636f6e74656e74a0ab656e76656c6f70655f6964a0a96569676874"
        "5f626974c3a8736d747075746638c2aa726563697069656e7473909104919205c40361407891c41066666666666666666666"
        "6666666666669090809090909064617461"
    )
    log.append([frame], len(frame))
    log.close()
    options = EnvelopeOptions(eight_bit=True)
    with_options = AddMessage(replace(message(3), options=options, marks=Marks(held=True)), "r\n")
    expected = batch(
        with_options,
        FinishRecipients(4, (), "d\n"),
        FinishRecipients(5, ("a@x",), ""),
        SettleAnswers((b"f" * 16,)),
        number=7,
    )
    assert read_commits(tmp_path / "log", IDENTITY, 0) == [expected]


@pytest.mark.usefixtures("small")
def test_a_torn_record_ends_what_is_read_wherever_it_is_torn(tmp_path: Path, log: CommitLog) -> None:
    path = tmp_path / "log"
    for number in (1, 2):  # an earlier round, larger: its bytes lie behind
        append(log, batch(add(number, os.urandom(2_500)), number=number))
    before = path.read_bytes()
    log.restart()
    append(log, batch(add(3), number=3))
    append(log, batch(add(4, os.urandom(500)), number=4))
    log.close()
    whole = path.read_bytes()
    assert found(path, 2) == [3, 4]
    last = BEGIN + RECORD.size + RECORD.unpack_from(whole, BEGIN)[1]
    end = last + RECORD.size + RECORD.unpack_from(whole, last)[1]
    for at in range(last, end):
        # The part up to here was written when the power went; or a part in its middle was not.
        if whole[at:end] != before[at:end]:
            path.write_bytes(whole[:at] + before[at:])
            assert found(path, 2) == [3]
        if whole[at] != before[at]:
            path.write_bytes(whole[:at] + before[at : at + 1] + whole[at + 1 :])
            assert found(path, 2) == [3]
    path.write_bytes(whole[: end - 1])
    assert found(path, 2) == [3]


def test_records_that_the_tables_have_are_not_read_again(tmp_path: Path, log: CommitLog) -> None:
    path = tmp_path / "log"
    for number in (1, 2, 3):
        append(log, batch(add(number), number=number))
    assert found(path, 3) == []
    log.restart()
    assert found(path, 3) == []
    append(log, batch(add(4), number=4))
    assert found(path, 3) == [4], "and not the second and third of the round before, which lie behind it"
    log.close()


def test_commits_of_another_database_or_a_later_state_are_refused(tmp_path: Path, log: CommitLog) -> None:
    path = tmp_path / "log"
    append(log, batch(add(1), number=1))
    with pytest.raises(Unavailable, match="another queue database"):
        found(path, identity=OTHER)
    log.restart()
    append(log, batch(add(2), number=2))
    with pytest.raises(Unavailable, match="later state"):
        found(path, 0)
    log.empty()
    log.close()
    assert found(path, 2) == found(path, identity=OTHER) == []
    CommitLog.open(path, OTHER, 0).close()  # an empty one is taken over
    assert found(path, identity=OTHER) == []
    path.write_bytes(b"something else")
    with pytest.raises(Unavailable, match="another version"):
        found(path)


def test_a_log_without_its_database_is_not_thrown_away(home: Path) -> None:
    database, _ = open_queue(home)
    assert write(database, add(1)) is None
    home = crash(home, database)
    for name in ("queue.sqlite", "queue.sqlite-wal", "queue.sqlite-shm"):
        (home / name).unlink(missing_ok=True)
    with pytest.raises(Unavailable, match="bring that database back"):
        open_queue(home)


def killed_with_a_smaller_log(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a version before left when it was killed: message 1, in a log of 8 MB alone."""
    with monkeypatch.context() as earlier:
        earlier.setattr(commit_log, "FILE_BYTES", 8 << 20)
        database, _ = open_queue(home)
        assert write(database, add(1)) is None
        return crash(home, database)


def test_a_smaller_log_of_an_earlier_version_is_read_and_then_made_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = killed_with_a_smaller_log(home, monkeypatch)
    path = home / "queue.commits"
    assert path.stat().st_size == 8 << 20
    database, recovered = open_queue(home)
    assert [each.number for each in recovered.messages] == [1]
    assert path.stat().st_size == commit_log.FILE_BYTES == 16 << 20
    number = database._reserved_number - sqlite_queue.RESERVED_COUNT
    assert write(database, add(number)) is None
    assert stored(home) == [1]
    database, recovered = open_queue(crash(home, database))
    assert [each.number for each in recovered.messages] == [1, number]
    database.close(True, {})


def test_the_tables_have_what_a_smaller_log_had_before_that_is_made_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = killed_with_a_smaller_log(home, monkeypatch)
    killed_at: list[Path] = []
    make = commit_log._make

    def killed(path: Path, identity: str) -> None:
        for when in ("before", "after"):
            killed_at.append(home.with_name(when))
            shutil.copytree(home, killed_at[-1])
            if when == "before":
                make(path, identity)

    monkeypatch.setattr(commit_log, "_make", killed)
    database, _ = open_queue(home)
    database.close(False, {})
    monkeypatch.undo()
    assert len(killed_at) == 2
    for each in killed_at:
        assert [message.number for message in read_queue(each)] == [1]
        database, recovered = open_queue(each)
        assert [message.number for message in recovered.messages] == [1]
        database.close(True, {})


def test_a_smaller_log_is_used_as_it_is_where_the_disk_has_no_room_for_a_larger(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, identity: str) -> None:
        raise OSError(errno.ENOSPC, "no space")

    size = BEGIN + 6_000
    monkeypatch.setattr(sqlite_queue, "AHEAD_BYTES_MAX", 3_000)
    with monkeypatch.context() as earlier:
        earlier.setattr(commit_log, "FILE_BYTES", size)
        database, _ = open_queue(home)
        database.close(False, {})
    monkeypatch.setattr(commit_log, "_make", full)
    database, _ = open_queue(home)
    for number in range(1, 6):
        assert write(database, add(number, os.urandom(2_000)), number=number) is None
    assert stored(home) == [1, 2, 3, 4]
    assert (home / "queue.commits").stat().st_size == size
    database, recovered = open_queue(crash(home, database))
    assert [each.number for each in recovered.messages] == [1, 2, 3, 4, 5]
    database.close(True, {})


def test_a_log_whose_name_may_not_be_on_the_disk_takes_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []

    def sync(directory: Path) -> None:
        synced.append(directory)
        if len(synced) == 1:
            raise OSError(errno.EIO, "the disk has an error")

    monkeypatch.setattr(commit_log, "sync_directory", sync)
    database, _ = open_queue(home)
    assert write(database, add(1)) is None
    assert stored(home) == [1]
    database._commits_retry_at = 0.0
    database.rest()
    assert synced == [home, home]
    assert write(database, add(2), number=2) is None
    assert stored(home) == [1]
    database.close(True, {})


def test_what_the_log_does_not_take_goes_behind_it(home: Path) -> None:
    database, _ = open_queue(home)
    assert write(database, add(1)) is None
    assert write(database, MarkMessage(1, Marks(held=True), line(EventId.DEFER, 1)), number=2) is None
    assert database.in_tables == 2
    assert read_queue(home)[0].marks == Marks(held=True)
    assert write(database, add(2, os.urandom(sqlite_queue.AHEAD_BYTES_MAX)), number=3) is None
    assert database.in_tables == 3
    database.close(True, {})
    assert [each.event_id for each in read_tracking(home)] == [
        EventId.RECEIVE,
        EventId.DEFER,
        EventId.RECEIVE,
    ]


def test_a_log_that_cannot_be_written_is_done_without(home: Path) -> None:
    database, _ = open_queue(home)
    assert write(database, add(1)) is None
    assert database._commits is not None
    good, bad = database._commits._descriptor, os.open(home / "queue.commits", os.O_RDONLY)
    database._commits._descriptor = bad
    assert write(database, add(2), number=2) is None
    assert (stored(home), database.in_tables) == ([1, 2], 2)
    database._commits._descriptor = good
    assert write(database, add(3), number=3) is None
    assert stored(home) == [1, 2]
    os.close(bad)
    home = crash(home, database)
    database, recovered = open_queue(home)
    assert [each.number for each in recovered.messages] == [1, 2, 3]
    database.close(True, {})
