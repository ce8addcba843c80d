r"""FETCH: ask for as little of each message as the items need, and answer in bounded pieces.

The messages are asked for in slices, and after each ``send_bytes_max`` of
answer we wait until it has left. So ``FETCH 1:* BODY[]`` of a large folder
costs the memory of one slice, however slowly the client reads.

Items are answered in a fixed order (that of Apache James), body sections in
the order asked.

Source: RFC 3501 sections 6.4.5 and 7.4.2.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from holdfast.access.imap_conversation import (
    Ask,
    Bad,
    Conversation,
    Step,
    StepResult,
    ask,
    drain_if_long,
    named_uids,
    refresh,
)
from holdfast.access.imap_selected import SelectedFolder
from holdfast.wire import store
from holdfast.wire.body_structure import body_structure
from holdfast.wire.envelope import envelope
from holdfast.wire.imap import Arguments, FetchItem, format_internal_date, format_literal, parse_fetch
from holdfast.wire.mime import MimePart, header_fields, parse_message, section_bytes

# How many messages are asked for at once, by how much of each is wanted.
SLICES = {store.Part.METADATA: 1000, store.Part.HEADER: 200, store.Part.ALL: 50}

Run = Generator[Step, StepResult, str]

_METADATA_ITEMS = {"INTERNALDATE", "RFC822.SIZE"}


@dataclass(frozen=True, slots=True)
class FetchWish:
    """What one FETCH wants of each message.

    Attributes:
        names: names of the items that are no sections.
        sections: the items that are, in the order asked.
        part: how much of each message is needed; None when the session knows all by itself.
        sets_seen: whether a section is asked for without PEEK.
    """

    names: frozenset[str]
    sections: tuple[FetchItem, ...]
    part: store.Part | None
    sets_seen: bool


def wish_of(items: tuple[FetchItem, ...], *, with_uid: bool) -> FetchWish:
    """Find out what the items need."""
    names = {item.name for item in items if item.section is None}
    if with_uid:
        names.add("UID")
    sections = tuple(item for item in items if item.section is not None)
    part: store.Part | None = None
    if names & _METADATA_ITEMS:
        part = store.Part.METADATA
    if "ENVELOPE" in names or sections:
        part = store.Part.HEADER
    if names & {"BODY", "BODYSTRUCTURE"} or not all(_in_header(item) for item in sections):
        part = store.Part.ALL
    return FetchWish(frozenset(names), sections, part, not all(item.peek for item in sections))


def _in_header(item: FetchItem) -> bool:
    section = item.section
    return section is not None and not section.path and section.kind.startswith("HEADER")


def fetch(conversation: Conversation, arguments: Arguments) -> Run:
    """FETCH and UID FETCH."""
    uids = yield from named_uids(conversation, arguments)
    arguments.space()
    items = parse_fetch(arguments)
    if any(item.partial is not None and item.partial[1] == 0 for item in items):
        raise Bad("Illegal arguments: nothing is asked of a section.")  # RFC 3501 section 9, partial
    wish = wish_of(items, with_uid=conversation.using_uid)
    if "FLAGS" in wish.names:
        yield from refresh(conversation)
    if wish.part is None:
        for uid in uids:
            _say_message(conversation, wish, uid, None)
            yield from drain_if_long(conversation)
        return ""
    found_count = 0
    size = SLICES[wish.part]
    for start in range(0, len(uids), size):
        found_count += yield from _fetch_slice(conversation, wish, uids[start : start + size])
    return "" if found_count == len(uids) else "EXPUNGEISSUED"


def _fetch_slice(
    conversation: Conversation, wish: FetchWish, uids: Sequence[int]
) -> Generator[Step, StepResult, int]:
    """Answer for some messages and return how many of them still exist."""
    assert wish.part is not None
    selected = conversation.folder()
    wanted = list(uids)
    found_count = 0
    while wanted:
        answer = yield from ask(
            store.FetchMessages(
                mailbox_id=conversation.signed_in().mailbox_id,
                folder_id=selected.folder_id,
                uids=wanted,
                part=wish.part,
            ),
            store.Messages,
        )
        found_count += len(answer.messages)
        if wish.sets_seen and not selected.read_only:
            yield from _set_seen(conversation, selected, answer.messages)
        for message in answer.messages:
            _say_message(conversation, wish, message.uid, message)
            yield from drain_if_long(conversation)
        if answer.complete or not answer.messages:
            break
        last = answer.messages[-1].uid
        wanted = [uid for uid in wanted if uid > last]
    return found_count


def _set_seen(
    conversation: Conversation, selected: SelectedFolder, messages: list[store.StoredMessage]
) -> Generator[Step, StepResult, None]:
    r"""Set ``\Seen`` on what is about to be read; the answer then names the flags (section 6.4.5).

    When it cannot be set (a full disk), the message is answered all the same.
    """
    unseen = [message.uid for message in messages if "\\Seen" not in selected.flags[message.uid]]
    if not unseen:
        return
    answer = yield Ask(
        store.StoreFlags(
            mailbox_id=conversation.signed_in().mailbox_id,
            folder_id=selected.folder_id,
            uids=unseen,
            action=store.FlagAction.ADD,
            flags=["\\Seen"],
        )
    )
    if isinstance(answer, store.FlagsStored):
        selected.stored(answer.messages)
        selected.flags_to_tell(message.uid for message in answer.messages)


def _say_message(
    conversation: Conversation, wish: FetchWish, uid: int, message: store.StoredMessage | None
) -> None:
    selected = conversation.folder()
    pieces: list[bytes] = []
    if "FLAGS" in wish.names or (wish.sets_seen and selected.has_flags_to_tell(uid)):
        pieces.append(b"FLAGS " + selected.flags_text(uid).encode())
        selected.flags_told((uid,))
    if message is not None:
        _add_properties(pieces, wish, message)
    if "UID" in wish.names:
        pieces.append(b"UID %d" % uid)
    if message is not None:
        _add_sections(pieces, wish, message)
    conversation.say(b"* %d FETCH (" % (selected.number_of(uid) or 0), b" ".join(pieces), b")")


def _add_properties(pieces: list[bytes], wish: FetchWish, message: store.StoredMessage) -> None:
    names = wish.names
    if "INTERNALDATE" in names:
        pieces.append(b"INTERNALDATE " + format_internal_date(message.internal_at))
    if "RFC822.SIZE" in names:
        pieces.append(b"RFC822.SIZE %d" % message.size_bytes)
    if "ENVELOPE" in names:
        pieces.append(b"ENVELOPE " + envelope(message.data[: message.header_bytes]))
    if names & {"BODY", "BODYSTRUCTURE"}:
        root = parse_message(message.data)
        if "BODY" in names:
            pieces.append(b"BODY " + body_structure(message.data, root, extended=False))
        if "BODYSTRUCTURE" in names:
            pieces.append(b"BODYSTRUCTURE " + body_structure(message.data, root, extended=True))


def _add_sections(pieces: list[bytes], wish: FetchWish, message: store.StoredMessage) -> None:
    root: MimePart | None = None
    for item in wish.sections:
        section = item.section
        assert section is not None
        if _in_header(item):
            data: bytes | None = message.data[: message.header_bytes]
            if section.kind != "HEADER":
                assert data is not None
                data = header_fields(data, section.fields, wanted=section.kind == "HEADER.FIELDS")
        elif not section.path and not section.kind:
            data = message.data
        else:
            root = root or parse_message(message.data)
            data = section_bytes(message.data, root, section)
        if data is None:
            data = b""  # no such part: an empty string, as Apache James says it
        if item.partial is not None:
            first, count = item.partial
            data = data[first : first + count]
        pieces.append(item.label + b" " + format_literal(data))
