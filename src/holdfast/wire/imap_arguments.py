"""The arguments of an IMAP command: a cursor that reads one word after another.

Every method reads from where the last one stopped and raises ``Refusal`` with
a text for the client when something else stands there. More than one space is
read as one, and spaces at the end are passed over: clients send both.

Source: RFC 3501 section 9 (formal syntax); RFC 7888 for literals.
"""

from __future__ import annotations

import calendar
import datetime
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdfast.kernel.errors import Refusal
from holdfast.wire.imap_utf7 import decode_mailbox_name, decode_mailbox_pattern

DEPTH_MAX = 32  # of parentheses; clients use three at most
NUMBER_MAX = 0xFFFFFFFF  # RFC 3501 section 9: number is unsigned and 32 bits wide

_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")
_ASTRING_ATOM = re.compile(rb"[^\x00-\x20\x7f(){%*\"\\]+")  # ATOM-CHAR or "]", 8-bit as UTF-8 (RFC 6855)
_LIST_ATOM = re.compile(rb"[^\x00-\x20\x7f(){\"\\]+")  # also the wildcards "%" and "*"
_QUOTED = re.compile(rb'"((?:[^"\\\x00\r\n]|\\["\\])*)"')
_QUOTED_PAIR = re.compile(rb"\\(.)")
_LITERAL = re.compile(rb"\{([0-9]{1,10})\+?\}\r?\n")
_NUMBER = re.compile(rb"[0-9]{1,10}")
_SEQUENCE_SET = re.compile(rb"(?:\*|[0-9]+)(?::(?:\*|[0-9]+))?(?:,(?:\*|[0-9]+)(?::(?:\*|[0-9]+))?)*")
_FLAG = re.compile(rb"\\?[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")
_DATE = re.compile(rb"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})")
_DATE_TIME = re.compile(
    rb'"( ?[0-9]|[0-9]{2})-([A-Za-z]{3})-([0-9]{4}) '
    rb'([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"'
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_MONTHS = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
_SYSTEM_FLAGS = {
    name.lower(): name for name in ("\\Answered", "\\Deleted", "\\Draft", "\\Flagged", "\\Recent", "\\Seen")
}


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """A set of message numbers or UIDs as the client wrote it; None stands for ``*``, the highest one."""

    ranges: tuple[tuple[int | None, int | None], ...]

    def resolve(self, maximum: int) -> list[tuple[int, int]]:
        """Return ascending ranges that neither touch nor overlap, with ``*`` taken as ``maximum``.

        A ``maximum`` of 0 says that there is nothing: every range with ``*`` is empty.
        """
        pairs: list[tuple[int, int]] = []
        for first, last in self.ranges:
            if maximum == 0 and (first is None or last is None):
                continue
            low = maximum if first is None else first
            high = maximum if last is None else last
            pairs.append((low, high) if low <= high else (high, low))
        pairs.sort()
        merged: list[tuple[int, int]] = []
        for low, high in pairs:
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        return merged

    def uids(self, existing: list[int]) -> list[int]:
        """Return those of the ascending UIDs that are in the set, ascending."""
        chosen: list[int] = []
        for low, high in self.resolve(existing[-1] if existing else 0):
            chosen += existing[bisect_left(existing, low) : bisect_right(existing, high)]
        return chosen

    def numbers(self, count: int) -> list[int]:
        """Return the message numbers from 1 to ``count`` that are in the set, ascending."""
        chosen: list[int] = []
        for low, high in self.resolve(count):
            chosen += range(low, min(high, count) + 1)
        return chosen

    def beyond(self, count: int) -> bool:
        """Whether the set names a message number above ``count``, which RFC 3501 calls an error."""
        return any(number is not None and number > count for pair in self.ranges for number in pair)


class Arguments:
    """A cursor over the arguments of one command; starts at the first one.

    Args:
        text: the command without its final line end; where a literal was
            announced, the announcement and its line end stay in the text.
        literals: the content of each literal, by the position of its ``{``.
        start: where the first argument begins.
    """

    __slots__ = ("_depth", "_literals", "_position", "_text")

    def __init__(self, text: bytes, literals: Mapping[int, bytes] | None = None, start: int = 0) -> None:
        self._text = text
        self._literals = literals or {}
        self._position = start
        self._depth = 0

    # --- punctuation ---

    def peek(self) -> bytes:
        """Return the next byte without passing it, empty at the end."""
        return self._text[self._position : self._position + 1]

    def at_end(self) -> bool:
        """Whether nothing but spaces is left."""
        return not self._text[self._position :].strip(b" ")

    def end(self) -> None:
        """Demand that the command ends here."""
        if not self.at_end():
            raise Refusal("there is something behind the last argument")

    def space(self) -> None:
        """Pass at least one space."""
        if not self.skip_space():
            raise Refusal("an argument is missing" if self.at_end() else "a space is missing")

    def skip_space(self) -> bool:
        """Pass spaces if there are any, and say whether there were."""
        start = self._position
        while self._text[self._position : self._position + 1] == b" ":
            self._position += 1
        return self._position > start

    def accept(self, token: bytes) -> bool:
        """Pass ``token`` if it stands here (letters in any case), and say whether it did."""
        end = self._position + len(token)
        if self._text[self._position : end].upper() != token.upper():
            return False
        self._position = end
        return True

    def expect(self, token: bytes) -> None:
        """Pass ``token``, which must stand here."""
        if not self.accept(token):
            raise Refusal(f'"{token.decode("ascii")}" is missing')

    def open_parenthesis(self) -> None:
        """Pass ``(`` and the spaces behind it."""
        self.expect(b"(")
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise Refusal(f"parentheses are nested deeper than {DEPTH_MAX}")
        self.skip_space()

    def close_parenthesis(self) -> None:
        """Pass ``)``."""
        self.expect(b")")
        self._depth -= 1

    def list_goes_on(self) -> bool:
        """Inside parentheses: pass the space before the next element (True) or the ``)`` (False)."""
        spaced = self.skip_space()
        if self.peek() == b")":
            self.close_parenthesis()
            return False
        if not spaced:
            raise Refusal('")" is missing' if self.at_end() else "a space is missing")
        return True

    # --- words ---

    def atom(self) -> str:
        """Read an atom, as the client wrote it."""
        return self._match(_ATOM, "an atom")[0].decode("ascii")

    def keyword(self) -> str:
        """Read an atom and return it in upper case."""
        return self.atom().upper()

    def peek_keyword(self) -> str:
        """Return the atom that stands here in upper case without passing it, empty when there is none."""
        match = _ATOM.match(self._text, self._position)
        return match[0].decode("ascii").upper() if match else ""

    def astring(self) -> bytes:
        """Read an atom, a quoted string or a literal."""
        if self.peek() in (b'"', b"{"):
            return self.string()
        return self._match(_ASTRING_ATOM, "a string")[0]

    def string(self) -> bytes:
        """Read a quoted string or a literal."""
        if self.peek() == b"{":
            return self._literal()
        match = self._match(_QUOTED, "a quoted string or a literal")
        return _QUOTED_PAIR.sub(rb"\1", match[1]) if b"\\" in match[1] else match[1]

    def nstring(self) -> bytes | None:
        """Read a quoted string, a literal or NIL."""
        if self.peek() in (b'"', b"{"):
            return self.string()
        if self.keyword() != "NIL":
            raise Refusal("a quoted string, a literal or NIL is missing")
        return None

    def literal_or_string(self) -> bytes:
        """Read the message of an APPEND: by the standard a literal; a quoted string is taken too."""
        return self.string()

    def mailbox(self) -> str:
        """Read a mailbox name; INBOX in any case is returned as ``INBOX``."""
        name = _mailbox_name(self.astring())
        return "INBOX" if name.upper() == "INBOX" else name

    def list_mailbox(self) -> str:
        """Read a pattern of mailbox names, in which ``%`` and ``*`` are wildcards."""
        if self.peek() in (b'"', b"{"):
            return _mailbox_name(self.string(), decode_mailbox_pattern)
        return _mailbox_name(self._match(_LIST_ATOM, "a mailbox pattern")[0], decode_mailbox_pattern)

    def number(self) -> int:
        """Read a number of 32 bits."""
        value = int(self._match(_NUMBER, "a number")[0])
        if value > NUMBER_MAX:
            raise Refusal(f"{value} is larger than {NUMBER_MAX}")
        return value

    def sequence_set(self) -> SequenceSet:
        """Read a set of message numbers or UIDs such as ``1:4,7,9:*``."""
        text = self._match(_SEQUENCE_SET, "a set of message numbers")[0]
        ranges: list[tuple[int | None, int | None]] = []
        for piece in text.split(b","):
            first, _, last = piece.partition(b":")
            low = _set_number(first)
            ranges.append((low, _set_number(last) if last else low))
        return SequenceSet(tuple(ranges))

    def flag(self) -> str:
        r"""Read a flag; system flags are returned with their usual capitals (``\Seen``)."""
        text = self._match(_FLAG, "a flag")[0].decode("ascii")
        if not text.startswith("\\"):
            return text
        flag = _SYSTEM_FLAGS.get(text.lower())
        if flag is None:
            raise Refusal(f"{text} is not a system flag; keywords are written without a backslash")
        return flag

    def flag_list(self) -> tuple[str, ...]:
        """Read flags in parentheses, each returned once, in the order given."""
        flags: dict[str, None] = {}
        self.open_parenthesis()
        if self.accept(b")"):
            self._depth -= 1
            return ()
        while True:
            flags[self.flag()] = None
            if not self.list_goes_on():
                return tuple(flags)

    def date(self) -> datetime.date:
        """Read a date such as ``1-Feb-2024``, with or without quotes."""
        quoted = self.accept(b'"')
        day, month, year = self._match(_DATE, "a date such as 1-Feb-2024").groups()
        if quoted:
            self.expect(b'"')
        try:
            return datetime.date(int(year), _month(month), int(day))
        except ValueError:
            raise Refusal("that day does not exist") from None

    def date_time(self) -> float:
        """Read a date and time such as ``"17-Jul-1996 02:44:25 -0700"``; seconds since 1970 in UTC."""
        match = self._match(_DATE_TIME, 'a date such as "17-Jul-1996 02:44:25 -0700"')
        day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
        try:
            moment = datetime.datetime(  # a second of 60 is a leap second
                int(year), _month(month), int(day), int(hour), int(minute), min(int(second), 59)
            )
        except ValueError:
            raise Refusal("that date or time does not exist") from None
        if int(second) > 60 or int(zone_minutes) > 59:
            raise Refusal("that date or time does not exist")
        offset_s = (int(zone_hours) * 60 + int(zone_minutes)) * 60
        return calendar.timegm(moment.timetuple()) - (offset_s if sign == b"+" else -offset_s) + 0.0

    def take(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Pass what ``pattern`` matches here, or nothing when it does not match."""
        match = pattern.match(self._text, self._position)
        if match is not None:
            self._position = match.end()
        return match

    def _literal(self) -> bytes:
        start = self._position
        content = self._literals.get(start)
        if content is None:
            raise Refusal("a literal is malformed")
        self._match(_LITERAL, "a literal")
        return content

    def _match(self, pattern: re.Pattern[bytes], wanted: str) -> re.Match[bytes]:
        match = pattern.match(self._text, self._position)
        if match is None:
            raise Refusal(f"{wanted} is missing" if self.at_end() else f"{wanted} should stand here")
        self._position = match.end()
        return match


def _mailbox_name(text: bytes, decode: Callable[[bytes], str] = decode_mailbox_name) -> str:
    if text.isascii():
        name = decode(text)
    else:
        try:
            name = text.decode("utf-8")  # RFC 9051 and RFC 6855 clients write names in plain UTF-8
        except UnicodeDecodeError:
            raise Refusal("mailbox name is neither modified UTF-7 nor UTF-8") from None
    if _CONTROL.search(name):
        raise Refusal("mailbox name holds a control character")
    return name


def _set_number(text: bytes) -> int | None:
    if text == b"*":
        return None
    value = int(text) if len(text) <= 10 else NUMBER_MAX + 1
    if not 1 <= value <= NUMBER_MAX:
        raise Refusal(f"message numbers lie between 1 and {NUMBER_MAX}")
    return value


def _month(name: bytes) -> int:
    """Return 1 to 12, or 0, which no calendar knows, for a name that is no month's."""
    lowered = name.lower()
    return _MONTHS.index(lowered) + 1 if lowered in _MONTHS else 0
