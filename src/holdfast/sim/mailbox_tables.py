"""The rows of a mailbox database in memory, with transactions, for the simulator.

A disk that dies before its commit calls ``rollback``: everything since the
last ``commit`` is gone, and the rows are exactly what they were. What SQLite
does for a server is done here by an undo log.

Source: mailbox.tables states each read and write; the same tests hold both.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from typing import TypeVar

from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.mailbox.tables import ChangeKind, ChangeRow, FolderRow, MailboxRow, MessageRow

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class MemoryTables:
    """``mailbox.tables.Tables`` over dictionaries."""

    def __init__(self) -> None:
        self._mailboxes: dict[MailboxId, MailboxRow] = {}
        self._folders: dict[int, FolderRow] = {}
        self._names: dict[tuple[MailboxId, str], int] = {}
        self._subscriptions: dict[tuple[MailboxId, str], None] = {}
        self._bodies: dict[int, tuple[bytes, int]] = {}
        self._messages: dict[int, dict[int, MessageRow]] = {}
        self._changes: dict[int, dict[int, ChangeRow]] = {}
        self._delivered: dict[tuple[NetworkMessageId, MailboxId], float] = {}
        # Ids that a rollback takes back were seen by nobody.
        self._last_ids = {"folder": 0, "body": 0}
        self._undo: list[Callable[[], None]] = []
        # Rows that are changed in place, as they were when this transaction first saw them.
        self._mailboxes_before: dict[MailboxId, MailboxRow] = {}
        self._folders_before: dict[int, FolderRow] = {}

    # --- transactions ------------------------------------------------------------------------

    def commit(self) -> None:
        """Keep everything that was changed."""
        self._undo.clear()
        self._mailboxes_before.clear()
        self._folders_before.clear()

    def rollback(self) -> None:
        """Take back everything that was changed since the last commit."""
        for undo in reversed(self._undo):
            undo()
        self._mailboxes |= {key: row for key, row in self._mailboxes_before.items() if key in self._mailboxes}
        self._folders |= {key: row for key, row in self._folders_before.items() if key in self._folders}
        self.commit()

    def snapshot(self) -> object:
        """All rows, as a value that later changes leave alone and that compares by content."""
        return copy.deepcopy(
            (
                self._mailboxes,
                self._folders,
                self._names,
                self._subscriptions,
                self._bodies,
                {key: rows for key, rows in self._messages.items() if rows},
                {key: rows for key, rows in self._changes.items() if rows},
                self._delivered,
            )
        )

    def _set(self, table: dict[Key, Value], key: Key, value: Value) -> None:
        if key in table:
            before = table[key]
            self._undo.append(lambda: table.__setitem__(key, before))
        else:
            self._undo.append(lambda: table.__delitem__(key))
        table[key] = value

    def _delete(self, table: dict[Key, Value], key: Key) -> None:
        before = table.pop(key)
        self._undo.append(lambda: table.__setitem__(key, before))

    def _next_id(self, kind: str) -> int:
        self._set(self._last_ids, kind, self._last_ids[kind] + 1)
        return self._last_ids[kind]

    # --- mailboxes and folders -----------------------------------------------------------------

    def mailbox(self, mailbox_id: MailboxId) -> MailboxRow | None:
        """Find a mailbox."""
        row = self._mailboxes.get(mailbox_id)
        if row is not None and mailbox_id not in self._mailboxes_before:
            self._mailboxes_before[mailbox_id] = copy.copy(row)
        return row

    def put_mailbox(self, row: MailboxRow) -> None:
        """Add or replace a mailbox."""
        if self._mailboxes.get(row.mailbox_id) is not row:
            self._set(self._mailboxes, row.mailbox_id, row)

    def folder(self, folder_id: int) -> FolderRow | None:
        """Find a folder by its id."""
        row = self._folders.get(folder_id)
        if row is not None and folder_id not in self._folders_before:
            self._folders_before[folder_id] = copy.copy(row)
        return row

    def folder_named(self, mailbox_id: MailboxId, name: str) -> FolderRow | None:
        """Find a folder by its full name, exactly as written."""
        folder_id = self._names.get((mailbox_id, name))
        return None if folder_id is None else self.folder(folder_id)

    def folders(self, mailbox_id: MailboxId) -> list[FolderRow]:
        """All folders of a mailbox."""
        rows = [
            self.folder(folder_id) for (owner, _), folder_id in self._names.items() if owner == mailbox_id
        ]
        return [row for row in rows if row is not None]

    def add_folder(self, row: FolderRow) -> None:
        """Add a folder and set its ``folder_id``."""
        row.folder_id = self._next_id("folder")
        self._set(self._folders, row.folder_id, row)
        self._set(self._names, (row.mailbox_id, row.name), row.folder_id)

    def put_folder(self, row: FolderRow) -> None:
        """Write a folder; the row is the one that is stored."""
        assert self._folders[row.folder_id] is row

    def rename_folder(self, row: FolderRow, name: str) -> None:
        """Give a folder another name."""
        self._delete(self._names, (row.mailbox_id, row.name))
        row.name = name
        self._set(self._names, (row.mailbox_id, name), row.folder_id)

    def remove_folder(self, row: FolderRow) -> None:
        """Remove a folder and its change log."""
        assert not self._messages.get(row.folder_id)
        self._delete(self._names, (row.mailbox_id, row.name))
        self._delete(self._folders, row.folder_id)
        if row.folder_id in self._changes:
            self._delete(self._changes, row.folder_id)

    def subscriptions(self, mailbox_id: MailboxId) -> list[str]:
        """All subscribed names of a mailbox."""
        return [name for owner, name in self._subscriptions if owner == mailbox_id]

    def put_subscription(self, mailbox_id: MailboxId, name: str, subscribed: bool) -> None:
        """Subscribe a name, or take the subscription away."""
        key = (mailbox_id, name)
        if subscribed:
            self._set(self._subscriptions, key, None)
        elif key in self._subscriptions:
            self._delete(self._subscriptions, key)

    # --- bodies and messages ---------------------------------------------------------------------

    def add_body(self, data: bytes, reference_count: int) -> int:
        """Store the data of a message once."""
        body_id = self._next_id("body")
        self._set(self._bodies, body_id, (data, reference_count))
        return body_id

    def add_references(self, body_id: int, count: int) -> None:
        """Change how many message rows share a body."""
        data, reference_count = self._bodies[body_id]
        assert reference_count + count >= 0
        if reference_count + count:
            self._set(self._bodies, body_id, (data, reference_count + count))
        else:
            self._delete(self._bodies, body_id)

    def read_body(self, body_id: int, bytes_max: int | None, offset: int = 0) -> bytes:
        """Read a body from an offset on."""
        return self._bodies[body_id][0][offset : None if bytes_max is None else offset + bytes_max]

    def add_message(self, row: MessageRow) -> None:
        """Add a message."""
        self._set(self._messages.setdefault(row.folder_id, {}), row.uid, row)

    def put_flags(self, folder_id: int, uid: int, flags: tuple[str, ...], modification: int) -> None:
        """Change the flags of a message."""
        rows = self._messages[folder_id]
        self._set(rows, uid, rows[uid]._replace(flags=flags, modification=modification))

    def remove_message(self, folder_id: int, uid: int) -> None:
        """Remove a message."""
        self._delete(self._messages[folder_id], uid)

    def messages(self, folder_id: int) -> list[MessageRow]:
        """All messages of a folder in UID order."""
        rows = self._messages.get(folder_id, {})
        return [rows[uid] for uid in sorted(rows)]

    def messages_by_uid(self, folder_id: int, uids: list[int]) -> list[MessageRow]:
        """Those of the given UIDs that exist, in UID order."""
        rows = self._messages.get(folder_id, {})
        return [rows[uid] for uid in sorted(set(uids)) if uid in rows]

    def states(self, folder_id: int) -> list[tuple[int, tuple[str, ...], int]]:
        """UID, flags and modification of all messages of a folder."""
        return [(row.uid, row.flags, row.modification) for row in self.messages(folder_id)]

    def uids_from(self, folder_id: int, uid: int) -> list[int]:
        """The UIDs of a folder that are at least ``uid``."""
        return sorted(each for each in self._messages.get(folder_id, {}) if each >= uid)

    # --- change log and memory of deliveries -----------------------------------------------------

    def add_change(self, row: ChangeRow) -> None:
        """Add a line to a folder's change log."""
        self._set(self._changes.setdefault(row.folder_id, {}), row.position, row)

    def drop_change(self, folder_id: int, position: int, kind: ChangeKind) -> None:
        """Remove a line of a change log when it is of this kind."""
        rows = self._changes.get(folder_id, {})
        if position in rows and rows[position].kind is kind:
            self._delete(rows, position)

    def changes(self, folder_id: int, after: int) -> list[tuple[ChangeKind, int]]:
        """Kind and UID of the changes after a position."""
        rows = self._changes.get(folder_id, {})
        return [(rows[position].kind, rows[position].uid) for position in sorted(rows) if position > after]

    def was_delivered(self, network_message_id: NetworkMessageId, mailbox_id: MailboxId) -> bool:
        """Whether this message is remembered for this mailbox."""
        return (network_message_id, mailbox_id) in self._delivered

    def remember_delivered(
        self, network_message_id: NetworkMessageId, mailbox_id: MailboxId, now: float
    ) -> bool:
        """Remember a delivery; False when it was remembered already."""
        if self.was_delivered(network_message_id, mailbox_id):
            return False
        self._set(self._delivered, (network_message_id, mailbox_id), now)
        return True

    def last_delivery_at(self) -> float | None:
        """The instant of the newest delivery that is remembered; None without any."""
        return next(reversed(self._delivered.values()), None)

    def forget_delivered(self, before: float, count_max: int) -> None:
        """Forget deliveries older than an instant among the ``count_max`` first ones."""
        first = [key for key, _ in zip(self._delivered, range(count_max), strict=False)]
        for key in first:
            if self._delivered[key] < before:
                self._delete(self._delivered, key)
