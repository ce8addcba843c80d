"""Write the XML that Windows' Import-DhcpServer reads: one server's scopes with all that belongs to them.

Source: spec/dhcp.md section 4.4; MS-DHCPM for the flags of DNS registration.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address

from holdfast.dhcp.departing import Departure, note_settings_without_a_word, scope_place
from holdfast.dhcp.migrate_windows import DUID_TYPES
from holdfast.dhcp.migrate_windows_options import DNS_OPTION, LEASE_OPTION, TYPES
from holdfast.dhcp.moving import LeaseState, MovedLease
from holdfast.directory.dhcp import (
    ClientKind,
    Comparison,
    ConditionField,
    DhcpServer,
    DnsUpdates,
    Match,
    Policy,
    Reservation,
    Scope,
)
from holdfast.directory.dhcp_options import OptionDefinition, OptionType, OptionValue
from holdfast.directory.dhcp_ranges import subnet_mask
from holdfast.directory.option_table import BUILT_IN
from holdfast.kernel.iprange import IPRange
from holdfast.wire.windows_dhcp_export import Element

_NO_WORD = ("shortest_lease_s", "longest_lease_s", "rapid_commit", "relays", "dns_suffix")
_UNLIMITED = "10675199.02:48:05.4775807"  # TimeSpan.MaxValue
_TYPE_NAMES = {kind: name for name, kind in reversed(TYPES.items())}
_KINDS = {ClientKind.DHCP: "Dhcp", ClientKind.BOOTP: "Bootp", ClientKind.BOTH: "Both"}
_FIELDS = {
    ConditionField.VENDOR_CLASS: "VendorClass",
    ConditionField.USER_CLASS: "UserClass",
    ConditionField.MAC: "MacAddress",
    ConditionField.CLIENT_ID: "ClientId",
    ConditionField.FQDN: "Fqdn",
    ConditionField.RELAY_AGENT: "RelayAgent",
    ConditionField.CIRCUIT_ID: "CircuitId",
    ConditionField.REMOTE_ID: "RemoteId",
    ConditionField.SUBSCRIBER_ID: "SubscriberId",
}
_NO_LIMIT = 4294967295
_LISTS = frozenset(
    ("ExclusionRanges", "Policies", "OptionValues", "Reservations", "Leases", "IPRanges", "OptionDefinitions")
)
# Every Windows server has a definition of these.
_WINDOWS_CODES = frozenset((*range(1, 50), 51, 58, 59, *range(64, 77), 121))
_DEFAULTS = {
    "IPv4Address": "0.0.0.0",
    "DWord": "0",
    "Word": "0",
    "Byte": "0x00",
    "String": "",
}  # nobody listens


def windows_export(departure: Departure, leases: Iterable[MovedLease], now: float) -> Element:
    """The whole file, as ``wire.windows_dhcp_export`` writes it."""
    server = departure.server
    root = Element("DHCPServer")
    root.add("MajorVersion", "10")
    root.add("MinorVersion", "0")
    ipv4 = root.add("IPv4")
    ipv4.add("ConflictDetectionAttempts", str(server.probe_count))
    ipv4.add("NapEnabled", "false")
    ipv4.add("NpsUnreachableAction", "Full")
    ipv4.add("ActivatePolicies", _word(server.policies_enabled))
    _note_server(departure)
    classes = ipv4.add("Classes")
    for each in departure.organisation.dhcp_classes:
        row = classes.add("Class")
        row.add("Name", each.name)
        row.add("Type", each.kind.value.capitalize())
        row.add("Data", "0x" + each.data_bytes.hex())
        row.add("Description", each.description)
    _definitions(departure, ipv4.add("OptionDefinitions"))
    _policies(departure, ipv4.add("Policies"), server.policies, "server")
    _options(departure, ipv4.add("OptionValues"), server.options)
    _filters(departure, ipv4.add("Filters"))
    by_scope = _by_scope(departure, leases, now)
    scopes = ipv4.add("Scopes")
    for scope in departure.scopes:
        _scope(departure, scopes.add("Scope"), scope, by_scope.get(scope.name, []))
    _drop_empty(root)
    return root


def _drop_empty(element: Element) -> None:
    """Windows leaves a list out that holds nothing."""
    for each in element.children:
        _drop_empty(each)
    element.children = [each for each in element.children if each.children or each.name not in _LISTS]


def _word(value: bool) -> str:
    return "true" if value else "false"


def _note_server(departure: Departure) -> None:
    server, blank = departure.server, DhcpServer(departure.server.server)
    names = ("interfaces", "authoritative", "offer_s", "decline_s", "next_server", "server_name", "boot_file")
    for name in (*names, "dns_servers"):
        if getattr(server, name) != getattr(blank, name):
            departure.left("server", f"{name} {getattr(server, name)}", "the export has no word for it")


def _definitions(departure: Departure, element: Element) -> None:
    known = {(each.vendor_class, each.code): each for each in departure.organisation.option_definitions}
    # Windows knows the usual ones, under names of its own; others that are built in here it has to be told.
    for option in _all_options(departure):
        if not option.vendor_class and option.code not in _WINDOWS_CODES and option.code in BUILT_IN:
            known.setdefault(("", option.code), BUILT_IN[option.code])
    for definition in sorted(known.values(), key=lambda each: (each.vendor_class, each.code)):
        name, multi = _type(definition)
        row = element.add("OptionDefinition")
        row.add("Name", definition.name)
        row.add("OptionId", str(definition.code))
        row.add("Type", name)
        row.add("MultiValued", _word(multi))
        if name in _DEFAULTS:
            row.add("DefaultValue", _DEFAULTS[name])
        row.add("Description", definition.description)
        row.add("VendorClass", definition.vendor_class)


def _all_options(departure: Departure) -> Iterator[OptionValue]:
    holders: list[DhcpServer | Scope | Policy | Reservation] = [departure.server, *departure.server.policies]
    for scope in departure.scopes:
        holders += [scope, *scope.policies, *departure.reservations(scope)]
    for each in holders:
        yield from each.options


def _type(definition: OptionDefinition) -> tuple[str, bool]:
    """Windows' type of an option, and whether it has several values."""
    if set(definition.types) == {OptionType.ADDRESS}:
        return "IPv4Address", definition.array or len(definition.types) > 1
    if len(definition.types) == 1:
        kind = {OptionType.BOOL: OptionType.UINT8, OptionType.INT32: OptionType.UINT32}.get(
            definition.types[0], definition.types[0]
        )
        if kind is OptionType.HEX or kind not in _TYPE_NAMES:
            return "BinaryData", False
        return _TYPE_NAMES[kind], definition.array
    return "BinaryData", False


