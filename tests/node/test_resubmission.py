"""Mailbox databases that lost messages get them again from the Safety Net, once, whoever has it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.directory.model import (
    DistributionGroup,
    Mailbox,
    MailboxDatabase,
    Resource,
)
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId
from holdfast.node import resubmission
from holdfast.node.resubmission import ResubmissionState
from holdfast.transport.back_pressure import Reading
from holdfast.wire import store
from node.pair import START, Pair, Side

USER1, USER2 = "user1@example.test", "user2@example.test"
COUNT = 20


def delivered(count: int = COUNT) -> Pair:
    """``count`` messages are in the mailbox of user1 on mail1, and in the Safety Nets of both."""
    pair = Pair()
    pair.wait(1.0)
    mail1, mail2 = pair.sides.values()
    for number in range(count):
        mail1.send(USER1, number=number + 1, body=f"Subject: {number}\r\n\r\nx\r\n".encode())
        pair.wait(1.0)
    assert len(mail1.mailbox("user1")) == count
    assert len(mail1.disk.shadows.kept) == len(mail2.disk.shadows.kept) == count
    return pair


def restore(side: Side, keep: int) -> None:
    """The mailbox database of a server comes back as it was after its first ``keep`` deliveries."""
    side.stores_up = False
    side.do(side.node.store_lost, f"db{side.number}")
    side.pair.move()
    side.mail = dict(list(side.mail.items())[:keep])
    side.last_delivery_at = START + keep if keep else None
    side.stores_up = True


def states(side: Side) -> tuple[ResubmissionState, ...]:
    return side.node.shadow_report.resubmissions()


def ask(side: Side, since: float, until: float, database: str = "db1") -> None:
    side.node.shadow_report.resubmit(side.pair.now, database, since, until)
    side.do(side.node.administered)


def check(side: Side, count: int = COUNT) -> None:
    """Each message is there once, and its sender was told nothing."""
    found = side.mailbox("user1")
    assert sorted(found) == sorted(set(found))
    assert len(found) == count
    assert "DSN" not in side.event_ids()
    assert side.ledger().unaccounted_count == 0
    assert not side.disk.messages


def test_a_database_that_is_older_than_it_was_gets_what_it_lacks_by_itself() -> None:
    pair = delivered()
    mail1 = pair.sides["mail1"]
    restore(mail1, 12)
    mail1.do(mail1.node.store_connected, "db1")
    pair.wait(60.0)
    check(mail1)
    (state,) = states(mail1)
    assert (state.by_itself, state.resubmitted_count, state.state, state.running) == (True, 8, "done", False)
    assert "8 messages of the Safety Net are delivered again to mailbox database db1" in mail1.log
    resubmitted = [each for each in mail1.events() if each.event_id.value == "RESUBMIT"]
    assert [each.source for each in resubmitted] == ["SAFETYNET"] * 8
    assert "DUPLICATEDELIVER" not in mail1.event_ids()
    # They are kept again, and have had a copy meanwhile.
    assert len(mail1.disk.shadows.kept) == COUNT
    assert not mail1.protection.unprotected


def test_a_database_that_is_empty_gets_everything() -> None:
    pair = delivered()
    mail1 = pair.sides["mail1"]
    restore(mail1, 0)
    mail1.do(mail1.node.store_connected, "db1")
    pair.wait(60.0)
    check(mail1)


def test_after_an_ordinary_restart_nothing_is_delivered_again() -> None:
    pair = delivered()
    mail1 = pair.sides["mail1"]
    restore(mail1, COUNT)
    mail1.do(mail1.node.store_connected, "db1")
    pair.wait(60.0)
    check(mail1)
    assert states(mail1) == ()
    assert "RESUBMIT" not in mail1.event_ids()


def test_a_start_of_transport_finds_it_too() -> None:
    pair = delivered()
    mail1 = pair.sides["mail1"]
    mail1.die()
    mail1.mail = dict(list(mail1.mail.items())[:5])
    mail1.last_delivery_at = START + 5
    mail1.start()
    pair.wait(60.0)
    check(mail1)


def test_an_administrator_asks_for_a_span() -> None:
    pair = delivered()
    mail1 = pair.sides["mail1"]
    mail1.mail = dict(list(mail1.mail.items())[:5])  # nobody noticed
    ask(mail1, START + 10.5, pair.now)
    pair.wait(60.0)
    check(mail1, 5 + 10)
    (state,) = states(mail1)
    assert (state.by_itself, state.seen_count, state.resubmitted_count) == (False, 10, 10)
    ask(mail1, 0.0, pair.now)
    pair.wait(60.0)
    check(mail1)
    assert states(mail1)[1].resubmitted_count == 5  # the database said which


def test_the_holder_delivers_again_when_the_primary_is_dead() -> None:
    pair = delivered()
    mail1, mail2 = pair.sides.values()
    mail1.die()
    # Its mailbox database is restored on the other server, from a copy with five messages.
    mail2.mail = dict(list(mail1.mail.items())[:5])
    databases = (MailboxDatabase("db1", "mail2"), pair.organisation.mailbox_databases[1])
    pair.organisation = replace(pair.organisation, mailbox_databases=databases)
    mail2.do(mail2.node.organisation_changed, pair.organisation)
    ask(mail2, 0.0, pair.now)
    pair.move()
    mail2.do(mail2.node.store_connected, "db1")
    pair.wait(60.0)
    check(mail2)
    assert "DUPLICATEDELIVER" in mail2.event_ids()  # the database was not there to be asked


def test_the_holder_sends_to_the_server_that_has_the_database() -> None:
    pair = delivered()
    mail1, mail2 = pair.sides.values()
    # mail1 has lost both its disks, and comes back empty.
    mail1.die()
    mail1.mail = {}
    mail1.last_delivery_at = None
    mail1.disk = type(mail1.disk)(2 * 86400.0, mail1.name, generation=1)
    mail1.start()
    pair.wait(30.0)
    assert not mail1.mailbox("user1")
    ask(mail2, 0.0, pair.now)
    pair.wait(60.0)
    check(mail1)
    assert not mail2.disk.messages


def test_groups_are_expanded_as_they_are_today_and_only_into_this_database() -> None:
    pair = Pair()
    pair.wait(1.0)
    mail1, mail2 = pair.sides.values()
    group = DistributionGroup("all@example.test", (USER1, USER2, "gone@example.test"))
    gone, late = (
        Mailbox(f"{each}@example.test", MailboxId(each), "db1") for each in ("gone", "late")
    )  # fmt: skip
    old = (*pair.organisation.mailboxes, gone)
    pair.change(distribution_groups=(group,), mailboxes=old)
    mail1.send("ALL@example.test", "gone@example.test")
    pair.wait(5.0)
    assert [len(mail1.mailbox(each)) for each in ("user1", "gone")] == [1, 1]
    assert len(mail2.mailbox("user2")) == 1
    # One left the group, and the organisation; one came.
    pair.change(
        mailboxes=(*pair.organisation.mailboxes[:2], late),
        distribution_groups=(replace(group, members=(USER1, USER2, "late@example.test")),),
    )
    restore(mail1, 0)
    mail1.do(mail1.node.store_connected, "db1")
    before = len(mail2.events())
    pair.wait(5.0)
    assert [len(mail1.mailbox(each)) for each in ("user1", "gone", "late")] == [1, 0, 1]
    assert "RECEIVE" not in [each.event_id.value for each in mail2.events()[before:]]
    (state,) = states(mail1)
    assert state.resubmitted_count == 1


def test_what_fails_the_second_time_is_told_to_nobody() -> None:
    pair = Pair()
    pair.wait(1.0)
    mail1 = pair.sides["mail1"]
    mail1.send(USER1, sender=USER2)
    pair.wait(5.0)
    restore(mail1, 0)
    mail1.full_mailboxes = {"user1"}
    mail1.do(mail1.node.store_connected, "db1")
    pair.wait(60.0)
    assert "FAIL" in mail1.event_ids()
    assert "DSN" not in mail1.event_ids()
    assert not mail1.disk.messages


def test_a_full_disk_delays_and_loses_nothing() -> None:
    pair = delivered()
    mail1 = pair.sides["mail1"]
    restore(mail1, 3)
    mail1.full = True
    mail1.do(mail1.node.store_connected, "db1")
    pair.wait(30.0)
    assert len(mail1.mailbox("user1")) == 3
    assert len(mail1.disk.shadows.kept) == COUNT
    mail1.full = False
    pair.wait(60.0)
    check(mail1)


def test_the_database_goes_away_in_the_middle_and_is_asked_again() -> None:
    pair = delivered()
    mail1 = pair.sides["mail1"]
    restore(mail1, 3)
    mail1.hold_commits = True
    mail1.do(mail1.node.store_connected, "db1")
    pair.move()
    assert mail1.commits  # on their way to the queue
    mail1.do(mail1.node.store_lost, "db1")
    mail1.hold_commits = False
    pair.move(deliver=False)
    mail1.do(mail1.node.store_connected, "db1")
    pair.wait(60.0)
    check(mail1)


def test_we_die_in_the_middle() -> None:
    pair = delivered()
    mail1 = pair.sides["mail1"]
    restore(mail1, 3)
    mail1.do(mail1.node.store_connected, "db1")
    pair.move(deliver=False)
    mail1.die()
    mail1.start()
    pair.wait(60.0)
    check(mail1)
    assert all(not each.marks.resubmitted for each, _ in mail1.disk.shadows.kept.values())


def test_few_are_in_the_queue_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resubmission, "IN_QUEUE_COUNT_MAX", 4)
    monkeypatch.setattr(resubmission, "ASKED_COUNT_MAX", 3)
    pair = delivered()
    mail1 = pair.sides["mail1"]
    restore(mail1, 0)
    mail1.do(mail1.node.store_connected, "db1")
    most = 0
    for _ in range(1000):
        pair.move(deliver=False)
        most = max(most, len(mail1.disk.messages))
        if not mail1.calls:
            break
        mail1.deliver()
    assert 3 <= most <= 5
    pair.wait(60.0)
    check(mail1)


def test_back_pressure_pauses_it() -> None:
    pair = delivered()
    mail1 = pair.sides["mail1"]
    mail1.mail = {}
    mail1.do(mail1.node.resources_sampled, {Resource.QUEUE_DISK: Reading(99.5)})
    ask(mail1, 0.0, pair.now)
    pair.wait(5.0)
    assert not mail1.mailbox("user1")
    (state,) = states(mail1)
    assert (state.state, state.running) == ("paused by back pressure", True)
    mail1.do(mail1.node.resources_sampled, {Resource.QUEUE_DISK: Reading(10.0)})
    pair.wait(60.0)
    check(mail1)


def test_what_is_about_to_leave_the_safety_net_is_left_alone() -> None:
    pair = delivered(2)
    mail1 = pair.sides["mail1"]
    mail1.mail = {}
    pair.change(safety_net_hold_s=900.0)
    pair.wait(400.0)
    ask(mail1, 0.0, pair.now)
    pair.wait(5.0)
    assert not mail1.mailbox("user1")
    assert states(mail1)[0].seen_count == 2


def test_without_a_safety_net_nothing_can_be_asked_for() -> None:
    pair = Pair(change=lambda organisation: replace(organisation, safety_net_hold_s=0.0))
    with pytest.raises(Refusal, match="safety_net_hold of the organisation is 0"):
        ask(pair.sides["mail1"], 0.0, 1.0)


def test_no_more_than_so_many_wait() -> None:
    pair = delivered(1)
    mail1 = pair.sides["mail1"]
    for _ in range(101):
        mail1.node.shadow_report.resubmit(pair.now, "db1", 0.0, 1.0)
    with pytest.raises(Refusal, match="100 resubmissions wait already"):
        ask(mail1, 0.0, 1.0)
    assert states(mail1)[1].state == "waiting for the one before"
    mail1.do(mail1.node.administered)
    pair.wait(5.0)
    assert {each.state for each in states(mail1)} == {"done"}


def test_a_database_that_cannot_say_what_it_lacks_is_asked_again_or_gets_all() -> None:
    pair = delivered(3)
    mail1 = pair.sides["mail1"]
    restore(mail1, 1)
    mail1.do(mail1.node.store_connected, "db1")
    (call,) = mail1.calls
    mail1.calls = []
    refused = store.Refused(store.RefusalReason.UNAVAILABLE, "busy")
    mail1.do(mail1.node.store_answered, call.number, refused)
    pair.wait(5.0)
    assert len(mail1.mailbox("user1")) == 1
    ask(mail1, 0.0, pair.now)
    pair.move(deliver=False)
    (call,) = mail1.calls
    mail1.calls = []
    mail1.do(mail1.node.store_answered, call.number, refused)
    pair.wait(60.0)
    check(mail1, 3)
    assert "DUPLICATEDELIVER" in mail1.event_ids()


def test_a_safety_net_that_cannot_be_read_is_read_later() -> None:
    pair = delivered(3)
    mail1 = pair.sides["mail1"]
    mail1.mail = {}
    mail1.node.shadow_report.resubmit(pair.now, "db1", 0.0, pair.now)
    mail1.node._shadows.resubmission.outputs.clear()
    mail1.do(mail1.node.kept_read, None)
    pair.wait(1.0)
    assert states(mail1)[0].state == "waiting"
    pair.wait(60.0)
    check(mail1, 3)


def test_a_database_that_goes_away_while_it_is_asked_gets_all_that_was_asked_for() -> None:
    pair = delivered(3)
    mail1 = pair.sides["mail1"]
    mail1.mail = dict(list(mail1.mail.items())[:1])
    ask(mail1, 0.0, pair.now)
    pair.move(deliver=False)
    mail1.calls = []
    mail1.do(mail1.node.store_lost, "db1")
    pair.move(deliver=False)
    mail1.do(mail1.node.store_connected, "db1")
    pair.wait(60.0)
    check(mail1, 3)


def test_what_is_delivered_again_is_taken_over_when_its_server_dies() -> None:
    pair = delivered(3)
    mail1, mail2 = pair.sides.values()
    pair.wait(2500.0)
    restore(mail1, 0)
    mail1.do(mail1.node.store_connected, "db1")
    mail1.deliver()  # it says how old it is
    pair.move(deliver=False)
    mail1.deliver()  # and what it lacks
    pair.move(deliver=False)
    assert mail2.held.copy_count == 3
    mail1.die()
    mail2.node.shadow_report.declare_lost(pair.now, "mail1")
    mail2.do(mail2.node.timer)
    pair.move()
    entries = list(mail2.node._queue)
    assert len(entries) == 3
    # It was delivered for the first time long ago; its wait began when it left the Safety Net.
    assert max(pair.now - each.queued_at for each in entries) < 100.0
    assert {each.message.options.of(USER1).notify for each in entries} == {("NEVER",)}
    mail1.start()
    pair.wait(900.0)
    check(mail1, 3)
    assert "DSN" not in mail2.event_ids()


def test_a_database_that_goes_away_during_its_resubmission_gets_each_message_once() -> None:
    pair = delivered(6)
    mail1 = pair.sides["mail1"]
    restore(mail1, 3)
    mail1.hold_commits = True
    mail1.do(mail1.node.store_lost, "db1")
    mail1.do(mail1.node.store_connected, "db1")
    pair.move()
    mail1.do(mail1.node.store_lost, "db1")  # what is to be resubmitted is on its way to the disk
    mail1.do(mail1.node.store_connected, "db1")
    pair.move()
    mail1.hold_commits = False
    pair.wait(60.0)
    assert len(mail1.mailbox("user1")) == 6
    assert not mail1.disk.messages
