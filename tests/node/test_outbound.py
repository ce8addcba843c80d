"""Connections to next hops: how many, what is given to each, and what becomes of messages when they fail."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.directory.model import (
    AcceptedDomain,
    Mailbox,
    MailboxDatabase,
    Organisation,
    SendConnector,
    Server,
)
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import ConnectionId, MailboxId, NetworkMessageId
from holdfast.node.ports import (
    Abort,
    Close,
    CommitQueue,
    Connect,
    InFlight,
    Landed,
    Log,
    ReadQueued,
    Resolve,
    Send,
)
from holdfast.node.transport import TransportNode
from holdfast.transport.ledger import LedgerBuilder
from holdfast.transport.outcomes import facts_of
from holdfast.transport.queue import (
    AddMessage,
    FinishRecipients,
    MarkMessage,
    QueuedMessage,
    QueueWrite,
    RecoveredQueue,
)
from holdfast.transport.tracking import EventId, TrackingWriter, parse_lines

ORGANISATION = Organisation(
    name="example",
    servers=(Server("mail1", "mail1.example.test", "here", addresses=("192.0.2.1",)),),
    accepted_domains=(AcceptedDomain("example.test"),),
    mailbox_databases=(MailboxDatabase("db1", "mail1"),),
    mailboxes=(Mailbox("alice@example.test", MailboxId("alice"), "db1"),),
    send_connectors=(SendConnector("out", ("*",), ("192.0.2.9",)),),
)
SENDER = "alice@example.test"
GREETING = b"220 hop.test ESMTP\r\n"
EHLO = b"250-hop.test\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n"


def queued(number: int, *recipients: str, sender: str = SENDER, at: float = 1_700_000_000.0) -> QueuedMessage:
    nmid = NetworkMessageId(f"nmid-{number}")
    return QueuedMessage(number, nmid, at, sender, recipients, 30, None, f"<{number}@x>", "s", b"f")


def data_of(number: int) -> bytes:
    return f"Subject: {number}\r\n\r\nbody\r\n".encode()


class Hop:
    """A next hop that answers as told: by default it takes everything."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.rcpt: dict[str, str] = {}
        self.answers: dict[str, str] = {}
        self.said: list[str] = []

    def heard_all(self) -> None:
        """Told after each message."""

    def command(self, talk: Talk, line: str) -> bytes:
        """Answer a command."""
        self.said.append(line)
        verb = line.split(" ")[0].split(":")[0].upper()
        answer = "250 2.0.0 ok"
        if verb == "EHLO":
            return EHLO
        if verb == "MAIL":
            talk.recipients = 0
        if verb == "RCPT":
            answer = self.rcpt.get(line.partition("<")[2].partition(">")[0], answer)
            talk.recipients += answer.startswith("2")
        if verb == "DATA":
            answer = "354 go on" if talk.recipients else "554 5.5.1 no valid recipients"
        answer = self.answers.get(verb, answer)
        talk.in_data = verb == "DATA" and answer.startswith("354")
        return answer.encode() + b"\r\n"


class Talk:
    """One connection to it."""

    def __init__(self, hop: Hop) -> None:
        self.hop = hop
        self.buffer = b""
        self.in_data = False
        self.recipients = 0

    def hear(self, data: bytes) -> bytes:
        self.buffer += data
        out = b""
        while True:
            found: str | bytes
            if self.in_data:
                message, found, rest = self.buffer.partition(b"\r\n.\r\n")
                if not found:
                    return out
                self.buffer, self.in_data = rest, False
                answer = self.hop.answers.get("message", "250 2.0.0 ok")
                if answer == "silence":
                    return out
                if answer.startswith("250"):
                    self.hop.taken.append(message + b"\r\n")
                self.hop.heard_all()
                out += answer.encode() + b"\r\n"
                continue
            line, found, rest = self.buffer.partition(b"\r\n")
            if not found:
                return out
            self.buffer = rest
            out += self.hop.command(self, line.decode())


