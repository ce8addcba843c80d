"""A queue database opened as its writer opens it, and what is left of it when that is killed."""

from __future__ import annotations

import shutil
from pathlib import Path

from holdfast.drivers.queue_schema import SCHEMA
from holdfast.drivers.sqlite_queue import QueueDatabase, read_recovered
from holdfast.drivers.sqlite_schema import connect
from holdfast.transport.queue import RecoveredQueue


def open_queue(home: Path) -> tuple[QueueDatabase, RecoveredQueue]:
    """Open or make the database of a home, and read what it holds."""
    database = QueueDatabase.open(home / "queue.sqlite", home / "tracking")
    connection = connect(home / "queue.sqlite", SCHEMA)
    try:
        return database, read_recovered(connection)
    except BaseException:
        database.close(False, {})
        raise
    finally:
        connection.close()


def crash(home: Path, database: QueueDatabase) -> Path:
    """What kill -9 leaves: the files as they are, seen by somebody who starts afresh."""
    copy = home.with_name(home.name + "-after")
    shutil.copytree(home, copy)
    database.close(False, {})
    return copy
