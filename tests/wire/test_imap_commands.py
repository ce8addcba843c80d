"""The arguments of IMAP commands that are lists."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire.imap_arguments import Arguments
from holdfast.wire.imap_commands import (
    FETCH_ITEM_COUNT_MAX,
    PATTERN_COUNT_MAX,
    AppendCommand,
    FetchItem,
    ListCommand,
    StoreCommand,
    parse_append,
    parse_fetch,
    parse_list,
    parse_status_items,
    parse_store,
)
from holdfast.wire.mime import Section


def test_fetch_macros_stand_for_lists() -> None:
    assert [item.name for item in parse_fetch(Arguments(b"full"))] == [
        "FLAGS",
        "INTERNALDATE",
        "RFC822.SIZE",
        "ENVELOPE",
        "BODY",
    ]
    assert [item.name for item in parse_fetch(Arguments(b"(FAST)"))] == [
        "FLAGS",
        "INTERNALDATE",
        "RFC822.SIZE",
    ]


SECTIONS = {
    b"BODY[]": (Section((), ""), None, False, b"BODY[]"),
    b"BODY.PEEK[]<0.10>": (Section((), ""), (0, 10), True, b"BODY[]<0>"),
    b"body[text]": (Section((), "TEXT"), None, False, b"BODY[TEXT]"),
    b"BODY[4.2.1]": (Section((4, 2, 1), ""), None, False, b"BODY[4.2.1]"),
    b"BODY[4.2.mime]<17.0>": (Section((4, 2), "MIME"), (17, 0), False, b"BODY[4.2.MIME]<17>"),
    b"BODY[1.HEADER]": (Section((1,), "HEADER"), None, False, b"BODY[1.HEADER]"),
    b'BODY.PEEK[HEADER.FIELDS (From "X-List")]': (
        Section((), "HEADER.FIELDS", (b"From", b"X-List")),
        None,
        True,
        b"BODY[HEADER.FIELDS (From X-List)]",
    ),
    b"BODY[3.HEADER.FIELDS.NOT (to)]": (
        Section((3,), "HEADER.FIELDS.NOT", (b"to",)),
        None,
        False,
        b"BODY[3.HEADER.FIELDS.NOT (to)]",
    ),
}


@pytest.mark.parametrize("text", SECTIONS)
def test_sections_are_read_and_named_in_the_answer(text: bytes) -> None:
    section, partial, peek, label = SECTIONS[text]
    assert parse_fetch(Arguments(text)) == (FetchItem("BODY[]", section, partial, peek, label),)


def test_the_old_names_are_sections_too() -> None:
    rfc822, header, text = parse_fetch(Arguments(b"(RFC822 RFC822.HEADER RFC822.TEXT)"))
    assert (rfc822.section, rfc822.peek, rfc822.label) == (Section((), ""), False, b"RFC822")
    assert (header.section, header.peek) == (Section((), "HEADER"), True)
    assert (text.section, text.peek) == (Section((), "TEXT"), False)


def test_a_fetch_list_may_be_empty_and_names_each_thing_once() -> None:
    assert parse_fetch(Arguments(b"()")) == ()
    assert len(parse_fetch(Arguments(b"(FLAGS UID flags BODY[] BODY[])"))) == 3


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"MODSEQ",
        b"EMAILID",
        b"BODY.PEEK",
        b"BODY[",
        b"BODY[MIME]",
        b"BODY[1.]",
        b"BODY[0]",
        b"BODY[1.0]",
        b"BODY[1.FOO]",
        b"BODY[.TEXT]",
        b"BODY[HEADER.FIELDS]",
        b"BODY[HEADER.FIELDS ()]",
        b'BODY[HEADER.FIELDS ("a b")]',
        b"BODY[TEXT]<1>",
        b"(FLAGS",
        b"FLAGS UID",
        b"(FLAGS) (CHANGEDSINCE 1)",
        b"(" + b" ".join(b"BODY[%d]" % number for number in range(1, FETCH_ITEM_COUNT_MAX + 2)) + b")",
    ],
)
def test_what_cannot_be_fetched_is_refused(text: bytes) -> None:
    with pytest.raises(Refusal):
        parse_fetch(Arguments(text))


STORES = {
    b"FLAGS (\\Deleted)": StoreCommand("REPLACE", ("\\Deleted",), silent=False),
    b"+flags.silent (\\SEEN $x)": StoreCommand("ADD", ("\\Seen", "$x"), silent=True),
    b"-FLAGS \\Seen \\Draft \\Seen ": StoreCommand("REMOVE", ("\\Seen", "\\Draft"), silent=False),
    b"FLAGS ()": StoreCommand("REPLACE", (), silent=False),
}


@pytest.mark.parametrize("text", STORES)
def test_store(text: bytes) -> None:
    assert parse_store(Arguments(text)) == STORES[text]


@pytest.mark.parametrize(
    "text", [b"FLAGS", b"LABELS (x)", b"+FLAGS (\\Recent)", b"(UNCHANGEDSINCE 1) FLAGS ()"]
)
def test_a_store_that_cannot_be_done_is_refused(text: bytes) -> None:
    with pytest.raises(Refusal):
        parse_store(Arguments(text))


def test_status_items() -> None:
    assert parse_status_items(Arguments(b"(  MESSAGES unseen )")) == ("MESSAGES", "UNSEEN")
    for text in (b"(MAILBOXID)", b"MESSAGES", b"()"):
        with pytest.raises(Refusal):
            parse_status_items(Arguments(text))


def test_append_with_and_without_flags_and_date() -> None:
    assert parse_append(Arguments(b"inbox {3+}\r\n", {6: b"abc"})) == AppendCommand("INBOX", (), None, b"abc")
    text = b'Sent (\\seen \\Recent) "17-Jul-1996 02:44:25 -0700" {3}\r\n'
    command = AppendCommand("Sent", ("\\Seen",), 837596665.0, b"abc")
    assert parse_append(Arguments(text, {text.index(b"{"): b"abc"})) == command
    with pytest.raises(Refusal):
        parse_append(Arguments(b"inbox x"))


NOTHING: frozenset[str] = frozenset()
LISTS = {
    b'"" *': ListCommand("", ("*",), NOTHING, NOTHING, (), extended=False),
    b'"" "%"    ': ListCommand("", ("%",), NOTHING, NOTHING, (), extended=False),
    b'(SPECIAL-USE SUBSCRIBED) "" *': ListCommand(
        "", ("*",), frozenset({"SPECIAL-USE", "SUBSCRIBED"}), NOTHING, (), extended=True
    ),
    b'() "x" (a b*) RETURN (CHILDREN status (MESSAGES UNSEEN) SUBSCRIBED)': ListCommand(
        "x",
        ("a", "b*"),
        NOTHING,
        frozenset({"CHILDREN", "STATUS", "SUBSCRIBED"}),
        ("MESSAGES", "UNSEEN"),
        extended=True,
    ),
    b'"" * RETURN ()': ListCommand("", ("*",), NOTHING, NOTHING, (), extended=True),
}


@pytest.mark.parametrize("text", LISTS)
def test_list(text: bytes) -> None:
    assert parse_list(Arguments(text)) == LISTS[text]


@pytest.mark.parametrize(
    "text",
    [
        b'""',
        b'(FOO) "" *',
        b'(RECURSIVEMATCH) "" *',
        b'"" * RETURN (MYRIGHTS)',
        b'"" * RETURN',
        b'"" * FOO',
        b'"" (' + b" ".join([b"a"] * (PATTERN_COUNT_MAX + 1)) + b")",
    ],
)
def test_a_list_with_what_we_do_not_know_is_refused(text: bytes) -> None:
    with pytest.raises(Refusal):
        parse_list(Arguments(text))


WORDS = st.sampled_from(
    [
        b"(",
        b")",
        b" ",
        b"BODY[",
        b"]",
        b"1.2",
        b"HEADER.FIELDS",
        b"FLAGS",
        b'""',
        b"*",
        b"RETURN",
        b"STATUS",
        b"\\Seen",
    ]
)


@settings(max_examples=200)
@given(
    st.lists(WORDS | st.binary(max_size=4), max_size=12).map(b"".join),
    st.sampled_from([parse_fetch, parse_store, parse_status_items, parse_append, parse_list]),
)
def test_any_bytes_are_read_or_refused(text: bytes, parse: Callable[[Arguments], object]) -> None:
    with contextlib.suppress(Refusal):
        parse(Arguments(text))
