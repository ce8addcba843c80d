"""What an administrator may order in a failover relationship of this server: partner-down, recover, pause …

Ordered at the server that it is about, and done by its dhcp role; what takes addresses from somebody or
may lease one twice is asked for with --yes.

Source: draft-ietf-dhc-failover-12 sections 9.4, 9.5, 9.13 and 9.14; spec/dhcp.md section 2.8.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.admin.catalogue import Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.failover_words import words_of
from holdfast.admin.results_dhcp_failover import FailoverOrdered
from holdfast.directory.edit import find_object
from holdfast.directory.failover import FailoverRelationship
from holdfast.directory.partners import partner_of, relationships_of
from holdfast.kernel.errors import Problem, Refusal

_DANGERS = {
    "partner-down": "this server leases the free addresses of {partner} as well, once the MCLT "
    "({mclt_s:g} s) has passed: when {partner} still runs, two clients get the same address. Be certain that "
    "it is switched off, or that its DHCP service is",
    "recover": "this server answers no client until it has asked {partner} for everything, and the MCLT "
    "({mclt_s:g} s) has passed",
    "pause": "this server answers no client until: holdfast dhcp failover resume {name}",
    "shutdown": "this server answers no client until: holdfast dhcp failover resume {name}; {partner} takes "
    "everything over",
}


def _ordering(command: str) -> Callable[[Context, Arguments], FailoverOrdered]:
    def perform(context: Context, arguments: Arguments) -> FailoverOrdered:
        return _order(context, arguments, command)

    return perform


def _order(context: Context, arguments: Arguments, command: str) -> FailoverOrdered:
    from holdfast.drivers.failover_requests import ORDER_FAILOVER, SHOW_FAILOVER, FailoverOrder
    from holdfast.drivers.role_requests import Nothing

    organisation = context.organisation
    relationship = find_object(organisation, FailoverRelationship, arguments.text("name"))
    own = organisation.own_server(context.surroundings.server_name)
    if own is None or relationship not in relationships_of(organisation, own.name):
        raise Refusal(
            f'this server is no partner of failover relationship "{relationship.name}": order it at one of '
            f"{' and '.join(relationship.servers)}"
        )
    ask = context.surroundings.ask
    states = {each.relationship: each for each in SHOW_FAILOVER.ask(ask, Nothing()).relationships}
    before = states.get(relationship.name)
    dangers = _dangers(relationship, own.name, command)
    if dangers and not arguments.flag("yes"):
        raise Refusal(
            "nothing was done: it is dangerous",
            problems=tuple(Problem(command, each, "add --yes to do it all the same") for each in dangers),
        )
    force = arguments.has("force") and arguments.flag("force")
    after = ORDER_FAILOVER.ask(ask, FailoverOrder(relationship.name, command, force))
    words = words_of(after.state, relationship.name)
    return FailoverOrdered(
        relationship=relationship.name,
        before="" if before is None else before.state,
        after=after.state,
        meaning=words.meaning,
        next_step=words.next_step,
        dangers=dangers,
    )


def _dangers(relationship: FailoverRelationship, own: str, command: str) -> list[str]:
    text = _DANGERS.get(command)
    if text is None:
        return []
    partner = partner_of(relationship, own)
    return [text.format(partner=partner, mclt_s=relationship.mclt_s, name=relationship.name)]


NAME = Argument(
    "name",
    Kind.TEXT,
    "name of the relationship",
    required=True,
    positional=True,
    completes="dhcp failover.relationships.name",
)
_YES = Argument("yes", Kind.FLAG, "do it although it is dangerous")
_FORCE = Argument("force", Kind.FLAG, "even while the partner speaks with this server")


def _verb(name: str, summary: str, detail: str, *more: Argument) -> Verb:
    yes = " --yes" if _YES in more else ""
    return Verb(
        "dhcp failover",
        name,
        summary,
        f"holdfast dhcp failover {name} pair{yes}",
        FailoverOrdered,
        (NAME, *more),
        detail=detail,
        perform=_ordering(name),
    )


ORDER_VERBS = (
    _verb(
        "partner-down",
        "Say that the partner is switched off for certain: this server leases everything.",
        "Leases are long again at once; the partner's free addresses are leased after the MCLT, when no "
        "client can have one of them that this server does not know of. When the partner is back, it asks "
        "for what it missed by itself.",
        _YES,
        _FORCE,
    ),
    _verb(
        "recover",
        "Ask the partner for everything: the own lease database is not to be trusted.",
        "A database that was lost is noticed by itself; this is for one that was restored from a backup, or "
        "changed by hand.",
        _YES,
    ),
    _verb(
        "pause",
        "Serve nothing for a while; the partner goes on with what is its own.",
        "For work at this server that takes minutes. A restart of the service does it by itself.",
        _YES,
    ),
    _verb(
        "shutdown",
        "Serve nothing for long: the partner takes everything over.",
        "For work at this server that takes longer than the MCLT, or before it is taken away.",
        _YES,
    ),
    _verb(
        "resume",
        "Serve again after `pause` or `shutdown`.",
        "",
    ),
)
