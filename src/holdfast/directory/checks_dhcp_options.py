"""Checks of what DHCP tells clients: classes, definitions, option values at every level, policies.

A value that does not fit its definition would reach clients as rubbish, so it is
encoded here once, at the time of the change.

Source: RFC 2131 section 4.4.5 for the times; RFC 2132; spec/dhcp.md section 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from holdfast.directory.dhcp import UNLIMITED_LEASE_S, Condition, ConditionField, Policy, Scope
from holdfast.directory.dhcp_keys import OPTION_BYTES_MAX, parse_bytes_pattern, parse_hex_pattern
from holdfast.directory.dhcp_options import (
    ClassKind,
    DhcpClass,
    OptionDefinition,
    OptionType,
    OptionValue,
)
from holdfast.directory.dhcp_ranges import is_network, subnet_mask
from holdfast.directory.kinds import subject_of
from holdfast.directory.model import Organisation
from holdfast.directory.option_table import PROTOCOL_OPTIONS
from holdfast.directory.option_values import TO_THE_END, encode_option, form_of
from holdfast.directory.references import nearest_name
from holdfast.kernel.errors import Problem, Refusal
from holdfast.kernel.iprange import IPRange

SUBNET_MASK, RENEWAL_TIME, REBINDING_TIME = 1, 58, 59
RENEWAL_SHARE, REBINDING_SHARE = 0.5, 0.875  # RFC 2131 section 4.4.5


def check_dhcp_options(organisation: Organisation) -> Iterator[Problem]:
    """Classes, definitions, and the values at all levels."""
    yield from _classes(organisation)
    yield from _definitions(organisation)
    for level in levels_of(organisation):
        yield from _values(level, organisation)
    yield from _times(organisation)


@dataclass(frozen=True, slots=True)
class Level:
    """One place where options stand.

    Attributes:
        subject: the place in words, for messages.
        options: what stands there.
        scope: the scope that it belongs to; None at a server.
    """

    subject: str
    options: tuple[OptionValue, ...]
    scope: Scope | None


def levels_of(organisation: Organisation) -> Iterator[Level]:
    """Every place where options stand, and has some."""
    for server in organisation.dhcp_servers:
        subject = subject_of(server)
        yield Level(subject, server.options, None)
        for policy in server.policies:
            yield Level(policy_subject(policy, subject), policy.options, None)
    for scope in organisation.scopes:
        subject = subject_of(scope)
        yield Level(subject, scope.options, scope)
        for policy in scope.policies:
            yield Level(policy_subject(policy, subject), policy.options, scope)
    for reservation in organisation.reservations:
        if reservation.options:
            scope_of = organisation.scopes_by_name.get(reservation.scope)
            yield Level(subject_of(reservation), reservation.options, scope_of)


def policy_subject(policy: Policy, place: str) -> str:
    """A policy in words."""
    return f'policy "{policy.name}" of {place}'


def option_words(definition: OptionDefinition | None, code: int, vendor_class: str) -> str:
    """An option in words, for example ``option 6 (dns-servers)``."""
    name = f" ({definition.name})" if definition is not None else ""
    below = f' of vendor class "{vendor_class}"' if vendor_class else ""
    return f"option {code}{name}{below}"


def _classes(organisation: Organisation) -> Iterator[Problem]:
    seen: dict[tuple[ClassKind, bytes], DhcpClass] = {}
    for each in organisation.dhcp_classes:
        subject = subject_of(each)
        try:
            data = each.data_bytes
        except ValueError:
            yield Problem(
                subject,
                f'data "{each.data[:60]}" is not in hexadecimal',
                "write the text that clients send, or 0x and an even number of hexadecimal digits",
            )
            continue
        if not 1 <= len(data) <= OPTION_BYTES_MAX:
            yield Problem(
                subject, f"data has {len(data)} bytes", f"an option has 1 to {OPTION_BYTES_MAX} of them"
            )
        other = seen.setdefault((each.kind, data), each)
        if other is not each:
            yield Problem(
                subject,
                f'{each.kind.value} class "{other.name}" has the same data "{each.data[:60]}"',
                "clients would be in both: take one away",
            )


def _definitions(organisation: Organisation) -> Iterator[Problem]:
    names: dict[tuple[str, str], OptionDefinition] = {}
    for each in organisation.option_definitions:
        subject = subject_of(each)
        if not each.name.strip():
            yield Problem(subject, "has no name", "give it one, for people")
        other = names.setdefault((each.vendor_class, each.name.casefold()), each)
        if other is not each:
            yield Problem(
                subject, f'option definition "{other.key}" has the name "{each.name}" already', "take another"
            )
        if each.vendor_class:
            yield from _class_exists(organisation, each.vendor_class, ClassKind.VENDOR, subject)
        elif each.code in PROTOCOL_OPTIONS:
            yield Problem(subject, f"option {each.code} is the protocol's own", PROTOCOL_OPTIONS[each.code])
        yield from _form(each, subject)


def _form(definition: OptionDefinition, subject: str) -> Iterator[Problem]:
    types = definition.types
    if not types:
        yield Problem(subject, "has no type", "name at least one, for example address")
        return
    for each in types[:-1]:
        if each in TO_THE_END:
            yield Problem(
                subject,
                f"its type {each.value} goes to the end, but {types[-1].value} follows",
                "let it be the last",
            )
            return
    if definition.array and types[-1] in TO_THE_END:
        yield Problem(
            subject,
            f"is an array, but its type {types[-1].value} goes to the end",
            "take array away; addresses, domains and routes are lists by themselves",
        )
    elif OptionType.EMPTY in types and (len(types) > 1 or definition.array):
        yield Problem(
            subject, "has the type empty and something else", "an option without data has that type alone"
        )
    elif definition.default:
        try:
            encode_option(definition, definition.default)
        except Refusal as refusal:
            yield Problem(subject, f"default: {refusal.text}", f"write {form_of(definition)}")


def _class_exists(organisation: Organisation, name: str, kind: ClassKind, subject: str) -> Iterator[Problem]:
    found = organisation.dhcp_classes_by_name.get(name)
    if found is None or found.kind is not kind:
        known = [each.name for each in organisation.dhcp_classes if each.kind is kind]
        word = f"{kind.value} class"
        yield Problem(subject, f'{word} "{name}" does not exist', nearest_name(word, name, known))


def _values(level: Level, organisation: Organisation) -> Iterator[Problem]:
    seen: set[tuple[int, str, str]] = set()
    for option in level.options:
        definition = organisation.option_definition(option.code, option.vendor_class)
        words = option_words(definition, option.code, option.vendor_class)
        key = (option.code, option.vendor_class, option.user_class)
        if key in seen:
            yield Problem(level.subject, f"has {words} twice for the same clients", "take one away")
        seen.add(key)
        if option.vendor_class:
            yield from _class_exists(organisation, option.vendor_class, ClassKind.VENDOR, level.subject)
        if option.user_class:
            yield from _class_exists(organisation, option.user_class, ClassKind.USER, level.subject)
        if not option.vendor_class and option.code in PROTOCOL_OPTIONS:
            yield Problem(
                level.subject,
                f"{words} is the protocol's own and gets no value",
                PROTOCOL_OPTIONS[option.code],
            )
        elif definition is None:
            yield Problem(
                level.subject,
                f"{words} has no definition",
                "declare its form with: holdfast dhcp option-definition add",
            )
        elif not any(_form(definition, "")):
            yield from _value(option, definition, words, level)


def _value(option: OptionValue, definition: OptionDefinition, words: str, level: Level) -> Iterator[Problem]:
    try:
        data = encode_option(definition, option.values)
    except Refusal as refusal:
        yield Problem(level.subject, f"{words}: {refusal.text}", f"write {form_of(definition)}")
        return
    scope = level.scope
    if option.code == SUBNET_MASK and not option.vendor_class and scope is not None and len(data) == 4:
        wanted = subnet_mask(scope.subnet) if is_network(scope.subnet) else IPv4Address(data)
        if data != wanted.packed:
            yield Problem(
                level.subject,
                f"{words} is {IPv4Address(data)}, but the subnet {scope.subnet} has {wanted}",
                "take the value away: the mask is sent by itself",
            )


def _times(organisation: Organisation) -> Iterator[Problem]:
    """Renewal before rebinding before the end of the lease, at every level that says something of them."""
    for scope in organisation.scopes:
        server = organisation.dhcp_server(scope.server)
        lease_s = UNLIMITED_LEASE_S if scope.lease_unlimited else scope.lease_s
        inherited = (scope.options, server.options)
        subject = subject_of(scope)
        if _has_times(scope.options) or _has_times(server.options):
            yield from _order(inherited, lease_s, subject)
        for policy in scope.policies:
            own_s = UNLIMITED_LEASE_S if policy.lease_unlimited else policy.lease_s or lease_s
            if _has_times(policy.options) or (own_s != lease_s and any(map(_has_times, inherited))):
                yield from _order((policy.options, *inherited), own_s, policy_subject(policy, subject))
        for reservation in organisation.reservations_by_scope.get(scope.name, ()):
            if reservation.options and _has_times(reservation.options):
                yield from _order((reservation.options, *inherited), lease_s, subject_of(reservation))


def _has_times(options: Iterable[OptionValue]) -> bool:
    return any(each.code in (RENEWAL_TIME, REBINDING_TIME) and not each.vendor_class for each in options)


def _order(levels: tuple[tuple[OptionValue, ...], ...], lease_s: float, subject: str) -> Iterator[Problem]:
    renewal_s = _seconds(levels, RENEWAL_TIME, lease_s * RENEWAL_SHARE)
    rebinding_s = _seconds(levels, REBINDING_TIME, lease_s * REBINDING_SHARE)
    if not renewal_s < rebinding_s < lease_s:
        yield Problem(
            subject,
            f"renewal after {renewal_s:g}, rebinding after {rebinding_s:g} and the end of the lease after "
            f"{lease_s:g} seconds do not follow each other",
            "correct options 58 and 59, or take them away: a half and seven eighths of the lease are usual",
        )


def _seconds(levels: tuple[tuple[OptionValue, ...], ...], code: int, otherwise_s: float) -> float:
    for options in levels:
        for each in options:
            # What is for one user class alone is not compared; its clients may have other leases as well.
            if each.code == code and not each.vendor_class and not each.user_class and len(each.values) == 1:
                try:
                    return float(int(each.values[0], 0))
                except ValueError:
                    return otherwise_s  # told by the check of the value
    return otherwise_s


def check_policies(organisation: Organisation) -> Iterator[Problem]:
    """Conditions, ranges and leases of the policies of servers and scopes."""
    for server in organisation.dhcp_servers:
        place = subject_of(server)
        yield from _policy_names(server.policies, place)
        for policy in server.policies:
            subject = policy_subject(policy, place)
            yield from _policy(policy, organisation, subject)
            if policy.ranges:
                yield Problem(
                    subject,
                    f"has the range {policy.ranges[0]}",
                    "addresses belong to a scope: make a policy of the scope",
                )
    for scope in organisation.scopes:
        place = subject_of(scope)
        yield from _policy_names(scope.policies, place)
        for policy in scope.policies:
            yield from _policy(policy, organisation, policy_subject(policy, place))
        yield from _ranges(scope, place)


def _policy_names(policies: tuple[Policy, ...], place: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for policy in policies:
        name = policy.name
        if name.casefold() in seen:
            yield Problem(place, f'has two policies "{name}"', "give one of them another name")
        seen.add(name.casefold())
        if not name or name != name.strip() or '"' in name or len(name) > 64:
            yield Problem(
                place,
                f'policy "{name[:64]}" has a name that is empty, too long or has a quotation mark',
                "use 1 to 64 letters, digits, spaces or signs",
            )


def _policy(policy: Policy, organisation: Organisation, subject: str) -> Iterator[Problem]:
    if not policy.conditions:
        yield Problem(subject, "has no condition", "say which clients it is for")
    for condition in policy.conditions:
        if not condition.values:
            yield Problem(
                subject,
                f"its condition on {condition.looks_at.value} compares with nothing",
                "give it a value",
            )
        for value in condition.values:
            yield from _condition(condition, value, organisation, subject)
    if policy.lease_s is not None:
        if policy.lease_unlimited:
            yield Problem(subject, "has a lease, and one that never ends", "take one of the two away")
        if not 1 <= policy.lease_s < UNLIMITED_LEASE_S or policy.lease_s != int(policy.lease_s):
            yield Problem(
                subject,
                f"lease is {policy.lease_s:g} seconds",
                f"write whole seconds from 1 to {UNLIMITED_LEASE_S - 1}, or make it unlimited",
            )


def _condition(
    condition: Condition, value: str, organisation: Organisation, subject: str
) -> Iterator[Problem]:
    looks_at = condition.looks_at
    if looks_at in _CLASSES:
        yield from _class_exists(organisation, value.removesuffix("*"), _CLASSES[looks_at], subject)
        return
    try:
        _READERS[looks_at](value)
    except Refusal as refusal:
        yield Problem(subject, f"its condition on {looks_at.value}: {refusal.text}", "correct the value")


def _read_name(value: str) -> None:
    if not value.strip() or " " in value.strip():
        raise Refusal(f'"{value[:60]}" is not a host name, or the beginning of one and *')


def _read_number(value: str) -> None:
    if not value.isascii() or not value.isdigit() or not int(value[:10]) <= 0xFFFF:
        raise Refusal(f'"{value[:60]}" is not a number from 0 to 65535')


_CLASSES = {ConditionField.VENDOR_CLASS: ClassKind.VENDOR, ConditionField.USER_CLASS: ClassKind.USER}
_READERS: dict[ConditionField, Callable[[str], object]] = {
    ConditionField.MAC: parse_hex_pattern,
    ConditionField.CLIENT_ID: parse_hex_pattern,
    ConditionField.RELAY_AGENT: parse_hex_pattern,
    ConditionField.CIRCUIT_ID: parse_bytes_pattern,
    ConditionField.REMOTE_ID: parse_bytes_pattern,
    ConditionField.SUBSCRIBER_ID: parse_bytes_pattern,
    ConditionField.FQDN: _read_name,
    ConditionField.ARCHITECTURE: _read_number,
}


def _ranges(scope: Scope, place: str) -> Iterator[Problem]:
    claimed: list[tuple[IPRange, Policy]] = []
    for policy in scope.policies:
        for each in policy.ranges:
            if scope.pool is None or not scope.pool.contains_range(each):
                pool = (
                    f"its pool {scope.pool.first}-{scope.pool.last}" if scope.pool else "a pool: it has none"
                )
                yield Problem(
                    policy_subject(policy, place),
                    f"its range {each.first}-{each.last} does not lie in {pool}",
                    "take a part of the pool",
                )
            else:
                claimed.append((each, policy))
    claimed.sort(key=lambda pair: int(pair[0].first))
    for index, (other, its_policy) in enumerate(claimed[1:]):
        one, policy = claimed[index]
        if one.overlaps(other):
            names = f'"{policy.name}" and "{its_policy.name}"'
            yield Problem(
                place,
                f"its policies {names} claim the same addresses: {one.first}-{one.last} and "
                f"{other.first}-{other.last}",
                "give each address to one policy",
            )
