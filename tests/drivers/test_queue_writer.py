"""The queue writer: durable before it is told; a full disk, its end, and a writer that hangs."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.drivers import queue_writer
from holdfast.drivers.queue_frames import Expect, pack
from holdfast.drivers.queue_reader import read_ledger, read_queue
from holdfast.drivers.queue_schema import SCHEMA
from holdfast.drivers.queue_writer import QueueWriter
from holdfast.drivers.sqlite_schema import open_for_writing
from holdfast.kernel.errors import Refusal, Unavailable
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
from holdfast.transport.shadow_writes import KeptBatch, RecoveredShadows
from holdfast.transport.tracking import EventId, MessageFacts, TrackingWriter

TRACKING = TrackingWriter("s", with_subject=True)
RECIPIENT = "a@example.test"
PATIENCE_S = 60.0


def add(number: int, data: bytes = b"data") -> AddMessage:
    facts = MessageFacts(number, "<m>", f"message-{number}", 100, "s", "x@y")
    message = QueuedMessage(
        number=number,
        network_message_id=NetworkMessageId(f"message-{number}"),
        received_at=1000.5,
        reverse_path="x@y",
        recipients=(RECIPIENT,),
        size_bytes=len(data),
        data=data,
        message_id="<m>",
        subject="S",
        fingerprint=number.to_bytes(16, "big"),
    )
    return AddMessage(message, TRACKING.line(1e9, EventId.RECEIVE, "SMTP", facts, (RECIPIENT,)))


def finish(number: int) -> FinishRecipients:
    facts = MessageFacts(number, "<m>", f"message-{number}", 100, "s", "x@y")
    return FinishRecipients(number, (), TRACKING.line(1e9, EventId.DELIVER, "SMTP", facts, (RECIPIENT,)))


def open_queue(home: Path) -> tuple[QueueWriter, RecoveredQueue]:
    return QueueWriter.open(home / "queue.sqlite", home / "tracking")


class Told:
    """What the writer told, in order."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[QueueWrite], Unavailable | None]] = []
        self.count = 0
        self._news = asyncio.Event()

    def done(self, writes: list[QueueWrite], error: Unavailable | None) -> None:
        self.batches.append((writes, error))
        self.count += len(writes)
        self._news.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.count < count:
                self._news.clear()
                await self._news.wait()


async def write(writer: QueueWriter, *batches: list[QueueWrite]) -> Unavailable | None:
    told = Told()
    for writes in batches:
        writer.submit(writes, told.done)
    await told.until(sum(map(len, batches)))
    assert [each for writes, _ in told.batches for each in writes] == [each for b in batches for each in b]
    return told.batches[-1][1]


@contextmanager
def full_disk(writer: QueueWriter, size_bytes: int) -> Iterator[None]:
    soft, hard = resource.prlimit(writer.process_id, resource.RLIMIT_FSIZE)
    resource.prlimit(writer.process_id, resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.prlimit(writer.process_id, resource.RLIMIT_FSIZE, (soft, hard))


def gone(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    return False


def test_what_was_told_is_there_after_a_kill(tmp_path: Path) -> None:
    writer, recovered = open_queue(tmp_path)
    assert recovered == RecoveredQueue((), 1, {}, shadows=recovered.shadows)
    assert recovered.shadows == RecoveredShadows(recovered.shadows.identity)
    assert asyncio.run(write(writer, [add(1), add(2)], [add(3, b"third")])) is None
    assert asyncio.run(write(writer, [finish(1), TrackOnly("")])) is None  # in another loop
    assert (writer.read(1), writer.read(3)) == (None, b"third")
    os.kill(writer.process_id, signal.SIGKILL)
    writer.close(True)
    writer, recovered = open_queue(tmp_path)
    assert [each.number for each in recovered.messages] == [2, 3]
    assert recovered.next_number >= 4
    assert set(recovered.uncertain.values()) == {"message-1", "message-2", "message-3"}
    writer.close(True, {b"\x01": NetworkMessageId("one")})
    ledger = read_ledger(tmp_path)
    assert (ledger.accepted_count, ledger.delivered_count, ledger.unaccounted_count) == (3, 1, 0)
    writer, recovered = open_queue(tmp_path)
    writer.close(False)
    assert recovered.uncertain == {b"\x01": "one"}


def test_what_was_submitted_is_finished_by_a_clean_stop(tmp_path: Path) -> None:
    writer, _ = open_queue(tmp_path)

    async def scenario() -> None:
        for number in range(1, 100):
            writer.submit([add(number, os.urandom(50_000))], lambda *_: None)
        writer.close(True)

    asyncio.run(scenario())
    assert gone(writer.process_id)
    assert len(read_queue(tmp_path)) == 99


def test_batches_larger_than_any_buffer_go_through_whole(tmp_path: Path) -> None:
    writer, _ = open_queue(tmp_path)
    large = os.urandom(40 << 20)
    pieces = [os.urandom(20_000) for _ in range(2_000)]  # more pieces than one system call takes

    async def scenario() -> None:
        batches: list[list[QueueWrite]] = [[add(1, large)]]
        batches += [[add(number, piece)] for number, piece in enumerate(pieces, 2)]
        assert await write(writer, *batches) is None

    asyncio.run(scenario())
    assert writer.read(1) == large
    assert all(writer.read(number) == piece for number, piece in enumerate(pieces, 2))
    writer.close(True)


def test_what_is_submitted_together_stays_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_writer, "BATCH_WRITE_COUNT_MAX", 5)
    writer, _ = open_queue(tmp_path)
    told = Told()

    async def scenario() -> None:
        for number in range(0, 30, 3):
            writer.submit([add(number + 1), add(number + 2), add(number + 3)], told.done)
        await told.until(30)

    asyncio.run(scenario())
    assert [len(writes) for writes, _ in told.batches] == [6] * 5
    writer.close(True)


def test_what_nobody_waits_for_goes_with_what_somebody_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_writer, "LAZY_S", PATIENCE_S)
    writer, _ = open_queue(tmp_path)
    told = Told()

    async def scenario() -> None:
        await write(writer, [add(1)])
        writer.submit([finish(1)], told.done)
        for _ in range(100):
            await asyncio.sleep(0)
        assert told.batches == []
        writer.submit([SettleAnswers((b"1" * 16,))], told.done)
        writer.submit([add(2)], told.done)
        await told.until(3)

    asyncio.run(scenario())
    assert len(told.batches) == 1
    writer.close(True)
    assert [each.number for each in read_queue(tmp_path)] == [2]


