"""The process that writes one queue database, for the transport process that started it.

It makes everything that waits durable by one sync (group commit), answers, and then appends the
tracking lines to the log. It is a process and not a thread since a thread would
have to win the interpreter's lock from a busy event loop several times per message (docs/decisions/0013).

It lives as long as its end of the socket pair is open at the other side: when the transport process is
gone, also by kill -9, it commits what came whole, which is allowed as nobody was told the contrary, and
ends. It holds the lock of the role as long as it lives, so that no later life of the role opens the
database before (``daemons.role``). Signals that mean a stop of the service are for its parent.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import struct
import sys
import time
import traceback
from pathlib import Path

from holdfast.drivers.queue_frames import (
    Batch,
    Broken,
    CannotOpen,
    Close,
    Closed,
    Done,
    Expect,
    FrameReader,
    FromWriter,
    Opened,
    ToWriter,
    WriteOut,
    Written,
    pack,
    read_to_writer,
)
from holdfast.drivers.sqlite_queue import QueueDatabase
from holdfast.kernel.errors import Refusal, Unavailable

RECEIVE_BYTES = 1 << 20
_SECOND = struct.pack("@ll", 1, 0)  # a struct timeval
# As long as a client takes for its next message, and transport to look at it.
EXPECTED_S = 300e-6
# As in drivers.busy_polling, which would bring an event loop along.
AWAY_S, REST_S = 2.5e-3, 0.1
GARBAGE_THRESHOLD = 100_000
EXIT_BROKEN = 70  # sysexits.h: EX_SOFTWARE


def merged(batches: list[Batch]) -> Batch:
    """Put batches into one, in their order."""
    first = batches[0]
    for each in batches[1:]:
        first.number = each.number
        first.lines += each.lines
        first.adds += each.adds
        first.options += each.options
        first.finished += each.finished
        first.progress += each.progress
        first.settled += each.settled
        first.marked += each.marked
        first.held += each.held
        first.holders |= each.holders
        first.copies += each.copies
        first.shadows += each.shadows
        first.kept += each.kept
        first.data += each.data
    return first


class QueueProcess:
    """Serves one transport process."""

    def __init__(self, channel: socket.socket, database: QueueDatabase) -> None:
        self._channel = channel
        self._database = database
        self._reader = FrameReader()
        self._expecting = False
        self._rest_until = 0.0
        # One for all: a new one each time would be mapped and unmapped, at the price of ten system calls.
        self._received = bytearray(RECEIVE_BYTES)
        # A time-out of the system's: Python's own costs two system calls more each time.
        channel.setblocking(True)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _SECOND)

    def serve(self) -> None:
        """Commit what comes, until the other side says that it is enough, or is gone."""
        while True:
            frames = self._receive()
            if frames is None:
                self._database.close(False, {})
                return
            batches = [each for each in frames if isinstance(each, Batch)]
            if batches:
                self._commit(merged(batches))
            elif not frames:
                self._rest()
            for frame in frames:
                if isinstance(frame, WriteOut):
                    self._database.rest()
                    say(self._channel, Written(self._database.in_tables))
                elif isinstance(frame, Close):
                    self._database.close(frame.clean, frame.uncertain)
                    say(self._channel, Closed())
                    return

    def _receive(self) -> list[ToWriter] | None:
        """Wait for frames; empty when nothing comes for a second, None when the other side is gone."""
        frames: list[ToWriter] = []
        with memoryview(self._received) as view:
            while not frames:
                try:
                    count = self._look(view) if self._expecting else self._channel.recv_into(view)
                except BlockingIOError:
                    self._expecting = False
                    return []
                except ConnectionError:
                    return None
                if not count:
                    return None
                frames = read_to_writer(self._reader, view[:count])
                self._expecting = bool(frames) and isinstance(frames[-1], Expect)
        return frames

    def _look(self, view: memoryview) -> int:
        """Receive without sleeping for a moment: to wake up takes long (``drivers.busy_polling``)."""
        last = time.perf_counter()
        until = last + EXPECTED_S if last >= self._rest_until else last
        while last < until:
            try:
                return self._channel.recv_into(view, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                os.sched_yield()
            now = time.perf_counter()
            if now - last > AWAY_S:
                self._rest_until = now + REST_S
            last = now
        return self._channel.recv_into(view)

    def _commit(self, batch: Batch) -> None:
        error = self._database.commit(batch)
        say(self._channel, Done(batch.number, error, self._database.in_tables))
        if error is None:
            self._database.write_log()

    def _rest(self) -> None:
        before = self._database.in_tables
        self._database.rest()
        if self._database.in_tables != before:
            say(self._channel, Done(self._database.in_tables, None, self._database.in_tables))


def say(channel: socket.socket, frame: FromWriter) -> None:
    """Answer; when the other side is gone there is nobody to tell."""
    try:
        channel.sendall(b"".join(pack(frame)))
    except ConnectionError:
        return


def run(channel: socket.socket, path: Path, tracking_directory: Path) -> int:
    """Open a queue database and write it until the other side is gone.

    Returns:
        Exit code.
    """
    try:
        database = QueueDatabase.open(path, tracking_directory)
    except (Refusal, Unavailable) as error:
        say(channel, CannotOpen(error.text, isinstance(error, Refusal)))
        return 0
    # What is made per batch is in no cycle; looking for those took 3 % of the writer's time.
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    say(channel, Opened())
    try:
        QueueProcess(channel, database).serve()
    except Exception:  # noqa: BLE001  our own fault, whatever it is: the role must stop, and say so
        say(channel, Broken(traceback.format_exc()))
        return EXIT_BROKEN
    return 0


if __name__ == "__main__":
    for _number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(_number, signal.SIG_IGN)
    os.umask(0o077)
    sys.exit(run(socket.socket(fileno=int(sys.argv[3])), Path(sys.argv[1]), Path(sys.argv[2])))
