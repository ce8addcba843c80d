"""What arrives from another DHCP server, in our words, and what was left behind.

The readers of each format fill an ``Arrival``; whatever they cannot say in our model becomes a ``Note`` with
the place it stands at. So nothing is dropped in silence: what an administrator wrote is either in the arrival
or among the notes. Values of options go through bytes: the other server's form makes them, ours reads them.

Source: spec/dhcp.md sections 1, 4.4 and 7.
"""

from __future__ import annotations

import enum
import struct
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import NamedTuple

from holdfast.directory.dhcp import DhcpServer, MacFilter, Policy, Reservation, Scope
from holdfast.directory.dhcp_options import DhcpClass, OptionDefinition, OptionType, OptionValue
from holdfast.directory.option_table import BUILT_IN, PROTOCOL_OPTIONS
from holdfast.directory.option_values import decode_option, encode_option
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange

NAME_CHARS_MAX = 64
NOTES_MAX = 10_000


class Fate(enum.Enum):
    """What became of something."""

    CHANGED = "changed"  # it is here, in another way; the note says how
    LEFT = "left behind"  # it is not here


@dataclass(frozen=True, slots=True)
class Note:
    """Something that did not come over as it was.

    Attributes:
        place: file and line, for people.
        what: as it is written there.
        fate: see ``Fate``.
        reason: why, and what to do where something can be done.
    """

    place: str
    what: str
    fate: Fate
    reason: str


class LeaseState(enum.Enum):
    """What a lease is that arrives."""

    ACTIVE = "active"
    DECLINED = "declined"  # somebody else was found to use the address
    REMEMBERED = "remembered"  # it ended; its client should get the address again


class MovedLease(NamedTuple):
    """A lease that arrives; a plain tuple because there may be a million.

    Attributes:
        address: as a number.
        state: see ``LeaseState``.
        hardware_type: 1 is Ethernet.
        mac: hardware address; may be empty.
        client_id: option 61 with its type; empty when the client sent none.
        starts_at, ends_at: seconds since the epoch; ``ends_at`` infinite without an end.
        host_name: as the client called itself.
        line: where it stands.
    """

    address: int
    state: LeaseState
    hardware_type: int
    mac: bytes
    client_id: bytes
    starts_at: float
    ends_at: float
    host_name: bytes = b""
    line: int = 0


@dataclass(slots=True)
class Arrival:
    """Everything that one or more files of another server say.

    Attributes:
        server: how the server of ours leases that takes it over.
        scopes, reservations, classes, definitions, filters: in our words.
        leases: by address.
        notes: what did not come over as it was.
        note_count: how many notes there are, also beyond ``NOTES_MAX``.
    """

    server: DhcpServer
    scopes: list[Scope] = field(default_factory=list)
    reservations: list[Reservation] = field(default_factory=list)
    classes: list[DhcpClass] = field(default_factory=list)
    definitions: list[OptionDefinition] = field(default_factory=list)
    filters: list[MacFilter] = field(default_factory=list)
    leases: dict[int, MovedLease] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    note_count: int = 0
    _by_first: list[tuple[int, int]] = field(default_factory=list)

    def left(self, place: str, what: str, reason: str) -> None:
        """Note something that is not carried over."""
        self._note(Note(place, what, Fate.LEFT, reason))

    def changed(self, place: str, what: str, reason: str) -> None:
        """Note something that comes over in another way."""
        self._note(Note(place, what, Fate.CHANGED, reason))

    def _note(self, note: Note) -> None:
        self.note_count += 1
        if len(self.notes) < NOTES_MAX:
            self.notes.append(Note(note.place, shown(note.what), note.fate, note.reason))

    def definition(self, code: int, vendor_class: str = "") -> OptionDefinition | None:
        """The form of an option: as it arrived, else the built-in one."""
        for each in self.definitions:
            if (each.code, each.vendor_class) == (code, vendor_class):
                return each
        return None if vendor_class else BUILT_IN.get(code)

    def define(self, definition: OptionDefinition, place: str) -> None:
        """Take a definition over, unless it is the protocol's own or its name is taken."""
        if not definition.vendor_class and definition.code in PROTOCOL_OPTIONS:
            self.left(place, f"option {definition.code}", PROTOCOL_OPTIONS[definition.code])
            return
        if self.definition(definition.code, definition.vendor_class) is not None:
            return
        taken = {
            each.name.casefold() for each in self.definitions if each.vendor_class == definition.vendor_class
        }
        name = definition.name.strip() or f"option-{definition.code}"
        if name.casefold() in taken:
            name = f"{name}-{definition.code}"
        self.definitions.append(replace(definition, name=name))

    def option(
        self, code: int, data: bytes, place: str, *, vendor_class: str = "", user_class: str = ""
    ) -> OptionValue | None:
        """Turn an option's data into a value of our form; None, with a note, when that cannot be.

        An option without a definition gets one of plain bytes.
        """
        if not vendor_class and code in PROTOCOL_OPTIONS:
            self.left(place, f"option {code}", PROTOCOL_OPTIONS[code])
            return None
        if not vendor_class and code == 1:
            return None  # the mask follows from the subnet
        definition = self.definition(code, vendor_class)
        if definition is None:
            definition = OptionDefinition(
                code, f"option-{code}", (OptionType.HEX,), vendor_class=vendor_class
            )
            self.define(definition, place)
        try:
            values = decode_option(definition, data)
        except Refusal as refusal:
            self.left(place, f"option {code} ({definition.name})", refusal.text)
            return None
        return OptionValue(code, values, vendor_class, user_class)

    def option_of_texts(self, code: int, texts: Iterable[str], place: str) -> OptionValue | None:
        """Turn values that are texts of our own form into a checked value; None, with a note."""
        definition = self.definition(code)
        if definition is None or code in PROTOCOL_OPTIONS:
            reason = PROTOCOL_OPTIONS.get(code, "it has no definition")
            self.left(place, f"option {code}", reason)
            return None
        try:
            data = encode_option(definition, tuple(texts))
        except Refusal as refusal:
            self.left(place, f"option {code} ({definition.name})", refusal.text)
            return None
        return self.option(code, data, place)

    def new_class(self, wanted: DhcpClass) -> str:
        """Take a class over unless one says the same; returns the name that it has here."""
        for each in self.classes:
            if (each.kind, each.data_bytes) == (wanted.kind, wanted.data_bytes):
                return each.name
        name = free_name(wanted.name, {each.name.casefold() for each in self.classes}, wanted.kind.value)
        self.classes.append(replace(wanted, name=name))
        return name

    def new_scope_name(self, wanted: str, subnet: IPRange) -> str:
        """A name for a scope that none that arrived has."""
        return free_name(wanted, {each.name.casefold() for each in self.scopes}, str(subnet))

    def scope_at(self, address: IPv4Address) -> Scope | None:
        """The scope that arrived in whose subnet an address lies."""
        if len(self._by_first) != len(self.scopes):
            self._by_first = sorted((int(each.subnet.first), index) for index, each in enumerate(self.scopes))
        at = bisect_right(self._by_first, (int(address), len(self.scopes))) - 1
        found = self.scopes[self._by_first[at][1]] if at >= 0 else None
        return found if found is not None and address in found.subnet else None


