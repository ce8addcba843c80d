"""The words of a session with a next hop: what it is given, and what it says.

Source: RFC 5321 sections 4.2 and 3.3; RFC 1047; RFC 3461.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace

from holdfast.kernel.errors import Refusal
from holdfast.transport.envelope import EnvelopeOptions
from holdfast.transport.tls_policy import TlsFacts
from holdfast.wire.smtp_reply import Extensions, ServerReply, parse_ehlo
from holdfast.wire.transfer import Transfer


@dataclass(slots=True, unsafe_hash=True)
class Transaction:
    """One message for one next hop.

    Attributes:
        number: names it in the events; the caller's choice.
        recipients: envelope recipients, at least one.
        data: the message with CRLF line ends, not dot-stuffed.
        line_ends_checked: whether it is known to have no other line ends.
        transfer: what a server of ours is told of it beside; None for hosts of others.
    """

    number: int
    reverse_path: str
    recipients: tuple[str, ...]
    data: bytes
    options: EnvelopeOptions
    line_ends_checked: bool = False
    transfer: Transfer | None = None


# What is made per message is not frozen: each field would take 0.3 µs more. Nobody changes it.
@dataclass(slots=True, unsafe_hash=True)
class Reply:
    """A reply of the next hop.

    Attributes:
        code: three digits.
        status: enhanced status code (RFC 3463); one made from the code where it gave none.
        text: its lines joined by a space, printable, bounded; with the status where it gave one.
        command: what it answered: connect, EHLO, STARTTLS, AUTH, RSET, MAIL, RCPT, DATA, message.
        local: whether it is no reply at all, but our own judgement by what the next hop offers.
    """

    code: int
    status: str
    text: str
    command: str
    local: bool = False


@dataclass(frozen=True, slots=True)
class SessionReady:
    """The next hop greeted, TLS and sign-in are done as far as wanted: transactions may be given."""


@dataclass(frozen=True, slots=True)
class ClientTlsWanted:
    """STARTTLS was answered with 220: begin TLS, then call ``tls_started``."""


@dataclass(slots=True, unsafe_hash=True)
class DotSent:
    """From the next write on, the next hop may have the message although we do not know (RFC 1047)."""

    number: int


@dataclass(slots=True, unsafe_hash=True)
class TransactionDone:
    """What became of one transaction.

    Attributes:
        accepted: recipients that the next hop has taken; ``reply`` is its 250.
        refused: recipients and the reply that refused each: 4xx try later, 5xx never. Where MAIL, DATA or
            the message itself was refused, all of them have that reply.
        reports_passed_on: whether the next hop was told what the sender wants to be told (RFC 3461), so
            that a report of success is its business now.
        transferred_to: the server of ours that goes on with the same message; empty for hosts of others.
    """

    number: int
    accepted: tuple[str, ...]
    refused: tuple[tuple[str, Reply], ...]
    reply: Reply | None
    reports_passed_on: bool = False
    transferred_to: str = ""


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


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to a smart host.

    Attributes:
        tls_needed: whether the password may only travel under TLS.
    """

    user: str
    password: str = field(repr=False)
    tls_needed: bool = True


class Step(enum.IntEnum):
    """Which reply of a transaction comes next."""

    RSET = 0
    MAIL = 1
    RCPT = 2
    DATA = 3
    MESSAGE = 4


# By these names, since looking a member up in its class costs more than the comparison.
RSET, MAIL, RCPT, DATA_STEP, MESSAGE_STEP = Step.RSET, Step.MAIL, Step.RCPT, Step.DATA, Step.MESSAGE

STEP_NAMES = ("RSET", "MAIL", "RCPT", "DATA", "message")


def reply_of(reply: ServerReply, command: str) -> Reply:
    """A reply of the next hop to a command."""
    return Reply(reply.code, reply.status, reply.text, command)


def offered_by(reply: ServerReply, facts: TlsFacts | None) -> Extensions:
    """What the answer to EHLO offers; what is for servers of ours only where it has proved to be one."""
    found = parse_ehlo(reply)
    if found.holdfast and not (facts is not None and facts.server):
        return replace(found, holdfast=0)
    return found


def own_judgement(refusal: Refusal, command: str) -> Reply:
    """What we say ourselves, by what the next hop offers."""
    return Reply(refusal.code, refusal.status, f"{refusal.status} {refusal.text}", command, local=True)


def refused_by_us(transaction: Transaction, refusal: Refusal) -> TransactionDone:
    """What becomes of a message that the next hop cannot be given."""
    reply = own_judgement(refusal, "MAIL")
    refused = tuple((recipient, reply) for recipient in transaction.recipients)
    return TransactionDone(transaction.number, (), refused, reply)
