"""Policies of a Windows export.

A condition is a run of elements of one name (``MacAddress``): the first says EQ or NE, the others are values;
a star at the end of a value stands for whatever begins so.

Source: spec/dhcp.md section 4.4.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from holdfast.dhcp.migrate_windows_options import read_options
from holdfast.dhcp.moving import Arrival, free_policy_name
from holdfast.directory.dhcp import Comparison, Condition, ConditionField, Match, Policy, Scope
from holdfast.kernel.iprange import IPRange
from holdfast.wire.windows_dhcp_export import Element

_FIELDS = {
    "VendorClass": ConditionField.VENDOR_CLASS,
    "UserClass": ConditionField.USER_CLASS,
    "MacAddress": ConditionField.MAC,
    "ClientId": ConditionField.CLIENT_ID,
    "Fqdn": ConditionField.FQDN,
    "RelayAgent": ConditionField.RELAY_AGENT,
    "CircuitId": ConditionField.CIRCUIT_ID,
    "RemoteId": ConditionField.REMOTE_ID,
    "SubscriberId": ConditionField.SUBSCRIBER_ID,
}
_IN_HEX = (ConditionField.CIRCUIT_ID, ConditionField.REMOTE_ID, ConditionField.SUBSCRIBER_ID)
_CLASSES = (ConditionField.VENDOR_CLASS, ConditionField.USER_CLASS)
_PLAIN = ("Name", "ProcessingOrder", "Enabled", "Condition", "Description")


def read_policies(
    element: Element, name: str, arrival: Arrival, *, scope: Scope | None
) -> tuple[Policy, ...]:
    """Take policies over in the order in which Windows looks at them; the server's without ``scope``."""
    found: list[tuple[int, Policy]] = []
    for each in element.children:
        place = f"{name} line {each.line}"
        policy = _policy(each, name, arrival, scope)
        if policy is None:
            arrival.left(place, f"policy {each.value('Name')}", "none of its conditions could be taken over")
            continue
        order = each.value("ProcessingOrder")
        policy = replace(policy, name=free_policy_name(policy.name, [one for _, one in found]))
        found.append((int(order) if order.isascii() and order.isdigit() else len(found), policy))
    return tuple(policy for _, policy in sorted(found, key=lambda pair: pair[0]))


def _policy(element: Element, name: str, arrival: Arrival, scope: Scope | None) -> Policy | None:
    conditions, complete = _conditions(element, name, arrival)
    match = Match.ANY if element.value("Condition").upper() == "OR" else Match.ALL
    # With a condition missing, "all of them" would be for more clients than it was.
    if not conditions or (match is Match.ALL and not complete):
        return None
    policy = Policy(
        element.value("Name") or "policy",
        conditions,
        match,
        enabled=element.value("Enabled").lower() != "false",
        description=element.value("Description"),
    )
    for each in element.children:
        place = f"{name} line {each.line}"
        if each.name == "OptionValues":
            options = read_options(each, name, arrival)
            policy = replace(policy, options=options.values, lease_s=options.lease_s or policy.lease_s)
            if options.dns_flags is not None:
                arrival.left(place, "registration in DNS of a policy", "the scope's settings hold")
        elif each.name == "IPRanges":
            policy = replace(policy, ranges=_ranges(each, name, arrival, scope))
        elif each.name == "DnsSuffix":
            policy = replace(policy, dns_suffix=each.text)
        elif each.name not in _PLAIN and each.name not in _FIELDS:
            arrival.left(place, f"{each.name} {each.text}".strip(), "this element is not known")
    return policy


def _conditions(element: Element, name: str, arrival: Arrival) -> tuple[tuple[Condition, ...], bool]:
    conditions: list[Condition] = []
    complete = True
    for word, field in _FIELDS.items():
        texts = element.all(word)
        if not texts:
            continue
        operator, values = texts[0].text.upper(), [each.text for each in texts[1:] if each.text]
        known = {each.name for each in arrival.classes}
        if field in _CLASSES:
            values = [each for each in values if each.removesuffix("*") in known]
        if operator not in ("EQ", "NE") or not values or len(values) < len(texts) - 1:
            what = " ".join([word, *(each.text for each in texts)])
            arrival.left(
                f"{name} line {texts[0].line}", what, "this condition is not known, or its class is not there"
            )
            complete = False
        if operator in ("EQ", "NE") and values:
            comparison = Comparison.EQUALS if operator == "EQ" else Comparison.NOT_EQUALS
            conditions.append(Condition(field, tuple(_value(field, each) for each in values), comparison))
    return tuple(conditions), complete


def _value(field: ConditionField, text: str) -> str:
    if field in (*_CLASSES, ConditionField.FQDN):
        return text
    digits = text.replace("-", ":").lower()
    return f"0x{digits.removeprefix('0x').replace(':', '')}" if field in _IN_HEX else digits


def _ranges(element: Element, name: str, arrival: Arrival, scope: Scope | None) -> tuple[IPRange, ...]:
    found: list[IPRange] = []
    for each in element.children:
        place, first, last = f"{name} line {each.line}", each.value("StartRange"), each.value("EndRange")
        try:
            ends = IPRange(IPv4Address(first), IPv4Address(last))
        except ValueError:
            arrival.left(place, f"range {first}-{last}", "it is not an IP range")
            continue
        if scope is None or scope.pool is None or not scope.pool.contains_range(ends):
            arrival.left(place, f"range {first}-{last}", "it does not lie in the pool of the scope")
            continue
        found.append(ends)
    return tuple(found)
