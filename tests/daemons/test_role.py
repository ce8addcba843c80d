"""What every role process does alike, shown with real processes of the mailbox role."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.daemons.first_start import prepare
from holdfast.daemons.role import this_server
from holdfast.directory.model import Organisation, Server

pytestmark = pytest.mark.process


class Role:
    """One role process, held as the supervisor holds it."""

    def __init__(self, home: Path, role: str = "mailbox") -> None:
        read, write = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"holdfast.daemons.{role}", "--home", str(home), "--ready-fd", str(write)],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(write,), text=True,
        )  # fmt: skip
        os.close(write)
        self.ready = os.fdopen(read)

    def wait_ready(self) -> dict[str, object]:
        line = self.ready.readline()
        assert line, self.process.communicate(timeout=60)[1]
        return json.loads(line)

    def close(self) -> str:
        self.process.kill()
        if self.process.stdin is not None and self.process.stdin.closed:
            self.process.stdin = None  # communicate() would flush what a test has closed
        _, text = self.process.communicate(timeout=60)
        self.ready.close()
        return text


@pytest.fixture
def home(tmp_path: Path) -> Path:
    prepare(tmp_path / "home", demonstration=True)
    return tmp_path / "home"


@pytest.fixture
def role(home: Path) -> Iterator[Role]:
    made = Role(home)
    yield made
    made.close()


def test_ready_is_told_with_role_and_process(role: Role) -> None:
    told = role.wait_ready()
    assert told["role"] == "mailbox"
    assert told["pid"] == role.process.pid


def test_sigterm_ends_it_cleanly(role: Role) -> None:
    role.wait_ready()
    role.process.send_signal(signal.SIGTERM)
    assert role.process.wait(60) == 0


def test_it_ends_cleanly_when_its_supervisor_is_gone(role: Role) -> None:
    role.wait_ready()
    assert role.process.stdin is not None
    role.process.stdin.close()
    assert role.process.wait(60) == 0


def test_a_second_one_waits_for_the_first(role: Role, home: Path) -> None:
    role.wait_ready()
    second = Role(home)
    try:
        role.process.send_signal(signal.SIGTERM)
        assert second.wait_ready()["pid"] == second.process.pid
    finally:
        second.close()


def test_a_home_without_a_directory_is_told_without_a_traceback(tmp_path: Path) -> None:
    role = Role(tmp_path / "nothing")
    assert role.process.wait(60) == 1
    text = role.close()
    assert "DRV-0104" in text
    assert "Traceback" not in text


def test_our_name_is_as_told_or_the_only_one() -> None:
    one = Organisation(servers=(Server("a", "a.example", "s"),))
    two = Organisation(servers=(*one.servers, Server("b", "b.example", "s")))
    assert this_server(one, "") == "a"
    assert this_server(two, "") == ""
    assert this_server(two, "b") == "b"
