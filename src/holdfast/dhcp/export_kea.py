"""Write what Kea's DHCPv4 server needs: a configuration, and leases for memfile.

Options go out as the bytes that clients get, which no definition can change, except for those that people
read most. Exclusions become gaps between pools, policies become client classes.

Source: Kea Administrator Reference Manual, "The DHCPv4 Server"; spec/dhcp.md section 4.1.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable, Iterator

from holdfast.dhcp.departing import (
    Departure,
    class_names,
    exact_lease,
    note_settings_without_a_word,
    policies_of,
    scope_place,
)
from holdfast.dhcp.export_conditions import kea_test
from holdfast.dhcp.foreign_options import KEA_TYPE_NAMES, encapsulated
from holdfast.dhcp.moving import LeaseState, MovedLease
from holdfast.directory.dhcp import (
    UNLIMITED_LEASE_S,
    ClientKind,
    DhcpServer,
    DnsUpdates,
    FilterAction,
    Policy,
    Reservation,
    Scope,
)
from holdfast.directory.dhcp_keys import parse_hex_pattern
from holdfast.directory.dhcp_options import OptionType, OptionValue
from holdfast.directory.dhcp_ranges import without_ranges
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange
from holdfast.wire.kea_config import Json
from holdfast.wire.kea_leases import UNLIMITED_S, KeaLease

_READABLE = (
    (OptionType.ADDRESS,),
    (OptionType.TEXT,),
    (OptionType.UINT8,),
    (OptionType.UINT16,),
    (OptionType.UINT32,),
)
_NO_WORD = (
    "delay_ms",
    "rapid_commit",
    "bootp_client_count_max",
    "dns_without_request",
    "dns_remove",
    "dns_reverse",
)
VENDOR_OPTION = 43


def kea_configuration(departure: Departure) -> Json:
    """The configuration, as ``wire.kea_config`` writes it."""
    server = departure.server
    _note_server(departure)
    inside: dict[str, Json] = {
        "authoritative": server.authoritative,
        "interfaces-config": {"interfaces": list(server.interfaces) or ["*"]},
        "lease-database": {"type": "memfile", "persist": True},
        "decline-probation-period": int(server.decline_s),
    }
    inside |= _boot(server)
    inside["option-def"] = _definitions(departure)
    inside["option-data"] = _options(departure, server.options, "server")
    inside["client-classes"] = _classes(departure)
    networks: dict[str, list[Json]] = {}
    for number, scope in enumerate(departure.scopes, start=1):
        if scope.enabled:
            networks.setdefault(scope.superscope, []).append(_subnet(departure, scope, number))
        else:
            departure.left(scope_place(scope), "the scope", "it is disabled, and Kea would lease it")
    inside["shared-networks"] = [
        {"name": name, "subnet4": subnets} for name, subnets in networks.items() if name
    ]
    inside["subnet4"] = networks.get("", [])
    # Kea 2.2 calls a list of classes without a class a syntax error.
    return {"Dhcp4": {name: value for name, value in inside.items() if value != []}}


def _note_server(departure: Departure) -> None:
    server, blank = departure.server, DhcpServer(departure.server.server)
    for name, reason in (
        ("probe_count", "Kea probes with a hook library"),
        ("dns_servers", "Kea registers names with a program of its own, kea-dhcp-ddns"),
        ("offer_s", "Kea has offer-lifetime, which means something else"),
    ):
        if getattr(server, name) != getattr(blank, name):
            departure.left("server", f"{name} {getattr(server, name)}", reason)


def _definitions(departure: Departure) -> list[Json]:
    """The forms of options of our own, where Kea has the same."""
    found: list[Json] = []
    for each in departure.organisation.option_definitions:
        words = [KEA_TYPE_NAMES.get(kind, "") for kind in each.types]
        if each.vendor_class or not all(words):
            continue
        row: dict[str, Json] = {"name": each.name, "code": each.code, "array": each.array}
        if len(words) == 1:
            row["type"] = words[0]
        else:
            row |= {"type": "record", "record-types": ", ".join(words)}
        found.append(row)
    return found


def _boot(holder: DhcpServer | Scope | Policy | Reservation) -> dict[str, Json]:
    pairs = (
        ("next-server", holder.next_server),
        ("server-hostname", holder.server_name),
        ("boot-file-name", holder.boot_file),
    )
    return {key: text for key, text in pairs if text}


def _options(departure: Departure, options: Iterable[OptionValue], place: str) -> list[Json]:
    found: list[Json] = []
    for each in options:
        if each.vendor_class or each.user_class:
            if place != "server":
                reason = "Kea gives options to a class everywhere, not at one place"
                departure.left(place, f"option {each.code} of a class", reason)
            continue
        found.append(_option(departure, each))
    return found


def _option(departure: Departure, option: OptionValue) -> Json:
    definition = departure.definition(option)
    row: dict[str, Json] = {"code": option.code}
    if definition.types in _READABLE and option.code < 128 and not any("," in each for each in option.values):
        row["data"] = ", ".join(option.values)
    else:
        row |= {"csv-format": False, "data": departure.data(option).hex()}
    if option.always:
        row["always-send"] = True
    return row


def _classes(departure: Departure) -> list[Json]:
    found: list[Json] = []
    names = class_names(departure)
    dropped = _dropped(departure)
    if dropped:
        found.append({"name": "DROP", "test": dropped})
    if departure.server.policies_enabled:
        for policy in policies_of(departure, departure.server.policies, "server"):
            row = _class(departure, policy, "server")
            found += [] if row is None else [row]
    elif departure.server.policies:
        departure.left("server", "policies", "they are switched off")
    for scope in departure.scopes:
        if not scope.policies_enabled:
            if scope.policies:
                departure.left(scope_place(scope), "policies", "they are switched off")
            continue
        for policy in policies_of(departure, scope.policies, scope_place(scope)):
            if policy.ranges:
                row = _class(
                    departure,
                    policy,
                    scope_place(scope),
                    name=names[scope.name, policy.name],
                    only_members=True,
                )
                found += [] if row is None else [row]
            else:
                reason = "Kea's classes hold for all subnets, and this policy for one scope"
                departure.left(scope_place(scope), f'policy "{policy.name}"', reason)
    return found + _classes_of_options(departure)


def _class(
    departure: Departure, policy: Policy, place: str, *, name: str = "", only_members: bool = False
) -> Json | None:
    try:
        row: dict[str, Json] = {"name": name or policy.name, "test": kea_test(departure, policy)}
    except Refusal as refusal:
        departure.left(place, f'policy "{policy.name}"', refusal.text)
        return None
    gives: dict[str, Json] = dict(_boot(policy))
    if policy.options:
        gives["option-data"] = _options(departure, policy.options, f'policy "{policy.name}"')
    if policy.lease_unlimited or policy.lease_s is not None:
        gives["valid-lifetime"] = UNLIMITED_LEASE_S if policy.lease_unlimited else int(policy.lease_s or 0)
    if only_members and gives:
        departure.changed(
            place, f'policy "{policy.name}"', "in Kea its options hold for these clients in all subnets"
        )
    return row | gives


def _classes_of_options(departure: Departure) -> list[Json]:
    """Options of the server that are for one class of clients, as classes of their own."""
    found: list[Json] = []
    by_class: dict[tuple[str, str], list[OptionValue]] = {}
    for each in departure.server.options:
        if each.vendor_class or each.user_class:
            by_class.setdefault((each.vendor_class, each.user_class), []).append(each)
    for (vendor_class, user_class), options in by_class.items():
        tests = []
        if vendor_class:
            tests.append(f"option[60].hex == 0x{departure.class_data(vendor_class).hex()}")
        if user_class:
            tests.append(f"option[77].hex == 0x{departure.class_data(user_class).hex()}")
        data: list[Json] = [_option(departure, each) for each in options if not each.vendor_class]
        inner = [(each.code, departure.data(each)) for each in options if each.vendor_class]
        if inner:
            data.append({"code": VENDOR_OPTION, "csv-format": False, "data": encapsulated(inner).hex()})
        name = " ".join(each for each in ("options of", vendor_class, user_class) if each)
        found.append({"name": name, "test": " and ".join(tests), "option-data": data})
    return found


def _dropped(departure: Departure) -> str:
    """The test of the class whose members are not served."""
    server = departure.server
    tests: list[str] = []
    for action, on in ((FilterAction.DENY, server.deny_filter), (FilterAction.ALLOW, server.allow_filter)):
        listed = []
        for each in departure.filters:
            pattern = parse_hex_pattern(each.pattern)
            if each.action is not action or not on:
                continue
            if len(pattern.digits) % 2:
                departure.left("server", f"filter {each.pattern}", "it ends in half a byte")
                continue
            source = "pkt4.mac" if pattern.whole else f"substring(pkt4.mac,0,{len(pattern.digits) // 2})"
            listed.append(f"{source} == 0x{pattern.digits}")
        if listed:
            text = " or ".join(listed)
            tests.append(f"not ({text})" if action is FilterAction.ALLOW else text)
    return " or ".join(tests)


def _subnet(departure: Departure, scope: Scope, number: int) -> Json:
    note_settings_without_a_word(departure, scope, _NO_WORD)
    if scope.serves is not ClientKind.DHCP:
        departure.left(
            scope_place(scope), f"serves {scope.serves.value}", "Kea serves BOOTP with a hook library"
        )
    row: dict[str, Json] = {
        "id": number,
        "subnet": str(
            ipaddress.IPv4Network((int(scope.subnet.first), 33 - scope.subnet.address_count.bit_length()))
        ),
        "user-context": {"name": scope.name} | ({"comment": scope.description} if scope.description else {}),
        "valid-lifetime": UNLIMITED_LEASE_S if scope.lease_unlimited else int(scope.lease_s),
    }
    for key, span_s in (
        ("min-valid-lifetime", scope.shortest_lease_s),
        ("max-valid-lifetime", scope.longest_lease_s),
    ):
        if span_s is not None:
            row[key] = int(span_s)
    row |= _boot(scope)
    if scope.relays:
        row["relay"] = {"ip-addresses": [str(each) for each in scope.relays]}
    row |= _dns(scope)
    row["option-data"] = _options(departure, scope.options, scope_place(scope))
    row["pools"] = _pools(departure, scope)
    row["reservations"] = [_reservation(departure, each) for each in departure.reservations(scope)]
    return row


def _dns(scope: Scope) -> dict[str, Json]:
    if scope.dns_updates is DnsUpdates.NEVER:
        return {"ddns-send-updates": False}
    found: dict[str, Json] = {}
    if scope.dns_updates is DnsUpdates.ALWAYS:
        found = {"ddns-override-no-update": True, "ddns-override-client-update": True}
    if scope.dns_suffix:
        found["ddns-qualifying-suffix"] = scope.dns_suffix
    if not scope.dns_protect:
        found["ddns-use-conflict-resolution"] = False
    return found


def _pools(departure: Departure, scope: Scope) -> list[Json]:
    if scope.pool is None:
        return []
    policies = [each for each in scope.policies if each.ranges and each.enabled and scope.policies_enabled]
    claimed = [one for each in policies for one in each.ranges]
    names = class_names(departure)
    found: list[Json] = [
        {"pool": f"{each.first} - {each.last}"}
        for each in without_ranges(scope.pool, [*scope.exclusions, *claimed])
    ]
    for policy in policies:
        try:
            kea_test(departure, policy)
        except Refusal:
            continue  # noted with its class; its addresses are for nobody else
        for part in (one for each in policy.ranges for one in _outside(each, scope.exclusions)):
            found.append(
                {"pool": f"{part.first} - {part.last}", "client-class": names[scope.name, policy.name]}
            )
    return found


def _outside(whole: IPRange, exclusions: Iterable[IPRange]) -> tuple[IPRange, ...]:
    return without_ranges(whole, exclusions)


def _reservation(departure: Departure, reservation: Reservation) -> Json:
    row: dict[str, Json] = {}
    if reservation.mac:
        row["hw-address"] = reservation.mac
    if reservation.client_id and not reservation.mac:
        row["client-id"] = reservation.client_id
    if reservation.client_id and reservation.mac:
        what = f"client id {reservation.client_id} of {reservation.address}"
        departure.left(
            "reservation", what, "Kea knows a reservation's client by one thing: the hardware address"
        )
    row["ip-address"] = str(reservation.address)
    if reservation.name:
        row["hostname"] = reservation.name
    if reservation.description:
        row["user-context"] = {"comment": reservation.description}
    row |= _boot(reservation)
    if reservation.options:
        row["option-data"] = _options(departure, reservation.options, f"reservation {reservation.address}")
    return row


def kea_lease_rows(departure: Departure, leases: Iterable[MovedLease], now: float) -> Iterator[KeaLease]:
    """The rows of a lease file that goes with the configuration."""
    numbers = {scope.name: number for number, scope in enumerate(departure.scopes, start=1)}
    for lease in leases:
        scope = departure.scope_of(lease.address)
        if scope is None or not exact_lease(lease, now):
            continue
        unlimited = math.isinf(lease.ends_at)
        lifetime_s = UNLIMITED_S if unlimited else max(1, int(lease.ends_at - lease.starts_at))
        yield KeaLease(
            lease.address,
            lease.mac,
            lease.client_id,
            lifetime_s,
            int(lease.starts_at) + UNLIMITED_S if unlimited else int(lease.ends_at),
            numbers[scope.name],
            hostname=lease.host_name.decode("utf-8", "replace"),
            state=1 if lease.state is LeaseState.DECLINED else 0,
        )
