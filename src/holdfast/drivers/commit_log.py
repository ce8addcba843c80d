"""A file in front of the queue database: what is committed is there first, by one write and one sync.

SQLite writes six pages for a message of one session, and most messages leave the queue again before
anybody looks. So a batch goes to this file as it came (a frame of ``drivers.queue_frames``), is answered
when it is on the disk, and reaches the tables later, together with others and without what came and went
between (``drivers.unwritten``).

The file has one size from its first day on and is written from its begin again and again, which keeps a
sync cheap: no length and no place of it changes. Each record has a number that grows for ever. The
database knows, by the transaction that brought them to the tables, up to which number it has all; only
then the next record may overwrite the first. What counts are the records from the begin of the file on
that follow the database's number without a gap; a record whose checksum is wrong was being written when
the power went, so nobody was told of it, and ends them.

Assumed is what SQLite assumes, too: that writing a part of a sector changes nothing in the rest of it
(https://sqlite.org/psow.html).

Source: docs/decisions/0013.
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path
from zlib import crc32

import msgspec

from holdfast.drivers.files import sync_directory
from holdfast.drivers.queue_frames import Batch, FrameReader, read_to_writer
from holdfast.kernel.errors import Unavailable

FILE_BYTES = 16 << 20
BEGIN = 4096  # of the records; before them is the head of the file
FORMAT = 1  # of the records, and of the frames in them
RECORD = struct.Struct("<QQI")  # number, bytes of the frame behind it, checksum of both and of the frame
_HEAD = struct.Struct("<8sI32sI")  # what it is, format, identity of the database, checksum of these
_MAGIC = b"HFCOMMIT"
_BEGINNING = _MAGIC + FORMAT.to_bytes(4, "little")
# Each write returns when it is on the disk: one system call, and a third less time than with fdatasync.
_FLAGS = os.O_RDWR | os.O_DSYNC | os.O_CLOEXEC
_PIECES_MAX = min(os.sysconf("SC_IOV_MAX"), 1024)


def commit_log_path(database: Path) -> Path:
    """Where the commit log of a queue database is."""
    return database.with_suffix(".commits")


def _head(identity: str) -> bytes:
    head = _HEAD.pack(_MAGIC, FORMAT, identity.encode(), 0)[:-4]
    return head + crc32(head).to_bytes(4, "little")


def _checksum(number: int, frame: list[bytes], frame_bytes: int) -> int:
    checksum = crc32(RECORD.pack(number, frame_bytes, 0))
    for piece in frame:
        checksum = crc32(piece, checksum)
    return checksum


def read_commits(path: Path, identity: str, after: int) -> list[Batch]:
    """Return the batches that the tables do not have yet, in order.

    Args:
        path: the file; none there is none of them.
        identity: of the database.
        after: the number of the last record that the tables have.

    Raises:
        Unavailable: it has commits of another database, or of a later state of this one, or its writer began
            it anew just now.
        OSError: it cannot be read.
        ValueError: a record is whole, and no batch of ours.
    """
    try:
        with path.open("rb") as file:
            data = file.read()
            file.seek(BEGIN)
            if file.read(RECORD.size) != data[BEGIN : BEGIN + RECORD.size]:
                raise Unavailable(f"{path} is being written; try again")
    except FileNotFoundError:
        return []
    ours = data[: _HEAD.size] == _head(identity)
    batches: list[Batch] = []
    at, last = BEGIN, after
    while (found := _record(data, at)) is not None:
        number, frame = found
        if not ours:
            break
        if at == BEGIN and number > after + 1:
            raise Unavailable(
                f"{path} follows a later state of the queue database than there is; it may hold mail: bring "
                "that state back, or move the file away and keep it"
            )
        if number != last + 1:
            break
        try:
            batches += [each for each in read_to_writer(FrameReader(), frame) if isinstance(each, Batch)]
        except msgspec.MsgspecError as error:
            raise ValueError(f"record {number} of {path.name}: {error}") from None
        last = number
        at += RECORD.size + len(frame)
    if not ours and (found is not None or not data.startswith(_BEGINNING)):
        raise Unavailable(
            f"{path} holds commits of another queue database, or of another version of Holdfast; they may be "
            "mail: bring that database back, or move the file away and keep it"
        )
    return batches


def _record(data: bytes, at: int) -> tuple[int, bytes] | None:
    """The record at a place, its number and its frame; None when there is no whole one."""
    if at + RECORD.size > len(data):
        return None
    number, frame_bytes, checksum = RECORD.unpack_from(data, at)
    frame = data[at + RECORD.size : at + RECORD.size + frame_bytes]
    if not number or len(frame) < frame_bytes or checksum != _checksum(number, [frame], frame_bytes):
        return None
    return number, frame


class CommitLog:
    """The file, for its one writer.

    Public attributes: ``last_number`` of a record; ``usable`` is False after a failure, until ``restart``.
    """

    def __init__(self, descriptor: int, last_number: int) -> None:
        self.last_number = last_number
        self.usable = True
        self._descriptor = descriptor
        self._size_bytes = min(FILE_BYTES, os.fstat(descriptor).st_size)
        self._at = BEGIN

    @classmethod
    def open(cls, path: Path, identity: str, last_number: int) -> CommitLog:
        """Open or make the file, when the tables have all that is in it.

        Versions before had a smaller one. It is made anew, or used as it is where the disk has no room.

        Raises:
            OSError: a full disk, say.
        """
        ours = _is_of(path, identity)
        try:
            if not ours or path.stat().st_size < FILE_BYTES:
                _make(path, identity)
        except OSError:
            if not ours:
                raise
        # Each time: when the file was made and this failed, its name may not be on the disk yet.
        sync_directory(path.parent)
        return cls(os.open(path, _FLAGS), last_number)

    def has_room(self, frame_bytes: int) -> bool:
        """Whether a frame fits behind what is there."""
        return self._at + RECORD.size + frame_bytes <= self._size_bytes

    def append(self, frame: list[bytes], frame_bytes: int) -> None:
        """Make a frame durable, given in pieces.

        Raises:
            OSError: it may be durable or not; nothing more is taken until ``restart``.
        """
        assert self.usable
        assert self.has_room(frame_bytes)
        # Counted before it is written: what a failure leaves must mean nothing to a later start.
        self.last_number += 1
        number = self.last_number
        head = RECORD.pack(number, frame_bytes, _checksum(number, frame, frame_bytes))
        try:
            _write_at(self._descriptor, [head, *frame], self._at)
        except OSError:
            self.usable = False
            with contextlib.suppress(OSError):
                os.pwrite(self._descriptor, bytes(RECORD.size), self._at)
            raise
        self._at += RECORD.size + frame_bytes

    def restart(self) -> None:
        """Begin at the begin again: the tables have all, durably, and know ``last_number``."""
        self._at = BEGIN
        self.usable = True

    def empty(self) -> None:
        """Take away what the tables have, so that the file may be left beside another database.

        Raises:
            OSError: it cannot be written.
        """
        os.pwrite(self._descriptor, bytes(RECORD.size), BEGIN)
        self._at = BEGIN

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def _write_at(descriptor: int, pieces: list[bytes], at: int) -> None:
    if len(pieces) > _PIECES_MAX:
        pieces = [b"".join(pieces)]
    written = os.pwritev(descriptor, pieces, at)
    size = sum(map(len, pieces))
    while written < size:  # a disk that is full, a limit: the next try says what it is
        rest = b"".join(pieces)[written:]
        at += written
        pieces, size = [rest], len(rest)
        written = os.pwrite(descriptor, rest, at)


def _make(path: Path, identity: str) -> None:
    """Make the file with all its bytes written; in one that is only reserved the first syncs are dear."""
    unfinished = path.with_name(path.name + ".new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write_at(descriptor, [_head(identity), bytes(FILE_BYTES - _HEAD.size)], 0)
        os.fsync(descriptor)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    unfinished.rename(path)


def _is_of(path: Path, identity: str) -> bool:
    """Whether there is a file that belongs to this database; one that was emptied may be another's."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD.size) == _head(identity)
    except FileNotFoundError:
        return False
