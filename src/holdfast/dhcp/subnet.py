"""Work out subnets: their host addresses, how many, split, merged, the next free one, and what lies in what.

Nothing here holds more than the prefixes that it was given: addresses and parts of a split come in pieces of
text, made when they are asked for, so that a /8 costs no more memory than a /24. Pieces are joined a block at
a time: a format per address takes many times as long.

Source: spec/dhcp.md section 1, "subnet calculator"; RFC 3021 section 2.1 for a /31, RFC 6164 section 4 for a
/127, RFC 4291 section 2.6.1 for the first address of an IPv6 prefix, RFC 5952 section 4 for writing it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from holdfast.kernel.errors import Refusal

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_OCTETS = [str(number) for number in range(256)]
_GROUPS = [f"{number:x}" for number in range(4096)]
_IPV4_BLOCK = 256  # addresses that differ in their last octet only
_IPV6_BLOCK = 4096  # addresses that differ in their last 12 bits only
_PIECE_ADDRESSES = 32_768
_PIECE_SUBNETS = 4096
_NAMED_MAX = 3


@dataclass(frozen=True, slots=True)
class SubnetFacts:
    """What there is to say of one subnet.

    Attributes:
        subnet: its prefix.
        first, last: its first and last host address.
        mask: as dotted quads; empty for IPv6.
        broadcast: empty where there is none (IPv6, /31, /32).
        address_count: all its addresses.
        host_count: those that a host may have.
    """

    subnet: str
    first: str
    last: str
    mask: str
    broadcast: str
    address_count: int
    host_count: int


def parse_subnet(text: str) -> Network:
    """Read ``10.0.0.0/12``, ``10.0.0.0/255.240.0.0``, ``2001:db8::/64`` or a single address.

    Raises:
        Refusal: it is none of these, or has bits set outside its prefix; the text says what was meant.
    """
    wanted = text.strip()
    try:
        return ipaddress.ip_network(wanted)
    except ValueError:
        pass
    try:
        # The address is right and the prefix is: what is wrong is that it names a host of the network.
        meant = ipaddress.ip_interface(wanted)
    except ValueError:
        raise Refusal(_not_a_subnet(wanted)) from None
    raise Refusal(
        f'"{wanted}" names a host, not a subnet: write {meant.network} for the subnet that it is in, '
        f"or {meant.ip} for the address alone"
    )


def _not_a_subnet(text: str) -> str:
    address, slash, prefix = text.partition("/")
    try:
        found = ipaddress.ip_address(address.strip())
    except ValueError:
        return f'"{text}" is not a subnet: write an address and a prefix, as 10.0.0.0/12 or 2001:db8::/64'
    if not slash:
        return f'"{text}" is not a subnet: take the spaces out'
    return (
        f'"{text}" is not a subnet: the prefix of an IPv{found.version} subnet is a number from 0 to '
        f'{found.max_prefixlen}, not "{prefix}"'
    )


def parse_subnets(texts: Iterable[str]) -> list[Network]:
    """Read several subnets of one IP version; see ``parse_subnet``.

    Raises:
        Refusal: one of them is not a subnet, or both versions are there.
    """
    found = [parse_subnet(each) for each in texts]
    require_one_version(found)
    return found


def require_one_version(subnets: Sequence[Network]) -> None:
    """Refuse IPv4 and IPv6 in one calculation.

    Raises:
        Refusal: both are there; it names one of each.
    """
    for each in subnets:
        if each.version != subnets[0].version:
            raise Refusal(
                f"{subnets[0]} is IPv{subnets[0].version} and {each} is IPv{each.version}: "
                "give them in two calls"
            )


def host_bounds(subnet: Network, *, everything: bool = False) -> tuple[int, int]:
    """The first and last address of a subnet that a host may have, as numbers; of all with ``everything``.

    Both addresses of a /31 (RFC 3021 section 2.1) and of a /127 (RFC 6164 section 4) belong to hosts. Else
    the first is the network's own, or in IPv6 that of its routers (RFC 4291 section 2.6.1), and the last one
    is IPv4's broadcast.
    """
    first, last = int(subnet[0]), int(subnet[-1])
    if everything or last - first < 2:
        return first, last
    return (first + 1, last - 1) if subnet.version == 4 else (first + 1, last)


def describe(subnet: Network) -> SubnetFacts:
    """Count a subnet's addresses and name its ends."""
    first, last = host_bounds(subnet)
    is_ipv4 = isinstance(subnet, ipaddress.IPv4Network)
    make = ipaddress.IPv4Address if is_ipv4 else ipaddress.IPv6Address
    return SubnetFacts(
        subnet=str(subnet),
        first=str(make(first)),
        last=str(make(last)),
        mask=str(subnet.netmask) if is_ipv4 else "",
        broadcast=str(subnet[-1]) if is_ipv4 and subnet.num_addresses > 2 else "",
        address_count=subnet.num_addresses,
        host_count=last - first + 1,
    )


def address_pieces(subnets: Iterable[Network], *, everything: bool = False) -> Iterator[str]:
    """The host addresses of subnets in order, one a line, as pieces of some ten thousand lines.

    Lines inside a piece and pieces are parted by newlines that the caller writes between pieces.
    """
    waiting: list[str] = []
    count = 0
    for subnet in subnets:
        first, last = host_bounds(subnet, everything=everything)
        for block, size in _blocks(subnet.version, first, last):
            waiting.append(block)
            count += size
            if count >= _PIECE_ADDRESSES:
                yield "\n".join(waiting)
                waiting, count = [], 0
    if waiting:
        yield "\n".join(waiting)


