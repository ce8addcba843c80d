"""The dhcp role as a process: it starts again with what it acknowledged, and ends cleanly."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Protocol

import pytest

from dhcp.conversations import Client
from dhcp_service import RELAY, RELAY_OPTION, free_udp_port, organisation, relay, running
from holdfast.directory.model import Role
from holdfast.directory.toml_format import write_organisation
from holdfast.drivers.role_link import read_organisation
from holdfast.wire.dhcp4 import ACK, Message, encode_message, read_message

pytestmark = pytest.mark.process


def ask(wire: socket.socket, message: Message) -> Message:
    wire.send(encode_message(message))
    return read_message(wire.recv(4096))


def test_a_lease_outlives_a_kill(tmp_path: Path) -> None:
    port = free_udp_port()
    client = Client(1, giaddr=RELAY)
    with running(tmp_path, organisation(port)) as role, relay(port) as wire:
        offer = ask(wire, client.discover(RELAY_OPTION))
        address = str(IPv4Address(offer.yiaddr))
        ack = ask(wire, client.select(address, RELAY_OPTION, server=offer.options[54]))
        assert ack.options[53] == bytes((ACK,))
        role.kill()
        role.start()
        again = ask(wire, client.renew(address, RELAY_OPTION))
        assert (again.options[53], again.yiaddr) == (bytes((ACK,)), ack.yiaddr)
        assert role.stop() == 0
    assert '"lease_count":1' in role.log()
    assert "DRV-0105" not in role.log(), "no error of our own"
    assert not (tmp_path / "leases.sqlite-wal").exists()


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    import sqlite3

    from dhcp_service import RunningRole, declare
    from holdfast.drivers.sqlite_leases import LeaseStore

    declare(tmp_path, organisation(free_udp_port()))
    LeaseStore.open(tmp_path / "leases.sqlite").close()
    connection = sqlite3.connect(tmp_path / "leases.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    role = RunningRole(tmp_path)
    with pytest.raises(AssertionError):
        role.start()
    assert role.process is not None
    assert role.process.stdin is not None
    assert role.process.wait(30) == 78
    role.process.stdin.close()
    assert "version 99" in role.log()


class Server(Protocol):
    home: Path

    def json(self, *words: str) -> Any: ...
    def holdfast(self, *words: str) -> subprocess.CompletedProcess[str]: ...


def test_verbs_about_leases_ask_the_role(
    server: Server, tmp_path: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    port = free_udp_port()
    before = read_organisation(server.home)
    ours = before.servers[0]
    wanted = organisation(port)
    changed = replace(
        before,
        servers=(replace(ours, roles=(*ours.roles, Role.DHCP)),),
        dhcp_servers=(replace(wanted.dhcp_servers[0], server=ours.name),),
        scopes=(replace(wanted.scopes[0], server=ours.name),),
    )
    path = tmp_path / "organisation.toml"
    path.write_text(write_organisation(changed), encoding="utf-8")
    imported = server.holdfast("organisation", "import", str(path), "--yes")
    assert imported.returncode == 0, imported.stderr

    def serves() -> bool:
        roles = {each["role"]: each for each in server.json("status")["roles"]}
        return "dhcp" in roles and roles["dhcp"]["ports"] == f"127.0.0.1:{port}"

    until(serves)
    client = Client(1, giaddr=RELAY)
    with relay(port) as wire:
        offer = ask(wire, client.discover(RELAY_OPTION))
        ask(wire, client.select("10.0.1.0", RELAY_OPTION | {12: b"printer"}, server=offer.options[54]))
    (lease,) = server.json("dhcp", "lease", "list")["leases"]
    assert (lease["address"], lease["state"], lease["host_name"]) == ("10.0.1.0", "active", "printer")
    assert server.json("dhcp", "lease", "find", "02:00:00:00:00:01")["leases"] == [lease]
    shown = server.holdfast("dhcp", "scope", "show", "office")
    assert shown.returncode == 0, shown.stderr
    removed = server.holdfast("dhcp", "lease", "remove", "10.0.1.0", "--yes")
    assert removed.returncode == 0, removed.stderr
    assert server.json("dhcp", "lease", "list")["leases"] == []
