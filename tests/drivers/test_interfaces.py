"""Interfaces, as the kernel tells them."""

from __future__ import annotations

import ipaddress
import struct

import pytest

from drivers.test_dhcp_sockets import in_a_namespace
from holdfast.drivers.interfaces import find_interface, is_up, read_answer, read_interfaces
from holdfast.kernel.errors import Refusal


def test_loopback_is_there() -> None:
    loopback = next(each for each in read_interfaces() if each.name == "lo")
    assert ipaddress.IPv4Address("127.0.0.1") in loopback.addresses
    assert loopback.is_loopback
    assert loopback.number > 0


def address(number: int, *attributes: tuple[int, bytes]) -> bytes:
    body = struct.pack("=BBBBI", 2, 24, 0, 0, number)
    for kind, value in attributes:
        body += struct.pack("=HH", 4 + len(value), kind) + value
    return struct.pack("=IHHII", 16 + len(body), 20, 0, 1, 0) + body


def test_an_answer_of_the_kernel() -> None:
    found: dict[int, list[ipaddress.IPv4Address]] = {}
    data = address(2, (1, b"\x0a\0\0\1"), (2, b"\x0a\0\0\1")) + address(
        2, (2, b"\x0a\0\0\2"), (3, b"eth0\0\0\0\0")
    )
    assert read_answer(data, found)
    assert {number: list(map(str, each)) for number, each in found.items()} == {2: ["10.0.0.1", "10.0.0.2"]}
    assert not read_answer(struct.pack("=IHHII", 20, 3, 0, 1, 0) + bytes(4), found)
    with pytest.raises(OSError, match="does not tell"):
        read_answer(struct.pack("=IHHII", 20, 2, 0, 1, 0) + struct.pack("=i", -1), found)
    assert not read_answer(bytes(16), found)


def test_an_interface_that_cannot_be_asked_on() -> None:
    with pytest.raises(Refusal, match=r'^there is no interface "nosuch"; there are lo'):
        find_interface("nosuch")
    with pytest.raises(Refusal, match=r"^lo is no Ethernet interface"):
        find_interface("lo")


PROGRAM = """
import subprocess
from holdfast.drivers.interfaces import find_interface, is_up

subprocess.run("ip link add v0 address 02:00:00:00:00:07 type veth peer name v1", shell=True, check=True)
print(find_interface("v0").mac.hex(), find_interface("v0").addresses, is_up("v0"))
subprocess.run("ip addr add 10.0.0.9/24 dev v0; ip link set v0 up", shell=True, check=True)
print(*find_interface("v0").addresses, is_up("v0"))
"""


def test_an_interface_without_an_address_and_with_one() -> None:
    assert in_a_namespace(PROGRAM).splitlines() == ["020000000007 () False", "10.0.0.9 True"]


def test_loopback_is_switched_on() -> None:
    assert is_up("lo")
    with pytest.raises(OSError, match="No such device"):
        is_up("nosuch")
