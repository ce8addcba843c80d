"""The verbs of the lab belong to the command line alone."""

from __future__ import annotations

import pytest

from holdfast.admin.catalogue import Runs
from holdfast.admin.verbs_lab import VERBS
from holdfast.cli.main import REFUSED, run


def test_every_verb_takes_a_state_directory_and_needs_no_server() -> None:
    for verb in VERBS:
        assert verb.runs is Runs.PROGRAM, verb.title
        assert verb.argument("state") is not None, verb.title


@pytest.mark.parametrize(
    "words", [("status",), ("cut", "mail1"), ("kill", "mail1"), ("start", "mail1"), ("heal",), ("down",)]
)
def test_without_a_lab_each_says_how_to_bring_one_up(
    words: tuple[str, ...], tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["lab", *words, "--state", f"{tmp_path}/none"])
    if words == ("down",):
        assert code == 0  # nothing runs: there is nothing to do
    else:
        assert code == REFUSED
        assert "holdfast lab up" in capsys.readouterr().err


def test_a_wrong_sheet_is_refused_with_every_problem(
    tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = f"{tmp_path}/lab.csv"
    with open(sheet, "w", encoding="utf-8") as file:
        file.write("name,site,roles\nmail1,Main,cook\nmail1,Main,\n")
    assert run(["lab", "up", sheet, "--state", f"{tmp_path}/lab"]) == REFUSED
    said = capsys.readouterr().err
    assert 'lab.csv line 2: unknown role "cook"' in said
    assert "line 3" in said
    assert run(["lab", "up", f"{tmp_path}/missing.csv", "--state", f"{tmp_path}/lab"]) == REFUSED
    assert "cannot read" in capsys.readouterr().err