def test_a_writer_is_told_behind_each_batch_when_more_will_come_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []

    class Channel(socket.socket):
        def sendmsg(self, pieces: Any, *arguments: Any) -> int:
            sent.append(b"".join(bytes(piece) for piece in pieces))
            return super().sendmsg(pieces, *arguments)

    def pair() -> tuple[socket.socket, socket.socket]:
        ours, its = real_pair()
        return Channel(fileno=ours.detach()), its

    real_pair = socket.socketpair
    monkeypatch.setattr(socket, "socketpair", pair)
    writer, _ = open_queue(tmp_path)
    monkeypatch.undo()

    async def main() -> None:
        for number in range(1, 21):
            writer.more_soon = (lambda: True) if number % 2 == 0 else (lambda: False)
            assert await write(writer, [add(number)]) is None

    asyncio.run(main())
    expect = b"".join(pack(Expect()))
    assert [each.endswith(expect) for each in sent] == [number % 2 == 0 for number in range(1, 21)]
    writer.close(True)
    assert [each.number for each in read_queue(tmp_path)] == list(range(1, 21))


def test_with_few_clients_a_batch_goes_at_once_and_the_next_one_gathers(tmp_path: Path) -> None:
    told: list[list[int]] = []

    async def main() -> None:
        all_told = asyncio.Event()

        def done(writes: list[QueueWrite], error: Unavailable | None) -> None:
            assert error is None
            told.append([each.message.number for each in writes if isinstance(each, AddMessage)])
            if sum(map(len, told)) == 3:
                all_told.set()

        writer.more_soon = lambda: True
        for number in (1, 2, 3):
            writer.submit([add(number)], done)
        await asyncio.wait_for(all_told.wait(), PATIENCE_S)

    writer, _ = open_queue(tmp_path)
    asyncio.run(main())
    writer.close(True)
    assert told == [[1], [2, 3]]
    assert [each.number for each in read_queue(tmp_path)] == [1, 2, 3]


def test_what_nobody_waits_for_goes_alone_after_a_while(tmp_path: Path) -> None:
    writer, _ = open_queue(tmp_path)
    assert asyncio.run(write(writer, [add(1)])) is None
    assert asyncio.run(write(writer, [finish(1)])) is None
    assert asyncio.run(write(writer, [SettleAnswers((b"1" * 16,))])) is None
    writer.close(True)
    assert read_queue(tmp_path) == []


def test_what_nobody_waits_for_is_finished_by_a_clean_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_writer, "LAZY_S", PATIENCE_S)
    writer, _ = open_queue(tmp_path)

    async def scenario() -> None:
        await write(writer, [add(1)])
        writer.submit([finish(1)], lambda *_: None)
        writer.close(True)

    asyncio.run(scenario())
    assert read_queue(tmp_path) == []


def test_a_full_disk_is_reported_and_recovers_by_itself(tmp_path: Path) -> None:
    writer, _ = open_queue(tmp_path)
    assert asyncio.run(write(writer, [add(1)])) is None
    with full_disk(writer, 200_000):
        error = asyncio.run(write(writer, [add(2, os.urandom(1_000_000))], [add(3)]))
        assert error is not None
        assert error.text.startswith("queue database: ")
    assert asyncio.run(write(writer, [add(4), finish(1)])) is None
    writer.close(True)
    assert [each.number for each in read_queue(tmp_path)] == [4]
    ledger = read_ledger(tmp_path)
    assert (ledger.accepted_count, ledger.unaccounted_count) == (2, 0)


