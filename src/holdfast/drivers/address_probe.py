"""Ask whether somebody uses an address: by ARP on the wire of the client, by ICMP also behind a relay.

Source: RFC 5227 section 2.1.1; RFC 2131 section 2.2; packet(7); icmp(7).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from holdfast.dhcp.probing import Probe
from holdfast.drivers.interfaces import Interface
from holdfast.kernel.errors import Refusal
from holdfast.wire.frames import ETHERTYPE_ARP, ICMP_ECHO, arp_probe, encode_echo, read_arp, read_echo

WAIT_S = 0.4  # per question; a client's own patience is four seconds (RFC 2131 section 4.1)
_FRAME_BYTES_MAX = 2048


class AddressProber:
    """The questions that are open."""

    def __init__(self, answered: Callable[[int, bool], None], *, wait_s: float = WAIT_S) -> None:
        """Ask nothing yet.

        Args:
            answered: is told the number of a question, and whether the address is in use.
            wait_s: how long an answer is waited for, per question.
        """
        self._answered = answered
        self._wait_s = wait_s
        self._open: dict[int, Probe] = {}
        self._by_address: dict[bytes, int] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._interfaces: dict[int, Interface] = {}
        self._arp: dict[int, socket.socket] = {}
        self._icmp: socket.socket | None = None
        self._identifier = os.getpid() & 0xFFFF

    def follow(self, interfaces: list[Interface]) -> None:
        """Know the interfaces."""
        self._interfaces = {each.number: each for each in interfaces}
        for number in [each for each in self._arp if each not in self._interfaces]:
            self._forget_socket(self._arp.pop(number))

    def ask(self, probe: Probe) -> None:
        """Ask for an address."""
        self._open[probe.number] = probe
        self._by_address[probe.address.to_bytes(4, "big")] = probe.number
        self._ask_once(probe.number, probe.times)

    def _ask_once(self, number: int, left: int) -> None:
        probe = self._open.get(number)
        if probe is None:
            return
        if left == 0:
            self._close_question(number, in_use=False)
            return
        address = probe.address.to_bytes(4, "big")
        try:
            arp = self._arp_socket(probe.link)
            if arp is not None:
                arp.send(arp_probe(self._interfaces[probe.link].mac, address))
            icmp = self._icmp_socket()
            if icmp is not None:
                icmp.sendto(
                    encode_echo(ICMP_ECHO, self._identifier, number & 0xFFFF), (socket.inet_ntoa(address), 0)
                )
        except OSError:
            pass  # nobody there is what it most often means, and what is assumed
        self._timers[number] = asyncio.get_running_loop().call_later(
            self._wait_s, self._ask_once, number, left - 1
        )

    def _close_question(self, number: int, *, in_use: bool) -> None:
        probe = self._open.pop(number)
        self._by_address.pop(probe.address.to_bytes(4, "big"), None)
        timer = self._timers.pop(number, None)
        if timer is not None:
            timer.cancel()
        self._answered(number, in_use)

    def _heard(self, address: bytes) -> None:
        number = self._by_address.get(address)
        if number is not None:
            self._close_question(number, in_use=True)

    def _arp_socket(self, link: int) -> socket.socket | None:
        interface = self._interfaces.get(link)
        if interface is None or not interface.mac or interface.is_loopback:
            return None
        if link not in self._arp:
            try:
                arp = socket.socket(
                    socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.htons(ETHERTYPE_ARP)
                )
            except PermissionError:
                return None
            arp.bind((interface.name, ETHERTYPE_ARP))
            arp.setblocking(False)
            self._arp[link] = arp
            asyncio.get_running_loop().add_reader(arp.fileno(), self._read_arp, arp)
        return self._arp[link]

    def _icmp_socket(self) -> socket.socket | None:
        if self._icmp is None:
            try:
                icmp = socket.socket(
                    socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_ICMP
                )
            except PermissionError:
                return None
            icmp.setblocking(False)
            self._icmp = icmp
            asyncio.get_running_loop().add_reader(icmp.fileno(), self._read_icmp, icmp)
        return self._icmp

    def _read_arp(self, arp: socket.socket) -> None:
        for data in _waiting(arp):
            try:
                self._heard(read_arp(data).sender)
            except Refusal:
                continue

    def _read_icmp(self, icmp: socket.socket) -> None:
        for data in _waiting(icmp):
            try:
                echo = read_echo(data)
            except Refusal:
                continue
            if echo.kind != ICMP_ECHO:
                self._heard(echo.source)

    def _forget_socket(self, each: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(each.fileno())
        each.close()

    def close(self) -> None:
        """Ask no more."""
        for timer in self._timers.values():
            timer.cancel()
        for each in (*self._arp.values(), *(() if self._icmp is None else (self._icmp,))):
            self._forget_socket(each)


def _waiting(source: socket.socket) -> list[bytes]:
    """What waits at a socket, up to a batch."""
    found: list[bytes] = []
    while len(found) < 256:
        try:
            found.append(source.recv(_FRAME_BYTES_MAX))
        except (BlockingIOError, OSError):
            break
    return found
