"""Words of ours in delivery reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.directory.model import DsnText
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]


def test_texts_come_change_and_go(call: Call, store: DirectoryStore) -> None:
    call("text set", name="de 5.1.1", text="Gibt es nicht.")
    call("text set", name="de 5.1.1", file=["text.txt", "Gibt es\r\nnicht.\n"])
    call("text set", name="en delayed", text="It waits.")
    assert store.read().dsn_texts == (
        DsnText("de 5.1.1", "Gibt es\nnicht."),
        DsnText("en delayed", "It waits."),
    )
    assert [(row.name, row.lines) for row in call("text list").texts] == [
        ("de 5.1.1", ["Gibt es", "nicht."]),
        ("en delayed", ["It waits."]),
    ]
    call("text remove", name="en delayed")
    assert len(store.read().dsn_texts) == 1


def test_what_cannot_be_is_refused(call: Call) -> None:
    for given in ({}, {"text": "x", "file": ["a", "b"]}):
        with pytest.raises(Refusal, match="give the text, or a file with it"):
            call("text set", name="de 5.1.1", **given)
    with pytest.raises(Refusal, match="nothing was changed") as caught:
        call("text set", name="5.1.1", text="x")
    assert "its name is not a language and what it is for" in str(caught.value.problems[0])
    with pytest.raises(Refusal, match="there is no dsn text"):
        call("text remove", name="de 5.1.1")
