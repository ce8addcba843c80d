"""Options and times of an ISC dhcpd configuration, as they hold at one place of the file.

What is said outside a block holds inside it, and the nearest statement wins. The options of a space become
the bytes of the option that they travel in.

Source: dhcpd.conf(5) and dhcp-options(5) of ISC dhcpd 4.4; RFC 2132 section 8.4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from holdfast.dhcp.foreign_options import CODES, encapsulated, isc_data, isc_definition
from holdfast.dhcp.moving import Arrival, merged_options, shown
from holdfast.directory.dhcp import UNLIMITED_LEASE_S
from holdfast.directory.dhcp_options import OptionDefinition, OptionType, OptionValue
from holdfast.kernel.errors import Refusal
from holdfast.wire.isc_conf import Statement

VENDOR_OPTION = 43


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What holds at one place of the file: said there or around it.

    Attributes:
        options: in our form; the nearest first.
        lease_s, longest_s, shortest_s: in seconds; None where nothing is said.
        next_server, server_name, boot_file: as a client boots.
        superscope: the shared network around.
        group: whether it is inside a group.
        dns_suffix: the domain of names; empty where nothing is said.
        dns_updates: whether names are registered.
        dns_always: whether also those that clients would register themselves.
        dns_protect: whether a name stays with the client that had it first.
    """

    options: tuple[OptionValue, ...] = ()
    lease_s: float | None = None
    longest_s: float | None = None
    shortest_s: float | None = None
    next_server: str = ""
    server_name: str = ""
    boot_file: str = ""
    superscope: str = ""
    group: bool = False
    dns_suffix: str = ""
    dns_updates: bool = True
    dns_always: bool = False
    dns_protect: bool = True


def _with_dns(found: Surroundings, statement: Statement, word: str) -> Surroundings:
    """What a statement says of names in DNS."""
    off = word.lower() in ("off", "false", "no")
    match statement.head:
        case "ddns-domainname":
            return replace(found, dns_suffix=word.strip("."))
        case "ddns-updates":
            return replace(found, dns_updates=not off)
        case "update-conflict-detection":
            return replace(found, dns_protect=not off)
        case "allow" | "deny" | "ignore" if word.lower() == "client-updates":
            return replace(found, dns_always=statement.head != "allow")
    return found


