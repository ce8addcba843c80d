"""A mailbox database on disk: commits, readers, crashes, and files that cannot be opened."""

from __future__ import annotations

import asyncio
import resource
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from holdfast.drivers import sqlite_mailbox
from holdfast.drivers.sqlite_mailbox import MailboxDatabase
from holdfast.drivers.sqlite_mailbox_tables import SCHEMA
from holdfast.drivers.sqlite_schema import open_for_writing
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.events import LogEvent
from holdfast.kernel.ids import ConnectionId, MailboxId, NetworkMessageId
from holdfast.mailbox.service import Performance
from holdfast.node.mailbox import Perform, Performed
from holdfast.wire import store

ALICE = MailboxId("alice")
A = ConnectionId(1)


def delivery(number: int, data: bytes = b"A: b\r\n\r\nx") -> store.Deliver:
    target = store.Target(ALICE, b"P: q\r\n", 1 << 30)
    return store.Deliver([store.Delivery(NetworkMessageId(f"n{number}"), data, 1.0, [target])])


async def submitted(database: MailboxDatabase, *operations: store.Operation) -> list[store.Answer]:
    """Submit together and wait for all answers."""
    waiting: asyncio.Queue[Performed] = asyncio.Queue()

    def done(results: list[Performed]) -> None:
        for result in results:
            waiting.put_nowait(result)

    database.submit([Perform(A, number, each, True) for number, each in enumerate(operations)], done)
    results = [await waiting.get() for _ in operations]
    return [result.answer for result in sorted(results, key=lambda each: each.number)]


async def read(database: MailboxDatabase, operation: store.Operation) -> store.Answer:
    waiting: asyncio.Queue[list[Performed]] = asyncio.Queue()
    database.read(Perform(A, 1, operation, False), waiting.put_nowait)
    [result] = await waiting.get()
    return result.answer


def with_database(
    path: Path, work: Callable[[MailboxDatabase], Awaitable[None]], events: list[LogEvent] | None = None
) -> None:
    async def run() -> None:
        database = MailboxDatabase.open(path, None if events is None else events.append)
        try:
            await work(database)
        finally:
            database.close()
            database.close()

    asyncio.run(run())


def test_what_was_committed_is_read_and_survives(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"

    async def first(database: MailboxDatabase) -> None:
        answers = await submitted(database, *(delivery(number) for number in range(1200)))
        assert answers == [store.Delivered([[store.Outcome.DELIVERED]])] * 1200
        usage = await read(database, store.ReadUsage([ALICE]))
        assert usage == store.UsageRead([1200 * 15], [1200])

    async def second(database: MailboxDatabase) -> None:
        assert await submitted(database, delivery(5)) == [store.Delivered([[store.Outcome.DUPLICATE]])]
        opened = await read(database, store.OpenFolder(ALICE, "INBOX", False))
        assert isinstance(opened, store.FolderOpened)
        fetched = await read(
            database, store.FetchMessages(ALICE, opened.folder.folder_id, [7], store.Part.HEADER)
        )
        assert isinstance(fetched, store.Messages)
        assert fetched.messages[0].data == b"P: q\r\nA: b\r\n\r\n"
        assert (await submitted(database, delivery(9999)))[0] == store.Delivered([[store.Outcome.DELIVERED]])

    with_database(path, first)
    with_database(path, second)


def test_a_first_use_that_came_to_a_reader_is_handed_to_the_writer(tmp_path: Path) -> None:
    async def work(database: MailboxDatabase) -> None:
        listed = await read(database, store.ListFolders(ALICE))
        assert isinstance(listed, store.FolderList)
        assert len(listed.folders) == 7

    with_database(tmp_path / "a.sqlite", work)


def test_a_broken_operation_does_not_poison_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    perform = sqlite_mailbox.perform

    def sometimes_broken(operation: store.Operation, *rest: object) -> Performance:
        performance = perform(operation, *rest)  # type: ignore[arg-type]  # passed through as it came
        assert operation != delivery(1), "planted"
        return performance

    monkeypatch.setattr(sqlite_mailbox, "perform", sometimes_broken)
    events: list[LogEvent] = []

    async def work(database: MailboxDatabase) -> None:
        answers = await submitted(database, delivery(0), delivery(1), delivery(2))
        assert isinstance(answers[1], store.Refused)
        assert answers[0] == answers[2] == store.Delivered([[store.Outcome.DELIVERED]])
        assert await read(database, store.ReadUsage([ALICE])) == store.UsageRead([30], [2])
        assert isinstance(await read(database, delivery(1)), store.Refused | store.Delivered)

    with_database(tmp_path / "a.sqlite", work, events)
    assert events[0].kind.event_id == "MBX-0201"


def test_a_disk_that_takes_no_more_loses_nothing_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    events: list[LogEvent] = []

    async def work(database: MailboxDatabase) -> None:
        await submitted(database, delivery(0))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        size = max(each.stat().st_size for each in tmp_path.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + (1 << 20), hard))
        try:
            answers = await submitted(database, *(delivery(n, b"x" * (1 << 20)) for n in (1, 2, 3)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, handler)
        assert any(isinstance(each, store.Refused) for each in answers)
        delivered = [store.Delivered([[store.Outcome.DELIVERED]])]
        again = await submitted(database, *(delivery(n) for n in (1, 2, 3)))
        assert [each for each in again if isinstance(each, store.Refused)] == []
        assert await submitted(database, delivery(4)) == delivered
        usage = await read(database, store.ReadUsage([ALICE]))
        assert isinstance(usage, store.UsageRead)
        assert usage.message_count == [5]

    with_database(path, work, events)
    assert [each.kind.event_id for each in events] == ["MBX-0202", "MBX-0203"]
    assert all(each.message() for each in events)


def test_a_file_that_cannot_be_opened_is_refused_clearly(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.sqlite"
    garbage.write_bytes(b"no database at all" * 1000)
    foreign = tmp_path / "foreign.sqlite"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE x (y)")
    connection.close()
    newer = tmp_path / "newer.sqlite"
    with_database(newer, lambda database: asyncio.sleep(0))
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for path, text in [
        (garbage, "is damaged"),
        (foreign, "not a mailbox database"),
        (newer, "newer Holdfast"),
        (tmp_path / "none" / "x.sqlite", "cannot open"),
    ]:
        with pytest.raises((Refusal, Unavailable), match=text):
            MailboxDatabase.open(path)


def test_the_write_ahead_log_is_cut_after_a_backlog(tmp_path: Path) -> None:
    connection = open_for_writing(tmp_path / "DB01.sqlite", SCHEMA)
    assert connection.execute("PRAGMA journal_size_limit").fetchone() == (64 << 20,)
    connection.close()


def test_what_is_deleted_costs_no_writing_of_zeros(tmp_path: Path) -> None:
    connection = open_for_writing(tmp_path / "a.sqlite", SCHEMA)
    assert connection.execute("PRAGMA secure_delete").fetchone() == (2,)  # FAST
    assert connection.execute("PRAGMA application_id").fetchone() == (0x48464D42,)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()


def test_a_damaged_page_is_said_and_the_reader_lives_on(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    events: list[LogEvent] = []

    async def fill(database: MailboxDatabase) -> None:
        await submitted(database, delivery(0))

    async def look(database: MailboxDatabase) -> None:
        for _ in range(8):
            assert isinstance(await read(database, store.ReadUsage([ALICE])), store.Refused)

    with_database(path, fill)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xee" * (len(data) - 4096)
    path.write_bytes(data)
    with_database(path, look, events)
    assert {each.kind.event_id for each in events} == {"MBX-0204"}
