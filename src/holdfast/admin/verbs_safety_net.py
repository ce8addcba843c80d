"""The verbs about the Safety Net: what is kept after its delivery, and having it delivered again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from holdfast.admin.catalogue import Argument, Arguments, Kind, Verb, read_moment
from holdfast.admin.context import Context
from holdfast.admin.results_protection import ResubmissionRow, SafetyNetShown
from holdfast.directory.edit import find_object
from holdfast.directory.model import MailboxDatabase
from holdfast.kernel.errors import Refusal, Unavailable

if TYPE_CHECKING:
    from holdfast.node.resubmission import ResubmissionState

STALLED_COUNT = 30  # questions in a row, of about a second each, whose answer was the same


def _show(context: Context, arguments: Arguments) -> SafetyNetShown:
    from holdfast.drivers.protection_reader import read_kept_total
    from holdfast.drivers.role_requests import Nothing
    from holdfast.drivers.transport_requests import LIST_RESUBMISSIONS

    kept = read_kept_total(
        context.surroundings.home,
        lambda done, total: context.progress(done, total, f"{done} of {total} messages"),
    )
    try:
        states = LIST_RESUBMISSIONS.ask(context.surroundings.ask, Nothing()).states
    except Unavailable as error:
        context.warnings.append(f"{error.text}; what was delivered again is not known")
        states = ()
    return SafetyNetShown(
        message_count=kept.message_count,
        size_bytes=kept.size_bytes,
        since_at=kept.oldest_at,
        hold_s=context.organisation.safety_net_hold_s,
        resubmissions=[_row(each) for each in states],
    )


def _row(state: ResubmissionState) -> ResubmissionRow:
    return ResubmissionRow(
        number=state.number,
        database=state.database,
        asked_by="the database" if state.by_itself else "an administrator",
        since_at=state.since,
        until_at=state.until if math.isfinite(state.until) else None,
        looked_at_message_count=state.seen_count,
        resubmitted_message_count=state.resubmitted_count,
        state=state.state,
    )


def _resubmit(context: Context, arguments: Arguments) -> ResubmissionRow:
    from holdfast.drivers.transport_requests import FOLLOW_RESUBMISSION, RESUBMIT, Span

    database = find_object(context.organisation, MailboxDatabase, arguments.text("database"))
    since = read_moment(arguments.text("since"), context.now)
    until_text = arguments.optional_text("until")
    until = context.now if until_text is None else read_moment(until_text, context.now)
    if since >= until:
        raise Refusal("--since is not before --until; nothing lies between them")
    own = context.organisation.own_server(context.surroundings.server_name)
    if own is None or database.server != own.name:
        context.warnings.append(
            f'mailbox database "{database.name}" is on server {database.server}: it cannot be asked from '
            "here what it lacks, gets all of this span, and drops what it has"
        )
    ask = context.surroundings.ask
    state = RESUBMIT.ask(ask, Span(database.name, since, until))
    same_count = 0
    while state.running and same_count < STALLED_COUNT:
        context.progress(0, 0, f"{state.seen_count} looked at, {state.resubmitted_count} delivered again")
        before, state = state, FOLLOW_RESUBMISSION.ask(ask, state)
        same_count = same_count + 1 if state == before else 0
    if state.running:
        context.warnings.append(
            f"it goes on by itself ({state.state}): holdfast safety-net show tells how far it is"
        )
    return _row(state)


VERBS = (
    Verb(
        "safety-net",
        "show",
        "Show how much is kept after its delivery, and what was delivered again.",
        "holdfast safety-net show",
        SafetyNetShown,
        detail="How long it is kept: safety_net_hold of the organisation.",
        perform=_show,
    ),
    Verb(
        "safety-net",
        "resubmit",
        "Deliver messages again to a mailbox database that was restored and may lack them.",
        "holdfast safety-net resubmit --database DB01 --since 2h",
        ResubmissionRow,
        (
            Argument(
                "database",
                Kind.TEXT,
                "the mailbox database",
                required=True,
                completes="database.databases.name",
            ),
            Argument(
                "since", Kind.MOMENT, "delivered not before: a date, a time, or 2h (ago)", required=True
            ),
            Argument("until", Kind.MOMENT, "and not after; now if not given"),
        ),
        detail="Each mailbox takes a message once, so a span that is too long does no harm. Groups are "
        "expanded as they are today; senders are not told of it. A database of this server that comes back "
        "older than it was gets what it lacks by itself.",
        perform=_resubmit,
    ),
)
