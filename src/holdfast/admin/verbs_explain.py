"""The verb that explains what would become of a message, without sending it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.admin.catalogue import Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.results_explain import (
    CopyRow,
    DoorRow,
    HostRow,
    JudgedRow,
    MessageExplained,
    RecipientRow,
    SendConnectorRow,
)
from holdfast.kernel.errors import Refusal, Unavailable

if TYPE_CHECKING:
    from holdfast.drivers.transport_requests import PressureState
    from holdfast.node.hop_description import HopDescription
    from holdfast.transport import explain
    from holdfast.transport.explain import QueueExplained

RECIPIENT_COUNT_MAX = 1000


def _explain(context: Context, arguments: Arguments) -> MessageExplained:
    from holdfast.transport.explain import Asked, explain_message

    recipients = arguments.texts("recipient")
    if len(recipients) > RECIPIENT_COUNT_MAX:
        raise Refusal(
            f"{len(recipients)} recipients are more than the {RECIPIENT_COUNT_MAX} that are explained"
        )
    asked = Asked(
        client_address=arguments.text("client-ip"),
        sender="" if arguments.text("sender") == "<>" else arguments.text("sender"),
        recipients=recipients,
        size_bytes=arguments.count("size"),
        local_address=arguments.optional_text("local-address") or "",
        local_port=arguments.count("port"),
        user=arguments.optional_text("signed-in") or "",
    )
    explained = explain_message(context.organisation, context.surroundings.server_name, asked)
    notes: list[str] = []
    hops = {each.name: _hop(context, each, notes) for each in explained.queues}
    stops = _stops(context) if explained.queues else {}
    judged = (*explained.tls, explained.sender, *explained.limits) if explained.sender is not None else ()
    return MessageExplained(
        receive_connector=explained.connector,
        why=explained.connector_why,
        client=explained.client,
        permission_groups=list(explained.groups),
        may=list(explained.rights),
        filters=list(explained.filters),
        certificate_shown=_certificate(context, explained.connector),
        split=list(explained.splits),
        notes=[*_pressure(context, notes), *notes],
        other_connectors=[DoorRow(each.name, each.why_not) for each in explained.connectors],
        replies=[
            *(JudgedRow(each.subject, each.code, each.text) for each in judged),
            *(
                JudgedRow(each.judged.subject, each.judged.code, each.judged.text)
                for each in explained.recipients
                if not each.by_group
            ),
        ],
        recipients=[_recipient(each) for each in explained.recipients],
        send_connectors=_candidates(explained),
        copies=[_copy(each, hops[each.name], stops.get(each.name, "")) for each in explained.queues],
        hosts=[row for each in explained.queues for row in hosts_of(each.name, hops[each.name])],
    )


def _recipient(explained: explain.RecipientExplained) -> RecipientRow:
    steps = explained.route.steps if explained.route is not None else (explained.judged.text,)
    return RecipientRow(explained.recipient, explained.by_group, explained.judged.code, list(steps))


def _candidates(explained: explain.MessageExplained) -> list[SendConnectorRow]:
    """The send connectors as candidates, once for each domain."""
    rows: dict[tuple[str, str], SendConnectorRow] = {}
    for each in explained.recipients:
        route = each.route
        for candidate in route.candidates if route is not None else ():
            assert route is not None
            name = candidate.connector.name
            chosen = name == route.connector
            beaten = "" if chosen else f'"{route.connector}" is nearer, cheaper or more specific'
            rows[route.domain, name] = SendConnectorRow(
                domain=route.domain,
                send_connector=name,
                chosen=chosen,
                address_space=candidate.space_text,
                cost=candidate.cost,
                why_not=candidate.why_not or beaten,
            )
    return list(rows.values())


def _hop(context: Context, queue: QueueExplained, notes: list[str]) -> HopDescription | None:
    """What the running server knows of a next hop; a note when it does not run."""
    from holdfast.drivers.transport_requests import DESCRIBE_HOP, Hop

    if queue.key is None:
        return None
    try:
        question = Hop(queue.key.delivery_type, queue.key.domain, queue.key.connector)
        return DESCRIBE_HOP.ask(context.surroundings.ask, question).hop
    except Unavailable as error:
        note = f"hosts and their health are not known: {error.text}"
        if note not in notes:
            notes.append(note)
        return None


def _stops(context: Context) -> dict[str, str]:
    """What keeps queues from being served now, by their names; that the role is away is said elsewhere."""
    from holdfast.drivers.role_requests import Nothing
    from holdfast.drivers.transport_requests import LIST_QUEUES

    found = {}
    try:
        states = LIST_QUEUES.ask(context.surroundings.ask, Nothing()).states
    except Unavailable:
        return {}
    for each in states:
        if each.status == "suspended":
            found[each.key] = (
                f"the queue is held, nothing leaves it before: holdfast queue release {each.key}"
            )
        elif each.status == "retry" and each.next_try_s is not None:
            error = f": {each.last_error}" if each.last_error else ""
            found[each.key] = f"the queue waits, its next try is in {each.next_try_s:.0f} s{error}"
    return found


def _copy(queue: QueueExplained, hop: HopDescription | None, stop: str) -> CopyRow:
    profile = queue.profile
    problem = stop
    if hop is not None:
        unknown = f"no answer yet: {', '.join(hop.pending)}" if hop.pending else ""
        problem = "; ".join(filter(None, (stop, hop.failure or unknown, *hop.notes)))
    return CopyRow(
        queue=queue.name,
        recipients=list(queue.recipients),
        send_connector=queue.key.connector if queue.key is not None else "",
        found_by=hop.found_by if hop is not None else "",
        tls=profile.tls.value if profile is not None else "",
        problem=problem,
    )


def hosts_of(queue: str, hop: HopDescription | None) -> list[HostRow]:
    """The hosts that a queue's mail would go to, with how each is."""
    return [
        HostRow(
            queue=queue,
            preference=each.preference,
            host=each.name,
            address=each.address,
            port=each.port,
            state=each.state,
            for_s=each.state_s,
            next_try_s=each.retry_s,
            reason=each.reason,
            tls=each.tls,
            certificate_names=list(each.certificate_names),
        )
        for each in (hop.hosts if hop is not None else ())
    ]


