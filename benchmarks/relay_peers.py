"""Servers that take mail and hand it on, and the sink that they hand it to.

Postfix runs with its durable defaults: the queue file is synced before 250 (what is
set besides is what ``peers`` says, the relay host, and a certificate so that it offers
STARTTLS as we do). Its concurrency is its default of 20 connections to one destination.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

from harness import seconds_of
from peers import Holdfast, Postfix, free_ports, wait_for_port

SENDER = "load@outside.example"
RECIPIENT = "somebody@elsewhere.example"
_PATIENCE_S = 300.0
_LOOK_S = 0.005
_PATH = f"{os.environ['PATH']}:/usr/sbin"


def postfix_program(name: str) -> str:
    """The path of a program of Debian's postfix package."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise SystemExit(f"{name} is not installed; it comes with Debian's postfix package")
    return found


class Sink:
    """Postfix's smtp-sink, and how many messages it has taken."""

    def __init__(self) -> None:
        self.port = free_ports(1)[0]
        self.message_count = 0
        self._process = subprocess.Popen(
            [postfix_program("smtp-sink"), "-u", "nobody", "-c", f"127.0.0.1:{self.port}", "200"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()
        wait_for_port(self.port)

    def _read(self) -> None:
        # It writes "sess=1 quit=0 mesg=7" and a carriage return whenever a figure changes.
        assert self._process.stdout is not None
        rest = b""
        while piece := os.read(self._process.stdout.fileno(), 65536):
            *whole, rest = (rest + piece).split(b"\r")
            if whole:
                self.message_count = int(whole[-1].rpartition(b"mesg=")[2])

    def close(self) -> None:
        """Stop it."""
        self._process.kill()
        self._process.wait()


class Relay(Protocol):
    """A server that relays to its sink, or keeps what it takes while it is told to."""

    name: str
    address: str
    port: int
    sink: Sink

    def keep(self) -> None:
        """Hand nothing on from now on."""

    def empty(self) -> None:
        """Forget all that is kept."""

    def hand_on(self) -> None:
        """Hand on what comes from now on."""

    def close(self) -> None:
        """Stop."""


class HoldfastRelay(Holdfast):
    """Ourselves with a smart host."""

    def __init__(self, directory: Path) -> None:
        self.sink = Sink()
        super().__init__(directory)
        self._command("connector", "allow-relay", "bench", "--remote-range", "127.0.0.1", "--yes")
        self._command(
            "connector", "add-send", "out", "--address-space", "*", "--smart-host", "[127.0.0.1]",
            "--port", str(self.sink.port), "--yes",
        )  # fmt: skip

    def _command(self, *words: str) -> None:
        words = (sys.executable, "-m", "holdfast.cli.main", "--home", str(self.home), *words)
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise SystemExit(f"{' '.join(words)} failed: {result.stdout}{result.stderr}")

    def keep(self) -> None:
        """Hand nothing on from now on."""
        self._command("queue", "hold", "smart-host:out")

    def empty(self) -> None:
        """Forget all that is kept."""
        self._command("queue", "remove", "smart-host:out", "--no-bounce", "--yes")

    def hand_on(self) -> None:
        """Hand on what comes from now on."""
        self._command("queue", "release", "smart-host:out")

    def close(self) -> None:
        """Stop."""
        super().close()
        self.sink.close()


class PostfixRelay(Postfix):
    """Postfix with a relay host."""

    def __init__(self, directory: Path) -> None:
        self.sink = Sink()
        self._certificate = self._make_certificate(directory)
        super().__init__(directory)

    def _make_certificate(self, directory: Path) -> Path:
        path = directory / "postfix.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-subj", "/CN=bench.example.test", "-keyout", str(path), "-out", str(path) + ".crt"],
            check=True, capture_output=True,
        )  # fmt: skip
        path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
        return path

    def _more_settings(self, directory: Path, owner: int) -> dict[str, object]:
        return {
            "relayhost": f"[127.0.0.1]:{self.sink.port}",
            "smtpd_tls_security_level": "may",
            "smtpd_tls_chain_files": self._certificate,
        }

    def keep(self) -> None:
        """Hand nothing on from now on: new mail goes to the deferred queue."""
        self._set("defer_transports = smtp relay")

    def empty(self) -> None:
        """Forget all that is kept."""
        words = [postfix_program("postsuper"), "-c", str(self._configuration), "-d", "ALL"]
        subprocess.run(words, check=True, capture_output=True, env={**os.environ, "PATH": _PATH})

    def hand_on(self) -> None:
        """Hand on what comes from now on."""
        self._set("defer_transports =")

    def _set(self, line: str) -> None:
        main = self._configuration / "main.cf"
        kept = [each for each in main.read_text().splitlines() if not each.startswith("defer_transports")]
        main.write_text("\n".join((*kept, line, "")))
        self._run("reload")

    def close(self) -> None:
        """Stop."""
        super().close()
        self.sink.close()


class Aiosmtpd:
    """aiosmtpd with a maildir that is synced before the 250 (``aiosmtpd_maildir``)."""

    name = "aiosmtpd"
    address = "127.0.0.1"

    def __init__(self, directory: Path) -> None:
        self.port = free_ports(1)[0]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{self.port}",
             "-c", "aiosmtpd_maildir.SyncedMailbox", str(directory / "aiosmtpd")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        )  # fmt: skip
        wait_for_port(self.port)

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(30)


Load = tuple[int, int, int, bool]


def send(port: int, load: Load, host: str = "127.0.0.1", recipient: str = RECIPIENT) -> float:
    """Send messages with smtp-source; seconds until the last 250."""
    sessions, size, count, lasting = load
    words = [postfix_program("smtp-source"), "-s", str(sessions), "-m", str(count), "-l", str(size)]
    words += ["-f", SENDER, "-t", recipient, f"{host}:{port}"]
    if lasting:
        words.insert(1, "-d")
    return seconds_of(words, _PATIENCE_S)


def relay_on(server: Relay, load: Load) -> float:
    """Messages per second, from the first connection to the last message at the sink."""
    count = load[2]
    wanted = server.sink.message_count + count
    started = time.monotonic()
    send(server.port, load, server.address)
    while server.sink.message_count < wanted:
        if time.monotonic() - started > _PATIENCE_S:
            missing = wanted - server.sink.message_count
            raise SystemExit(f"{server.name} did not hand on {missing} of {count} messages")
        time.sleep(_LOOK_S)
    return count / (time.monotonic() - started)


def accept_only(server: Relay, load: Load) -> float:
    """Messages per second into the durable queue, while nothing is handed on."""
    server.keep()
    try:
        return load[2] / send(server.port, load, server.address)
    finally:
        server.empty()
        server.hand_on()


def first_messages(server: Relay) -> None:
    """Hand on a few, so that every server has the queue that it is to keep later."""
    relay_on(server, (1, 1000, 5, True))


def accept_into_maildir(server: Aiosmtpd, load: Load) -> float:
    """Messages per second into the synced maildir."""
    return load[2] / send(server.port, load, server.address)
