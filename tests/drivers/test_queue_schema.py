"""The tables of the queue database: versions, and rows that are read back as they were."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.drivers.queue_schema import (
    INSERT_MESSAGE,
    SCHEMA_VERSION,
    connect,
    names_bytes,
    names_of,
    prepare,
    read_messages,
    text_bytes,
    text_of,
)
from holdfast.kernel.errors import Unavailable


def test_a_new_database_is_durable_and_private(tmp_path: Path) -> None:
    connection = prepare(tmp_path / "q.sqlite")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    connection.close()
    assert (tmp_path / "q.sqlite").stat().st_mode & 0o777 == 0o600


def test_what_waits_is_read_with_its_progress_and_again_after_reopening(tmp_path: Path) -> None:
    connection = prepare(tmp_path / "q.sqlite")
    row = ("n", 1.5, text_bytes("s@x"), names_bytes(("a@x", "b@x")), 4, b"<m>", b"S", b"f", b"data")
    connection.executemany(INSERT_MESSAGE, [(2, *row), (1, *row)])
    connection.execute("INSERT INTO progress VALUES (2, ?)", (names_bytes(("b@x",)),))
    connection.close()
    connection = prepare(tmp_path / "q.sqlite")
    found = list(read_messages(connection))
    connection.close()
    assert [(each.number, each.recipients) for each in found] == [(1, ("a@x", "b@x")), (2, ("b@x",))]
    assert (found[0].reverse_path, found[0].data, found[0].fingerprint) == ("s@x", None, b"f")


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "q.sqlite")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(Unavailable, match="install the newer program"):
        prepare(tmp_path / "q.sqlite")


@pytest.mark.parametrize("what", ["no database", "no directory"])
def test_what_cannot_be_opened(tmp_path: Path, what: str) -> None:
    path = tmp_path / "q.sqlite"
    if what == "no database":
        path.write_bytes(b"this is not a database" * 1000)
    else:
        path = tmp_path / "absent" / "q.sqlite"
    with pytest.raises(Unavailable, match="cannot be opened"):
        prepare(path)


def test_a_number_is_used_once(tmp_path: Path) -> None:
    connection = prepare(tmp_path / "q.sqlite")
    connection.close()
    connection = connect(tmp_path / "q.sqlite")
    row = (1, "n", 1.5, b"", b"a@x", 4, b"", b"", b"", b"")
    connection.execute(INSERT_MESSAGE, row)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(INSERT_MESSAGE, row)
    connection.close()


@given(st.text(), st.lists(st.text(min_size=1).filter(lambda text: "\n" not in text), min_size=1))
def test_any_text_is_read_back(text: str, names: list[str]) -> None:
    assert text_of(text_bytes(text)) == text
    assert names_of(names_bytes(tuple(names))) == tuple(names)