class World:
    """A node whose queue holds messages for outside, and next hops."""

    def __init__(
        self, *messages: QueuedMessage, organisation: Organisation = ORGANISATION, **more: object
    ) -> None:
        self.now = 1_700_000_000.0
        self.disk = {message.number: message for message in messages}
        recovered = RecoveredQueue(messages, max(self.disk, default=0) + 1, {}, **more)  # type: ignore[arg-type]  # few are given
        self.organisation = organisation
        self.node = TransportNode(organisation, "mail1", recovered, random.Random(1))
        self.connects: list[Connect] = []
        self.hops: dict[int, Talk] = {}
        self.heard: dict[int, bytes] = {}
        self.commits: list[list[QueueWrite]] = []
        self.reads: list[int] = []
        self.log: list[str] = []
        self.tracking: list[str] = []
        self.noted: list[int] = []
        self.closed: set[int] = set()
        writer = TrackingWriter("mail1", with_subject=True)
        for message in messages:
            line = writer.line(self.now, EventId.RECEIVE, "SMTP", facts_of(message), message.recipients)
            self.tracking.append(line)
        self.make_hop: Callable[[Connect], Hop | str] = lambda _: Hop()
        self.do(self.node.started)

    def do(self, method: Callable[..., None], *arguments: object) -> None:
        method(self.now, *arguments)
        outputs, self.node.outputs = self.node.outputs, []
        for output in outputs:
            match output:
                case Connect():
                    self.connects.append(output)
                case Send(number, data):
                    self.heard[number] = self.heard.get(number, b"") + data
                case CommitQueue(writes):
                    self.commits.append(writes)
                case ReadQueued(numbers):
                    self.reads += numbers
                case Close(number) | Abort(number):
                    self.closed.add(number)
                case InFlight(number):
                    self.noted.append(number)
                case Landed(numbers):
                    for number in numbers:
                        self.noted.remove(number)
                case Log(event):
                    assert event.message()
                    self.log.append(event.kind.event_id)
                case Resolve():
                    raise AssertionError(output)

    def commit(self) -> None:
        while self.commits:
            writes = self.commits.pop(0)
            for write in writes:
                self.write(write)
            self.do(self.node.queue_committed, writes)

    def write(self, write: QueueWrite) -> None:
        self.tracking.append(write.tracking)
        if isinstance(write, AddMessage):
            self.disk[write.message.number] = write.message
        elif isinstance(write, FinishRecipients):
            message = self.disk.pop(write.number)
            if write.remaining:
                self.disk[write.number] = replace(message, recipients=write.remaining)
        elif isinstance(write, MarkMessage) and write.number in self.disk:
            self.disk[write.number] = replace(self.disk[write.number], marks=write.marks)

    def move(self) -> None:
        """Let everything happen that can happen now: reads, connections, answers."""
        while self.reads or self.connects or self.heard or self.closed:
            reads, self.reads = self.reads, []
            for number in reads:
                data = self.disk[number].data or data_of(number)
                self.do(self.node.queued_read, number, data)
            connects, self.connects = self.connects, []
            for connect in connects:
                hop = self.make_hop(connect)
                if isinstance(hop, str):
                    self.do(self.node.connection_lost, connect.connection_id, hop)
                    continue
                self.hops[connect.connection_id] = Talk(hop)
                self.do(self.node.outbound_connected, connect.connection_id)
                self.do(self.node.bytes_received, connect.connection_id, GREETING)
            heard, self.heard = self.heard, {}
            for number, data in heard.items():
                if number not in self.hops:
                    continue
                answer = self.hops[number].hear(data)
                if answer:
                    self.do(self.node.bytes_received, ConnectionId(number), answer)
            if self.heard:
                continue  # what was sent before a close arrives before it
            closed, self.closed = self.closed, set()
            for number in closed:
                self.hops.pop(number, None)
                self.do(self.node.connection_lost, ConnectionId(number))

    def settle(self) -> None:
        self.move()
        while self.commits:
            self.commit()
            self.move()

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        for _ in range(20_000):
            deadline = self.node.deadline()
            if deadline is None or deadline > end:
                break
            self.now = max(self.now, deadline)
            self.do(self.node.timer)
            self.settle()
        else:
            raise AssertionError("the timer is wanted all the time")
        self.now = end

    def event_ids(self) -> list[str]:
        """What the tracking log says after the messages came."""
        found = [e.event_id.value for text in self.tracking for e in parse_lines(text)]
        return [each for each in found if each != "RECEIVE"]

    def ledger(self) -> tuple[int, int, int]:
        builder = LedgerBuilder()
        for text in self.tracking:
            builder.add_lines(text)
        ledger = builder.finish((m.network_message_id, m.recipients) for m in self.disk.values())
        return ledger.unaccounted_count, ledger.queued_count, ledger.bounced_count


