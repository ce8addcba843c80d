"""Line ends and dots of a message: the quick answers are the plain ones."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.wire.line_ends import dots_doubled, find_dot_line, only_crlf

LINES = st.text(alphabet="\r\n.\x00\x0b\x0c\x1c\x85\xffa", max_size=400).map(
    lambda text: text.encode("latin-1")
)


@given(LINES)
@example(b"")
@example(b"a\r\n")
@example(b"a\r\r\n\nb")
@example(b"\x85\x0b\x0c")  # line ends for people, none for SMTP
@example(b"a\r")
@example(b"\n")
def test_only_crlf_is_what_a_pattern_says(data: bytes) -> None:
    assert only_crlf(data) == (re.search(rb"\r(?!\n)|(?<!\r)\n", data) is None)


@given(LINES, st.integers(0, 10))
@example(b"\r\n.", 0)
@example(b".\r\n..\r\n.", 1)
def test_the_first_dot_line_is_where_a_search_finds_it(data: bytes, start: int) -> None:
    assert find_dot_line(data, start) == data.find(b"\r\n.", start)


@pytest.mark.parametrize("before", [0, 63, 64, 65, 1000])
def test_many_dots_hide_no_dot_line(before: int) -> None:
    dots = b"a.b." * before
    assert find_dot_line(dots) == -1
    assert find_dot_line(dots + b"\r\n.") == len(dots)


@given(LINES)
@example(b".")
@example(b".\r\n.\r\n")
def test_doubled_dots_are_those_that_begin_a_line(data: bytes) -> None:
    assert dots_doubled(data) == re.sub(rb"(\A|\r\n)\.", rb"\1..", data)
    assert data.startswith(b".") or find_dot_line(data) >= 0 or dots_doubled(data) is data
