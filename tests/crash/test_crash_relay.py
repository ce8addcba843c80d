"""``kill -9`` while mail leaves: what got its 250 is at the next hop, and twice only where that was said.

The next hop is Postfix's smtp-sink, which writes down every message it takes.
``make crash-test`` runs the long form.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from crash.load import Load

ROLES = ("transport", "transport", "queue_writer", "queue_writer", "management", "supervisor")
RECIPIENTS = ("one@elsewhere.example", "two@elsewhere.example")
SINK = shutil.which("smtp-sink", path=f"{os.environ['PATH']}:/usr/sbin")


class Server(Protocol):
    smtp: int
    home: Path
    log: list[str]

    def start(self) -> None: ...
    def kill(self, role: str) -> None: ...
    def holdfast(self, *words: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def sink(
    tmp_path: Path, free_port: Callable[[], int], until: Callable[[Callable[[], bool]], None]
) -> Iterator[Sink]:
    """A next hop that takes everything."""
    made = Sink(tmp_path, free_port())
    until(made.listens)
    yield made
    made.close()


class Sink:
    """A running smtp-sink."""

    def __init__(self, directory: Path, port: int) -> None:
        assert SINK is not None
        self.port = port
        self._dump = directory / "taken"
        # It wants to be told whose rights to take when it is started by root.
        user = ["-u", "root"] if os.geteuid() == 0 else []
        self._process = subprocess.Popen([SINK, *user, "-D", str(self._dump), f"127.0.0.1:{port}", "100"])

    def listens(self) -> bool:
        """Whether it can be reached."""
        import socket

        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def taken(self) -> Counter[str]:
        """Every message that it took, by name and recipient."""
        found: Counter[str] = Counter()
        recipients: list[str] = []
        for line in self._dump.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("X-Mail-Args:"):
                recipients = []
            elif line.startswith("X-Rcpt-Args:"):
                recipients += re.findall(r"<([^>]*)>", line)
            elif line.startswith("X-Crash: "):
                found.update(f"{line[9:]} {recipient}" for recipient in recipients)
        return found

    def close(self) -> None:
        """Stop it."""
        self._process.kill()
        self._process.wait()


def said_twice(server: Server) -> set[str]:
    """Names of the messages of which the tracking log says that they may be delivered twice."""
    tracked = server.holdfast("message", "track", "--limit", "1000000", "--json")
    assert tracked.returncode == 0, tracked.stderr
    return {
        each["message_id"].strip("<>").partition("@")[0]
        for each in json.loads(tracked.stdout)["rows"]
        if "delivered twice" in json.dumps(each)
    }


@pytest.mark.process
@pytest.mark.skipif(SINK is None, reason="smtp-sink comes with Debian's postfix")
def test_what_got_its_250_is_at_the_next_hop(
    make_server: Callable[[], Server],
    sink: Sink,
    crash_luck: random.Random,
    request: pytest.FixtureRequest,
    until: Callable[[Callable[[], bool]], None],
) -> None:
    server = make_server()
    server.start()
    for words in (
        ("connector", "allow-relay", "crash", "--remote-range", "127.0.0.1"),
        ("connector", "add-send", "out", "--address-space", "*", "--smart-host", "[127.0.0.1]",
         "--port", str(sink.port)),
        ("organisation", "set", "--glitch-retry", "1s"),
    ):  # fmt: skip
        changed = server.holdfast(*words, "--yes")
        assert changed.returncode == 0, changed.stderr
    load = Load(server.smtp, crash_luck, RECIPIENTS)
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

    until(lambda: _queued(server) == 0)
    ledger = json.loads(server.holdfast("ledger", "--json").stdout)
    taken, expected_twice = sink.taken(), said_twice(server)
    lost = [name for name in load.promised if not taken[name]]
    doubled = {name.partition(" ")[0] for name, count in taken.items() if count > 1}
    print(f"{len(load.promised)} promised, {len(doubled)} doubled, {len(expected_twice)} said to be perhaps")
    assert not lost, f"{len(lost)} of {len(load.promised)} lost: {lost[:5]}"
    assert doubled <= expected_twice, f"doubled and not said: {sorted(doubled - expected_twice)[:5]}"
    assert ledger["unaccounted"] == 0, ledger
    assert set(taken) <= load.tried


def _queued(server: Server) -> int:
    answer = server.holdfast("ledger", "--json")
    return json.loads(answer.stdout)["queued"] if answer.returncode == 0 else -1
