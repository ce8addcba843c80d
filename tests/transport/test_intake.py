"""When a message is a second try of one we have, and what is remembered for that."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import ConnectionId, MailboxId, NetworkMessageId
from holdfast.transport.envelope import EnvelopeOptions
from holdfast.transport.intake import UNREAD_S, Intake, Origin, fingerprint_of
from holdfast.transport.queue import AddMessage, Queue, RecoveredQueue, SettleAnswers, TrackOnly
from holdfast.transport.rights import Client, ClientKind, Rights
from holdfast.transport.session_terms import MessageReceived
from holdfast.transport.tracking import TrackingWriter, parse_line
from holdfast.wire.headers import HeaderBlock
from holdfast.wire.transfer import Transfer

ORIGIN = Origin("198.51.100.7", "in", "mail.example.test")
DAY_S = 86400.0
ONE, TWO, THREE = ConnectionId(1), ConnectionId(2), ConnectionId(3)


def intake(count_max: int = 100) -> Intake:
    queue = Queue(RecoveredQueue((), 1, {}))
    tracking = TrackingWriter("s", with_subject=True)
    return Intake(queue, tracking, random.Random(1), memory_s=DAY_S, count_max=count_max)


def message(
    data: bytes = b"Message-ID: <1@x>\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\r\nx\r\n",
    **changes: object,
) -> MessageReceived:
    header = HeaderBlock(data.partition(b"\r\n\r\n")[0] + b"\r\n")
    received = MessageReceived("s@x", ("a@y",), data, "client", "ESMTP", None, header)
    return replace(received, **changes)


def take(
    taken: Intake,
    now: float,
    connection: ConnectionId,
    *,
    spoke: bool = False,
    received: MessageReceived | None = None,
) -> AddMessage | TrackOnly:
    write = taken.receive(now, connection, received or message(), ORIGIN)
    assert taken.is_pending(write)
    taken.committed(now, write)
    if spoke:
        taken.client_spoke(connection)
    return write


def test_the_trace_header_names_a_single_recipient_only() -> None:
    write = intake().receive(0.0, ONE, message(), ORIGIN)
    assert isinstance(write, AddMessage)
    assert write.message.data is not None
    assert b"for <a@y>;" in write.message.data
    assert write.message.subject == "grüße"
    assert write.message.size_bytes == len(write.message.data)
    several = intake().receive(0.0, ONE, message(recipients=("a@y", "b@y"), signed_in=MailboxId("m")), ORIGIN)
    assert isinstance(several, AddMessage)
    assert several.message.data is not None
    assert b" for <" not in several.message.data
    event = parse_line(several.tracking)
    assert (event.client_ip, event.connector, event.client_hostname) == ("198.51.100.7", "in", "client")
    assert ",Originating," in several.tracking


def test_the_envelope_and_tls_are_kept() -> None:
    options = EnvelopeOptions(return_content="FULL")
    write = intake().receive(0.0, ONE, message(options=options, tls="TLSv1.3 X", protocol="ESMTPS"), ORIGIN)
    assert isinstance(write, AddMessage)
    assert write.message.options is options
    assert write.message.data is not None
    assert b"\r\n (TLSv1.3 X)\r\n by mail.example.test with ESMTPS id " in write.message.data


def test_a_message_of_another_server_of_ours_goes_on_as_the_same_one() -> None:
    client = Client(ClientKind.SERVER, Rights(submit=True), server="mail1")
    for age_s, expected in ((600.0, 400.0), (0.0, 1000.0)):
        transfer = Transfer("5a0c7c4e-6d3a-4b7c-9f10-3f1d5f6a7b8c", age_s, age_s > 0.0)
        write = intake().receive(1000.0, ONE, message(transfer=transfer, client=client), ORIGIN)
        assert isinstance(write, AddMessage)
        assert write.message.network_message_id == transfer.network_message_id
        assert write.message.received_at == expected
        assert write.message.marks.delay_told is transfer.delay_told
        event = parse_line(write.tracking)
        assert event.custom_data == "S:TransferredFrom=mail1"
        assert event.network_message_id == transfer.network_message_id
    own = intake().receive(1000.0, ONE, message(client=client), ORIGIN)
    assert isinstance(own, AddMessage)
    assert (own.message.received_at, parse_line(own.tracking).custom_data) == (1000.0, "")


def test_a_second_try_of_another_server_has_one_copy() -> None:
    taken = intake()
    transfer = Transfer("5a0c7c4e-6d3a-4b7c-9f10-3f1d5f6a7b8c", 0.0)
    first = take(taken, 0.0, ONE, received=message(transfer=transfer))
    taken.connection_lost(1.0, ONE)
    again = take(taken, 2.0, TWO, received=message(transfer=transfer))
    assert isinstance(first, AddMessage)
    assert isinstance(again, TrackOnly)


def test_the_fingerprint_is_of_envelope_and_message() -> None:
    same = fingerprint_of(message())
    assert same == fingerprint_of(message(helo="other", protocol="SMTP"))
    for other in (message(reverse_path=""), message(recipients=("b@y",)), message(recipients=("a@y", "b@y"))):
        assert fingerprint_of(other) != same
    assert fingerprint_of(message(b"y")) != same


# Per case: what happened to the first try, and whether the same message from elsewhere is a second try.
CASES = {
    "250 read": (lambda taken: take(taken, 0.0, ONE, spoke=True), 100.0, False),
    "250 just said": (lambda taken: take(taken, 0.0, ONE), UNREAD_S - 0.1, False),
    "silent since the 250": (lambda taken: take(taken, 0.0, ONE), UNREAD_S, True),
    "lost after the 250": (lambda taken: (take(taken, 0.0, ONE), taken.connection_lost(1.0, ONE)), 1.0, True),
    "lost, a day ago": (
        lambda taken: (take(taken, 0.0, ONE), taken.connection_lost(1.0, ONE)),
        DAY_S + 1.0,
        False,
    ),
    "killed": (
        lambda taken: taken.recovered(0.0, {fingerprint_of(message()): NetworkMessageId("k")}),
        1.0,
        True,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_second_tries(name: str) -> None:
    prepare, at, second = CASES[name]
    taken = intake()
    prepare(taken)
    write = taken.receive(at, TWO, message(), ORIGIN)
    assert isinstance(write, TrackOnly) is second


def test_lost_before_the_commit() -> None:
    taken = intake()
    write = taken.receive(0.0, ONE, message(), ORIGIN)
    taken.connection_lost(0.1, ONE)
    with pytest.raises(Refusal, match="still being stored"):
        taken.receive(0.2, TWO, message(), ORIGIN)
    assert taken.pending_count == 1
    connection, first = taken.committed(0.3, write)
    assert connection is None
    again = taken.receive(0.4, TWO, message(), ORIGIN)
    assert taken.committed(0.5, again) == (TWO, first)


def test_lost_and_not_committed_is_as_if_it_never_came() -> None:
    taken = intake()
    write = taken.receive(0.0, ONE, message(), ORIGIN)
    taken.connection_lost(0.1, ONE)
    assert taken.failed(write) is None
    assert not taken.is_pending(write)
    assert isinstance(taken.receive(0.2, TWO, message(), ORIGIN), AddMessage)


def test_a_second_try_that_was_read_settles_the_first() -> None:
    taken = intake()
    take(taken, 0.0, ONE)  # its host is gone, and we shall notice much later
    assert isinstance(take(taken, 10.0, TWO, spoke=True), TrackOnly)
    taken.connection_lost(600.0, ONE)
    assert isinstance(take(taken, 700.0, THREE, spoke=True), AddMessage)
    assert taken.uncertain == {}


def test_a_second_try_that_was_lost_too_is_still_one() -> None:
    taken = intake()
    take(taken, 0.0, ONE)
    taken.connection_lost(1.0, ONE)
    take(taken, 2.0, TWO)
    taken.connection_lost(3.0, TWO)
    assert isinstance(take(taken, 4.0, THREE), TrackOnly)
    assert len(taken.uncertain) == 1


def test_the_same_alarm_without_message_id_again_is_a_new_message() -> None:
    # A script that closes after each 250 looks like a lost answer; its second alarm must not be dropped.
    alarm = message(b"Subject: disk full\r\n\r\n")
    taken = intake()
    take(taken, 0.0, ONE, received=alarm)
    taken.connection_lost(0.1, ONE)
    assert isinstance(take(taken, 300.0, TWO, received=alarm), AddMessage)
    assert isinstance(take(taken, 310.0, THREE, received=alarm), AddMessage), "silence says nothing either"
    pending = taken.receive(400.0, ONE, alarm, ORIGIN)
    taken.connection_lost(400.1, ONE)
    assert isinstance(pending, AddMessage)
    assert isinstance(take(taken, 400.2, TWO, received=alarm), AddMessage)
    taken.committed(400.3, pending)
    assert taken.uncertain == {}


def test_after_a_crash_it_is_a_second_try_all_the_same() -> None:
    alarm = message(b"Subject: disk full\r\n\r\n")
    taken = intake()
    taken.recovered(0.0, {fingerprint_of(alarm): NetworkMessageId("first")})
    assert isinstance(take(taken, 1.0, ONE, received=alarm), TrackOnly)


def test_what_is_remembered_is_bounded() -> None:
    taken = intake(count_max=3)
    taken.recovered(0.0, {bytes([number]): NetworkMessageId(str(number)) for number in range(10)})
    assert list(taken.uncertain.values()) == ["7", "8", "9"]
    take(taken, 1.0, ONE)
    assert len(taken.uncertain) == 4  # those that are remembered, and the one that may become so


def test_the_same_second_try_several_times_in_one_write() -> None:
    taken = intake()
    take(taken, 0.0, ONE)
    taken.connection_lost(1.0, ONE)
    for _ in range(3):
        assert isinstance(take(taken, 2.0, TWO), TrackOnly)
    taken.client_spoke(TWO)
    assert taken.uncertain == {}
    assert isinstance(take(taken, 3.0, TWO), AddMessage)


CONNECTIONS = st.sampled_from([ConnectionId(number) for number in range(1, 5)])
MESSAGES = (message(), message(b"Message-ID: <2@x>\r\n\r\n"), message(b"Subject: alarm\r\n\r\n"))


class AnyOrder(RuleBasedStateMachine):
    """Connections, commits and losses in any order, with few messages, so that many are equal."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.taken = intake(count_max=2)
        self.writes: list[AddMessage | TrackOnly | SettleAnswers] = []
        self.waiting: dict[ConnectionId, AddMessage | TrackOnly] = {}
        self.added: set[NetworkMessageId] = set()
        self.rows: set[bytes] = set()  # what the database holds

    @rule(connection=CONNECTIONS, received=st.sampled_from(MESSAGES))
    def receives(self, connection: ConnectionId, received: MessageReceived) -> None:
        if connection in self.waiting:
            return  # a session takes one message at a time
        try:
            write = self.taken.receive(self.now, connection, received, ORIGIN)
        except Refusal:
            return
        self.waiting[connection] = write
        self.writes.append(write)

    @rule()
    def settles(self) -> None:
        if self.taken.has_settled:
            self.writes.append(self.taken.take_settled())

    @rule(succeeds=st.booleans())
    def ends_a_commit(self, succeeds: bool) -> None:
        if not self.writes:
            return
        write = self.writes.pop(0)
        if isinstance(write, SettleAnswers):
            if succeeds:
                self.rows -= set(write.fingerprints)
            else:
                self.taken.settle_failed(write)
            return
        waiting = [connection for connection, each in self.waiting.items() if each is write]
        if succeeds:
            told, copy = self.taken.committed(self.now, write)
            if isinstance(write, AddMessage):
                self.added.add(write.message.network_message_id)
                self.rows.add(write.message.fingerprint)
            assert copy in self.added, "a 250 is for a copy that is durable"
        else:
            told = self.taken.failed(write)
        assert waiting == ([] if told is None else [told])
        for connection in waiting:
            del self.waiting[connection]

    @rule(connection=CONNECTIONS, write_count=st.integers(0, 3))
    def speaks(self, connection: ConnectionId, write_count: int) -> None:
        for _ in range(write_count if connection not in self.waiting else 0):
            # It pipelines the same message before it reads.
            self.receives(connection, MESSAGES[0])
            while connection in self.waiting:
                self.ends_a_commit(succeeds=True)
        self.taken.client_spoke(connection)

    @rule(connection=CONNECTIONS)
    def is_lost(self, connection: ConnectionId) -> None:
        self.taken.connection_lost(self.now, connection)
        self.waiting.pop(connection, None)

    @rule(span_s=st.sampled_from((0.1, UNREAD_S, DAY_S / 2)))
    def time_passes(self, span_s: float) -> None:
        self.now += span_s

    @invariant()
    def what_is_uncertain_is_durable(self) -> None:
        assert set(self.taken.uncertain.values()) <= self.added
        assert set(self.taken.uncertain) <= self.rows, "a crash now would forget a lost answer"

    def teardown(self) -> None:
        for number in range(1, 5):
            self.taken.connection_lost(self.now, ConnectionId(number))
        self.waiting.clear()
        while self.writes:
            self.ends_a_commit(succeeds=True)
        self.settles()
        while self.writes:
            self.ends_a_commit(succeeds=True)
        assert len(self.taken.uncertain) <= 2
        assert self.rows == set(self.taken.uncertain), "a crash now would drop mail sent twice on purpose"


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)


