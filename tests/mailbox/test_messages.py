"""Messages in folders and the change log."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.kernel.ids import MailboxId
from holdfast.mailbox import messages
from holdfast.wire import store
from holdfast.wire.store import RefusalReason

ALICE = MailboxId("alice")
BOB = MailboxId("bob")


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"A: b\r\n\r\nx\r\n\r\n", 8),
        (b"A: b\n\nx", 6),
        (b"A: b\n\r\nx", 7),
        (b"A: b\r\n", 6),
        (b"\r\nbody", 2),
        (b"\nbody", 1),
        (b"", 0),
    ],
)
def test_a_header_ends_with_the_first_empty_line(data: bytes, size: int) -> None:
    assert messages.header_size(b"P: q\r\n", data) == 6 + size


def test_only_real_changes_of_flags_take_a_position(database: Any) -> None:
    first, second = database.append(flags=("Work",)), database.append()
    folder = database.opened().folder
    states = database.flag(folder.folder_id, [first, second, 99], "WORK", "\\seen")
    assert [state.flags for state in states] == [("Work", "\\Seen"), ("WORK", "\\Seen")]
    assert [state.modification for state in states] == [3, 4]
    assert database.touched == ((folder.folder_id, 4),)
    assert database.flag(folder.folder_id, [first, second], "work") == states
    assert database.touched == ()
    assert database.folders()["INBOX"].unseen_count == 0
    assert database.flag(folder.folder_id, [first], action="replace")[0].flags == ()
    assert database.folders()["INBOX"].unseen_count == 1
    assert [state.uid for state in database.changes(folder.folder_id, 4).changed] == [first]
    bad = store.StoreFlags(ALICE, folder.folder_id, [first], store.FlagAction.ADD, ["\\Bad"])
    assert database.refused(bad) is RefusalReason.CANNOT


def test_expunged_messages_are_vanished(database: Any) -> None:
    for _ in range(4):
        database.append()
    folder_id = database.opened().folder.folder_id
    database.flag(folder_id, [1, 2, 3], "\\Deleted")
    position = database.opened().folder.highest_position
    assert database.ask(store.Expunge(ALICE, folder_id, [2, 4]), store.Expunged).uids == [2]
    assert database.ask(store.Expunge(ALICE, folder_id, None), store.Expunged).uids == [1, 3]
    assert database.ask(store.Expunge(ALICE, folder_id, None), store.Expunged).uids == []
    assert database.touched == ()
    assert database.changes(folder_id, position).vanished == [1, 2, 3]
    assert database.uids() == [4]
    after = database.opened().folder.highest_position
    came_and_went = database.append(flags=("\\Deleted",))
    database.ask(store.Expunge(ALICE, folder_id, [came_and_went]), store.Expunged)
    assert database.changes(folder_id, after).vanished == []
    assert database.append() == came_and_went + 1
    assert database.changes(folder_id, 1 << 70).changed == []


def test_copies_share_the_body_and_moves_keep_the_item(database: Any) -> None:
    uids = [database.append(data=b"A: %d\r\n\r\n" % number) for number in range(3)]
    inbox = database.opened().folder
    copied = database.copy(inbox.folder_id, [uids[0], 99, uids[1]], "Archive")
    archive = database.folders()["Archive"]
    assert (copied.source_uids, copied.target_uids) == ([1, 2], [1, 2])
    assert copied.uid_validity == archive.uid_validity
    originals = database.fetch(inbox.folder_id, uids)
    copies = database.fetch(archive.folder_id, [1, 2])
    assert [each.data for each in copies] == [each.data for each in originals[:2]]
    assert {each.item_id for each in copies}.isdisjoint({each.item_id for each in originals})
    moved = database.copy(inbox.folder_id, [uids[2]], "Archive", move=True)
    assert moved.target_uids == [3]
    assert {each for each, _ in database.touched} == {inbox.folder_id, archive.folder_id}
    assert database.fetch(archive.folder_id, [3])[0].item_id == originals[2].item_id
    database.flag(inbox.folder_id, uids, "\\Deleted")
    database.ask(store.Expunge(ALICE, inbox.folder_id, None), store.Expunged)
    assert [each.data for each in database.fetch(archive.folder_id, [1, 2, 3])] == [
        each.data for each in originals
    ]
    assert database.copy(inbox.folder_id, [1], "Archive").target_uids == []
    assert database.touched == ()


@pytest.mark.parametrize("move", [False, True])
def test_copy_and_move_onto_the_same_folder(database: Any, move: bool) -> None:
    for _ in range(2):
        database.append()
    folder_id = database.opened().folder.folder_id
    assert database.copy(folder_id, [1, 2], "inbox", move=move).target_uids == [3, 4]
    assert database.uids() == ([3, 4] if move else [1, 2, 3, 4])
    folder = database.folders()["INBOX"]
    assert folder.message_count == folder.unseen_count == (2 if move else 4)
    assert folder.highest_position == (6 if move else 4)


def test_what_may_not_be_copied_or_appended(database: Any) -> None:
    uid = database.append(data=b"x" * 100)
    folder_id = database.opened().folder.folder_id
    bob_inbox = database.ask(store.OpenFolder(BOB, "INBOX", False), store.FolderOpened).folder.folder_id

    def copy(folder: int, target: str, quota_bytes: int = 1 << 30) -> RefusalReason:
        asked = store.CopyMessages(ALICE, folder, [uid], target, False, quota_bytes)
        reason: RefusalReason = database.refused(asked)
        return reason

    assert copy(folder_id, "none") is RefusalReason.NONEXISTENT
    assert copy(bob_inbox, "Archive") is RefusalReason.NONEXISTENT
    assert copy(1 << 70, "Archive") is RefusalReason.NONEXISTENT
    assert copy(-1, "Archive") is RefusalReason.NONEXISTENT
    assert copy(folder_id, "Archive", 199) is RefusalReason.OVERQUOTA
    full = store.CopyMessages(ALICE, folder_id, [uid], "Archive", True, 50)
    assert database.ask(full, store.Copied).target_uids == [1]  # a move needs no room
    append = store.AppendMessage(ALICE, "INBOX", b"x", [], 0.0, 100)
    assert database.refused(append) is RefusalReason.OVERQUOTA
    missing = store.AppendMessage(ALICE, "none", b"x", [], 0.0, 1000)
    assert database.refused(missing) is RefusalReason.NONEXISTENT
    malformed = store.AppendMessage(ALICE, "INBOX", b"x", ["a b"], 0.0, 1000)
    assert database.refused(malformed) is RefusalReason.CANNOT


def test_recent_messages_are_claimed_by_one_session(database: Any) -> None:
    database.deliver("n1", "alice")
    assert database.opened().folder.recent_count == 1
    assert database.opened().recent_uids == []
    claimed = database.opened(claim_recent=True)
    assert (claimed.recent_uids, claimed.folder.recent_count) == ([1], 1)
    assert database.opened(claim_recent=True).recent_uids == []
    database.deliver("n2", "alice")
    folder_id = claimed.folder.folder_id
    assert database.changes(folder_id, 1).recent_uids == []
    asked = store.ReadChanges(ALICE, folder_id, 1, True)
    assert database.ask(asked, store.Changes).recent_uids == [2]
    assert database.folders()["INBOX"].recent_count == 0


def test_an_answer_is_bounded_but_holds_at_least_one_message(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "FETCH_BYTES_MAX", 100)
    monkeypatch.setattr(messages, "FETCH_COUNT_MAX", 3)
    for size in (200, 40, 60, 10):
        database.append(data=b"x" * size)
    folder_id = database.opened().folder.folder_id

    def fetch(uids: list[int], part: store.Part = store.Part.ALL) -> tuple[list[int], bool]:
        answer = database.ask(store.FetchMessages(ALICE, folder_id, uids, part), store.Messages)
        return [each.uid for each in answer.messages], answer.complete

    assert fetch([1, 2, 3, 4]) == ([1], False)
    assert fetch([4, 3, 2]) == ([2, 3], False)
    assert fetch([2, 3, 3]) == ([2, 3], True)
    assert fetch([1, 2, 3, 4], store.Part.METADATA) == ([1, 2, 3], False)
    assert fetch([-1, 0, 99, 1 << 80]) == ([], True)


def test_toggled_flags_do_not_make_the_change_log_grow(database: Any) -> None:
    uids = [database.append(), database.append()]
    opened = database.opened()
    folder_id, start = opened.folder.folder_id, opened.folder.highest_position
    for _ in range(20):
        database.flag(folder_id, uids, "\\Seen")
        middle = database.opened().folder.highest_position
        database.flag(folder_id, uids, "\\Seen", action="remove")
    assert len(database.tables.changes(folder_id, 0)) == 4, "each came, and each has a newest change"
    for after in (start, middle, middle + 1):
        states = database.changes(folder_id, after).changed
        assert [state.uid for state in states] == [uid for uid in uids if after < middle + uid]
    assert database.changes(folder_id, start).position == start + 80
    database.flag(folder_id, [1], "\\Deleted")
    database.ask(store.Expunge(ALICE, folder_id, None), store.Expunged)
    assert len(database.tables.changes(folder_id, 0)) == 4
    changes = database.changes(folder_id, start)
    assert (changes.vanished, [state.uid for state in changes.changed]) == ([1], [2])
    assert database.changes(folder_id, 0).vanished == [], "what came and went is nothing"


@pytest.mark.parametrize("size", [0, 10, 5000, 200_000])
def test_slices_of_a_message_are_its_bytes(size: int, database: Any) -> None:
    database.deliver("one", "alice", data=bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    folder_id = database.opened().folder.folder_id
    whole = database.fetch(folder_id, [1])[0].data
    assert whole.startswith(b"P: alice")
    for offset in (0, 3, 10, 11, size // 2, len(whole) - 1, len(whole), len(whole) + 5):
        for length in (0, 1, 20, 70_000):
            asked = store.FetchSlice(ALICE, folder_id, 1, offset, length)
            assert database.ask(asked, store.Slice).data == whole[offset : offset + length]
    assert database.refused(store.FetchSlice(ALICE, folder_id, 2, 0, 5)) is RefusalReason.NONEXISTENT
    assert database.refused(store.FetchSlice(ALICE, 99, 1, 0, 5)) is RefusalReason.NONEXISTENT


def test_what_is_larger_than_an_answer_comes_alone_and_without_data(database: Any) -> None:
    for size in (10, 10, 5000, 10):
        database.append(b"A: b\r\n\r\n" + b"x" * size)
    folder_id = database.opened().folder.folder_id
    sizes = []
    for uids in ([1, 2, 3, 4], [3, 4], [4]):
        asked = store.FetchMessages(ALICE, folder_id, uids, store.Part.ALL, 1000)
        answer = database.ask(asked, store.Messages)
        sizes.append([(each.uid, len(each.data)) for each in answer.messages])
    assert sizes == [[(1, 18), (2, 18)], [(3, 0)], [(4, 18)]]
