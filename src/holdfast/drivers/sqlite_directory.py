"""The directory database: the organisation as rows, its change log, and its secrets.

One SQLite file per server. A change is applied whole or not at all, only to the
revision that it was planned for, and its entry in the change log is part of the
same transaction; the log can only grow. Secrets have tables of their own that no
export reads: hashes of mailbox passwords, and what cannot be a hash: the passwords
that send connectors sign in with, and the shared secrets of failover relationships
(docs/decisions/0008). WAL lets every role read while one process writes.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import sqlite3
import threading
import typing
from collections.abc import Iterator
from pathlib import Path

from holdfast.directory.kinds import KINDS, DirectoryObject, Kind, kind_of, make_object, name_of, objects_of
from holdfast.directory.model import (
    DhcpServer,
    FailoverRelationship,
    Mailbox,
    Organisation,
    SendConnector,
)
from holdfast.directory.plan import Change, ChangeRecord, FieldChange, Plan
from holdfast.directory.values import read_record, write_record
from holdfast.drivers.sqlite_schema import (
    Schema,
    damaged,
    open_for_reading,
    open_for_writing,
    transaction,
    translated,
)
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId, Revision

ORGANISATION_KIND = "organisation"

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE objects (
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            position INTEGER NOT NULL,
            body TEXT NOT NULL,
            PRIMARY KEY (kind, name)
        ) WITHOUT ROWID""",
        """CREATE TABLE change_log (
            revision INTEGER PRIMARY KEY,
            at REAL NOT NULL,
            who TEXT NOT NULL,
            why TEXT NOT NULL,
            changes TEXT NOT NULL
        )""",
        """CREATE TRIGGER change_log_keeps_entries BEFORE DELETE ON change_log
            BEGIN SELECT RAISE(ABORT, 'the change log can only grow'); END""",
        """CREATE TRIGGER change_log_keeps_texts BEFORE UPDATE ON change_log
            BEGIN SELECT RAISE(ABORT, 'the change log can only grow'); END""",
        # INSERT OR REPLACE removes a row without the trigger for DELETE.
        """CREATE TRIGGER change_log_grows BEFORE INSERT ON change_log
            WHEN NEW.revision <= (SELECT coalesce(max(revision), 0) FROM change_log)
            BEGIN SELECT RAISE(ABORT, 'the change log can only grow'); END""",
        "CREATE TABLE secrets (mailbox_id TEXT PRIMARY KEY, hash TEXT NOT NULL) WITHOUT ROWID",
    ),
    (
        # The name is the casefolded one: names that differ by case alone are one connector's.
        "CREATE TABLE connector_passwords (name TEXT PRIMARY KEY, password TEXT NOT NULL) WITHOUT ROWID",
    ),
    (
        # As above.
        "CREATE TABLE failover_secrets (name TEXT PRIMARY KEY, secret TEXT NOT NULL) WITHOUT ROWID",
    ),
    (
        # By the casefolded name of the key; in base64, as DNS servers have it.
        "CREATE TABLE tsig_secrets (name TEXT PRIMARY KEY, secret TEXT NOT NULL) WITHOUT ROWID",
    ),
)

SCHEMA = Schema(
    "directory database",
    application_id=0x48464449,  # "HFDI"
    migrations=MIGRATIONS,
    when_damaged="stop Holdfast, keep the file, and restore a copy or import an export of the organisation "
    "into a new one",
    # A hash that was replaced does not stay behind in a free page.
    pragmas=("secure_delete = ON",),
    wait_for_lock_s=5.0,  # an administrator waits
)