def test_a_message_for_outside_is_handed_to_the_smart_host() -> None:
    world = World(queued(1, "bob@other.test"))
    hop = Hop()
    world.make_hop = lambda _: hop
    world.move()
    assert hop.taken == [data_of(1)]
    assert world.noted == [1]
    world.commit()
    assert world.noted == []
    assert not world.disk
    assert world.event_ids() == ["LOAD", "SEND"]


def test_a_connection_is_used_again_and_ends_when_nothing_is_left() -> None:
    world = World(*(queued(number, "bob@other.test") for number in range(1, 6)))
    made: list[Connect] = []

    def make(connect: Connect) -> Hop:
        made.append(connect)
        return Hop()

    world.make_hop = make
    world.settle()
    assert not world.disk
    assert len(made) < 5
    world.wait(10.0)
    assert world.node.idle()
    world.wait(300.0)
    assert world.node.deadline() is None


# --- a next hop that is away ----------------------------------------------------------------------


def refused(_: Connect) -> str:
    return "the connection was refused"


def test_a_queue_is_tried_again_by_schedule_and_goes_on_when_the_next_hop_is_back() -> None:
    world = World(queued(1, "bob@other.test"))
    tries: list[float] = []

    def away(_: Connect) -> str:
        tries.append(world.now)
        return "the connection was refused"

    world.make_hop = away
    world.move()
    world.wait(3 * 3600.0)
    waits = [round(second - first) for first, second in itertools.pairwise(tries)]
    assert waits[:12] == [60] * 4 + [300] * 6 + [600] * 2
    assert world.event_ids() == ["LOAD", "DEFER"]
    assert "TRN-0330" in world.log
    world.make_hop = lambda _: Hop()
    world.wait(700.0)
    assert world.event_ids()[-1] == "SEND"
    assert not world.disk
    world.wait(10.0)
    assert world.node.idle()


def test_what_waits_too_long_is_returned_and_its_sender_is_told_before_once() -> None:
    world = World(queued(1, "bob@other.test", sender="carol@elsewhere.test"))
    world.make_hop = refused
    world.move()
    world.wait(2 * 86400.0 + 700.0)
    assert world.event_ids().count("FAIL") == 1
    # Both reports wait for the same next hop.
    subjects = [each for each in world.disk.values() if each.reverse_path == ""]
    assert len(subjects) == 2
    assert world.ledger()[:2] == (0, 2)


def test_a_next_hop_that_refuses_us_at_the_door_is_tried_again() -> None:
    world = World(queued(1, "bob@other.test"))

    class Rude(Hop):
        def command(self, talk: Talk, line: str) -> bytes:
            return b"554 5.7.1 go away\r\n"

    world.make_hop = lambda _: Rude()
    world.move()
    assert world.disk[1].recipients == ("bob@other.test",)
    assert world.log == ["TRN-0104", "TRN-0370", "TRN-0330"]
    world.make_hop = lambda _: Hop()
    world.wait(61.0)
    assert not world.disk


# --- one message ------------------------------------------------------------------------------------


def test_recipients_are_settled_one_by_one() -> None:
    world = World(queued(1, "a@other.test", "b@other.test", "c@other.test"))
    hop = Hop()
    hop.rcpt = {"b@other.test": "550 5.1.1 no such user", "c@other.test": "450 4.2.0 greylisted"}
    world.make_hop = lambda _: hop
    world.settle()
    assert world.disk[1].recipients == ("c@other.test",)
    assert sorted(world.event_ids()[1:5]) == ["DEFER", "DSN", "FAIL", "SEND"]
    hop.rcpt = {}
    world.wait(899.0)
    assert len(hop.taken) == 1
    world.wait(2.0)
    assert len(hop.taken) == 2
    assert 1 not in world.disk
    assert world.noted == []


def test_one_message_that_is_put_off_does_not_hold_the_others() -> None:
    world = World(queued(1, "slow@other.test"), *(queued(n, "bob@other.test") for n in range(2, 6)))
    hop = Hop()
    hop.rcpt = {"slow@other.test": "450 4.2.0 later"}
    world.make_hop = lambda _: hop
    world.settle()
    assert list(world.disk) == [1]
    assert len(hop.taken) == 4


