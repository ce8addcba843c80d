"""Ranges of IP addresses: written as one address, a network, or first-last.

Ranges say who may use a receive connector and which subnets make a site; the
most specific range that holds a client wins (exchange-behaviour RC-1).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.kernel.errors import Refusal

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class IPRange:
    """All addresses from ``first`` to ``last``, both included, of one IP version."""

    first: IPAddress
    last: IPAddress

    def __str__(self) -> str:
        if self.first == self.last:
            return str(self.first)
        networks = list(ipaddress.summarize_address_range(self.first, self.last))
        return str(networks[0]) if len(networks) == 1 else f"{self.first}-{self.last}"

    def __contains__(self, address: object) -> bool:
        if not isinstance(address, ipaddress.IPv4Address | ipaddress.IPv6Address):
            return False
        if address.version != self.first.version:
            return False
        return int(self.first) <= int(address) <= int(self.last)

    @property
    def address_count(self) -> int:
        """How many addresses the range holds; the smaller, the more specific."""
        return int(self.last) - int(self.first) + 1

    def overlaps(self, other: IPRange) -> bool:
        """Whether some address is in both ranges."""
        return other.first in self or self.first in other

    def contains_range(self, other: IPRange) -> bool:
        """Whether every address of ``other`` is in this range."""
        return other.first in self and other.last in self


def joined(ranges: Iterable[IPRange]) -> tuple[IPRange, ...]:
    """The same addresses in as few ranges as can be, in order: what overlaps or adjoins becomes one."""
    found: list[IPRange] = []
    for each in sorted(ranges, key=lambda each: (each.first.version, int(each.first))):
        last = found[-1] if found else None
        if last is None or last.first.version != each.first.version or int(each.first) > int(last.last) + 1:
            found.append(each)
        elif int(each.last) > int(last.last):
            found[-1] = IPRange(last.first, each.last)
    return tuple(found)


def not_within(ranges: Iterable[IPRange], known: Iterable[IPRange]) -> tuple[IPRange, ...]:
    """The ranges that hold some address which is in none of those that are known."""
    whole = joined(known)
    return tuple(each for each in ranges if not any(one.contains_range(each) for one in whole))


def parse_ip_range(text: str) -> IPRange:
    """Read ``192.0.2.7``, ``192.0.2.0/24``, ``192.0.2.1-192.0.2.9`` or the same in IPv6.

    IPv4 written as IPv6 (``::ffff:192.0.2.0/120``) is IPv4: no client would ever be in the other range.

    Raises:
        Refusal: the text is none of these; it says why.
    """
    try:
        if "-" in text:
            first, last = (ipaddress.ip_address(part.strip()) for part in text.split("-", 1))
            if first.version != last.version or int(first) > int(last):
                raise Refusal(f'"{text}" is not an IP range: the first address must not lie above the last')
            return _as_it_comes(first, last)
        network = ipaddress.ip_network(text.strip())
        return _as_it_comes(network[0], network[-1])
    except ValueError as error:
        raise Refusal(
            f'"{text}" is not an IP range: {error}; write 192.0.2.0/24 or 192.0.2.1-192.0.2.9'
        ) from None


def _as_it_comes(first: IPAddress, last: IPAddress) -> IPRange:
    mapped = [each.ipv4_mapped for each in (first, last) if isinstance(each, ipaddress.IPv6Address)]
    if len(mapped) == 2 and mapped[0] is not None and mapped[1] is not None:
        return IPRange(mapped[0], mapped[1])
    return IPRange(first, last)


def parse_ipv4_address(text: str) -> ipaddress.IPv4Address:
    """Read one IPv4 address.

    Raises:
        Refusal: the text is none; it says why.
    """
    try:
        return ipaddress.IPv4Address(text.strip())
    except ValueError as error:
        raise Refusal(f'"{text}" is not an IPv4 address: {error}; write for example 192.0.2.7') from None
