"""The verbs about failover relationships: two servers that lease the same scopes.

A relationship is declared in the directory of both servers, alike. Its shared
secret is no part of the organisation (docs/decisions/0008).

Source: spec/dhcp.md sections 1, 2.8 and 7.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.dhcp_places import the_dhcp_server
from holdfast.admin.failover_orders import NAME, ORDER_VERBS
from holdfast.admin.failover_replicate import REPLICATE_VERBS
from holdfast.admin.failover_role import live_states, tell_of_secret
from holdfast.admin.failover_words import Words, words_of
from holdfast.admin.results import Changed, SettingRow
from holdfast.admin.results_dhcp_failover import (
    FailoverList,
    FailoverRow,
    FailoverScopeRow,
    FailoverShown,
    SecretSet,
)
from holdfast.admin.setting_arguments import default_argument, given_settings, setting_arguments
from holdfast.directory.dhcp import Scope
from holdfast.directory.edit import find_object, with_object, without_object
from holdfast.directory.failover import FailoverRelationship
from holdfast.directory.kinds import settings_of
from holdfast.directory.model import Organisation
from holdfast.directory.partners import partner_address, partner_of, relationships_of
from holdfast.directory.values import write_text
from holdfast.kernel.errors import Refusal

if TYPE_CHECKING:
    from holdfast.drivers.failover_requests import FailoverState, SharedScope

_OWN_ARGUMENTS = ("name", "servers", "scopes")


def _create(context: Context, arguments: Arguments) -> Changed:
    organisation, name = context.organisation, arguments.text("name")
    if any(each.name.casefold() == name.casefold() for each in organisation.failover_relationships):
        raise Refusal(
            f'failover relationship "{name}" is there already; change it with: '
            f"holdfast dhcp failover set {name}"
        )
    servers = (
        the_dhcp_server(organisation, _first(context, arguments)),
        the_dhcp_server(organisation, arguments.text("partner")),
    )
    scopes = arguments.texts("scope")
    names = (
        tuple(find_object(organisation, Scope, each).name for each in scopes)
        if scopes
        else _all_scopes(organisation, servers[0])
    )
    given = given_settings(arguments, FailoverRelationship, skip=_OWN_ARGUMENTS)
    relationship = FailoverRelationship(name, servers, names, **given)
    changed = context.change(arguments, with_object(organisation, relationship))
    secret = arguments.optional_text("secret")
    if changed.applied and secret is not None:
        context.store.set_failover_secret(name, secret)
        tell_of_secret(context)
    elif secret is None:
        context.warnings.append(
            f"the partners do not sign what they say to each other; set the same secret on both with: "
            f"holdfast dhcp failover set-secret {name} --ask-secret"
        )
    return changed


def _first(context: Context, arguments: Arguments) -> str | None:
    """The primary: as given, else this server."""
    given = arguments.optional_text("server")
    if given is not None:
        return given
    own = context.organisation.own_server(context.surroundings.server_name)
    return None if own is None else own.name


def _all_scopes(organisation: Organisation, primary: str) -> tuple[str, ...]:
    """The scopes of the primary that are in no relationship, and are not half of a split subnet."""
    taken = {scope for each in organisation.failover_relationships for scope in each.scopes}
    subnets = Counter(each.subnet for each in organisation.scopes)
    return tuple(
        each.name
        for each in organisation.scopes
        if each.server == primary and each.name not in taken and subnets[each.subnet] == 1
    )


def _set(context: Context, arguments: Arguments) -> Changed:
    before = _relationship(context, arguments)
    values = given_settings(arguments, FailoverRelationship, skip=_OWN_ARGUMENTS)
    return context.change(arguments, with_object(context.organisation, replace(before, **values)))


def _add_scope(context: Context, arguments: Arguments) -> Changed:
    before = _relationship(context, arguments)
    names = tuple(find_object(context.organisation, Scope, each).name for each in arguments.texts("scope"))
    for name in names:
        if name in before.scopes:
            raise Refusal(f'scope "{name}" is in failover relationship "{before.name}" already')
    after = replace(before, scopes=tuple(dict.fromkeys((*before.scopes, *names))))
    return context.change(arguments, with_object(context.organisation, after))


def _remove_scope(context: Context, arguments: Arguments) -> Changed:
    before = _relationship(context, arguments)
    names = {find_object(context.organisation, Scope, each).name for each in arguments.texts("scope")}
    for name in names - set(before.scopes):
        raise Refusal(f'scope "{name}" is not in failover relationship "{before.name}"')
    after = replace(before, scopes=tuple(each for each in before.scopes if each not in names))
    organisation = with_object(context.organisation, after)
    return context.change(arguments, _given_to_keeper(organisation, arguments, before, names))


def _delete(context: Context, arguments: Arguments) -> Changed:
    before = _relationship(context, arguments)
    organisation = without_object(context.organisation, FailoverRelationship, before.name)
    return context.change(arguments, _given_to_keeper(organisation, arguments, before, set(before.scopes)))


def _given_to_keeper(
    organisation: Organisation, arguments: Arguments, relationship: FailoverRelationship, names: set[str]
) -> Organisation:
    """Scopes that are shared no longer belong to the partner that goes on with them."""
    given = arguments.optional_text("keeper")
    if given is None:
        return organisation
    keeper = the_dhcp_server(organisation, given)
    if keeper not in relationship.servers:
        raise Refusal(
            f'server "{keeper}" is no partner in failover relationship "{relationship.name}": its scopes are '
            f"kept by {' or '.join(relationship.servers)}"
        )
    for name in sorted(names):
        scope = organisation.scopes_by_name.get(name)
        if scope is not None and scope.server != keeper:
            organisation = with_object(organisation, replace(scope, server=keeper))
    return organisation


def _set_secret(context: Context, arguments: Arguments) -> SecretSet:
    relationship = _relationship(context, arguments)
    forget, secret = arguments.flag("forget"), arguments.optional_text("secret")
    if forget == (secret is not None):
        raise Refusal(
            "give the secret with --secret-file FILE or --ask-secret"
            + (", or --forget, not both" if forget else ", or --forget to have none")
        )
    context.store.set_failover_secret(relationship.name, secret)
    context.applied.append(
        f'shared secret of failover relationship "{relationship.name}" {"forgotten" if forget else "set"}'
    )
    context.warnings.append("set the same on the partner: while they differ, the partners refuse each other")
    tell_of_secret(context)
    return SecretSet(relationship.name, not forget)


def _relationship(context: Context, arguments: Arguments) -> FailoverRelationship:
    return find_object(context.organisation, FailoverRelationship, arguments.text("name"))


def _list(context: Context, arguments: Arguments) -> FailoverList:
    organisation = context.organisation
    own = organisation.own_server(context.surroundings.server_name)
    ours = () if own is None else relationships_of(organisation, own.name)
    states = live_states(context) if ours else {}
    rows = []
    for each in sorted(organisation.failover_relationships, key=lambda each: each.name):
        state = states.get(each.name)
        rows.append(
            FailoverRow(
                name=each.name,
                mode=each.mode.value,
                primary=each.servers[0],
                secondary=each.servers[1],
                scopes=list(each.scopes),
                secret=context.store.failover_secret(each.name) is not None,
                state="" if state is None else state.state,
                partner_state="" if state is None else state.partner_state,
                connected=None if state is None else state.connected,
            )
        )
    return FailoverList(rows)


def _show(context: Context, arguments: Arguments) -> FailoverShown:
    organisation, relationship = context.organisation, _relationship(context, arguments)
    own = organisation.own_server(context.surroundings.server_name)
    ours = own is not None and relationship in relationships_of(organisation, own.name)
    partner = partner_of(relationship, own.name) if ours and own is not None else ""
    state = live_states(context).get(relationship.name) if ours else None
    words = Words("", "") if state is None else words_of(state.state, relationship.name)
    counts = {} if state is None else {each.scope: each for each in state.scopes}
    return FailoverShown(
        name=relationship.name,
        mode=relationship.mode.value,
        primary=relationship.servers[0],
        secondary=relationship.servers[1],
        secret=context.store.failover_secret(relationship.name) is not None,
        server=own.name if ours and own is not None else "",
        partner=partner,
        partner_address=partner_address(organisation, relationship, partner) if partner else "",
        live=state is not None,
        state="" if state is None else state.state,
        state_since_at=None if state is None else state.since_at,
        partner_state="" if state is None else state.partner_state,
        partner_since_at=None if state is None else state.partner_since_at,
        connected=None if state is None else state.connected,
        spoken_at=None if state is None else state.spoken_at,
        clock_difference_s=None if state is None else state.clock_difference_s,
        untold_count=None if state is None else state.untold_count,
        oldest_untold_s=None if state is None else state.oldest_untold_s,
        serves="" if state is None else state.serves,
        waits_until_at=None if state is None else state.waits_until_at,
        trouble="" if state is None else state.trouble,
        configuration="" if state is None else state.configuration,
        differences=[] if state is None else list(state.differences),
        in_doubt=[] if state is None else list(state.in_doubt),
        meaning=words.meaning,
        next_step="" if state is None else _next_step(relationship.name, state, words.next_step),
        scopes=[_scope_row(organisation, name, counts.get(name)) for name in relationship.scopes],
        settings=[
            SettingRow(each.key, write_text(getattr(relationship, each.attribute), each.unit))
            for each in settings_of(FailoverRelationship)
            if each.attribute not in (*_OWN_ARGUMENTS, "mode")
        ],
    )


def _next_step(name: str, state: FailoverState, of_state: str) -> str:
    """What the state asks for, and what a difference does."""
    if state.configuration != "different":
        return of_state
    differs = (
        "the partners are not told the same; see what differs in detail, and take over what the "
        f"partner has, with: holdfast dhcp failover replicate-relationship {name} --plan"
    )
    return differs if of_state == "nothing" else f"{of_state}; {differs}"


def _scope_row(organisation: Organisation, name: str, counts: SharedScope | None) -> FailoverScopeRow:
    return FailoverScopeRow(
        scope=name,
        server=organisation.scopes_by_name[name].server,
        own_free=None if counts is None else counts.own_free_count,
        partner_free=None if counts is None else counts.partner_free_count,
        wanted=None if counts is None else counts.wanted_count,
    )


_SCOPES = Argument(
    "scope",
    Kind.TEXT,
    "name of a scope",
    required=True,
    positional=True,
    many=True,
    completes="dhcp scope.scopes.name",
)
_KEEPER = Argument(
    "keeper",
    Kind.TEXT,
    "the partner that leases them alone from now on; the one that they belong to (the primary) if not given",
    completes="dhcp.servers.server",
)
_SECRET = Argument("secret", Kind.PASSWORD, "what both partners sign their messages with")
_SETTINGS = setting_arguments(FailoverRelationship, leave_out=_OWN_ARGUMENTS)

_LEAVING = (
    "Do the same on both servers, first on the one that shall not lease them any more. Clients keep their "
    "addresses; those that were the partner's to lease are leased by the keeper after the MCLT, and the "
    "log says so (DHC-0410, DHC-0411). A partner that is off or out of reach must not come back before it "
    "was told the same, for it would go on leasing."
)

VERBS = (
    Verb(
        "dhcp failover",
        "create",
        "Let two servers lease scopes together.",
        "holdfast dhcp failover create pair --server mail1 --partner mail2 --ask-secret --yes",
        Changed,
        (
            replace(NAME, completes="", help="name of the relationship, the same on both servers"),
            Argument(
                "server",
                Kind.TEXT,
                "the primary, which is the active one of a hot standby; this server if not given",
                completes="dhcp.servers.server",
            ),
            Argument(
                "partner",
                Kind.TEXT,
                "the secondary, which is the standby of a hot standby",
                required=True,
                completes="dhcp.servers.server",
            ),
            Argument(
                "scope",
                Kind.TEXT,
                "a scope of the primary that they share; if not given, all of it that are in no relationship "
                "and not split between servers",
                many=True,
                completes="dhcp scope.scopes.name",
            ),
            *_SETTINGS,
            _SECRET,
            *CHANGE_ARGUMENTS,
        ),
        detail="Do the same on both servers. Each scope is in one relationship at most. Two halves of a "
        "split scope are made one before: holdfast dhcp migrate split-scope.",
        changes=True,
        perform=_create,
    ),
    Verb(
        "dhcp failover",
        "list",
        "List the failover relationships.",
        "holdfast dhcp failover list",
        FailoverList,
        perform=_list,
    ),
    Verb(
        "dhcp failover",
        "show",
        "Show a failover relationship, and draw how it goes: both servers, and where they stand.",
        "holdfast dhcp failover show pair",
        FailoverShown,
        (NAME,),
        detail="As this server sees it; ask the partner there. Without a dhcp role that answers, there is "
        "no picture.",
        perform=_show,
    ),
    Verb(
        "dhcp failover",
        "set",
        "Change a failover relationship.",
        "holdfast dhcp failover set pair --mode hot-standby --reserve-percent 10 --yes",
        Changed,
        (NAME, *_SETTINGS, default_argument(_SETTINGS), *CHANGE_ARGUMENTS),
        detail="Do the same on both servers.",
        changes=True,
        perform=_set,
    ),
    Verb(
        "dhcp failover",
        "add-scope",
        "Share further scopes.",
        "holdfast dhcp failover add-scope pair office --yes",
        Changed,
        (NAME, _SCOPES, *CHANGE_ARGUMENTS),
        detail="Do the same on both servers.",
        changes=True,
        perform=_add_scope,
    ),
    Verb(
        "dhcp failover",
        "remove-scope",
        "Share scopes no longer: one of the partners leases them alone.",
        "holdfast dhcp failover remove-scope pair office --yes",
        Changed,
        (NAME, _SCOPES, _KEEPER, *CHANGE_ARGUMENTS),
        detail=_LEAVING,
        changes=True,
        perform=_remove_scope,
    ),
    Verb(
        "dhcp failover",
        "set-secret",
        "Set what both partners sign their messages with.",
        "holdfast dhcp failover set-secret pair --ask-secret",
        SecretSet,
        (NAME, _SECRET, Argument("forget", Kind.FLAG, "have no secret any more")),
        detail="It is never shown and in no export; it goes with its relationship. ISC dhcpd signs nothing: "
        "with one as partner there is no secret.",
        changes=True,
        perform=_set_secret,
    ),
    Verb(
        "dhcp failover",
        "delete",
        "End a failover relationship: one of the partners leases its scopes alone.",
        "holdfast dhcp failover delete pair --yes",
        Changed,
        (NAME, _KEEPER, *CHANGE_ARGUMENTS),
        detail=_LEAVING,
        changes=True,
        perform=_delete,
    ),
    *REPLICATE_VERBS,
    *ORDER_VERBS,
)
