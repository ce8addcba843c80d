"""The access role: numbers for questions, time, and who is told what."""

from __future__ import annotations

import random

import msgspec
import pytest

from holdfast.access.imap_conversation import SessionSettings
from holdfast.directory.model import (
    ImapListener,
    Mailbox,
    MailboxDatabase,
    Organisation,
    Server,
    TlsMode,
)
from holdfast.kernel.ids import ConnectionId, MailboxId
from holdfast.node.access import (
    INACTIVITY_S,
    SESSIONS_PER_MAILBOX_MAX,
    SIGN_IN_S,
    AccessNode,
)
from holdfast.node.ports import AccessOutput, CallStore, CheckPassword, Close, Log, Peer, Send
from holdfast.wire import store

ALICE = Mailbox("alice@example.test", MailboxId("a"), "db1", aliases=("al@example.test",))
ORGANISATION = Organisation(
    servers=(
        Server(
            "mail1",
            "mail1.example.test",
            "home",
            imap=(
                ImapListener("0.0.0.0:143"),
                ImapListener("[::]:993", TlsMode.IMPLICIT),
                ImapListener("bad"),
            ),
        ),
    ),
    mailbox_databases=(MailboxDatabase("db1", "mail1"), MailboxDatabase("db2", "mail1")),
    mailboxes=(ALICE, Mailbox("bob@example.test", MailboxId("b"), "db2")),
)
FOLDER = store.Folder(
    folder_id=5,
    name="INBOX",
    special_use="",
    subscribed=True,
    selectable=True,
    exists=True,
    uid_validity=1,
    uid_next=1,
    message_count=0,
    unseen_count=0,
    recent_count=0,
    size_bytes=0,
    highest_position=1,
)
NOTHING_NEW = store.Changes(1, [], [], [], True)


