"""Decide where each recipient of a queued message goes, and when it is given up.

A message is cut into parts, one per next-hop key, and each part waits in the lane
of its key: a mailbox database (``mailbox_lanes``), a next hop (``outbound``), or a
shelf: no way there, held by an administrator, poison. This module routes, routes
anew what failed or what another organisation sends elsewhere, and lets expire what
waits too long where nothing moves.

Message data stays in memory only while its lane moves; else a next hop that is
down would fill the memory that the others need.

Source: exchange-behaviour RT-9, RT-11, QU-2..5.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Protocol

from holdfast.directory.model import DistributionGroup, Mailbox, Organisation
from holdfast.kernel.events import happened
from holdfast.transport import events
from holdfast.transport.categorize import Categorizer
from holdfast.transport.mailbox_lanes import MailboxLane, MailboxLanes
from holdfast.transport.outbound import Outbound
from holdfast.transport.outbound_queue import OutboundQueue
from holdfast.transport.outcomes import Outcomes
from holdfast.transport.outcomes import facts_of as facts_of
from holdfast.transport.queue import DeliveryType, Entry, Failure, Lane, NextHopKey, Part, PartState, Queue
from holdfast.transport.reading import Reading
from holdfast.transport.redirects import host_for
from holdfast.transport.route import HopProfile, Unreachable
from holdfast.transport.tracking import EventId, TrackingWriter

# A server that was off for days tries once more before it gives up.
EXPIRY_GRACE_S = 600.0
AGE_CHECK_S = 60.0
# What one input may do at most, so that a change with a million messages waiting stops nothing else.
ROUTED_COUNT_MAX = 10_000
AGED_COUNT_MAX = 500
# RFC 5321 section 4.5.3.1.8: every server takes a hundred recipients of one message.
RECIPIENT_COUNT_MAX = 100

# A queue that was idle may be long; the log needs to say that of some messages, not of all.
RESUBMIT_LINE_COUNT_MAX = 100
IDLE = Failure("", "routed anew after a long time without any delivery")

WAITS = Failure("4.4.7", "it could not be delivered yet")

UNREACHABLE = NextHopKey(DeliveryType.UNREACHABLE, "")
HELD = NextHopKey(DeliveryType.HELD, "")
POISON = NextHopKey(DeliveryType.POISON, "")


class Routes(Protocol):
    """What is asked of routing (``transport.route``)."""

    def route(
        self, recipient: str, size_bytes: int, redirect: str = ""
    ) -> Mailbox | DistributionGroup | NextHopKey | Failure | Unreachable:
        """Decide where a recipient's mail goes."""

    def profile(self, key: NextHopKey) -> HopProfile | None:
        """Say how the next hop of a key is reached; None when nothing leads there any more."""


