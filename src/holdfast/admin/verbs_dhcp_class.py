"""The verbs about classes: what clients say of themselves, under a name."""

from __future__ import annotations

from dataclasses import replace

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.results import Changed
from holdfast.admin.results_dhcp import DhcpClassList, DhcpClassRow
from holdfast.admin.setting_arguments import default_argument, given_settings, setting_arguments
from holdfast.directory.dhcp_options import DhcpClass
from holdfast.directory.edit import find_object, with_object, without_object
from holdfast.kernel.errors import Refusal


def _add(context: Context, arguments: Arguments) -> Changed:
    organisation, name = context.organisation, arguments.text("name")
    if any(each.name.casefold() == name.casefold() for each in organisation.dhcp_classes):
        raise Refusal(f'class "{name}" is there already; change it with: holdfast dhcp class set')
    given = given_settings(arguments, DhcpClass) | {"name": name}
    return context.change(arguments, with_object(organisation, DhcpClass(**given)))


def _set(context: Context, arguments: Arguments) -> Changed:
    before = find_object(context.organisation, DhcpClass, arguments.text("name"))
    values = given_settings(arguments, DhcpClass) | {"name": before.name}
    return context.change(arguments, with_object(context.organisation, replace(before, **values)))


def _list(context: Context, arguments: Arguments) -> DhcpClassList:
    return DhcpClassList(
        [
            DhcpClassRow(each.name, each.kind.value, each.data, each.description)
            for each in sorted(context.organisation.dhcp_classes, key=lambda each: each.name)
        ]
    )


def _remove(context: Context, arguments: Arguments) -> Changed:
    after = without_object(context.organisation, DhcpClass, arguments.text("name"))
    return context.change(arguments, after)


_NAME = Argument(
    "name",
    Kind.TEXT,
    "name of the class",
    required=True,
    positional=True,
    completes="dhcp class.classes.name",
)
_SETTINGS = setting_arguments(DhcpClass, leave_out=("name",))

VERBS = (
    Verb(
        "dhcp class",
        "add",
        "Give a name to what clients say of themselves.",
        'holdfast dhcp class add "Windows clients" --kind vendor --data "MSFT 5.0"',
        Changed,
        (
            replace(_NAME, completes=""),
            *(replace(each, required=each.name in ("kind", "data")) for each in _SETTINGS),
            *CHANGE_ARGUMENTS,
        ),
        detail="Options and policies may be for a class alone.",
        changes=True,
        perform=_add,
    ),
    Verb("dhcp class", "list", "List the classes.", "holdfast dhcp class list", DhcpClassList, perform=_list),
    Verb(
        "dhcp class",
        "set",
        "Change a class.",
        'holdfast dhcp class set "Windows clients" --data "MSFT 98"',
        Changed,
        (_NAME, *_SETTINGS, default_argument(_SETTINGS), *CHANGE_ARGUMENTS),
        changes=True,
        perform=_set,
    ),
    Verb(
        "dhcp class",
        "remove",
        "Remove a class.",
        'holdfast dhcp class remove "Windows clients"',
        Changed,
        (_NAME, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_remove,
    ),
)
