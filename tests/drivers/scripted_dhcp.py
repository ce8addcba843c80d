"""A DHCP server that grants everybody 10.0.0.9, at the far end of a cable; for programs in a namespace."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import subprocess

from dhcp.client_world import answer_to
from holdfast.kernel.errors import Refusal
from holdfast.wire import dhcp4
from holdfast.wire.dhcp4 import encode_message, read_message
from holdfast.wire.frames import (
    ARP_REPLY,
    ARP_REQUEST,
    Arp,
    Datagram,
    encode_arp,
    encode_udp_frame,
    read_arp,
    read_udp_frame,
)

ANSWERS = {dhcp4.DISCOVER: dhcp4.OFFER, dhcp4.REQUEST_LEASE: dhcp4.ACK}


def lay_cable() -> None:
    """A cable from v0, without an address, to v1."""
    command = "ip link add v0 address 02:00:00:00:00:07 type veth peer name v1"
    command += "; ip link set v0 up; ip link set v1 up"
    subprocess.run(command, shell=True, check=True)
    # Until the kernel has seen that the cable is in, it drops what is sent.
    for name in ("v0", "v1"):
        show = ["ip", "link", "show", name]
        while b"state UP" not in subprocess.run(show, capture_output=True, check=True).stdout:
            pass


class ScriptedServer:
    """One server at v1.

    Attributes:
        heard: names of the messages, and whom they were sent to, in order.
        asked: who was asked for by ARP, and by whom.
    """

    def __init__(self, own: str = "10.0.0.1", mac: str = "020000000001", **grants: object) -> None:
        self.address = own
        self.heard: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self._grants = grants
        self._mac = bytes.fromhex(mac)
        self._wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._wire.bind(("v1", 3))
        self._wire.setblocking(False)
        asyncio.get_running_loop().add_reader(self._wire.fileno(), self._read)

    def _read(self) -> None:
        try:
            frame, (_, _, kind, *_) = self._wire.recvfrom(2000)
        except OSError:
            return  # the cable is gone
        if kind == socket.PACKET_OUTGOING:
            return
        try:
            self._answer_arp(read_arp(frame))
        except Refusal:
            try:
                datagram = read_udp_frame(frame)
                if datagram.target_port == 67:
                    self._answer(datagram)
            except Refusal:
                pass

    def _answer_arp(self, arp: Arp) -> None:
        self.asked.append((str(ipaddress.IPv4Address(arp.target)), str(ipaddress.IPv4Address(arp.sender))))
        own = ipaddress.IPv4Address(self.address).packed
        if arp.operation == ARP_REQUEST and arp.target == own:
            self._wire.send(encode_arp(Arp(ARP_REPLY, self._mac, own, arp.sender_mac, arp.sender)))

    def ask_for(self, address: str) -> None:
        """Ask by ARP who has an address."""
        own = ipaddress.IPv4Address(self.address).packed
        packed = ipaddress.IPv4Address(address).packed
        self._wire.send(encode_arp(Arp(ARP_REQUEST, self._mac, own, bytes(6), packed)))

    def _answer(self, datagram: Datagram) -> None:
        message = read_message(datagram.payload)
        kind = message.options[53][0]
        self.heard.append(f"{dhcp4.MESSAGE_NAMES[kind]} to {ipaddress.IPv4Address(datagram.target)}")
        if kind not in ANSWERS:
            return
        answer = encode_message(
            answer_to(datagram.payload, ANSWERS[kind], server=self.address, **self._grants)
        )
        own = ipaddress.IPv4Address(self.address).packed
        target = datagram.source_mac
        self._wire.send(encode_udp_frame(Datagram(self._mac, target, own, b"\xff" * 4, 67, 68, answer)))
