"""What the queue database is too slow for: three small files beside it.

``queue.in_flight`` holds the numbers of messages that a next hop may have taken
although that is not written down yet. It is a file in memory: a note costs no
system call and survives the end of the process, also by kill -9, but not a power
cut (docs/decisions/0009).

``queue.crashes`` has a line with a number for each time that this process died of
a fault of ours while it worked on that message. It is synced: it is written
seldom, and by a process that ends, or by the supervisor for one that could not.

``queue.at_work`` is the number of the message that is being looked at, in memory as
the first: what a process leaves that a signal ends in the middle of compiled code.

Source: RFC 1047; exchange-behaviour QU-5.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import struct
import sys
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from holdfast.drivers.files import sync_directory
from holdfast.kernel.errors import Unavailable

IN_FLIGHT_FILE = "queue.in_flight"
CRASHES_FILE = "queue.crashes"
AT_WORK_FILE = "queue.at_work"
SLOT_BYTES = 8
SLOT_COUNT_AT_FIRST = 1024
CRASHES_BYTES_MAX = 1 << 20

# What ends a process for a fault in its own code. SIGKILL comes from outside, whatever it works on.
_FAULTS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT})
_SLOT = struct.Struct("<Q")
_FREE = bytes(SLOT_BYTES)


class InFlightFile:
    """The notes of messages in flight; a message may be noted several times."""

    def __init__(self, path: Path) -> None:
        """Open or make the file, with the notes that an earlier life has left.

        Raises:
            Unavailable: it cannot be opened.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Unavailable(f"cannot open {path}: {error.strerror}") from None
        try:
            size = os.fstat(descriptor).st_size
            # A size that is no whole number of slots was made by a crash while it grew.
            size = max(size - size % SLOT_BYTES, SLOT_COUNT_AT_FIRST * SLOT_BYTES)
            os.ftruncate(descriptor, size)
            # A note in a hole of the file, when the disk is full, would end the process (SIGBUS, mmap(2)).
            os.posix_fallocate(descriptor, 0, size)
            self._map = mmap.mmap(descriptor, size)
        except OSError as error:
            os.close(descriptor)
            raise Unavailable(f"cannot use {path}: {error.strerror}") from None
        self._descriptor = descriptor
        self._slots: dict[int, list[int]] = {}
        self._free: list[int] = []
        for offset in range(size - SLOT_BYTES, -1, -SLOT_BYTES):
            (number,) = _SLOT.unpack_from(self._map, offset)
            if number and number not in self._slots:
                self._slots[number] = [offset]
                continue
            if number:
                # Two parts of it were in flight. The next life counts a message once and forgets it once:
                # a second note would be counted again by the life after that.
                self._map[offset : offset + SLOT_BYTES] = _FREE
            self._free.append(offset)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The messages that are noted."""
        return tuple(self._slots)

    def note(self, number: int) -> None:
        """Note that a next hop may have a message from now on.

        On a full disk there may be no room for one more note. It is left out then: it is of use only
        if the process is killed before the disk has room, and to stop here would be just that.
        """
        if not self._free:
            self._grow()
        if not self._free:
            return
        offset = self._free.pop()
        _SLOT.pack_into(self._map, offset, number)
        self._slots.setdefault(number, []).append(offset)

    def forget(self, numbers: Iterable[int]) -> None:
        """Take one note of each number away; of one that is not noted nothing."""
        for number in numbers:
            offsets = self._slots.get(number)
            if offsets is None:
                continue
            offset = offsets.pop()
            if not offsets:
                del self._slots[number]
            self._map[offset : offset + SLOT_BYTES] = _FREE
            self._free.append(offset)

    def _grow(self) -> None:
        size = len(self._map)
        try:
            os.posix_fallocate(self._descriptor, 0, 2 * size)
        except OSError:
            return
        self._map.resize(2 * size)
        self._free.extend(range(2 * size - SLOT_BYTES, size - SLOT_BYTES, -SLOT_BYTES))

    def close(self) -> None:
        """Let go of the file; what is noted stays."""
        self._map.close()
        os.close(self._descriptor)


def read_crashes(home: Path) -> Counter[int]:
    """Count, per message, how often this process died over it; a file that is not ours counts nothing."""
    counts: Counter[int] = Counter()
    with contextlib.suppress(OSError):
        text = (home / CRASHES_FILE).read_bytes()[:CRASHES_BYTES_MAX]
        for line in text.split(b"\n"):
            if line.isdigit() and len(line) < 20:
                counts[int(line)] += 1
    return counts


def note_crash(home: Path, number: int) -> None:
    """Write down that this process is about to die over a message; a full disk is not what matters now."""
    with contextlib.suppress(OSError):
        descriptor = os.open(home / CRASHES_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, b"%d\n" % number)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(home)


def open_at_work(path: Path) -> memoryview:
    """Return a place of one number, now 0, that outlives this process; or not, where there is no room."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, SLOT_BYTES)
            slot = memoryview(mmap.mmap(descriptor, SLOT_BYTES)).cast("Q")
        finally:
            os.close(descriptor)
    except OSError:
        slot = memoryview(bytearray(SLOT_BYTES)).cast("Q")
    slot[0] = 0
    return slot


def note_end(home: Path, exit_code: int) -> None:
    """Write down over which message a transport process ended, if a fault ended it that it could not catch.

    Args:
        home: of the server.
        exit_code: below 0 the number of a signal, as ``subprocess`` has it.
    """
    if exit_code >= 0 or -exit_code not in _FAULTS:
        return
    with contextlib.suppress(OSError):
        with (home / AT_WORK_FILE).open("r+b") as file:
            slot = file.read(SLOT_BYTES)
            file.seek(0)
            file.write(_FREE)
        number = int.from_bytes(slot, sys.byteorder)
        if number:
            note_crash(home, number)


def keep_crashes(home: Path, counts: Counter[int], numbers: Collection[int]) -> None:
    """Forget crashes over messages that are not among ``numbers``: they have left the queue."""
    kept = {number: count for number, count in counts.items() if number in numbers}
    path = home / CRASHES_FILE
    with contextlib.suppress(OSError):
        if len(kept) == len(counts):
            return
        if not kept:
            path.unlink(missing_ok=True)
            return
        replacement = path.with_suffix(".new")
        replacement.write_bytes(b"".join(b"%d\n" % number * count for number, count in kept.items()))
        replacement.replace(path)
