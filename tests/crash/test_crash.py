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
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import pytest

from crash.load import Load

ROLES = ("transport", "queue_writer", "mailbox", "access", "management", "supervisor")
RECIPIENTS = ("alice@example.test", "bob@example.test")


class Server(Protocol):
    smtp: int
    imap: int
    passwords: dict[str, str]
    log: list[str]

    def start(self) -> None: ...
    def kill(self, role: str) -> None: ...
    def holdfast(self, *words: str) -> subprocess.CompletedProcess[str]: ...


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

    until(lambda: settled(server))
    ledger = json.loads(server.holdfast("ledger", "--json").stdout)
    found = found_in_mailboxes(server)
    assert ledger["unaccounted"] in (0, []), ledger
    lost = [name for name in load.promised if not found[name]]
    doubled = [name for name, count in found.items() if count > 1]
    assert not lost, f"{len(lost)} of {len(load.promised)} lost: {lost[:5]}"
    assert not doubled, f"{len(doubled)} of {len(load.promised)} doubled: {doubled[:5]}"
    assert set(found) <= load.tried
