"""The verbs about servers that lease: the role, and how each of them works."""

from __future__ import annotations

from dataclasses import replace

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Verb
from holdfast.admin.context import Context
from holdfast.admin.dhcp_places import SERVER, option_row, the_dhcp_server
from holdfast.admin.results import Changed, SettingRow
from holdfast.admin.results_dhcp import DhcpServerList, DhcpServerRow, DhcpServerShown
from holdfast.admin.setting_arguments import default_argument, given_settings, setting_arguments
from holdfast.directory.dhcp import DhcpServer
from holdfast.directory.edit import find_object, with_object, without_object
from holdfast.directory.kinds import settings_of
from holdfast.directory.model import Organisation, Role, Server
from holdfast.directory.values import write_text
from holdfast.kernel.errors import Refusal

_LISTED_ELSEWHERE = ("server", "policies", "options")


def _enable(context: Context, arguments: Arguments) -> Changed:
    server = _any_server(context.organisation, arguments)
    roles = server.roles if Role.DHCP in server.roles else (*server.roles, Role.DHCP)
    return context.change(arguments, with_object(context.organisation, replace(server, roles=roles)))


def _disable(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    server = _any_server(organisation, arguments)
    roles = tuple(each for each in server.roles if each is not Role.DHCP)
    after = with_object(organisation, replace(server, roles=roles))
    if any(each.server == server.name for each in organisation.dhcp_servers):
        after = without_object(after, DhcpServer, server.name)
    return context.change(arguments, after)


def _any_server(organisation: Organisation, arguments: Arguments) -> Server:
    name = arguments.optional_text("server")
    if name is None:
        if len(organisation.servers) != 1:
            raise Refusal(f"there are {len(organisation.servers)} servers; say which one with --server")
        return organisation.servers[0]
    return find_object(organisation, Server, name)


def _list(context: Context, arguments: Arguments) -> DhcpServerList:
    organisation = context.organisation
    rows = []
    for server in organisation.servers:
        if Role.DHCP in server.roles:
            entry, scopes = organisation.dhcp_server(server.name), organisation.scopes_of(server.name)
            reserved = organisation.reservations_by_scope
            rows.append(
                DhcpServerRow(
                    server.name,
                    len(scopes),
                    sum(len(reserved.get(each.name, ())) for each in scopes),
                    list(entry.interfaces),
                    entry.allow_filter,
                    entry.deny_filter,
                )
            )
    return DhcpServerList(rows)


def _show(context: Context, arguments: Arguments) -> DhcpServerShown:
    organisation = context.organisation
    entry = organisation.dhcp_server(the_dhcp_server(organisation, arguments.optional_text("server")))
    return DhcpServerShown(
        server=entry.server,
        scopes=[each.name for each in organisation.scopes_of(entry.server)],
        policies=[each.name for each in entry.policies],
        settings=[
            SettingRow(each.key, write_text(getattr(entry, each.attribute), each.unit))
            for each in settings_of(DhcpServer)
            if each.attribute not in _LISTED_ELSEWHERE
        ],
        options=[option_row(organisation, each, "server") for each in entry.options],
    )


def _set(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    name = the_dhcp_server(organisation, arguments.optional_text("server"))
    values = given_settings(arguments, DhcpServer) | {"server": name}
    after = replace(organisation.dhcp_server(name), **values)
    return context.change(arguments, with_object(organisation, after))


_SETTINGS = setting_arguments(DhcpServer, leave_out=_LISTED_ELSEWHERE)
_ANY_SERVER: Argument = replace(
    SERVER, help="name of a server; the only one if not given", completes="server.servers.name"
)

VERBS = (
    Verb(
        "dhcp",
        "enable",
        "Let a server lease addresses.",
        "holdfast dhcp enable --server demo",
        Changed,
        (_ANY_SERVER, *CHANGE_ARGUMENTS),
        detail="It gives the server the role dhcp; it leases nothing until it has a scope.",
        changes=True,
        perform=_enable,
    ),
    Verb(
        "dhcp",
        "disable",
        "Let a server lease no more.",
        "holdfast dhcp disable --server demo --yes",
        Changed,
        (_ANY_SERVER, *CHANGE_ARGUMENTS),
        detail="It takes the role dhcp and all settings of it. Its scopes must be removed before, or given "
        "to another server.",
        changes=True,
        perform=_disable,
    ),
    Verb("dhcp", "list", "List the servers that lease.", "holdfast dhcp list", DhcpServerList, perform=_list),
    Verb(
        "dhcp",
        "show",
        "Show how a server leases.",
        "holdfast dhcp show --server demo",
        DhcpServerShown,
        (SERVER,),
        perform=_show,
    ),
    Verb(
        "dhcp",
        "set",
        "Change how a server leases.",
        "holdfast dhcp set --probe-count 1 --interface eth0",
        Changed,
        (SERVER, *_SETTINGS, default_argument(_SETTINGS), *CHANGE_ARGUMENTS),
        detail="What may be given several times takes the place of all that was there.",
        changes=True,
        perform=_set,
    ),
)
