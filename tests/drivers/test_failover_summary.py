"""Summaries are read as they were written, in any number of messages; what makes no sense is passed over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.directory.drift import Item, ItemKind
from holdfast.drivers.failover_summary import MESSAGE_BYTES_MAX, SummaryReader, write_summary

WORDS = st.integers(0, 0xFFFFFFFF)
ITEMS = st.builds(
    Item, st.sampled_from(ItemKind), st.text(max_size=60), WORDS, WORDS, st.binary(min_size=8, max_size=8)
)
MANY = [Item(ItemKind.SCOPE, f"scope {number}", number, number + 9, bytes(8)) for number in range(200)]


@given(st.lists(ITEMS, max_size=120))
def test_what_was_written_is_read(items: list[Item]) -> None:
    messages = write_summary(items)
    reader = SummaryReader()
    found = [reader.feed(each) for each in messages]
    assert found == [None] * (len(messages) - 1) + [items]
    assert all(len(each) <= MESSAGE_BYTES_MAX for each in messages)


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_passed_over(data: bytes) -> None:
    reader = SummaryReader()
    reader.feed(data)
    reader.feed(b"\x01\x00\x00\x00\x01" + data)
    assert reader.feed(write_summary(MANY[:2])[0]) == MANY[:2]


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_one_that_is_not_whole_says_nothing_and_the_next_does(lost: int) -> None:
    messages = write_summary(MANY)
    assert len(messages) > 2
    reader = SummaryReader()
    assert all(reader.feed(each) is None for at, each in enumerate(messages) if at != lost)
    assert [reader.feed(each) for each in messages][-1] == MANY


def test_another_version_is_passed_over() -> None:
    (message,) = write_summary(MANY[:2])
    assert SummaryReader().feed(b"\x02" + message[1:]) is None
