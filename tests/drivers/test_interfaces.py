"""Interfaces, as the kernel tells them."""

from __future__ import annotations

import ipaddress
import struct

import pytest

from holdfast.drivers.interfaces import read_answer, read_interfaces


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
