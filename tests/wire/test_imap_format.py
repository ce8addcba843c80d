"""What an IMAP server writes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.wire.imap_arguments import Arguments
from holdfast.wire.imap_format import (
    format_astring,
    format_flags,
    format_internal_date,
    format_mailbox,
    format_uid_set,
    imap_string,
)

STRINGS = {
    None: b"NIL",
    b"": b'""',
    b"plain": b'"plain"',
    b'say "hi" \\o/': b'"say \\"hi\\" \\\\o/"',
    b"two\r\nlines": b"{10}\r\ntwo\r\nlines",
    b"nul\0": b"{4}\r\nnul\0",
    b"\xc3\xbc": b"{2}\r\n\xc3\xbc",
    b"x" * 1001: b"{1001}\r\n" + b"x" * 1001,
}


@pytest.mark.parametrize("value", STRINGS)
def test_a_string_is_quoted_where_quotes_can_carry_it(value: bytes | None) -> None:
    assert imap_string(value) == STRINGS[value]


def test_an_astring_is_an_atom_where_that_is_possible() -> None:
    assert format_astring(b"From") == b"From"
    assert format_astring(b"nil") == b'"nil"'
    assert format_astring(b"two words") == b'"two words"'


def test_a_mailbox_name_is_quoted_modified_utf7() -> None:
    assert format_mailbox("Entwürfe & mehr") == b'"Entw&APw-rfe &- mehr"'


def test_internal_dates_are_written_in_utc_and_stay_in_four_digits_of_year() -> None:
    assert format_internal_date(837596665.9) == b'"17-Jul-1996 09:44:25 +0000"'
    assert format_internal_date(-5.0) == b'"01-Jan-1970 00:00:00 +0000"'
    assert format_internal_date(1e15) == b'"31-Dec-9999 23:59:59 +0000"'


def test_flags_stand_in_parentheses() -> None:
    assert format_flags(["\\Seen", "$Forwarded"]) == b"(\\Seen $Forwarded)"
    assert format_flags([]) == b"()"


def test_uid_sets_join_neighbours_and_keep_the_order() -> None:
    assert format_uid_set([]) == b""
    assert format_uid_set([4, 7, 8, 9, 3, 2, 1]) == b"4,7:9,3,2,1"


@settings(max_examples=100)
@given(st.lists(st.integers(1, 60), unique=True).map(sorted))
def test_a_written_uid_set_is_read_back(uids: list[int]) -> None:
    if uids:
        assert Arguments(format_uid_set(uids)).sequence_set().uids(list(range(1, 61))) == uids


@settings(max_examples=100)
@given(st.binary(max_size=60))
def test_a_written_string_is_read_back(value: bytes) -> None:
    written = imap_string(value)
    literals = {0: value} if written.startswith(b"{") else {}
    assert Arguments(written, literals).string() == value


@settings(max_examples=50)
@given(st.integers(0, 253402300799))
def test_a_written_date_is_read_back(instant: int) -> None:
    assert Arguments(format_internal_date(float(instant))).date_time() == instant
