"""The transport role, driven input by input: what it says to clients, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.kernel.ids import ConnectionId, MailboxId, NetworkMessageId
from holdfast.node.ports import (
    PauseReading,
    Peer,
    ResumeReading,
    StartTls,
)
from holdfast.transport.intake import SETTLE_S
from holdfast.transport.queue import AddMessage, SettleAnswers
from holdfast.wire import store

MakeWorld = Callable[..., Any]  # makes the World of conftest.py
ALICE, BOB, CAROL = MailboxId("alice"), MailboxId("bob"), MailboxId("carol")
PEER = Peer("198.51.100.7", 1234, "192.0.2.1", 25, tls=False)
BODY = b"Message-ID: <1@other.test>\r\nSubject: hello\r\n\r\nbody\r\n"


def test_250_only_after_the_commit(make_world: MakeWorld) -> None:
    world = make_world()
    assert world.send("alice@example.test") == b""
    assert [type(write) for writes in world.commits for write in writes] == [AddMessage]
    world.commit()
    (message,) = world.disk.values()
    assert world.said[1] == f"250 2.0.0 queued as {message.network_message_id}\r\n".encode()
    assert message.message_id == "<1@other.test>"
    assert message.subject == "hello"


def test_a_message_reaches_its_mailbox_with_its_trace(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect_stores()
    world.send("alice@example.test")
    world.settle()
    (data,) = world.mailbox(ALICE)
    lines = data.split(b"\r\n")
    assert lines[0] == b"Return-Path: <x@other.test>"
    assert lines[1] == b"Delivered-To: alice@example.test"
    assert lines[2] == b"Received: from client.test ([198.51.100.7])"
    assert data.endswith(BODY)
    assert world.event_ids() == ["RECEIVE", "DELIVER"]
    assert not world.disk
    assert world.node.queued_message_count == 0
    assert world.say(b"QUIT\r\n").startswith(b"221")
    assert world.closed == {1}
    world.lose()
    assert world.node.idle()


def test_queue_failed_452_and_nothing_kept(make_world: MakeWorld) -> None:
    world = make_world()
    world.send("alice@example.test")
    world.fail_commit()
    assert world.said[1].startswith(b"452 4.3.1 ")
    assert world.log == ["TRN-0102"]
    assert world.send("alice@example.test") == b""
    world.commit()
    assert world.said[1].startswith(b"250 2.0.0 ")
    assert world.log == ["TRN-0102", "TRN-0103"]
    assert len(world.disk) == 1
    assert world.ledger().accepted_count == 1


def test_two_equal_messages_on_purpose_are_both_delivered(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect_stores()
    for number in (1, 1, 2):
        world.send("alice@example.test", number=number)
        world.settle()
    assert len(world.mailbox(ALICE)) == 3


def lost_before_commit(world: Any) -> None:
    world.send("alice@example.test")
    world.lose()
    world.settle()


def lost_after_250(world: Any) -> None:
    world.send("alice@example.test")
    world.settle()
    world.lose()


def silent_after_250(world: Any) -> None:
    world.send("alice@example.test")
    world.settle()
    world.now += 6.0


@pytest.mark.parametrize("trouble", [lost_before_commit, lost_after_250, silent_after_250])
def test_a_second_try_gets_250_and_no_second_copy(
    make_world: MakeWorld, trouble: Callable[[Any], None]
) -> None:
    world = make_world()
    world.connect_stores()
    trouble(world)
    world.send("alice@example.test", number=2)
    world.settle()
    assert world.said[2].startswith(b"250 2.0.0 queued as ")
    assert len(world.mailbox(ALICE)) == 1
    assert world.event_ids() == ["RECEIVE", "DELIVER", "RECEIVE", "DROP"]
    assert world.events()[-1].custom_data.startswith("duplicate of ")
    assert world.log == ["TRN-0101"]
    ledger = world.ledger()
    assert (ledger.accepted_count, ledger.delivered_count, ledger.dropped_count) == (2, 1, 1)
    assert ledger.unaccounted_count == 0
    # The sender has read it now: the same message once more is meant so.
    world.say(b"NOOP\r\n", 2)
    world.send("alice@example.test", number=2)
    world.settle()
    assert len(world.mailbox(ALICE)) == 2


def test_a_first_try_that_is_still_being_stored(make_world: MakeWorld) -> None:
    world = make_world()
    world.send("alice@example.test")
    world.lose()
    assert world.send("alice@example.test", number=2).startswith(b"451 4.3.0 ")
    world.fail_commit()
    world.send("alice@example.test", number=2)
    world.commit()
    assert world.said[2].startswith(b"250 ")
    assert len(world.disk) == 1


def test_a_kill_makes_what_was_accepted_uncertain_and_a_clean_stop_does_not(make_world: MakeWorld) -> None:
    for clean, copies in ((False, 1), (True, 2)):
        first = make_world()
        first.send("alice@example.test")
        first.commit()
        world = make_world(first.recovered(clean=clean), seed=2)
        world.data = first.data
        world.tracking = first.tracking
        world.connect_stores()
        world.send("alice@example.test")
        world.settle()
        assert len(world.mailbox(ALICE)) == copies
        assert world.said[1].startswith(b"250 ")
        assert world.ledger().unaccounted_count == 0
        assert world.log[0] == "TRN-0104"
        assert "LOAD" in world.event_ids()


def test_a_clean_stop_hands_on_what_is_uncertain(make_world: MakeWorld) -> None:
    world = make_world()
    world.send("alice@example.test")
    world.commit()
    world.send("bob@example.test", number=2)
    world.commit()
    world.lose(2)
    assert set(world.node.uncertain.values()) == {each.network_message_id for each in world.disk.values()}
    world.say(b"NOOP\r\n")
    assert len(world.node.uncertain) == 1


def test_a_message_refused_at_the_door(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect()
    world.say(b"EHLO c\r\nMAIL FROM:<x@other.test>\r\n")
    assert world.say(b"RCPT TO:<nobody@example.test>\r\n").startswith(b"550 5.1.1 ")
    assert world.say(b"RCPT TO:<x@elsewhere.test>\r\n").startswith(b"550 5.7.1 ")
    assert world.say(b"RCPT TO:<postmaster@example.test>\r\n").startswith(b"250 ")


def test_a_user_signs_in_and_sends_as_himself_only(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect(2, "client", Peer("127.0.0.1", 1, "192.0.2.1", 587, tls=False))
    world.say(b"EHLO c\r\n", 2)
    assert world.say(b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n", 2).startswith(b"503 5.7.10 ")
    world.connect(1, "client", Peer("127.0.0.1", 1, "192.0.2.1", 465, tls=True))
    world.say(b"EHLO c\r\n")
    assert world.say(b"MAIL FROM:<alice@example.test>\r\n").startswith(b"530 ")
    world.say(b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n")
    assert [(check.user, check.password) for check in world.checks] == [("alice", "secret")]
    world.do(world.node.password_checked, ConnectionId(1), ALICE)
    assert world.said[1].startswith(b"235 ")
    assert world.say(b"MAIL FROM:<bob@example.test>\r\n").startswith(b"550 5.7.1 ")
    assert world.say(b"MAIL FROM:<al@example.test>\r\n").startswith(b"250 ")
    assert world.say(b"RCPT TO:<x@elsewhere.test>\r\n").startswith(b"250 2.1.5 ")
    assert world.say(b"RCPT TO:<bob@example.test>\r\n").startswith(b"250 ")


def test_a_stop_finishes_what_is_being_received(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect_stores()
    world.connect(1)
    world.send("alice@example.test", number=2)
    world.connect(3)
    world.say(b"EHLO c\r\nMAIL FROM:<x@other.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n", 3)
    world.said.clear()
    world.do(world.node.stopping)
    assert world.said[1].startswith(b"421 4.3.2 ")
    assert world.closed == {1}
    world.commit()
    assert b"250 2.0.0 queued" in world.said[2]
    assert world.said[2].endswith(b"421 4.3.2 the service is stopping, try again later\r\n")
    assert world.say(BODY + b".\r\n", 3) == b""
    world.commit()
    assert world.closed == {1, 2, 3}
    world.connect(4)
    assert world.said[4].startswith(b"421 4.3.2 ")
    assert not world.node.idle()
    for number in (1, 2, 3, 4):
        world.lose(number)
    world.settle()
    assert world.node.idle()
    assert len(world.disk) == 2  # a stop begins no delivery


def test_silence_ends_a_session_but_not_while_it_waits_for_us(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect(1)
    world.send("alice@example.test", number=2)
    world.wait(310.0)
    assert world.said[1].endswith(b"421 4.3.2 session timed out\r\n")
    assert world.closed == {1}
    world.commit()
    assert b"250 2.0.0" in world.said[2]
    assert world.closed == {1, 2}


def test_a_half_closed_connection_gets_its_answer(make_world: MakeWorld) -> None:
    world = make_world()
    world.send("alice@example.test")
    world.do(world.node.connection_ended, ConnectionId(1))
    assert world.closed == set()
    world.commit()
    assert world.said[1].startswith(b"250 ")
    assert world.closed == {1}
    world.do(world.node.connection_ended, ConnectionId(1))
    world.do(world.node.connection_ended, ConnectionId(9))


def test_a_client_that_pipelines_while_it_waits_is_paused(make_world: MakeWorld) -> None:
    world = make_world()
    world.send("alice@example.test")
    world.say(b"NOOP\r\n" * 50_000)
    assert world.flow == [PauseReading(ConnectionId(1))]
    world.say(b"NOOP\r\n")
    assert len(world.flow) == 1
    world.commit()
    assert world.flow == [PauseReading(ConnectionId(1)), ResumeReading(ConnectionId(1))]
    assert world.said[1].startswith(b"250 2.0.0 queued")


def test_whole_messages_pipelined_are_each_taken_once(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect_stores()
    world.connect()
    envelope = b"MAIL FROM:<x@other.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
    world.say(b"EHLO c\r\n" + 3 * (envelope + BODY + b".\r\n") + b"QUIT\r\n")
    world.settle()
    assert world.said[1].count(b"250 2.0.0 queued as") == 3
    assert len(world.mailbox(ALICE)) == 3


def test_doors(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect(1, "")
    assert world.said[1].startswith(b"220 mail1.example.test ")
    world.connect(2, "", Peer("198.51.100.7", 1, "192.0.2.1", 26, tls=False))
    assert world.said[2].startswith(b"554 ")
    world.connect(3, "removed")
    assert world.said[3].startswith(b"421 ")
    for number in range(10, 70):
        world.connect(number)
    assert world.said[69].startswith(b"421 4.7.0 ")
    assert {2, 3, 69} <= world.closed


def test_tls_is_begun_when_asked(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect()
    world.say(b"EHLO c\r\n")
    world.say(b"STARTTLS\r\n")
    assert world.flow == [StartTls(ConnectionId(1), "in")]
    world.do(world.node.tls_started, ConnectionId(1))
    assert world.say(b"EHLO c\r\n").startswith(b"250")


def test_news_of_a_connection_that_is_gone_is_nothing(make_world: MakeWorld) -> None:
    world = make_world()
    world.lose(7)
    world.do(world.node.bytes_received, ConnectionId(7), b"NOOP\r\n")
    world.do(world.node.tls_started, ConnectionId(7))
    world.do(world.node.password_checked, ConnectionId(7), None)
    world.do(world.node.queued_read, 99, b"")
    world.do(world.node.store_answered, 99, store.Done())
    assert world.node.idle()


def test_network_message_ids_are_of_one_kind(make_world: MakeWorld) -> None:
    world = make_world()
    world.send("alice@example.test")
    world.commit()
    assert {len(NetworkMessageId(each.network_message_id)) for each in world.disk.values()} == {36}


def test_a_read_answer_is_written_down_with_the_next_commit(make_world: MakeWorld) -> None:
    world = make_world()
    world.send("alice@example.test")
    world.commit()
    world.say(b"NOOP\r\n")
    assert not world.commits, "alone it can wait"
    world.send("alice@example.test", body=BODY + b"more\r\n")
    (writes,) = world.commits
    assert [type(each) for each in writes] == [AddMessage, SettleAnswers]


def test_a_read_answer_is_written_down_by_itself_after_a_while(make_world: MakeWorld) -> None:
    world = make_world()
    world.send("alice@example.test")
    world.commit()
    world.say(b"QUIT\r\n")
    world.lose()
    assert world.node.deadline() == world.now + SETTLE_S
    world.wait(SETTLE_S)
    ((settle,),) = world.commits
    assert isinstance(settle, SettleAnswers)
    assert len(settle.fingerprints) == 1
    assert not world.node.idle(), "a stop waits for what is being written"
    world.fail_commit()
    assert not world.node.outputs
    world.wait(60.0)
    assert world.commits == [[settle]], "a full disk only puts it off"
    world.commit()
    assert world.node.deadline() is None or world.node.deadline() > world.now + SETTLE_S
    assert world.node.idle()
