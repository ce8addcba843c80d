"""A real dhcp role on loopback, and clients behind a relay of ours: no root, no network, ports of their own.

The relay has 127.0.0.2; the scope names it, for its address lies in no subnet. It asks
for answers at its own port (RFC 8357), so that nobody needs port 67.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from dhcp.conversations import scope
from holdfast.directory.dhcp import DhcpServer
from holdfast.directory.model import Organisation, Role, Server, Site
from holdfast.directory.plan import plan_change
from holdfast.drivers.role_link import DIRECTORY_FILE
from holdfast.drivers.sqlite_directory import DirectoryStore
from ports import free_ports

RELAY = "127.0.0.2"
RELAY_OPTION = {82: b"\x13\x00"}  # sub-option 19: answer where this came from
PATIENCE_S = 60.0


def free_udp_port() -> int:
    """A port that is free now at all addresses, by TCP too."""
    return free_ports(1, "0.0.0.0")[0]


def organisation(port: int, *, pool: str = "10.0.1.0-10.0.16.255", **more: object) -> Organisation:
    """One server on loopback with one scope behind the relay; ``more`` changes the scope."""
    served = scope("office", "10.0.0.0/16", pool, relays=(IPv4Address(RELAY),), **more)
    return Organisation(
        name="Example",
        sites=(Site("here"),),
        servers=(Server("ns1", "ns1.example.test", "here", roles=(Role.DHCP,), metrics=""),),
        dhcp_servers=(DhcpServer("ns1", interfaces=("lo",), port=port),),
        scopes=(served,),
    )


def declare(home: Path, wanted: Organisation) -> None:
    """Make this the organisation of a home."""
    (home / "run").mkdir(parents=True, exist_ok=True)
    store = DirectoryStore.open(home / DIRECTORY_FILE, writable=True)
    try:
        before = store.read()
        store.apply(
            plan_change(before, replace(wanted, revision=before.revision)), who="test", why="", at=0.0
        )
    finally:
        store.close()


class RunningRole:
    """One process of the dhcp role."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        read_ready, write_ready = os.pipe()
        try:
            with (self.home / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    [
                        sys.executable, "-m", "holdfast.daemons.dhcp", "--home", str(self.home),
                        "--server", "ns1", "--ready-fd", str(write_ready),
                    ],
                    stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=(write_ready,),
                )  # fmt: skip
        finally:
            os.close(write_ready)
        with os.fdopen(read_ready, "rb") as ready:
            assert ready.readline(), self.log()

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self._reap()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def _reap(self) -> int:
        assert self.process is not None
        assert self.process.stdin is not None
        code = self.process.wait(PATIENCE_S)
        self.process.stdin.close()
        self.process = None
        return code

    def log(self) -> str:
        return (self.home / "log").read_text("utf-8", "replace")


@contextmanager
def running(home: Path, wanted: Organisation) -> Iterator[RunningRole]:
    """A role that serves an organisation, killed at the end."""
    declare(home, wanted)
    role = RunningRole(home)
    role.start()
    try:
        yield role
    finally:
        if role.process is not None:
            role.kill()


@contextmanager
def relay(port: int, timeout_s: float = 5.0) -> Iterator[socket.socket]:
    """The socket of a relay, connected to the server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind((RELAY, 0))
        made.connect(("127.0.0.1", port))
        made.settimeout(timeout_s)
        yield made
