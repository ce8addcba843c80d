"""The session as a machine: its events, its limits, and that segments change nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.directory.model import (
    AcceptedDomain,
    Organisation,
    PermissionGroup,
    ReceiveConnector,
    Server,
    SizeMode,
    TlsMode,
    Usage,
)
from holdfast.kernel.address import Address
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId
from holdfast.transport.envelope import PLAIN_ENVELOPE, EnvelopeOptions, RecipientOptions
from holdfast.transport.rights import Client, ClientKind
from holdfast.transport.session import SmtpSession
from holdfast.transport.session_terms import (
    MessageReceived,
    PasswordGiven,
    SessionEnded,
    SessionEvent,
    Terms,
    TlsWanted,
)
from holdfast.transport.tls_policy import TlsFacts
from holdfast.wire.headers import HeaderBlock
from holdfast.wire.smtp import AUTH_BYTES_MAX

CONNECTOR = ReceiveConnector("test", "mx", ("192.0.2.1:25",), (), tarpit_s=0.0)
ORGANISATION = Organisation(
    accepted_domains=(AcceptedDomain("example.test"),),
    servers=(Server("mx", "mx.example.test", "here", addresses=("192.0.2.1", "2001:db8::1")),),
)
ENVELOPE = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
MESSAGE = ENVELOPE + b"Subject: hello\r\nMessage-ID: <1@example.org>\r\n\r\nbody\r\n.\r\n"


@dataclass
class Judges:
    """Say yes, and remember who was asked about."""

    senders: list[tuple[Address | None, MailboxId | None]] = field(default_factory=list)
    recipients: list[tuple[Address, MailboxId | None]] = field(default_factory=list)

    def judge_sender(self, address: Address | None, client: Client) -> None:
        self.senders.append((address, client.signed_in))
        if address is not None and address.local_part == "spammer":
            raise Refusal("not you", code=550, status="5.7.1")
        if address is not None and address.local_part == "stopping":
            raise Refusal("stopping", code=421, status="4.3.2")

    def judge_recipient(self, address: Address, client: Client) -> None:
        self.recipients.append((address, client.signed_in))
        if address.local_part == "nobody":
            raise Refusal("no such mailbox", code=550, status="5.1.1")


def open_session(
    connector: ReceiveConnector = CONNECTOR,
    *,
    tls_active: bool = False,
    judges: Judges | None = None,
    address: str = "198.51.100.7",
    organisation: Organisation = ORGANISATION,
) -> SmtpSession:
    terms = Terms(connector, "MX.example.test", organisation)
    return SmtpSession(terms, judges or Judges(), address, tls_active=tls_active)


def greeted(connector: ReceiveConnector = CONNECTOR) -> SmtpSession:
    session = open_session(connector)
    session.receive(b"EHLO client.example\r\n")
    session.take_reply()
    return session


def test_a_message_waits_for_its_answer_and_so_does_what_follows() -> None:
    session = greeted()
    (event,) = session.receive(MESSAGE + b"NOOP\r\n")
    assert isinstance(event, MessageReceived)
    assert (event.reverse_path, event.recipients) == ("a@example.org", ("alice@example.test",))
    assert event.data.endswith(b"\r\n\r\nbody\r\n")
    assert (event.helo, event.protocol, event.signed_in) == ("client.example", "ESMTP", None)
    assert (event.header.message_id, event.header.subject) == ("<1@example.org>", "hello")
    assert session.take_reply().count(b"\r\n") == 3
    assert session.waiting
    assert session.receive(b"QUIT\r\n") == []
    assert session.take_reply() == b""
    assert session.accepted("queued") == [SessionEnded()]
    assert session.take_reply().split(b"\r\n") == [
        b"250 2.0.0 queued",
        b"250 2.0.0 ok",
        b"221 2.0.0 goodbye",
        b"",
    ]
    assert session.ended
    assert session.receive(b"NOOP\r\n") == []
    assert session.take_reply() == b""


def test_a_message_that_is_not_taken_leaves_the_session_open() -> None:
    session = greeted()
    session.receive(MESSAGE)
    session.take_reply()
    assert session.refused(Refusal("disk is full", code=452, status="4.3.1")) == []
    assert session.take_reply() == b"452 4.3.1 disk is full\r\n"
    assert isinstance(session.receive(MESSAGE)[0], MessageReceived)
    session.take_reply()
    assert session.refused(Refusal("going down", code=421, status="4.3.2")) == [SessionEnded()]
    assert session.take_reply() == b"421 4.3.2 going down\r\n"


def test_the_judges_are_asked_and_their_refusal_is_the_answer() -> None:
    judges = Judges()
    session = open_session(judges=judges)
    session.receive(b"HELO client.example\r\nMAIL FROM:<spammer@example.org>\r\n")
    assert session.take_reply().endswith(b"\r\n550 5.7.1 not you\r\n")
    session.receive(b"MAIL FROM:<>\r\nRCPT TO:<nobody@example.test>\r\nRCPT TO:<POSTMASTER>\r\n")
    assert session.take_reply().split(b"\r\n")[1:] == [
        b"550 5.1.1 no such mailbox",
        b"250 2.1.5 recipient ok",
        b"",
    ]
    assert [address for address, _ in judges.senders] == [Address("spammer", "example.org"), None]
    assert judges.recipients[-1] == (Address("postmaster", "mx.example.test"), None)
    (event,) = session.receive(b"DATA\r\n.\r\n")
    assert isinstance(event, MessageReceived)
    assert event.recipients == ("postmaster@mx.example.test",)
    assert event.protocol == "SMTP"


def test_unknown_recipients_do_not_end_the_session() -> None:
    session = greeted()
    session.receive(b"MAIL FROM:<>\r\n" + b"RCPT TO:<nobody@example.test>\r\n" * 20)
    assert not session.ended
    assert session.take_reply().count(b"550 5.1.1") == 20


@pytest.mark.parametrize(
    ("tls_active", "signed_in", "protocol"),
    [(False, False, "ESMTP"), (True, False, "ESMTPS"), (True, True, "ESMTPSA")],
)
def test_protocol_names_what_protected_the_session(tls_active: bool, signed_in: bool, protocol: str) -> None:
    usage = Usage.CLIENT if signed_in else Usage.INTERNET
    session = open_session(replace(CONNECTOR, usage=usage), tls_active=tls_active)
    session.receive(b"EHLO client.example\r\n")
    if signed_in:
        assert session.receive(b"AUTH PLAIN AGEAYg==\r\n") == [PasswordGiven("a", "b")]
        assert session.password_checked(MailboxId("m")) == []
    (event,) = session.receive(MESSAGE)
    assert isinstance(event, MessageReceived)
    assert event.protocol == protocol
    assert event.signed_in == (MailboxId("m") if signed_in else None)


def test_three_wrong_passwords_end_the_session_and_nothing_pipelined_is_obeyed() -> None:
    session = open_session(replace(CONNECTOR, usage=Usage.CLIENT), tls_active=True)
    session.receive(b"EHLO client.example\r\n")
    for _ in range(2):
        session.receive(b"AUTH PLAIN AGEAYg==\r\n")
        session.take_reply()
        assert session.password_checked(None) == []
        assert session.take_reply().startswith(b"535 5.7.8 ")
    session.receive(b"AUTH PLAIN AGEAYg==\r\nNOOP\r\n")
    assert session.password_checked(None) == [SessionEnded()]
    assert session.take_reply().startswith(b"421 4.5.0 ")


def test_a_goodbye_may_overtake_what_was_waited_for() -> None:
    session = greeted()
    session.receive(MESSAGE)
    session.say_goodbye(421, "4.4.2", "too long")
    session.take_reply()
    assert session.accepted("late") == []
    assert session.refused(Refusal("late")) == []
    assert session.password_checked(None) == []
    session.tls_started()
    assert session.take_reply() == b""


def test_a_judge_may_end_the_session() -> None:
    judges = Judges()
    session = open_session(judges=judges)
    assert session.receive(b"HELO x\r\nMAIL FROM:<stopping@example.org>\r\nRCPT TO:<a@example.test>\r\n") == [
        SessionEnded()
    ]
    assert session.take_reply().endswith(b"\r\n421 4.3.2 stopping\r\n")


@pytest.mark.parametrize("size", [1, 1000])
def test_a_tls_client_on_a_plain_port_is_told_at_once(size: int) -> None:
    session = open_session()
    hello = b"\x16\x03\x01\x02\x00\x01\n\r\n"
    for at in range(0, len(hello), size):
        session.receive(hello[at : at + size])
    assert session.take_reply() == b"554 5.5.2 begin without TLS here\r\n"
    assert session.ended


def test_starttls_forgets_what_was_said_in_the_clear() -> None:
    session = greeted()
    assert session.receive(b"MAIL FROM:<>\r\nSTARTTLS\r\nNOOP\r\n") == [TlsWanted()]
    assert session.receive(b"NOOP\r\n") == []
    assert not session.waiting
    assert session.take_reply().endswith(b"\r\n220 2.0.0 begin TLS\r\n")
    session.tls_started()
    session.receive(b"RCPT TO:<alice@example.test>\r\n")
    assert session.take_reply().startswith(b"503 ")
    session.receive(b"EHLO client.example\r\n")
    assert b"STARTTLS" not in session.take_reply()


def test_starttls_is_refused_where_it_is_not_offered() -> None:
    session = greeted(replace(CONNECTOR, tls=TlsMode.NONE))
    session.receive(b"STARTTLS\r\n")
    assert session.take_reply().startswith(b"502 5.5.1 ")


def test_goodbye_ends_the_session_once() -> None:
    session = greeted()
    session.receive(ENVELOPE + b"half a mess")
    assert session.receiving_data
    session.take_reply()
    assert session.say_goodbye(421, "4.4.2", "you said nothing for too long") == [SessionEnded()]
    assert session.take_reply() == b"421 4.4.2 you said nothing for too long\r\n"
    assert session.say_goodbye(421, "4.4.2", "again") == []
    assert session.take_reply() == b""


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"NOOP " + b"a" * 505, b"250 "),
        (b"NOOP " + b"a" * 506, b"500 5.5.2 "),
        (b"NOOP " + b"a" * 993, b"500 5.5.2 "),
        (b"NOOP " + b"a" * 994, b"554 5.5.2 "),
        (b"MAIL FROM:<a@" + b"b" * 1000 + b">", b"501 5.1.8 "),
        (b"MAIL FROM:<a@" + b"b" * 4090 + b">", b"554 5.5.2 "),
        (b"AUTH " + b"a" * 12_000, b"503 5.7.10 "),
        (b"AUTH " + b"a" * 13_000, b"554 5.5.2 "),
        (b"a" * 10_000_000, b"554 5.5.2 "),
    ],
)
@pytest.mark.parametrize("piece_bytes", [10_000_010, 5000])
def test_long_lines(line: bytes, reply: bytes, piece_bytes: int) -> None:
    session = greeted()
    data = line + b"\r\n"
    for at in range(0, len(data), piece_bytes):
        session.receive(data[at : at + piece_bytes])
        assert session.buffered_bytes <= AUTH_BYTES_MAX
    assert session.take_reply().startswith(reply)
    assert session.ended == reply.startswith(b"554")


def test_a_line_without_end_or_with_bare_line_feeds_is_bounded() -> None:
    session = greeted()
    for _ in range(1000):
        session.receive(b"NOOP\n" * 100)
        assert session.buffered_bytes <= 1
    assert session.take_reply().startswith(b"500 5.5.2 ")
    session.receive(b"\r\nNOOP\r\n")
    assert session.take_reply() == b"250 2.0.0 ok\r\n"


def test_a_message_too_large_is_read_to_its_end_and_not_kept() -> None:
    session = greeted(replace(CONNECTOR, message_bytes_max=10_000))
    session.receive(ENVELOPE)
    session.take_reply()
    for _ in range(1000):
        session.receive(b"0123456789\r\n" * 100)
        assert session.buffered_bytes <= 10_003
    session.receive(b".\r\nNOOP\r\n")
    assert session.take_reply() == b"552 5.3.4 message is too large\r\n250 2.0.0 ok\r\n"


# --- any bytes, in any pieces --------------------------------------------------------------

LINES = [
    b"EHLO client.example",
    b"HELO x",
    b"MAIL FROM:<a@example.org>",
    b"MAIL FROM:<a@example.org> SIZE=5 BODY=8BITMIME",
    b"RCPT TO:<alice@example.test>",
    b"RCPT TO:<nobody@example.test>",
    b"DATA",
    b".",
    b"..",
    b"Subject: x",
    b"",
    b"RSET",
    b"NOOP",
    b"AUTH PLAIN",
    b"AUTH LOGIN",
    b"AUTH PLAIN AGEAYg==",
    b"YQ==",
    b"*",
    b"STARTTLS",
    b"QUIT",
    b"BDAT 0",
    b"BDAT 7",
    b"BDAT 11 LAST",
    b"BDAT 0 LAST",
    b"BDAT 2000",
    b"BDAT x",
    b"MAIL FROM:<a@example.org> SMTPUTF8 RET=HDRS",
    b"RCPT TO:<alice@example.test> NOTIFY=NEVER",
    b"x" * 600,
    b"\x16\x03",
    b"x" * 13_000,
]
ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\r\n", b"\0\r\n", b""])
CHUNKS = st.lists(
    st.one_of(st.tuples(st.sampled_from(LINES), ENDS).map(b"".join), st.binary(max_size=20)), max_size=25
).map(b"".join)


NO_HEADER = HeaderBlock(b"")


def talk(connector: ReceiveConnector, data: bytes, sizes: list[int]) -> tuple[bytes, list[SessionEvent]]:
    """Run a whole session; passwords are right when they are ``b``, messages all taken."""
    session = SmtpSession(
        Terms(connector, "mx.example.test", ORGANISATION), Judges(), "127.0.0.1", tls_active=False
    )
    seen: list[SessionEvent] = []
    reply = b""
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        events = session.receive(data[at : at + size])
        at, turn = at + size, turn + 1
        while events:
            reply += session.take_reply()
            (event,) = events
            if isinstance(event, MessageReceived):
                # The header block is made from data, and has no equality of its own.
                seen.append(replace(event, header=NO_HEADER))
                events = session.accepted("taken")
                continue
            seen.append(event)
            events = (
                session.password_checked(MailboxId("m") if event.password == "b" else None)
                if isinstance(event, PasswordGiven)
                else []
            )
        assert not session.waiting
        assert session.buffered_bytes <= AUTH_BYTES_MAX + 1003
    return reply + session.take_reply(), seen


@settings(max_examples=300, deadline=None)
@given(CHUNKS, st.lists(st.integers(1, 200), min_size=1, max_size=5), st.sampled_from(Usage))
@example(b"NOOP\r\n" + b"x" * 12_286 + b"\r\nNOOP\r\n", [1], Usage.INTERNET)
@example(b"NOOP\r\n" + b"x" * 12_287 + b"\r\nNOOP\r\n", [1], Usage.INTERNET)
@example(b"a\n\r\r\nNOOP\r\n", [1], Usage.INTERNET)
def test_pieces_change_no_answer(data: bytes, sizes: list[int], usage: Usage) -> None:
    connector = replace(CONNECTOR, usage=usage, message_bytes_max=1000, protocol_error_count_max=8)
    data = b"EHLO client.example\r\n" + data
    assert talk(connector, data, sizes) == talk(connector, data, [len(data)])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 10))
def test_any_bytes_are_answered_or_refused(data: bytes, size: int) -> None:
    reply, _ = talk(CONNECTOR, data, [size])
    assert all(line[:3].isdigit() for line in reply.split(b"\r\n")[:-1])


# --- who may ---------------------------------------------------------------------------------


def reply_of(session: SmtpSession, data: bytes) -> bytes:
    session.receive(data)
    return session.take_reply()


EHLO = b"EHLO client.example\r\n"
MAIL = EHLO + b"MAIL FROM:<a@example.org>\r\n"
INTERNAL = replace(CONNECTOR, usage=Usage.INTERNAL)
PARTNER = replace(CONNECTOR, usage=Usage.PARTNER, client_certificate_domains=("partner.example",))


@pytest.mark.parametrize(
    ("connector", "address", "status"),
    [
        (CONNECTOR, "198.51.100.7", b"250 2.1.0"),
        (replace(CONNECTOR, usage=Usage.CLIENT), "198.51.100.7", b"530 5.7.0"),
        (INTERNAL, "198.51.100.7", b"550 5.7.1"),
        (INTERNAL, "192.0.2.1", b"250 2.1.0"),
        (INTERNAL, "2001:db8::1", b"250 2.1.0"),
        (replace(INTERNAL, externally_secured=True), "198.51.100.7", b"250 2.1.0"),
        (replace(CONNECTOR, usage=Usage.RELAY), "198.51.100.7", b"250 2.1.0"),
        (replace(CONNECTOR, require_tls=True), "198.51.100.7", b"530 5.7.0"),
        (PARTNER, "198.51.100.7", b"530 5.7.0"),
        (replace(PARTNER, client_certificate_domains=()), "198.51.100.7", b"250 2.1.0"),
    ],
)
def test_who_may_send_at_all(connector: ReceiveConnector, address: str, status: bytes) -> None:
    session = open_session(connector, address=address)
    assert reply_of(session, MAIL).splitlines()[-1].startswith(status)


@pytest.mark.parametrize(
    ("names", "verified", "status"),
    [
        ((), False, b"454 4.7.5"),
        (("partner.example",), False, b"454 4.7.5"),
        (("other.example", "evilpartner.example"), True, b"454 4.7.5"),
        (("PARTNER.example",), True, b"250 2.1.0"),
        (("mail.partner.example",), True, b"250 2.1.0"),
    ],
)
def test_a_partner_shows_its_certificate(names: tuple[str, ...], verified: bool, status: bytes) -> None:
    session = open_session(PARTNER)
    session.receive(EHLO + b"STARTTLS\r\n")
    session.tls_started(TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", verified, peer_names=names))
    assert reply_of(session, MAIL).splitlines()[-1].startswith(status)
    if status.startswith(b"250"):
        assert session.client.kind is ClientKind.PARTNER
        (event,) = session.receive(ENVELOPE.partition(b"\r\n")[2] + b".\r\n")
        assert isinstance(event, MessageReceived)
        assert event.tls == "TLSv1.3 TLS_AES_256_GCM_SHA384"


def test_sign_in_is_offered_where_users_have_rights() -> None:
    for groups, offered in (
        ((PermissionGroup.ANONYMOUS,), False),
        ((PermissionGroup.USERS, PermissionGroup.ANONYMOUS), True),
    ):
        session = open_session(replace(CONNECTOR, permission_groups=groups), tls_active=True)
        assert (b"AUTH PLAIN LOGIN" in reply_of(session, EHLO)) is offered
        assert reply_of(session, MAIL).endswith(b"250 2.1.0 sender ok\r\n")


def test_too_many_wrong_passwords_elsewhere_put_a_sign_in_off() -> None:
    session = open_session(replace(CONNECTOR, usage=Usage.CLIENT), tls_active=True)
    session.receive(EHLO + b"AUTH PLAIN AGEAYg==\r\n")
    session.take_reply()
    assert session.sign_in_refused(Refusal("later", code=454, status="4.7.0")) == []
    assert session.take_reply() == b"454 4.7.0 later\r\n"
    session.receive(b"AUTH PLAIN AGEAYg==\r\n")
    assert session.sign_in_refused(Refusal("later", code=421, status="4.7.0")) == [SessionEnded()]
    assert session.sign_in_refused(Refusal("later")) == []


@pytest.mark.parametrize(
    ("mode", "keyword", "answer"),
    [
        (SizeMode.ENABLED, b"250-SIZE 1000\r\n", b"552"),
        (SizeMode.WITHOUT_VALUE, b"250-SIZE\r\n", b"552"),
        (SizeMode.DISABLED, b"", b"250"),
    ],
)
def test_what_is_said_of_the_size(mode: SizeMode, keyword: bytes, answer: bytes) -> None:
    organisation = replace(ORGANISATION, message_bytes_max=1000)
    session = open_session(replace(CONNECTOR, size_mode=mode), organisation=organisation)
    reply = reply_of(session, EHLO)
    assert keyword in reply
    assert (b"SIZE" in reply) is bool(keyword)
    assert reply_of(session, b"MAIL FROM:<> SIZE=1001\r\n").startswith(answer)


def test_limits_of_the_organisation_are_for_users_and_strangers_not_for_our_servers() -> None:
    organisation = replace(ORGANISATION, message_bytes_max=1000, recipient_count_max=1)
    server = open_session(INTERNAL, address="192.0.2.1", organisation=organisation)
    assert b"SIZE 37748736" in reply_of(server, EHLO)
    user = open_session(replace(CONNECTOR, usage=Usage.CLIENT), tls_active=True, organisation=organisation)
    user.receive(EHLO + b"AUTH PLAIN AGEAYg==\r\n")
    user.password_checked(MailboxId("m"))
    user.take_reply()
    reply = reply_of(user, b"MAIL FROM:<>\r\nRCPT TO:<a@example.test>\r\nRCPT TO:<b@example.test>\r\n")
    assert reply.endswith(b"452 4.5.3 too many recipients; send to the others again\r\n")


# --- what is kept of the envelope ------------------------------------------------------------


def envelope_of(session: SmtpSession, data: bytes) -> MessageReceived:
    (event,) = session.receive(data)
    assert isinstance(event, MessageReceived)
    return event


def test_the_case_of_a_local_part_is_ours_to_fold_in_our_own_domains_only() -> None:
    event = envelope_of(
        greeted(),
        b"MAIL FROM:<a@example.org>\r\nRCPT TO:<Bob@other.example>\r\nRCPT TO:<bob@Other.example>\r\n"
        b'RCPT TO:<"bob"@other.example>\r\nRCPT TO:<bob@example.test>\r\nRCPT TO:<BOB@example.test>\r\n'
        b"DATA\r\n.\r\n",
    )
    assert event.recipients == ("Bob@other.example", "bob@Other.example", "bob@example.test")


def test_the_envelope_keeps_what_was_asked_for() -> None:
    session = greeted()
    event = envelope_of(
        session,
        "MAIL FROM:<ä@example.org> RET=HDRS ENVID=a+20b SMTPUTF8 BODY=8BITMIME\r\n"
        "RCPT TO:<alice@example.test> NOTIFY=DELAY,FAILURE ORCPT=rfc822;al+2Bx@example.test\r\n"
        "RCPT TO:<Alice@example.test> NOTIFY=NEVER\r\n"
        "RCPT TO:<bob@example.test>\r\nDATA\r\n.\r\n".encode(),
    )
    asked = RecipientOptions(("DELAY", "FAILURE"), "rfc822;al+2Bx@example.test")
    assert event.options == EnvelopeOptions("HDRS", "a+20b", True, True, (("alice@example.test", asked),))
    assert (event.protocol, event.reverse_path) == ("UTF8SMTP", "ä@example.org")
    session.accepted("taken")
    plain = envelope_of(session, ENVELOPE + b".\r\n")
    assert plain.options is PLAIN_ENVELOPE
    assert plain.protocol == "ESMTP"


@pytest.mark.parametrize(("usage", "kept"), [(Usage.INTERNET, False), (Usage.INTERNAL, True)])
def test_only_servers_of_ours_hand_on_our_own_fields(usage: Usage, kept: bool) -> None:
    session = open_session(replace(CONNECTOR, usage=usage), address="192.0.2.1")
    session.receive(EHLO)
    event = envelope_of(
        session, ENVELOPE + b"X-Holdfast-Organization-Scl: -1\r\nSubject: x\r\n\r\nx\r\n.\r\n"
    )
    assert (b"Scl" in event.data) is kept
    assert event.data.endswith(b"Subject: x\r\n\r\nx\r\n")
    assert event.header.subject == "x"


@pytest.mark.parametrize(
    ("host", "count", "status"),
    [("other.example", 30, b""), ("other.example", 31, b"554 5.4.6"), ("MX.example.test", 9, b"554 5.4.6")],
)
def test_loops_end(host: str, count: int, status: bytes) -> None:
    session = greeted()
    data = f"Received: from x\r\n by {host} with SMTP\r\n".encode() * count
    session.receive(ENVELOPE + data + b"\r\n.\r\n")
    assert status in session.take_reply()
    assert session.waiting is (status == b"")


def test_what_was_pipelined_behind_a_refusal_is_no_error_of_the_protocol() -> None:
    session = greeted(replace(CONNECTOR, protocol_error_count_max=2, tarpit_s=0.0))
    refused = b"MAIL FROM:<x@other.test>\r\nRCPT TO:<nobody@example.test>\r\nDATA\r\nRSET\r\n"
    for _ in range(5):
        session.receive(refused)
        codes = [line[:3] for line in session.take_reply().splitlines()]
        assert codes == [b"250", b"550", b"503", b"250"]
    assert not session.ended
    session.receive(b"DATA\r\nDATA\r\n")
    assert session.take_reply().splitlines()[-1].startswith(b"421 ")