class KnownObjects:
    """Objects as they were read last: a row that did not change is not read again, and is the same object.

    A role that reads a large organisation at each change spends its time on what changed. It is
    used by one reader at a time.
    """

    def __init__(self) -> None:
        # By kind and name: a digest of the row's text (the texts themselves would double the memory),
        # and whether we wrote it, so that it has every setting that this version knows.
        self._known: dict[tuple[str, str], tuple[bytes, DirectoryObject, bool]] = {}
        self._next: dict[tuple[str, str], tuple[bytes, DirectoryObject, bool]] = {}

    def begin(self) -> None:
        """A reading of everything begins."""
        self._next = {}

    def object(self, kind: Kind, name: str, body: str, path: Path) -> DirectoryObject:
        """The object of a row."""
        digest = _digest(body)
        found = self._known.get((kind.word, name))
        if found is None or found[0] != digest:
            found = (digest, make_object(kind, _read_body(kind.type, body, path)), False)
        self._next[kind.word, name] = found
        return found[1]

    def is_stored(self, kind_word: str, name: str, item: DirectoryObject | Organisation, body: str) -> bool:
        """Whether a row holds just this object as we would write it; False when that is not known."""
        found = self._known.get((kind_word, name))
        return found is not None and found[2] and found[1] is item and found[0] == _digest(body)

    def learn(self, kind_word: str, name: str, item: DirectoryObject, body: str) -> None:
        """A row is written with this object. Should it not be kept, its text tells so later."""
        self._known[kind_word, name] = (_digest(body), item, True)

    def end(self) -> None:
        """It ended: what was not there is forgotten."""
        self._known, self._next = self._next, {}


