"""One SMTP session as a machine: bytes in, replies and events out.

The session knows the protocol and its limits. Whom it may take mail for is
asked of the judge that it is given; whether a message may be acknowledged
is told to it by ``accepted`` or ``refused``. Until then it answers nothing and
keeps what the client pipelines (bounded by its caller, who stops reading).

A client that did not sign in gets no 5xx at once: the session is ``held``, and
its caller sends the reply and calls ``go_on`` after the tarpit's time (RC-7).

How bytes become lines is in ``session_reading``, what holds for all sessions of a
connector in ``session_terms``.

Invariant: how the client's bytes are cut into segments changes no answer.

Source: RFC 5321; RFC 2920 (PIPELINING); RFC 1870 (SIZE); RFC 6152 (8BITMIME);
RFC 3030 (CHUNKING); RFC 6531 (SMTPUTF8); RFC 3461 (DSN); RFC 2034
(ENHANCEDSTATUSCODES); RFC 3207 (STARTTLS); RFC 4954 (AUTH).
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.directory.model import SizeMode
from holdfast.kernel.address import Address
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId
from holdfast.transport.envelope import PLAIN_ENVELOPE, EnvelopeOptions, RecipientOptions
from holdfast.transport.header_firewall import strip_forbidden
from holdfast.transport.rights import Client, ClientKind, kind_of, rights_of
from holdfast.transport.session_auth import FAILURE_COUNT_MAX, MECHANISMS, Credentials, SignIn
from holdfast.transport.session_chunks import ChunkReader, refusal_of_chunk
from holdfast.transport.session_data import DataFault, DataReader, refusal_of
from holdfast.transport.session_reading import (
    CHUNK,
    COMMAND,
    DATA,
    MESSAGE_JUDGED,
    NO_MESSAGE,
    SIGN_IN,
    SIGN_IN_JUDGED,
    SessionReading,
    State,
)
from holdfast.transport.session_terms import (
    Judge,
    MessageReceived,
    PasswordGiven,
    SessionEvent,
    ShadowLinkWanted,
    Terms,
    TlsWanted,
    certificate_fits,
    check_client,
)
from holdfast.transport.shadow_link import parse_hello
from holdfast.transport.tls_policy import TlsFacts
from holdfast.wire import smtp
from holdfast.wire.headers import HeaderBlock, read_header_block
from holdfast.wire.smtp_parameters import NO_RCPT_PARAMETERS

_TARPITTED = (ClientKind.ANONYMOUS, ClientKind.PARTNER)

_NO_MAIL = smtp.MailFrom("", None)
_OK = b"250 2.0.0 ok\r\n"
_SENDER_OK = b"250 2.1.0 sender ok\r\n"
_RECIPIENT_OK = b"250 2.1.5 recipient ok\r\n"
_GO_AHEAD = b"354 end data with <CRLF>.<CRLF>\r\n"
# Known commands that are not offered (RFC 5321 section 4.2.4: 502, not 500).
_NOT_OFFERED = frozenset((b"EXPN", b"ETRN", b"TURN", b"SEND", b"SOML", b"SAML"))
_EIGHT_BIT_ENVELOPE = EnvelopeOptions(eight_bit=True)


class SmtpSession(SessionReading):
    """The server's side of one SMTP connection.

    After each call take ``take_reply()`` (one write) and then the returned events.
    """

    def __init__(
        self,
        terms: Terms,
        judge: Judge,
        client_address: str,
        *,
        tls_active: bool,
        tls_facts: TlsFacts | None = None,
    ) -> None:
        """Begin a session with a client (an IP address as text), perhaps under TLS from the first byte."""
        super().__init__(terms)
        self._judge = judge
        self._client_address = client_address
        self._tls_active = tls_active
        self._sign_in_failure_count = 0
        self._sign_in: SignIn | None = None
        self._helo = ""
        self._extended = False
        self._has_sender = False
        # A client that pipelines has said RCPT and DATA by the time that it reads a refusal.
        self._follows_refusal = False
        self._mail = _NO_MAIL
        self._recipients: dict[str, str] = {}
        self._recipient_options: dict[str, RecipientOptions] = {}
        self._chunk_bytes = 0
        self._chunk_last = self._chunks_refused = False
        self._meet(tls_facts)

    def _meet(self, tls_facts: TlsFacts | None) -> None:
        """Say who the client is, when it comes and when its certificate is known."""
        self._certificate_fits = certificate_fits(self._connector, tls_facts)
        # The server of ours that the client has proved to be.
        self._server = tls_facts.server if tls_facts is not None else ""
        self._tls = f"{tls_facts.version} {tls_facts.cipher}" if tls_facts is not None else ""
        kind = kind_of(
            self._connector,
            self._terms.server_addresses,
            self._client_address,
            certified=self._certificate_fits,
            server=tls_facts.server if tls_facts is not None else "",
        )
        self._know(Client(kind, rights_of(self._connector, kind)))
        if tls_facts is not None and kind is ClientKind.SERVER:
            self.client.server = tls_facts.server

    def _know(self, client: Client) -> None:
        self.client = client
        self._tarpitted = client.kind in _TARPITTED and self._connector.tarpit_s > 0

    @property
    def from_server_address(self) -> bool:
        """Whether the client comes from where a server of ours is, and is asked for its certificate."""
        return self._client_address in self._terms.certified_addresses

    # --- what the caller does ------------------------------------------------------------

    def greeting(self) -> None:
        """Put the 220 banner into the reply."""
        self._reply += self._terms.greeting

    def accepted(self, text: str) -> list[SessionEvent]:
        """The message that was received is durable: 250 with a printable ASCII text, then go on.

        This and the next three do nothing once the session is over, since a
        goodbye may overtake what it waited for.
        """
        if self.ended:
            return []
        assert self._state is MESSAGE_JUDGED
        self._state = COMMAND
        self._forget_transaction()
        self._reply += f"250 2.0.0 {text}\r\n".encode("ascii")
        return self._read_pending()

    def refused(self, refusal: Refusal) -> list[SessionEvent]:
        """The message that was received is not taken."""
        if self.ended:
            return []
        assert self._state is MESSAGE_JUDGED
        self._state = COMMAND
        self._forget_transaction()
        self._answer(refusal)
        return self._read_pending()

    def password_checked(self, mailbox_id: MailboxId | None) -> list[SessionEvent]:
        """The answer to ``PasswordGiven``."""
        if self.ended:
            return []
        assert self._state is SIGN_IN_JUDGED
        self._state = COMMAND
        if mailbox_id is None:
            self._sign_in_failed(Refusal("user or password is wrong", code=535, status="5.7.8"))
        else:
            self._know(Client(ClientKind.USER, rights_of(self._connector, ClientKind.USER), mailbox_id))
            self._reply += b"235 2.7.0 signed in\r\n"
        return self._read_pending()

    def sign_in_refused(self, refusal: Refusal) -> list[SessionEvent]:
        """The password is not even looked at, since too many were wrong."""
        if self.ended:
            return []
        assert self._state is SIGN_IN_JUDGED
        self._state = COMMAND
        self._answer(refusal)
        return self._read_pending()

    def link_refused(self, refusal: Refusal) -> None:
        """The connection does not become a shadow link; the session goes on."""
        assert self._state is State.LINK_JUDGED
        self._state = COMMAND
        self._error(refusal)

    def take_rest(self) -> bytes:
        """The connection is a shadow link now; returns what came behind the command."""
        assert self._state is State.LINK_JUDGED
        rest = bytes(self._pending)
        self._pending.clear()
        self._state = State.ENDED
        return rest

    def tls_started(self, facts: TlsFacts | None = None) -> None:
        """TLS is on; whatever was pipelined in the clear is gone, the session begins anew."""
        if self.ended:
            return
        assert self._state is State.TLS
        self._state = COMMAND
        self._tls_active = True
        self._helo = ""
        self._extended = False
        self._pending.clear()
        self._meet(facts)

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
        elif verb == b"PROXY":  # a balancer whose connections are taken for those of a client
            self._close_with(Refusal("you are not a balancer of ours", code=554, status="5.7.0"))
        elif verb in _NOT_OFFERED:
            self._error(Refusal("command not offered", code=502, status="5.5.1"))
        else:
            self._error(Refusal("command not known", code=500, status="5.5.1"))

    def _forget_transaction(self) -> None:
        self._has_sender = False
        self._follows_refusal = False
        if self._recipients:
            self._recipients = {}
        if self._recipient_options:
            self._recipient_options = {}
        self._chunks = None
        self._chunks_refused = False

    # --- commands ------------------------------------------------------------------------

    def _helo_command(self, argument: bytes, line: bytes) -> None:
        self._helo = smtp.parse_helo(argument)
        self._extended = False
        self._forget_transaction()
        self._reply += self._terms.helo_reply

    def _ehlo_command(self, argument: bytes, line: bytes) -> None:
        self._helo = smtp.parse_helo(argument)
        self._extended = True
        self._forget_transaction()
        self._reply += self._terms.ehlo_reply(
            self.client,
            tls_active=self._tls_active,
            sign_in_offered=self._sign_in_offered,
            to_server=self._server != "",
        )

    def _mail_command(self, argument: bytes, line: bytes) -> None:
        if not self._helo:
            raise Refusal("say EHLO first", code=503, status="5.5.1")
        if self._has_sender:
            raise Refusal("sender was given before", code=503, status="5.5.1")
        check_client(self._terms, self.client, tls_active=self._tls_active, certified=self._certificate_fits)
        mail = smtp.parse_mail_from(line)
        parameters = mail.parameters
        if (parameters.auth_given and not self._sign_in_offered) or (
            # What a server of ours says of a message is believed: from nobody else.
            parameters.transfer is not None and not self._server
        ):
            raise Refusal("parameter not known", code=555, status="5.5.4")
        size_bytes = parameters.size_bytes
        try:
            if (
                size_bytes is not None
                and self._connector.size_mode is not SizeMode.DISABLED
                and size_bytes > self._terms.message_bytes_max(self.client)
            ):
                raise refusal_of(DataFault.TOO_LARGE)
            self._judge.judge_sender(mail.address, self.client)
        except Refusal as refusal:
            self._follows_refusal = True
            self._answer(refusal)
            return
        self._has_sender = True
        self._follows_refusal = False
        self._mail = mail
        self._chunks_refused = False
        self._reply += _SENDER_OK

    def _rcpt_command(self, argument: bytes, line: bytes) -> None:
        if not self._has_sender:
            raise Refusal("give the sender first", code=503, status="5.5.1")
        self._not_in_chunks()
        forward_path, address, parameters = smtp.parse_rcpt_to(line, smtputf8=self._mail.parameters.smtputf8)
        if address is None:  # RFC 5321 section 4.1.1.3: our own postmaster
            address = Address("postmaster", self._terms.fqdn.lower())
            forward_path = str(address)
        recipients = self._recipients
        key = self._terms.recipient_key(address)
        try:
            self._terms.check_recipient_count(self.client, recipients, key)
            self._judge.judge_recipient(address, self.client)
        except Refusal as refusal:
            # No error of the protocol: the other recipients shall still get the message.
            self._follows_refusal = True
            self._answer(refusal)
            return
        if recipients.setdefault(key, forward_path) is forward_path and parameters is not NO_RCPT_PARAMETERS:
            self._recipient_options[forward_path] = RecipientOptions(*parameters)
        self._reply += _RECIPIENT_OK

    def _data_command(self, argument: bytes, line: bytes) -> None:
        self._check_transaction()
        self._not_in_chunks()
        _no_argument(argument)
        # A client that does not wait for the 354 has its message taken all the same.
        self._reader = DataReader(self._terms.message_bytes_max(self.client))
        self._state = DATA
        self._reply += _GO_AHEAD

    def _check_transaction(self) -> None:
        if not self._has_sender:
            raise Refusal("give the sender first", code=503, status="5.5.1")
        if not self._recipients:
            raise Refusal("give a recipient first", code=503, status="5.5.1")

    def _error(self, refusal: Refusal) -> None:
        if self._follows_refusal and refusal.code == 503:
            self._answer(refusal)  # RFC 2920 section 3.1: what was pipelined behind a refusal is no error
        else:
            super()._error(refusal)

    def _not_in_chunks(self) -> None:
        if self._chunks is not None:  # RFC 3030 section 2
            raise Refusal("finish the message with BDAT, or say RSET", code=503, status="5.5.1")

    def _bdat_command(self, argument: bytes, line: bytes) -> None:
        try:
            self._chunk_bytes, self._chunk_last = smtp.parse_bdat(argument)
        except Refusal as refusal:
            # Where its bytes end is not known, so none of what follows can be obeyed.
            self._close_with(refusal)
            return
        if self._chunks is None and self._has_sender and self._recipients:
            self._chunks = ChunkReader(self._terms.message_bytes_max(self.client))
        self._chunk_left = self._chunk_bytes
        self._state = CHUNK
        if not self._chunk_left:
            self._chunk_ended()

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
        self._reply += b"214 2.0.0 EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT STARTTLS AUTH\r\n"

    def _quit_command(self, argument: bytes, line: bytes) -> None:
        _no_argument(argument)
        self._reply += b"221 2.0.0 goodbye\r\n"
        self._end()

    # --- TLS and sign-in -----------------------------------------------------------------

    @property
    def _sign_in_offered(self) -> bool:
        # Not in the clear from this machine either: what comes from loopback may be a balancer or a tunnel.
        return self._terms.users_known and self._tls_active

    def _starttls_command(self, argument: bytes, line: bytes) -> None:
        if self._tls_active:
            raise Refusal("TLS is on", code=503, status="5.5.1")
        if not self._terms.tls_offered(tls_active=self._tls_active):
            raise Refusal("TLS is not offered here", code=502, status="5.5.1")
        _no_argument(argument)
        self._forget_transaction()
        self._state = State.TLS
        self._reply += b"220 2.0.0 begin TLS\r\n"
        self._events.append(TlsWanted())

    def _xshadow_command(self, argument: bytes, line: bytes) -> None:
        server = self._server
        if not server or not self._extended or self._has_sender:
            raise Refusal("command not known", code=500, status="5.5.1")
        hello = parse_hello(argument)
        self._state = State.LINK_JUDGED
        self._events.append(ShadowLinkWanted(hello, server))

    def _auth_command(self, argument: bytes, line: bytes) -> None:
        if not self._sign_in_offered and not self._tls_active:
            raise Refusal("sign-in is not offered without TLS", code=503, status="5.7.10")
        if not self._sign_in_offered or not self._helo or self._has_sender:
            raise Refusal("sign-in is not offered now", code=503, status="5.5.1")
        if self.client.signed_in is not None:  # RFC 4954 section 4
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
        self._state = COMMAND
        self._sign_in_step(line)

    def _sign_in_step(self, response: bytes | None) -> None:
        assert self._sign_in is not None
        try:
            outcome = self._sign_in.step(response)
        except Refusal as refusal:
            self._sign_in_failed(refusal)
            return
        if isinstance(outcome, Credentials):
            self._state = SIGN_IN_JUDGED
            self._events.append(PasswordGiven(outcome.user, outcome.password))
        else:
            self._state = SIGN_IN
            self._reply += b"334 " + outcome + b"\r\n"

    def _sign_in_failed(self, refusal: Refusal) -> None:
        self._sign_in_failure_count += 1
        if self._sign_in_failure_count >= FAILURE_COUNT_MAX:
            self._close_with(Refusal("too many failed sign-ins", code=421, status="4.5.0"))
        else:
            self._answer(refusal)

    # --- the message ---------------------------------------------------------------------

    def _message_ended(self) -> None:
        reader, self._reader = self._reader, NO_MESSAGE
        fault = reader.fault
        self._state = COMMAND
        if fault is None:
            self._take_message(reader.message())
            return
        self._answer(refusal_of(fault))
        self._forget_transaction()
        if fault is DataFault.BARE_LINE_END:
            # What follows may be half of a smuggled message; none of it is obeyed.
            self._end()

    def _chunk_ended(self) -> None:
        chunks = self._chunks
        self._state = COMMAND
        if chunks is None:
            try:
                self._check_transaction()
            except Refusal as refusal:
                # Chunks pipelined after one that was refused are no fault of the client.
                (self._answer if self._chunks_refused else self._error)(refusal)
            return
        if self._chunk_last:
            chunks.end()
        fault = chunks.fault
        if fault is not None:
            self._answer(refusal_of_chunk(fault))
            self._forget_transaction()
            self._chunks_refused = not self._chunk_last
        elif self._chunk_last:
            self._chunks = None
            self._take_message(chunks.message())
        else:
            self._reply += f"250 2.0.0 {self._chunk_bytes} bytes received\r\n".encode("ascii")

    def _take_message(self, data: bytes) -> None:
        try:
            data, header = self._checked(data)
        except Refusal as refusal:
            self._answer(refusal)
            self._forget_transaction()
            return
        self._state = MESSAGE_JUDGED
        self._events.append(
            MessageReceived(
                self._mail.reverse_path,
                tuple(self._recipients.values()),
                data,
                self._helo,
                self._protocol,
                self.client.signed_in,
                header,
                self._options,
                self.client,
                self._tls,
                self._mail.parameters.transfer,
            )
        )

    def _checked(self, data: bytes) -> tuple[bytes, HeaderBlock]:
        header = read_header_block(data)
        if header is None:
            return b"\r\n" + data, HeaderBlock(b"")
        connector = self._connector
        if len(header.raw) > connector.header_bytes_max:
            raise Refusal("message header is too large", code=552, status="5.3.4")
        hop_count = header.received_count
        if hop_count > connector.hop_count_max or (
            hop_count > connector.local_hop_count_max
            and header.received_by_count(self._terms.host_names) > connector.local_hop_count_max
        ):
            raise Refusal("message loops: too many Received fields", code=554, status="5.4.6")
        header, data = strip_forbidden(header, data, self.client.rights)
        return data, header

    @property
    def _options(self) -> EnvelopeOptions:
        parameters = self._mail.parameters
        if not (
            self._recipient_options
            or parameters.smtputf8
            or parameters.return_content
            or parameters.envelope_id
        ):
            return _EIGHT_BIT_ENVELOPE if parameters.eight_bit else PLAIN_ENVELOPE
        return EnvelopeOptions(
            parameters.return_content,
            parameters.envelope_id,
            parameters.eight_bit,
            parameters.smtputf8,
            tuple(self._recipient_options.items()),
        )

    @property
    def _protocol(self) -> str:
        if not self._extended:
            return "SMTP"
        signed_in = self.client.signed_in is not None
        name = "UTF8SMTP" if self._mail.parameters.smtputf8 else "ESMTP"
        return name + ("S" if self._tls_active else "") + ("A" if signed_in else "")


def _no_argument(argument: bytes) -> None:
    if argument.strip(b" \t"):
        raise Refusal("command takes no argument", code=501, status="5.5.4")


_COMMANDS: dict[bytes, Callable[[SmtpSession, bytes, bytes], None]] = {
    b"EHLO": SmtpSession._ehlo_command,
    b"HELO": SmtpSession._helo_command,
    b"MAIL": SmtpSession._mail_command,
    b"RCPT": SmtpSession._rcpt_command,
    b"DATA": SmtpSession._data_command,
    b"BDAT": SmtpSession._bdat_command,
    b"RSET": SmtpSession._rset_command,
    b"NOOP": SmtpSession._noop_command,
    b"VRFY": SmtpSession._vrfy_command,
    b"HELP": SmtpSession._help_command,
    b"QUIT": SmtpSession._quit_command,
    b"STARTTLS": SmtpSession._starttls_command,
    b"AUTH": SmtpSession._auth_command,
    b"XSHADOW": SmtpSession._xshadow_command,
}
