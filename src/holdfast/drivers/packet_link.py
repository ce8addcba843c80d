"""Whole frames of one interface, for who has no address yet: DHCP to a client's port, ICMP, ARP.

The kernel hands over only these: a program in it drops all other frames of a
busy interface before they reach us. It also says when a checksum was left to
hardware that is not there (a sender on the same machine), so that such a frame
is not taken for a broken one.

Source: packet(7), PACKET_AUXDATA; Linux Documentation/networking/filter.rst.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from typing import NamedTuple

from holdfast.drivers.interfaces import Interface
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.wire.frames import (
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    PROTOCOL_ICMP,
    PROTOCOL_UDP,
    Arp,
    Datagram,
    Echo,
    read_arp,
    read_echo_frame,
    read_udp_frame,
)

SERVER_PORT, CLIENT_PORT = 67, 68
BATCH_COUNT_MAX = 256
_FRAME_BYTES_MAX = 9216  # a jumbo frame
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER
_SOL_PACKET, _PACKET_AUXDATA = 263, 8
_AUXDATA = struct.Struct("=IIIHHHH")  # struct tpacket_auxdata
_CHECKSUM_NOT_READY = 1 << 3  # TP_STATUS_CSUMNOTREADY
_INSTRUCTION = struct.Struct("=HBBI")

# Instructions of the kernel's filter (linux/bpf_common.h).
_LOAD_BYTE, _LOAD_HALF, _LOAD_HALF_BEHIND = 0x30, 0x28, 0x48
_LOAD_HEADER_BYTES, _IS_EQUAL, _HAS_BITS, _RETURN = 0xB1, 0x15, 0x45, 0x06
_IPV4_AT = 14
# Each: what, how many to skip when true, when false, operand.
_FILTER = (
    (_LOAD_BYTE, 0, 0, _IPV4_AT + 9),  # the protocol
    (_IS_EQUAL, 6, 0, PROTOCOL_ICMP),
    (_IS_EQUAL, 0, 6, PROTOCOL_UDP),
    (_LOAD_HALF, 0, 0, _IPV4_AT + 6),
    (_HAS_BITS, 4, 0, 0x1FFF),  # a later fragment has no ports
    (_LOAD_HEADER_BYTES, 0, 0, _IPV4_AT),
    (_LOAD_HALF_BEHIND, 0, 0, _IPV4_AT + 2),  # the port it goes to
    (_IS_EQUAL, 0, 1, CLIENT_PORT),
    (_RETURN, 0, 0, 0x40000),
    (_RETURN, 0, 0, 0),
)


class Heard(NamedTuple):
    """What a frame was, and whose.

    Attributes:
        what: a datagram for a client's port, an echo or its reply, or an ARP packet.
        mac: the hardware address of who sent the frame.
    """

    what: Datagram | Echo | Arp
    mac: bytes


class PacketLink:
    """The frames of one interface."""

    def __init__(self, interface: Interface) -> None:
        """Open it.

        Raises:
            Unavailable: we may not, or the interface is gone or switched off.
        """
        self.interface = interface
        self._sockets: list[socket.socket] = []
        try:
            self._ip = self._open(ETHERTYPE_IPV4)
            self._arp = self._open(ETHERTYPE_ARP)
        except OSError as error:
            self.close()
            advice = "; run it as root" if isinstance(error, PermissionError) else ""
            text = f"cannot read and write frames at {interface.name}: {error.strerror}{advice}"
            raise Unavailable(text) from None

    def _open(self, kind: int) -> socket.socket:
        # Without a kind it hears nothing, so nothing slips past the filter.
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._sockets.append(opened)
        opened.setblocking(False)
        if kind == ETHERTYPE_IPV4:
            opened.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
            program = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*each) for each in _FILTER))
            opened.setsockopt(
                socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", len(_FILTER), ctypes.addressof(program))
            )
        opened.bind((self.interface.name, kind))
        return opened

    def descriptors(self) -> list[int]:
        """What to watch."""
        return [each.fileno() for each in self._sockets]

    def send(self, frame: bytes) -> None:
        """Send a frame.

        Raises:
            Unavailable: it cannot be sent now.
        """
        try:
            self._ip.send(frame)
        except OSError as error:
            raise Unavailable(f"cannot send at {self.interface.name}: {error.strerror or error}") from None

    def receive(self) -> list[Heard]:
        """Take what waits, up to a batch; what makes no sense is passed over.

        Raises:
            Unavailable: the interface is gone.
        """
        heard: list[Heard] = []
        try:
            for each in self._sockets:
                self._receive_from(each, heard)
        except OSError as error:
            if not _is_there(self.interface):
                raise Unavailable(f"the interface {self.interface.name} is gone") from None
            # Switched off, it says so once; it is heard again when it is on.
            if error.errno != errno.ENETDOWN:
                raise Unavailable(
                    f"cannot hear at {self.interface.name}: {error.strerror or error}"
                ) from None
        return heard

    def _receive_from(self, source: socket.socket, heard: list[Heard]) -> None:
        for _ in range(BATCH_COUNT_MAX):
            try:
                frame, ancillary, _, _ = source.recvmsg(_FRAME_BYTES_MAX, socket.CMSG_SPACE(_AUXDATA.size))
            except BlockingIOError:
                return
            try:
                what = read_arp(frame) if source is self._arp else _read_ip(frame, ancillary)
            except Refusal:
                continue
            heard.append(Heard(what, frame[6:12]))

    def close(self) -> None:
        """Close everything."""
        for each in self._sockets:
            each.close()


def _is_there(interface: Interface) -> bool:
    try:
        return socket.if_indextoname(interface.number) == interface.name
    except OSError:
        return False


def _read_ip(frame: bytes, ancillary: list[tuple[int, int, bytes]]) -> Datagram | Echo:
    if len(frame) > _IPV4_AT + 9 and frame[_IPV4_AT + 9] == PROTOCOL_ICMP:
        return read_echo_frame(frame)
    status = 0
    for level, kind, data in ancillary:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA) and len(data) >= _AUXDATA.size:
            status = _AUXDATA.unpack_from(data)[0]
    return read_udp_frame(frame, verify=not status & _CHECKSUM_NOT_READY)
