"""Take over what ISC dhcpd's configuration says.

What is said outside a block holds inside it, so each subnet and host is read with everything that stands
around it. Options and times outside of all blocks become the server's. A statement that is not known, or
cannot be said in our model, is noted with its line.

Source: dhcpd.conf(5) of ISC dhcpd 4.4; spec/dhcp.md sections 2 and 4.2.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import PurePosixPath

from holdfast.dhcp.foreign_options import isc_data
from holdfast.dhcp.migrate_dns import ForeignKey, isc_key, isc_zone, take_zones
from holdfast.dhcp.migrate_isc_classes import IscClasses
from holdfast.dhcp.migrate_isc_options import IscOptions, Surroundings
from holdfast.dhcp.moving import Arrival, exclusions_in, pool_of, shown
from holdfast.directory.dhcp import (
    UNLIMITED_LEASE_S,
    ClientKind,
    DhcpServer,
    DnsUpdates,
    Policy,
    Reservation,
    Scope,
)
from holdfast.directory.dhcp_options import OptionDefinition, OptionType
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange
from holdfast.wire.isc_conf import Statement

_DEFAULT_LEASE_S = 43200.0  # what dhcpd gives when nothing is said
_HARDWARE = {"ethernet": 1, "token-ring": 6, "fddi": 8, "infiniband": 32}
# What has no effect on clients, or is how a server of ours works anyway.
_PASSED_OVER = frozenset(
    (
        "log-facility", "pid-file-name", "lease-file-name", "omapi-port", "omapi-key", "key",
        "dhcp-cache-threshold", "delayed-ack", "max-ack-delay", "one-lease-per-client",
        "db-time-format", "authoring-byte-order",
        "use-host-decl-names", "server-identifier", "ping-timeout", "local-port",
        "get-lease-hostnames", "stash-agent-options", "always-broadcast", "min-secs",
    )
)  # fmt: skip
_PASSED_REASONS = {
    "use-host-decl-names": "a reservation's name is given to its client only as option 12",
    "server-identifier": "the server fills its own address in",
    "always-broadcast": "answers are broadcast to clients that ask for it",
    "min-secs": "a scope has a delay instead",
    "get-lease-hostnames": "names are not looked up in DNS",
    "key": "keys are declared anew, so that no secret travels in a file",
    "omapi-key": "keys are declared anew, so that no secret travels in a file",
}


def with_included(files: Mapping[str, tuple[Statement, ...]]) -> tuple[Statement, ...]:
    """Several files as one: each stands where another includes it, else behind those before it.

    Args:
        files: by name, in their order. An ``include`` means the file that is called so, in whatever folder.
    """
    by_name = {PurePosixPath(name).name: statements for name, statements in files.items()}
    used: set[str] = set()

    def inlined(statements: tuple[Statement, ...], above: frozenset[str]) -> Iterator[Statement]:
        for each in statements:
            wanted = (
                PurePosixPath(each.words[1].text).name if each.head == "include" and each.words[1:] else ""
            )
            if wanted in by_name and wanted not in above:
                used.add(wanted)
                yield from inlined(by_name[wanted], above | {wanted})
            elif each.block:
                yield replace(each, block=tuple(inlined(each.block, above)))
            else:
                yield each

    whole = {name: tuple(inlined(each, frozenset((name,)))) for name, each in by_name.items()}
    return tuple(each for name, statements in whole.items() if name not in used for each in statements)


def arrive_from_isc(statements: tuple[Statement, ...], *, server: str) -> Arrival:
    """Turn a configuration into our words.

    Args:
        statements: the file.
        server: the server of ours that takes it over.

    Raises:
        Refusal: a subnet, range or reservation is malformed; with the line.
    """
    return _Reader(Arrival(DhcpServer(server, authoritative=False))).read(statements)


class _Reader:
    def __init__(self, arrival: Arrival) -> None:
        self.arrival = arrival
        self.options = IscOptions(arrival)
        self.classes = IscClasses(arrival)
        self.hosts: list[tuple[Statement, Surroundings]] = []
        self.dns = DnsUpdates.ON_REQUEST
        # Whether the file says that names are registered; dhcpd registers none by itself.
        self.registers = False
        self.zones: list[Statement] = []
        self.keys: dict[str, ForeignKey] = {}

    def place(self, statement: Statement) -> str:
        return statement.place

    def left(self, statement: Statement, reason: str) -> None:
        self.arrival.left(self.place(statement), statement.text, reason)

    def read(self, statements: tuple[Statement, ...]) -> Arrival:
        for statement in statements:
            self.collect(statement)
        around = self.options.inside(statements, Surroundings())
        # What is said of options outside of all blocks is the server's; of times nothing is, in our model.
        base = replace(around, options=(), next_server="", server_name="", boot_file="")
        for statement in statements:
            self.top(statement, base)
        arrival = self.arrival
        policies = self.classes.server_policies(self.boot_of_class)
        arrival.scopes[:] = [_with_policies(each, policies) for each in arrival.scopes]
        arrival.server = replace(
            arrival.server,
            options=around.options,
            next_server=around.next_server,
            server_name=around.server_name,
            boot_file=around.boot_file,
            policies=policies,
        )
        for statement, place in self.hosts:
            self.host(statement, place)
        if self.registers:
            take_zones(arrival, [isc_zone(each) for each in self.zones], self.keys)
        for statement in () if self.registers else self.zones:
            self.left(statement, "the file has no ddns-update-style, or none: dhcpd registered nothing")
        return arrival

    # --- definitions come first: they may stand behind their use ---------------------------

    def collect(self, statement: Statement) -> None:
        """Definitions of options and classes, which hold everywhere."""
        words = statement.words
        if statement.head == "option" and statement.word(1) == "space" and len(words) >= 3:
            self.options.new_space(statement.word(2))
        elif statement.head == "option" and statement.word(2) == "code" and len(words) >= 6:
            self.options.define(statement)
        elif statement.head in ("class", "subclass"):
            self.classes.add(statement)
        elif statement.head == "ddns-update-style":
            self.registers = statement.word(1) != "none"
            self.dns = DnsUpdates.ON_REQUEST if self.registers else DnsUpdates.NEVER
        elif statement.head == "zone" and statement.block is not None:
            self.zones.append(statement)
        elif statement.head == "key" and statement.block is not None:
            key = isc_key(statement)
            self.keys[key.name.lower()] = key

    # --- blocks ----------------------------------------------------------------------------

    def top(self, statement: Statement, around: Surroundings) -> None:
        arrival = self.arrival
        match statement.head:
            case "authoritative":
                arrival.server = replace(arrival.server, authoritative=True)
            case "ping-check" if statement.word(1) in ("true", "on"):
                arrival.server = replace(arrival.server, probe_count=1)
            case "ping-check" | "ddns-update-style" | "class" | "subclass":
                pass
            case _:
                self.block(statement, around)

    def block(self, statement: Statement, around: Surroundings) -> None:
        """A statement that may stand at the top, in a shared network or in a group."""
        match statement.head:
            case "subnet" if statement.block is not None:
                self.subnet(statement, around)
            case "shared-network" | "group" if statement.block is not None:
                inside = self.options.inside(statement.block, around)
                block = statement.block
                if statement.head == "shared-network" and len(statement.words) > 1:
                    inside = replace(inside, superscope=statement.words[1].text)
                    block = _with_own_pools(block)
                for each in block:
                    self.block(each, replace(inside, group=True) if statement.head == "group" else inside)
            case "host" if statement.block is not None:
                self.hosts.append((statement, around))
            case "class" | "subclass":
                self.left(statement, "a class inside a block is not taken over: put it at the top")
            case "pool" | "pool6" | "range":
                self.left(statement, "it belongs into a subnet")
            case _:
                self.other(statement)

    def other(self, statement: Statement) -> None:
        """A statement that ``inside`` did not use."""
        head = statement.head
        if head in _INHERITED or (head == "option" and statement.word(2) in ("code", "=")):
            return
        if head == "option":
            return
        reason = "this statement is not known"
        match head:
            case "failover":
                reason = "failover relationships are not taken over: declare it anew"
            case "include":
                reason = "this file is not here: import it together with the others"
            case "subnet6" | "shared-network6" | "host6" | "range6" | "prefix6":
                reason = "DHCPv6 is not served"
            case "zone" if statement.block is not None:
                return  # taken over, or noted, at the end
            case "zone" | "ddns-rev-domainname" | "ddns-hostname" | "ddns-ttl":
                reason = "names in DNS are set otherwise: holdfast dhcp dns set"
            case "do-forward-updates" | "update-static-leases" | "update-optimization" | "ignore-client-uids":
                reason = "there is no such setting here"
            case "if" | "elsif" | "else" | "switch" | "set" | "on" | "execute" | "log" | "eval":
                reason = "conditions are policies here: declare one that says this"
            case "allow" | "deny" | "ignore":
                self.permission(statement)
                return
            case "not":
                return  # "not authoritative" is what is assumed
            case "interface" | "local-address":
                reason = "the interfaces are a setting of the server: holdfast dhcp set --interface"
            case _ if head in _PASSED_OVER:
                reason = _PASSED_REASONS.get(head, "it has no effect on clients")
        self.left(statement, reason)

    def permission(self, statement: Statement) -> None:
        subject = statement.word(1)
        if (
            subject in ("booting", "declines", "duplicates", "client-updates", "bootp")
            and statement.head == "allow"
        ):
            return  # what holds without it
        if subject == "client-updates":
            return  # the scopes have it
        reasons = {
            "unknown-clients": "shut everybody else out with an allow list, or give the scope no pool",
            "bootp": "a scope says whether it serves BOOTP",
        }
        self.left(statement, reasons.get(subject, "there is no such permission here"))

    # --- subnets ---------------------------------------------------------------------------

    def subnet(self, statement: Statement, around: Surroundings) -> None:
        assert statement.block is not None
        try:
            network = ipaddress.IPv4Network(f"{statement.word(1)}/{statement.word(3)}")
        except ValueError as error:
            raise Refusal(f'{self.place(statement)}: "{shown(statement.text)}": {error}') from None
        subnet = IPRange(network[0], network[-1])
        inside = self.options.inside(statement.block, around)
        scope = Scope(
            self.arrival.new_scope_name(str(network), subnet),
            subnet,
            self.arrival.server.server,
            superscope=inside.superscope,
            dns_updates=self.dns if inside.dns_updates else DnsUpdates.NEVER,
            dns_suffix=inside.dns_suffix,
            dns_protect=inside.dns_protect,
            # dhcpd takes the host name of a client that does not say who registers what.
            dns_without_request=self.registers,
        )
        if inside.dns_always and scope.dns_updates is not DnsUpdates.NEVER:
            scope = replace(scope, dns_updates=DnsUpdates.ALWAYS)
        pools = [each for each in statement.block if each.head == "pool" and each.block is not None]
        if len(pools) == 1 and not any(each.head == "range" for each in statement.block):
            inside = self.options.inside(pools[0].block or (), inside)
        ranges: list[IPRange] = []
        for each in statement.block:
            scope = self.subnet_statement(scope, each, inside, ranges)
        for pool in pools:
            scope = self.pool(scope, pool, ranges, alone=len(pools) == 1)
        scope = self.with_ranges(scope, ranges, statement)
        self.arrival.scopes.append(self.with_times(scope, inside, statement))

    def subnet_statement(
        self, scope: Scope, statement: Statement, inside: Surroundings, ranges: list[IPRange]
    ) -> Scope:
        match statement.head:
            case "range":
                return self.range(scope, statement, ranges)
            case "pool" if statement.block is not None:
                pass
            case "authoritative" | "not":
                self.left(statement, "this is said for the whole server here")
            case _:
                self.block(statement, inside)
        return scope

    def range(self, scope: Scope, statement: Statement, ranges: list[IPRange]) -> Scope:
        words = [each.text for each in statement.words[1:]]
        if words[:1] == ["dynamic-bootp"]:
            scope = replace(scope, serves=ClientKind.BOTH)
            words = words[1:]
        try:
            ends = IPRange(IPv4Address(words[0]), IPv4Address(words[-1]))
        except (ValueError, IndexError):
            raise Refusal(
                f'{self.place(statement)}: "{shown(statement.text)}" is not a range of addresses'
            ) from None
        if len(words) > 2 or int(ends.first) > int(ends.last) or not scope.subnet.contains_range(ends):
            raise Refusal(
                f'{self.place(statement)}: "{shown(statement.text)}" is not in the subnet {scope.subnet}, '
                "or ends before it begins"
            )
        ranges.append(ends)
        return scope

    def pool(self, scope: Scope, statement: Statement, ranges: list[IPRange], *, alone: bool) -> Scope:
        own: list[IPRange] = []
        members: list[str] = []
        for each in statement.block or ():
            words = [one.text.lower() for one in each.words]
            if each.head == "range":
                scope = self.range(scope, each, own)
            elif each.head == "failover":
                self.left(each, "failover relationships are not taken over: declare it anew")
            elif each.head == "allow" and words[1:3] == ["members", "of"] and len(words) == 4:
                members.append(each.words[3].text)
            elif each.head in ("deny", "ignore") and words[1:] in (
                ["dynamic", "bootp", "clients"],
                ["bootp"],
            ):
                pass  # as it is unless a range says dynamic-bootp
            elif each.head in ("allow", "deny", "ignore"):
                self.left(
                    each, "a part of a pool is for clients of a policy here: declare one with its range"
                )
            elif each.head in _INHERITED or each.head == "option":
                if not alone:
                    self.left(
                        each,
                        "a scope has one lease time and one set of options: declare a policy with ranges",
                    )
            else:
                self.other(each)
        ranges += own
        for name in members:
            policy = self.classes.pool_policy(name, own, statement)
            if policy is not None:
                scope = replace(scope, policies=(*scope.policies, policy))
        return scope

    def with_ranges(self, scope: Scope, ranges: list[IPRange], statement: Statement) -> Scope:
        pool, gaps = pool_of(ranges)
        if pool is None:
            return scope
        # The network's own address and broadcast are no addresses of clients, whatever the file says.
        hosts = scope.subnet if scope.subnet.address_count <= 2 else None
        ends = [] if hosts else [IPRange(each, each) for each in (scope.subnet.first, scope.subnet.last)]
        exclusions = exclusions_in(pool, [*gaps, *ends])
        return replace(scope, pool=pool, exclusions=exclusions)

    def with_times(self, scope: Scope, inside: Surroundings, statement: Statement) -> Scope:
        lease_s = _DEFAULT_LEASE_S if inside.lease_s is None else inside.lease_s
        longest_s, shortest_s = inside.longest_s, inside.shortest_s
        if longest_s is not None and lease_s > longest_s:
            lease_s = longest_s
        scope = replace(
            scope,
            options=inside.options,
            next_server=inside.next_server,
            server_name=inside.server_name,
            boot_file=inside.boot_file,
        )
        if lease_s >= UNLIMITED_LEASE_S:
            return replace(scope, lease_unlimited=True)
        if shortest_s is not None and shortest_s > lease_s:
            reason = f"a lease of {lease_s:g} seconds is shorter: the lease is as long as this"
            self.arrival.changed(self.place(statement), f"min-lease-time {shortest_s:g}", reason)
            lease_s = shortest_s
        if longest_s is not None and not lease_s < longest_s < UNLIMITED_LEASE_S:
            longest_s = None
        return replace(scope, lease_s=lease_s, longest_lease_s=longest_s, shortest_lease_s=shortest_s)

    # --- hosts -----------------------------------------------------------------------------

    def host(self, statement: Statement, around: Surroundings) -> None:
        assert statement.block is not None
        name = statement.words[1].text if len(statement.words) > 1 else ""
        mac, hardware_type, client_id = b"", 1, b""
        addresses: list[IPv4Address] = []
        for each in statement.block:
            match each.head:
                case "hardware":
                    hardware_type, mac = self.hardware(each)
                case "fixed-address":
                    addresses += self.fixed(each)
                case "option" if each.word(1) == "dhcp-client-identifier":
                    client_id = self.identifier(each)
                case "dynamic" | "deleted" | "option":
                    pass
                case _:
                    self.other(each)
        own = [each for each in statement.block if each.word(1) != "dhcp-client-identifier"]
        inside = self.options.inside(tuple(own), Surroundings() if not around.group else around)
        if not addresses:
            self.left(statement, "a host without a fixed address has no reservation")
            return
        if not mac and not client_id:
            self.left(statement, "it says nothing of its client that a reservation could go by")
            return
        for address in addresses:
            scope = self.arrival.scope_at(address)
            if scope is None:
                self.left(statement, f"{address} lies in no subnet of the file")
                continue
            self.arrival.reservations.append(
                Reservation(
                    scope.name,
                    address,
                    mac=mac.hex(":"),
                    hardware_type=hardware_type,
                    client_id=client_id.hex(":"),
                    name=name,
                    options=inside.options,
                    next_server=inside.next_server,
                    server_name=inside.server_name,
                    boot_file=inside.boot_file,
                )
            )

    def hardware(self, statement: Statement) -> tuple[int, bytes]:
        kind = _HARDWARE.get(statement.word(1))
        try:
            mac = bytes(int(part, 16) for part in statement.word(2).split(":"))
        except ValueError:
            mac = b""
        if kind is None or not 1 <= len(mac) <= 16:
            raise Refusal(f'{self.place(statement)}: "{shown(statement.text)}" is not a hardware address')
        return kind, mac

    def fixed(self, statement: Statement) -> list[IPv4Address]:
        found: list[IPv4Address] = []
        for word in statement.words[1:]:
            if word.data == b",":
                continue
            try:
                found.append(IPv4Address(word.text))
            except ValueError:
                self.left(statement, f'"{shown(word.text)}" is a name: look it up and write the address')
        return found

    def identifier(self, statement: Statement) -> bytes:
        try:
            data = isc_data(OptionDefinition(61, "client-id", (OptionType.HEX,)), statement.words[2:])
        except Refusal as refusal:
            self.left(statement, refusal.text)
            return b""
        if len(data) < 2:
            self.left(statement, "an identifier has a type and something behind it")
            return b""
        return data

    def boot_of_class(self, statement: Statement, policy: Policy) -> Policy:
        """What a class says beside its test."""
        inside = self.options.inside(statement.block or (), Surroundings())
        for each in statement.block or ():
            if each.head not in ("match", "spawn", "option"):
                self.other(each)
        lease_s = inside.lease_s
        unlimited = lease_s is not None and lease_s >= UNLIMITED_LEASE_S
        return replace(
            policy,
            options=inside.options,
            lease_s=None if unlimited else lease_s,
            lease_unlimited=unlimited,
            next_server=inside.next_server,
            server_name=inside.server_name,
            boot_file=inside.boot_file,
        )


def _with_own_pools(block: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """A shared network whose pools and ranges stand in the subnets that their addresses are of.

    A pool may have addresses of several subnets: each gets it with its own ones.
    """
    subnets = [each for each in block if each.head == "subnet" and each.block is not None]
    taken: list[Statement] = []
    found: list[Statement] = []
    for subnet in subnets:
        own: list[Statement] = []
        for each in block:
            if each.head == "range" and _is_of(each, subnet):
                own.append(each)
                taken.append(each)
            elif each.head == "pool" and each.block is not None:
                ranges = [one for one in each.block if one.head == "range" and _is_of(one, subnet)]
                if ranges:
                    others = tuple(one for one in each.block if one.head != "range")
                    own.append(replace(each, block=(*ranges, *others)))
                    taken.append(each)
        found.append(replace(subnet, block=(*(subnet.block or ()), *own)))
    rest = [each for each in block if each not in taken and each not in subnets]
    return (*rest, *found)


def _is_of(statement: Statement, subnet: Statement) -> bool:
    """Whether a range is of a subnet, by its first address; what is malformed is of none."""
    words = [each.text for each in statement.words[1:] if each.text.lower() != "dynamic-bootp"]
    try:
        network = ipaddress.IPv4Network(f"{subnet.word(1)}/{subnet.word(3)}")
        return bool(words) and IPv4Address(words[0]) in network
    except ValueError:
        return False


def _with_policies(scope: Scope, policies: tuple[Policy, ...]) -> Scope:
    """A scope with the policies of the server that would give way to it here, and did not in dhcpd."""
    codes = {each.code for each in scope.options}
    boots = (scope.next_server, scope.server_name, scope.boot_file)
    needed = tuple(
        each
        for each in policies
        if codes & {one.code for one in each.options}
        or each.lease_s is not None
        or each.lease_unlimited
        or any(ours and theirs for ours, theirs in zip(_boots(each), boots, strict=True))
    )
    # Policies for parts of the pool keep their place in front: they were said for this scope.
    taken = {each.name.casefold() for each in scope.policies}
    return replace(
        scope, policies=(*scope.policies, *(each for each in needed if each.name.casefold() not in taken))
    )


def _boots(policy: Policy) -> tuple[str, str, str]:
    return policy.next_server, policy.server_name, policy.boot_file


_INHERITED = frozenset(
    (
        "default-lease-time", "max-lease-time", "min-lease-time", "next-server", "server-name", "filename",
        "vendor-option-space", "ddns-domainname", "ddns-updates", "update-conflict-detection",
    )
)  # fmt: skip
