"""The cursor over the arguments of an IMAP command."""

import contextlib
import datetime
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire.imap_arguments import DEPTH_MAX, Arguments, SequenceSet

READ: list[tuple[Callable[[Arguments], object], bytes, object]] = [
    (Arguments.atom, b"FooBar", "FooBar"),
    (Arguments.keyword, b"FooBar", "FOOBAR"),
    (Arguments.astring, b"a]b", b"a]b"),
    (Arguments.astring, b"\xc3\xbc", b"\xc3\xbc"),
    (Arguments.astring, b'"a \\"b\\" \\\\"', b'a "b" \\'),
    (Arguments.string, b'""', b""),
    (Arguments.nstring, b"nil", None),
    (Arguments.nstring, b'"nil"', b"nil"),
    (Arguments.mailbox, b"iNbOx", "INBOX"),
    (Arguments.mailbox, b'"Entw&APw-rfe"', "Entwürfe"),
    (Arguments.mailbox, b'"Entw\xc3\xbcrfe"', "Entwürfe"),
    (Arguments.list_mailbox, b"a/%*", "a/%*"),
    (Arguments.list_mailbox, b'"a b*"', "a b*"),
    (Arguments.number, b"4294967295", 4294967295),
    (Arguments.flag, b"\\sEEN", "\\Seen"),
    (Arguments.flag_list, b"(\\seen $Label \\Seen)", ("\\Seen", "$Label")),
    (Arguments.flag_list, b"()", ()),
    (Arguments.flag_list, b"(  \\Draft  )", ("\\Draft",)),
    (Arguments.date, b"1-Feb-2024", datetime.date(2024, 2, 1)),
    (Arguments.date, b'"29-feb-2024"', datetime.date(2024, 2, 29)),
    (Arguments.date_time, b'"17-Jul-1996 02:44:25 -0700"', 837596665.0),
    (Arguments.date_time, b'" 9-Apr-2008 15:17:51 +0200"', 1207747071.0),
    (Arguments.date_time, b'"31-Dec-2016 23:59:60 +0000"', 1483228799.0),
]
REFUSED: list[tuple[Callable[[Arguments], object], bytes]] = [
    (Arguments.atom, b""),
    (Arguments.atom, b"(x"),
    (Arguments.string, b'"open'),
    (Arguments.string, b'"a\\b"'),
    (Arguments.string, b"{3}\r\n"),
    (Arguments.nstring, b"other"),
    (Arguments.mailbox, b"a&b"),
    (Arguments.mailbox, b"\xff"),
    (Arguments.mailbox, b'"\xc2\x85"'),
    (Arguments.mailbox, b"a&AAk-"),
    (Arguments.list_mailbox, b"("),
    (Arguments.number, b"4294967296"),
    (Arguments.number, b"x"),
    (Arguments.sequence_set, b"0"),
    (Arguments.sequence_set, b"4294967296"),
    (Arguments.sequence_set, b"99999999999999999999"),
    (Arguments.sequence_set, b"$"),
    (Arguments.flag, b"\\Unknown"),
    (Arguments.flag_list, b"(\\Seen"),
    (Arguments.flag_list, b'(a"b")'),
    (Arguments.date, b"30-Feb-2024"),
    (Arguments.date, b"1-Foo-2024"),
    (Arguments.date, b'"1-Feb-2024'),
    (Arguments.date, b"tomorrow"),
    (Arguments.date_time, b'"17-Foo-1996 02:44:25 -0700"'),
    (Arguments.date_time, b'"17-Jul-1996 24:44:25 -0700"'),
    (Arguments.date_time, b'"17-Jul-1996 02:44:61 -0700"'),
    (Arguments.date_time, b'"17-Jul-1996 02:44:25 -0760"'),
    (Arguments.space, b""),
    (Arguments.space, b"x"),
    (Arguments.end, b"  x"),
    (lambda arguments: arguments.expect(b")"), b"x"),
]


@pytest.mark.parametrize(("method", "text", "value"), READ)
def test_words_are_read(method: Callable[[Arguments], object], text: bytes, value: object) -> None:
    arguments = Arguments(text + b"  ")
    assert method(arguments) == value
    arguments.end()


@pytest.mark.parametrize(("method", "text"), REFUSED)
def test_malformed_words_are_refused(method: Callable[[Arguments], object], text: bytes) -> None:
    with pytest.raises(Refusal):
        method(Arguments(text))


def test_literals_are_found_by_where_they_were_announced() -> None:
    text = b"{3}\r\n {0+}\r\n x"
    arguments = Arguments(text, {0: b"a\r\n", 6: b""})
    assert arguments.astring() == b"a\r\n"
    arguments.space()
    assert arguments.literal_or_string() == b""
    arguments.space()
    assert arguments.peek() == b"x"
    assert arguments.peek_keyword() == "X"
    assert arguments.atom() == "x"
    assert arguments.at_end()
    assert arguments.peek_keyword() == ""


def test_parentheses_are_bounded() -> None:
    arguments = Arguments(b"(" * 100)
    for _ in range(DEPTH_MAX):
        arguments.open_parenthesis()
    with pytest.raises(Refusal):
        arguments.open_parenthesis()


def test_sequence_sets_are_merged_and_know_the_highest() -> None:
    numbers = Arguments(b"7:5,1,2,*,6:9").sequence_set()
    assert numbers.resolve(20) == [(1, 2), (5, 9), (20, 20)]
    assert numbers.resolve(0) == [(1, 2), (5, 9)]
    assert numbers.uids([1, 3, 6, 11, 30]) == [1, 6, 30]
    assert numbers.uids([]) == []
    assert numbers.numbers(6) == [1, 2, 5, 6]
    assert numbers.beyond(8)
    assert not numbers.beyond(9)
    assert SequenceSet(((30, None),)).uids([1, 20]) == [20]  # RFC 3501: "*" is the highest, so 20:30


@settings(max_examples=200)
@given(
    st.binary(max_size=30) | st.from_regex(rb'[ -~]{0,12}|"[ -~]*"|[0-9:,*]{1,12}', fullmatch=True),
    st.sampled_from([method for method, _, _ in READ] + [Arguments.sequence_set]),
)
def test_any_bytes_are_read_or_refused(text: bytes, method: Callable[[Arguments], object]) -> None:
    arguments = Arguments(text)
    with contextlib.suppress(Refusal):
        method(arguments)
        arguments.end()
