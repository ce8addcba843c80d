r"""SEARCH: judge messages from the cheapest evidence to the dearest.

Flags, UIDs and numbers are known to the session. What they leave open is asked
of the store in three rounds, each only for the messages that are still open:
metadata (dates, sizes), headers, whole messages. So ``UNSEEN FROM x`` reads no
header of a message that was seen.

A key says True, False or None ("not known yet"); AND, OR and NOT go by the
rules of three-valued logic.

Source: RFC 3501 section 6.4.4; RFC 4731 (ESEARCH).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import assert_never

from holdfast.access.imap_conversation import (
    Conversation,
    No,
    Step,
    StepResult,
    drain_if_long,
    refresh,
)
from holdfast.access.imap_reading import hold_piece, is_cut, read_batch, read_whole, release
from holdfast.access.imap_selected import SelectedFolder
from holdfast.wire import imap_search, store
from holdfast.wire.envelope import decode_header_text, header_values, sent_date
from holdfast.wire.imap import Arguments, format_uid_set
from holdfast.wire.mime import MimePart, decoded_text, parse_message

NUMBERS_PER_CHUNK = 10_000
_MOMENT_MAX = 253402300799.0  # 31-Dec-9999, the last day that a date can name

Run = Generator[Step, StepResult, str]

_CHARSETS = " ".join(imap_search.CHARSETS)


@dataclass(slots=True)
class Evidence:
    """What is known of one message.

    Attributes:
        number: its sequence number.
        uid: its UID.
        flags: its flags, in lower case.
        recent: whether it is recent for this session.
        message: what was read of it, or None.
        part: how much was read.
    """

    number: int
    uid: int
    flags: frozenset[str]
    recent: bool
    message: store.StoredMessage | None = None
    part: store.Part | None = None
    _texts: list[str] | None = None

    @property
    def header(self) -> bytes | None:
        """The header, or None when it was not read."""
        if self.message is None or self.part is store.Part.METADATA:
            return None
        return self.message.data[: self.message.header_bytes]

    @property
    def body_texts(self) -> list[str] | None:
        """The texts of the body, or None when it was not read; decoded once."""
        if self.message is None or self.part is not store.Part.ALL:
            return None
        if self._texts is None:
            raw = self.message.data
            self._texts = [text.casefold() for text in searchable_texts(raw, parse_message(raw))]
        return self._texts

    def forget_texts(self) -> None:
        """Free what was decoded."""
        self._texts = None


class Judge:
    """Judges messages by one search key in one folder."""

    def __init__(self, key: imap_search.SearchKey, selected: SelectedFolder) -> None:
        self._key = key
        self._count = selected.count
        self._uids = selected.uids
        self._sets: dict[int, frozenset[int]] = {}

    def verdict(self, evidence: Evidence) -> bool | None:
        """Whether the message matches; None when more must be read of it."""
        return self._judge(self._key, evidence)

    def _judge(self, key: imap_search.SearchKey, evidence: Evidence) -> bool | None:
        match key:
            case imap_search.All():
                return True
            case imap_search.And():
                return _all_of(self._judge(inner, evidence) for inner in key.keys)
            case imap_search.Or():
                # Not (not left and not right); the right one is not judged when the left one is true.
                sides = (_not(self._judge(side, evidence)) for side in (key.left, key.right))
                return _not(_all_of(sides))
            case imap_search.Not():
                return _not(self._judge(key.key, evidence))
            case imap_search.FlagIs():
                return (key.flag.casefold() in evidence.flags) == key.wanted
            case imap_search.Keyword():
                return (key.keyword.casefold() in evidence.flags) == key.wanted
            case imap_search.New():
                return evidence.recent and "\\seen" not in evidence.flags
            case imap_search.Old():
                return not evidence.recent
            case imap_search.Recent():
                return evidence.recent
            case imap_search.UidSet():
                return evidence.uid in self._set(id(key), lambda: key.uids.uids(self._uids))
            case imap_search.NumberSet():
                return evidence.number in self._set(id(key), lambda: key.numbers.numbers(self._count))
            case _:
                return _judge_content(key, evidence)

    def _set(self, name: int, read: Callable[[], list[int]]) -> frozenset[int]:
        """Resolve a set once per search, not once per message."""
        found = self._sets.get(name)
        if found is None:
            found = self._sets[name] = frozenset(read())
        return found


def _not(verdict: bool | None) -> bool | None:
    return None if verdict is None else not verdict


def _all_of(verdicts: Iterable[bool | None]) -> bool | None:
    """False as soon as one is False; else None when one is open."""
    result: bool | None = True
    for verdict in verdicts:
        if verdict is False:
            return False
        if verdict is None:
            result = None
    return result


_MetadataKey = (
    imap_search.Before | imap_search.On | imap_search.Since | imap_search.Larger | imap_search.Smaller
)
_SentKey = imap_search.SentBefore | imap_search.SentOn | imap_search.SentSince
_TextKey = imap_search.HeaderContains | imap_search.BodyContains | imap_search.TextContains


def _judge_content(key: _MetadataKey | _SentKey | _TextKey, evidence: Evidence) -> bool | None:
    """Judge a key that needs something of the message itself."""
    match key:
        case imap_search.SentBefore() | imap_search.SentOn() | imap_search.SentSince():
            header = evidence.header
            return None if header is None else _judge_sent(key, header)
        case imap_search.HeaderContains():
            header = evidence.header
            return None if header is None else _header_contains(header, key.field, key.text.casefold())
        case imap_search.BodyContains():
            texts = evidence.body_texts
            return None if texts is None else any(key.text.casefold() in text for text in texts)
        case imap_search.TextContains():
            return _text_contains(evidence, key.text.casefold())
        case _:
            return None if evidence.message is None else _judge_metadata(key, evidence.message)


def _judge_metadata(key: _MetadataKey, message: store.StoredMessage) -> bool:
    """Dates without time, in UTC as INTERNALDATE is written."""
    match key:
        case imap_search.Larger():
            return message.size_bytes > key.size_bytes
        case imap_search.Smaller():
            return message.size_bytes < key.size_bytes
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(
        seconds=min(max(message.internal_at, 0.0), _MOMENT_MAX)
    )
    match key:
        case imap_search.Before():
            return moment.date() < key.date
        case imap_search.On():
            return moment.date() == key.date
        case imap_search.Since():
            return moment.date() >= key.date
        case _:
            assert_never(key)


def _judge_sent(key: _SentKey, header: bytes) -> bool:
    """By the Date field; a message without a readable one matches none of these."""
    date = sent_date(header)
    if date is None:
        return False
    match key:
        case imap_search.SentBefore():
            return date < key.date
        case imap_search.SentOn():
            return date == key.date
        case imap_search.SentSince():
            return date >= key.date
        case _:
            assert_never(key)


def _header_contains(header: bytes, field: str, text: str) -> bool:
    values = header_values(header, field.encode("utf-8", "replace"))
    return any(text in decode_header_text(value).casefold() for value in values)


def _text_contains(evidence: Evidence, text: str) -> bool | None:
    header = evidence.header
    if header is None:
        return None
    if text in decode_header_text(header).casefold():
        return True
    texts = evidence.body_texts
    return None if texts is None else any(text in body for body in texts)


def searchable_texts(raw: bytes, root: MimePart) -> list[str]:
    """Return what SEARCH BODY looks at: the text parts, and the subjects of messages in the message.

    Not the other fields of these: nobody who looks for a word wants all messages from Timothy for "thy".
    """
    texts: list[str] = []
    waiting = [root]
    while waiting:
        part = waiting.pop()
        waiting += part.children
        if part.message is not None:
            header = raw[part.message.header_start : part.message.header_end]
            texts += [decode_header_text(value) for value in header_values(header, b"subject")]
            waiting.append(part.message)
        elif part.content_type[0] in (b"text", b"message"):
            texts.append(decoded_text(raw, part))
    return texts


# --- the command -----------------------------------------------------------------------------------


def search(conversation: Conversation, arguments: Arguments) -> Run:
    """SEARCH and UID SEARCH."""
    try:
        wanted = imap_search.parse_search(arguments)
    except imap_search.BadCharset as error:
        raise No(f"{error.text}.", f"BADCHARSET ({_CHARSETS})") from None
    yield from refresh(conversation)
    selected = conversation.folder()
    judge = Judge(wanted.key, selected)
    found: list[Evidence] = []
    waiting = _sort_out(judge, _known(selected), found)
    for part in (store.Part.METADATA, store.Part.HEADER, store.Part.ALL):
        waiting = yield from _judge_with(conversation, judge, part, waiting, found)
    numbers = sorted(item.uid if conversation.using_uid else item.number for item in found)
    if wanted.return_options is None:
        yield from _say_numbers(conversation, numbers)
    else:
        _say_extended(conversation, numbers, wanted.return_options)
    return ""


def _say_extended(conversation: Conversation, numbers: list[int], options: frozenset[str]) -> None:
    """ESEARCH (RFC 4731 section 3.1)."""
    tag = conversation.tag.replace("\\", "\\\\").replace('"', '\\"')
    line = f'* ESEARCH (TAG "{tag}")'.encode()
    if conversation.using_uid:
        line += b" UID"
    if numbers and "MIN" in options:
        line += b" MIN %d" % numbers[0]
    if numbers and "MAX" in options:
        line += b" MAX %d" % numbers[-1]
    if numbers and "ALL" in options:
        line += b" ALL " + format_uid_set(numbers)
    if "COUNT" in options:
        line += b" COUNT %d" % len(numbers)
    conversation.say(line)


def _known(selected: SelectedFolder) -> Iterator[Evidence]:
    """What the session knows of each message by itself; one at a time, because there may be 100,000."""
    folded: dict[tuple[str, ...], frozenset[str]] = {}
    for number, uid in enumerate(selected.uids, 1):
        flags = selected.flags[uid]
        if flags not in folded:
            folded[flags] = frozenset(flag.casefold() for flag in flags)
        if not selected.is_gone(uid):
            yield Evidence(number, uid, folded[flags], uid in selected.recent)


def _sort_out(judge: Judge, waiting: Iterable[Evidence], found: list[Evidence]) -> list[Evidence]:
    """Put what matches into ``found`` and return what is still open; what was read of it is forgotten."""
    still_open: list[Evidence] = []
    for evidence in waiting:
        verdict = judge.verdict(evidence)
        if verdict:
            found.append(evidence)
        elif verdict is None:
            still_open.append(evidence)
        evidence.message = None
        evidence.forget_texts()
    return still_open


def _judge_with(
    conversation: Conversation,
    judge: Judge,
    part: store.Part,
    waiting: list[Evidence],
    found: list[Evidence],
) -> Generator[Step, StepResult, list[Evidence]]:
    """Read so much of the open messages, judge them, and return those that are still open."""
    still_open: list[Evidence] = []
    by_uid = {evidence.uid: evidence for evidence in waiting}
    uids = list(by_uid)
    while uids:
        yield from hold_piece()
        messages, uids = yield from read_batch(conversation, uids, part)
        if len(messages) == 1 and is_cut(messages[0], part):
            yield from release()
            whole = yield from read_whole(conversation, messages[0], part)
            messages = [whole] if whole is not None else []
            del whole
        read: list[Evidence] = []
        for message in messages:
            evidence = by_uid[message.uid]
            evidence.message, evidence.part = message, part
            read.append(evidence)
        del messages
        still_open += _sort_out(judge, read, found)
        yield from release()
    return still_open


def _say_numbers(conversation: Conversation, numbers: list[int]) -> Generator[Step, StepResult, None]:
    conversation.out += b"* SEARCH"
    for start in range(0, len(numbers), NUMBERS_PER_CHUNK):
        conversation.out += b"".join(b" %d" % number for number in numbers[start : start + NUMBERS_PER_CHUNK])
        yield from drain_if_long(conversation)
    conversation.say(b"")
