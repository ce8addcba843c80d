"""The verbs about exclusions: parts of a pool that are never leased."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.dhcp_places import SCOPE, scope_of
from holdfast.admin.dhcp_role import clients_in
from holdfast.admin.results import Changed
from holdfast.admin.results_dhcp import ExclusionList, ExclusionRow
from holdfast.directory.dangers_dhcp import lost_ranges
from holdfast.directory.dhcp import Scope
from holdfast.directory.dhcp_ranges import without_ranges
from holdfast.directory.edit import find_object, with_object
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange, parse_ip_range


def _add(context: Context, arguments: Arguments) -> Changed:
    wanted = _wanted(arguments)
    scope = scope_of(context.organisation, wanted, arguments.optional_text("scope"))
    # What overlaps becomes one: an exclusion twice says nothing more.
    together = [each for each in scope.exclusions if each.overlaps(wanted)]
    first = min(int(each.first) for each in (wanted, *together))
    last = max(int(each.last) for each in (wanted, *together))
    kept = [each for each in scope.exclusions if each not in together]
    return _change(context, arguments, scope, [*kept, IPRange(IPv4Address(first), IPv4Address(last))])


def _remove(context: Context, arguments: Arguments) -> Changed:
    wanted = _wanted(arguments)
    scope = scope_of(context.organisation, wanted, arguments.optional_text("scope"))
    leased = without_ranges(wanted, scope.exclusions)
    if leased:
        part = leased[0]
        raise Refusal(
            f'{part.first}-{part.last} is not excluded in scope "{scope.name}"; '
            "see: holdfast dhcp exclusion list"
        )
    left = [part for each in scope.exclusions for part in without_ranges(each, [wanted])]
    return _change(context, arguments, scope, left)


def _wanted(arguments: Arguments) -> IPRange:
    wanted = parse_ip_range(arguments.text("range"))
    if wanted.first.version != 4:
        raise Refusal(f"{wanted} is not a range of IPv4 addresses")
    return wanted


def _change(context: Context, arguments: Arguments, scope: Scope, exclusions: Iterable[IPRange]) -> Changed:
    ordered = tuple(sorted(exclusions, key=lambda each: int(each.first)))
    after = replace(scope, exclusions=ordered)
    clients = clients_in(context, scope.name, lost_ranges(scope, after))
    return context.change(arguments, with_object(context.organisation, after), more_dangers=clients)


def _list(context: Context, arguments: Arguments) -> ExclusionList:
    organisation, name = context.organisation, arguments.optional_text("scope")
    scopes = organisation.scopes if name is None else (find_object(organisation, Scope, name),)
    return ExclusionList(
        [
            ExclusionRow(scope.name, str(each.first), str(each.last), each.address_count)
            for scope in scopes
            for each in scope.exclusions
        ]
    )


_RANGE = Argument(
    "range", Kind.RANGE, "one address, or first-last, or a network", required=True, positional=True
)
_WHERE = replace(SCOPE, help="name of the scope; the one whose subnet holds the range if not given")

VERBS = (
    Verb(
        "dhcp exclusion",
        "add",
        "Lease a part of a pool no longer.",
        "holdfast dhcp exclusion add 192.0.2.100-192.0.2.119 --yes",
        Changed,
        (_RANGE, _WHERE, *CHANGE_ARGUMENTS),
        detail="Reservations inside go on; other clients that have one of the addresses must take another "
        "when they renew.",
        changes=True,
        perform=_add,
    ),
    Verb(
        "dhcp exclusion",
        "list",
        "List exclusions.",
        "holdfast dhcp exclusion list --scope office",
        ExclusionList,
        (SCOPE,),
        perform=_list,
    ),
    Verb(
        "dhcp exclusion",
        "remove",
        "Lease a part of a pool again.",
        "holdfast dhcp exclusion remove 192.0.2.100-192.0.2.109",
        Changed,
        (_RANGE, _WHERE, *CHANGE_ARGUMENTS),
        detail="It may be a part of what was excluded.",
        changes=True,
        perform=_remove,
    ),
)
