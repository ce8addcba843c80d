"""Operations in any order, over both kinds of tables at once: they agree, and the promises hold."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.mailbox.service import perform
from holdfast.sim.mailbox_tables import MemoryTables
from holdfast.wire import store

ALICE = MailboxId("alice")
NAMES = st.sampled_from(["INBOX", "Archive", "a", "a/b", "c", "Junk"])
UIDS = st.lists(st.integers(1, 12), max_size=4)
FLAGS = st.lists(st.sampled_from(["\\Seen", "\\Deleted", "work", "WORK", "\\Recent"]), max_size=3)


def test_watch_is_the_affair_of_the_node() -> None:
    with pytest.raises(AssertionError):
        perform(store.Watch(ALICE, 1, True), MemoryTables(), 0.0, random.Random(0))


def machine(make_database: Any) -> type[RuleBasedStateMachine]:
    class Operations(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.databases = [make_database("memory"), make_database("sqlite")]
            for database in self.databases:
                database.ask_luck = random.Random(7)
            self.seen: dict[int, tuple[int, int]] = {}  # folder id -> uid_next, position
            self.known: dict[int, tuple[int, set[int]]] = {}  # folder id -> position, uids at that position

        def teardown(self) -> None:
            self.databases[1].connection.close()

        def both(self, operation: store.Operation) -> store.Answer:
            answers = []
            for database in self.databases:
                database.luck, kept = database.ask_luck, database.luck
                answer: store.Answer = database.ask(operation, object)
                database.luck, database.ask_luck = kept, database.luck
                answers.append(answer)
            if not isinstance(answers[0], store.Messages):
                assert answers[0] == answers[1]
            return answers[0]

        def folder_id(self, name: str) -> int:
            listed = self.both(store.ListFolders(ALICE))
            assert isinstance(listed, store.FolderList)
            return next((each.folder_id for each in listed.folders if each.name == name), 99)

        @rule(number=st.integers(1, 5), size=st.integers(0, 50), quota=st.sampled_from([100, 10_000]))
        def deliver(self, number: int, size: int, quota: int) -> None:
            target = store.Target(ALICE, b"P: q\r\n", quota)
            delivery = store.Delivery(NetworkMessageId(f"n{number}"), b"x" * size, 1.0, [target, target])
            self.both(store.Deliver([delivery]))

        @rule(name=NAMES, flags=FLAGS)
        def append(self, name: str, flags: list[str]) -> None:
            self.both(store.AppendMessage(ALICE, name, b"data", flags, 1.0, 10_000))

        @rule(name=NAMES, new_name=NAMES, what=st.sampled_from(["create", "delete", "rename"]))
        def change_folder(self, name: str, new_name: str, what: str) -> None:
            match what:
                case "create":
                    self.both(store.CreateFolder(ALICE, name))
                case "delete":
                    self.both(store.DeleteFolder(ALICE, name))
                case _:
                    self.both(store.RenameFolder(ALICE, name, new_name))

        @rule(name=NAMES, uids=UIDS, action=st.sampled_from(store.FlagAction), flags=FLAGS)
        def store_flags(self, name: str, uids: list[int], action: store.FlagAction, flags: list[str]) -> None:
            self.both(store.StoreFlags(ALICE, self.folder_id(name), uids, action, flags))

        @rule(name=NAMES, uids=UIDS, into=NAMES, move=st.booleans())
        def copy(self, name: str, uids: list[int], into: str, move: bool) -> None:
            source_id, target_id = self.folder_id(name), self.folder_id(into)
            items = self.items(source_id)
            copied = self.both(store.CopyMessages(ALICE, source_id, uids, into, move, 10_000))
            if isinstance(copied, store.Copied) and move:
                after = self.items(target_id)
                assert [after[uid] for uid in copied.target_uids] == [
                    items[uid] for uid in copied.source_uids
                ]

        @rule(name=NAMES, uids=st.none() | UIDS)
        def expunge(self, name: str, uids: list[int] | None) -> None:
            self.both(store.Expunge(ALICE, self.folder_id(name), uids))

        @rule(name=NAMES, claim=st.booleans())
        def open(self, name: str, claim: bool) -> None:
            opened = self.both(store.OpenFolder(ALICE, name, claim))
            if isinstance(opened, store.FolderOpened):
                uids = {each.uid for each in opened.messages}
                self.known[opened.folder.folder_id] = (opened.folder.highest_position, uids)

        def items(self, folder_id: int) -> dict[int, str]:
            asked = store.FetchMessages(ALICE, folder_id, list(range(1, 200)), store.Part.METADATA)
            answer = self.databases[0].ask(asked, object)
            return {each.uid: each.item_id for each in getattr(answer, "messages", [])}

        @invariant()
        def promises_hold(self) -> None:
            listed = self.both(store.ListFolders(ALICE))
            assert isinstance(listed, store.FolderList)
            there = [each for each in listed.folders if each.exists]
            for folder in there:
                uid_next, position = self.seen.get(folder.folder_id, (0, 0))
                assert folder.uid_next >= uid_next
                assert folder.highest_position >= position
                self.seen[folder.folder_id] = (folder.uid_next, folder.highest_position)
                if folder.selectable:
                    self.counts_hold(folder)
            usage = self.both(store.ReadUsage([ALICE]))
            assert isinstance(usage, store.UsageRead)
            assert usage.size_bytes == [sum(each.size_bytes for each in there)]
            assert usage.message_count == [sum(each.message_count for each in there)]

        def counts_hold(self, folder: store.Folder) -> None:
            opened = self.both(store.OpenFolder(ALICE, folder.name, False))
            assert isinstance(opened, store.FolderOpened)
            uids = [each.uid for each in opened.messages]
            assert uids == sorted(set(uids))
            assert all(uid < folder.uid_next for uid in uids)
            for database in self.databases:
                assert len(database.tables.changes(folder.folder_id, 0)) <= 2 * (folder.uid_next - 1)
            assert folder.message_count == len(uids)
            assert folder.unseen_count == sum("\\Seen" not in each.flags for each in opened.messages)
            known = self.known.get(folder.folder_id)
            if known is not None:
                changes = self.both(store.ReadChanges(ALICE, folder.folder_id, known[0], False))
                assert isinstance(changes, store.Changes)
                came = {each.uid for each in changes.changed}
                assert set(changes.vanished) == known[1] - set(uids)
                assert (known[1] - set(changes.vanished)) | came == set(uids)

    return Operations


def test_promises_hold_over_any_operations(make_database: Any) -> None:
    run_state_machine_as_test(
        machine(make_database), settings=settings(max_examples=40, stateful_step_count=30, deadline=None)
    )
