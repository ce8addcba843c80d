"""Messages in a session with a next hop, as a table: what it answers, what we send, what becomes of each."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.transport.envelope import PLAIN_ENVELOPE, EnvelopeOptions
from holdfast.transport.outbound_session import (
    AT_ONCE_BYTES_MAX,
    ClientEvent,
    DotSent,
    OutboundSession,
    Reply,
    SessionFailed,
    SessionReady,
    Transaction,
    TransactionDone,
)

BODY = b"Subject: x\r\n\r\nbody\r\n"
EHLO_PIPELINING = b"250-mx\r\n250 PIPELINING\r\n"
EHLO_CHUNKING = b"250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
HELLO = b"EHLO me.example\r\n"
A, B, C = "a@example.com", "b@example.com", "c@example.com"


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


def ready(ehlo: bytes = EHLO_PIPELINING, *, chunking: bool = True) -> Talk:
    """A conversation in which transactions may be given."""
    talk = Talk(OutboundSession(ehlo_name="me.example", chunking=chunking))
    talk.hear(b"220 mx ESMTP\r\n", sends=HELLO)
    talk.hear(ehlo, SessionReady())
    return talk


def envelope(*recipients: str) -> bytes:
    rcpts = b"".join(f"RCPT TO:<{recipient}>\r\n".encode() for recipient in recipients or (A,))
    return b"MAIL FROM:<s@example.org>\r\n" + rcpts


def accepted(number: int = 1, *recipients: str, text: str = "2.0.0 taken") -> TransactionDone:
    return TransactionDone(number, recipients or (A,), (), Reply(250, "2.0.0", text, "message"))


def refused(number: int, reply: Reply, *recipients: str) -> TransactionDone:
    return TransactionDone(number, (), tuple((recipient, reply) for recipient in recipients or (A,)), reply)


def failed(reason: str, *, tls: bool = False) -> SessionFailed:
    return SessionFailed(None, reason, tls)


def failed_by(code: int, status: str, text: str, command: str, *, tls: bool = False) -> SessionFailed:
    reply = Reply(code, status, text, command)
    return SessionFailed(reply, f"the next hop said {code} {text} to {command}", tls)


TAKEN = b"250 2.0.0 taken\r\n"
OK = b"250 ok\r\n"
GO = b"354 go\r\n"


# --- transactions ---------------------------------------------------------------------------------


def test_one_after_the_other_without_pipelining() -> None:
    talk = ready(b"250 mx\r\n")
    talk.give(message(1, A, B), sends=b"MAIL FROM:<s@example.org>\r\n")
    assert not talk.takes_more()
    talk.hear(OK, sends=b"RCPT TO:<a@example.com>\r\n")
    talk.hear(OK, sends=b"RCPT TO:<b@example.com>\r\n")
    talk.hear(OK, sends=b"DATA\r\n")
    talk.hear(GO, DotSent(1), sends=BODY + b".\r\n")
    talk.hear(TAKEN, accepted(1, A, B))
    talk.give(message(2), sends=b"MAIL FROM:<s@example.org>\r\n")


def test_body_and_next_envelope_in_one_write() -> None:
    talk = ready()
    talk.give(message(1), sends=envelope() + b"DATA\r\n")
    talk.give(message(2))
    assert not talk.takes_more()
    talk.hear(OK + OK + GO, DotSent(1), sends=BODY + b".\r\n" + envelope() + b"DATA\r\n")
    assert not talk.takes_more()
    # Given between the answers and the write: the same write.
    assert talk.session.receive(TAKEN + OK + OK + GO) == [accepted(1), DotSent(2)]
    assert talk.takes_more()
    talk.give(message(3), sends=BODY + b".\r\n" + envelope() + b"DATA\r\n")
    talk.hear(TAKEN, accepted(2))
    talk.hear(OK + OK + GO, DotSent(3), sends=BODY + b".\r\n")
    talk.hear(TAKEN, accepted(3))
    assert talk.session.idle
    talk.session.quit()
    assert talk.session.take_output() == b"QUIT\r\n"
    talk.hear(b"221 bye\r\n")
    assert talk.session.lost() == []


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        (b"", b".\r\n"),
        (b"x", b"x\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b"x\r\n.\r\n..y\r\n.", b"x\r\n..\r\n...y\r\n..\r\n.\r\n"),
        (b"\r\n.\r\n.\r\n", b"\r\n..\r\n..\r\n.\r\n"),
        (b"a.b.\r\n", b"a.b.\r\n.\r\n"),
    ],
)
def test_dots(data: bytes, sent: bytes) -> None:
    talk = ready()
    talk.give(message(data=data), sends=envelope() + b"DATA\r\n")
    talk.hear(OK + OK + GO, DotSent(1), sends=sent)


def test_some_recipients_refused() -> None:
    talk = ready()
    talk.give(message(1, A, B, C), sends=envelope(A, B, C) + b"DATA\r\n")
    talk.hear(OK + OK + b"550 5.1.1 no b\r\n" + b"452 4.5.3 too many\r\n")
    talk.hear(GO, DotSent(1), sends=BODY + b".\r\n")
    no_b, too_many = Reply(550, "5.1.1", "5.1.1 no b", "RCPT"), Reply(452, "4.5.3", "4.5.3 too many", "RCPT")
    taken = Reply(250, "2.0.0", "2.0.0 taken", "message")
    talk.hear(TAKEN, TransactionDone(1, (A,), ((B, no_b), (C, too_many)), taken))


def test_mail_refused() -> None:
    talk = ready()
    no = Reply(450, "4.7.1", "4.7.1 greylisted", "MAIL")
    talk.give(message(1, A, B), sends=envelope(A, B) + b"DATA\r\n")
    talk.hear(b"450 4.7.1 greylisted\r\n", refused(1, no, A, B))
    talk.give(message(2))
    bad = b"503 bad sequence\r\n"
    # Its other answers are read and dropped; RSET, since nobody knows what is still open there.
    talk.hear(bad * 3, sends=b"RSET\r\n" + envelope() + b"DATA\r\n")
    talk.hear(OK + OK + OK + GO, DotSent(2), sends=BODY + b".\r\n")
    talk.hear(TAKEN, accepted(2))


def test_mail_refused_without_pipelining() -> None:
    talk = ready(b"250 mx\r\n")
    talk.give(message(), sends=b"MAIL FROM:<s@example.org>\r\n")
    talk.hear(b"550 5.7.1 no\r\n", refused(1, Reply(550, "5.7.1", "5.7.1 no", "MAIL")))
    talk.give(message(2), sends=b"RSET\r\n")
    talk.hear(OK, sends=b"MAIL FROM:<s@example.org>\r\n")
    talk.hear(OK, sends=b"RCPT TO:<a@example.com>\r\n")
    talk.hear(
        b"550 5.1.1 no\r\n", TransactionDone(2, (), ((A, Reply(550, "5.1.1", "5.1.1 no", "RCPT")),), None)
    )
    talk.give(message(3), sends=b"RSET\r\n")
    talk.hear(b"502 what\r\n", failed_by(502, "5.0.0", "what", "RSET"))


def nobody(number: int = 1) -> TransactionDone:
    return TransactionDone(number, (), ((A, Reply(550, "5.1.1", "5.1.1 no", "RCPT")),), None)


def test_all_recipients_refused_and_data_too() -> None:
    talk = ready()
    talk.give(message(), sends=envelope() + b"DATA\r\n")
    talk.hear(OK + b"550 5.1.1 no\r\n", nobody())
    talk.hear(b"554 no valid recipients\r\n")
    talk.give(message(2), sends=b"RSET\r\n" + envelope() + b"DATA\r\n")


@pytest.mark.parametrize("end", [b"554 nobody\r\n", b"250 an empty message for nobody\r\n"])
def test_all_recipients_refused_and_data_taken(end: bytes) -> None:
    talk = ready()
    talk.give(message(), sends=envelope() + b"DATA\r\n")
    talk.give(message(2))
    talk.hear(OK + b"550 5.1.1 no\r\n" + GO, nobody(), sends=b".\r\n" + envelope() + b"DATA\r\n")
    talk.hear(end)
    talk.hear(OK + OK + GO, DotSent(2), sends=BODY + b".\r\n")
    talk.hear(TAKEN, accepted(2))


@pytest.mark.parametrize("code", [451, 554])
def test_data_refused(code: int) -> None:
    talk = ready()
    reply = Reply(code, f"{code // 100}.3.0", f"{code // 100}.3.0 no", "DATA")
    talk.give(message(), sends=envelope() + b"DATA\r\n")
    talk.hear(OK + OK + f"{code} {code // 100}.3.0 no\r\n".encode(), refused(1, reply))
    talk.give(message(2), sends=b"RSET\r\n" + envelope() + b"DATA\r\n")


@pytest.mark.parametrize("code", [452, 554])
def test_message_refused(code: int) -> None:
    talk = ready()
    reply = Reply(code, f"{code // 100}.0.0", "no", "message")
    talk.give(message(), sends=envelope() + b"DATA\r\n")
    talk.hear(OK + OK + GO, DotSent(1), sends=BODY + b".\r\n")
    talk.hear(f"{code} no\r\n".encode(), refused(1, reply))
    talk.give(message(2), sends=envelope() + b"DATA\r\n")  # the end of the data ended the transaction


BYE = b"421 4.3.2 closing\r\n"


@pytest.mark.parametrize(
    ("before", "command"),
    [(b"", "MAIL"), (OK, "RCPT"), (OK + OK, "DATA")],
)
def test_421_before_the_message(before: bytes, command: str) -> None:
    talk = ready()
    talk.give(message(), sends=envelope() + b"DATA\r\n")
    talk.hear(before + BYE, failed_by(421, "4.3.2", "4.3.2 closing", command))


def test_421_to_the_message_is_an_answer() -> None:
    talk = ready()
    talk.give(message(), sends=envelope() + b"DATA\r\n")
    talk.give(message(2))
    talk.hear(OK + OK + GO, DotSent(1), sends=BODY + b".\r\n" + envelope() + b"DATA\r\n")
    no = Reply(421, "4.3.2", "4.3.2 closing", "message")
    talk.hear(BYE, refused(1, no), failed_by(421, "4.3.2", "4.3.2 closing", "message"))


def test_421_between_messages() -> None:
    ready().hear(BYE, failed_by(421, "4.3.2", "4.3.2 closing", "ready"))


def test_421_to_rset() -> None:
    talk = ready()
    talk.give(message(), sends=envelope() + b"DATA\r\n")
    talk.hear(OK + b"550 5.1.1 no\r\n" + b"554 no\r\n", nobody())
    talk.give(message(2), sends=b"RSET\r\n" + envelope() + b"DATA\r\n")
    talk.hear(BYE, failed_by(421, "4.3.2", "4.3.2 closing", "RSET"))


@pytest.mark.parametrize(
    ("answers", "events"),
    [
        (b"354 what\r\n", [failed("the next hop said 354 to MAIL")]),
        (OK + GO, [failed("the next hop said 354 to RCPT")]),
        (OK + OK + OK, [failed("the next hop said 250 to DATA")]),
        (OK + OK + GO + GO, [DotSent(1), failed("the next hop said 354 to the message")]),
        (OK + OK + GO + TAKEN + OK, [DotSent(1), accepted(), failed(
            "the next hop said 250 although nothing was asked")]),
        (OK + b"+OK\r\n", [failed("the next hop speaks POP3, not SMTP; check the port of the next hop")]),
    ],
)  # fmt: skip
def test_answers_out_of_step(answers: bytes, events: list[ClientEvent]) -> None:
    talk = ready()
    talk.give(message(), sends=envelope() + b"DATA\r\n")
    assert talk.session.receive(answers) == events
    assert talk.session.ended
    assert talk.session.take_output() == b""


def test_lost_after_the_end_is_not_an_acceptance() -> None:
    talk = ready()
    talk.give(message(), sends=envelope() + b"DATA\r\n")
    talk.hear(OK + OK + GO, DotSent(1), sends=BODY + b".\r\n")
    talk.hear(b"250 2.0.0 tak")
    assert talk.session.lost("reset") == [failed("connection lost at message: reset")]


# --- BDAT -----------------------------------------------------------------------------------------


def bdat(data: bytes = BODY) -> bytes:
    return b"BDAT %d LAST\r\n" % len(data) + data


def test_all_in_one_write() -> None:
    talk = ready(EHLO_CHUNKING)
    dotted = b"x\r\n.\r\n"
    talk.give(message(data=dotted), DotSent(1), sends=envelope() + bdat(dotted))
    talk.give(message(2), DotSent(2), sends=b"RSET\r\n" + envelope() + bdat())
    assert not talk.takes_more()
    talk.hear(OK + OK + TAKEN, accepted())
    talk.hear(OK + OK + OK + TAKEN, accepted(2))
    talk.give(message(3), DotSent(3), sends=envelope() + bdat())


@pytest.mark.parametrize("answer", [b"503 5.5.1 no recipients\r\n", b"554 no\r\n", b"502 no\r\n", TAKEN])
def test_all_recipients_refused_and_the_chunk_is_there(answer: bytes) -> None:
    talk = ready(EHLO_CHUNKING)
    talk.give(message(), DotSent(1), sends=envelope() + bdat())
    talk.hear(OK + b"550 5.1.1 no\r\n", nobody())
    talk.hear(answer)
    reset = b"" if answer is TAKEN else b"RSET\r\n"
    talk.give(message(2), DotSent(2), sends=reset + envelope() + bdat())


def test_a_large_message_waits_for_its_recipients() -> None:
    large = b"x" * AT_ONCE_BYTES_MAX + b"\r\n"
    talk = ready(EHLO_CHUNKING)
    talk.give(message(data=large), sends=envelope())
    talk.give(message(2))
    talk.hear(OK + OK, DotSent(1), DotSent(2), sends=bdat(large) + b"RSET\r\n" + envelope() + bdat())
    talk.hear(TAKEN, accepted())
    talk.hear(OK + OK + OK + TAKEN, accepted(2))
    talk.give(message(3, data=large), sends=envelope())
    talk.hear(OK + b"550 5.1.1 no\r\n", nobody(3))  # and is not sent for nobody
    assert talk.session.idle


def test_chunks_without_pipelining() -> None:
    talk = ready(b"250-mx\r\n250 CHUNKING\r\n")
    talk.give(message(), sends=b"MAIL FROM:<s@example.org>\r\n")
    talk.hear(OK, sends=b"RCPT TO:<a@example.com>\r\n")
    talk.hear(OK, DotSent(1), sends=bdat())
    talk.hear(b"451 no\r\n", refused(1, Reply(451, "4.0.0", "no", "message")))


def test_chunking_that_is_offered_and_not_done() -> None:
    talk = ready(EHLO_CHUNKING)
    talk.give(message(), DotSent(1), sends=envelope() + bdat())
    talk.hear(OK + OK + b"502 what\r\n", failed("the next hop offers CHUNKING and said 502 to BDAT"))
    talk = ready(EHLO_CHUNKING, chunking=False)
    talk.give(message(), sends=envelope() + b"DATA\r\n")


# --- our own judgement ----------------------------------------------------------------------------


def test_what_the_next_hop_cannot_take_is_not_sent() -> None:
    talk = ready(b"250-mx\r\n250-PIPELINING\r\n250 SIZE 10\r\n")
    text = "5.3.4 message of 20 bytes is larger than the 10 that the next hop takes"
    talk.give(message(1, A, B), refused(1, Reply(552, "5.3.4", text, "MAIL", local=True), A, B))
    assert talk.session.idle
    smuggled = talk.session.deliver(message(2, data=b"\n.\r\n"))
    assert isinstance(smuggled[0], TransactionDone)
    assert smuggled[0].refused[0][1].status == "5.6.0"
    (done,) = talk.session.deliver(message(3, "é@example.com", data=b"x\r\n"))
    assert isinstance(done, TransactionDone)
    assert done.refused[0][1].status == "5.6.7"
    assert talk.session.take_output() == b""


def test_one_address_that_cannot_be_named_does_not_hold_up_the_others() -> None:
    talk = ready()
    talk.give(message(1, A, "é@example.com"), sends=envelope() + b"DATA\r\n")
    talk.hear(OK + OK + GO, DotSent(1), sends=BODY + b".\r\n")
    (done,) = talk.session.receive(TAKEN)
    assert isinstance(done, TransactionDone)
    assert done.accepted == (A,)
    assert [recipient for recipient, _ in done.refused] == ["é@example.com"]


def test_reports_are_passed_on() -> None:
    talk = ready(b"250-mx\r\n250-PIPELINING\r\n250 DSN\r\n")
    options = EnvelopeOptions(return_content="HDRS")
    assert talk.session.deliver(Transaction(1, "", (A,), BODY, options)) == []
    assert talk.session.take_output().startswith(b"MAIL FROM:<> RET=HDRS\r\n")
    done = talk.session.receive(OK + OK + GO + TAKEN)[-1]
    assert isinstance(done, TransactionDone)
    assert done.reports_passed_on


# --- however it is cut ----------------------------------------------------------------------------

CONVERSATION = OK + OK + b"550-5.1.1 no\r\n550 5.1.1 really\r\n" + GO + TAKEN + OK + OK + GO + b"452 full\r\n"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, len(CONVERSATION) - 1), max_size=12))
def test_segments_change_nothing(cuts: list[int]) -> None:
    def run(edges: list[int]) -> tuple[list[ClientEvent], bytes]:
        talk = ready()
        events = talk.session.deliver(message(1, A, B)) + talk.session.deliver(message(2))
        sent = talk.session.take_output()
        for begin, end in itertools.pairwise(edges):
            events += talk.session.receive(CONVERSATION[begin:end])
            sent += talk.session.take_output()
        return events, sent

    whole = [0, len(CONVERSATION)]
    assert run(sorted({*whole, *cuts})) == run(whole)


# --- 8 bits -----------------------------------------------------------------------------------------

EIGHT = b"Subject: x\r\n\r\n" + "Gr\u00fc\u00dfe\r\n".encode()
SEVEN = (
    b"Subject: x\r\nContent-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nGr=C3=BC=C3=9Fe\r\n"
)


def test_a_body_of_8_bits_is_encoded_for_a_next_hop_without_8bitmime() -> None:
    talk = ready(b"250-mx\r\n250-SIZE\r\n250 PIPELINING\r\n")
    mail = b"MAIL FROM:<s@example.org> SIZE=%d\r\nRCPT TO:<a@example.com>\r\nDATA\r\n" % len(SEVEN)
    talk.give(message(data=EIGHT), sends=mail)
    talk.hear(b"250 ok\r\n250 ok\r\n354 go\r\n", DotSent(1), sends=SEVEN + b".\r\n")


def test_a_body_of_8_bits_goes_as_it_is_where_8bitmime_is_offered() -> None:
    talk = ready(b"250-mx\r\n250-8BITMIME\r\n250 PIPELINING\r\n")
    mail = b"MAIL FROM:<s@example.org> BODY=8BITMIME\r\nRCPT TO:<a@example.com>\r\nDATA\r\n"
    talk.give(message(data=EIGHT), sends=mail)
    talk.hear(b"250 ok\r\n250 ok\r\n354 go\r\n", DotSent(1), sends=EIGHT + b".\r\n")


def test_what_cannot_be_encoded_is_refused_for_this_next_hop() -> None:
    signed = b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xfc\r\n--b--\r\n"
    talk = ready()
    (done,) = talk.session.deliver(message(data=signed))
    assert isinstance(done, TransactionDone)
    assert done.reply is not None
    assert (done.reply.code, done.reply.status, done.reply.local) == (554, "5.6.3", True)
    assert talk.session.take_output() == b""
