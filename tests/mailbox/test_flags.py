"""Flags of messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.mailbox.flags import KEYWORD_COUNT_MAX, change_flags, clean_flags
from holdfast.wire.store import FlagAction


def test_system_flags_have_one_spelling_and_recent_is_passed_over() -> None:
    assert clean_flags(["\\SEEN", "\\recent", "Work", "work"]) == ("Work", "\\Seen")


@pytest.mark.parametrize("flag", ["", "\\Foo", "a b", "a\r", "ä", "a(", "x" * 129, 'a"', "]"])
def test_malformed_flags(flag: str) -> None:
    with pytest.raises(Refusal):
        clean_flags([flag])


@pytest.mark.parametrize(
    ("action", "wanted", "after"),
    [
        (FlagAction.ADD, ("WORK", "\\Seen"), ("Work", "\\Draft", "\\Seen")),
        (FlagAction.REMOVE, ("work",), ("\\Draft",)),
        (FlagAction.REPLACE, ("work", "new"), ("Work", "new")),
        (FlagAction.REPLACE, (), ()),
    ],
)
def test_changes_keep_the_first_spelling(
    action: FlagAction, wanted: tuple[str, ...], after: tuple[str, ...]
) -> None:
    assert change_flags(("Work", "\\Draft"), action, wanted) == after


def test_the_number_of_flags_is_bounded() -> None:
    many = tuple(f"k{number}" for number in range(KEYWORD_COUNT_MAX))
    assert len(clean_flags(list(many))) == KEYWORD_COUNT_MAX
    with pytest.raises(Refusal):
        change_flags(many, FlagAction.ADD, ("more",))


@given(st.lists(st.text()))
def test_any_texts_are_flags_or_refused(flags: list[str]) -> None:
    try:
        cleaned = clean_flags(flags)
    except Refusal:
        return
    assert clean_flags(list(cleaned)) == cleaned
    assert tuple(" ".join(cleaned).split()) == cleaned  # the form in which SQLite keeps them
