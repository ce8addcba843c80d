"""Scapy and we read each other's frames alike: DHCP with its options, ARP, ICMP echo, checksums."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from ipaddress import IPv4Address
from typing import Any

import pytest

from dhcp.client_world import MAC, answer_to, remembered
from holdfast.dhcp import client_messages as messages
from holdfast.dhcp.client_lease import read_grant
from holdfast.dhcp.client_messages import Attempt, Identity
from holdfast.wire import dhcp4
from holdfast.wire import dhcp4_values as values
from holdfast.wire.dhcp4 import Message, encode_message, read_message
from holdfast.wire.frames import (
    ARP_REPLY,
    ARP_REQUEST,
    BROADCAST_MAC,
    ICMP_ECHO,
    NO_MAC,
    Arp,
    Datagram,
    Echo,
    arp_announcement,
    arp_probe,
    encode_arp,
    encode_echo_frame,
    encode_udp_frame,
    read_arp,
    read_echo_frame,
    read_udp_frame,
)

pytestmark = [pytest.mark.interop]

# Debian's python3-scapy is there for Debian's Python alone.
PYTHON = "/usr/bin/python3"
# Reads {"read": frames} and tells what is in them; makes the frames that {"make": …} describes.
ORACLE = """
import json, sys
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether

def plain(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value if isinstance(value, (int, str, type(None))) else str(value)

def fields(packet, layer, names):
    return {name: plain(getattr(packet[layer], name)) for name in names.split()}

def read(frame):
    packet = Ether(frame)
    found = {"Ether": fields(packet, Ether, "src dst type")}
    if ARP in packet:
        found["ARP"] = fields(packet, ARP, "hwtype ptype hwlen plen op hwsrc psrc hwdst pdst")
        return found
    found["IP"] = fields(packet, IP, "src dst proto ttl len")
    # Scapy writes lengths and checksums anew: what was there must come out.
    again = packet.copy()
    del again[IP].chksum, again[IP].len
    if UDP in packet:
        del again[UDP].chksum, again[UDP].len
        found["UDP"] = fields(packet, UDP, "sport dport len")
        found["BOOTP"] = fields(
            packet, BOOTP, "op htype hlen hops xid secs flags ciaddr yiaddr siaddr giaddr chaddr sname file")
        options = [each for each in packet[DHCP].options if isinstance(each, tuple)]
        found["DHCP"] = {str(each[0]): plain(each[1:]) for each in options}
    else:
        del again[ICMP].chksum
        found["ICMP"] = fields(packet, ICMP, "type code id seq")
    found["same again"] = bytes(again) == frame
    return found

def make(wanted):
    packet = Ether(**wanted["Ether"])
    if "ARP" in wanted:
        return packet / ARP(**wanted["ARP"])
    packet = packet / IP(**wanted["IP"])
    if "ICMP" in wanted:
        return packet / ICMP(**wanted["ICMP"]) / bytes.fromhex(wanted["payload"])
    bootp = dict(wanted["BOOTP"], chaddr=bytes.fromhex(wanted["BOOTP"]["chaddr"]))
    options = []
    for name, value in wanted["DHCP"]:
        if isinstance(value, str) and value.startswith("hex:"):
            value = bytes.fromhex(value[4:])
        options.append((name, *value) if isinstance(value, list) else (name, value))
    return packet / UDP(**wanted["UDP"]) / BOOTP(**bootp) / DHCP(options=[*options, "end"])

asked = json.load(sys.stdin)
json.dump({
    "read": [read(bytes.fromhex(each)) for each in asked["read"]],
    "made": [bytes(make(each)).hex() for each in asked["make"]],
}, sys.stdout)
"""


@pytest.fixture(scope="module", autouse=True)
def _scapy_is_there() -> None:
    there = shutil.which(PYTHON) is not None and (
        subprocess.run([PYTHON, "-c", "import scapy"], capture_output=True, check=False).returncode == 0
    )
    if not there:
        assert not os.environ.get("HOLDFAST_PEERS_REQUIRED"), "python3-scapy is not installed"
        pytest.skip("python3-scapy is not installed")


def ask(*, read: tuple[bytes, ...] = (), make: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    question = json.dumps({"read": [each.hex() for each in read], "make": make})
    done = subprocess.run(
        [PYTHON, "-c", ORACLE], input=question, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


US, THEM = "02:00:00:00:00:07", "02:00:00:00:00:01"
THEIR_MAC = bytes.fromhex(THEM.replace(":", ""))
OWN, SERVER = "10.0.0.9", "10.0.0.1"
NOBODY, EVERYBODY = "0.0.0.0", "255.255.255.255"
ANY_MAC, NO_MAC_TEXT = "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"
IDENTITY = Identity(MAC, b"\x01" + MAC, b"pc7", b"MSFT 5.0", b"\x03lab", broadcast=True)
ATTEMPT = Attempt(b"\x12\x34\x56\x78", 4112)
LEASE = remembered()


def framed(data: bytes, source: str = NOBODY, target: str = EVERYBODY) -> bytes:
    packed = [IPv4Address(each).packed for each in (source, target)]
    return encode_udp_frame(Datagram(MAC, BROADCAST_MAC, *packed, 68, 67, data))


# What we send, and what of it scapy must tell.
SENT = {
    "DISCOVER": (
        messages.discover(IDENTITY, ATTEMPT, LEASE.address), NOBODY,
        {
            "message-type": [1], "client_id": ["01020000000007"], "requested_addr": [OWN],
            "hostname": ["706337"], "max_dhcp_size": [1500], "vendor_class_id": [b"MSFT 5.0".hex()],
            "user_class": [b"\x03lab".hex()],
            "param_req_list": [list(messages.ASKED_FOR)],
        },
    ),
    "REQUEST": (
        messages.select(IDENTITY, ATTEMPT, LEASE), NOBODY,
        {"message-type": [3], "requested_addr": [OWN], "server_id": [SERVER]},
    ),
    "REQUEST for more": (messages.extend(IDENTITY, ATTEMPT, LEASE.address), OWN, {"message-type": [3]}),
    "DECLINE": (
        messages.decline(IDENTITY, ATTEMPT.xid, LEASE), NOBODY,
        {
            "message-type": [4], "requested_addr": [OWN], "server_id": [SERVER],
            "error_message": [b"somebody else answers ARP for it".hex()],
        },
    ),
    "RELEASE": (
        messages.release(IDENTITY, ATTEMPT.xid, LEASE), OWN, {"message-type": [7], "server_id": [SERVER]},
    ),
    "INFORM": (messages.inform(IDENTITY, ATTEMPT, LEASE.address), OWN, {"message-type": [8]}),
}  # fmt: skip


@pytest.fixture(scope="module")
def told() -> dict[str, dict[str, Any]]:
    """What scapy says of each of our messages."""
    found = ask(read=tuple(framed(data, source) for data, source, _ in SENT.values()))["read"]
    return dict(zip(SENT, found, strict=True))


@pytest.mark.parametrize("name", SENT)
def test_scapy_reads_what_a_client_of_ours_sends(name: str, told: dict[str, dict[str, Any]]) -> None:
    data, source, options = SENT[name]
    found, message = told[name], read_message(data)
    assert found["Ether"] == {"src": US, "dst": ANY_MAC, "type": 0x0800}
    assert (found["IP"]["src"], found["IP"]["dst"], found["IP"]["proto"]) == (source, EVERYBODY, 17)
    assert found["UDP"] == {"sport": 68, "dport": 67, "len": 8 + len(data)}
    bootp = found["BOOTP"]
    assert (bootp["op"], bootp["htype"], bootp["hlen"], bootp["hops"]) == (1, 1, 6, 0)
    assert (bootp["xid"], bootp["secs"]) == (0x12345678, message.secs)
    assert (bootp["ciaddr"], bootp["yiaddr"]) == (str(IPv4Address(message.ciaddr)), NOBODY)
    assert bytes.fromhex(bootp["chaddr"])[:6] == MAC
    assert bootp["flags"] == ("B" if message.flags else "")
    assert found["DHCP"].items() >= options.items()
    assert found["DHCP"]["client_id"] == ["01020000000007"]
    assert found["same again"], "a length or a checksum is wrong"


def test_scapy_reads_what_a_server_of_ours_sends() -> None:
    question = messages.discover(IDENTITY, ATTEMPT, None)
    more = {
        values.DNS_SERVERS: bytes((10, 0, 0, 53, 10, 0, 0, 54)),
        values.DOMAIN_NAME: b"example.test",
        values.RENEWAL_TIME: b"\0\0\x07\x08",
        values.REBINDING_TIME: b"\0\0\x0c\x4e",
    }
    answer = encode_message(answer_to(question, dhcp4.OFFER, lease_s=3600, options=more))
    packed = [IPv4Address(each).packed for each in (SERVER, OWN)]
    (found,) = ask(read=(encode_udp_frame(Datagram(THEIR_MAC, MAC, *packed, 67, 68, answer)),))["read"]
    assert found["same again"]
    assert (found["BOOTP"]["op"], found["BOOTP"]["yiaddr"]) == (2, OWN)
    assert found["DHCP"].items() >= {
        "message-type": [2], "server_id": [SERVER], "lease_time": [3600], "subnet_mask": ["255.255.255.0"],
        "router": ["10.0.0.254"], "name_server": ["10.0.0.53", "10.0.0.54"],
        "domain": [b"example.test".hex()], "renewal_time": [1800], "rebinding_time": [3150],
    }.items()  # fmt: skip


def test_scapy_reads_our_arp_and_echo() -> None:
    own, server = IPv4Address(OWN).packed, IPv4Address(SERVER).packed
    frames = (
        arp_probe(MAC, own),
        arp_announcement(MAC, own),
        encode_arp(Arp(ARP_REPLY, MAC, own, THEIR_MAC, server)),
        encode_echo_frame(MAC, THEIR_MAC, Echo(ICMP_ECHO, own, server, 7, 3, b"mark")),
    )
    probe, announcement, reply, echo = ask(read=frames)["read"]
    head = {"hwtype": 1, "ptype": 0x0800, "hwlen": 6, "plen": 4}
    request = head | {"op": 1, "hwsrc": US, "hwdst": NO_MAC_TEXT, "pdst": OWN}
    assert probe["ARP"] == request | {"psrc": NOBODY}
    assert announcement["ARP"] == request | {"psrc": OWN}
    assert reply["ARP"] == head | {"op": 2, "hwsrc": US, "psrc": OWN, "hwdst": THEM, "pdst": SERVER}
    assert [each["Ether"]["dst"] for each in (probe, announcement, reply)] == [ANY_MAC, ANY_MAC, THEM]
    assert echo["ICMP"] == {"type": 8, "code": 0, "id": 7, "seq": 3}
    assert echo["same again"]


def test_we_read_what_scapy_sends() -> None:
    ether = {"src": THEM, "dst": US}
    offer = {
        "Ether": ether,
        "IP": {"src": SERVER, "dst": OWN},
        "UDP": {"sport": 67, "dport": 68},
        "BOOTP": {
            "op": 2, "xid": 0x12345678, "secs": 3, "flags": 0x8000, "yiaddr": OWN, "siaddr": "10.0.0.2",
            "giaddr": "10.0.0.3", "chaddr": MAC.hex(),
        },
        "DHCP": [
            ["message-type", "offer"], ["server_id", SERVER], ["lease_time", 3600],
            ["subnet_mask", "255.255.255.0"], ["router", ["10.0.0.254", "10.0.0.253"]],
            ["name_server", ["10.0.0.53"]], ["domain", "hex:" + b"example.test".hex()], ["renewal_time", 100],
            ["rebinding_time", 200],
        ],
    }  # fmt: skip
    request = {"op": 1, "hwsrc": THEM, "psrc": SERVER, "hwdst": NO_MAC_TEXT, "pdst": OWN}
    ping = {
        "Ether": ether,
        "IP": {"src": SERVER, "dst": OWN},
        "ICMP": {"type": 0, "id": 7, "seq": 3},
        "payload": "6d61",
    }
    made = ask(make=(offer, {"Ether": ether, "ARP": request}, ping))["made"]
    frame, arp, echo = (bytes.fromhex(each) for each in made)

    datagram = read_udp_frame(frame)
    assert datagram[:6] == (THEIR_MAC, MAC, IPv4Address(SERVER).packed, IPv4Address(OWN).packed, 67, 68)
    message = read_message(datagram.payload)
    expected = Message(
        op=2, hardware_type=1, hardware=MAC, hops=0, xid=ATTEMPT.xid, secs=3, flags=0x8000, ciaddr=bytes(4),
        yiaddr=IPv4Address(OWN).packed, siaddr=b"\x0a\0\0\2", giaddr=b"\x0a\0\0\3", sname=b"", file=b"",
        options=message.options,
    )  # fmt: skip
    assert message == expected
    lease = read_grant(message, 0.0)
    assert (str(lease.address), lease.prefix_bits, str(lease.server)) == (OWN, 24, SERVER)
    assert [str(each) for each in lease.routers] == ["10.0.0.254", "10.0.0.253"]
    assert ([str(each) for each in lease.dns_servers], lease.domain) == (["10.0.0.53"], "example.test")
    assert (lease.renew_at, lease.rebind_at, lease.ends_at) == (100, 200, 3600)

    assert read_arp(arp) == Arp(
        ARP_REQUEST, THEIR_MAC, IPv4Address(SERVER).packed, NO_MAC, IPv4Address(OWN).packed
    )
    assert read_echo_frame(echo) == Echo(0, IPv4Address(SERVER).packed, IPv4Address(OWN).packed, 7, 3, b"ma")
