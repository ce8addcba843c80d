"""What an IMAP server writes: strings, names, dates, flags and sets.

Source: RFC 3501 section 9 (formal syntax); RFC 4315 section 4 for UID sets.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable

from holdfast.wire.imap_utf7 import encode_mailbox_name

QUOTED_BYTES_MAX = 1000  # a longer string goes out as a literal, which a client reads without scanning

_NOT_QUOTABLE = re.compile(rb"[\x00\r\n\x80-\xff]")
_QUOTE = re.compile(rb'(["\\])')
_PLAIN_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH = datetime.datetime(1970, 1, 1)
_MOMENT_MAX = 253402300799  # 31-Dec-9999 23:59:59, the last moment that four digits of year can write


def imap_string(value: bytes | None) -> bytes:
    """Write a string for a response: NIL, quoted, or a literal when quotes cannot carry it."""
    if value is None:
        return b"NIL"
    if len(value) > QUOTED_BYTES_MAX or _NOT_QUOTABLE.search(value):
        return format_literal(value)
    if b'"' in value or b"\\" in value:
        value = _QUOTE.sub(rb"\\\1", value)
    return b'"%b"' % value


def format_literal(value: bytes) -> bytes:
    """Write a literal; NUL, which RFC 3501 keeps out of literals, is left for the client to judge."""
    return b"{%d}\r\n%b" % (len(value), value)


def format_astring(value: bytes) -> bytes:
    """Write an atom where that is possible, else what ``imap_string`` writes."""
    if _PLAIN_ATOM.fullmatch(value) and value.upper() != b"NIL":
        return value
    return imap_string(value)


def format_mailbox(name: str) -> bytes:
    """Write a mailbox name in modified UTF-7, quoted always, as most servers do."""
    return imap_string(encode_mailbox_name(name))


def format_internal_date(instant: float) -> bytes:
    """Write an instant (seconds since 1970, UTC) as ``"17-Jul-1996 09:44:25 +0000"``, with its quotes."""
    moment = _EPOCH + datetime.timedelta(seconds=min(max(int(instant), 0), _MOMENT_MAX))
    month = _MONTHS[moment.month - 1]
    text = f'"{moment.day:02d}-{month}-{moment.year:04d} {moment:%H:%M:%S} +0000"'
    return text.encode("ascii")


def format_flags(flags: Iterable[str]) -> bytes:
    r"""Write flags in parentheses, for example ``(\Seen $Forwarded)``."""
    return f"({' '.join(flags)})".encode("ascii")


def format_uid_set(uids: list[int]) -> bytes:
    """Write UIDs in the order given, runs of neighbours as ranges: ``4,7:9``. Empty for no UIDs.

    The order is kept because COPYUID pairs two sets element by element.

    Source: RFC 4315 section 4.
    """
    pieces: list[str] = []
    index = 0
    while index < len(uids):
        start = index
        while index + 1 < len(uids) and uids[index + 1] == uids[index] + 1:
            index += 1
        first, last = uids[start], uids[index]
        pieces.append(str(first) if first == last else f"{first}:{last}")
        index += 1
    return ",".join(pieces).encode("ascii")
