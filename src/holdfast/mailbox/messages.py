"""Messages in folders: adding, removing, moving, flags; each change a line in the folder's change log.

A change of flags takes the place of the message's last one in the log, and a
removal the place of both: whoever asks what happened after a position needs
only the newest. So the log holds at most two lines per UID, however often a
flag is set and taken away; its coming stays, because who did not see a message
come need not hear that it went.

Invariants: UIDs and positions of a folder only grow; the counts of a folder
and of its mailbox are those of its messages; every message row holds one
reference to its body.

Source: RFC 3501 sections 2.3.1 and 6.4; RFC 6851 (MOVE); RFC 7162 for positions.
"""

from __future__ import annotations

import random
import re

from holdfast.mailbox.flags import DELETED, SEEN, change_flags
from holdfast.mailbox.tables import ChangeKind, ChangeRow, FolderRow, MailboxRow, MessageRow, Tables
from holdfast.wire.store import Changes, FlagAction, MessageState, Part, StoredMessage

FETCH_BYTES_MAX = 4 << 20  # of one answer; one message may be larger
FETCH_COUNT_MAX = 20_000
_EMPTY_LINE = re.compile(rb"\n\r?\n")


def new_item_id(luck: random.Random) -> str:
    """Draw the id of a new item."""
    return f"{luck.getrandbits(128):032x}"


def header_size(prefix: bytes, data: bytes) -> int:
    """Size of the header of ``prefix + data``, the empty line that ends it included.

    The prefix holds whole header lines or nothing. A message without an empty line is all header.
    """
    if data[:2] == b"\r\n":
        return len(prefix) + 2
    if data[:1] == b"\n":
        return len(prefix) + 1
    found = _EMPTY_LINE.search(data)
    return len(prefix) + (found.end() if found else len(data))


def log_change(tables: Tables, folder: FolderRow, kind: ChangeKind, uid: int, item_id: str) -> int:
    """Take the next position of a folder's change log; the caller puts the folder."""
    folder.position += 1
    tables.add_change(ChangeRow(folder.folder_id, folder.position, kind, uid, item_id))
    return folder.position


def add_message(tables: Tables, mailbox: MailboxRow, folder: FolderRow, message: MessageRow) -> int:
    """Put a message at the end of a folder, with the folder's next UID, and return that.

    ``folder_id``, ``uid`` and ``modification`` of the given row are not looked at.
    """
    uid = folder.uid_next
    assert uid < 1 << 32  # RFC 3501 section 2.3.1.1
    folder.uid_next = uid + 1
    position = log_change(tables, folder, ChangeKind.CREATE, uid, message.item_id)
    tables.add_message(message._replace(folder_id=folder.folder_id, uid=uid, modification=position))
    _count(tables, mailbox, folder, message, 1)
    return uid


def remove_message(
    tables: Tables, mailbox: MailboxRow, folder: FolderRow, message: MessageRow, kind: ChangeKind
) -> None:
    """Take a message out of a folder; its reference to the body goes too unless it is moved."""
    tables.drop_change(folder.folder_id, message.modification, ChangeKind.FLAGS)
    log_change(tables, folder, kind, message.uid, message.item_id)
    tables.remove_message(folder.folder_id, message.uid)
    if kind is not ChangeKind.MOVE_OUT:
        tables.add_references(message.body_id, -1)
    _count(tables, mailbox, folder, message, -1)


def _count(tables: Tables, mailbox: MailboxRow, folder: FolderRow, message: MessageRow, sign: int) -> None:
    folder.message_count += sign
    folder.size_bytes += sign * message.size_bytes
    if SEEN not in message.flags:
        folder.unseen_count += sign
    tables.put_folder(folder)
    mailbox.message_count += sign
    mailbox.size_bytes += sign * message.size_bytes
    tables.put_mailbox(mailbox)


def move_message(
    tables: Tables, mailbox: MailboxRow, message: MessageRow, *, source: FolderRow, target: FolderRow
) -> int:
    """Move a message, which keeps its item id, and return its new UID."""
    uid = add_message(tables, mailbox, target, message)
    remove_message(tables, mailbox, source, message, ChangeKind.MOVE_OUT)
    return uid


def copy_message(
    tables: Tables, mailbox: MailboxRow, message: MessageRow, target: FolderRow, luck: random.Random
) -> int:
    """Copy a message as a new item that shares the body, and return its UID."""
    tables.add_references(message.body_id, 1)
    return add_message(tables, mailbox, target, message._replace(item_id=new_item_id(luck)))