def settled(taken: Intake) -> list[bytes]:
    return list(taken.take_settled().fingerprints)


def test_an_answer_that_was_read_is_settled_unless_another_is_unread() -> None:
    taken = intake()
    mark = fingerprint_of(message())
    take(taken, 0.0, ONE)
    take(taken, 1.0, TWO, spoke=True)
    assert not taken.has_settled, "the first answer may be lost"
    taken.client_spoke(ONE)
    assert settled(taken) == [mark]
    assert not taken.has_settled


def test_the_same_message_again_takes_back_what_was_not_yet_written() -> None:
    taken = intake()
    take(taken, 0.0, ONE, spoke=True)
    again = taken.receive(1.0, TWO, message(), ORIGIN)
    assert isinstance(again, AddMessage)
    assert not taken.has_settled
    taken.failed(again)
    assert settled(taken) == [fingerprint_of(message())]


def test_what_could_not_be_written_is_settled_again() -> None:
    taken = intake()
    take(taken, 0.0, ONE, spoke=True)
    write = taken.take_settled()
    taken.settle_failed(write)
    assert taken.take_settled() == write
    pending = taken.receive(1.0, TWO, message(), ORIGIN)
    taken.settle_failed(write)
    assert not taken.has_settled
    taken.committed(1.0, pending)
    taken.client_spoke(TWO)
    assert taken.has_settled


