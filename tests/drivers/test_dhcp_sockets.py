"""The sockets of the DHCP server: on loopback, and with frames in a network namespace of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys

import pytest

from dhcp_service import free_udp_port
from holdfast.dhcp.replies import Reply, Where
from holdfast.drivers.dhcp_sockets import DhcpSockets
from holdfast.drivers.interfaces import read_interfaces
from holdfast.kernel.errors import Unavailable

LOOPBACK = next(each for each in read_interfaces() if each.name == "lo")


def opened(port: int, lost: list[tuple[str, str]]) -> DhcpSockets:
    sockets = DhcpSockets(port, lambda target, reason: lost.append((target, reason)))
    sockets.open()
    sockets.follow([LOOPBACK])
    return sockets


def test_what_waits_is_taken_in_one_batch_and_answered_where_it_belongs() -> None:
    port = free_udp_port()
    lost: list[tuple[str, str]] = []
    sockets = opened(port, lost)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as relay,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        relay.bind(("127.0.0.2", 0))
        client.bind(("127.0.0.1", port + 1))
        for each in (relay, client):
            each.settimeout(5)
        for number in range(3):
            relay.sendto(b"%d" % number, ("127.0.0.1", port))
        arrivals = sockets.receive()
        assert [each.data for each in arrivals] == [b"0", b"1", b"2"]
        first = arrivals[0]
        assert (first.link, first.source, first.unicast) == (LOOPBACK.number, b"\x7f\0\0\2", True)
        assert first.port == relay.getsockname()[1]
        assert sockets.receive() == []
        here = b"\x7f\0\0\1"
        sockets.send(
            [
                Reply(1, Where.RELAY, b"\x7f\0\0\2", b"", b"to the relay", first.port),
                Reply(1, Where.CLIENT, here, b"", b"to the client"),
                Reply(LOOPBACK.number, Where.EVERYBODY, b"\xff" * 4, b"", b"to everybody"),
                Reply(LOOPBACK.number, Where.HARDWARE, here, b"\2" * 6, b"to a MAC"),
                Reply(99, Where.EVERYBODY, b"\xff" * 4, b"", b"nowhere"),
            ]
        )
        assert relay.recv(99) == b"to the relay"
        assert [client.recv(99) for _ in range(3)] == [b"to the client", b"to everybody", b"to a MAC"]
    assert lost == [("255.255.255.255", "the interface is gone")]
    sockets.close()


def test_many_answers_of_several_sizes_to_two_relays_arrive_each() -> None:
    port = free_udp_port()
    lost: list[tuple[str, str]] = []
    sockets = opened(port, lost)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        replies, wanted = [], {}
        for relay, host in ((one, 2), (other, 3)):
            relay.bind((f"127.0.0.{host}", 0))
            at = relay.getsockname()[1]
            relay.settimeout(5)
            # The last ones are too large to leave together on an Ethernet.
            answers = [
                b"%d" % number + bytes(300 + number % 2 + number // 100 * 1900) for number in range(110)
            ]
            wanted[relay] = sorted(answers)
            replies += [
                Reply(1, Where.RELAY, b"\x7f\0\0" + bytes((host,)), b"", each, at) for each in answers
            ]
        sockets.send(replies)
        for relay, answers in wanted.items():
            assert sorted(relay.recv(4096) for _ in answers) == answers
    assert lost == []
    sockets.close()


def test_nobody_at_the_other_end_is_nobodys_fault() -> None:
    port = free_udp_port()
    sockets = opened(port, [])
    for _ in range(3):
        sockets.send([Reply(1, Where.CLIENT, b"\x7f\0\0\1", b"", b"x")])
        assert sockets.receive() == []
    sockets.close()


def test_a_port_that_is_taken() -> None:
    port = free_udp_port()
    sockets = opened(port, [])
    with pytest.raises(Unavailable, match=f"cannot listen at UDP port {port}: Address already in use"):
        opened(port, [])
    sockets.close()


FRAMES = """
import ipaddress, socket, subprocess
from holdfast.dhcp.replies import Reply, Where
from holdfast.drivers.dhcp_sockets import DhcpSockets
from holdfast.drivers.interfaces import read_interfaces
from holdfast.wire.frames import read_udp_frame

for words in (
    "link add v0 type veth peer name v1", "addr add 10.0.0.1/24 dev v0", "link set v0 up", "link set v1 up",
):
    subprocess.run(["ip", *words.split()], check=True)
(interface,) = [each for each in read_interfaces() if each.name == "v0"]
lost = []
sockets = DhcpSockets(67, lambda *what: lost.append(what))
sockets.open()
sockets.follow([interface])
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
wire.bind(("v1", 0))
wire.settimeout(10)
client = bytes.fromhex("020000000007")
sockets.send([
    Reply(interface.number, Where.HARDWARE, ipaddress.IPv4Address("10.0.0.9").packed, client, b"offer"),
    Reply(interface.number, Where.EVERYBODY, b"\\xff" * 4, b"", b"refusal"),
])
for _ in range(2):
    found = read_udp_frame(wire.recv(2000), verify=False)
    assert found.source_mac == interface.mac
    print(found.target_mac.hex(), ipaddress.IPv4Address(found.source), ipaddress.IPv4Address(found.target),
          found.source_port, found.target_port, found.payload.decode())
assert lost == [], lost
"""


def in_a_namespace(program: str) -> str:
    """Run a program in a network namespace of its own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("network namespaces need root, unshare and ip")
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_client_without_address_gets_a_frame() -> None:
    assert in_a_namespace(FRAMES).splitlines() == [
        "020000000007 10.0.0.1 10.0.0.9 67 68 offer",
        "ffffffffffff 10.0.0.1 255.255.255.255 67 68 refusal",
    ]


UNREACHABLE = """
from holdfast.dhcp.replies import Reply, Where
from holdfast.drivers.dhcp_sockets import DhcpSockets

sockets = DhcpSockets(67, print)
sockets.open()
sockets.send([Reply(1, Where.RELAY, bytes((10, 0, 0, 9)), b"", data) for data in (b"one", b"two", b"three")])
"""


def test_each_answer_that_cannot_leave_is_said() -> None:
    assert in_a_namespace(UNREACHABLE).splitlines() == ["10.0.0.9 Network is unreachable"] * 3
