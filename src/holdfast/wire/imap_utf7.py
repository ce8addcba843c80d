"""Mailbox names as IMAP carries them: modified UTF-7, both ways.

Printable ASCII stands for itself, ``&`` is ``&-``, and everything else is
UTF-16 in base64 between ``&`` and ``-``. What is written has exactly one form;
other spellings (ASCII in base64, say) are read as the name that they mean.

Source: RFC 3501 section 5.1.3; RFC 2152.
"""

from __future__ import annotations

import binascii
import re

from holdfast.kernel.errors import Refusal

_ENCODED = re.compile(r"[^ -~]+|&")
_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)-")


def encode_mailbox_name(name: str) -> bytes:
    """Write a mailbox name in modified UTF-7; lone surrogates become U+FFFD, which UTF-16 can carry."""

    def shift(match: re.Match[str]) -> str:
        text = match[0]
        if text == "&":
            return "&-"
        utf16 = text.encode("utf-16-be", "replace") if _is_clean(text) else _replaced(text)
        base64 = binascii.b2a_base64(utf16, newline=False).rstrip(b"=").replace(b"/", b",")
        return f"&{base64.decode('ascii')}-"

    return _ENCODED.sub(shift, name).encode("ascii")


def decode_mailbox_name(encoded: bytes) -> str:
    """Read a mailbox name in modified UTF-7.

    Raises:
        Refusal: the name holds bytes outside printable ASCII, an ``&`` that
            starts no base64, or base64 of something else than UTF-16.
    """
    if b"&" not in encoded and encoded.isascii() and encoded.decode("ascii").isprintable():
        return encoded.decode("ascii")
    pieces: list[str] = []
    position = 0
    while position < len(encoded):
        start = encoded.find(b"&", position)
        if start == -1:
            start = len(encoded)
        pieces.append(_plain(encoded[position:start]))
        if start == len(encoded):
            break
        match = _SHIFTED.match(encoded, start)
        if match is None:
            raise Refusal('mailbox name has "&" without modified UTF-7 behind it; write "&-" for "&"')
        pieces.append(_decode_shifted(match[1]))
        position = match.end()
    return "".join(pieces)


def decode_mailbox_pattern(encoded: bytes) -> str:
    """Read a pattern of mailbox names; an ``&`` that starts no modified UTF-7 is the character itself.

    A pattern is asked, not kept: ``&*`` is what clients send that look for names with an ``&``.

    Raises:
        Refusal: the pattern holds bytes outside printable ASCII.
    """
    pieces: list[str] = []
    position = 0
    for match in _SHIFTED.finditer(encoded):
        pieces.append(_plain(encoded[position : match.start()]))
        try:
            pieces.append(_decode_shifted(match[1]))
        except Refusal:
            pieces.append(_plain(match[0]))
        position = match.end()
    pieces.append(_plain(encoded[position:]))
    return "".join(pieces)


def _decode_shifted(base64: bytes) -> str:
    if not base64:
        return "&"
    try:
        utf16 = binascii.a2b_base64(base64.replace(b",", b"/") + b"=" * (-len(base64) % 4))
        return utf16.decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        raise Refusal("mailbox name holds malformed modified UTF-7") from None


def _plain(piece: bytes) -> str:
    text = piece.decode("latin-1")
    if not (text.isascii() and text.isprintable()):
        raise Refusal("mailbox name holds a byte that is neither printable ASCII nor modified UTF-7")
    return text


def _is_clean(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _replaced(text: str) -> bytes:
    return re.sub("[\ud800-\udfff]", "\ufffd", text).encode("utf-16-be")
