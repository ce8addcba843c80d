"""Bring messages to the mailbox databases: in batches, and again when they fail.

Each mailbox database has a lane with the parts of messages that wait for it.
Up to ``BATCHES_IN_FLIGHT_MAX`` requests are under way per lane. A lane whose
database went away waits for it; one whose database refuses waits longer each
time. What was sent and not answered is sent again: the store recognises a
message by its network message id, so a second try never makes a second copy.

Source: exchange-behaviour QU-1, QT-3; RFC 5321 section 4.4 for Return-Path.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.directory.model import Mailbox
from holdfast.kernel.backoff import Backoff
from holdfast.kernel.events import happened
from holdfast.transport import events
from holdfast.transport.categorize import Categorizer
from holdfast.transport.outcomes import Outcomes
from holdfast.transport.queue import DeliveryType, Failure, Lane, NextHopKey, Part, PartState, Queue
from holdfast.transport.reading import Reading
from holdfast.transport.tracking import EventId
from holdfast.wire import store
from holdfast.wire.headers import delivered_to_header, return_path_header

BATCH_MESSAGE_COUNT_MAX = 256
BATCH_BYTES_MAX = 4 << 20  # a larger message travels alone
BATCHES_IN_FLIGHT_MAX = 4
LANE_RETRY = Backoff(first_s=2.0, longest_s=300.0)  # exchange-behaviour QU-1: mailbox delivery every 5 min

# What one mailbox gets: the mailbox, and the recipients that lead to it, the first being the one it is
# delivered to.
Targets = list[tuple[Mailbox, list[str]]]


@dataclass(slots=True, eq=False)
class MailboxLane(Lane):
    """What waits for one mailbox database."""

    connected: bool = False
    in_flight: dict[int, list[tuple[Part, Targets]]] = field(default_factory=dict)

    @property
    def database(self) -> str:
        """Its name."""
        return self.key.domain

    def moving(self, now: float) -> bool:
        """Whether it may send now."""
        return self.connected and not self.held and now >= self.not_before


class MailboxLanes:
    """The lanes to all mailbox databases; ``calls`` are requests: database, number, request."""

    def __init__(
        self,
        queue: Queue,
        reading: Reading,
        outcomes: Outcomes,
        luck: random.Random,
        route_again: Callable[[float, Part], None],
        later: Callable[[float, Part], None],
    ) -> None:
        """Make the lanes, none yet.

        Args:
            queue: the messages.
            reading: brings data from disk.
            outcomes: takes what became of recipients.
            luck: varies waits.
            route_again: routes a part anew, before all others.
            later: routes a part anew at an instant.
        """
        self._queue = queue
        self._reading = reading
        self._outcomes = outcomes
        self._luck = luck
        self._route_again = route_again
        self._later = later
        self.categorizer: Categorizer
        self.lanes: dict[str, MailboxLane] = {}
        self._batches: dict[int, MailboxLane] = {}
        self._last_call = 0
        self.calls: list[tuple[str, int, store.Deliver]] = []

    def lane(self, database: str) -> MailboxLane:
        """The lane of a mailbox database."""
        lane = self.lanes.get(database)
        if lane is None:
            lane = self.lanes[database] = MailboxLane(NextHopKey(DeliveryType.MAILBOX, database))
        return lane

    @property
    def in_flight_count(self) -> int:
        """How many requests wait for an answer of a database."""
        return len(self._batches)

    # --- sending ------------------------------------------------------------------------------

    def dispatch(self, now: float) -> None:
        """Send what may be sent."""
        for lane in self.lanes.values():
            if lane.waiting and lane.moving(now):
                while len(lane.in_flight) < BATCHES_IN_FLIGHT_MAX:
                    parts = self._take_batch(now, lane)
                    if not parts:
                        break
                    self._send(lane, parts)

    def _take_batch(self, now: float, lane: MailboxLane) -> list[tuple[Part, Targets]]:
        taken: list[tuple[Part, Targets]] = []
        size_bytes = 0
        while len(taken) < BATCH_MESSAGE_COUNT_MAX and (part := lane.first()) is not None:
            entry = part.entry
            if entry.message.data is None:
                if not self._reading.begin(part):
                    break
                lane.waiting.popleft()
                continue
            targets = self._targets(lane, part)
            if not targets:
                # The organisation is another than when it was routed.
                lane.waiting.popleft()
                self._route_again(now, part)
                continue
            size_bytes += entry.message.size_bytes
            if taken and (size_bytes > BATCH_BYTES_MAX or entry.alone):
                break
            lane.waiting.popleft()
            part.state = PartState.AT_WORK
            taken.append((part, targets))
            if entry.alone:
                break
        return taken

    def _targets(self, lane: MailboxLane, part: Part) -> Targets:
        """The mailboxes of a part; empty when not all of its recipients are of this database."""
        found: dict[str, tuple[Mailbox, list[str]]] = {}
        for recipient in part.recipients:
            target = self.categorizer.target(recipient)
            if not isinstance(target, Mailbox) or target.database != lane.database:
                return []
            known = found.get(target.mailbox_id)
            if known is None:
                found[target.mailbox_id] = (target, [recipient])
            else:
                known[1].append(recipient)
        return list(found.values())

    def _send(self, lane: MailboxLane, parts: list[tuple[Part, Targets]]) -> None:
        self._last_call += 1
        lane.in_flight[self._last_call] = parts
        self._batches[self._last_call] = lane
        deliveries = [self._delivery(part, targets) for part, targets in parts]
        self.calls.append((lane.database, self._last_call, store.Deliver(deliveries)))

    def _delivery(self, part: Part, targets: Targets) -> store.Delivery:
        message = part.entry.message
        assert message.data is not None
        return_path = return_path_header(message.reverse_path)
        quota_bytes = self.categorizer.organisation.quota_bytes
        return store.Delivery(
            message.network_message_id,
            message.data,
            message.received_at,
            [
                store.Target(
                    mailbox.mailbox_id, return_path + delivered_to_header(recipients[0]), quota_bytes(mailbox)
                )
                for mailbox, recipients in targets
            ],
        )

    # --- the mailbox databases -----------------------------------------------------------------

    def store_connected(self, now: float, database: str) -> None:
        """A mailbox database can be asked (again), and at once."""
        lane = self.lane(database)
        lane.connected = True
        lane.not_before = 0.0
        lane.failure_count = 0
        lane.last_error = ""
        lane.last_delivery_at = now

    def store_lost(self, now: float, database: str) -> None:
        """A mailbox database went away: what it did not answer will be sent again."""
        lane = self.lane(database)
        was_connected, lane.connected = lane.connected, False
        lane.last_error = "the mailbox database went away"
        for number in list(lane.in_flight):
            self._take_back(now, lane, number)
        self._forget_data(lane)
        if was_connected:
            self._outcomes.logs.append(
                happened(events.STORE_LOST, database=database, message_count=lane.part_count)
            )

    def _forget_data(self, lane: MailboxLane) -> None:
        for part in lane.waiting:
            self._queue.forget_data(part.entry)

    def _take_back(self, now: float, lane: MailboxLane, number: int) -> None:
        """End a request without an answer; its parts wait in front again, by today's organisation."""
        parts = lane.in_flight.pop(number)
        del self._batches[number]
        for part, _ in reversed(parts):
            self._route_again(now, part)

    def answered(self, now: float, number: int, answer: store.Answer) -> None:
        """Take a database's answer; one to a request that is void already says nothing new."""
        lane = self._batches.get(number)
        if lane is None:
            return
        parts = lane.in_flight[number]
        if isinstance(answer, store.Delivered) and _fits(answer, parts):
            del lane.in_flight[number], self._batches[number]
            lane.failure_count = 0
            lane.last_error = ""
            lane.last_delivery_at = now
            for (part, targets), outcomes in zip(parts, answer.outcomes, strict=True):
                self._part_done(now, part, targets, outcomes)
            return
        if isinstance(answer, store.Refused):
            self._refused(now, lane, number, answer)
            return
        text = "its answer does not fit the question"
        self._refused(now, lane, number, store.Refused(store.RefusalReason.CANNOT, text))

    def _part_done(self, now: float, part: Part, targets: Targets, outcomes: list[store.Outcome]) -> None:
        entry = part.entry
        part.lane.drop(now, part)
        entry.failure_count = 0
        if entry.parts:
            self._queue.forget_data(entry)  # another database or next hop may be down for long
        delivered: list[str] = []
        duplicate: list[str] = []
        over_quota: list[str] = []
        for (_, recipients), outcome in zip(targets, outcomes, strict=True):
            if outcome is store.Outcome.OVER_QUOTA:
                over_quota += recipients
            else:
                first = delivered if outcome is store.Outcome.DELIVERED else duplicate
                first.append(recipients[0])
                duplicate += recipients[1:]
        for event_id, served in ((EventId.DELIVER, delivered), (EventId.DUPLICATEDELIVER, duplicate)):
            if served:
                self._outcomes.stored(now, entry, event_id, tuple(served))
        if over_quota:
            failure = Failure("5.2.2", "the mailbox is full")
            self._outcomes.failed(now, entry, tuple(over_quota), failure, "STOREDRIVER")

    def _refused(self, now: float, lane: MailboxLane, number: int, answer: store.Refused) -> None:
        """Try later: the whole lane when the database cannot now, else only the message it is about."""
        parts = lane.in_flight[number]
        failure = Failure("4.3.2", answer.text)
        for part, _ in parts:
            part.failure = failure
            self._outcomes.deferred(now, part.entry, part.recipients, failure, "STOREDRIVER")
        if answer.reason is not store.RefusalReason.UNAVAILABLE and len(parts) > 1:
            # One message of the batch may be what it does not take: find out which, the others go on.
            for part, _ in parts:
                part.entry.alone = True
            self._take_back(now, lane, number)
            return
        if answer.reason is not store.RefusalReason.UNAVAILABLE:
            del lane.in_flight[number], self._batches[number]
            ((part, _),) = parts
            part.entry.failure_count += 1
            wait_s = LANE_RETRY.wait_s(part.entry.failure_count, self._luck)
            self._queue.forget_data(part.entry)
            self._later(now + wait_s, part)
        else:
            if now >= lane.not_before:  # else the requests that were under way failed together
                lane.failure_count += 1
                lane.last_error = answer.text
                lane.not_before = now + LANE_RETRY.wait_s(lane.failure_count, self._luck)
            wait_s = lane.not_before - now
            self._take_back(now, lane, number)
            self._forget_data(lane)
        self._outcomes.logs.append(
            happened(
                events.DELIVERY_REFUSED,
                database=lane.database,
                message_count=len(parts),
                reason=answer.text,
                wait_s=round(wait_s, 1),
            )
        )

    # --- time -----------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When a lane that waits may go on; ``dispatch`` sends it."""
        return min(
            (
                lane.not_before
                for lane in self.lanes.values()
                if lane.waiting and lane.connected and not lane.held and lane.not_before
            ),
            default=None,
        )

    def timer(self, now: float) -> None:
        """Let lanes go on whose wait is over."""
        for lane in self.lanes.values():
            if lane.not_before and now >= lane.not_before:
                lane.not_before = 0.0


def _fits(answer: store.Delivered, parts: list[tuple[Part, Targets]]) -> bool:
    return len(answer.outcomes) == len(parts) and all(
        len(outcomes) == len(targets) for outcomes, (_, targets) in zip(answer.outcomes, parts, strict=True)
    )
