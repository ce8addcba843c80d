"""The transport role, driven input by input: what reaches mailboxes, queue and tracking log."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.directory.model import (
    Mailbox,
    Organisation,
)
from holdfast.kernel.ids import MailboxId
from holdfast.transport.tracking import EventId
from holdfast.wire import store
from holdfast.wire.headers import format_date

MakeWorld = Callable[..., Any]  # makes the World of conftest.py
ALICE, BOB, CAROL = MailboxId("alice"), MailboxId("bob"), MailboxId("carol")
BODY = b"Message-ID: <1@other.test>\r\nSubject: hello\r\n\r\nbody\r\n"


def test_store_lost_and_back(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect_stores()
    world.send("alice@example.test", "carol@example.test")
    world.commit()
    assert sorted(call.database for call in world.calls) == ["db1", "db2"]
    # The store takes them, and its answer is lost.
    for call in world.calls:
        world.take(call)
    lost, world.calls = world.calls, []
    world.do(world.node.store_lost, "db1")
    world.do(world.node.store_lost, "db2")
    for call in lost:
        world.do(world.node.store_answered, call.number, store.Delivered([[store.Outcome.DELIVERED]]))
    assert not world.commits
    world.connect_stores()
    world.settle()
    assert world.event_ids() == ["RECEIVE", "DUPLICATEDELIVER", "DUPLICATEDELIVER"]
    assert len(world.mail) == 2
    assert not world.disk
    assert world.ledger().unaccounted_count == 0
    assert world.log == ["TRN-0201", "TRN-0201"]


def test_a_store_that_cannot_now_is_asked_again_later_each_time(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect_stores()
    world.send("alice@example.test")
    world.commit()
    waits = []
    for _ in range(4):
        world.refuse()
        world.commit()
        assert not world.calls
        deadline = world.node.deadline()
        assert deadline is not None
        waits.append(deadline - world.now)
        world.now = deadline
        world.do(world.node.timer)
        world.read()
    assert all(1.5 * first < second for first, second in itertools.pairwise(waits))
    assert world.event_ids() == ["RECEIVE", "DEFER"]
    world.settle()
    assert len(world.mailbox(ALICE)) == 1


def test_one_message_that_a_store_does_not_take_does_not_hold_the_others(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect_stores()
    for number, name in enumerate((b"poison", b"good", b"fine")):
        world.send("alice@example.test", number=number, body=b"Subject: " + name + b"\r\n\r\n")
        world.lose(number)
    for _ in range(6):
        world.commit()
        world.read()
        calls, world.calls = world.calls, []
        for call in calls:
            assert isinstance(call.operation, store.Deliver)
            poison = any(b"poison" in each.data for each in call.operation.deliveries)
            refused = store.Refused(store.RefusalReason.CANNOT, "cannot")
            world.do(world.node.store_answered, call.number, refused if poison else world.take(call))
    assert len(world.mailbox(ALICE)) == 2
    assert len(world.disk) == 1
    world.now += 2 * 86400.0
    for _ in range(10):
        world.wait(50.0)
        world.commit()
        world.read()
        world.refuse(store.RefusalReason.CANNOT)
    assert world.event_ids()[-2:] == ["FAIL", "DROP"]
    assert world.ledger().bounced_count == 1


def test_an_answer_that_does_not_fit_is_a_refusal(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect_stores()
    world.send("alice@example.test")
    world.commit()
    for answer in (store.Delivered([]), store.Delivered([[]]), store.Done()):
        (call,) = world.calls
        world.calls = []
        world.do(world.node.store_answered, call.number, answer)
        world.wait(30.0)
        world.read()
    world.settle()
    assert len(world.mailbox(ALICE)) == 1


def test_over_quota_bounces_to_our_own_user(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect_stores()
    world.send("alice@example.test", "bob@example.test", sender="carol@example.test")
    world.settle(full=(BOB,))
    (bounce,) = world.mailbox(CAROL)
    assert bounce.startswith(b"Return-Path: <>\r\nDelivered-To: carol@example.test\r\n")
    assert b"Final-Recipient: rfc822; bob@example.test\r\nAction: failed\r\nStatus: 5.2.2\r\n" in bounce
    assert b"Subject: hello" in bounce
    assert world.event_ids() == ["RECEIVE", "DELIVER", "FAIL", "DSN", "DELIVER"]
    assert world.events()[3].reference == world.events()[0].network_message_id
    ledger = world.ledger()
    assert (ledger.accepted_count, ledger.delivered_count, ledger.bounced_count) == (3, 2, 1)


@pytest.mark.parametrize("sender", ["", "x@other.test"])
def test_nobody_can_be_told(make_world: MakeWorld, sender: str) -> None:
    world = make_world()
    world.connect_stores()
    world.send("bob@example.test", sender=sender)
    world.settle(full=(BOB,))
    assert world.event_ids() == ["RECEIVE", "FAIL", "DROP"]
    assert world.events()[-1].custom_data.startswith("no bounce: ")
    assert world.log == ["TRN-0203", "TRN-0204"]
    assert world.ledger().bounced_count == 1
    assert not world.disk


def test_a_finish_that_cannot_be_written_is_written_later_with_its_bounce(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect_stores()
    world.send("bob@example.test", sender="carol@example.test")
    world.commit()
    world.answer(full=(BOB,))
    world.fail_commit()
    assert not world.commits
    assert not world.node.idle()
    world.wait(60.0)
    world.settle()
    assert len(world.mailbox(CAROL)) == 1
    assert world.event_ids() == ["RECEIVE", "FAIL", "DSN", "DELIVER"]
    assert world.ledger().unaccounted_count == 0


def test_lines_of_our_own_that_cannot_be_written_are_written_later(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect_stores()
    world.send("alice@example.test")
    world.commit()
    world.refuse()
    world.fail_commit()
    world.wait(60.0)
    world.settle()
    assert sorted(world.event_ids()) == ["DEFER", "DELIVER", "RECEIVE"]


def test_a_group_reaches_each_mailbox_once(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect_stores()
    world.send("all@example.test", "al@example.test", "team@example.test", "empty@example.test")
    world.settle()
    assert {owner for owner, _ in world.mail} == {ALICE, BOB, CAROL}
    assert len(world.mail) == 3
    expand = [event for event in world.events() if event.event_id is EventId.EXPAND]
    assert [event.recipients for event in expand] == [("bob@example.test", "carol@example.test"), ()]
    ledger = world.ledger()
    assert (ledger.accepted_count, ledger.delivered_count, ledger.dropped_count) == (4, 3, 1)
    assert not world.disk


def test_an_alias_and_its_mailbox_are_one_copy(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect_stores()
    world.send("alice@example.test", "al@example.test")
    world.settle()
    assert len(world.mail) == 1
    assert world.event_ids() == ["RECEIVE", "DELIVER", "DUPLICATEDELIVER"]
    assert world.ledger().delivered_count == 2


def test_a_recipient_that_vanished_bounces_and_a_mailbox_that_moved_is_found(make_world: MakeWorld) -> None:
    world = make_world()
    world.send("bob@example.test", "alice@example.test", sender="carol@example.test")
    world.commit()
    alice, _, carol = world.organisation.mailboxes
    moved = Mailbox(alice.address, ALICE, "db2")
    fields = dict(world.organisation.__dict__)
    fields = {name: fields[name] for name in world.organisation.__dataclass_fields__}
    world.do(world.node.organisation_changed, Organisation(**{**fields, "mailboxes": (moved, carol)}))
    world.do(world.node.store_connected, "db2")
    world.settle()
    assert len(world.mailbox(ALICE)) == 1
    (bounce,) = world.mailbox(CAROL)
    assert b"Status: 5.1.1" in bounce
    assert world.ledger().unaccounted_count == 0


def test_mail_that_nobody_takes_for_two_days_bounces(make_world: MakeWorld) -> None:
    world = make_world()
    world.do(world.node.store_connected, "db2")
    world.send("alice@example.test", sender="carol@example.test")
    world.commit()
    world.lose()
    world.wait(2 * 86400.0 - 1)
    assert len(world.disk) == 1
    world.wait(120.0)
    world.read()
    world.settle()
    delay, bounce = world.mailbox(CAROL)
    assert b"Action: delayed" in delay
    assert b"Action: failed" in bounce
    assert b"Status: 4.4.7" in bounce
    assert b"Subject: hello" in bounce
    world.wait(2 * 86400.0 + 600.0)  # the Safety Net is looked through until nothing can be in it
    assert world.node.deadline() is None


def test_data_that_cannot_be_read_is_tried_again(make_world: MakeWorld) -> None:
    world = make_world()
    world.send("alice@example.test")
    world.commit()
    world.connect_stores()
    assert world.reads == [1]
    world.read(readable=False)
    assert world.log == ["TRN-0205"]
    world.wait(5.0)
    world.settle()
    assert len(world.mailbox(ALICE)) == 1


STEPS = [
    "send",
    "commit",
    "fail",
    "answer",
    "full",
    "refuse",
    "down",
    "up",
    "wait",
    "read",
    "unread",
    "lose",
    "crash",
]


def take_step(world: Any, step: str, lost: int) -> None:
    match step:
        case "commit":
            world.commit()
        case "fail":
            world.fail_commit()
        case "answer":
            world.answer()
        case "full":
            world.answer(full=(BOB,))
        case "refuse":
            world.refuse()
        case "down":
            world.calls = [call for call in world.calls if call.database != "db1"]
            world.do(world.node.store_lost, "db1")
        case "up":
            world.do(world.node.store_connected, "db1")
        case "wait":
            world.wait(20.0)
        case "read":
            world.read()
        case "unread":
            world.read(readable=False)
        case "lose":
            world.lose(lost)


@given(st.lists(st.sampled_from(STEPS), max_size=40), st.integers(0, 2**32))
@settings(max_examples=120, deadline=None)
def test_no_interleaving_loses_or_doubles_mail(make_world: MakeWorld, steps: list[str], seed: int) -> None:
    luck = random.Random(seed)
    world = make_world()
    sent = 0
    names = ["alice", "bob", "carol", "all", "al", "team"]
    for step in steps:
        if step == "send":
            sent += 1
            recipients = [f"{name}@example.test" for name in luck.sample(names, luck.randint(1, 3))]
            body = f"Subject: {sent}\r\n\r\n".encode()
            world.send(
                *recipients,
                number=1000 + sent,
                sender=luck.choice(["bob@example.test", "x@y.test"]),
                body=body,
            )
        elif step == "crash":
            # Memory is gone; what waited for the disk is there or not.
            for writes in world.commits:
                if luck.random() < 0.5:
                    world.write(writes)
            after = make_world(world.recovered(clean=False), luck.getrandbits(32))
            after.now, after.data, after.mail = world.now, world.data, world.mail
            after.tracking = world.tracking + after.tracking
            world = after
        else:
            take_step(world, step, lost=1000 + sent)
    world.calls = [call for call in world.calls if call.database != "db1"]
    world.do(world.node.store_lost, "db1")
    world.connect_stores()
    for _ in range(8):
        world.settle()
        world.wait(700.0)
    assert world.disk == {}
    ledger = world.ledger()
    assert ledger.unaccounted == ()
    assert ledger.queued_count == ledger.unmatched_count == 0
    assert world.node.queued_message_count == 0
    subjects = [
        (owner, [line for line in data.split(b"\r\n") if line.startswith(b"Subject: ")][-1])
        for (owner, _), data in world.mail.items()
        if not data.startswith(b"Return-Path: <>")
    ]
    assert len(subjects) == len(set(subjects))


STEPS_OF_THE_CLOCK_S = (-7200.0, 3600.0, -3 * 86400.0, 3 * 86400.0)


@pytest.mark.parametrize("step_s", STEPS_OF_THE_CLOCK_S)
def test_a_step_of_the_wall_clock_moves_no_deadline_and_is_written_down(
    make_world: MakeWorld, step_s: float
) -> None:
    world = make_world()
    world.connect()
    world.send("alice@example.test", number=2)
    world.commit()
    before = world.node.deadline()
    world.node.clock_offset_s = step_s
    assert world.node.deadline() == before
    world.wait(700.0)  # past the time for which nothing expires after a start
    assert world.event_ids() == ["RECEIVE"], "nothing is given up"
    world.send("bob@example.test", number=3)
    world.commit()
    second = world.disk[max(world.disk)]
    assert second.received_at == world.now + step_s
    assert format_date(second.received_at).encode() in second.data
    assert world.events()[-1].at == pytest.approx(world.now + step_s, abs=0.01)
    world.connect_stores()
    world.settle()
    assert not world.disk


def test_age_is_what_passed_and_not_what_the_clock_says(make_world: MakeWorld) -> None:
    world = make_world()
    world.node.clock_offset_s = -86400.0
    world.send("alice@example.test", sender="")
    world.commit()
    world.node.clock_offset_s = 0.0
    world.wait(1.9 * 86400.0)
    world.settle()
    assert "FAIL" not in world.event_ids()
    world.wait(0.2 * 86400.0)
    world.settle()
    assert "FAIL" in world.event_ids()
