"""Many rows with few statements.

Python's ``sqlite3`` gives up the interpreter's lock for every step of a statement and waits to get it
back. Beside a busy event loop that wait, not SQLite, is what a row costs; so rows go in groups, each
group one statement with one step.

Source: docs/decisions/0013.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache

# The widths of groups. Few, so that all statements stay prepared; a group of 16 rows with ten
# values each is far below SQLite's limit of 32,766 values.
_WIDTHS = (16, 8, 4, 2, 1)

Value = int | float | str | bytes | None


@lru_cache(maxsize=64)
def _statement(begin: str, row: str, end: str, width: int) -> str:
    return begin + ",".join([row] * width) + end


def _groups(count: int) -> Iterator[tuple[int, int]]:
    """Cut so many rows into groups: where each begins, and its width."""
    start = 0
    for width in _WIDTHS:
        while count - start >= width:
            yield start, width
            start += width


def insert_rows(connection: sqlite3.Connection, begin: str, rows: Sequence[tuple[Value, ...]]) -> None:
    """Insert rows.

    Args:
        connection: in a transaction.
        begin: the statement up to and with VALUES.
        rows: at least one; all of one length.
    """
    row = "(" + ",".join("?" * len(rows[0])) + ")"
    for start, width in _groups(len(rows)):
        values = [value for each in rows[start : start + width] for value in each]
        connection.execute(_statement(begin, row, "", width), values)


def delete_rows(connection: sqlite3.Connection, begin: str, keys: Sequence[Value]) -> None:
    """Delete rows by their keys.

    Args:
        connection: in a transaction.
        begin: the statement up to and with IN.
        keys: may name rows that are not there.
    """
    for start, width in _groups(len(keys)):
        connection.execute(_statement(begin + " (", "?", ")", width), keys[start : start + width])
