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

# Rows of one statement. There is a statement for each number of rows up to this, and all of them should
# stay prepared (``cached_statements`` of ``drivers.sqlite_schema``).
GROUP_ROWS_MAX = 32

Value = int | float | str | bytes | None


@lru_cache(maxsize=256)
def _statement(begin: str, row: str, end: str, width: int) -> str:
    return begin + ",".join([row] * width) + end


def _groups(count: int) -> Iterator[tuple[int, int]]:
    """Cut so many rows into groups: where each begins, and its width."""
    for start in range(0, count, GROUP_ROWS_MAX):
        yield start, min(GROUP_ROWS_MAX, count - start)


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
