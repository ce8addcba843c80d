"""Databases of ours: made, brought forward step by step, interrupted, and those that are left alone."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.drivers.sqlite_schema import (
    Schema,
    connect,
    migrate,
    open_for_reading,
    open_for_writing,
    transaction,
    translated,
)
from holdfast.kernel.errors import Refusal, Unavailable

FIRST = Schema(
    "herb database",
    0x48455242,
    (("CREATE TABLE herb (name TEXT PRIMARY KEY)", "INSERT INTO herb VALUES ('sage')"),),
    "dry it again",
    pragmas=("secure_delete = ON",),
)
# Two steps more: the herbs get a height, then those heights move to a table of their own.
GROW = (
    "ALTER TABLE herb ADD COLUMN height_cm INTEGER",
    "UPDATE herb SET height_cm = length(name) * 10",
)
MOVE = (
    "CREATE TABLE height (name TEXT PRIMARY KEY, height_cm INTEGER)",
    "INSERT INTO height SELECT name, height_cm FROM herb",
    "ALTER TABLE herb DROP COLUMN height_cm",
)
SECOND = replace(FIRST, migrations=(*FIRST.migrations, GROW))
THIRD = replace(SECOND, migrations=(*SECOND.migrations, MOVE))
UNMARKED = replace(FIRST, unmarked_table="herb")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "herbs #1?.sqlite"


@pytest.fixture
def old(path: Path) -> Iterator[sqlite3.Connection]:
    """A database of the first version with data in it, still open."""
    connection = open_for_writing(path, FIRST)
    connection.execute("INSERT INTO herb VALUES ('thyme')")
    yield connection
    connection.close()


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def heights(path: Path) -> list[tuple[str, int]]:
    connection = open_for_writing(path, THIRD)
    try:
        assert pragma(connection, "user_version") == 3
        return connection.execute("SELECT name, height_cm FROM height ORDER BY name").fetchall()
    finally:
        connection.close()


def test_a_new_database_is_durable_private_and_ours(path: Path) -> None:
    connection = open_for_writing(path, replace(FIRST, page_bytes=8192))
    names = ("journal_mode", "synchronous", "user_version", "application_id", "secure_delete", "page_size")
    assert [pragma(connection, name) for name in names] == ["wal", 2, 1, FIRST.application_id, 1, 8192]
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    second = connect(path, FIRST)
    assert [pragma(second, name) for name in names] == ["wal", 2, 1, FIRST.application_id, 1, 8192]
    second.close()
    connection.close()


def test_a_file_that_others_could_read_is_closed_to_them(path: Path, old: sqlite3.Connection) -> None:
    path.chmod(0o644)
    open_for_writing(path, FIRST).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_steps_bring_a_database_forward_with_what_it_holds(path: Path, old: sqlite3.Connection) -> None:
    assert heights(path) == [("sage", 40), ("thyme", 50)]
    assert heights(path) == [("sage", 40), ("thyme", 50)]  # and a second time nothing happens


def test_a_killed_migration_goes_on_from_the_last_whole_version(path: Path, old: sqlite3.Connection) -> None:
    """Take the files as they are after each statement: that is what a kill there leaves behind."""
    copies: list[Path] = []

    def kill_here(_: str) -> None:
        directory = path.parent / f"killed {len(copies)}"
        directory.mkdir()
        for file in path.parent.glob(f"{path.name}*"):
            if not file.name.endswith("-shm"):  # memory that all processes share: gone with them
                shutil.copy(file, directory)
        copies.append(directory / path.name)

    old.set_trace_callback(kill_here)
    migrate(old, path, THIRD)
    old.set_trace_callback(None)
    versions = set()
    for copy in copies:
        connection = sqlite3.connect(copy)
        versions.add(pragma(connection, "user_version"))
        connection.close()
        assert heights(copy) == [("sage", 40), ("thyme", 50)]
    assert versions == {1, 2, 3}


@pytest.mark.parametrize("broken", ["NONSENSE", "INSERT INTO herb SELECT name, 1 FROM herb"])
def test_a_step_that_fails_leaves_the_version_before_it(
    path: Path, old: sqlite3.Connection, broken: str
) -> None:
    schema = replace(THIRD, migrations=(*SECOND.migrations, (*MOVE[:2], broken)))
    with pytest.raises((Unavailable, sqlite3.IntegrityError)):
        open_for_writing(path, schema)
    assert pragma(old, "user_version") == 2
    assert old.execute("SELECT count(*) FROM sqlite_master WHERE name = 'height'").fetchone() == (0,)
    assert heights(path) == [("sage", 40), ("thyme", 50)]


def test_another_process_may_have_done_a_step_meanwhile(path: Path, old: sqlite3.Connection) -> None:
    other = connect(path, THIRD)

    def done_by_the_other(statement: str) -> None:
        if statement.startswith("BEGIN") and pragma(other, "user_version") == 1:
            migrate(other, path, THIRD)

    old.set_trace_callback(done_by_the_other)
    migrate(old, path, THIRD)
    old.set_trace_callback(None)
    other.close()
    assert heights(path) == [("sage", 40), ("thyme", 50)]


@pytest.mark.parametrize("opened", [open_for_writing, open_for_reading])
def test_a_newer_version_is_refused_and_left_alone(path: Path, opened: object) -> None:
    open_for_writing(path, THIRD).close()
    before = path.read_bytes()
    assert callable(opened)
    with pytest.raises(Refusal) as refusal:
        opened(path, FIRST)
    assert refusal.value.text == (
        f"the herb database {path} is of version 3, this program knows up to 1; start the newer Holdfast "
        "that wrote it, or restore the state from before the upgrade"
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize("opened", [open_for_writing, open_for_reading])
@pytest.mark.parametrize("schema", [FIRST, UNMARKED])
@pytest.mark.parametrize("marked", [True, False])
def test_another_program_s_file_is_refused_and_left_alone(
    path: Path, opened: object, schema: Schema, marked: bool
) -> None:
    other = sqlite3.connect(path)
    other.execute(f"CREATE TABLE {'herb' if marked else 'spice'} (x)")
    if marked:
        other.execute("PRAGMA application_id = 7")
    other.close()
    before = path.read_bytes()
    assert callable(opened)
    with pytest.raises(Refusal, match="but not a herb database of ours; move it away"):
        opened(path, schema)
    assert path.read_bytes() == before


def test_a_database_of_ours_from_before_it_was_marked_is_marked_now(
    path: Path, old: sqlite3.Connection
) -> None:
    old.execute("PRAGMA application_id = 0")
    with pytest.raises(Refusal, match="not a herb database"):
        open_for_writing(path, FIRST)
    reading = open_for_reading(path, UNMARKED)
    assert pragma(reading, "application_id") == 0
    reading.close()
    connection = open_for_writing(path, UNMARKED)
    assert pragma(connection, "application_id") == FIRST.application_id
    connection.close()


@pytest.mark.parametrize("opened", [open_for_writing, open_for_reading])
def test_a_damaged_file_is_unavailable_and_left_alone(path: Path, opened: object) -> None:
    path.write_bytes(b"no database" * 1000)
    assert callable(opened)
    with pytest.raises(Unavailable, match=r"is damaged \(.*\); nothing was changed: dry it again"):
        opened(path, FIRST)
    assert path.read_bytes() == b"no database" * 1000


def test_what_is_not_there_or_not_yet_ready_is_told_to_a_reader(path: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"there is no herb database .* yet"):
        open_for_reading(path, FIRST)
    path.touch()
    with pytest.raises(Unavailable, match="is of version 0, not yet brought to 1"):
        open_for_reading(path, FIRST)
    with pytest.raises(Unavailable, match=r"cannot open the herb database .*: No such file or directory"):
        open_for_writing(tmp_path / "absent" / "x.sqlite", FIRST)
    with pytest.raises(sqlite3.OperationalError):
        connect(tmp_path / "absent.sqlite", FIRST)


def test_a_reader_changes_nothing(path: Path, old: sqlite3.Connection) -> None:
    reading = open_for_reading(path, FIRST)
    with translated(path, FIRST), transaction(reading, "DEFERRED"):
        assert reading.execute("SELECT count(*) FROM herb").fetchone() == (2,)
    told = r"cannot use the herb database .* now: attempt to write"
    with pytest.raises(Unavailable, match=told), translated(path, FIRST):
        reading.execute("DELETE FROM herb")
    reading.close()


def test_our_own_mistakes_are_not_the_disk_s(path: Path, old: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError), translated(path, FIRST), transaction(old):
        old.executemany("INSERT INTO herb VALUES (?)", [("rue",), ("sage",)])
    assert old.execute("SELECT count(*) FROM herb").fetchone() == (2,)


def test_a_transaction_that_sqlite_ended_itself_is_not_ended_twice(old: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"), transaction(old):
        old.execute("INSERT OR ROLLBACK INTO herb VALUES ('sage')")
    assert not old.in_transaction
