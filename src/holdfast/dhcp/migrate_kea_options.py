"""Options, option definitions and client classes of a Kea configuration.

Source: Kea Administrator Reference Manual, "DHCPv4 Options", "Custom DHCPv4 Options", "Client
Classification".
"""

from __future__ import annotations

from dataclasses import replace

from holdfast.dhcp.foreign_options import CODES, encapsulated, kea_data, kea_definition
from holdfast.dhcp.migrate_conditions import conditions_of, kea_terms
from holdfast.dhcp.moving import Arrival, free_policy_name, merged_options
from holdfast.directory.dhcp import (
    UNLIMITED_LEASE_S,
    Condition,
    ConditionField,
    FilterAction,
    MacFilter,
    Match,
    Policy,
)
from holdfast.directory.dhcp_options import OptionDefinition, OptionType, OptionValue
from holdfast.directory.option_table import BUILT_IN
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange
from holdfast.wire.kea_config import Node

NO_SERVER = "0.0.0.0"  # nobody listens there: as a boot server it means none
VENDOR_SPACE, VENDOR_OPTION = "vendor-encapsulated-options-space", 43


class KeaOptions:
    """Reads ``option-def`` and ``option-data``."""

    def __init__(self, name: str, arrival: Arrival) -> None:
        """``name`` is the file's, for notes."""
        self.name = name
        self.arrival = arrival
        self._own: dict[str, OptionDefinition] = {}
        self._spaces: dict[str, dict[str, OptionDefinition]] = {}
        # The option that a space of sub-options travels in.
        self._carriers: dict[str, int] = {VENDOR_SPACE: VENDOR_OPTION}

    def left(self, node: Node, what: str, reason: str) -> None:
        """Note something that is not taken over."""
        self.arrival.left(f"{self.name} line {node.line}", what, reason)

    def define(self, node: Node) -> None:
        """Take definitions over."""
        for each in node.items:
            members = {key: value.value for key, value in each.members.items()}
            name, code = str(members.get("name", "")), members.get("code")
            space = str(members.get("space", "dhcp4"))
            if not isinstance(code, int) or not 0 < code < 255:
                self.left(each, f"definition of {name}", "its code is not one of an option")
                continue
            if members.get("encapsulate"):
                self._carriers[str(members["encapsulate"])] = code
            kind = str(members.get("type", ""))
            words = str(members.get("record-types", "")) if kind == "record" else kind
            try:
                definition = kea_definition(code, name, words, array=members.get("array") is True)
            except Refusal as refusal:
                self.left(each, f"definition of {name} ({code})", refusal.text)
                continue
            if space == "dhcp4":
                self._own[name] = definition
                self.arrival.define(definition, f"{self.name} line {each.line}")
            else:
                self._spaces.setdefault(space, {})[name] = definition

    def values(self, *nodes: Node | None) -> tuple[OptionValue, ...]:
        """The values of one or more levels, the nearest first."""
        return merged_options(*(self._level(node) for node in nodes if node is not None))

    def _level(self, node: Node) -> tuple[OptionValue, ...]:
        found: list[OptionValue] = []
        inner: dict[str, list[tuple[int, bytes]]] = {}
        for each in node.items:
            members = each.members
            what = "option " + (members["name"].text if "name" in members else members.get("code", each).text)
            try:
                space = members["space"].text if "space" in members else "dhcp4"
                definition = self._definition(members, space)
                data = self._data(members, definition)
                if space != "dhcp4":
                    if space not in self._carriers:
                        raise Refusal(f"it is not known which option carries the space {space}")
                    inner.setdefault(space, []).append((definition.code, data))
                    continue
            except Refusal as refusal:
                self.left(each, what, refusal.text)
                continue
            value = self.arrival.option(definition.code, data, f"{self.name} line {each.line}")
            if value is not None:
                found.append(replace(value, always=_is(members, "always-send")))
            self._rest(members)
        for space, pairs in inner.items():
            value = self.arrival.option(
                self._carriers[space], encapsulated(pairs), f"{self.name} line {node.line}"
            )
            found += [] if value is None else [value]
        return merged_options(found)

    def _rest(self, members: dict[str, Node]) -> None:
        for key, value in members.items():
            if key in ("never-send", "client-classes") and (value.value is True or value.items):
                self.left(value, key, "an option has no such thing here: declare a policy")

    def _definition(self, members: dict[str, Node], space: str) -> OptionDefinition:
        name = members["name"].text if "name" in members else ""
        code = members["code"].value if "code" in members else None
        if space != "dhcp4":
            known = self._spaces.get(space, {})
            for each in known.values():
                if each.name == name or each.code == code:
                    return each
            if isinstance(code, int) and 0 < code < 255:
                return OptionDefinition(code, f"option-{code}", (OptionType.HEX,))
            raise Refusal(f"it is not defined in the space {space}")
        if name in self._own:
            return self._own[name]
        if not isinstance(code, int):
            code = CODES.get(name)
        if code is None or not 0 < code < 255:
            raise Refusal("there is no definition of it")
        own = next((each for each in self._own.values() if each.code == code), None)
        return own or BUILT_IN.get(code) or OptionDefinition(code, f"option-{code}", (OptionType.HEX,))

    def _data(self, members: dict[str, Node], definition: OptionDefinition) -> bytes:
        text = members["data"].text if "data" in members else ""
        if "csv-format" in members and members["csv-format"].value is False:
            digits = text.strip()
            if len(digits) >= 2 and digits[0] == digits[-1] == "'":
                return digits[1:-1].encode()
            try:
                return bytes.fromhex(digits.removeprefix("0x").replace(":", "").replace(" ", ""))
            except ValueError:
                raise Refusal(f'"{text[:60]}" is not in hexadecimal') from None
        if definition.types == (OptionType.HEX,) and len(text) >= 2 and text[0] == text[-1] == "'":
            return text[1:-1].encode()
        return kea_data(definition, text)


