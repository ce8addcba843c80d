"""What leaves for another DHCP server: one server's part of the organisation, and what the other cannot hold.

The writers of each format take a ``Departure`` and note on it whatever their format has no word for.

Source: spec/dhcp.md sections 4 and 7.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from holdfast.dhcp.moving import Fate, LeaseState, MovedLease, Note
from holdfast.directory.dhcp import DhcpServer, MacFilter, Policy, Reservation, Scope
from holdfast.directory.dhcp_options import OptionDefinition, OptionType, OptionValue
from holdfast.directory.model import Organisation
from holdfast.directory.option_values import encode_option


@dataclass(slots=True)
class Departure:
    """One server's part of the organisation.

    Attributes:
        organisation: the whole.
        server: how the server leases.
        scopes: those that leave.
        notes: what did not fit into the format.
    """

    organisation: Organisation
    server: DhcpServer
    scopes: tuple[Scope, ...]
    notes: list[Note] = field(default_factory=list)
    _by_first: list[tuple[int, int]] = field(default_factory=list)

    def left(self, place: str, what: str, reason: str) -> None:
        """Note something that the other server does not get."""
        self.notes.append(Note(place, what, Fate.LEFT, reason))

    def changed(self, place: str, what: str, reason: str) -> None:
        """Note something that the other server gets in another way."""
        self.notes.append(Note(place, what, Fate.CHANGED, reason))

    def scope_of(self, address: int) -> Scope | None:
        """The scope that an address lies in."""
        if not self._by_first:
            self._by_first = sorted((int(each.subnet.first), index) for index, each in enumerate(self.scopes))
        at = bisect_right(self._by_first, (address, len(self.scopes))) - 1
        found = self.scopes[self._by_first[at][1]] if at >= 0 else None
        return found if found is not None and address <= int(found.subnet.last) else None

    def reservations(self, scope: Scope) -> tuple[Reservation, ...]:
        """The reservations of a scope, by address."""
        return self.organisation.reservations_by_scope.get(scope.name, ())

    def definition(self, option: OptionValue) -> OptionDefinition:
        """The form of an option; plain bytes where nothing says more."""
        found = self.organisation.option_definition(option.code, option.vendor_class)
        return found or OptionDefinition(option.code, f"option-{option.code}", (OptionType.HEX,))

    def data(self, option: OptionValue) -> bytes:
        """What a client gets for an option; the directory has checked that it can be written."""
        return encode_option(self.definition(option), option.values)

    def class_data(self, name: str) -> bytes:
        """What the clients of a class send."""
        return self.organisation.dhcp_classes_by_name[name].data_bytes

    @property
    def filters(self) -> tuple[MacFilter, ...]:
        """The filters that are for this server."""
        return tuple(
            each
            for each in self.organisation.mac_filters
            if not each.servers or self.server.server in each.servers
        )


def class_names(departure: Departure) -> dict[tuple[str, str], str]:
    """A name for the class of each policy, by scope (empty for the server) and name."""
    places = [("", each.name) for each in departure.server.policies]
    places += [
        (scope.name, each.name) for scope in departure.scopes for each in scope.policies if each.ranges
    ]
    counts = Counter(name for _, name in places)
    return {
        (scope, name): name if counts[name] == 1 or not scope else f"{scope}: {name}"
        for scope, name in places
    }


def policies_of(departure: Departure, policies: Iterable[Policy], place: str) -> list[Policy]:
    """The policies that are in force; the others are noted."""
    found = []
    for each in policies:
        if each.enabled:
            found.append(each)
        else:
            departure.left(place, f'policy "{each.name}"', "it is disabled")
    return found


def exact_lease(lease: MovedLease, now: float) -> bool:
    """Whether another server can go on with a lease: a client has it, or it is declined."""
    return lease.state is not LeaseState.REMEMBERED and (lease.ends_at > now or math.isinf(lease.ends_at))


def scope_place(scope: Scope) -> str:
    """A scope in words."""
    return f'scope "{scope.name}"'


def note_settings_without_a_word(departure: Departure, scope: Scope, names: Iterable[str]) -> None:
    """Note the settings of a scope that are not at their default and that a format has no word for."""
    blank = Scope(scope.name, scope.subnet, scope.server)
    for name in names:
        value = getattr(scope, name)
        if value != getattr(blank, name):
            text = f"{value:g}" if isinstance(value, float) else str(getattr(value, "value", value))
            departure.left(scope_place(scope), f"{name} {text}", "the other server has no such setting")
