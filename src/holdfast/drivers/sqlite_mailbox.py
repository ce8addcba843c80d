"""A mailbox database in SQLite: one writer that commits all that waits, and a few readers.

Invariants: a write is reported only after its commit, once per commit; a
commit that fails leaves nothing, and each operation of it is refused as
unavailable. Only one process may have a database open, since the writer's
memory of UIDs would else be wrong: whoever opens one holds the lock of the
mailbox role (``daemons.role``), as transport does for the queue database.

Source: architecture, "Where state lives"; docs/decisions/0005.
"""

from __future__ import annotations

import asyncio
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from holdfast.drivers.sqlite_mailbox_tables import SCHEMA, SqliteTables
from holdfast.drivers.sqlite_schema import connect, open_for_writing, transaction
from holdfast.kernel.events import LogEvent, happened
from holdfast.mailbox.events import (
    DATABASE_UNREADABLE,
    DATABASE_UNWRITABLE,
    DATABASE_WRITABLE,
    OPERATION_BROKEN,
)
from holdfast.mailbox.service import perform
from holdfast.node.mailbox import Perform, Performed
from holdfast.wire import store

READER_COUNT = 4
BATCH_COUNT_MAX = 500  # operations of one commit; bounds how long the first of them waits

Done = Callable[[list[Performed]], None]
Report = Callable[[LogEvent], None]


@dataclass(frozen=True, slots=True)
class _Job:
    asked: Perform
    loop: asyncio.AbstractEventLoop
    done: Done


