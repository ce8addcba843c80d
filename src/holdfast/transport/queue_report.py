"""What the administrator sees of the queues: one row per queue, and each message with its parts.

Reads, never changes. Spans of time are relative to ``now``, so that neither the
steady nor the wall clock shows.

Source: exchange-behaviour QU-4, RT-11.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from holdfast.directory.model import Mailbox
from holdfast.transport.delivery import Delivery, Routes, why_it_waits
from holdfast.transport.mailbox_lanes import MailboxLane
from holdfast.transport.outbound_queue import OutboundQueue, QueueStatus
from holdfast.transport.queue import (
    DeliveryType,
    Entry,
    Lane,
    NextHopKey,
    Part,
    PartState,
    Queue,
    QueuedMessage,
)
from holdfast.transport.redirects import host_for, in_words
from holdfast.transport.route import Unreachable

SHELF_WORDS = {
    DeliveryType.UNREACHABLE: QueueStatus.RETRY,
    DeliveryType.HELD: QueueStatus.SUSPENDED,
    DeliveryType.POISON: QueueStatus.SUSPENDED,
}


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue.

    Attributes:
        key: as people type it.
        delivery_type: how its next hop is reached.
        domain: where to: database, site, domain or smart hosts.
        connector: the send connector; empty where none is involved.
        status: ready, active, retry or suspended.
        message_count: parts of messages in it; a message with recipients in two queues is in both.
        next_try_s: seconds until it is tried again, where its messages were put off one by one until the
            first of them is; None when it may send now, or waits for somebody.
        last_error: for people; empty when nothing has failed.
        connection_count: that stand or are being opened.
        oldest_s: how long the oldest message in it waits, in seconds; None for an empty queue.
    """

    key: str
    delivery_type: str
    domain: str
    connector: str
    status: str
    message_count: int
    next_try_s: float | None
    last_error: str
    connection_count: int
    oldest_s: float | None


@dataclass(frozen=True, slots=True)
class WaitingPart:
    """What of one message waits in one queue.

    Attributes:
        failure_count: failures in a row, of the message or of its queue.
        state: waiting, reading, deferred, at work; held and poison in the queues of these names.
        next_try_s: seconds until it is tried again; None when that is the queue's matter.
    """

    queue: str
    state: str
    recipients: tuple[str, ...]
    failure_count: int
    next_try_s: float | None
    last_error: str


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """One message with the parts that are asked for.

    Attributes:
        message_id: the Message-ID header.
        redirect: the hosts that an administrator sent it to, for people; empty for none.
        waiting_s: since it was accepted.
    """

    number: int
    network_message_id: str
    message_id: str
    sender: str
    subject: str
    size_bytes: int
    waiting_s: float
    held: bool
    poison: bool
    redirect: str
    parts: tuple[WaitingPart, ...]


def queue_states(
    now: float, delivery: Delivery, queue: Queue, *, with_empty_shelves: bool = False
) -> list[QueueState]:
    """Tell of every queue that there is, in the order of ``DeliveryType``, then by name.

    The shelves (unreachable, held, poison) are left out while nothing is in them. A queue that is held is
    told of in any case: what comes for it would wait without a word.
    """
    oldest = _oldest(delivery, queue)
    put_off = _put_off(delivery)
    states = [
        _state(now, lane, oldest.get(id(lane)), put_off.get(id(lane), NOTHING_PUT_OFF))
        for lane in delivery.lanes()
        if lane.part_count or with_empty_shelves or lane.key.delivery_type not in SHELF_WORDS
    ]
    known = {each.key for each in states}
    states += [_held_and_empty(key) for key in delivery.held_queues if key not in known]
    order = [each.value for each in DeliveryType]
    return sorted(states, key=lambda each: (order.index(each.delivery_type), each.key))


def _held_and_empty(key: str) -> QueueState:
    """A queue that was held before a restart, and for which nothing has come since."""
    kind, _, name = key.partition(":")
    return QueueState(key, kind, name, "", QueueStatus.SUSPENDED.value, 0, None, "", 0, None)


