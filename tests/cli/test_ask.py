"""Asking management, and what its answers become."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.admin.catalogue import Verb, find_verb
from holdfast.admin.results import DomainList
from holdfast.cli.ask import Misuse, _Display, ask
from holdfast.drivers.management_socket import Unreachable
from holdfast.kernel.errors import Refusal


def _verb(noun: str, name: str) -> Verb:
    verb = find_verb(noun, name)
    assert verb is not None
    return verb


def test_results_refusals_and_misuse(home: Path) -> None:
    result, warnings = ask(home, _verb("domain", "list"), {})
    assert isinstance(result, DomainList)
    assert warnings == []
    with pytest.raises(Refusal, match="accepted already"):
        ask(home, _verb("domain", "add"), {"name": "example.test"})
    with pytest.raises(Misuse, match="takes no argument"):
        ask(home, _verb("domain", "list"), {"colour": "red"})


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        ask(tmp_path, _verb("status", ""), {})


def test_a_terminal_gets_a_bar_and_a_pipe_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    display = _Display("message track")
    display.update(1, 2, "half")
    display.close()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    display.update(0, 0, "")
    display.update(1, 2, "half")
    display.close()
    assert "half" in capsys.readouterr().err