def free_name(wanted: str, taken: Iterable[str], mark: str) -> str:
    """A name that fits the directory and is not taken: with ``mark`` behind it, then with a number."""
    known = set(taken)
    clean = " ".join(
        "".join(each if each.isprintable() else " " for each in wanted).replace('"', "'").split()
    )
    clean = clean[:NAME_CHARS_MAX].strip() or mark
    if clean.casefold() not in known:
        return clean
    tries = [f"{clean[: NAME_CHARS_MAX - len(mark) - 3].strip()} ({mark})"]
    tries += [f"{clean[: NAME_CHARS_MAX - 8].strip()} {number}" for number in range(2, len(known) + 3)]
    return next(each for each in tries if each.casefold() not in known)


def shown(text: str) -> str:
    """A piece of another's file for a message: one line, printable, short."""
    line = " ".join(text.split())
    cut = line if len(line) <= 100 else line[:99] + "…"
    return "".join(each if each.isprintable() else "�" for each in cut)


def merged_options(*levels: Iterable[OptionValue]) -> tuple[OptionValue, ...]:
    """Options of several levels as one: the first level that has an option wins."""
    found: dict[tuple[int, str, str], OptionValue] = {}
    for level in levels:
        for each in level:
            found.setdefault((each.code, each.vendor_class, each.user_class), each)
    return tuple(found.values())


def pool_of(ranges: Iterable[IPRange]) -> tuple[IPRange | None, tuple[IPRange, ...]]:
    """One pool for several ranges: from the first to the last address, with what lies between excluded."""
    ordered = sorted(ranges, key=lambda each: (int(each.first), int(each.last)))
    if not ordered:
        return None, ()
    gaps: list[IPRange] = []
    reach = int(ordered[0].last)
    for each in ordered[1:]:
        if int(each.first) > reach + 1:
            gaps.append(IPRange(IPv4Address(reach + 1), IPv4Address(int(each.first) - 1)))
        reach = max(reach, int(each.last))
    return IPRange(ordered[0].first, IPv4Address(reach)), tuple(gaps)


def exclusions_in(pool: IPRange | None, exclusions: Iterable[IPRange]) -> tuple[IPRange, ...]:
    """Exclusions as the directory wants them: inside the pool, apart from each other, in order."""
    if pool is None:
        return ()
    first, last = int(pool.first), int(pool.last)
    found: list[tuple[int, int]] = []
    for low, high in sorted((int(each.first), int(each.last)) for each in exclusions):
        low, high = max(low, first), min(high, last)
        if low > high:
            continue
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(IPRange(IPv4Address(low), IPv4Address(high)) for low, high in found)


def number_bytes(kind: OptionType, number: int) -> bytes:
    """A number as the data of an option.

    Raises:
        Refusal: it does not fit.
    """
    forms = {
        OptionType.UINT8: ">B",
        OptionType.UINT16: ">H",
        OptionType.UINT32: ">I",
        OptionType.UINT64: ">Q",
    }
    try:
        return struct.pack(forms[kind], number)
    except struct.error:
        raise Refusal(f"{number} does not fit {kind.value}") from None


def free_policy_name(wanted: str, policies: Iterable[Policy]) -> str:
    """A name for a policy that none of ``policies`` has."""
    return free_name(wanted, {each.name.casefold() for each in policies}, "policy")
