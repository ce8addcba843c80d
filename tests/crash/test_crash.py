"""``kill -9`` of any single process at any moment under load: what got its 250 is in one mailbox, once.

Kills happen after a drawn number of further acknowledgements, so under load and
never at a quiet moment. ``make crash-test`` runs the long form.
"""

from __future__ import annotations

import imaplib
import json
import random
import re
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import pytest

ROLES = ("transport", "mailbox", "access", "management", "supervisor")
SENDER_COUNT = 4
RECIPIENTS = ("alice@example.test", "bob@example.test")
# Waiting is bounded so that a server that hangs fails the test; it is no measure of speed.
PATIENCE_S = 120


class Server(Protocol):
    smtp: int
    imap: int
    passwords: dict[str, str]
    log: list[str]

    def start(self) -> None: ...
    def kill(self, role: str) -> None: ...
    def holdfast(self, *words: str) -> subprocess.CompletedProcess[str]: ...


class Load:
    """Senders that never stop, and what they were promised."""

    def __init__(self, port: int, luck: random.Random) -> None:
        self._port = port
        self._luck = luck
        self._stop = threading.Event()
        self._news = threading.Condition()
        self.promised: list[str] = []
        self.tried: set[str] = set()
        self._threads = [
            threading.Thread(target=self._send, args=(number, luck.getrandbits(32)))
            for number in range(SENDER_COUNT)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()

    def wait_for_more(self, count: int) -> None:
        """Wait until this many more messages got their 250."""
        with self._news:
            wanted = len(self.promised) + count
            enough = self._news.wait_for(lambda: len(self.promised) >= wanted, PATIENCE_S)
            assert enough, "nothing gets through"

    def _send(self, sender: int, seed: int) -> None:
        """Send one message after another; each is tried until it has its 250, as an MTA does."""
        luck = random.Random(seed)
        number = 0
        connection: Smtp | None = None
        while not self._stop.is_set():
            number += 1
            name = f"crash-{sender}-{number}"
            recipients = luck.sample(RECIPIENTS, luck.randint(1, 2))
            size = luck.choice((100, 3_000, 60_000))
            for recipient in recipients:
                self.tried.add(f"{name} {recipient}")
            while not self._stop.is_set():
                try:
                    connection = connection or Smtp(self._port)
                    connection.deliver(name, recipients, size)
                except (OSError, ConnectionError):
                    connection = None
                    self._stop.wait(0.02)  # a real sender does not hammer a door that is shut
                    continue
                with self._news:
                    self.promised += [f"{name} {recipient}" for recipient in recipients]
                    self._news.notify_all()
                break
            if luck.random() < 0.2 and connection is not None:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()


class Smtp:
    """As little of an SMTP client as a sender needs, so that nothing hides what the server said."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        try:
            self._replies = self._socket.makefile("rb")
            self._expect(b"220")
            self._say(b"EHLO sender.example", b"250")
        except BaseException:
            self._socket.close()
            raise

    def deliver(self, name: str, recipients: list[str], size: int) -> None:
        try:
            self._say(b"MAIL FROM:<sender@outside.example>", b"250")
            for recipient in recipients:
                self._say(f"RCPT TO:<{recipient}>".encode(), b"250")
            self._say(b"DATA", b"354")
            text = f"Message-ID: <{name}@outside.example>\r\nX-Crash: {name}\r\n\r\n" + "x" * 70 + "\r\n"
            text += ("y" * 70 + "\r\n") * (size // 72)
            self._say(text.encode() + b".", b"250")
        except BaseException:
            self.close()
            raise

    def _say(self, line: bytes, expected: bytes) -> None:
        self._socket.sendall(line + b"\r\n")
        self._expect(expected)

    def _expect(self, expected: bytes) -> None:
        while True:
            line = self._replies.readline()
            if not line.startswith(expected):
                raise ConnectionError(f"expected {expected!r}, got {line!r}")
            if line[3:4] != b"-":
                return

    def close(self) -> None:
        self._replies.close()
        self._socket.close()


def found_in_mailboxes(server: Server) -> Counter[str]:
    """Every message in every mailbox, by name and recipient."""
    found: Counter[str] = Counter()
    for address, password in server.passwords.items():
        with imaplib.IMAP4("127.0.0.1", server.imap) as client:
            client.login(address, password)
            client.select("INBOX", readonly=True)
            _, answer = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (X-CRASH)])")
            for part in answer:
                if isinstance(part, tuple):
                    match = re.search(rb"X-Crash: (\S+)", part[1])
                    assert match, part
                    found[f"{match[1].decode()} {address}"] += 1
    return found


def settled(server: Server) -> bool:
    """Whether the queue is empty; no while management or access is still being started again."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", server.imap)) != 0:
            return False
    answer = server.holdfast("ledger", "--json")
    assert answer.returncode in (0, 3), answer.stderr
    return answer.returncode == 0 and json.loads(answer.stdout)["queued"] == 0


@pytest.mark.process
def test_what_got_its_250_is_in_one_mailbox_once(
    make_server: Callable[[], Server],
    crash_luck: random.Random,
    request: pytest.FixtureRequest,
    until: Callable[[Callable[[], bool]], None],
) -> None:
    server = make_server()
    server.start()
    load = Load(server.smtp, crash_luck)
    load.start()
    try:
        for _ in range(request.config.getoption("--crashes")):
            load.wait_for_more(crash_luck.randint(1, 150))
            role = crash_luck.choice(ROLES)
            server.kill(role)
            if role == "supervisor":
                server.start()
        load.wait_for_more(10)
    finally:
        load.stop()

    until(lambda: settled(server))
    ledger = json.loads(server.holdfast("ledger", "--json").stdout)
    found = found_in_mailboxes(server)
    assert ledger["unaccounted"] in (0, []), ledger
    lost = [name for name in load.promised if not found[name]]
    doubled = [name for name, count in found.items() if count > 1]
    assert not lost, f"{len(lost)} of {len(load.promised)} lost: {lost[:5]}"
    assert not doubled, f"{len(doubled)} of {len(load.promised)} doubled: {doubled[:5]}"
    assert set(found) <= load.tried
