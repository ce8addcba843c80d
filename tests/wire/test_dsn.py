"""Bounces are messages that the standard library's parser understands, and statuses are read back."""

from __future__ import annotations

import contextlib
import email
import email.policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire.dsn import (
    ORIGINAL_HEADER_BYTES_MAX,
    RECIPIENT_COUNT_MAX,
    STATUS_BYTES_MAX,
    Dsn,
    RecipientStatus,
    build_dsn,
    original_headers,
    parse_delivery_status,
)

FAILED = RecipientStatus("bob@example.test", "failed", "5.2.2", "the mailbox is full")


def dsn(*recipients: RecipientStatus, original: bytes = b"Subject: x\r\nTo: y\r\n\r\nbody\r\n") -> bytes:
    return build_dsn(
        Dsn(
            reporting_host="mail.example.test",
            to="alice@example.test",
            date="Fri, 21 Nov 1997 15:55:06 +0000",
            arrival_date="Fri, 21 Nov 1997 15:00:00 +0000",
            message_id="<1@mail.example.test>",
            boundary="report-1",
            recipients=recipients,
            original=original,
        )
    )


def test_the_three_parts() -> None:
    message = email.message_from_bytes(dsn(FAILED), policy=email.policy.default)
    assert message.get_content_type() == "multipart/report"
    assert message["Auto-Submitted"] == "auto-replied"
    text, status, headers = message.iter_parts()
    assert "<bob@example.test>: 5.2.2 the mailbox is full" in text.get_content()
    assert status.get_content_type() == "message/delivery-status"
    assert headers.get_content_type() == "text/rfc822-headers"
    assert headers.get_payload().splitlines()[:2] == ["Subject: x", "To: y"]
    assert b"body" not in dsn(FAILED)
    assert parse_delivery_status(dsn(FAILED).split(b"delivery-status\r\n\r\n")[1].split(b"\r\n--")[0]) == (
        FAILED,
    )


def test_addresses_outside_ascii_make_a_global_status() -> None:
    sent = dsn(
        RecipientStatus("jörg@example.test", "failed", "5.1.1", "unknown"),
        original="Subject: ü\r\n\r\n".encode(),
    )
    assert b"message/global-delivery-status" in sent
    assert "utf-8; jörg@example.test".encode() in sent


@given(text=st.text(max_size=40), recipient=st.text(min_size=1, max_size=40))
@settings(max_examples=100)
def test_nothing_in_it_can_add_a_line(text: str, recipient: str) -> None:
    plain = dsn(FAILED)
    sent = dsn(RecipientStatus(recipient, "failed", "5.1.1", text))
    ascii_lines = sent.count(b"\n") - (b"message/global" in sent)
    assert ascii_lines == plain.count(b"\n")
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


def test_a_status_of_another_system() -> None:
    # The example of RFC 3464 appendix E.1, folded as a mailer might.
    status = (
        b"Reporting-MTA: dns; cs.utk.edu\n\nOriginal-Recipient: rfc822;louisl@larry.slip.umd.edu\n"
        b"Final-Recipient: rfc822;louisl@larry.slip.umd.edu\nAction: Failed\nStatus: 4.0.0 (gave up)\n"
        b"Diagnostic-Code: smtp; 426 connection\n  timed out\nno field\nLast-Attempt-Date: x\n"
    )
    assert parse_delivery_status(status) == (
        RecipientStatus("louisl@larry.slip.umd.edu", "failed", "4.0.0", "426 connection timed out"),
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
