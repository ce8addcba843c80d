"""Small files that a role keeps for its next life."""

from __future__ import annotations

from pathlib import Path

from holdfast.drivers.kept_files import FILE_BYTES_MAX, KeptFiles, read_kept
from holdfast.transport.kept import KeptFile


def test_what_is_kept_is_read_by_the_next_life(tmp_path: Path) -> None:
    files = KeptFiles(tmp_path)
    files.perform(KeptFile("sts/a.example.json", b"one"))
    files.perform(KeptFile("sts/a.example.json", b"two"))
    files.perform(KeptFile("sts/b.example.json", b"three"))
    files.perform(KeptFile("sts/b.example.json", None))
    files.perform(KeptFile("sts/never.example.json", None))
    files.close()
    assert read_kept(tmp_path, "sts") == {"sts/a.example.json": b"two"}
    assert (tmp_path / "sts" / "a.example.json").stat().st_mode & 0o777 == 0o600


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sts" / "folder.json").mkdir(parents=True)
    (tmp_path / "sts" / "other.txt").write_text("not ours")
    with (tmp_path / "sts" / "huge.json").open("wb") as huge:
        huge.truncate(FILE_BYTES_MAX + 1)
    assert read_kept(tmp_path, "sts") == {}
    assert read_kept(tmp_path, "nothing") == {}


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    (tmp_path / "sts").write_text("in the way")
    files = KeptFiles(tmp_path, lambda path, reason: told.append((path, reason)))
    files.perform(KeptFile("sts/a.example.json", b"one"))
    files.close()
    ((path, reason),) = told
    assert path == "sts/a.example.json"
    assert reason
