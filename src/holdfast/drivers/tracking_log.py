"""The files of the message tracking log: append, rotate, and come back to a remembered place.

Where the log ends for sure (file and offset) is remembered in the queue database
together with the lines that come after it. ``recover`` cuts the files back to
that place, and the caller appends those lines again: a line is neither lost nor
written twice, whenever the process was killed.

Source: exchange-behaviour 2.11 MT (names, sizes, age).
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from holdfast.drivers.files import sync_directory
from holdfast.transport.tracking import file_header

FILE_BYTES_MAX = 10 << 20
DIRECTORY_BYTES_MAX = 1000 << 20
AGE_MAX = timedelta(days=30)
# The remembered place may lie in the file before the last one.
FILES_KEPT_MIN = 3
READ_BYTES = 1 << 20

_NAME = re.compile(r"MSGTRK([0-9]{10})-([0-9]{1,9})\.LOG")


@dataclass(frozen=True, slots=True)
class LogPosition:
    """How far the log is known to reach; ``name`` empty is before the first file."""

    name: str
    offset: int


def file_order(name: str) -> tuple[str, int] | None:
    """The place of a file among the others, or None when it is not a tracking log."""
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def log_files(directory: Path) -> list[str]:
    """The names of all log files, oldest first."""
    try:
        found = [(order, name) for name in os.listdir(directory) if (order := file_order(name))]
    except FileNotFoundError:
        return []
    return [name for _, name in sorted(found)]


def read_log(directory: Path, end: LogPosition | None) -> Iterator[str]:
    """Yield the text of all files up to a position, in pieces of whole lines.

    A file that is deleted for its age meanwhile is left out.
    """
    last = file_order(end.name) if end is not None else None
    for name in log_files(directory):
        order = file_order(name)
        if end is not None and (last is None or (order is not None and order > last)):
            return
        limit = end.offset if end is not None and name == end.name else None
        with contextlib.suppress(FileNotFoundError):
            yield from _read_file(directory / name, limit)


def _read_file(path: Path, limit: int | None) -> Iterator[str]:
    rest = b""
    with path.open("rb") as file:
        while limit is None or limit > 0:
            piece = file.read(READ_BYTES if limit is None else min(READ_BYTES, limit))
            if not piece:
                break
            if limit is not None:
                limit -= len(piece)
            cut = piece.rfind(b"\n") + 1
            if cut == 0:  # a line longer than a piece
                rest += piece
                continue
            yield (rest + piece[:cut]).decode("utf-8", "replace")
            rest = piece[cut:]
    if rest:
        yield rest.decode("utf-8", "replace")


class TrackingLog:
    """Appends to the log files of one directory; for one thread."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._descriptor: int | None = None
        self._name = ""
        self._offset = 0
        self._day_ends_at = 0.0

    @property
    def position(self) -> LogPosition:
        """Where the log ends, once ``sync`` has returned."""
        return LogPosition(self._name, self._offset)

    def recover(self, position: LogPosition) -> None:
        """Cut the log back to a remembered position, and go on from there.

        Raises:
            OSError: the files cannot be changed.
        """
        remembered = file_order(position.name)
        if remembered is None:
            return
        for name in log_files(self._directory):
            order = file_order(name)
            assert order is not None
            if order > remembered:
                (self._directory / name).unlink(missing_ok=True)
        self._name, self._offset = position.name, position.offset
        path = self._directory / position.name
        # Somebody who shortened or removed the file keeps what they did; we go on in a new one.
        if path.is_file() and path.stat().st_size >= position.offset:
            self._open(path)

    def _open(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, self._offset)
            os.lseek(descriptor, self._offset, os.SEEK_SET)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._day_ends_at = _end_of_day(self._name)

    def append(self, data: bytes, now: float) -> None:
        """Write whole lines, all or none, in a new file when it is time for one.

        Raises:
            OSError: a full disk, say; nothing of the lines counts as written.
        """
        full = self._offset + len(data) > FILE_BYTES_MAX
        if self._descriptor is None or full or now >= self._day_ends_at:
            self._rotate(now)
        self._write(data)

    def begin(self, now: float) -> None:
        """Begin a new file.

        Raises:
            OSError: it cannot be made.
        """
        self._rotate(now)

    def _write(self, data: bytes) -> None:
        assert self._descriptor is not None
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            # What went out in part is cut off, now or when the file is next opened.
            try:
                os.ftruncate(self._descriptor, self._offset)
                os.lseek(self._descriptor, self._offset, os.SEEK_SET)
            except OSError:
                self.close()
            raise
        self._offset += len(data)

    def _rotate(self, now: float) -> None:
        if self._descriptor is not None:
            os.fdatasync(self._descriptor)
            self.close()
        elif self._name and (self._directory / self._name).is_file():
            # Closed after an error: it may have half a line at its end.
            with contextlib.suppress(OSError):
                if (self._directory / self._name).stat().st_size > self._offset:
                    os.truncate(self._directory / self._name, self._offset)
        files = log_files(self._directory)
        newest = file_order(files[-1]) if files else None
        newest = max(filter(None, (newest, file_order(self._name))), default=None)
        hour, number = f"{datetime.fromtimestamp(now, UTC):%Y%m%d%H}", 1
        if newest is not None and newest[0] >= hour:
            # Also when the clock went back: the order of the names is the order of the lines.
            hour, number = newest[0], newest[1] + 1
        self._name, self._offset = f"MSGTRK{hour}-{number}.LOG", 0
        self._open(self._directory / self._name)
        try:
            self._write(file_header(now).encode())
        except OSError:
            self.close()
            (self._directory / self._name).unlink(missing_ok=True)
            raise
        self._forget_old(now)
        sync_directory(self._directory)

    def _forget_old(self, now: float) -> None:
        files = log_files(self._directory)[:-FILES_KEPT_MIN]
        limit = f"{datetime.fromtimestamp(now, UTC) - AGE_MAX:%Y%m%d%H}"
        size_bytes = 0
        for name in reversed(files):
            path = self._directory / name
            with contextlib.suppress(FileNotFoundError):
                size_bytes += path.stat().st_size
                if size_bytes > DIRECTORY_BYTES_MAX - FILES_KEPT_MIN * FILE_BYTES_MAX or name[6:16] < limit:
                    path.unlink()

    def sync(self) -> None:
        """Make what was appended survive a power cut.

        Raises:
            OSError: the disk does not answer.
        """
        if self._descriptor is not None:
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file; ``append`` opens a new one."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _end_of_day(name: str) -> float:
    """When the day of a log file is over; of a day that is none (somebody made the file), never."""
    try:
        return (datetime.strptime(name[6:14], "%Y%m%d").replace(tzinfo=UTC) + timedelta(days=1)).timestamp()
    except (ValueError, OverflowError):
        return math.inf
