"""The queue of one instant, for readers beside its writer: the tables, and what only the commit log has yet.

The tables alone are older than what senders were told. A reader takes its snapshot of them and reads the log
afterwards: what follows the snapshot's number is added to what the tables say. When the log was begun anew in
between, it follows a later state than that, or is empty though the tables have got on since, and the reader
takes another snapshot.

Source: docs/decisions/0013; ``drivers.commit_log``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from holdfast.drivers.commit_log import commit_log_path, read_commits
from holdfast.drivers.queue_schema import SCHEMA, names_of, queued_message, read_messages
from holdfast.drivers.sqlite_schema import open_for_reading
from holdfast.drivers.unwritten import Unwritten
from holdfast.kernel.errors import Unavailable
from holdfast.transport.queue import QueuedMessage

TRY_COUNT = 20  # the log is begun anew some ten times a second at most


@contextmanager
def queue_snapshot(home: Path) -> Iterator[tuple[sqlite3.Connection, Unwritten] | None]:
    """The queue database as it is at one instant, and what is not in its tables; None when there is none yet.

    Raises:
        Refusal: the database is of a newer version, or another program's.
        Unavailable: it cannot be read.
    """
    path = home / "queue.sqlite"
    if not path.exists():
        yield None
        return
    connection = open_for_reading(path, SCHEMA)
    try:
        yield connection, _begin(connection, commit_log_path(path))
    except (sqlite3.Error, OSError, ValueError) as error:
        raise Unavailable(f"queue database {path} cannot be read: {error}") from None
    finally:
        connection.close()  # which ends its transaction


def _begin(connection: sqlite3.Connection, path: Path) -> Unwritten:
    """Begin a transaction, and read what the log has behind it."""
    unwritten = Unwritten()
    reason = Unavailable(f"{path} is being written; try again")
    last_number: int | None = None  # of the snapshot before, when the log had nothing behind it
    for _ in range(TRY_COUNT):
        connection.execute("BEGIN DEFERRED")
        identity, number = connection.execute("SELECT identity, commit_number FROM state").fetchone()
        if number == last_number:  # so nothing that the log had then is in the tables only now
            return unwritten
        try:
            batches = read_commits(path, identity, number)
        except Unavailable as error:
            reason = error
        else:
            for batch in batches:
                unwritten.add(batch)
            if batches:
                return unwritten
            last_number = number
        connection.execute("ROLLBACK")
    raise reason


def waiting_messages(connection: sqlite3.Connection, unwritten: Unwritten) -> list[QueuedMessage]:
    """What waits in the queue, by number, without data."""
    gone, progress = unwritten.gone(), unwritten.progress
    found = [
        replace(each, recipients=names_of(progress[each.number])) if each.number in progress else each
        for each in read_messages(connection)
        if each.number not in gone
    ]
    for number, (row, _) in unwritten.adds.items():
        if number in gone:
            continue
        _, marks, options = unwritten.options.get(number, (number, None, None))
        recipients = progress.get(number, row[4])
        found.append(queued_message((*row[:4], recipients, *row[5:8], marks, options)))
    return sorted(found, key=lambda each: each.number)
