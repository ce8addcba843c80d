"""Read and write the frames around DHCP: Ethernet, IPv4 with UDP or ICMP, and ARP.

A server sends whole frames to clients that have no address yet, and asks by ARP
or ICMP whether an address is in use; a client sends nothing else until it has
one. Reading takes any bytes or refuses them.

Source: RFC 894; RFC 791 section 3.1; RFC 768; RFC 1071 for the checksum; RFC
826 and RFC 5227 for ARP; RFC 792 for echo.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from holdfast.kernel.errors import Refusal

ETHERTYPE_IPV4, ETHERTYPE_ARP, ETHERTYPE_VLAN = 0x0800, 0x0806, 0x8100
BROADCAST_MAC = b"\xff" * 6
NO_MAC = bytes(6)
PROTOCOL_ICMP, PROTOCOL_UDP = 1, 17
ARP_REQUEST, ARP_REPLY = 1, 2
ICMP_ECHO_REPLY, ICMP_ECHO = 0, 8

_ETHERNET_BYTES = 14
_VLAN_BYTES = 4
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ICMP = struct.Struct("!BBHHH")
_DO_NOT_FRAGMENT = 0x4000
_HOPS = 64


class Datagram(NamedTuple):
    """A UDP datagram with the addresses of its frame; IP addresses are four bytes, MAC addresses six."""

    source_mac: bytes
    target_mac: bytes
    source: bytes
    target: bytes
    source_port: int
    target_port: int
    payload: bytes


class Arp(NamedTuple):
    """An ARP packet for IPv4 on Ethernet."""

    operation: int
    sender_mac: bytes
    sender: bytes
    target_mac: bytes
    target: bytes


class Echo(NamedTuple):
    """An ICMP echo or its reply."""

    kind: int
    source: bytes
    target: bytes
    identifier: int
    sequence: int
    payload: bytes


def checksum(data: bytes) -> int:
    """The Internet checksum of data (RFC 1071).

    The sum of 16-bit words in ones' complement is the remainder by 65535, which
    Python finds for the whole of it at once: 1 µs for 300 bytes.
    """
    if len(data) % 2:
        data += b"\0"
    number = int.from_bytes(data, "big")
    remainder = number % 0xFFFF
    if remainder == 0 and number:
        remainder = 0xFFFF
    return 0xFFFF - remainder


def encode_udp_frame(datagram: Datagram) -> bytes:
    """Write a datagram as an Ethernet frame."""
    udp_bytes = _UDP.size + len(datagram.payload)
    pseudo = datagram.source + datagram.target + struct.pack("!BBH", 0, PROTOCOL_UDP, udp_bytes)
    ports = (datagram.source_port, datagram.target_port, udp_bytes)
    # A sum of 0 would mean that there is none (RFC 768).
    total = checksum(pseudo + _UDP.pack(*ports, 0) + datagram.payload) or 0xFFFF
    return (
        datagram.target_mac
        + datagram.source_mac
        + ETHERTYPE_IPV4.to_bytes(2, "big")
        + encode_ipv4_header(datagram.source, datagram.target, PROTOCOL_UDP, udp_bytes)
        + _UDP.pack(*ports, total)
        + datagram.payload
    )


def encode_ipv4_header(source: bytes, target: bytes, protocol: int, payload_bytes: int) -> bytes:
    """Write an IPv4 header without options."""
    fields = (0x45, 0x10, 20 + payload_bytes, 0, _DO_NOT_FRAGMENT, _HOPS, protocol)
    total = checksum(_IPV4.pack(*fields, 0, source, target))
    return _IPV4.pack(*fields, total, source, target)


def read_udp_frame(frame: bytes, *, verify: bool = True) -> Datagram:
    """Read a datagram out of an Ethernet frame.

    Args:
        frame: from the target's MAC address on.
        verify: whether checksums must be right; those of a frame that was captured where it
            left are often not yet filled in.

    Raises:
        Refusal: it is no UDP over IPv4, is cut off, is a fragment, or a checksum is wrong.
    """
    target_mac, source_mac, packet = _read_ethernet(frame, ETHERTYPE_IPV4)
    protocol, source, target, segment = _read_ipv4(packet, verify)
    if protocol != PROTOCOL_UDP:
        raise Refusal(f"IP protocol {protocol} is not UDP")
    if len(segment) < _UDP.size:
        raise Refusal("a UDP header that is cut off")
    source_port, target_port, udp_bytes, total = _UDP.unpack_from(segment)
    if not _UDP.size <= udp_bytes <= len(segment):
        raise Refusal(f"UDP says {udp_bytes} bytes, the packet has {len(segment)}")
    segment = segment[:udp_bytes]
    pseudo = source + target + struct.pack("!BBH", 0, PROTOCOL_UDP, udp_bytes)
    if verify and total and checksum(pseudo + segment):
        raise Refusal("the UDP checksum is wrong")
    return Datagram(source_mac, target_mac, source, target, source_port, target_port, segment[_UDP.size :])


def encode_arp(arp: Arp) -> bytes:
    """Write an ARP packet as an Ethernet frame: a request to everybody, a reply to its target."""
    target = BROADCAST_MAC if arp.operation == ARP_REQUEST else arp.target_mac
    packet = _ARP.pack(
        1, ETHERTYPE_IPV4, 6, 4, arp.operation, arp.sender_mac, arp.sender, arp.target_mac, arp.target
    )
    return target + arp.sender_mac + ETHERTYPE_ARP.to_bytes(2, "big") + packet.ljust(46, b"\0")


def arp_probe(mac: bytes, address: bytes) -> bytes:
    """Ask who has an address, without telling one of ours (RFC 5227 section 2.1.1)."""
    return encode_arp(Arp(ARP_REQUEST, mac, bytes(4), NO_MAC, address))


def arp_announcement(mac: bytes, address: bytes) -> bytes:
    """Tell everybody that an address is ours (RFC 5227 section 2.3)."""
    return encode_arp(Arp(ARP_REQUEST, mac, address, NO_MAC, address))


def read_arp(frame: bytes) -> Arp:
    """Read an ARP packet.

    Raises:
        Refusal: it is none for IPv4 on Ethernet.
    """
    _, _, packet = _read_ethernet(frame, ETHERTYPE_ARP)
    if len(packet) < _ARP.size:
        raise Refusal("an ARP packet that is cut off")
    hardware, protocol, hardware_bytes, protocol_bytes, *rest = _ARP.unpack_from(packet)
    if (hardware, protocol, hardware_bytes, protocol_bytes) != (1, ETHERTYPE_IPV4, 6, 4):
        raise Refusal("an ARP packet that is not for IPv4 on Ethernet")
    return Arp(*rest)


def encode_echo(kind: int, identifier: int, sequence: int, payload: bytes = b"") -> bytes:
    """Write an ICMP echo, for a socket that writes the IPv4 header itself."""
    total = checksum(_ICMP.pack(kind, 0, 0, identifier, sequence) + payload)
    return _ICMP.pack(kind, 0, total, identifier, sequence) + payload


def encode_echo_frame(source_mac: bytes, target_mac: bytes, echo: Echo) -> bytes:
    """Write an ICMP echo as an Ethernet frame."""
    body = encode_echo(echo.kind, echo.identifier, echo.sequence, echo.payload)
    header = encode_ipv4_header(echo.source, echo.target, PROTOCOL_ICMP, len(body))
    return target_mac + source_mac + ETHERTYPE_IPV4.to_bytes(2, "big") + header + body


def read_echo_frame(frame: bytes) -> Echo:
    """Read an ICMP echo or reply out of an Ethernet frame.

    Raises:
        Refusal: it is none, or a checksum is wrong.
    """
    return read_echo(_read_ethernet(frame, ETHERTYPE_IPV4)[2])


def read_echo(packet: bytes) -> Echo:
    """Read an ICMP echo or reply out of an IPv4 packet.

    Raises:
        Refusal: it is none, or a checksum is wrong.
    """
    protocol, source, target, body = _read_ipv4(packet)
    if protocol != PROTOCOL_ICMP or len(body) < _ICMP.size:
        raise Refusal("no ICMP echo")
    kind, code, _, identifier, sequence = _ICMP.unpack_from(body)
    if kind not in (ICMP_ECHO, ICMP_ECHO_REPLY) or code or checksum(body):
        raise Refusal("no ICMP echo")
    return Echo(kind, source, target, identifier, sequence, body[_ICMP.size :])


def _read_ethernet(frame: bytes, wanted: int) -> tuple[bytes, bytes, bytes]:
    if len(frame) < _ETHERNET_BYTES + _VLAN_BYTES:
        raise Refusal("an Ethernet frame that is cut off")
    at = 12
    kind = int.from_bytes(frame[at : at + 2], "big")
    if kind == ETHERTYPE_VLAN:
        at += _VLAN_BYTES
        kind = int.from_bytes(frame[at : at + 2], "big")
    if kind != wanted:
        raise Refusal(f"a frame of type {kind:#06x}, not {wanted:#06x}")
    return frame[:6], frame[6:12], frame[at + 2 :]


def _read_ipv4(packet: bytes, verify: bool = True) -> tuple[int, bytes, bytes, bytes]:
    """The protocol, source, target and payload of an IPv4 packet."""
    if len(packet) < _IPV4.size or packet[0] >> 4 != 4:
        raise Refusal("no IPv4 packet")
    header_bytes = (packet[0] & 0xF) * 4
    _, _, total_bytes, _, fragment, _, protocol, _, source, target = _IPV4.unpack_from(packet)
    if not _IPV4.size <= header_bytes <= total_bytes <= len(packet):
        raise Refusal(f"IPv4 says {total_bytes} bytes, the frame has {len(packet)}")
    if fragment & 0x3FFF:
        raise Refusal("a fragment of an IPv4 packet")
    if verify and checksum(packet[:header_bytes]):
        raise Refusal("the IPv4 checksum is wrong")
    return protocol, source, target, packet[header_bytes:total_bytes]
