"""Header fields as IMAP shows them: ENVELOPE, address lists, dates, decoded text.

Addresses are read as they are found in the wild: obsolete routes, comments,
groups without an end, no domain. Whatever stands there comes out as something;
nothing is refused.

Source: RFC 3501 sections 7.4.2 and 9 (envelope); RFC 5322 sections 3.4 and 4.4;
RFC 2047.
"""

from __future__ import annotations

import binascii
import datetime
import re
from typing import NamedTuple

from holdfast.wire.imap_format import imap_string
from holdfast.wire.mime import strip_comments, unfold
from holdfast.wire.mime_text import decode_charset

__all__ = [
    "MailboxAddress",
    "address_list",
    "decode_header_text",
    "envelope",
    "header_values",
    "imap_string",
    "sent_date",
]

ADDRESS_FIELD_BYTES_MAX = 1 << 20  # the rest of a longer field is not read
ADDRESS_COUNT_MAX = 10_000

_TOKEN = re.compile(
    rb'[ \t\r\n]+|"(?P<quoted>(?:[^"\\]|\\.)*)"?|(?P<special>[<>:;,@(])|(?P<word>[^ \t\r\n"<>:;,@(]+)',
    re.DOTALL,
)
_IN_COMMENT = re.compile(rb"\\.|[()]", re.DOTALL)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_ENCODED_WORD = re.compile(rb"=\?([A-Za-z0-9._:+-]{1,40})(?:\*[A-Za-z0-9-]*)?\?([bBqQ])\?([^?\s]*)\?=")
_Q_ESCAPE = re.compile(rb"=([0-9A-Fa-f]{2})")
_DAY = re.compile(
    rb"(?<![0-9:])([0-9]{1,2})[ \t-]{1,9}([A-Za-z]{3})[A-Za-z]{0,6}[ \t-]{1,9}([0-9]{2,4})(?![0-9:])"
)
_MONTHS = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")


class MailboxAddress(NamedTuple):
    """One element of an address list; a plain tuple: dozens are made per message.

    A group begins with only ``mailbox`` (its name) set and ends with nothing
    set, as RFC 3501 section 7.4.2 wants it. ``host`` is empty, not None, for an
    address without a domain.
    """

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None


_GROUP_END = MailboxAddress(None, None, None, None)


def envelope(header: bytes) -> bytes:
    """Write the ENVELOPE of a message from its header.

    Sender and Reply-To are From's when they are missing or empty; encoded
    words stay as they are.

    Source: RFC 3501 section 7.4.2.
    """
    lowered = b"\n" + header.lower()
    sender = _addresses(header, lowered, b"from")
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        _text(header, lowered, b"date"),
        _text(header, lowered, b"subject"),
        sender,
        _addresses(header, lowered, b"sender", sender),
        _addresses(header, lowered, b"reply-to", sender),
        _addresses(header, lowered, b"to"),
        _addresses(header, lowered, b"cc"),
        _addresses(header, lowered, b"bcc"),
        _text(header, lowered, b"in-reply-to"),
        _text(header, lowered, b"message-id"),
    )


def header_values(header: bytes, name: bytes) -> list[bytes]:
    """Return the values of all fields of that name, unfolded, in the order of the header."""
    return _values(header, b"\n" + header.lower(), name.lower())


def _values(header: bytes, lowered: bytes, name: bytes) -> list[bytes]:
    """As ``header_values``; ``lowered`` is a line feed and the header in lower case."""
    values: list[bytes] = []
    needle = b"\n" + name
    found = lowered.find(needle)
    while found != -1:
        position = found + len(needle)
        while lowered[position : position + 1] in (b" ", b"\t"):  # RFC 5322 section 4.5: obsolete syntax
            position += 1
        if lowered[position : position + 1] == b":":
            end = position
            while True:
                end = lowered.find(b"\n", end)
                if end == -1 or lowered[end + 1 : end + 2] not in (b" ", b"\t"):
                    break
                end += 1
            values.append(unfold(header[position : end if end != -1 else len(header)]))
        found = lowered.find(needle, position)
    return values


def _text(header: bytes, lowered: bytes, name: bytes) -> bytes:
    values = _values(header, lowered, name)
    return imap_string(values[0]) if values else b"NIL"


def _addresses(header: bytes, lowered: bytes, name: bytes, default: bytes = b"NIL") -> bytes:
    values = _values(header, lowered, name)
    addresses = address_list(b",".join(values)) if values else []
    if not addresses:
        return default
    return b"(%b)" % b"".join(
        b"(%b %b %b %b)"
        % (
            imap_string(address.name),
            imap_string(address.route),
            imap_string(address.mailbox),
            imap_string(address.host),
        )
        for address in addresses
    )


def address_list(value: bytes) -> list[MailboxAddress]:
    """Read the value of an address field.

    Source: RFC 5322 sections 3.4 and 4.4; RFC 3501 section 7.4.2 for the form.
    """
    return _AddressReader(value[:ADDRESS_FIELD_BYTES_MAX]).read()


