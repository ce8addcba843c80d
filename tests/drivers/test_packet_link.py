"""Frames of one interface: what is heard, what the kernel's filter drops, what cannot be opened."""

from __future__ import annotations

import pytest

from drivers.test_dhcp_sockets import in_a_namespace
from holdfast.drivers.interfaces import Interface
from holdfast.drivers.packet_link import PacketLink
from holdfast.kernel.errors import Unavailable

PROGRAM = """
import select, socket, subprocess
from holdfast.drivers.interfaces import find_interface
from holdfast.drivers.packet_link import PacketLink
from holdfast.wire.frames import (
    ARP_REPLY, ICMP_ECHO, Arp, Datagram, Echo, encode_arp, encode_echo_frame, encode_udp_frame,
)

subprocess.run("ip link add v0 type veth peer name v1; ip addr add 10.0.0.1/24 dev v0; "
               "ip link set v0 up; ip link set v1 up", shell=True, check=True)
# Until the kernel has seen that the cable is in, it drops what is sent.
while "state UP" not in subprocess.run("ip link show v0", shell=True, capture_output=True, text=True).stdout:
    pass
link = PacketLink(find_interface("v1"))
mine, theirs = link.interface.mac, find_interface("v0").mac
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
wire.bind(("v0", 0))

SOURCE, TARGET = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))

def datagram(port):
    return encode_udp_frame(Datagram(theirs, mine, SOURCE, TARGET, 67, port, b"to %d" % port))

good = datagram(68)
later_fragment = good[:20] + b"\\x00\\x03" + good[22:]
with_options = good[:14] + b"\\x46" + good[15:34] + bytes(4) + good[34:]
for frame in (
    datagram(67), good, datagram(53), good[:30], later_fragment, with_options, good[:-1] + b"X",
    encode_echo_frame(theirs, mine, Echo(ICMP_ECHO, SOURCE, TARGET, 7, 8, b"x")),
    good[:23] + b"\\x06" + good[24:], encode_arp(Arp(ARP_REPLY, theirs, bytes(4), mine, bytes(4))),
    good[:12] + b"\\x86\\xdd" + good[14:],
):
    wire.send(frame)
# The kernel of the same machine leaves the checksum to hardware that is not there.
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"v0")
udp.sendto(b"from the kernel", ("255.255.255.255", 68))
found = []
while len(found) < 4 and select.select(link.descriptors(), [], [], 10)[0]:
    found += link.receive()
found += link.receive()
# Neither IPv6 nor the kernel's own ARP is of interest here.
print(sorted({type(each.what).__name__ for each in found}))
print([each.what.payload.decode() for each in found if isinstance(each.what, Datagram)])
print(all(each.mac == theirs for each in found))
# The filter itself: what it lets through is counted by the kernel.
received, dropped = __import__("struct").unpack("=II", link._ip.getsockopt(263, 6, 8))
print("passed", received - len([1 for each in found if not isinstance(each.what, Arp)]))
link.send(encode_arp(Arp(ARP_REPLY, mine, bytes(4), theirs, bytes(4))))
"""


def test_what_is_heard_and_what_is_not() -> None:
    lines = in_a_namespace(PROGRAM).splitlines()
    assert lines[0] == "['Arp', 'Datagram', 'Echo']"
    assert lines[1] == "['to 68', 'from the kernel']", (
        "one with a wrong checksum, or for another port, is not"
    )
    assert lines[2] == "True"
    # Two passed the filter and made no sense: one with IPv4 options that are cut off, one with a wrong
    # checksum. The datagrams for other ports, the fragment, TCP and the one cut short never came here.
    assert lines[3] == "passed 2"


def test_an_interface_that_is_gone() -> None:
    with pytest.raises(Unavailable, match=r"^cannot read and write frames at nosuch: "):
        PacketLink(Interface("nosuch", 99, (), b"\x02" * 6))
