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

from holdfast.dhcp.desk import Arrival
from holdfast.dhcp.replies import Reply, Where
from holdfast.drivers.datagrams import SEGMENT_COUNT_MAX, ManyDatagrams, send_alike
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
# How ``ManyDatagrams`` says where a datagram came from: sockaddr_in (port, address), and behind its header
# IP_PKTINFO (interface, address).
_WAY = struct.Struct(f"=2x2s4s8x{socket.CMSG_LEN(0)}xI4x4s")
_ROOM_COUNT = 64
_KEPT_COUNT_MAX = 4096  # relays are few; clients with an address of their own come seldom
# A datagram that finds no receiver is reported to whoever sends or receives next; it is nobody's fault here.
_NOBODYS_FAULT = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN})


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
        self._ways: dict[bytes, tuple[int, bytes, bool, int]] = {}
        self._own: frozenset[bytes] = frozenset()
        self._room = ManyDatagrams(
            _ROOM_COUNT, bytes_max=MESSAGE_BYTES_MAX + 1, ancillary_bytes=_ANCILLARY_BYTES
        )

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
        self._ways = {}
        for number in [each for each in self._raw if each not in self._interfaces]:
            self._raw.pop(number).close()

    def receive(self) -> list[Arrival]:
        """Take what waits, up to a batch."""
        udp = self._udp
        assert udp is not None
        arrivals: list[Arrival] = []
        ways, room = self._ways, self._room
        while len(arrivals) < BATCH_COUNT_MAX:
            try:
                found = room.receive(udp.fileno())
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in _NOBODYS_FAULT:
                    continue
                raise
            for way, data in found:
                link, source, unicast, port = ways.get(way) or self._read_way(way)
                arrivals.append(Arrival(data, link, source, unicast, port))
            if len(found) < _ROOM_COUNT:
                break
        return arrivals

    def _read_way(self, way: bytes) -> tuple[int, bytes, bool, int]:
        """By which way a datagram came: interface, sender, whether to us alone, port; of relays kept."""
        port, source, number, target = _WAY.unpack_from(way)
        if len(self._ways) >= _KEPT_COUNT_MAX:
            self._ways.clear()
        found = self._ways[way] = (number, source, target in self._own, int.from_bytes(port, "big"))
        return found

    def send(self, replies: list[Reply]) -> None:
        """Send answers; what cannot be sent is told and lost: its client asks again."""
        if self._udp is None:
            return  # the port was changed, and the new one cannot be had yet
        by_relay: dict[tuple[bytes, int, int], list[bytes]] = {}
        for reply in replies:
            if reply.where is Where.RELAY:
                by_relay.setdefault((reply.address, reply.port, len(reply.data)), []).append(reply.data)
                continue
            try:
                self._send_one(self._udp, reply)
            except OSError as error:
                self._lost(reply.address, error)
        for (address, relay_port, _), datagrams in by_relay.items():
            target = (self._name(address), relay_port or self._port)
            for at in range(0, len(datagrams), SEGMENT_COUNT_MAX):
                self._send_together(self._udp, target, address, datagrams[at : at + SEGMENT_COUNT_MAX])

    def _send_together(
        self, udp: socket.socket, target: tuple[str, int], address: bytes, datagrams: list[bytes]
    ) -> None:
        """Send answers of one size to one relay."""
        try:
            if len(datagrams) > 1 and send_alike(udp, datagrams, target):
                return
        except OSError as error:
            for _ in datagrams:
                self._lost(address, error)
            return
        for each in datagrams:
            try:
                udp.sendto(each, target)
            except OSError as error:
                self._lost(address, error)

    def _send_one(self, udp: socket.socket, reply: Reply) -> None:
        """Send an answer to a client of our own wires."""
        if reply.where is Where.CLIENT:
            udp.sendto(reply.data, (self._name(reply.address), self._port + 1))
        elif reply.where is not Where.HARDWARE or not self._send_frame(reply):
            self._broadcast(udp, reply.link, reply.data)

    def _lost(self, address: bytes, error: OSError) -> None:
        reason = "the send buffer is full" if isinstance(error, BlockingIOError) else error.strerror
        self._not_sent(str(ipaddress.IPv4Address(address)), reason or str(error))

    def _name(self, address: bytes) -> str:
        """An address as the socket wants it; relays are few, and clients come again."""
        if len(self._names) > _KEPT_COUNT_MAX:
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

    def _send_frame(self, reply: Reply) -> bool:
        """Send a frame to a client without an address; whether that could be done at all."""
        link = reply.link
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
                Datagram(
                    interface.mac,
                    reply.hardware,
                    source,
                    reply.address,
                    self._port,
                    self._port + 1,
                    reply.data,
                )
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