class PutOff(NamedTuple):
    """Messages of one queue that wait one by one: how many, when the next is tried, what was said last."""

    part_count: int
    next_at: float
    last_at: float
    last_error: str


NOTHING_PUT_OFF = PutOff(0, math.inf, -math.inf, "")


def _put_off(delivery: Delivery) -> dict[int, PutOff]:
    """By the identity of the lane."""
    found: dict[int, PutOff] = {}
    for at, part in delivery.deferred_parts():
        known = found.get(id(part.lane), NOTHING_PUT_OFF)
        later = at >= known.last_at and part.failure is not None
        found[id(part.lane)] = PutOff(
            known.part_count + 1,
            min(known.next_at, at),
            max(known.last_at, at),
            part.failure.text if later and part.failure is not None else known.last_error,
        )
    return found


def _state(now: float, lane: Lane, oldest: Entry | None, put_off: PutOff) -> QueueState:
    key = lane.key
    status = status_of(now, lane)
    next_at = lane.not_before
    if put_off.part_count == lane.part_count > 0 and status in (QueueStatus.READY, QueueStatus.ACTIVE):
        status, next_at = QueueStatus.RETRY, put_off.next_at
    return QueueState(
        key=str(key),
        delivery_type=key.delivery_type.value,
        domain=key.domain,
        connector=key.connector,
        status=status.value,
        message_count=lane.part_count,
        next_try_s=next_at - now if status is QueueStatus.RETRY and next_at > now else None,
        last_error=_error_of(lane) or put_off.last_error,
        connection_count=_connection_count(lane),
        oldest_s=max(0.0, now - oldest.queued_at) if oldest is not None else None,
    )


def status_of(now: float, lane: Lane) -> QueueStatus:
    """What a queue is doing, in Exchange's words."""
    if isinstance(lane, OutboundQueue):
        return lane.status(now)
    if lane.held:
        return QueueStatus.SUSPENDED
    if isinstance(lane, MailboxLane):
        if not lane.moving(now):
            return QueueStatus.RETRY
        return QueueStatus.ACTIVE if lane.in_flight else QueueStatus.READY
    return SHELF_WORDS[lane.key.delivery_type]


def _error_of(lane: Lane) -> str:
    if isinstance(lane, MailboxLane) and not lane.connected:
        return lane.last_error or "the mailbox role does not answer"
    if lane.key.delivery_type is DeliveryType.UNREACHABLE:
        oldest = lane.first()
        return oldest.failure.text if oldest is not None and oldest.failure is not None else ""
    return lane.last_error


def _connection_count(lane: Lane) -> int:
    if isinstance(lane, OutboundQueue):
        return len(lane.connections)
    return int(lane.connected) if isinstance(lane, MailboxLane) else 0


def _oldest(delivery: Delivery, queue: Queue) -> dict[int, Entry]:
    """The oldest message of each queue by the identity of its lane; the queue is in the order of arrival."""
    wanted = sum(1 for lane in delivery.lanes() if lane.part_count)
    found: dict[int, Entry] = {}
    for entry in queue:
        for part in entry.parts:
            found.setdefault(id(part.lane), entry)
        if len(found) >= wanted:
            break
    return found


def find_lane(delivery: Delivery, key: str) -> Lane | None:
    """The queue of a key as people type it (any case), or None."""
    wanted = key.casefold()
    return next((lane for lane in delivery.lanes() if str(lane.key).casefold() == wanted), None)


def messages_of(
    now: float, delivery: Delivery, queue: Queue, lane: Lane, count_max: int
) -> list[WaitingMessage]:
    """The messages of one queue, the oldest first, each with its parts there."""
    found: list[tuple[Entry, tuple[Part, ...]]] = []
    left = lane.part_count
    for entry in queue:
        if len(found) == count_max or not left:
            break
        parts = tuple(part for part in entry.parts if part.lane is lane)
        if parts:
            left -= len(parts)
            found.append((entry, parts))
    return _tell(now, delivery, found)


