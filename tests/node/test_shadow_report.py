"""What an administrator sees of copies, and the word that a server is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.directory.model import Protect, Resource
from holdfast.kernel.errors import Refusal
from holdfast.node.shadow_report import ShadowReport
from holdfast.transport.back_pressure import Reading
from node.pair import Pair

USER1, USER2 = "user1@example.test", "user2@example.test"


def waiting() -> Pair:
    """mail1 has a message that waits for its mailbox database; mail2 has its copy."""
    pair = Pair()
    pair.wait(1.0)
    mail1 = pair.sides["mail1"]
    mail1.stores_up = False
    mail1.do(mail1.node.store_lost, "db1")
    mail1.send(USER1)
    pair.move()
    return pair


def report(pair: Pair, name: str) -> ShadowReport:
    return pair.sides[name].node.shadow_report


def test_a_protected_message_is_seen_on_both_sides() -> None:
    pair = waiting()
    state = report(pair, "mail1").state(pair.now)
    assert (state.protected_count, state.unprotected_count, state.unprotected_s) == (1, 0, None)
    (partner,) = state.partners
    assert (partner.name, partner.linked, partner.usable, partner.reason) == ("mail2", True, True, "")
    assert (partner.held_count, partner.discard_count) == (1, 0)
    (queue,) = report(pair, "mail2").state(pair.now).queues
    assert (queue.primary, queue.linked, queue.message_count, queue.silent_s) == ("mail1", True, 1, 0.0)
    assert queue.size_bytes > 50
    assert report(pair, "mail2").held_count == 1


def test_without_its_partner_mail_is_unprotected_and_it_is_said_since_when_and_why() -> None:
    pair = waiting()
    pair.sides["mail2"].die()
    mail1 = pair.sides["mail1"]
    pair.move()
    mail1.send(USER1, number=2)
    pair.wait(20.0)
    state = report(pair, "mail1").state(pair.now)
    # The first message still has its copy on the disk of mail2.
    assert (state.protected_count, state.unprotected_count, state.waiting_count) == (1, 1, 0)
    assert state.unprotected_s == pytest.approx(20.0)
    (partner,) = state.partners
    assert (partner.linked, partner.usable, partner.reason) == (False, False, "refused")
    assert partner.since_s == pytest.approx(20.0)
    assert (report(pair, "mail1").unprotected_count, report(pair, "mail1").protected_count) == (1, 1)


def test_a_message_that_waits_for_its_copy_or_was_refused_is_counted() -> None:
    pair = Pair()
    pair.wait(1.0)
    connectors = pair.organisation.receive_connectors
    pair.change(receive_connectors=tuple(replace(each, protect=Protect.REQUIRED) for each in connectors))
    mail1, mail2 = pair.sides.values()
    mail2.hold_commits = True
    mail1.send(USER1)
    pair.move()
    assert report(pair, "mail1").state(pair.now).waiting_count == 1
    pair.wait(6.0)
    assert mail1.said[1].startswith(b"451 4.4.0 ")
    state = report(pair, "mail1").state(pair.now)
    assert (state.waiting_count, state.refused_count, state.unprotected_count) == (0, 1, 0)
    assert report(pair, "mail1").refused_count == 1


def test_a_server_that_is_declared_lost_is_taken_over_and_told_when_it_lives() -> None:
    pair = waiting()
    mail1, mail2 = pair.sides.values()
    mail1.die()
    pair.move()
    assert report(pair, "mail2").declare_lost(pair.now, "mail1") == 1
    assert report(pair, "mail2").taken_over_count == 0  # not before it is durable
    mail2.do(mail2.node.timer)
    pair.move(deliver=False)
    assert report(pair, "mail2").taken_over_count == 1
    state = report(pair, "mail2").state(pair.now)
    assert (state.taken_over_count, state.queues[0].message_count, state.queues[0].untold_count) == (1, 0, 1)
    mail1.stores_up = True
    mail1.start()
    pair.wait(900.0)
    assert report(pair, "mail2").state(pair.now).queues[0].untold_count == 0
    assert len(mail1.mailbox("user1")) == 1
    assert report(pair, "mail1").sent_by_both_count == 0


def test_we_are_not_lost() -> None:
    pair = Pair()
    with pytest.raises(Refusal, match='"mail1" is this server'):
        report(pair, "mail1").declare_lost(pair.now, "mail1")
    assert report(pair, "mail1").declare_lost(pair.now, "mail2") == 0


def test_back_pressure_at_the_partner_refuses_copies_and_mail_goes_on_unprotected() -> None:
    pair = Pair()
    pair.wait(1.0)
    mail1, mail2 = pair.sides.values()
    mail1.stores_up = False
    mail1.do(mail1.node.store_lost, "db1")
    mail2.do(mail2.node.resources_sampled, {Resource.QUEUE_DISK: Reading(97.5)})
    assert mail2.node.administration.pressure.shadows_refused
    mail1.send(USER1)
    pair.move()
    assert mail1.said[1].startswith(b"250 ")
    assert report(pair, "mail1").unprotected_count == 1
    assert any("could not make a shadow copy: back pressure" in each for each in mail1.log)
    mail2.do(mail2.node.resources_sampled, {Resource.QUEUE_DISK: Reading(50.0)})
    pair.wait(60.0)
    assert (report(pair, "mail1").unprotected_count, report(pair, "mail2").held_count) == (0, 1)
