"""Perform one store operation on the tables of a mailbox database.

Whoever calls this holds a transaction and commits it, often with many other
operations. So an operation that is refused changes nothing (but for making
the mailbox at its first use): it checks everything before its first write.

Source: wire.store states each operation and answer.
"""

from __future__ import annotations

import random
from typing import NamedTuple, assert_never

from holdfast.kernel.errors import Refusal
from holdfast.mailbox import folders, messages
from holdfast.mailbox.deliver import deliver, instant, require_size
from holdfast.mailbox.flags import clean_flags
from holdfast.mailbox.tables import ChangeKind, FolderRow, MailboxRow, MessageRow, Tables
from holdfast.wire import store
from holdfast.wire.store import RefusalReason


class Performance(NamedTuple):
    """An answer, and the folders that were changed with their new positions."""

    answer: store.Answer
    touched: tuple[tuple[int, int], ...] = ()


def perform(operation: store.Operation, tables: Tables, now: float, luck: random.Random) -> Performance:
    """Do what is asked, or refuse it without a trace; ``Watch`` is the node's affair."""
    try:
        return _perform(operation, tables, now, luck)
    except folders.Denied as denied:
        return Performance(store.Refused(denied.reason, denied.text))
    except Refusal as refusal:
        return Performance(store.Refused(RefusalReason.CANNOT, refusal.text))


def _perform(operation: store.Operation, tables: Tables, now: float, luck: random.Random) -> Performance:
    match operation:
        case store.Deliver():
            outcomes, touched = deliver(tables, operation.deliveries, now, luck)
            return Performance(store.Delivered(outcomes), tuple(touched.items()))
        case store.FetchMessages():
            return _fetch(operation, tables)
        case store.FetchSlice():
            return _fetch_slice(operation, tables)
        case store.ReadChanges():
            return _read_changes(operation, tables)
        case store.OpenFolder():
            return _open_folder(operation, tables, now)
        case store.AppendMessage():
            return _append(operation, tables, now, luck)
        case store.StoreFlags():
            return _store_flags(operation, tables)
        case store.CopyMessages():
            return _copy(operation, tables, now, luck)
        case store.Expunge():
            return _expunge(operation, tables)
        case store.ReadUsage():
            rows = [tables.mailbox(mailbox_id) for mailbox_id in operation.mailbox_ids]
            sizes = [row.size_bytes if row else 0 for row in rows]
            return Performance(store.UsageRead(sizes, [row.message_count if row else 0 for row in rows]))
        case store.FindMissing():
            places = [
                place
                for place, (network_message_id, mailbox_id) in enumerate(operation.asked)
                if not tables.was_delivered(network_message_id, mailbox_id)
            ]
            return Performance(store.Missing(places, tables.last_delivery_at()))
        case _:
            return _perform_on_folders(operation, tables, now)


FolderOperation = (
    store.ListFolders
    | store.CreateFolder
    | store.DeleteFolder
    | store.RenameFolder
    | store.Subscribe
    | store.Watch
)


def _perform_on_folders(operation: FolderOperation, tables: Tables, now: float) -> Performance:
    match operation:
        case store.ListFolders():
            return Performance(store.FolderList(folders.list_folders(tables, operation.mailbox_id, now)))
        case store.CreateFolder():
            made = folders.create_folder(tables, operation.mailbox_id, operation.name, now)
            described = folders.describe(tables, made, folders.is_subscribed(tables, made))
            return Performance(store.FolderList([described]))
        case store.DeleteFolder():
            return _delete_folder(operation, tables, now)
        case store.RenameFolder():
            return _rename_folder(operation, tables, now)
        case store.Subscribe():
            wanted = operation.subscribed
            folders.subscribe(tables, operation.mailbox_id, operation.name, now, subscribed=wanted)
            return Performance(store.Done())
        case store.Watch():
            raise AssertionError("the node answers Watch itself")
        case _:
            assert_never(operation)


def _mailbox_of(tables: Tables, folder: FolderRow) -> MailboxRow:
    mailbox = tables.mailbox(folder.mailbox_id)
    assert mailbox is not None
    return mailbox


def _touched(*rows: FolderRow) -> tuple[tuple[int, int], ...]:
    return tuple({row.folder_id: row.position for row in rows}.items())


def _delete_folder(operation: store.DeleteFolder, tables: Tables, now: float) -> Performance:
    folder, name_stays = folders.folder_to_delete(tables, operation.mailbox_id, operation.name, now)
    mailbox = _mailbox_of(tables, folder)
    for message in tables.messages(folder.folder_id):
        messages.remove_message(tables, mailbox, folder, message, ChangeKind.DELETE)
    folder.position += 1  # whoever watches must look, also when the folder was empty
    touched = _touched(folder)
    if name_stays:
        folder.selectable = False
        tables.put_folder(folder)
    else:
        tables.remove_folder(folder)
        mailbox.folder_count -= 1
        tables.put_mailbox(mailbox)
    return Performance(store.Done(), touched)


