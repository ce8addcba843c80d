"""Bring queued messages to the mailbox databases: in batches, again when they fail, not for ever.

Each mailbox database has a lane with the parts of messages that wait for it.
Up to ``BATCHES_IN_FLIGHT_MAX`` requests are under way per lane. A lane whose
database went away waits for it; one whose database refuses waits longer each
time. What was sent and not answered is sent again: the store recognises a
message by its network message id, so a second try never makes a second copy.

Message data stays in memory only while its lane moves; else a database that is
down would fill the memory that the others need.

Source: exchange-behaviour QU-1, QU-3, QT-3; RFC 5321 section 4.4 for Return-Path.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field

from holdfast.directory.model import DistributionGroup, Mailbox
from holdfast.kernel.backoff import Backoff
from holdfast.kernel.events import LogEvent, happened
from holdfast.transport import events
from holdfast.transport.categorize import Categorizer
from holdfast.transport.queue import Entry, Failure, Queue, QueuedMessage, RecipientOutcome
from holdfast.transport.tracking import EventId, LineDetails, MessageFacts, TrackingWriter
from holdfast.wire import store
from holdfast.wire.headers import delivered_to_header, return_path_header

BATCH_MESSAGE_COUNT_MAX = 256
BATCH_BYTES_MAX = 4 << 20  # a larger message travels alone
BATCHES_IN_FLIGHT_MAX = 4
EXPIRY_S = 2 * 86400.0  # exchange-behaviour QU-3
# A server that was off for days tries once more before it gives up.
EXPIRY_GRACE_S = 600.0
EXPIRY_CHECK_S = 60.0
LANE_RETRY = Backoff(first_s=2.0, longest_s=300.0)  # exchange-behaviour QU-1: mailbox delivery every 5 min
READ_RETRY = Backoff(first_s=1.0, longest_s=60.0)


def facts_of(message: QueuedMessage) -> MessageFacts:
    """What tracking lines say about a message."""
    return MessageFacts(
        message.number,
        message.message_id,
        message.network_message_id,
        message.size_bytes,
        message.subject,
        message.reverse_path,
    )


@dataclass(slots=True, eq=False)
class Part:
    """What one mailbox database gets of one message.

    Attributes:
        targets: mailbox and the recipients that lead to it, the first of them
            being the one it is delivered to.
        cancelled: it expired while it waited.
    """

    entry: Entry
    lane: Lane
    targets: dict[str, tuple[Mailbox, list[str]]]
    cancelled: bool = False

    @property
    def recipients(self) -> tuple[str, ...]:
        """All recipients that this part serves."""
        return tuple(recipient for _, recipients in self.targets.values() for recipient in recipients)


@dataclass(slots=True, eq=False)
class Lane:
    """What waits for one mailbox database."""

    database: str
    connected: bool = False
    waiting: deque[Part] = field(default_factory=deque)
    in_flight: dict[int, list[Part]] = field(default_factory=dict)
    not_before: float = 0.0
    failure_count: int = 0

    def moving(self, now: float) -> bool:
        """Whether it may send now."""
        return self.connected and now >= self.not_before


class Delivery:
    """Delivers one server's queue.

    What is to be done piles up in ``calls`` (database, number, request),
    ``reads`` (numbers of messages to be read), ``tracks`` (lines), ``logs`` and
    ``touched`` (messages with new outcomes); the caller takes them.
    """

    def __init__(
        self,
        queue: Queue,
        categorizer: Categorizer,
        tracking: TrackingWriter,
        luck: random.Random,
        *,
        expiry_s: float = EXPIRY_S,
    ) -> None:
        self._queue = queue
        self._categorizer = categorizer
        self._tracking = tracking
        self._luck = luck
        self._expiry_s = expiry_s
        self._lanes: dict[str, Lane] = {}
        self._batches: dict[int, Lane] = {}
        self._last_call = 0
        self._reading: dict[int, list[Part]] = {}
        self._reading_bytes = 0
        self._read_failure_count = 0
        # Parts that wait for an instant of their own: (instant, tie-breaker, part).
        self._deferred: list[tuple[float, int, Part]] = []
        self._deferred_count = 0
        self._expiry_check_at = 0.0
        self.calls: list[tuple[str, int, store.Deliver]] = []
        self.reads: list[int] = []
        self.tracks: list[str] = []
        self.logs: list[LogEvent] = []
        self.touched: list[Entry] = []

    def started(self, now: float) -> None:
        """Route everything that was found in the queue."""
        self._expiry_check_at = now + EXPIRY_GRACE_S
        for entry in list(self._queue):
            self.route(now, entry, entry.remaining)

    # --- where to -----------------------------------------------------------------------------

    def route(self, now: float, entry: Entry, recipients: tuple[str, ...], *, front: bool = False) -> None:
        """Give recipients of a durable message to their lanes, or settle those that lead nowhere."""
        parts: dict[str, Part] = {}
        groups: list[tuple[str, DistributionGroup]] = []
        for recipient in recipients:
            target = self._categorizer.target(recipient)
            if isinstance(target, Mailbox):
                part = parts.get(target.database)
                if part is None:
                    part = parts[target.database] = Part(entry, self._lane(target.database), {})
                known = part.targets.get(target.mailbox_id)
                if known is None:
                    part.targets[target.mailbox_id] = (target, [recipient])
                else:
                    known[1].append(recipient)
            elif isinstance(target, DistributionGroup):
                groups.append((recipient, target))
            else:
                self._fail(now, entry, (recipient,), target)
        if groups:
            self._expand(now, entry, groups, present=recipients)
        for part in parts.values():
            entry.part_count += 1
            if front:
                part.lane.waiting.appendleft(part)
            else:
                part.lane.waiting.append(part)
            if not part.lane.connected:
                self._queue.forget_data(entry)

    def _lane(self, database: str) -> Lane:
        lane = self._lanes.get(database)
        if lane is None:
            lane = self._lanes[database] = Lane(database)
        return lane

    def _expand(
        self,
        now: float,
        entry: Entry,
        groups: list[tuple[str, DistributionGroup]],
        *,
        present: tuple[str, ...],
    ) -> None:
        facts = facts_of(entry.message)
        for recipient, group in groups:
            members = self._categorizer.expand(group, present)
            if members or group.members:
                details = LineDetails(related_recipients=(recipient,))
                line = self._tracking.line(now, EventId.EXPAND, "ROUTING", facts, members, details)
            else:
                details = LineDetails(custom_data="the group has no members")
                line = self._tracking.line(now, EventId.DROP, "ROUTING", facts, (recipient,), details)
            present += members
            self._settle(entry, RecipientOutcome((recipient,), line, members))

    def _fail(self, now: float, entry: Entry, recipients: tuple[str, ...], failure: Failure) -> None:
        details = LineDetails(recipient_status=f"{failure.status} {failure.text}")
        facts = facts_of(entry.message)
        line = self._tracking.line(now, EventId.FAIL, "STOREDRIVER", facts, recipients, details)
        self._settle(entry, RecipientOutcome(recipients, line, failure=failure))
        for recipient in recipients:
            self.logs.append(
                happened(
                    events.RECIPIENT_FAILED,
                    network_message_id=entry.message.network_message_id,
                    recipient=recipient,
                    status=failure.status,
                    reason=failure.text,
                )
            )

    def _settle(self, entry: Entry, outcome: RecipientOutcome) -> None:
        entry.outcomes.append(outcome)
        self.touched.append(entry)

    # --- sending ------------------------------------------------------------------------------

    def dispatch(self, now: float) -> None:
        """Send what may be sent."""
        for lane in self._lanes.values():
            if lane.waiting and lane.moving(now):
                while lane.waiting and len(lane.in_flight) < BATCHES_IN_FLIGHT_MAX:
                    parts = self._take_batch(lane)
                    if not parts:
                        break
                    self._send(lane, parts)

    def _take_batch(self, lane: Lane) -> list[Part]:
        parts: list[Part] = []
        size_bytes = 0
        waiting = lane.waiting
        while waiting and len(parts) < BATCH_MESSAGE_COUNT_MAX:
            part = waiting[0]
            message = part.entry.message
            if part.cancelled:
                waiting.popleft()
                continue
            if message.data is None:
                if not self._begin_read(part):
                    break
                waiting.popleft()
                continue
            size_bytes += message.size_bytes
            if parts and (size_bytes > BATCH_BYTES_MAX or part.entry.alone):
                break
            parts.append(waiting.popleft())
            if part.entry.alone:
                break
        return parts

    def _send(self, lane: Lane, parts: list[Part]) -> None:
        self._last_call += 1
        lane.in_flight[self._last_call] = parts
        self._batches[self._last_call] = lane
        deliveries = [self._delivery(part) for part in parts]
        self.calls.append((lane.database, self._last_call, store.Deliver(deliveries)))

    def _delivery(self, part: Part) -> store.Delivery:
        message = part.entry.message
        assert message.data is not None
        return_path = return_path_header(message.reverse_path)
        quota_bytes = self._categorizer.organisation.quota_bytes
        targets = [
            store.Target(
                mailbox.mailbox_id, return_path + delivered_to_header(recipients[0]), quota_bytes(mailbox)
            )
            for mailbox, recipients in part.targets.values()
        ]
        return store.Delivery(message.network_message_id, message.data, message.received_at, targets)

    # --- data that is on disk only -------------------------------------------------------------

    def _begin_read(self, part: Part) -> bool:
        message = part.entry.message
        readers = self._reading.get(message.number)
        if readers is not None:
            readers.append(part)
            return True
        if not self._queue.room_for(self._reading_bytes + message.size_bytes) or (
            self._reading_bytes and self._queue.memory_bytes == 0
        ):
            return False
        self._reading[message.number] = [part]
        self._reading_bytes += message.size_bytes
        self.reads.append(message.number)
        return True

    def data_read(self, now: float, number: int, data: bytes | None) -> None:
        """Take the data of a queued message from disk; None: try again later."""
        parts = self._reading.pop(number, [])
        if not parts:
            return
        entry = parts[0].entry
        self._reading_bytes -= entry.message.size_bytes
        if data is not None:
            self._read_failure_count = 0
            self._queue.data_read(entry, data)
            for part in reversed(parts):
                part.lane.waiting.appendleft(part)
            if not any(part.lane.connected for part in parts):
                self._queue.forget_data(entry)
            return
        self._read_failure_count += 1
        wait_s = READ_RETRY.wait_s(self._read_failure_count, self._luck)
        self.logs.append(
            happened(
                events.MESSAGE_UNREADABLE,
                network_message_id=entry.message.network_message_id,
                wait_s=round(wait_s, 1),
            )
        )
        for part in parts:
            self._defer_part(now + wait_s, part)

    def _defer_part(self, at: float, part: Part) -> None:
        self._deferred_count += 1
        heapq.heappush(self._deferred, (at, self._deferred_count, part))

    # --- the mailbox databases -----------------------------------------------------------------

    def store_connected(self, database: str) -> None:
        """A mailbox database can be asked (again), and at once."""
        lane = self._lane(database)
        lane.connected = True
        lane.not_before = 0.0
        lane.failure_count = 0

    def store_lost(self, now: float, database: str) -> None:
        """A mailbox database went away: what it did not answer will be sent again."""
        lane = self._lane(database)
        was_connected, lane.connected = lane.connected, False
        for number in list(lane.in_flight):
            self._take_back(now, lane, number)
        for part in lane.waiting:
            self._queue.forget_data(part.entry)
        if was_connected:
            self.logs.append(happened(events.STORE_LOST, database=database, message_count=len(lane.waiting)))

    def _take_back(self, now: float, lane: Lane, number: int) -> list[Part]:
        """End a request without an answer; its parts wait in front again, by today's organisation."""
        parts = lane.in_flight.pop(number)
        del self._batches[number]
        for part in reversed(parts):
            self._requeue(now, part)
        return parts

    def _requeue(self, now: float, part: Part) -> None:
        part.entry.part_count -= 1
        self.route(now, part.entry, part.recipients, front=True)

    def answered(self, now: float, number: int, answer: store.Answer) -> None:
        """Take a database's answer; one to a request that is void already says nothing new."""
        lane = self._batches.get(number)
        if lane is None:
            return
        parts = lane.in_flight[number]
        if isinstance(answer, store.Delivered) and _fits(answer, parts):
            del lane.in_flight[number], self._batches[number]
            lane.failure_count = 0
            for part, outcomes in zip(parts, answer.outcomes, strict=True):
                self._part_done(now, part, outcomes)
            return
        if isinstance(answer, store.Refused):
            self._refused(now, lane, number, answer)
            return
        text = "its answer does not fit the question"
        self._refused(now, lane, number, store.Refused(store.RefusalReason.CANNOT, text))

    def _part_done(self, now: float, part: Part, outcomes: list[store.Outcome]) -> None:
        entry = part.entry
        entry.part_count -= 1
        entry.failure_count = 0
        if entry.part_count:
            self._queue.forget_data(entry)  # another database may be down for long
        delivered: list[str] = []
        duplicate: list[str] = []
        over_quota: list[str] = []
        for (_, recipients), outcome in zip(part.targets.values(), outcomes, strict=True):
            if outcome is store.Outcome.OVER_QUOTA:
                over_quota += recipients
            else:
                first = delivered if outcome is store.Outcome.DELIVERED else duplicate
                first.append(recipients[0])
                duplicate += recipients[1:]
        facts = facts_of(entry.message)
        for event_id, served in ((EventId.DELIVER, delivered), (EventId.DUPLICATEDELIVER, duplicate)):
            if served:
                line = self._tracking.line(now, event_id, "STOREDRIVER", facts, tuple(served))
                self._settle(entry, RecipientOutcome(tuple(served), line))
        if over_quota:
            self._fail(now, entry, tuple(over_quota), Failure("5.2.2", "the mailbox is full"))

    def _refused(self, now: float, lane: Lane, number: int, answer: store.Refused) -> None:
        """Try later: the whole lane when the database cannot now, else only the message it is about."""
        parts = lane.in_flight[number]
        self._track_defer(now, parts, answer.text)
        if answer.reason is not store.RefusalReason.UNAVAILABLE and len(parts) > 1:
            # One message of the batch may be what it does not take: find out which, the others go on.
            for part in parts:
                part.entry.alone = True
            self._take_back(now, lane, number)
            return
        if answer.reason is not store.RefusalReason.UNAVAILABLE:
            del lane.in_flight[number], self._batches[number]
            entry = parts[0].entry
            entry.failure_count += 1
            wait_s = LANE_RETRY.wait_s(entry.failure_count, self._luck)
            self._queue.forget_data(entry)
            self._defer_part(now + wait_s, parts[0])
        else:
            if now >= lane.not_before:  # else the requests that were under way failed together
                lane.failure_count += 1
                lane.not_before = now + LANE_RETRY.wait_s(lane.failure_count, self._luck)
            wait_s = lane.not_before - now
            self._take_back(now, lane, number)
            for part in lane.waiting:
                self._queue.forget_data(part.entry)
        self.logs.append(
            happened(
                events.DELIVERY_REFUSED,
                database=lane.database,
                message_count=len(parts),
                reason=answer.text,
                wait_s=round(wait_s, 1),
            )
        )

    def _track_defer(self, now: float, parts: list[Part], reason: str) -> None:
        details = LineDetails(recipient_status="4.3.2", custom_data=reason)
        for part in parts:
            if not part.entry.deferred:
                part.entry.deferred = True
                facts = facts_of(part.entry.message)
                self.tracks.append(
                    self._tracking.line(now, EventId.DEFER, "STOREDRIVER", facts, part.recipients, details)
                )

    # --- time and change ------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called."""
        instants = [
            lane.not_before
            for lane in self._lanes.values()
            if lane.waiting and lane.connected and lane.not_before
        ]
        if self._deferred:
            instants.append(self._deferred[0][0])
        oldest = next(iter(self._queue), None)
        if oldest is not None:
            instants.append(max(self._expiry_check_at, oldest.queued_at + self._expiry_s))
        return min(instants, default=None)

    def timer(self, now: float) -> None:
        """Do what is due; ``dispatch`` sends it."""
        for lane in self._lanes.values():
            if lane.not_before and now >= lane.not_before:
                lane.not_before = 0.0
        while self._deferred and self._deferred[0][0] <= now:
            part = heapq.heappop(self._deferred)[2]
            if not part.cancelled:
                self._requeue(now, part)
        if now >= self._expiry_check_at:
            self._expire(now)

    def _expire(self, now: float) -> None:
        """Give up what waits too long where nothing moves; the queue is in the order of arrival."""
        self._expiry_check_at = now + EXPIRY_CHECK_S
        oldest = next(iter(self._queue), None)
        if oldest is None or oldest.queued_at + self._expiry_s > now:
            return
        stuck = [part for lane in self._lanes.values() if not lane.moving(now) for part in lane.waiting]
        stuck += [part for _, _, part in self._deferred]
        failure = Failure("4.4.7", "the mailbox could not be reached for too long")
        for part in stuck:
            if not part.cancelled and part.entry.queued_at + self._expiry_s <= now:
                part.cancelled = True
                part.entry.part_count -= 1
                self._fail(now, part.entry, part.recipients, failure)
        for lane in self._lanes.values():
            if any(part.cancelled for part in lane.waiting):
                lane.waiting = deque(part for part in lane.waiting if not part.cancelled)

    def organisation_changed(self, now: float, categorizer: Categorizer) -> None:
        """Route anew what waits; what is at a database already is not called back."""
        self._categorizer = categorizer
        for lane in list(self._lanes.values()):
            waiting, lane.waiting = lane.waiting, deque()
            for part in waiting:
                if not part.cancelled:
                    part.entry.part_count -= 1
                    self.route(now, part.entry, part.recipients)

    @property
    def in_flight_count(self) -> int:
        """How many requests wait for an answer of a database."""
        return len(self._batches)


def _fits(answer: store.Delivered, parts: list[Part]) -> bool:
    return len(answer.outcomes) == len(parts) and all(
        len(outcomes) == len(part.targets) for outcomes, part in zip(answer.outcomes, parts, strict=True)
    )
