"""What management asks of the transport role: the queues as they are, and what is to be done to them.

Everything here is bounded in what one call does. The node takes the
writes and what the parts have decided with its next flush (``TransportNode.administered``).

Source: exchange-behaviour QU-4, BP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from holdfast.directory.model import Organisation, Resource
from holdfast.kernel.errors import Refusal
from holdfast.kernel.events import LogEvent
from holdfast.node.hop_description import HopDescription, describe_hop, retry_hosts
from holdfast.node.outbound import NextHops
from holdfast.transport.back_pressure import BackPressure, Pressure, Reading, ResourceState
from holdfast.transport.delivery import Delivery
from holdfast.transport.queue import Entry, HoldQueue, MarkMessage, NextHopKey, Part, Queue
from holdfast.transport.queue_operations import Done, QueueOperations, no_message
from holdfast.transport.queue_report import (
    QueueState,
    WaitingMessage,
    message_of,
    messages_of,
    part_counts,
    queue_states,
)
from holdfast.transport.rights import ClientKind
from holdfast.transport.tracking import TrackingWriter

NUMBER_DIGITS_MAX = 18  # more digits than a number ever has


@dataclass(frozen=True, slots=True)
class QueueTarget:
    """What an operation is about: a queue by its key, or messages by number.

    Attributes:
        count_max: of a queue, how many messages one call may take; the caller asks again
            until nothing is done any more.
        number_below: of a queue, only messages with a lower number; 0 for all of them.
    """

    key: str = ""
    numbers: tuple[int, ...] = ()
    count_max: int = 500
    number_below: int = 0


@dataclass(frozen=True, slots=True)
class ShownQueue:
    """A queue with its oldest messages.

    Attributes:
        next_number: above those of all messages there are, so that an operation in steps can leave what
            comes meanwhile; 0 from a transport role of before, which tells none.
    """

    state: QueueState
    messages: tuple[WaitingMessage, ...]
    next_number: int = 0


class Administration:
    """The administrator's side of one transport role."""

    def __init__(
        self, queue: Queue, delivery: Delivery, tracking: TrackingWriter, next_hops: NextHops | None = None
    ) -> None:
        self._next_hops = next_hops
        self._queue = queue
        self._delivery = delivery
        self._operations = QueueOperations(queue, delivery, tracking)
        self._back_pressure = BackPressure()

    def take_writes(self) -> list[MarkMessage | HoldQueue]:
        """Take what is to be made durable."""
        writes, self._operations.writes = self._operations.writes, []
        return writes

    def take_removed(self) -> list[Entry]:
        """Take the messages that were removed since the last time; settled when that is durable."""
        removed, self._operations.removed = self._operations.removed, []
        return removed

    def follow(self, organisation: Organisation) -> None:
        """Go by another organisation."""
        self._back_pressure.follow(organisation.resource_thresholds)

    # --- the queues -----------------------------------------------------------------------------

    def queue_states(self, now: float) -> list[QueueState]:
        """One row per queue."""
        return queue_states(now, self._delivery, self._queue)

    def show_queue(self, now: float, target: QueueTarget) -> ShownQueue:
        """One queue with its oldest messages.

        Raises:
            Refusal: there is no such queue.
        """
        lane = self._operations.lane(target.key)
        state = next(each for each in self._all_states(now) if each.key == str(lane.key))
        messages = messages_of(now, self._delivery, self._queue, lane, target.count_max)
        return ShownQueue(state, tuple(messages), self._queue.next_number)

    def _all_states(self, now: float) -> list[QueueState]:
        return queue_states(now, self._delivery, self._queue, with_empty_shelves=True)

    def show_message(self, now: float, name: str) -> WaitingMessage:
        """One message, by number or network message id, with all its parts.

        Raises:
            Refusal: it does not wait here.
        """
        return message_of(now, self._delivery, self._find(name))

    def numbers(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """The numbers of messages that are named by number or network message id.

        Raises:
            Refusal: one of them does not wait here.
        """
        return tuple(self._find(name).message.number for name in names)

    def _find(self, name: str) -> Entry:
        wanted = name.strip().lower()
        if wanted.isascii() and wanted.isdigit() and len(wanted) <= NUMBER_DIGITS_MAX:
            found = self._queue.get(int(wanted))
        else:
            found = next((each for each in self._queue if each.message.network_message_id == wanted), None)
        if found is None:
            raise no_message(name)
        return found

    def part_counts(self) -> dict[str, int]:
        """How many parts of messages wait, by delivery type."""
        return part_counts(self._delivery)

    def describe_hop(self, now: float, key: NextHopKey) -> HopDescription | None:
        """Where the mail of a queue would go now; None when nothing leads there.

        What is not known yet is being asked after the node has acted; ask again.
        """
        profile = self._delivery.router.profile(key)
        if profile is None or self._next_hops is None:
            return None
        return describe_hop(now, self._next_hops, profile)

    # --- what is done to them -------------------------------------------------------------------

    def hold(self, now: float, target: QueueTarget) -> Done:
        """Stop a queue or messages until they are released; see ``QueueOperations`` for the errors."""
        if target.numbers:
            return self._operations.hold_messages(now, target.numbers)
        return self._operations.hold_queue(now, target.key)

    def release(self, now: float, target: QueueTarget) -> Done:
        """Let a queue or messages go on."""
        if target.numbers:
            return self._operations.release_messages(now, target.numbers)
        return self._operations.release_queue(target.key)

    def retry(self, now: float, target: QueueTarget) -> Done:
        """Try a queue at once, and its hosts, however lately they failed."""
        done = self._operations.retry_queue(now, target.key)
        profile = self._delivery.router.profile(self._operations.lane(target.key).key)
        if profile is not None and self._next_hops is not None:
            retry_hosts(now, self._next_hops, profile)
        return done

    def remove(self, now: float, target: QueueTarget, *, with_bounce: bool) -> Done:
        """Give up messages, or some of a queue."""
        return self._operations.remove(now, self._entries(target), with_bounce=with_bounce)

    def redirect(self, now: float, target: QueueTarget, host: str) -> Done:
        """Send messages, or some of a queue, to another host."""
        return self._operations.redirect(now, self._entries(target, but_redirected_to=host), host)

    def _entries(
        self, target: QueueTarget, *, but_redirected_to: str | None = None
    ) -> list[tuple[Entry, tuple[Part, ...]]]:
        if target.numbers:
            return self._operations.entries(target.numbers)
        if not target.key:
            raise Refusal("name a queue or a message")
        return self._operations.entries_of(
            target.key,
            target.count_max,
            number_below=target.number_below,
            but_redirected_to=but_redirected_to,
        )

    def recovered(self, held_queues: Iterable[str]) -> None:
        """Know which queues are held; called once, before anything is routed."""
        self._operations.recovered(held_queues)

    # --- back pressure --------------------------------------------------------------------------

    @property
    def pressure(self) -> Pressure:
        """What follows from the resources now."""
        return self._back_pressure.pressure

    def resource_states(self) -> tuple[ResourceState, ...]:
        """Every resource as it is now."""
        return self._back_pressure.states()

    def sampled(self, now: float, readings: Mapping[Resource, Reading]) -> list[LogEvent]:
        """Take one look at the resources and do what follows in the queue; returns what to log."""
        happenings = self._back_pressure.sampled(now, readings)
        pressure = self._back_pressure.pressure
        self._delivery.outbound.stop(stopped=pressure.outbound_stopped)
        self._delivery.resubmits_paused = pressure.resubmits_paused
        return happenings

    def refuse_copies(self) -> str:
        """Why no shadow copies are taken for other servers now (SR13-15); empty when they are."""
        return "back pressure: a resource of it runs short" if self.pressure.shadows_refused else ""

    def refuse_mail(self, kind: ClientKind) -> Refusal | None:
        """The answer to MAIL FROM of a client of this kind while resources are short; None lets it in."""
        pressure = self._back_pressure.pressure
        outside = kind in (ClientKind.ANONYMOUS, ClientKind.PARTNER)
        if pressure.refuse_all or (pressure.refuse_outside and outside):
            # Remote peers are not told which resource it is.
            return Refusal("insufficient system resources, try again later", code=452, status="4.3.1")
        return None
