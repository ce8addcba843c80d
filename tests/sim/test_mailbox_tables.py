"""Transactions of the in-memory tables; what they keep is tested with the mailbox room."""

from __future__ import annotations

import random

from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.mailbox.service import perform
from holdfast.sim.mailbox_tables import MemoryTables
from holdfast.wire import store

ALICE = MailboxId("alice")


def some_operations(folder_id: int) -> list[store.Operation]:
    delivery = store.Delivery(NetworkMessageId("n2"), b"two", 1.0, [store.Target(ALICE, b"", 1000)])
    return [
        store.Deliver([delivery]),
        store.CreateFolder(ALICE, "a/b"),
        store.RenameFolder(ALICE, "a", "c"),
        store.StoreFlags(ALICE, folder_id, [1], store.FlagAction.ADD, ["\\Deleted"]),
        store.CopyMessages(ALICE, folder_id, [1], "c", False, 1000),
        store.CopyMessages(ALICE, folder_id, [2], "c", True, 1000),
        store.Expunge(ALICE, folder_id, None),
        store.DeleteFolder(ALICE, "c/b"),
        store.DeleteFolder(ALICE, "c"),
        store.Subscribe(ALICE, "Junk", False),
        store.Subscribe(ALICE, "x", True),
        store.OpenFolder(ALICE, "INBOX", True),
        store.ListFolders(MailboxId("bob")),
    ]


def test_a_rollback_takes_back_everything_since_the_commit() -> None:
    tables, luck = MemoryTables(), random.Random(1)
    delivery = store.Delivery(NetworkMessageId("n1"), b"one", 1.0, [store.Target(ALICE, b"", 1000)])
    perform(store.Deliver([delivery]), tables, 10.0, luck)
    tables.commit()
    before = tables.snapshot()
    for count in range(1, 14):
        for operation in some_operations(1)[:count]:
            answer = perform(operation, tables, 1e7, luck).answer
            assert not isinstance(answer, store.Refused), answer
        assert tables.snapshot() != before
        tables.rollback()
        assert tables.snapshot() == before


def test_a_commit_keeps_everything() -> None:
    tables, luck = MemoryTables(), random.Random(1)
    perform(store.ListFolders(ALICE), tables, 1.0, luck)
    tables.commit()
    after = tables.snapshot()
    tables.rollback()
    assert tables.snapshot() == after
