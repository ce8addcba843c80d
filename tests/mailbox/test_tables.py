"""Rows, as both kinds of tables keep them."""

from __future__ import annotations

from typing import Any

from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.mailbox.tables import ChangeKind, ChangeRow, FolderRow, MailboxRow, MessageRow

ALICE = MailboxId("alice")


def folder_row(name: str) -> FolderRow:
    return FolderRow(0, ALICE, name, "", True, 1, 1, 0, 1, 0, 0, 0)


def test_a_folder_is_one_object_however_it_is_asked_for(database: Any) -> None:
    row = folder_row("a")
    database.tables.add_folder(row)
    found = database.tables.folder(row.folder_id)
    assert found == row
    assert found is database.tables.folder_named(ALICE, "a")
    assert found is database.tables.folders(ALICE)[0]
    database.tables.rename_folder(found, "b")
    assert database.tables.folder_named(ALICE, "a") is None
    assert database.tables.folder_named(ALICE, "b") is found
    database.tables.remove_folder(found)
    assert database.tables.folder(row.folder_id) is None
    again = folder_row("b")
    database.tables.add_folder(again)
    assert again.folder_id > row.folder_id


def test_mailboxes_are_put_and_found(database: Any) -> None:
    assert database.tables.mailbox(ALICE) is None
    database.tables.put_mailbox(MailboxRow(ALICE, 1, 2, 3, 4))
    assert database.tables.mailbox(ALICE) == MailboxRow(ALICE, 1, 2, 3, 4)


def test_a_body_stays_as_long_as_it_is_shared(database: Any) -> None:
    tables = database.tables
    one, two = tables.add_body(b"one", 1), tables.add_body(b"two two", 2)
    assert one != two
    tables.add_references(two, 1)
    tables.add_references(two, -2)
    assert (tables.read_body(two, None), tables.read_body(two, 3), tables.read_body(one, 0)) == (
        b"two two", b"two", b"",
    )  # fmt: skip
    tables.add_references(one, 1)
    tables.add_references(one, -1)
    assert tables.read_body(one, None) == b"one"
    tables.add_references(one, -1)
    tables.add_references(two, -1)
    assert "two two" not in str(database.rows())


def test_messages_changes_and_memory(database: Any) -> None:
    tables = database.tables
    rows = [
        MessageRow(1, uid, f"i{uid}", uid, b"\x00", ("\\Seen", "k") * (uid == 2), 1.5, 5, 2, uid)
        for uid in (2, 3, 7)
    ]
    for row in rows:
        tables.add_message(row)
        tables.add_change(ChangeRow(1, row.uid, ChangeKind.CREATE, row.uid, row.item_id))
    assert tables.messages(1) == rows
    assert tables.messages_by_uid(1, [7, 2, 2, 9]) == [rows[0], rows[2]]
    assert tables.uids_from(1, 3) == [3, 7]
    tables.put_flags(1, 3, ("x",), 9)
    assert tables.states(1) == [(2, ("\\Seen", "k"), 2), (3, ("x",), 9), (7, (), 7)]
    tables.remove_message(1, 3)
    assert tables.uids_from(1, 1) == [2, 7]
    assert tables.changes(1, 2) == [(ChangeKind.CREATE, 3), (ChangeKind.CREATE, 7)]
    assert tables.messages(2) == tables.changes(2, 0) == []
    message_id = NetworkMessageId("n")
    assert tables.remember_delivered(message_id, ALICE, 5.0)
    assert not tables.remember_delivered(message_id, ALICE, 6.0)
    tables.forget_delivered(5.0, 10)
    assert tables.was_delivered(message_id, ALICE)
    tables.forget_delivered(5.5, 10)
    assert not tables.was_delivered(message_id, ALICE)
