"""Decoding bodies for a search."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.wire.mime_text import decode_body, decode_charset

BODIES = [
    (b"plain", b"7bit", b"", "plain"),
    (b"gr\xc3\xbcn", b"8bit", b"us-ascii", "grün"),
    (b"gr\xfcn", b"8bit", b"", "grün"),
    (b"gr=FCn=\r\n!", b"quoted-printable", b"iso-8859-1", "grün!"),
    (b"Z3L8\r\nbg==", b"base64", b"latin1", "grün"),
    (b"Z3L8b!", b"base64", b"iso-8859-1", "grü"),
    (b"YQ", b"base64", b"utf-8", "a"),
    (b"caf\xe9", b"binary", b"no-such-charset", "café"),
    (b"ab", b"7bit", b"punycode", "ab"),
    (b"ab", b"7bit", b"zlib", "ab"),
    (b"ab", b"7bit", b"\0\xff", "ab"),
    (b"\x81", b"8bit", b"", "\ufffd"),
]


@pytest.mark.parametrize(("body", "encoding", "charset", "text"), BODIES)
def test_bodies_are_decoded_as_well_as_can_be(
    body: bytes, encoding: bytes, charset: bytes, text: str
) -> None:
    assert decode_body(body, encoding, charset) == text


@settings(max_examples=100)
@given(
    st.binary(max_size=60),
    st.sampled_from([b"base64", b"quoted-printable", b"x"]),
    st.sampled_from([b"utf-7", b"utf-16", b"gb18030", b"iso-2022-jp", b"hz", b"euc-kr", b""])
    | st.binary(max_size=10),
)
def test_nothing_raises(body: bytes, encoding: bytes, charset: bytes) -> None:
    assert isinstance(decode_body(body, encoding, charset), str)
    assert isinstance(decode_charset(body, charset), str)


def test_python_escapes_are_no_charset() -> None:
    # Found by a property test: the codec's name is written with a hyphen, and it warns.
    assert decode_charset(rb"\8", b"unicode_escape") == r"\8"
    assert decode_charset(rb"\8", b"raw-unicode-escape") == r"\8"
