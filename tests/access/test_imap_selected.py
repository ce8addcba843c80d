"""The selected folder: sequence numbers stay right, and everything is told once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.access.imap_selected import SelectedFolder
from holdfast.wire.store import Changes, Folder, FolderOpened, MessageState

FOLDER = Folder(
    folder_id=7,
    name="INBOX",
    special_use="",
    subscribed=True,
    selectable=True,
    exists=True,
    uid_validity=1,
    uid_next=4,
    message_count=3,
    unseen_count=2,
    recent_count=0,
    size_bytes=30,
    highest_position=5,
)


def opened(*uids: int, recent: tuple[int, ...] = ()) -> SelectedFolder:
    states = [MessageState(uid, (), uid) for uid in uids]
    return SelectedFolder(FolderOpened(FOLDER, states, list(recent)), read_only=False)


def changes(
    position: int, vanished: tuple[int, ...] = (), changed: tuple[tuple[int, tuple[str, ...]], ...] = ()
) -> Changes:
    states = [MessageState(uid, flags, position) for uid, flags in changed]
    return Changes(position, list(vanished), states, [], True)


def told(selected: SelectedFolder, *, expunges: bool = True, with_uid: bool = False) -> list[str]:
    return selected.updates(expunges=expunges, with_uid=with_uid).decode().split("\r\n")[:-1]


def test_expunge_is_told_with_falling_numbers_and_only_once() -> None:
    selected = opened(1, 2, 3, 4, recent=(3, 4))
    selected.absorb(changes(6, vanished=(1, 3)))
    assert told(selected, expunges=False) == []
    assert selected.count == 4
    assert selected.is_gone(3)
    assert told(selected) == ["* 1 EXPUNGE", "* 2 EXPUNGE", "* 1 RECENT"]
    assert told(selected) == []
    assert selected.uids == [2, 4]
    assert selected.number_of(4) == 2
    assert selected.number_of(3) is None


def test_message_that_came_and_went_is_not_counted() -> None:
    selected = opened(1)
    selected.absorb(changes(6, changed=((2, ()), (3, ()))))
    selected.absorb(changes(7, vanished=(1, 2)))
    assert told(selected) == ["* 1 EXPUNGE", "* 1 EXISTS", "* 1 RECENT"]
    assert selected.uids == [3]


def test_changes_of_others_are_told_and_our_own_are_not() -> None:
    selected = opened(1, 2)
    selected.stored([MessageState(1, ("\\Seen",), 6)])
    selected.absorb(changes(7, changed=((1, ("\\Seen",)), (2, ("\\Flagged",)))))
    assert told(selected, with_uid=True) == ["* 2 FETCH (FLAGS (\\Flagged) UID 2)"]
    selected.absorb(changes(8, changed=((2, ("\\Seen",)),)))
    selected.flags_told((2,))
    assert told(selected) == []


def test_new_keyword_is_announced_before_its_use() -> None:
    selected = opened(1)
    selected.absorb(changes(6, changed=((1, ("$Junk", "\\Seen")),)))
    flags = "\\Answered \\Deleted \\Draft \\Flagged \\Seen $Junk"
    assert told(selected) == [
        f"* FLAGS ({flags})",
        f"* OK [PERMANENTFLAGS ({flags} \\*)] Limited",
        "* 1 FETCH (FLAGS (\\Seen $Junk))",
    ]
    assert selected.canonical_flags(["$JUNK", "\\SEEN", "\\recent", "new", "NEW"]) == [
        "$Junk",
        "\\Seen",
        "new",
        "NEW",
    ]


def test_flags_of_an_appended_message_are_not_told() -> None:
    selected = opened(1)
    selected.appended(1, 2)
    selected.appended(99, 3)
    selected.absorb(changes(6, changed=((2, ("\\Seen",)), (3, ("\\Seen",)))))
    assert told(selected) == ["* 3 EXISTS", "* 2 RECENT", "* 3 FETCH (FLAGS (\\Recent \\Seen))"]


def test_old_news_change_nothing() -> None:
    selected = opened(2, 3)
    selected.absorb(changes(6, vanished=(1,), changed=((1, ("\\Seen",)),)))
    assert told(selected) == []
    assert selected.first_unseen_number() == 1
    selected.stored([MessageState(2, ("\\Seen",), 7), MessageState(3, ("\\Seen",), 8)])
    assert selected.first_unseen_number() is None


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["new", "expunge", "flag", "tell", "tell all"]), st.integers(0, 9)),
        max_size=40,
    )
)
def test_client_that_counts_along_has_the_same_list(steps: list[tuple[str, int]]) -> None:
    """A client applies EXISTS and EXPUNGE to its own list; number n means the same message to both."""
    selected = opened(1, 2, 3)
    alive, next_uid, client_count, position = [1, 2, 3], 4, 3, 5
    for step, which in [*steps, ("tell all", 0)]:
        position += 1
        if step == "new":
            alive.append(next_uid)
            selected.absorb(changes(position, changed=((next_uid, ()),)))
            next_uid += 1
        elif step == "expunge" and alive:
            selected.absorb(changes(position, vanished=(alive.pop(which % len(alive)),)))
        elif step == "flag" and alive:
            uid = alive[which % len(alive)]
            selected.absorb(changes(position, changed=((uid, (f"flag{position}",)),)))
        elif step.startswith("tell"):
            for line in told(selected, expunges=step == "tell all"):
                words = line.split()
                if words[2:] == ["EXPUNGE"]:
                    assert 1 <= int(words[1]) <= client_count
                    client_count -= 1
                elif words[2:] == ["EXISTS"]:
                    assert int(words[1]) >= client_count
                    client_count = int(words[1])
                elif words[2] == "FETCH":
                    assert 1 <= int(words[1]) <= client_count
            assert client_count == selected.count
    assert selected.uids == alive