def test_recipients_above_what_the_next_hop_takes_go_in_another_transaction_at_once() -> None:
    world = World(queued(1, "a@other.test", "b@other.test"))
    hop = Hop()
    hop.rcpt = {"b@other.test": "452 4.5.3 too many recipients"}
    world.make_hop = lambda _: hop
    hop.heard_all = hop.rcpt.clear  # type: ignore[method-assign]  # it changes its mind after a message
    world.settle()
    assert len(hop.taken) == 2
    assert not world.disk


def test_a_connection_lost_after_the_final_dot_makes_a_second_copy_and_says_so() -> None:
    world = World(queued(1, "bob@other.test"))
    hop = Hop()
    hop.answers["message"] = "silence"
    world.make_hop = lambda _: hop
    world.move()
    assert world.noted == [1]
    world.do(world.node.connection_lost, ConnectionId(-1), "the connection was reset")
    assert world.node.doubtful_message_count == 1
    assert world.noted == []
    assert "TRN-0331" in world.log
    hop.answers.clear()
    world.settle()
    assert world.event_ids()[:3] == ["LOAD", "DEFER", "DEFER"]
    world.wait(120.0)
    assert len(hop.taken) == 1
    assert not world.disk


def test_a_silent_next_hop_is_given_up() -> None:
    world = World(queued(1, "bob@other.test"))

    class Silent(Hop):
        def command(self, talk: Talk, line: str) -> bytes:
            return b""

    world.make_hop = lambda _: Silent()
    world.move()
    world.wait(301.0)
    assert "TRN-0330" in world.log
    assert list(world.disk) == [1]


# --- limits ------------------------------------------------------------------------------------------


def test_connections_are_bounded_and_carry_so_many_messages_each() -> None:
    connector = SendConnector(
        "out",
        ("*",),
        ("192.0.2.9",),
        message_count_per_connection_max=3,
        connection_count_per_domain_max=2,
    )
    organisation = replace(ORGANISATION, send_connectors=(connector,))
    world = World(*(queued(n, "bob@other.test") for n in range(1, 13)), organisation=organisation)
    hops: list[Hop] = []

    def make(_: Connect) -> Hop:
        hops.append(Hop())
        assert len(world.hops) <= 2
        return hops[-1]

    world.make_hop = make
    world.settle()
    world.wait(30.0)
    assert not world.disk
    assert all(len(hop.taken) <= 3 for hop in hops)
    assert all(hop.said[-1] == "QUIT" for hop in hops if len(hop.taken) == 3)


@pytest.mark.parametrize(
    "limits", [{"outbound_connection_count_max": 1}, {"outbound_connection_rate_max": 1}]
)
def test_the_limits_of_the_whole_server_let_queues_wait(limits: dict[str, int]) -> None:
    connectors = tuple(SendConnector(f"out{n}", (f"d{n}.test",), (f"192.0.2.{n}",)) for n in (1, 2))
    organisation = replace(ORGANISATION, send_connectors=connectors, **limits)  # type: ignore[arg-type]  # all int
    world = World(
        queued(1, "a@d1.test"),
        queued(2, "a@d2.test"),
        organisation=organisation,
    )
    world.settle()
    assert list(world.disk) == [2]
    world.wait(90.0)
    assert not world.disk


def test_a_stop_ends_idle_connections_and_waits_for_answers() -> None:
    world = World(queued(1, "bob@other.test"))
    hop = Hop()
    hop.answers["message"] = "silence"
    world.make_hop = lambda _: hop
    world.move()
    world.do(world.node.stopping)
    assert not world.node.idle()
    world.do(world.node.bytes_received, ConnectionId(-1), b"250 2.0.0 ok\r\n")
    world.settle()
    assert world.node.idle()
    assert not world.disk


# --- what survives a crash -----------------------------------------------------------------------------


def test_what_was_in_flight_at_a_kill_is_told_of_and_sent_again() -> None:
    world = World(queued(1, "bob@other.test"), queued(2, "bob@other.test"), in_flight=(1, 99))
    world.noted = [1, 99]
    assert "TRN-0332" in world.log
    assert world.node.doubtful_message_count == 1
    world.settle()
    assert world.noted == []
    doubtful = [e for text in world.tracking for e in parse_lines(text) if "twice" in e.recipient_status]
    assert [e.internal_message_id for e in doubtful] == ["1"]
    assert not world.disk


