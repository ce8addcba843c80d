"""Folders of a mailbox."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.kernel.ids import MailboxId
from holdfast.mailbox import folders
from holdfast.mailbox.special_use import SPECIAL_FOLDERS
from holdfast.wire import store
from holdfast.wire.store import RefusalReason

ALICE = MailboxId("alice")


def create(database: Any, name: str) -> store.Folder:
    return database.ask(store.CreateFolder(ALICE, name), store.FolderList).folders[0]


def test_a_new_mailbox_has_its_special_folders(database: Any) -> None:
    listed = database.ask(store.ListFolders(ALICE), store.FolderList).folders
    assert [each.name for each in listed] == ["INBOX", *sorted(set(SPECIAL_FOLDERS) - {"INBOX"})]
    assert {each.name: each.special_use for each in listed} == SPECIAL_FOLDERS
    assert all(each.subscribed and each.selectable and each.exists for each in listed)
    assert len({each.uid_validity for each in listed}) == len(listed)


def test_making_a_folder_makes_the_levels_above(database: Any) -> None:
    made = create(database, "inbox/a/b/")
    assert made.name == "INBOX/a/b"
    assert "INBOX/a" in database.folders()
    assert database.refused(store.CreateFolder(ALICE, "Inbox/a")) is RefusalReason.ALREADYEXISTS
    assert database.refused(store.CreateFolder(ALICE, "a//b")) is RefusalReason.CANNOT


def test_a_name_that_is_made_again_gets_a_new_uid_validity_even_when_the_clock_goes_back(
    database: Any,
) -> None:
    first = create(database, "x")
    database.ask(store.DeleteFolder(ALICE, "x"), store.Done)
    assert "x" not in database.folders()
    database.now -= 1000
    second = create(database, "x")
    assert second.uid_validity > first.uid_validity
    assert second.folder_id != first.folder_id


def test_a_folder_with_folders_below_keeps_its_name_when_deleted(database: Any) -> None:
    made = create(database, "a")
    create(database, "a/b")
    uid = database.append(name="a")
    database.ask(store.DeleteFolder(ALICE, "a"), store.Done)
    assert database.touched == ((made.folder_id, 3),)
    assert not database.folders()["a"].selectable
    assert database.usage("alice") == [(0, 0)]
    assert database.refused(store.DeleteFolder(ALICE, "a")) is RefusalReason.CANNOT
    assert database.refused(store.OpenFolder(ALICE, "a", False)) is RefusalReason.NONEXISTENT
    assert not database.changes(made.folder_id, 0).folder_exists
    assert create(database, "a").folder_id == made.folder_id
    assert database.append(name="a") > uid
    database.ask(store.DeleteFolder(ALICE, "a/b"), store.Done)
    database.ask(store.DeleteFolder(ALICE, "a"), store.Done)
    assert "a" not in database.folders()


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (store.DeleteFolder(ALICE, "inbox"), RefusalReason.CANNOT),
        (store.DeleteFolder(ALICE, "Junk"), RefusalReason.CANNOT),
        (store.DeleteFolder(ALICE, "none"), RefusalReason.NONEXISTENT),
        (store.RenameFolder(ALICE, "Junk", "x"), RefusalReason.CANNOT),
        (store.RenameFolder(ALICE, "none", "x"), RefusalReason.NONEXISTENT),
        (store.RenameFolder(ALICE, "INBOX", "Junk"), RefusalReason.ALREADYEXISTS),
        (store.RenameFolder(ALICE, "INBOX", "\x07"), RefusalReason.CANNOT),
        (store.OpenFolder(ALICE, "none", True), RefusalReason.NONEXISTENT),
        (store.Subscribe(ALICE, "", True), RefusalReason.CANNOT),
    ],
)
def test_what_may_not_be_done(database: Any, operation: store.Operation, reason: RefusalReason) -> None:
    assert database.refused(operation) is reason


def test_renaming_moves_all_below(database: Any) -> None:
    made = create(database, "a/b/c")
    create(database, "ab")
    database.ask(store.RenameFolder(ALICE, "a", "new/z"), store.Done)
    names = database.folders()
    assert "new" not in names, "a level that nobody made is a name and no folder"
    assert {"new/z", "new/z/b", "new/z/b/c", "ab"} <= names.keys()
    assert not {"a", "a/b", "a/b/c"} & names.keys()
    assert names["new/z/b/c"].folder_id == made.folder_id
    assert names["new/z/b/c"].uid_validity == made.uid_validity
    assert database.refused(store.RenameFolder(ALICE, "new", "new/z/x")) is RefusalReason.CANNOT
    assert database.refused(store.DeleteFolder(ALICE, "new")) is RefusalReason.NONEXISTENT


def test_a_level_that_is_no_folder_can_be_renamed_or_made(database: Any) -> None:
    create(database, "a/b/b")
    create(database, "x/b")
    for name, new_name in (("a/b", "low/b"), ("x/b", "high/b"), ("low", "low/b/c")):
        if new_name.startswith("low/b/"):
            assert database.refused(store.RenameFolder(ALICE, name, new_name)) is RefusalReason.CANNOT
        else:
            database.ask(store.RenameFolder(ALICE, name, new_name), store.Done)
    assert database.refused(store.RenameFolder(ALICE, "low", "high")) is RefusalReason.ALREADYEXISTS
    database.ask(store.RenameFolder(ALICE, "low/b", "low"), store.Done)
    assert {"low", "low/b"} <= database.folders().keys()
    database.ask(store.RenameFolder(ALICE, "high", "sky"), store.Done)
    assert "sky/b" in database.folders()
    assert create(database, "sky").name == "sky"


def test_renaming_is_refused_when_a_name_below_becomes_too_long(database: Any) -> None:
    long = "/".join(["x" * 200] * 4)
    create(database, "a/" + long)
    assert database.refused(store.RenameFolder(ALICE, "a", "b" * 250)) is RefusalReason.CANNOT


def test_renaming_the_inbox_moves_its_messages(database: Any) -> None:
    uid = database.append(flags=("\\Seen",))
    create(database, "INBOX/below")
    inbox = database.folders()["INBOX"]
    before = database.fetch(inbox.folder_id, [uid])[0]
    database.ask(store.RenameFolder(ALICE, "INBOX", "old/mail"), store.Done)
    names = database.folders()
    assert names["INBOX"].message_count == 0
    assert names["INBOX"].folder_id > inbox.folder_id, "no session may take it for the old one"
    assert names["INBOX"].uid_validity > inbox.uid_validity
    assert names["INBOX"].uid_next == 1
    assert "old" not in names
    assert "INBOX/below" in names
    moved = database.fetch(names["old/mail"].folder_id, [1])[0]
    assert (moved.item_id, moved.data) == (before.item_id, before.data)
    assert not database.changes(inbox.folder_id, inbox.highest_position).folder_exists
    assert database.append() == 1
    count = len(names)
    database.ask(store.RenameFolder(ALICE, "INBOX", "older"), store.Done)
    assert len(database.folders()) == count + 1


def test_subscriptions_need_no_folder(database: Any) -> None:
    database.ask(store.Subscribe(ALICE, "gone", True), store.Done)
    database.ask(store.Subscribe(ALICE, "Junk", False), store.Done)
    names = database.folders()
    assert names["gone"].subscribed
    assert not names["gone"].exists
    assert not names["Junk"].subscribed
    database.ask(store.Subscribe(ALICE, "gone", False), store.Done)
    assert "gone" not in database.folders()


def test_the_number_of_folders_is_bounded(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "FOLDER_COUNT_MAX", 9)
    assert database.refused(store.CreateFolder(ALICE, "a/b/c")) is RefusalReason.CANNOT
    create(database, "a/b")
    assert database.refused(store.RenameFolder(ALICE, "INBOX", "c")) is RefusalReason.CANNOT
    for number in range(11):
        database.ask(store.Subscribe(ALICE, f"s{number}", True), store.Done)
    assert database.refused(store.Subscribe(ALICE, "more", True)) is RefusalReason.CANNOT