class KeaClasses:
    """Reads ``client-classes``: those that give something become policies of the server."""

    def __init__(self, options: KeaOptions) -> None:
        """``options`` reads what classes give."""
        self._options = options
        self._nodes: dict[str, Node] = {}

    def policies(self, node: Node) -> tuple[Policy, ...]:
        """Policies of the server, in the order in which the classes stand."""
        found: list[Policy] = []
        for each in node.items:
            name = each.members["name"].text if "name" in each.members else ""
            self._nodes[name] = each
            if name == "DROP" and self._dropped(each):
                continue
            conditions = self._conditions(name)
            if conditions is None:
                continue
            policy = Policy(free_policy_name(name, found), conditions[0], conditions[1])
            filled = self._filled(policy, each)
            if filled != policy:
                found.append(filled)
        return tuple(found)

    def _dropped(self, node: Node) -> bool:
        """The class whose members are not served, as a deny list of hardware addresses; whether it is one."""
        arrival = self._options.arrival
        try:
            terms, match = kea_terms(node.members["test"].text if "test" in node.members else "")
        except Refusal:
            return False
        if (match is Match.ALL and len(terms) > 1) or not all(
            each.looks_at is ConditionField.MAC and each.equal for each in terms
        ):
            return False
        for each in terms:
            pattern = each.data.hex(":") + ("" if each.whole else "*")
            arrival.filters.append(MacFilter(pattern, FilterAction.DENY, (arrival.server.server,)))
        arrival.server = replace(arrival.server, deny_filter=True)
        return True

    def pool_policy(self, name: str, ends: IPRange, node: Node, others: tuple[Policy, ...]) -> Policy | None:
        """A policy that gives a range to a class; None, with a note, when it cannot be said."""
        conditions = self._conditions(name) if name in self._nodes else None
        if conditions is None:
            self._options.left(
                node,
                f"client-class {name}",
                "its members are not known here: everybody may get these addresses",
            )
            return None
        same = next((each for each in others if each.name == name), None)
        if same is not None:
            return replace(same, name=free_policy_name(name, others), ranges=(ends,))
        return Policy(free_policy_name(name, others), conditions[0], conditions[1], ranges=(ends,))

    def _conditions(self, name: str) -> tuple[tuple[Condition, ...], Match] | None:
        node = self._nodes[name]
        test = node.members["test"].text if "test" in node.members else ""
        try:
            if not test:
                raise Refusal("it has no test: a hook or a reservation makes its members")
            terms, match = kea_terms(test)
            return conditions_of(terms, match, self._options.arrival), match
        except Refusal as refusal:
            place = f"{self._options.name} line {node.line}"
            if not any(each.place == place for each in self._options.arrival.notes):
                self._options.left(node, f"client-class {name}", refusal.text)
            return None

    def _filled(self, policy: Policy, node: Node) -> Policy:
        members = node.members
        policy = replace(policy, options=self._options.values(members.get("option-data")))
        for key, value in members.items():
            match key:
                case "name" | "test" | "option-data" | "user-context" | "comment":
                    pass
                case "next-server":
                    policy = replace(
                        policy, next_server="" if value.text == NO_SERVER else value.text
                    )  # nobody listens: it means none
                case "server-hostname":
                    policy = replace(policy, server_name=value.text)
                case "boot-file-name":
                    policy = replace(policy, boot_file=value.text)
                case "valid-lifetime" if isinstance(value.value, int) and value.value > 0:
                    unlimited = value.value >= UNLIMITED_LEASE_S
                    policy = replace(
                        policy, lease_s=None if unlimited else float(value.value), lease_unlimited=unlimited
                    )
                case "option-def":
                    self._options.define(value)
                case _ if value.items or value.text not in ("", "false", "0"):
                    self._options.left(
                        value, f"{key} of client-class {policy.name}", "a policy has no such thing here"
                    )
        return policy


def _is(members: dict[str, Node], key: str) -> bool:
    return key in members and members[key].value is True
