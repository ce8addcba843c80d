"""The verbs about leases: who has which address. All of them ask the dhcp role of this server."""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from holdfast.admin.catalogue import Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.dhcp_places import SCOPE
from holdfast.admin.results_dhcp import LeaseList, LeaseRow, LeaseShown, LeasesRemoved
from holdfast.directory.dhcp import Scope
from holdfast.directory.edit import find_object
from holdfast.kernel.errors import Problem, Refusal

if TYPE_CHECKING:
    from holdfast.drivers.dhcp_requests import LeaseQuestion, LeaseState

LIST_COUNT = 1000
STATES = ("active", "offered", "declined", "expired", "released")
# What one request asks at most, so that clients are answered meanwhile.
STEP_COUNT = 5000
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}[:.-]?)+[0-9A-Fa-f]{0,2}")
_MAC_DIGITS = 12


def _list(context: Context, arguments: Arguments) -> LeaseList:
    from holdfast.drivers.dhcp_requests import LeaseQuestion

    name, limit = arguments.optional_text("scope"), arguments.count("limit")
    scopes = () if name is None else (find_object(context.organisation, Scope, name).name,)
    found, more = _ask(context, LeaseQuestion(scopes=scopes, states=arguments.texts("state")), limit)
    if more:
        context.warnings.append(f"the first {limit} leases are listed; raise --limit")
    return LeaseList(not more, [_row(each) for each in found])


def _ask(context: Context, question: LeaseQuestion, limit: int) -> tuple[list[LeaseState], bool]:
    """Leases in steps, up to a limit; whether there are more."""
    import msgspec

    from holdfast.drivers.dhcp_requests import LIST_LEASES

    found: list[LeaseState] = []
    more = True
    while more and len(found) < limit:
        asked = msgspec.structs.replace(
            question,
            after=found[-1].address if found else "",
            count_max=min(STEP_COUNT, limit - len(found)),
        )
        answer = LIST_LEASES.ask(context.surroundings.ask, asked)
        found += answer.leases
        more = answer.more and bool(answer.leases)
        context.progress(len(found), 0, f"{len(found)} leases")
    return found, more


def _row(lease: LeaseState) -> LeaseRow:
    return LeaseRow(
        lease.address,
        lease.scope,
        lease.state,
        lease.mac,
        lease.client_id,
        lease.host_name,
        lease.ends_at,
        lease.reserved,
    )


def _find(context: Context, arguments: Arguments) -> LeaseList:
    """By whatever the text is: an address, the beginning of a hardware address or client id, or of a name."""
    text, limit = arguments.text("what").strip(), arguments.count("limit")
    found: dict[str, LeaseState] = {}
    cut = False
    for question in questions(text):
        leases, more = _ask(context, question, limit)
        cut = cut or more
        for each in leases:
            found.setdefault(each.address, each)
    rows = sorted(found.values(), key=lambda each: int(IPv4Address(each.address)))
    if cut or len(rows) > limit:
        context.warnings.append(f"the first {limit} leases are listed; raise --limit")
    return LeaseList(not cut and len(rows) <= limit, [_row(each) for each in rows[:limit]])


def questions(text: str) -> list[LeaseQuestion]:
    """What a text may mean.

    Raises:
        Refusal: it is empty.
    """
    from holdfast.drivers.dhcp_requests import LeaseQuestion

    if not text:
        raise Refusal("give an address, a hardware address, a client id or a host name, or its beginning")
    try:
        return [LeaseQuestion(addresses=(str(IPv4Address(text)),))]
    except ValueError:
        pass
    found = [LeaseQuestion(host_name=text.lower())]
    if _HEX.fullmatch(text):
        digits = re.sub(r"[:.-]", "", text).lower()
        if len(digits) <= _MAC_DIGITS:
            found.append(LeaseQuestion(mac=digits))
        found.append(LeaseQuestion(client_id=digits))
    return found


def _show(context: Context, arguments: Arguments) -> LeaseShown:
    from holdfast.drivers.dhcp_requests import LeaseQuestion

    address = arguments.text("address")
    found, _ = _ask(context, LeaseQuestion(addresses=(address,)), 1)
    if not found:
        raise Refusal(f"{address} is leased to nobody; see: holdfast dhcp lease list")
    lease = found[0]
    return LeaseShown(
        address=lease.address,
        scope=lease.scope,
        state=lease.state,
        mac=lease.mac,
        client_id=lease.client_id,
        host_name=lease.host_name,
        started_at=lease.started_at,
        ends_at=lease.ends_at,
        seen_at=lease.seen_at,
        relay=lease.relay,
        reserved=lease.reserved,
    )


def _remove(context: Context, arguments: Arguments) -> LeasesRemoved:
    from holdfast.drivers.dhcp_requests import REMOVE_LEASES, LeaseQuestion, RemoveLeases

    wanted = tuple(dict.fromkeys(arguments.texts("address")))
    active, _ = _ask(context, LeaseQuestion(addresses=wanted, states=("active",)), len(wanted))
    if active and not arguments.flag("yes"):
        raise Refusal(
            "nothing was removed: clients have some of the addresses",
            problems=tuple(
                Problem(
                    each.address,
                    f"is leased to {each.host_name or each.mac or each.client_id}, which goes on using it "
                    "while others may get it",
                    "add --yes to do it all the same",
                )
                for each in active
            ),
        )
    removed: list[str] = []
    unknown: list[str] = []
    for start in range(0, len(wanted), STEP_COUNT):
        step = wanted[start : start + STEP_COUNT]
        answer = REMOVE_LEASES.ask(context.surroundings.ask, RemoveLeases(step))
        removed += answer.removed
        unknown += answer.unknown
        context.progress(start + len(step), len(wanted), "leases removed")
    return LeasesRemoved(removed, unknown)


_LIMIT = Argument("limit", Kind.COUNT, "how many at most", default=LIST_COUNT)
_ADDRESS = Argument("address", Kind.IPV4, "the leased address", required=True, positional=True)

VERBS = (
    Verb(
        "dhcp lease",
        "list",
        "List leases by address.",
        "holdfast dhcp lease list --scope office --state active",
        LeaseList,
        (
            SCOPE,
            Argument("state", Kind.CHOICE, "only in this state", many=True, choices=STATES),
            _LIMIT,
        ),
        perform=_list,
    ),
    Verb(
        "dhcp lease",
        "find",
        "Find leases by address, hardware address, client id or host name.",
        "holdfast dhcp lease find 00:1a:2b",
        LeaseList,
        (
            Argument(
                "what",
                Kind.TEXT,
                "an address; or a hardware address, client id or host name, or its beginning",
                required=True,
                positional=True,
            ),
            _LIMIT,
        ),
        perform=_find,
    ),
    Verb(
        "dhcp lease",
        "show",
        "Show the lease of an address.",
        "holdfast dhcp lease show 192.0.2.50",
        LeaseShown,
        (_ADDRESS,),
        perform=_show,
    ),
    Verb(
        "dhcp lease",
        "remove",
        "Forget leases: their addresses are free at once.",
        "holdfast dhcp lease remove 192.0.2.50 --yes",
        LeasesRemoved,
        (
            Argument("address", Kind.IPV4, "the leased addresses", required=True, positional=True, many=True),
            Argument("yes", Kind.FLAG, "also while clients have them"),
        ),
        detail="A client that has one goes on using it until it renews; so two may have the same address "
        "meanwhile.",
        perform=_remove,
    ),
)
