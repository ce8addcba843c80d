"""Where in the organisation a verb about DHCP is to look: servers, scopes, policies, reservations, options.

An administrator names what is meant in the shortest way that is clear: a
reservation by its address, a server not at all where there is one alone.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from holdfast.admin.catalogue import Argument, Arguments, Kind
from holdfast.admin.results_dhcp import OptionRow
from holdfast.directory.dhcp import DhcpServer, Policy, Reservation, Scope
from holdfast.directory.dhcp_options import OptionDefinition, OptionValue
from holdfast.directory.edit import find_object, with_object
from holdfast.directory.kinds import subject_of
from holdfast.directory.model import Organisation, Role
from holdfast.directory.option_table import BUILT_IN_BY_NAME
from holdfast.directory.references import nearest_name
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange

SCOPE = Argument("scope", Kind.TEXT, "name of a scope", completes="dhcp scope.scopes.name")
SERVER = Argument(
    "server",
    Kind.TEXT,
    "name of a server; the only one with the role dhcp if not given",
    completes="dhcp.servers.server",
)
POLICY = Argument("policy", Kind.TEXT, "name of a policy of that scope or server")
RESERVATION = Argument(
    "reservation", Kind.IPV4, "address of a reservation", completes="dhcp reservation.reservations.address"
)
LEVEL_ARGUMENTS = (SCOPE, dataclasses.replace(SERVER, help="name of a server"), POLICY, RESERVATION)
VENDOR_CLASS = Argument(
    "vendor-class", Kind.TEXT, "the vendor class that it is for", completes="dhcp class.classes.name"
)
USER_CLASS = Argument(
    "user-class", Kind.TEXT, "the user class that it is for", completes="dhcp class.classes.name"
)

Holder = DhcpServer | Scope | Reservation


def the_dhcp_server(organisation: Organisation, name: str | None) -> str:
    """The server that is meant: the one that was named, else the only one with the role dhcp.

    Raises:
        Refusal: none was named and there is not exactly one, or there is none of that name.
    """
    able = [each.name for each in organisation.servers if Role.DHCP in each.roles]
    if name is None:
        if len(able) == 1:
            return able[0]
        if able:
            raise Refusal(f"servers {', '.join(able)} have the role dhcp; say which one with --server")
        raise Refusal("no server has the role dhcp; give it to one with: holdfast dhcp enable --server NAME")
    found = next((each for each in organisation.servers if each.name.casefold() == name.casefold()), None)
    if found is None:
        names = [each.name for each in organisation.servers]
        raise Refusal(f'there is no server "{name}"; {nearest_name("server", name, names)}')
    return found.name


def scope_of(organisation: Organisation, where: IPv4Address | IPRange, name: str | None) -> Scope:
    """The scope that is meant: the one that was named, else the one whose subnet holds the address or range.

    Raises:
        Refusal: there is none, or several (a subnet that is split between servers).
    """
    return ScopeFinder(organisation).find(where, name)


class ScopeFinder:
    """Finds scopes by what lies in their subnets; for a file of many addresses, which each take a search."""

    def __init__(self, organisation: Organisation) -> None:
        """Sort the subnets, which are equal or apart (``directory.checks_dhcp``)."""
        self._organisation = organisation
        self._scopes = sorted(organisation.scopes, key=lambda each: int(each.subnet.first))
        self._firsts = [int(each.subnet.first) for each in self._scopes]

    def find(self, where: IPv4Address | IPRange, name: str | None) -> Scope:
        """The scope that is meant; see ``scope_of``."""
        if name is not None:
            return find_object(self._organisation, Scope, name)
        first, last = (where, where) if isinstance(where, IPv4Address) else (where.first, where.last)
        found: list[Scope] = []
        at = bisect.bisect_right(self._firsts, int(first))
        while at and (not found or self._firsts[at - 1] == int(found[0].subnet.first)):
            scope = self._scopes[at - 1]
            if not (first in scope.subnet and last in scope.subnet):
                break
            found.append(scope)
            at -= 1
        if not found:
            text = str(first) if first == last else f"{first}-{last}"
            raise Refusal(f"{text} lies in the subnet of no scope; see: holdfast dhcp scope list")
        if len(found) > 1:
            names = ", ".join(f'"{each.name}"' for each in sorted(found, key=lambda each: each.name))
            raise Refusal(f"{first} lies in the subnet of scopes {names}; say which one with --scope")
        return found[0]


def find_reservation(organisation: Organisation, address: str, scope: str | None) -> Reservation:
    """The reservation of an address.

    Raises:
        Refusal: there is none, or there are several (in a subnet that is split between servers).
    """
    wanted = IPv4Address(address)
    found = [
        each
        for each in organisation.reservations
        if each.address == wanted and (scope is None or each.scope.casefold() == scope.casefold())
    ]
    if not found:
        where = f' in scope "{scope}"' if scope is not None else ""
        raise Refusal(f"{address} is not reserved{where}; see: holdfast dhcp reservation list")
    if len(found) > 1:
        names = ", ".join(f'"{each.scope}"' for each in found)
        raise Refusal(f"{address} is reserved in scopes {names}; say which one with --scope")
    return found[0]


@dataclass(frozen=True, slots=True)
class Level:
    """One place where options or policies stand.

    Attributes:
        holder: the object of the organisation.
        policy: the policy of it that is meant; None for the object itself.
    """

    holder: Holder
    policy: Policy | None = None

    @property
    def options(self) -> tuple[OptionValue, ...]:
        """The options of the place."""
        return self.holder.options if self.policy is None else self.policy.options

    @property
    def words(self) -> str:
        """The place in words."""
        place = subject_of(self.holder)
        return place if self.policy is None else f'policy "{self.policy.name}" of {place}'

    def with_options(self, organisation: Organisation, options: Iterable[OptionValue]) -> Organisation:
        """The organisation with other options in this place."""
        if self.policy is None:
            return with_object(organisation, dataclasses.replace(self.holder, options=tuple(options)))
        changed = dataclasses.replace(self.policy, options=tuple(options))
        assert not isinstance(self.holder, Reservation)
        return with_policies(
            organisation,
            self.holder,
            [changed if each.name == changed.name else each for each in self.holder.policies],
        )


def with_policies(
    organisation: Organisation, holder: Scope | DhcpServer, policies: Iterable[Policy]
) -> Organisation:
    """The organisation with other policies in a scope or at a server."""
    return with_object(organisation, dataclasses.replace(holder, policies=tuple(policies)))


def find_holder(organisation: Organisation, arguments: Arguments) -> Scope | DhcpServer:
    """The scope that ``--scope`` names, else the server that ``--server`` names.

    Raises:
        Refusal: both are named, or neither, or there is none.
    """
    scope, server = arguments.optional_text("scope"), arguments.optional_text("server")
    if (scope is None) == (server is None):
        raise Refusal("say where with --scope or --server, and with one of them alone")
    if scope is not None:
        return find_object(organisation, Scope, scope)
    return organisation.dhcp_server(the_dhcp_server(organisation, server))


def find_policy(holder: Scope | DhcpServer, name: str) -> Policy:
    """A policy of a scope or server.

    Raises:
        Refusal: it has none of that name; the nearest is named.
    """
    for each in holder.policies:
        if each.name.casefold() == name.casefold():
            return each
    names = [each.name for each in holder.policies]
    raise Refusal(f'{subject_of(holder)} has no policy "{name}"; {nearest_name("policy", name, names)}')


def find_level(organisation: Organisation, arguments: Arguments) -> Level:
    """The level that was named: server, scope, policy of one of these, or reservation.

    Raises:
        Refusal: none is named, or more than one, or there is none of that name.
    """
    policy = arguments.optional_text("policy")
    address = arguments.optional_text("reservation")
    if address is not None:
        if policy is not None or arguments.given("server"):
            raise Refusal("name a reservation, or a server or scope with or without a policy")
        return Level(find_reservation(organisation, address, arguments.optional_text("scope")))
    holder = find_holder(organisation, arguments)
    return Level(holder, None if policy is None else find_policy(holder, policy))


def find_option(organisation: Organisation, text: str, vendor_class: str) -> int:
    """The code of an option that was named, or given by its code.

    Raises:
        Refusal: no option has that name.
    """
    if text.isascii() and text.isdigit() and len(text) <= 3:
        return int(text)
    own = {
        each.name.casefold(): each.code
        for each in organisation.option_definitions
        if each.vendor_class == vendor_class
    }
    known = own if vendor_class else {name: each.code for name, each in BUILT_IN_BY_NAME.items()} | own
    code = known.get(text.casefold())
    if code is None:
        below = f' of vendor class "{vendor_class}"' if vendor_class else ""
        raise Refusal(f'there is no option "{text}"{below}; {nearest_name("option", text, known)}')
    return code


def named_class(organisation: Organisation, given: str | None) -> str:
    """The name of a class as it is declared; what was given when there is none, for the checks to tell."""
    if given is None:
        return ""
    same = (each.name for each in organisation.dhcp_classes if each.name.casefold() == given.casefold())
    return next(same, given)


def option_row(organisation: Organisation, option: OptionValue, level: str) -> OptionRow:
    """One option value for people."""
    definition = organisation.option_definition(option.code, option.vendor_class)
    classes = [
        f"{word} {name}"
        for word, name in (("vendor", option.vendor_class), ("user", option.user_class))
        if name
    ]
    return OptionRow(
        level,
        option.code,
        _name(definition),
        ", ".join(option.values),
        ", ".join(classes),
        option.always,
    )


def effective_rows(
    organisation: Organisation, levels: Iterable[tuple[str, tuple[OptionValue, ...]]]
) -> list[OptionRow]:
    """What clients are told: of each option the value of the nearest level; levels nearest first."""
    found: dict[tuple[str, int, str], OptionRow] = {}
    for level, options in levels:
        for each in options:
            key = (each.vendor_class, each.code, each.user_class)
            found.setdefault(key, option_row(organisation, each, level))
    return [row for _, row in sorted(found.items())]


def _name(definition: OptionDefinition | None) -> str:
    return "" if definition is None else definition.name
