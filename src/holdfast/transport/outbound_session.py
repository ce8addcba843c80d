"""One SMTP session with a next hop as a machine: replies in, commands and outcomes out.

The session is given transactions one after the other and says what became of
each recipient. It pipelines where it may (RFC 2920): a message body and the
next message's MAIL, RCPT and DATA travel in one write.

Invariant: a recipient is reported accepted only after the next hop's final 250
to the message; ``dot_sent`` is reported before the bytes that could make the
next hop accept a message leave us.

Source: RFC 5321 section 4.5.3.2 (time-outs); RFC 2920; RFC 3030 (BDAT); RFC 3207; RFC 4954; RFC 3461;
RFC 6531.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.transport.queue import EnvelopeOptions


@dataclass(frozen=True, slots=True)
class Transaction:
    """One message for one next hop.

    Attributes:
        number: names it in the events; the caller's choice.
        recipients: envelope recipients, at least one.
        data: the message with CRLF line ends, not dot-stuffed.
    """

    number: int
    reverse_path: str
    recipients: tuple[str, ...]
    data: bytes
    options: EnvelopeOptions


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of the next hop.

    Attributes:
        code: three digits.
        status: enhanced status code (RFC 3463); one made from the code where it gave none.
        text: its lines joined by a space, printable, bounded.
        command: what it answered: connect, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, message.
    """

    code: int
    status: str
    text: str
    command: str


@dataclass(frozen=True, slots=True)
class SessionReady:
    """The next hop greeted, TLS and sign-in are done as far as wanted: transactions may be given."""


@dataclass(frozen=True, slots=True)
class ClientTlsWanted:
    """STARTTLS was answered with 220: begin TLS, then call ``tls_started``."""


@dataclass(frozen=True, slots=True)
class DotSent:
    """From the next write on, the next hop may have the message although we do not know (RFC 1047)."""

    number: int


@dataclass(frozen=True, slots=True)
class TransactionDone:
    """What became of one transaction.

    Attributes:
        accepted: recipients that the next hop has taken; ``reply`` is its 250.
        refused: recipients and the reply that refused each: 4xx try later, 5xx never. Where MAIL, DATA or
            the message itself was refused, all of them have that reply.
    """

    number: int
    accepted: tuple[str, ...]
    refused: tuple[tuple[str, Reply], ...]
    reply: Reply | None


@dataclass(frozen=True, slots=True)
class SessionFailed:
    """The session cannot go on; transactions without ``TransactionDone`` were not acknowledged.

    Attributes:
        reply: the reply that ended it (421, a greeting 554, AUTH refused, STARTTLS refused …), if any.
        reason: for people, when there is no reply: what the peer did against the protocol.
        tls: whether the failure is one of TLS, so that an opportunistic connection may be tried in the clear.
    """

    reply: Reply | None
    reason: str
    tls: bool = False


ClientEvent = SessionReady | ClientTlsWanted | DotSent | TransactionDone | SessionFailed
