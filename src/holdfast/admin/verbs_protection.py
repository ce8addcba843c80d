"""The verbs about the second copy of mail in transit: who has it, and what happens when a server is lost.

``message protection`` goes on without the transport role: what is written down it reads from the queue
database, and says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.admin.catalogue import Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context, not_found
from holdfast.admin.results_protection import (
    DeclaredLost,
    PartnerRow,
    ProtectionShown,
    ShadowQueueRow,
    UnprotectedRow,
)
from holdfast.kernel.errors import Problem, Refusal, Unavailable

if TYPE_CHECKING:
    from holdfast.directory.model import Server
    from holdfast.drivers.protection_reader import KeptTotal, StoredProtection
    from holdfast.node.shadow_report import ProtectionState
    from holdfast.transport.shadow_queues import ShadowQueue

NOT_KNOWN = "not known"
DELIVERY_TYPE = "shadow"
READY, SILENT = "ready", "silent"


def has_partner(context: Context) -> bool:
    """Whether any server of ours is asked to keep copies of this one's messages."""
    from holdfast.transport.shadow_partners import shadow_partners

    return bool(shadow_partners(context.organisation, _own(context)))


def _own(context: Context) -> Server | None:
    return context.organisation.own_server(context.surroundings.server_name)


# --- looking -------------------------------------------------------------------------------------


def _protection(context: Context, arguments: Arguments) -> ProtectionShown:
    from holdfast.drivers.protection_reader import read_kept_total
    from holdfast.drivers.role_requests import Nothing
    from holdfast.drivers.transport_requests import SHOW_PROTECTION

    home = context.surroundings.home
    kept = read_kept_total(
        home, lambda done, total: context.progress(done, total, f"Safety Net: {done} of {total} messages")
    )
    rows = _unprotected(context, arguments.count("limit")) if arguments.flag("list") else []
    try:
        state = SHOW_PROTECTION.ask(context.surroundings.ask, Nothing())
    except Unavailable as error:
        from holdfast.drivers.protection_reader import read_protection

        context.warnings.append(
            f"{error.text}; this is what the queue database holds, links and counts since the start are not "
            "known"
        )
        return _stored(context, read_protection(home), kept, rows)
    return _live(context, state, kept, rows)


def _unprotected(context: Context, limit: int) -> list[UnprotectedRow]:
    from holdfast.drivers.protection_reader import read_unprotected

    found = read_unprotected(context.surroundings.home, with_alone=has_partner(context), limit=limit + 1)
    if len(found) > limit:
        context.warnings.append(f"more than {limit} messages are unprotected; raise --limit to see them")
    return [
        UnprotectedRow(
            number=each.number,
            unprotected_since_at=each.since,
            sender=each.sender,
            recipients=list(each.recipients),
            size_bytes=each.size_bytes,
            network_message_id=each.network_message_id,
        )
        for each in found[:limit]
    ]


def _live(
    context: Context, state: ProtectionState, kept: KeptTotal, rows: list[UnprotectedRow]
) -> ProtectionShown:
    partners = [
        PartnerRow(
            partner=each.name,
            takes_copies="yes" if each.usable else "no",
            for_s=each.since_s,
            reason=each.reason,
            held_message_count=each.held_count,
            untold_discard_count=each.discard_count,
        )
        for each in state.partners
    ]
    since = None if state.unprotected_s is None else context.now - state.unprotected_s
    return ProtectionShown(
        live=True,
        protected_message_count=state.protected_count,
        unprotected_message_count=state.unprotected_count,
        unprotected_since_at=since,
        waiting_message_count=state.waiting_count,
        refused_message_count=state.refused_count,
        taken_over_message_count=state.taken_over_count,
        sent_by_both_message_count=state.sent_by_both_count,
        safety_net_message_count=kept.message_count,
        safety_net_size_bytes=kept.size_bytes,
        safety_net_since_at=kept.oldest_at,
        partners=partners + _no_partners(context, {each.name for each in state.partners}),
        shadow_queues=[shadow_queue_row(each) for each in state.queues],
        unprotected=rows,
    )


def _stored(
    context: Context, stored: StoredProtection, kept: KeptTotal, rows: list[UnprotectedRow]
) -> ProtectionShown:
    counts = stored.counts.with_partner() if has_partner(context) else stored.counts
    partners = [
        PartnerRow(
            partner=each.name,
            takes_copies=NOT_KNOWN,
            for_s=None,
            reason="",
            held_message_count=each.held_count,
            untold_discard_count=each.discard_count,
        )
        for each in stored.partners
    ]
    return ProtectionShown(
        live=False,
        protected_message_count=counts.protected_count,
        unprotected_message_count=counts.unprotected_count,
        unprotected_since_at=counts.unprotected_since,
        waiting_message_count=None,
        refused_message_count=None,
        taken_over_message_count=None,
        sent_by_both_message_count=None,
        safety_net_message_count=kept.message_count,
        safety_net_size_bytes=kept.size_bytes,
        safety_net_since_at=kept.oldest_at,
        partners=partners + _no_partners(context, {each.name for each in stored.partners}),
        shadow_queues=_stored_queues(stored),
        unprotected=rows,
    )


