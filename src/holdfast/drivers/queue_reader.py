"""Read the queue database from outside the transport role: what waits, its tracking, one message.

Source: docs/decisions/0004.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from holdfast.drivers.protection_reader import count_copies
from holdfast.drivers.queue_schema import SCHEMA, read_messages
from holdfast.drivers.sqlite_schema import open_for_reading, transaction
from holdfast.drivers.tracking_log import LogPosition, read_log
from holdfast.kernel.errors import Unavailable
from holdfast.transport.ledger import NO_COPIES, CopyCounts, Ledger, LedgerBuilder
from holdfast.transport.queue import QueuedMessage
from holdfast.transport.tracking import TrackingEvent, parse_lines


def read_message(home: Path, name: str) -> bytes | None:
    """Return a waiting message as it was taken in, our trace header on top.

    Args:
        home: the state directory.
        name: its number in this queue, or its network message id.

    Returns:
        None when it does not wait here (any more).

    Raises:
        Refusal: the database is of a newer version, or another program's.
        Unavailable: it cannot be read.
    """
    path = home / "queue.sqlite"
    if not path.exists():
        return None
    wanted = name.strip().lower()
    connection = open_for_reading(path, SCHEMA)
    try:
        row = connection.execute(
            "SELECT data FROM message WHERE network_message_id = ? LIMIT 1", (wanted,)
        ).fetchone()
        if row is None and wanted.isascii() and wanted.isdigit() and len(wanted) < 19:
            row = connection.execute("SELECT data FROM message WHERE number = ?", (int(wanted),)).fetchone()
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(f"queue database {path} cannot be read: {error}") from None
    finally:
        connection.close()
    return bytes(row[0]) if row is not None else None


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Queue, copies, outbox and the log's remembered position, of one instant."""

    messages: list[QueuedMessage]
    copies: CopyCounts
    outbox: list[str]
    position: LogPosition


def _read_snapshot(home: Path) -> _Snapshot:
    path = home / "queue.sqlite"
    if not path.exists():
        return _Snapshot([], NO_COPIES, [], LogPosition("", 0))
    connection = open_for_reading(path, SCHEMA)
    try:
        with transaction(connection, "DEFERRED"):
            position = LogPosition(*connection.execute("SELECT log_name, log_offset FROM state").fetchone())
            messages = list(read_messages(connection))
            copies = count_copies(connection)
            outbox = [row[0].decode() for row in connection.execute("SELECT lines FROM outbox ORDER BY id")]
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(f"queue database {path} cannot be read: {error}") from None
    finally:
        connection.close()
    return _Snapshot(messages, copies, outbox, position)


def read_queue(home: Path) -> list[QueuedMessage]:
    """Return the messages that wait, without their data, while the transport role may be writing.

    Raises:
        Refusal: the database is of a newer version, or another program's.
        Unavailable: it cannot be read.
    """
    return _read_snapshot(home).messages


def _tracking_text(home: Path, snapshot: _Snapshot) -> Iterator[str]:
    yield from read_log(home / "tracking", snapshot.position)
    yield from snapshot.outbox


def read_tracking(home: Path) -> Iterator[TrackingEvent]:
    """Yield every event of the tracking log, oldest first, also those not yet in its files.

    Raises:
        Refusal: the database is of a newer version, or another program's.
        Unavailable: it cannot be read.
    """
    for text in _tracking_text(home, _read_snapshot(home)):
        yield from parse_lines(text)


def read_ledger(home: Path) -> Ledger:
    """Add up the ledger of one instant, while the transport role may be writing.

    Raises:
        Refusal: the database is of a newer version, or another program's.
        Unavailable: it cannot be read.
    """
    snapshot = _read_snapshot(home)
    builder = LedgerBuilder()
    for text in _tracking_text(home, snapshot):
        builder.add_lines(text)
    waiting = ((each.network_message_id, each.number, each.recipients) for each in snapshot.messages)
    return builder.finish(waiting, snapshot.copies)
