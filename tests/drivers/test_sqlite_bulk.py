"""Many rows with few statements: each row once, whatever their number."""

import sqlite3
from collections.abc import Iterator

import pytest

from holdfast.drivers.sqlite_bulk import delete_rows, insert_rows


@pytest.fixture
def table() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE t (number INTEGER PRIMARY KEY, word BLOB, at REAL)")
    yield connection
    connection.close()


@pytest.mark.parametrize("count", [1, 2, 3, 15, 16, 17, 31, 33, 100])
def test_every_row_is_put_in_once_and_taken_out(table: sqlite3.Connection, count: int) -> None:
    rows = [(number, b"%d" % number, 0.5) for number in range(count)]
    insert_rows(table, "INSERT INTO t VALUES ", rows)
    assert table.execute("SELECT * FROM t ORDER BY number").fetchall() == rows
    delete_rows(table, "DELETE FROM t WHERE number IN", [row[0] for row in rows if row[0] != 1])
    assert table.execute("SELECT number FROM t").fetchall() == [(1,)][: count - 1]


@pytest.mark.parametrize("odd", [(), (0,), (40,), (63,), tuple(range(64))])
def test_rows_that_end_as_usual_and_others_are_put_in_as_they_are(
    table: sqlite3.Connection, odd: tuple[int, ...]
) -> None:
    rows = [(number, b"odd" if number in odd else b"", 0.5) for number in range(64)]
    said: list[str] = []
    table.set_trace_callback(said.append)
    insert_rows(table, "INSERT INTO t VALUES ", rows, (b"", 0.5), "zeroblob(0),0.5")
    table.set_trace_callback(None)
    assert table.execute("SELECT * FROM t ORDER BY number").fetchall() == rows
    groups = {number // 32 for number in odd}
    assert ["zeroblob" in each for each in said] == [number not in groups for number in range(2)]


def test_a_key_that_is_not_there_does_no_harm(table: sqlite3.Connection) -> None:
    insert_rows(table, "INSERT INTO t VALUES ", [(1, None, 0.0)])
    delete_rows(table, "DELETE FROM t WHERE number IN", [7, 8, 9])
    delete_rows(table, "DELETE FROM t WHERE number IN", [])
    assert table.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_a_row_that_is_there_already_is_an_error_of_ours(table: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        insert_rows(table, "INSERT INTO t VALUES ", [(1, b"", 0.0), (1, b"", 0.0)])
