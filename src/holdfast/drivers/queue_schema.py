"""The tables of the queue database, and how a queued message is a row.

Source: docs/decisions/0004.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from holdfast.drivers.sqlite_schema import Schema
from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.envelope import PLAIN_ENVELOPE, EnvelopeOptions
from holdfast.transport.queue import NO_MARKS, Marks, QueuedMessage

SCHEMA = Schema(
    "queue database",
    application_id=0x48465155,  # "HFQU"
    migrations=(
        (
            """CREATE TABLE state (
                one INTEGER PRIMARY KEY CHECK (one = 1), next_number INTEGER NOT NULL, clean INTEGER NOT NULL,
                log_name TEXT NOT NULL, log_offset INTEGER NOT NULL
            )""",
            "INSERT INTO state VALUES (1, 1, 1, '', 0)",
            """CREATE TABLE message (
                number INTEGER PRIMARY KEY, network_message_id TEXT NOT NULL, received_at REAL NOT NULL,
                reverse_path BLOB NOT NULL, recipients BLOB NOT NULL, size_bytes INTEGER NOT NULL,
                message_id BLOB NOT NULL, subject BLOB NOT NULL, fingerprint BLOB NOT NULL, data BLOB NOT NULL
            )""",
            # Recipients left of a message that is finished in part; its own row would be written anew
            # with its data.
            "CREATE TABLE progress (number INTEGER PRIMARY KEY, recipients BLOB NOT NULL)",
            "CREATE TABLE outbox (id INTEGER PRIMARY KEY, lines BLOB NOT NULL)",
            # One row per transaction: "fingerprint in hex, space, network message id" per line.
            """CREATE TABLE accepted (
                id INTEGER PRIMARY KEY, at REAL NOT NULL, message_count INTEGER NOT NULL,
                fingerprints TEXT NOT NULL
            )""",
        ),
        (
            # One row per message whose sender may not have read our 250; the fingerprint in hexadecimal.
            """CREATE TABLE uncertain (
                fingerprint TEXT PRIMARY KEY, network_message_id TEXT NOT NULL, at REAL NOT NULL
            ) WITHOUT ROWID""",
            # json_each splits lines in linear time; neither value has a character that JSON escapes.
            """INSERT OR REPLACE INTO uncertain
                SELECT substr(line.value, 1, 32), substr(line.value, 34), at
                FROM accepted, json_each('["' || replace(fingerprints, char(10), '","') || '"]') AS line
                WHERE length(fingerprints) > 0 ORDER BY accepted.id""",
            "DROP TABLE accepted",
        ),
        (
            # What few messages have: recipients left of one that is finished in part (its own row would be
            # written anew with its data), marks, and what its envelope said beyond addresses. Each NULL
            # where there is nothing to say; most messages have no row.
            "CREATE TABLE extra (number INTEGER PRIMARY KEY, recipients BLOB, marks BLOB, options BLOB)",
            "INSERT INTO extra (number, recipients) SELECT number, recipients FROM progress",
            "DROP TABLE progress",
            # The queues that an administrator stopped, as people type them.
            "CREATE TABLE held_queue (key TEXT PRIMARY KEY) WITHOUT ROWID",
        ),
        (
            # All messages are in table ``message``; these say what each is, so that what changes hands is a
            # small row (docs/decisions/0016). In the queue: who holds its copy, '' for nobody since an
            # instant, NULL where there is no other server.
            "CREATE TABLE queue_entry (number INTEGER PRIMARY KEY, holder TEXT, since REAL NOT NULL)",
            "INSERT INTO queue_entry SELECT number, NULL, received_at FROM message",
            # Finished: who has not heard of it yet.
            "CREATE TABLE discard (number INTEGER PRIMARY KEY, holder TEXT NOT NULL)",
            # Held for another server, under its number in its queue database.
            """CREATE TABLE shadow (
                number INTEGER PRIMARY KEY, primary_server TEXT NOT NULL, identity TEXT NOT NULL,
                primary_number INTEGER NOT NULL
            )""",
            # In the Safety Net since an instant.
            "CREATE TABLE kept (number INTEGER PRIMARY KEY, at REAL NOT NULL)",
            # Taken over from another server, which does not know yet.
            """CREATE TABLE taken_over (
                primary_server TEXT NOT NULL, identity TEXT NOT NULL, primary_number INTEGER NOT NULL,
                PRIMARY KEY (primary_server, identity, primary_number)
            ) WITHOUT ROWID""",
            # Another database in the place of this one has another identity: what was in this is lost then.
            "ALTER TABLE state ADD COLUMN identity TEXT NOT NULL DEFAULT ''",
            "UPDATE state SET identity = lower(hex(randomblob(16)))",
        ),
        (
            # The last record of the commit log that is in the tables (``drivers.commit_log``).
            "ALTER TABLE state ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 0",
        ),
    ),
    when_damaged="move it away with its -wal and .commits files and keep them: they may hold mail",
    pragmas=(
        "journal_size_limit = 67108864",
        "wal_autocheckpoint = 4000",
        "cache_size = -16384",
        "temp_store = MEMORY",
        # Debian's SQLite writes zeros over all that is deleted: measured, 10 to 30 % of the queue's CPU,
        # since every message is deleted soon. FAST still does so where the page is written anyway. What
        # stays in free pages is mail that the same user could read before; secrets are in the directory.
        "secure_delete = FAST",
    ),
    page_bytes=8192,
    unmarked_table="outbox",  # the first queue databases had no application id
)

INSERT_UNCERTAIN = "INSERT OR REPLACE INTO uncertain VALUES (?, ?, ?)"
DELETE_UNCERTAIN = "DELETE FROM uncertain WHERE fingerprint = ?"
INSERT_MESSAGE = "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
UPDATE_RECIPIENTS = """
    INSERT INTO extra (number, recipients) VALUES (?, ?)
    ON CONFLICT (number) DO UPDATE SET recipients = excluded.recipients