def _options(departure: Departure, element: Element, options: Iterable[OptionValue]) -> None:
    for each in options:
        values = _values(departure, each)
        _option(element, each.code, values, each.vendor_class, each.user_class)


def _option(
    element: Element, code: int, values: Iterable[str], vendor_class: str = "", user_class: str = ""
) -> None:
    row = element.add("OptionValue")
    row.add("OptionId", str(code))
    for value in values:
        row.add("Value", value)
    row.add("VendorClass", vendor_class)
    row.add("UserClass", user_class)


def _values(departure: Departure, option: OptionValue) -> list[str]:
    definition = departure.definition(option)
    name, _ = _type(definition)
    data = departure.data(option)
    if name == "IPv4Address":
        return [str(IPv4Address(data[at : at + 4])) for at in range(0, len(data), 4)]
    if name == "String":
        return list(option.values)
    if name == "BinaryData":
        return [f"0x{byte:02x}" for byte in data]
    size = {"Byte": 1, "Word": 2, "DWord": 4, "DWordDWord": 8}[name]
    return [str(int.from_bytes(data[at : at + size])) for at in range(0, len(data), size)]


def _boot(departure: Departure, element: Element, holder: Scope | Policy | Reservation, place: str) -> None:
    """The fields that a client boots by; Windows fills them from options 66 and 67."""
    if holder.next_server:
        departure.left(place, f"next_server {holder.next_server}", "Windows names its own address there")
    for code, text, key in ((66, holder.server_name, "server_name"), (67, holder.boot_file, "boot_file")):
        if not text:
            continue
        if any(each.code == code and not each.vendor_class for each in holder.options):
            departure.left(place, f"{key} {text}", f"option {code} is there already")
        else:
            departure.changed(place, f"{key} {text}", f"Windows has it as option {code}")
            _option(element, code, [text])


