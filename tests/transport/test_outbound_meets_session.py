"""Our own client session against our own server session, both as machines, cut anyhow."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.directory.model import Organisation, PermissionGroup, ReceiveConnector, Server
from holdfast.kernel.address import Address
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId
from holdfast.transport.envelope import PLAIN_ENVELOPE, EnvelopeOptions, RecipientOptions
from holdfast.transport.outbound_session import (
    ClientTlsWanted,
    Credentials,
    DotSent,
    OutboundSession,
    SessionFailed,
    SessionReady,
    Transaction,
    TransactionDone,
)
from holdfast.transport.rights import Client
from holdfast.transport.session import SmtpSession
from holdfast.transport.session_terms import MessageReceived, PasswordGiven, Terms, TlsWanted
from holdfast.transport.tls_policy import TlsDemand, TlsFacts, TlsLevel
from holdfast.wire.transfer import Transfer, write_transfer

FACTS = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", True)
HEADER = b"Subject: hello\r\nMessage-ID: <1@example.org>\r\n\r\n"
ORGANISATION = Organisation(servers=(Server("mx", "mx.example.test", "here"),))


class Judges:
    """Say yes to all but some."""

    def judge_sender(self, address: Address | None, client: Client) -> None:
        if address is not None and address.local_part == "spammer":
            raise Refusal("not you", code=550, status="5.7.1")

    def judge_recipient(self, address: Address, client: Client) -> None:
        if address.local_part == "nobody":
            raise Refusal("no such mailbox", code=550, status="5.1.1")
        if address.local_part == "busy":
            raise Refusal("try later", code=450, status="4.2.0")


@dataclass
class Meeting:
    """Both ends, and the wire between them.

    Attributes:
        luck: cuts what travels; None leaves it whole.
    """

    client: OutboundSession
    transactions: list[Transaction]
    luck: random.Random | None = None
    received: list[MessageReceived] = field(default_factory=list)
    done: dict[int, TransactionDone] = field(default_factory=dict)
    doubtful: list[int] = field(default_factory=list)
    failed: SessionFailed | None = None
    client_facts: TlsFacts = FACTS
    server_facts: TlsFacts = FACTS

    def __post_init__(self) -> None:
        connector = ReceiveConnector(
            "test", "mx", ("192.0.2.1:25",), (), tarpit_s=0.0,
            permission_groups=(PermissionGroup.ANONYMOUS, PermissionGroup.USERS, PermissionGroup.SERVERS),
        )  # fmt: skip
        terms = Terms(connector, "mx.example.test", ORGANISATION)
        self.server = SmtpSession(terms, Judges(), "198.51.100.7", tls_active=False)
        self.server.greeting()

    def run(self) -> None:
        """Let both talk until neither has anything to say."""
        while True:
            said = self.server.take_reply()
            for piece in self._cut(said):
                self._client_hears(piece)
            sent = self.client.take_output()
            for piece in self._cut(sent):
                self._server_hears(piece)
            if not said and not sent:
                return

    def _cut(self, data: bytes) -> list[bytes]:
        pieces = []
        while data:
            size = self.luck.randrange(1, 40) if self.luck is not None else len(data)
            pieces.append(data[:size])
            data = data[size:]
        return pieces

    def _client_hears(self, data: bytes) -> None:
        events = self.client.receive(data)
        while events or (self.client.can_take_more and self.transactions):
            for event in events:
                match event:
                    case TransactionDone():
                        self.done[event.number] = event
                    case DotSent():
                        self.doubtful.append(event.number)
                    case SessionFailed():
                        self.failed = event
                    case ClientTlsWanted() | SessionReady():
                        pass
            events = []
            if self.client.can_take_more and self.transactions:
                events = self.client.deliver(self.transactions.pop(0))

    def _server_hears(self, data: bytes) -> None:
        events = self.server.receive(data)
        while events:
            event = events.pop(0)
            match event:
                case MessageReceived():
                    self.received.append(event)
                    if b"full" in event.data:
                        events += self.server.refused(Refusal("no room", code=452, status="4.3.1"))
                    else:
                        events += self.server.accepted("taken")
                case TlsWanted():
                    self._client_hears(self.server.take_reply())
                    self.server.tls_started(self.server_facts)
                    self.client.tls_started(self.client_facts)
                case PasswordGiven():
                    known = MailboxId("m") if event.password == "secret" else None
                    events += self.server.password_checked(known)
                case _:
                    pass


def meeting(*transactions: Transaction, seed: int | None = None, **arguments: object) -> Meeting:
    session = OutboundSession(ehlo_name="me.example", **arguments)  # type: ignore[arg-type]  # a table
    return Meeting(session, list(transactions), random.Random(seed) if seed is not None else None)


def message(
    number: int, *recipients: str, body: bytes = b"hello\r\n", sender: str = "a@example.org"
) -> Transaction:
    return Transaction(number, sender, recipients or ("alice@example.test",), HEADER + body, PLAIN_ENVELOPE)


BODIES = st.lists(
    st.sampled_from(
        [b"\r\n", b".", b"..", b".\r\n", b"x" * 70, "grüße".encode(), b"MAIL FROM:<x@y.example>"]
    ),
    max_size=12,
).map(lambda parts: b"".join(parts) + b"\r\n")
RECIPIENTS = st.lists(
    st.sampled_from(["alice@example.test", "bob@example.test", "nobody@example.test", "busy@example.test"]),
    min_size=1,
    max_size=4,
    unique=True,
).map(tuple)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(RECIPIENTS, BODIES), min_size=1, max_size=5), st.booleans(), st.integers(0, 999))
def test_every_message_arrives_as_it_was_and_every_recipient_has_an_answer(
    drafts: list[tuple[tuple[str, ...], bytes]], chunking: bool, seed: int
) -> None:
    transactions = [message(number, *names, body=body) for number, (names, body) in enumerate(drafts)]
    met = meeting(*transactions, seed=seed, chunking=chunking)
    met.run()
    assert met.failed is None
    assert met.client.idle
    assert sorted(met.done) == list(range(len(drafts)))
    arrived = iter(met.received)
    for number, (names, body) in enumerate(drafts):
        good = tuple(name for name in names if name.startswith(("alice", "bob")))
        assert met.done[number].accepted == good
        refused = dict(met.done[number].refused)
        assert sorted(refused) == sorted(set(names) - set(good))
        assert all(
            reply.code == (550 if name.startswith("nobody") else 450) for name, reply in refused.items()
        )
        if good:
            came = next(arrived)
            assert came.data == HEADER + body
            assert came.recipients == good
    assert next(arrived, None) is None


@pytest.mark.parametrize("chunking", [True, False])
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_tls_sign_in_and_what_is_refused(chunking: bool, seed: int | None) -> None:
    met = meeting(
        message(1, sender="spammer@example.org"),
        message(2),
        message(3, body=b"full\r\n"),
        message(4, "nobody@example.test"),
        message(5),
        seed=seed,
        chunking=chunking,
        tls=TlsDemand(TlsLevel.ENCRYPTED, "mx.example.test"),
        credentials=Credentials("alice", "secret"),
    )
    met.run()
    assert met.failed is None
    assert {number: bool(done.accepted) for number, done in met.done.items()} == {
        1: False, 2: True, 3: False, 4: False, 5: True,
    }  # fmt: skip
    assert [reply.code for number in (1, 3, 4) for _, reply in met.done[number].refused] == [550, 452, 550]
    assert met.received[0].protocol == "ESMTPSA"
    met.client.quit()
    met.run()
    assert met.server.ended


def test_wrong_password() -> None:
    met = meeting(
        message(1),
        tls=TlsDemand(TlsLevel.OPPORTUNISTIC, "mx.example.test"),
        credentials=Credentials("alice", "wrong"),
    )
    met.run()
    assert met.failed is not None
    assert met.failed.reply is not None
    assert met.failed.reply.status == "5.7.8"
    assert met.received == []


def test_reports_and_utf8_come_through() -> None:
    options = EnvelopeOptions(
        "HDRS", "id+2B1", smtputf8=True, recipients=(("alice@example.test", RecipientOptions(("NEVER",))),)
    )
    data = "Subject: grüße\r\nMessage-ID: <1@example.org>\r\n\r\nhello\r\n".encode()
    met = meeting(Transaction(1, "jörg@example.org", ("alice@example.test",), data, options))
    met.run()
    (came,) = met.received
    assert came.reverse_path == "jörg@example.org"
    assert came.options.smtputf8
    assert came.options.envelope_id == "id+2B1"
    assert came.options.of("alice@example.test").notify == ("NEVER",)
    assert came.data == data
    assert met.done[1].reports_passed_on


# --- servers of ours ------------------------------------------------------------------------------

KNOWN = replace(FACTS, server="other")
TRANSFER = Transfer("5a0c7c4e-6d3a-4b7c-9f10-3f1d5f6a7b8c", 90.25, True)


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize(
    ("client_facts", "server_facts", "expected"),
    [(KNOWN, KNOWN, TRANSFER), (KNOWN, FACTS, None), (FACTS, KNOWN, None), (FACTS, FACTS, None)],
    ids=["both known", "only the server", "only the client", "strangers"],
)
def test_a_message_goes_on_as_the_same_one_between_servers_that_both_proved_to_be_ours(
    client_facts: TlsFacts, server_facts: TlsFacts, expected: Transfer | None, seed: int | None
) -> None:
    options = EnvelopeOptions("HDRS", "id", smtputf8=True)
    sent = replace(message(1, body=b"x" * 70_000 + b"\r\n"), options=options, transfer=TRANSFER)
    met = meeting(sent, seed=seed, tls=TlsDemand(TlsLevel.DIRECT, "mx.example.test", server="other"))
    met.client_facts = replace(client_facts, verified=True)
    met.server_facts = server_facts
    met.run()
    assert met.failed is None
    (came,) = met.received
    assert came.transfer == expected
    assert (came.options.return_content, came.options.envelope_id, came.options.smtputf8) == (
        "HDRS",
        "id",
        True,
    )
    assert met.done[1].transferred_to == ("other" if expected is not None else "")
    assert came.client is not None
    assert came.client.server == server_facts.server


def test_from_nobody_else_is_it_believed() -> None:
    met = meeting()
    met.run()
    for facts in (None, FACTS):
        if facts is not None:
            met.server.receive(b"STARTTLS\r\n")
            met.server.take_reply()
            met.server.tls_started(facts)
        met.server.receive(b"EHLO other\r\n")
        assert b"XHOLDFAST" not in met.server.take_reply()
        met.server.receive(f"MAIL FROM:<a@example.org>{write_transfer(TRANSFER)}\r\n".encode())
        assert met.server.take_reply() == b"555 5.5.4 parameter not known\r\n"
