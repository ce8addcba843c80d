"""Reading a SEARCH."""

import contextlib
import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire import imap_search as search
from holdfast.wire.imap_arguments import Arguments, SequenceSet
from holdfast.wire.imap_search import parse_search

DAY = datetime.date(2024, 2, 1)
KEYS: dict[bytes, search.SearchKey] = {
    b"ALL": search.All(),
    b"new": search.New(),
    b"OLD": search.Old(),
    b"RECENT": search.Recent(),
    b"SEEN": search.FlagIs("\\Seen", True),
    b"UNANSWERED": search.FlagIs("\\Answered", False),
    b"KEYWORD $x": search.Keyword("$x", True),
    b"UNKEYWORD $x": search.Keyword("$x", False),
    b"NOT DRAFT": search.Not(search.FlagIs("\\Draft", True)),
    b"OR DELETED (FLAGGED)": search.Or(search.FlagIs("\\Deleted", True), search.FlagIs("\\Flagged", True)),
    b"1:3,*": search.NumberSet(SequenceSet(((1, 3), (None, None)))),
    b"*": search.NumberSet(SequenceSet(((None, None),))),
    b"UID 7": search.UidSet(SequenceSet(((7, 7),))),
    b'SUBJECT "a b"': search.HeaderContains("subject", "a b"),
    b'HEADER Delivered-To ""': search.HeaderContains("delivered-to", ""),
    b"BODY \xc3\xbc": search.BodyContains("ü"),
    b"TEXT x": search.TextContains("x"),
    b"LARGER 10": search.Larger(10),
    b"SMALLER 10": search.Smaller(10),
    b"BEFORE 1-Feb-2024": search.Before(DAY),
    b"ON 1-Feb-2024": search.On(DAY),
    b"SINCE 1-Feb-2024": search.Since(DAY),
    b"SENTBEFORE 1-Feb-2024": search.SentBefore(DAY),
    b"SENTON 1-Feb-2024": search.SentOn(DAY),
    b"SENTSINCE 1-Feb-2024": search.SentSince(DAY),
    b"( TO o SEEN ) ": search.And((search.HeaderContains("to", "o"), search.FlagIs("\\Seen", True))),
    b"SEEN BODY x ": search.And((search.FlagIs("\\Seen", True), search.BodyContains("x"))),
}


@pytest.mark.parametrize("text", KEYS)
def test_keys(text: bytes) -> None:
    assert parse_search(Arguments(text)) == search.Search(None, KEYS[text], None)


def test_charset_and_return_options() -> None:
    text = b"RETURN (MIN count) CHARSET utf-8 BODY {2+}\r\n"
    found = parse_search(Arguments(text, {text.index(b"{"): b"\xc3\xbc"}))
    assert found == search.Search("UTF-8", search.BodyContains("ü"), frozenset({"MIN", "COUNT"}))
    assert parse_search(Arguments(b"RETURN () ALL")).return_options == {"ALL"}


@pytest.mark.parametrize("text", [b"CHARSET latin1 ALL", b"BODY \xff", b"CHARSET {2}\r\n ALL"])
def test_other_charsets_are_refused_by_name(text: bytes) -> None:
    with pytest.raises(search.BadCharset):
        parse_search(Arguments(text, {8: b"\xff\xff"}))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"FOO",
        b"MODSEQ 1",
        b"RETURN (SAVE) ALL",
        b"RETURN (MIN)",
        b"NOT",
        b"OR SEEN",
        b"(SEEN",
        b"()",
        b"SUBJECT",
        b"LARGER x",
        b"SENTON yesterday",
        b"NOT " * (search.DEPTH_MAX + 1) + b"ALL",
        b"(" * (search.DEPTH_MAX + 1) + b"ALL",
        b" ".join([b"ALL"] * (search.KEY_COUNT_MAX + 1)),
    ],
)
def test_what_is_no_search_is_refused(text: bytes) -> None:
    with pytest.raises(Refusal):
        parse_search(Arguments(text))


WORDS = st.sampled_from(
    [b"(", b")", b"OR", b"NOT", b"SEEN", b"BODY", b"x", b"1:*", b"UID", b"RETURN", b"CHARSET", b"HEADER"]
)


@settings(max_examples=200)
@given(st.lists(WORDS, max_size=15).map(b" ".join) | st.binary(max_size=30))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    with contextlib.suppress(Refusal):
        parse_search(Arguments(text))
