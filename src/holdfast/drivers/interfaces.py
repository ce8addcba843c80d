"""Which network interfaces there are, with their IPv4 addresses, asked of the kernel.

Source: rtnetlink(7), RTM_GETADDR; netlink(7); netdevice(7), SIOCGIFHWADDR.
"""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from dataclasses import dataclass

from holdfast.kernel.errors import Refusal

_GET_ADDRESSES, _NEW_ADDRESS = 22, 20
_DONE, _ERROR = 3, 2
_REQUEST_DUMP = 0x301
_LOCAL_ATTRIBUTE = 2
_HEADER = struct.Struct("=IHHII")
_ADDRESS = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_TIMEOUT_S = 5.0
_GET_HARDWARE = 0x8927  # SIOCGIFHWADDR
_GET_FLAGS = 0x8913  # SIOCGIFFLAGS
_IS_UP = 0x1
_ETHERNET = 1


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface with IPv4.

    Attributes:
        name: for example ``eth0``.
        number: the system's index of it.
        addresses: in the system's order, the main one first.
        mac: six bytes; empty where it is no Ethernet.
    """

    name: str
    number: int
    addresses: tuple[ipaddress.IPv4Address, ...]
    mac: bytes

    @property
    def is_loopback(self) -> bool:
        """Whether it leads nowhere."""
        return all(address.is_loopback for address in self.addresses)


def read_interfaces() -> list[Interface]:
    """Ask for every interface that has an IPv4 address, by number.

    Raises:
        OSError: the kernel does not answer.
    """
    found: dict[int, list[ipaddress.IPv4Address]] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.settimeout(_TIMEOUT_S)
        question = _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)
        head = _HEADER.pack(_HEADER.size + len(question), _GET_ADDRESSES, _REQUEST_DUMP, 1, 0)
        netlink.send(head + question)
        while read_answer(netlink.recv(65536), found):
            pass
    interfaces = []
    for number, addresses in sorted(found.items()):
        try:
            name = socket.if_indextoname(number)
        except OSError:
            continue  # it went away meanwhile
        interfaces.append(Interface(name, number, tuple(addresses), _mac(name)))
    return interfaces


def find_interface(name: str) -> Interface:
    """Find an Ethernet interface, with or without an address.

    Raises:
        Refusal: there is none of this name, or it is no Ethernet.
        OSError: the kernel does not answer.
    """
    names = [each for _, each in socket.if_nameindex()]
    if name not in names:
        raise Refusal(f'there is no interface "{name}"; there are {", ".join(names)}')
    number, mac = socket.if_nametoindex(name), _mac(name)
    if not mac:
        raise Refusal(f"{name} is no Ethernet interface: there is nobody to ask")
    addresses = next((each.addresses for each in read_interfaces() if each.number == number), ())
    return Interface(name, number, addresses, mac)


def is_up(name: str) -> bool:
    """Whether an interface is switched on; not whether a cable is in it.

    Raises:
        OSError: there is none of this name.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket.fileno(), _GET_FLAGS, struct.pack("16s24x", name.encode()[:15]))
    (flags,) = struct.unpack_from("=H", answer, 16)
    return bool(flags & _IS_UP)


def read_answer(data: bytes, found: dict[int, list[ipaddress.IPv4Address]]) -> bool:
    """Read one datagram of the kernel's answer; whether more follow.

    Raises:
        OSError: the kernel says that it cannot answer.
    """
    at = 0
    while at + _HEADER.size <= len(data):
        size, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if kind == _DONE or size < _HEADER.size:
            return False
        if kind == _ERROR:
            (code,) = struct.unpack_from("=i", data, at + _HEADER.size)
            raise OSError(-code, "the kernel does not tell its addresses")
        if kind == _NEW_ADDRESS:
            _read_address(data[at + _HEADER.size : at + size], found)
        at += (size + 3) & ~3
    return True


def _read_address(body: bytes, found: dict[int, list[ipaddress.IPv4Address]]) -> None:
    family, _, _, _, number = _ADDRESS.unpack_from(body)
    at = _ADDRESS.size
    while family == socket.AF_INET and at + _ATTRIBUTE.size <= len(body):
        size, kind = _ATTRIBUTE.unpack_from(body, at)
        if size < _ATTRIBUTE.size:
            return
        if kind == _LOCAL_ATTRIBUTE and size == _ATTRIBUTE.size + 4:
            address = ipaddress.IPv4Address(body[at + _ATTRIBUTE.size : at + size])
            found.setdefault(number, []).append(address)
        at += (size + 3) & ~3


def _mac(name: str) -> bytes:
    """The hardware address of an interface; asked of the kernel, for /sys may show another namespace's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16s24x", name.encode()[:15])
        try:
            answer = fcntl.ioctl(any_socket.fileno(), _GET_HARDWARE, request)
        except OSError:
            return b""
    (kind,) = struct.unpack_from("=H", answer, 16)
    return answer[18:24] if kind == _ETHERNET else b""
