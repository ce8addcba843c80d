"""What tests of several rooms need: a real server in processes of its own, and real peers."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ports import free_ports

READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
PATIENCE_S = 120
COMPILED = "HOLDFAST_TEST_COMPILED"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--crashes", type=int, default=6, help="how many kill -9 the crash test does")
    parser.addoption("--compiled", action="store_true", help="of what was compiled, test that")
    parser.addoption("--crash-seed", type=int, default=None, help="repeat the kills of an earlier crash test")
    _test_compiled()


def _test_compiled() -> None:
    """Have all tests import what was compiled: before another conftest imports the plain modules."""
    if "--compiled" in sys.argv:
        os.environ[COMPILED] = "1"  # for the processes of xdist, too
    if COMPILED in os.environ:
        from holdfast.drivers.compiled import prefer_compiled

        if reason := prefer_compiled("holdfast.drivers.dhcp_runner", "holdfast.node.transport"):
            raise pytest.UsageError(f"compiled code cannot be tested: {reason}")


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives a port that nobody listens on now."""
    return lambda: free_ports(1)[0]


@dataclass
class RunningServer:
    """A real server under ``holdfast up``, on ports of its own."""

    home: Path
    smtp: int
    submission: int
    submission_tls: int
    imap: int
    imap_tls: int
    metrics: int
    process: subprocess.Popen[str] | None = None
    log: list[str] = field(default_factory=list)

    @property
    def passwords(self) -> dict[str, str]:
        return json.loads((self.home / "demo-credentials.json").read_text(encoding="utf-8"))

    def prepare(self) -> None:
        """Make the demonstration organisation, on our ports."""
        from holdfast.daemons.first_start import prepare
        from holdfast.directory.defaults import DemonstrationPorts

        ports = DemonstrationPorts(
            smtp=self.smtp,
            submission=self.submission,
            submission_tls=self.submission_tls,
            imap=self.imap,
            imap_tls=self.imap_tls,
            metrics=self.metrics,
        )
        prepare(self.home, demonstration=True, ports=ports)

    def start(self) -> None:
        """Start and wait until it says that it is ready."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "holdfast.cli.main", "--home", str(self.home), "up"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        ready = threading.Event()
        for stream in (self.process.stdout, self.process.stderr):
            threading.Thread(target=self._read, args=(stream, ready), daemon=True).start()
        assert ready.wait(READY_TIMEOUT_S), "\n".join(self.log)
        assert self.process.poll() is None, "\n".join(self.log)

    def _read(self, stream: object, ready: threading.Event) -> None:
        for line in stream:  # type: ignore[attr-defined]  # a text stream of Popen
            self.log.append(line.rstrip("\n"))
            if line.startswith("Holdfast is ready"):
                ready.set()
        stream.close()  # type: ignore[attr-defined]  # a text stream of Popen
        ready.set()

    def stop(self) -> int:
        """Stop cleanly and return the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT_S)

    def kill(self, role: str) -> None:
        """``kill -9`` one process: a role's or ``supervisor``."""
        assert self.process is not None
        if role == "supervisor":
            self.process.kill()
            self.process.wait()
            return
        for pid in self.role_pids(role):
            os.kill(pid, signal.SIGKILL)

    def role_pids(self, role: str) -> list[int]:
        """The processes of a role of this home; ``queue_writer`` is the one beside transport."""
        module, state = f"holdfast.daemons.{role}", self.home
        if role == "queue_writer":
            module, state = "holdfast.drivers.queue_process", self.home / "queue.sqlite"
        found = []
        for directory in Path("/proc").iterdir():
            if not directory.name.isdigit():
                continue
            try:
                words = (directory / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if module.encode() in words and str(state).encode() in words:
                found.append(int(directory.name))
        return found

    def holdfast(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a management command on this server."""
        return subprocess.run(
            [sys.executable, "-m", "holdfast.cli.main", "--home", str(self.home), *words],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def json(self, *words: str) -> object:
        """Run a management command and read its JSON."""
        result = self.holdfast(*words, "--json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)


@pytest.fixture
def make_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningServer]]:
    """Make servers that are prepared and not started; they are stopped after the test."""
    servers: list[RunningServer] = []

    def make(home: Path | None = None) -> RunningServer:
        server = RunningServer(home or tmp_path_factory.mktemp("home"), *free_ports(6))
        servers.append(server)
        server.prepare()
        return server

    yield make
    for server in servers:
        if server.process is not None:
            try:
                server.stop()
            finally:
                server.process.kill()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait for a fact about other processes; the only place where a test looks at a clock.

    A process tells a test nothing when it has got somewhere, so the test looks
    again and again. The patience is no measure of speed: it bounds a hang.
    """

    def wait(fact: Callable[[], bool]) -> None:
        pause = threading.Event()
        deadline = time.monotonic() + PATIENCE_S
        while not fact():
            assert time.monotonic() < deadline, "it does not come about"
            pause.wait(0.05)

    return wait


@pytest.fixture
def server(make_server: Callable[[], RunningServer]) -> RunningServer:
    """One server, running."""
    made = make_server()
    made.start()
    return made


class RoleProcess:
    """One role process alone, held as the supervisor holds it."""

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
        if self.ready.closed:
            return ""
        if self.process.stdin is not None and self.process.stdin.closed:
            self.process.stdin = None  # communicate() would flush what a test has closed
        _, text = self.process.communicate(timeout=60)
        self.ready.close()
        return text


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A state directory with the demonstration organisation, on ports of its own."""
    made = RunningServer(tmp_path / "home", *free_ports(6))
    made.prepare()
    return made.home


@pytest.fixture
def make_role(home: Path) -> Iterator[Callable[..., RoleProcess]]:
    """Start role processes on ``home``; they are killed after the test."""
    made: list[RoleProcess] = []

    def make(role: str = "mailbox", at: Path | None = None) -> RoleProcess:
        made.append(RoleProcess(at or home, role))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def crash_luck(request: pytest.FixtureRequest) -> random.Random:
    """The luck of a crash test; its seed is in the output of a failure."""
    seed = request.config.getoption("--crash-seed")
    if seed is None:
        seed = random.SystemRandom().getrandbits(32)
    sys.stdout.write(f"crash seed {seed}\n")
    return random.Random(seed)


@pytest.fixture
def peer() -> Callable[[str], str]:
    """Find a program of a real peer; where it is missing the test is skipped, but never in CI."""

    def find(program: str) -> str:
        path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if path is None:
            assert not os.environ.get("HOLDFAST_PEERS_REQUIRED"), f"{program} is not installed"
            pytest.skip(f"{program} is not installed")
        return path

    return find
