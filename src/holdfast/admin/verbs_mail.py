"""The verbs about mail on its way: where a message went, a copy of it, and the account of everything."""

from __future__ import annotations

from collections import deque

from holdfast.admin.catalogue import Argument, Arguments, Kind, Verb, read_moment
from holdfast.admin.context import Context
from holdfast.admin.results import Ledger, Tracked, TrackedRow, UnaccountedRow
from holdfast.admin.results_queue import Exported
from holdfast.admin.verbs_explain import VERBS as EXPLAIN_VERBS
from holdfast.admin.verbs_protection import VERBS as PROTECTION_VERBS
from holdfast.admin.verbs_protection import has_partner
from holdfast.transport.tracking import TrackingCriteria, TrackingEvent

PROGRESS_EVERY = 10_000  # lines between two words about how far the search is


def _moment(context: Context, arguments: Arguments, name: str) -> float | None:
    text = arguments.optional_text(name)
    return None if text is None else read_moment(text, context.now)


def _track(context: Context, arguments: Arguments) -> Tracked:
    from holdfast.drivers.queue_reader import read_tracking

    criteria = TrackingCriteria(
        sender=arguments.optional_text("sender") or "",
        recipient=arguments.optional_text("recipient") or "",
        subject=arguments.optional_text("subject") or "",
        network_message_id=arguments.optional_text("id") or "",
        message_id=arguments.optional_text("message-id") or "",
        since=_moment(context, arguments, "since"),
        until=_moment(context, arguments, "until"),
    )
    limit = arguments.count("limit")
    # The newest are kept: who looks for a message without narrowing looks for a late one.
    rows: deque[TrackedRow] = deque(maxlen=limit)
    found_count = 0
    for seen_count, event in enumerate(read_tracking(context.surroundings.home)):
        if seen_count % PROGRESS_EVERY == 0:
            context.progress(0, 0, f"{seen_count} lines read, {found_count} found")
        if criteria.matches(event):
            found_count += 1
            rows.append(_tracked(event))
    if found_count > limit:
        context.warnings.append(
            f"{found_count} events match, the newest {limit} are shown; narrow the search or raise --limit"
        )
    return Tracked(list(rows), complete=found_count <= limit)


def _tracked(event: TrackingEvent) -> TrackedRow:
    return TrackedRow(
        at=event.at,
        event=event.event_id.value,
        source=event.source,
        sender=event.sender,
        recipients=list(event.recipients),
        subject=event.subject,
        size_bytes=event.size_bytes,
        status=event.recipient_status,
        network_message_id=event.network_message_id,
        message_id=event.message_id,
    )


def _export(context: Context, arguments: Arguments) -> Exported:
    from holdfast.drivers.queue_reader import read_message
    from holdfast.transport.queue_operations import no_message

    name = arguments.text("message")
    data = read_message(context.surroundings.home, name)
    if data is None:
        raise no_message(name)
    return Exported(data)


def _ledger(context: Context, arguments: Arguments) -> Ledger:
    from holdfast.drivers.queue_reader import read_ledger

    ledger = read_ledger(context.surroundings.home)
    if ledger.unaccounted:
        context.warnings.append(
            "accepted recipients are unaccounted for: this must not be; keep the state directory "
            "as it is and report it"
        )
    copies = ledger.copies.with_partner() if has_partner(context) else ledger.copies
    return Ledger(
        accepted=ledger.accepted_count,
        delivered=ledger.delivered_count,
        relayed=ledger.relayed_count,
        transferred_out=ledger.transferred_out_count,
        queued=ledger.queued_count,
        bounced=ledger.bounced_count,
        dropped=ledger.dropped_count,
        transferred_in=ledger.transferred_in_count,
        unaccounted=len(ledger.unaccounted),
        missing=[UnaccountedRow(*each) for each in ledger.unaccounted],
        protected_message_count=copies.protected_count,
        unprotected_message_count=copies.unprotected_count,
        unprotected_since_at=copies.unprotected_since,
    )


_LIMIT = Argument("limit", Kind.COUNT, "how many at most", default=1000)

VERBS = (
    *EXPLAIN_VERBS,
    *PROTECTION_VERBS,
    Verb(
        "message",
        "track",
        "Show what happened to messages, from the message tracking log.",
        "holdfast message track --recipient alice@example.test --since 2h",
        Tracked,
        (
            Argument("sender", Kind.TEXT, "the envelope sender"),
            Argument("recipient", Kind.TEXT, "an envelope recipient", completes="mailbox.mailboxes.address"),
            Argument("subject", Kind.TEXT, "a part of the subject"),
            Argument("id", Kind.TEXT, "the network message id, the same on every server"),
            Argument("message-id", Kind.TEXT, "the Message-ID header"),
            Argument("since", Kind.MOMENT, "not before: a date, a time, or 2h (two hours ago)"),
            Argument("until", Kind.MOMENT, "not after"),
            _LIMIT,
        ),
        detail="Several options narrow the search.",
        perform=_track,
    ),
    Verb(
        "message",
        "export",
        "Save a message that waits here as a file (.eml), as it would be sent.",
        "holdfast message export --message 17 --out 17.eml",
        Exported,
        (
            Argument("message", Kind.TEXT, "its number or network message id", required=True),
            Argument("out", Kind.OUTPUT, "where to write; the terminal if not given"),
        ),
        detail="It is read from the queue database, also while the transport role does not run.",
        perform=_export,
    ),
    Verb(
        "ledger",
        "",
        "Account for every accepted message: delivered, relayed, transferred, queued, bounced or dropped.",
        "holdfast ledger",
        Ledger,
        detail="Counted in recipients, from the queue database and the tracking log. Relayed: a next hop has "
        "taken it. Unaccounted must be 0. Of the messages that wait, protected ones are at another server as "
        "well; what is unprotected would be late or lost with this server.",
        perform=_ledger,
    ),
)
