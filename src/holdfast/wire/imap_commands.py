"""Read the arguments that are lists: FETCH, STORE, STATUS, APPEND, LIST.

Source: RFC 3501 sections 6.3 and 6.4; RFC 5258, RFC 5819 and RFC 6154 for LIST.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from holdfast.kernel.errors import Refusal
from holdfast.wire.imap_arguments import Arguments
from holdfast.wire.imap_format import format_astring
from holdfast.wire.mime import Section

FETCH_ITEM_COUNT_MAX = 128
PATTERN_COUNT_MAX = 32

_SECTION_PATH = re.compile(rb"[1-9][0-9]{0,9}(?:\.[1-9][0-9]{0,9})*(?=[].])")
_PARTIAL = re.compile(rb"<([0-9]{1,10})\.([0-9]{1,10})>")
_FIELD_NAME = re.compile(rb"[!-9;-~]+")  # RFC 5322 section 3.6.8


@dataclass(frozen=True, slots=True)
class FetchItem:
    """One thing that a FETCH asks for.

    Attributes:
        name: in upper case; ``BODY[]`` for every BODY[section].
        section: what of the message is meant; also set for RFC822,
            RFC822.HEADER and RFC822.TEXT, which are sections by another name.
        partial: first byte and byte count, or None for all.
        peek: asking for it does not set the \\Seen flag.
        label: the name that stands in the answer.
    """

    name: str
    section: Section | None
    partial: tuple[int, int] | None
    peek: bool
    label: bytes


def _plain_item(name: str) -> FetchItem:
    return FetchItem(name, None, None, True, name.encode("ascii"))


_PLAIN_ITEMS = {
    name: _plain_item(name)
    for name in ("FLAGS", "INTERNALDATE", "UID", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "BODY")
} | {
    "RFC822": FetchItem("RFC822", Section((), "", ()), None, False, b"RFC822"),
    "RFC822.HEADER": FetchItem("RFC822.HEADER", Section((), "HEADER", ()), None, True, b"RFC822.HEADER"),
    "RFC822.TEXT": FetchItem("RFC822.TEXT", Section((), "TEXT", ()), None, False, b"RFC822.TEXT"),
}
_MACROS = {
    "FAST": ("FLAGS", "INTERNALDATE", "RFC822.SIZE"),
    "ALL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"),
    "FULL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"),
}


def parse_fetch(arguments: Arguments) -> tuple[FetchItem, ...]:
    """Read what a FETCH asks for, up to the end of the command; each thing is returned once.

    Raises:
        Refusal: an item is unknown, or something is malformed.

    Source: RFC 3501 section 6.4.5.
    """
    items: dict[FetchItem, None] = {}
    if arguments.peek() != b"(":
        items.update(dict.fromkeys(_parse_fetch_item(arguments)))
    else:
        arguments.open_parenthesis()
        going = not arguments.accept(b")")  # "()" asks for nothing; James's clients do that
        while going:
            items.update(dict.fromkeys(_parse_fetch_item(arguments)))
            if len(items) > FETCH_ITEM_COUNT_MAX:
                raise Refusal(f"more than {FETCH_ITEM_COUNT_MAX} things are asked for")
            going = arguments.list_goes_on()
    arguments.end()
    return tuple(items)


def _parse_fetch_item(arguments: Arguments) -> tuple[FetchItem, ...]:
    """Read one item, or a macro: inside parentheses the standard has none, but clients have."""
    peek = arguments.accept(b"BODY.PEEK[")
    if peek or arguments.accept(b"BODY["):
        return (_parse_body_section(arguments, peek=peek),)
    name = arguments.keyword()
    macro = _MACROS.get(name, (name,))
    if macro[0] not in _PLAIN_ITEMS:
        raise Refusal(f"{name} cannot be fetched")
    return tuple(_PLAIN_ITEMS[each] for each in macro)


def _parse_body_section(arguments: Arguments, *, peek: bool) -> FetchItem:
    path = arguments.take(_SECTION_PATH)
    numbers = tuple(int(number) for number in path[0].split(b".")) if path else ()
    kind = ""
    fields: tuple[bytes, ...] = ()
    if path is None or arguments.accept(b"."):
        if arguments.peek() != b"]":
            kind, fields = _parse_section_kind(arguments, inside_part=bool(numbers))
        elif path is not None:
            raise Refusal('a section does not end in "."')
    arguments.expect(b"]")
    partial_match = arguments.take(_PARTIAL)
    partial = (int(partial_match[1]), int(partial_match[2])) if partial_match else None
    text = ".".join([*map(str, numbers), kind] if kind else map(str, numbers)).encode("ascii")
    if fields:
        text += b" (%b)" % b" ".join(map(format_astring, fields))
    label = b"BODY[%b]" % text
    if partial is not None:
        label += b"<%d>" % partial[0]
    return FetchItem("BODY[]", Section(numbers, kind, fields), partial, peek, label)


def _parse_section_kind(arguments: Arguments, *, inside_part: bool) -> tuple[str, tuple[bytes, ...]]:
    kind = arguments.keyword()
    if kind in ("HEADER", "TEXT") or (kind == "MIME" and inside_part):
        return kind, ()
    if kind not in ("HEADER.FIELDS", "HEADER.FIELDS.NOT"):
        raise Refusal(f"{kind} is not a section of a message")
    arguments.space()
    arguments.open_parenthesis()
    fields: list[bytes] = []
    while True:
        field = arguments.astring()
        if not _FIELD_NAME.fullmatch(field):
            raise Refusal("that is not the name of a header field")
        fields.append(field)
        if not arguments.list_goes_on():
            return kind, tuple(fields)


# --- STORE, STATUS, APPEND, LIST ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoreCommand:
    """A change of flags: ``action`` is ``ADD``, ``REMOVE`` or ``REPLACE``."""

    action: str
    flags: tuple[str, ...]
    silent: bool


_STORE_ACTIONS = {b"+": "ADD", b"-": "REMOVE"}


def parse_store(arguments: Arguments) -> StoreCommand:
    r"""Read what a STORE does, behind its message numbers, up to the end of the command.

    Raises:
        Refusal: malformed, or an attempt to change \Recent.

    Source: RFC 3501 section 6.4.6.
    """
    action = _STORE_ACTIONS.get(arguments.peek(), "REPLACE")
    if action != "REPLACE":
        arguments.expect(arguments.peek())
    name = arguments.keyword()
    if name not in ("FLAGS", "FLAGS.SILENT"):
        raise Refusal(f"{name} cannot be stored; only FLAGS and FLAGS.SILENT")
    arguments.space()
    if arguments.peek() == b"(":
        flags = arguments.flag_list()
    else:
        found = [arguments.flag()]
        while arguments.skip_space() and not arguments.at_end():
            found.append(arguments.flag())
        flags = tuple(dict.fromkeys(found))
    arguments.end()
    _refuse_recent(flags)
    return StoreCommand(action, flags, name == "FLAGS.SILENT")


def _refuse_recent(flags: tuple[str, ...]) -> None:
    if "\\Recent" in flags:
        raise Refusal("\\Recent is set by the server alone")


_STATUS_ITEMS = frozenset({"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "SIZE", "DELETED"})


def parse_status_items(arguments: Arguments) -> tuple[str, ...]:
    """Read the parenthesised list of a STATUS, behind the mailbox, up to the end of the command.

    Raises:
        Refusal: an item is unknown (RFC 3501 section 6.3.10, and SIZE of RFC 8438,
            DELETED of RFC 9051), or something is malformed.
    """
    items = _parse_status_list(arguments)
    arguments.end()
    return items


def _parse_status_list(arguments: Arguments) -> tuple[str, ...]:
    items: dict[str, None] = {}
    arguments.open_parenthesis()
    while True:
        item = arguments.keyword()
        if item not in _STATUS_ITEMS:
            raise Refusal(f"{item} is not known of a mailbox")
        items[item] = None
        if not arguments.list_goes_on():
            return tuple(items)


@dataclass(frozen=True, slots=True)
class AppendCommand:
    """A message for a mailbox; ``internal_at`` is None when the client leaves the date to us."""

    mailbox: str
    flags: tuple[str, ...]
    internal_at: float | None
    message: bytes


def parse_append(arguments: Arguments) -> AppendCommand:
    r"""Read all arguments of an APPEND; ``\Recent`` is left out of the flags.

    Raises:
        Refusal: something is malformed.

    Source: RFC 3501 section 6.3.11.
    """
    mailbox = arguments.mailbox()
    arguments.space()
    flags: tuple[str, ...] = ()
    internal_at: float | None = None
    if arguments.peek() == b"(":
        flags = tuple(flag for flag in arguments.flag_list() if flag != "\\Recent")
        arguments.space()
    if arguments.peek() == b'"':
        internal_at = arguments.date_time()
        arguments.space()
    message = arguments.literal_or_string()
    arguments.end()
    return AppendCommand(mailbox, flags, internal_at, message)


@dataclass(frozen=True, slots=True)
class ListCommand:
    """What a LIST asks for.

    Attributes:
        reference: the name that the patterns are relative to.
        patterns: with the wildcards ``%`` and ``*``.
        select: which mailboxes: SUBSCRIBED, SPECIAL-USE, RECURSIVEMATCH, REMOTE.
        returned: what to tell of each: SUBSCRIBED, SPECIAL-USE, CHILDREN, STATUS.
        status_items: what RETURN (STATUS (…)) names.
        extended: the form of RFC 5258 was used.
    """

    reference: str
    patterns: tuple[str, ...]
    select: frozenset[str]
    returned: frozenset[str]
    status_items: tuple[str, ...]
    extended: bool


_LIST_SELECT = frozenset({"SUBSCRIBED", "SPECIAL-USE", "RECURSIVEMATCH", "REMOTE"})
_LIST_RETURN = frozenset({"SUBSCRIBED", "SPECIAL-USE", "CHILDREN", "STATUS"})


def parse_list(arguments: Arguments) -> ListCommand:
    """Read all arguments of a LIST or LSUB.

    Raises:
        Refusal: an option is unknown, or something is malformed.

    Source: RFC 3501 section 6.3.8; RFC 5258 section 3; RFC 6154; RFC 5819 (STATUS).
    """
    select: set[str] = set()
    returned: set[str] = set()
    status_items: tuple[str, ...] = ()
    extended = arguments.peek() == b"("
    if extended:
        select = set(_parse_options(arguments, _LIST_SELECT))
        arguments.space()
        if "RECURSIVEMATCH" in select and not select & {"SUBSCRIBED", "SPECIAL-USE"}:
            raise Refusal("RECURSIVEMATCH needs another selection option")  # RFC 5258 section 3.1
    reference = arguments.mailbox()
    arguments.space()
    patterns = _parse_patterns(arguments)
    if arguments.skip_space() and not arguments.at_end():
        arguments.expect(b"RETURN")
        arguments.space()
        extended = True
        arguments.open_parenthesis()
        going = not arguments.accept(b")")
        while going:
            option = arguments.keyword()
            if option not in _LIST_RETURN:
                raise Refusal(f"{option} is not an option of LIST")
            returned.add(option)
            if option == "STATUS":
                arguments.space()
                status_items = _parse_status_list(arguments)
            going = arguments.list_goes_on()
    arguments.end()
    return ListCommand(reference, patterns, frozenset(select), frozenset(returned), status_items, extended)


def _parse_options(arguments: Arguments, known: frozenset[str]) -> list[str]:
    options: list[str] = []
    arguments.open_parenthesis()
    if arguments.accept(b")"):
        return options
    while True:
        option = arguments.keyword()
        if option not in known:
            raise Refusal(f"{option} is not an option of LIST")
        options.append(option)
        if not arguments.list_goes_on():
            return options


def _parse_patterns(arguments: Arguments) -> tuple[str, ...]:
    if arguments.peek() != b"(":
        return (arguments.list_mailbox(),)
    patterns: list[str] = []
    arguments.open_parenthesis()
    while len(patterns) < PATTERN_COUNT_MAX:
        patterns.append(arguments.list_mailbox())
        if not arguments.list_goes_on():
            return tuple(patterns)
    raise Refusal(f"more than {PATTERN_COUNT_MAX} patterns are given")
