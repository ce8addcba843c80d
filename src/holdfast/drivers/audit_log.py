"""The audit log of leases: Windows' form, one file per weekday, written anew a week later.

Lines of a batch go to the file in one write, after the batch was answered. The
log is a report and no part of what is promised: it is not synced, and what a
full disk does not take is counted and lost. A file has at most a seventh of the
bytes that all are given, like Windows' ``MaxMegaBytes``.

Source: Microsoft, "DHCP server audit log": ``DhcpSrvLog-Mon.log`` …, overwritten
after a week, checked for size.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from holdfast.dhcp.events import AUDIT_NOT_WRITTEN
from holdfast.dhcp.records import HEADER, LOG_STARTED, LOG_STOPPED, Record, line_of
from holdfast.kernel.events import LogEvent, happened

AUDIT_DIRECTORY = "dhcp-audit"
FILES_BYTES_MAX = 70 << 20
_FILE_COUNT = 7
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_A_DAY_AND_MORE_S = 25 * 3600.0
_SAY_EVERY_S = 600.0


class AuditLog:
    """The log of one server."""

    def __init__(
        self,
        directory: Path,
        say: Callable[[LogEvent], None],
        *,
        files_bytes_max: int = FILES_BYTES_MAX,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Write below ``directory``, which is made when it is first needed.

        Args:
            directory: where the files of the week are.
            say: is told when lines are lost.
            files_bytes_max: what all seven may hold together.
            clock: the wall clock.
        """
        self._directory = directory
        self._say = say
        self._file_bytes_max = files_bytes_max // _FILE_COUNT
        self._clock = clock
        self._second = -1
        self._date = self._time = ""
        self._path: Path | None = None
        self._descriptor: int | None = None
        self._size = 0
        self._lost_count = 0
        self._said_at = float("-inf")

    def started(self) -> None:
        """The server serves."""
        self.write([Record(LOG_STARTED, 0)])

    def stopped(self) -> None:
        """The server ends."""
        self.write([Record(LOG_STOPPED, 0)])
        self.close()

    def write(self, records: Sequence[Record]) -> None:
        """Write records down; never raises."""
        if not records:
            return
        moment = int(self._clock())
        if moment != self._second:
            self._turn(moment)
        assert self._path is not None
        date, at = self._date, self._time
        data = "".join(line_of(record, date, at) + "\r\n" for record in records).encode("utf-8", "replace")
        if self._size + len(data) > self._file_bytes_max:
            self._lose(len(records), f"it has reached its {self._file_bytes_max} bytes for today")
            return
        try:
            if self._descriptor is None:
                self._descriptor = os.open(
                    self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
                )
            self._size += os.write(self._descriptor, data)
        except OSError as error:
            self._lose(len(records), error.strerror or str(error))

    def _turn(self, moment: int) -> None:
        """Note the second; go over to the file of its weekday."""
        # Opened anew each second, not for each batch: an administrator may have moved the file away.
        self.close()
        local = time.localtime(moment)
        self._second = moment
        self._date, self._time = time.strftime("%m/%d/%y", local), time.strftime("%H:%M:%S", local)
        path = self._directory / f"DhcpSrvLog-{_WEEKDAYS[local.tm_wday]}.log"
        if path == self._path:
            return
        self._path = path
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            try:
                status = path.stat()
                fresh = moment - status.st_mtime > _A_DAY_AND_MORE_S
                self._size = status.st_size
            except FileNotFoundError:
                fresh = True
            if fresh:
                head = f"{HEADER}\r\n".encode()
                path.write_bytes(head)
                self._size = len(head)
        except OSError as error:
            self._lose(0, error.strerror or str(error))

    def close(self) -> None:
        """Let go of the file; the next line opens it again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _lose(self, count: int, reason: str) -> None:
        self._lost_count += count
        now = self._clock()
        if abs(now - self._said_at) < _SAY_EVERY_S:
            return
        self._said_at = now
        event = happened(AUDIT_NOT_WRITTEN, path=str(self._path), reason=reason, lost_count=self._lost_count)
        self._lost_count = 0
        self._say(event)
