"""The process that writes the queue database, and what it does when the transport process is gone."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.drivers import queue_process
from holdfast.drivers.queue_frames import (
    Batch,
    Close,
    Closed,
    Done,
    Expect,
    FrameReader,
    Opened,
    pack,
    read_from_writer,
)
from holdfast.drivers.queue_process import AWAY_S, EXPECTED_S, QueueProcess, merged
from holdfast.drivers.queue_reader import read_queue
from holdfast.drivers.sqlite_queue import QueueDatabase

PATIENCE_S = 60.0


class Parent:
    """Stands where the transport process stands."""

    def __init__(self, home: Path, *descriptors: int) -> None:
        self.channel, its = socket.socketpair()
        self.channel.settimeout(PATIENCE_S)
        with its:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "holdfast.drivers.queue_process", str(home / "queue.sqlite"),
                 str(home / "tracking"), str(its.fileno())],
                pass_fds=[its.fileno(), *descriptors],
            )  # fmt: skip
        self.reader = FrameReader()
        assert self.hears() == [Opened()]

    def hears(self) -> list[object]:
        while True:
            data = self.channel.recv(1 << 16)
            if not data:
                return []
            if found := read_from_writer(self.reader, data):
                return list(found)

    def says(self, batch: Batch) -> bytes:
        return b"".join(pack(batch))

    def ends(self) -> int:
        self.channel.close()
        return self.process.wait(PATIENCE_S)


def batch(number: int, size_bytes: int = 10) -> Batch:
    row = (number, f"message-{number}", 1.5, b"x@y", b"a@b", size_bytes, b"", b"", b"", size_bytes)
    return Batch(number, lines=b"line\n", adds=[row], data=[bytes(size_bytes)])


def numbers(home: Path) -> list[int]:
    return [each.number for each in read_queue(home)]


def test_what_came_whole_is_committed_when_the_other_side_is_gone_and_no_part_of_the_rest(
    tmp_path: Path,
) -> None:
    parent = Parent(tmp_path)
    parent.channel.sendall(parent.says(batch(1)) + parent.says(batch(2)) + parent.says(batch(3, 90_000))[:-1])
    assert parent.ends() == 0
    assert numbers(tmp_path) == [1, 2]


def test_what_waits_is_one_transaction_with_one_answer(tmp_path: Path) -> None:
    parent = Parent(tmp_path)
    os.kill(parent.process.pid, signal.SIGSTOP)
    parent.channel.sendall(b"".join(parent.says(batch(number)) for number in range(1, 21)))
    os.kill(parent.process.pid, signal.SIGCONT)
    assert parent.hears() == [Done(20, None, 0)]
    assert numbers(tmp_path) == list(range(1, 21))
    assert parent.ends() == 0


def test_what_is_expected_is_committed_when_it_comes_however_late(tmp_path: Path) -> None:
    parent = Parent(tmp_path)
    expect = b"".join(pack(Expect()))
    parent.channel.sendall(expect + parent.says(batch(1)) + expect)
    assert parent.hears() == [Done(1, None, 0)]
    assert numbers(tmp_path) == [1]  # which takes longer than what is expected may
    parent.channel.sendall(expect + parent.says(batch(2))[:7])
    assert numbers(tmp_path) == [1]
    parent.channel.sendall(parent.says(batch(2))[7:])
    assert parent.hears() == [Done(2, None, 0)]
    parent.channel.sendall(expect)
    assert parent.ends() == 0
    assert numbers(tmp_path) == [1, 2]


class Channel:
    """A socket that says what a test wants, and notes how it was asked and what was done meanwhile."""

    def __init__(self, said: list[bytes | None]) -> None:
        self.said = said  # None: nothing for now
        self.asked: list[str] = []

    def setblocking(self, blocking: bool) -> None:
        assert blocking

    def setsockopt(self, *arguments: Any) -> None: ...

    def sendall(self, data: bytes) -> None:
        self.asked.append("answered")

    def recv_into(self, view: memoryview, count: int = 0, flags: int = 0) -> int:
        self.asked.append("look" if flags & socket.MSG_DONTWAIT else "sleep")
        data = self.said.pop(0) if self.said else b""
        if data is None:
            raise BlockingIOError
        view[: len(data)] = data
        return len(data)


def served(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: list[bytes | None],
    looks: int = 10,
    away_s: float = 0.0,
) -> list[str]:
    """What a writer did with a channel on which these came.

    Args:
        looks: so many fit into the time it may look.
        away_s: how long somebody else had the processor when it was offered.
    """
    channel: Any = Channel(said)
    now = 0.0

    def look_at_the_clock() -> float:
        nonlocal now
        now += EXPECTED_S / looks
        return now

    def let_others_run() -> None:
        nonlocal now
        now += away_s
        channel.asked.append("yield")

    monkeypatch.setattr(queue_process.time, "perf_counter", look_at_the_clock)
    monkeypatch.setattr(os, "sched_yield", let_others_run)
    QueueProcess(channel, QueueDatabase.open(home / "queue.sqlite", home / "tracking")).serve()
    asked: list[str] = channel.asked
    return asked


def test_a_writer_that_expects_more_looks_for_a_moment_and_lets_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect = b"".join(pack(Expect()))
    one, two = (b"".join(pack(batch(number))) for number in (1, 2))
    asked = served(tmp_path, monkeypatch, [one + expect, None, None, two])
    assert asked == ["sleep", "answered", "look", "yield", "look", "yield", "look", "answered", "sleep"]
    assert numbers(tmp_path) == [1, 2]


def test_a_writer_that_expects_in_vain_sleeps_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect = b"".join(pack(Expect()))
    asked = served(tmp_path, monkeypatch, [b"".join(pack(batch(1))) + expect, *[None] * 12], looks=4)
    assert asked[:2] == ["sleep", "answered"]
    assert asked.count("look") == asked.count("yield") == 4
    first_sleep = asked.index("sleep", 2)
    assert "look" not in asked[first_sleep:]
    assert asked.count("sleep") > 3


def test_a_writer_whose_processor_somebody_else_needs_looks_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[bytes | None] = []
    for number in range(1, 5):
        said += [b"".join(pack(batch(number)) + pack(Expect())), None]
    asked = served(tmp_path, monkeypatch, said, away_s=AWAY_S)
    assert asked.count("look") == 1
    assert numbers(tmp_path) == [1, 2, 3, 4]


def test_a_writer_that_expects_nothing_sleeps_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = served(tmp_path, monkeypatch, [b"".join(pack(batch(1))), None, b"".join(pack(batch(2)))])
    assert "look" not in asked
    assert numbers(tmp_path) == [1, 2]


def test_signals_that_stop_the_service_are_for_its_parent(tmp_path: Path) -> None:
    parent = Parent(tmp_path)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(parent.process.pid, number)
    parent.channel.sendall(parent.says(batch(1)))
    assert parent.hears() == [Done(1, None, 0)]
    assert parent.ends() == 0


def test_the_lock_of_the_role_is_held_until_the_writer_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    parent = Parent(tmp_path, descriptor)
    os.close(descriptor)  # as the end of the transport process does
    os.kill(parent.process.pid, signal.SIGSTOP)
    parent.channel.sendall(parent.says(batch(1)))
    parent.channel.close()
    with path.open("rb") as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            raise AssertionError("a later life could open the database while the writer has it open")
        except BlockingIOError:
            pass
        os.kill(parent.process.pid, signal.SIGCONT)
        fcntl.flock(other, fcntl.LOCK_EX)  # waits for the writer's end
    assert numbers(tmp_path) == [1]
    assert parent.process.wait(PATIENCE_S) == 0


def test_merged_batches_keep_their_order() -> None:
    first, second = batch(1), batch(2)
    first.held, second.held = [("a", True)], [("a", False)]
    second.settled, second.finished, second.progress = [b"f"], [1], [(2, b"a@b")]
    second.marked, second.options = [(2, None)], [(2, None, b"o")]
    one = merged([first, second])
    assert one.number == 2
    assert one.lines == b"line\nline\n"
    assert [row[0] for row in one.adds] == [1, 2]
    assert one.data == [bytes(10), bytes(10)]
    assert one.held == [("a", True), ("a", False)]
    assert (one.settled, one.finished, one.progress) == ([b"f"], [1], [(2, b"a@b")])
    assert (one.marked, one.options) == ([(2, None)], [(2, None, b"o")])


def test_a_clean_end_is_answered(tmp_path: Path) -> None:
    parent = Parent(tmp_path)
    parent.channel.sendall(parent.says(batch(1)) + b"".join(pack(Close(True, {}))))
    assert parent.hears() in ([Done(1, None, 0)], [Done(1, None, 0), Closed()])
    assert parent.process.wait(PATIENCE_S) == 0  # by itself
    parent.channel.close()
    assert numbers(tmp_path) == [1]
