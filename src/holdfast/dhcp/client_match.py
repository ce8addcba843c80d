"""Which policies and filters a client meets: what an administrator declared, made ready to be asked often.

Source: spec/dhcp.md section 4.4 for what policies look at; RFC 3046; RFC 4578 section 2.1.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Final

from holdfast.directory.dhcp import (
    Comparison,
    Condition,
    ConditionField,
    FilterAction,
    MacFilter,
    Match,
    Policy,
)
from holdfast.directory.dhcp_keys import HexPattern, parse_bytes_pattern, parse_hex_pattern
from holdfast.directory.dhcp_options import ClassKind, DhcpClass
from holdfast.kernel.errors import Refusal
from holdfast.wire import dhcp4_values, relay_agent
from holdfast.wire.dhcp4 import OPTION_RELAY_AGENT, Message

ARCHITECTURE: Final = 93

Test = Callable[["Facts"], bool]


class Facts:
    """What a message says of its client, read when it is first asked for."""

    __slots__ = ("_fqdn", "_relay", "_user_classes", "message")

    def __init__(self, message: Message) -> None:
        self.message = message
        self._relay: dict[int, bytes] | None = None
        self._user_classes: tuple[bytes, ...] | None = None
        self._fqdn: str | None = None

    def option(self, code: int) -> bytes:
        """An option's value; empty when the client does not send it."""
        return self.message.options.get(code, b"")

    @property
    def relay(self) -> dict[int, bytes]:
        """What relays added, by sub-option; nothing when it is malformed."""
        if self._relay is None:
            try:
                self._relay = relay_agent.read_relay_agent(self.option(OPTION_RELAY_AGENT))
            except Refusal:
                self._relay = {}
        return self._relay

    @property
    def user_classes(self) -> tuple[bytes, ...]:
        """What the client says in option 77."""
        if self._user_classes is None:
            self._user_classes = dhcp4_values.read_user_classes(self.option(dhcp4_values.USER_CLASS))
        return self._user_classes

    @property
    def fqdn(self) -> str:
        """The name of option 81, else of option 12, in lower case."""
        if self._fqdn is None:
            name = self.option(dhcp4_values.HOST_NAME)
            if (value := self.option(dhcp4_values.CLIENT_FQDN)) != b"":
                with contextlib.suppress(Refusal):
                    name = dhcp4_values.read_client_name(value).name or name
            self._fqdn = name.decode("utf-8", "replace").rstrip(".\0").lower()
        return self._fqdn


class PolicyTest:
    """Whether a client meets one policy."""

    def __init__(self, policy: Policy, classes: dict[str, DhcpClass]) -> None:
        """Make ready.

        Raises:
            Refusal: a condition is not what the directory's checks let through.
        """
        self._tests = [_condition_test(each, classes) for each in policy.conditions]
        self._only = self._tests[0] if len(self._tests) == 1 else None  # the usual one, without a loop
        self._all = policy.match is Match.ALL

    def meets(self, facts: Facts) -> bool:
        """Whether the conditions hold; a policy without conditions is for nobody."""
        if self._only is not None:
            return self._only(facts)
        if self._all:
            return bool(self._tests) and all(test(facts) for test in self._tests)
        return any(test(facts) for test in self._tests)


class Filters:
    """Whom the lists of hardware addresses let in."""

    def __init__(self, filters: Iterable[MacFilter], *, allow: bool, deny: bool) -> None:
        """Make ready; ``allow`` and ``deny`` say which lists are switched on.

        Raises:
            Refusal: a pattern is not what the directory's checks let through.
        """
        wanted = {FilterAction.ALLOW: allow, FilterAction.DENY: deny}
        self._whole: dict[FilterAction, set[bytes]] = {each: set() for each in FilterAction}
        self._beginnings: dict[FilterAction, list[HexPattern]] = {each: [] for each in FilterAction}
        for each in filters:
            if wanted[each.action]:
                pattern = parse_hex_pattern(each.pattern)
                if pattern.whole:
                    self._whole[each.action].add(bytes.fromhex(pattern.digits))
                else:
                    self._beginnings[each.action].append(pattern)
        self._allow, self._deny = allow, deny
        self.is_on = allow or deny

    def lets_in(self, hardware_address: bytes) -> bool:
        """Whether a client is served; the deny list goes before the allow list."""
        if self._deny and self._listed(FilterAction.DENY, hardware_address):
            return False
        return not self._allow or self._listed(FilterAction.ALLOW, hardware_address)

    def _listed(self, action: FilterAction, hardware_address: bytes) -> bool:
        return hardware_address in self._whole[action] or any(
            pattern.matches(hardware_address) for pattern in self._beginnings[action]
        )


