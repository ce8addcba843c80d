"""Many datagrams with one system call: what comes out is what went in, whatever was there before."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from holdfast.drivers.datagrams import SEGMENT_COUNT_MAX, ManyDatagrams, send_alike

ANCILLARY_BYTES = socket.CMSG_SPACE(12)  # IP_PKTINFO
IP_PKTINFO = 8


@pytest.fixture
def here() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        wire.bind(("127.0.0.1", 0))
        wire.settimeout(5)
        yield wire


@pytest.fixture
def there() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.2", 0))
        wire.settimeout(5)
        yield wire


def room(count: int = 4, bytes_max: int = 100) -> ManyDatagrams:
    return ManyDatagrams(count, bytes_max=bytes_max, ancillary_bytes=ANCILLARY_BYTES)


def test_each_comes_whole_in_order_and_says_its_way(here: socket.socket, there: socket.socket) -> None:
    sent = [b"", b"x" * 99, b"short", b"\0" * 50, b"fifth"]
    for each in sent:
        there.sendto(each, here.getsockname())
    many = room()
    found = many.receive(here.fileno())
    assert [data for _, data in found] == sent[:4]
    assert [data for _, data in many.receive(here.fileno())] == sent[4:]
    with pytest.raises(BlockingIOError):
        many.receive(here.fileno())
    ways = {way for way, _ in found}
    assert len(ways) == 1  # nothing of an earlier datagram is in it
    port, source = struct.unpack_from("!2xH4s", ways.pop())
    assert (source, port) == (b"\x7f\0\0\2", there.getsockname()[1])


def test_what_is_longer_is_cut(here: socket.socket, there: socket.socket) -> None:
    there.sendto(b"y" * 101, here.getsockname())
    there.sendto(b"next", here.getsockname())
    assert [data for _, data in room().receive(here.fileno())] == [b"y" * 100, b"next"]


def test_one_that_does_not_say_its_way_is_left_out(here: socket.socket, there: socket.socket) -> None:
    many = room()
    there.sendto(b"told", here.getsockname())
    assert len(many.receive(here.fileno())) == 1
    here.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 0)
    there.sendto(b"untold", here.getsockname())
    assert many.receive(here.fileno()) == []


def test_a_socket_that_is_gone_is_said(there: socket.socket) -> None:
    descriptor = there.fileno()
    there.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        room().receive(descriptor)


def test_those_of_one_size_leave_together_and_arrive_each(here: socket.socket, there: socket.socket) -> None:
    datagrams = [b"%03d" % number + bytes(297) for number in range(SEGMENT_COUNT_MAX)]
    assert send_alike(here, datagrams, there.getsockname())
    assert [there.recv(4096) for _ in datagrams] == datagrams


def test_what_cannot_leave_together_is_left_to_the_caller(here: socket.socket, there: socket.socket) -> None:
    there.settimeout(0)
    # More than a datagram holds, and more than the kernel cuts up.
    assert not send_alike(here, [bytes(1100)] * 60, there.getsockname())
    assert not send_alike(here, [b"x"] * 1000, there.getsockname())
    with pytest.raises(BlockingIOError):
        there.recv(4096)


def test_a_target_that_cannot_be_reached_is_said(here: socket.socket) -> None:
    with pytest.raises(OSError, match="Permission denied"):
        send_alike(here, [b"x", b"y"], ("255.255.255.255", 68))  # a broadcast that was not asked for
