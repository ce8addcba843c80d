"""The queue database on SQLite: one writer thread that commits everything that waits in one transaction.

Each transaction also holds the tracking lines of its changes (table ``outbox``)
and the fingerprints of its new messages (table ``uncertain``, until ``SettleAnswers``
says that their senders have read the 250). The thread then
appends the lines to the log files, and a later transaction removes them from
the outbox and remembers how far the files reach: see ``drivers.tracking_log``.

A transaction that cannot be made (a full disk, an error of the disk) is undone
as a whole and reported; the next one is tried as if nothing had been.

Source: https://sqlite.org/wal.html, https://sqlite.org/pragma.html#pragma_synchronous;
docs/decisions/0004; exchange-behaviour QU-6.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from holdfast.drivers.queue_schema import (
    DELETE_UNCERTAIN,
    INSERT_MESSAGE,
    INSERT_OPTIONS,
    INSERT_UNCERTAIN,
    SCHEMA,
    UPDATE_MARKS,
    UPDATE_RECIPIENTS,
    marks_bytes,
    names_bytes,
    options_bytes,
    read_messages,
    text_bytes,
)
from holdfast.drivers.sqlite_bulk import delete_rows, insert_rows
from holdfast.drivers.sqlite_schema import connect, open_for_reading, open_for_writing, transaction
from holdfast.drivers.tracking_log import LogPosition, TrackingLog, read_log
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.intake import UNCERTAIN_COUNT_MAX
from holdfast.transport.ledger import Ledger, LedgerBuilder
from holdfast.transport.queue import (
    NO_MARKS,
    PLAIN_ENVELOPE,
    AddMessage,
    FinishRecipients,
    HoldQueue,
    MarkMessage,
    QueuedMessage,
    QueueWrite,
    RecoveredQueue,
    SettleAnswers,
    TrackOnly,
)
from holdfast.transport.tracking import TrackingEvent, parse_lines

# A sender whose first try was lost comes back within this time (exchange-behaviour SR13-5).
UNCERTAIN_S = 2 * 86400.0
BATCH_WRITE_COUNT_MAX = 10_000
# How long lines may wait in the outbox after they are in the log files.
CHECKPOINT_S = 1.0
RESERVED_COUNT = 1000
CHECKPOINT_BYTES = 4 << 20
LOG_RETRY_S = 5.0

_ADD_MESSAGES = INSERT_MESSAGE[: INSERT_MESSAGE.index("(")]
_ADD_UNCERTAIN = INSERT_UNCERTAIN[: INSERT_UNCERTAIN.index("(")]
_FORGET_UNCERTAIN = "DELETE FROM uncertain WHERE fingerprint IN"

Done = Callable[[list[QueueWrite], Unavailable | None], None]


class QueueWriter:
    """Writes one queue database and its tracking log."""

    def __init__(self, path: Path, connection: sqlite3.Connection, log: TrackingLog) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = connection
        self._log = log
        self._reader: sqlite3.Connection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: queue.SimpleQueue[tuple[list[QueueWrite], Done] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="queue writer", daemon=True)
        # The outbox: the last row committed, in the log files, and removed again.
        self._committed_id = 0
        self._logged_id = 0
        self._removed_id = 0
        self._unremoved_bytes = 0
        self._checkpoint_at = 0.0
        self._log_retry_at: float | None = None
        # Whether the database knows which files are ours: no line goes into one that it does not know.
        self._log_begun = False
        # Whether table ``extra`` may have rows; few messages have one, so it is seldom touched.
        self._has_extra = True
        # The number after the last one used, 0 for none; and the one that the database says.
        self._next_number = 0
        self._reserved_number = 0
        # What was submitted in this turn of the loop.
        self._gathered: list[QueueWrite] = []
        self._gathered_for: Done | None = None

    @classmethod
    def open(cls, path: Path, tracking_directory: Path) -> tuple[QueueWriter, RecoveredQueue]:
        """Open or make a queue database, complete its tracking log, and say what waits in it.

        Raises:
            Refusal: it is of a newer version, or another program's.
            Unavailable: it cannot be opened, or is damaged.
        """
        connection = open_for_writing(path, SCHEMA)
        try:
            writer = cls(path, connection, TrackingLog(tracking_directory))
            recovered = writer._recover()
        except (sqlite3.Error, OSError, TypeError, ValueError) as error:
            # The last two: a row is missing or not what we write, so somebody changed the tables.
            connection.close()
            raise Unavailable(f"queue database {path} cannot be read: {error}") from None
        writer._thread.start()
        return writer, recovered

    def _recover(self) -> RecoveredQueue:
        connection = self._connection
        assert connection is not None
        next_number, log_name, log_offset = connection.execute(
            "SELECT next_number, log_name, log_offset FROM state"
        ).fetchone()
        self._log.recover(LogPosition(log_name, log_offset))
        (self._logged_id,) = connection.execute("SELECT coalesce(min(id), 1) - 1 FROM outbox").fetchone()
        (self._committed_id,) = connection.execute("SELECT coalesce(max(id), 0) FROM outbox").fetchone()
        self._committed_id = max(self._committed_id, self._logged_id)
        self._removed_id = self._logged_id
        self._log_begun = bool(log_name)
        self._catch_up()
        self._checkpoint()
        with transaction(connection):
            connection.execute("DELETE FROM uncertain WHERE at < ?", (time.time() - UNCERTAIN_S,))
            connection.execute(
                "DELETE FROM uncertain WHERE fingerprint IN "
                "(SELECT fingerprint FROM uncertain ORDER BY at DESC LIMIT -1 OFFSET ?)",
                (UNCERTAIN_COUNT_MAX,),
            )
            rows = connection.execute("SELECT fingerprint, network_message_id FROM uncertain ORDER BY at")
            uncertain = {bytes.fromhex(row[0]): NetworkMessageId(row[1]) for row in rows}
            connection.execute("UPDATE state SET clean = 0")
        held_queues = tuple(row[0] for row in connection.execute("SELECT key FROM held_queue ORDER BY key"))
        return RecoveredQueue(tuple(read_messages(connection)), next_number, uncertain, held_queues)

    # --- for the event loop -------------------------------------------------------------------

    def submit(self, writes: list[QueueWrite], done: Done) -> None:
        """Make writes durable, with whatever else waits; ``done`` is called in the loop."""
        # All that one turn of the loop submits is handed over together: the thread would else begin with
        # the first of it, and a commit of one costs as much as a commit of twenty.
        if self._gathered_for != done:
            self._hand_over()
            self._gathered_for = done
            self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._hand_over)
        self._gathered += writes

    def _hand_over(self) -> None:
        done, self._gathered_for = self._gathered_for, None
        if done is not None:
            self._waiting.put((self._gathered, done))
            self._gathered = []

    def read(self, number: int) -> bytes | None:
        """Return the data of a queued message, or None when it cannot be read now."""
        try:
            if self._reader is None:
                self._reader = connect(self._path, SCHEMA)
            row = self._reader.execute("SELECT data FROM message WHERE number = ?", (number,)).fetchone()
        except (sqlite3.Error, OSError):
            if self._reader is not None:
                self._reader.close()
                self._reader = None
            return None
        return row[0] if row is not None else None

    def close(self, clean: bool, uncertain: Mapping[bytes, NetworkMessageId] | None = None) -> None:
        """Finish what was submitted and close; blocks.

        Args:
            clean: nothing was left unfinished: no fingerprint is uncertain at the next start ...
            uncertain: ... but these.
        """
        self._hand_over()
        self._waiting.put(None)
        if self._thread.is_alive():
            self._thread.join()
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error, OSError):
                self._checkpoint()
                if clean:
                    self._say_goodbye(uncertain or {})
            self._connection.close()
        self._log.close()
        if self._reader is not None:
            self._reader.close()

    def _say_goodbye(self, uncertain: Mapping[bytes, NetworkMessageId]) -> None:
        assert self._connection is not None
        with transaction(self._connection) as connection:
            held = [row[0] for row in connection.execute("SELECT fingerprint FROM uncertain")]
            handed_on = {fingerprint.hex(): known for fingerprint, known in uncertain.items()}
            connection.executemany(DELETE_UNCERTAIN, [(each,) for each in held if each not in handed_on])
            now = time.time()
            connection.executemany(
                INSERT_UNCERTAIN,
                [(each, known, now) for each, known in handed_on.items() if each not in set(held)],
            )
            connection.execute("UPDATE state SET clean = 1")
            if self._next_number:
                connection.execute("UPDATE state SET next_number = ?", (self._next_number,))

    # --- the writer thread ----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:  # noqa: BLE001  our own fault, whatever it is: the process must stop
            self._tell(_raise, error)

    def _turn(self) -> bool:
        """Take all that waits and commit it; False when the writer is closed."""
        batch: list[tuple[list[QueueWrite], Done]] = []
        closing = False
        count = 0
        try:
            item = self._waiting.get(timeout=self._idle_s())
            while True:
                if item is None:
                    closing = True
                    break
                batch.append(item)
                count += len(item[0])
                if count >= BATCH_WRITE_COUNT_MAX:
                    break
                item = self._waiting.get_nowait()
        except queue.Empty:
            pass
        if batch:
            lines = self._commit_or_report(batch)
            if lines:
                self._write_log(lines)
        else:
            self._catch_up_when_due()
            with contextlib.suppress(sqlite3.Error, OSError):
                self._checkpoint()
        return not closing

    def _idle_s(self) -> float | None:
        return CHECKPOINT_S if self._removed_id < self._committed_id else None

    def _commit_or_report(self, batch: list[tuple[list[QueueWrite], Done]]) -> bytes:
        """Commit a batch and tell everybody; returns its tracking lines when it is durable."""
        error: Unavailable | None = None
        lines = b""
        try:
            lines = self._commit(batch)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError):
            raise
        except (sqlite3.Error, OSError) as reason:
            self._reopen()
            error = Unavailable(f"queue database: {reason}")
            lines = b""
        merged: list[tuple[list[QueueWrite], Done]] = []
        for writes, done in batch:
            if merged and merged[-1][1] == done:
                merged[-1][0].extend(writes)
            else:
                merged.append((list(writes), done))
        self._tell(_call_all, merged, error)
        return lines

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        if self._loop is None:
            return  # nothing was ever submitted: there is nobody to tell
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever wanted to know
            self._loop.call_soon_threadsafe(function, *arguments)

    def _reopen(self) -> None:
        """After an error nothing of the old connection is trusted; the next batch opens a new one."""
        self._has_extra = True
        self._reserved_number = 0
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _commit(self, batch: list[tuple[list[QueueWrite], Done]]) -> bytes:
        if self._connection is None:
            self._connection = connect(self._path, SCHEMA)
        adds: list[QueuedMessage] = []
        finished: list[int] = []
        progress: list[tuple[int, bytes]] = []
        settled: list[str] = []
        marked: list[tuple[int, bytes | None]] = []
        held: list[HoldQueue] = []
        tracking: list[str] = []
        for writes, _ in batch:
            for write in writes:
                tracking.append(write.tracking)
                if isinstance(write, AddMessage):
                    adds.append(write.message)
                elif isinstance(write, FinishRecipients):
                    if write.remaining:
                        progress.append((write.number, names_bytes(write.remaining)))
                    else:
                        finished.append(write.number)
                elif isinstance(write, MarkMessage):
                    marked.append((write.number, marks_bytes(write.marks)))
                elif isinstance(write, HoldQueue):
                    held.append(write)
                elif isinstance(write, SettleAnswers):
                    settled += [fingerprint.hex() for fingerprint in write.fingerprints]
                else:
                    assert isinstance(write, TrackOnly)
        lines = "".join(tracking).encode("utf-8", "replace")
        checkpoint = self._checkpoint_due() and self._sync_log()
        with transaction(self._connection) as connection:
            if settled:
                # Before the additions: those of this batch were not settled by an earlier answer.
                delete_rows(connection, _FORGET_UNCERTAIN, settled)
            if adds:
                self._add(connection, adds)
            if marked or held:
                self._mark(connection, marked, held)
            if progress:
                self._has_extra = True
                connection.executemany(UPDATE_RECIPIENTS, progress)
            if finished:
                delete_rows(connection, "DELETE FROM message WHERE number IN", finished)
                if self._has_extra:
                    delete_rows(connection, "DELETE FROM extra WHERE number IN", finished)
            outbox_id = self._committed_id + bool(lines)
            if lines:
                connection.execute("INSERT INTO outbox VALUES (?, ?)", (outbox_id, lines))
            if checkpoint:
                self._remember_log(connection)
        self._committed_id = outbox_id
        if checkpoint:
            self._removed_id = self._logged_id
            self._unremoved_bytes = 0
        return lines

    def _add(self, connection: sqlite3.Connection, adds: list[QueuedMessage]) -> None:
        insert_rows(
            connection,
            _ADD_MESSAGES,
            [
                (
                    each.number,
                    each.network_message_id,
                    each.received_at,
                    text_bytes(each.reverse_path),
                    names_bytes(each.recipients),
                    each.size_bytes,
                    text_bytes(each.message_id),
                    text_bytes(each.subject),
                    each.fingerprint,
                    each.data,
                )
                for each in adds
            ],
        )
        special = [
            (each.number, marks_bytes(each.marks), options_bytes(each.options))
            for each in adds
            if each.options is not PLAIN_ENVELOPE or each.marks is not NO_MARKS
        ]
        if special:
            self._has_extra = True
            connection.executemany(INSERT_OPTIONS, special)
        next_number = max(each.number for each in adds) + 1
        if next_number > self._reserved_number:
            # Some ahead, so that its page is not written with every commit; a kill leaves a gap.
            self._reserved_number = next_number + RESERVED_COUNT
            connection.execute("UPDATE state SET next_number = ?", (self._reserved_number,))
        self._next_number = max(self._next_number, next_number)
        now = time.time()
        uncertain = [
            (each.fingerprint.hex(), each.network_message_id, now) for each in adds if each.fingerprint
        ]
        if uncertain:
            insert_rows(connection, _ADD_UNCERTAIN, uncertain)

    def _mark(
        self,
        connection: sqlite3.Connection,
        marked: list[tuple[int, bytes | None]],
        held: list[HoldQueue],
    ) -> None:
        if marked:
            self._has_extra = True
            connection.executemany(UPDATE_MARKS, marked)
        for write in held:
            if write.held:
                connection.execute("INSERT OR IGNORE INTO held_queue VALUES (?)", (write.key,))
            else:
                connection.execute("DELETE FROM held_queue WHERE key = ?", (write.key,))

    # --- the tracking log -------------------------------------------------------------------------

    def _write_log(self, lines: bytes) -> None:
        """Append what was just committed; when the log cannot be written the outbox waits."""
        self._catch_up_when_due()
        if self._logged_id != self._committed_id - 1 or not self._log_begun:
            return
        try:
            self._log.append(lines, time.time())
        except OSError:
            self._log_retry_at = time.monotonic() + LOG_RETRY_S
            return
        self._logged_id = self._committed_id
        self._unremoved_bytes += len(lines)

    def _catch_up_when_due(self) -> None:
        if self._log_retry_at is not None and time.monotonic() >= self._log_retry_at:
            try:
                self._catch_up()
            except sqlite3.Error:
                self._reopen()
                self._log_retry_at = time.monotonic() + LOG_RETRY_S

    def _catch_up(self) -> None:
        """Append what the outbox holds and the log files do not."""
        self._log_retry_at = None
        if self._connection is None:
            self._connection = connect(self._path, SCHEMA)
        try:
            if not self._log_begun:
                self._begin_log(self._connection)
        except OSError:
            self._log_retry_at = time.monotonic() + LOG_RETRY_S
            return
        while self._logged_id < self._committed_id:
            row = self._connection.execute(
                "SELECT id, lines FROM outbox WHERE id > ? ORDER BY id LIMIT 1", (self._logged_id,)
            ).fetchone()
            if row is None:
                self._logged_id = self._committed_id
                return
            try:
                self._log.append(row[1], time.time())
            except OSError:
                self._log_retry_at = time.monotonic() + LOG_RETRY_S
                return
            self._logged_id = row[0]
            self._unremoved_bytes += len(row[1])

    def _begin_log(self, connection: sqlite3.Connection) -> None:
        """Begin a first file after those that are there, and remember it before any line is in it."""
        self._log.begin(time.time())
        self._log.sync()
        with transaction(connection):
            position = self._log.position
            connection.execute(
                "UPDATE state SET log_name = ?, log_offset = ?", (position.name, position.offset)
            )
        self._log_begun = True

    def _checkpoint_due(self) -> bool:
        return self._logged_id > self._removed_id and (
            self._unremoved_bytes >= CHECKPOINT_BYTES or time.monotonic() >= self._checkpoint_at
        )

    def _sync_log(self) -> bool:
        """Make the log files durable; False when they cannot be, then the outbox keeps its lines."""
        self._checkpoint_at = time.monotonic() + CHECKPOINT_S
        try:
            self._log.sync()
        except OSError:
            return False
        return True

    def _remember_log(self, connection: sqlite3.Connection) -> None:
        position = self._log.position
        connection.execute("DELETE FROM outbox WHERE id <= ?", (self._logged_id,))
        self._has_extra = connection.execute("SELECT 1 FROM extra LIMIT 1").fetchone() is not None
        connection.execute("UPDATE state SET log_name = ?, log_offset = ?", (position.name, position.offset))

    def _checkpoint(self) -> None:
        """Remove from the outbox what is safely in the log files, in a transaction of its own."""
        if self._connection is not None and self._logged_id > self._removed_id and self._sync_log():
            with transaction(self._connection) as connection:
                self._remember_log(connection)
            self._removed_id = self._logged_id
            self._unremoved_bytes = 0


def _call_all(merged: list[tuple[list[QueueWrite], Done]], error: Unavailable | None) -> None:
    for writes, done in merged:
        done(writes, error)


def _raise(error: BaseException) -> None:
    raise error


# --- for management: reading what another process writes ------------------------------------------


def _read_snapshot(home: Path) -> tuple[list[QueuedMessage], list[str], LogPosition]:
    """Queue, outbox and the log's remembered position, of one instant."""
    path = home / "queue.sqlite"
    if not path.exists():
        return [], [], LogPosition("", 0)
    connection = open_for_reading(path, SCHEMA)
    try:
        with transaction(connection, "DEFERRED"):
            position = LogPosition(*connection.execute("SELECT log_name, log_offset FROM state").fetchone())
            messages = list(read_messages(connection))
            outbox = [row[0].decode() for row in connection.execute("SELECT lines FROM outbox ORDER BY id")]
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(f"queue database {path} cannot be read: {error}") from None
    finally:
        connection.close()
    return messages, outbox, position


