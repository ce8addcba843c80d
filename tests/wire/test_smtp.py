"""Commands read, replies written."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.address import Address
from holdfast.kernel.errors import Refusal
from holdfast.wire.smtp import (
    Bdat,
    MailFrom,
    RcptTo,
    format_reply,
    parse_bdat,
    parse_helo,
    parse_mail_from,
    parse_rcpt_to,
    refusal_of_long_line,
)
from holdfast.wire.smtp_parameters import MailParameters, RcptParameters

A = Address("a", "example.org")

MAIL = {
    b"MAIL FROM:<a@example.org>": MailFrom("a@example.org", A),
    b"mail from:<a@Example.ORG>": MailFrom("a@Example.ORG", A),
    b"MAIL FROM: <a@example.org>  SIZE=77": MailFrom("a@example.org", A, MailParameters(77)),
    b"MAIL FROM:a@example.org size=1": MailFrom("a@example.org", A, MailParameters(1)),
    b"MAIL FROM:<> body=8bitmime SIZE=12345": MailFrom("", None, MailParameters(12345, eight_bit=True)),
    b"MAIL FROM:<@x.example:a@example.org>": MailFrom("a@example.org", A),
    b'MAIL FROM:<"a> b"@example.org>': MailFrom('"a> b"@example.org', Address('"a> b"', "example.org")),
    b"MAIL FROM:<a@[192.0.2.1]>": MailFrom("a@[192.0.2.1]", Address("a", "[192.0.2.1]")),
    b"MAIL FROM:<a@[IPv6:2001:DB8::1]>": MailFrom("a@[IPv6:2001:DB8::1]", Address("a", "[IPv6:2001:db8::1]")),
    "MAIL FROM:<ä@bücher.example> SMTPUTF8".encode(): MailFrom(
        "ä@bücher.example", Address("ä", "xn--bcher-kva.example"), MailParameters(smtputf8=True)
    ),
}

MAIL_REFUSED = {
    b"MAIL": (500, "5.5.2"),
    b"MAIL TO:<a@example.org>": (500, "5.5.2"),
    b"MAIL FROM:": (500, "5.5.2"),
    b"MAIL FROM:<a@example.org": (501, "5.5.4"),
    b"MAIL FROM:<a@example.org>x": (501, "5.5.4"),
    b"MAIL FROM:<<a@example.org>>": (501, "5.5.4"),
    b"MAIL FROM:<a@example.org> SIZE": (501, "5.5.4"),
    b"MAIL FROM:<a@example.org> SIZE=": (501, "5.5.4"),
    b"MAIL FROM:<a@example.org> SIZE=-1": (501, "5.5.4"),
    b"MAIL FROM:<a@example.org> SIZE=123456789012345678901": (501, "5.5.4"),
    b"MAIL FROM:<a@example.org> BODY=8BITMIME body=7BIT": (501, "5.5.4"),
    b"MAIL FROM:<a@example.org> BODY": (501, "5.5.4"),
    b"MAIL FROM:<a@example.org> WHAT=HDRS": (555, "5.5.4"),
    b"MAIL FROM:<a>": (501, "5.1.7"),
    b"MAIL FROM:<a@xn--->": (501, "5.1.8"),
    b"MAIL FROM:<" + b"a" * 65 + b"@example.org>": (501, "5.1.7"),
    b"MAIL FROM:<a@example.org.>": (501, "5.1.8"),
    "MAIL FROM:<ä@example.org>".encode(): (553, "5.6.7"),
    "MAIL FROM:<Ⅳ@example.org>".encode(): (550, "5.1.7"),
    b"MAIL FROM:<\xe4@example.org>": (501, "5.1.7"),
}


@pytest.mark.parametrize("line", MAIL)
def test_mail_is_read(line: bytes) -> None:
    assert parse_mail_from(line) == MAIL[line]


@pytest.mark.parametrize("line", MAIL_REFUSED)
def test_mail_is_refused(line: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse_mail_from(line)
    assert (caught.value.code, caught.value.status) == MAIL_REFUSED[line]


RCPT_REFUSED = {
    b"RCPT FROM:<a@example.org>": (500, "5.5.2"),
    b"RCPT TO:": (500, "5.5.2"),
    b"RCPT TO:<>": (501, "5.1.3"),
    b"RCPT TO:<a>": (501, "5.1.3"),
    b"RCPT TO:<a@xn--->": (501, "5.1.2"),
    b"RCPT TO:<@a.org,:a@x.org>": (501, "5.1.3"),
    b"RCPT TO:<@a.org,,@b.org:a@x.org>": (501, "5.1.3"),
    b"RCPT TO:<@a.org,b.org:a@x.org>": (501, "5.1.3"),
    b"RCPT TO:<@:a@x.org>": (501, "5.1.3"),
    b"RCPT TO:<@a.org,:postmaster>": (501, "5.1.3"),
    b"RCPT TO:<a@example.org> WHAT=NEVER": (555, "5.5.4"),
    b"RCPT TO:<a@example.org> =": (501, "5.5.4"),
    "RCPT TO:<henryⅣ@example.org>".encode(): (550, "5.1.3"),
    "RCPT TO:<ñ@example.org>".encode(): (553, "5.6.7"),
    b"RCPT TO:<\xf1@example.org>": (501, "5.1.3"),
}


@pytest.mark.parametrize("line", RCPT_REFUSED)
def test_rcpt_is_refused(line: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse_rcpt_to(line)
    assert (caught.value.code, caught.value.status) == RCPT_REFUSED[line]


def test_rcpt_is_read() -> None:
    assert parse_rcpt_to(b"RCPT TO:<@x,@y:a@example.org>") == RcptTo("a@example.org", A)
    assert parse_rcpt_to(b"rcpt to: a@example.org") == RcptTo("a@example.org", A)
    assert parse_rcpt_to(b"RCPT TO:<PostMaster>") == RcptTo("PostMaster", None)
    international = "RCPT TO:<ñ@example.org> NOTIFY=NEVER".encode()
    found = parse_rcpt_to(international, smtputf8=True)
    assert found == RcptTo("ñ@example.org", Address("ñ", "example.org"), RcptParameters(("NEVER",)))
    with pytest.raises(Refusal) as caught:
        parse_rcpt_to("RCPT TO:<henryⅣ@example.org>".encode(), smtputf8=True)
    assert (caught.value.code, caught.value.status) == (550, "5.1.3")


@pytest.mark.parametrize(
    ("argument", "bdat"),
    [
        (b"0", Bdat(0, False)),
        (b"86 LAST", Bdat(86, True)),
        (b" 86\tlast ", Bdat(86, True)),
        (b"9" * 18, Bdat(10**18 - 1, False)),
    ],
)
def test_bdat_is_read(argument: bytes, bdat: Bdat) -> None:
    assert parse_bdat(argument) == bdat


@pytest.mark.parametrize("argument", [b"", b"x", b"-1", b"1 FIRST", b"1 LAST 2", b"1LAST", b"9" * 19, b"1.5"])
def test_bdat_is_refused(argument: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse_bdat(argument)
    assert caught.value.code == 501


@pytest.mark.parametrize(
    ("verb", "line_bytes", "code"),
    [
        (b"NOOP", 513, 500),
        (b"NOOP", 1000, 500),
        (b"NOOP", 1001, 554),
        (b"MAIL", 4096, None),
        (b"RCPT", 4097, 554),
        (b"AUTH", 12_288, None),
    ],
)
def test_long_lines_are_judged_by_their_verb(verb: bytes, line_bytes: int, code: int | None) -> None:
    refusal = refusal_of_long_line(verb, line_bytes)
    assert (refusal.code if refusal else None) == code


def test_helo_takes_the_first_word() -> None:
    assert parse_helo(b"[192.0.2.1] hello") == "[192.0.2.1]"
    for wrong in (b"", b"  ", b"\xff", b"a" * 256):
        with pytest.raises(Refusal) as caught:
            parse_helo(wrong)
        assert caught.value.code == 501


def test_a_reply_repeats_code_and_status_on_every_line() -> None:
    assert format_reply(550, "5.7.1", "one\ntwo") == b"550-5.7.1 one\r\n550 5.7.1 two\r\n"
    assert format_reply(220, "", "mx") == b"220 mx\r\n"


@given(st.text(max_size=700))
def test_no_text_breaks_a_reply(text: str) -> None:
    reply = format_reply(550, "5.0.0", text)
    lines = reply.split(b"\r\n")
    assert lines.pop() == b""
    assert len(lines) == text.count("\n") + 1
    assert all(re.fullmatch(rb"550[ -]5\.0\.0 [ -~]*", line) and len(line) <= 510 for line in lines)


PIECES = st.lists(
    st.sampled_from(
        [b"<", b">", b'"', b"\\", b"@", b":", b",", b" ", b"a", b"b.c", b"SIZE=", b"1", b"\xc3\xa4"]
    )
    | st.binary(max_size=3)
).map(b"".join)


@given(PIECES)
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    codes = []
    for parse, line in (
        (parse_mail_from, b"MAIL FROM:"),
        (parse_rcpt_to, b"RCPT TO:"),
        (parse_helo, b""),
        (parse_bdat, b""),
    ):
        try:
            parse(line + text)
        except Refusal as refusal:
            codes.append(refusal.code)
    assert all(500 <= code <= 599 for code in codes)


def test_hostile_paths_take_linear_time() -> None:
    routes = b"<@" + b"a," * 900, b"<@a" + b",@a" * 900
    for hostile in (b"<" + b'"a' * 900, *routes, b"<" + b"\\" * 1900, b'<"' + b"\\" * 1900):
        with pytest.raises(Refusal):
            parse_mail_from(b"MAIL FROM:" + hostile)