def _certificate(context: Context, connector: str) -> str:
    """Which certificate the door shows, and why."""
    from holdfast.admin.verbs_certificate import certificate_of

    return certificate_of(context, connector) if connector else ""


def _pressure(context: Context, notes: list[str]) -> list[str]:
    """What back pressure does now; nothing when it does nothing."""
    from holdfast.admin.verbs_queue import effects
    from holdfast.drivers.role_requests import Nothing
    from holdfast.drivers.transport_requests import SHOW_PRESSURE

    try:
        state: PressureState = SHOW_PRESSURE.ask(context.surroundings.ask, Nothing())
    except Unavailable as error:
        notes.append(f"back pressure is not known: {error.text}")
        return []
    return [f"back pressure: {each}" for each in effects(state.pressure)] if state.pressure.level else []


VERBS = (
    Verb(
        "message",
        "explain",
        "Explain what would become of a message, without sending it: door, rights, replies, way, hosts, TLS.",
        "holdfast message explain --client-ip 198.51.100.7 --sender a@example.org "
        "--recipient alice@example.test",
        MessageExplained,
        (
            Argument("client-ip", Kind.TEXT, "the client's IP address", required=True),
            Argument("sender", Kind.TEXT, "the envelope sender; <> is the null sender", required=True),
            Argument("recipient", Kind.TEXT, "an envelope recipient", required=True, many=True),
            Argument("size", Kind.SIZE, "of the message", default=5000),
            Argument("port", Kind.COUNT, "the port of ours that the client comes to", default=25),
            Argument("local-address", Kind.TEXT, "the address of ours; left out, any that is listened on"),
            Argument("signed-in", Kind.TEXT, "the user who signed in", completes="mailbox.mailboxes.address"),
        ),
        detail="It asks the parts that decide about real mail, and the running server for DNS and the health "
        "of hosts.",
        perform=_explain,
    ),
)
