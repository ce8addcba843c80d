"""ENVELOPE, address lists, encoded words and dates."""

import datetime
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.wire import envelope as module
from holdfast.wire.envelope import (
    address_list,
    decode_header_text,
    envelope,
    header_values,
    parse_date,
    sent_date,
)

CONFORMANCE = Path(os.environ.get("HOLDFAST_CONFORMANCE", "../shared/conformance")) / "mime"
needs_conformance = pytest.mark.skipif(
    not CONFORMANCE.is_dir(), reason="the shared conformance files are not here"
)


def load(name: str) -> list[dict[str, object]]:
    path = CONFORMANCE / name
    return json.loads(path.read_bytes()) if path.exists() else []


def test_an_envelope_from_the_standard() -> None:
    header = (
        b"Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)\r\nFrom: Fred Foobar <foobar@Blurdybloop.COM>\r\n"
        b"Subject: Test\r\n 01\r\nTo: mooch@owatagu.siam.edu\r\nReply-To: \r\n"
        b"Message-Id : <B27397-0100000@Blurdybloop.COM>\r\n\r\n"
    )
    fred = b'(("Fred Foobar" NIL "foobar" "Blurdybloop.COM"))'
    assert envelope(header) == (
        b'("Mon, 7 Feb 1994 21:52:25 -0800 (PST)" "Test 01" %b %b %b ((NIL NIL "mooch" "owatagu.siam.edu"))'
        b' NIL NIL NIL "<B27397-0100000@Blurdybloop.COM>")' % (fred, fred, fred)
    )


def test_an_envelope_of_nothing() -> None:
    assert envelope(b"") == b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"


def test_bytes_that_quotes_cannot_carry_go_out_as_literals() -> None:
    assert b"NIL {3}\r\na\xc3\xbc NIL" in envelope(b"Subject: a\xc3\xbc\r\n")


def test_a_group_has_a_start_and_an_end() -> None:
    assert (
        b'((NIL NIL "group" NIL)(NIL NIL "john.doe" "acme.org")'
        b'("Mary S" NIL "mary" "example.net")(NIL NIL NIL NIL))'
        in envelope(b"To: group: john.doe@acme.org, Mary S <mary@example.net>\r\n")
    )


ADDRESSES = {
    b"Mary Smith <@node.test,@b.test:mary@example.net>, , jdoe@test  . example": [
        (b"Mary Smith", b"@node.test,@b.test", b"mary", b"example.net"),
        (None, None, b"jdoe", b"test.example"),
    ],
    b"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>": [
        (b"Pete", None, b"pete", b"silly.test"),
    ],
    b"pete@silly.test (Pete (the) First)": [(b"Pete (the) First", None, b"pete", b"silly.test")],
    b'"john \\"x\\" doe"@example.test': [(None, None, b'john "x" doe', b"example.test")],
    b"Joe User": [(None, None, b"Joe User", b"")],
    b"<>": [(None, None, b"", b"")],
    b"a <b@c, d@e": [(b"a", None, b"b", b"c"), (None, None, b"d", b"e")],
    b"<a@b.test> Doe": [(b"Doe", None, b"a", b"b.test")],
    b"x@[192.0.2.1]": [(None, None, b"x", b"[192.0.2.1]")],
    b"a:b:c@d;": [(None, None, b"a", None), (None, None, b"b:c", b"d"), (None, None, None, None)],
    b"Hidden:;": [(None, None, b"Hidden", None), (None, None, None, None)],
    b"(only a comment": [],
    b'"open': [(None, None, b"open", b"")],
    b",;": [],
}


@pytest.mark.parametrize("value", ADDRESSES)
def test_addresses_as_they_are_found_in_the_wild(value: bytes) -> None:
    assert [tuple(address) for address in address_list(value)] == ADDRESSES[value]


def test_the_number_of_addresses_is_bounded() -> None:
    assert len(address_list(b"a@b," * 20_000)) <= module.ADDRESS_COUNT_MAX


def plain(header: str) -> bool:
    """Cases of the shared file that an ENVELOPE cannot show: Stalwart puts comments into names, keeps routes
    in addresses, reads URLs as addresses, takes a line end for the end of the field."""
    unfolded = header.replace("\r\n ", " ").replace("\n ", " ").replace("\n\t", " ").rstrip("\n")
    return "(" not in header and "\n" not in unfolded and "://" not in header and "mailto:" not in header


