"""Read a SEARCH: which messages are wanted and in what form the answer.

Source: RFC 3501 section 6.4.4; RFC 4731 for RETURN.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from holdfast.kernel.errors import Refusal
from holdfast.wire.imap_arguments import Arguments, SequenceSet

DEPTH_MAX = 32  # of keys in keys: parentheses, NOT and OR
KEY_COUNT_MAX = 500  # of the whole search
CHARSETS = ("US-ASCII", "UTF-8")


class BadCharset(Refusal):
    """The search is in a charset that we do not read: answer NO with the code BADCHARSET and ``CHARSETS``."""


@dataclass(frozen=True, slots=True)
class All:
    """Every message."""


@dataclass(frozen=True, slots=True)
class And:
    """Messages that match all keys."""

    keys: tuple[SearchKey, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Messages that match one key or both."""

    left: SearchKey
    right: SearchKey


@dataclass(frozen=True, slots=True)
class Not:
    """Messages that do not match."""

    key: SearchKey


@dataclass(frozen=True, slots=True)
class FlagIs:
    r"""Messages that have (or have not) a system flag such as ``\Seen``."""

    flag: str
    wanted: bool


@dataclass(frozen=True, slots=True)
class Keyword:
    """Messages that have (or have not) a keyword; case does not matter."""

    keyword: str
    wanted: bool


@dataclass(frozen=True, slots=True)
class New:
    """Recent and not seen."""


@dataclass(frozen=True, slots=True)
class Old:
    """Not recent."""


@dataclass(frozen=True, slots=True)
class Recent:
    """Recent."""


