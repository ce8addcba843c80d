"""The header block read, trace fields written."""

from __future__ import annotations

import email.utils

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire.headers import (
    VALUE_CHARACTERS_MAX,
    HeaderBlock,
    Trace,
    decode_words,
    delivered_to_header,
    format_date,
    read_header_block,
    received_header,
    return_path_header,
)

MESSAGE = (
    b"Received: from a by b;\r\n\tMon, 1 Jan 2024 00:00:00 +0000\r\n"
    b"received : from c by d\r\n"
    b"Received-SPF: pass\r\n"
    b"Subject: a long\r\n subject\r\n\t goes on\r\n"
    b"X-Empty:\r\n"
    b"MESSAGE-ID:<1@example.org>\r\n"
    b"Subject: second\r\n"
    b"Date : Mon\r\n"
    b"From: =?utf-8?q?=C3=84nne?= <a@example.org>\r\n"
    b"\r\n"
    b"Received: in the body\r\n"
)


def block(message: bytes) -> HeaderBlock:
    found = read_header_block(message)
    assert found is not None
    return found


def test_fields_are_found_unfolded_and_counted() -> None:
    header = block(MESSAGE)
    assert header.raw.endswith(b"<a@example.org>\r\n")
    assert header.received_count == 2
    assert header.subject == "a long subject goes on"
    assert header.message_id == "<1@example.org>"
    assert header.first(b"date") == "Mon"
    assert header.first(b"x-empty") == ""
    assert header.first(b"reply-to") == ""
    assert decode_words(header.first(b"from")) == "Änne <a@example.org>"


@pytest.mark.parametrize("message", [b"", b"\r\n", b"\r\nSubject: in the body\r\n"])
def test_no_fields(message: bytes) -> None:
    header = block(message)
    assert (header.raw, header.subject, header.received_count) == (b"", "", 0)


@pytest.mark.parametrize(
    "message", [b"hello\r\n", b" a: b\r\n", b"From a@example.org Mon\r\nA: b\r\n", b":\r\n"]
)
def test_a_message_that_begins_with_no_field_is_all_body(message: bytes) -> None:
    assert read_header_block(message) is None


def test_a_message_may_be_all_header() -> None:
    assert block(b"A: b\r\n").raw == b"A: b\r\n"
    assert block(b"A: b\r\n\r\n").raw == b"A: b\r\n"


@pytest.mark.parametrize("line", [b"no field", b": x", b"a b: x", b"\xc3\xa4: x", b"x"])
def test_a_line_that_is_no_field_is_refused(line: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read_header_block(b"A: b\r\n c\r\n" + line + b"\r\n\r\nbody\r\n")
    assert (caught.value.code, caught.value.status) == (554, "5.6.0")


def test_values_are_bounded_and_clean() -> None:
    header = block(b"Subject: " + b"x\r\n y" * 100_000 + b"\r\nB: \x07\xff\x00c\r\n")
    assert len(header.subject) == VALUE_CHARACTERS_MAX
    assert header.first(b"b") == "\ufffd c"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("=?utf-8?b?w6Q=?= =?iso-8859-1?q?=F6?=", "äö"),
        ("a =?utf-8?q?b=0D=0Ac?=", "a b c"),
        ("=?no-such-charset?q?a?=", "a"),
        ("=?utf-8?b?a?=", "a"),
        ("=?utf-8?q?=FF?=", "ÿ"),
    ],
)
def test_encoded_words(value: str, text: str) -> None:
    assert decode_words(value) == text


@settings(max_examples=150)
@given(
    st.text(max_size=60),
    st.sampled_from(["utf-8", "hex", "idna", "x\0", "utf-16", "undefined", "unicode_escape"]),
)
def test_any_text_decodes_to_one_line(text: str, charset: str) -> None:
    for value in (text, f"=?{charset}?b?{text}?=", f"=?{charset}?q?{text}?=", f"=?{text}"):
        decode_words(value)


FIELDS = st.lists(
    st.sampled_from(
        [b"A: b", b"Received: x", b" folded", b"\tfolded", b"Subject: x", b"", b"no field", b"A :"]
    )
    | st.binary(max_size=8).filter(lambda line: b"\r" not in line and b"\n" not in line)
).map(lambda lines: b"".join(line + b"\r\n" for line in lines))


