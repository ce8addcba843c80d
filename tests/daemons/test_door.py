"""A role with a door follows the organisation: ports open and close without a restart."""

from __future__ import annotations

import smtplib
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from ports import free_ports

pytestmark = pytest.mark.process


class Server(Protocol):
    home: Path
    smtp: int

    def holdfast(self, *words: str) -> subprocess.CompletedProcess[str]: ...


def test_a_connector_moves_to_another_port_while_its_clients_go_on(
    server: Server, tmp_path: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    from holdfast.directory.toml_format import write_organisation
    from holdfast.drivers.role_link import read_organisation

    organisation = read_organisation(server.home)
    (port,) = free_ports(1)
    first, *others = organisation.receive_connectors
    moved = replace(first, bindings=(f"127.0.0.1:{port}",))
    path = tmp_path / "organisation.toml"
    path.write_text(
        write_organisation(replace(organisation, receive_connectors=(moved, *others))), encoding="utf-8"
    )
    with smtplib.SMTP("127.0.0.1", server.smtp) as client:
        imported = server.holdfast("organisation", "import", str(path), "--yes")
        assert imported.returncode == 0, imported.stderr
        until(lambda: answers(port) and not answers(server.smtp))
        assert client.noop()[0] == 250
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail("a@outside.example", "alice@example.test", "Subject: moved\r\n\r\n")


def test_a_door_is_open_when_the_command_returns_or_it_says_why_not(server: Server) -> None:
    (port,) = free_ports(1)
    added = server.holdfast("connector", "add-receive", "second", "--binding", f"127.0.0.1:{port}")
    assert answers(port)
    assert (added.returncode, added.stderr) == (0, "")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        added = server.holdfast("connector", "add-receive", "third", "--binding", taken)
        why = f"cannot listen on {taken}: the port is in use by process"
        assert f'receive connector "third" is not open at {taken}: {why}' in added.stderr
        assert why in server.holdfast("connector", "show", "third").stdout
        assert why in server.holdfast("status").stdout


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
