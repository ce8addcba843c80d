r"""FETCH: ask for as little of each message as the items need, and answer in bounded pieces.

Small messages are read some at a time. Of a large one every literal is announced
with its full size and then read and sent piece by piece, each when the one
before has left: so ``FETCH 1:* BODY[]`` costs the memory of one piece, however
slowly the client reads. What has to be parsed (ENVELOPE, BODYSTRUCTURE, where a
part begins) is read whole for that moment only.

A literal whose size was said must be sent to its end. When the rest of it is
gone (expunged by somebody else, or the database went away), nothing that we
could say would be read as anything but the message: the connection is closed.

Items are answered in a fixed order (that of Apache James), body sections in
the order asked.

Source: RFC 3501 sections 6.4.5 and 7.4.2.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

from holdfast.access.imap_conversation import (
    Ask,
    Bad,
    Conversation,
    Drain,
    No,
    Severed,
    Step,
    StepResult,
    ask,
    drain_if_long,
    named_uids,
    refresh,
)
from holdfast.access.imap_reading import (
    PIECE_BYTES,
    SLICES,
    hold_piece,
    is_cut,
    pieces_of,
    read_batch,
    read_piece,
    read_whole,
    release,
)
from holdfast.access.imap_selected import SelectedFolder
from holdfast.wire import store
from holdfast.wire.body_structure import body_structure
from holdfast.wire.envelope import envelope
from holdfast.wire.imap import Arguments, FetchItem, format_internal_date, format_literal, parse_fetch
from holdfast.wire.mime import MimePart, find_section, header_fields, parse_message

Run = Generator[Step, StepResult, str]

_METADATA_ITEMS = {"INTERNALDATE", "RFC822.SIZE"}


@dataclass(frozen=True, slots=True)
class Span:
    """A literal that is sent from the store: some bytes of the message under a label."""

    label: bytes
    offset: int
    size: int


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
            yield from _say_message(conversation, wish, uid, [])
        return ""
    found_count = 0
    if wish.part is store.Part.METADATA:
        for start in range(0, len(uids), SLICES[wish.part]):
            found_count += yield from _fetch_metadata(
                conversation, wish, uids[start : start + SLICES[wish.part]]
            )
    else:
        found_count = yield from _fetch_bodies(conversation, wish, uids)
    return "" if found_count == len(uids) else "EXPUNGEISSUED"


def _fetch_metadata(
    conversation: Conversation, wish: FetchWish, uids: Sequence[int]
) -> Generator[Step, StepResult, int]:
    """Answer for some messages of which only dates and sizes are wanted; return how many still exist."""
    found_count = 0
    wanted = list(uids)
    while wanted:
        answer = yield from ask(
            store.FetchMessages(
                mailbox_id=conversation.signed_in().mailbox_id,
                folder_id=conversation.folder().folder_id,
                uids=wanted,
                part=store.Part.METADATA,
            ),
            store.Messages,
        )
        found_count += len(answer.messages)
        for message in answer.messages:
            yield from _say_message(conversation, wish, message.uid, _pieces(wish, message))
        if answer.complete or not answer.messages:
            break
        wanted = [uid for uid in wanted if uid > answer.messages[-1].uid]
    return found_count


def _fetch_bodies(
    conversation: Conversation, wish: FetchWish, uids: Sequence[int]
) -> Generator[Step, StepResult, int]:
    """Answer for messages of which something must be read, and return how many of them still exist."""
    assert wish.part is not None
    found_count = 0
    waiting = list(uids)
    while waiting:
        yield from hold_piece()
        messages, waiting = yield from read_batch(conversation, waiting, wish.part)
        if wish.sets_seen and not conversation.folder().read_only:
            yield from _set_seen(conversation, conversation.folder(), messages)
        if len(messages) == 1 and is_cut(messages[0], wish.part):
            yield from release()
            found_count += yield from _fetch_large(conversation, wish, messages[0])
            continue
        for message in messages:
            yield from _say_message(conversation, wish, message.uid, _pieces(wish, message))
        found_count += len(messages)
        yield from release()
    return found_count


def _fetch_large(
    conversation: Conversation, wish: FetchWish, message: store.StoredMessage
) -> Generator[Step, StepResult, int]:
    """Answer for a message that is not held whole while it is sent; return 0 when it is gone, else 1."""
    part = _part_to_parse(wish)
    keeps_share = False
    if part is not None:
        whole = yield from read_whole(conversation, message, part)
        if whole is None:
            yield from release()
            return 0
        pieces = list(_pieces(wish, whole, as_spans=True))
        del whole
        # What was made by parsing may itself be large, which no ordinary message's is. Then it is
        # held, and counted, until it was sent.
        keeps_share = sum(len(piece) for piece in pieces if isinstance(piece, bytes)) > PIECE_BYTES
        if not keeps_share:
            yield from release()
    else:
        pieces = list(_pieces(wish, message, as_spans=True))
    there = yield from _say_message(conversation, wish, message.uid, pieces, keeps_share=keeps_share)
    yield from release()
    return int(there)


def _part_to_parse(wish: FetchWish) -> store.Part | None:
    """How much of a message has to be looked at to answer; None when its sizes are enough."""
    sections = [item.section for item in wish.sections if item.section is not None]
    if wish.names & {"BODY", "BODYSTRUCTURE"} or any(section.path for section in sections):
        return store.Part.ALL
    if "ENVELOPE" in wish.names or any(section.kind.startswith("HEADER.") for section in sections):
        return store.Part.HEADER
    return None


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
    conversation: Conversation,
    wish: FetchWish,
    uid: int,
    pieces: Iterable[bytes | Span],
    *,
    keeps_share: bool = False,
) -> Generator[Step, StepResult, bool]:
    """Say one FETCH response; False when the message is gone and nothing was said of it.

    Raises:
        No: the database cannot be asked, and nothing was said.
        Severed: the message cannot be read to its end.
    """
    selected = conversation.folder()
    out = conversation.out
    start = len(out)
    out += b"* %d FETCH (" % (selected.number_of(uid) or 0)
    separator = b""
    if "FLAGS" in wish.names or (wish.sets_seen and selected.has_flags_to_tell(uid)):
        out += b"FLAGS " + selected.flags_text(uid).encode()
        selected.flags_told((uid,))
        separator = b" "
    if wish.part is None and "UID" in wish.names:
        pieces = [b"UID %d" % uid]
    said = False  # whether some of it has left
    for piece in pieces:
        out += separator
        separator = b" "
        if isinstance(piece, bytes):
            out += piece
            if len(out) >= conversation.settings.send_bytes_max:
                said = True
                yield Drain()
            continue
        out += piece.label + b" {%d}\r\n" % piece.size
        for offset, size in pieces_of(piece.offset, piece.size):
            if not keeps_share:
                yield from hold_piece()
            try:
                out += yield from read_piece(conversation, uid, offset, size)
            except No as no:
                if said:
                    raise Severed from None
                del out[start:]
                if no.code == store.RefusalReason.NONEXISTENT.value:
                    return False
                raise
            said = True
            yield Drain()
            if not keeps_share:
                yield from release()
    conversation.say(b")")
    yield from drain_if_long(conversation)
    return True


def _pieces(
    wish: FetchWish, message: store.StoredMessage, *, as_spans: bool = False
) -> Iterator[bytes | Span]:
    """Make the items of one message, one at a time, because many may be asked for.

    With ``as_spans`` the literals that are bytes of the message are named only,
    and the data is looked at only where ``_part_to_parse`` says that it is there.
    """
    names = wish.names
    if "INTERNALDATE" in names:
        yield b"INTERNALDATE " + format_internal_date(message.internal_at)
    if "RFC822.SIZE" in names:
        yield b"RFC822.SIZE %d" % message.size_bytes
    if "ENVELOPE" in names:
        yield b"ENVELOPE " + envelope(message.data[: message.header_bytes])
    root = parse_message(message.data) if _part_to_parse(wish) is store.Part.ALL else None
    if "BODY" in names:
        assert root is not None
        yield b"BODY " + body_structure(message.data, root, extended=False)
    if "BODYSTRUCTURE" in names:
        assert root is not None
        yield b"BODYSTRUCTURE " + body_structure(message.data, root, extended=True)
    if "UID" in names:
        yield b"UID %d" % message.uid
    for item in wish.sections:
        found = _find(item, message, root)
        first, count = (0, message.size_bytes) if item.partial is None else item.partial
        if isinstance(found, bytes):
            yield item.label + b" " + format_literal(found[first : first + count])
            continue
        offset, end = found
        offset = min(offset + first, end)
        size = min(count, end - offset)
        if as_spans:
            yield Span(item.label, offset, size)
        else:
            yield item.label + b" " + format_literal(message.data[offset : offset + size])


def _find(item: FetchItem, message: store.StoredMessage, root: MimePart | None) -> bytes | tuple[int, int]:
    """Find a section: where it begins and ends in the message, or what is made for it.

    A section that is not there is an empty string, as Apache James says it.
    """
    section = item.section
    assert section is not None
    if not section.path:
        if section.kind.startswith("HEADER."):
            header = message.data[: message.header_bytes]
            return header_fields(header, section.fields, wanted=section.kind == "HEADER.FIELDS")
        start = message.header_bytes if section.kind == "TEXT" else 0
        return start, message.header_bytes if section.kind == "HEADER" else message.size_bytes
    assert root is not None
    part = find_section(message.data, root, section.path)
    if part is None:
        return b""
    if section.kind == "MIME":
        return part.header_start, part.header_end
    if section.kind == "":
        return part.body_start, part.body_end
    if part.message is None:
        return b""
    part = part.message
    if section.kind == "TEXT":
        return part.body_start, part.body_end
    if section.kind == "HEADER":
        return part.header_start, part.header_end
    header = message.data[part.header_start : part.header_end]
    return header_fields(header, section.fields, wanted=section.kind == "HEADER.FIELDS")
