from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.transport.shadow_link import Hello, LinkBeginning, Progress, answer_to, parse_hello

US = Hello(1, "mail1", "a" * 32)


def under_tls(ehlo: bytes = b"250-mail2\r\n250 XHOLDFAST 1\r\n") -> LinkBeginning:
    link = LinkBeginning("mail1.example.test", US)
    assert link.receive(b"220 mail2 ESMTP\r\n") is Progress.WAIT
    assert link.take_output() == b"EHLO mail1.example.test\r\n"
    assert link.receive(b"250-mail2\r\n250 STARTTLS\r\n") is Progress.WAIT
    assert link.take_output() == b"STARTTLS\r\n"
    assert link.receive(b"220 begin\r\n") is Progress.START_TLS
    link.tls_started()
    assert link.take_output() == b"EHLO mail1.example.test\r\n"
    link.receive(ehlo)
    return link


def test_a_link_begins_with_smtp_and_goes_on_with_frames() -> None:
    link = under_tls()
    assert link.take_output() == f"XSHADOW 1 mail1 {'a' * 32}\r\n".encode()
    assert link.receive(f"250 2.0.0 1 mail2 {'b' * 32}\r\nrest".encode()) is Progress.STANDS
    assert link.peer == Hello(1, "mail2", "b" * 32)
    assert link.rest == b"rest"


def test_the_lower_version_is_spoken() -> None:
    assert under_tls(b"250-mail2\r\n250 XHOLDFAST 7\r\n").take_output().startswith(b"XSHADOW 1 ")
    answer, version = answer_to(Hello(9, "mail1", "a" * 32), own_name="mail2", own_identity="b" * 32)
    assert version == 1
    assert answer == f"250 2.0.0 1 mail2 {'b' * 32}\r\n".encode()


@pytest.mark.parametrize(
    ("ehlo", "reason"),
    [
        (b"250 mail2\r\n", "does not know this server"),
        (b"502 no\r\n", "answered EHLO under TLS with 502"),
        (b"* OK IMAP\r\n", "speaks IMAP"),
    ],
)
def test_a_server_that_does_not_offer_it_is_named(ehlo: bytes, reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        under_tls(ehlo)


def test_copies_go_under_tls_only() -> None:
    link = LinkBeginning("mail1", US)
    link.receive(b"220 hello\r\n")
    with pytest.raises(Refusal, match="under TLS only"):
        link.receive(b"250 mail2\r\n")


@pytest.mark.parametrize(
    "answer", [b"250 2.0.0 ok\r\n", b"250 2.0.0 1 mail2 zz\r\n", b"250 2.0.0 2 mail2 bbbbbbbbbb\r\n"]
)
def test_an_answer_that_is_none_ends_it(answer: bytes) -> None:
    link = under_tls()
    with pytest.raises(Refusal, match=r"its answer to XSHADOW|it wants version"):
        link.receive(answer)


@given(st.binary(max_size=60))
def test_any_argument_is_read_or_refused(argument: bytes) -> None:
    code = 0
    try:
        parse_hello(argument)
    except Refusal as refusal:
        code = refusal.code
    assert code in (0, 501)
