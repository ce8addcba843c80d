"""The dhcp role as a process: it starts again with what it acknowledged, and ends cleanly."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from dhcp.conversations import Client
from dhcp_service import RELAY, RELAY_OPTION, free_udp_port, organisation, relay, running
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
