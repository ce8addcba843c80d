"""Where a drill takes place: the servers of a lab that run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.kernel.errors import Refusal
from holdfast.lab.laboratory import Lab
from holdfast.lab.stage import LabStage


def test_a_lab_that_is_down_has_nobody_to_drill(tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text("name,site\nmail1,Main\n")
    (tmp_path / "lab.json").write_text(json.dumps({"loopback": True, "declared": [], "cuts": []}))
    with pytest.raises(Refusal, match="no mailboxes"):
        LabStage(Lab(tmp_path))
