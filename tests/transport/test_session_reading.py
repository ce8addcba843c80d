"""What bounds the memory of a session, and answers that are held."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.directory.model import Organisation, ReceiveConnector, Server, Usage
from holdfast.kernel.address import Address
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId
from holdfast.transport.rights import Client
from holdfast.transport.session import SmtpSession
from holdfast.transport.session_terms import MessageReceived, SessionEnded, Terms

CONNECTOR = ReceiveConnector("test", "mx", ("192.0.2.1:25",), (), tarpit_s=0.0)
ORGANISATION = Organisation(servers=(Server("mx", "mx.example.test", "here", addresses=("192.0.2.1",)),))
EHLO = b"EHLO client.example\r\n"
ENVELOPE = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"


class Judge:
    """Knows everybody but nobody."""

    def judge_sender(self, address: Address | None, client: Client) -> None:
        """Anybody may send."""

    def judge_recipient(self, address: Address, client: Client) -> None:
        if address.local_part == "nobody":
            raise Refusal("no such mailbox", code=550, status="5.1.1")


def open_session(
    connector: ReceiveConnector = CONNECTOR, *, tls_active: bool = False, address: str = "198.51.100.7"
) -> SmtpSession:
    terms = Terms(connector, "mx.example.test", ORGANISATION)
    return SmtpSession(terms, Judge(), address, tls_active=tls_active)


def greeted(connector: ReceiveConnector = CONNECTOR) -> SmtpSession:
    session = open_session(connector)
    session.receive(EHLO)
    session.take_reply()
    return session


def reply_of(session: SmtpSession, data: bytes) -> bytes:
    session.receive(data)
    return session.take_reply()


def envelope_of(session: SmtpSession, data: bytes) -> MessageReceived:
    (event,) = session.receive(data)
    assert isinstance(event, MessageReceived)
    return event


# --- bounds ----------------------------------------------------------------------------------


def test_a_hundred_thousand_recipients() -> None:
    session = greeted()
    session.receive(b"MAIL FROM:<>\r\n")
    for start in range(0, 100_000, 1000):
        lines = "".join(f"RCPT TO:<r{start + each}@example.test>\r\n" for each in range(1000))
        reply = reply_of(session, lines.encode())
        assert reply.count(b"\r\n") >= 1000
    assert set(reply.split(b"\r\n")) == {b"452 4.5.3 too many recipients; send to the others again", b""}
    assert len(envelope_of(session, b"DATA\r\n.\r\n").recipients) == 200


@pytest.mark.parametrize("line", [b"X: " + b"a" * 995 + b"\r\n", b"Received: by mx.example.test\r\n"])
def test_a_header_of_a_megabyte(line: bytes) -> None:
    session = greeted()
    session.receive(ENVELOPE)
    session.take_reply()
    session.receive(line * ((1 << 20) // len(line)) + b"\r\nbody\r\n.\r\n")
    assert session.take_reply() == b"552 5.3.4 message header is too large\r\n"


def test_a_chunk_too_large_is_read_to_its_end_and_not_kept() -> None:
    session = greeted(replace(CONNECTOR, message_bytes_max=10_000))
    session.receive(ENVELOPE.replace(b"DATA\r\n", b"BDAT 1200000 LAST\r\n"))
    session.take_reply()
    for _ in range(1000):
        session.receive(b"0123456789\r\n" * 100)
        assert session.receiving_data or not session.buffered_bytes
        assert session.buffered_bytes <= 10_000
    session.receive(b"NOOP\r\n")
    assert session.take_reply() == b"552 5.3.4 message is too large\r\n250 2.0.0 ok\r\n"


def test_a_message_in_chunks_may_be_crowded_out_between_them() -> None:
    session = greeted()
    session.receive(ENVELOPE.replace(b"DATA\r\n", b"BDAT 4\r\nabc\n"[:-1] + b"d"))
    session.take_reply()
    assert session.receiving_data
    assert session.buffered_bytes == 4
    session.crowd_out()
    assert reply_of(session, b"BDAT 2 LAST\r\nxx").startswith(b"452 4.3.1 ")
    assert not session.receiving_data


# --- the tarpit ------------------------------------------------------------------------------

TARPITTED = replace(CONNECTOR, tarpit_s=5.0)


def test_a_refusal_is_held_and_what_follows_it_too() -> None:
    session = greeted(TARPITTED)
    assert not session.held
    session.receive(
        b"MAIL FROM:<>\r\nRCPT TO:<nobody@example.test>\r\nRCPT TO:<nobody@example.test>\r\nNOOP\r\n"
    )
    assert session.held
    assert session.waiting
    session.receive(b"QUIT\r\n")
    assert session.take_reply().count(b"550 ") == 1
    assert session.go_on() == []
    assert session.held
    assert session.take_reply() == b"550 5.1.1 no such mailbox\r\n"
    assert session.go_on() == [SessionEnded()]
    assert not session.held
    assert session.take_reply() == b"250 2.0.0 ok\r\n221 2.0.0 goodbye\r\n"


def test_the_last_word_is_held_as_well() -> None:
    session = greeted(TARPITTED)
    assert session.receive(b"GET / HTTP/1.0\r\nNOOP\r\n") == [SessionEnded()] or session.held
    session.receive(b"NOOP\r\n")
    assert session.held
    assert session.buffered_bytes == 0
    assert session.go_on() == []
    assert session.ended


def test_users_and_servers_of_ours_are_answered_at_once() -> None:
    server = open_session(replace(TARPITTED, usage=Usage.INTERNAL), address="192.0.2.1")
    server.receive(b"WHAT\r\n")
    assert not server.held
    user = open_session(replace(TARPITTED, usage=Usage.CLIENT), tls_active=True)
    user.receive(EHLO + b"AUTH PLAIN AGEAYg==\r\n")
    user.password_checked(MailboxId("m"))
    user.receive(b"WHAT\r\n")
    assert not user.held


def test_a_goodbye_ends_the_hold() -> None:
    session = greeted(TARPITTED)
    session.receive(b"WHAT\r\n")
    assert session.say_goodbye(421, "4.3.2", "stopping") == [SessionEnded()]
    assert not session.held
    assert session.take_reply().count(b"\r\n") == 2
