"""The verbs about queues: what waits where and why, and what an administrator does to it.

All of them ask the transport role, which has the queues in memory. Only ``queue
list`` goes on without it: then it reads the queue database and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.admin.catalogue import Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.results_queue import (
    PressureShown,
    QueueDone,
    QueueList,
    QueueRow,
    QueueShown,
    ResourceRow,
    WaitingRow,
)
from holdfast.admin.verbs_explain import hosts_of
from holdfast.admin.verbs_protection import DELIVERY_TYPE, shadow_queue_row, stored_shadow_queues
from holdfast.kernel.errors import Problem, Refusal, Unavailable

if TYPE_CHECKING:
    from holdfast.admin.results_explain import HostRow
    from holdfast.node.administration import QueueTarget, ShownQueue
    from holdfast.transport.back_pressure import Pressure
    from holdfast.transport.queue_operations import Done
    from holdfast.transport.queue_report import QueueState, WaitingMessage

# What one request to the transport role does at most, so that mail goes on meanwhile. With a bounce for each
# it is half of what may wait for the disk before senders have to wait, too (exchange-behaviour BP-6).
STEP_COUNT = 250
HOSTS_WAIT_S = 1.0  # whoever looks at a queue may do so because DNS does not answer
NOT_RUNNING = "not running"
_HOST_AND_PORT = re.compile(r"(?:\[(?P<literal>[^\[\]]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]{1,5}))?")


# --- looking -------------------------------------------------------------------------------------


def _list(context: Context, arguments: Arguments) -> QueueList:
    from holdfast.drivers.role_requests import Nothing
    from holdfast.drivers.transport_requests import LIST_QUEUES, SHOW_PROTECTION

    ask = context.surroundings.ask
    try:
        states = LIST_QUEUES.ask(ask, Nothing()).states
        shadows = SHOW_PROTECTION.ask(ask, Nothing()).queues
    except Unavailable as error:
        context.warnings.append(
            f"{error.text}; this is what the queue database holds, by the way it would go now"
        )
        return _from_database(context)
    return QueueList(
        message_count=sum(each.message_count for each in states),
        live=True,
        queues=[_row(each) for each in states],
        shadow_queues=[shadow_queue_row(each) for each in shadows],
    )


def _row(state: QueueState) -> QueueRow:
    return QueueRow(
        queue=state.key,
        delivery_type=state.delivery_type,
        status=state.status,
        message_count=state.message_count,
        connection_count=state.connection_count,
        oldest_s=state.oldest_s,
        next_try_s=state.next_try_s,
        last_error=state.last_error,
    )


def _from_database(context: Context) -> QueueList:
    """What waits, by next hop as the organisation of now leads there."""
    from holdfast.drivers.queue_reader import read_queue
    from holdfast.transport.queue_report import stored_queues
    from holdfast.transport.route import Router

    routes = Router(context.organisation, context.surroundings.server_name)
    found = stored_queues(routes, read_queue(context.surroundings.home))
    return QueueList(
        message_count=sum(each.message_count for each in found),
        live=False,
        queues=[
            QueueRow(
                queue=each.key,
                delivery_type=each.delivery_type,
                status=NOT_RUNNING,
                message_count=each.message_count,
                connection_count=0,
                oldest_s=max(0.0, context.now - each.oldest_at),
                next_try_s=None,
                last_error="",
            )
            for each in found
        ],
        shadow_queues=stored_shadow_queues(context),
    )


def _show(context: Context, arguments: Arguments) -> QueueShown:
    from holdfast.drivers.transport_requests import SHOW_MESSAGE, SHOW_QUEUE, Name
    from holdfast.node.administration import QueueTarget

    ask = context.surroundings.ask
    name = arguments.optional_text("message")
    if name is not None:
        if arguments.given("queue"):
            raise Refusal("name a queue or a message, not both")
        return _shown_message(SHOW_MESSAGE.ask(ask, Name(name)))
    key, limit = _key(arguments), arguments.count("limit")
    shown = SHOW_QUEUE.ask(ask, QueueTarget(key, count_max=limit))
    state = shown.state
    if state.message_count > len(shown.messages):
        context.warnings.append(
            f"{state.message_count} messages wait, the first {len(shown.messages)} are shown; raise --limit"
        )
    return QueueShown(
        queue=state.key,
        delivery_type=state.delivery_type,
        domain=state.domain,
        connector=state.connector,
        status=state.status,
        message_count=state.message_count,
        connection_count=state.connection_count,
        next_try_s=state.next_try_s,
        last_error=state.last_error,
        messages=[row for each in shown.messages for row in _waiting_rows(each)],
        hosts=_hosts(context, state),
    )


def _hosts(context: Context, state: QueueState) -> list[HostRow]:
    """How the hosts of a next hop are; none for queues that have no next hop."""
    from holdfast.drivers.transport_requests import DESCRIBE_HOP, Hop
    from holdfast.transport.queue import DeliveryType

    kind = DeliveryType(state.delivery_type)
    if kind not in (DeliveryType.DNS, DeliveryType.SMART_HOST, DeliveryType.SERVER):
        return []
    asked = Hop(kind, state.domain, state.connector, HOSTS_WAIT_S)
    hop = DESCRIBE_HOP.ask(context.surroundings.ask, asked).hop
    return hosts_of(state.key, hop)


def _shown_message(message: WaitingMessage) -> QueueShown:
    return QueueShown(
        queue="",
        delivery_type="",
        domain="",
        connector="",
        status="poison" if message.poison else "held" if message.held else "waiting",
        message_count=1,
        connection_count=0,
        next_try_s=None,
        last_error=f"redirected to {message.redirect}" if message.redirect else "",
        messages=_waiting_rows(message),
        hosts=[],
    )


def _waiting_rows(message: WaitingMessage) -> list[WaitingRow]:
    return [
        WaitingRow(
            number=message.number,
            queue=part.queue,
            state=part.state,
            sender=message.sender,
            recipients=list(part.recipients),
            size_bytes=message.size_bytes,
            waiting_s=message.waiting_s,
            failure_count=part.failure_count,
            next_try_s=part.next_try_s,
            last_error=part.last_error,
            subject=message.subject,
            network_message_id=message.network_message_id,
        )
        for part in message.parts
    ]


# --- doing ---------------------------------------------------------------------------------------


def _key(arguments: Arguments) -> str:
    key = arguments.optional_text("queue")
    if not key:
        raise Refusal("name a queue (holdfast queue list shows them) or a message (--message NUMBER)")
    if key.lower().startswith(f"{DELIVERY_TYPE}:"):
        raise Refusal(
            f'"{key}" holds copies of messages that another server answers for: look at them there; see '
            "holdfast message protection"
        )
    return key


def _target(context: Context, arguments: Arguments) -> QueueTarget:
    """What the verb is about: a queue, or the messages that are named."""
    from holdfast.drivers.transport_requests import FIND_MESSAGES, Names
    from holdfast.node.administration import QueueTarget

    names = arguments.texts("message")
    if not names:
        return QueueTarget(_key(arguments), count_max=STEP_COUNT)
    if arguments.given("queue"):
        raise Refusal("name a queue or messages, not both")
    return QueueTarget(numbers=FIND_MESSAGES.ask(context.surroundings.ask, Names(names)).numbers)


def _hold(context: Context, arguments: Arguments) -> QueueDone:
    from holdfast.drivers.transport_requests import HOLD

    return _done("held", HOLD.ask(context.surroundings.ask, _target(context, arguments)))


def _release(context: Context, arguments: Arguments) -> QueueDone:
    from holdfast.drivers.transport_requests import RELEASE

    return _done("released", RELEASE.ask(context.surroundings.ask, _target(context, arguments)))


def _retry(context: Context, arguments: Arguments) -> QueueDone:
    from holdfast.drivers.transport_requests import RETRY
    from holdfast.node.administration import QueueTarget

    return _done("tried again", RETRY.ask(context.surroundings.ask, QueueTarget(_key(arguments))))


def _remove(context: Context, arguments: Arguments) -> QueueDone:
    from holdfast.drivers.transport_requests import REMOVE, Remove

    target = _target(context, arguments)
    with_bounce = not arguments.flag("no-bounce")
    if not arguments.flag("yes"):
        count = _count(context, target)
        told = "their senders get a bounce" if with_bounce else "nobody is told"
        problem = Problem(
            target.key or "messages",
            f"{count} {'message' if count == 1 else 'messages'} would be given up for good; {told}",
            "add --yes to do it; holdfast message export keeps a copy of one",
        )
        raise Refusal("nothing was removed: add --yes", problems=(problem,))
    ask = context.surroundings.ask
    return _done(
        "removed with a bounce" if with_bounce else "removed",
        _in_steps(context, target, lambda some: REMOVE.ask(ask, Remove(some, with_bounce))),
    )


def _redirect(context: Context, arguments: Arguments) -> QueueDone:
    from holdfast.drivers.transport_requests import REDIRECT, Redirect

    target = _target(context, arguments)
    host = "" if arguments.flag("undo") else _host(arguments.optional_text("to"))
    if host:
        _check_not_ourselves(context, host)
    ask = context.surroundings.ask
    done = _in_steps(context, target, lambda some: REDIRECT.ask(ask, Redirect(some, host)))
    return _done(f"redirected to {host}" if host else "no longer redirected", done)


def _host(text: str | None) -> str:
    """A host name or an address literal, with ``:port`` where it is not 25, as routing takes it.

    Raises:
        Refusal: it is neither.
    """
    from ipaddress import ip_address

    from holdfast.kernel.address import parse_domain

    if not text:
        raise Refusal("name the host: --to HOST; or --undo to let the messages go their own way again")
    match = _HOST_AND_PORT.fullmatch(text)
    host, port = (match["literal"] or match["name"], match["port"]) if match is not None else (text, None)
    if port is not None and not 0 < int(port) < 65_536:
        raise Refusal(f'"{port}" is not a port; write host:port with a port from 1 to 65535')
    suffix = f":{port}" if port is not None and int(port) != 25 else ""
    try:
        return f"[{ip_address(host)}]{suffix}"
    except ValueError:
        try:
            return parse_domain(host) + suffix
        except Refusal as refusal:
            problem = refusal.text
    raise Refusal(
        f'"{text}" is no host ({problem}); write a name, an IP address, host:port or [address]:port'
    )


def _check_not_ourselves(context: Context, host: str) -> None:
    """Refuse a host at which this very server takes mail: all of it would come back, again and again."""
    from holdfast.transport.own_servers import own_door

    match = _HOST_AND_PORT.fullmatch(host)
    server = context.organisation.own_server(context.surroundings.server_name)
    if match is None or server is None:
        return
    name, port = match["literal"] or match["name"], int(match["port"] or 25)
    door = own_door(context.organisation, server, name, port)
    if door:
        raise Refusal(
            f'"{host}" is this server itself (receive connector "{door}" listens there): the messages would '
            "come back; name another host"
        )


def _ask_queue(context: Context, key: str) -> ShownQueue:
    from holdfast.drivers.transport_requests import SHOW_QUEUE
    from holdfast.node.administration import QueueTarget

    return SHOW_QUEUE.ask(context.surroundings.ask, QueueTarget(key, count_max=0))


def _count(context: Context, target: QueueTarget) -> int:
    return len(target.numbers) or _ask_queue(context, target.key).state.message_count


def _in_steps(context: Context, target: QueueTarget, step: Callable[[QueueTarget], Done]) -> Done:
    """Work off what waits in a queue now, some messages at a time; those that are named go in one step."""
    from holdfast.transport.queue_operations import Done

    if target.numbers:
        return step(target)
    shown = _ask_queue(context, target.key)
    total = shown.state.message_count
    # What comes meanwhile is not meant, and there may be no end of it: what we do may bring it back to us.
    present = replace(target, number_below=shown.next_number)
    done_count = 0
    while True:
        done = step(present)
        done_count += done.message_count
        context.progress(min(done_count, total), total, f"{done_count} of {total} messages")
        if not done.message_count:
            left = _count(context, target)  # with what came meanwhile
            return Done(done_count, busy_count=min(left, max(0, total - done_count)))


def _done(word: str, done: Done) -> QueueDone:
    return QueueDone(done=word, message_count=done.message_count, busy_message_count=done.busy_count)


# --- back pressure -------------------------------------------------------------------------------


def _pressure(context: Context, arguments: Arguments) -> PressureShown:
    from holdfast.drivers.role_requests import Nothing
    from holdfast.drivers.transport_requests import SHOW_PRESSURE
    from holdfast.transport.back_pressure import unit_of

    state = SHOW_PRESSURE.ask(context.surroundings.ask, Nothing())
    return PressureShown(
        level=state.pressure.level.word,
        effects=effects(state.pressure),
        resources=[
            ResourceRow(
                resource=each.threshold.resource.value,
                level=each.level.word,
                value=None if each.value is None else round(each.value, 1),
                unit=unit_of(each.threshold.resource).strip(),
                for_s=max(0.0, span_s),
                medium=round(each.threshold.medium, 1),
                high=round(each.threshold.high, 1),
                high_to_medium=round(each.threshold.high_to_medium, 1),
                medium_to_low=round(each.threshold.medium_to_low, 1),
                refuses="yes" if each.refuses else _not_yet(each.pressed_count, each.threshold.history_count),
            )
            for each, span_s in zip(state.resources, state.level_spans_s, strict=True)
        ],
    )


def _not_yet(pressed_count: int, history_count: int) -> str:
    return f"after {history_count - pressed_count} looks more" if 0 < pressed_count < history_count else "no"


def effects(pressure: Pressure) -> list[str]:
    """What back pressure does now, in words; one line that says so when it does nothing."""
    found = []
    reason = f": {pressure.reason}" if pressure.reason else ""
    if pressure.refuse_all:
        found.append(f"mail from everybody is put off (452 4.3.1){reason}")
    elif pressure.refuse_outside:
        found.append(f"mail from outside is put off (452 4.3.1){reason}")
    if pressure.delay_s:
        found.append(f"each message is answered {pressure.delay_s:g} s later")
    if pressure.outbound_stopped:
        found.append("nothing is sent to next hops")
    if pressure.resubmits_paused:
        found.append("nothing is routed anew by itself")
    if pressure.shadows_refused:
        found.append("no shadow copies are taken")
    return found or ["none"]


_QUEUE = Argument(
    "queue", Kind.TEXT, "the queue, as queue list shows it", positional=True, completes="queue.queues.queue"
)
_NEEDED_QUEUE = Argument(
    "queue",
    Kind.TEXT,
    "the queue, as queue list shows it",
    required=True,
    positional=True,
    completes="queue.queues.queue",
)
_MESSAGES = Argument(
    "message", Kind.TEXT, "a message instead of a queue: its number or network message id", many=True
)

VERBS = (
    Verb(
        "queue",
        "list",
        "List the queues: one per next hop, with what it does, when it is tried next and why it waits.",
        "holdfast queue list",
        QueueList,
        detail="A message with recipients in two queues counts in both. Shadow queues hold copies of "
        "messages that other servers answer for. Without the transport role the queue database is read.",
        perform=_list,
    ),
    Verb(
        "queue",
        "show",
        "Show what waits in one queue, or where the parts of one message wait, with the last errors.",
        "holdfast queue show mailbox:DB01",
        QueueShown,
        (
            _QUEUE,
            Argument("message", Kind.TEXT, "a message instead: its number or network message id"),
            Argument("limit", Kind.COUNT, "how many at most", default=1000),
        ),
        perform=_show,
    ),
    Verb(
        "queue",
        "hold",
        "Stop a queue, or messages: nothing is sent until they are released, also after a restart.",
        "holdfast queue hold mailbox:DB01",
        QueueDone,
        (_QUEUE, _MESSAGES),
        detail="New messages still go into a queue that is held. What is held never expires by itself. "
        "dns:DOMAIN can be held before there is mail to that domain.",
        perform=_hold,
    ),
    Verb(
        "queue",
        "release",
        "Let a queue, or messages, go on that were held; also messages of the poison queue.",
        "holdfast queue release mailbox:DB01",
        QueueDone,
        (_QUEUE, _MESSAGES),
        perform=_release,
    ),
    Verb(
        "queue",
        "retry",
        "Try a queue at once instead of waiting for its next try.",
        "holdfast queue retry unreachable",
        QueueDone,
        (_NEEDED_QUEUE,),
        detail="Of the queue unreachable every message is routed anew.",
        perform=_retry,
    ),
    Verb(
        "queue",
        "remove",
        "Give up messages, or all of a queue, for good; their senders get a bounce.",
        "holdfast queue remove --message 17 --yes",
        QueueDone,
        (
            _QUEUE,
            _MESSAGES,
            Argument("no-bounce", Kind.FLAG, "tell nobody; the ledger counts them as dropped"),
            Argument("yes", Kind.FLAG, "do it; without it only their count is shown"),
        ),
        detail="Of a message all parts are removed, of a queue what waits in it. What is being sent stays.",
        perform=_remove,
    ),
    Verb(
        "queue",
        "redirect",
        "Send messages, or all of a queue, to another host.",
        "holdfast queue redirect dns:example.org --to mail2.example.org",
        QueueDone,
        (
            _QUEUE,
            _MESSAGES,
            Argument("to", Kind.TEXT, "the host: a name or an IP address; host:port, [address]:port"),
            Argument("undo", Kind.FLAG, "let them go their own way again"),
        ),
        detail="It holds for the messages that wait now, not for those to come. TLS that is required of "
        "their own way (tls require, or the send connector) is required of that host, too.",
        perform=_redirect,
    ),
    Verb(
        "pressure",
        "show",
        "Show back pressure: which resources are short, their marks, and what is done about it.",
        "holdfast pressure show",
        PressureShown,
        detail="Marks are changed by: holdfast threshold set.",
        perform=_pressure,
    ),
)