def _blocks(version: int, first: int, last: int) -> Iterator[tuple[str, int]]:
    """The addresses from ``first`` to ``last`` as lines, a block that shares its beginning at a time."""
    size = _IPV4_BLOCK if version == 4 else _IPV6_BLOCK
    lines_of = _ipv4_lines if version == 4 else _ipv6_lines
    start = first - first % size
    while start <= last:
        low, high = max(first, start), min(last, start + size - 1)
        yield lines_of(start, low - start, high - start), high - low + 1
        start += size


def _ipv4_lines(start: int, low: int, high: int) -> str:
    beginning = f"{start >> 24}.{start >> 16 & 255}.{start >> 8 & 255}."
    return beginning + ("\n" + beginning).join(_OCTETS[low : high + 1])


def _ipv6_lines(start: int, low: int, high: int) -> str:
    lines = []
    if start & 0xFFFF:
        beginning = str(ipaddress.IPv6Address(start))[
            :-3
        ]  # the last group has four digits, three of them change
        return beginning + ("\n" + beginning).join(f"{number:03x}" for number in range(low, high + 1))
    if low == 0:
        # A last group of zero may belong to the :: and changes the whole text (RFC 5952 section 4.2).
        lines.append(str(ipaddress.IPv6Address(start)))
        low = 1
    if low <= high:
        beginning = str(ipaddress.IPv6Address(start + 1))[:-1]
        lines.append(beginning + ("\n" + beginning).join(_GROUPS[low : high + 1]))
    return "\n".join(lines)


def split_pieces(subnets: Sequence[Network], prefix: int) -> Iterator[str]:
    """The subnets of length ``prefix`` that ``subnets`` consist of, in pieces as ``address_pieces``.

    Raises:
        Refusal: at once, when the prefix is not longer than that of each, or too long.
    """
    for each in subnets:
        _require_prefix(each, prefix)
    return _joined(_parts(subnets, prefix), _PIECE_SUBNETS)


def _parts(subnets: Iterable[Network], prefix: int) -> Iterator[str]:
    for subnet in subnets:
        make = ipaddress.IPv4Address if subnet.version == 4 else ipaddress.IPv6Address
        size = 1 << (subnet.max_prefixlen - prefix)
        start, end = int(subnet[0]), int(subnet[-1])
        while start <= end:
            yield f"{make(start)}/{prefix}"
            start += size


def _joined(lines: Iterable[str], count_max: int) -> Iterator[str]:
    waiting: list[str] = []
    for line in lines:
        waiting.append(line)
        if len(waiting) >= count_max:
            yield "\n".join(waiting)
            waiting = []
    if waiting:
        yield "\n".join(waiting)


def _require_prefix(subnet: Network, prefix: int) -> None:
    if not subnet.prefixlen <= prefix <= subnet.max_prefixlen:
        raise Refusal(
            f"{subnet} does not hold a /{prefix}: "
            f"give a prefix from {subnet.prefixlen} to {subnet.max_prefixlen}"
        )


def merge(subnets: Iterable[Network]) -> list[Network]:
    """The fewest subnets with the same addresses, in order."""
    given = list(subnets)
    require_one_version(given)
    # The two calls differ in their types only: one that takes both is not in the library's stubs.
    if given and given[0].version == 4:
        return list(ipaddress.collapse_addresses(each for each in given if each.version == 4))
    return list(ipaddress.collapse_addresses(each for each in given if each.version == 6))


def next_free(parent: Network, used: Iterable[Network], prefix: int) -> Network:
    """The first subnet of length ``prefix`` inside ``parent`` that overlaps none of ``used``.

    Raises:
        Refusal: there is none, and the largest that is free; or the prefix is none of the parent's.
    """
    taken = list(used)
    require_one_version([parent, *taken])
    _require_prefix(parent, prefix)
    size = 1 << (parent.max_prefixlen - prefix)
    largest: Network | None = None
    for first, last in _gaps(parent, taken):
        start = -(-first // size) * size
        if start + size - 1 <= last:
            return type(parent)((start, prefix))
        for each in _summarised(parent, first, last):
            if largest is None or each.prefixlen < largest.prefixlen:
                largest = each
    hint = f"the largest that is free is {largest}" if largest else "all of it is in use"
    raise Refusal(f"{parent} has no free /{prefix}: {hint}")


def _gaps(parent: Network, used: Iterable[Network]) -> Iterator[tuple[int, int]]:
    """The runs of addresses of ``parent`` that are in none of ``used``, in order."""
    free_from, end = int(parent[0]), int(parent[-1])
    for first, last in sorted((int(each[0]), int(each[-1])) for each in used if each.overlaps(parent)):
        if first > free_from:
            yield free_from, first - 1
        free_from = max(free_from, last + 1)
    if free_from <= end:
        yield free_from, end


def _summarised(parent: Network, first: int, last: int) -> Iterator[Network]:
    make = ipaddress.IPv4Address if parent.version == 4 else ipaddress.IPv6Address
    return ipaddress.summarize_address_range(make(first), make(last))


def holders_of(wanted: Network, subnets: Iterable[Network]) -> tuple[list[Network], list[Network]]:
    """Which subnets hold all of ``wanted``, and which only a part of it.

    Raises:
        Refusal: they are not of one IP version.
    """
    given = list(subnets)
    require_one_version([wanted, *given])
    first, last = int(wanted[0]), int(wanted[-1])
    whole = [each for each in given if int(each[0]) <= first and last <= int(each[-1])]
    part = [each for each in given if each.overlaps(wanted) and each not in whole]
    return whole, part
