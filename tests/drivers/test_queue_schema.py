"""The tables of the queue database, and rows that are read back as they were."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.drivers.queue_schema import (
    INSERT_MESSAGE,
    SCHEMA,
    names_bytes,
    names_of,
    read_messages,
    text_bytes,
    text_of,
)
from holdfast.drivers.sqlite_schema import connect, open_for_writing


def test_the_stored_format_is_the_one_that_was_written_before(tmp_path: Path) -> None:
    connection = open_for_writing(tmp_path / "q.sqlite", SCHEMA)
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    assert connection.execute("PRAGMA page_size").fetchone() == (8192,)
    assert connection.execute("PRAGMA secure_delete").fetchone() == (2,)  # FAST
    columns = {
        table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        for table in ("state", "message", "progress", "outbox", "uncertain")
    }
    connection.close()
    assert columns == {
        "state": ["one", "next_number", "clean", "log_name", "log_offset"],
        "message": [
            "number", "network_message_id", "received_at", "reverse_path", "recipients", "size_bytes",
            "message_id", "subject", "fingerprint", "data",
        ],
        "progress": ["number", "recipients"],
        "outbox": ["id", "lines"],
        "uncertain": ["fingerprint", "network_message_id", "at"],
    }  # fmt: skip


def test_version_1_is_brought_forward(tmp_path: Path) -> None:
    first = replace(SCHEMA, migrations=SCHEMA.migrations[:1])
    connection = open_for_writing(tmp_path / "q.sqlite", first)
    connection.execute(INSERT_MESSAGE, (1, "n", 1.5, b"", b"a@x", 4, b"", b"", b"", b""))
    old = "\n".join(f"{number:032x} message-{number}" for number in range(3))
    connection.execute("INSERT INTO accepted (at, message_count, fingerprints) VALUES (10.5, 3, ?)", (old,))
    again = f"{2:032x} message-again"
    connection.execute("INSERT INTO accepted (at, message_count, fingerprints) VALUES (11.5, 1, ?)", (again,))
    connection.execute("INSERT INTO accepted (at, message_count, fingerprints) VALUES (12.5, 0, '')")
    connection.close()
    connection = open_for_writing(tmp_path / "q.sqlite", SCHEMA)
    assert connection.execute("SELECT * FROM uncertain ORDER BY fingerprint").fetchall() == [
        (f"{0:032x}", "message-0", 10.5),
        (f"{1:032x}", "message-1", 10.5),
        (f"{2:032x}", "message-again", 11.5),
    ]
    assert [each.number for each in read_messages(connection)] == [1]
    connection.close()


def test_what_waits_is_read_with_its_progress_and_again_after_reopening(tmp_path: Path) -> None:
    connection = open_for_writing(tmp_path / "q.sqlite", SCHEMA)
    row = ("n", 1.5, text_bytes("s@x"), names_bytes(("a@x", "b@x")), 4, b"<m>", b"S", b"f", b"data")
    connection.executemany(INSERT_MESSAGE, [(2, *row), (1, *row)])
    connection.execute("INSERT INTO progress VALUES (2, ?)", (names_bytes(("b@x",)),))
    connection.close()
    connection = open_for_writing(tmp_path / "q.sqlite", SCHEMA)
    found = list(read_messages(connection))
    connection.close()
    assert [(each.number, each.recipients) for each in found] == [(1, ("a@x", "b@x")), (2, ("b@x",))]
    assert (found[0].reverse_path, found[0].data, found[0].fingerprint) == ("s@x", None, b"f")


def test_a_database_from_before_it_had_an_application_id_is_ours(tmp_path: Path) -> None:
    connection = open_for_writing(tmp_path / "q.sqlite", SCHEMA)
    connection.execute(INSERT_MESSAGE, (1, "n", 1.5, b"", b"a@x", 4, b"", b"", b"", b""))
    connection.execute("PRAGMA application_id = 0")
    connection.close()
    connection = open_for_writing(tmp_path / "q.sqlite", SCHEMA)
    assert [each.number for each in read_messages(connection)] == [1]
    connection.close()


def test_a_number_is_used_once(tmp_path: Path) -> None:
    connection = open_for_writing(tmp_path / "q.sqlite", SCHEMA)
    connection.close()
    connection = connect(tmp_path / "q.sqlite", SCHEMA)
    row = (1, "n", 1.5, b"", b"a@x", 4, b"", b"", b"", b"")
    connection.execute(INSERT_MESSAGE, row)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(INSERT_MESSAGE, row)
    connection.close()


@given(st.text(), st.lists(st.text(min_size=1).filter(lambda text: "\n" not in text), min_size=1))
def test_any_text_is_read_back(text: str, names: list[str]) -> None:
    assert text_of(text_bytes(text)) == text
    assert names_of(names_bytes(tuple(names))) == tuple(names)