class IscOptions:
    """The options that a file defines and sets."""

    def __init__(self, arrival: Arrival) -> None:
        """Start with the options that dhcpd knows."""
        self.arrival = arrival
        self._codes: dict[str, tuple[int, OptionDefinition | None]] = {
            each: (code, None) for each, code in CODES.items()
        }
        self._spaces: dict[str, dict[str, OptionDefinition]] = {}

    def place(self, statement: Statement) -> str:
        """Where a statement stands."""
        return statement.place

    def left(self, statement: Statement, reason: str) -> None:
        """Note a statement that is not taken over."""
        self.arrival.left(self.place(statement), statement.text, reason)

    def new_space(self, name: str) -> None:
        """Take note of a space of options."""
        self._spaces.setdefault(name, {})

    def define(self, statement: Statement) -> None:
        """Take the definition of an option over."""
        name, code_text = statement.word(1), statement.word(3)
        if not code_text.isdigit() or not 0 < int(code_text) < 255:
            self.left(statement, f'"{code_text}" is not the code of an option')
            return
        code = int(code_text)
        space, _, inner = name.rpartition(".")
        try:
            definition = isc_definition(code, inner, [each.text for each in statement.words[5:]])
        except Refusal as refusal:
            self.left(statement, refusal.text)
            return
        if space and space != "dhcp":
            self._spaces.setdefault(space, {})[inner] = definition
            return
        self._codes[inner] = (code, definition)
        self.arrival.define(definition, self.place(statement))

    def inside(self, block: tuple[Statement, ...], around: Surroundings) -> Surroundings:
        """What holds inside a block: what is said in it, else what holds around it."""
        own: list[OptionValue] = []
        suboptions: dict[str, list[tuple[int, bytes]]] = {}
        found = around
        for statement in block:
            head, word = statement.head, statement.words[1].text if len(statement.words) > 1 else ""
            match head:
                case "option" if statement.word(1) != "space" and statement.word(2) not in ("code",):
                    value = self._option(statement, suboptions)
                    own += [] if value is None else [value]
                case "default-lease-time":
                    found = replace(found, lease_s=self._seconds(statement))
                case "max-lease-time":
                    found = replace(found, longest_s=self._seconds(statement))
                case "min-lease-time":
                    found = replace(found, shortest_s=self._seconds(statement))
                case "next-server":
                    found = replace(found, next_server=self._boot_server(statement))
                case "server-name":
                    found = replace(found, server_name=word)
                case "filename":
                    found = replace(found, boot_file=word)
                case _:
                    found = _with_dns(found, statement, word)
        for space, pairs in suboptions.items():
            own += self._vendor_option(space, pairs, block)
        # Of an option that stands twice at one place dhcpd takes the last.
        last = {each.code: each for each in own}
        return replace(found, options=merged_options(last.values(), around.options))

    def _seconds(self, statement: Statement) -> float | None:
        text = statement.word(1)
        number = int(text) if text.lstrip("-").isdigit() and len(text) <= 12 else None
        if number is None:
            raise Refusal(f'{self.place(statement)}: "{shown(statement.text)}" is not a number of seconds')
        return float(UNLIMITED_LEASE_S) if number < 0 or number >= UNLIMITED_LEASE_S else float(number or 1)

    def _boot_server(self, statement: Statement) -> str:
        text = statement.word(1)
        try:
            return str(IPv4Address(text))
        except ValueError:
            self.left(statement, "a boot server is an address here: look its name up")
            return ""

    def _option(
        self, statement: Statement, suboptions: dict[str, list[tuple[int, bytes]]]
    ) -> OptionValue | None:
        name, words = statement.word(1), statement.words[2:]
        place = self.place(statement)
        space, _, inner = name.rpartition(".")
        try:
            if space in self._spaces:
                definition = self._spaces[space].get(inner)
                if definition is None:
                    raise Refusal(f"it is not defined in the space {space}")
                suboptions.setdefault(space, []).append((definition.code, isc_data(definition, words)))
                return None
            code, own = self._code_of(name)
            definition = own or self.arrival.definition(code)
            if definition is None:
                definition = OptionDefinition(code, f"option-{code}", (OptionType.HEX,))
            return self.arrival.option(code, isc_data(definition, words), place)
        except Refusal as refusal:
            self.left(statement, refusal.text)
            return None

    def _code_of(self, name: str) -> tuple[int, OptionDefinition | None]:
        digits = name.removeprefix("unknown-").removeprefix("option-")
        if name not in self._codes and digits != name and digits.isdigit() and 0 < int(digits[:4]) < 255:
            return int(digits), OptionDefinition(int(digits), f"option-{digits}", (OptionType.HEX,))
        if name not in self._codes:
            raise Refusal(
                f'option "{name}" is not known: its definition may stand in a file that is included'
            )
        return self._codes[name]

    def _vendor_option(
        self, space: str, pairs: list[tuple[int, bytes]], block: tuple[Statement, ...]
    ) -> list[OptionValue]:
        """The options of a space, as the bytes of the option that they travel in."""
        chosen = next((each for each in block if each.head == "vendor-option-space"), None)
        place = self.place(
            chosen
            or next(each for each in block if each.word(1).startswith(f"{space}.") and each.word(2) != "code")
        )
        try:
            data = encapsulated(pairs)
        except Refusal as refusal:
            self.arrival.left(place, f"options of the space {space}", refusal.text)
            return []
        if chosen is None or chosen.word(1) != space:
            reason = "no vendor-option-space beside them says that they travel in option 43: taken for that"
            self.arrival.changed(place, f"options of the space {space}", reason)
        value = self.arrival.option(VENDOR_OPTION, data, place)
        return [] if value is None else [value]