def _policies(departure: Departure, element: Element, policies: Iterable[Policy], place: str) -> None:
    for order, policy in enumerate(policies, start=1):
        lost = next((each for each in policy.conditions if each.looks_at not in _FIELDS), None)
        if lost is not None:
            reason = f"Windows has no condition on {lost.looks_at.value}"
            departure.left(place, f'policy "{policy.name}"', reason)
            continue
        row = element.add("Policy")
        row.add("Name", policy.name)
        row.add("ProcessingOrder", str(order))
        row.add("Enabled", _word(policy.enabled))
        row.add("Condition", "OR" if policy.match is Match.ANY else "AND")
        row.add("Description", policy.description)
        _conditions(departure, row, policy, place)
        options = row.add("OptionValues")
        _options(departure, options, policy.options)
        _boot(departure, options, policy, f'policy "{policy.name}"')
        if policy.lease_s is not None or policy.lease_unlimited:
            span = _NO_LIMIT if policy.lease_unlimited else int(policy.lease_s or 0)
            _option(options, LEASE_OPTION, [str(span)])
        _ranges(row.add("IPRanges"), policy.ranges)


def _conditions(departure: Departure, row: Element, policy: Policy, place: str) -> None:
    done: set[tuple[ConditionField, Comparison]] = set()
    for condition in policy.conditions:
        name = _FIELDS[condition.looks_at]
        if any(field is condition.looks_at for field, _ in done):
            what = f'second condition on {condition.looks_at.value} of policy "{policy.name}"'
            departure.left(place, what, "Windows has one condition on each thing")
            continue
        done.add((condition.looks_at, condition.comparison))
        row.add(name, "EQ" if condition.comparison is Comparison.EQUALS else "NE")
        for value in condition.values:
            row.add(name, _condition_text(condition.looks_at, value))


def _condition_text(looks_at: ConditionField, value: str) -> str:
    if looks_at in (ConditionField.VENDOR_CLASS, ConditionField.USER_CLASS, ConditionField.FQDN):
        return value
    if looks_at in (ConditionField.MAC, ConditionField.CLIENT_ID):
        return value.upper().replace(":", "-")
    star = "*" if value.endswith("*") else ""
    body = value.removesuffix("*")
    return (body[2:] if body[:2].lower() == "0x" else body.encode().hex()) + star


def _ranges(element: Element, ranges: Iterable[IPRange]) -> None:
    for each in ranges:
        row = element.add("IPRange")
        row.add("StartRange", str(each.first))
        row.add("EndRange", str(each.last))


def _filters(departure: Departure, element: Element) -> None:
    element.add("Allow", _word(departure.server.allow_filter))
    element.add("Deny", _word(departure.server.deny_filter))
    for each in departure.filters:
        row = element.add("Filter")
        row.add("List", each.action.value.capitalize())
        row.add("MacAddress", each.pattern.upper().replace(":", "-"))
        row.add("Description", each.description)


def _scope(departure: Departure, row: Element, scope: Scope, leases: list[MovedLease]) -> None:
    note_settings_without_a_word(departure, scope, _NO_WORD)
    row.add("ScopeId", str(scope.subnet.first))
    row.add("Name", scope.name)
    row.add("SubnetMask", str(subnet_mask(scope.subnet)))
    pool = scope.pool
    if pool is None:
        departure.changed(scope_place(scope), "no pool", "Windows needs one: all of the subnet, excluded")
        pool = _hosts(scope)
    row.add("StartRange", str(pool.first))
    row.add("EndRange", str(pool.last))
    row.add("LeaseDuration", _UNLIMITED if scope.lease_unlimited else _duration(int(scope.lease_s)))
    row.add("State", "Active" if scope.enabled else "InActive")
    row.add("Type", _KINDS[scope.serves])
    row.add("MaxBootpClients", str(scope.bootp_client_count_max or _NO_LIMIT))
    row.add("NapEnable", "false")
    row.add("Delay", str(scope.delay_ms))
    row.add("NapProfile")
    row.add("Description", scope.description)
    row.add("ActivatePolicies", _word(scope.policies_enabled))
    row.add("SuperScopeName", scope.superscope)
    _ranges(row.add("ExclusionRanges"), scope.exclusions if scope.pool else (pool,))
    _policies(departure, row.add("Policies"), scope.policies, scope_place(scope))
    options = row.add("OptionValues")
    _options(departure, options, scope.options)
    _option(options, LEASE_OPTION, [str(_NO_LIMIT if scope.lease_unlimited else int(scope.lease_s))])
    _option(options, DNS_OPTION, [str(_dns_flags(scope))])
    _boot(departure, options, scope, scope_place(scope))
    reservations = row.add("Reservations")
    for each in departure.reservations(scope):
        _reservation(departure, reservations.add("Reservation"), each)
    element = row.add("Leases")
    for lease in leases:
        _lease(element.add("Lease"), lease, scope)


