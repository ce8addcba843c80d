"""One SMTP session as a machine: bytes in, replies and events out.

The session knows the protocol and its limits. Whom it may take mail for is
asked of the two judges that it is given; whether a message may be acknowledged
is told to it by ``accepted`` or ``refused``. Until then it answers nothing and
keeps what the client pipelines (bounded by its caller, who stops reading).

Invariant: how the client's bytes are cut into segments changes no answer.

Source: RFC 5321; RFC 2920 (PIPELINING); RFC 1870 (SIZE); RFC 6152 (8BITMIME);
RFC 2034 (ENHANCEDSTATUSCODES); RFC 3207 (STARTTLS); RFC 4954 (AUTH).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from holdfast.directory.model import ReceiveConnector, TlsMode, Usage
from holdfast.kernel.address import Address
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId
from holdfast.transport.session_auth import FAILURE_COUNT_MAX, MECHANISMS, Credentials, SignIn
from holdfast.transport.session_data import DataFault, DataReader, refusal_of
from holdfast.wire import smtp
from holdfast.wire.headers import HeaderBlock, read_header_block

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
        data: the message as sent, dots unstuffed, CRLF line ends throughout;
            one that has no header gets an empty line on top, so that fields
            put above it do not make its first lines part of the header.
        helo: the name the client gave.
        protocol: SMTP, ESMTP, ESMTPS, ESMTPA or ESMTPSA (RFC 3848).
        signed_in: the mailbox that signed in, or None.
        header: the header fields of ``data``, checked.
    """

    reverse_path: str
    recipients: tuple[str, ...]
    data: bytes
    helo: str
    protocol: str
    signed_in: MailboxId | None
    header: HeaderBlock


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


class _State(enum.Enum):
    COMMAND = "waits for a command"
    SIGN_IN = "waits for a line of a sign-in"
    DATA = "reads a message"
    MESSAGE_JUDGED = "waits for accepted or refused"
    SIGN_IN_JUDGED = "waits for password_checked"
    TLS = "waits for tls_started"
    ENDED = "is over"


_WAITING = (_State.MESSAGE_JUDGED, _State.SIGN_IN_JUDGED)
_READING = (_State.COMMAND, _State.SIGN_IN, _State.DATA)

