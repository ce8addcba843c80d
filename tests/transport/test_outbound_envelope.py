from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.transport.envelope import PLAIN_ENVELOPE, EnvelopeOptions, RecipientOptions
from holdfast.transport.outbound_envelope import Envelope, check_line_ends, write_envelope
from holdfast.transport.outbound_words import Transaction
from holdfast.wire.smtp_reply import NO_EXTENSIONS, Extensions

DATA = b"Subject: x\r\n\r\nbody\r\n"
ALL = Extensions(eight_bit=True, chunking=True, smtputf8=True, dsn=True, size_bytes_max=1000)


def write(
    sender: str = "a@example.org",
    recipients: tuple[str, ...] = ("b@example.com",),
    data: bytes = DATA,
    options: EnvelopeOptions = PLAIN_ENVELOPE,
    extensions: Extensions = NO_EXTENSIONS,
) -> Envelope:
    return write_envelope(Transaction(1, sender, recipients, data, options), extensions)


@pytest.mark.parametrize(
    ("arguments", "mail", "rcpts"),
    [
        ({}, b"MAIL FROM:<a@example.org>", [b"RCPT TO:<b@example.com>"]),
        ({"sender": ""}, b"MAIL FROM:<>", [b"RCPT TO:<b@example.com>"]),
        ({"extensions": ALL}, b"MAIL FROM:<a@example.org> SIZE=20", [b"RCPT TO:<b@example.com>"]),
        (
            {"extensions": ALL, "data": b"\r\n\xc3\xa9\r\n"},
            b"MAIL FROM:<a@example.org> SIZE=6 BODY=8BITMIME",
            [b"RCPT TO:<b@example.com>"],
        ),
        (
            {"data": b"\r\n\xc3\xa9\r\n", "options": EnvelopeOptions(eight_bit=True)},
            b"MAIL FROM:<a@example.org>",  # sent as it is: see the module
            [b"RCPT TO:<b@example.com>"],
        ),
        (
            {"recipients": ('"a b"@example.com', "x@[192.0.2.1]")},
            b"MAIL FROM:<a@example.org>",
            [b'RCPT TO:<"a b"@example.com>', b"RCPT TO:<x@[192.0.2.1]>"],
        ),
        (
            {"recipients": ("b@bücher.example",)},
            b"MAIL FROM:<a@example.org>",
            [b"RCPT TO:<b@xn--bcher-kva.example>"],
        ),
        (
            {"recipients": ("é@bücher.example",), "extensions": Extensions(smtputf8=True, eight_bit=True)},
            b"MAIL FROM:<a@example.org> SMTPUTF8",
            ["RCPT TO:<é@bücher.example>".encode()],
        ),
        (
            {"sender": "é@example.org", "extensions": Extensions(smtputf8=True)},
            "MAIL FROM:<é@example.org> SMTPUTF8".encode(),
            [b"RCPT TO:<b@example.com>"],
        ),
        (
            {"options": EnvelopeOptions(smtputf8=True)},  # said, and not needed
            b"MAIL FROM:<a@example.org>",
            [b"RCPT TO:<b@example.com>"],
        ),
    ],
)
def test_commands(arguments: dict[str, object], mail: bytes, rcpts: list[bytes]) -> None:
    envelope = write(**arguments)  # type: ignore[arg-type]  # a table of keyword arguments
    assert envelope.mail == mail + b"\r\n"
    assert envelope.rcpts == [rcpt + b"\r\n" for rcpt in rcpts]
    assert not envelope.refused


REPORTS = EnvelopeOptions(
    return_content="HDRS",
    envelope_id="QQ+2B1",
    recipients=(
        ("b@example.com", RecipientOptions(("SUCCESS", "FAILURE"), "rfc822;b@example.com")),
        ("c@example.com", RecipientOptions(("NEVER",))),
    ),
)


def test_reports_are_asked_for_where_they_are_offered() -> None:
    envelope = write(
        recipients=("b@example.com", "c@example.com", "d@example.com"), options=REPORTS, extensions=ALL
    )
    assert envelope.mail == b"MAIL FROM:<a@example.org> SIZE=20 RET=HDRS ENVID=QQ+2B1\r\n"
    assert envelope.rcpts == [
        b"RCPT TO:<b@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@example.com\r\n",
        b"RCPT TO:<c@example.com> NOTIFY=NEVER\r\n",
        b"RCPT TO:<d@example.com>\r\n",
    ]
    assert write(options=REPORTS) == write()