def _hosts(scope: Scope) -> IPRange:
    first, last = int(scope.subnet.first), int(scope.subnet.last)
    return IPRange(IPv4Address(first + 1), IPv4Address(last - 1)) if last - first > 1 else scope.subnet


def _duration(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days}.{hour:02}:{minute:02}:{second:02}"


def _dns_flags(scope: Scope) -> int:
    if scope.dns_updates is DnsUpdates.NEVER:
        return 0
    flags = 0x01 | (0x10 if scope.dns_updates is DnsUpdates.ALWAYS else 0)
    flags |= 0x02 if scope.dns_without_request else 0
    flags |= 0x04 if scope.dns_remove else 0
    flags |= 0x20 if scope.dns_protect else 0
    return flags | (0 if scope.dns_reverse else 0x40)


def windows_client(mac: bytes, client_id: bytes) -> str:
    """A client as Windows writes it: without the type of its identifier."""
    data = mac or client_id[1:]
    return data.hex("-")


def _reservation(departure: Departure, row: Element, reservation: Reservation) -> None:
    mac = bytes.fromhex(reservation.mac.replace(":", ""))
    client_id = bytes.fromhex(reservation.client_id.replace(":", ""))
    if mac and client_id and client_id[1:] != mac:
        what = f"client id {reservation.client_id} of {reservation.address}"
        departure.left("reservation", what, "Windows knows a client by one thing: the hardware address")
    elif client_id and not mac and not _survives(client_id):
        what = f"client id {reservation.client_id} of {reservation.address}"
        departure.changed("reservation", what, "Windows leaves out the type in front of it")
    row.add("Name", reservation.name)
    row.add("IPAddress", str(reservation.address))
    row.add("ClientId", windows_client(mac, client_id))
    row.add("Type", _KINDS[reservation.serves])
    row.add("Description", reservation.description)
    if reservation.options or reservation.server_name or reservation.boot_file:
        options = row.add("OptionValues")
        _options(departure, options, reservation.options)
        _boot(departure, options, reservation, f"reservation {reservation.address}")


def _survives(client_id: bytes) -> bool:
    """Whether the type that is left out can be told from what follows it."""
    is_duid = client_id[0] == 255 and len(client_id) > 9 and client_id[5:7] in DUID_TYPES
    return (
        is_duid or (client_id[0] == 1 and len(client_id) == 7) or (client_id[0] == 0 and len(client_id) > 7)
    )


def _by_scope(departure: Departure, leases: Iterable[MovedLease], now: float) -> dict[str, list[MovedLease]]:
    found: dict[str, list[MovedLease]] = {}
    for lease in leases:
        scope = departure.scope_of(lease.address)
        if scope is not None and lease.state is not LeaseState.REMEMBERED and lease.ends_at > now:
            found.setdefault(scope.name, []).append(lease)
    return found


def _lease(row: Element, lease: MovedLease, scope: Scope) -> None:
    row.add("IPAddress", str(IPv4Address(lease.address)))
    row.add("ScopeId", str(scope.subnet.first))
    row.add("ClientId", windows_client(lease.mac, lease.client_id))
    row.add("HostName", lease.host_name.decode("utf-8", "replace"))
    row.add("AddressState", "Declined" if lease.state is LeaseState.DECLINED else "Active")
    ends_at = 253402300799 if math.isinf(lease.ends_at) else int(lease.ends_at)
    row.add("LeaseExpiryTime", datetime.fromtimestamp(ends_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