def read_queue(home: Path) -> list[QueuedMessage]:
    """Return the messages that wait, without their data, while the transport role may be writing.

    Raises:
        Refusal: the database is of a newer version, or another program's.
        Unavailable: it cannot be read.
    """
    return _read_snapshot(home)[0]


def _tracking_text(home: Path, outbox: list[str], position: LogPosition) -> Iterator[str]:
    yield from read_log(home / "tracking", position)
    yield from outbox


def read_tracking(home: Path) -> Iterator[TrackingEvent]:
    """Yield every event of the tracking log, oldest first, also those not yet in its files.

    Raises:
        Refusal: the database is of a newer version, or another program's.
        Unavailable: it cannot be read.
    """
    _, outbox, position = _read_snapshot(home)
    for text in _tracking_text(home, outbox, position):
        yield from parse_lines(text)


def read_ledger(home: Path) -> Ledger:
    """Add up the ledger of one instant, while the transport role may be writing.

    Raises:
        Refusal: the database is of a newer version, or another program's.
        Unavailable: it cannot be read.
    """
    messages, outbox, position = _read_snapshot(home)
    builder = LedgerBuilder()
    for text in _tracking_text(home, outbox, position):
        builder.add_lines(text)
    return builder.finish((each.network_message_id, each.recipients) for each in messages)
