"""The session with a next hop until messages may be sent, and its time-outs, as a table."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.transport.envelope import PLAIN_ENVELOPE
from holdfast.transport.outbound_session import (
    ClientEvent,
    ClientTlsWanted,
    Credentials,
    DotSent,
    OutboundSession,
    Reply,
    SessionFailed,
    SessionReady,
    Transaction,
    TransactionDone,
)
from holdfast.transport.tls_policy import TlsDemand, TlsFacts, TlsLevel

BODY = b"Subject: x\r\n\r\nbody\r\n"
EHLO_PIPELINING = b"250-mx\r\n250 PIPELINING\r\n"
EHLO_CHUNKING = b"250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
HELLO = b"EHLO me.example\r\n"
OPPORTUNISTIC = TlsDemand(TlsLevel.OPPORTUNISTIC, "mx.example")
ENCRYPTED = TlsDemand(TlsLevel.ENCRYPTED, "mx.example", why="connector internet")
VERIFIED = TlsDemand(TlsLevel.VERIFIED, "mx.example", ("mx.example",), why="MTA-STS of example.com")
TESTING = TlsDemand(TlsLevel.VERIFIED, "mx.example", ("mx.example",), only_report=True)
GOOD = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", True)
BAD = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", False, "certificate is for other.example")
A, B = "a@example.com", "b@example.com"
LOGIN = Credentials("user", "secret", tls_needed=False)


def message(
    number: int = 1, *recipients: str, data: bytes = BODY, sender: str = "s@example.org"
) -> Transaction:
    return Transaction(number, sender, recipients or (A,), data, PLAIN_ENVELOPE)


class Talk:
    """A conversation, a line per step."""

    def __init__(self, session: OutboundSession) -> None:
        self.session = session

    def takes_more(self) -> bool:
        """Whether a transaction may be given now."""
        return self.session.can_take_more

    def hear(self, data: bytes, *events: ClientEvent, sends: bytes = b"") -> None:
        """The next hop says something: these events, and this is sent."""
        assert self.session.receive(data) == list(events)
        assert self.session.take_output() == sends

    def give(self, transaction: Transaction, *events: ClientEvent, sends: bytes = b"") -> None:
        """A transaction is given."""
        assert self.session.deliver(transaction) == list(events)
        assert self.session.take_output() == sends


def fresh(tls: TlsDemand | None = None, credentials: Credentials | None = None) -> Talk:
    """A conversation before the greeting."""
    return Talk(OutboundSession(ehlo_name="me.example", tls=tls, credentials=credentials))


def ready(ehlo: bytes = EHLO_PIPELINING, *, chunking: bool = True) -> Talk:
    """A conversation in which transactions may be given."""
    talk = Talk(OutboundSession(ehlo_name="me.example", chunking=chunking))
    talk.hear(b"220 mx ESMTP\r\n", sends=HELLO)
    talk.hear(ehlo, SessionReady())
    return talk


def envelope(*recipients: str) -> bytes:
    rcpts = b"".join(f"RCPT TO:<{recipient}>\r\n".encode() for recipient in recipients or (A,))
    return b"MAIL FROM:<s@example.org>\r\n" + rcpts


def failed(reason: str, *, tls: bool = False) -> SessionFailed:
    return SessionFailed(None, reason, tls)


def failed_by(code: int, status: str, text: str, command: str, *, tls: bool = False) -> SessionFailed:
    reply = Reply(code, status, text, command)
    return SessionFailed(reply, f"the next hop said {code} {text} to {command}", tls)


BYE = b"421 4.3.2 closing\r\n"
TAKEN = b"250 2.0.0 taken\r\n"
OK = b"250 ok\r\n"
GO = b"354 go\r\n"


# --- the opening ----------------------------------------------------------------------------------


def test_greeting_of_several_lines() -> None:
    talk = fresh()
    talk.hear(b"220-mx.example\r\n220-no spam\r\n")
    talk.hear(b"220 thank you\r\n", sends=HELLO)
    assert not talk.takes_more()
    talk.hear(EHLO_PIPELINING, SessionReady())
    assert talk.takes_more()
    assert talk.session.idle
    assert talk.session.extensions.name == "mx"


@pytest.mark.parametrize(
    ("greeting", "event"),
    [
        (b"554 5.7.1 you are listed\r\n", failed_by(554, "5.7.1", "5.7.1 you are listed", "connect")),
        (b"421-busy\r\n421 4.3.2 later\r\n", failed_by(421, "4.0.0", "busy 4.3.2 later", "connect")),
        (b"354 what\r\n", failed_by(354, "3.0.0", "what", "connect")),
        (
            b"HTTP/1.1 400 Bad\r\n",
            failed("the next hop speaks HTTP, not SMTP; check the port of the next hop"),
        ),
    ],
)
def test_greetings_that_end_it(greeting: bytes, event: SessionFailed) -> None:
    talk = fresh()
    talk.hear(greeting, event)
    assert talk.session.ended
    talk.hear(b"220 changed my mind\r\n")
    assert talk.session.lost() == []
    assert talk.session.timed_out() == []


def test_ehlo_refused_then_helo() -> None:
    talk = fresh(OPPORTUNISTIC)
    talk.hear(b"220 old\r\n", sends=HELLO)
    talk.hear(b"502 5.5.1 what is EHLO\r\n", sends=b"HELO me.example\r\n")
    talk.hear(b"250 hello\r\n", SessionReady())
    talk.give(message(), sends=b"MAIL FROM:<s@example.org>\r\n")


@pytest.mark.parametrize("answer", [b"450 4.7.1 later\r\n", b"354 what\r\n", b"421 4.3.2 closing\r\n"])
def test_ehlo_put_off(answer: bytes) -> None:
    talk = fresh()
    talk.hear(b"220 mx\r\n", sends=HELLO)
    (event,) = talk.session.receive(answer)
    assert isinstance(event, SessionFailed)
    assert event.reply is not None
    assert event.reply.command == "EHLO"


def test_helo_refused() -> None:
    talk = fresh()
    talk.hear(b"220 mx\r\n", sends=HELLO)
    talk.hear(b"550 no\r\n", sends=b"HELO me.example\r\n")
    talk.hear(b"550 no\r\n", failed_by(550, "5.0.0", "no", "HELO"))


# --- STARTTLS -------------------------------------------------------------------------------------

EHLO_TLS = b"250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n"


def before_tls(tls: TlsDemand) -> Talk:
    talk = fresh(tls)
    talk.hear(b"220 mx\r\n", sends=HELLO)
    talk.hear(EHLO_TLS, sends=b"STARTTLS\r\n")
    return talk


@pytest.mark.parametrize("tls", [OPPORTUNISTIC, ENCRYPTED, VERIFIED, TESTING])
def test_tls_begins_and_all_is_asked_again(tls: TlsDemand) -> None:
    talk = before_tls(tls)
    talk.hear(b"220 go\r\n", ClientTlsWanted())
    assert talk.session.tls_started(GOOD) == []
    assert talk.session.tls_facts == GOOD
    assert talk.session.take_output() == HELLO
    assert talk.session.extensions.pipelining is False
    talk.hear(b"250-mx\r\n250 STARTTLS\r\n", SessionReady())  # it is not begun twice


@pytest.mark.parametrize("tls", [OPPORTUNISTIC, TESTING])
@pytest.mark.parametrize("answer", [b"454 4.7.0 no\r\n", b"502 what\r\n", b"250 ok\r\n"])
def test_tls_refused_where_it_is_only_wished(tls: TlsDemand, answer: bytes) -> None:
    before_tls(tls).hear(answer, SessionReady())


@pytest.mark.parametrize("tls", [ENCRYPTED, VERIFIED])
def test_tls_refused_where_it_is_needed(tls: TlsDemand) -> None:
    before_tls(tls).hear(
        b"454 4.7.0 not now\r\n", failed_by(454, "4.7.0", "4.7.0 not now", "STARTTLS", tls=True)
    )


@pytest.mark.parametrize(
    ("tls", "event"),
    [
        (OPPORTUNISTIC, SessionReady()),
        (TESTING, SessionReady()),
        (ENCRYPTED, failed("the next hop does not offer STARTTLS; needed by: connector internet", tls=True)),
        (
            VERIFIED,
            failed("the next hop does not offer STARTTLS; needed by: MTA-STS of example.com", tls=True),
        ),
    ],
)
def test_tls_not_offered(tls: TlsDemand, event: ClientEvent) -> None:
    talk = fresh(tls)
    talk.hear(b"220 mx\r\n", sends=HELLO)
    talk.hear(EHLO_PIPELINING, event)


@pytest.mark.parametrize("more", [b"250-mx\r\n250 injected\r\n", b"250 half"])
def test_plaintext_behind_starttls_is_never_read_as_if_under_tls(more: bytes) -> None:
    event = failed("the next hop sent more than the answer to STARTTLS before TLS began", tls=True)
    before_tls(OPPORTUNISTIC).hear(b"220 go\r\n" + more, ClientTlsWanted(), event)
    talk = before_tls(OPPORTUNISTIC)
    talk.hear(b"220 go\r\n", ClientTlsWanted())
    talk.hear(more, event)


def test_handshake_that_fails_or_proves_nothing() -> None:
    talk = before_tls(VERIFIED)
    talk.hear(b"220 go\r\n", ClientTlsWanted())
    assert talk.session.tls_started(BAD) == [
        failed("certificate of the next hop: certificate is for other.example", tls=True)
    ]
    talk = before_tls(OPPORTUNISTIC)
    talk.hear(b"220 go\r\n", ClientTlsWanted())
    assert talk.session.lost("no protocol in common") == [failed("no protocol in common", tls=True)]
    talk = before_tls(OPPORTUNISTIC)
    talk.hear(b"220 go\r\n", ClientTlsWanted())
    assert talk.session.timed_out() == [
        failed("the next hop said nothing for too long at the TLS handshake", tls=True)
    ]
    talk = before_tls(TESTING)
    talk.hear(b"220 go\r\n", ClientTlsWanted())
    assert talk.session.tls_started(BAD) == []


# --- signing in -----------------------------------------------------------------------------------


def sign_in(credentials: Credentials, offered: bytes, *, tls_active: bool = False) -> Talk:
    talk = Talk(OutboundSession(ehlo_name="me.example", tls_active=tls_active, credentials=credentials))
    talk.hear(b"220 mx\r\n", sends=HELLO)
    assert talk.session.receive(b"250-mx\r\n250-PIPELINING\r\n250 %b\r\n" % offered) == []
    return talk


def test_plain() -> None:
    talk = sign_in(LOGIN, b"AUTH LOGIN PLAIN")
    assert talk.session.take_output() == b"AUTH PLAIN " + base64.b64encode(b"\0user\0secret") + b"\r\n"
    talk.hear(b"235 2.7.0 welcome\r\n", SessionReady())


def test_plain_with_a_password_too_long_for_one_command() -> None:
    talk = sign_in(Credentials("user", "x" * 400, tls_needed=True), b"AUTH=PLAIN", tls_active=True)
    assert talk.session.take_output() == b"AUTH PLAIN\r\n"
    talk.hear(b"334 \r\n", sends=base64.b64encode(b"\0user\0" + b"x" * 400) + b"\r\n")
    talk.hear(b"235 welcome\r\n", SessionReady())


def test_login() -> None:
    talk = sign_in(LOGIN, b"AUTH LOGIN")
    assert talk.session.take_output() == b"AUTH LOGIN\r\n"
    talk.hear(b"334 VXNlcm5hbWU6\r\n", sends=b"dXNlcg==\r\n")
    talk.hear(b"334 UGFzc3dvcmQ6\r\n", sends=b"c2VjcmV0\r\n")
    talk.hear(b"235 welcome\r\n", SessionReady())


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        (b"535 5.7.8 wrong\r\n", failed_by(535, "5.7.8", "5.7.8 wrong", "AUTH")),
        (b"454 4.7.0 later\r\n", failed_by(454, "4.7.0", "4.7.0 later", "AUTH")),
        (b"421 4.3.2 bye\r\n", failed_by(421, "4.3.2", "4.3.2 bye", "AUTH")),
        (b"334 more\r\n", failed("the next hop said 334 in the middle of signing in")),
        (b"250 ok\r\n", failed("the next hop said 250 in the middle of signing in")),
    ],
)
def test_sign_in_refused(answer: bytes, event: SessionFailed) -> None:
    talk = sign_in(LOGIN, b"AUTH PLAIN")
    talk.session.take_output()
    talk.hear(answer, event)


@pytest.mark.parametrize(
    ("offered", "names"), [(b"AUTH CRAM-MD5 XOAUTH2", "CRAM-MD5, XOAUTH2"), (b"SIZE", "nothing")]
)
def test_sign_in_not_offered(offered: bytes, names: str) -> None:
    talk = fresh(None, LOGIN)
    talk.hear(b"220 mx\r\n", sends=HELLO)
    talk.hear(
        b"250-mx\r\n250 %b\r\n" % offered,
        failed(f"the next hop offers {names} to sign in with; PLAIN or LOGIN is needed"),
    )


def test_password_does_not_travel_in_the_clear() -> None:
    talk = fresh(OPPORTUNISTIC, Credentials("user", "secret"))
    talk.hear(b"220 mx\r\n", sends=HELLO)
    talk.hear(
        b"250-mx\r\n250 AUTH PLAIN\r\n",
        failed("the password for the next hop may only be sent under TLS, which it does not offer"),
    )


def test_lost_early() -> None:
    assert fresh().session.lost() == [failed("connection lost at connect")]
    talk = fresh()
    talk.hear(b"\x15\x03\x01\x00\x02\x02\x0a"[:5])
    (event,) = talk.session.lost()
    assert isinstance(event, SessionFailed)
    assert "speaks TLS" in event.reason


# --- time -----------------------------------------------------------------------------------------


def test_deadlines() -> None:
    talk = fresh()
    session = talk.session
    assert session.deadline(1000) == 1300
    talk.hear(b"220 mx\r\n", sends=HELLO)
    assert session.deadline(1000) == 1300
    talk.hear(EHLO_PIPELINING, SessionReady())
    assert session.deadline(1000) is None
    talk.give(message(data=b"x" * 2_000_000), sends=envelope() + b"DATA\r\n")
    assert session.deadline(1000) == 1300
    talk.hear(OK + OK)
    assert session.deadline(1000) == 1120
    session.receive(GO)
    assert session.deadline(1000) == 1700  # 600 s, and what the data itself may take
    assert session.timed_out() == [failed("the next hop said nothing for too long at message")]
    assert session.deadline(1000) is None
    impatient = OutboundSession(ehlo_name="me.example", inactivity_s=1)
    assert impatient.deadline(1000) == 1001
    impatient.receive(b"220 mx\r\n" + EHLO_PIPELINING)
    impatient.deliver(message(data=b""))
    assert impatient.deadline(1000) == 1001
    impatient.receive(OK + OK + GO)
    assert impatient.deadline(1000) == 1600  # who gives up here sends twice


@pytest.mark.parametrize("more", [b"", b"250-CHUNKING\r\n"])
def test_a_server_of_ours_gets_a_message_only_after_the_answer_to_the_one_before(more: bytes) -> None:
    # It takes whatever comes after its 250 for the proof that the 250 was read.
    talk = fresh(OPPORTUNISTIC)
    session = talk.session
    session.receive(b"220 mx\r\n" + EHLO_TLS)
    session.receive(b"220 go\r\n")
    session.tls_started(replace(GOOD, server="mail2"))
    session.receive(b"250-mx\r\n250-PIPELINING\r\n" + more + b"250 XHOLDFAST 1\r\n")
    session.deliver(message(1))
    assert not session.can_take_more
    session.receive(OK + OK + (b"" if more else GO))
    session.take_output()
    assert not session.can_take_more
    session.receive(TAKEN)
    assert session.can_take_more


# --- whatever is answered -------------------------------------------------------------------------

ANSWERS = st.sampled_from(
    [OK, TAKEN, GO, BYE, b"550 5.1.1 no\r\n", b"450 later\r\n", b"503 no\r\n", b"250-x\r\n", b"220 go\r\n",
     EHLO_PIPELINING, EHLO_CHUNKING, EHLO_TLS, b"250 mx\r\n", b"\x00\xff", b"334 \r\n", b"235 in\r\n"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(ANSWERS, max_size=25), st.sampled_from([None, OPPORTUNISTIC, VERIFIED]), st.booleans())
def test_any_answers(answers: list[bytes], tls: TlsDemand | None, signs_in: bool) -> None:
    session = fresh(tls, LOGIN if signs_in else None).session
    given, doubtful, done = 0, set(), set()
    for answer in answers:
        events = session.receive(answer)
        if ClientTlsWanted() in events and not session.ended:
            events += session.tls_started(GOOD)
        while session.can_take_more:
            given += 1
            events += session.deliver(message(given, A, B))
        for event in events:
            if isinstance(event, DotSent):
                assert event.number not in done
                doubtful.add(event.number)
            elif isinstance(event, TransactionDone):
                assert event.number not in done
                done.add(event.number)
                if event.accepted:
                    assert event.number in doubtful
                named = [*event.accepted, *(recipient for recipient, _ in event.refused)]
                assert sorted(named) == [A, B]
            elif isinstance(event, SessionFailed):
                assert session.ended
        session.take_output()
        assert given - len(done) <= 2 or session.ended
