"""What the mailbox room keeps, row by row, and the few reads and writes it needs for that.

SQLite keeps these rows for a server, plain dictionaries keep them for the
simulator; both are held to the same tests. Nothing here decides anything.

A transaction is the affair of whoever holds the tables: the room changes rows,
and a commit or a rollback takes all of them. Within a transaction the tables
hand out one and the same object for a mailbox or a folder, however it is asked
for: moving messages inside one folder counts on it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from holdfast.kernel.ids import MailboxId, NetworkMessageId


class ChangeKind(enum.IntEnum):
    """What a line of a folder's change log says; the numbers are on disk."""

    CREATE = 1
    UPDATE = 2
    FLAGS = 3
    DELETE = 4
    MOVE_OUT = 5


@dataclass(slots=True)
class MailboxRow:
    """A mailbox and what it holds in all.

    Rows of mailboxes and folders are changed in place and then put: they
    change with every delivery, and a copy per change cost 4 % of the rate.
    """

    mailbox_id: MailboxId
    last_uid_validity: int
    size_bytes: int
    message_count: int
    folder_count: int


@dataclass(slots=True)
class FolderRow:
    """A folder.

    Attributes:
        folder_id: 0 until the tables have given one; never reused.
        position: the last position of its change log.
        recent_from_uid: the first UID that no session has claimed as recent.
        unseen_count: messages without \\Seen.
    """

    folder_id: int
    mailbox_id: MailboxId
    name: str
    special_use: str
    selectable: bool
    uid_validity: int
    uid_next: int
    position: int
    recent_from_uid: int
    message_count: int
    unseen_count: int
    size_bytes: int


class MessageRow(NamedTuple):
    """A message in a folder; its text is ``prefix`` and then the body's data."""

    folder_id: int
    uid: int
    item_id: str
    body_id: int
    prefix: bytes
    flags: tuple[str, ...]
    internal_at: float
    size_bytes: int
    header_bytes: int
    modification: int


class ChangeRow(NamedTuple):
    """A line of a folder's change log."""

    folder_id: int
    position: int
    kind: ChangeKind
    uid: int
    item_id: str


class Tables(Protocol):
    """The rows of one mailbox database."""

    # --- mailboxes -------------------------------------------------------------------------

    def mailbox(self, mailbox_id: MailboxId) -> MailboxRow | None:
        """Find a mailbox."""

    def put_mailbox(self, row: MailboxRow) -> None:
        """Add or replace a mailbox."""

    # --- folders ---------------------------------------------------------------------------

    def folder(self, folder_id: int) -> FolderRow | None:
        """Find a folder by its id."""

    def folder_named(self, mailbox_id: MailboxId, name: str) -> FolderRow | None:
        """Find a folder by its full name, exactly as written."""

    def folders(self, mailbox_id: MailboxId) -> list[FolderRow]:
        """All folders of a mailbox, in any order."""

    def add_folder(self, row: FolderRow) -> None:
        """Add a folder and set its ``folder_id`` to one that was never used."""

    def put_folder(self, row: FolderRow) -> None:
        """Write a folder after any field but its name was changed."""

    def rename_folder(self, row: FolderRow, name: str) -> None:
        """Give a folder another name, which no folder has."""

    def remove_folder(self, row: FolderRow) -> None:
        """Remove a folder and its change log; it holds no messages any more."""

    def subscriptions(self, mailbox_id: MailboxId) -> list[str]:
        """All subscribed names of a mailbox, in any order."""

    def put_subscription(self, mailbox_id: MailboxId, name: str, subscribed: bool) -> None:
        """Subscribe a name, or take the subscription away."""

    # --- bodies and messages ---------------------------------------------------------------

    def add_body(self, data: bytes, reference_count: int) -> int:
        """Store the data of a message once for that many message rows, and return its body id."""

    def add_references(self, body_id: int, count: int) -> None:
        """Change how many message rows share a body; with none left it is removed."""

    def read_body(self, body_id: int, bytes_max: int | None, offset: int = 0) -> bytes:
        """Read a body from an offset on; ``bytes_max`` None means all."""

    def add_message(self, row: MessageRow) -> None:
        """Add a message."""

    def put_flags(self, folder_id: int, uid: int, flags: tuple[str, ...], modification: int) -> None:
        """Change the flags of a message."""

    def remove_message(self, folder_id: int, uid: int) -> None:
        """Remove a message."""

    def messages(self, folder_id: int) -> list[MessageRow]:
        """All messages of a folder in UID order."""

    def messages_by_uid(self, folder_id: int, uids: list[int]) -> list[MessageRow]:
        """Those of the given UIDs that exist, in UID order."""

    def states(self, folder_id: int) -> list[tuple[int, tuple[str, ...], int]]:
        """UID, flags and modification of all messages of a folder in UID order."""

    def uids_from(self, folder_id: int, uid: int) -> list[int]:
        """The UIDs of a folder that are at least ``uid``, in order."""

    # --- the change log ----------------------------------------------------------------------

    def add_change(self, row: ChangeRow) -> None:
        """Add a line to a folder's change log."""

    def drop_change(self, folder_id: int, position: int, kind: ChangeKind) -> None:
        """Remove the line of a change log at a position when it is of this kind."""

    def changes(self, folder_id: int, after: int) -> list[tuple[ChangeKind, int]]:
        """Kind and UID of the changes after a position, in order."""

    # --- the memory of deliveries --------------------------------------------------------------

    def was_delivered(self, network_message_id: NetworkMessageId, mailbox_id: MailboxId) -> bool:
        """Whether this message is remembered for this mailbox."""

    def remember_delivered(
        self, network_message_id: NetworkMessageId, mailbox_id: MailboxId, now: float
    ) -> bool:
        """Remember a delivery; False when it was remembered already."""

    def last_delivery_at(self) -> float | None:
        """The instant of the newest delivery that is remembered; None without any."""

    def forget_delivered(self, before: float, count_max: int) -> None:
        """Forget deliveries older than an instant among the ``count_max`` oldest."""