class MailboxDatabase:
    """One mailbox database that is open. ``submit`` and ``read`` are called in an event loop."""

    def __init__(self, path: Path, connection: sqlite3.Connection, report: Report | None) -> None:
        self._path = path
        self._report = report
        self._luck = random.Random()
        self._failed = False
        self._closed = False
        self._writes: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._connection = connection
        self._tables = SqliteTables(connection)
        self._threads = [threading.Thread(target=self._write, name=f"{path.stem} writer", daemon=True)]
        for number in range(READER_COUNT):
            name = f"{path.stem} reader {number + 1}"
            self._threads.append(threading.Thread(target=self._read, name=name, daemon=True))
        for thread in self._threads:
            thread.start()

    @classmethod
    def open(cls, path: Path, report: Report | None = None) -> MailboxDatabase:
        """Open a mailbox database, or make it.

        Args:
            path: the file; its directory exists.
            report: takes log events, in the event loop that asked; None: they are not said.

        Raises:
            Refusal: it is of a newer version, or no mailbox database.
            Unavailable: it is damaged, or cannot be written.
        """
        return cls(path, open_for_writing(path, SCHEMA), report)

    def submit(self, performs: list[Perform], done: Done) -> None:
        """Perform writes in the next commit; ``done`` is called in this event loop after it."""
        assert not self._closed
        loop = asyncio.get_running_loop()
        for asked in performs:
            self._writes.put(_Job(asked, loop, done))

    def read(self, asked: Perform, done: Done) -> None:
        """Perform a read beside the writer; ``done`` is called in this event loop."""
        assert not self._closed
        self._reads.put(_Job(asked, asyncio.get_running_loop(), done))

    def close(self) -> None:
        """Finish what was asked, and close."""
        if self._closed:
            return
        self._closed = True
        for _ in range(READER_COUNT):
            self._reads.put(None)
        for thread in self._threads[1:]:  # readers hand the first use of a mailbox to the writer
            thread.join()
        self._writes.put(None)
        self._threads[0].join()
        self._connection.close()

    # --- the writer ------------------------------------------------------------------------------

    def _write(self) -> None:
        stopping = False
        while not stopping:
            job = self._writes.get()
            jobs: list[_Job] = []
            while True:
                if job is None:
                    stopping = True
                    break
                jobs.append(job)
                if len(jobs) == BATCH_COUNT_MAX:
                    break
                try:
                    job = self._writes.get_nowait()
                except queue.Empty:
                    break
            if jobs:
                _tell(jobs, self._commit(jobs))

    def _commit(self, jobs: list[_Job]) -> list[Performed]:
        try:
            return self._transaction(jobs)
        except sqlite3.Error as error:
            self._say_unwritable(jobs, error)
            return [
                _refused(job, "the mailbox database cannot be written now; try again later") for job in jobs
            ]
        except Exception as error:  # noqa: BLE001 (logged as our bug; the asker is told)
            # A bug met with one operation must not poison the others: find it by doing each alone.
            if len(jobs) > 1:
                return [result for job in jobs for result in self._commit([job])]
            operation = type(jobs[0].asked.operation).__name__
            self._say(jobs[0].loop, happened(OPERATION_BROKEN, operation=operation, reason=repr(error)))
            return [_refused(jobs[0], "the operation failed; it was undone")]

    def _transaction(self, jobs: list[_Job]) -> list[Performed]:
        now = time.time()
        results = []
        try:
            with transaction(self._connection):
                for job in jobs:
                    answer, touched = perform(job.asked.operation, self._tables, now, self._luck)
                    results.append(Performed(job.asked.client_id, job.asked.number, answer, touched))
                self._tables.flush()
        except BaseException:
            self._tables.forget()
            raise
        self._tables.committed()
        if self._failed:
            self._failed = False
            self._say(jobs[0].loop, happened(DATABASE_WRITABLE, path=str(self._path)))
        return results

    def _say_unwritable(self, jobs: list[_Job], error: sqlite3.Error) -> None:
        if not self._failed:  # said once, until a commit succeeds
            self._failed = True
            event = happened(
                DATABASE_UNWRITABLE, path=str(self._path), reason=str(error), operation_count=len(jobs)
            )
            self._say(jobs[0].loop, event)

    def _say(self, loop: asyncio.AbstractEventLoop, event: LogEvent) -> None:
        if self._report is not None:
            _call(loop, self._report, event)

    # --- the readers -----------------------------------------------------------------------------

    def _read(self) -> None:
        connection: sqlite3.Connection | None = None
        luck = random.Random()
        while (job := self._reads.get()) is not None:
            try:
                if connection is None:
                    connection = connect(self._path, SCHEMA)
                    connection.execute("PRAGMA query_only = ON")
                _tell([job], [_read_once(connection, job, luck)])
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_READONLY:
                    self._writes.put(job)  # the first use of a mailbox makes it
                else:
                    self._unreadable(job, error)
            except Exception as error:  # noqa: BLE001 a bug met with one read; the reader must live on
                self._unreadable(job, error)
        if connection is not None:
            connection.close()

    def _unreadable(self, job: _Job, error: Exception) -> None:
        if isinstance(error, sqlite3.Error):
            event = happened(DATABASE_UNREADABLE, path=str(self._path), reason=str(error))
        else:
            operation = type(job.asked.operation).__name__
            event = happened(OPERATION_BROKEN, operation=operation, reason=repr(error))
        self._say(job.loop, event)
        _tell([job], [_refused(job, "the mailbox database cannot be read now; try again later")])


def _read_once(connection: sqlite3.Connection, job: _Job, luck: random.Random) -> Performed:
    connection.execute("BEGIN")  # one snapshot for all statements of an operation
    try:
        tables = SqliteTables(connection)
        answer, touched = perform(job.asked.operation, tables, time.time(), luck)
        tables.flush()  # writes nothing, or the operation is one for the writer
        return Performed(job.asked.client_id, job.asked.number, answer, touched)
    finally:
        connection.execute("ROLLBACK")


def _refused(job: _Job, text: str) -> Performed:
    answer = store.Refused(store.RefusalReason.UNAVAILABLE, text)
    return Performed(job.asked.client_id, job.asked.number, answer, ())


def _tell(jobs: list[_Job], results: list[Performed]) -> None:
    """Report results, one call per event loop and callback."""
    groups: dict[tuple[asyncio.AbstractEventLoop, Done], list[Performed]] = {}
    for job, result in zip(jobs, results, strict=True):
        groups.setdefault((job.loop, job.done), []).append(result)
    for (loop, done), told in groups.items():
        _call(loop, done, told)


_Told = list[Performed]


def _call(loop: asyncio.AbstractEventLoop, callback: Done | Report, argument: _Told | LogEvent) -> None:
    # A loop that has closed belongs to a process that is stopping: nobody waits for the answer.
    if not loop.is_closed():
        loop.call_soon_threadsafe(callback, argument)  # type: ignore[arg-type]  # callers pair them