def test_what_is_forgotten_for_its_age_or_number_is_settled() -> None:
    taken = intake(count_max=1)
    marks = {bytes([number]): NetworkMessageId(str(number)) for number in range(2)}
    taken.recovered(0.0, marks)
    assert settled(taken) == [b"\0"]
    take(taken, DAY_S, ONE)
    assert settled(taken) == [b"\1"]


def test_an_alarm_whose_sender_left_is_settled() -> None:
    taken = intake()
    take(taken, 0.0, ONE, received=message(b"Subject: disk full\r\n\r\n"))
    taken.connection_lost(0.1, ONE)
    assert taken.has_settled


def test_silence_says_nothing_about_another_client() -> None:
    taken = intake()
    take(taken, 0.0, ONE)
    elsewhere = Origin("203.0.113.5", "in", "mail.example.test")
    assert isinstance(taken.receive(UNREAD_S, TWO, message(), elsewhere), AddMessage)
    lost = intake()
    take(lost, 0.0, ONE)
    lost.connection_lost(1.0, ONE)
    assert isinstance(lost.receive(2.0, TWO, message(), elsewhere), TrackOnly), "a lost answer is lost"


def test_a_third_try_is_the_first_one_when_the_second_was_never_taken_in() -> None:
    fingerprint = fingerprint_of(message())
    for gone, expected in ((), "second"), (("second",), "first"), (("second", "first"), "first"):
        taken = intake()
        for known in ("first", "second"):
            taken.first_try_elsewhere(0.0, fingerprint, NetworkMessageId(known), named=True)
        for each in gone:
            taken.try_gone_elsewhere(fingerprint, NetworkMessageId(each))
        taken.try_gone_elsewhere(b"another", NetworkMessageId("first"))
        write = take(taken, 1.0, ONE)
        assert isinstance(write, AddMessage)
        assert write.message.network_message_id == expected


def test_the_lines_about_a_second_try_leave_the_first_open() -> None:
    # Its first try came elsewhere, so this server gave it the id from there; the second try comes here again.
    taken = intake()
    fingerprint = fingerprint_of(message())
    taken.first_try_elsewhere(0.0, fingerprint, NetworkMessageId("id-elsewhere"), named=True)
    first = take(taken, 1.0, ONE)
    assert isinstance(first, AddMessage)
    assert first.message.network_message_id == "id-elsewhere"
    taken.connection_lost(2.0, ONE)
    taken.first_try_elsewhere(3.0, fingerprint, NetworkMessageId("id-elsewhere"), named=True)
    second = take(taken, 4.0, TWO)
    assert isinstance(second, TrackOnly)
    lines = [parse_line(line) for line in second.tracking.split("\n") if line.strip()]
    assert {line.network_message_id for line in lines}.isdisjoint({"id-elsewhere"})