class Delivery:
    """Delivers one server's queue.

    What is to be done piles up in ``mailboxes.calls``, ``reading.wanted``, ``outcomes`` and
    ``delayed`` (messages whose senders should be told that they wait); the caller takes it.
    """

    def __init__(
        self,
        queue: Queue,
        organisation: Organisation,
        router: Routes,
        tracking: TrackingWriter,
        luck: random.Random,
    ) -> None:
        self._queue = queue
        self.outcomes = Outcomes(tracking)
        self.reading = Reading(queue, self.outcomes, luck)
        self.mailboxes = MailboxLanes(queue, self.reading, self.outcomes, luck, self._requeue, self.later)
        self.outbound = Outbound(queue, self.reading, self.outcomes, tracking, self.later)
        self.shelves = {key: Lane(key) for key in (UNREACHABLE, HELD, POISON)}
        # Queues that an administrator stopped, as people type them.
        self.held_queues: set[str] = set()
        # Parts that wait for an instant of their own: (instant, tie-breaker, part).
        self._deferred: list[tuple[float, int, Part]] = []
        self._deferred_count = 0
        # Parts that are to be routed anew, as soon as there is time.
        self._again: deque[Part] = deque()
        self._age_check_at = 0.0
        self._grace_until = 0.0
        self.delayed: list[tuple[Entry, tuple[tuple[str, Failure], ...]]] = []
        # Nothing is routed anew for being idle: there is enough to do (back pressure).
        self.resubmits_paused = False
        self._take_organisation(organisation, router)

    def _take_organisation(self, organisation: Organisation, router: Routes) -> None:
        self.router = router
        self.organisation = organisation
        self.mailboxes.categorizer = Categorizer(organisation)
        self.outbound.organisation = organisation

    @property
    def _categorizer(self) -> Categorizer:
        return self.mailboxes.categorizer

    def started(self, now: float, but_not: Collection[Entry] = ()) -> None:
        """Route everything that was found in the queue, but what waits for a word of another server."""
        self._grace_until = now + EXPIRY_GRACE_S
        self._age_check_at = now + AGE_CHECK_S
        self.shelves[UNREACHABLE].last_delivery_at = now
        self._queue.put_in_order(now)
        waiting = {entry.message.number for entry in but_not}
        for entry in list(self._queue):
            if entry.message.number not in waiting:
                self.route(now, entry, entry.remaining)

    def leave_to(self, now: float, entry: Entry, server: str) -> bool:
        """Give up what waits of a message: another server of ours has taken it over.

        Returns:
            Whether nothing of it has gone to a host that is not ours, or is on its way there.
        """
        at_work = [part for part in entry.parts if part.state is PartState.AT_WORK]
        for part in entry.parts:
            if part.state is not PartState.AT_WORK:
                part.lane.drop(now, part)
        settled = {each for outcome in (*entry.outcomes, *entry.recording) for each in outcome.finished}
        settled.update(each for part in at_work for each in part.recipients)
        rest = tuple(each for each in entry.remaining if each not in settled)
        if rest:
            self.outcomes.dropped(now, entry, rest, f"server {server} took it over", "REDUNDANCY")
        ours = (DeliveryType.MAILBOX, DeliveryType.SERVER)
        return not entry.outside and all(part.lane.key.delivery_type in ours for part in at_work)

    # --- where to -----------------------------------------------------------------------------

    def route(self, now: float, entry: Entry, recipients: tuple[str, ...], *, front: bool = False) -> None:
        """Give recipients of a durable message to their lanes, or settle those that lead nowhere."""
        message = entry.message
        self._queue.at_work[0] = message.number
        if message.marks.held or message.marks.poison:
            self.shelves[POISON if message.marks.poison else HELD].put(entry, recipients)
            self._queue.forget_data(entry)
            return
        if len(recipients) == 1:
            # Nearly all mail: no dictionary, no second tuple.
            key = self._way(now, entry, recipients[0], present=recipients)
            if key is not None:
                self._put(now, entry, key, recipients, front=front)
            return
        parts: dict[NextHopKey, list[str]] = {}
        for recipient in recipients:
            key = self._way(now, entry, recipient, present=recipients)
            if key is not None:
                parts.setdefault(key, []).append(recipient)
        for key, names in parts.items():
            for start in range(0, len(names), RECIPIENT_COUNT_MAX):
                self._put(now, entry, key, tuple(names[start : start + RECIPIENT_COUNT_MAX]), front=front)

    def _way(
        self, now: float, entry: Entry, recipient: str, *, present: tuple[str, ...]
    ) -> NextHopKey | None:
        """The key of a recipient; None when it is settled."""
        message = entry.message
        redirect = message.marks.redirect
        host = host_for(redirect, recipient) if redirect else ""
        target = self.router.route(recipient, message.size_bytes, host)
        if isinstance(target, NextHopKey):
            return target
        if isinstance(target, Mailbox):
            return self.mailboxes.lane(target.database).key
        if isinstance(target, Unreachable):
            return UNREACHABLE
        if isinstance(target, DistributionGroup):
            self._expand(now, entry, recipient, target, present=present)
        else:
            self.outcomes.failed(now, entry, (recipient,), target, "ROUTING")
        return None

    def _expand(
        self, now: float, entry: Entry, recipient: str, group: DistributionGroup, *, present: tuple[str, ...]
    ) -> None:
        for outcome in entry.outcomes:
            present += outcome.added
        members = self._categorizer.expand(group, present)
        self.outcomes.expanded(now, entry, recipient, members, empty=not (members or group.members))

    def _put(
        self, now: float, entry: Entry, key: NextHopKey, recipients: tuple[str, ...], *, front: bool
    ) -> None:
        kind = key.delivery_type
        if kind is DeliveryType.MAILBOX:
            lane = self.mailboxes.lane(key.domain)
            lane.put(entry, recipients, front=front)
            if not lane.connected:
                self._queue.forget_data(entry)
        elif kind is DeliveryType.UNREACHABLE:
            part = self.shelves[UNREACHABLE].put(entry, recipients)
            target = self.router.route(recipients[0], entry.message.size_bytes)
            if isinstance(target, Unreachable):
                part.failure = Failure("4.4.4", target.reason)
            self._queue.forget_data(entry)
        else:
            out = self.outbound.lanes.get(key)
            if out is None:
                out = self.outbound.lane(now, key)
                out.held = str(key) in self.held_queues
            out.put(entry, recipients, front=front)
            if out.may_send(now):
                self.outbound.stir(out)
            else:
                self._queue.forget_data(entry)

    def _requeue(self, now: float, part: Part) -> None:
        """Route a part anew; it goes before all others."""
        part.lane.drop(now, part)
        self.route(now, part.entry, part.recipients, front=True)

    def later(self, at: float, part: Part) -> None:
        """Route a part anew at an instant."""
        part.state = PartState.DEFERRED
        self._deferred_count += 1
        heapq.heappush(self._deferred, (at, self._deferred_count, part))

    def route_anew(self, now: float, lane: Lane) -> None:
        """Route everything that waits in a lane by today's organisation."""
        self._again.extend(lane.take_all())
        lane.last_delivery_at = now

    @property
    def unrouted_count(self) -> int:
        """How many parts wait to be given to a lane (back pressure's submission queue)."""
        return len(self._again)

    def _route_some(self, now: float) -> None:
        """Route parts that wait for it; the rest when the timer fires next."""
        for _ in range(min(len(self._again), ROUTED_COUNT_MAX)):
            part = self._again.popleft()
            if part.state is PartState.WAITING:
                part.lane.drop(now, part)
                self.route(now, part.entry, part.recipients)

    def data_read(self, now: float, number: int, data: bytes | None) -> None:
        """Take the data of a queued message from disk; None: try again later."""
        parts, wait_s = self.reading.done(number, data)
        for part in reversed(parts):
            if wait_s:
                self.later(now + wait_s, part)
                continue
            part.lane.put_back(part)
            if isinstance(part.lane, OutboundQueue):
                self.outbound.stir(part.lane)
        if parts and not wait_s and not any(_moving(now, part.lane) for part in parts):
            self._queue.forget_data(parts[0].entry)

    # --- time and change ------------------------------------------------------------------------

    def lanes(self) -> Iterator[Lane]:
        """All of them."""
        yield from self.mailboxes.lanes.values()
        yield from self.outbound.lanes.values()
        yield from self.shelves.values()

    def deferred_parts(self) -> Iterator[tuple[float, Part]]:
        """Each part that waits for an instant of its own, with the instant; in no order."""
        return ((at, part) for at, _, part in self._deferred if part.state is PartState.DEFERRED)

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called."""
        instants = [
            each for each in (self.mailboxes.deadline(), self.outbound.deadline()) if each is not None
        ]
        if self._deferred:
            instants.append(self._deferred[0][0])
        if self._again:
            instants.append(0.0)
        ages = self._ages_due()
        if ages is not None:
            instants.append(max(self._age_check_at, ages))
        return min(instants, default=None)

    def _ages_due(self) -> float | None:
        """When something may be too old; the queue is in the order of arrival."""
        if self.outbound.lanes or self.shelves[UNREACHABLE].part_count or self._queue.unsorted:
            return self._age_check_at
        oldest = next(iter(self._queue), None)
        if oldest is None:
            return None
        due = oldest.queued_at + self.organisation.expiry_s
        for untold in self._queue.untold.values():
            return min(due, untold.queued_at + self.organisation.delay_notice_s)
        return due

    def timer(self, now: float) -> None:
        """Do what is due; ``mailboxes.dispatch`` and the node's next hops send it."""
        self.mailboxes.timer(now)
        self.outbound.timer(now)
        while self._deferred and self._deferred[0][0] <= now:
            part = heapq.heappop(self._deferred)[2]
            if part.state is PartState.DEFERRED:
                self._requeue(now, part)
        self._route_some(now)
        if now >= self._age_check_at:
            self._age_check_at = now + AGE_CHECK_S
            self._check_ages(now)

    def organisation_changed(self, now: float, organisation: Organisation, router: Routes) -> None:
        """Route anew what waits; what is at a database or a next hop already is not called back."""
        self._take_organisation(organisation, router)
        for lane in (*self.mailboxes.lanes.values(), *self.outbound.lanes.values()):
            if isinstance(lane, OutboundQueue):
                lane.profile = None
            self.route_anew(now, lane)
        self.route_anew(now, self.shelves[UNREACHABLE])
        self._route_some(now)

    def _check_ages(self, now: float) -> None:
        """Look once a minute at what waits long; what is too much for one look is for the next tick."""
        self.outbound.forget_empty(now)
        idle_s = math.inf if self.resubmits_paused else self.organisation.idle_resubmit_s
        for lane in (*self.outbound.lanes.values(), self.shelves[UNREACHABLE]):
            if lane.part_count and not lane.held and now - lane.last_delivery_at >= idle_s:
                self._resubmit(now, lane)
        if now < self._grace_until:
            return
        if self._expire(now) + self._find_delayed(now) >= AGED_COUNT_MAX:
            self._age_check_at = now

    def _resubmit(self, now: float, lane: Lane) -> None:
        """Route anew what was without a delivery for too long, and say so (exchange-behaviour QU-2)."""
        self.outcomes.logs.append(
            happened(events.QUEUE_ROUTED_ANEW, queue=str(lane.key), message_count=lane.part_count)
        )
        for part in islice(lane.waiting, RESUBMIT_LINE_COUNT_MAX):
            self.outcomes.noted(now, part.entry, EventId.RESUBMIT, "QUEUE", part.recipients, IDLE)
        self.route_anew(now, lane)

    def _expire(self, now: float) -> int:
        """Give up what waits too long where nothing moves; the queue is in the order of arrival."""
        self._queue.sort_by_age()
        expired: list[tuple[Entry, list[Part]]] = []
        for entry in self._queue:
            if entry.queued_at + self.organisation.expiry_s > now or len(expired) == AGED_COUNT_MAX:
                break
            stuck = [part for part in entry.parts if _stuck(now, part)]
            if stuck:
                expired.append((entry, stuck))
        for entry, stuck in expired:
            for part in stuck:
                last = why_it_waits(part)
                part.lane.drop(now, part)
                self.outcomes.failed(now, entry, part.recipients, _too_long(last), "QUEUE")
        return len(expired)

    def _find_delayed(self, now: float) -> int:
        """Find messages whose senders should be told that they wait (exchange-behaviour QU-3)."""
        found = 0
        for entry in self._queue.untold.values():
            if entry.queued_at + self.organisation.delay_notice_s > now or found == AGED_COUNT_MAX:
                break
            recipients = tuple(
                (recipient, why_it_waits(part) or WAITS)
                for part in entry.parts
                if _stuck(now, part)
                for recipient in part.recipients
            )
            if recipients:
                found += 1
                self.delayed.append((entry, recipients))
        return found

    @property
    def in_flight_count(self) -> int:
        """How many requests wait for an answer of a database, and messages for one of a next hop."""
        return self.mailboxes.in_flight_count + sum(
            len(connection.given)
            for lane in self.outbound.lanes.values()
            for connection in lane.connections.values()
        )


def why_it_waits(part: Part) -> Failure | None:
    """What keeps a part waiting, as far as is known: a word about it alone, else what its lane met."""
    lane = part.lane
    if part.failure is not None and (part.state is PartState.DEFERRED or not lane.last_error):
        return part.failure
    return Failure(WAITS.status, lane.last_error) if lane.last_error else None


def _too_long(last: Failure | None) -> Failure:
    text = "it could not be delivered for too long"
    if last is None:
        return Failure("4.4.7", text)
    return Failure("4.4.7", f"{text}: {last.text}", last.remote_host, last.reply)


def _moving(now: float, lane: Lane) -> bool:
    """Whether what waits there is sent soon."""
    if isinstance(lane, MailboxLane):
        return lane.moving(now)
    return isinstance(lane, OutboundQueue) and lane.may_send(now)


def _stuck(now: float, part: Part) -> bool:
    """Whether a part waits for something that may never come; what was stopped by hand waits for ever."""
    if part.lane.held or part.lane.key.delivery_type in (DeliveryType.HELD, DeliveryType.POISON):
        return False
    return part.state is PartState.DEFERRED or (
        part.state is PartState.WAITING and not _moving(now, part.lane)
    )
