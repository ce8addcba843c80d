"""A mailbox database that is put back to an earlier copy gets what it lacks by itself, in a real server."""

from __future__ import annotations

import imaplib
import shutil
import smtplib
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

pytestmark = pytest.mark.process


class Server(Protocol):
    smtp: int
    imap: int
    home: Path
    passwords: dict[str, str]

    def start(self) -> None: ...
    def stop(self) -> int: ...
    def json(self, *words: str) -> Any: ...


def send(server: Server, numbers: range) -> None:
    with smtplib.SMTP("127.0.0.1", server.smtp, timeout=60) as client:
        for number in numbers:
            text = f"Subject: letter {number}\r\n\r\nhello\r\n"
            client.sendmail("a@elsewhere.example", ["alice@example.test"], text)


def subjects(server: Server) -> Counter[str]:
    with imaplib.IMAP4("127.0.0.1", server.imap) as client:
        client.login("alice@example.test", server.passwords["alice@example.test"])
        client.select("INBOX", readonly=True)
        _, answer = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        texts = [part[1].decode().strip() for part in answer if isinstance(part, tuple)]
        return Counter(each.removeprefix("Subject: ") for each in texts)


def all_there_once(server: Server, count: int) -> bool:
    try:
        return subjects(server) == {f"letter {number}": 1 for number in range(count)}
    except (OSError, imaplib.IMAP4.error):
        return False


def delivered(server: Server) -> bool:
    try:
        return bool(server.json("ledger")["queued"] == 0)
    except subprocess.CalledProcessError:
        return False


def test_a_restored_database_has_every_message_once(
    server: Server, tmp_path: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    send(server, range(10))
    until(lambda: delivered(server))
    server.stop()
    copy = tmp_path / "copy"
    shutil.copytree(server.home / "mailbox", copy)
    server.start()
    send(server, range(10, 20))
    until(lambda: delivered(server))
    assert all_there_once(server, 20)
    server.stop()
    shutil.rmtree(server.home / "mailbox")
    shutil.copytree(copy, server.home / "mailbox")
    server.start()
    until(lambda: all_there_once(server, 20))
    until(lambda: delivered(server))
    shown = server.json("safety-net", "show")
    assert shown["message_count"] == 20
    (row,) = shown["resubmissions"]
    assert (row["asked_by"], row["resubmitted_message_count"]) == ("the database", 10)
    # Nothing is missing any more, and nothing comes twice.
    done = server.json("safety-net", "resubmit", "--database", "DB01", "--since", "1h")
    assert (done["looked_at_message_count"], done["resubmitted_message_count"]) == (20, 0)
    assert all_there_once(server, 20)
    ledger = server.json("ledger")
    assert (ledger["delivered"], ledger["unaccounted"]) == (30, 0)
