"""Whether somebody uses an address: asked by ARP in a network namespace, and where nobody answers."""

from __future__ import annotations

import asyncio
import time

from drivers.test_dhcp_sockets import in_a_namespace
from holdfast.dhcp.probing import Probe
from holdfast.drivers.address_probe import AddressProber

PROGRAM = """
import asyncio, ipaddress, socket, subprocess
from holdfast.dhcp.probing import Probe
from holdfast.drivers.address_probe import AddressProber
from holdfast.drivers.interfaces import read_interfaces
from holdfast.wire.frames import ARP_REPLY, Arp, encode_arp, read_arp

for words in (
    "link add v0 type veth peer name v1", "addr add 10.0.0.1/24 dev v0", "link set v0 up", "link set v1 up",
):
    subprocess.run(["ip", *words.split()], check=True)
(interface,) = [each for each in read_interfaces() if each.name == "v0"]
there = bytes.fromhex("020000000007")

async def main():
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    wire.bind(("v1", 0))
    wire.setblocking(False)
    asked = []
    def answer():
        arp = read_arp(wire.recv(2000))
        if arp.operation != 1:
            return
        asked.append(arp.target[3])
        if arp.target[3] == 9:
            wire.send(encode_arp(Arp(ARP_REPLY, there, arp.target, arp.sender_mac, bytes(4))))
    asyncio.get_running_loop().add_reader(wire.fileno(), answer)
    found = asyncio.Queue()
    prober = AddressProber(lambda number, in_use: found.put_nowait((number, in_use)), wait_s=0.3)
    prober.follow([interface])
    prober.ask(Probe(1, interface.number, int(ipaddress.IPv4Address("10.0.0.9")), 2))
    prober.ask(Probe(2, interface.number, int(ipaddress.IPv4Address("10.0.0.8")), 2))
    print(await found.get(), await found.get())
    prober.close()
    assert asked.count(8) >= 2, asked

asyncio.run(main())
"""


def test_arp_finds_who_uses_an_address_and_silence_means_nobody() -> None:
    assert in_a_namespace(PROGRAM).strip() == "(1, True) (2, False)"


def test_a_question_always_ends_in_bounded_time() -> None:
    async def main() -> list[tuple[int, bool]]:
        found: asyncio.Queue[tuple[int, bool]] = asyncio.Queue()
        prober = AddressProber(lambda number, in_use: found.put_nowait((number, in_use)), wait_s=0.05)
        # A documentation address on no interface of ours: nobody has it (RFC 5737).
        prober.ask(Probe(1, 0, 0xC0000207, 3))
        answer = await asyncio.wait_for(found.get(), 10)
        prober.close()
        return [answer]

    started = time.monotonic()
    assert asyncio.run(main()) == [(1, False)]
    assert time.monotonic() - started < 5
