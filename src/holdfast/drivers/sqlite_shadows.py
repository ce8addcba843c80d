"""The tables of the queue database that say whose a message is, and who else has it.

A row in ``queue_entry``: it is in our queue. In ``shadow``: it is held for another server. In ``kept``: it
is in the Safety Net. In ``discard``: it is finished, and the holder of its copy does not know yet. The
message itself stays where it is.

Source: docs/decisions/0016; ``transport.shadow_writes``.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import assert_never

from holdfast.drivers.queue_frames import Batch, CopyRow
from holdfast.drivers.queue_schema import (
    UPDATE_MARKS,
    UPDATE_RECIPIENTS,
    marks_bytes,
    names_bytes,
    read_messages,
)
from holdfast.drivers.sqlite_bulk import delete_rows, insert_rows
from holdfast.transport.queue import Marks
from holdfast.transport.shadow_writes import (
    Copied,
    DropCopies,
    ForgetCopies,
    ForgetTakeOver,
    HeldCopy,
    KeptBatch,
    NarrowCopy,
    PurgeKept,
    RecoveredShadows,
    Resubmit,
    TableWrite,
    TakeOver,
)

PURGE_COUNT = 5000
# Of the Safety Net, at a time: small rows that are looked at, and messages that are read.
LOOK_COUNT = 5000
KEPT_COUNT = 200
_LISTED = "(SELECT value AS number FROM json_each(?))"
_FORGET = (
    "DELETE FROM message WHERE number IN",
    "DELETE FROM extra WHERE number IN",
    "DELETE FROM shadow WHERE number IN",
    "DELETE FROM kept WHERE number IN",
)


def add_entries(connection: sqlite3.Connection, rows: Sequence[tuple[int, str | None, float]]) -> None:
    """Put messages into the queue: number, holder of the copy, since when."""
    insert_rows(connection, "INSERT INTO queue_entry VALUES", rows)


def add_copies(connection: sqlite3.Connection, rows: Sequence[CopyRow]) -> None:
    """Hold messages for other servers."""
    insert_rows(connection, "INSERT INTO shadow VALUES", rows)


def leave_queue(connection: sqlite3.Connection, batch: Batch, *, has_holders: bool, has_extra: bool) -> None:
    """Take finished messages out of the queue; those that are kept stay in the database."""
    kept = [number for number, _ in batch.kept]
    leaving = batch.finished + kept
    if has_holders:
        # ``delete_rows`` only needs a statement that ends with a list of keys.
        delete_rows(
            connection,
            "INSERT OR REPLACE INTO discard SELECT number, holder FROM queue_entry "
            "WHERE holder > '' AND number IN",
            leaving,
        )
    delete_rows(connection, "DELETE FROM queue_entry WHERE number IN", leaving)
    if batch.finished:
        delete_rows(connection, "DELETE FROM message WHERE number IN", batch.finished)
        if has_extra:
            delete_rows(connection, "DELETE FROM extra WHERE number IN", batch.finished)
    if kept:
        insert_rows(connection, "INSERT OR REPLACE INTO kept VALUES", batch.kept)
        if has_extra:
            delete_rows(connection, "UPDATE extra SET recipients = NULL, marks = NULL WHERE number IN", kept)


def _forget(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    for statement in _FORGET:
        delete_rows(connection, statement, numbers)


def apply_shadows(connection: sqlite3.Connection, writes: Sequence[TableWrite]) -> None:
    """Do changes in their order."""
    for write in writes:
        match write:
            case Copied():
                connection.execute(
                    "UPDATE queue_entry SET holder = ?, since = ? WHERE number = ?",
                    (write.holder, write.since, write.number),
                )
            case ForgetCopies():
                if write.numbers:
                    delete_rows(connection, "DELETE FROM discard WHERE number IN", write.numbers)
                    delete_rows(
                        connection, "UPDATE queue_entry SET holder = '' WHERE number IN", write.numbers
                    )
            case DropCopies():
                _drop_copies(connection, write)
            case NarrowCopy():
                # A copy that never became durable, or is gone, has no recipients to narrow.
                if connection.execute("SELECT 1 FROM shadow WHERE number = ?", (write.number,)).fetchone():
                    connection.execute(UPDATE_RECIPIENTS, (write.number, names_bytes(write.recipients)))
            case TakeOver():
                _take_over(connection, write)
            case ForgetTakeOver():
                connection.executemany(
                    "DELETE FROM taken_over WHERE primary_server = ? AND identity = ? AND primary_number = ?",
                    [(write.primary, write.identity, number) for number in write.numbers],
                )
            case Resubmit():
                _resubmit(connection, write)
            case PurgeKept():
                oldest = connection.execute(
                    "SELECT number, at FROM kept ORDER BY number LIMIT ?", (PURGE_COUNT,)
                ).fetchall()
                numbers = [number for number, at in oldest if at < write.before]
                if numbers:
                    _forget(connection, numbers)
            case _:
                assert_never(write)


def _drop_copies(connection: sqlite3.Connection, write: DropCopies) -> None:
    if write.gone:
        _forget(connection, write.gone)
    if write.kept:
        # A copy that never became durable has no row to keep.
        connection.executemany(
            "INSERT OR REPLACE INTO kept SELECT number, ? FROM shadow WHERE number = ?",
            [(write.at, number) for number in write.kept],
        )
        delete_rows(connection, "DELETE FROM shadow WHERE number IN", write.kept)
        # A mailbox database asks for all recipients again, those that were finished too.
        delete_rows(connection, "UPDATE extra SET recipients = NULL WHERE number IN", write.kept)


def _take_over(connection: sqlite3.Connection, write: TakeOver) -> None:
    numbers = write.numbers
    delete_rows(
        connection,
        "INSERT OR REPLACE INTO taken_over SELECT primary_server, identity, primary_number FROM shadow "
        "WHERE number IN",
        numbers,
    )
    delete_rows(connection, "DELETE FROM shadow WHERE number IN", numbers)
    insert_rows(connection, "INSERT INTO queue_entry VALUES", [(each, "", write.since) for each in numbers])


def _resubmit(connection: sqlite3.Connection, write: Resubmit) -> None:
    number = write.number
    if connection.execute("DELETE FROM kept WHERE number = ?", (number,)).rowcount != 1:
        return  # it was purged meanwhile
    connection.execute(
        "INSERT INTO queue_entry SELECT number, '', received_at FROM message WHERE number = ?", (number,)
    )
    connection.execute(UPDATE_RECIPIENTS, (number, names_bytes(write.recipients)))
    connection.execute(UPDATE_MARKS, (number, marks_bytes(Marks(resubmitted=True))))


def read_kept(connection: sqlite3.Connection, since: float, until: float, after_number: int) -> KeptBatch:
    """Read some messages of the Safety Net that got there within a span; see ``node.ports.ReadKept``.

    It looks at a bounded number of them, whether they are of that span or not.

    Raises:
        sqlite3.Error, TypeError, ValueError: they cannot be read, or are not what we write.
    """
    rows = connection.execute(
        "SELECT number, at FROM kept WHERE number > ? ORDER BY number LIMIT ?", (after_number, LOOK_COUNT)
    ).fetchall()
    wanted = {number: at for number, at in rows if since <= at <= until}
    last_number, at_end = rows[-1][0] if rows else after_number, len(rows) < LOOK_COUNT
    if len(wanted) > KEPT_COUNT:
        wanted = dict(list(wanted.items())[:KEPT_COUNT])
        last_number, at_end = max(wanted), False
    if not wanted:
        return KeptBatch((), last_number, at_end)
    messages = read_messages(connection, _LISTED, json.dumps(list(wanted)))
    return KeptBatch(tuple((each, wanted[each.number]) for each in messages), last_number, at_end)


def read_shadows(connection: sqlite3.Connection) -> RecoveredShadows:
    """Read what the tables say when transport starts.

    Raises:
        sqlite3.Error, TypeError, ValueError: they cannot be read, or are not what we write.
    """
    (identity,) = connection.execute("SELECT identity FROM state").fetchone()
    holders = {
        number: (holder, since)
        for number, holder, since in connection.execute(
            "SELECT number, holder, since FROM queue_entry WHERE holder IS NOT NULL"
        )
    }
    discards = tuple(
        (number, holder, bool(kept))
        for number, holder, kept in connection.execute(
            "SELECT discard.number, holder, kept.number IS NOT NULL FROM discard LEFT JOIN kept USING "
            "(number)"
        )
    )
    owners = {
        number: (primary, its_identity, its_number)
        for number, primary, its_identity, its_number in connection.execute("SELECT * FROM shadow")
    }
    copies = tuple(HeldCopy(each, *owners[each.number]) for each in read_messages(connection, "shadow"))
    taken_over = tuple(connection.execute("SELECT * FROM taken_over").fetchall())
    something_kept = connection.execute("SELECT 1 FROM kept LIMIT 1").fetchone() is not None
    return RecoveredShadows(identity, holders, discards, copies, taken_over, something_kept)
