"""Verbs that need no server."""

from __future__ import annotations

import pytest

from holdfast.admin.catalogue import find_verb, read_arguments
from holdfast.admin.results import Explained, Version
from holdfast.kernel.errors import Refusal


def _do(noun: str, **given: str) -> object:
    verb = find_verb(noun, "")
    assert verb is not None
    assert verb.perform_local is not None
    return verb.perform_local(read_arguments(verb, dict(given)))


def test_explain_gives_text_and_advice() -> None:
    explained = _do("explain", event="drv-0001")
    assert isinstance(explained, Explained)
    assert explained.event_id == "DRV-0001"
    assert explained.severity == "error"
    assert "ss -ltnp" in explained.advice


def test_explain_names_events_that_are_near() -> None:
    with pytest.raises(Refusal, match="DRV-0"):
        _do("explain", event="DRV-0009")
    with pytest.raises(Refusal, match=r"events\.md"):
        _do("explain", event="zzz")


def test_version() -> None:
    version = _do("version")
    assert isinstance(version, Version)
    assert version.version
