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


@lru_cache(maxsize=256)
def _row(count: int, end: str) -> str:
    return "(" + ",".join("?" * count) + ("," + end if end else "") + ")"


def _groups(count: int) -> Iterator[tuple[int, int]]:
    """Cut so many rows into groups: where each begins, and its width."""
    for start in range(0, count, GROUP_ROWS_MAX):
        yield start, min(GROUP_ROWS_MAX, count - start)


def insert_rows(
    connection: sqlite3.Connection,
    begin: str,
    rows: Sequence[tuple[Value, ...]],
    usual_end: tuple[Value, ...] = (),
    usual_end_sql: str = "",
) -> None:
    """Insert rows.

    Args:
        connection: in a transaction.
        begin: the statement up to and with VALUES.
        rows: at least one; all of one length.
        usual_end: how most rows end. A group of rows that all do hands over less: a fifth of its time.
        usual_end_sql: the same values, as they are written in SQL.
    """
    whole = len(rows[0])
    short = whole - len(usual_end)
    for start, width in _groups(len(rows)):
        group = rows[start : start + width]
        if usual_end and all(each[short:] == usual_end for each in group):
            values = [value for each in group for value in each[:short]]
            connection.execute(_statement(begin, _row(short, usual_end_sql), "", width), values)
        else:
            values = [value for each in group for value in each]
            connection.execute(_statement(begin, _row(whole, ""), "", width), values)


def delete_rows(connection: sqlite3.Connection, begin: str, keys: Sequence[Value]) -> None:
    """Delete rows by their keys.

    Args:
        connection: in a transaction.
        begin: the statement up to and with IN.
        keys: may name rows that are not there.
    """
    for start, width in _groups(len(keys)):
        connection.execute(_statement(begin + " (", "?", ")", width), keys[start : start + width])
