r"""Commands that change messages: APPEND, STORE, COPY, MOVE, EXPUNGE.

COPYUID of a MOVE stands in the tagged answer, as Apache James sends it.

Source: RFC 3501 sections 6.3.11, 6.4.3, 6.4.6 and 6.4.7; RFC 4315 (UIDPLUS); RFC 6851 (MOVE).
"""

from __future__ import annotations

from collections.abc import Generator

from holdfast.access.imap_conversation import (
    Bad,
    Conversation,
    No,
    Step,
    StepResult,
    ask,
    drain_if_long,
    named_uids,
)
from holdfast.access.imap_selected import SelectedFolder
from holdfast.wire import store
from holdfast.wire.imap import Arguments, format_uid_set, parse_append, parse_store

STORE_SLICE = 1000  # messages whose flags are changed by one operation

Run = Generator[Step, StepResult, str]


def append(conversation: Conversation, arguments: Arguments) -> Run:
    """APPEND (RFC 3501 section 6.3.11); the message is kept byte for byte."""
    wanted = parse_append(arguments)
    if not wanted.message:
        raise No("An empty message is not stored.")  # RFC 3502 section 6.3.11: this cancels the APPEND
    if b"\0" in wanted.message:
        # RFC 3501 section 9, CHAR8: no FETCH could give it back.
        raise No("A message with a NUL is not stored.", "CANNOT")
    account = conversation.signed_in()
    operation = store.AppendMessage(
        mailbox_id=account.mailbox_id,
        name=wanted.mailbox,
        data=wanted.message,
        flags=list(wanted.flags),
        internal_at=conversation.now if wanted.internal_at is None else wanted.internal_at,
        quota_bytes=account.quota_bytes,
    )
    try:
        appended = yield from ask(operation, store.Appended)
    except No as no:
        raise _try_create(no) from None
    if conversation.selected is not None:
        conversation.selected.appended(appended.uid_validity, appended.uid)
    return f"APPENDUID {appended.uid_validity} {appended.uid}"


def _try_create(no: No) -> No:
    """A folder that does not exist could be made by the client (RFC 3501 sections 6.3.11 and 6.4.7)."""
    if no.code == store.RefusalReason.NONEXISTENT.value:
        return No("No such mailbox.", "TRYCREATE")
    return no


def store_flags(conversation: Conversation, arguments: Arguments) -> Run:
    """STORE (RFC 3501 section 6.4.6)."""
    uids = yield from named_uids(conversation, arguments)
    arguments.space()
    wanted = parse_store(arguments)
    selected = conversation.writable_folder()
    found_count = 0
    for start in range(0, len(uids), STORE_SLICE):
        stored = yield from ask(
            store.StoreFlags(
                mailbox_id=conversation.signed_in().mailbox_id,
                folder_id=selected.folder_id,
                uids=list(uids[start : start + STORE_SLICE]),
                action=store.FlagAction[wanted.action],
                flags=selected.canonical_flags(wanted.flags),
            ),
            store.FlagsStored,
        )
        found_count += len(stored.messages)
        selected.stored(stored.messages)
        conversation.out += selected.keyword_updates()
        if not wanted.silent:
            for message in stored.messages:
                _say_flags(conversation, selected, message.uid)
        yield from drain_if_long(conversation)
    return "" if found_count == len(uids) else "EXPUNGEISSUED"


def _say_flags(conversation: Conversation, selected: SelectedFolder, uid: int) -> None:
    selected.flags_told((uid,))
    uid_item = f" UID {uid}" if conversation.using_uid else ""
    conversation.say(
        f"* {selected.number_of(uid)} FETCH (FLAGS {selected.flags_text(uid)}{uid_item})".encode()
    )


def copy(conversation: Conversation, arguments: Arguments) -> Run:
    """COPY (RFC 3501 section 6.4.7)."""
    return _copy(conversation, arguments, move=False)


def move(conversation: Conversation, arguments: Arguments) -> Run:
    """MOVE (RFC 6851)."""
    return _copy(conversation, arguments, move=True)


def _copy(conversation: Conversation, arguments: Arguments, *, move: bool) -> Run:
    selected = conversation.folder()
    uids = yield from named_uids(conversation, arguments)
    arguments.space()
    target_name = arguments.mailbox()
    arguments.end()
    if not uids and selected.count == 0 and (move or not conversation.using_uid):
        # There is no message that could be meant. UIDs that are not there are no error (RFC 3501
        # section 6.4.8), but for UID MOVE Apache James's script wants it said.
        raise Bad("Invalid messageset.")
    if move:
        selected = conversation.writable_folder()
    account = conversation.signed_in()
    operation = store.CopyMessages(
        mailbox_id=account.mailbox_id,
        folder_id=selected.folder_id,
        uids=list(uids),
        target_name=target_name,
        move=move,
        quota_bytes=account.quota_bytes,
    )
    try:
        copied = yield from ask(operation, store.Copied)
    except No as no:
        raise _try_create(no) from None
    if move:
        selected.forget(copied.source_uids)
        conversation.out += selected.tell_expunged()
    if not copied.source_uids:
        return ""
    source, target = format_uid_set(copied.source_uids), format_uid_set(copied.target_uids)
    return f"COPYUID {copied.uid_validity} {source.decode()} {target.decode()}"


def expunge(conversation: Conversation, arguments: Arguments) -> Run:
    """EXPUNGE (RFC 3501 section 6.4.3) and UID EXPUNGE (RFC 4315 section 2.1)."""
    uids: list[int] | None = None
    if conversation.using_uid:
        uids = list((yield from named_uids(conversation, arguments)))
    arguments.end()
    selected = conversation.writable_folder()
    expunged = yield from ask(
        store.Expunge(
            mailbox_id=conversation.signed_in().mailbox_id, folder_id=selected.folder_id, uids=uids
        ),
        store.Expunged,
    )
    selected.forget(expunged.uids)
    return ""
