"""Read the queue database from outside the transport role: one message with its data.

Source: docs/decisions/0004.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from holdfast.drivers.queue_schema import SCHEMA
from holdfast.drivers.sqlite_schema import open_for_reading
from holdfast.kernel.errors import Unavailable


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
