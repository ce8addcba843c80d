"""The processes of a lab: started with a mark in their environment, and found by it again.

The mark is inherited by everything that a server starts, so a server's processes
are found whoever started them, also after a crash of the lab itself. A kill stops
all of them first: no process sees another one die, as when the plug is pulled.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from holdfast.kernel.errors import Unavailable

MARK = "HOLDFAST_LAB"
STOP_TIMEOUT_S = 45.0  # a little more than the supervisor gives its roles
KILL_TIMEOUT_S = 10.0
_POLL_S = 0.05
_LISTEN = "0A"  # the state of a listening socket in /proc/net/tcp


@dataclass(frozen=True, slots=True)
class Found:
    """A process of a lab.

    Attributes:
        server: whose it is.
        stopped: whether it is frozen (SIGSTOP).
        supervisor: whether it is the one that the lab started.
    """

    pid: int
    server: str
    stopped: bool
    supervisor: bool


def start(mark: str, command: tuple[str, ...], log: Path) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own; what it prints goes to ``log``.

    Raises:
        Unavailable: it cannot be started.
    """
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return subprocess.Popen(  # noqa: S603  # our own command, with names that were checked
                command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env=os.environ | {MARK: mark},
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Unavailable(f"cannot start {command[0]}: {error.strerror}") from None


def find(lab_id: str) -> list[Found]:
    """Every living process of a lab; of other users' processes nothing is seen."""
    wanted = f"{MARK}={lab_id}/".encode()
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            environment = (directory / "environ").read_bytes().split(b"\0")
            marked = next((each for each in environment if each.startswith(wanted)), None)
            if marked is None:
                continue
            # The name of the program, in parentheses, may hold anything: what follows counts.
            state = (directory / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
            words = (directory / "cmdline").read_bytes().split(b"\0")
            if state.split()[0] not in "ZX":
                server = marked[len(wanted) :].decode("utf-8", "replace")
                supervisor = b"up" in words and b"holdfast.cli.main" in words
                found.append(Found(int(directory.name), server, state.split()[0] in "Tt", supervisor))
    return sorted(found, key=lambda each: each.pid)


def of_server(lab_id: str, server: str) -> list[Found]:
    """The living processes of one server."""
    return [each for each in find(lab_id) if each.server == server]


def below(pid: int, server: str) -> list[Found]:
    """The living processes of a supervisor that the lab did not start: itself and all that came of it."""
    parents: dict[int, int] = {}
    states: dict[int, str] = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with contextlib.suppress(OSError):
                text = (directory / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
                state, parent = text.split()[:2]
                parents[int(directory.name)], states[int(directory.name)] = int(parent), state
    found, more = set(), {pid} & parents.keys()
    while more:
        found |= more
        more = {each for each, parent in parents.items() if parent in found} - found
    return [
        Found(each, server, states[each] in "Tt", each == pid)
        for each in sorted(found)
        if states[each] not in "ZX"
    ]


def look_again(look: Callable[[], list[Found]]) -> list[Found]:
    """Look, and once more before believing that nothing is there.

    For a moment, while a process becomes another program (execve(2)), its environment reads as empty.
    """
    found = look()
    if not found:
        time.sleep(_POLL_S)
        found = look()
    return found


def send(processes: Iterable[Found], number: signal.Signals) -> None:
    """Send a signal to each that still lives."""
    for each in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each.pid, number)


def kill(look: Callable[[], list[Found]]) -> int:
    """``kill -9`` everything that ``look`` finds, at one instant, until nothing is left.

    Returns:
        How many processes were killed.

    Raises:
        Unavailable: the kernel does not let one go.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + KILL_TIMEOUT_S
    while processes := look_again(look):
        if time.monotonic() > deadline:
            raise Unavailable(f"process {processes[0].pid} of {processes[0].server} does not end; see ps")
        # All are stopped before the first one dies: none sees it, and the supervisor starts nothing anew.
        send(processes, signal.SIGSTOP)
        send(processes, signal.SIGKILL)
        killed.update(each.pid for each in processes)
        time.sleep(_POLL_S)
    return len(killed)


def stop(look: Callable[[], list[Found]]) -> None:
    """Stop cleanly what ``look`` finds; what does not end in time is killed."""
    processes = look()
    send(processes, signal.SIGCONT)
    send((each for each in processes if each.supervisor), signal.SIGTERM)
    wait_until(lambda: not look(), STOP_TIMEOUT_S)
    kill(look)


def wait_until(fact: Callable[[], bool], timeout_s: float) -> bool:
    """Wait for a fact about other processes, which tell us nothing by themselves.

    Returns:
        Whether it came about in time.
    """
    deadline = time.monotonic() + timeout_s
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def listening(pid: int) -> frozenset[tuple[str, int]]:
    """IPv4 addresses and ports that are listened on in the network of a process, whoever does it."""
    found = set()
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == _LISTEN:
                address, _, port = local.partition(":")
                # The kernel prints the four bytes as one number of this machine's byte order.
                text = socket.inet_ntoa(int(address, 16).to_bytes(4, sys.byteorder))
                found.add((text, int(port, 16)))
    return frozenset(found)
