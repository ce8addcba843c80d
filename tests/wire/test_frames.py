"""Frames around DHCP: captured ones, checksums, and any bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire import frames
from holdfast.wire.frames import (
    Arp,
    Datagram,
    Echo,
    arp_announcement,
    arp_probe,
    checksum,
    encode_arp,
    encode_echo,
    encode_echo_frame,
    encode_ipv4_header,
    encode_udp_frame,
    read_arp,
    read_echo,
    read_echo_frame,
    read_udp_frame,
)
from wire.captures import captured, frames_of

US, THEM = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"
DATAGRAM = Datagram(US, THEM, b"\x0a\0\0\x01", b"\x0a\0\0\x09", 67, 68, b"payload")


def test_the_checksum_of_the_standard() -> None:
    # RFC 1071 section 3, the example: the sum is ddf2.
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2
    assert checksum(b"\x01") == checksum(b"\x01\x00")
    assert checksum(b"") == 0xFFFF
    assert checksum(b"\xff\xff") == 0


@given(st.binary(max_size=400))
def test_the_checksum_is_the_sum_of_words(data: bytes) -> None:
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    assert checksum(data) == 0xFFFF - total


@pytest.mark.parametrize("capture", ["wireshark/dhcp.pcap", "zeek/dhcp.pcap"])
def test_captured_frames_are_read(capture: str) -> None:
    for frame in frames_of(captured(capture)):
        found = read_udp_frame(frame, verify=False)
        assert {found.source_port, found.target_port} <= {67, 68}
        assert read_udp_frame(encode_udp_frame(found)) == found


def test_a_frame_is_read_as_it_was_written() -> None:
    frame = encode_udp_frame(DATAGRAM)
    assert read_udp_frame(frame) == DATAGRAM
    assert read_udp_frame(frame + bytes(20)) == DATAGRAM  # Ethernet pads short frames
    tagged = frame[:12] + b"\x81\x00\x00\x07" + frame[12:]
    assert read_udp_frame(tagged) == DATAGRAM


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (13, 0x06, "a frame of type 0x0806"),
        (14, 0x65, "no IPv4 packet"),
        (14, 0x4F, "IPv4 says 35 bytes"),
        (17, 0xFF, "IPv4 says 255 bytes"),
        (20, 0x20, "a fragment"),
        (22, 0x01, "the IPv4 checksum is wrong"),
        (39, 0xFF, "UDP says 255 bytes"),
        (39, 0x01, "UDP says 1 bytes"),
        (45, 0x00, "the UDP checksum is wrong"),
    ],
)
def test_a_broken_frame_is_refused(at: int, value: int, reason: str) -> None:
    frame = bytearray(encode_udp_frame(DATAGRAM))
    frame[at] = value
    with pytest.raises(Refusal, match=reason):
        read_udp_frame(bytes(frame) + bytes(60))


def test_other_protocols_and_cut_frames_are_refused() -> None:
    header = US + THEM + b"\x08\x00" + encode_ipv4_header(b"\x0a\0\0\x01", b"\x0a\0\0\x02", 6, 8)
    with pytest.raises(Refusal, match="IP protocol 6"):
        read_udp_frame(header + bytes(8))
    header = US + THEM + b"\x08\x00" + encode_ipv4_header(b"\x0a\0\0\x01", b"\x0a\0\0\x02", 17, 4)
    with pytest.raises(Refusal, match="UDP header"):
        read_udp_frame(header + bytes(4))
    for size in (0, 10, 17, 30):
        with pytest.raises(Refusal):
            read_udp_frame(encode_udp_frame(DATAGRAM)[:size])


def test_a_datagram_without_checksum_is_taken() -> None:
    frame = bytearray(encode_udp_frame(DATAGRAM))
    frame[40:42] = b"\0\0"
    assert read_udp_frame(bytes(frame)) == DATAGRAM


def test_arp() -> None:
    probe = arp_probe(US, b"\x0a\0\0\x09")
    assert probe[:6] == frames.BROADCAST_MAC
    assert len(probe) == 60
    assert read_arp(probe) == Arp(frames.ARP_REQUEST, US, bytes(4), frames.NO_MAC, b"\x0a\0\0\x09")
    reply = Arp(frames.ARP_REPLY, THEM, b"\x0a\0\0\x09", US, bytes(4))
    assert encode_arp(reply)[:6] == US
    assert read_arp(encode_arp(reply)) == reply
    with pytest.raises(Refusal, match="cut off"):
        read_arp(probe[:40])
    with pytest.raises(Refusal, match="not for IPv4"):
        read_arp(probe[:15] + b"\x06" + probe[16:])


def test_an_announcement_names_the_address_twice() -> None:
    found = read_arp(arp_announcement(US, b"\x0a\0\0\x09"))
    assert found == Arp(frames.ARP_REQUEST, US, b"\x0a\0\0\x09", frames.NO_MAC, b"\x0a\0\0\x09")


def test_an_echo_as_a_frame() -> None:
    echo = Echo(frames.ICMP_ECHO, b"\x0a\0\0\x09", b"\x0a\0\0\x01", 7, 3, b"mark")
    frame = encode_echo_frame(US, THEM, echo)
    assert (frame[:6], frame[6:12]) == (THEM, US)
    assert read_echo_frame(frame) == echo
    with pytest.raises(Refusal, match="a frame of type"):
        read_echo_frame(arp_probe(US, b"\x0a\0\0\x09"))


def test_echo() -> None:
    header = encode_ipv4_header(b"\x0a\0\0\x09", b"\x0a\0\0\x01", 1, 12)
    packet = header + encode_echo(frames.ICMP_ECHO_REPLY, 7, 3, b"mark")
    found = read_echo(packet)
    assert (found.kind, found.source, found.identifier, found.sequence, found.payload) == (
        0, b"\x0a\0\0\x09", 7, 3, b"mark",
    )  # fmt: skip
    for broken in (packet[:-1], packet[:-1] + b"x", packet[:20] + b"\x05" + packet[21:]):
        with pytest.raises(Refusal):
            read_echo(broken)


@pytest.mark.parametrize("read", [read_udp_frame, read_arp, read_echo, read_echo_frame])
@given(data=st.binary(max_size=120), changed=st.tuples(st.integers(0, 50), st.integers(0, 255)))
def test_any_bytes_are_read_or_refused(
    read: Callable[[bytes], object], data: bytes, changed: tuple[int, int]
) -> None:
    near = bytearray(encode_udp_frame(DATAGRAM) if read is read_udp_frame else arp_probe(US, b"\x0a\0\0\x09"))
    near[changed[0] % len(near)] = changed[1]
    for each in (data, bytes(near)):
        try:
            read(each)
        except Refusal:
            continue
