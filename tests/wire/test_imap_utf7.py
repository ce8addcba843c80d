"""Modified UTF-7: RFC 3501 section 5.1.3."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire.imap_utf7 import decode_mailbox_name, decode_mailbox_pattern, encode_mailbox_name

NAMES = {
    "INBOX": b"INBOX",
    "Tom & Jerry": b"Tom &- Jerry",
    "~peter/mail/台北/日本語": b"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
    "Entwürfe": b"Entw&APw-rfe",
    "😀": b"&2D3eAA-",
    "tab\there": b"tab&AAk-here",
    "": b"",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_has_one_written_form_and_is_read_back(name: str) -> None:
    assert encode_mailbox_name(name) == NAMES[name]
    assert decode_mailbox_name(NAMES[name]) == name


def test_ascii_in_base64_is_read_as_what_it_means() -> None:
    assert decode_mailbox_name(b"one&AC4-two") == "one.two"


@pytest.mark.parametrize(
    "encoded", [b"a&b", b"&", b"&AC4", b"&A-", b"&2D0-", b"\xc3\xbc", b"tab\there", b"x&APw-\xff"]
)
def test_what_is_no_modified_utf7_is_refused(encoded: bytes) -> None:
    with pytest.raises(Refusal):
        decode_mailbox_name(encoded)


def test_a_lone_surrogate_is_written_as_the_replacement_character() -> None:
    assert decode_mailbox_name(encode_mailbox_name("a\ud800")) == "a\ufffd"


@settings(max_examples=150)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_name_comes_back(name: str) -> None:
    assert decode_mailbox_name(encode_mailbox_name(name)) == name


@settings(max_examples=150)
@given(st.binary(max_size=40) | st.from_regex(rb"[&a-zA-Z0-9+,-]*", fullmatch=True))
def test_any_bytes_are_read_or_refused(encoded: bytes) -> None:
    try:
        name = decode_mailbox_name(encoded)
    except Refusal:
        return
    assert decode_mailbox_name(encode_mailbox_name(name)) == name


@pytest.mark.parametrize(
    ("encoded", "pattern"),
    [
        (b"&*", "&*"),
        (b"&-*", "&*"),
        (b"a&", "a&"),
        (b"&AOk-%&x", "é%&x"),
        (b"&AGE-", "a"),
        (b"&A-", "&A-"),
    ],
)
def test_a_pattern_may_hold_an_ampersand_that_means_itself(encoded: bytes, pattern: str) -> None:
    assert decode_mailbox_pattern(encoded) == pattern


@settings(max_examples=100)
@given(st.binary(max_size=40) | st.from_regex(rb"[&a-zA-Z0-9+,-]*", fullmatch=True))
def test_any_pattern_is_read_or_refused(encoded: bytes) -> None:
    try:
        decode_mailbox_pattern(encoded)
    except Refusal:
        assert not encoded.isascii() or not encoded.decode("ascii").isprintable()
