"""One SMTP session with a next hop as a machine: replies in, commands and outcomes out.

The session is given transactions one after the other and says what became of
each recipient. It pipelines where it may (RFC 2920): a message body and the
next message's MAIL, RCPT and DATA travel in one write. Two transactions are in
it at most, so that few messages are in doubt when a connection breaks. To a server
of ours they go one by one: it takes what comes after its 250 for the proof that the
250 was read (``intake``), and by that knows a repetition.

Where the next hop offers CHUNKING and PIPELINING, a message of up to 64 KB goes
with its whole envelope in one write, without waiting for the recipients and for
354; a larger one follows its recipients, so that it is not sent for nothing.

Invariant: a recipient is reported accepted only after the next hop's final 250
to the message; ``DotSent`` is reported before the bytes that could make the
next hop accept a message leave us.

It has no clock: ``deadline(now)`` says until when the next hop must have said
something, if ``now`` is when one of both last did.

Source: RFC 5321 section 4.5.3.2 (time-outs); RFC 2920; RFC 3030 (BDAT); RFC 3207; RFC 4954; RFC 3461;
RFC 6531.
"""

from __future__ import annotations

import base64
import enum
from collections import deque
from dataclasses import dataclass, field

from holdfast.kernel.errors import Refusal
from holdfast.transport.outbound_envelope import Envelope, for_seven_bits, write_envelope
from holdfast.transport.outbound_words import (
    DATA_STEP,
    MAIL,
    MESSAGE_STEP,
    RCPT,
    RSET,
    STEP_NAMES,
    ClientEvent,
    ClientTlsWanted,
    Credentials,
    DotSent,
    Reply,
    SessionFailed,
    SessionReady,
    Step,
    Transaction,
    TransactionDone,
    offered_by,
    own_judgement,
    refused_by_us,
    reply_of,
)
from holdfast.transport.tls_policy import TlsDemand, TlsFacts, TlsLevel
from holdfast.wire.line_ends import dots_doubled
from holdfast.wire.smtp_reply import (
    NO_EXTENSIONS,
    Extensions,
    ReplyReader,
    ServerReply,
    no_reply,
)

__all__ = [
    "ClientEvent",
    "ClientTlsWanted",
    "Credentials",
    "DotSent",
    "OutboundSession",
    "Reply",
    "SessionFailed",
    "SessionReady",
    "Transaction",
    "TransactionDone",
]

AT_ONCE_BYTES_MAX = 65_536  # by BDAT before the recipients are answered
IN_FLIGHT_MAX = 2

# RFC 5321 section 4.5.3.2, in seconds.
GREETING_S = 300.0
COMMAND_S = 300.0
DATA_S = 120.0
MESSAGE_S = 600.0
# A message that is still being written counts against the wait for its answer.
SLOWEST_BYTES_PER_S = 20_000
# Some servers cut a command at 512 bytes; a longer sign-in goes in a line of its own (RFC 4954 section 4).
INITIAL_RESPONSE_BYTES_MAX = 480


class _State(enum.Enum):
    GREETING = "connect"
    EHLO = "EHLO"
    HELO = "HELO"
    STARTTLS = "STARTTLS"
    HANDSHAKE = "the TLS handshake"
    SIGN_IN = "AUTH"
    READY = "ready"
    ENDED = "ended"


# By these names, since looking a member up in its class costs more than the comparison.
_READY, _ENDED, _HANDSHAKE = _State.READY, _State.ENDED, _State.HANDSHAKE


@dataclass(slots=True, eq=False)
class _Given:
    """A transaction on its way.

    Attributes:
        step: the reply that comes next.
        sent: whether its envelope was sent.
        body_sent: whether nothing of it is left to be sent.
        chunked: whether it goes by BDAT.
        rcpt_count: recipients that were answered.
        told: whether ``TransactionDone`` was reported; what is still answered is read and dropped.
    """

    transaction: Transaction
    envelope: Envelope
    refused: list[tuple[str, Reply]]
    chunked: bool
    step: Step = MAIL
    sent: bool = False
    body_sent: bool = False
    rcpt_count: int = 0
    accepted: list[str] = field(default_factory=list)
    told: bool = False


