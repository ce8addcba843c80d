"""Delivery into inboxes."""

from __future__ import annotations

import math
from typing import Any

import pytest

from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.mailbox import deliver
from holdfast.wire import store
from holdfast.wire.store import Outcome

ALICE = MailboxId("alice")


def test_a_message_is_stored_byte_for_byte_for_each_target(database: Any) -> None:
    data = bytes(range(256)) + b"\r\n\r\n\x00rest"
    assert database.deliver("n1", "alice", "bob", data=data) == [Outcome.DELIVERED] * 2
    folder = database.opened().folder
    [message] = database.fetch(folder.folder_id, [1])
    assert message.data == b"P: alice\r\n" + data
    assert message.size_bytes == len(message.data)
    [header] = database.fetch(folder.folder_id, [1], store.Part.HEADER)
    assert header.data == message.data[: header.header_bytes]
    assert header.data.endswith(b"\r\n\r\n")
    assert database.usage("alice", "bob", "nobody") == [
        (len(data) + 10, 1),
        (len(data) + 8, 1),
        (0, 0),
    ]


def test_a_second_try_stores_nothing(database: Any) -> None:
    database.deliver("n1", "alice")
    assert database.touched == ((database.folders()["INBOX"].folder_id, 1),)
    database.now += deliver.MEMORY_S - 1
    assert database.deliver("n1", "alice", "bob", "bob") == [
        Outcome.DUPLICATE,
        Outcome.DELIVERED,
        Outcome.DUPLICATE,
    ]
    assert database.uids() == [1]


def test_a_database_says_what_it_lacks_and_since_when(database: Any) -> None:
    def missing(*asked: tuple[str, str]) -> store.Missing:
        pairs = [(NetworkMessageId(each), MailboxId(mailbox_id)) for each, mailbox_id in asked]
        answer: store.Missing = database.ask(store.FindMissing(pairs), store.Missing)
        return answer

    assert missing() == store.Missing([], None)
    assert missing(("n1", "alice")) == store.Missing([0], None)
    database.deliver("n1", "alice")
    database.now += 5.0
    last_at = database.now
    database.deliver("n2", "bob")
    folder = database.opened().folder
    database.ask(store.StoreFlags(ALICE, folder.folder_id, [1], store.FlagAction.ADD, ["\\Deleted"]), object)
    database.ask(store.Expunge(ALICE, folder.folder_id, None), object)
    database.now += 5.0
    asked = (("n1", "alice"), ("n1", "bob"), ("n2", "bob"), ("n3", "nobody"))
    # What Alice has deleted she had all the same.
    assert missing(*asked) == store.Missing([1, 3], last_at)


def test_deliveries_are_forgotten_in_small_steps(database: Any) -> None:
    for number in range(deliver.FORGET_COUNT + 5):
        database.deliver(f"n{number}", "alice")
    database.now += deliver.MEMORY_S + 1
    database.deliver("late", "alice")
    remembered = [
        database.tables.was_delivered(NetworkMessageId(f"n{number}"), ALICE)
        for number in range(deliver.FORGET_COUNT + 5)
    ]
    assert remembered == [False] * (deliver.FORGET_COUNT + 1) + [True] * 4


def test_a_full_mailbox_takes_no_more_but_still_knows_what_it_has(database: Any) -> None:
    def ask(message_id: str, quota_bytes: int) -> Outcome:
        target = store.Target(ALICE, b"", quota_bytes)
        delivery = store.Delivery(NetworkMessageId(message_id), b"x" * 100, database.now, [target])
        outcome: Outcome = database.ask(store.Deliver([delivery]), store.Delivered).outcomes[0][0]
        return outcome

    assert ask("n1", 99) is Outcome.OVER_QUOTA
    assert ask("n1", 100) is Outcome.DELIVERED
    assert ask("n1", 100) is Outcome.DUPLICATE
    assert ask("n2", 199) is Outcome.OVER_QUOTA
    assert ask("n2", 200) is Outcome.DELIVERED


def test_a_message_that_is_too_large_refuses_all_without_a_trace(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "MESSAGE_BYTES_MAX", 10)
    before = database.rows()
    target = store.Target(ALICE, b"1234", 1 << 30)
    deliveries = [
        store.Delivery(NetworkMessageId("a"), b"x", 0.0, [target]),
        store.Delivery(NetworkMessageId("b"), b"1234567", 0.0, [target]),
    ]
    assert database.ask(store.Deliver(deliveries), store.Refused).reason is store.RefusalReason.CANNOT
    assert database.rows() == before


def test_an_instant_that_is_no_number_becomes_now(database: Any) -> None:
    target = store.Target(ALICE, b"", 1 << 30)
    for number, at in enumerate((math.nan, math.inf)):
        delivery = store.Delivery(NetworkMessageId(f"n{number}"), b"x", at, [target])
        database.ask(store.Deliver([delivery]), store.Delivered)
    folder_id = database.folders()["INBOX"].folder_id
    assert [each.internal_at for each in database.fetch(folder_id, [1, 2])] == [database.now] * 2
