"""Reports are messages that the standard library's parser understands, and statuses are read back."""

from __future__ import annotations

import contextlib
import email
import email.header
import email.policy
from dataclasses import replace
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire.dsn import (
    ORIGINAL_BYTES_MAX,
    ORIGINAL_HEADER_BYTES_MAX,
    RECIPIENT_COUNT_MAX,
    STATUS_BYTES_MAX,
    VALUE_BYTES_MAX,
    Dsn,
    RecipientStatus,
    build_dsn,
    decode_xtext,
    encode_words,
    original_headers,
    parse_delivery_status,
)

FAILED = RecipientStatus("bob@example.test", "failed", "5.2.2", "the mailbox is full")
PLAIN = Dsn(
    reporting_host="mail.example.test",
    to="alice@example.test",
    date="Fri, 21 Nov 1997 15:55:06 +0000",
    arrival_date="Fri, 21 Nov 1997 15:00:00 +0000",
    message_id="<1@mail.example.test>",
    boundary="report-1",
    recipients=(FAILED,),
    original=b"Subject: x\r\nTo: y\r\n\r\nbody\r\n",
    text="Your message could not be delivered.\n\n  bob@example.test",
)


def parts(dsn: Dsn) -> tuple[EmailMessage, list[EmailMessage]]:
    data = build_dsn(dsn)
    assert data.count(b"\r") == data.count(b"\n") == data.count(b"\r\n")
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    found = [part for part in message.iter_parts() if isinstance(part, EmailMessage)]
    assert len(found) == 3
    return message, found


def statuses(dsn: Dsn) -> tuple[RecipientStatus, ...]:
    data = build_dsn(dsn)
    start = data.index(b"\r\n\r\n", data.index(b"delivery-status", data.index(b"--report-1\r\n"))) + 4
    return parse_delivery_status(data[start : data.index(b"\r\n--report-1", start)])


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("mx.example.test", "mx.example.test"),
        ("192.0.2.9", "[192.0.2.9]"),
        ("2001:db8::9", "[IPv6:2001:db8::9]"),
    ],
)
def test_a_host_without_a_name_is_a_literal(host: str, name: str) -> None:
    # RFC 3464 section 2.3.5: a bare address is no name of a mail server.
    dsn = replace(PLAIN, recipients=(replace(FAILED, remote_host=host),))
    assert statuses(dsn) == dsn.recipients
    made = build_dsn(dsn)
    assert f"\r\nRemote-MTA: dns; {name}\r\n".encode() in made


def test_the_three_parts() -> None:
    message, (text, status, headers) = parts(PLAIN)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["From"] == "Mail Delivery System <postmaster@mail.example.test>"
    assert "In-Reply-To" not in message
    assert text.get_content().splitlines() == PLAIN.text.splitlines()
    assert text["Content-Language"] == "en"
    assert status.get_content_type() == "message/delivery-status"
    assert headers.get_content_type() == "text/rfc822-headers"
    assert str(headers.get_payload()).splitlines()[:2] == ["Subject: x", "To: y"]
    assert b"body" not in build_dsn(PLAIN)
    assert statuses(PLAIN) == (FAILED,)


def test_what_the_sender_asked_for() -> None:
    dsn = replace(PLAIN, envelope_id="QQ314159", full=True, reply_to_id="<original@x>")
    message, (_, status, original) = parts(dsn)
    assert message["In-Reply-To"] == message["References"] == "<original@x>"
    assert b"\r\nOriginal-Envelope-Id: QQ314159\r\nReporting-MTA" in build_dsn(dsn)
    assert original.get_content_type() == "message/rfc822"
    assert b"\r\n\r\nSubject: x\r\nTo: y\r\n\r\nbody\r\n" in build_dsn(dsn)
    assert status.get_content_type() == "message/delivery-status"


