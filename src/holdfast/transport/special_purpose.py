"""Tell which IP addresses are nobody's place on the internet.

Whoever controls a domain can let its MX lead to 127.0.0.1 or into our own
network, and would have us talk to hosts there in our name. DNS delivery goes to
public addresses only, unless a connector names the range.

The list is our own, and not Python's ``is_global``, since that one changes with
Python's version, takes multicast for global, and does not look into the IPv4
address that an IPv6 one may carry.

Source: RFC 6890, RFC 8190 and the registries of special-purpose addresses that they set up.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from holdfast.kernel.iprange import IPAddress, IPRange

_IPV4 = tuple(
    (ipaddress.IPv4Network(network), designation)
    for network, designation in (
        ("0.0.0.0/8", "this host, unspecified"),
        ("10.0.0.0/8", "a private network"),
        ("100.64.0.0/10", "a network behind a carrier's address translation"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "a private network"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "reserved for documentation"),
        ("192.88.99.0/24", "reserved, once 6to4 relays"),
        ("192.168.0.0/16", "a private network"),
        ("198.18.0.0/15", "reserved for benchmarks"),
        ("198.51.100.0/24", "reserved for documentation"),
        ("203.0.113.0/24", "reserved for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
    )
)
# Read from the top; what none of them holds and is not of 2000::/3 is not assigned (RFC 4291 section 2.4).
_IPV6 = tuple(
    (ipaddress.IPv6Network(network), designation)
    for network, designation in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("64:ff9b:1::/48", "a private network behind an address translation"),
        ("100::/8", "reserved, to be discarded"),
        ("fc00::/7", "a private network"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "a private network"),
        ("ff00::/8", "multicast"),
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "reserved for documentation"),
        ("3fff::/20", "reserved for documentation"),
    )
)
_IPV6_UNICAST = ipaddress.IPv6Network("2000::/3")
# The last four bytes are the IPv4 address that such a packet really goes to (RFC 6052 section 2.2).
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")


@lru_cache(maxsize=4096)  # a next hop is judged for each connection; a look at the tables takes 10 µs
def address_of(text: str) -> IPAddress | None:
    """Read an IP address as DNS or an administrator writes it; None when it is none.

    An IPv4 address in IPv6 clothes (``::ffff:192.0.2.1``) is the IPv4 address.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=4096)
def canonical_address(text: str) -> str:
    """An IP address in the one form in which addresses are compared; other text as it is."""
    return str(address_of(text) or text)


@lru_cache(maxsize=4096)
def special_purpose(address: IPAddress) -> str:
    """Say what an address is for instead of the internet (``loopback``); empty when it is public."""
    if isinstance(address, ipaddress.IPv4Address):
        return next((designation for network, designation in _IPV4 if address in network), "")
    carried = address.ipv4_mapped or address.sixtofour
    if carried is None and address in _TRANSLATED:
        carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if carried is not None:
        return special_purpose(carried)
    for network, designation in _IPV6:
        if address in network:
            return designation
    return "" if address in _IPV6_UNICAST else "not assigned"


def not_led_to(text: str, exceptions: Iterable[IPRange]) -> str:
    """Say why DNS may not lead to an address, in a word; empty when it may.

    Args:
        text: the address.
        exceptions: networks that the administrator has named (``private_ranges``).
    """
    address = address_of(text)
    designation = "no IP address" if address is None else special_purpose(address)
    return "" if designation and any(address in each for each in exceptions) else designation
