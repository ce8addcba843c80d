"""Bring messages to next hops: what a connection is given, and what follows from each answer.

Each next-hop key has a queue. A next hop that cannot be reached makes its queue
wait by schedule; one message that it puts off waits by itself while the others
go on; what it refuses for good fails. Which host is tried, and how, is the
node's part (``node.outbound``).

Invariant: a recipient is settled as sent only after the next hop's final 250
to its message. A message whose final dot may have arrived, and no answer did, is
sent again: SMTP makes that unavoidable (RFC 1047); it is counted and logged.

Source: exchange-behaviour QU-1..4, QU-7, SC-7; RFC 5321 sections 4.2.5, 4.5.4.1 and 6.1; RFC 1047.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import islice

from holdfast.directory.model import Organisation
from holdfast.kernel.events import happened
from holdfast.transport import events, retry
from holdfast.transport.envelope import asking_nothing
from holdfast.transport.outbound_queue import OutboundConnection, OutboundQueue
from holdfast.transport.outbound_session import Reply, Transaction, TransactionDone
from holdfast.transport.outcomes import Outcomes, facts_of
from holdfast.transport.queue import (
    DeliveryType,
    Entry,
    Failure,
    NextHopKey,
    Part,
    PartState,
    Queue,
    RecipientOutcome,
    Served,
)
from holdfast.transport.reading import Reading
from holdfast.transport.tracking import EventId, TrackingWriter, sent_details, transferred_details
from holdfast.wire.transfer import Transfer

# How many messages of one queue are read from disk ahead of their turn.
READ_AHEAD_COUNT = 4
FORGET_EMPTY_S = 180.0  # exchange-behaviour QU-4
# A next hop that is away defers whole queues; the log needs to say that of some messages, not of all.
DEFER_LINE_COUNT_MAX = 25
# RFC 5321 section 4.5.3.1.10: the others are for another transaction. RFC 821 had 552 for it; who gives no
# status may mean it too; who means something else says so again when nobody else is taken.
TOO_MANY_RECIPIENTS = ("4.5.3", "5.5.3")
PERHAPS_TOO_MANY = ((452, "4.0.0"), (552, "5.0.0"))

NO_ORGANISATION = Organisation()


class Outbound:
    """All queues to next hops of one server.

    Public attributes: ``lanes`` by key; ``landed``, numbers of messages whose note in the
    in-flight journal is needless now; ``landed_when_tracked``, those whose note is needless once the line
    is durable that says that they may be delivered twice; ``doubtful_count`` messages so far that may have
    been delivered although no answer came; ``stopped``: nothing is sent while it is so (back pressure);
    ``unwritable``: nor while what became of messages cannot be written down, since a crash would
    send all of it again.
    """

    def __init__(
        self,
        queue: Queue,
        reading: Reading,
        outcomes: Outcomes,
        tracking: TrackingWriter,
        later: Callable[[float, Part], None],
    ) -> None:
        """Make the queues, none yet.

        Args:
            queue: the messages.
            reading: brings data from disk.
            outcomes: takes what became of recipients.
            tracking: makes lines of the tracking log.
            later: routes a part anew at an instant.
        """
        self._queue = queue
        self._reading = reading
        self._outcomes = outcomes
        self._tracking = tracking
        self._later = later
        self.organisation = NO_ORGANISATION
        self.lanes: dict[NextHopKey, OutboundQueue] = {}
        self.landed: list[int] = []
        self.landed_when_tracked: list[int] = []
        self.doubtful_count = 0
        self.stopped = False
        self.unwritable = False
        self._stirred: dict[NextHopKey, OutboundQueue] = {}
        # When queues may be tried again: (instant, tie-breaker, key).
        self._retries: list[tuple[float, int, NextHopKey]] = []
        self._retry_count = 0
        self._last_transaction = 0

    def lane(self, now: float, key: NextHopKey) -> OutboundQueue:
        """The queue of a key."""
        lane = self.lanes.get(key)
        if lane is None:
            lane = self.lanes[key] = OutboundQueue(key, last_delivery_at=now)
        return lane

    def stir(self, lane: OutboundQueue) -> None:
        """Have a queue looked at: something of it has changed."""
        self._stirred[lane.key] = lane

    def take_stirred(self, now: float) -> list[OutboundQueue]:
        """The queues that have changed and may send; each is looked at once."""
        if not self._stirred or self.stopped or self.unwritable:
            return []
        stirred, self._stirred = self._stirred, {}
        return [lane for lane in stirred.values() if lane.waiting and lane.may_send(now)]

    # --- what a connection is given ------------------------------------------------------------

    def next_transaction(self, now: float, connection: OutboundConnection) -> Transaction | None:
        """The next message for a connection; None when none is at hand."""
        lane = connection.queue
        read_count = 0
        while not (lane.held or self.stopped or self.unwritable) and (part := lane.first()) is not None:
            message = part.entry.message
            self._queue.at_work[0] = message.number
            if message.data is None:
                if read_count == READ_AHEAD_COUNT or not self._begin_read(part):
                    if not read_count:
                        self.stir(lane)  # there is no room; somebody will make some
                    return None
                lane.waiting.popleft()
                read_count += 1
                continue
            lane.waiting.popleft()
            part.state = PartState.AT_WORK
            self._last_transaction += 1
            connection.given[self._last_transaction] = part
            connection.given_count += 1
            connection.idle_since = None
            options = message.options
            if message.marks.resubmitted:
                options = asking_nothing(options, part.recipients)
            return Transaction(
                self._last_transaction,
                message.reverse_path,
                part.recipients,
                message.data,
                options,
                message.line_ends_checked,
                transfer_of(now, part.entry) if lane.key.delivery_type is DeliveryType.SERVER else None,
            )
        return None

    def _begin_read(self, part: Part) -> bool:
        """Have a part read, in place of what came later and is in memory: that would wait for it forever."""
        begun = self._reading.begin(part)
        for behind in () if begun else reversed(part.lane.waiting):
            entry = behind.entry
            # What is first in another queue was read for that one, and is about to leave by it.
            if entry.message.data is None or any(each.lane.first() is each for each in entry.parts):
                continue
            self._queue.forget_data(entry)
            if begun := self._reading.begin(part):
                break
        return begun

    def at_work(self, connection: OutboundConnection, transaction: int) -> bool:
        """A message is looked at again before it is sent; False when its connection has it no more."""
        part = connection.given.get(transaction)
        if part is not None:
            self._queue.at_work[0] = part.entry.message.number
        return part is not None and not connection.closing

    # --- what it answers -----------------------------------------------------------------------

    def dot_sent(self, connection: OutboundConnection, transaction: int) -> int:
        """From now on the next hop may have it; returns the message's number, for the journal."""
        connection.doubtful.add(transaction)
        return connection.given[transaction].entry.message.number

    def done(self, now: float, connection: OutboundConnection, done: TransactionDone) -> None:
        """Take what became of one transaction."""
        part = connection.given.pop(done.number)
        entry, lane = part.entry, connection.queue
        self._queue.at_work[0] = entry.message.number
        noted = done.number in connection.doubtful
        connection.doubtful.discard(done.number)
        connection.done_count += 1
        lane.failure_count = 0
        lane.last_error = ""
        lane.last_delivery_at = now
        again: tuple[str, ...] = ()
        if done.refused:
            again = self._refused(now, connection, part, done)
        lane.drop(now, part)
        if again:
            lane.put(entry, again, front=True)
        if done.accepted:
            self._accepted(now, connection, part, done, in_flight_count=int(noted))
        elif noted:
            self.landed.append(entry.message.number)
        if entry.parts:
            self._queue.forget_data(entry)  # the others may wait for long

    def _accepted(
        self,
        now: float,
        connection: OutboundConnection,
        part: Part,
        done: TransactionDone,
        *,
        in_flight_count: int,
    ) -> None:
        entry = part.entry
        reply = done.reply
        said = f"{reply.code} {reply.text}" if reply is not None else ""
        details = sent_details(part.lane.key.connector, connection.host, connection.address, said)
        if done.transferred_to:
            details = transferred_details(details, done.transferred_to)
        line = self._tracking.line(now, EventId.SEND, "SMTP", facts_of(entry.message), done.accepted, details)
        self._outcomes.settle(
            entry,
            RecipientOutcome(
                done.accepted,
                line,
                # A next hop that knows of delivery reports makes them itself (RFC 3461 section 5).
                served=None if connection.session.extensions.dsn else Served.RELAYED,
                remote_host=connection.host,
                in_flight_count=in_flight_count,
                outside=part.lane.key.delivery_type is not DeliveryType.SERVER,
            ),
        )

    def _refused(
        self, now: float, connection: OutboundConnection, part: Part, done: TransactionDone
    ) -> tuple[str, ...]:
        """Settle refused recipients by their replies; returns those for another transaction at once."""
        entry = part.entry
        by_reply: dict[Reply, list[str]] = {}
        for recipient, reply in done.refused:
            by_reply.setdefault(reply, []).append(recipient)
        again: tuple[str, ...] = ()
        put_off = False
        # The next hop had taken some, whatever it said of the message then.
        some_taken = bool(done.accepted) or any(reply.command in ("DATA", "message") for reply in by_reply)
        for reply, names in by_reply.items():
            recipients = tuple(names)
            failure = failure_of(connection.host, reply)
            too_many = some_taken and _says_too_many(reply)
            if too_many and done.accepted:
                again += recipients
            elif reply.code >= 500 and not too_many:
                self._outcomes.failed(now, entry, recipients, failure, "SMTP")
            else:
                self._outcomes.deferred(now, entry, recipients, failure, "SMTP")
                waiting = part.lane.join(entry, recipients)
                waiting.failure = failure
                self._later(now + self.organisation.message_retry_s, waiting)
                put_off = True
        entry.failure_count += put_off
        return again

    def lost(
        self, now: float, connection: OutboundConnection, failure: Failure, *, elsewhere: bool = False
    ) -> None:
        """A connection ended with work left: the message it was at waits by schedule, the others do not.

        Args:
            elsewhere: the host failed, and there is another one for which that message need not wait, unless
                it may be delivered already (RFC 5321 section 5.1: each address in order).
        """
        lane = connection.queue
        given, connection.given = connection.given, {}
        first = next(iter(given), None)
        for transaction, part in reversed(given.items()):
            entry = part.entry
            if transaction in connection.doubtful:
                self._doubtful(now, connection, part, failure)
            if transaction == first and not (elsewhere and transaction not in connection.doubtful):
                self._outcomes.deferred(now, entry, part.recipients, failure, "SMTP")
                part.failure = failure
                entry.failure_count += 1
                self._queue.forget_data(entry)
                self._later(now + retry.wait_s(self.organisation, entry.failure_count), part)
            else:
                lane.put_back(part)
        connection.doubtful.clear()
        if given:
            self.stir(lane)

    def _doubtful(self, now: float, connection: OutboundConnection, part: Part, failure: Failure) -> None:
        entry = part.entry
        self.doubtful_count += 1
        self.landed_when_tracked.append(entry.message.number)
        said = Failure("4.4.2", f"may be delivered twice: {failure.text}", connection.host)
        self._outcomes.noted(now, entry, EventId.DEFER, "SMTP", part.recipients, said)
        self._outcomes.logs.append(
            happened(
                events.ANSWER_LOST,
                network_message_id=entry.message.network_message_id,
                host=connection.host,
                reason=failure.text,
            )
        )

    # --- next hops that cannot be reached --------------------------------------------------------

    def unreachable(self, now: float, lane: OutboundQueue, failure: Failure) -> None:
        """No host of the next hop can be used now: the queue waits by schedule."""
        if now < lane.not_before:
            return  # several connections failed together
        lane.failure_count += 1
        lane.last_error = failure.text
        wait_s = retry.wait_s(self.organisation, lane.failure_count)
        lane.not_before = now + wait_s
        self._retry_count += 1
        heapq.heappush(self._retries, (lane.not_before, self._retry_count, lane.key))
        for part in lane.waiting:
            self._queue.forget_data(part.entry)
        for part in islice(lane.waiting, DEFER_LINE_COUNT_MAX):
            if part.state is PartState.WAITING:
                self._outcomes.deferred(now, part.entry, part.recipients, failure, "SMTP")
        self._outcomes.logs.append(
            happened(
                events.NEXT_HOP_UNREACHABLE,
                queue=str(lane.key),
                message_count=lane.part_count,
                reason=failure.text,
                wait_s=round(wait_s, 1),
            )
        )

    def impossible(self, now: float, lane: OutboundQueue, failure: Failure) -> None:
        """The next hop takes no mail and never will: everything that waits for it fails."""
        lane.last_error = failure.text
        for part in lane.take_all():
            lane.drop(now, part)
            self._outcomes.failed(now, part.entry, part.recipients, failure, "ROUTING")

    def stop(self, *, stopped: bool) -> None:
        """Send nothing any more but what is under way, or go on."""
        if self.stopped and not stopped:
            self._stir_all()
        self.stopped = stopped

    def cannot_write(self) -> None:
        """What became of messages cannot be written down: give nothing more to next hops."""
        self.unwritable = True

    def can_write(self) -> None:
        """It can be written down again: go on."""
        self.unwritable = False
        self._stir_all()

    def _stir_all(self) -> None:
        for lane in self.lanes.values():
            self.stir(lane)

    def retry_now(self, lane: OutboundQueue) -> None:
        """Try a queue at once."""
        lane.not_before = 0.0
        lane.unfit.clear()
        self.stir(lane)

    # --- time -----------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called."""
        return self._retries[0][0] if self._retries else None

    def timer(self, now: float) -> None:
        """Try queues again whose wait is over."""
        while self._retries and self._retries[0][0] <= now:
            lane = self.lanes.get(heapq.heappop(self._retries)[2])
            if lane is not None and lane.may_send(now):
                self.stir(lane)

    def forget_empty(self, now: float) -> None:
        """Forget queues that have been empty for a while (exchange-behaviour QU-4)."""
        for lane in [
            lane
            for lane in self.lanes.values()
            if not lane.part_count
            and not lane.connections
            and not lane.held
            and now >= lane.not_before
            and now - (lane.empty_since or lane.last_delivery_at) >= FORGET_EMPTY_S
        ]:
            del self.lanes[lane.key]
            self._stirred.pop(lane.key, None)


def transfer_of(now: float, entry: Entry) -> Transfer:
    """What another server of ours is told of a message, so that it goes on with the same one."""
    message, marks = entry.message, entry.message.marks
    return Transfer(message.network_message_id, now - entry.queued_at, marks.delay_told or marks.resubmitted)


def _says_too_many(reply: Reply) -> bool:
    """Whether a recipient may be refused only because the next hop had enough of them."""
    if reply.command != "RCPT" or reply.local:
        return False
    return reply.status in TOO_MANY_RECIPIENTS or (reply.code, reply.status) in PERHAPS_TOO_MANY


def failure_of(host: str, reply: Reply) -> Failure:
    """What a refusal of a next hop, or our own by what it offers, says to the sender."""
    if reply.local:
        return Failure(reply.status, f"cannot go to {host}: {reply.text}")
    return Failure(
        reply.status, f"{host} said: {reply.code} {reply.text}", host, f"{reply.code} {reply.text}"
    )
