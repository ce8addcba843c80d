"""Write what ISC dhcpd needs: a configuration and a lease file.

Options that dhcpd has a name for and that people read go out under it; all others are defined as bytes, so
that clients get what they got. Policies become classes.

Source: dhcpd.conf(5), dhcp-options(5) and dhcpd.leases(5) of ISC dhcpd 4.4.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from holdfast.dhcp.departing import (
    Departure,
    class_names,
    exact_lease,
    note_settings_without_a_word,
    policies_of,
    scope_place,
)
from holdfast.dhcp.export_conditions import isc_test
from holdfast.dhcp.foreign_options import CODES, ISC_NAMES
from holdfast.dhcp.moving import LeaseState, MovedLease
from holdfast.directory.dhcp import (
    UNLIMITED_LEASE_S,
    ClientKind,
    DhcpServer,
    DnsUpdates,
    Policy,
    Reservation,
    Scope,
)
from holdfast.directory.dhcp_options import OptionDefinition, OptionType, OptionValue
from holdfast.directory.dhcp_ranges import subnet_mask, without_ranges
from holdfast.directory.option_table import BUILT_IN
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange
from holdfast.wire.isc_conf import quote, write_statement
from holdfast.wire.isc_leases import BindingState, IscLease

_PLAIN = (
    (OptionType.ADDRESS,),
    (OptionType.UINT8,),
    (OptionType.UINT16,),
    (OptionType.UINT32,),
    (OptionType.INT32,),
)
_NO_WORD = (
    "delay_ms",
    "rapid_commit",
    "bootp_client_count_max",
    "relays",
    "description",
    "dns_suffix",
    "dns_without_request",
    "dns_remove",
    "dns_reverse",
    "dns_protect",
)
_ISC_TYPES = {
    OptionType.BOOL: "boolean",
    OptionType.UINT8: "unsigned integer 8",
    OptionType.UINT16: "unsigned integer 16",
    OptionType.UINT32: "unsigned integer 32",
    OptionType.INT32: "signed integer 32",
    OptionType.ADDRESS: "ip-address",
    OptionType.TEXT: "text",
    OptionType.HEX: "string",
}
# A record may not end in these; alone they are fine.
_TO_THE_END = (OptionType.TEXT, OptionType.HEX)
_HOST_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:\.[A-Za-z0-9-]+)*")
_HARDWARE = {1: "ethernet", 6: "token-ring", 8: "fddi", 32: "infiniband"}


def isc_configuration(departure: Departure) -> Iterator[str]:
    """The configuration, in pieces."""
    server = departure.server
    _note_server(departure)
    yield "authoritative;\n" if server.authoritative else "not authoritative;\n"
    never = all(each.dns_updates is DnsUpdates.NEVER for each in departure.scopes)
    yield write_statement(f"ddns-update-style {'none' if never else 'interim'}")
    yield write_statement(f"ping-check {'true' if server.probe_count else 'false'}")
    yield from _definitions(departure)
    yield from _boot(server)
    yield from _options(departure, server.options, "server")
    yield from _classes(departure)
    groups: dict[str, list[Scope]] = {}
    for scope in departure.scopes:
        if scope.enabled:
            groups.setdefault(scope.superscope, []).append(scope)
        else:
            departure.left(scope_place(scope), "the scope", "it is disabled, and dhcpd would lease it")
    for name, scopes in groups.items():
        subnets = [_subnet(departure, each) for each in scopes]
        yield from [write_statement(f"shared-network {quote(name.encode())}", subnets)] if name else subnets
    hosts = [each for scope in departure.scopes if scope.enabled for each in departure.reservations(scope)]
    counts = Counter(each.name for each in hosts)
    for each in hosts:
        # Names of hosts are unique in dhcpd and made of letters and digits; those of clients need not be.
        fits = counts[each.name] == 1 and _HOST_NAME.fullmatch(each.name)
        name = each.name if fits else f"host-{str(each.address).replace('.', '-')}"
        if each.name and not fits:
            departure.changed("reservation", f"name {each.name} of {each.address}", f"in dhcpd it is {name}")
        yield _host(departure, each, name)


def _note_server(departure: Departure) -> None:
    server, blank = departure.server, DhcpServer(departure.server.server)
    for name, reason in (
        ("interfaces", "dhcpd is told on its command line"),
        ("dns_servers", "zones and keys are set up at dhcpd itself"),
        ("decline_s", "dhcpd keeps declined addresses back until it needs them"),
        ("deny_filter", "deny booting stands at each host in dhcpd"),
        ("allow_filter", "deny unknown-clients needs every client declared in dhcpd"),
    ):
        if getattr(server, name) != getattr(blank, name):
            departure.left("server", f"{name} {getattr(server, name)}", reason)


def _boot(holder: DhcpServer | Scope | Policy | Reservation) -> list[str]:
    lines = []
    if holder.next_server:
        lines.append(write_statement(f"next-server {holder.next_server}"))
    if holder.server_name:
        lines.append(write_statement(f"server-name {quote(holder.server_name.encode())}"))
    if holder.boot_file:
        lines.append(write_statement(f"filename {quote(holder.boot_file.encode())}"))
    return lines


def _all_options(departure: Departure) -> Iterator[OptionValue]:
    yield from departure.server.options
    for policy in departure.server.policies:
        yield from policy.options
    for scope in departure.scopes:
        yield from scope.options
        for policy in scope.policies:
            yield from policy.options
        for reservation in departure.reservations(scope):
            yield from reservation.options


def _definitions(departure: Departure) -> Iterator[str]:
    """Definitions of our own, and of every option that goes out as bytes under a name of its own."""
    for code in sorted({each.code for each in _all_options(departure) if not each.vendor_class}):
        own = next((one for one in departure.organisation.option_definitions if one.key == str(code)), None)
        if own is not None and _isc_form(own):
            yield write_statement(f"option {_isc_name(own)} code {code} = {_isc_form(own)}")
        elif not _named(departure, code):
            yield write_statement(f"option holdfast-{code} code {code} = string")


def _isc_name(definition: OptionDefinition) -> str:
    """A name that dhcpd can read, and that is none of its own."""
    name = re.sub("[^a-z0-9-]+", "-", definition.name.lower()).strip("-")
    return name if name and name[0].isalpha() and name not in CODES else f"holdfast-{definition.code}"


def _isc_form(definition: OptionDefinition) -> str:
    """Its type as dhcpd writes it; empty where it has none."""
    words = [_ISC_TYPES.get(kind, "") for kind in definition.types]
    if not all(words) or (definition.types[-1] in _TO_THE_END and len(words) > 1):
        return ""
    form = words[0] if len(words) == 1 else "{ " + ", ".join(words) + " }"
    return f"array of {form}" if definition.array else form


def _named(departure: Departure, code: int) -> bool:
    """Whether dhcpd has the option under a name, in our form."""
    definition = departure.organisation.option_definition(code)
    if definition is None or code not in ISC_NAMES or code not in BUILT_IN:
        return False
    return definition.types == BUILT_IN[code].types and definition.types in (*_PLAIN, (OptionType.TEXT,))


def _options(departure: Departure, options: Iterable[OptionValue], place: str) -> list[str]:
    lines = []
    for each in options:
        if each.vendor_class or each.user_class:
            departure.left(place, f"option {each.code} of a class", "declare a class for it in dhcpd")
            continue
        if each.always:
            departure.left(place, f"always of option {each.code}", "clients of dhcpd get what they ask for")
        definition = departure.definition(each)
        own = definition in departure.organisation.option_definitions and bool(_isc_form(definition))
        if own or _named(departure, each.code):
            name = _isc_name(definition) if own else ISC_NAMES[each.code]
            lines.append(write_statement(f"option {name} {_isc_values(definition, each.values)}"))
        else:
            data = departure.data(each).hex(":")
            lines.append(
                write_statement(
                    f"option holdfast-{each.code} {data}" if data else f'option holdfast-{each.code} ""'
                )
            )
    return lines


def _isc_values(definition: OptionDefinition, values: Iterable[str]) -> str:
    if definition.types == (OptionType.TEXT,):
        return ", ".join(quote(text.encode()) for text in values)
    return ", ".join(values)


def _classes(departure: Departure) -> Iterator[str]:
    names = class_names(departure)
    places = [("server", "", departure.server.policies, departure.server.policies_enabled)]
    places += [
        (scope_place(each), each.name, each.policies, each.policies_enabled) for each in departure.scopes
    ]
    for place, scope_name, policies, enabled in places:
        if policies and not enabled:
            departure.left(place, "policies", "they are switched off")
            continue
        for policy in policies_of(departure, policies, place):
            if scope_name and not policy.ranges:
                if policy in departure.server.policies:
                    continue  # in dhcpd the class wins over the subnet, as it does in this scope
                reason = "dhcpd's classes hold for all subnets, and this policy for one scope"
                departure.left(place, f'policy "{policy.name}"', reason)
                continue
            try:
                test = isc_test(departure, policy)
            except Refusal as refusal:
                departure.left(place, f'policy "{policy.name}"', refusal.text)
                continue
            gives = [
                *_lease_lines(policy),
                *_boot(policy),
                *_options(departure, policy.options, f'policy "{policy.name}"'),
            ]
            if scope_name and gives:
                reason = "in dhcpd its options hold for these clients in all subnets"
                departure.changed(place, f'policy "{policy.name}"', reason)
            name = quote(names[scope_name, policy.name].encode())
            yield write_statement(f"class {name}", [write_statement(f"match if {test}"), *gives])


def _lease_lines(policy: Policy) -> list[str]:
    if not policy.lease_unlimited and policy.lease_s is None:
        return []
    span_s = UNLIMITED_LEASE_S if policy.lease_unlimited else int(policy.lease_s or 0)
    return [write_statement(f"default-lease-time {span_s}"), write_statement(f"max-lease-time {span_s}")]


def _subnet(departure: Departure, scope: Scope) -> str:
    note_settings_without_a_word(departure, scope, _NO_WORD)
    lines = [_comment(scope)] if scope.name != str(scope.subnet) else []
    lease_s = UNLIMITED_LEASE_S if scope.lease_unlimited else int(scope.lease_s)
    longest_s = int(scope.longest_lease_s) if scope.longest_lease_s is not None else lease_s
    lines += [
        write_statement(f"default-lease-time {lease_s}"),
        write_statement(f"max-lease-time {longest_s}"),
    ]
    if scope.shortest_lease_s is not None:
        lines.append(write_statement(f"min-lease-time {int(scope.shortest_lease_s)}"))
    lines += [*_boot(scope), *_options(departure, scope.options, scope_place(scope))]
    lines += _pools(departure, scope)
    return write_statement(f"subnet {scope.subnet.first} netmask {subnet_mask(scope.subnet)}", lines)


def _comment(scope: Scope) -> str:
    return "# " + "".join(each if each.isprintable() else " " for each in scope.name) + "\n"


def _pools(departure: Departure, scope: Scope) -> list[str]:
    if scope.pool is None:
        return []
    if scope.serves is ClientKind.BOOTP:
        departure.changed(scope_place(scope), "serves bootp", "dhcpd serves DHCP clients there as well")
    word = "range" if scope.serves is ClientKind.DHCP else "range dynamic-bootp"
    policies = [each for each in scope.policies if each.ranges and each.enabled and scope.policies_enabled]
    claimed = [one for each in policies for one in each.ranges]
    parts = without_ranges(scope.pool, [*scope.exclusions, *claimed])
    names = class_names(departure)
    found = [write_statement("pool", [_range(word, each) for each in parts])] if parts else []
    for policy in policies:
        try:
            isc_test(departure, policy)
        except Refusal:
            continue  # noted with its class; its addresses are for nobody else
        name = quote(names[scope.name, policy.name].encode())
        inner = [write_statement(f"allow members of {name}")]
        inner += [
            _range(word, part) for each in policy.ranges for part in without_ranges(each, scope.exclusions)
        ]
        found.append(write_statement("pool", inner))
    return found


def _range(word: str, each: IPRange) -> str:
    return write_statement(f"{word} {each.first} {each.last}")


def _host(departure: Departure, reservation: Reservation, name: str) -> str:
    lines = []
    if reservation.mac:
        kind = _HARDWARE.get(reservation.hardware_type)
        if kind is None:
            what = f"hardware type {reservation.hardware_type} of {reservation.address}"
            departure.left("reservation", what, "dhcpd has no name for it: taken for ethernet")
        lines.append(write_statement(f"hardware {kind or 'ethernet'} {reservation.mac}"))
    if reservation.client_id:
        client_id = bytes.fromhex(reservation.client_id.replace(":", ""))
        lines.append(write_statement(f"option dhcp-client-identifier {client_id.hex(':')}"))
    lines.append(write_statement(f"fixed-address {reservation.address}"))
    lines += [
        *_boot(reservation),
        *_options(departure, reservation.options, f"reservation {reservation.address}"),
    ]
    if reservation.description:
        departure.left("reservation", f"description of {reservation.address}", "dhcpd has no such thing")
    if reservation.serves is not ClientKind.BOTH:
        what = f"serves {reservation.serves.value} of {reservation.address}"
        departure.changed("reservation", what, "a host of dhcpd is for DHCP and BOOTP")
    return write_statement(f"host {name}", lines)


def isc_lease_entries(leases: Iterable[MovedLease], now: float) -> Iterator[IscLease]:
    """The entries of a lease file."""
    for lease in leases:
        if not exact_lease(lease, now):
            continue
        state = BindingState.ABANDONED if lease.state is LeaseState.DECLINED else BindingState.ACTIVE
        ends_at = lease.ends_at if math.isinf(lease.ends_at) else float(int(lease.ends_at))
        yield IscLease(
            int(IPv4Address(lease.address)),
            state,
            lease.hardware_type,
            lease.mac,
            lease.client_id,
            float(int(lease.starts_at)),
            ends_at,
            float(int(lease.starts_at)),
            lease.host_name,
        )