_NO_MESSAGE = DataReader(0)  # stands where no message is being read; never fed
_OK = b"250 2.0.0 ok\r\n"
_SENDER_OK = b"250 2.1.0 sender ok\r\n"
_RECIPIENT_OK = b"250 2.1.5 recipient ok\r\n"
_GO_AHEAD = b"354 end data with <CRLF>.<CRLF>\r\n"
_BARE_LINE_END = Refusal("lines end with CRLF, and have no other CR, LF or NUL", code=500, status="5.5.2")
# Known commands that are not offered (RFC 5321 section 4.2.4: 502, not 500).
_NOT_OFFERED = frozenset((b"EXPN", b"BDAT", b"ETRN", b"TURN", b"SEND", b"SOML", b"SAML"))
# How a TLS client begins (RFC 8446 section 5.1). It waits for our handshake as
# long as we wait for its line, so it is told at once.
_TLS_HANDSHAKE = b"\x16\x03"


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
    ) -> None:
        self._connector = connector
        self._fqdn = fqdn
        self._tls_active = tls_active
        self._local_client = local_client
        self._judge_sender = judge_sender
        self._judge_recipient = judge_recipient
        self._state = _State.COMMAND
        self._reply = bytearray()
        self._events: list[SessionEvent] = []
        # Received and not yet looked at; while reading, less than one line.
        self._pending = bytearray()
        self._skipping_line = False
        self._error_count = 0
        self._sign_in_failure_count = 0
        self._sign_in: SignIn | None = None
        self._signed_in: MailboxId | None = None
        self._helo = ""
        self._extended = False
        self._has_sender = False
        self._reverse_path = ""
        self._recipients: dict[str, str] = {}
        self._reader = _NO_MESSAGE

    # --- what the caller does ------------------------------------------------------------

    def greeting(self) -> None:
        """Put the 220 banner into the reply."""
        self._reply += smtp.format_reply(220, "", f"{self._fqdn} ESMTP")

    def receive(self, data: bytes) -> list[SessionEvent]:
        """Take bytes from the client."""
        if self._state in _READING:
            if self._pending:
                data = bytes(self._pending + data)
                self._pending.clear()
            self._read(data)
        elif self._state in _WAITING:
            self._pending += data
        # Else the session is over, or these bytes came in the clear after
        # STARTTLS: obeying them under TLS would let somebody on the way put
        # commands into the client's mouth (RFC 3207 section 6).
        return self._take_events()

    def accepted(self, text: str) -> list[SessionEvent]:
        """The message that was received is durable: 250, then go on with what was pipelined.

        This and the next three do nothing once the session is over, since a
        goodbye may overtake what it waited for.
        """
        if self.ended:
            return []
        assert self._state is _State.MESSAGE_JUDGED
        self._state = _State.COMMAND
        self._forget_transaction()
        self._reply += smtp.format_reply(250, "2.0.0", text)
        return self._read_pending()

    def refused(self, refusal: Refusal) -> list[SessionEvent]:
        """The message that was received is not taken."""
        if self.ended:
            return []
        assert self._state is _State.MESSAGE_JUDGED
        self._state = _State.COMMAND
        self._forget_transaction()
        self._answer(refusal)
        return self._read_pending()

    def password_checked(self, mailbox_id: MailboxId | None) -> list[SessionEvent]:
        """The answer to ``PasswordGiven``."""
        if self.ended:
            return []
        assert self._state is _State.SIGN_IN_JUDGED
        self._state = _State.COMMAND
        if mailbox_id is None:
            self._sign_in_failed(Refusal("user or password is wrong", code=535, status="5.7.8"))
        else:
            self._signed_in = mailbox_id
            self._reply += b"235 2.7.0 signed in\r\n"
        return self._read_pending()

    def tls_started(self) -> None:
        """TLS is on; whatever was pipelined in the clear is gone, the session begins anew."""
        if self.ended:
            return
        assert self._state is _State.TLS
        self._state = _State.COMMAND
        self._tls_active = True
        self._helo = ""
        self._extended = False
        self._pending.clear()

    def say_goodbye(self, code: int, status: str, text: str) -> list[SessionEvent]:
        """End the session from our side (421 for a stop or a time-out)."""
        if not self.ended:
            self._reply += smtp.format_reply(code, status, text)
            self._end()
        return self._take_events()

    def take_reply(self) -> bytes:
        """Return what is to be written now, and forget it."""
        reply = bytes(self._reply)
        self._reply.clear()
        return reply

    @property
    def waiting(self) -> bool:
        """Whether the session waits for ``accepted``, ``refused`` or ``password_checked``."""
        return self._state in _WAITING

    @property
    def receiving_data(self) -> bool:
        """Whether the client is in the middle of a message."""
        return self._state is _State.DATA

    @property
    def ended(self) -> bool:
        """Whether the session is over: nothing more is read."""
        return self._state is _State.ENDED

    @property
    def buffered_bytes(self) -> int:
        """How much the session keeps in memory for its client."""
        return len(self._pending) + (self._reader.kept_bytes if self._state is _State.DATA else 0)

    def crowd_out(self) -> None:
        """Give up the message that is being received, since all messages together take too much memory."""
        assert self.receiving_data
        self._reader.crowd_out()

    # --- reading -------------------------------------------------------------------------

    def _take_events(self) -> list[SessionEvent]:
        events, self._events = self._events, []
        return events

    def _read_pending(self) -> list[SessionEvent]:
        if self._pending and self._state in _READING:
            data = bytes(self._pending)
            self._pending.clear()
            self._read(data)
        return self._take_events()

    def _read(self, data: bytes) -> None:
        at = 0
        while at < len(data) and self._state in _READING:
            if self._state is _State.DATA:
                after = self._reader.feed(data, at)
                if after < 0:
                    return
                self._message_ended()
            else:
                after = self._read_line(data, at)
                if after < 0:
                    break
            at = after
        if self._state in _READING or self._state in _WAITING:
            self._pending += memoryview(data)[at:]

    def _read_line(self, data: bytes, at: int) -> int:
        """Do what one line says; return where the next begins, or -1 when the line has not ended.

        Only CRLF ends a line. A line with a bare LF is refused as soon as that
        LF is seen, since a client that writes nothing else would wait for ever;
        the rest of the line up to its CRLF is not obeyed.
        """
        if self._skipping_line:
            end = data.find(b"\r\n", at)
            if end < 0:
                self._pending += b"\r" if data[-1:] == b"\r" else b""
                return len(data)
            self._skipping_line = False
            return end + 2
        if data.startswith(_TLS_HANDSHAKE, at):
            self._close_with(Refusal("begin without TLS here", code=554, status="5.5.2"))
            return len(data)
        end = data.find(b"\n", at)
        if (end if end >= 0 else len(data)) - at > smtp.AUTH_BYTES_MAX:
            self._close_with(Refusal("line is too long", code=554, status="5.5.2"))
            return len(data)
        if end < 0:
            return -1
        if end == at or data[end - 1] != 0x0D:
            self._skipping_line = True
            self._error(_BARE_LINE_END)
            return end + 1
        line = data[at : end - 1]
        if self._state is _State.SIGN_IN:
            self._sign_in_line(line)
        elif b"\r" in line or b"\0" in line:
            self._error(_BARE_LINE_END)
        else:
            self._command(line)
        return end + 1

    def _command(self, line: bytes) -> None:
        verb, _, argument = line.partition(b" ")
        verb = verb.upper()
        command = _COMMANDS.get(verb)
        if len(line) > smtp.COMMAND_BYTES_MAX - 2:
            too_long = smtp.refusal_of_long_line(verb, len(line) + 2)
            if too_long is not None:
                (self._close_with if too_long.code == 554 else self._error)(too_long)
                return
        if command is not None:
            try:
                command(self, argument, line)
            except Refusal as refusal:
                self._error(refusal)
        elif verb in smtp.HTTP_VERBS:
            self._close_with(Refusal("this is a mail server", code=502, status="5.7.0"))
        elif verb in _NOT_OFFERED:
            self._error(Refusal("command not offered", code=502, status="5.5.1"))
        else:
            self._error(Refusal("command not known", code=500, status="5.5.1"))

    # --- answering -----------------------------------------------------------------------

    def _answer(self, refusal: Refusal) -> None:
        self._reply += smtp.format_reply(refusal.code, refusal.status, refusal.text)
        if refusal.code == 421:  # RFC 5321 section 3.8: 421 ends the session
            self._end()

    def _error(self, refusal: Refusal) -> None:
        """Answer an error of the protocol; the last one that is allowed ends the session."""
        self._error_count += 1
        if self._error_count >= self._connector.protocol_error_count_max:
            refusal = Refusal("too many errors", code=421, status="4.5.0")
        self._answer(refusal)

    def _close_with(self, refusal: Refusal) -> None:
        self._answer(refusal)
        self._end()

    def _end(self) -> None:
        if self.ended:
            return
        self._state = _State.ENDED
        self._pending.clear()
        self._forget_transaction()
        self._events.append(SessionEnded())

    def _forget_transaction(self) -> None:
        self._has_sender = False
        self._recipients = {}

    # --- commands ------------------------------------------------------------------------

    def _helo_command(self, argument: bytes, line: bytes) -> None:
        self._helo = smtp.parse_helo(argument)
        self._extended = False
        self._forget_transaction()
        self._reply += smtp.format_reply(250, "", self._fqdn)

    def _ehlo_command(self, argument: bytes, line: bytes) -> None:
        self._helo = smtp.parse_helo(argument)
        self._extended = True
        self._forget_transaction()
        keywords = [self._fqdn, "PIPELINING", f"SIZE {self._connector.message_bytes_max}", "8BITMIME"]
        keywords.append("ENHANCEDSTATUSCODES")
        if self._tls_offered:
            keywords.append("STARTTLS")
        if self._sign_in_offered:
            keywords.append("AUTH PLAIN LOGIN")
        keywords.append("HELP")
        self._reply += smtp.format_reply(250, "", "\n".join(keywords))

    def _mail_command(self, argument: bytes, line: bytes) -> None:
        if not self._helo:
            raise Refusal("say EHLO first", code=503, status="5.5.1")
        if self._has_sender:
            raise Refusal("sender was given before", code=503, status="5.5.1")
        if self._connector.usage is Usage.CLIENT and self._signed_in is None:
            raise Refusal("sign in first", code=530, status="5.7.0")
        mail = smtp.parse_mail_from(line)
        if mail.auth_given and not self._sign_in_offered:
            raise Refusal("parameter not known", code=555, status="5.5.4")
        try:
            if mail.size_bytes is not None and mail.size_bytes > self._connector.message_bytes_max:
                raise refusal_of(DataFault.TOO_LARGE)
            self._judge_sender(mail.address, self._signed_in)
        except Refusal as refusal:
            self._answer(refusal)
            return
        self._has_sender = True
        self._reverse_path = mail.reverse_path
        self._reply += _SENDER_OK

    def _rcpt_command(self, argument: bytes, line: bytes) -> None:
        if not self._has_sender:
            raise Refusal("give the sender first", code=503, status="5.5.1")
        forward_path, address = smtp.parse_rcpt_to(line)
        if address is None:  # RFC 5321 section 4.1.1.3: our own postmaster
            address = Address("postmaster", self._fqdn.lower())
            forward_path = str(address)
        recipients = self._recipients
        key = address.key
        try:
            if len(recipients) >= self._connector.recipient_count_max and key not in recipients:
                raise Refusal("too many recipients; send to the others again", code=452, status="4.5.3")
            self._judge_recipient(address, self._signed_in)
        except Refusal as refusal:
            # No error of the protocol: the other recipients shall still get the message.
            self._answer(refusal)
            return
        recipients.setdefault(key, forward_path)
        self._reply += _RECIPIENT_OK

    def _data_command(self, argument: bytes, line: bytes) -> None:
        if not self._has_sender:
            raise Refusal("give the sender first", code=503, status="5.5.1")
        if not self._recipients:
            raise Refusal("give a recipient first", code=503, status="5.5.1")
        _no_argument(argument)
        # A client that does not wait for the 354 has its message taken all the same.
        self._reader = DataReader(self._connector.message_bytes_max)
        self._state = _State.DATA
        self._reply += _GO_AHEAD

    def _rset_command(self, argument: bytes, line: bytes) -> None:
        _no_argument(argument)
        self._forget_transaction()
        self._reply += _OK

    def _noop_command(self, argument: bytes, line: bytes) -> None:
        self._reply += _OK

    def _vrfy_command(self, argument: bytes, line: bytes) -> None:
        # RFC 5321 section 7.3: no list of our users for whoever asks.
        self._reply += b"252 2.5.0 send some mail, and it is tried\r\n"

    def _help_command(self, argument: bytes, line: bytes) -> None:
        self._reply += b"214 2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT STARTTLS AUTH\r\n"

    def _quit_command(self, argument: bytes, line: bytes) -> None:
        _no_argument(argument)
        self._reply += b"221 2.0.0 goodbye\r\n"
        self._end()

    # --- TLS and sign-in -----------------------------------------------------------------

    @property
    def _tls_offered(self) -> bool:
        return self._connector.tls is TlsMode.STARTTLS and not self._tls_active

    @property
    def _sign_in_offered(self) -> bool:
        return self._connector.usage is Usage.CLIENT and (self._tls_active or self._local_client)

    def _starttls_command(self, argument: bytes, line: bytes) -> None:
        if self._tls_active:
            raise Refusal("TLS is on", code=503, status="5.5.1")
        if not self._tls_offered:
            raise Refusal("TLS is not offered here", code=502, status="5.5.1")
        _no_argument(argument)
        self._forget_transaction()
        self._signed_in = None
        self._state = _State.TLS
        self._reply += b"220 2.0.0 begin TLS\r\n"
        self._events.append(TlsWanted())

    def _auth_command(self, argument: bytes, line: bytes) -> None:
        if not self._sign_in_offered and not self._tls_active:
            raise Refusal("sign-in is not offered without TLS", code=503, status="5.7.10")
        if not self._sign_in_offered or not self._helo or self._has_sender:
            raise Refusal("sign-in is not offered now", code=503, status="5.5.1")
        if self._signed_in is not None:  # RFC 4954 section 4
            raise Refusal("signed in before", code=503, status="5.5.1")
        words = argument.split()
        if not 1 <= len(words) <= 2:
            raise Refusal("write AUTH mechanism [response]", code=501, status="5.5.4")
        mechanism = words[0].upper()
        if mechanism not in MECHANISMS:
            raise Refusal("use AUTH PLAIN or AUTH LOGIN", code=534, status="5.7.9")
        self._sign_in = SignIn(mechanism)
        self._sign_in_step(words[1] if len(words) == 2 else None)

    def _sign_in_line(self, line: bytes) -> None:
        self._state = _State.COMMAND
        self._sign_in_step(line)

    def _sign_in_step(self, response: bytes | None) -> None:
        assert self._sign_in is not None
        try:
            outcome = self._sign_in.step(response)
        except Refusal as refusal:
            self._sign_in_failed(refusal)
            return
        if isinstance(outcome, Credentials):
            self._state = _State.SIGN_IN_JUDGED
            self._events.append(PasswordGiven(outcome.user, outcome.password))
        else:
            self._state = _State.SIGN_IN
            self._reply += b"334 " + outcome + b"\r\n"

    def _sign_in_failed(self, refusal: Refusal) -> None:
        self._sign_in_failure_count += 1
        if self._sign_in_failure_count >= FAILURE_COUNT_MAX:
            self._close_with(Refusal("too many failed sign-ins", code=421, status="4.5.0"))
        else:
            self._answer(refusal)

    # --- the message ---------------------------------------------------------------------

    def _message_ended(self) -> None:
        reader = self._reader
        fault = reader.fault
        self._state = _State.COMMAND
        try:
            if fault is not None:
                raise refusal_of(fault)
            data, header = self._checked(reader.message())
        except Refusal as refusal:
            self._answer(refusal)
            self._forget_transaction()
            if fault is DataFault.BARE_LINE_END:
                # What follows may be half of a smuggled message; none of it is obeyed.
                self._end()
            return
        finally:
            self._reader = _NO_MESSAGE
        self._state = _State.MESSAGE_JUDGED
        self._events.append(
            MessageReceived(
                self._reverse_path,
                tuple(self._recipients.values()),
                data,
                self._helo,
                self._protocol,
                self._signed_in,
                header,
            )
        )

    def _checked(self, data: bytes) -> tuple[bytes, HeaderBlock]:
        header = read_header_block(data)
        if header is None:
            return b"\r\n" + data, HeaderBlock(b"")
        if len(header.raw) > self._connector.header_bytes_max:
            raise Refusal("message header is too large", code=552, status="5.3.4")
        if header.received_count > self._connector.hop_count_max:
            raise Refusal("message loops: too many Received fields", code=554, status="5.4.6")
        return data, header

    @property
    def _protocol(self) -> str:
        if not self._extended:
            return "SMTP"
        return "ESMTP" + ("S" if self._tls_active else "") + ("A" if self._signed_in is not None else "")


def _no_argument(argument: bytes) -> None:
    if argument.strip(b" \t"):
        raise Refusal("command takes no argument", code=501, status="5.5.4")


_COMMANDS: dict[bytes, Callable[[SmtpSession, bytes, bytes], None]] = {
    b"EHLO": SmtpSession._ehlo_command,
    b"HELO": SmtpSession._helo_command,
    b"MAIL": SmtpSession._mail_command,
    b"RCPT": SmtpSession._rcpt_command,
    b"DATA": SmtpSession._data_command,
    b"RSET": SmtpSession._rset_command,
    b"NOOP": SmtpSession._noop_command,
    b"VRFY": SmtpSession._vrfy_command,
    b"HELP": SmtpSession._help_command,
    b"QUIT": SmtpSession._quit_command,
    b"STARTTLS": SmtpSession._starttls_command,
    b"AUTH": SmtpSession._auth_command,
}
