"""The dhcp role under ``holdfast up``: declared with commands, asked with commands, without a restart."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest

from dhcp.conversations import Client
from dhcp_service import RELAY, RELAY_OPTION, free_udp_port, relay
from holdfast.wire.dhcp4 import Message, encode_message, read_message

pytestmark = pytest.mark.process


def ask(wire: socket.socket, message: Message) -> Message:
    wire.send(encode_message(message))
    return read_message(wire.recv(4096))


def lease_to(wire: socket.socket, number: int) -> str:
    client = Client(number, giaddr=RELAY)
    offer = ask(wire, client.discover(RELAY_OPTION))
    address = str(IPv4Address(offer.yiaddr))
    assert ask(wire, client.select(address, RELAY_OPTION, server=offer.options[54])).yiaddr == offer.yiaddr
    return address


def answers(wire: socket.socket) -> bool:
    """Whether the role listens by now; the first client asks, and is offered the same again."""
    try:
        ask(wire, Client(1, giaddr=RELAY).discover(RELAY_OPTION))
    except (ConnectionRefusedError, TimeoutError):
        return False
    return True


def test_scope_is_declared_leased_looked_at_and_taken_back(server: Any, until: Callable[..., None]) -> None:
    def done(*words: str) -> Any:
        return server.json("dhcp", *words)

    port = free_udp_port()
    done("enable")
    done("set", "--interface", "lo", "--port", str(port), "--yes")
    done(
        "scope", "add", "office", "--subnet", "10.9.0.0/24", "--pool", "10.9.0.10-10.9.0.60", "--relay", RELAY
    )
    done("reservation", "add", "10.9.0.20", "--mac", "02:00:00:00:00:03", "--name", "door")
    until(lambda: server.holdfast("dhcp", "lease", "list").returncode == 0)
    with relay(port) as wire:
        until(lambda: answers(wire))
        addresses = {lease_to(wire, number) for number in (1, 2, 3)}
        assert addresses == {"10.9.0.10", "10.9.0.11", "10.9.0.20"}
        shown = done("scope", "show", "office")
        assert (shown["live"], shown["leased"], shown["free"]) == (True, 3, 48)
        assert [(each["first"], each["last"], each["state"]) for each in shown["ranges"][:2]] == [
            ("10.9.0.10", "10.9.0.11", "leased"),
            ("10.9.0.12", "10.9.0.19", "free"),
        ]
        (row,) = done("scope", "list")["scopes"]
        assert (row["leased"], row["address_count"]) == (3, 51)
        (found,) = done("lease", "find", "02:00:00:00:00:03")["leases"]
        assert (found["address"], found["reserved"]) == ("10.9.0.20", True)
        assert done("lease", "remove", "10.9.0.11", "--yes")["removed"] == ["10.9.0.11"]
        done("reservation", "add", "10.9.0.10", "--from-lease")
        refused = server.holdfast("dhcp", "scope", "disable", "office")
        assert refused.returncode == 1
        assert '2 clients have a lease of scope "office" now' in refused.stderr
        done("scope", "disable", "office", "--yes")
        wire.settimeout(0.5)
        wire.send(encode_message(Client(9, giaddr=RELAY).discover(RELAY_OPTION)))
        with pytest.raises(TimeoutError):
            wire.recv(4096)
