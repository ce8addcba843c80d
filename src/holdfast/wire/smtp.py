"""Read SMTP commands and write SMTP replies.

Nothing is decided here: a command line becomes a tuple, or a ``Refusal`` that
carries the reply code. Lines are parsed by hand on bytes, since this is the
measured receive path; most commands cost one slice and one dictionary look-up.

Source: RFC 5321 sections 4.1, 4.2 and 4.5.3; RFC 3030 section 2; RFC 4954; RFC 6531; RFC 3463.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from holdfast.kernel.address import Address, parse_address
from holdfast.kernel.errors import Refusal
from holdfast.wire.smtp_parameters import (
    NO_MAIL_PARAMETERS,
    NO_RCPT_PARAMETERS,
    MailParameters,
    RcptParameters,
    parse_mail_parameters,
    parse_rcpt_parameters,
)

COMMAND_BYTES_MAX = 512  # RFC 5321 section 4.5.3.1.4, CRLF included
# MAIL and RCPT grow with the extensions that add parameters (RFC 5321 section
# 4.5.3.1.4): to at most 1700 with SIZE, BODY, AUTH, SMTPUTF8 and those of
# delivery reports. Twice that lets what is too long be refused as such, not as a line.
PATH_COMMAND_BYTES_MAX = 4096
# More digits than any size has; a chunk is counted, not stored, before its size is judged.
_CHUNK_BYTES_DIGITS_MAX = 18
AUTH_BYTES_MAX = 12_288  # RFC 4954 section 4
TEXT_LINE_BYTES_MAX = 1000  # RFC 5321 section 4.5.3.1.6: no line of SMTP is longer

REPLY_TEXT_BYTES_MAX = 500  # RFC 5321 section 4.5.3.1.5: 512 with code, status and CRLF

# A browser or a proxy probe that found a mail port (a way to make a browser
# send mail): nothing that it says is SMTP.
HTTP_VERBS = frozenset(
    (b"GET", b"POST", b"PUT", b"HEAD", b"CONNECT", b"OPTIONS", b"DELETE", b"TRACE", b"PATCH", b"PRI")
)

# One path in angle brackets; a source route in front is matched and dropped
# (RFC 5321 section 4.1.1.3 and appendix C). Possessive, hence linear.
_PATH = re.compile(rb'<(?:@[^:<>" ,]++(?:,@[^:<>" ,]++)*+:)?((?:"(?:[^"\\]|\\.)*+"|[^"<>])*+)>')
_HELO_NAME = re.compile(rb"[!-~]{1,255}")
_BDAT = re.compile(rb"[ \t]*([0-9]+)(?:[ \t]+([Ll][Aa][Ss][Tt]))?[ \t]*")
_NOT_PRINTABLE = re.compile(r"[^ -~]")


class MailFrom(NamedTuple):
    """A MAIL command.

    Attributes:
        reverse_path: as given, without brackets and source route; empty for the null sender.
        address: the same, checked; None for the null sender.
        parameters: what was said beyond it.
    """

    reverse_path: str
    address: Address | None
    parameters: MailParameters = NO_MAIL_PARAMETERS


class RcptTo(NamedTuple):
    """A RCPT command; ``address`` is None for ``<Postmaster>`` without a domain."""

    forward_path: str
    address: Address | None
    parameters: RcptParameters = NO_RCPT_PARAMETERS


class Bdat(NamedTuple):
    """A BDAT command: so many bytes follow it, and they are the last of the message or not."""

    chunk_bytes: int
    last: bool


def refusal_of_long_line(verb: bytes, line_bytes: int) -> Refusal | None:
    """Judge a command line of more than 512 bytes, by its verb in upper case and its length with CRLF.

    Returns:
        None when the command may be so long; 500 for a slip; 554 when no
        client of SMTP sends such a line, and the session should end.

    Source: RFC 5321 section 4.5.3.1.4 and 4.5.3.1.6.
    """
    if verb == b"AUTH" or (verb in (b"MAIL", b"RCPT") and line_bytes <= PATH_COMMAND_BYTES_MAX):
        return None
    code = 500 if line_bytes <= TEXT_LINE_BYTES_MAX else 554
    return Refusal("line is too long", code=code, status="5.5.2")


def parse_helo(argument: bytes) -> str:
    """Read the name in HELO or EHLO; whatever follows a space is dropped.

    Raises:
        Refusal: 501 when there is none or it is not printable ASCII.

    Source: RFC 5321 section 4.1.1.1. Names that are no domain are let pass, as
    section 4.1.4 asks; what is written into a header is cleaned there.
    """
    words = argument.split(None, 1)
    if not words or not _HELO_NAME.fullmatch(words[0]):
        raise Refusal("give your host name or address literal", code=501, status="5.5.4")
    return words[0].decode("ascii")


def parse_bdat(argument: bytes) -> Bdat:
    """Read what follows BDAT.

    Raises:
        Refusal: 501 when it is not a size, or is no size of anything. What
            follows the command can then not be told from commands.

    Source: RFC 3030 section 2.
    """
    match = _BDAT.fullmatch(argument)
    if match is None or len(match[1]) > _CHUNK_BYTES_DIGITS_MAX:
        raise Refusal("write BDAT size [LAST]", code=501, status="5.5.4")
    return Bdat(int(match[1]), match[2] is not None)


def parse_mail_from(line: bytes) -> MailFrom:
    """Read a MAIL command.

    Args:
        line: one command without its CRLF.

    Raises:
        Refusal: 500 when it is not MAIL FROM:<…> at all, 501 when the path or
            a parameter is malformed, 555 for an unknown parameter, 553 for an
            address outside ASCII without SMTPUTF8.

    Source: RFC 5321 section 4.1.1.2; RFC 6531 section 3.
    """
    return _parse_mail_from(line) if len(line) < COMMAND_BYTES_MAX else _read_mail_from(line)


def _read_mail_from(line: bytes) -> MailFrom:
    path, rest = _split_path(line, b"FROM:")
    parameters = parse_mail_parameters(rest) if rest else NO_MAIL_PARAMETERS
    if not path:
        return MailFrom("", None, parameters)
    try:
        text = _decode_path(path, "5.1.7", smtputf8=parameters.smtputf8)
        return MailFrom(text, parse_address(text), parameters)
    except Refusal as refusal:
        status = {"5.1.3": "5.1.7", "5.1.2": "5.1.8"}.get(refusal.status, refusal.status)
        raise Refusal(f"sender {refusal.text}", code=refusal.code, status=status) from None


# The same few senders and recipients come again and again, each 7 µs; what is refused is not kept.
_parse_mail_from = lru_cache(maxsize=4096)(_read_mail_from)


def parse_rcpt_to(line: bytes, *, smtputf8: bool = False) -> RcptTo:
    """Read a RCPT command.

    Args:
        line: one command without its CRLF.
        smtputf8: whether MAIL said SMTPUTF8.

    Raises:
        Refusal: 500 when it is not RCPT TO:<…> at all, 501 when the path or a
            parameter is malformed, 555 for an unknown parameter, 550 or 553
            for an address outside ASCII that is invalid or came without SMTPUTF8.

    Source: RFC 5321 section 4.1.1.3; RFC 6531 section 3.
    """
    return (_parse_rcpt_to if len(line) < COMMAND_BYTES_MAX else _read_rcpt_to)(line, smtputf8)


def _read_rcpt_to(line: bytes, smtputf8: bool) -> RcptTo:
    path, rest = _split_path(line, b"TO:")
    parameters = parse_rcpt_parameters(rest, smtputf8=smtputf8) if rest else NO_RCPT_PARAMETERS
    if not path:
        raise Refusal("recipient is empty", code=501, status="5.1.3")
    if path.lower() == b"postmaster":
        return RcptTo(path.decode("ascii"), None, parameters)
    text = _decode_path(path, "5.1.3", smtputf8=smtputf8)
    return RcptTo(text, parse_address(text), parameters)


_parse_rcpt_to = lru_cache(maxsize=4096)(_read_rcpt_to)


def _split_path(line: bytes, word: bytes) -> tuple[bytes, bytes]:
    """Split ``MAIL FROM:<path> parameters`` into path and parameters."""
    rest = line[4:].lstrip(b" \t")
    if rest[: len(word)].upper() != word:
        raise Refusal(f"write {word.decode('ascii')}<address>", code=500, status="5.5.2")
    # A space before the bracket and a path without brackets are wrong and
    # common (RFC 5321 section 4.1.1.2 warns of the first); both are clear.
    rest = rest[len(word) :].strip(b" \t")
    if not rest:
        raise Refusal("address is missing", code=500, status="5.5.2")
    if rest[:1] != b"<":
        path, _, parameters = rest.partition(b" ")
        return path, parameters.strip(b" \t")
    match = _PATH.match(rest)
    if match is None:
        raise Refusal("path is malformed", code=501, status="5.5.4")
    parameters = rest[match.end() :]
    if parameters and parameters[:1] not in (b" ", b"\t"):
        raise Refusal("path is malformed", code=501, status="5.5.4")
    return match[1], parameters.strip(b" \t")


def _decode_path(path: bytes, status: str, *, smtputf8: bool) -> str:
    if path.isascii():
        return path.decode("ascii")
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal("address is not UTF-8", code=501, status=status) from None
    # A character that is only a compatible form of another one is not allowed
    # in any mailbox name (RFC 8264 section 9.17), SMTPUTF8 or not.
    if unicodedata.normalize("NFKC", text) != unicodedata.normalize("NFC", text):
        raise Refusal("address is invalid", code=550, status=status)
    if not smtputf8:  # RFC 6531 section 3.5
        raise Refusal("address is not ASCII; say SMTPUTF8 with MAIL", code=553, status="5.6.7")
    return text


def format_reply(code: int, status: str, text: str) -> bytes:
    """Write a reply of one or more lines.

    Args:
        code: three digits.
        status: enhanced status code, repeated on every line; empty for none.
        text: its lines separated by newlines; what is not printable ASCII
            becomes a question mark, so no text can end a line of ours.

    Source: RFC 5321 section 4.2; RFC 2034 section 4.
    """
    lines = [_NOT_PRINTABLE.sub("?", line)[:REPLY_TEXT_BYTES_MAX] for line in text.split("\n")]
    prefix = f"{status} " if status else ""
    last = len(lines) - 1
    return "".join(
        f"{code}{' ' if number == last else '-'}{prefix}{line}\r\n" for number, line in enumerate(lines)
    ).encode("ascii")
