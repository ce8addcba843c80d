"""The verbs about the second copy, asked of two servers that talk to each other, and of what is on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivers.test_protection_reader import add, write
from drivers.test_sqlite_shadows import hold
from holdfast.directory.model import ShadowPreference
from holdfast.directory.plan import plan_change
from holdfast.drivers import clock, transport_requests
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.drivers.transport_requests import TransportRequests
from holdfast.kernel.errors import Refusal, Unavailable
from node.pair import Pair, Side

Call = Callable[..., Any]
NOW = 1_800_000_000.0
USER1 = "user1@example.test"


@pytest.fixture
def pair(store: DirectoryStore, world: Any) -> Pair:
    """Two servers that know each other; verbs are done on mail1."""
    pair = Pair()
    pair.now = clock.steady()  # what requests go by
    pair.wait(30.0)
    declare(store, pair)
    ask(world, pair.sides["mail1"])
    return pair


def declare(store: DirectoryStore, pair: Pair, **settings: Any) -> None:
    before = store.read()
    after = replace(pair.organisation, revision=before.revision, **settings)
    plan = plan_change(before, after)
    assert plan.problems == ()
    store.apply(plan, who="test", why="two servers", at=NOW)


def ask(world: Any, side: Side) -> None:
    """Have verbs done on a server."""
    world.server_name = side.name

    def drain() -> None:
        side.do(lambda now: None)
        side.pair.move(deliver=False)

    requests = TransportRequests(side.node, drain)
    world.transport = lambda verb, body: asyncio.run(requests.answer(verb, body))


def wait_for_database(pair: Pair) -> None:
    """A message of mail1 waits for its mailbox database."""
    mail1 = pair.sides["mail1"]
    mail1.stores_up = False
    mail1.do(mail1.node.store_lost, "db1")
    mail1.send(USER1)
    pair.move()


def test_protected_messages_partners_and_what_is_held(call: Call, pair: Pair, world: Any) -> None:
    wait_for_database(pair)
    shown = call("message protection", list=True)
    assert (shown.live, world.warnings) == (True, [])
    assert (shown.protected_message_count, shown.unprotected_message_count) == (1, 0)
    assert (shown.unprotected_since_at, shown.waiting_message_count) == (None, 0)
    (partner,) = shown.partners
    assert (partner.partner, partner.takes_copies, partner.reason) == ("mail2", "yes", "")
    assert (partner.held_message_count, partner.untold_discard_count) == (1, 0)
    # mail2 is connected, and has given us nothing.
    assert [(each.queue, each.message_count) for each in shown.shadow_queues] == [("shadow:mail2", 0)]
    assert shown.unprotected == []
    ask(world, pair.sides["mail2"])
    (queue,) = call("message protection").shadow_queues
    assert (queue.queue, queue.delivery_type, queue.status) == ("shadow:mail1", "shadow", "ready")
    assert (queue.message_count, queue.untold_message_count) == (1, 0)
    assert call("queue list").shadow_queues == [queue]


def test_a_partner_that_is_gone_is_said_with_its_reason(call: Call, pair: Pair) -> None:
    pair.sides["mail2"].die()
    wait_for_database(pair)
    shown = call("message protection")
    assert shown.unprotected_message_count == 1
    assert shown.unprotected_since_at == pytest.approx(NOW, abs=30)
    (partner,) = shown.partners
    assert (partner.takes_copies, partner.reason) == ("no", "reset")


def test_servers_that_are_no_partners_say_why(call: Call, pair: Pair, store: DirectoryStore) -> None:
    for side in pair.sides.values():
        pair.organisation = replace(pair.organisation, shadow_preference=ShadowPreference.OFF)
        side.do(side.node.organisation_changed, pair.organisation)
    declare(store, pair)
    (partner,) = call("message protection").partners
    assert (partner.partner, partner.takes_copies, partner.reason) == (
        "mail2",
        "no",
        "shadow_preference is off",
    )


def test_without_the_transport_role_the_database_is_read(
    call: Call, pair: Pair, world: Any, tmp_path: Path
) -> None:
    world.transport = None
    write(tmp_path, add(1, "mail2"), add(2, ""), add(3, None), hold(5, 50))
    shown = call("message protection", list=True, limit=1)
    assert "the transport role is not running" in world.warnings[1]
    assert "more than 1 messages are unprotected" in world.warnings[0]
    assert (shown.live, shown.protected_message_count, shown.unprotected_message_count) == (False, 1, 2)
    assert (shown.unprotected_since_at, shown.refused_message_count) == (1002.0, None)
    assert [(each.partner, each.takes_copies, each.held_message_count) for each in shown.partners] == [
        ("mail2", "not known", 1)
    ]
    assert [(each.queue, each.message_count) for each in shown.shadow_queues] == [("shadow:mail1", 1)]
    (row,) = shown.unprotected
    assert (row.number, row.sender, row.recipients) == (2, "s@x", ["a@x", "b@x"])
    assert call("queue list").shadow_queues == shown.shadow_queues
    ledger = call("ledger")
    assert (ledger.protected_message_count, ledger.unprotected_message_count) == (1, 2)
    assert ledger.unprotected_since_at == 1002.0


def test_a_server_without_partners_has_nothing_unprotected(call: Call, tmp_path: Path) -> None:
    write(tmp_path, add(3, None))
    assert call("ledger").unprotected_message_count == 0
    shown = call("message protection", list=True)
    assert (shown.unprotected_message_count, shown.unprotected, shown.partners) == (0, [], [])


@pytest.mark.parametrize("verb", ["show", "hold", "release", "retry", "remove", "redirect"])
def test_nothing_is_done_to_shadow_queues(call: Call, pair: Pair, verb: str) -> None:
    with pytest.raises(Refusal, match="copies of messages that another server answers for"):
        call(f"queue {verb}", queue="shadow:mail2")


def test_declaring_a_server_lost_asks_first_and_then_delivers(call: Call, pair: Pair, world: Any) -> None:
    wait_for_database(pair)
    mail1, mail2 = pair.sides.values()
    ask(world, mail2)
    with pytest.raises(Refusal, match="add --yes") as refused:
        call("server declare-lost", name="mail1")
    assert "1 messages of it would be delivered from here; it is connected" in refused.value.problems[0].text
    mail1.die()
    with pytest.raises(Refusal) as refused:
        call("server declare-lost", name="mail1")
    assert "nothing was heard of it for" in refused.value.problems[0].text
    assert mail2.held.copy_count == 1
    done = call("server declare-lost", name="mail1", yes=True)
    assert (done.taken_over_message_count, mail2.held.copy_count) == (1, 0)
    assert mail2.disk.messages  # it is durable by now
    assert call("server declare-lost", name="mail1", yes=True).taken_over_message_count == 0
    assert "no message of mail1 was held here" in world.warnings[0]


def test_a_take_over_that_is_not_written_down_is_said(
    call: Call, pair: Pair, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_requests, "DURABLE_TIMEOUT_S", 0.02)
    wait_for_database(pair)
    pair.sides["mail1"].die()
    ask(world, pair.sides["mail2"])
    pair.sides["mail2"].hold_commits = True
    with pytest.raises(Unavailable, match="not yet written down"):
        call("server declare-lost", name="mail1", yes=True)


@pytest.mark.parametrize(
    ("name", "words"), [("mail1", "is this server"), ("mail9", 'no server "mail9"; did you mean "mail2"')]
)
def test_who_cannot_be_lost(call: Call, pair: Pair, name: str, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        call("server declare-lost", name=name, yes=True)