def _rename_folder(operation: store.RenameFolder, tables: Tables, now: float) -> Performance:
    moved = folders.rename_folder(tables, operation.mailbox_id, operation.name, operation.new_name, now)
    if moved is None:
        return Performance(store.Done())
    source, target = moved
    mailbox = _mailbox_of(tables, source)
    for message in tables.messages(source.folder_id):
        messages.move_message(tables, mailbox, message, source=source, target=target)
    source.position += 1  # whoever watches must look, also when the inbox was empty
    touched = _touched(source, target)
    folders.replace_inbox(tables, mailbox, source, now)
    return Performance(store.Done(), touched)


def _open_folder(operation: store.OpenFolder, tables: Tables, now: float) -> Performance:
    row = folders.named_folder(tables, operation.mailbox_id, operation.name, now)
    # Described first: what this session claims is still recent to it.
    described = folders.describe(tables, row, folders.is_subscribed(tables, row))
    recent_uids = messages.claim_recent(tables, row) if operation.claim_recent else []
    states = [store.MessageState(*state) for state in tables.states(row.folder_id)]
    return Performance(store.FolderOpened(described, states, recent_uids))


def _read_changes(operation: store.ReadChanges, tables: Tables) -> Performance:
    row = folders.find_folder(tables, operation.mailbox_id, operation.folder_id)
    if row is None:
        return Performance(store.Changes(operation.after, [], [], [], folder_exists=False))
    recent_uids = messages.claim_recent(tables, row) if operation.claim_recent else []
    return Performance(messages.read_changes(tables, row, operation.after, recent_uids))


def _fetch(operation: store.FetchMessages, tables: Tables) -> Performance:
    row = folders.known_folder(tables, operation.mailbox_id, operation.folder_id)
    found = messages.existing(tables, row, operation.uids)
    fetched, complete = messages.fetch(tables, found, operation.part, operation.bytes_max)
    return Performance(store.Messages(fetched, complete))


def _fetch_slice(operation: store.FetchSlice, tables: Tables) -> Performance:
    row = folders.known_folder(tables, operation.mailbox_id, operation.folder_id)
    found = messages.existing(tables, row, [operation.uid])
    if not found:
        raise folders.Denied(RefusalReason.NONEXISTENT, "the message is gone")
    return Performance(store.Slice(messages.read_slice(tables, found[0], operation.offset, operation.length)))


def _require_quota(mailbox: MailboxRow, added_bytes: int, quota_bytes: int) -> None:
    if mailbox.size_bytes + added_bytes > quota_bytes:
        raise folders.Denied(
            RefusalReason.OVERQUOTA,
            f"the mailbox holds {mailbox.size_bytes} of {quota_bytes} bytes, "
            f"there is no room for {added_bytes} more; delete messages first",
        )


def _append(operation: store.AppendMessage, tables: Tables, now: float, luck: random.Random) -> Performance:
    flags = clean_flags(operation.flags)
    size_bytes = len(operation.data)
    require_size(size_bytes)
    folder = folders.named_folder(tables, operation.mailbox_id, operation.name, now)
    mailbox = _mailbox_of(tables, folder)
    _require_quota(mailbox, size_bytes, operation.quota_bytes)
    row = MessageRow(
        folder_id=folder.folder_id,
        uid=0,
        item_id=messages.new_item_id(luck),
        body_id=tables.add_body(operation.data, 1),
        prefix=b"",
        flags=flags,
        internal_at=instant(operation.internal_at, now),
        size_bytes=size_bytes,
        header_bytes=messages.header_size(b"", operation.data),
        modification=0,
    )
    uid = messages.add_message(tables, mailbox, folder, row)
    return Performance(store.Appended(folder.uid_validity, uid), _touched(folder))


def _store_flags(operation: store.StoreFlags, tables: Tables) -> Performance:
    flags = clean_flags(operation.flags)
    row = folders.known_folder(tables, operation.mailbox_id, operation.folder_id)
    before = row.position
    found = messages.existing(tables, row, operation.uids)
    states = messages.store_flags(tables, row, found, operation.action, flags)
    return Performance(store.FlagsStored(states), _touched(row) if row.position != before else ())


def _copy(operation: store.CopyMessages, tables: Tables, now: float, luck: random.Random) -> Performance:
    source = folders.known_folder(tables, operation.mailbox_id, operation.folder_id)
    target = folders.named_folder(tables, operation.mailbox_id, operation.target_name, now)
    mailbox = _mailbox_of(tables, target)
    found = messages.existing(tables, source, operation.uids)
    if operation.move:
        new_uids = [
            messages.move_message(tables, mailbox, row, source=source, target=target) for row in found
        ]
    else:
        _require_quota(mailbox, sum(row.size_bytes for row in found), operation.quota_bytes)
        new_uids = [messages.copy_message(tables, mailbox, row, target, luck) for row in found]
    copied = store.Copied(target.uid_validity, [row.uid for row in found], new_uids)
    changed = (source, target) if operation.move else (target,)
    return Performance(copied, _touched(*changed) if found else ())


def _expunge(operation: store.Expunge, tables: Tables) -> Performance:
    row = folders.known_folder(tables, operation.mailbox_id, operation.folder_id)
    doomed = messages.deleted_messages(tables, row, operation.uids)
    mailbox = _mailbox_of(tables, row)
    for message in doomed:
        messages.remove_message(tables, mailbox, row, message, ChangeKind.DELETE)
    return Performance(store.Expunged([message.uid for message in doomed]), _touched(row) if doomed else ())