def test_a_message_over_which_the_process_died_twice_is_set_aside_until_it_is_released() -> None:
    world = World(
        queued(1, "bob@other.test"),
        queued(2, "bob@other.test"),
        queued(3, "bob@other.test"),
        crash_counts={1: 2, 2: 1, 77: 5},
    )
    world.settle()
    assert list(world.disk) == [1]
    assert world.disk[1].marks.poison
    assert "TRN-0334" in world.log
    world.wait(5 * 86400.0)
    assert list(world.disk) == [1]
    assert "FAIL" not in world.event_ids()
    again = World(*world.disk.values(), crash_counts={1: 2})
    again.settle()
    assert list(again.disk) == [1]


def test_the_message_at_work_is_known_while_something_breaks() -> None:
    world = World(queued(1, "bob@other.test"))
    seen: list[int] = []

    class Broken(Exception):
        pass

    def route(*_: object) -> None:
        seen.append(world.node.message_at_work)
        raise Broken

    world.node._delivery.router.route = route  # type: ignore[method-assign]  # a planted fault of ours
    with pytest.raises(Broken):
        world.node._delivery.route(world.now, world.node._queue[1], ("bob@other.test",))
    assert seen == [1]
    assert world.node.message_at_work == 1


# --- another organisation ---------------------------------------------------------------------------------


def test_mail_without_a_way_waits_until_there_is_one() -> None:
    nowhere = replace(ORGANISATION, send_connectors=())
    world = World(queued(1, "bob@other.test"), organisation=nowhere)
    world.settle()
    assert list(world.disk) == [1]
    world.do(world.node.organisation_changed, ORGANISATION)
    world.settle()
    assert not world.disk


def test_mail_that_waits_follows_another_connector() -> None:
    world = World(queued(1, "bob@other.test"))
    world.make_hop = refused
    world.move()
    connector = SendConnector("new", ("other.test",), ("192.0.2.77",))
    organisation = replace(ORGANISATION, send_connectors=(*ORGANISATION.send_connectors, connector))
    reached: list[str] = []

    def make(connect: Connect) -> Hop:
        reached.append(connect.address)
        return Hop()

    world.make_hop = make
    world.do(world.node.organisation_changed, organisation)
    world.settle()
    assert reached == ["192.0.2.77"]
    assert not world.disk


def test_mail_whose_connector_is_gone_is_unreachable_and_expires() -> None:
    world = World(queued(1, "bob@other.test"))
    world.make_hop = refused
    world.move()
    world.do(world.node.organisation_changed, replace(ORGANISATION, send_connectors=()))
    world.wait(2 * 86400.0 + 100.0)
    assert "FAIL" in world.event_ids()
    assert 1 not in world.disk


@given(st.lists(st.sampled_from(["ok", "4xx", "5xx", "drop", "dot", "down", "commit", "fail"]), max_size=25))
@settings(max_examples=60, deadline=None)
def test_no_weather_of_next_hops_loses_mail(weather: list[str]) -> None:
    world = World(*(queued(n, f"u{n}@other.test", "x@other.test") for n in range(1, 6)))
    hop = Hop()
    up = True
    world.make_hop = lambda _: hop if up else "the connection was refused"
    for each in weather:
        up = each != "down"
        hop.answers.pop("message", None)
        hop.rcpt = {}
        if each == "4xx":
            hop.rcpt = {"x@other.test": "450 4.2.0 later"}
        elif each == "5xx":
            hop.rcpt = {"u1@other.test": "550 5.1.1 no"}
        elif each == "dot":
            hop.answers["message"] = "silence"
        if each == "fail":
            commits, world.commits = world.commits, []
            for writes in commits:
                world.do(world.node.queue_failed, writes, Unavailable("full"))
        elif each == "commit":
            world.commit()
        else:
            world.move()
        if each in ("drop", "dot"):
            for number in list(world.hops):
                world.do(world.node.connection_lost, ConnectionId(number), "the connection was reset")
            world.hops.clear()
        world.now += 70.0
        world.do(world.node.timer)
    up = True
    hop.answers.clear()
    hop.rcpt = {}
    world.settle()
    world.wait(3 * 3600.0)
    world.settle()
    assert all(not message.reverse_path for message in world.disk.values())  # bounces to our own user
    assert world.ledger()[:1] == (0,)
    assert world.noted == []
