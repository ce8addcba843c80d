"""The verbs about option values: what clients are told, at each level."""

from __future__ import annotations

from dataclasses import replace

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.dhcp_places import (
    LEVEL_ARGUMENTS,
    USER_CLASS,
    VENDOR_CLASS,
    Level,
    effective_rows,
    find_level,
    find_option,
    named_class,
    option_row,
)
from holdfast.admin.results import Changed
from holdfast.admin.results_dhcp import OptionList
from holdfast.directory.checks_dhcp_options import levels_of, option_words
from holdfast.directory.dhcp import DhcpServer, Reservation, Scope
from holdfast.directory.dhcp_options import OptionValue
from holdfast.directory.model import Organisation
from holdfast.kernel.errors import Refusal


def _set(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    level = find_level(organisation, arguments)
    wanted = _wanted(organisation, arguments)
    values = arguments.texts("value")
    if not values:
        definition = organisation.option_definition(wanted.code, wanted.vendor_class)
        values = () if definition is None else definition.default
    wanted = replace(wanted, values=values, always=arguments.flag("always"))
    options = list(level.options)
    at = _index(options, wanted)
    if at is None:
        options.append(wanted)
    else:
        options[at] = wanted
    return context.change(arguments, level.with_options(organisation, options))


def _remove(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    level = find_level(organisation, arguments)
    wanted = _wanted(organisation, arguments)
    options = list(level.options)
    at = _index(options, wanted)
    if at is None:
        definition = organisation.option_definition(wanted.code, wanted.vendor_class)
        words = option_words(definition, wanted.code, wanted.vendor_class)
        raise Refusal(f"{level.words} has no {words}{_for_class(wanted)}; see: holdfast dhcp option list")
    del options[at]
    return context.change(arguments, level.with_options(organisation, options))


def _for_class(option: OptionValue) -> str:
    return f' for user class "{option.user_class}"' if option.user_class else ""


def _wanted(organisation: Organisation, arguments: Arguments) -> OptionValue:
    vendor_class = named_class(organisation, arguments.optional_text("vendor-class"))
    return OptionValue(
        find_option(organisation, arguments.text("option"), vendor_class),
        vendor_class=vendor_class,
        user_class=named_class(organisation, arguments.optional_text("user-class")),
    )


def _index(options: list[OptionValue], wanted: OptionValue) -> int | None:
    key = (wanted.code, wanted.vendor_class, wanted.user_class)
    return next(
        (
            index
            for index, each in enumerate(options)
            if (each.code, each.vendor_class, each.user_class) == key
        ),
        None,
    )


def _list(context: Context, arguments: Arguments) -> OptionList:
    organisation = context.organisation
    if any(arguments.given(each.name) for each in LEVEL_ARGUMENTS):
        level = find_level(organisation, arguments)
        levels = (
            _above(organisation, level) if arguments.flag("effective") else [(level.words, level.options)]
        )
        return OptionList(effective_rows(organisation, levels))
    if arguments.flag("effective"):
        raise Refusal("say for whom: with --reservation, --scope or --server")
    return OptionList(
        [
            option_row(organisation, each, level.subject)
            for level in levels_of(organisation)
            for each in level.options
        ]
    )


def _above(organisation: Organisation, level: Level) -> list[tuple[str, tuple[OptionValue, ...]]]:
    """A level and those that fill in what it does not say, the nearest first."""
    found = [(level.words, level.options)]
    holder = level.holder
    if isinstance(holder, Reservation):
        holder = organisation.scopes_by_name[holder.scope]
        found.append((Level(holder).words, holder.options))
    elif level.policy is not None:
        found.append((Level(holder).words, holder.options))
    if isinstance(holder, Scope):
        server: DhcpServer = organisation.dhcp_server(holder.server)
        found.append((Level(server).words, server.options))
    return found


_OPTION = Argument(
    "option",
    Kind.TEXT,
    "its name, such as dns-servers, or its code",
    required=True,
    positional=True,
    completes="dhcp option-definition.definitions.name",
)
_WHERE = (
    "It stands at the level that is named: a server, a scope, a policy of one of these, or a reservation."
)

VERBS = (
    Verb(
        "dhcp option",
        "set",
        "Tell clients something.",
        "holdfast dhcp option set dns-servers 192.0.2.2 192.0.2.3 --scope office",
        Changed,
        (
            _OPTION,
            Argument(
                "value",
                Kind.TEXT,
                "one or more values in the option's form; the definition's default if not given",
                positional=True,
                many=True,
            ),
            *LEVEL_ARGUMENTS,
            VENDOR_CLASS,
            USER_CLASS,
            Argument("always", Kind.FLAG, "also to clients that do not ask for it"),
            *CHANGE_ARGUMENTS,
        ),
        detail=f"{_WHERE} The level nearest to the client wins. Values take the place of those before; "
        "one that begins with a minus goes behind --, at the end.",
        changes=True,
        perform=_set,
    ),
    Verb(
        "dhcp option",
        "remove",
        "Tell clients something no longer.",
        "holdfast dhcp option remove dns-servers --scope office",
        Changed,
        (_OPTION, *LEVEL_ARGUMENTS, VENDOR_CLASS, USER_CLASS, *CHANGE_ARGUMENTS),
        detail=_WHERE,
        changes=True,
        perform=_remove,
    ),
    Verb(
        "dhcp option",
        "list",
        "List what clients are told, at all levels or at one.",
        "holdfast dhcp option list --scope office --effective",
        OptionList,
        (
            *LEVEL_ARGUMENTS,
            Argument("effective", Kind.FLAG, "with what comes from the levels above, the nearest alone"),
        ),
        perform=_list,
    ),
)
