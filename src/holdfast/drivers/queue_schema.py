"""The tables of the queue database, its versions, and how a queued message is a row.

A newer version is refused, an older one is brought up to this one step by step,
each step in one transaction.

Source: docs/decisions/0004; https://sqlite.org/pragma.html#pragma_user_version.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.queue import QueuedMessage

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 10.0

# Each entry takes a database from the version of its index to the next.
_MIGRATIONS = (
    """
    CREATE TABLE state (
        one INTEGER PRIMARY KEY CHECK (one = 1), next_number INTEGER NOT NULL, clean INTEGER NOT NULL,
        log_name TEXT NOT NULL, log_offset INTEGER NOT NULL
    );
    INSERT INTO state VALUES (1, 1, 1, '', 0);
    CREATE TABLE message (
        number INTEGER PRIMARY KEY, network_message_id TEXT NOT NULL, received_at REAL NOT NULL,
        reverse_path BLOB NOT NULL, recipients BLOB NOT NULL, size_bytes INTEGER NOT NULL,
        message_id BLOB NOT NULL, subject BLOB NOT NULL, fingerprint BLOB NOT NULL, data BLOB NOT NULL
    );
    -- Recipients left of a message that is finished in part; its own row would be written anew with its data.
    CREATE TABLE progress (number INTEGER PRIMARY KEY, recipients BLOB NOT NULL);
    CREATE TABLE outbox (id INTEGER PRIMARY KEY, lines BLOB NOT NULL);
    -- One row per transaction: "fingerprint in hex, space, network message id" per line.
    CREATE TABLE accepted (
        id INTEGER PRIMARY KEY, at REAL NOT NULL, message_count INTEGER NOT NULL, fingerprints TEXT NOT NULL
    );
    """,
)

INSERT_MESSAGE = "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SELECT_QUEUE = """
    SELECT message.number, network_message_id, received_at, reverse_path,
           coalesce(progress.recipients, message.recipients), size_bytes, message_id, subject, fingerprint
    FROM message LEFT JOIN progress USING (number) ORDER BY message.number
"""


def text_bytes(value: str) -> bytes:
    """Write text that a peer chose; SQLite's own text refuses what is not valid Unicode."""
    return value.encode("utf-8", "surrogatepass")


def text_of(value: bytes) -> str:
    """Read what ``text_bytes`` wrote."""
    return bytes(value).decode("utf-8", "surrogatepass")


def names_bytes(recipients: tuple[str, ...]) -> bytes:
    """Write recipients, at least one."""
    return text_bytes("\n".join(recipients))  # an address contains no line end


def names_of(value: bytes) -> tuple[str, ...]:
    """Read what ``names_bytes`` wrote."""
    return tuple(text_of(value).split("\n"))


def connect(path: Path) -> sqlite3.Connection:
    """Open a database that was prepared; what is committed is on the disk (``synchronous=FULL``)."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA journal_size_limit=67108864")
    connection.execute("PRAGMA wal_autocheckpoint=4000")
    connection.execute("PRAGMA cache_size=-16384")
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection


def prepare(path: Path) -> sqlite3.Connection:
    """Open a database for writing, made or brought up to this version.

    Raises:
        Unavailable: it cannot be opened, is damaged, or is of a newer version.
    """
    new = not path.exists()
    connection: sqlite3.Connection | None = None
    try:
        connection = connect(path)
        if new:
            os.chmod(path, 0o600)
            connection.execute("PRAGMA page_size=8192")
        connection.execute("PRAGMA journal_mode=WAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise Unavailable(
                f"{path} has version {version}, this program knows {SCHEMA_VERSION}; "
                "install the newer program"
            )
        for step in range(version, SCHEMA_VERSION):
            connection.executescript(
                f"BEGIN IMMEDIATE; {_MIGRATIONS[step]}; PRAGMA user_version={step + 1}; COMMIT;"
            )
        if new:
            _sync_directory(path.parent)
    except (sqlite3.Error, OSError, Unavailable) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, Unavailable):
            raise
        raise Unavailable(
            f"queue database {path} cannot be opened: {error}; if it is damaged, "
            "move it away with its -wal file and keep both: they may hold mail"
        ) from None
    return connection


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_messages(connection: sqlite3.Connection) -> Iterator[QueuedMessage]:
    """Yield what waits, by number, without data."""
    for row in connection.execute(_SELECT_QUEUE):
        yield QueuedMessage(
            number=row[0],
            network_message_id=NetworkMessageId(row[1]),
            received_at=row[2],
            reverse_path=text_of(row[3]),
            recipients=names_of(row[4]),
            size_bytes=row[5],
            data=None,
            message_id=text_of(row[6]),
            subject=text_of(row[7]),
            fingerprint=bytes(row[8]),
        )
