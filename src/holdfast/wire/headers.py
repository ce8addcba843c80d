"""Read the header block of a message, and write the trace fields that we put on top.

The block is searched as a whole, never split into objects per line: a message
of 5 KB costs some 10 µs. What a caller asks for by name is unfolded then.

Source: RFC 5322 sections 2.2 and 3.6; RFC 5321 section 4.4; RFC 2047 for encoded words.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

from holdfast.kernel.errors import Refusal
from holdfast.wire.envelope import decode_header_text

VALUE_CHARACTERS_MAX = 2000  # of one field read by name; more is cut off
_VALUE_BYTES_MAX = 4 * VALUE_CHARACTERS_MAX  # before unfolding and decoding

# Every field is a name, a colon, and a line with its continuations. Possessive
# throughout, hence linear; lines end in CRLF, so looking for LF is enough.
_FIELDS = re.compile(rb"(?:[!-9;-~]++[ \t]*+:[^\n]*+\n(?:[ \t][^\n]*+\n)*+)*+")
_FIRST_FIELD = re.compile(rb"[!-9;-~]++[ \t]*+:")
_RECEIVED_FIELD = re.compile(rb"\nreceived[ \t]*+:((?:[^\n]++\n[ \t])*+[^\n]*+)")
_BY = re.compile(rb"(?<![^ \t\r\n()])by[ \t\r\n]++([^ \t\r\n;()]++)")
_SPACED_RECEIVED = re.compile(rb"\r\nreceived[ \t]+:")
_FOLD = re.compile(r"\r?\n[ \t]+")
_CONTROL = re.compile("[\x00-\x1f\x7f]+")
_NOT_IN_COMMENT = re.compile(r"[^A-Za-z0-9._ -]")
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9._:\[\]-]")


class HeaderBlock:
    """The header fields of one message.

    Attributes:
        raw: all fields, with the CRLF of the last one; empty when there are none.
        received_count: how many Received fields it has.
    """

    __slots__ = ("_lowered", "raw", "received_count")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        # A line end in front makes every field, also the first, begin with CRLF.
        lowered = b"\r\n" + raw.lower()
        self._lowered = lowered
        self.received_count = lowered.count(b"\r\nreceived:") + len(_SPACED_RECEIVED.findall(lowered))

    def first(self, name: bytes) -> str:
        """Return the value of the first field of a name, unfolded and bounded; empty when absent.

        The name is given in lower case. Bytes outside UTF-8 become U+FFFD, control characters a space.
        """
        at = self._lowered.find(b"\r\n" + name + b":")
        if at < 0:
            match = _spaced_field(name).search(self._lowered)
            if match is None:
                return ""
            start = match.end() - 2
        else:
            start = at + len(name) + 1
        end = self.raw.find(b"\r\n", start)
        while end >= 0 and self.raw[end + 2 : end + 3] in (b" ", b"\t") and end - start < _VALUE_BYTES_MAX:
            end = self.raw.find(b"\r\n", end + 2)
        value = self.raw[start : end if end >= 0 else len(self.raw)][:_VALUE_BYTES_MAX]
        text = value.decode("utf-8", "replace")
        if text.isprintable():  # nearly always; the rest costs 3 µs
            return text.strip()[:VALUE_CHARACTERS_MAX]
        text = _FOLD.sub(" ", text)
        return _CONTROL.sub(" ", text).strip()[:VALUE_CHARACTERS_MAX]

    def holds(self, text: bytes) -> bool:
        """Whether the fields hold a text, given in lower case; every field begins with CRLF here."""
        return text in self._lowered

    def received_by_count(self, names: frozenset[str]) -> int:
        """How many Received fields say that one of these hosts wrote them (names in lower case).

        Source: RFC 5321 section 4.4.
        """
        count = 0
        for field in _RECEIVED_FIELD.findall(self._lowered):
            count += any(name.decode("latin-1") in names for name in _BY.findall(field))
        return count

    @property
    def message_id(self) -> str:
        """The Message-ID as written, with its angle brackets; empty when absent."""
        return self.first(b"message-id")

    @property
    def subject(self) -> str:
        """The Subject, unfolded, encoded words still encoded (see ``decode_words``)."""
        return self.first(b"subject")


@lru_cache(maxsize=64)
def _spaced_field(name: bytes) -> re.Pattern[bytes]:
    """A field with spaces between name and colon, as old programs write it."""
    return re.compile(b"\r\n" + re.escape(name) + rb"[ \t]+:")


def read_header_block(message: bytes) -> HeaderBlock | None:
    """Find and check the header fields of a message whose lines end in CRLF.

    Returns:
        The fields; None when the message does not begin with a field at all,
        and so is nothing but a body.

    Raises:
        Refusal: 554 5.6.0 when it begins with a field but some later line up
            to the first empty one is neither a field nor the continuation of one.
    """
    if not message or message.startswith(b"\r\n"):
        return HeaderBlock(b"")
    if not _FIRST_FIELD.match(message):
        return None
    end = message.find(b"\r\n\r\n")
    raw = message[: end + 2] if end >= 0 else message
    if not _FIELDS.fullmatch(raw):
        raise Refusal("message header has a line that is not a field", code=554, status="5.6.0")
    return HeaderBlock(raw)


def decode_words(value: str) -> str:
    """Decode the encoded words of an unfolded value; what cannot be decoded stays as it is.

    Source: RFC 2047.
    """
    if "=?" not in value:
        return value
    text = decode_header_text(value[:VALUE_CHARACTERS_MAX].encode("utf-8", "surrogateescape"))
    return _CONTROL.sub(" ", text)


def format_date(at: float) -> str:
    """Write an instant (seconds since the epoch) in UTC, for example ``Fri, 21 Nov 1997 15:55:06 +0000``.

    Source: RFC 5322 section 3.3.
    """
    return _format_second(int(at // 1))


@lru_cache(maxsize=64)  # one message in a thousand is the first of its second
def _format_second(second: int) -> str:
    moment = datetime.datetime.fromtimestamp(second, datetime.UTC)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[3 * moment.month - 3 : 3 * moment.month]
    return f"{day}, {moment.day} {month} {moment.year:04} {moment:%H:%M:%S} +0000"


@dataclass(slots=True)
class Trace:
    """What a Received field says.

    Attributes:
        helo: the name that the client gave.
        client_address: its IP address as text.
        by: our name.
        protocol: the ``with`` keyword (RFC 3848).
        message_id: our id of the message (network message id).
        recipient: the recipient when there is only one, else empty: with
            several it would show one recipient to another.
        tls: version and cipher suite in words; empty for none.
    """

    helo: str
    client_address: str
    by: str
    protocol: str
    message_id: str
    recipient: str = ""
    tls: str = ""


def received_header(trace: Trace, at: float) -> bytes:
    """Write the Received field of a message that came at an instant, folded, with its CRLF.

    Source: RFC 5321 section 4.4.
    """
    recipient = f"\r\n for <{trace.recipient}>" if trace.recipient else ""
    tls = f" ({_NOT_IN_COMMENT.sub('?', trace.tls)})\r\n" if trace.tls else ""
    return (
        f"Received: from {_client_words(trace.helo, trace.client_address)}\r\n{tls}"
        f" by {trace.by} with {trace.protocol} id {trace.message_id}{recipient};\r\n"
        f" {format_date(at)}\r\n"
    ).encode("utf-8", "replace")


@lru_cache(maxsize=1024)  # most messages come from few hosts, and reading an address takes 5 µs
def _client_words(helo: str, address: str) -> str:
    # The client chose this name; it must not be able to write comments or lines.
    return f"{_NOT_IN_NAME.sub('?', helo) or 'unknown'} ({_address_literal(address)})"


def _address_literal(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "[unknown]"
    return f"[IPv6:{parsed}]" if parsed.version == 6 else f"[{parsed}]"


def return_path_header(reverse_path: str) -> bytes:
    """Write the Return-Path field of final delivery (RFC 5321 section 4.4); empty: the null sender."""
    return f"Return-Path: <{_CONTROL.sub(' ', reverse_path)}>\r\n".encode()


def delivered_to_header(address: str) -> bytes:
    """Write the Delivered-To field (RFC 9228): to whom this copy was delivered."""
    return f"Delivered-To: {_CONTROL.sub(' ', address)}\r\n".encode()