class _AddressReader:
    """Reads one address field from left to right."""

    def __init__(self, value: bytes) -> None:
        self._value = value
        self._found: list[MailboxAddress] = []
        self._in_group = False
        self._start_address()

    def read(self) -> list[MailboxAddress]:
        value = self._value
        position = 0
        while position < len(value) and len(self._found) < ADDRESS_COUNT_MAX:
            match = _TOKEN.match(value, position)
            assert match is not None, "every byte begins a token"
            position = match.end()
            if match["word"] is not None:
                self._add(match["word"])
            elif match["quoted"] is not None:
                quoted = match["quoted"]
                self._add(_QUOTED_PAIR.sub(rb"\1", quoted) if b"\\" in quoted else quoted)
            elif match["special"] is None:
                self._spaced = True
            elif match["special"] == b"(":
                position = self._read_comment(position)
            else:
                self._special(match["special"])
        self._end_address()
        self._end_group()
        return self._found

    def _start_address(self) -> None:
        self._phrase: list[bytes] = []
        self._angle: list[bytes] | None = None  # what stands between < and >
        self._in_angle = False
        self._at = -1  # index of the last "@" among the words outside <>
        self._comment = b""
        self._spaced = False
        self._seen = False

    def _add(self, word: bytes) -> None:
        self._seen = True
        if self._in_angle:
            assert self._angle is not None
            self._angle.append(word)
            return
        if self._spaced and self._phrase:
            self._phrase.append(b" ")
        self._spaced = False
        self._phrase.append(word)

    def _special(self, special: bytes) -> None:
        if self._in_angle:
            self._special_in_angle(special)
        elif special == b"<":
            self._seen = True
            self._angle = []
            self._in_angle = True
        elif special == b",":
            self._end_address()
        elif special == b";":
            self._end_address()
            self._end_group()
        elif special == b":" and not self._in_group and self._at == -1 and self._angle is None:
            name = b"".join(self._phrase)
            self._start_address()
            self._in_group = True
            self._found.append(MailboxAddress(None, None, name, None))
        else:
            self._add(special)
            if special == b"@":
                self._at = len(self._phrase) - 1

    def _special_in_angle(self, special: bytes) -> None:
        assert self._angle is not None
        if special == b">":
            self._in_angle = False
            self._spaced = True
        elif special in b",;" and self._angle[:1] != [b"@"]:  # a route has commas, a forgotten ">" has none
            self._in_angle = False
            self._special(special)
        else:
            self._angle.append(special)

    def _read_comment(self, position: int) -> int:
        """Read a comment whose ``(`` was passed; return where it ends."""
        start = position
        depth = 1
        while depth:
            match = _IN_COMMENT.search(self._value, position)
            if match is None:
                position = len(self._value) + 1
                break
            position = match.end()
            depth += {b"(": 1, b")": -1}.get(match[0], 0)
        self._comment = _QUOTED_PAIR.sub(rb"\1", self._value[start : position - 1]).strip()
        self._spaced = True
        return position

    def _end_address(self) -> None:
        if not self._seen:
            self._start_address()
            return
        route: bytes | None = None
        name: bytes | None
        if self._angle is not None:
            name = b"".join(self._phrase) or self._comment or None
            words = self._angle
            if words[:1] == [b"@"] and b":" in words:
                colon = words.index(b":")
                route = b"".join(words[:colon])
                words = words[colon + 1 :]
        else:
            name = self._comment or None
            words = self._phrase
        at = max((index for index, word in enumerate(words) if word == b"@"), default=-1)
        if at == -1:
            mailbox, host = b"".join(words), b""
        else:
            mailbox = b"".join(word for word in words[:at] if word != b" ")
            host = b"".join(word for word in words[at + 1 :] if word != b" ")
        self._found.append(MailboxAddress(name, route, mailbox, host))
        self._start_address()

    def _end_group(self) -> None:
        if self._in_group:
            self._in_group = False
            self._found.append(_GROUP_END)


def decode_header_text(value: bytes) -> str:
    """Return a field's value with its encoded words decoded; never raises.

    Words of one charset that stand side by side are joined before they are
    decoded: many senders cut characters in two.

    Source: RFC 2047 sections 4 and 6.2.
    """
    pieces: list[str] = []
    pending = b""
    pending_charset = b""
    position = 0
    for match in _ENCODED_WORD.finditer(value):
        between = value[position : match.start()]
        charset = match[1].lower()
        follows = pending_charset and not between.strip(b" \t\r\n")
        if not follows or charset != pending_charset:
            if pending_charset:
                pieces.append(decode_charset(pending, pending_charset))
            pending = b""
            if not follows:
                pieces.append(decode_charset(between, b""))
        pending += _decode_word(match[2], match[3])
        pending_charset = charset
        position = match.end()
    if pending_charset:
        pieces.append(decode_charset(pending, pending_charset))
    pieces.append(decode_charset(value[position:], b""))
    return "".join(pieces)


def _decode_word(encoding: bytes, text: bytes) -> bytes:
    if encoding in b"bB":
        text = text.rstrip(b"=")
        try:
            return binascii.a2b_base64(text + b"=" * (-len(text) % 4))
        except binascii.Error:
            return text
    return _Q_ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode("ascii")), text.replace(b"_", b" "))


def sent_date(header: bytes) -> datetime.date | None:
    """Return the day of the Date field, as written there, whatever its time zone; None when unreadable.

    Source: RFC 3501 section 6.4.4 (SENTON …); RFC 5322 sections 3.3 and 4.3.
    """
    values = header_values(header, b"date")
    return parse_date(values[0]) if values else None


def parse_date(value: bytes) -> datetime.date | None:
    """Return the day in the value of a Date field, or None."""
    match = _DAY.search(strip_comments(value[:1000]))
    if match is None or match[2].lower() not in _MONTHS:
        return None
    year = int(match[3])
    if len(match[3]) < 4:  # RFC 5322 section 4.3
        year += 2000 if len(match[3]) == 2 and year < 50 else 1900
    try:
        return datetime.date(year, _MONTHS.index(match[2].lower()) + 1, int(match[1]))
    except ValueError:
        return None
