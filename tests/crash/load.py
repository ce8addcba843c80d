"""Senders that try every message until it has its 250, as a mail server does, and remember each promise."""

from __future__ import annotations

import random
import socket
import threading

SENDER_COUNT = 4
# Waiting is bounded so that a server that hangs fails the test; it is no measure of speed.
PATIENCE_S = 120


class Load:
    """Senders that never stop, and what they were promised."""

    def __init__(self, port: int, luck: random.Random, recipients: tuple[str, ...]) -> None:
        """Make senders that are not started.

        Args:
            port: the door, on loopback.
            luck: draws sizes, recipients and habits.
            recipients: each message goes to one or two of these.
        """
        self._port = port
        self._recipients = recipients
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
            recipients = luck.sample(self._recipients, luck.randint(1, min(2, len(self._recipients))))
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