@given(FIELDS)
def test_any_message_is_read_or_refused(message: bytes) -> None:
    try:
        header = read_header_block(message)
    except Refusal:
        return
    if header is None:
        return
    assert message.startswith(header.raw)
    lines = header.raw.split(b"\r\n")[:-1]
    assert header.received_count == len(
        [line for line in lines if line.partition(b":")[0].rstrip(b" \t").lower() == b"received"]
    )
    header.first(b"subject")


def test_hostile_headers_take_linear_time() -> None:
    for line in (b"A" * 300_000, b"A" + b" " * 300_000, b"A:\r\n" + b" \r\n" * 100_000 + b"x"):
        with pytest.raises(Refusal):
            read_header_block(b"A: b\r\n" + line + b"\r\n\r\n")
    assert block(b"Received" + b" " * 300_000 + b": x\r\n").received_count == 1
    assert block(b"A: b\r\n" + b"Received-" * 50 + b": y\r\n").received_count == 0


def test_dates() -> None:
    assert format_date(880127706.9) == "Fri, 21 Nov 1997 15:55:06 +0000"
    for at in (0.0, 951782400.0, 4102444800.5):
        assert email.utils.parsedate_to_datetime(format_date(at)).timestamp() == int(at)


def test_received_names_the_only_recipient() -> None:
    trace = Trace("client.example", "192.0.2.1", "mx.example.test", "ESMTPS", "0-1", "a@example.test")
    assert received_header(trace, 880127706.0) == (
        b"Received: from client.example ([192.0.2.1])\r\n"
        b" by mx.example.test with ESMTPS id 0-1\r\n"
        b" for <a@example.test>;\r\n"
        b" Fri, 21 Nov 1997 15:55:06 +0000\r\n"
    )


@pytest.mark.parametrize(
    ("helo", "client", "start"),
    [
        (
            "x(y)\r\nz",
            "2001:db8::1",
            b"Received: from x?y???z ([IPv6:2001:db8::1])\r\n by mx with SMTP id 1;\r\n ",
        ),
        ("", "nowhere", b"Received: from unknown ([unknown])\r\n by mx with SMTP id 1;\r\n "),
    ],
)
def test_a_client_cannot_write_into_received(helo: str, client: str, start: bytes) -> None:
    assert received_header(Trace(helo, client, "mx", "SMTP", "1"), 0.0).startswith(start)


def test_delivery_fields() -> None:
    assert return_path_header("") == b"Return-Path: <>\r\n"
    assert return_path_header("a@example.org") == b"Return-Path: <a@example.org>\r\n"
    assert delivered_to_header("a@example.org\r\nX: y") == b"Delivered-To: a@example.org X: y\r\n"


def test_the_trace_header_says_how_tls_was_spoken() -> None:
    trace = Trace("client.example", "192.0.2.1", "mx", "ESMTPS", "1", tls="TLSv1.3 TLS_AES)\r\nX: 1")
    assert received_header(trace, 0.0).startswith(
        b"Received: from client.example ([192.0.2.1])\r\n (TLSv1.3 TLS_AES???X? 1)\r\n by mx with ESMTPS id "
    )


def test_received_fields_are_counted_by_the_host_that_wrote_them() -> None:
    block = HeaderBlock(
        b"Received: from x by MX.one with SMTP\r\n"
        b"received : from by (mx.one)\r\n\tby mx.two;\r\n date\r\n"
        b"Received: from mx.one by other\r\n"
        b"Subject: by mx.one\r\n"
        b"X-Received: by mx.one\r\n"
        b"Received: from standby mx.one\r\n"
    )
    assert block.received_by_count(frozenset(("mx.one",))) == 1
    assert block.received_by_count(frozenset(("mx.one", "mx.two"))) == 2
    assert block.holds(b"\r\nsubject:")
    assert HeaderBlock(b"Received: " + b"by " * 80_000 + b"\r\n").received_by_count(frozenset(("x",))) == 0