@dataclass(frozen=True, slots=True)
class HeaderContains:
    """The field (lower case) has the text in it; an empty text asks only that the field is there."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class BodyContains:
    """The body has the text in it."""

    text: str


@dataclass(frozen=True, slots=True)
class TextContains:
    """Header or body have the text in it."""

    text: str


@dataclass(frozen=True, slots=True)
class Before:
    """Internal date earlier than the day."""

    date: datetime.date


@dataclass(frozen=True, slots=True)
class On:
    """Internal date on the day."""

    date: datetime.date


@dataclass(frozen=True, slots=True)
class Since:
    """Internal date on the day or later."""

    date: datetime.date


@dataclass(frozen=True, slots=True)
class SentBefore:
    """Date field earlier than the day."""

    date: datetime.date


@dataclass(frozen=True, slots=True)
class SentOn:
    """Date field on the day."""

    date: datetime.date


@dataclass(frozen=True, slots=True)
class SentSince:
    """Date field on the day or later."""

    date: datetime.date


@dataclass(frozen=True, slots=True)
class Larger:
    """More bytes than this."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class Smaller:
    """Fewer bytes than this."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class UidSet:
    """UID in the set."""

    uids: SequenceSet


@dataclass(frozen=True, slots=True)
class NumberSet:
    """Message number in the set."""

    numbers: SequenceSet


SearchKey: TypeAlias = (
    All
    | And
    | Or
    | Not
    | FlagIs
    | Keyword
    | New
    | Old
    | Recent
    | HeaderContains
    | BodyContains
    | TextContains
    | Before
    | On
    | Since
    | SentBefore
    | SentOn
    | SentSince
    | Larger
    | Smaller
    | UidSet
    | NumberSet
)


@dataclass(frozen=True, slots=True)
class Search:
    """One search.

    Attributes:
        charset: as announced, in upper case, or None.
        key: what to look for.
        return_options: of MIN, MAX, COUNT, ALL for an ESEARCH answer; None for a plain SEARCH answer.
    """

    charset: str | None
    key: SearchKey
    return_options: frozenset[str] | None


def parse_search(arguments: Arguments) -> Search:
    """Read all arguments of a SEARCH.

    Raises:
        BadCharset: the charset is neither US-ASCII nor UTF-8.
        Refusal: a key or option is unknown, or something is malformed.

    Source: RFC 3501 section 6.4.4; RFC 4731 section 3.1.
    """
    return_options: frozenset[str] | None = None
    charset: str | None = None
    if arguments.peek_keyword() == "RETURN":
        arguments.keyword()
        arguments.space()
        return_options = _parse_return_options(arguments)
        arguments.space()
    if arguments.peek_keyword() == "CHARSET":
        arguments.keyword()
        arguments.space()
        charset = arguments.astring().decode("ascii", "replace").upper()
        if charset not in CHARSETS:
            raise BadCharset("searches are read in US-ASCII and UTF-8 only")
        arguments.space()
    reader = _KeyReader(arguments)
    keys = [reader.read_key(0)]
    while arguments.skip_space() and not arguments.at_end():
        keys.append(reader.read_key(0))
    arguments.end()
    return Search(charset, keys[0] if len(keys) == 1 else And(tuple(keys)), return_options)


def _parse_return_options(arguments: Arguments) -> frozenset[str]:
    options: set[str] = set()
    arguments.open_parenthesis()
    going = not arguments.accept(b")")
    while going:
        option = arguments.keyword()
        if option not in ("MIN", "MAX", "COUNT", "ALL"):
            raise Refusal(f"{option} is not an option of SEARCH RETURN")
        options.add(option)
        going = arguments.list_goes_on()
    return frozenset(options or {"ALL"})  # RFC 4731 section 3.1: "()" means ALL


_FLAG_KEYS: dict[str, SearchKey] = {"ALL": All(), "NEW": New(), "OLD": Old(), "RECENT": Recent()}
_FLAG_KEYS.update(
    (prefix + name.upper(), FlagIs(f"\\{name}", not prefix))
    for name in ("Answered", "Deleted", "Draft", "Flagged", "Seen")
    for prefix in ("", "UN")
)
_HEADER_KEYS = frozenset({"BCC", "CC", "FROM", "SUBJECT", "TO"})
_DATE_KEYS: dict[str, Callable[[datetime.date], SearchKey]] = {
    "BEFORE": Before,
    "ON": On,
    "SINCE": Since,
    "SENTBEFORE": SentBefore,
    "SENTON": SentOn,
    "SENTSINCE": SentSince,
}


class _KeyReader:
    """Reads keys and counts them."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self._keys_left = KEY_COUNT_MAX

    def read_key(self, depth: int) -> SearchKey:
        arguments = self._arguments
        self._keys_left -= 1
        if self._keys_left < 0:
            raise Refusal(f"a search has more than {KEY_COUNT_MAX} keys")
        if depth > DEPTH_MAX:
            raise Refusal(f"a search is nested deeper than {DEPTH_MAX}")
        first = arguments.peek()
        if first == b"(":
            return self._read_parenthesised(depth)
        if first == b"*" or first.isdigit():
            return NumberSet(arguments.sequence_set())
        name = arguments.keyword()
        simple = _FLAG_KEYS.get(name)
        if simple is not None:
            return simple
        if name not in _KEYS_WITH_VALUE:
            raise Refusal(f"{name} is not a search key")
        arguments.space()
        if name == "NOT":
            return Not(self.read_key(depth + 1))
        if name == "OR":
            left = self.read_key(depth + 1)
            arguments.space()
            return Or(left, self.read_key(depth + 1))
        return self._read_value(name)

    def _read_parenthesised(self, depth: int) -> SearchKey:
        keys: list[SearchKey] = []
        self._arguments.open_parenthesis()
        while True:
            keys.append(self.read_key(depth + 1))
            if not self._arguments.list_goes_on():
                return keys[0] if len(keys) == 1 else And(tuple(keys))

    def _read_value(self, name: str) -> SearchKey:
        arguments = self._arguments
        if name in _HEADER_KEYS:
            return HeaderContains(name.lower(), self._read_text())
        if name in _DATE_KEYS:
            return _DATE_KEYS[name](arguments.date())
        match name:
            case "HEADER":
                field = self._read_text().lower()
                arguments.space()
                return HeaderContains(field, self._read_text())
            case "BODY":
                return BodyContains(self._read_text())
            case "TEXT":
                return TextContains(self._read_text())
            case "LARGER":
                return Larger(arguments.number())
            case "SMALLER":
                return Smaller(arguments.number())
            case "KEYWORD" | "UNKEYWORD":
                return Keyword(arguments.atom(), name == "KEYWORD")
            case _:
                return UidSet(arguments.sequence_set())

    def _read_text(self) -> str:
        try:
            # UTF-8 is taken without CHARSET as well: clients forget to announce it.
            return self._arguments.astring().decode("utf-8")
        except UnicodeDecodeError:
            raise BadCharset("the text of a search is not UTF-8") from None


_KEYS_WITH_VALUE = (
    _HEADER_KEYS
    | frozenset(_DATE_KEYS)
    | {"NOT", "OR", "HEADER", "BODY", "TEXT", "LARGER", "SMALLER", "KEYWORD", "UNKEYWORD", "UID"}
)
