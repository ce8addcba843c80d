"""Processes are found by their mark and hit all at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.kernel.errors import Unavailable
from holdfast.lab import processes

pytestmark = pytest.mark.process

LAB = "test01"
# A parent with a child, both of which only wait.
PAIR = (
    sys.executable,
    "-c",
    "import subprocess, sys; print('up', flush=True); "
    "subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE).wait()",
)


@pytest.fixture
def lab_id() -> Iterator[str]:
    """An id of this process's own; what is left over is killed."""
    name = f"{LAB}{os.getpid()}"
    yield name
    processes.kill(lambda: processes.find(name))


@pytest.fixture
def pair(
    lab_id: str, tmp_path: Path, until: Callable[[Callable[[], bool]], None]
) -> Iterator[subprocess.Popen[bytes]]:
    started = processes.start(f"{lab_id}/mail1", PAIR, tmp_path / "log")
    until(lambda: len(processes.of_server(lab_id, "mail1")) == 2)
    yield started
    processes.kill(lambda: processes.find(lab_id))
    started.wait(10)


def test_all_of_a_server_is_found_by_its_mark(lab_id: str, pair: subprocess.Popen[bytes]) -> None:
    found = processes.find(lab_id)
    assert pair.pid in [each.pid for each in found]
    assert {each.server for each in found} == {"mail1"}
    assert processes.of_server(lab_id, "mail") == []
    assert processes.find(lab_id + "0") == []


def test_a_kill_leaves_nothing(lab_id: str, pair: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert processes.kill(lambda: processes.of_server(lab_id, "mail1")) == 2
    assert pair.wait(10) == -signal.SIGKILL
    assert processes.find(lab_id) == []
    assert (tmp_path / "log").read_text() == "up\n"


def test_frozen_is_seen_and_goes_on(
    lab_id: str, pair: subprocess.Popen[bytes], until: Callable[[Callable[[], bool]], None]
) -> None:
    processes.send(processes.find(lab_id), signal.SIGSTOP)
    until(lambda: all(each.stopped for each in processes.find(lab_id)))
    processes.send(processes.find(lab_id), signal.SIGCONT)
    until(lambda: not any(each.stopped for each in processes.find(lab_id)))


def test_a_signal_to_who_is_gone_is_no_error(lab_id: str, pair: subprocess.Popen[bytes]) -> None:
    found = processes.find(lab_id)
    processes.kill(lambda: processes.find(lab_id))
    pair.wait(10)
    processes.send(found, signal.SIGCONT)


def test_what_cannot_be_started_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot start /no/such/program"):
        processes.start("x/y", ("/no/such/program",), tmp_path / "log")


def test_waiting_ends_in_time() -> None:
    assert processes.wait_until(lambda: True, 0)
    assert not processes.wait_until(lambda: False, 0)


def test_who_listens_is_read_from_the_kernel() -> None:
    with socket.socket() as listener:
        listener.bind(("127.3.2.1", 0))
        place = listener.getsockname()
        assert place not in processes.listening(os.getpid())
        listener.listen()
        assert place in processes.listening(os.getpid())
    assert processes.listening(2**31 - 1) == frozenset()
