"""Read SMTP commands and write SMTP replies.

Nothing is decided here: a command line becomes a tuple, or a ``Refusal`` that
carries the reply code. Lines are parsed by hand on bytes, since this is the
measured receive path; most commands cost one slice and one dictionary look-up.

Source: RFC 5321 sections 4.1, 4.2 and 4.5.3; RFC 1870; RFC 6152; RFC 4954; RFC 3463.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from holdfast.kernel.address import Address, parse_address
from holdfast.kernel.errors import Refusal

COMMAND_BYTES_MAX = 512  # RFC 5321 section 4.5.3.1.4, CRLF included
# MAIL and RCPT grow with the extensions that add parameters (RFC 5321 section
# 4.5.3.1.4; RFC 1870 adds 26, RFC 6152 17, RFC 4954 500). Twice their sum lets
# an address that is too long be refused as such, not as a line.
PATH_COMMAND_BYTES_MAX = 2048
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
_PATH = re.compile(rb'<(?:@[^:<>" ]*+:)?((?:"(?:[^"\\]|\\.)*+"|[^"<>])*+)>')
_KEYWORD = re.compile(rb"[A-Za-z0-9][A-Za-z0-9-]*")
_VALUE = re.compile(rb"[!-<>-~]+")
_HELO_NAME = re.compile(rb"[!-~]{1,255}")
_DIGITS = re.compile(rb"[0-9]{1,20}")
_NOT_PRINTABLE = re.compile(r"[^ -~]")


class MailFrom(NamedTuple):
    """A MAIL command.

    Attributes:
        reverse_path: as given, without brackets and source route; empty for the null sender.
        address: the same, checked; None for the null sender.
        size_bytes: the announced size; None when SIZE was not given.
        auth_given: whether AUTH= was given (RFC 4954 section 5); its value is not used.
    """

    reverse_path: str
    address: Address | None
    size_bytes: int | None
    auth_given: bool


class RcptTo(NamedTuple):
    """A RCPT command; ``address`` is None for ``<Postmaster>`` without a domain."""

    forward_path: str
    address: Address | None


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


def parse_mail_from(line: bytes) -> MailFrom:
    """Read a MAIL command.

    Args:
        line: one command without its CRLF.

    Returns:
        The announced sender; ``size_bytes`` is None when SIZE was not given.

    Raises:
        Refusal: 500 when it is not MAIL FROM:<…> at all, 501 when the path or
            a parameter is malformed, 555 for an unknown parameter, 553 for an
            address outside ASCII.

    Source: RFC 5321 section 4.1.1.2; RFC 1870 section 4 for SIZE.
    """
    path, rest = _split_path(line, b"FROM:")
    size_bytes, auth_given = _mail_parameters(rest) if rest else (None, False)
    if not path:
        return MailFrom("", None, size_bytes, auth_given)
    try:
        text = _decode_path(path, "5.1.7")
        return MailFrom(text, parse_address(text), size_bytes, auth_given)
    except Refusal as refusal:
        status = {"5.1.3": "5.1.7", "5.1.2": "5.1.8"}.get(refusal.status, refusal.status)
        raise Refusal(f"sender {refusal.text}", code=refusal.code, status=status) from None


def parse_rcpt_to(line: bytes) -> RcptTo:
    """Read a RCPT command.

    Args:
        line: one command without its CRLF.

    Raises:
        Refusal: 500 when it is not RCPT TO:<…> at all, 501 when the path is
            malformed, 555 for any parameter, 550 or 553 outside ASCII.

    Source: RFC 5321 section 4.1.1.3.
    """
    path, rest = _split_path(line, b"TO:")
    if rest:
        _parse_parameters(rest)
        raise Refusal("parameter not known", code=555, status="5.5.4")
    if not path:
        raise Refusal("recipient is empty", code=501, status="5.1.3")
    if path.lower() == b"postmaster":
        return RcptTo(path.decode("ascii"), None)
    text = _decode_path(path, "5.1.3")
    return RcptTo(text, parse_address(text))


def _mail_parameters(text: bytes) -> tuple[int | None, bool]:
    if text[:5].upper() == b"SIZE=" and text[5:].isdigit() and len(text) <= 25:
        return int(text[5:]), False  # the usual case, three times as fast
    size_bytes: int | None = None
    auth_given = False
    for keyword, value in _parse_parameters(text).items():
        if keyword == b"SIZE" and _DIGITS.fullmatch(value):
            size_bytes = int(value)
        elif keyword == b"BODY" and value.upper() in (b"7BIT", b"8BITMIME"):
            continue  # we are 8-bit clean and keep what comes (RFC 6152)
        elif keyword == b"AUTH" and value:
            auth_given = True
        elif keyword in (b"SIZE", b"BODY", b"AUTH"):
            raise Refusal("malformed parameter", code=501, status="5.5.4")
        else:
            raise Refusal("parameter not known", code=555, status="5.5.4")
    return size_bytes, auth_given


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


def _parse_parameters(text: bytes) -> dict[bytes, bytes]:
    parameters: dict[bytes, bytes] = {}
    for word in text.split():
        keyword, equals, value = word.partition(b"=")
        if not _KEYWORD.fullmatch(keyword) or (equals and not _VALUE.fullmatch(value)):
            raise Refusal("malformed parameter", code=501, status="5.5.4")
        if keyword.upper() in parameters:
            raise Refusal("parameter given twice", code=501, status="5.5.4")
        parameters[keyword.upper()] = value
    return parameters


def _decode_path(path: bytes, status: str) -> str:
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
    # RFC 6531 section 3.5: we do not offer SMTPUTF8.
    raise Refusal("address needs SMTPUTF8, which is not offered", code=553, status="5.6.7")


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
