"""What the machine says of itself, and that a machine which says nothing is no failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.directory.model import Resource
from holdfast.drivers.resources import read_disk, read_resources


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    readings = read_resources(tmp_path, tmp_path / "tracking")  # not made yet
    assert readings.keys() == {
        Resource.QUEUE_DISK,
        Resource.LOG_DISK,
        Resource.PROCESS_MEMORY,
        Resource.SYSTEM_MEMORY,
    }
    assert all(0 <= each.value <= 100 for each in readings.values())
    assert readings[Resource.LOG_DISK] == readings[Resource.QUEUE_DISK]
    assert readings[Resource.QUEUE_DISK].size_bytes > 0


def _proc(folder: Path, meminfo: str, statm: str) -> Path:
    (folder / "self").mkdir(exist_ok=True)
    (folder / "meminfo").write_text(meminfo)
    (folder / "self" / "statm").write_text(statm)
    return folder


def test_shares_of_memory(tmp_path: Path) -> None:
    pages = 100 * 1024 * 1024 // os.sysconf("SC_PAGE_SIZE")
    proc = _proc(
        tmp_path,
        "MemTotal:        1024000 kB\nMemFree: 1 kB\nMemAvailable:     256000 kB\n",
        f"9 {pages} 0",
    )
    readings = read_resources(tmp_path, tmp_path, proc)
    assert readings[Resource.SYSTEM_MEMORY].value == 75.0
    assert readings[Resource.PROCESS_MEMORY].value == 10.0
    # Of more than a terabyte only one counts.
    _proc(proc, f"MemTotal: {4 << 30} kB\nMemAvailable: {4 << 30} kB\n", f"9 {pages} 0")
    readings = read_resources(tmp_path, tmp_path, proc)
    assert readings[Resource.PROCESS_MEMORY].value == pytest.approx(100 * 100 / (1 << 20))
    assert readings[Resource.SYSTEM_MEMORY].value == 0.0


@pytest.mark.parametrize(
    ("meminfo", "statm", "has_system"),
    [
        ("", "", False),
        ("MemTotal: many kB\n", "1 2", False),
        ("MemTotal:\nMemAvailable:\n", "1 2", False),
        ("MemTotal: 0 kB\nMemAvailable: 0 kB\n", "1 2", False),
        ("MemTotal: 9 kB\nMemAvailable: 3 kB\n", "", True),
        ("MemTotal: 9 kB\nMemAvailable: 3 kB\n", "1 x", True),
    ],
)
def test_what_cannot_be_read_is_left_out(
    tmp_path: Path, meminfo: str, statm: str, *, has_system: bool
) -> None:
    readings = read_resources(tmp_path / "gone", tmp_path / "gone" / "x", _proc(tmp_path, meminfo, statm))
    assert readings.keys() == ({Resource.SYSTEM_MEMORY} if has_system else set())


def test_a_file_system_without_blocks_says_nothing() -> None:
    assert read_disk((Path("/proc"),)) is None
