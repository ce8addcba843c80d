"""The verbs about scopes: subnets, their pools, and how full these are."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from holdfast.admin import pool_map
from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.dhcp_places import effective_rows, the_dhcp_server
from holdfast.admin.dhcp_role import clients_in, clients_of, pool_state, scope_counts
from holdfast.admin.results import Changed, SettingRow
from holdfast.admin.results_dhcp import PoolRangeRow, ScopeList, ScopeRow, ScopeShown
from holdfast.admin.setting_arguments import default_argument, given_settings, setting_arguments
from holdfast.directory.dangers_dhcp import lost_ranges
from holdfast.directory.dhcp import Scope
from holdfast.directory.dhcp_options import OptionValue
from holdfast.directory.dhcp_ranges import leased_ranges
from holdfast.directory.edit import find_object, with_object
from holdfast.directory.kinds import settings_of
from holdfast.directory.values import write_text
from holdfast.kernel.errors import Refusal

ROUTERS, DNS_SERVERS, DOMAIN_NAME = 3, 6, 15
# A pool in which every other address is leased has as many ranges as leases.
RANGE_COUNT_MAX = 50_000
_SHOWN_ELSEWHERE = ("name", "subnet", "pool", "server", "enabled", "policies", "options")


def _add(context: Context, arguments: Arguments) -> Changed:
    organisation, name = context.organisation, arguments.text("name")
    if any(each.name.casefold() == name.casefold() for each in organisation.scopes):
        raise Refusal(f'scope "{name}" is there already; change it with: holdfast dhcp scope set {name}')
    server = the_dhcp_server(organisation, arguments.optional_text("server"))
    given = given_settings(arguments, Scope) | {"name": name, "server": server}
    scope = Scope(**given, options=_options(arguments))
    return context.change(arguments, with_object(organisation, scope))


def _options(arguments: Arguments) -> tuple[OptionValue, ...]:
    """What nearly every scope has is said when it is made."""
    domain = arguments.optional_text("domain-name")
    given = (
        (ROUTERS, arguments.texts("router")),
        (DNS_SERVERS, arguments.texts("dns-server")),
        (DOMAIN_NAME, () if domain is None else (domain,)),
    )
    return tuple(OptionValue(code, values) for code, values in given if values)


def _set(context: Context, arguments: Arguments) -> Changed:
    scope = find_object(context.organisation, Scope, arguments.text("name"))
    values = given_settings(arguments, Scope) | {"name": scope.name}
    if "server" in values:
        values["server"] = the_dhcp_server(context.organisation, values["server"])
    after = replace(scope, **values)
    clients = clients_in(context, scope.name, lost_ranges(scope, after))
    return context.change(arguments, with_object(context.organisation, after), more_dangers=clients)


def _enable(context: Context, arguments: Arguments) -> Changed:
    scope = find_object(context.organisation, Scope, arguments.text("name"))
    return context.change(arguments, with_object(context.organisation, replace(scope, enabled=True)))


def _disable(context: Context, arguments: Arguments) -> Changed:
    scope = find_object(context.organisation, Scope, arguments.text("name"))
    after = with_object(context.organisation, replace(scope, enabled=False))
    return context.change(arguments, after, more_dangers=clients_of(context, scope.name))


def _remove(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    scope = find_object(organisation, Scope, arguments.text("name"))
    after = replace(
        organisation,
        scopes=tuple(each for each in organisation.scopes if each is not scope),
        reservations=tuple(each for each in organisation.reservations if each.scope != scope.name),
    )
    return context.change(arguments, after, more_dangers=clients_of(context, scope.name))


def _list(context: Context, arguments: Arguments) -> ScopeList:
    organisation = context.organisation
    known = scope_counts(context) if organisation.scopes else {}
    reserved = organisation.reservations_by_scope
    rows = []
    for scope in sorted(organisation.scopes, key=lambda each: (int(each.subnet.first), each.name)):
        state = known.get(scope.name)
        rows.append(
            ScopeRow(
                name=scope.name,
                subnet=str(scope.subnet),
                pool=_pool_text(scope),
                server=scope.server,
                enabled=scope.enabled,
                superscope=scope.superscope,
                lease_s=None if scope.lease_unlimited else scope.lease_s,
                reservation_count=len(reserved.get(scope.name, ())),
                address_count=sum(each.address_count for each in leased_ranges(scope)),
                leased=None if state is None else state.active_count,
                free=None if state is None else state.free_count,
            )
        )
    return ScopeList(rows)


def _pool_text(scope: Scope) -> str:
    return "" if scope.pool is None else f"{scope.pool.first}-{scope.pool.last}"


def _show(context: Context, arguments: Arguments) -> ScopeShown:
    organisation = context.organisation
    scope = find_object(organisation, Scope, arguments.text("name"))
    state = pool_state(context, scope.name)
    reservations = organisation.reservations_by_scope.get(scope.name, ())
    runs = pool_map.pool_runs(scope, reservations, state or ())
    if len(runs) > RANGE_COUNT_MAX:
        context.warnings.append(f"the pool has {len(runs)} ranges, the first {RANGE_COUNT_MAX} are shown")
    counts = pool_map.counts(runs)
    return ScopeShown(
        name=scope.name,
        subnet=str(scope.subnet),
        pool=_pool_text(scope),
        server=scope.server,
        enabled=scope.enabled,
        live=state is not None,
        address_count=sum(counts.values()),
        free=counts[pool_map.FREE],
        leased=counts[pool_map.LEASED],
        offered=counts[pool_map.OFFERED],
        declined=counts[pool_map.DECLINED],
        reserved=counts[pool_map.RESERVED],
        excluded=counts[pool_map.EXCLUDED],
        reservation_count=len(reservations),
        reserved_outside=sum(scope.pool is None or each.address not in scope.pool for each in reservations),
        policies=[each.name for each in scope.policies],
        settings=_settings(scope),
        options=effective_rows(
            organisation,
            (("scope", scope.options), ("server", organisation.dhcp_server(scope.server).options)),
        ),
        ranges=[
            PoolRangeRow(str(IPv4Address(first)), str(IPv4Address(last)), word, last - first + 1)
            for first, last, word in runs[:RANGE_COUNT_MAX]
        ],
    )


def _settings(scope: Scope) -> list[SettingRow]:
    return [
        SettingRow(each.key, write_text(getattr(scope, each.attribute), each.unit))
        for each in settings_of(Scope)
        if each.attribute not in _SHOWN_ELSEWHERE
    ]


NAME = Argument(
    "name", Kind.TEXT, "name of the scope", required=True, positional=True, completes="dhcp scope.scopes.name"
)
_SETTINGS = setting_arguments(Scope, leave_out=("name", "policies", "options"))
_HELP = {"server": "the server that leases it; the only one with the role dhcp if not given"}
_FIRST_OPTIONS = (
    Argument("router", Kind.IPV4, "the way out of the network, told to clients (option 3)", many=True),
    Argument("dns-server", Kind.IPV4, "a DNS server, told to clients (option 6)", many=True),
    Argument("domain-name", Kind.TEXT, "the domain that clients are in (option 15)"),
)

VERBS = (
    Verb(
        "dhcp scope",
        "add",
        "Lease the addresses of a subnet.",
        "holdfast dhcp scope add office --subnet 192.0.2.0/24 --pool 192.0.2.10-192.0.2.200 "
        "--router 192.0.2.1",
        Changed,
        (
            replace(NAME, completes=""),
            *(
                replace(each, required=each.name == "subnet", help=_HELP.get(each.name, each.help))
                for each in _SETTINGS
            ),
            *_FIRST_OPTIONS,
            *CHANGE_ARGUMENTS,
        ),
        detail="It leases as soon as the command returns; with --enabled no it waits for `scope enable`. "
        "Further options are set with `dhcp option set`.",
        changes=True,
        perform=_add,
    ),
    Verb(
        "dhcp scope",
        "list",
        "List the scopes, and how full they are.",
        "holdfast dhcp scope list",
        ScopeList,
        perform=_list,
    ),
    Verb(
        "dhcp scope",
        "show",
        "Show a scope, and draw its pool: free, leased, offered, reserved, excluded, declined.",
        "holdfast dhcp scope show office",
        ScopeShown,
        (NAME,),
        detail="Without a dhcp role that answers, leases are not in the picture. --json gives the ranges.",
        perform=_show,
    ),
    Verb(
        "dhcp scope",
        "set",
        "Change a scope.",
        "holdfast dhcp scope set office --lease 12h --pool 192.0.2.10-192.0.2.220",
        Changed,
        (NAME, *_SETTINGS, default_argument(_SETTINGS), *CHANGE_ARGUMENTS),
        detail="What may be given several times takes the place of all that was there. Clients learn of a "
        "change when they renew.",
        changes=True,
        perform=_set,
    ),
    Verb(
        "dhcp scope",
        "enable",
        "Answer the clients of a scope again.",
        "holdfast dhcp scope enable office",
        Changed,
        (NAME, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_enable,
    ),
    Verb(
        "dhcp scope",
        "disable",
        "Keep a scope, but answer nobody.",
        "holdfast dhcp scope disable office --yes",
        Changed,
        (NAME, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_disable,
    ),
    Verb(
        "dhcp scope",
        "remove",
        "Remove a scope and its reservations.",
        "holdfast dhcp scope remove office --yes",
        Changed,
        (NAME, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_remove,
    ),
)