def _condition_test(condition: Condition, classes: dict[str, DhcpClass]) -> Test:
    """One condition as a question."""
    any_of = [_value_test(condition.looks_at, value, classes) for value in condition.values]
    if len(any_of) == 1 and condition.comparison is Comparison.EQUALS:
        return any_of[0]
    if condition.comparison is Comparison.EQUALS:
        return lambda facts: any(test(facts) for test in any_of)
    return lambda facts: not any(test(facts) for test in any_of)


def _value_test(looks_at: ConditionField, value: str, classes: dict[str, DhcpClass]) -> Test:
    match looks_at:
        case ConditionField.VENDOR_CLASS | ConditionField.USER_CLASS:
            return _class_test(looks_at, value, classes)
        case ConditionField.MAC | ConditionField.CLIENT_ID | ConditionField.RELAY_AGENT:
            return _hex_test(looks_at, parse_hex_pattern(value))
        case ConditionField.CIRCUIT_ID | ConditionField.REMOTE_ID | ConditionField.SUBSCRIBER_ID:
            code = {
                ConditionField.CIRCUIT_ID: relay_agent.CIRCUIT_ID,
                ConditionField.REMOTE_ID: relay_agent.REMOTE_ID,
                ConditionField.SUBSCRIBER_ID: relay_agent.SUBSCRIBER_ID,
            }[looks_at]
            pattern = parse_bytes_pattern(value)
            return lambda facts: code in facts.relay and pattern.matches(facts.relay[code])
        case ConditionField.FQDN:
            beginning = value.lower().removesuffix("*")
            if value.endswith("*"):
                return lambda facts: facts.fqdn.startswith(beginning)
            return lambda facts: facts.fqdn == beginning.rstrip(".")
        case ConditionField.ARCHITECTURE:
            number = int(value).to_bytes(2, "big")
            # Several kinds may be told at once (RFC 4578 section 2.1).
            return lambda facts: number in _pairs(facts.option(ARCHITECTURE))


def _class_test(looks_at: ConditionField, value: str, classes: dict[str, DhcpClass]) -> Test:
    name = value.removesuffix("*")
    declared = classes.get(name)
    if declared is None:
        raise Refusal(f'there is no class "{name}"')
    data, whole = declared.data_bytes, not value.endswith("*")
    if looks_at is ConditionField.USER_CLASS:
        return lambda facts: any(
            each == data if whole else each.startswith(data) for each in facts.user_classes
        )
    code = dhcp4_values.VENDOR_CLASS
    if whole:
        return lambda facts: facts.option(code) == data
    return lambda facts: facts.option(code).startswith(data)


def _hex_test(looks_at: ConditionField, pattern: HexPattern) -> Test:
    if looks_at is ConditionField.MAC:
        return lambda facts: pattern.matches(facts.message.hardware)
    code = dhcp4_values.CLIENT_ID if looks_at is ConditionField.CLIENT_ID else OPTION_RELAY_AGENT
    return lambda facts: code in facts.message.options and pattern.matches(facts.option(code))


def _pairs(value: bytes) -> list[bytes]:
    return [value[at : at + 2] for at in range(0, len(value) - 1, 2)]


class ClassTest:
    """To which declared classes a client belongs, for option values that are for a class alone."""

    def __init__(self, classes: Iterable[DhcpClass]) -> None:
        self._vendor: dict[bytes, str] = {}
        self._user: dict[bytes, str] = {}
        for each in classes:
            (self._vendor if each.kind is ClassKind.VENDOR else self._user)[each.data_bytes] = each.name

    def vendor_class(self, facts: Facts) -> str:
        """The vendor class; empty for none that was declared."""
        return self._vendor.get(facts.option(dhcp4_values.VENDOR_CLASS), "")

    def user_classes(self, facts: Facts) -> tuple[str, ...]:
        """The user classes that were declared, in the client's order."""
        return tuple(self._user[each] for each in facts.user_classes if each in self._user)