class Desk:
    """A node with its outputs laid out; nothing is answered by itself."""

    def __init__(self, settings: SessionSettings | None = None) -> None:
        self.node = AccessNode(ORGANISATION, "mail1", random.Random(1), settings)
        self.now = 1000.0
        self.node.store_connected(self.now, "db1")
        self.node.outputs.clear()

    def take(self) -> list[AccessOutput]:
        outputs, self.node.outputs = self.node.outputs, []
        return outputs

    def open(self, number: int = 1, address: str = "127.0.0.1", port: int = 143) -> ConnectionId:
        connection_id = ConnectionId(number)
        self.node.connection_opened(
            self.now, connection_id, Peer(address, 40_000, "192.0.2.1", port, port == 993)
        )
        return connection_id

    def sign_in(
        self, number: int = 1, user: str = "alice@example.test", mailbox_id: str = "a"
    ) -> ConnectionId:
        connection_id = self.open(number)
        self.say(connection_id, f"l LOGIN {user} x")
        self.node.password_checked(self.now, connection_id, MailboxId(mailbox_id))
        self.take()
        return connection_id

    def say(self, connection_id: ConnectionId, line: str) -> None:
        self.node.bytes_received(self.now, connection_id, line.encode() + b"\r\n")

    def calls(self) -> list[CallStore]:
        return [output for output in self.take() if isinstance(output, CallStore)]

    def sent(self) -> str:
        return b"".join(output.data for output in self.take() if isinstance(output, Send)).decode()

    def logged(self) -> list[str]:
        return [output.event.kind.event_id for output in self.take() if isinstance(output, Log)]

    def until(self, seconds: float) -> None:
        """Call the timer as often as the node asks for it."""
        end = self.now + seconds
        while (due := self.node.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.node.timer(self.now)
        self.now = end


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_password_of_an_alias_is_checked_by_the_primary_address(desk: Desk) -> None:
    connection_id = desk.open()
    desk.take()
    desk.say(connection_id, "l LOGIN AL@example.test secret")
    assert desk.take() == [CheckPassword(connection_id, "alice@example.test", "secret")]
    desk.node.password_checked(desk.now, connection_id, ALICE.mailbox_id)
    assert desk.sent() == "l OK LOGIN completed.\r\n"


def test_unknown_user_is_checked_too(desk: Desk) -> None:
    connection_id = desk.open()
    desk.take()
    desk.say(connection_id, "l LOGIN nobody secret")
    assert desk.take() == [CheckPassword(connection_id, "nobody", "secret")]
    desk.node.password_checked(desk.now, connection_id, None)
    assert desk.logged() == ["ACC-0102"]


def test_guesser_waits_longer_each_time(desk: Desk) -> None:
    for number in range(1, 8):
        connection_id = desk.open(number, "127.0.0.1")
        desk.say(connection_id, "l LOGIN alice@example.test wrong")
        desk.until(1.0)
        if number < 7:
            desk.node.password_checked(desk.now, connection_id, None)
            desk.take()
    outputs = desk.take()
    assert any(isinstance(output, Log) and output.event.fields["wait_s"] == 2 for output in outputs)
    assert not any(isinstance(output, CheckPassword) for output in outputs)
    desk.until(1.0)
    assert desk.take() == [CheckPassword(ConnectionId(7), "alice@example.test", "wrong")]


def test_answers_find_the_session_that_asked(desk: Desk) -> None:
    first, second = desk.sign_in(1), desk.sign_in(2)
    desk.say(first, "a CREATE x")
    desk.say(second, "b CREATE y")
    calls = desk.calls()
    assert [call.database for call in calls] == ["db1", "db1"]
    desk.node.store_answered(desk.now, calls[1].number, store.FolderList([FOLDER]))
    assert desk.sent() == "b OK [MAILBOXID (F5)] CREATE completed.\r\n"
    desk.node.store_answered(desk.now, calls[1].number, store.Done())
    desk.node.connection_lost(desk.now, first)
    desk.node.store_answered(desk.now, calls[0].number, store.FolderList([FOLDER]))
    assert desk.take() == []


def test_database_that_is_not_there(desk: Desk) -> None:
    bob = desk.sign_in(1, "bob@example.test", "b")
    desk.say(bob, 'a LIST "" *')
    assert desk.sent().startswith("a NO [UNAVAILABLE] LIST failed.")
    alice = desk.sign_in(2)
    desk.say(alice, 'a LIST "" *')
    desk.take()
    desk.node.store_lost(desk.now, "db1")
    assert desk.sent().startswith("a NO [UNAVAILABLE] LIST failed.")


def idle_in_inbox(desk: Desk, connection_id: ConnectionId) -> list[CallStore]:
    desk.say(connection_id, "s SELECT INBOX")
    (opening,) = desk.calls()
    desk.node.store_answered(desk.now, opening.number, store.FolderOpened(FOLDER, [], []))
    desk.say(connection_id, "i IDLE")
    calls = desk.calls()
    reading = next(call for call in calls if isinstance(call.operation, store.ReadChanges))
    desk.node.store_answered(desk.now, reading.number, NOTHING_NEW)
    for call in calls:
        if isinstance(call.operation, store.Watch):
            desk.node.store_answered(desk.now, call.number, store.Done())
    desk.take()
    return calls


def test_watch_is_shared_and_renewed(desk: Desk) -> None:
    first, second = desk.sign_in(1), desk.sign_in(2)
    assert idle_in_inbox(desk, first)[0].operation == store.Watch("a", 5, True)
    assert not any(isinstance(call.operation, store.Watch) for call in idle_in_inbox(desk, second))
    desk.node.store_answered(desk.now, 0, store.Changed(5, 2))
    assert [call.operation.after for call in desk.calls()] == [1, 1]
    desk.node.store_answered(desk.now, 0, store.Changed(99, 2))
    desk.node.store_lost(desk.now, "db1")
    desk.take()
    desk.node.store_connected(desk.now, "db2")
    assert desk.calls() == []
    desk.node.store_connected(desk.now, "db1")
    operations = [type(call.operation) for call in desk.calls()]
    assert operations == [store.Watch, store.ReadChanges, store.ReadChanges]
    desk.node.connection_lost(desk.now, first)
    assert desk.calls() == []
    desk.node.connection_lost(desk.now, second)
    assert [call.operation for call in desk.calls()] == [store.Watch("a", 5, False)]


def test_silence_before_and_after_sign_in(desk: Desk) -> None:
    desk.open(1)
    signed_in = desk.sign_in(2)
    desk.take()
    desk.until(SIGN_IN_S)
    outputs = desk.take()
    assert Close(ConnectionId(1)) in outputs
    assert Close(signed_in) not in outputs
    desk.until(INACTIVITY_S - SIGN_IN_S - 10)
    desk.say(signed_in, "n NOOP")
    desk.until(60)
    assert Close(signed_in) not in desk.take()
    desk.until(INACTIVITY_S)
    text = desk.sent()
    assert text == "* BYE Silent for too long.\r\n"
    desk.node.connection_lost(desk.now, ConnectionId(1))
    desk.node.connection_lost(desk.now, signed_in)
    desk.node.connection_lost(desk.now, signed_in)
    desk.until(INACTIVITY_S)
    assert desk.node.deadline() is None
    assert desk.node.idle()


def test_session_that_cannot_finish_is_closed_without_a_word(desk: Desk) -> None:
    connection_id = desk.sign_in()
    desk.say(connection_id, 'a LIST "" *')
    desk.take()
    desk.until(INACTIVITY_S)
    outputs = desk.take()
    assert Close(connection_id) in outputs
    assert not any(isinstance(output, Send) for output in outputs)


def test_sessions_of_one_mailbox_are_bounded(desk: Desk) -> None:
    for number in range(1, SESSIONS_PER_MAILBOX_MAX + 1):
        desk.sign_in(number)
    connection_id = desk.open(1000)
    desk.say(connection_id, "l LOGIN alice@example.test x")
    desk.take()
    desk.node.password_checked(desk.now, connection_id, ALICE.mailbox_id)
    outputs = desk.take()
    assert outputs[-1] == Close(connection_id)
    assert outputs[-2] == Send(connection_id, b"* BYE Too many sessions of this user.\r\n")
    desk.node.connection_lost(desk.now, ConnectionId(1))
    again = desk.open(1001)
    desk.say(again, "l LOGIN alice@example.test x")
    desk.take()
    desk.node.password_checked(desk.now, again, ALICE.mailbox_id)
    assert desk.sent() == "l OK LOGIN completed.\r\n"


def test_mailbox_that_is_disabled_or_moved_ends_its_sessions(desk: Desk) -> None:
    alice = desk.sign_in(1)
    waiting = desk.open(2)
    desk.take()
    desk.node.organisation_changed(desk.now, ORGANISATION)
    assert desk.take() == []
    moved = Organisation(
        servers=ORGANISATION.servers,
        mailbox_databases=ORGANISATION.mailbox_databases,
        mailboxes=(Mailbox("alice@example.test", MailboxId("a"), "db2"),),
    )
    desk.node.organisation_changed(desk.now, moved)
    assert desk.sent() == "* BYE This mailbox is not served here any more.\r\n"
    desk.node.connection_lost(desk.now, alice)
    desk.node.organisation_changed(desk.now, Organisation(servers=ORGANISATION.servers))
    desk.say(waiting, "l LOGIN alice@example.test x")
    desk.node.password_checked(desk.now, waiting, ALICE.mailbox_id)
    assert "l NO [AUTHENTICATIONFAILED]" in desk.sent()


def test_stop_takes_nobody_in(desk: Desk) -> None:
    desk.sign_in(1)
    desk.node.stopping(desk.now)
    assert desk.sent().startswith("* BYE")
    desk.open(2)
    assert desk.sent() == "* BYE The server is stopping; connect again.\r\n"
    desk.node.stopping(desk.now)
    assert not desk.node.idle()
    desk.node.connection_lost(desk.now, ConnectionId(1))
    desk.node.connection_lost(desk.now, ConnectionId(2))
    assert desk.node.idle()


@pytest.mark.parametrize(("port", "offered"), [(143, True), (993, False), (5, False)])
def test_starttls_where_the_listener_offers_it(port: int, offered: bool, desk: Desk) -> None:
    connection_id = desk.open(1, "192.0.2.9", port)
    desk.say(connection_id, "t CAPABILITY")
    assert ("STARTTLS" in desk.sent()) is offered
    if not offered:
        desk.say(connection_id, "t STARTTLS")
        assert desk.sent().startswith("t BAD")


def test_server_that_the_organisation_does_not_know() -> None:
    node = AccessNode(ORGANISATION, "elsewhere", random.Random(1))
    node.connection_opened(0.0, ConnectionId(1), Peer("192.0.2.9", 1, "192.0.2.1", 143, False))
    assert isinstance(node.outputs[0], Send)


def test_late_news_of_closed_connections_are_ignored(desk: Desk) -> None:
    connection_id = desk.open()
    desk.say(connection_id, "nonsense")
    assert Close(connection_id) in desk.take()
    desk.node.bytes_received(desk.now, connection_id, b"a NOOP\r\n")
    desk.node.connection_ended(desk.now, connection_id)
    desk.node.connection_drained(desk.now, connection_id)
    desk.node.tls_started(desk.now, connection_id)
    desk.node.password_checked(desk.now, connection_id, None)
    desk.until(SIGN_IN_S)
    assert desk.take() == []


def test_a_message_without_a_date_gets_that_of_the_wall_clock(desk: Desk) -> None:
    desk.node.clock_offset_s = 1_700_000_000.0
    connection_id = desk.sign_in()
    desk.say(connection_id, "a APPEND INBOX {1+}\r\nx")
    (call,) = desk.calls()
    assert isinstance(call.operation, store.AppendMessage)
    assert call.operation.internal_at == 1_700_000_000.0 + desk.now


def test_a_client_that_does_not_read_its_answer_is_sent_away(desk: Desk) -> None:
    connection_id = desk.sign_in()
    desk.say(connection_id, 'a LIST "" *')
    (call,) = desk.calls()
    many = [msgspec.structs.replace(FOLDER, name=f"{'x' * 150}{number}") for number in range(3000)]
    desk.node.store_answered(desk.now, call.number, store.FolderList(many))
    desk.take()
    desk.until(200.0)
    desk.node.connection_drained(desk.now, connection_id)
    assert desk.take(), "a slow reader is given the next piece"
    desk.until(299.0)
    assert desk.take() == []
    desk.until(2.0)
    assert [type(output) for output in desk.take()] == [Log, Close]


def test_connections_are_limited_in_all_and_by_source() -> None:
    desk = Desk(SessionSettings(connection_count_max=3, strangers_per_source_max=2))
    desk.sign_in(1)
    for number in (2, 3):
        desk.open(number)
        assert desk.sent().startswith("* OK")
    desk.open(4, "192.0.2.9")
    outputs = desk.take()
    assert [type(output) for output in outputs] == [Log, Send, Close]
    assert Send(ConnectionId(4), b"* BYE Too many connections; try again later.\r\n") in outputs
    desk.node.connection_lost(desk.now, ConnectionId(4))
    desk.node.connection_lost(desk.now, ConnectionId(1))
    desk.take()
    desk.open(5)
    assert [type(output) for output in desk.take()] == [Send, Close], "strangers; said once a minute"
    desk.open(6, "192.0.2.9")
    assert desk.sent().startswith("* OK"), "another source"
    desk.now += 61.0
    desk.open(7)
    assert desk.logged() == ["ACC-0106"]
