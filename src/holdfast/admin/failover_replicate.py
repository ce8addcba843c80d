"""Make the configuration of this server what its failover partner has: of one scope, or of the relationship.

Leases travel by themselves; scopes, reservations, policies and options are
declared on both servers and drift apart. Done at the server that shall change:
what the partner has is asked over the connection of the pair, or read from a
file that it wrote, compared, shown, and taken over as any other change.

Source: spec/dhcp.md sections 1, 4.4 and 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context, change_text
from holdfast.admin.failover_orders import NAME
from holdfast.admin.results import Text
from holdfast.admin.results_dhcp_failover import Replicated
from holdfast.directory.edit import find_object
from holdfast.directory.failover import FailoverRelationship
from holdfast.directory.model import Organisation
from holdfast.directory.partners import partner_of, relationships_of
from holdfast.directory.plan import plan_change
from holdfast.directory.replicate import (
    made_equal,
    made_equal_server_wide,
    read_part,
    shared_part,
    told_part,
    write_part,
)
from holdfast.kernel.errors import Refusal


def _write(context: Context, arguments: Arguments) -> Text:
    relationship = find_object(context.organisation, FailoverRelationship, arguments.text("name"))
    own = context.organisation.own_server(context.surroundings.server_name)
    server = relationship.servers[0] if own is None else own.name
    return Text(write_part(told_part(context.organisation, relationship, server)))


def _relationship(context: Context, arguments: Arguments) -> Replicated:
    relationship = find_object(context.organisation, FailoverRelationship, arguments.text("name"))
    theirs = _theirs(context, arguments, relationship)
    (told,) = theirs.failover_relationships
    after = made_equal(context.organisation, shared_part(theirs, told))
    own = context.organisation.own_server(context.surroundings.server_name)
    if arguments.flag("server-wide"):
        if own is None:
            raise Refusal("this server is not declared: it has nothing that it tells its clients")
        return _taken_over(context, arguments, relationship, made_equal_server_wide(after, theirs, own.name))
    if own is None or not theirs.dhcp_servers:
        return _taken_over(context, arguments, relationship, after)
    also = made_equal_server_wide(after, theirs, own.name)
    more = [change_text(each) for each in plan_change(after, also).changes]
    if more:
        context.warnings.append(
            f"what {own.name} tells all its clients differs from what the partner tells them: "
            f"{'; '.join(more)}. It is also for scopes that are not shared; to take it over: "
            f"holdfast dhcp failover replicate-relationship {relationship.name} --server-wide --plan"
        )
    return _taken_over(context, arguments, relationship, after, server_wide=more)


def _scope(context: Context, arguments: Arguments) -> Replicated:
    relationship = find_object(context.organisation, FailoverRelationship, arguments.text("name"))
    theirs = _theirs(context, arguments, relationship)
    (told,) = theirs.failover_relationships
    names = [_scope_name(told, each) for each in arguments.texts("scope")]
    after = made_equal(context.organisation, shared_part(theirs, told, names))
    return _taken_over(context, arguments, relationship, after)


def _scope_name(told: FailoverRelationship, name: str) -> str:
    for each in told.scopes:
        if each.casefold() == name.casefold():
            return each
    scopes: Sequence[str] = [f'"{each}"' for each in told.scopes]
    raise Refusal(
        f'at the partner scope "{name}" is not in failover relationship "{told.name}"; '
        f"it has {', '.join(scopes) or 'none'}"
    )


def _theirs(context: Context, arguments: Arguments, relationship: FailoverRelationship) -> Organisation:
    """What the partner shares, from a file of it or asked of it now."""
    if arguments.given("from-file"):
        file_name, text = arguments.texts("from-file")
        theirs = read_part(text, file_name)
    else:
        theirs = _asked(context, relationship)
    found = [each for each in theirs.failover_relationships if each.name == relationship.name]
    if len(found) != 1 or len(theirs.failover_relationships) != 1:
        raise Refusal(
            f'what the partner shares is not that of failover relationship "{relationship.name}"; write it '
            f"there with: holdfast dhcp failover write {relationship.name} FILE"
        )
    return theirs


def _asked(context: Context, relationship: FailoverRelationship) -> Organisation:
    from holdfast.drivers.failover_requests import ASK_PARTNER, SharedQuestion

    own = context.organisation.own_server(context.surroundings.server_name)
    if own is None or relationship not in relationships_of(context.organisation, own.name):
        raise Refusal(
            f'this server is no partner of failover relationship "{relationship.name}": do it at one of '
            f"{' and '.join(relationship.servers)}"
        )
    partner = partner_of(relationship, own.name)
    context.progress(0, 0, f"{partner} is asked")
    told = ASK_PARTNER.ask(context.surroundings.ask, SharedQuestion(relationship.name))
    return read_part(told.text, f"server {partner}")


def _taken_over(
    context: Context,
    arguments: Arguments,
    relationship: FailoverRelationship,
    after: Organisation,
    *,
    server_wide: Sequence[str] = (),
) -> Replicated:
    changed = context.change(arguments, after)
    return Replicated(
        relationship=relationship.name,
        same=not changed.changes,
        applied=changed.applied,
        revision=changed.revision,
        changes=changed.changes,
        dangers=changed.dangers,
        server_wide=list(server_wide),
    )


_FROM_FILE = Argument(
    "from-file", Kind.FILE, "a file that `write` made at the partner, in place of asking it now"
)
_SERVER_WIDE = Argument("server-wide", Kind.FLAG, "take over what the partner tells all its clients as well")
_SCOPES = Argument(
    "scope",
    Kind.TEXT,
    "name of a scope",
    required=True,
    positional=True,
    many=True,
    completes="dhcp scope.scopes.name",
)

REPLICATE_VERBS = (
    Verb(
        "dhcp failover",
        "replicate-scope",
        "Take over what the partner has of a scope: its settings, policies, options and reservations.",
        "holdfast dhcp failover replicate-scope pair office --plan",
        Replicated,
        (NAME, _SCOPES, _FROM_FILE, *CHANGE_ARGUMENTS),
        detail="Do it at the server that shall change; --plan shows what differs. Reservations that the "
        "partner does not have are removed.",
        changes=True,
        perform=_scope,
    ),
    Verb(
        "dhcp failover",
        "replicate-relationship",
        "Take over what the partner has of all scopes of a relationship, and its settings.",
        "holdfast dhcp failover replicate-relationship pair --plan",
        Replicated,
        (NAME, _SERVER_WIDE, _FROM_FILE, *CHANGE_ARGUMENTS),
        detail="Do it at the server that shall change; --plan shows what differs. Scopes that the partner "
        "does not share are shared no longer. What the partner tells all its clients (options, policies, "
        "filters, DNS servers of the server itself) is shown, and taken over with --server-wide: it is also "
        "for scopes that are not shared. Secrets are never told: set them on both.",
        changes=True,
        perform=_relationship,
    ),
    Verb(
        "dhcp failover",
        "write",
        "Write what this server shares in a relationship, for a partner that cannot be reached.",
        "holdfast dhcp failover write pair pair.toml",
        Text,
        (
            replace(NAME),
            Argument("file", Kind.OUTPUT, "where to write; the terminal if not given", positional=True),
        ),
        perform=_write,
    ),
)
