"""One SMTP session as a machine: bytes in, replies and events out.

The session knows the protocol and its limits. Whom it may take mail for is
asked of the two judges that it is given; whether a message may be acknowledged
is told to it by ``accepted`` or ``refused``. Until then it answers nothing and
keeps what the client pipelines (bounded).

Source: RFC 5321; RFC 2920 (PIPELINING); RFC 1870 (SIZE); RFC 6152 (8BITMIME);
RFC 2034 (ENHANCEDSTATUSCODES); RFC 3207 (STARTTLS); RFC 4954 (AUTH).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from holdfast.directory.model import ReceiveConnector
from holdfast.kernel.address import Address
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId

# May this session's sender be this address (None: the null sender)? Raises Refusal.
JudgeSender = Callable[[Address | None, MailboxId | None], None]
# May this session send to this address? Raises Refusal.
JudgeRecipient = Callable[[Address, MailboxId | None], None]


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A whole message came; the session waits for ``accepted`` or ``refused``.

    Attributes:
        reverse_path: as given, or empty.
        recipients: forward paths as given, in order, without repetitions.
        data: the message as sent, dots unstuffed, CRLF line ends throughout.
        helo: the name the client gave.
        protocol: SMTP, ESMTP, ESMTPS, ESMTPA or ESMTPSA (RFC 3848).
        signed_in: the mailbox that signed in, or None.
    """

    reverse_path: str
    recipients: tuple[str, ...]
    data: bytes
    helo: str
    protocol: str
    signed_in: MailboxId | None


@dataclass(frozen=True, slots=True)
class TlsWanted:
    """STARTTLS was answered with 220: begin TLS after the reply, then call ``tls_started``."""


@dataclass(frozen=True, slots=True)
class PasswordGiven:
    """The client signs in; the session waits for ``password_checked``."""

    user: str
    password: str


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """Close the connection after the reply."""


SessionEvent = MessageReceived | TlsWanted | PasswordGiven | SessionEnded


class SmtpSession:
    """The server's side of one SMTP connection.

    After each call take ``take_reply()`` (one write) and then the returned events.
    """

    def __init__(
        self,
        connector: ReceiveConnector,
        fqdn: str,
        *,
        tls_active: bool,
        local_client: bool,
        judge_sender: JudgeSender,
        judge_recipient: JudgeRecipient,
    ) -> None: ...

    def greeting(self) -> None:
        """Put the 220 banner into the reply."""

    def receive(self, data: bytes) -> list[SessionEvent]:
        """Take bytes from the client."""

    def accepted(self, text: str) -> list[SessionEvent]:
        """The message that was received is durable: 250, then go on with what was pipelined."""

    def refused(self, refusal: Refusal) -> list[SessionEvent]:
        """The message that was received is not taken."""

    def password_checked(self, mailbox_id: MailboxId | None) -> list[SessionEvent]:
        """The answer to ``PasswordGiven``."""

    def tls_started(self) -> None:
        """TLS is on; whatever was pipelined in the clear is gone, the session begins anew."""

    def say_goodbye(self, code: int, status: str, text: str) -> list[SessionEvent]:
        """End the session from our side (421 for a stop or a time-out)."""

    def take_reply(self) -> bytes:
        """Return what is to be written now, and forget it."""

    @property
    def waiting(self) -> bool:
        """Whether the session waits for ``accepted``, ``refused`` or ``password_checked``."""
