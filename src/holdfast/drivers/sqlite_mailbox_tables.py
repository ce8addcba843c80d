"""The rows of a mailbox database in SQLite.

Rows of mailboxes and folders are kept in memory once read, changed there and
written at ``flush``; new messages, bodies and log lines are gathered and
written together, before anything reads those tables. A delivery so costs one
statement of its own and its share of four batches. The one writer alone may
keep its cache over a commit; a reader takes fresh tables for each read.

Source: mailbox.tables states each read and write; docs/decisions/0005.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

from holdfast.drivers.sqlite_schema import Schema
from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.mailbox.tables import ChangeKind, ChangeRow, FolderRow, MailboxRow, MessageRow

CACHED_COUNT_MAX = 20_000

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE mailboxes (mailbox_id TEXT PRIMARY KEY, last_uid_validity INTEGER NOT NULL,"
        " size_bytes INTEGER NOT NULL, message_count INTEGER NOT NULL, folder_count INTEGER NOT NULL)"
        " WITHOUT ROWID",
        "CREATE TABLE folders (folder_id INTEGER PRIMARY KEY AUTOINCREMENT, mailbox_id TEXT NOT NULL,"
        " name TEXT NOT NULL, special_use TEXT NOT NULL, selectable INTEGER NOT NULL,"
        " uid_validity INTEGER NOT NULL, uid_next INTEGER NOT NULL, position INTEGER NOT NULL,"
        " recent_from_uid INTEGER NOT NULL, message_count INTEGER NOT NULL,"
        " unseen_count INTEGER NOT NULL, size_bytes INTEGER NOT NULL, UNIQUE (mailbox_id, name))",
        "CREATE TABLE subscriptions (mailbox_id TEXT NOT NULL, name TEXT NOT NULL,"
        " PRIMARY KEY (mailbox_id, name)) WITHOUT ROWID",
        "CREATE TABLE bodies (body_id INTEGER PRIMARY KEY, data BLOB NOT NULL)",
        # Only bodies that more than one message row shares have a line here, so that
        # neither an ordinary delivery writes it nor a copy rewrites the data.
        "CREATE TABLE shared_bodies (body_id INTEGER PRIMARY KEY, reference_count INTEGER NOT NULL)",
        "CREATE TABLE messages (folder_id INTEGER NOT NULL, uid INTEGER NOT NULL, item_id TEXT NOT NULL,"
        " body_id INTEGER NOT NULL, prefix BLOB NOT NULL, flags TEXT NOT NULL, internal_at REAL NOT NULL,"
        " size_bytes INTEGER NOT NULL, header_bytes INTEGER NOT NULL, modification INTEGER NOT NULL,"
        " PRIMARY KEY (folder_id, uid)) WITHOUT ROWID",
        "CREATE TABLE changes (folder_id INTEGER NOT NULL, position INTEGER NOT NULL,"
        " kind INTEGER NOT NULL, uid INTEGER NOT NULL, item_id TEXT NOT NULL,"
        " PRIMARY KEY (folder_id, position)) WITHOUT ROWID",
        "CREATE TABLE delivered (delivered_id INTEGER PRIMARY KEY, network_message_id TEXT NOT NULL,"
        " mailbox_id TEXT NOT NULL, at REAL NOT NULL, UNIQUE (network_message_id, mailbox_id))",
    ),
)

SCHEMA = Schema(
    "mailbox database",
    application_id=0x48464D42,  # "HFMB"
    migrations=MIGRATIONS,
    when_damaged="restore it from a backup, and look for disk errors in the kernel's log",
    pragmas=(
        "wal_autocheckpoint = 4000",
        # The WAL's file is as large as the largest backlog that it ever held; the queue keeps the same.
        "journal_size_limit = 67108864",
        # Debian's SQLite writes zeros over all that is deleted, drivers.queue_schema says at what price.
        # Mail is not a secret of the kind that the directory keeps: FAST does it only where the page is
        # written anyway.
        "secure_delete = FAST",
    ),
)

_FOLDER_COLUMNS = (
    "folder_id, mailbox_id, name, special_use, selectable, uid_validity, uid_next, position,"
    " recent_from_uid, message_count, unseen_count, size_bytes"
)
_MESSAGE_COLUMNS = (
    "folder_id, uid, item_id, body_id, prefix, flags, internal_at, size_bytes, header_bytes, modification"
)
_Raw = tuple[int, int, str, int, bytes, str, float, int, int, int]


def _message(raw: _Raw) -> MessageRow:
    return MessageRow(raw[0], raw[1], raw[2], raw[3], raw[4], tuple(raw[5].split()), *raw[6:])


class SqliteTables:
    """``mailbox.tables.Tables`` over one SQLite connection, inside a transaction that its owner holds."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._execute: Callable[..., sqlite3.Cursor] = connection.execute
        self.forget()

    # --- transactions ------------------------------------------------------------------------

    def forget(self) -> None:
        """Drop what is in memory: after a rollback it says what never was."""
        self._mailboxes: dict[MailboxId, MailboxRow] = {}
        self._folders: dict[int, FolderRow] = {}
        self._folder_ids: dict[tuple[MailboxId, str], int] = {}
        self._dirty_mailboxes: set[MailboxId] = set()
        self._dirty_folders: set[int] = set()
        self._last_body_id: int | None = None
        self._new_bodies: list[tuple[int, bytes]] = []
        self._new_shares: list[tuple[int, int]] = []
        self._new_messages: list[_Raw] = []
        self._new_changes: list[ChangeRow] = []

    def committed(self) -> None:
        """A transaction ended well: what is in memory holds, but it may not grow without end."""
        if len(self._folders) + len(self._mailboxes) > CACHED_COUNT_MAX:
            self.forget()

    def flush(self) -> None:
        """Write everything that was gathered; the owner commits."""
        self._flush_messages()
        many = self._connection.executemany
        if self._dirty_mailboxes:
            rows = [self._mailboxes[each] for each in self._dirty_mailboxes]
            many(
                "INSERT OR REPLACE INTO mailboxes VALUES (?, ?, ?, ?, ?)",
                [
                    (
                        row.mailbox_id,
                        row.last_uid_validity,
                        row.size_bytes,
                        row.message_count,
                        row.folder_count,
                    )
                    for row in rows
                ],
            )
            self._dirty_mailboxes.clear()
        if self._dirty_folders:
            many(
                "UPDATE folders SET selectable = ?, uid_validity = ?, uid_next = ?, position = ?,"
                " recent_from_uid = ?, message_count = ?, unseen_count = ?, size_bytes = ?"
                " WHERE folder_id = ?",
                [
                    (
                        row.selectable, row.uid_validity, row.uid_next, row.position, row.recent_from_uid,
                        row.message_count, row.unseen_count, row.size_bytes, row.folder_id,
                    )
                    for row in map(self._folders.__getitem__, self._dirty_folders)
                ],
            )  # fmt: skip
            self._dirty_folders.clear()

    def _flush_messages(self) -> None:
        if not (self._new_bodies or self._new_messages or self._new_changes):
            return
        many = self._connection.executemany
        many("INSERT INTO bodies VALUES (?, ?)", self._new_bodies)
        many("INSERT INTO shared_bodies VALUES (?, ?)", self._new_shares)
        many("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._new_messages)
        many("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", self._new_changes)
        for gathered in (self._new_bodies, self._new_shares, self._new_messages, self._new_changes):
            gathered.clear()

    # --- mailboxes and folders -----------------------------------------------------------------

    def mailbox(self, mailbox_id: MailboxId) -> MailboxRow | None:
        """Find a mailbox."""
        row = self._mailboxes.get(mailbox_id)
        if row is None:
            found = self._execute("SELECT * FROM mailboxes WHERE mailbox_id = ?", (mailbox_id,)).fetchone()
            if found is not None:
                row = self._mailboxes[mailbox_id] = MailboxRow(*found)
        return row

    def put_mailbox(self, row: MailboxRow) -> None:
        """Add or replace a mailbox."""
        self._mailboxes[row.mailbox_id] = row
        self._dirty_mailboxes.add(row.mailbox_id)

    def folder(self, folder_id: int) -> FolderRow | None:
        """Find a folder by its id."""
        row = self._folders.get(folder_id)
        if row is None:
            statement = f"SELECT {_FOLDER_COLUMNS} FROM folders WHERE folder_id = ?"  # noqa: S608 (joined from constants)
            found = self._execute(statement, (folder_id,)).fetchone()
            row = None if found is None else self._cache_folder(found)
        return row

    def folder_named(self, mailbox_id: MailboxId, name: str) -> FolderRow | None:
        """Find a folder by its full name, exactly as written."""
        folder_id = self._folder_ids.get((mailbox_id, name))
        if folder_id is not None:
            return self._folders[folder_id]
        statement = f"SELECT {_FOLDER_COLUMNS} FROM folders WHERE mailbox_id = ? AND name = ?"  # noqa: S608 (joined from constants)
        found = self._execute(statement, (mailbox_id, name)).fetchone()
        return None if found is None else self._cache_folder(found)

    def folders(self, mailbox_id: MailboxId) -> list[FolderRow]:
        """All folders of a mailbox."""
        statement = f"SELECT {_FOLDER_COLUMNS} FROM folders WHERE mailbox_id = ?"  # noqa: S608 (joined from constants)
        return [self._cache_folder(raw) for raw in self._execute(statement, (mailbox_id,)).fetchall()]

    def _cache_folder(
        self, raw: tuple[int, MailboxId, str, str, int, int, int, int, int, int, int, int]
    ) -> FolderRow:
        row = self._folders.get(raw[0])
        if row is None:
            row = FolderRow(*raw[:4], bool(raw[4]), *raw[5:])
            self._folders[row.folder_id] = row
            self._folder_ids[row.mailbox_id, row.name] = row.folder_id
        return row

    def add_folder(self, row: FolderRow) -> None:
        """Add a folder and set its ``folder_id``."""
        cursor = self._execute(
            "INSERT INTO folders VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.mailbox_id, row.name, row.special_use, row.selectable, row.uid_validity, row.uid_next,
                row.position, row.recent_from_uid, row.message_count, row.unseen_count, row.size_bytes,
            ),
        )  # fmt: skip
        assert cursor.lastrowid is not None
        row.folder_id = cursor.lastrowid
        self._folders[row.folder_id] = row
        self._folder_ids[row.mailbox_id, row.name] = row.folder_id

    def put_folder(self, row: FolderRow) -> None:
        """Write a folder; the row is the one that was handed out."""
        self._dirty_folders.add(row.folder_id)

    def rename_folder(self, row: FolderRow, name: str) -> None:
        """Give a folder another name."""
        self._execute("UPDATE folders SET name = ? WHERE folder_id = ?", (name, row.folder_id))
        del self._folder_ids[row.mailbox_id, row.name]
        row.name = name
        self._folder_ids[row.mailbox_id, name] = row.folder_id

    def remove_folder(self, row: FolderRow) -> None:
        """Remove a folder and its change log."""
        self._flush_messages()
        self._execute("DELETE FROM folders WHERE folder_id = ?", (row.folder_id,))
        self._execute("DELETE FROM changes WHERE folder_id = ?", (row.folder_id,))
        del self._folder_ids[row.mailbox_id, row.name]
        del self._folders[row.folder_id]
        self._dirty_folders.discard(row.folder_id)

    def subscriptions(self, mailbox_id: MailboxId) -> list[str]:
        """All subscribed names of a mailbox."""
        found = self._execute("SELECT name FROM subscriptions WHERE mailbox_id = ?", (mailbox_id,))
        return [name for (name,) in found]

    def put_subscription(self, mailbox_id: MailboxId, name: str, subscribed: bool) -> None:
        """Subscribe a name, or take the subscription away."""
        if subscribed:
            self._execute("INSERT OR IGNORE INTO subscriptions VALUES (?, ?)", (mailbox_id, name))
        else:
            self._execute("DELETE FROM subscriptions WHERE mailbox_id = ? AND name = ?", (mailbox_id, name))

    # --- bodies and messages ---------------------------------------------------------------------

    def add_body(self, data: bytes, reference_count: int) -> int:
        """Store the data of a message once."""
        if self._last_body_id is None:
            (last,) = self._execute("SELECT coalesce(max(body_id), 0) FROM bodies").fetchone()
            self._last_body_id = int(last)
        body_id = self._last_body_id = self._last_body_id + 1
        self._new_bodies.append((body_id, data))
        if reference_count > 1:
            self._new_shares.append((body_id, reference_count))
        return body_id

    def add_references(self, body_id: int, count: int) -> None:
        """Change how many message rows share a body."""
        self._flush_messages()
        found = self._execute(
            "SELECT reference_count FROM shared_bodies WHERE body_id = ?", (body_id,)
        ).fetchone()
        after = (found[0] if found else 1) + count
        assert after >= 0
        if after > 1:
            self._execute("INSERT OR REPLACE INTO shared_bodies VALUES (?, ?)", (body_id, after))
        elif found:
            self._execute("DELETE FROM shared_bodies WHERE body_id = ?", (body_id,))
        if after == 0:
            self._execute("DELETE FROM bodies WHERE body_id = ?", (body_id,))

    def read_body(self, body_id: int, bytes_max: int | None, offset: int = 0) -> bytes:
        """Read a body from an offset on; of a large one no more is in memory than asked for."""
        self._flush_messages()
        if bytes_max is None and offset == 0:
            (data,) = self._execute("SELECT data FROM bodies WHERE body_id = ?", (body_id,)).fetchone()
            assert isinstance(data, bytes)
            return data
        with self._connection.blobopen("bodies", "data", body_id, readonly=True) as blob:
            blob.seek(min(offset, len(blob)))
            return blob.read(-1 if bytes_max is None else bytes_max)

    def add_message(self, row: MessageRow) -> None:
        """Add a message."""
        self._new_messages.append((*row[:5], " ".join(row.flags), *row[6:]))

    def put_flags(self, folder_id: int, uid: int, flags: tuple[str, ...], modification: int) -> None:
        """Change the flags of a message."""
        self._flush_messages()
        self._execute(
            "UPDATE messages SET flags = ?, modification = ? WHERE folder_id = ? AND uid = ?",
            (" ".join(flags), modification, folder_id, uid),
        )

    def remove_message(self, folder_id: int, uid: int) -> None:
        """Remove a message."""
        self._flush_messages()
        self._execute("DELETE FROM messages WHERE folder_id = ? AND uid = ?", (folder_id, uid))

    def messages(self, folder_id: int) -> list[MessageRow]:
        """All messages of a folder in UID order."""
        self._flush_messages()
        statement = f"SELECT {_MESSAGE_COLUMNS} FROM messages WHERE folder_id = ? ORDER BY uid"  # noqa: S608 (joined from constants)
        return [_message(raw) for raw in self._execute(statement, (folder_id,))]

    def messages_by_uid(self, folder_id: int, uids: list[int]) -> list[MessageRow]:
        """Those of the given UIDs that exist, in UID order."""
        self._flush_messages()
        statement = (
            f"SELECT {_MESSAGE_COLUMNS} FROM messages WHERE folder_id = ?"  # noqa: S608 (joined from constants)
            " AND uid IN (SELECT value FROM json_each(?)) ORDER BY uid"
        )
        return [_message(raw) for raw in self._execute(statement, (folder_id, json.dumps(uids)))]

    def states(self, folder_id: int) -> list[tuple[int, tuple[str, ...], int]]:
        """UID, flags and modification of all messages of a folder."""
        self._flush_messages()
        found = self._execute(
            "SELECT uid, flags, modification FROM messages WHERE folder_id = ? ORDER BY uid", (folder_id,)
        )
        return [(uid, tuple(flags.split()), modification) for uid, flags, modification in found]

    def uids_from(self, folder_id: int, uid: int) -> list[int]:
        """The UIDs of a folder that are at least ``uid``."""
        self._flush_messages()
        found = self._execute(
            "SELECT uid FROM messages WHERE folder_id = ? AND uid >= ? ORDER BY uid", (folder_id, uid)
        )
        return [each for (each,) in found]

    # --- change log and memory of deliveries -----------------------------------------------------

    def add_change(self, row: ChangeRow) -> None:
        """Add a line to a folder's change log."""
        self._new_changes.append(row)

    def drop_change(self, folder_id: int, position: int, kind: ChangeKind) -> None:
        """Remove a line of a change log when it is of this kind."""
        self._flush_messages()
        self._execute(
            "DELETE FROM changes WHERE folder_id = ? AND position = ? AND kind = ?",
            (folder_id, position, kind),
        )

    def changes(self, folder_id: int, after: int) -> list[tuple[ChangeKind, int]]:
        """Kind and UID of the changes after a position."""
        self._flush_messages()
        found = self._execute(
            "SELECT kind, uid FROM changes WHERE folder_id = ? AND position > ? ORDER BY position",
            (folder_id, after),
        )
        return [(ChangeKind(kind), uid) for kind, uid in found]

    def was_delivered(self, network_message_id: NetworkMessageId, mailbox_id: MailboxId) -> bool:
        """Whether this message is remembered for this mailbox."""
        found = self._execute(
            "SELECT 1 FROM delivered WHERE network_message_id = ? AND mailbox_id = ?",
            (network_message_id, mailbox_id),
        )
        return found.fetchone() is not None

    def remember_delivered(
        self, network_message_id: NetworkMessageId, mailbox_id: MailboxId, now: float
    ) -> bool:
        """Remember a delivery; False when it was remembered already."""
        cursor = self._execute(
            "INSERT OR IGNORE INTO delivered VALUES (NULL, ?, ?, ?)", (network_message_id, mailbox_id, now)
        )
        return cursor.rowcount == 1

    def last_delivery_at(self) -> float | None:
        """The instant of the newest delivery that is remembered; None without any."""
        row = self._execute("SELECT at FROM delivered ORDER BY delivered_id DESC LIMIT 1", ()).fetchone()
        return None if row is None else float(row[0])

    def forget_delivered(self, before: float, count_max: int) -> None:
        """Forget deliveries older than an instant among the ``count_max`` first ones."""
        self._execute(
            "DELETE FROM delivered WHERE at < ? AND delivered_id IN"
            " (SELECT delivered_id FROM delivered ORDER BY delivered_id LIMIT ?)",
            (before, count_max),
        )
