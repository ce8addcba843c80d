"""The generated reference pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.admin.reference import main, pages


def test_pages_are_the_same_each_time_and_name_everything() -> None:
    first = pages()
    assert first == pages()
    assert "holdfast mailbox add alice@example.test --quota 2GB" in first["commands.md"]
    assert "| `message_size_max` | size | `36MB` |" in first["settings.md"]
    assert "### imap" in first["settings.md"]
    assert "## DRV-0001" in first["events.md"]


def test_check_tells_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "reference")]) == 0
    assert main(["--check", str(tmp_path / "reference")]) == 0
    page = tmp_path / "reference" / "events.md"
    page.write_text(page.read_text().replace("Log events", "Old events", 1))
    (tmp_path / "reference" / "settings.md").unlink()
    assert main(["--check", str(tmp_path / "reference")]) == 1
    said = capsys.readouterr().err
    assert "-# Old events" in said
    assert "make reference" in said
