"""The audit log: a file per weekday, bounded, and never in the way of a lease."""

from __future__ import annotations

import os
import time
from pathlib import Path

from holdfast.dhcp.records import HEADER, NEW_LEASE, Record
from holdfast.drivers.audit_log import AuditLog
from holdfast.kernel.events import LogEvent

RECORD = Record(NEW_LEASE, 0x0A00000A, b"host", b"\x01\x02\0\0\0\0\x01", b"\0\0\0\1")
SATURDAY = time.mktime((2026, 11, 28, 12, 0, 0, 0, 0, -1))
DAY = 86400.0


class Clock:
    now = SATURDAY

    def __call__(self) -> float:
        return self.now


def test_a_file_per_weekday_that_begins_anew_a_week_later(tmp_path: Path) -> None:
    clock, said = Clock(), list[LogEvent]()
    log = AuditLog(tmp_path / "audit", said.append, clock=clock)
    log.started()
    log.write([RECORD, RECORD])
    lines = (tmp_path / "audit" / "DhcpSrvLog-Sat.log").read_text("utf-8").splitlines()
    assert lines[0] == HEADER
    assert [line.split(",")[:3] for line in lines[1:]] == [
        ["0", "11/28/26", "12:00:00"], ["10", "11/28/26", "12:00:00"], ["10", "11/28/26", "12:00:00"],
    ]  # fmt: skip
    clock.now += DAY
    log.write([RECORD])
    assert len((tmp_path / "audit" / "DhcpSrvLog-Sun.log").read_text("utf-8").splitlines()) == 2
    old = tmp_path / "audit" / "DhcpSrvLog-Sat.log"
    os.utime(old, (SATURDAY, SATURDAY))
    clock.now += 6 * DAY
    log.write([RECORD])
    assert len(old.read_text("utf-8").splitlines()) == 2
    # A restart on the same day goes on in the same file.
    os.utime(old, (clock.now, clock.now))
    again = AuditLog(tmp_path / "audit", said.append, clock=clock)
    again.started()
    again.stopped()
    assert len(old.read_text("utf-8").splitlines()) == 4
    assert said == []


def test_a_file_has_a_bound_and_what_is_lost_is_said_once_with_a_count(tmp_path: Path) -> None:
    clock, said = Clock(), list[LogEvent]()
    log = AuditLog(tmp_path / "audit", said.append, files_bytes_max=7 * 2000, clock=clock)
    for _ in range(100):
        log.write([RECORD])
    assert (tmp_path / "audit" / "DhcpSrvLog-Sat.log").stat().st_size <= 2000
    assert [event.kind.event_id for event in said] == ["DHC-0304"]
    clock.now += 601
    log.write([RECORD])
    assert said[-1].fields["lost_count"] > 50  # type: ignore[operator]  # a count


def test_a_directory_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file")
    said: list[LogEvent] = []
    log = AuditLog(tmp_path / "audit", said.append, clock=Clock())
    log.write([RECORD])
    log.write([])
    assert [event.kind.event_id for event in said] == ["DHC-0304"]
