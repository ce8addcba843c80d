"""Read the queue database from outside the transport role: what waits, its tracking, one message.

Source: docs/decisions/0004.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from holdfast.drivers.protection_reader import count_copies
from holdfast.drivers.queue_snapshot import queue_snapshot, waiting_messages
from holdfast.drivers.tracking_log import LogPosition, read_log
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
    wanted = name.strip().lower()
    number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 19 else None
    with queue_snapshot(home) as found:
        if found is None:
            return None
        connection, unwritten = found
        for row, data in unwritten.adds.values():
            if row[1] == wanted or row[0] == number:
                return data
        row = connection.execute(
            "SELECT data, number FROM message WHERE network_message_id = ? LIMIT 1", (wanted,)
        ).fetchone()
        if row is None and number is not None:
            row = connection.execute(
                "SELECT data, number FROM message WHERE number = ?", (number,)
            ).fetchone()
        return bytes(row[0]) if row is not None and row[1] not in unwritten.finished else None


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Queue, copies, tracking lines behind the log's remembered position, and that, of one instant."""

    messages: list[QueuedMessage]
    copies: CopyCounts
    outbox: list[str]
    position: LogPosition


def _read_snapshot(home: Path) -> _Snapshot:
    with queue_snapshot(home) as found:
        if found is None:
            return _Snapshot([], NO_COPIES, [], LogPosition("", 0))
        connection, unwritten = found
        position = LogPosition(*connection.execute("SELECT log_name, log_offset FROM state").fetchone())
        outbox = [row[0].decode() for row in connection.execute("SELECT lines FROM outbox ORDER BY id")]
        outbox += [lines.decode() for lines in unwritten.lines]
        messages = waiting_messages(connection, unwritten)
        return _Snapshot(messages, count_copies(connection, unwritten), outbox, position)


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