@pytest.mark.parametrize("message_id", ["", "x", "<a b>", "<a>\r\nBcc: <b>", "<" + "a" * 300 + ">"])
def test_a_malformed_message_id_is_not_answered_to(message_id: str) -> None:
    assert "In-Reply-To" not in parts(replace(PLAIN, reply_to_id=message_id))[0]


def test_a_large_original_goes_back_as_headers() -> None:
    original = b"Subject: x\r\n\r\n" + b"x" * ORIGINAL_BYTES_MAX
    _, (_, _, part) = parts(replace(PLAIN, original=original, full=True))
    assert part.get_content_type() == "text/rfc822-headers"
    _, (_, _, part) = parts(replace(PLAIN, original=b"Subject: no body\r\n", full=True))
    assert part.get_content_type() == "text/rfc822-headers"


def test_eight_bits_in_the_original() -> None:
    body = "Subject: x\r\n\r\nä".encode()
    headers = "Subject: ä\r\n\r\nä".encode()
    kinds = [
        parts(replace(PLAIN, original=original, full=full))[1][2]
        for original, full in ((body, True), (headers, True), (headers, False), (body, False))
    ]
    assert [(each.get_content_type(), each["Content-Transfer-Encoding"]) for each in kinds] == [
        ("message/rfc822", "8bit"),
        ("message/global", "8bit"),
        ("message/global-headers", "8bit"),
        ("text/rfc822-headers", None),
    ]


def test_words_in_any_language_are_seven_bit() -> None:
    text = "Ihre Nachricht konnte nicht zugestellt werden.\n\n  Größe = 3 \n" + "lang " * 400 + "\n.\nFrom x"
    dsn = replace(PLAIN, text=text, subject="Unzustellbar: Grüße " + "ü" * 100, language="de")
    assert build_dsn(dsn).isascii()
    assert max(len(line) for line in build_dsn(dsn).split(b"\r\n")) < 998
    message, (part, _, _) = parts(dsn)
    assert message["Subject"] == dsn.subject
    assert part.get_content().rstrip("\r\n").replace("\r\n", "\n") == text
    assert part["Content-Language"] == "de"


@given(st.text(max_size=120))
@settings(max_examples=80, deadline=None)
def test_any_subject_is_read_back(subject: str) -> None:
    subject = "".join(character for character in subject if character.isprintable()).strip()
    value = encode_words(subject)
    assert value.isascii()
    assert max(len(line) for line in value.split("\r\n ")) <= 75
    assert str(email.header.make_header(email.header.decode_header(value))) == subject


def test_addresses_outside_ascii_make_a_global_status() -> None:
    dsn = replace(
        PLAIN,
        recipients=(RecipientStatus("jörg@example.test", "failed", "5.1.1", "unbekannt: jörg"),),
        original="Subject: ü\r\n\r\n".encode(),
    )
    assert b"message/global-delivery-status" in build_dsn(dsn)
    assert "utf-8; jörg@example.test".encode() in build_dsn(dsn)
    assert statuses(dsn) == dsn.recipients


def test_a_reply_outside_ascii_does_not_make_it_global() -> None:
    dsn = replace(PLAIN, recipients=(replace(FAILED, text="550 über", diagnosed_by="smtp"),))
    assert b"Diagnostic-Code: smtp; 550 ?ber\r\n" in build_dsn(dsn)


def test_a_long_reply_is_cut() -> None:
    dsn = replace(PLAIN, recipients=(replace(FAILED, text="x" * 5000),))
    (status,) = statuses(dsn)
    assert len(status.text) == VALUE_BYTES_MAX - len("x-holdfast; ")


WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)
ADDRESSES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)


