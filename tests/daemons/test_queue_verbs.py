"""What an administrator stops stays stopped in a real server, also when its transport role is killed."""

from __future__ import annotations

import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from holdfast.drivers.queue_journal import AT_WORK_FILE

pytestmark = pytest.mark.process
QUEUE = "mailbox:DB01"


class Server(Protocol):
    home: Path
    smtp: int

    def role_pids(self, role: str) -> list[int]: ...
    def json(self, *words: str) -> Any: ...


def send(server: Server, name: str) -> None:
    with smtplib.SMTP("127.0.0.1", server.smtp, timeout=60) as client:
        client.sendmail("a@elsewhere.example", ["alice@example.test"], f"Subject: {name}\r\n\r\nhello\r\n")


def queues(server: Server) -> dict[str, tuple[str, int]]:
    try:
        shown = server.json("queue", "list")
    except subprocess.CalledProcessError:
        return {}
    return {row["queue"]: (row["status"], row["message_count"]) for row in shown["queues"]}


def test_a_hold_outlives_a_kill(server: Server, until: Callable[[Callable[[], bool]], None]) -> None:
    assert server.json("queue", "hold", QUEUE)["done"] == "held"
    for name in ("one", "two", "three"):
        send(server, name)
    assert queues(server) == {QUEUE: ("suspended", 3)}
    assert server.json("queue", "hold", "--message", "1")["message_count"] == 1
    (pid,) = server.role_pids("transport")
    os.kill(pid, signal.SIGKILL)
    until(lambda: queues(server) == {QUEUE: ("suspended", 2), "held": ("suspended", 1)})
    assert server.json("queue", "remove", "--message", "2", "--no-bounce", "--yes")["message_count"] == 1
    shown = server.json("queue", "show", "--message", "1")
    assert (shown["status"], shown["messages"][0]["subject"]) == ("held", "one")
    server.json("queue", "release", "--message", "1")
    server.json("queue", "release", QUEUE)
    until(lambda: server.json("ledger")["queued"] == 0)
    ledger = server.json("ledger")
    assert (ledger["accepted"], ledger["delivered"], ledger["dropped"], ledger["unaccounted"]) == (3, 2, 1, 0)
    status = server.json("status")
    assert (status["queued_message_count"], status["waiting_queue_count"]) == (0, 0)


def test_a_message_over_which_transport_dies_twice_of_a_signal_is_set_aside(
    server: Server, until: Callable[[Callable[[], bool]], None]
) -> None:
    server.json("queue", "hold", QUEUE)
    for name in ("kills", "harmless"):
        send(server, name)
    for _ in range(2):
        until(lambda: queues(server) == {QUEUE: ("suspended", 2)})
        (pid,) = server.role_pids("transport")
        # As if it were looking at the first message just then.
        os.kill(pid, signal.SIGSTOP)
        (server.home / AT_WORK_FILE).write_bytes((1).to_bytes(8, sys.byteorder))
        os.kill(pid, signal.SIGSEGV)
        os.kill(pid, signal.SIGCONT)
        until(lambda before=pid: server.role_pids("transport") not in ([], [before]))
    until(lambda: queues(server) == {QUEUE: ("suspended", 1), "poison": ("suspended", 1)})
    assert server.json("queue", "show", "poison")["messages"][0]["subject"] == "kills"
    server.json("queue", "release", QUEUE)
    until(lambda: server.json("ledger")["delivered"] == 1)
    assert server.json("ledger")["unaccounted"] == 0
