"""Conditions of a policy as the tests of ISC dhcpd's and Kea's classes.

Source: dhcp-eval(5) of ISC dhcpd 4.4; Kea Administrator Reference Manual, "Using Expressions in
Classification".
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.dhcp.departing import Departure
from holdfast.directory.dhcp import Comparison, Condition, ConditionField, Match, Policy
from holdfast.directory.dhcp_keys import parse_bytes_pattern, parse_hex_pattern
from holdfast.kernel.errors import Refusal

_KEA = {
    ConditionField.VENDOR_CLASS: "option[60].hex",
    ConditionField.USER_CLASS: "option[77].hex",
    ConditionField.CLIENT_ID: "option[61].hex",
    ConditionField.ARCHITECTURE: "option[93].hex",
    ConditionField.CIRCUIT_ID: "relay4[1].hex",
    ConditionField.REMOTE_ID: "relay4[2].hex",
    ConditionField.SUBSCRIBER_ID: "relay4[6].hex",
    ConditionField.MAC: "pkt4.mac",
}
_ISC = {
    ConditionField.VENDOR_CLASS: "option vendor-class-identifier",
    ConditionField.USER_CLASS: "option user-class",
    ConditionField.CLIENT_ID: "option dhcp-client-identifier",
    ConditionField.ARCHITECTURE: "option pxe-system-type",
    ConditionField.CIRCUIT_ID: "option agent.circuit-id",
    ConditionField.REMOTE_ID: "option agent.remote-id",
    ConditionField.SUBSCRIBER_ID: "option agent.subscriber-id",
    ConditionField.MAC: "hardware",
}


def kea_test(departure: Departure, policy: Policy) -> str:
    """The ``test`` of a class whose members are the clients of a policy.

    Raises:
        Refusal: Kea has no word for one of its conditions.
    """

    def compare(looks_at: ConditionField, data: bytes, whole: bool) -> str:
        source = _KEA[looks_at]
        left = source if whole else f"substring({source},0,{len(data)})"
        return f"{left} == 0x{data.hex()}"

    return _joined(departure, policy, _KEA, compare)


def isc_test(departure: Departure, policy: Policy) -> str:
    """What stands behind ``match if`` of a class whose members are the clients of a policy.

    Raises:
        Refusal: dhcpd has no word for one of its conditions.
    """

    def compare(looks_at: ConditionField, data: bytes, whole: bool) -> str:
        source, at = _ISC[looks_at], 0
        if looks_at is ConditionField.MAC:
            # In dhcpd "hardware" begins with the type.
            at = 1
        if whole and not at:
            return f"{source} = {data.hex(':')}"
        if whole:
            return f"{source} = 1:{data.hex(':')}"
        return f"substring({source}, {at}, {len(data)}) = {data.hex(':')}"

    return _joined(departure, policy, _ISC, compare)


def pattern_data(departure: Departure, looks_at: ConditionField, value: str) -> tuple[bytes, bool]:
    """The bytes that a condition compares with, and whether nothing may follow them.

    Raises:
        Refusal: they end in half a byte.
    """
    if looks_at in (ConditionField.VENDOR_CLASS, ConditionField.USER_CLASS):
        whole = value in departure.organisation.dhcp_classes_by_name
        return departure.class_data(value if whole else value.removesuffix("*")), whole
    if looks_at is ConditionField.ARCHITECTURE:
        return int(value).to_bytes(2), True
    if looks_at in (ConditionField.MAC, ConditionField.CLIENT_ID):
        pattern = parse_hex_pattern(value)
        if len(pattern.digits) % 2:
            raise Refusal(f"{value} ends in half a byte")
        return bytes.fromhex(pattern.digits), pattern.whole
    found = parse_bytes_pattern(value)
    return found.data, found.whole


def _joined(
    departure: Departure,
    policy: Policy,
    known: dict[ConditionField, str],
    compare: Callable[[ConditionField, bytes, bool], str],
) -> str:
    parts: list[str] = []
    for condition in policy.conditions:
        if condition.looks_at not in known:
            raise Refusal(f"there is no word for a condition on {condition.looks_at.value}")
        values = [
            compare(condition.looks_at, *pattern_data(departure, condition.looks_at, each))
            for each in condition.values
        ]
        parts.append(_one(condition, values, policy.match))
    # One kind of word needs no brackets, and what was read from another server goes out as it came.
    return (" or " if policy.match is Match.ANY else " and ").join(parts)


def _one(condition: Condition, values: list[str], match: Match) -> str:
    negated = condition.comparison is Comparison.NOT_EQUALS
    values = [f"not {each}" if negated else each for each in values]
    word = " and " if negated else " or "
    plain = len(values) == 1 or (match is Match.ANY) == (word == " or ")
    text = word.join(values)
    return text if plain else f"({text})"
