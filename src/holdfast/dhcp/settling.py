"""Settle what another server allowed and the directory does not: the first of two stays, the second is noted.

Other servers let two reservations name one client, a policy claim what another has, an option stand twice.
One such place must not keep a thousand scopes from moving in; it is left behind, with the reason, and
named. What cannot be settled without an administrator (two scopes of one subnet) is left to the checks.

Source: spec/dhcp.md section 7, "Migration verb".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from holdfast.dhcp.moving import Arrival, exclusions_in, free_policy_name
from holdfast.directory.dhcp import Condition, ConditionField, MacFilter, Policy, Reservation, Scope
from holdfast.directory.dhcp_keys import CHADDR_BYTES_MAX, client_keys, parse_bytes_pattern, parse_hex_pattern
from holdfast.directory.dhcp_options import OptionDefinition, OptionValue
from holdfast.directory.dhcp_ranges import host_range
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange

_HEX = (ConditionField.MAC, ConditionField.CLIENT_ID, ConditionField.RELAY_AGENT)
_BYTES = (ConditionField.CIRCUIT_ID, ConditionField.REMOTE_ID, ConditionField.SUBSCRIBER_ID)


def settle(arrival: Arrival) -> None:
    """Make of an arrival what the directory can take, as far as nobody has to be asked."""
    arrival.definitions = [each for each in arrival.definitions if _definition(arrival, each)]
    arrival.filters = _filters(arrival)
    server = arrival.server
    place = f'server "{server.server}"'
    arrival.server = replace(
        server,
        options=_options(arrival, server.options, place),
        policies=_policies(arrival, server.policies, place),
    )
    arrival.scopes = [_scope(arrival, each) for each in arrival.scopes]
    arrival.reservations = _reservations(arrival)


def _definition(arrival: Arrival, definition: OptionDefinition) -> bool:
    if definition.vendor_class and not any(each.name == definition.vendor_class for each in arrival.classes):
        reason = f'its vendor class "{definition.vendor_class[:60]}" is not there'
    elif not 1 <= definition.code <= 254:
        reason = "its code is none of an option"
    else:
        return True
    arrival.left("definitions", f"option {definition.code} {definition.name}", reason)
    return False


def _filters(arrival: Arrival) -> list[MacFilter]:
    found: dict[str, MacFilter] = {}
    for each in arrival.filters:
        try:
            pattern = str(parse_hex_pattern(each.pattern, most=CHADDR_BYTES_MAX))
        except Refusal as refusal:
            arrival.left("filters", f"filter {each.pattern}", refusal.text)
            continue
        if not pattern.rstrip("*"):
            arrival.left("filters", f"filter {each.pattern}", "it is for every client")
        elif pattern in found:
            arrival.left("filters", f"filter {each.pattern}", "it stands there twice: the first is taken")
        else:
            found[pattern] = replace(each, pattern=pattern)
    return list(found.values())


def _options(arrival: Arrival, options: Iterable[OptionValue], place: str) -> tuple[OptionValue, ...]:
    found: dict[tuple[int, str, str], OptionValue] = {}
    for each in options:
        known = found.setdefault((each.code, each.vendor_class, each.user_class), each)
        if known != each:
            arrival.left(
                place, f"option {each.code} {', '.join(each.values)}", "it is there twice: the first is taken"
            )
    return tuple(found.values())


def _policies(arrival: Arrival, policies: Iterable[Policy], place: str) -> tuple[Policy, ...]:
    found: list[Policy] = []
    claimed: list[IPRange] = []
    for each in policies:
        if fault := next((why for one in each.conditions if (why := _fault(one))), ""):
            arrival.left(place, f'policy "{each.name}"', fault)
            continue
        free = tuple(one for one in each.ranges if not any(one.overlaps(other) for other in claimed))
        for one in each.ranges:
            if one not in free:
                what = f'range {one.first}-{one.last} of policy "{each.name}"'
                arrival.left(place, what, "another policy before it has some of these addresses")
        claimed += free
        name = free_policy_name(each.name, found)
        options = _options(arrival, each.options, f'policy "{name}" of {place}')
        if each.ranges and not free and not options:
            continue  # it was for its addresses alone, and each of them was noted
        found.append(replace(each, name=name, ranges=free, options=options))
    return tuple(found)


def _fault(condition: Condition) -> str:
    """Why a condition cannot be; empty when it can."""
    for value in condition.values:
        try:
            if condition.looks_at in _HEX:
                parse_hex_pattern(value)
            elif condition.looks_at in _BYTES:
                parse_bytes_pattern(value)
            elif condition.looks_at is ConditionField.FQDN and (not value.strip() or " " in value.strip()):
                return f'"{value[:60]}" is not a name'
        except Refusal as refusal:
            return refusal.text
    return ""


def _scope(arrival: Arrival, scope: Scope) -> Scope:
    place = f'scope "{scope.name}"'
    return replace(
        scope,
        exclusions=_without_ends(arrival, scope, place),
        options=_options(arrival, scope.options, place),
        policies=_policies(arrival, scope.policies, place),
    )


def _without_ends(arrival: Arrival, scope: Scope, place: str) -> tuple[IPRange, ...]:
    """The network's own address and its broadcast are no clients', also where a pool held them."""
    pool = scope.pool
    hosts = host_range(scope.subnet)
    if pool is None or hosts.contains_range(pool):
        return scope.exclusions
    ends = [
        IPRange(each, each)
        for each in (scope.subnet.first, scope.subnet.last)
        if each in pool and each not in hosts and not any(each in one for one in scope.exclusions)
    ]
    for each in ends:
        arrival.changed(
            place, f"pool {pool.first}-{pool.last}", f"{each.first} is no address of a client: excluded"
        )
    return exclusions_in(pool, [*scope.exclusions, *ends])


def _reservations(arrival: Arrival) -> list[Reservation]:
    found: list[Reservation] = []
    scopes = {each.name: each for each in arrival.scopes}
    owners: dict[tuple[str, object], Reservation] = {}
    for each in arrival.reservations:
        scope = scopes.get(each.scope)
        reason = "it lies in no scope" if scope is None else _obstacle(each, scope, owners)
        if reason:
            client = each.mac or each.client_id
            arrival.left(f'scope "{each.scope}"', f"reservation of {each.address} for {client}", reason)
            continue
        for key in (each.address, *client_keys(each)):
            owners[each.scope, key] = each
        options = _options(arrival, each.options, f"reservation of {each.address}")
        found.append(replace(each, options=options))
    return found


def _obstacle(reservation: Reservation, scope: Scope, owners: dict[tuple[str, object], Reservation]) -> str:
    """Why a reservation cannot stand; empty when it can."""
    if reservation.address not in host_range(scope.subnet):
        return f"{reservation.address} is no address of a client in {scope.subnet}"
    try:
        keys = client_keys(reservation)
    except Refusal as refusal:
        return refusal.text
    if not keys:
        return "it says nothing of its client"
    known = owners.get((reservation.scope, reservation.address))
    if known is not None:
        return f"the address is reserved for {known.mac or known.client_id} before"
    for key in keys:
        known = owners.get((reservation.scope, key))
        if known is not None:
            return f"its client has {known.address} reserved before"
    return ""