"""
# A message that has left the queue is marked no more.
UPDATE_MARKS = """
    INSERT INTO extra (number, marks) SELECT number, ?2 FROM message WHERE number = ?1
    ON CONFLICT (number) DO UPDATE SET marks = excluded.marks
"""
INSERT_OPTIONS = "INSERT INTO extra (number, marks, options) VALUES (?, ?, ?)"
_SELECT_QUEUE = """
    SELECT message.number, network_message_id, received_at, reverse_path,
           coalesce(extra.recipients, message.recipients), size_bytes, message_id, subject,
           marks, options, fingerprint
    FROM {table} JOIN message USING (number) LEFT JOIN extra USING (number) ORDER BY message.number
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


def marks_bytes(marks: Marks) -> bytes | None:
    """Write marks; None for none."""
    return None if marks == NO_MARKS else msgspec.msgpack.encode(marks)


def marks_of(value: bytes | None) -> Marks:
    """Read what ``marks_bytes`` wrote.

    Raises:
        ValueError: it is not what it wrote.
    """
    if value is None:
        return NO_MARKS
    try:
        return msgspec.msgpack.decode(value, type=Marks)
    except msgspec.MsgspecError as error:
        raise ValueError(f"marks of a message: {error}") from None


def options_bytes(options: EnvelopeOptions) -> bytes | None:
    """Write what an envelope said beyond addresses; None for nothing."""
    if options == PLAIN_ENVELOPE:
        return None
    try:
        return msgspec.msgpack.encode(options)
    except UnicodeEncodeError:
        # An address that is not valid Unicode: the message goes, without what was asked about recipients.
        return msgspec.msgpack.encode(replace(options, recipients=()))


def options_of(value: bytes | None) -> EnvelopeOptions:
    """Read what ``options_bytes`` wrote.

    Raises:
        ValueError: it is not what it wrote.
    """
    if value is None:
        return PLAIN_ENVELOPE
    try:
        return msgspec.msgpack.decode(value, type=EnvelopeOptions)
    except msgspec.MsgspecError as error:
        raise ValueError(f"envelope of a message: {error}") from None


def read_messages(
    connection: sqlite3.Connection, table: str = "queue_entry", *parameters: str
) -> Iterator[QueuedMessage]:
    """Yield what waits, by number, without data; or the messages that another table, or a query, lists."""
    for row in connection.execute(_SELECT_QUEUE.format(table=table), parameters):
        # Fingerprints of ours are of use until they are accepted.
        yield queued_message(row, row[10] if table == "shadow" else b"")


def queued_message(row: tuple[Any, ...], fingerprint: bytes = b"") -> QueuedMessage:
    """Read a row of table ``message`` up to its subject, and marks and options behind it."""
    return QueuedMessage(
        number=row[0],
        network_message_id=NetworkMessageId(row[1]),
        received_at=row[2],
        reverse_path=text_of(row[3]),
        recipients=names_of(row[4]),
        size_bytes=row[5],
        data=None,
        message_id=text_of(row[6]),
        subject=text_of(row[7]),
        fingerprint=fingerprint,
        options=PLAIN_ENVELOPE if row[9] is None else options_of(row[9]),
        marks=NO_MARKS if row[8] is None else marks_of(row[8]),
    )
