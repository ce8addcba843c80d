"""Private files: whole, closed to others, and nothing left behind."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from holdfast.drivers.files import sync_directory, write_private


def test_a_private_file_is_written_whole_in_place_of_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"an earlier, longer text")
    path.chmod(0o644)
    write_private(path, b"secret")
    assert path.read_bytes() == b"secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_that_is_not_there_cannot_be_made_durable(tmp_path: Path) -> None:
    sync_directory(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_directory(tmp_path / "absent")
