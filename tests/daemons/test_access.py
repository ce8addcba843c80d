"""The access role as a process: it serves without the other roles, and says what it lacks."""

from __future__ import annotations

import imaplib
import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from holdfast.daemons.access import imap_bindings
from holdfast.drivers.role_link import read_organisation

pytestmark = pytest.mark.process


class Role(Protocol):
    process: subprocess.Popen[str]

    def wait_ready(self) -> dict[str, object]: ...


def test_it_listens_where_its_server_says(home: Path) -> None:
    organisation = read_organisation(home)
    found = imap_bindings(organisation, organisation.servers[0])
    assert [each.implicit_tls for each in found] == [False, True]


def test_without_the_mailbox_role_a_client_is_told_to_come_back(
    home: Path, make_role: Callable[..., Role]
) -> None:
    role = make_role("access")
    role.wait_ready()
    bind = read_organisation(home).servers[0].imap[0].bind
    password = json.loads((home / "demo-credentials.json").read_text())["alice@example.test"]
    client = imaplib.IMAP4("127.0.0.1", int(bind.rpartition(":")[2]))
    assert client.login("alice@example.test", password)[0] == "OK"
    assert client.select("INBOX")[0] == "NO"
    role.process.send_signal(signal.SIGTERM)
    assert role.process.wait(60) == 0
    with pytest.raises(imaplib.IMAP4.abort):
        client.noop()
    client.shutdown()
