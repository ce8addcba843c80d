"""The sockets of the DHCP server: one for UDP, and one per interface for whole frames.

One datagram socket for all interfaces: the kernel says with each message by
which it came and whether it was sent to us alone. It is emptied without
blocking, up to a batch; what is waiting is then decided and committed together.
Frames are only for clients that have no address yet; all other answers take the
kernel's way, which costs half as much.

Source: ip(7), IP_PKTINFO; packet(7); RFC 2131 section 4.1; docs/decisions/0021.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import cast

from holdfast.dhcp.desk import Arrival
from holdfast.dhcp.replies import Reply, Where
from holdfast.drivers.interfaces import Interface
from holdfast.kernel.errors import Unavailable
from holdfast.wire.dhcp4 import MESSAGE_BYTES_MAX
from holdfast.wire.frames import Datagram, encode_udp_frame

BATCH_COUNT_MAX = 256
_RECEIVE_BUFFER_BYTES = 8 << 20  # what arrives while a commit takes long waits here
_SEND_BUFFER_BYTES = 4 << 20
_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)  # Python names it from 3.12 on
_PKTINFO = struct.Struct("=I4s4s")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_PKTINFO.size)
_ANY_ADDRESS = bytes(4)
# A datagram that finds no receiver is reported to whoever sends or receives next; it is nobody's fault here.
_NOBODYS_FAULT = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN})


# A named tuple's own call takes 0.3 us more.
_new_arrival = cast("Callable[[tuple[object, ...]], Arrival]", partial(tuple.__new__, Arrival))


class DhcpSockets:
    """The open sockets of one server."""

    def __init__(self, port: int, not_sent: Callable[[str, str], None]) -> None:
        """Make none yet.

        Args:
            port: ours, and that of relays; clients listen at the next.
            not_sent: is told the target and the reason of each answer that could not be sent.
        """
        self._port = port
        self._not_sent = not_sent
        self._udp: socket.socket | None = None
        self._raw: dict[int, socket.socket] = {}
        self._interfaces: dict[int, Interface] = {}
        self._names: dict[bytes, str] = {}
        self._own: frozenset[bytes] = frozenset()

    def open(self) -> int:
        """Open the datagram socket; its descriptor, to be watched.

        Raises:
            Unavailable: the port is taken, or we may not have it.
        """
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            udp.setblocking(False)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            udp.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            _enlarge(udp, socket.SO_RCVBUF, 33, _RECEIVE_BUFFER_BYTES)
            _enlarge(udp, socket.SO_SNDBUF, 32, _SEND_BUFFER_BYTES)
            udp.bind(("0.0.0.0", self._port))
        except OSError as error:
            udp.close()
            raise Unavailable(f"cannot listen at UDP port {self._port}: {error.strerror}") from None
        self._udp = udp
        return udp.fileno()

    def move(self, port: int) -> int | None:
        """Close the datagram socket; the next ``open`` is at another port.

        Returns:
            What the descriptor was, None when none was open.
        """
        self._port = port
        udp, self._udp = self._udp, None
        if udp is None:
            return None
        descriptor = udp.fileno()
        udp.close()
        return descriptor

    def follow(self, interfaces: list[Interface]) -> None:
        """Serve on these interfaces."""
        self._interfaces = {each.number: each for each in interfaces}
        self._own = frozenset(address.packed for each in interfaces for address in each.addresses)
        for number in [each for each in self._raw if each not in self._interfaces]:
            self._raw.pop(number).close()

    def receive(self) -> list[Arrival]:
        """Take what waits, up to a batch."""
        udp = self._udp
        assert udp is not None
        arrivals: list[Arrival] = []
        receive, unpack, own = udp.recvmsg, _PKTINFO.unpack, self._own
        while len(arrivals) < BATCH_COUNT_MAX:
            try:
                data, ancillary, _, source = receive(MESSAGE_BYTES_MAX + 1, _ANCILLARY_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in _NOBODYS_FAULT:
                    continue
                raise
            if not ancillary:
                continue
            number, _, target = unpack(ancillary[0][2])
            arrivals.append(
                _new_arrival((data, number, socket.inet_aton(source[0]), target in own, source[1]))
            )
        return arrivals

    def send(self, replies: list[Reply]) -> None:
        """Send answers; what cannot be sent is told and lost: its client asks again."""
        udp = self._udp
        if udp is None:
            return  # the port was changed, and the new one cannot be had yet
        names, port = self._names, self._port
        for reply in replies:
            link, where, address, hardware, data, relay_port = reply
            try:
                if where is Where.RELAY or where is Where.CLIENT:
                    name = names.get(address)
                    if name is None:
                        name = self._name(address)
                    udp.sendto(data, (name, (relay_port or port) if where is Where.RELAY else port + 1))
                elif where is Where.HARDWARE and self._send_frame(link, address, hardware, data):
                    continue
                else:
                    self._broadcast(udp, link, data)
            except BlockingIOError:
                self._not_sent(str(ipaddress.IPv4Address(address)), "the send buffer is full")
            except OSError as error:
                self._not_sent(str(ipaddress.IPv4Address(address)), error.strerror or str(error))

    def _name(self, address: bytes) -> str:
        """An address as the socket wants it; relays are few, and clients come again."""
        if len(self._names) > 4096:
            self._names.clear()
        return self._names.setdefault(address, socket.inet_ntoa(address))

    def _broadcast(self, udp: socket.socket, link: int, data: bytes) -> None:
        interface = self._interfaces.get(link)
        if interface is None:
            raise OSError(errno.ENODEV, "the interface is gone")
        if interface.is_loopback:
            udp.sendto(data, (str(interface.addresses[0]), self._port + 1))  # nothing is broadcast there
            return
        info = _PKTINFO.pack(link, interface.addresses[0].packed, _ANY_ADDRESS)
        udp.sendmsg([data], [(socket.IPPROTO_IP, _IP_PKTINFO, info)], 0, ("255.255.255.255", self._port + 1))

    def _send_frame(self, link: int, address: bytes, hardware: bytes, data: bytes) -> bool:
        """Send a frame to a client without an address; whether that could be done at all."""
        interface = self._interfaces.get(link)
        if interface is None or not interface.mac or interface.is_loopback:
            return False
        raw = self._raw.get(link)
        if raw is None:
            try:
                raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
            except PermissionError:
                return False  # a broadcast reaches the client as well
            raw.bind((interface.name, 0))
            raw.setblocking(False)
            self._raw[link] = raw
        source = interface.addresses[0].packed
        raw.send(
            encode_udp_frame(
                Datagram(interface.mac, hardware, source, address, self._port, self._port + 1, data)
            )
        )
        return True

    def close(self) -> None:
        """Close everything."""
        if self._udp is not None:
            self._udp.close()
        for raw in self._raw.values():
            raw.close()


def _enlarge(udp: socket.socket, option: int, forced: int, size: int) -> None:
    """Give a socket a larger buffer: beyond the system's bound where we may."""
    try:
        udp.setsockopt(socket.SOL_SOCKET, forced, size)  # SO_RCVBUFFORCE, SO_SNDBUFFORCE: socket(7)
    except PermissionError:
        udp.setsockopt(socket.SOL_SOCKET, option, size)
