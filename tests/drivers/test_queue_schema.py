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
    INSERT_OPTIONS,
    SCHEMA,
    UPDATE_MARKS,
    UPDATE_RECIPIENTS,
    marks_bytes,
    marks_of,
    names_bytes,
    names_of,
    options_bytes,
    options_of,
    read_messages,
    text_bytes,
    text_of,
)
from holdfast.drivers.sqlite_schema import connect, open_for_writing
from holdfast.transport.envelope import PLAIN_ENVELOPE, EnvelopeOptions, RecipientOptions
from holdfast.transport.queue import NO_MARKS, Marks


def test_the_stored_format_is_the_one_that_was_written_before(tmp_path: Path) -> None:
    connection = open_for_writing(tmp_path / "q.sqlite", SCHEMA)
    assert connection.execute("PRAGMA user_version").fetchone() == (5,)
    assert connection.execute("PRAGMA page_size").fetchone() == (8192,)
    assert connection.execute("PRAGMA secure_delete").fetchone() == (2,)  # FAST
    columns = {
        table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        for table in (
            "state",
            "message",
            "extra",
            "outbox",
            "uncertain",
            "held_queue",
            "queue_entry",
            "discard",
            "shadow",
            "kept",
            "taken_over",
        )
    }
    connection.close()
    assert columns == {
        "state": ["one", "next_number", "clean", "log_name", "log_offset", "identity", "commit_number"],
        "queue_entry": ["number", "holder", "since"],
        "discard": ["number", "holder"],
        "shadow": ["number", "primary_server", "identity", "primary_number"],
        "kept": ["number", "at"],
        "taken_over": ["primary_server", "identity", "primary_number"],
        "message": [
            "number", "network_message_id", "received_at", "reverse_path", "recipients", "size_bytes",
            "message_id", "subject", "fingerprint", "data",
        ],
        "extra": ["number", "recipients", "marks", "options"],
        "held_queue": ["key"],
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


def test_version_2_is_brought_forward_with_what_is_left_of_its_messages(tmp_path: Path) -> None:
    second = replace(SCHEMA, migrations=SCHEMA.migrations[:2])
    connection = open_for_writing(tmp_path / "q.sqlite", second)
    row = ("n", 1.5, b"", names_bytes(("a@x", "b@x")), 4, b"", b"", b"", b"data")
    connection.executemany(INSERT_MESSAGE, [(1, *row), (2, *row)])
    connection.execute("INSERT INTO progress VALUES (2, ?)", (names_bytes(("b@x",)),))
    connection.close()
    connection = open_for_writing(tmp_path / "q.sqlite", SCHEMA)
    found = list(read_messages(connection))
    connection.close()
    assert [each.recipients for each in found] == [("a@x", "b@x"), ("b@x",)]
    assert [(each.marks, each.options) for each in found] == [(NO_MARKS, PLAIN_ENVELOPE)] * 2


def test_version_3_is_brought_forward_with_its_queue_and_an_identity(tmp_path: Path) -> None:
    third = replace(SCHEMA, migrations=SCHEMA.migrations[:3])
    connection = open_for_writing(tmp_path / "q.sqlite", third)
    connection.execute(INSERT_MESSAGE, (7, "n", 1.5, b"", b"a@x", 4, b"", b"", b"", b"data"))
    connection.close()
    connection = open_for_writing(tmp_path / "q.sqlite", SCHEMA)
    assert [each.number for each in read_messages(connection)] == [7]
    assert connection.execute("SELECT * FROM queue_entry").fetchall() == [(7, None, 1.5)]
    (identity,) = connection.execute("SELECT identity FROM state").fetchone()
    connection.close()
    assert len(identity) == 32
    other = open_for_writing(tmp_path / "other.sqlite", SCHEMA)
    assert other.execute("SELECT identity FROM state").fetchone() != (identity,)
    other.close()


OPTIONS = EnvelopeOptions(
    "HDRS", "id", eight_bit=True, recipients=(("a@x", RecipientOptions(("SUCCESS", "DELAY"), "rfc822;a")),)
)


def test_marks_and_envelopes_are_read_back_and_go_with_their_message(tmp_path: Path) -> None:
    connection = open_for_writing(tmp_path / "q.sqlite", SCHEMA)
    row = ("n", 1.5, b"", b"a@x", 4, b"", b"", b"", b"data")
    connection.execute(INSERT_MESSAGE, (1, *row))
    connection.execute("INSERT INTO queue_entry VALUES (1, NULL, 1.5)")
    connection.execute(INSERT_OPTIONS, (1, marks_bytes(NO_MARKS), options_bytes(OPTIONS)))
    marks = Marks(held=True, redirect="[192.0.2.1]")
    for each in (Marks(poison=True), marks):
        connection.execute(UPDATE_MARKS, (1, marks_bytes(each)))
    connection.execute(UPDATE_MARKS, (7, marks_bytes(marks)))  # it has left the queue
    (found,) = read_messages(connection)
    assert (found.marks, found.options) == (marks, OPTIONS)
    assert connection.execute("SELECT count(*) FROM extra").fetchone() == (1,)
    connection.close()


def test_what_nobody_wrote_is_refused_and_no_address_stops_a_message() -> None:
    for wrong in (b"", b"\x00", b"\xc1", b"\x81\xa4held\x05"):
        with pytest.raises(ValueError, match="of a message"):
            marks_of(wrong)
    with pytest.raises(ValueError, match="of a message"):
        options_of(b"\x93")
    odd = replace(OPTIONS, recipients=(("\ud800@x", RecipientOptions()),))
    assert options_of(options_bytes(odd)) == replace(OPTIONS, recipients=())
    assert options_of(options_bytes(PLAIN_ENVELOPE)) is PLAIN_ENVELOPE
    assert marks_of(None) is NO_MARKS


def test_what_waits_is_read_with_its_progress_and_again_after_reopening(tmp_path: Path) -> None:
    connection = open_for_writing(tmp_path / "q.sqlite", SCHEMA)
    row = ("n", 1.5, text_bytes("s@x"), names_bytes(("a@x", "b@x")), 4, b"<m>", b"S", b"f", b"data")
    connection.executemany(INSERT_MESSAGE, [(2, *row), (1, *row)])
    connection.executemany("INSERT INTO queue_entry VALUES (?, NULL, 1.5)", [(2,), (1,)])
    connection.execute(UPDATE_RECIPIENTS, (2, names_bytes(("b@x",))))
    connection.close()
    connection = open_for_writing(tmp_path / "q.sqlite", SCHEMA)
    found = list(read_messages(connection))
    connection.close()
    assert [(each.number, each.recipients) for each in found] == [(1, ("a@x", "b@x")), (2, ("b@x",))]
    assert (found[0].reverse_path, found[0].data, found[0].subject) == ("s@x", None, "S")


def test_a_database_from_before_it_had_an_application_id_is_ours(tmp_path: Path) -> None:
    connection = open_for_writing(tmp_path / "q.sqlite", SCHEMA)
    connection.execute(INSERT_MESSAGE, (1, "n", 1.5, b"", b"a@x", 4, b"", b"", b"", b""))
    connection.execute("INSERT INTO queue_entry VALUES (1, NULL, 1.5)")
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