def _no_partners(context: Context, known: set[str]) -> list[PartnerRow]:
    """The other servers, with the reason why they keep no copies."""
    from holdfast.transport.shadow_partners import why_no_partner

    own = _own(context)
    if own is None:
        return []
    rows = []
    for server in context.organisation.servers:
        if server.name != own.name and server.name not in known:
            reason = why_no_partner(context.organisation, own, server)
            takes = "no" if reason else NOT_KNOWN
            rows.append(PartnerRow(server.name, takes, None, reason, 0, 0))
    return rows


def shadow_queue_row(queue: ShadowQueue) -> ShadowQueueRow:
    """A shadow queue as the transport role has it."""
    return ShadowQueueRow(
        queue=f"{DELIVERY_TYPE}:{queue.primary}",
        delivery_type=DELIVERY_TYPE,
        status=READY if queue.linked else SILENT,
        message_count=queue.message_count,
        size_bytes=queue.size_bytes,
        oldest_at=queue.oldest_at or None,
        silent_s=queue.silent_s,
        untold_message_count=queue.untold_count,
    )


def stored_shadow_queues(context: Context) -> list[ShadowQueueRow]:
    """The shadow queues as the queue database has them, while the transport role does not run."""
    from holdfast.drivers.protection_reader import read_protection

    return _stored_queues(read_protection(context.surroundings.home))


def _stored_queues(stored: StoredProtection) -> list[ShadowQueueRow]:
    return [
        ShadowQueueRow(
            queue=f"{DELIVERY_TYPE}:{each.primary}",
            delivery_type=DELIVERY_TYPE,
            status=NOT_KNOWN,
            message_count=each.message_count,
            size_bytes=each.size_bytes,
            oldest_at=each.oldest_at,
            silent_s=None,
            untold_message_count=each.untold_count,
        )
        for each in stored.queues
    ]


# --- a server is lost ------------------------------------------------------------------------------


def _declare_lost(context: Context, arguments: Arguments) -> DeclaredLost:
    from holdfast.drivers.role_requests import Nothing
    from holdfast.drivers.transport_requests import DECLARE_LOST, SHOW_PROTECTION, Name

    name = arguments.text("name")
    own = _own(context)
    if own is not None and name == own.name:
        raise Refusal(f'"{name}" is this server; declare it lost on the server that takes over')
    state = SHOW_PROTECTION.ask(context.surroundings.ask, Nothing())
    queue = next((each for each in state.queues if each.primary == name), None)
    names = [each.name for each in context.organisation.servers]
    # One that is declared no more may have left copies all the same.
    if queue is None and name not in names:
        raise not_found("server", name, names)
    if not arguments.flag("yes"):
        raise Refusal(
            "nothing was taken over: add --yes",
            problems=(Problem(name, _what_would_happen(queue), "add --yes when it is lost, or stopped"),),
        )
    done = DECLARE_LOST.ask(context.surroundings.ask, Name(name))
    if not done.message_count:
        context.warnings.append(f"no message of {name} was held here: there is nothing to deliver for it")
    return DeclaredLost(name, done.message_count)


def _what_would_happen(queue: ShadowQueue | None) -> str:
    if queue is None or not queue.message_count:
        return "no message of it is held here: nothing would happen"
    lives = (
        "it is connected to this server now, so it lives"
        if queue.linked
        else f"nothing was heard of it for {queue.silent_s:.0f} s"
    )
    return (
        f"{queue.message_count} messages of it would be delivered from here; {lives}. If it lives, both "
        "deliver: mailboxes of ours still get each message once, hosts outside may get it twice, and what it "
        "may have sent it counts (holdfast message protection there) when it hears of it"
    )


VERBS = (
    Verb(
        "message",
        "protection",
        "Show which messages another server has, too: partners, what is unprotected, shadow queues.",
        "holdfast message protection",
        ProtectionShown,
        (
            Argument("list", Kind.FLAG, "list the messages that no other server has"),
            Argument("limit", Kind.COUNT, "how many of them at most", default=1000),
        ),
        detail="Counts of what happened are since the transport role started. Without that role the queue "
        "database is read.",
        perform=_protection,
    ),
    Verb(
        "server",
        "declare-lost",
        "Deliver from here what a lost server had accepted and this one has the copies of.",
        "holdfast server declare-lost mail1 --yes",
        DeclaredLost,
        (
            Argument(
                "name",
                Kind.TEXT,
                "the server that is lost",
                required=True,
                positional=True,
                completes="server.servers.name",
            ),
            Argument("yes", Kind.FLAG, "do it; without it only what would happen is said"),
        ),
        detail="It happens by itself when the server is silent for longer than shadow_takeover, or comes "
        "back with another queue database. Say it earlier only of a server that does not run: see "
        "docs/operate/two-servers.md.",
        perform=_declare_lost,
    ),
)
