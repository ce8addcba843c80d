"""The doors on their own: holds, throttles, balancers; inside the node they are in test_transport.py."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from holdfast.directory.model import AcceptedDomain, Mailbox, Organisation, ReceiveConnector, Server, Usage
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import ConnectionId, MailboxId
from holdfast.kernel.iprange import parse_ip_range
from holdfast.node.ports import CheckPassword, Close, Log, PauseReading, Peer, ResumeReading, Send, StartTls
from holdfast.node.smtp_doors import PIPELINED_BYTES_MAX, PROXY_WAIT_S, SmtpDoors
from holdfast.transport.categorize import Categorizer
from holdfast.transport.intake import Intake
from holdfast.transport.queue import AddMessage, Queue, RecoveredQueue, TrackOnly
from holdfast.transport.rights import ClientKind
from holdfast.transport.tls_policy import TlsFacts
from holdfast.transport.tracking import TrackingWriter

ALICE = MailboxId("alice")
IN = ReceiveConnector("in", "mail1", ("192.0.2.1:25",), (parse_ip_range("0.0.0.0/0"),), tarpit_s=5.0)
PEER = Peer("198.51.100.7", 4000, "192.0.2.1", 25, tls=False)
MAIL, RCPT = b"MAIL FROM:<a@other.test>\r\n", b"RCPT TO:<alice@example.test>\r\n"
NOBODY = b"RCPT TO:<nobody@example.test>\r\n"
MESSAGE = MAIL + RCPT + b"DATA\r\nSubject: x\r\n\r\nx\r\n.\r\n"


def organisation(*connectors: ReceiveConnector) -> Organisation:
    return Organisation(
        servers=(Server("mail1", "mail1.example.test", "here", addresses=("192.0.2.1",)),),
        accepted_domains=(AcceptedDomain("example.test"),),
        mailboxes=(Mailbox("alice@example.test", ALICE, "db"),),
        receive_connectors=connectors,
        sign_in_failure_count_max=2,
        sign_in_lock_s=60.0,
    )


class World:
    """Doors, and what they said to each connection."""

    def __init__(self, *connectors: ReceiveConnector) -> None:
        declared = organisation(*(connectors or (IN,)))
        tracking = TrackingWriter("mail1.example.test", with_subject=True)
        intake = Intake(Queue(RecoveredQueue((), 1, {})), tracking, random.Random(1), memory_s=60.0)
        self.doors = SmtpDoors(intake, Categorizer(declared))
        self.doors.follow(declared, "mail1", "mail1.example.test")
        self.now = 1000.0
        self.closed: set[int] = set()
        self.other: list[object] = []
        self.log: list[str] = []

    def take(self, number: int) -> bytes:
        outputs, self.doors.outputs = self.doors.outputs, []
        said = b""
        for output in outputs:
            match output:
                case Send(connection_id, data):
                    assert connection_id == number
                    said += data
                case Close(connection_id):
                    self.closed.add(connection_id)
                case Log(event):
                    assert event.message()
                    self.log.append(event.kind.event_id)
                case _:
                    self.other.append(output)
        return said

    def connect(self, number: int = 1, peer: Peer = PEER, connector: str = "") -> bytes:
        self.doors.connection_opened(self.now, ConnectionId(number), connector, peer)
        return self.take(number)

    def say(self, data: bytes, number: int = 1) -> bytes:
        self.doors.bytes_received(self.now, ConnectionId(number), data)
        return self.take(number)

    def greet(self, number: int = 1, peer: Peer = PEER) -> None:
        assert self.connect(number, peer).startswith(b"220 ")
        self.say(b"EHLO client.test\r\n", number)

    def wait(self, seconds: float, number: int = 1) -> bytes:
        self.now += seconds
        deadline = self.doors.next_deadline()
        if deadline is not None and deadline <= self.now:
            self.doors.timer(self.now)
        return self.take(number)

    def commit(self, number: int = 1) -> bytes:
        writes, self.doors.writes = self.doors.writes, []
        for write in writes:
            assert isinstance(write, AddMessage | TrackOnly)
            self.doors.accepted(self.now, write)
        return self.take(number)


def test_a_server_that_nobody_declared_lets_nobody_in() -> None:
    world = World()
    world.doors.follow(Organisation(), "", "mail.example.test")
    assert world.connect().startswith(b"554 5.7.1 ")
    assert world.closed == {1}
    assert world.doors.open_count == 0
    assert world.doors.next_deadline() is None


def test_a_connector_that_was_disabled_takes_nobody() -> None:
    world = World(replace(IN, enabled=False))
    assert world.connect(connector="in").startswith(b"421 4.3.2 ")


def test_a_refusal_waits_and_nobody_else_does() -> None:
    world = World()
    world.greet()
    world.greet(2)
    assert world.say(MAIL + NOBODY + NOBODY) == b""
    assert world.doors.next_deadline() == world.now + 5.0
    assert world.say(MESSAGE, 2).endswith(b"354 end data with <CRLF>.<CRLF>\r\n")
    assert world.commit(2).startswith(b"250 ")
    assert world.wait(4.9) == b""
    assert world.wait(0.1) == b"250 2.1.0 sender ok\r\n550 5.1.1 no such recipient here\r\n"
    assert world.wait(5.0) == b"550 5.1.1 no such recipient here\r\n"
    assert world.say(b"QUIT\r\n").startswith(b"221 ")
    assert world.closed == {1}


def test_who_pipelines_into_the_tarpit_is_not_read_for_ever() -> None:
    world = World()
    world.greet()
    world.say(b"WHAT\r\n")
    world.say(b"NOOP\r\n" * (PIPELINED_BYTES_MAX // 6 + 1))
    assert world.other == [PauseReading(ConnectionId(1))]
    assert world.wait(5.0).count(b"\r\n") == PIPELINED_BYTES_MAX // 6 + 2
    assert world.other[1:] == [ResumeReading(ConnectionId(1))]


def test_the_last_word_is_held_too_and_a_lost_connection_needs_none() -> None:
    world = World()
    world.greet()
    assert world.say(b"GET / HTTP/1.0\r\n") == b""
    assert world.closed == set()
    assert world.wait(5.0) == b"502 5.7.0 this is a mail server\r\n"
    assert world.closed == {1}
    world.greet(2)
    world.say(b"WHAT\r\n", 2)
    world.doors.connection_lost(world.now, ConnectionId(2))
    assert world.wait(5.0, 2) == b""


def test_a_client_that_says_no_more_still_reads_what_is_held() -> None:
    world = World()
    world.greet()
    world.say(b"WHAT\r\n")
    world.doors.connection_ended(world.now, ConnectionId(1))
    assert world.closed == set()
    assert world.wait(5.0).startswith(b"500 ")
    assert world.closed == {1}


def test_a_hold_ends_with_the_service_and_with_the_session() -> None:
    world = World(replace(IN, session_s=3.0, inactivity_s=3.0))
    world.greet()
    world.say(b"WHAT\r\n")
    assert world.wait(3.0).endswith(b"421 4.3.2 session timed out\r\n")
    world.greet(2)
    world.say(b"WHAT\r\nNOOP\r\n", 2)
    world.doors.stopping(world.now)
    said = world.take(2)
    assert said.startswith(b"500 ")
    assert said.endswith(b"421 4.3.2 the service is stopping, try again later\r\n")
    assert world.closed == {1, 2}


@pytest.mark.parametrize("held", ["by the tarpit", "under pressure"])
def test_while_an_answer_is_held_it_is_not_the_client_who_is_silent(held: str) -> None:
    world = World(replace(IN, tarpit_s=10.0, inactivity_s=4.0))
    world.doors.delay_s = 10.0
    world.greet()
    said, answer = (MAIL + NOBODY, b"550 5.1.1 ") if held == "by the tarpit" else (MESSAGE, b"250 2.0.0 ")
    world.say(said)
    world.commit()
    assert world.wait(4.0) == b""
    world.say(b"NOOP\r\n")  # what is said meanwhile does not shorten its time
    assert world.wait(5.9) == b""
    assert answer in world.wait(0.1)
    assert world.closed == set()
    assert world.wait(3.9) == b""
    assert world.wait(0.1) == b"421 4.3.2 session timed out\r\n"
    assert world.closed == {1}


def test_under_pressure_an_answer_waits_and_mail_is_refused_by_kind() -> None:
    world = World(replace(IN, tarpit_s=0.0))
    world.doors.delay_s = 10.0
    world.greet()
    world.say(MESSAGE)
    assert world.commit() == b""
    assert world.say(b"NOOP\r\n") == b""
    assert world.wait(9.9) == b""
    said = world.wait(0.1)
    assert said.startswith(b"250 2.0.0 queued as ")
    assert said.endswith(b"\r\n250 2.0.0 ok\r\n")

    def refuse(kind: ClientKind) -> Refusal | None:
        return Refusal("too busy", code=452, status="4.3.1") if kind is ClientKind.ANONYMOUS else None

    world.doors.refuse_mail = refuse
    assert world.say(MAIL) == b"452 4.3.1 too busy\r\n"
    world.doors.refuse_mail = lambda kind: None
    assert world.say(MESSAGE).startswith(b"250 ")
    assert world.commit() == b""
    world.doors.stopping(world.now)
    assert world.take(1).startswith(b"250 2.0.0 queued as ")


def test_messages_a_minute_of_one_source() -> None:
    world = World(replace(IN, message_rate_max=1, tarpit_s=0.0))
    world.greet()
    world.say(MESSAGE)
    world.commit()
    assert world.say(MAIL).startswith(b"450 4.7.0 ")
    world.now += 60.0
    assert world.say(MAIL).startswith(b"250 ")


def test_guessing_passwords() -> None:
    world = World(replace(IN, usage=Usage.CLIENT, tarpit_s=0.0))
    peer = replace(PEER, tls=True, facts=TlsFacts("TLSv1.3", "X", verified=False))
    for number in (1, 2):
        world.greet(number, peer)
        world.say(b"AUTH PLAIN AGEAYg==\r\n", number)
        assert world.other == [CheckPassword(ConnectionId(number), "a", "b")]
        world.other.clear()
        world.doors.password_checked(world.now, ConnectionId(number), None)
        assert world.take(number).startswith(b"535 ")
    assert world.log == ["TRN-0301"]
    assert world.say(b"AUTH PLAIN AGMAYg==\r\n").startswith(b"421 4.7.0 ")
    world.greet(3, replace(peer, address="198.51.100.8"))
    assert world.say(b"AUTH PLAIN AGEAYg==\r\n", 3).startswith(b"454 4.7.0 ")
    world.say(b"AUTH PLAIN AGMAYg==\r\n", 3)
    world.doors.password_checked(world.now, ConnectionId(3), ALICE)
    assert world.take(3).startswith(b"235 ")
    world.doors.password_checked(world.now, ConnectionId(99), ALICE)


def test_no_more_passwords_are_looked_at_at_once_than_may_still_fail() -> None:
    world = World(replace(IN, usage=Usage.CLIENT, tarpit_s=0.0))
    peer = replace(PEER, tls=True, facts=TlsFacts("TLSv1.3", "X", verified=False))
    for number in range(1, 8):
        world.greet(number, peer)
        world.say(b"AUTH PLAIN AGEAYg==\r\n", number)
    asked = [each.connection_id for each in world.other if isinstance(each, CheckPassword)]
    assert asked == [ConnectionId(1), ConnectionId(2)], "two may fail"
    world.other.clear()
    world.doors.connection_lost(world.now, ConnectionId(3))
    world.doors.password_checked(world.now, ConnectionId(1), ALICE)
    assert world.take(1).startswith(b"235 ")
    assert world.other == [CheckPassword(ConnectionId(4), "a", "b")], "who is right makes room for the next"
    world.other.clear()
    world.doors.connection_lost(world.now, ConnectionId(2))
    world.doors.password_checked(world.now, ConnectionId(2), None)
    assert world.other == [], "who leaves before the answer has guessed all the same"
    world.doors.password_checked(world.now, ConnectionId(4), None)
    answers = [each for each in world.doors.outputs if isinstance(each, Send)]
    assert [each.connection_id for each in answers] == [4, 5, 6, 7]
    assert [each.data[:4] for each in answers] == [b"535 ", *[b"421 "] * 3], "and nobody else may guess"
    assert not any(isinstance(each, CheckPassword) for each in world.doors.outputs)


def test_messages_a_minute_count_those_of_sessions_that_began_together() -> None:
    world = World(replace(IN, message_rate_max=2))
    for number in (1, 2, 3):
        world.greet(number)
        assert world.say(MAIL, number).startswith(b"250 ")
    for number, code in ((1, b""), (2, b""), (3, b"450 4.7.0 ")):
        world.say(b"RCPT TO:<alice@example.test>\r\nDATA\r\n", number)
        reply = world.say(b"Subject: x\r\n\r\nx\r\n.\r\n", number)
        assert reply.startswith(code), reply
    assert len(world.doors.writes) == 2


def test_tls_is_begun_with_the_certificate_of_the_connector() -> None:
    world = World()
    world.greet()
    assert world.say(b"STARTTLS\r\n").startswith(b"220 ")
    assert world.other == [StartTls(ConnectionId(1), "in")]
    world.doors.tls_started(world.now, ConnectionId(1), TlsFacts("TLSv1.3", "X", verified=False))
    world.say(b"EHLO client.test\r\n" + MESSAGE)
    (write,) = world.doors.writes
    assert isinstance(write, AddMessage)
    assert write.message.data is not None
    assert b"\r\n (TLSv1.3 X)\r\n by mail1.example.test with ESMTPS id " in write.message.data


# --- balancers -------------------------------------------------------------------------------

BEHIND = replace(IN, proxy_from=(parse_ip_range("10.0.0.1"),))
OFFICE = replace(
    IN, name="office", remote_ranges=(parse_ip_range("203.0.113.0/24"),), fqdn="office.example.test"
)
BALANCER = replace(PEER, address="10.0.0.1")
HEADER = b"PROXY TCP4 203.0.113.9 192.0.2.99 5000 25\r\n"


@pytest.mark.parametrize("size", [1, 1000])
def test_a_balancer_says_who_the_client_is(size: int) -> None:
    world = World(BEHIND, OFFICE)
    assert world.connect(peer=BALANCER) == b""
    assert world.doors.open_count == 1
    data = HEADER + b"EHLO client.test\r\n" + MESSAGE
    said = b"".join(world.say(data[at : at + size]) for at in range(0, len(data), size))
    assert said.startswith(b"220 office.example.test ESMTP\r\n250-office.example.test\r\n")
    (write,) = world.doors.writes
    assert isinstance(write, AddMessage)
    assert write.message.data is not None
    assert b"([203.0.113.9])" in write.message.data


def test_a_health_check_is_the_balancer_itself() -> None:
    world = World(BEHIND)
    world.connect(peer=BALANCER)
    assert world.say(b"PROXY UNKNOWN\r\n").startswith(b"220 ")


def test_a_balancer_that_says_something_else_or_nothing_is_closed() -> None:
    world = World(BEHIND)
    world.connect(1, BALANCER)
    assert world.say(b"EHLO x\r\n").startswith(b"421 4.3.2 ")
    world.connect(2, BALANCER)
    assert world.doors.next_deadline() == world.now + PROXY_WAIT_S
    assert world.wait(PROXY_WAIT_S, 2).startswith(b"421 4.3.2 ")
    world.connect(3, BALANCER)
    world.doors.connection_ended(world.now, ConnectionId(3))
    world.connect(4, BALANCER)
    world.doors.stopping(world.now)
    assert world.take(4).startswith(b"421 4.3.2 ")
    world.connect(5, BALANCER)
    world.doors.connection_lost(world.now, ConnectionId(5))
    assert world.say(b"late", 5) == b""
    assert world.closed == {1, 2, 3, 4}
    assert world.log == ["TRN-0302"]  # once a minute
    assert world.doors.open_count == 0
    assert world.doors.next_deadline() is None


def test_who_is_no_balancer_says_nothing_for_others() -> None:
    world = World(replace(BEHIND, tarpit_s=0.0))
    world.connect()
    assert world.say(HEADER) == b"554 5.7.0 you are not a balancer of ours\r\n"
    assert world.closed == {1}
