"""The report page: well formed, whole, and nothing in it can be mistaken for markup."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from holdfast.lab.outcome import Outcome
from holdfast.lab.report import page
from lab.outcomes import BROKEN, PASSED

VOID = {"meta", "rect", "line"}


class Reader(HTMLParser):
    """Checks that every element is closed in its turn, and keeps the words."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID, tag

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(outcome: Outcome) -> Reader:
    reader = Reader()
    reader.feed(page(outcome))
    reader.close()
    return reader


@pytest.mark.parametrize("outcome", [PASSED, BROKEN])
def test_it_is_well_formed_and_loads_nothing(outcome: Outcome) -> None:
    reader = read(outcome)
    assert reader.open == []
    assert reader.references == []
    assert "<script" not in page(outcome)
    assert "http" not in page(outcome).replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_what_was_found_is_on_it() -> None:
    words = read(BROKEN).words
    text = " ".join(words)
    assert "30 copies lost" in text
    assert "and 10 more" in text
    assert "1 copy doubled" in text
    assert 'class="verdict broken"' in page(BROKEN)
    assert 'class="verdict"' in page(PASSED)
    assert "1,490" in words
    assert {"1,200", "not known"} <= set(words)


def test_what_servers_say_is_text() -> None:
    words = read(PASSED).words
    assert "mail2 & friends <said> something" in words
    assert "put off: cannot connect: <refused>" in words
