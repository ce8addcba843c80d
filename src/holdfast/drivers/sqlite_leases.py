"""The lease database: every address of which something is known, durable before its client hears of it.

One writer, which is the dhcp role itself: what arrived together is committed in
one transaction, between deciding and answering, without a thread of its own
(docs/decisions/0021). A row is a ``Lease`` as it is.

The file also says by which clock its instants were written (``lease_clock``).

Source: docs/decisions/0021; https://sqlite.org/wal.html.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from holdfast.dhcp.failover_record import Agreed, Departed, Record, Remembered
from holdfast.dhcp.lease import Lease, new_lease
from holdfast.dhcp.lease_time import Mark
from holdfast.drivers.sqlite_bulk import insert_rows
from holdfast.drivers.sqlite_schema import Schema, damaged, open_for_reading, open_for_writing, translated
from holdfast.kernel.errors import Unavailable

LEASE_FILE = "leases.sqlite"
SCHEMA = Schema(
    "lease database",
    application_id=0x48464C53,  # "HFLS"
    migrations=(
        (
            """CREATE TABLE lease (
                address INTEGER PRIMARY KEY, status INTEGER NOT NULL, flags INTEGER NOT NULL,
                hardware BLOB NOT NULL, client_id BLOB NOT NULL, started_at INTEGER NOT NULL,
                expires_at INTEGER NOT NULL, changed_at INTEGER NOT NULL, seen_at INTEGER NOT NULL,
                host_name BLOB NOT NULL, relay BLOB NOT NULL, dns BLOB NOT NULL,
                potential_sent INTEGER NOT NULL, potential_acked INTEGER NOT NULL,
                potential_received INTEGER NOT NULL
            )""",
            """CREATE TABLE mark (
                one INTEGER PRIMARY KEY CHECK (one = 1), node_at REAL NOT NULL, wall_at REAL NOT NULL,
                monotonic_at REAL NOT NULL, boot_id TEXT NOT NULL
            )""",
        ),
        (
            """CREATE TABLE failover (
                relationship TEXT PRIMARY KEY, version INTEGER NOT NULL, state INTEGER NOT NULL,
                since INTEGER NOT NULL, resume INTEGER NOT NULL, partner_state INTEGER NOT NULL,
                partner_since INTEGER NOT NULL, spoken_at INTEGER NOT NULL, mclt_s INTEGER NOT NULL,
                buckets BLOB NOT NULL, connect_time INTEGER NOT NULL, everything_asked INTEGER NOT NULL,
                everything_wanted INTEGER NOT NULL
            )""",
        ),
        (
            "ALTER TABLE failover ADD COLUMN is_primary INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE failover ADD COLUMN shared BLOB NOT NULL DEFAULT x''",
            "ALTER TABLE failover ADD COLUMN wanted BLOB NOT NULL DEFAULT x''",
            """CREATE TABLE departed (
                first INTEGER NOT NULL, last INTEGER NOT NULL, version INTEGER NOT NULL,
                since INTEGER NOT NULL, mclt_s INTEGER NOT NULL, is_primary INTEGER NOT NULL,
                PRIMARY KEY (first, last)
            )""",
        ),
        (
            """CREATE TABLE agreed (
                relationship TEXT PRIMARY KEY, version INTEGER NOT NULL, data BLOB NOT NULL
            )""",
        ),
    ),
    when_damaged="move it away with its -wal file and keep both; clients then get their addresses anew, "
    "which they keep where nobody else asks for them first",
    pragmas=(
        "journal_size_limit = 67108864",
        # Copied into the file in one go, while nobody is answered: seldom, and not for long; and before the
        # log grows beyond what ``make_log_ready`` made ready.
        "wal_autocheckpoint = 3800",
        "cache_size = -32768",
        "temp_store = MEMORY",
    ),
)
_LOG_READY_BYTES = 16 << 20
_PUT = "INSERT OR REPLACE INTO lease VALUES "
# Most leases: no relay agent information, no name in DNS, no partner.
_USUAL_END = (b"", b"", 0, 0, 0)
_USUAL_END_SQL = "x'',x'',0,0,0"
_PUT_RECORD = "INSERT OR REPLACE INTO failover VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FORGET_RECORD = "DELETE FROM failover WHERE relationship = ?"
_PUT_DEPARTED = "INSERT OR REPLACE INTO departed VALUES (?, ?, ?, ?, ?, ?)"
_FORGET_DEPARTED = "DELETE FROM departed WHERE first = ? AND last = ?"
_PUT_AGREED = "INSERT OR REPLACE INTO agreed VALUES (?, ?, ?)"
_FORGET_AGREED = "DELETE FROM agreed WHERE relationship = ?"
_MARK = "INSERT OR REPLACE INTO mark VALUES (1, ?, ?, ?, ?)"


class LeaseStore:
    """The open database of one dhcp role."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @classmethod
    def open(cls, path: Path) -> LeaseStore:
        """Open the database, made or brought to our version.

        Raises:
            Refusal: it is of a newer version, or another program's.
            Unavailable: it is damaged, locked, or the disk does not let us.
        """
        return cls(open_for_writing(path, SCHEMA), path)

    def make_log_ready(self) -> None:
        """Give the log its full length now, so that no commit has to make it longer.

        A sync of a file that grew waits for more than its data: 0.13 ms in place of 0.09 in the median, and
        4 ms in place of 0.3 for one of a hundred (docs/decisions/0021). After each checkpoint SQLite writes
        from the start of the log again. What is behind its last valid frame is nothing to it, then and now.

        Source: https://sqlite.org/fileformat2.html section 4.1: which frames are valid.
        """
        # Without room the log grows as it can; the next lease says so when it cannot.
        with contextlib.suppress(OSError):
            descriptor = os.open(f"{self._path}-wal", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                missing = _LOG_READY_BYTES - os.fstat(descriptor).st_size
                while missing > 0:
                    missing -= os.write(descriptor, bytes(min(missing, 1 << 20)))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def read(self) -> list[Lease]:
        """Read every lease.

        Raises:
            Unavailable: the database is damaged or cannot be read.
        """
        with translated(self._path, SCHEMA):
            # Row by row: a second list of all of them would be memory that never comes back.
            leases = list(map(new_lease, self._connection.execute("SELECT * FROM lease")))
        for lease in leases:
            if not (isinstance(lease.hardware, bytes) and isinstance(lease.expires_at, int)):
                raise damaged(self._path, SCHEMA, f"lease of address {lease.address}")
        return leases

    def read_mark(self) -> Mark | None:
        """By which clock the instants were written last; None in a new file.

        Raises:
            Unavailable: the database is damaged or cannot be read.
        """
        with translated(self._path, SCHEMA):
            row = self._connection.execute(
                "SELECT node_at, wall_at, monotonic_at, boot_id FROM mark"
            ).fetchone()
        return None if row is None else Mark(*row)

    def read_failover(self) -> list[Remembered]:
        """Read what must be known of failover relationships, and of scopes that were shared before.

        Raises:
            Unavailable: the database is damaged or cannot be read.
        """
        with translated(self._path, SCHEMA):
            return [
                *map(Record._make, self._connection.execute("SELECT * FROM failover")),
                *map(Departed._make, self._connection.execute("SELECT * FROM departed")),
                *map(Agreed._make, self._connection.execute("SELECT * FROM agreed")),
            ]

    def commit(
        self, leases: Sequence[Lease], mark: Mark | None = None, failover: Sequence[Remembered] = ()
    ) -> None:
        """Make leases durable, all or none; later ones of an address take the place of earlier ones.

        A record whose state is 0, or whose ``since`` or ``version`` is, is removed.

        Raises:
            Unavailable: the disk does not let us; nothing was changed.
        """
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            if leases:
                insert_rows(connection, _PUT, leases, _USUAL_END, _USUAL_END_SQL)
            if failover:
                records = [each for each in failover if isinstance(each, Record)]
                gone = [(each.relationship,) for each in records if not each.state]
                connection.executemany(_FORGET_RECORD, gone)
                connection.executemany(_PUT_RECORD, [each for each in records if each.state])
                departed = [each for each in failover if isinstance(each, Departed)]
                over = [(each.first, each.last) for each in departed if not each.since]
                connection.executemany(_FORGET_DEPARTED, over)
                connection.executemany(_PUT_DEPARTED, [each for each in departed if each.since])
                agreed = [each for each in failover if isinstance(each, Agreed)]
                ended = [(each.relationship,) for each in agreed if not each.version]
                connection.executemany(_FORGET_AGREED, ended)
                connection.executemany(_PUT_AGREED, [each for each in agreed if each.version])
            if mark is not None:
                connection.execute(_MARK, mark)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                # What is in the transaction is lost with the connection, which its next use says.
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.ProgrammingError | sqlite3.IntegrityError):
                raise  # our own fault
            raise Unavailable(f"cannot use the lease database {self._path} now: {error}") from None

    def close(self) -> None:
        """Close the file; a clean close leaves no -wal behind."""
        self._connection.close()


def read_leases(path: Path) -> list[Lease]:
    """Read the leases of a database that a role may be writing.

    Raises:
        Refusal: it is of a newer version, or another program's.
        Unavailable: it is not there, or cannot be read.
    """
    store = LeaseStore(open_for_reading(path, SCHEMA), path)
    try:
        return store.read()
    finally:
        store.close()