class DirectoryStore:
    """An open directory database; may be used from several threads."""

    def __init__(self, path: Path, connection: sqlite3.Connection, known: KnownObjects) -> None:
        self._path = path
        self._connection = connection
        self._known = known
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, *, writable: bool, known: KnownObjects | None = None) -> DirectoryStore:
        """Open a directory database; make it or bring it to our version when ``writable``.

        ``known`` carries over what another store of the same file has read.

        Raises:
            Refusal: it is of a newer version, or not a directory database.
            Unavailable: it is not there, damaged, locked, or the disk does not let us.
        """
        connection = open_for_writing(path, SCHEMA) if writable else open_for_reading(path, SCHEMA)
        return cls(path, connection, known or KnownObjects())

    def close(self) -> None:
        """Close it; it is not used again."""
        with self._lock:
            self._connection.close()

    def revision(self) -> Revision:
        """The revision that is in force; 0 before the first change."""
        with self._lock, translated(self._path, SCHEMA):
            return _revision(self._connection)

    def read(self) -> Organisation:
        """The organisation that is in force.

        Raises:
            Unavailable: it cannot be read now, or is damaged.
        """
        with self._lock, translated(self._path, SCHEMA), transaction(self._connection, "DEFERRED"):
            return _read_organisation(self._connection, self._path, self._known)

    def apply(self, plan: Plan, *, who: str, why: str, at: float) -> Organisation:
        """Make a planned change durable.

        Args:
            plan: what ``plan_change`` made of the organisation in force.
            who: who asks for it, for the change log.
            why: the reason given.
            at: seconds since the epoch.

        Returns:
            The organisation as it is now; unchanged when the plan has no changes.

        Raises:
            Refusal: the plan has problems, or somebody changed the organisation
                meanwhile; it tells who and what.
            Unavailable: the disk does not let us; nothing is changed.
        """
        if plan.problems:
            raise Refusal(
                f"the change is not made, {len(plan.problems)} things are wrong with its result; "
                f"the first is {plan.problems[0]}",
                problems=plan.problems,
            )
        with self._lock, translated(self._path, SCHEMA), transaction(self._connection, "IMMEDIATE"):
            connection = self._connection
            revision = _revision(connection)
            if revision != plan.base_revision:
                raise _changed_meanwhile(connection, self._path, plan.base_revision, revision)
            if not plan.changes:
                return _read_organisation(connection, self._path, self._known)
            # Names alone: reading all of a large organisation takes longer than writing what changed.
            mailboxes, connectors = _mailbox_ids(connection), _names_of(connection, SendConnector)
            relationships = _names_of(connection, FailoverRelationship)
            _write_objects(connection, plan.after, self._known)
            gone = mailboxes
            gone -= {each.mailbox_id for each in plan.after.mailboxes}
            connection.executemany("DELETE FROM secrets WHERE mailbox_id = ?", [(each,) for each in gone])
            closed = connectors - {each.name.casefold() for each in plan.after.send_connectors}
            connection.executemany(
                "DELETE FROM connector_passwords WHERE name = ?", [(each,) for each in closed]
            )
            ended = relationships - {each.name.casefold() for each in plan.after.failover_relationships}
            connection.executemany("DELETE FROM failover_secrets WHERE name = ?", [(each,) for each in ended])
            _forget_tsig_secrets(connection, plan.after)
            connection.execute(
                "INSERT INTO change_log (revision, at, who, why, changes) VALUES (?, ?, ?, ?, ?)",
                (revision + 1, at, _storable(who), _storable(why), _dump_changes(plan.changes)),
            )
            # What is written is read back equal (``directory.values``).
            return plan.after

    def history(self, limit: int, before: Revision | None = None) -> list[ChangeRecord]:
        """Entries of the change log, newest first; only those before revision ``before`` when it is given."""
        with self._lock, translated(self._path, SCHEMA):
            return _history(self._connection, self._path, limit, before)

    def set_secret(self, mailbox_id: MailboxId, hash: str) -> None:
        """Keep the password hash of a mailbox, in place of an earlier one; the mailbox may come later."""
        with self._lock, translated(self._path, SCHEMA):
            self._connection.execute(
                "INSERT INTO secrets (mailbox_id, hash) VALUES (?, ?) "
                "ON CONFLICT (mailbox_id) DO UPDATE SET hash = excluded.hash",
                (mailbox_id, hash),
            )

    def secret(self, mailbox_id: MailboxId) -> str | None:
        """The password hash of a mailbox; None when it has no password."""
        with self._lock, translated(self._path, SCHEMA):
            row = self._connection.execute(
                "SELECT hash FROM secrets WHERE mailbox_id = ?", (mailbox_id,)
            ).fetchone()
            return None if row is None else str(row[0])

    def set_connector_password(self, name: str, password: str | None) -> None:
        """Keep the password that a send connector signs in with, in place of an earlier one; None forgets it.

        Raises:
            Refusal: there is no send connector of that name.
        """
        with self._lock, translated(self._path, SCHEMA), transaction(self._connection, "IMMEDIATE"):
            # Asked inside the transaction: a connector that is being removed leaves no password behind.
            if name.casefold() not in _names_of(self._connection, SendConnector):
                raise Refusal(f'there is no send connector "{name}"')
            self._connection.execute("DELETE FROM connector_passwords WHERE name = ?", (name.casefold(),))
            if password is not None:
                self._connection.execute(
                    "INSERT INTO connector_passwords (name, password) VALUES (?, ?)",
                    (name.casefold(), password),
                )

    def set_failover_secret(self, name: str, secret: str | None) -> None:
        """Keep what the partners of a relationship sign their messages with; None signs nothing any more.

        Raises:
            Refusal: there is no relationship of that name.
        """
        with self._lock, translated(self._path, SCHEMA), transaction(self._connection, "IMMEDIATE"):
            if name.casefold() not in _names_of(self._connection, FailoverRelationship):
                raise Refusal(f'there is no failover relationship "{name}"')
            self._connection.execute("DELETE FROM failover_secrets WHERE name = ?", (name.casefold(),))
            if secret is not None:
                self._connection.execute(
                    "INSERT INTO failover_secrets (name, secret) VALUES (?, ?)", (name.casefold(), secret)
                )

    def failover_secret(self, name: str) -> str | None:
        """The shared secret of a relationship; None when it has none."""
        with self._lock, translated(self._path, SCHEMA):
            row = self._connection.execute(
                "SELECT secret FROM failover_secrets WHERE name = ?", (name.casefold(),)
            ).fetchone()
            return None if row is None else str(row[0])

    def connector_password(self, name: str) -> str | None:
        """The password that a send connector signs in with; None when it has none."""
        with self._lock, translated(self._path, SCHEMA):
            row = self._connection.execute(
                "SELECT password FROM connector_passwords WHERE name = ?", (name.casefold(),)
            ).fetchone()
            return None if row is None else str(row[0])

    def set_tsig_secret(self, name: str, secret: str | None) -> None:
        """Keep the secret of a TSIG key, in base64, in place of an earlier one; None forgets it.

        Raises:
            Refusal: no DHCP server signs with a key of that name.
        """
        with self._lock, translated(self._path, SCHEMA), transaction(self._connection, "IMMEDIATE"):
            # Asked inside the transaction: a key that nobody uses any more leaves no secret behind.
            if name.casefold() not in _tsig_keys(self._connection):
                raise Refusal(f'no DHCP server signs with a key "{name}"')
            self._connection.execute("DELETE FROM tsig_secrets WHERE name = ?", (name.casefold(),))
            if secret is not None:
                self._connection.execute(
                    "INSERT INTO tsig_secrets (name, secret) VALUES (?, ?)", (name.casefold(), secret)
                )

    def tsig_secret(self, name: str) -> str | None:
        """The secret of a TSIG key, in base64; None when it has none."""
        with self._lock, translated(self._path, SCHEMA):
            row = self._connection.execute(
                "SELECT secret FROM tsig_secrets WHERE name = ?", (name.casefold(),)
            ).fetchone()
            return None if row is None else str(row[0])