class OutboundSession:
    """The conversation on one connection to a next hop.

    It begins when the connection is open (and TLS is on, where it is on from the first byte).
    After every call the caller writes ``take_output()`` and acts on the events, in order.
    After ``SessionFailed`` nothing more comes, and the connection is to be closed.

    Public attributes: ``extensions`` offered last; ``tls_facts`` of STARTTLS; ``chunking``, until BDAT fails.
    """

    def __init__(
        self,
        *,
        ehlo_name: str,
        tls: TlsDemand | None = None,
        tls_active: bool = False,
        credentials: Credentials | None = None,
        inactivity_s: float = MESSAGE_S,
        chunking: bool = True,
    ) -> None:
        """Wait for the greeting.

        Args:
            ehlo_name: who we say we are.
            tls: what is needed of STARTTLS; None never begins TLS.
            tls_active: TLS is on already.
            credentials: to sign in with before anything is sent; None does not sign in.
            inactivity_s: the longest wait for a reply, but not for that to a message.
            chunking: whether BDAT is used where it is offered.
        """
        self._ehlo_name = ehlo_name
        self._tls = tls
        self._tls_active = tls_active
        self._credentials = credentials
        self._inactivity_s = inactivity_s
        self.chunking = chunking
        self._state = _State.GREETING
        self._reader = ReplyReader()
        self._given: deque[_Given] = deque()
        self._sign_in_lines: list[bytes] = []  # answers to 334, the last one first
        self._reset_first = False  # the next hop may still have a transaction open
        self._output: list[bytes] = []
        self._events: list[ClientEvent] = []
        self.extensions: Extensions = NO_EXTENSIONS
        self.tls_facts: TlsFacts | None = None

    # --- for the caller ------------------------------------------------------------------------

    @property
    def can_take_more(self) -> bool:
        """Whether a transaction may be given now."""
        if self._state is not _READY:
            return False
        given = self._given
        if not given:
            return True
        extensions = self.extensions
        return extensions.pipelining and not extensions.holdfast and len(given) < IN_FLIGHT_MAX

    @property
    def idle(self) -> bool:
        """Whether it is ready, and nothing is under way."""
        return self._state is _READY and not self._given

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self._state is _ENDED

    def receive(self, data: bytes) -> list[ClientEvent]:
        """Take bytes of the next hop, cut anyhow."""
        if self._state is _ENDED:
            return []
        reader = self._reader
        reader.feed(data)
        try:
            while self._state is not _ENDED and (reply := reader.take()) is not None:
                self._answer(reply)
        except Refusal as refusal:
            self._fail(None, f"the next hop {refusal.text}")
        if self._state is _HANDSHAKE and not reader.empty:
            self._injected()
        return self._take_events()

    def deliver(self, transaction: Transaction) -> list[ClientEvent]:
        """Send a message; only while ``can_take_more``."""
        assert self.can_take_more, "not now"
        assert transaction.recipients
        try:
            if not self.extensions.eight_bit:
                transaction = for_seven_bits(transaction)
            envelope = write_envelope(transaction, self.extensions)
        except Refusal as refusal:
            return [refused_by_us(transaction, refusal)]
        judged = [(recipient, own_judgement(refusal, "RCPT")) for recipient, refusal in envelope.refused]
        if not envelope.recipients:
            return [TransactionDone(transaction.number, (), tuple(judged), None)]
        given = _Given(transaction, envelope, judged, self.chunking and self.extensions.chunking)
        self._given.append(given)
        if len(self._given) == 1 or self._given[0].body_sent:
            self._send_envelope(given)
        return self._take_events()

    def take_output(self) -> bytes:
        """What is to be sent now, in one write."""
        output = self._output
        if not output:
            return b""
        self._output = []
        return output[0] if len(output) == 1 else b"".join(output)

    def tls_started(self, facts: TlsFacts) -> list[ClientEvent]:
        """TLS is on, after ``ClientTlsWanted``."""
        assert self._state is _HANDSHAKE
        tls = self._tls
        assert tls is not None
        # The driver judges the handshake; this is the door that a slip there would not open.
        if tls.proof_needed and not facts.verified:
            self._fail(None, f"certificate of the next hop: {facts.problem or 'not verified'}", tls=True)
            return self._take_events()
        self.tls_facts = facts
        self._tls_active = True
        self.extensions = NO_EXTENSIONS  # RFC 3207 section 4.2
        self._say_hello()
        return self._take_events()

    def quit(self) -> None:
        """Take leave; the answer is not waited for. Only while nothing is under way."""
        assert not self._given
        if self._state is not _ENDED:
            self._output.append(b"QUIT\r\n")
            self._state = _ENDED

    def lost(self, reason: str = "") -> list[ClientEvent]:
        """The connection is gone; a message whose end was sent may have been taken, or not."""
        if self._state is _ENDED:
            return []
        if self._state is _HANDSHAKE:
            self._fail(None, reason or "the next hop ended the TLS handshake", tls=True)
            return self._take_events()
        text = f"connection lost at {self._awaited}"
        if reason:
            text += f": {reason}"
        if (pending := self._reader.pending) and not pending[:1].isdigit():
            text += f"; the next hop {no_reply(pending)}"
        # Some break at STARTTLS itself: where TLS is optional that is no reason to have no mail, either.
        self._fail(None, text, tls=self._state is _State.STARTTLS)
        return self._take_events()

    def deadline(self, now: float) -> float | None:
        """Until when the next hop must have said something; None while nothing is awaited.

        Source: RFC 5321 section 4.5.3.2.
        """
        if self._state is _ENDED or (self._state is _READY and not self._given):
            return None
        if self._state is not _READY:
            return now + min(GREETING_S, self._inactivity_s)
        head = self._given[0]
        if not head.body_sent:
            limit_s = DATA_S if head.step is DATA_STEP else COMMAND_S
            return now + min(limit_s, self._inactivity_s)
        # Whoever gives up here may have been understood, and sends the message twice (RFC 1047): with
        # a second of patience and a slow line it did so on and on. So no setting shortens this wait.
        return now + MESSAGE_S + len(head.transaction.data) / SLOWEST_BYTES_PER_S

    def timed_out(self) -> list[ClientEvent]:
        """The deadline has passed."""
        if self._state is not _ENDED:
            self._fail(
                None,
                f"the next hop said nothing for too long at {self._awaited}",
                tls=self._state in (_HANDSHAKE, _State.STARTTLS),
            )
        return self._take_events()

    # --- the opening ---------------------------------------------------------------------------

    def _answer(self, reply: ServerReply) -> None:
        if self._state is _READY:
            if self._given:
                self._transaction_answer(self._given[0], reply)
            elif reply.code == 421:
                self._fail(reply_of(reply, "ready"))
            else:
                self._fail(None, f"the next hop said {reply.code} although nothing was asked")
            return
        if self._state is _HANDSHAKE:
            self._injected()
            return
        good = 200 <= reply.code < 300
        match self._state:
            case _State.GREETING if good:
                self._say_hello()
            case _State.EHLO if good:
                self.extensions = offered_by(reply, self.tls_facts)
                self._after_hello()
            case _State.EHLO if reply.code >= 500:
                # RFC 5321 section 3.2: a server that does not know EHLO is asked by HELO.
                self._output.append(b"HELO %b\r\n" % self._ehlo_name.encode("ascii", "replace"))
                self._state = _State.HELO
            case _State.HELO if good:
                self._after_hello()
            case _State.STARTTLS:
                self._tls_answer(reply)
            case _State.SIGN_IN:
                self._sign_in_answer(reply)
            case _:
                self._fail(reply_of(reply, self._state.value))

    def _say_hello(self) -> None:
        self._output.append(b"EHLO %b\r\n" % self._ehlo_name.encode("ascii", "replace"))
        self._state = _State.EHLO

    def _after_hello(self) -> None:
        if self._tls is not None and not self._tls_active:
            if self.extensions.starttls:
                self._output.append(b"STARTTLS\r\n")
                self._state = _State.STARTTLS
                return
            if self._tls_needed:
                self._fail(
                    None, f"the next hop does not offer STARTTLS; needed by: {self._tls.why}", tls=True
                )
                return
        self._sign_in()

    @property
    def _tls_needed(self) -> bool:
        tls = self._tls
        return tls is not None and tls.level is not TlsLevel.OPPORTUNISTIC and not tls.only_report

    def _tls_answer(self, reply: ServerReply) -> None:
        if reply.code == 220:
            self._state = _HANDSHAKE
            self._events.append(ClientTlsWanted())
        elif reply.code == 421 or self._tls_needed:
            self._fail(reply_of(reply, "STARTTLS"), tls=True)
        else:
            self._sign_in()  # RFC 3207 section 4.1: the conversation goes on as if nothing had been asked

    def _injected(self) -> None:
        # Somebody between us and the next hop may have put it there, to be read as said under TLS.
        self._fail(None, "the next hop sent more than the answer to STARTTLS before TLS began", tls=True)

    def _sign_in(self) -> None:
        credentials = self._credentials
        if credentials is None:
            self._ready()
            return
        if credentials.tls_needed and not self._tls_active:
            self._fail(
                None, "the password for the next hop may only be sent under TLS, which it does not offer"
            )
            return
        user, password = credentials.user.encode(), credentials.password.encode()
        offered = self.extensions.sign_in
        if "PLAIN" in offered:
            response = base64.b64encode(b"\0%b\0%b" % (user, password))  # RFC 4616 section 2
            if len(response) > INITIAL_RESPONSE_BYTES_MAX:
                self._sign_in_lines = [response]
                self._output.append(b"AUTH PLAIN\r\n")
            else:
                self._output.append(b"AUTH PLAIN %b\r\n" % response)
        elif "LOGIN" in offered:
            self._sign_in_lines = [base64.b64encode(password), base64.b64encode(user)]
            self._output.append(b"AUTH LOGIN\r\n")
        else:
            names = ", ".join(sorted(offered)) or "nothing"
            self._fail(None, f"the next hop offers {names} to sign in with; PLAIN or LOGIN is needed")
            return
        self._state = _State.SIGN_IN

    def _sign_in_answer(self, reply: ServerReply) -> None:
        if reply.code == 334 and self._sign_in_lines:
            self._output.append(self._sign_in_lines.pop() + b"\r\n")
        elif reply.code == 235 and not self._sign_in_lines:
            self._ready()
        elif reply.code >= 400:
            self._fail(reply_of(reply, "AUTH"))
        else:
            self._fail(None, f"the next hop said {reply.code} in the middle of signing in")

    def _ready(self) -> None:
        self._state = _READY
        self._events.append(SessionReady())

    # --- transactions --------------------------------------------------------------------------

    def _send_envelope(self, given: _Given) -> None:
        """Send as much of a transaction as may be sent now."""
        envelope, output = given.envelope, self._output
        given.sent = True
        behind = self._given[0]
        # RFC 3030 section 2: what a refused BDAT leaves behind is not known; RSET makes it so.
        if self._reset_first or (behind is not given and behind.chunked):
            given.step = RSET
            self._reset_first = False
            output.append(b"RSET\r\n")
            if not self.extensions.pipelining:
                return
        output.append(envelope.mail)
        if not self.extensions.pipelining:
            return
        output.extend(envelope.rcpts)
        if not given.chunked:
            output.append(b"DATA\r\n")
        elif len(given.transaction.data) <= AT_ONCE_BYTES_MAX:
            self._send_body(given)

    def _send_body(self, given: _Given) -> None:
        """Send the message itself, and what may follow it in the same write."""
        data, output = given.transaction.data, self._output
        self._events.append(DotSent(given.transaction.number))
        given.body_sent = True
        if given.chunked:
            output.append(b"BDAT %d LAST\r\n" % len(data))
            output.append(data)
        else:
            output.append(dots_doubled(data))
            output.append(b".\r\n" if not data or data.endswith(b"\r\n") else b"\r\n.\r\n")
        self._send_next()

    def _send_next(self) -> None:
        if len(self._given) > 1 and not self._given[1].sent:
            self._send_envelope(self._given[1])

    def _transaction_answer(self, given: _Given, reply: ServerReply) -> None:
        code, step = reply.code, given.step
        if code == 421 and step is not MESSAGE_STEP:
            self._fail(reply_of(reply, STEP_NAMES[step]))
        elif step is MESSAGE_STEP:
            self._message_answer(given, reply)
        elif (300 <= code < 400 and step is not DATA_STEP) or (code < 300 and step is DATA_STEP):
            self._fail(None, f"the next hop said {code} to {STEP_NAMES[step]}")
        elif step is RCPT:
            self._rcpt_answer(given, reply)
        elif step is DATA_STEP:
            self._data_answer(given, reply)
        elif step is MAIL:
            self._mail_answer(given, reply)
        elif code >= 400:
            self._fail(reply_of(reply, "RSET"))
        else:
            given.step = MAIL
            if not self.extensions.pipelining:
                self._output.append(given.envelope.mail)

    def _mail_answer(self, given: _Given, reply: ServerReply) -> None:
        given.step = RCPT
        if reply.code >= 400:
            self._refuse(given, given.envelope.recipients, reply_of(reply, "MAIL"))
            if not self.extensions.pipelining:
                self._over(given, reset=True)
        elif not self.extensions.pipelining:
            self._output.append(given.envelope.rcpts[0])

    def _rcpt_answer(self, given: _Given, reply: ServerReply) -> None:
        recipients = given.envelope.recipients
        recipient = recipients[given.rcpt_count]
        given.rcpt_count += 1
        if reply.code < 300:
            given.accepted.append(recipient)
        elif not given.told:
            given.refused.append((recipient, reply_of(reply, "RCPT")))
        if given.rcpt_count < len(recipients):
            if not self.extensions.pipelining:
                self._output.append(given.envelope.rcpts[given.rcpt_count])
            return
        if not given.accepted and not given.told:
            self._refuse(given, (), None)
        if given.body_sent:
            given.step = MESSAGE_STEP
        elif self.extensions.pipelining and not given.chunked:
            given.step = DATA_STEP
        elif given.told:
            self._over(given, reset=True)
        elif given.chunked:
            given.step = MESSAGE_STEP
            self._send_body(given)
        else:
            given.step = DATA_STEP
            self._output.append(b"DATA\r\n")

    def _data_answer(self, given: _Given, reply: ServerReply) -> None:
        if reply.code >= 400:
            if not given.told:
                self._refuse(given, given.accepted, reply_of(reply, "DATA"))
            self._over(given, reset=True)
            return
        given.step = MESSAGE_STEP
        if given.told:
            # RFC 2920 section 3.1: a server that takes DATA without recipients gets an empty message.
            given.body_sent = True
            self._output.append(b".\r\n")
            self._send_next()
        else:
            self._send_body(given)

    def _message_answer(self, given: _Given, reply: ServerReply) -> None:
        code = reply.code
        if 300 <= code < 400:
            self._fail(None, f"the next hop said {code} to the message")
            return
        if given.chunked and code in (500, 502, 504) and not given.told:
            # It did not take BDAT for what it is, and may now take the message for commands.
            self.chunking = False
            self._fail(None, f"the next hop offers CHUNKING and said {code} to BDAT")
            return
        if not given.told:
            answer = reply_of(reply, "message")
            if code < 300:
                given.told = True
                self._events.append(
                    TransactionDone(
                        given.transaction.number,
                        tuple(given.accepted),
                        tuple(given.refused),
                        answer,
                        self.extensions.dsn,
                        self.tls_facts.server if self.extensions.holdfast and self.tls_facts else "",
                    )
                )
            else:
                self._refuse(given, given.accepted, answer)
        if code == 421:
            self._fail(reply_of(reply, "message"))
            return
        self._over(given, reset=given.chunked and code >= 400)

    def _refuse(self, given: _Given, recipients: list[str] | tuple[str, ...], reply: Reply | None) -> None:
        """Report that nobody gets the message: ``recipients`` because of ``reply``, others by their own."""
        given.told = True
        if reply is not None:
            given.refused.extend((recipient, reply) for recipient in recipients)
        self._events.append(TransactionDone(given.transaction.number, (), tuple(given.refused), reply))

    def _over(self, given: _Given, *, reset: bool) -> None:
        """All of a transaction was answered; the next may go, if it has not gone yet."""
        gone = self._given.popleft()
        assert gone is given
        if self._given and self._given[0].sent:
            return  # it began with a RSET where one may be needed
        self._reset_first = reset
        if self._given:
            self._send_envelope(self._given[0])

    # --- the end -------------------------------------------------------------------------------

    @property
    def _awaited(self) -> str:
        """What the next hop was to answer, for people."""
        if self._state is _READY and self._given:
            return STEP_NAMES[self._given[0].step]
        return self._state.value

    def _fail(self, reply: Reply | None, reason: str = "", *, tls: bool = False) -> None:
        self._state = _ENDED
        self._given.clear()
        self._output.clear()
        if reply is not None and not reason:
            reason = f"the next hop said {reply.code} {reply.text} to {reply.command}"
        self._events.append(SessionFailed(reply, reason, tls))

    def _take_events(self) -> list[ClientEvent]:
        events, self._events = self._events, []
        return events
