"""One mailbox database, over each kind of tables: what holds for one must hold for the other."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from typing import TypeVar

import pytest

from holdfast.drivers.sqlite_mailbox_tables import MIGRATIONS, SqliteTables
from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.mailbox.service import perform
from holdfast.sim.mailbox_tables import MemoryTables
from holdfast.wire import store

Answered = TypeVar("Answered")
ALICE = MailboxId("alice")
QUOTA = 1 << 30


class Database:
    """Tables, a clock and luck; each operation is a transaction of its own."""

    def __init__(self, kind: str) -> None:
        self.now = 1_700_000_000.0
        self.luck = random.Random(1)
        self.touched: tuple[tuple[int, int], ...] = ()
        self.connection: sqlite3.Connection | None = None
        self.tables: MemoryTables | SqliteTables
        if kind == "memory":
            self.tables = MemoryTables()
        else:
            self.connection = sqlite3.connect(":memory:", isolation_level=None)
            for statement in MIGRATIONS[0]:
                self.connection.execute(statement)
            self.tables = SqliteTables(self.connection)

    def rows(self) -> object:
        if isinstance(self.tables, MemoryTables):
            return self.tables.snapshot()
        assert self.connection is not None
        self.tables.flush()
        return list(self.connection.iterdump())

    def ask(self, operation: store.Operation, kind: type[Answered]) -> Answered:
        """Perform, expect this kind of answer, and commit."""
        if self.connection is not None:
            self.connection.execute("BEGIN")
        answer, self.touched = perform(operation, self.tables, self.now, self.luck)
        if isinstance(self.tables, MemoryTables):
            self.tables.commit()
        else:
            assert self.connection is not None
            self.tables.flush()
            self.connection.execute("COMMIT")
            self.tables.committed()
            if self.luck.random() < 0.5:
                self.tables.forget()  # what is in memory and what is on disk must be the same
        assert isinstance(answer, kind), answer
        return answer

    def refused(self, operation: store.Operation) -> store.RefusalReason:
        """Expect a refusal that leaves no trace."""
        self.ask(store.ListFolders(operation.mailbox_id), store.FolderList)  # the mailbox is there
        before = self.rows()
        refused = self.ask(operation, store.Refused)
        assert self.rows() == before
        assert self.touched == ()
        return refused.reason

    def folders(self) -> dict[str, store.Folder]:
        return {each.name: each for each in self.ask(store.ListFolders(ALICE), store.FolderList).folders}

    def append(
        self, data: bytes = b"A: b\r\n\r\ntext", name: str = "INBOX", flags: tuple[str, ...] = ()
    ) -> int:
        asked = store.AppendMessage(ALICE, name, data, list(flags), self.now, QUOTA)
        return self.ask(asked, store.Appended).uid

    def deliver(
        self, message_id: str, *mailboxes: str, data: bytes = b"S: x\r\n\r\nbody"
    ) -> list[store.Outcome]:
        targets = [store.Target(MailboxId(each), b"P: %s\r\n" % each.encode(), QUOTA) for each in mailboxes]
        delivery = store.Delivery(NetworkMessageId(message_id), data, self.now, targets)
        return self.ask(store.Deliver([delivery]), store.Delivered).outcomes[0]

    def opened(self, name: str = "INBOX", claim_recent: bool = False) -> store.FolderOpened:
        return self.ask(store.OpenFolder(ALICE, name, claim_recent), store.FolderOpened)

    def uids(self, name: str = "INBOX") -> list[int]:
        return [each.uid for each in self.opened(name).messages]

    def fetch(
        self, folder_id: int, uids: list[int], part: store.Part = store.Part.ALL
    ) -> list[store.StoredMessage]:
        return self.ask(store.FetchMessages(ALICE, folder_id, uids, part), store.Messages).messages

    def changes(self, folder_id: int, after: int) -> store.Changes:
        return self.ask(store.ReadChanges(ALICE, folder_id, after, False), store.Changes)

    def flag(
        self, folder_id: int, uids: list[int], *flags: str, action: str = "add"
    ) -> list[store.MessageState]:
        asked = store.StoreFlags(ALICE, folder_id, uids, store.FlagAction(action), list(flags))
        return self.ask(asked, store.FlagsStored).messages

    def copy(self, folder_id: int, uids: list[int], target: str, *, move: bool = False) -> store.Copied:
        return self.ask(store.CopyMessages(ALICE, folder_id, uids, target, move, QUOTA), store.Copied)

    def usage(self, *mailboxes: str) -> list[tuple[int, int]]:
        answer = self.ask(store.ReadUsage([MailboxId(each) for each in mailboxes]), store.UsageRead)
        return list(zip(answer.size_bytes, answer.message_count, strict=True))


@pytest.fixture(params=["memory", "sqlite"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    made = Database(request.param)
    yield made
    if made.connection is not None:
        made.connection.close()


@pytest.fixture
def make_database() -> type[Database]:
    return Database