def test_the_end_of_the_writer_is_told_and_nothing_is_acknowledged_after_it(tmp_path: Path) -> None:
    writer, _ = open_queue(tmp_path)
    told = Told()

    async def scenario() -> str:
        await write(writer, [add(1)])
        reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        writer.ended = reason.set_result
        os.kill(writer.process_id, signal.SIGSTOP)
        writer.submit([add(2, os.urandom(10 << 20))], told.done)
        await asyncio.sleep(0)
        os.kill(writer.process_id, signal.SIGKILL)
        writer.submit([add(3)], told.done)
        async with asyncio.timeout(PATIENCE_S):
            return await reason

    assert asyncio.run(scenario()) == "it was killed by signal 9"
    assert told.batches == []
    writer.close(True)
    assert [each.number for each in read_queue(tmp_path)] == [1]


def test_whoever_does_not_ask_for_its_end_hears_of_it_as_a_fault(tmp_path: Path) -> None:
    writer, _ = open_queue(tmp_path)
    error = asyncio.run(fault(lambda: os.kill(writer.process_id, signal.SIGKILL), writer, [TrackOnly("")]))
    assert "killed by signal 9" in str(error)
    writer.close(False)


def test_our_own_mistake_is_told_to_the_loop(tmp_path: Path) -> None:
    writer, _ = open_queue(tmp_path)
    error = asyncio.run(fault(lambda: None, writer, [add(1), add(1)]))
    assert isinstance(error, RuntimeError)
    assert "sqlite3.IntegrityError" in str(error)
    writer.close(False)
    assert read_queue(tmp_path) == []


async def fault(cause: object, writer: QueueWriter, writes: list[QueueWrite]) -> BaseException:
    loop = asyncio.get_running_loop()
    found: asyncio.Future[BaseException] = loop.create_future()
    loop.set_exception_handler(lambda _, context: found.set_result(context["exception"]))
    assert callable(cause)
    cause()
    writer.submit(writes, lambda *_: None)
    async with asyncio.timeout(PATIENCE_S):
        return await found


def test_a_stop_does_not_wait_for_a_writer_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_writer, "CLOSE_TIMEOUT_S", 0.2)
    writer, _ = open_queue(tmp_path)
    asyncio.run(write(writer, [add(1)]))
    os.kill(writer.process_id, signal.SIGSTOP)

    async def scenario() -> None:
        writer.submit([add(2, bytes(20 << 20))], lambda *_: None)
        await asyncio.sleep(0)
        writer.close(True)

    asyncio.run(scenario())
    assert gone(writer.process_id)
    writer, recovered = open_queue(tmp_path)  # the file is free, and as it was
    assert [each.number for each in recovered.messages] == [1]
    writer.close(False)


def test_refusals_to_open(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    path.write_bytes(b"this is not a database" * 1000)
    with pytest.raises(Unavailable, match="is damaged"):
        open_queue(tmp_path)
    path.unlink()
    connection = open_for_writing(path, SCHEMA)
    connection.execute("DELETE FROM state")
    connection.execute("DROP TABLE outbox")
    connection.close()
    with pytest.raises(Unavailable, match="cannot be read"):
        open_queue(tmp_path)
    path.unlink()
    connection = open_for_writing(path, SCHEMA)
    connection.execute("PRAGMA user_version = 1000")
    connection.close()
    with pytest.raises(Refusal, match="newer"):
        open_queue(tmp_path)


def test_rows_that_we_do_not_write_are_a_refusal_to_start(tmp_path: Path) -> None:
    writer, _ = open_queue(tmp_path)
    asyncio.run(write(writer, [add(1)]))
    writer.close(True)
    connection = sqlite3.connect(tmp_path / "queue.sqlite")
    connection.execute("INSERT INTO uncertain VALUES ('no hexadecimal', 'm', 1e12)")
    connection.commit()
    connection.close()
    with pytest.raises(Unavailable, match="cannot be read"):
        open_queue(tmp_path)


def test_the_safety_net_is_read_with_what_just_got_there(tmp_path: Path) -> None:
    writer, _ = open_queue(tmp_path)

    async def read() -> KeptBatch | None:
        found: asyncio.Future[KeptBatch | None] = asyncio.get_running_loop().create_future()
        writer.read_kept(0.0, 1e9, 0, found.set_result)
        async with asyncio.timeout(PATIENCE_S):
            return await found

    async def scenario() -> None:
        assert await write(writer, [add(1)], [add(2)], [add(3)]) is None
        assert await read() == KeptBatch((), 0, at_end=True)
        kept = [replace(finish(number), kept=500.0 + number) for number in (1, 2)]
        assert await write(writer, [*kept, finish(3)]) is None
        found = await read()
        assert found is not None
        assert [(each.number, at) for each, at in found.messages] == [(1, 501.0), (2, 502.0)]
        assert (writer.read(1), writer.read(3)) == (b"data", None)
        assert await write(writer, [add(4)], [replace(finish(4), kept=600.0)]) is None
        with full_disk(writer, 50_000):
            assert await read() is None
        found = await read()
        assert found is not None
        assert [each.number for each, _ in found.messages] == [1, 2, 4]

    asyncio.run(scenario())
    writer.close(True)
