"""The queue database on SQLite with its commit log, for their one writer.

A batch becomes durable in the commit log (``drivers.commit_log``) and is brought to the tables later, when
the log is full or nothing comes for a second. What the log does not take, and everything when it cannot be
written, is a transaction of its own, with all that the log has before it.

A transaction also holds the tracking lines of its changes (table ``outbox``), as far as they are not safely
in the log files, and the fingerprints of its new messages (table ``uncertain``, until ``SettleAnswers``
says that their senders have read the 250). The lines are appended to the log files after each commit, and a
later transaction removes them from the outbox and remembers how far the files reach: see
``drivers.tracking_log``.

A transaction that cannot be made (a full disk, an error of the disk) is undone
as a whole and reported; the next one is tried as if nothing had been.

Source: https://sqlite.org/wal.html, https://sqlite.org/pragma.html#pragma_synchronous;
docs/decisions/0004; exchange-behaviour QU-6.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path

from holdfast.drivers.commit_log import FILE_BYTES, CommitLog, commit_log_path, read_commits
from holdfast.drivers.queue_frames import Batch, pack
from holdfast.drivers.queue_schema import (
    DELETE_UNCERTAIN,
    INSERT_MESSAGE,
    INSERT_OPTIONS,
    INSERT_UNCERTAIN,
    SCHEMA,
    UPDATE_MARKS,
    UPDATE_RECIPIENTS,
    read_messages,
)
from holdfast.drivers.sqlite_bulk import delete_rows, insert_rows
from holdfast.drivers.sqlite_schema import connect, open_for_writing, transaction
from holdfast.drivers.sqlite_shadows import (
    add_copies,
    add_entries,
    apply_shadows,
    leave_queue,
    read_shadows,
)
from holdfast.drivers.tracking_log import LogPosition, TrackingLog
from holdfast.drivers.unwritten import Unwritten
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.queue import UNCERTAIN_COUNT_MAX, RecoveredQueue

# A sender whose first try was lost comes back within this time (exchange-behaviour SR13-5).
UNCERTAIN_S = 2 * 86400.0
# How long lines may wait in the outbox after they are in the log files.
CHECKPOINT_S = 1.0
# Numbers that are kept ahead: a shadow copy may carry one before it is in the queue, and none of those may
# ever mean another message. More than there can be clients at a time.
RESERVED_COUNT = 20_000
CHECKPOINT_BYTES = 4 << 20
LOG_RETRY_S = 5.0
# When the commit log could not be made.
COMMITS_RETRY_S = 60.0
# A batch that is larger goes to the tables: twice written it would be dear.
AHEAD_BYTES_MAX = FILE_BYTES // 8

_ADD_MESSAGES = INSERT_MESSAGE[: INSERT_MESSAGE.index("(")]
_ADD_UNCERTAIN = INSERT_UNCERTAIN[: INSERT_UNCERTAIN.index("(")]
_FORGET_UNCERTAIN = "DELETE FROM uncertain WHERE fingerprint IN"


class QueueDatabase:
    """One queue database with its commit log and its tracking log; for one thread.

    Public attribute: ``in_tables``, the number of the last batch that readers of the database see.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, log: TrackingLog) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = connection
        self._log = log
        self.in_tables = 0
        # None while it cannot be made.
        self._commits: CommitLog | None = None
        self._commits_retry_at = 0.0
        self._unwritten = Unwritten()
        # How many of its pieces of lines are in the log files.
        self._appended_count = 0
        # The last record of the commit log that there was, and that the tables know.
        self._last_commit = self._known_commit = 0
        self._identity = ""
        # The outbox: the last row committed, in the log files, and removed again.
        self._committed_id = 0
        self._logged_id = 0
        self._removed_id = 0
        self._row_lines = b""  # of the last row, when it is not in the log files yet
        self._unremoved_bytes = 0
        self._checkpoint_at = 0.0
        self._log_retry_at: float | None = None
        # Whether the database knows which files are ours: no line goes into one that it does not know.
        self._log_begun = False
        # Whether table ``extra`` may have rows; few messages have one, so it is seldom touched.
        self._has_extra = True
        # Whether any message may have a copy at another server.
        self._has_holders = True
        # No number from this on was ever used.
        self._reserved_number = 0

    @classmethod
    def open(cls, path: Path, tracking_directory: Path) -> QueueDatabase:
        """Open or make a queue database, and complete its tracking log.

        Raises:
            Refusal: it is of a newer version, or another program's.
            Unavailable: it cannot be opened, or is damaged.
        """
        connection = open_for_writing(path, SCHEMA)
        try:
            database = cls(path, connection, TrackingLog(tracking_directory))
            database.recover()
        except (sqlite3.Error, OSError, TypeError, ValueError) as error:
            # The last two: a row is missing or not what we write, so somebody changed the tables.
            connection.close()
            raise Unavailable(f"queue database {path} cannot be read: {error}") from None
        return database

    def recover(self) -> None:
        """Complete the tracking log, and forget what is uncertain no more; once, before all else.

        Raises:
            sqlite3.Error, OSError, TypeError, ValueError: the database is not as we left it.
        """
        connection = self._connection
        assert connection is not None
        log_name, log_offset = connection.execute("SELECT log_name, log_offset FROM state").fetchone()
        self._log.recover(LogPosition(log_name, log_offset))
        (self._logged_id,) = connection.execute("SELECT coalesce(min(id), 1) - 1 FROM outbox").fetchone()
        (self._committed_id,) = connection.execute("SELECT coalesce(max(id), 0) FROM outbox").fetchone()
        self._committed_id = max(self._committed_id, self._logged_id)
        self._removed_id = self._logged_id
        self._log_begun = bool(log_name)
        self._catch_up()
        self._bring_forward(connection)
        found = connection.execute("SELECT 1 FROM queue_entry WHERE holder > '' LIMIT 1").fetchone()
        self._has_holders = found is not None
        with transaction(connection):
            connection.execute("DELETE FROM uncertain WHERE at < ?", (time.time() - UNCERTAIN_S,))
            connection.execute(
                "DELETE FROM uncertain WHERE fingerprint IN "
                "(SELECT fingerprint FROM uncertain ORDER BY at DESC LIMIT -1 OFFSET ?)",
                (UNCERTAIN_COUNT_MAX,),
            )
            # At once, since the first number may be on its way to a partner before anything is committed.
            connection.execute("UPDATE state SET clean = 0, next_number = next_number + ?", (RESERVED_COUNT,))
            (self._reserved_number,) = connection.execute("SELECT next_number FROM state").fetchone()
        self._begin_commits()

    def _bring_forward(self, connection: sqlite3.Connection) -> None:
        """Bring to the tables what an earlier life has left in the commit log."""
        identity, self._known_commit = connection.execute(
            "SELECT identity, commit_number FROM state"
        ).fetchone()
        self._identity = identity
        self._last_commit = self._known_commit
        for batch in read_commits(commit_log_path(self._path), identity, self._known_commit):
            self._unwritten.add(batch)
            self._last_commit += 1
        self._settle()
        self.write_log()
        self._settle()
        self.in_tables = 0  # batches are numbered anew in each life

    def _begin_commits(self) -> None:
        self._commits_retry_at = time.monotonic() + COMMITS_RETRY_S
        with contextlib.suppress(OSError):
            self._commits = CommitLog.open(commit_log_path(self._path), self._identity, self._last_commit)

    def close(self, clean: bool, uncertain: Mapping[bytes, str]) -> None:
        """Remember how far the log reaches and let go of all files.

        Args:
            clean: nothing was left unfinished: no fingerprint is uncertain at the next start ...
            uncertain: ... but these.
        """
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error, OSError):
                self._settle()
                if self._commits is not None:
                    self._commits.empty()
                if clean:
                    self._say_goodbye(uncertain)
            self._connection.close()
        if self._commits is not None:
            self._commits.close()
        self._log.close()

    def _say_goodbye(self, uncertain: Mapping[bytes, str]) -> None:
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

    # --- committing -----------------------------------------------------------------------------

    def commit(self, batch: Batch) -> str | None:
        """Make a batch durable; returns why that cannot be, now, and then nothing of it is.

        Raises:
            sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError: a fault of ours.
        """
        try:
            if not self._commit_ahead(batch):
                self._write_out(batch)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError):
            raise
        except (sqlite3.Error, OSError) as reason:
            self._reopen()
            return f"queue database: {reason}"
        return None

    def rest(self) -> None:
        """Do what is left to do when nothing came for ``CHECKPOINT_S``."""
        self.write_log()
        try:
            self._settle()
        except (sqlite3.Error, OSError):
            self._reopen()
        if self._commits is None and time.monotonic() >= self._commits_retry_at:
            self._begin_commits()

    def _reopen(self) -> None:
        """After an error nothing of the old connection is trusted; the next batch opens a new one."""
        self._has_extra = True
        self._reserved_number = 0
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _commit_ahead(self, batch: Batch) -> bool:
        """Make a batch durable in the commit log; False when it has to go to the tables."""
        commits = self._commits
        if commits is None or not commits.usable or not self._goes_ahead(batch):
            return False
        data = batch.data
        frame = pack(batch)
        batch.data = data
        frame_bytes = sum(map(len, frame))
        if frame_bytes > AHEAD_BYTES_MAX:
            return False
        if not commits.has_room(frame_bytes):
            self._write_out(None)
        try:
            commits.append(frame, frame_bytes)
        except OSError:
            return False  # whether the disk takes it elsewhere is what counts
        self._unwritten.add(batch)
        return True

    def _goes_ahead(self, batch: Batch) -> bool:
        """Whether a batch concerns messages of this server alone, and uses no number that is not reserved.

        Raises:
            sqlite3.IntegrityError: a number is used twice, as the tables would say.
        """
        if batch.marked or batch.held or batch.holders or batch.copies or batch.shadows:
            return False
        if (batch.finished or batch.kept) and self._has_holders:
            return False
        if batch.adds:
            numbers = {row[0] for row in batch.adds}
            if len(numbers) < len(batch.adds) or not self._unwritten.adds.keys().isdisjoint(numbers):
                raise sqlite3.IntegrityError("the number of a message is used twice")
            return self._are_reserved(max(numbers))
        return True

    def _are_reserved(self, number: int) -> bool:
        return number + 1 + RESERVED_COUNT // 2 <= self._reserved_number

    def _write_out(self, batch: Batch | None) -> None:
        """Bring to the tables what is in the commit log, and a batch behind it, by one transaction."""
        if self._connection is None:
            self._connection = connect(self._path, SCHEMA)
        unwritten, commits = self._unwritten, self._commits
        appended = unwritten.lines[: self._appended_count]
        # With a batch the outbox takes the lines of both, and a sync of the log waits until it is due.
        checkpoint = (batch is None or self._checkpoint_due()) and self._sync_log()
        last_id, logged_id = self._committed_id, self._logged_id
        rest = b"".join([*unwritten.lines[self._appended_count :], b"" if batch is None else batch.lines])
        with transaction(self._connection) as connection:
            if unwritten:
                self._apply(connection, unwritten.batch(), list(unwritten.uncertain.items()))
            if batch is not None:
                self._apply(connection, batch)
            if checkpoint:
                self._remember_log(connection)
            elif appended:
                last_id = logged_id = last_id + 1
                connection.execute("INSERT INTO outbox VALUES (?, ?)", (last_id, b"".join(appended)))
            if rest:
                last_id += 1
                connection.execute("INSERT INTO outbox VALUES (?, ?)", (last_id, rest))
            last_commit = self._last_commit if commits is None else commits.last_number
            if last_commit != self._known_commit:
                connection.execute("UPDATE state SET commit_number = ?", (last_commit,))
        self._committed_id, self._logged_id, self._row_lines = last_id, logged_id, rest
        self._known_commit = last_commit
        if checkpoint:
            self._removed_id = logged_id
            self._unremoved_bytes = 0
        self.in_tables = max(self.in_tables, unwritten.number) if batch is None else batch.number
        self._unwritten, self._appended_count = Unwritten(), 0
        if commits is not None:
            commits.restart()

    def _apply(
        self,
        connection: sqlite3.Connection,
        batch: Batch,
        uncertain: list[tuple[bytes, str]] | None = None,
    ) -> None:
        """Change the tables; ``uncertain`` are the fingerprints where the messages added do not say it."""
        if batch.settled:
            # Before the additions: those of this batch were not settled by an earlier answer.
            delete_rows(connection, _FORGET_UNCERTAIN, [each.hex() for each in batch.settled])
        if batch.holders or batch.shadows:
            self._has_holders = True
        if batch.adds:
            self._add(connection, batch)
        if uncertain is None:
            held = {row[0] for row in batch.copies}
            uncertain = [(row[8], row[1]) for row in batch.adds if row[8] and row[0] not in held]
        if uncertain:
            # They were read in this order, and those that are too many are forgotten by it.
            begin = time.time() - len(uncertain) * 1e-6
            rows = [(key.hex(), known, begin + at * 1e-6) for at, (key, known) in enumerate(uncertain)]
            insert_rows(connection, _ADD_UNCERTAIN, rows)
        if batch.options:
            self._has_extra = True
            connection.executemany(INSERT_OPTIONS, batch.options)
        if batch.shadows:
            self._has_extra = True
            apply_shadows(connection, batch.shadows)
        if batch.marked or batch.held:
            self._mark(connection, batch.marked, batch.held)
        if batch.progress:
            self._has_extra = True
            connection.executemany(UPDATE_RECIPIENTS, batch.progress)
        if batch.finished or batch.kept:
            leave_queue(connection, batch, has_holders=self._has_holders, has_extra=self._has_extra)

    def _add(self, connection: sqlite3.Connection, batch: Batch) -> None:
        adds = batch.adds
        rows = [(*row[:-1], each) for row, each in zip(adds, batch.data, strict=True)]
        insert_rows(connection, _ADD_MESSAGES, rows)
        ours = adds
        if batch.copies:
            add_copies(connection, batch.copies)
            held = {row[0] for row in batch.copies}
            ours = [row for row in adds if row[0] not in held]
        if ours:
            add_entries(connection, [(row[0], batch.holders.get(row[0]), row[2]) for row in ours])
        last_number = max(row[0] for row in adds)
        if not self._are_reserved(last_number):
            # Some ahead, so that its page is not written with every commit; a kill leaves a gap.
            self._reserved_number = last_number + 1 + RESERVED_COUNT
            connection.execute("UPDATE state SET next_number = ?", (self._reserved_number,))

    def _mark(
        self,
        connection: sqlite3.Connection,
        marked: list[tuple[int, bytes | None]],
        held: list[tuple[str, bool]],
    ) -> None:
        if marked:
            self._has_extra = True
            connection.executemany(UPDATE_MARKS, marked)
        for key, is_held in held:
            if is_held:
                connection.execute("INSERT OR IGNORE INTO held_queue VALUES (?)", (key,))
            else:
                connection.execute("DELETE FROM held_queue WHERE key = ?", (key,))

    # --- the tracking log -------------------------------------------------------------------------

    def write_log(self) -> None:
        """Append the lines of the last commit; when the log cannot be written they wait where they are."""
        self._catch_up_when_due()
        if self._log_retry_at is not None or not self._log_begun:
            return
        if self._row_lines and self._logged_id == self._committed_id - 1:
            if self._append(self._row_lines):
                self._logged_id, self._row_lines = self._committed_id, b""
        elif self._logged_id == self._committed_id:
            lines = self._unwritten.lines
            if len(lines) > self._appended_count and self._append(b"".join(lines[self._appended_count :])):
                self._appended_count = len(lines)

    def _append(self, lines: bytes) -> bool:
        try:
            self._log.append(lines, time.time())
        except OSError:
            self._log_retry_at = time.monotonic() + LOG_RETRY_S
            return False
        self._unremoved_bytes += len(lines)
        return True

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
            if not self._append(row[1]):
                return
            self._logged_id = row[0]

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
        return (self._logged_id > self._removed_id or self._appended_count > 0) and (
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

    def _settle(self) -> None:
        """Bring everything to the tables, and take from the outbox what is safely in the log files."""
        if self._unwritten or self._logged_id > self._removed_id:
            self._write_out(None)


def read_recovered(connection: sqlite3.Connection) -> RecoveredQueue:
    """Read what waits in a queue database that was opened by its writer, which is idle.

    Raises:
        sqlite3.Error, TypeError, ValueError: it cannot be read, or is not what we write.
    """
    (reserved_number,) = connection.execute("SELECT next_number FROM state").fetchone()
    rows = connection.execute("SELECT fingerprint, network_message_id FROM uncertain ORDER BY at")
    uncertain = {bytes.fromhex(row[0]): NetworkMessageId(row[1]) for row in rows}
    held_queues = tuple(row[0] for row in connection.execute("SELECT key FROM held_queue ORDER BY key"))
    return RecoveredQueue(
        tuple(read_messages(connection)),
        reserved_number - RESERVED_COUNT,
        uncertain,
        held_queues,
        shadows=read_shadows(connection),
    )
