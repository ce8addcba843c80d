"""The text of a body, for searching: decoded and bounded.

Nothing here raises: what cannot be decoded is read as it stands, because a
search that fails finds less than one that guesses.

Source: RFC 2045 section 6.
"""

from __future__ import annotations

import binascii
import codecs
import re

TEXT_BYTES_MAX = 16 << 20  # of one part; the rest is not searched

_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_CHARSET_NAME = re.compile(r"[A-Za-z0-9._:+-]{1,40}")
# Codecs of Python that are no charsets of mail; punycode takes quadratic time.
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
)


def decode_body(body: bytes, encoding: bytes, charset: bytes) -> str:
    """Undo a Content-Transfer-Encoding (in lower case) and a charset; never raises."""
    return decode_charset(_decode_transfer(body[:TEXT_BYTES_MAX], encoding), charset)


def decode_charset(text: bytes, charset: bytes) -> str:
    """Decode bytes of a charset; unknown ones are tried as UTF-8 and then read as windows-1252."""
    name = charset.decode("ascii", "replace").lower()
    if name and name not in ("us-ascii", "utf-8", "utf8") and _CHARSET_NAME.fullmatch(name):
        try:
            codec = codecs.lookup(name).name
            if codec.replace("-", "_") not in _NO_CHARSETS:
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
