"""The transport role as a process: where it listens, and what a clean stop finishes."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from holdfast.daemons.transport import smtp_bindings
from holdfast.drivers.role_link import read_organisation

pytestmark = pytest.mark.process


class Role(Protocol):
    process: subprocess.Popen[str]

    def wait_ready(self) -> dict[str, object]: ...


def test_it_listens_where_its_connectors_say(home: Path) -> None:
    organisation = read_organisation(home)
    found = smtp_bindings(organisation, organisation.servers[0])
    assert len(found) == 3
    assert [each.implicit_tls for each in found] == [False, False, True]
    assert smtp_bindings(organisation, replace(organisation.servers[0], name="another")) == {}
    first, *others = organisation.receive_connectors
    closed = replace(organisation, receive_connectors=(replace(first, enabled=False), *others))
    assert list(smtp_bindings(closed, organisation.servers[0])) == list(found)[1:]


def test_a_clean_stop_finishes_the_message_that_is_being_received(
    home: Path, make_role: Callable[..., Role]
) -> None:
    role = make_role("transport")
    role.wait_ready()
    port = int(read_organisation(home).receive_connectors[0].bindings[0].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        replies = client.makefile("rb")
        with replies:
            assert replies.readline().startswith(b"220")
            for line in (b"HELO client.example", b"MAIL FROM:<a@b.example>", b"RCPT TO:<alice@example.test>"):
                client.sendall(line + b"\r\n")
                assert replies.readline().startswith(b"250")
            client.sendall(b"DATA\r\n")
            assert replies.readline().startswith(b"354")
            client.sendall(b"Subject: half\r\n")
            role.process.send_signal(signal.SIGTERM)
            wait_until_refused(port)
            client.sendall(b"\r\nother half\r\n.\r\n")
            # Nobody answers for the mailbox database, so the message stays in the queue.
            assert replies.readline().startswith(b"250")
            assert replies.readline().startswith(b"421")
    assert role.process.wait(60) == 0
    with closing(sqlite3.connect(home / "queue.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM message").fetchone() == (1,)


def wait_until_refused(port: int) -> None:
    """Until the role takes no more connections: each try asks the kernel, so this does not spin long."""
    for _ in range(100_000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
    raise AssertionError("still listening")