def flat(expected: object) -> list[tuple[str | None, str | None]]:
    """Name and address per element, group names left out."""
    assert isinstance(expected, dict)
    if "List" in expected:
        return [(each["name"], each["address"]) for each in expected["List"]]
    return [(each["name"], each["address"]) for group in expected["Group"] for each in group["addresses"]]


# Spaces inside a domain and routes are kept by Stalwart in the address.
ELSEWHERE = {"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example\n"}


@needs_conformance
@pytest.mark.parametrize("case", load("address.json"), ids=lambda case: repr(case["header"])[:60])
def test_shared_address_cases(case: dict[str, object]) -> None:
    header = str(case["header"])
    values = header_values(b"To:" + header.encode(), b"to")
    found = [each for each in address_list(values[0]) if each.host is not None]
    if not plain(header) or header in ELSEWHERE:
        return
    names = [decode_header_text(each.name) if each.name else None for each in found]
    addresses = [f"{(each.mailbox or b'').decode()}@{(each.host or b'').decode()}" for each in found]
    assert list(zip(names, addresses, strict=True)) == flat(case["expected"])


# Months as numbers are no date of any mail standard.
NO_DATES = {"20 11 (some \n 44 comments(more comments\n )) 79 05:34:27 -0300"}


@needs_conformance
@pytest.mark.parametrize("case", load("date.json"), ids=lambda case: repr(case["header"])[:60])
def test_shared_date_cases(case: dict[str, object]) -> None:
    header = str(case["header"])
    expected = case["expected"]
    found = sent_date(b"Date:" + header.encode())
    if header == "Tue, 1 Jul 2003 ((invalid)\ncomment) 10:52:37 +0200":
        assert found == datetime.date(2003, 7, 1)  # the time is lost with the comment, the day is not
    elif header in NO_DATES or header.startswith(" 4 8 15 16") or expected is None:
        assert found is None
    else:
        assert isinstance(expected, dict)
        assert found == datetime.date(expected["year"], expected["month"], expected["day"])


def test_dates() -> None:
    assert parse_date(b"1-Feb-49") == datetime.date(2049, 2, 1)
    assert parse_date(b"1 Feb 102") == datetime.date(2002, 2, 1)
    assert parse_date(b"30 Feb 2024") is None
    assert sent_date(b"Subject: x\r\n") is None


TEXTS = {
    b"plain": "plain",
    b"=?utf-8?q?w=C3=B6r_ld?= !": "wör ld !",
    b"a =?ISO-8859-1?Q?a?=\r\n =?ISO-8859-1?B?6Q==?= b": "a aé b",
    b"=?utf-8?q?=C3?= =?utf-8?q?=BC?=": "ü",
    b"=?utf-8?q?a?= =?latin1?q?=FC?=": "aü",
    b"=?US-ASCII*EN?Q?Keith_Moore?=": "Keith Moore",
    b"=?utf-8?b?w?=": "w",
    b"=?nonsense?q?x?= =?utf-8?z?x?=": "x =?utf-8?z?x?=",
    b"gr\xfcn": "grün",
    b"": "",
}


@pytest.mark.parametrize("value", TEXTS)
def test_encoded_words(value: bytes) -> None:
    assert decode_header_text(value) == TEXTS[value]


def test_header_values_are_unfolded() -> None:
    header = b"To: a\r\nTopic: b\r\nTO : c\r\n\td\r\nto"
    assert header_values(header, b"To") == [b"a", b"c\td"]


PIECES = st.sampled_from(
    [
        b"From:",
        b"\r\n",
        b" ",
        b'"',
        b"(",
        b")",
        b"<",
        b">",
        b",",
        b";",
        b":",
        b"@",
        b"a",
        b"=?utf-8?b?",
        b"?=",
        b"\\",
    ]
)


@settings(max_examples=250)
@given(st.lists(PIECES | st.binary(max_size=3), max_size=25).map(b"".join))
def test_any_bytes_have_an_envelope(header: bytes) -> None:
    assert envelope(b"From: " + header).startswith(b"(")
    assert isinstance(decode_header_text(header), str)
    address_list(header)
    parse_date(header)
