"""What a change of DHCP takes from clients: addresses, renewals, the way out of their network.

Said before the change, in words that need no knowledge of the settings.

Source: spec/dhcp.md section 1; RFC 2131.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from holdfast.directory.dhcp import DhcpServer, FilterAction, Reservation, Scope
from holdfast.directory.dhcp_options import OptionValue
from holdfast.directory.dhcp_ranges import is_network, leased_ranges, without_ranges
from holdfast.directory.model import Organisation
from holdfast.kernel.iprange import IPRange

ROUTERS = 3
IPV6_ONLY = 108
IPV6_ONLY_WAIT_S_MIN = 300
SHOWN_COUNT = 5


def find_dhcp_dangers(before: Organisation, after: Organisation) -> Iterator[str]:
    """List what going from one organisation to the other takes from clients."""
    scopes = {each.name.casefold(): each for each in after.scopes}
    for old in before.scopes:
        new = scopes.get(old.name.casefold())
        if new is None:
            yield _removed(old, before)
        else:
            yield from _scope(old, new, partners=_partners_in(before, old))
    yield from _reservations(before, after)
    for server in after.dhcp_servers:
        yield from _server(before.dhcp_server(server.server), server)
    known = set(_standing(before))
    yield from (each for each in _standing(after) if each not in known)


def _removed(scope: Scope, before: Organisation) -> str:
    count = len(before.reservations_by_scope.get(scope.name, ()))
    reservations = f", and its {_counted(count, 'reservation')} with it" if count else ""
    return (
        f'scope "{scope.name}" is removed{reservations}: its clients get no answer when they renew, '
        "and lose their addresses when their leases end"
    )


def _partners_in(organisation: Organisation, scope: Scope) -> set[str]:
    """The servers that lease a scope together, and so know its leases."""
    return {
        server
        for each in organisation.failover_relationships
        if scope.name in each.scopes and scope.server in each.servers
        for server in each.servers
    }


def _scope(old: Scope, new: Scope, *, partners: set[str]) -> Iterator[str]:
    subject = f'scope "{old.name}"'
    if old.enabled and not new.enabled:
        yield f"{subject} is disabled: its clients get no answer, and lose their addresses by and by"
    if old.subnet != new.subnet:
        yield (
            f"{subject} changes its subnet from {old.subnet} to {new.subnet}: leases outside of it are not "
            "renewed, their clients must take another address"
        )
    if old.server != new.server and new.server not in partners:
        yield (
            f'{subject} changes from server "{old.server}" to "{new.server}": its leases stay there, '
            "and the new one may give their addresses to others"
        )
    gone = lost_ranges(old, new)
    if gone:
        yield (
            f"{subject} no longer leases {_listed(gone)}: clients that have one of these addresses cannot "
            "renew it, and must take another"
        )
    if new.lease_unlimited and not old.lease_unlimited:
        yield (
            f"{subject} leases addresses without an end: they never come back by themselves, "
            "also when their clients are long gone"
        )


def lost_ranges(old: Scope, new: Scope) -> list[IPRange]:
    """What a scope leased before a change, and leases no longer after it."""
    if old.pool == new.pool and old.exclusions == new.exclusions:
        return []
    if not _sound(old):
        return []
    left = leased_ranges(new) if _sound(new) else ()
    return [part for each in leased_ranges(old) for part in without_ranges(each, left)]


def _sound(scope: Scope) -> bool:
    """Whether its ranges can be reckoned with; the checks tell of what is wrong."""
    return is_network(scope.subnet) and (scope.pool is None or scope.subnet.contains_range(scope.pool))


def _reservations(before: Organisation, after: Organisation) -> Iterator[str]:
    """Clients that lose the address that was theirs; those of a removed scope are told with it."""
    kept = {(each.scope, each.address): each for each in after.reservations}
    scopes = after.scopes_by_name
    lost: list[Reservation] = []
    changed: list[Reservation] = []
    for old in before.reservations:
        new = kept.get((old.scope, old.address))
        if new is None and old.scope in scopes:
            lost.append(old)
        elif new is not None and (new.mac, new.client_id) != (old.mac, old.client_id):
            changed.append(old)
    for reservations, what in (
        (lost, "is no longer reserved: its client may get another address, and others may get this one"),
        (changed, "is reserved for another client: the one that has it must take another address"),
    ):
        if 0 < len(reservations) <= SHOWN_COUNT:
            for each in reservations:
                name = f" ({each.name})" if each.name else ""
                yield f'{each.address}{name} in scope "{each.scope}" {what}'
        elif reservations:
            first = reservations[0]
            yield (
                f'{first.address} in scope "{first.scope}" {what}; so with '
                f"{_counted(len(reservations) - 1, 'other reservation')}"
            )


def _server(old: DhcpServer, new: DhcpServer) -> Iterator[str]:
    subject = f'dhcp server "{new.server}"'
    if new.allow_filter and not old.allow_filter:
        yield f"{subject} serves the clients on its allow list alone from now on"
    if old.deny_filter and not new.deny_filter:
        yield f"{subject} serves the clients on its deny list from now on"
    gone = [each for each in old.interfaces if each not in new.interfaces]
    if new.interfaces and gone:
        yield f"{subject} no longer listens on {', '.join(gone)}: clients there get no answer"
    elif new.interfaces and not old.interfaces:
        yield f"{subject} listens on {', '.join(new.interfaces)} alone: clients elsewhere get no answer"
    for each in new.bulk_lease_query_from:
        if each not in old.bulk_lease_query_from:
            yield f"{subject} tells {each} who has which address, and when, without a password"
    if old.dns_servers and not new.dns_servers:
        yield f"{subject} registers no names in DNS any more; those that are there stay, also when leases end"
    if new.dns_servers and not new.dns_key and (not old.dns_servers or old.dns_key):
        yield (
            f"{subject} sends updates to DNS without a key: whoever can send packets in its name can change "
            "the zones; name one with dns_key"
        )
    if new.authoritative and not old.authoritative:
        yield (
            f"{subject} says no (DHCPNAK) to clients of other servers on the same wire from now on: "
            "they lose their addresses"
        )


def _standing(organisation: Organisation) -> Iterator[str]:
    """What is dangerous as it stands, whatever it was before; told once, when it comes up."""
    for server in organisation.dhcp_servers:
        if server.allow_filter and not _allowed(organisation, server.server):
            yield (
                f'the allow list of dhcp server "{server.server}" is on, but empty: nobody is served; '
                "add clients with: holdfast dhcp filter add"
            )
    yield from _partners(organisation)
    own = _own_addresses(organisation)
    for scope in organisation.scopes:
        if not _sound(scope):
            continue
        leased = leased_ranges(scope)
        if scope.pool is not None and not leased:
            yield f'scope "{scope.name}" leases nothing but reservations: its whole pool is excluded'
        yield from _ipv6_only(scope)
        for router in _routers((scope.options, *(each.options for each in scope.policies))):
            yield from _router(router, scope, leased)
        for address, server_name in own:
            if any(address in each for each in leased):
                yield (
                    f'scope "{scope.name}" leases {address}, the address of server "{server_name}": '
                    "exclude it"
                )


def _ipv6_only(scope: Scope) -> Iterator[str]:
    """Waits that no client keeps to, as they are too short (RFC 8925 section 3.4)."""
    for options in (scope.options, *(each.options for each in scope.policies)):
        for each in options:
            text = each.values[0] if each.code == IPV6_ONLY and not each.vendor_class and each.values else ""
            if text.isdecimal() and 0 < int(text) < IPV6_ONLY_WAIT_S_MIN:
                yield (
                    f'scope "{scope.name}" has clients without IPv4 wait {text} s before they ask again '
                    f"(option {IPV6_ONLY}): they wait {IPV6_ONLY_WAIT_S_MIN} s at least; give 0 or more"
                )


def _partners(organisation: Organisation) -> Iterator[str]:
    """Partners lease the same scopes, and what stands at the server is easily set at one of them alone."""
    for relationship in organisation.failover_relationships:
        entries = [organisation.dhcp_server(each) for each in relationship.servers[:2]]
        told = [
            (each.options, each.policies if each.policies_enabled else (), each.next_server, each.boot_file)
            for each in entries
        ]
        if len(told) == 2 and relationship.scopes and told[0] != told[1]:
            yield (
                f'servers "{entries[0].server}" and "{entries[1].server}" of failover relationship '
                f'"{relationship.name}" tell clients of the same scopes different things: give both the same '
                "options and policies, or put these into the scopes"
            )


def _allowed(organisation: Organisation, server: str) -> bool:
    return any(
        each.action is FilterAction.ALLOW and (not each.servers or server in each.servers)
        for each in organisation.mac_filters
    )


def _own_addresses(organisation: Organisation) -> list[tuple[IPv4Address, str]]:
    found: list[tuple[IPv4Address, str]] = []
    for server in organisation.servers:
        for text in server.addresses:
            try:
                found.append((IPv4Address(text), server.name))
            except ValueError:
                continue  # IPv6, or what the checks tell of
    return found


def _routers(levels: Iterable[tuple[OptionValue, ...]]) -> Iterator[IPv4Address]:
    for options in levels:
        for each in options:
            for text in each.values if each.code == ROUTERS and not each.vendor_class else ():
                try:
                    yield IPv4Address(text)
                except ValueError:
                    continue  # the checks tell of it


def _router(router: IPv4Address, scope: Scope, leased: Iterable[IPRange]) -> Iterator[str]:
    if router not in scope.subnet:
        yield (
            f'the router {router} of scope "{scope.name}" is not in its subnet {scope.subnet}: '
            "most clients cannot use it, and have no way out of their network"
        )
    elif any(router in each for each in leased):
        yield f'scope "{scope.name}" leases {router}, the address of its own router: exclude it'


def _listed(ranges: list[IPRange]) -> str:
    more = f" and {_counted(len(ranges) - SHOWN_COUNT, 'other range')}" if len(ranges) > SHOWN_COUNT else ""
    texts = [
        str(each.first) if each.first == each.last else f"{each.first}-{each.last}"
        for each in ranges[:SHOWN_COUNT]
    ]
    return ", ".join(texts) + more


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
