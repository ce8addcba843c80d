"""The transport role's side of its queue writer: what is submitted becomes durable in another process.

What one turn of the event loop submits is one batch. One batch is on its way at a time, and what comes
meanwhile is gathered into the next: with two on their way there were a third more commits, and the
processor was busy with those. Nothing is split that was submitted together.

The writer (``drivers.queue_process``) is started here and ends with us. When it ends before, nothing can be
acknowledged any more: ``ended`` is told, and the role stops.

Source: docs/decisions/0004 and 0013.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from holdfast.drivers.queue_frames import (
    BatchBuilder,
    Broken,
    CannotOpen,
    Close,
    Closed,
    Done,
    Expect,
    FrameReader,
    FromWriter,
    Opened,
    WriteOut,
    Written,
    pack,
    read_from_writer,
)
from holdfast.drivers.queue_schema import SCHEMA
from holdfast.drivers.sqlite_queue import read_recovered
from holdfast.drivers.sqlite_schema import connect
from holdfast.drivers.sqlite_shadows import read_kept
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.queue import AddMessage, FinishRecipients, QueueWrite, RecoveredQueue, SettleAnswers
from holdfast.transport.shadow_writes import KeptBatch

BATCH_WRITE_COUNT_MAX = 10_000
BATCH_DATA_BYTES_MAX = 16 << 20
# Writes that nobody waits for, and how long they may wait for one that somebody does: a commit of both costs
# as much as one of either. With one session it is half of the commits. The price is that a message whose
# next hop has answered may be sent again if the process is killed within that time (docs/decisions/0009).
LAZY = (FinishRecipients, SettleAnswers)
LAZY_S = 0.005
# A clean stop waits so long for the last commits; after it the writer is killed, which loses nothing.
CLOSE_TIMEOUT_S = 20.0
_SEND_BUFFER_BYTES = 4 << 20  # as much of it as the system allows
_PIECES_MAX = min(os.sysconf("SC_IOV_MAX"), 1024)

_EXPECT = pack(Expect())

CommitDone = Callable[[list[QueueWrite], Unavailable | None], None]


class QueueWriter:
    """Writes one queue database and its tracking log, by a process of its own.

    Public attributes: ``ended`` is called in the event loop when the writer ended by itself; with why.
    ``more_soon`` says whether another batch is likely to follow at once; the writer stays awake for it.
    """

    def __init__(self, path: Path, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        self.ended: Callable[[str], None] = _raise
        self.more_soon: Callable[[], bool] = _unlikely
        self._path = path
        self._process = process
        self._channel = channel
        self._frames = FrameReader()
        self._reader: sqlite3.Connection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # What was submitted and is not on its way yet; what is on its way, by number of its batch.
        self._waiting: deque[tuple[list[QueueWrite], CommitDone]] = deque()
        self._urgent = False  # whether anything of it may not wait
        self._handing_over = False
        self._lazy_timer: asyncio.TimerHandle | None = None
        self._at_work: deque[tuple[int, list[QueueWrite], CommitDone]] = deque()
        self._last_number = 0
        # What is durable and cannot be read from the database yet: data by number of the message, and of
        # which batch. The commit log bounds it.
        self._ahead: dict[int, tuple[int, bytes]] = {}
        self._in_tables = 0  # the last batch that can
        self._last_kept = 0  # the last one that put something into the Safety Net
        self._until_written: list[Callable[[], None]] = []
        self._unsent: list[bytes | memoryview] = []
        self._blocked = False

    @property
    def process_id(self) -> int:
        """Of the writer."""
        return self._process.pid

    @classmethod
    def open(
        cls, path: Path, tracking_directory: Path, *, lock_descriptor: int | None = None
    ) -> tuple[QueueWriter, RecoveredQueue]:
        """Start the writer of a queue database, and say what waits in it; blocks.

        Args:
            path: the database; made where there is none.
            tracking_directory: of its tracking log.
            lock_descriptor: an open file with a lock (flock) that the writer holds on to as long as it lives.

        Raises:
            Refusal: it is of a newer version, or another program's.
            Unavailable: it cannot be opened, or is damaged.
        """
        ours, its = socket.socketpair()
        with its:
            descriptors = [each for each in (its.fileno(), lock_descriptor) if each is not None]
            try:
                process = subprocess.Popen(  # noqa: S603  it is ourselves; no shell is in between
                    [sys.executable, "-m", "holdfast.drivers.queue_process", str(path),
                     str(tracking_directory), str(its.fileno())],
                    stdin=subprocess.DEVNULL, pass_fds=descriptors,
                )  # fmt: skip
            except OSError as error:
                ours.close()
                raise Unavailable(f"the writer of {path} cannot be started: {error.strerror}") from None
        writer = cls(path, process, ours)
        try:
            return writer, writer._recovered()
        except BaseException:
            writer._kill()
            raise

    def _recovered(self) -> RecoveredQueue:
        match self._answer():
            case Opened():
                pass
            case CannotOpen(text=text, for_good=for_good):
                raise Refusal(text) if for_good else Unavailable(text)
            case other:
                reason = other.text if isinstance(other, Broken) else self._reason()
                raise Unavailable(f"queue database {self._path} cannot be opened: {reason}")
        with contextlib.suppress(OSError):
            self._channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        try:
            connection = connect(self._path, SCHEMA)
            try:
                return read_recovered(connection)
            finally:
                connection.close()
        except (sqlite3.Error, OSError, TypeError, ValueError) as error:
            # The last two: a row is missing or not what we write, so somebody changed the tables.
            raise Unavailable(f"queue database {self._path} cannot be read: {error}") from None

    def _answer(self) -> FromWriter | None:
        """Wait for the next answer of the writer; None when it is gone."""
        while True:
            data = self._receive()
            if not data:
                return None
            for frame in read_from_writer(self._frames, data):
                return frame  # it says nothing more before it is asked

    # --- for the event loop -------------------------------------------------------------------

    def submit(self, writes: list[QueueWrite], done: CommitDone) -> None:
        """Make writes durable, with whatever else waits; ``done`` is called in the loop."""
        loop = self.attend()
        self._waiting.append((writes, done))
        if self._handing_over:
            return
        if self._urgent or not all(isinstance(each, LAZY) for each in writes):
            self._urgent = True
            if self.more_soon():
                self._hand_over()  # few clients: hardly anything would join it, and one of them waits
            else:
                self._hand_over_soon()
        elif self._lazy_timer is None:
            self._lazy_timer = loop.call_later(LAZY_S, self._lazy_time_over)

    def _lazy_time_over(self) -> None:
        self._lazy_timer = None
        if self._waiting:
            self._urgent = True
            self._hand_over_soon()

    def attend(self) -> asyncio.AbstractEventLoop:
        """Hear from now on, in this event loop, what the writer says, and when it ends."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._leave_loop()
            self._loop = loop
            self._channel.setblocking(False)
            loop.add_reader(self._channel.fileno(), self._readable)
        return loop

    def _hand_over_soon(self) -> None:
        # All that one turn of the loop submits goes together: a commit of one costs as much as of twenty.
        if self._urgent and not self._handing_over and self._loop is not None:
            self._handing_over = True
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._handing_over = False
        if self._waiting and not self._at_work:
            self._send_batch()
        self._urgent = self._urgent and bool(self._waiting)

    def _send_batch(self) -> None:
        builder = BatchBuilder()
        waiting = self._waiting
        writes, done = waiting.popleft()
        builder.add(writes)
        if waiting and waiting[0][1] == done:
            writes = list(writes)
            while (
                waiting
                and waiting[0][1] == done
                and builder.write_count < BATCH_WRITE_COUNT_MAX
                and builder.data_bytes < BATCH_DATA_BYTES_MAX
            ):
                more = waiting.popleft()[0]
                builder.add(more)
                writes += more
        self._last_number += 1
        self._at_work.append((self._last_number, writes, done))
        self._unsent += pack(builder.finish(self._last_number))
        if self.more_soon():
            self._unsent += _EXPECT
        self._send()

    def _send(self) -> None:
        unsent = self._unsent
        while unsent:
            try:
                sent_bytes = self._channel.sendmsg(unsent[:_PIECES_MAX])
            except BlockingIOError:
                break
            except ConnectionError:
                unsent.clear()  # the writer is gone, which its end of the channel tells as well
                break
            _drop(unsent, sent_bytes)
        if bool(unsent) != self._blocked and self._loop is not None:
            self._blocked = bool(unsent)
            if self._blocked:
                self._loop.add_writer(self._channel.fileno(), self._send)
            else:
                self._loop.remove_writer(self._channel.fileno())

    def _readable(self) -> None:
        data = self._receive()
        if not data:
            self._leave_loop()
            self.ended(self._reason())
            return
        for frame in read_from_writer(self._frames, data):
            match frame:
                case Done():
                    self._done(frame)
                case Written():
                    self._note_written(frame.in_tables)
                    waiting, self._until_written = self._until_written, []
                    for read in waiting:
                        read()
                case Broken():
                    self._leave_loop()
                    raise RuntimeError(f"the writer of the queue database: {frame.text}")
                case _:
                    raise AssertionError(frame)
        self._hand_over_soon()

    def _receive(self) -> bytes:
        try:
            return self._channel.recv(1 << 16)
        except ConnectionError:
            return b""

    def _done(self, answer: Done) -> None:
        error = None if answer.error is None else Unavailable(answer.error)
        while self._at_work and self._at_work[0][0] <= answer.number:
            number, writes, done = self._at_work.popleft()
            if error is None and number > answer.in_tables:
                self._keep_data(number, writes)
            done(writes, error)
        self._note_written(answer.in_tables)

    def _note_written(self, in_tables: int) -> None:
        if in_tables > self._in_tables:
            self._in_tables = in_tables
            self._ahead = {key: kept for key, kept in self._ahead.items() if kept[0] > in_tables}

    def _keep_data(self, batch_number: int, writes: list[QueueWrite]) -> None:
        ahead = self._ahead
        for write in writes:
            if isinstance(write, AddMessage):
                assert write.message.data is not None
                ahead[write.message.number] = (batch_number, write.message.data)
            elif isinstance(write, FinishRecipients) and not write.remaining:
                ahead.pop(write.number, None)
                if write.kept:
                    self._last_kept = batch_number

    def read(self, number: int) -> bytes | None:
        """Return the data of a queued message, or None when it cannot be read now."""
        ahead = self._ahead.get(number)
        if ahead is not None:
            return ahead[1]
        try:
            if self._reader is None:
                self._reader = connect(self._path, SCHEMA)
            row = self._reader.execute("SELECT data FROM message WHERE number = ?", (number,)).fetchone()
        except (sqlite3.Error, OSError):
            if self._reader is not None:
                self._reader.close()
                self._reader = None
            return None
        return row[0] if row is not None else None

    def read_kept(
        self, since: float, until: float, after_number: int, done: Callable[[KeptBatch | None], None]
    ) -> None:
        """Read some messages of the Safety Net, of all that got there until now.

        ``done`` is called in the loop, with None when they cannot be read now.
        """
        loop, wanted = self.attend(), self._last_kept

        def read() -> None:
            at_hand = self._in_tables >= wanted
            done(self._read_kept(since, until, after_number) if at_hand else None)

        if self._in_tables >= wanted:
            loop.call_soon(read)
            return
        self._until_written.append(read)
        self._unsent += pack(WriteOut())
        self._send()

    def _read_kept(self, since: float, until: float, after_number: int) -> KeptBatch | None:
        try:
            if self._reader is None:
                self._reader = connect(self._path, SCHEMA)
            return read_kept(self._reader, since, until, after_number)
        except (sqlite3.Error, OSError, TypeError, ValueError):
            if self._reader is not None:
                self._reader.close()
                self._reader = None
            return None

    # --- the end ------------------------------------------------------------------------------

    def close(self, clean: bool, uncertain: Mapping[bytes, NetworkMessageId] | None = None) -> None:
        """Finish what was submitted, and end the writer; blocks. Nobody is told of the last commits.

        Args:
            clean: nothing was left unfinished: no fingerprint is uncertain at the next start ...
            uncertain: ... but these.
        """
        self._leave_loop()
        self._channel.settimeout(CLOSE_TIMEOUT_S)
        try:
            while self._waiting:
                self._send_batch()
            self._unsent += pack(Close(clean, dict(uncertain or {})))
            self._send()
            while not self._closed():
                pass
            self._process.wait(CLOSE_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired):
            pass
        finally:
            self._kill()

    def _closed(self) -> bool:
        """Wait for a piece of what the writer says; whether it was the last one."""
        data = self._receive()
        return not data or any(isinstance(each, Closed) for each in read_from_writer(self._frames, data))

    def _leave_loop(self) -> None:
        if self._lazy_timer is not None:
            self._lazy_timer.cancel()
        self._lazy_timer, self._handing_over, self._blocked = None, False, False
        loop, self._loop = self._loop, None
        if loop is not None and not loop.is_closed():
            loop.remove_reader(self._channel.fileno())
            loop.remove_writer(self._channel.fileno())

    def _kill(self) -> None:
        """Let go of the writer; one that still runs is killed, which is a crash as any other."""
        self._process.kill()
        self._process.wait()
        self._channel.close()
        if self._reader is not None:
            self._reader.close()

    def _reason(self) -> str:
        """Why the writer is gone, for people."""
        try:
            code = self._process.wait(CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return "it hangs"
        return f"it was killed by signal {-code}" if code < 0 else f"exit code {code}"


def _drop(pieces: list[bytes | memoryview], sent_bytes: int) -> None:
    """Take away what was sent, from the front."""
    count = 0
    for piece in pieces:
        if len(piece) > sent_bytes:
            break
        sent_bytes -= len(piece)
        count += 1
    del pieces[:count]
    if sent_bytes:
        pieces[0] = memoryview(pieces[0])[sent_bytes:]


def _unlikely() -> bool:
    return False


def _raise(reason: str) -> None:
    raise RuntimeError(f"the process that writes the queue database ended: {reason}")
