"""Which addresses of a scope may be leased: arithmetic on ranges, in time that grows with their number.

Nothing here looks at single addresses: a /8 costs as much as a /30.

Source: RFC 3021 for the first and the last address of a network.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address

from holdfast.directory.dhcp import Scope
from holdfast.kernel.iprange import IPRange

# Below this many addresses a network has neither a name nor a broadcast address of its own (RFC 3021).
POINT_TO_POINT_COUNT_MAX = 2


def without_ranges(whole: IPRange, holes: Iterable[IPRange]) -> tuple[IPRange, ...]:
    """What is left of a range when others are taken out, in order."""
    left: list[IPRange] = []
    at, last = int(whole.first), int(whole.last)
    for hole in sorted(holes, key=lambda each: int(each.first)):
        first, end = int(hole.first), int(hole.last)
        if end < at or first > last:
            continue
        if first > at:
            left.append(_range(at, first - 1))
        at = end + 1
    if at <= last:
        left.append(_range(at, last))
    return tuple(left)


def leased_ranges(scope: Scope) -> tuple[IPRange, ...]:
    """The pool of a scope without its exclusions; empty without a pool. Reservations are not looked at."""
    return () if scope.pool is None else without_ranges(scope.pool, scope.exclusions)


def host_range(subnet: IPRange) -> IPRange:
    """The addresses of a network that a client may have: all but first and last, but for /31 and /32."""
    if subnet.address_count <= POINT_TO_POINT_COUNT_MAX:
        return subnet
    return _range(int(subnet.first) + 1, int(subnet.last) - 1)


def is_network(subnet: IPRange) -> bool:
    """Whether a range is one network of IPv4."""
    count = subnet.address_count
    return subnet.first.version == 4 and not count & (count - 1) and not int(subnet.first) % count


def subnet_mask(subnet: IPRange) -> IPv4Address:
    """The mask of a network, for option 1."""
    return IPv4Address((1 << 32) - subnet.address_count)


def _range(first: int, last: int) -> IPRange:
    return IPRange(IPv4Address(first), IPv4Address(last))
