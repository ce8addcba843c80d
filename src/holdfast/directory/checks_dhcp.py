"""Checks of what DHCP leases: scopes, their pools, reservations, filters, servers, failover relationships.

No address may be leased by two scopes and no client may have two addresses
reserved in one scope; whoever leases goes by that. All checks sort or look up,
so that a thousand scopes and a hundred thousand reservations take seconds.

Source: RFC 2131; spec/dhcp.md section 1.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, ip_address

from holdfast.directory.checks_dhcp_options import check_dhcp_options, check_policies
from holdfast.directory.checks_failover import check_failover
from holdfast.directory.dhcp import UNLIMITED_LEASE_S, ClientKind, Scope
from holdfast.directory.dhcp_keys import CHADDR_BYTES_MAX, client_keys, parse_hex_pattern
from holdfast.directory.dhcp_ranges import host_range, is_network, leased_ranges
from holdfast.directory.kinds import subject_of
from holdfast.directory.listening import parse_binding
from holdfast.directory.model import DhcpServer, Organisation, Reservation, Role
from holdfast.directory.references import Names
from holdfast.kernel.errors import Problem, Refusal
from holdfast.kernel.iprange import IPRange

DNS_SERVER_COUNT_MAX = 8
POOL_ADDRESS_COUNT_MAX = 1 << 24  # a /8; larger is a mistake
_DNS_NAME = re.compile(r"(?!.{254})[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
_NOT_FOR_CLIENTS = ("is_multicast", "is_unspecified", "is_loopback", "is_reserved")


def check_dhcp(organisation: Organisation) -> Iterator[Problem]:
    """Everything about DHCP."""
    names = Names(organisation)
    for scope in organisation.scopes:
        yield from _scope(scope, names)
    yield from _overlaps(organisation)
    yield from _relays(organisation)
    yield from _superscopes(organisation)
    yield from _reservations(organisation, names)
    for server in organisation.dhcp_servers:
        yield from _server(server, names)
    yield from _filters(organisation, names)
    yield from check_dhcp_options(organisation)
    yield from check_policies(organisation)
    yield from check_failover(organisation, names)


def _scope(scope: Scope, names: Names) -> Iterator[Problem]:
    subject = subject_of(scope)
    yield from names.check_role(scope.server, Role.DHCP, subject)
    subnet = scope.subnet
    if not is_network(subnet):
        yield Problem(
            subject, f"its subnet {subnet} is not one network of IPv4", "write network and mask: 192.0.2.0/24"
        )
        return
    if any(getattr(subnet.first, each) for each in _NOT_FOR_CLIENTS):
        yield Problem(
            subject, f"its subnet {subnet} has no addresses for clients", "name the network of the clients"
        )
    yield from _pool(scope, subject)
    yield from _lease(scope, subject)
    yield from _bootp(scope, subject)
    yield from check_boot(scope.next_server, scope.server_name, scope.boot_file, subject)


def _pool(scope: Scope, subject: str) -> Iterator[Problem]:
    pool, subnet = scope.pool, scope.subnet
    if pool is None:
        if scope.exclusions:
            yield Problem(subject, "has exclusions, but no pool", "give it a pool or take them away")
        return
    if not subnet.contains_range(pool):
        yield Problem(
            subject,
            f"its pool {_ends(pool)} does not lie in its subnet {subnet}",
            "correct one of the two",
        )
        return
    if pool.address_count > POOL_ADDRESS_COUNT_MAX:
        yield Problem(
            subject,
            f"its pool has {pool.address_count} addresses, more than {POOL_ADDRESS_COUNT_MAX}",
            "make several scopes of it",
        )
    hosts = host_range(subnet)
    leased = leased_ranges(scope)
    for each, what in ((subnet.first, "the network's own address"), (subnet.last, "the broadcast address")):
        if each not in hosts and any(each in one for one in leased):
            yield Problem(
                subject, f"its pool {_ends(pool)} holds {each}, {what}", "leave it out or exclude it"
            )
    yield from _exclusions(scope, pool, subject)


def _exclusions(scope: Scope, pool: IPRange, subject: str) -> Iterator[Problem]:
    for exclusion in scope.exclusions:
        if not pool.contains_range(exclusion):
            yield Problem(
                subject,
                f"its exclusion {_ends(exclusion)} does not lie in its pool {_ends(pool)}",
                "only what would be leased can be excluded: take it away or correct it",
            )
    for one, other in _overlapping(scope.exclusions):
        yield Problem(
            subject, f"its exclusions {_ends(one)} and {_ends(other)} overlap", "make one of the two"
        )


def _ends(each: IPRange) -> str:
    # Administrators name a pool by its ends, also where these make a network.
    return str(each.first) if each.first == each.last else f"{each.first}-{each.last}"


def _overlapping(ranges: Iterable[IPRange]) -> Iterator[tuple[IPRange, IPRange]]:
    ordered = sorted(ranges, key=lambda each: (each.first.version, int(each.first)))
    return ((one, other) for one, other in itertools.pairwise(ordered) if one.overlaps(other))


def _lease(scope: Scope, subject: str) -> Iterator[Problem]:
    if not scope.lease_unlimited:
        yield from check_span("lease", scope.lease_s, subject)
    for key, value in (("shortest_lease", scope.shortest_lease_s), ("longest_lease", scope.longest_lease_s)):
        if value is not None:
            yield from check_span(key, value, subject)
    shortest_s = scope.shortest_lease_s
    if shortest_s is not None and not scope.lease_unlimited and shortest_s > scope.lease_s:
        yield Problem(
            subject,
            f"shortest_lease is {shortest_s:g} seconds, lease is {scope.lease_s:g}",
            "let the lease be at least as long",
        )
    if scope.longest_lease_s is not None and (scope.lease_unlimited or scope.longest_lease_s < scope.lease_s):
        lease = "unlimited" if scope.lease_unlimited else f"{scope.lease_s:g}"
        yield Problem(
            subject,
            f"longest_lease is {scope.longest_lease_s:g} seconds, lease is {lease}",
            "let it be at least as long as the lease, or leave it out",
        )
    if scope.lease_unlimited and scope.shortest_lease_s is not None:
        yield Problem(subject, "has a shortest_lease, but its leases never end", "take one of the two away")


def check_span(key: str, span_s: float, subject: str) -> Iterator[Problem]:
    """A lease is a whole number of seconds that fits its option (RFC 2132 section 9.2)."""
    if not 1 <= span_s < UNLIMITED_LEASE_S or span_s != int(span_s):
        yield Problem(
            subject,
            f"{key} is {span_s:g} seconds",
            f"write whole seconds from 1 to {UNLIMITED_LEASE_S - 1}, or make the lease unlimited",
        )


def _bootp(scope: Scope, subject: str) -> Iterator[Problem]:
    if scope.serves is ClientKind.DHCP:
        if scope.bootp_client_count_max:
            yield Problem(
                subject,
                f"bootp_client_count_max is {scope.bootp_client_count_max}, but it serves DHCP clients alone",
                "set serves to bootp or both, or take the limit away",
            )
    else:
        yield from check_span("bootp_lease", scope.bootp_lease_s, subject)


def check_boot(next_server: str, server_name: str, boot_file: str, subject: str) -> Iterator[Problem]:
    """The fields of a message that a client boots by have room for so much (RFC 2131 section 2)."""
    if next_server:
        try:
            address = IPv4Address(next_server)
        except ValueError:
            address = None
        if address is None or address.is_multicast or address.is_unspecified:
            yield Problem(
                subject,
                f'next_server "{next_server[:60]}" is not an IPv4 address of a machine',
                "write one, for example 192.0.2.10",
            )
    for key, text, most in (("server_name", server_name, 63), ("boot_file", boot_file, 127)):
        if len(text.encode("utf-8", "replace")) > most:
            yield Problem(
                subject, f"{key} has {len(text.encode('utf-8', 'replace'))} bytes", f"it has at most {most}"
            )


def _overlaps(organisation: Organisation) -> Iterator[Problem]:
    """Subnets are equal or apart; equal ones are of different servers, and lease different addresses."""
    by_subnet: dict[IPRange, list[Scope]] = defaultdict(list)
    for scope in organisation.scopes:
        if isinstance(scope.subnet.first, IPv4Address):
            by_subnet[scope.subnet].append(scope)
    reach: IPRange | None = None
    for subnet in sorted(by_subnet, key=lambda each: (int(each.first), -int(each.last))):
        if reach is not None and reach.overlaps(subnet):
            one, other = by_subnet[reach][0], by_subnet[subnet][0]
            yield Problem(
                f'scopes "{one.name}" and "{other.name}"',
                f"share addresses: {one.subnet} and {other.subnet}",
                "give each address to one scope",
            )
        if reach is None or int(subnet.last) > int(reach.last):
            reach = subnet
    servers = _servers_by_scope(organisation)
    for scopes in by_subnet.values():
        if len(scopes) > 1:
            yield from _split(scopes, servers)


def _servers_by_scope(organisation: Organisation) -> dict[str, tuple[str, ...]]:
    servers: dict[str, tuple[str, ...]] = {scope.name: (scope.server,) for scope in organisation.scopes}
    for relationship in organisation.failover_relationships:
        for name in relationship.scopes:
            if name in servers:
                servers[name] = tuple(dict.fromkeys((*servers[name], *relationship.servers)))
    return servers


def _split(scopes: list[Scope], servers: dict[str, tuple[str, ...]]) -> Iterator[Problem]:
    """A subnet that is split between servers, the old way to have two of them."""
    first_of: dict[str, Scope] = {}
    for scope in scopes:
        for server in servers[scope.name]:
            other = first_of.setdefault(server, scope)
            if other is not scope:
                yield Problem(
                    f'scopes "{other.name}" and "{scope.name}"',
                    f'are both for the subnet {scope.subnet}, on server "{server}"',
                    "make one scope of them",
                )
    leased = sorted(
        (
            (each, scope)
            for scope in scopes
            if scope.pool is not None and scope.subnet.contains_range(scope.pool)
            for each in leased_ranges(scope)
        ),
        key=lambda pair: int(pair[0].first),
    )
    for (first, its_scope), (second, other_scope) in itertools.pairwise(leased):
        if first.overlaps(second):
            yield Problem(
                f'scopes "{its_scope.name}" and "{other_scope.name}"',
                f"lease the same addresses: {_ends(first)} and {_ends(second)}",
                "exclude in each what the other leases, or make one scope with a failover relationship",
            )


def _relays(organisation: Organisation) -> Iterator[Problem]:
    seen: dict[IPv4Address, Scope] = {}
    for scope in organisation.scopes:
        for relay in scope.relays:
            other = seen.setdefault(relay, scope)
            apart = not scope.superscope or scope.superscope != other.superscope
            if other is not scope and apart and other.subnet != scope.subnet:
                yield Problem(
                    f'scopes "{other.name}" and "{scope.name}"',
                    f"name the same relay agent {relay}",
                    "put them into one superscope, or let one of them have it",
                )


def _superscopes(organisation: Organisation) -> Iterator[Problem]:
    members: dict[str, Scope] = {}
    servers = _servers_by_scope(organisation)
    for scope in organisation.scopes:
        if not scope.superscope:
            continue
        first = members.setdefault(scope.superscope, scope)
        if set(servers[first.name]) != set(servers[scope.name]):
            yield Problem(
                f'superscope "{scope.superscope}"',
                f'scope "{first.name}" is leased by {_quoted(servers[first.name])}, '
                f'scope "{scope.name}" by {_quoted(servers[scope.name])}',
                "a client may get an address of any of them: let the same servers lease all",
            )


def _quoted(names: Iterable[str]) -> str:
    return " and ".join(f'"{each}"' for each in names)


def _reservations(organisation: Organisation, names: Names) -> Iterator[Problem]:
    scopes = organisation.scopes_by_name
    clients: dict[tuple[str, tuple[str, bytes]], Reservation] = {}
    owners: dict[IPv4Address, tuple[Reservation, tuple[tuple[str, bytes], ...]]] = {}
    for reservation in organisation.reservations:
        scope = scopes.get(reservation.scope)
        if scope is None:
            yield from names.check("scope", (reservation.scope,), subject_of(reservation))
            continue
        yield from _reserved_address(reservation, scope)
        try:
            keys = client_keys(reservation)
        except Refusal as refusal:
            yield Problem(subject_of(reservation), refusal.text, "correct it")
            continue
        if not keys:
            yield Problem(
                subject_of(reservation),
                "says nothing of its client",
                "give it the client's mac, for example 00:1a:2b:3c:4d:5e, or its client_id",
            )
        for key in keys:
            other = clients.setdefault((reservation.scope, key), reservation)
            if other is not reservation and other.address != reservation.address:
                yield _same_client(reservation, other, key)
        first, first_keys = owners.setdefault(reservation.address, (reservation, keys))
        if first is not reservation and first.scope != reservation.scope and not set(first_keys) & set(keys):
            yield Problem(
                subject_of(reservation),
                f'{reservation.address} is reserved for another client in scope "{first.scope}"',
                "both servers would give it to their own client: let both have the same, or remove one",
            )


def _same_client(reservation: Reservation, other: Reservation, key: tuple[str, bytes]) -> Problem:
    kind, data = key
    what = f"hardware address {data[1:].hex(':')}" if kind == "mac" else f"client id {data.hex(':')}"
    return Problem(
        subject_of(reservation),
        f"is for the client with the {what}, for whom {other.address} is reserved already",
        "a client gets one address of a scope: remove one of them",
    )


def _reserved_address(reservation: Reservation, scope: Scope) -> Iterator[Problem]:
    address = reservation.address
    # A hundred thousand of them are checked at each change: what they say is put into words when it is wrong.
    if address not in scope.subnet:
        yield Problem(
            subject_of(reservation),
            f'{address} does not lie in the subnet {scope.subnet} of scope "{scope.name}"',
            "take an address of the subnet, or the scope that it lies in",
        )
    elif address not in host_range(scope.subnet):
        what = "the network's own address" if address == scope.subnet.first else "the broadcast address"
        yield Problem(
            subject_of(reservation), f"{address} is {what} of {scope.subnet}", "take another address"
        )
    if reservation.serves is ClientKind.BOOTP and not reservation.mac:
        yield Problem(
            subject_of(reservation),
            "is for BOOTP, but has no mac",
            "a BOOTP client is known by its hardware address alone: give it",
        )
    if reservation.next_server or reservation.server_name or reservation.boot_file:
        yield from check_boot(
            reservation.next_server, reservation.server_name, reservation.boot_file, subject_of(reservation)
        )


def _server(server: DhcpServer, names: Names) -> Iterator[Problem]:
    subject = subject_of(server)
    yield from names.check_role(server.server, Role.DHCP, subject)
    if len(set(server.interfaces)) != len(server.interfaces) or not all(server.interfaces):
        yield Problem(
            subject, "names an interface twice, or an empty one", "name each once, for example eth0"
        )
    for key, span_s in (("offer", server.offer_s), ("decline", server.decline_s)):
        if span_s <= 0:
            yield Problem(subject, f"{key} is 0 seconds", "give it some time")
    for text in server.dns_servers:
        if not _is_dns_server(text):
            yield Problem(
                subject,
                f'dns_servers has "{text[:60]}", which is no IP address',
                "write for example 192.0.2.53, or with a port 192.0.2.53:5353",
            )
    for text in (*server.dns_zones, *filter(None, (server.dns_key,))):
        if not _DNS_NAME.fullmatch(text.rstrip(".")):
            yield Problem(
                subject,
                f'has "{text[:60]}" in its dns settings, which is no name of a zone or key',
                "write for example example.test, or 2.0.192.in-addr.arpa",
            )
    if len(server.dns_servers) > DNS_SERVER_COUNT_MAX:
        yield Problem(
            subject,
            f"has {len(server.dns_servers)} dns_servers, more than {DNS_SERVER_COUNT_MAX}",
            "name the primary, and one or two that pass updates on to it",
        )
    if server.dns_key and not server.dns_servers:
        yield Problem(
            subject,
            f'has the dns_key "{server.dns_key}", but no dns_servers',
            "name where names are registered",
        )
    yield from check_boot(server.next_server, server.server_name, server.boot_file, subject)


def _is_dns_server(text: str) -> bool:
    if parse_binding(text) is not None:
        return True
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _filters(organisation: Organisation, names: Names) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for each in organisation.mac_filters:
        subject = subject_of(each)
        for server in each.servers:
            yield from names.check_role(server, Role.DHCP, subject)
        try:
            pattern = str(parse_hex_pattern(each.pattern, most=CHADDR_BYTES_MAX))
        except Refusal as refusal:
            yield Problem(
                subject, refusal.text, "write 00:1a:2b:3c:4d:5e, or 00:1a:2b* for all that begin so"
            )
            continue
        if not pattern.rstrip("*"):
            yield Problem(
                subject, "is for every client", "switch the list off instead, or disable the scopes"
            )
        first = seen.setdefault(pattern, each.pattern)
        if first != each.pattern and first.casefold() != each.pattern.casefold():
            yield Problem(subject, f'is the same as mac filter "{first}"', "take one away")
