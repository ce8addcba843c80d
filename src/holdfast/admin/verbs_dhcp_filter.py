"""The verbs about MAC filters: the allow list, the deny list, and their switches at each server."""

from __future__ import annotations

from dataclasses import replace

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.dhcp_places import SERVER, the_dhcp_server
from holdfast.admin.results import Changed
from holdfast.admin.results_dhcp import FilterList, FilterRow
from holdfast.directory.dhcp import FilterAction, MacFilter
from holdfast.directory.dhcp_keys import CHADDR_BYTES_MAX, parse_hex_pattern
from holdfast.directory.edit import with_object, without_object
from holdfast.directory.model import Organisation, Role
from holdfast.kernel.errors import Refusal

_ACTIONS = {each.value: each for each in FilterAction}


def _pattern(text: str) -> str:
    """A pattern in its usual form; what is malformed is left for the checks to tell."""
    try:
        return str(parse_hex_pattern(text, most=CHADDR_BYTES_MAX))
    except Refusal:
        return text


def _add(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    for text in arguments.texts("pattern"):
        given = MacFilter(
            _pattern(text),
            _ACTIONS[arguments.text("action")],
            tuple(the_dhcp_server(organisation, each) for each in arguments.texts("server")),
            arguments.text("description"),
        )
        organisation = with_object(organisation, given)
    return context.change(arguments, organisation)


def _remove(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    for text in arguments.texts("pattern"):
        organisation = without_object(organisation, MacFilter, _pattern(text))
    return context.change(arguments, organisation)


def _list(context: Context, arguments: Arguments) -> FilterList:
    organisation = context.organisation
    rows = [
        FilterRow(
            each.pattern, each.action.value, list(each.servers), _on(organisation, each), each.description
        )
        for each in sorted(organisation.mac_filters, key=lambda each: (each.action.value, each.pattern))
    ]
    return FilterList(rows)


def _on(organisation: Organisation, each: MacFilter) -> list[str]:
    """The servers where the list of a filter is on, and the filter counts."""
    return [
        server.name
        for server in organisation.servers
        if Role.DHCP in server.roles
        and (not each.servers or server.name in each.servers)
        and getattr(organisation.dhcp_server(server.name), f"{each.action.value}_filter")
    ]


def _enable(context: Context, arguments: Arguments) -> Changed:
    return _switch(context, arguments, on=True)


def _disable(context: Context, arguments: Arguments) -> Changed:
    return _switch(context, arguments, on=False)


def _switch(context: Context, arguments: Arguments, *, on: bool) -> Changed:
    organisation = context.organisation
    server = the_dhcp_server(organisation, arguments.optional_text("server"))
    entry = organisation.dhcp_server(server)
    if arguments.text("list") == FilterAction.ALLOW.value:
        entry = replace(entry, allow_filter=on)
    else:
        entry = replace(entry, deny_filter=on)
    return context.change(arguments, with_object(organisation, entry))


_PATTERN = Argument(
    "pattern",
    Kind.TEXT,
    "a hardware address such as 00:1a:2b:3c:4d:5e, or its beginning and *",
    required=True,
    positional=True,
    many=True,
)
_LIST = Argument(
    "list", Kind.CHOICE, "which list", required=True, positional=True, choices=tuple(sorted(_ACTIONS))
)

VERBS = (
    Verb(
        "dhcp filter",
        "add",
        "Put clients on the allow or the deny list.",
        'holdfast dhcp filter add "00:1a:2b*" --action deny --description "old phones"',
        Changed,
        (
            _PATTERN,
            Argument("action", Kind.CHOICE, "which list", required=True, choices=tuple(sorted(_ACTIONS))),
            replace(SERVER, help="a server that it is for; all if not given", many=True),
            Argument("description", Kind.TEXT, "for people", default=""),
            *CHANGE_ARGUMENTS,
        ),
        detail="A list counts at a server where it is on: see `filter enable`. Denied goes before allowed.",
        changes=True,
        perform=_add,
    ),
    Verb(
        "dhcp filter",
        "list",
        "List the filters, and on which servers they count.",
        "holdfast dhcp filter list",
        FilterList,
        perform=_list,
    ),
    Verb(
        "dhcp filter",
        "remove",
        "Take clients off their list.",
        'holdfast dhcp filter remove "00:1a:2b*"',
        Changed,
        (replace(_PATTERN, completes="dhcp filter.filters.pattern"), *CHANGE_ARGUMENTS),
        changes=True,
        perform=_remove,
    ),
    Verb(
        "dhcp filter",
        "enable",
        "Switch a list on.",
        "holdfast dhcp filter enable deny",
        Changed,
        (_LIST, SERVER, *CHANGE_ARGUMENTS),
        detail="With the allow list on, nobody else is served.",
        changes=True,
        perform=_enable,
    ),
    Verb(
        "dhcp filter",
        "disable",
        "Switch a list off.",
        "holdfast dhcp filter disable deny --yes",
        Changed,
        (_LIST, SERVER, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_disable,
    ),
)