def store_flags(
    tables: Tables, folder: FolderRow, messages: list[MessageRow], action: FlagAction, flags: tuple[str, ...]
) -> list[MessageState]:
    """Change flags; only a message whose flags really change takes a position.

    Raises:
        Refusal: a message would have too many flags; nothing is changed then.
    """
    wanted = [change_flags(message.flags, action, flags) for message in messages]
    states = []
    for message, after in zip(messages, wanted, strict=True):
        modification = message.modification
        if after != message.flags:
            tables.drop_change(folder.folder_id, message.modification, ChangeKind.FLAGS)
            modification = log_change(tables, folder, ChangeKind.FLAGS, message.uid, message.item_id)
            tables.put_flags(folder.folder_id, message.uid, after, modification)
            folder.unseen_count += (SEEN in message.flags) - (SEEN in after)
            tables.put_folder(folder)
        states.append(MessageState(message.uid, after, modification))
    return states


def deleted_messages(tables: Tables, folder: FolderRow, uids: list[int] | None) -> list[MessageRow]:
    r"""The messages with \Deleted, all or of the given UIDs (RFC 4315 section 2.1)."""
    among = tables.messages(folder.folder_id) if uids is None else existing(tables, folder, uids)
    return [message for message in among if DELETED in message.flags]


def existing(tables: Tables, folder: FolderRow, uids: list[int]) -> list[MessageRow]:
    """Those of the given UIDs that exist, in UID order."""
    return tables.messages_by_uid(folder.folder_id, [uid for uid in uids if 0 < uid < folder.uid_next])


def fetch(
    tables: Tables, messages: list[MessageRow], part: Part, bytes_max: int = 0
) -> tuple[list[StoredMessage], bool]:
    """Read messages up to the bound of one answer, at least one; and whether these are all.

    ``bytes_max`` is as in ``store.FetchMessages``.
    """
    limit = min(bytes_max, FETCH_BYTES_MAX) if bytes_max > 0 else FETCH_BYTES_MAX
    fetched: list[StoredMessage] = []
    total_bytes = 0
    for message in messages:
        size_bytes = {Part.METADATA: 0, Part.HEADER: message.header_bytes, Part.ALL: message.size_bytes}[part]
        total_bytes += size_bytes
        if fetched and (total_bytes > limit or len(fetched) == FETCH_COUNT_MAX):
            return fetched, False
        fetched.append(
            StoredMessage(
                uid=message.uid,
                item_id=message.item_id,
                internal_at=message.internal_at,
                size_bytes=message.size_bytes,
                header_bytes=message.header_bytes,
                data=b"" if bytes_max > 0 and size_bytes > limit else _read_part(tables, message, part),
            )
        )
    return fetched, True


def _read_part(tables: Tables, message: MessageRow, part: Part) -> bytes:
    if part is Part.METADATA:
        return b""
    bytes_max = message.header_bytes - len(message.prefix) if part is Part.HEADER else None
    return message.prefix + tables.read_body(message.body_id, bytes_max)


def read_slice(tables: Tables, message: MessageRow, offset: int, length: int) -> bytes:
    """Read at most ``length`` bytes of a message from an offset on."""
    start = max(offset, 0)
    length = min(max(length, 0), FETCH_BYTES_MAX, message.size_bytes - start)
    if length <= 0:
        return b""
    start_of_body = len(message.prefix)
    piece = message.prefix[start : start + length]
    if len(piece) < length:
        piece += tables.read_body(
            message.body_id, length - len(piece), max(0, start + len(piece) - start_of_body)
        )
    return piece


def claim_recent(tables: Tables, folder: FolderRow) -> list[int]:
    """Take the messages that no session has claimed as recent (RFC 3501 section 2.3.2)."""
    if folder.recent_from_uid == folder.uid_next:
        return []
    uids = tables.uids_from(folder.folder_id, folder.recent_from_uid)
    folder.recent_from_uid = folder.uid_next
    tables.put_folder(folder)
    return uids


def read_changes(tables: Tables, folder: FolderRow, after: int, recent_uids: list[int]) -> Changes:
    """What happened after a position; what came and went since then is left out."""
    created: set[int] = set()
    touched: set[int] = set()
    if 0 <= after < folder.position:
        for kind, uid in tables.changes(folder.folder_id, after):
            touched.add(uid)
            if kind is ChangeKind.CREATE:
                created.add(uid)
    changed = [
        MessageState(row.uid, row.flags, row.modification)
        for row in tables.messages_by_uid(folder.folder_id, sorted(touched))
    ]
    there = {state.uid for state in changed}
    return Changes(
        position=folder.position,
        vanished=sorted(touched - there - created),
        changed=changed,
        recent_uids=recent_uids,
        folder_exists=True,
    )