def _tsig_keys(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute(
        "SELECT json_extract(body, '$.dns_key') FROM objects WHERE kind = ?", (kind_of(DhcpServer).word,)
    )
    return {str(key).casefold() for (key,) in rows if key}


def _forget_tsig_secrets(connection: sqlite3.Connection, after: Organisation) -> None:
    """Forget the secrets of keys that nobody signs with any more."""
    used = {each.dns_key.casefold() for each in after.dhcp_servers}
    known = [str(name) for (name,) in connection.execute("SELECT name FROM tsig_secrets")]
    connection.executemany(
        "DELETE FROM tsig_secrets WHERE name = ?", [(each,) for each in known if each not in used]
    )


def _names_of(connection: sqlite3.Connection, kind: type[DirectoryObject]) -> set[str]:
    """The names of all objects of a kind, casefolded."""
    rows = connection.execute("SELECT name FROM objects WHERE kind = ?", (kind_of(kind).word,))
    return {str(name).casefold() for (name,) in rows}


def _mailbox_ids(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute(
        "SELECT json_extract(body, '$.mailbox_id') FROM objects WHERE kind = ?", (kind_of(Mailbox).word,)
    )
    return {str(mailbox_id) for (mailbox_id,) in rows}


def _revision(connection: sqlite3.Connection) -> Revision:
    return Revision(
        int(connection.execute("SELECT coalesce(max(revision), 0) FROM change_log").fetchone()[0])
    )


def _read_organisation(connection: sqlite3.Connection, path: Path, known: KnownObjects) -> Organisation:
    rows: dict[str, list[tuple[str, str]]] = {}
    for kind_word, name, body in connection.execute(
        "SELECT kind, name, body FROM objects ORDER BY position, name"
    ):
        rows.setdefault(kind_word, []).append((name, body))
    # What the keys are is known from the model; a type checker cannot follow that.
    arguments: dict[str, typing.Any] = {"revision": _revision(connection)}
    for _, body in rows.get(ORGANISATION_KIND, ()):
        arguments |= _read_body(Organisation, body, path)
    known.begin()
    for kind in KINDS:
        found = (known.object(kind, name, body, path) for name, body in rows.get(kind.word, ()))
        arguments[kind.collection] = tuple(found)
    known.end()
    return Organisation(**arguments)


def _read_body(record_type: type, body: str, path: Path) -> dict[str, object]:
    try:
        table = json.loads(body)
    except (ValueError, TypeError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise damaged(path, SCHEMA, "an object cannot be read")
    arguments, findings = read_record(record_type, table, "an object", ())
    if findings:
        raise damaged(path, SCHEMA, findings[0].text)
    return arguments


def _digest(body: str) -> bytes:
    return hashlib.blake2b(body.encode(), digest_size=16).digest()


def _write_objects(connection: sqlite3.Connection, after: Organisation, known: KnownObjects) -> None:
    """Write the rows that differ; rows that stay as they are are not touched."""
    stored = {
        (kind, name): (position, body)
        for kind, name, position, body in connection.execute("SELECT kind, name, position, body FROM objects")
    }
    for kind_word, items in _rows(after):
        last = 0
        for name, item in items:
            position, old_body = stored.pop((kind_word, name), (0, None))
            if old_body is not None and known.is_stored(kind_word, name, item, old_body):
                body = old_body
            else:
                body = _dump(item)
                if not isinstance(item, Organisation):
                    known.learn(kind_word, name, item, body)
            # Positions only have to rise: an object that stays keeps its own where the order allows.
            new_position = position if position > last else last + 1
            last = new_position
            if (new_position, body) != (position, old_body):
                connection.execute(
                    "INSERT INTO objects (kind, name, position, body) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (kind, name) "
                    "DO UPDATE SET position = excluded.position, body = excluded.body",
                    (kind_word, name, new_position, body),
                )
    connection.executemany("DELETE FROM objects WHERE kind = ? AND name = ?", list(stored))


def _rows(
    organisation: Organisation,
) -> Iterator[tuple[str, list[tuple[str, DirectoryObject | Organisation]]]]:
    yield ORGANISATION_KIND, [("", organisation)]
    for kind in KINDS:
        yield kind.word, [(name_of(each), each) for each in objects_of(organisation, kind)]


def _dump(record: DirectoryObject | Organisation) -> str:
    # With the defaults: a default that a later version changes must not change a running organisation.
    return json.dumps(write_record(record, defaults=True), ensure_ascii=False)


def _history(
    connection: sqlite3.Connection, path: Path, limit: int, before: Revision | None
) -> list[ChangeRecord]:
    assert limit >= 1
    below = (1 << 63) - 1 if before is None else before
    rows = connection.execute(
        "SELECT revision, at, who, why, changes FROM change_log "
        "WHERE revision < ? ORDER BY revision DESC LIMIT ?",
        (below, limit),
    )
    return [
        ChangeRecord(Revision(revision), at, who, why, _load_changes(changes, path))
        for revision, at, who, why, changes in rows
    ]


def _storable(text: str) -> str:
    """A command line may hand us bytes that are no text; the change log says so instead of refusing them."""
    return text.encode("utf-8", "replace").decode()


def _dump_changes(changes: tuple[Change, ...]) -> str:
    return json.dumps(
        [
            [each.action, each.kind, each.name, [[f.name, f.before_text, f.after_text] for f in each.fields]]
            for each in changes
        ],
        ensure_ascii=False,
    )


def _load_changes(text: str, path: Path) -> tuple[Change, ...]:
    try:
        return tuple(
            Change(action, kind, name, tuple(FieldChange(*field) for field in fields))
            for action, kind, name, fields in json.loads(text)
        )
    except (ValueError, TypeError, RecursionError):
        raise damaged(path, SCHEMA, "an entry of the change log cannot be read") from None


def _changed_meanwhile(
    connection: sqlite3.Connection, path: Path, planned: Revision, now: Revision
) -> Refusal:
    newer = [each for each in _history(connection, path, 3, None) if each.revision > planned]
    told = "; ".join(_told(each) for each in newer)
    return Refusal(
        f"the change was planned for revision {planned}, but the organisation is at {now} now: "
        f"{told or 'another database'}; look at the organisation as it is now and ask again"
    )


def _told(record: ChangeRecord) -> str:
    at = datetime.datetime.fromtimestamp(record.at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    what = ", ".join(f'{each.action} {each.kind} "{each.name}"' for each in record.changes[:3])
    more = f" and {len(record.changes) - 3} more" if len(record.changes) > 3 else ""
    return f"revision {record.revision} by {record.who} at {at}: {what}{more}"