def test_values_that_would_end_a_command_are_left_out() -> None:
    bad = EnvelopeOptions(
        return_content="ALL\r\n",
        envelope_id="x\r\nRSET",
        recipients=(("b@example.com", RecipientOptions(("NE\rVER",), "rfc822;a b")),),
    )
    envelope = write(options=bad, extensions=ALL)
    assert envelope == write(extensions=ALL)


@pytest.mark.parametrize(
    ("recipient", "status"),
    [
        ("é@example.com", "5.6.7"),
        ("b@example.com\r\nDATA", "5.1.3"),
        ("b> <c@example.com", "5.1.3"),
        ("b@exa mple.com", "5.1.3"),
        ('"\ud800"@example.com', "5.1.3"),
        ("é\x00@example.com", "5.1.3"),
    ],
)
def test_recipients_that_cannot_be_named(recipient: str, status: str) -> None:
    envelope = write(recipients=("b@example.com", recipient))
    assert envelope.recipients == ("b@example.com",)
    assert envelope.rcpts == [b"RCPT TO:<b@example.com>\r\n"]
    ((refused, refusal),) = envelope.refused
    assert refused == recipient
    assert (refusal.code, refusal.status) == (553, status)


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        ({"extensions": Extensions(size_bytes_max=19)}, 552, "5.3.4"),
        ({"sender": "é@example.org"}, 553, "5.6.7"),
        ({"sender": "a@example.org>\r\nRSET"}, 553, "5.1.7"),
        ({"data": b"Subject: \xc3\xa9\r\n\r\n", "options": EnvelopeOptions(smtputf8=True)}, 554, "5.6.9"),
        ({"data": b"Subject: \xc3\xa9", "options": EnvelopeOptions(smtputf8=True)}, 554, "5.6.9"),
        ({"data": b"a\n.\r\n"}, 554, "5.6.0"),
    ],
)
def test_messages_that_the_next_hop_cannot_take(arguments: dict[str, object], code: int, status: str) -> None:
    with pytest.raises(Refusal) as refusal:
        write(**arguments)  # type: ignore[arg-type]  # a table of keyword arguments
    assert (refusal.value.code, refusal.value.status) == (code, status)


@pytest.mark.parametrize("size_bytes_max", [None, 0, 20])
def test_size_that_fits(size_bytes_max: int | None) -> None:
    assert write(extensions=Extensions(size_bytes_max=size_bytes_max)).rcpts


# What may be put around a dot to smuggle a second message past a server.
@pytest.mark.parametrize(
    "end",
    [
        b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\n.\r", b"\r.\n",
        b"\r\r\n.\r\r\n", b"\r\n\r.\r\n", b"\n\r.\r\n", b"\r\n.\r\r\n",
    ],
)  # fmt: skip
def test_ends_of_data_that_are_none_do_not_leave(end: bytes) -> None:
    with pytest.raises(Refusal):
        check_line_ends(b"Subject: x\r\n\r\nbody" + end + b"MAIL FROM:<x@example.org>\r\n")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"x"]), max_size=12).map(b"".join))
def test_line_ends_are_all_crlf_or_it_is_refused(data: bytes) -> None:
    rest = data.replace(b"\r\n", b"")
    try:
        check_line_ends(data)
    except Refusal:
        assert b"\r" in rest or b"\n" in rest
    else:
        assert b"\r" not in rest
        assert b"\n" not in rest


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=20), st.lists(st.text(max_size=20), min_size=1, max_size=3), st.booleans())
def test_no_address_ends_a_command(sender: str, recipients: list[str], utf8: bool) -> None:
    try:
        envelope = write(sender, tuple(recipients), extensions=Extensions(smtputf8=utf8))
    except Refusal:
        return
    for line in (envelope.mail, *envelope.rcpts):
        assert line.endswith(b"\r\n")
        assert b"\r" not in line[:-2]
        assert b"\n" not in line[:-2]
    assert len(envelope.recipients) == len(envelope.rcpts)
