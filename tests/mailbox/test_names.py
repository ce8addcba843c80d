"""Folder names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.mailbox.names import clean_name, is_below, levels_above


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("inbox", "INBOX"),
        ("InBox/x", "INBOX/x"),
        ("x/inbox", "x/inbox"),
        ("Entwürfe/ä b", "Entwürfe/ä b"),
        ("a/", "a"),
        ("ınbox", "ınbox"),
    ],
)
def test_names_are_written_in_one_way(text: str, name: str) -> None:
    assert clean_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/a",
        "a//b",
        "a\x00",
        "a\r\nb",
        "\x7f",
        "\x85",
        "\ud800",
        "x" * 256,
        "ä" * 128,
        "/".join("x" * 51),
        "/".join(["x" * 250] * 5),
    ],
)
def test_names_that_are_not_allowed(text: str) -> None:
    with pytest.raises(Refusal):
        clean_name(text)


@given(st.text())
def test_any_text_is_cleaned_once_or_refused(text: str) -> None:
    try:
        name = clean_name(text)
    except Refusal:
        return
    assert clean_name(name) == name
    assert all(is_below(name, above) for above in levels_above(name))
