"""Open an SQLite database of ours: whose it is, which version its tables have, and how it gets to ours.

Invariants: a file that is another program's, of a newer version or damaged is
left as it is; each step from one version to the next is one transaction, so an
interrupted start leaves a whole version behind and the next start goes on from
there; what is committed is on the disk (WAL with ``synchronous=FULL``); the
file is readable for our user alone.

Source: https://sqlite.org/pragma.html (user_version, application_id,
synchronous, secure_delete); https://sqlite.org/wal.html.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from holdfast.drivers.files import sync_directory
from holdfast.kernel.errors import Refusal, Unavailable


@dataclass(frozen=True, slots=True)
class Schema:
    """What one kind of database holds, and how it is used.

    Attributes:
        what: what a message calls it, for example ``queue database``.
        application_id: four bytes in the file's header that tell it from any other SQLite file.
        migrations: the statements that bring it from version n to n + 1, for
            each n. Never changed, only added to.
        when_damaged: what the administrator does with a damaged file.
        pragmas: said on each connection.
        page_bytes: of a new file.
        unmarked_table: a table that tells a file of ours that was made before
            it had an application id; empty when there is no such file.
        wait_for_lock_s: how long a statement waits for another process.
    """

    what: str
    application_id: int
    migrations: tuple[tuple[str, ...], ...]
    when_damaged: str
    pragmas: tuple[str, ...] = ()
    page_bytes: int = 4096
    unmarked_table: str = ""
    wait_for_lock_s: float = 10.0


def open_for_writing(path: Path, schema: Schema) -> sqlite3.Connection:
    """Open a database, made or brought to our version.

    Args:
        path: the file; its directory exists.
        schema: the kind of database it is.

    Raises:
        Refusal: it is of a newer version, or another program's.
        Unavailable: it is damaged, locked, or the disk does not let us.
    """
    _make_private_file(path, schema)
    with translated(path, schema):
        connection = connect(path, schema)
        try:
            migrate(connection, path, schema)
        except BaseException:
            connection.close()
            raise
    return connection


def open_for_reading(path: Path, schema: Schema) -> sqlite3.Connection:
    """Open a database that another process may be writing.

    Raises:
        Refusal: it is of a newer version, or another program's.
        Unavailable: it is not there, not yet of our version, damaged, locked, or cannot be read.
    """
    if not path.exists():
        raise Unavailable(f"there is no {schema.what} {path} yet; it is made when the server first starts")
    with translated(path, schema):
        connection = _connect(path, schema, "ro")
        try:
            version = _version(connection, path, schema)
            if version < len(schema.migrations):
                raise Unavailable(
                    f"the {schema.what} {path} is of version {version}, not yet brought to "
                    f"{len(schema.migrations)}; that happens when the server starts"
                )
        except BaseException:
            connection.close()
            raise
    return connection


def connect(path: Path, schema: Schema) -> sqlite3.Connection:
    """Open one more connection to a database that ``open_for_writing`` has opened.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    connection = _connect(path, schema, "rw")
    connection.execute("PRAGMA synchronous = FULL")
    for pragma in schema.pragmas:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def migrate(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    """Bring a database to our version, each step in one transaction.

    Args:
        connection: where the steps are done.
        path: what a message calls the file.
        schema: where they lead.

    Raises:
        Refusal: it is of a newer version, or another program's; nothing was written.
        sqlite3.Error: a step failed; the steps before it are done.
    """
    version = _version(connection, path, schema)
    if version == 0:
        connection.execute(f"PRAGMA page_size = {schema.page_bytes}")
        sync_directory(path.parent)
    connection.execute("PRAGMA journal_mode = WAL")
    for step in range(version, len(schema.migrations)):
        with transaction(connection):
            # Asked again: another process may have done it while we waited for the lock.
            if _version(connection, path, schema) > step:
                continue
            for statement in schema.migrations[step]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {schema.application_id}")
            connection.execute(f"PRAGMA user_version = {step + 1}")
    if _number(connection, "PRAGMA application_id") != schema.application_id:
        connection.execute(f"PRAGMA application_id = {schema.application_id}")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, mode: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
    """Do all of it or nothing; ``mode`` DEFERRED for one that only reads."""
    connection.execute(f"BEGIN {mode}")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have ended the transaction already. A rollback that fails is not what
        # went wrong first; the connection is then not in order, which its next use says.
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def translated(path: Path, schema: Schema) -> Iterator[None]:
    """Say SQLite's and the disk's errors in the words of the house.

    Raises:
        Unavailable: the database is damaged or locked, or the disk does not let us.
    """
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        raise Unavailable(f"cannot use the {schema.what} {path} now: {error}") from None
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        # A row that breaks a rule of the database, or a use after close, is our own fault.
        raise
    except sqlite3.DatabaseError as error:
        raise damaged(path, schema, str(error)) from None


def damaged(path: Path, schema: Schema, detail: str) -> Unavailable:
    """What is said of a file that does not hold what we wrote."""
    return Unavailable(
        f"the {schema.what} {path} is damaged ({detail}); nothing was changed: {schema.when_damaged}"
    )


# Bytes are bound as they are. While ``sqlite3`` knows no adapter of theirs, it looks for one in three places
# for each value: a third of what an insertion costs (docs/decisions/0021).
sqlite3.register_adapter(bytes, bytes.__bytes__)


def _connect(path: Path, schema: Schema, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=schema.wait_for_lock_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )


def _version(connection: sqlite3.Connection, path: Path, schema: Schema) -> int:
    """The version that the tables have, 0 of a new file."""
    version = _number(connection, "PRAGMA user_version")
    application_id = _number(connection, "PRAGMA application_id")
    if application_id != schema.application_id and _number(connection, "SELECT count(*) FROM sqlite_master"):
        found = connection.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (schema.unmarked_table,)
        ).fetchone()
        if application_id or found is None:
            raise Refusal(
                f"{path} is an SQLite database, but not a {schema.what} of ours; "
                "move it away, or name another file"
            )
    if version > len(schema.migrations):
        raise Refusal(
            f"the {schema.what} {path} is of version {version}, this program knows up to "
            f"{len(schema.migrations)}; start the newer Holdfast that wrote it, or restore the state from "
            "before the upgrade"
        )
    return version


def _number(connection: sqlite3.Connection, statement: str) -> int:
    return int(connection.execute(statement).fetchone()[0])


def _make_private_file(path: Path, schema: Schema) -> None:
    try:
        # Made by us and not by SQLite, so that it is nobody else's to read from the first moment.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise Unavailable(f"cannot open the {schema.what} {path}: {error.strerror}") from None
