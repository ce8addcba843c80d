"""Folders of a mailbox: making, finding, deleting, renaming, subscribing.

CREATE makes every level above a folder; RENAME does not. A level above a
renamed folder that was never made is only a name: it has no row, it goes with
the last folder below it, and whoever lists level by level shows it.

Invariants: a mailbox never uses a UID validity twice, so neither a deleted name
that is made again nor a renamed folder can be mistaken for another; folder ids
are never reused.

What is refused raises ``Denied`` before anything is changed, but for the
mailbox itself, which is made at its first use whatever comes of that use.

Source: RFC 3501 sections 2.3.1.1, 6.3.3 to 6.3.9; RFC 6154.
"""

from __future__ import annotations

from holdfast.kernel.ids import MailboxId
from holdfast.mailbox.names import NAME_BYTES_MAX, clean_name, is_below, levels_above
from holdfast.mailbox.special_use import INBOX, SPECIAL_FOLDERS
from holdfast.mailbox.tables import FolderRow, MailboxRow, Tables
from holdfast.wire.store import Folder, RefusalReason

FOLDER_COUNT_MAX = 10_000  # per mailbox


class Denied(Exception):
    """An operation is refused, with a reason for programs and a text for people."""

    def __init__(self, reason: RefusalReason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


def use_mailbox(tables: Tables, mailbox_id: MailboxId, now: float) -> MailboxRow:
    """Find a mailbox, or make it with its special folders."""
    mailbox = tables.mailbox(mailbox_id)
    if mailbox is not None:
        return mailbox
    mailbox = MailboxRow(mailbox_id, 0, 0, 0, 0)
    tables.put_mailbox(mailbox)
    for name in SPECIAL_FOLDERS:
        make_folder(tables, mailbox, name, now)
        tables.put_subscription(mailbox_id, name, True)
    return mailbox


def make_folder(tables: Tables, mailbox: MailboxRow, name: str, now: float) -> FolderRow:
    """Add a folder whose name is free."""
    # Seconds since the epoch stay below RFC 3501's 32 bits until 2106.
    mailbox.last_uid_validity = max(int(now), mailbox.last_uid_validity + 1)
    mailbox.folder_count += 1
    tables.put_mailbox(mailbox)
    folder = FolderRow(
        folder_id=0,
        mailbox_id=mailbox.mailbox_id,
        name=name,
        special_use=SPECIAL_FOLDERS.get(name, ""),
        selectable=True,
        uid_validity=mailbox.last_uid_validity,
        uid_next=1,
        position=0,
        recent_from_uid=1,
        message_count=0,
        unseen_count=0,
        size_bytes=0,
    )
    tables.add_folder(folder)
    return folder


def inbox(tables: Tables, mailbox: MailboxRow) -> FolderRow:
    """The inbox, which every mailbox has."""
    folder = tables.folder_named(mailbox.mailbox_id, INBOX)
    assert folder is not None
    return folder


def named_folder(tables: Tables, mailbox_id: MailboxId, name: str, now: float) -> FolderRow:
    """Find a folder that can hold messages by its name.

    Raises:
        Denied: there is none.
        Refusal: the name is not allowed.
    """
    name = clean_name(name)
    use_mailbox(tables, mailbox_id, now)
    folder = tables.folder_named(mailbox_id, name)
    if folder is None or not folder.selectable:
        raise Denied(RefusalReason.NONEXISTENT, f'there is no folder "{name}"')
    return folder


def known_folder(tables: Tables, mailbox_id: MailboxId, folder_id: int) -> FolderRow:
    """Find a folder that can hold messages by its id.

    Raises:
        Denied: it is gone, or belongs to another mailbox.
    """
    folder = find_folder(tables, mailbox_id, folder_id)
    if folder is None:
        raise Denied(RefusalReason.NONEXISTENT, "the folder was deleted")
    return folder


def find_folder(tables: Tables, mailbox_id: MailboxId, folder_id: int) -> FolderRow | None:
    """Find a folder of this mailbox that can hold messages by its id."""
    folder = tables.folder(folder_id) if 0 < folder_id < 1 << 63 else None
    if folder is None or folder.mailbox_id != mailbox_id or not folder.selectable:
        return None
    return folder


def create_folder(tables: Tables, mailbox_id: MailboxId, name: str, now: float) -> FolderRow:
    """Make a folder and those above it; a name that only had folders below it can hold messages again.

    Raises:
        Denied: it exists, or the mailbox has too many folders.
        Refusal: the name is not allowed.
    """
    name = clean_name(name)
    mailbox = use_mailbox(tables, mailbox_id, now)
    folder = tables.folder_named(mailbox_id, name)
    if folder is None:
        require_room(tables, mailbox, name)
        make_levels_above(tables, mailbox, name, now)
        return make_folder(tables, mailbox, name, now)
    if folder.selectable:
        raise Denied(RefusalReason.ALREADYEXISTS, f'the folder "{name}" exists')
    # Its UIDs go on from where they were, so its UID validity may stay.
    folder.selectable = True
    tables.put_folder(folder)
    return folder


def require_room(tables: Tables, mailbox: MailboxRow, name: str) -> None:
    """Raise Denied unless the mailbox may have this folder and those that are missing above it."""
    missing = [each for each in levels_above(name) if tables.folder_named(mailbox.mailbox_id, each) is None]
    if mailbox.folder_count + len(missing) + 1 > FOLDER_COUNT_MAX:
        raise _too_many(mailbox)


def _too_many(mailbox: MailboxRow) -> Denied:
    return Denied(RefusalReason.CANNOT, f"the mailbox has {mailbox.folder_count} folders; delete some first")


def _length(row: FolderRow) -> int:
    return len(row.name)


def make_levels_above(tables: Tables, mailbox: MailboxRow, name: str, now: float) -> None:
    """Make the folders above a name that do not exist."""
    for above in levels_above(name):
        if tables.folder_named(mailbox.mailbox_id, above) is None:
            make_folder(tables, mailbox, above, now)


def folder_to_delete(tables: Tables, mailbox_id: MailboxId, name: str, now: float) -> tuple[FolderRow, bool]:
    """Find a folder that may be deleted, and whether its name must stay for the folders below it.

    Raises:
        Denied: it is special, does not exist, or is a name that stays for the folders below it already.
        Refusal: the name is not allowed.

    Source: RFC 3501 section 6.3.4.
    """
    name = clean_name(name)
    if name in SPECIAL_FOLDERS:
        raise Denied(RefusalReason.CANNOT, f'"{name}" is a special folder and cannot be deleted')
    use_mailbox(tables, mailbox_id, now)
    folder = tables.folder_named(mailbox_id, name)
    if folder is None:
        raise Denied(RefusalReason.NONEXISTENT, f'there is no folder "{name}"')
    has_children = any(is_below(each.name, name) for each in tables.folders(mailbox_id))
    if has_children and not folder.selectable:
        raise Denied(RefusalReason.CANNOT, f'"{name}" has folders below it; delete those first')
    return folder, has_children


def rename_folder(
    tables: Tables, mailbox_id: MailboxId, name: str, new_name: str, now: float
) -> tuple[FolderRow, FolderRow] | None:
    """Rename a folder and all below it.

    Returns:
        None when all is done; for the inbox the inbox and the new folder that its
        messages are to be moved to, before ``replace_inbox``.

    Raises:
        Denied: see the texts.
        Refusal: a name is not allowed.

    Source: RFC 3501 section 6.3.5. What it calls "superior hierarchical names" are names, not mailboxes:
    section 6.3.8 lists them only where the pattern asks for a level.
    """
    name, new_name = clean_name(name), clean_name(new_name)
    if name in SPECIAL_FOLDERS and name != INBOX:
        raise Denied(RefusalReason.CANNOT, f'"{name}" is a special folder and cannot be renamed')
    mailbox = use_mailbox(tables, mailbox_id, now)
    folder = tables.folder_named(mailbox_id, name)
    # The shorter name first, so that a folder's new name is free when it was another's old one.
    below = sorted((row for row in tables.folders(mailbox_id) if is_below(row.name, name)), key=_length)
    if folder is None and not below:
        raise Denied(RefusalReason.NONEXISTENT, f'there is no folder "{name}"')
    if tables.folder_named(mailbox_id, new_name) is not None:
        raise Denied(RefusalReason.ALREADYEXISTS, f'the folder "{new_name}" exists')
    if name == INBOX:
        assert folder is not None
        if mailbox.folder_count >= FOLDER_COUNT_MAX:
            raise _too_many(mailbox)
        return folder, make_folder(tables, mailbox, new_name, now)
    if is_below(new_name, name):
        raise Denied(RefusalReason.CANNOT, f'"{name}" cannot be moved below itself')
    moved = [(each, new_name + each.name[len(name) :]) for each in ([folder] if folder else []) + below]
    leaving = {each.name for each, _ in moved}
    for _, moved_name in moved:
        if moved_name not in leaving and tables.folder_named(mailbox_id, moved_name) is not None:
            raise Denied(RefusalReason.ALREADYEXISTS, f'the folder "{moved_name}" exists')
        if len(moved_name.encode()) > NAME_BYTES_MAX:
            raise Denied(RefusalReason.CANNOT, "the name of a folder below it would become too long")
    for each, moved_name in moved:
        tables.rename_folder(each, moved_name)
    return None


def replace_inbox(tables: Tables, mailbox: MailboxRow, emptied: FolderRow, now: float) -> None:
    """Put a new inbox in the place of one whose messages were moved away.

    It has its own UID validity and its own folder id, so no session, copy or
    client can take a new message for an old one of the same UID.
    """
    tables.remove_folder(emptied)
    mailbox.folder_count -= 1
    make_folder(tables, mailbox, INBOX, now)


def describe(tables: Tables, row: FolderRow, subscribed: bool) -> Folder:
    """What is known of a folder."""
    recent_count = 0
    if row.recent_from_uid < row.uid_next:
        recent_count = len(tables.uids_from(row.folder_id, row.recent_from_uid))
    return Folder(
        folder_id=row.folder_id,
        name=row.name,
        special_use=row.special_use,
        subscribed=subscribed,
        selectable=row.selectable,
        exists=True,
        uid_validity=row.uid_validity,
        uid_next=row.uid_next,
        message_count=row.message_count,
        unseen_count=row.unseen_count,
        recent_count=recent_count,
        size_bytes=row.size_bytes,
        highest_position=row.position,
    )


def list_folders(tables: Tables, mailbox_id: MailboxId, now: float) -> list[Folder]:
    """All folders, and the subscriptions whose folder is gone; INBOX first, then by name."""
    use_mailbox(tables, mailbox_id, now)
    subscribed = set(tables.subscriptions(mailbox_id))
    found = {row.name: describe(tables, row, row.name in subscribed) for row in tables.folders(mailbox_id)}
    for name in subscribed - found.keys():
        found[name] = Folder(
            folder_id=0, name=name, special_use="", subscribed=True, selectable=False, exists=False,
            uid_validity=0, uid_next=0, message_count=0, unseen_count=0, recent_count=0, size_bytes=0,
            highest_position=0,
        )  # fmt: skip
    return sorted(found.values(), key=lambda folder: (folder.name != INBOX, folder.name))


def subscribe(tables: Tables, mailbox_id: MailboxId, name: str, now: float, *, subscribed: bool) -> None:
    """Put a name on or take it off the list of subscriptions (RFC 3501 section 6.3.6).

    Raises:
        Denied: the list is full.
        Refusal: the name is not allowed.
    """
    name = clean_name(name)
    use_mailbox(tables, mailbox_id, now)
    if subscribed and len(tables.subscriptions(mailbox_id)) >= 2 * FOLDER_COUNT_MAX:
        raise Denied(RefusalReason.CANNOT, "the list of subscriptions is full; take names off it first")
    tables.put_subscription(mailbox_id, name, subscribed)


def is_subscribed(tables: Tables, row: FolderRow) -> bool:
    """Whether the name of a folder is subscribed."""
    return row.name in tables.subscriptions(row.mailbox_id)
