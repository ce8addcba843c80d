"""Sizes and spans as an administrator writes them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.kernel.quantities import format_size, parse_size, parse_span


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("10", 10),
        ("1kb", 1024),
        ("35 MB", 35 << 20),
        ("2GB", 2 << 30),
        ("1.5 TB", 3 << 39),
        (" 7 B ", 7),
    ],
)
def test_reads_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "2XB", "-1", "1e3", "2 G B", "1" * 16, "2m", "٣"])
def test_refuses_what_is_no_size(text: str) -> None:
    with pytest.raises(Refusal, match="is not a size; write a number"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("90s", 90.0), ("15m", 900.0), ("2 H", 7200.0), ("2d", 172_800.0), ("250ms", 0.25)],
)
def test_reads_spans(text: str, seconds: float) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "5 KB", "-5s", "1y", "nan", "inf"])
def test_refuses_what_is_no_span(text: str) -> None:
    with pytest.raises(Refusal, match="is not a span of time; write a number"):
        parse_span(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KB"),
        (2 << 30, "2.00 GB"),
        (3 << 39, "1.50 TB"),
        (36 << 20, "36.00 MB"),
    ],
)
def test_writes_sizes(size: int, text: str) -> None:
    assert format_size(size) == text


@settings(max_examples=200)
@given(st.one_of(st.text(max_size=30), st.text(alphabet="0123456789. kKmMgGbBsdh", max_size=20)))
def test_any_text_is_a_quantity_or_refused(text: str) -> None:
    for parse in (parse_size, parse_span):
        try:
            quantity = parse(text)
        except Refusal:
            continue
        assert quantity >= 0