@given(
    st.lists(
        st.builds(
            RecipientStatus,
            recipient=ADDRESSES,
            action=st.sampled_from(("failed", "delayed", "delivered", "relayed", "expanded")),
            status=st.sampled_from(("5.1.1", "4.4.7", "2.0.0", "5.7.27")),
            text=WORDS,
            diagnosed_by=st.sampled_from(("smtp", "x-holdfast")),
            remote_host=st.just("") | WORDS,
            original_recipient=st.just("") | ADDRESSES.map("rfc822;".__add__),
            last_attempt_date=st.just("") | WORDS,
            will_retry_until=st.just("") | WORDS,
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=100, deadline=None)
def test_what_is_built_is_read_back(recipients: list[RecipientStatus]) -> None:
    dsn = replace(PLAIN, recipients=tuple(recipients))
    parts(dsn)
    assert statuses(dsn) == dsn.recipients


@given(
    text=st.text(min_size=1, max_size=40),
    recipient=st.text(min_size=1, max_size=40),
    host=st.text(min_size=1, max_size=20),
)
@settings(max_examples=100)
def test_nothing_in_it_can_add_a_line(text: str, recipient: str, host: str) -> None:
    full = replace(
        FAILED, remote_host="x", original_recipient="y", last_attempt_date="z", will_retry_until="z"
    )
    plain = build_dsn(replace(PLAIN, recipients=(full,), envelope_id="x"))
    made = RecipientStatus(recipient, "failed", "5.1.1", text, "smtp", host, recipient, text, text)
    sent = build_dsn(
        replace(PLAIN, recipients=(made,), envelope_id=text, subject=text[:10], language=host, to=recipient)
    )
    added = sent.count(b"message/global-delivery-status") + sent.count(b"?=\r\n =?")
    assert sent.count(b"\n") - added == plain.count(b"\n")
    assert sent.count(b"\r") == sent.count(b"\n")


@pytest.mark.parametrize(
    ("message", "headers"),
    [
        (b"A: b\r\n\r\nbody", b"A: b\r\n"),
        (b"A: b", b"A: b\r\n"),
        (b"A: b\r\n", b"A: b\r\n"),
        (b"", b""),
        (b"A: b\r\n" + b"x" * ORIGINAL_HEADER_BYTES_MAX, b"A: b\r\n"),
        (b"x" * (ORIGINAL_HEADER_BYTES_MAX + 1), b""),
    ],
)
def test_original_headers(message: bytes, headers: bytes) -> None:
    assert original_headers(message) == headers


@pytest.mark.parametrize(
    ("xtext", "text"),
    [("plain", "plain"), ("a+2Bb", "a+b"), ("+3D", "="), ("+0D+0A", "\r\n"), ("+zz", "+zz"), ("", "")],
)
def test_xtext(xtext: str, text: str) -> None:
    assert decode_xtext(xtext) == text


def test_a_status_of_another_system() -> None:
    # The example of RFC 3464 appendix E.1, folded as a mailer might.
    status = (
        b"Reporting-MTA: dns; cs.utk.edu\n\nOriginal-Recipient: rfc822;louisl@larry.slip.umd.edu\n"
        b"Final-Recipient: rfc822;louisl@larry.slip.umd.edu\nAction: Failed\nStatus: 4.0.0 (gave up)\n"
        b"Diagnostic-Code: smtp; 426 connection\n  timed out\nno field\nLast-Attempt-Date: x\n"
    )
    assert parse_delivery_status(status) == (
        RecipientStatus(
            "louisl@larry.slip.umd.edu",
            "failed",
            "4.0.0",
            "426 connection timed out",
            "smtp",
            original_recipient="rfc822;louisl@larry.slip.umd.edu",
            last_attempt_date="x",
        ),
    )


def test_limits() -> None:
    group = b"Final-Recipient: rfc822; a@x\r\nAction: failed\r\nStatus: 5.0.0\r\n\r\n"
    assert len(parse_delivery_status(group * 3)) == 3
    with pytest.raises(Refusal, match="more than"):
        parse_delivery_status(group * (RECIPIENT_COUNT_MAX + 1))
    with pytest.raises(Refusal, match="longer"):
        parse_delivery_status(b"x" * (STATUS_BYTES_MAX + 1))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(Refusal):
        assert parse_delivery_status(data)
