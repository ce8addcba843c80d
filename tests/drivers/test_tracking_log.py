"""The tracking log files: rotated, aged, cut back to a remembered place, whole lines only."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from holdfast.drivers import tracking_log
from holdfast.drivers.tracking_log import LogPosition, TrackingLog, file_order, log_files, read_log

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


def lines_of(directory: Path, end: LogPosition | None = None) -> list[str]:
    text = "".join(read_log(directory, end))
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_names_are_in_the_order_of_writing() -> None:
    assert file_order("MSGTRK2023111422-1.LOG") == ("2023111422", 1)
    assert file_order("other.log") is None
    names = ["MSGTRK2023111422-10.LOG", "MSGTRK2023111422-9.LOG", "MSGTRK2023111423-1.LOG"]
    assert sorted(names, key=lambda name: file_order(name) or ("", 0))[0] == names[1]


def test_lines_are_appended_below_a_header(tmp_path: Path) -> None:
    log = TrackingLog(tmp_path)
    log.append(b"one\r\n", NOW)
    log.append(b"two\r\nthree\r\n", NOW)
    log.sync()
    log.close()
    assert log_files(tmp_path) == ["MSGTRK2023111422-1.LOG"]
    assert lines_of(tmp_path) == ["one", "two", "three"]
    assert (tmp_path / "MSGTRK2023111422-1.LOG").read_bytes().startswith(b"#Software: Holdfast\r\n")


def test_a_remembered_place_is_come_back_to(tmp_path: Path) -> None:
    log = TrackingLog(tmp_path)
    log.append(b"kept\r\n", NOW)
    place = log.position
    log.append(b"again\r\n", NOW)
    log.begin(NOW)
    log.append(b"again too\r\n", NOW)
    log.close()
    assert lines_of(tmp_path, place) == ["kept"]
    log = TrackingLog(tmp_path)
    log.recover(place)
    assert log.position == place
    assert lines_of(tmp_path) == ["kept"]
    log.append(b"again\r\n", NOW)
    log.close()
    assert lines_of(tmp_path) == ["kept", "again"]
    assert len(log_files(tmp_path)) == 1


@pytest.mark.parametrize("damage", ["shortened", "removed"])
def test_files_that_somebody_changed_are_left_as_they_are(tmp_path: Path, damage: str) -> None:
    log = TrackingLog(tmp_path)
    log.append(b"one\r\n", NOW)
    log.close()
    path = tmp_path / log.position.name
    if damage == "removed":
        path.unlink()
    else:
        os.truncate(path, 3)
    after = TrackingLog(tmp_path)
    after.recover(log.position)
    after.append(b"two\r\n", NOW)
    after.close()
    assert "two" in lines_of(tmp_path)
    assert after.position.name == "MSGTRK2023111422-2.LOG"


def test_a_new_file_by_size_and_by_day_and_never_back_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_log, "FILE_BYTES_MAX", 2000)
    log = TrackingLog(tmp_path)
    log.append(b"x" * 1500 + b"\r\n", NOW)
    log.append(b"y" * 1500 + b"\r\n", NOW)
    log.append(b"z\r\n", NOW + 86400.0)
    log.append(b"w" * 1999 + b"\r\n", NOW)  # the clock went back
    log.close()
    assert log_files(tmp_path) == [
        "MSGTRK2023111422-1.LOG",
        "MSGTRK2023111422-2.LOG",
        "MSGTRK2023111522-1.LOG",
        "MSGTRK2023111522-2.LOG",
    ]
    assert [line[0] for line in lines_of(tmp_path)] == ["x", "y", "z", "w"]


def test_old_files_go_by_age_and_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for hour in range(10, 20):
        (tmp_path / f"MSGTRK20230101{hour}-1.LOG").write_bytes(b"x" * 100)
    (tmp_path / "notes.txt").write_text("stays")
    log = TrackingLog(tmp_path)
    log.begin(NOW)
    assert len(log_files(tmp_path)) == tracking_log.FILES_KEPT_MIN
    monkeypatch.setattr(tracking_log, "DIRECTORY_BYTES_MAX", 3 * tracking_log.FILE_BYTES_MAX + 150)
    for hour in range(10, 20):
        (tmp_path / f"MSGTRK20231114{hour}-1.LOG").write_bytes(b"x" * 100)
    log.begin(NOW)
    log.close()
    assert len(log_files(tmp_path)) == tracking_log.FILES_KEPT_MIN + 1
    assert (tmp_path / "notes.txt").exists()


def test_a_disk_that_is_full_leaves_no_half_line(tmp_path: Path) -> None:
    log = TrackingLog(tmp_path)
    log.append(b"one\r\n", NOW)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.position.offset + 10, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            log.append(b"t" * 100 + b"\r\n", NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.append(b"three\r\n", NOW)
    log.close()
    assert lines_of(tmp_path) == ["one", "three"]
    assert len(log_files(tmp_path)) == 1  # it went on where it was


def test_a_file_that_cannot_be_begun_leaves_nothing(tmp_path: Path) -> None:
    log = TrackingLog(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            log.append(b"one\r\n", NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert log_files(tmp_path) == []
    log.append(b"two\r\n", NOW)
    log.close()
    assert lines_of(tmp_path) == ["two"]


def test_reading_where_nothing_is(tmp_path: Path) -> None:
    assert list(read_log(tmp_path / "absent", None)) == []
    assert list(read_log(tmp_path, LogPosition("", 0))) == []
    (tmp_path / "MSGTRK2023111422-1.LOG").write_bytes(b"no line end")
    assert lines_of(tmp_path) == ["no line end"]
    assert lines_of(tmp_path, LogPosition("", 0)) == []


def test_a_line_longer_than_what_is_read_at_once_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_log, "READ_BYTES", 100)
    log = TrackingLog(tmp_path)
    long = "x" * 350
    for line in ("before", long, "between", long, "after"):
        log.append(f"{line}\r\n".encode(), NOW)
    end = log.position
    log.close()
    for limit in (None, end):
        pieces = list(read_log(tmp_path, limit))
        assert lines_of(tmp_path, limit) == ["before", long, "between", long, "after"]
        assert all(piece.endswith("\r\n") for piece in pieces)