def message_of(now: float, delivery: Delivery, entry: Entry) -> WaitingMessage:
    """One message with all its parts."""
    return _tell(now, delivery, [(entry, entry.parts)])[0]


def _tell(
    now: float, delivery: Delivery, found: list[tuple[Entry, tuple[Part, ...]]]
) -> list[WaitingMessage]:
    has_deferred = any(part.state is PartState.DEFERRED for _, parts in found for part in parts)
    tries = {id(part): at for at, part in delivery.deferred_parts()} if has_deferred else {}
    return [_message(now, entry, parts, tries) for entry, parts in found]


def _message(now: float, entry: Entry, parts: tuple[Part, ...], tries: dict[int, float]) -> WaitingMessage:
    message = entry.message
    return WaitingMessage(
        number=message.number,
        network_message_id=message.network_message_id,
        message_id=message.message_id,
        sender=message.reverse_path,
        subject=message.subject,
        size_bytes=message.size_bytes,
        waiting_s=max(0.0, now - entry.queued_at),
        held=message.marks.held,
        poison=message.marks.poison,
        redirect=in_words(message.marks.redirect),
        parts=tuple(_part(now, part, tries.get(id(part))) for part in parts),
    )


def _part(now: float, part: Part, at: float | None) -> WaitingPart:
    kind = part.lane.key.delivery_type
    shelved = kind in (DeliveryType.HELD, DeliveryType.POISON)
    why = why_it_waits(part)
    return WaitingPart(
        queue=str(part.lane.key),
        state=kind.value if shelved else part.state.name.lower().replace("_", " "),
        recipients=part.recipients,
        failure_count=max(part.entry.failure_count, part.lane.failure_count),
        next_try_s=max(0.0, at - now) if at is not None else None,
        last_error=why.text if why is not None else _error_of(part.lane),
    )


def part_counts(delivery: Delivery) -> dict[str, int]:
    """How many parts of messages wait, by delivery type; every type is there (for metrics)."""
    counts = {each.value: 0 for each in DeliveryType}
    for lane in delivery.lanes():
        counts[lane.key.delivery_type.value] += lane.part_count
    return counts


@dataclass(slots=True)
class StoredQueue:
    """What waits for one next hop, when nobody but the queue database can tell.

    Attributes:
        key: as people type it; ``submission`` for what has no next hop yet (groups, recipients that
            would fail now).
        oldest_at: when the oldest message was received, by the wall clock.
    """

    key: str
    delivery_type: str
    message_count: int
    oldest_at: float


SUBMISSION = "submission"


def stored_queues(routes: Routes, messages: Iterable[QueuedMessage]) -> list[StoredQueue]:
    """Group messages by the next hop that the organisation of now leads to.

    Args:
        routes: decides where a recipient's mail goes.
        messages: in the order of arrival.
    """
    found: dict[str, StoredQueue] = {}
    for message in messages:
        for key, delivery_type in dict(_places(routes, message)).items():
            known = found.get(key)
            if known is None:
                found[key] = StoredQueue(key, delivery_type, 1, message.received_at)
            else:
                known.message_count += 1
    return sorted(found.values(), key=lambda each: each.key)


def _places(routes: Routes, message: QueuedMessage) -> Iterator[tuple[str, str]]:
    if message.marks.held or message.marks.poison:
        kind = DeliveryType.POISON if message.marks.poison else DeliveryType.HELD
        yield kind.value, kind.value
        return
    for recipient in message.recipients:
        host = host_for(message.marks.redirect, recipient)
        target = routes.route(recipient, message.size_bytes, host)
        if isinstance(target, Mailbox):
            target = NextHopKey(DeliveryType.MAILBOX, target.database)
        if isinstance(target, Unreachable):
            target = NextHopKey(DeliveryType.UNREACHABLE, "")
        if isinstance(target, NextHopKey):
            yield str(target), target.delivery_type.value
        else:
            yield SUBMISSION, SUBMISSION
