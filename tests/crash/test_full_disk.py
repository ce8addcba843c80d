"""A disk that takes no more: 452 4.3.1 to senders, nothing lost, and it recovers by itself.

Here the kernel refuses to let the transport process write past a file size
(prlimit(2)), which needs no right; ``tests/interop/test_full_disk.py`` fills a
real file system.
"""

from __future__ import annotations

import imaplib
import resource
import smtplib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

ALICE = "alice@example.test"
BIG = "Subject: {}\r\nMessage-ID: <{}@outside.example>\r\n\r\n" + ("x" * 70 + "\r\n") * 8_000


class Server(Protocol):
    home: Path
    smtp: int
    imap: int
    log: list[str]
    passwords: dict[str, str]

    def role_pids(self, role: str) -> list[int]: ...
    def json(self, *words: str) -> dict[str, object]: ...


def send(server: Server, name: str) -> int:
    """Send a message of half a megabyte; returns the code of its last reply."""
    with smtplib.SMTP("127.0.0.1", server.smtp, timeout=60) as client:
        client.helo("sender.example")
        client.mail("sender@outside.example")
        client.rcpt(ALICE)
        code, text = client.data(BIG.format(name, name))
        assert code == 250 or b"4.3.1" in text
        return code


def subjects(server: Server) -> list[bytes]:
    with imaplib.IMAP4("127.0.0.1", server.imap) as client:
        client.login(ALICE, server.passwords[ALICE])
        client.select("INBOX", readonly=True)
        _, answer = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        return sorted(part[1].split()[1] for part in answer if isinstance(part, tuple))


@pytest.mark.process
def test_a_full_disk_refuses_for_now_and_recovers(
    server: Server, until: Callable[[Callable[[], bool]], None]
) -> None:
    assert send(server, "before") == 250
    transport = server.role_pids("transport")
    (pid,) = server.role_pids("queue_writer")
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    # Far less than one message: no commit of one fits, wherever in its log SQLite begins to write.
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (100_000, limits[1]))
    assert [send(server, f"full-{number}") for number in range(10)] == [452] * 10
    resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
    assert send(server, "after") == 250
    taken = ["before", "after"]
    assert server.role_pids("transport") == transport, "it went on without a restart"
    assert server.role_pids("queue_writer") == [pid]
    until(lambda: server.json("ledger")["queued"] == 0)
    assert subjects(server) == sorted(name.encode() for name in taken)
    assert server.json("ledger")["unaccounted"] == 0
