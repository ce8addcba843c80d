"""Which addresses DNS may not lead to."""

from __future__ import annotations

import csv
import ipaddress
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.transport.special_purpose import address_of, canonical_address, special_purpose

ROOT = Path(__file__).parent.parent.parent
CONFORMANCE = (ROOT / os.environ.get("HOLDFAST_CONFORMANCE", "../shared/conformance")).resolve() / "ip"
# The registry lists these, and says that they are globally reachable (RFC 7450, RFC 7534, RFC 7535).
REACHABLE = {"192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24"}


@pytest.mark.skipif(not CONFORMANCE.is_dir(), reason=f"{CONFORMANCE} is missing")
def test_the_registry_of_special_purpose_addresses() -> None:
    with (CONFORMANCE / "iana" / "special-ipv4.csv").open(encoding="ascii", newline="") as file:
        blocks = [row["block"] for row in csv.DictReader(file)]
    assert len(blocks) == 23
    for block in blocks:
        network = ipaddress.ip_network(block)
        for address in (network[0], network[-1]):
            assert bool(special_purpose(address)) == (block not in REACHABLE), block


@pytest.mark.parametrize(
    ("text", "designation"),
    [
        ("0.0.0.0", "this host, unspecified"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("10.20.30.40", "a private network"),
        ("172.16.0.1", "a private network"),
        ("172.32.0.1", ""),
        ("192.168.1.1", "a private network"),
        ("169.254.169.254", "link-local"),
        ("100.64.0.1", "a network behind a carrier's address translation"),
        ("192.0.2.1", "reserved for documentation"),
        ("224.0.0.1", "multicast"),
        ("239.1.2.3", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("8.8.8.8", ""),
        ("223.255.255.255", ""),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::8.8.8.8", "not assigned"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:8.8.8.8", ""),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b::808:808", ""),
        ("64:ff9b:1::1", "a private network behind an address translation"),
        ("2002:7f00:1::1", "loopback"),
        ("2002:808:808::1", ""),
        ("2001:0:1::1", "reserved for protocols"),
        ("2001:db8::1", "reserved for documentation"),
        ("3fff:1000::1", ""),
        ("3fff:0:1::1", "reserved for documentation"),
        ("100::1", "reserved, to be discarded"),
        ("fd00::1", "a private network"),
        ("fe80::1", "link-local"),
        ("febf::1", "link-local"),
        ("fec0::1", "a private network"),
        ("ff02::1", "multicast"),
        ("4000::1", "not assigned"),
        ("5f00::1", "not assigned"),
        ("2a00:1450::1", ""),
        ("2606:4700::1111", ""),
    ],
)
def test_what_an_address_is_for(text: str, designation: str) -> None:
    assert special_purpose(ipaddress.ip_address(text)) == designation


def test_reading() -> None:
    assert address_of("192.0.2.1") == ipaddress.IPv4Address("192.0.2.1")
    assert address_of("2001:DB8::1") == ipaddress.IPv6Address("2001:db8::1")
    assert address_of("::ffff:192.0.2.1") == ipaddress.IPv4Address("192.0.2.1")
    assert address_of("mx.example.org") is None
    assert address_of("192.0.2.01") is None
    for text in ("192.0.2.1", "::ffff:192.0.2.1", "::FFFF:C000:201"):
        assert canonical_address(text) == "192.0.2.1"
    assert canonical_address("2001:DB8:0::1") == "2001:db8::1"
    assert canonical_address("mx.example.org") == "mx.example.org"


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_disguise_is_judged_as_itself(address: ipaddress.IPv4Address) -> None:
    for disguise in (
        ipaddress.IPv6Address(0xFFFF << 32 | int(address)),
        ipaddress.IPv6Address(0x64FF9B << 96 | int(address)),
        ipaddress.IPv6Address(0x2002 << 112 | int(address) << 80),
    ):
        assert special_purpose(disguise) == special_purpose(address)
    # Nothing that Python knows to be no place for mail is let through.
    if address.is_private or address.is_multicast or address.is_reserved:
        assert special_purpose(address)


@given(st.ip_addresses(v=6))
def test_what_python_knows_to_be_private_is_private(address: ipaddress.IPv6Address) -> None:
    carrier = address.sixtofour or address.ipv4_mapped or address in ipaddress.ip_network("64:ff9b::/96")
    if not carrier and (address.is_private or address.is_multicast or address.is_reserved):
        assert special_purpose(address)
