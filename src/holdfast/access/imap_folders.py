r"""Commands about folders, from CREATE to SELECT and CLOSE; LIST is in ``imap_list``.

The untagged lines of SELECT come in the order in which Apache James sends
them, because its scripts are run against us.

Source: RFC 3501 sections 6.3 and 6.4.2; RFC 2342 (NAMESPACE); RFC 3691
(UNSELECT); RFC 8438 (STATUS=SIZE); RFC 8474 (MAILBOXID).
"""

from __future__ import annotations

from collections.abc import Generator

from holdfast.access.imap_conversation import (
    Bad,
    Conversation,
    Farewell,
    No,
    Step,
    StepResult,
    ask,
    claim_or_look,
    refresh,
)
from holdfast.access.imap_selected import SYSTEM_FLAGS, SelectedFolder
from holdfast.wire import store
from holdfast.wire.imap import Arguments, format_mailbox, parse_status_items

DELIMITER = "/"
LEVEL_CHARACTERS_MAX = 200  # of one level of a folder's name
NAME_CHARACTERS_MAX = 1000  # of a whole name

# STATUS items are answered in this order, however they were asked for.
STATUS_ITEMS = (
    "MESSAGES",
    "SIZE",
    "DELETED",
    "RECENT",
    "UIDNEXT",
    "UIDVALIDITY",
    "UNSEEN",
)

Run = Generator[Step, StepResult, str]


def check_new_name(name: str) -> str:
    """Return the name of a folder to be made, without a delimiter at its end.

    Raises:
        Bad: an empty level, or a name that is too long.
        No: a namespace that we do not have (RFC 3501 section 5.1.2).
    """
    name = name.removesuffix(DELIMITER)  # RFC 3501 section 6.3.3: it only announces folders below
    levels = name.split(DELIMITER)
    if name.startswith("#"):
        raise No("A name that begins with # means a namespace, and we have none.", "CANNOT")
    if not all(levels):
        raise Bad("Illegal arguments: a mailbox name has an empty level.")
    if len(name) > NAME_CHARACTERS_MAX or max(map(len, levels)) > LEVEL_CHARACTERS_MAX:
        raise Bad("Illegal arguments: too long mailbox name.")
    if levels[0].upper() == "INBOX":
        levels[0] = "INBOX"
    return DELIMITER.join(levels)


def create(conversation: Conversation, arguments: Arguments) -> Run:
    """CREATE (RFC 3501 section 6.3.3)."""
    name = check_new_name(arguments.mailbox())
    arguments.end()
    made = yield from ask(
        store.CreateFolder(mailbox_id=conversation.signed_in().mailbox_id, name=name), store.FolderList
    )
    return f"MAILBOXID ({mailbox_id(made.folders[0])})"


def mailbox_id(folder: store.Folder) -> str:
    """The folder's object id (RFC 8474 section 4)."""
    return f"F{folder.folder_id}"


def delete(conversation: Conversation, arguments: Arguments) -> Run:
    """DELETE (RFC 3501 section 6.3.4)."""
    name = arguments.mailbox()
    arguments.end()
    if name == "INBOX":
        raise No("Deleting INBOX is forbidden.", "CANNOT")
    yield from ask(store.DeleteFolder(mailbox_id=conversation.signed_in().mailbox_id, name=name), store.Done)
    try:
        yield from refresh(conversation)
    except Farewell:
        # Whoever deletes the folder that he has selected himself knows that it is gone.
        conversation.selected = None
    return ""


def rename(conversation: Conversation, arguments: Arguments) -> Run:
    """RENAME (RFC 3501 section 6.3.5)."""
    name = arguments.mailbox()
    arguments.space()
    new_name = check_new_name(arguments.mailbox())
    arguments.end()
    yield from ask(
        store.RenameFolder(mailbox_id=conversation.signed_in().mailbox_id, name=name, new_name=new_name),
        store.Done,
    )
    try:
        yield from refresh(conversation)
    except Farewell:
        # It was the selected INBOX. Its name means another folder now, with other UIDs; whoever
        # has renamed it himself knows that, other sessions are sent away.
        conversation.selected = None
    return ""


def subscribe(conversation: Conversation, arguments: Arguments) -> Run:
    """SUBSCRIBE (RFC 3501 section 6.3.6)."""
    return _set_subscribed(conversation, arguments, subscribed=True)


def unsubscribe(conversation: Conversation, arguments: Arguments) -> Run:
    """UNSUBSCRIBE (RFC 3501 section 6.3.7)."""
    return _set_subscribed(conversation, arguments, subscribed=False)


def _set_subscribed(conversation: Conversation, arguments: Arguments, *, subscribed: bool) -> Run:
    name = arguments.mailbox()
    arguments.end()
    if subscribed:
        name = check_new_name(name)
    yield from ask(
        store.Subscribe(mailbox_id=conversation.signed_in().mailbox_id, name=name, subscribed=subscribed),
        store.Done,
    )
    return ""


def namespace(conversation: Conversation, arguments: Arguments) -> Run:
    """NAMESPACE: one personal namespace, no others (RFC 2342 section 5)."""
    arguments.end()
    conversation.say(f'* NAMESPACE (("" "{DELIMITER}")) NIL NIL'.encode())
    yield from ()  # a handler is a generator, also when it asks nobody
    return ""


