"""The text of a message, for searching: decoded, joined, bounded.

Nothing here raises: what cannot be decoded is read as it stands, because a
search that fails finds less than one that guesses.

Source: RFC 2045 section 6; RFC 3501 section 6.4.4.
"""

from __future__ import annotations

import binascii
import codecs
import re

from holdfast.wire.mime import MimePart

TEXT_BYTES_MAX = 16 << 20  # of one part; the rest is not searched

_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_CHARSET_NAME = re.compile(r"[A-Za-z0-9._:+-]{1,40}")
# Codecs of Python that are no charsets of mail; punycode takes quadratic time.
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
)


def decoded_text(raw: bytes, part: MimePart) -> str:
    """Return the body of a part that is not a multipart as text; never raises.

    A multipart has no text of its own: the empty string.
    """
    if part.children:
        return ""
    body = raw[part.body_start : min(part.body_end, part.body_start + TEXT_BYTES_MAX)]
    charset = next((value for name, value in part.content_type[2] if name == b"charset"), b"")
    return decode_charset(_decode_transfer(body, part.encoding), charset)


def searchable_text(raw: bytes, root: MimePart) -> list[str]:
    """Return the texts that SEARCH BODY looks at: text parts, and headers of messages in the message."""
    texts: list[str] = []
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if part.message is not None:
            header = raw[part.message.header_start : part.message.header_end]
            texts.append(decode_charset(header, b""))
            waiting.append(part.message)
        elif part.children:
            waiting.extend(reversed(part.children))
        elif part.content_type[0] in (b"text", b"message"):
            texts.append(decoded_text(raw, part))
    return texts


def contains(texts: list[str], wanted: str) -> bool:
    """Whether one of the texts has the wanted text in it, whatever the case of its letters."""
    folded = wanted.casefold()
    return any(folded in text.casefold() for text in texts)


def decode_charset(text: bytes, charset: bytes) -> str:
    """Decode bytes of a charset; unknown ones are tried as UTF-8 and then read as windows-1252."""
    name = charset.decode("ascii", "replace").lower()
    if name and name not in ("us-ascii", "utf-8", "utf8") and _CHARSET_NAME.fullmatch(name):
        try:
            codec = codecs.lookup(name).name
            if codec not in _NO_CHARSETS:
                return text.decode(codec, "replace")
        except (LookupError, UnicodeError, ValueError):
            pass
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")


def _decode_transfer(body: bytes, encoding: bytes) -> bytes:
    if encoding == b"quoted-printable":
        return binascii.a2b_qp(body)
    if encoding == b"base64":
        text = _NOT_BASE64.sub(b"", body)
        text = text[: len(text) - (len(text) % 4 == 1)]  # a single digit at the end carries no byte
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    return body
