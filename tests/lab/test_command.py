"""What the verbs of the lab print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.kernel.errors import Refusal
from holdfast.lab.command import main, read_text, table
from holdfast.lab.laboratory import Kept, Lab


def test_a_table_is_as_wide_as_what_is_in_it() -> None:
    assert table(("name", "state"), [("mail1", "down"), ("x", "serving")]) == (
        "name   state\nmail1  down\nx      serving\n"
    )


def test_a_sheet_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"cannot read .*missing\.csv"):
        read_text(str(tmp_path / "missing.csv"))
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(Refusal, match="not UTF-8"):
        read_text(str(tmp_path / "binary.csv"))


def test_the_status_of_a_lab_that_is_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lab.csv").write_text("name,site\nmail1,Main\nmail2,Main\n")
    (tmp_path / "lab.json").write_text(
        json.dumps({"loopback": False, "declared": [], "cuts": [["", "10.61.0.11"]]})
    )
    assert main("status", {"state": str(tmp_path)}, as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:4] == ["mail1", "Main", "10.61.0.11", "down"]
    assert lines[-1] == "cut: everybody -> 10.61.0.11"
    main("status", {"state": str(tmp_path)}, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert [each["state"] for each in said["servers"]] == ["down", "down"]


def test_a_verb_waits_for_no_other_one(tmp_path: Path) -> None:
    with Lab(tmp_path).alone(), pytest.raises(Refusal, match="another command works on the lab"):
        main("down", {"state": str(tmp_path)}, as_json=False)


def test_cutting_needs_cables_and_servers_that_run(tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text("name,site\nmail1,Main\n")
    for loopback, what in ((True, "no cables"), (False, "is down")):
        lab = Lab(tmp_path)
        lab._kept = Kept(loopback)
        with pytest.raises(Refusal, match=what):
            lab.cut("mail1", "", one_way=False)


def test_a_damaged_state_is_said(tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text("name,site\nmail1,Main\n")
    (tmp_path / "lab.json").write_text("{")
    with pytest.raises(Refusal, match="is damaged"):
        main("status", {"state": str(tmp_path)}, as_json=False)