# --- STATUS ----------------------------------------------------------------------------------------


def status(conversation: Conversation, arguments: Arguments) -> Run:
    """STATUS (RFC 3501 section 6.3.10)."""
    name = arguments.mailbox()
    arguments.space()
    items = parse_status_items(arguments)
    listed = yield from ask(
        store.ListFolders(mailbox_id=conversation.signed_in().mailbox_id), store.FolderList
    )
    for folder in listed.folders:
        if folder.name == name and folder.exists and folder.selectable:
            yield from say_status(conversation, folder, items)
            return ""
    raise No("Mailbox not found.", "NONEXISTENT")


def say_status(
    conversation: Conversation, folder: store.Folder, items: tuple[str, ...]
) -> Generator[Step, StepResult, None]:
    """Say one untagged STATUS line."""
    values = {
        "MESSAGES": folder.message_count,
        "SIZE": folder.size_bytes,
        "RECENT": folder.recent_count,
        "UIDNEXT": folder.uid_next,
        "UIDVALIDITY": folder.uid_validity,
        "UNSEEN": folder.unseen_count,
    }
    if "DELETED" in items:
        # The store counts no deleted messages, so this item costs more than the others.
        opened = yield from ask(
            store.OpenFolder(
                mailbox_id=conversation.signed_in().mailbox_id, name=folder.name, claim_recent=False
            ),
            store.FolderOpened,
        )
        values["DELETED"] = sum("\\Deleted" in message.flags for message in opened.messages)
    text = " ".join(f"{item} {values[item]}" for item in STATUS_ITEMS if item in items)
    conversation.say(b"* STATUS ", format_mailbox(folder.name), f" ({text})".encode())


# --- selecting -------------------------------------------------------------------------------------


def select(conversation: Conversation, arguments: Arguments) -> Run:
    """SELECT (RFC 3501 section 6.3.1)."""
    return _open(conversation, arguments, read_only=False)


def examine(conversation: Conversation, arguments: Arguments) -> Run:
    """EXAMINE (RFC 3501 section 6.3.2)."""
    return _open(conversation, arguments, read_only=True)


def _open(conversation: Conversation, arguments: Arguments, *, read_only: bool) -> Run:
    name = arguments.mailbox()
    arguments.end()
    before = conversation.selected or conversation.left
    conversation.selected, conversation.left = (
        None,
        before,
    )  # also when the new one cannot be opened (section 6.3.1)
    opened = yield from claim_or_look(
        store.OpenFolder(
            mailbox_id=conversation.signed_in().mailbox_id, name=name, claim_recent=not read_only
        )
    )
    if isinstance(opened, store.Refused):
        raise No(opened.text, opened.reason.value)
    assert isinstance(opened, store.FolderOpened), opened
    if not opened.folder.selectable:
        raise No("No such mailbox; there are only folders below this name.", "NONEXISTENT")
    selected = SelectedFolder(opened, read_only=read_only)
    if before is not None and before.folder_id == selected.folder_id:
        selected.keep_recent(before)
    conversation.selected, conversation.left = selected, None
    _say_opened(conversation, opened.folder, selected)
    return "READ-ONLY" if read_only else "READ-WRITE"


def _say_opened(conversation: Conversation, folder: store.Folder, selected: SelectedFolder) -> None:
    flags = selected.known_flags_text()
    lines = [
        f"* OK [MAILBOXID ({mailbox_id(folder)})] Ok",
        f"* FLAGS ({flags})",
        f"* {selected.count} EXISTS",
        f"* {len(selected.recent)} RECENT",
        f"* OK [UIDVALIDITY {folder.uid_validity}] UIDs valid",
    ]
    unseen = selected.first_unseen_number()
    if unseen is not None:
        lines.append(f"* OK [UNSEEN {unseen}] Message {unseen} is the first unseen")
    permanent = " ".join(SYSTEM_FLAGS) if selected.read_only else f"{flags} \\*"
    lines += [
        f"* OK [PERMANENTFLAGS ({permanent})] Limited",
        f"* OK [HIGHESTMODSEQ {max(1, folder.highest_position)}] Highest",
        f"* OK [UIDNEXT {folder.uid_next}] Predicted next UID",
    ]
    for line in lines:
        conversation.say(line.encode())


def close(conversation: Conversation, arguments: Arguments) -> Run:
    r"""CLOSE: remove what is ``\Deleted`` without saying so, then select nothing (RFC 3501 section 6.4.2)."""
    arguments.end()
    selected = conversation.folder()
    if not selected.read_only:
        yield from ask(
            store.Expunge(
                mailbox_id=conversation.signed_in().mailbox_id, folder_id=selected.folder_id, uids=None
            ),
            store.Expunged,
        )
    conversation.selected = None
    return ""


def unselect(conversation: Conversation, arguments: Arguments) -> Run:
    """UNSELECT: select nothing and remove nothing (RFC 3691)."""
    arguments.end()
    conversation.selected = None
    yield from ()  # a handler is a generator, also when it asks nobody
    return ""
