"""What an administrator does to the queues: hold, release, retry, remove, redirect.

What a next hop or a mailbox database has already been given is not called back:
such parts are counted as busy and stay. Every operation is bounded by the
``count_max`` of its caller, so that a queue of a million messages is worked off
in steps while mail goes on.

Invariant: what is held, released or redirected is written down (``writes``), so
that a crash changes nothing of what an administrator wanted; what is removed
leaves the queue only by an outcome, like all else.

Source: exchange-behaviour QU-4, QU-5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain

from holdfast.directory.model import SendTls
from holdfast.kernel.address import parse_domain
from holdfast.kernel.errors import Refusal
from holdfast.transport.delivery import Delivery
from holdfast.transport.outbound_queue import OutboundQueue
from holdfast.transport.outcomes import facts_of
from holdfast.transport.queue import (
    DeliveryType,
    Entry,
    Failure,
    HoldQueue,
    Lane,
    MarkMessage,
    Marks,
    NextHopKey,
    Part,
    PartState,
    Queue,
)
from holdfast.transport.queue_report import find_lane
from holdfast.transport.redirects import host_for, redirected
from holdfast.transport.route import words_of_target
from holdfast.transport.tracking import EventId, LineDetails, TrackingWriter

SOURCE = "ADMIN"
# Not 5.7.x, which would say that a policy refused it, nor 5.1.x: the address may be fine.
REMOVED = Failure("5.3.0", "an administrator removed the message from the queue")
SHELVES = (DeliveryType.UNREACHABLE, DeliveryType.HELD, DeliveryType.POISON)


@dataclass(frozen=True, slots=True)
class Done:
    """What an operation did.

    Attributes:
        message_count: messages that it changed now.
        busy_count: messages that a next hop or a mailbox database has just been given; they were left.
    """

    message_count: int = 0
    busy_count: int = 0


class QueueOperations:
    """The operations on one server's queue; ``writes`` are to be made durable by the caller.

    ``removed`` are messages with outcomes that are not durable yet, for whoever waits for that.
    """

    def __init__(self, queue: Queue, delivery: Delivery, tracking: TrackingWriter) -> None:
        self._queue = queue
        self._delivery = delivery
        self._tracking = tracking
        self.writes: list[MarkMessage | HoldQueue] = []
        self.removed: list[Entry] = []

    def recovered(self, held_queues: Iterable[str]) -> None:
        """Know which queues were held when the last life of this process ended; before anything is routed."""
        for key in held_queues:
            self._delivery.held_queues.add(key)
            kind, _, name = key.partition(":")
            if kind == DeliveryType.MAILBOX.value:
                self._delivery.mailboxes.lane(name).held = True

    # --- queues ---------------------------------------------------------------------------------

    def hold_queue(self, now: float, key: str) -> Done:
        """Stop a queue: nothing is sent from it until it is released, also after a restart.

        That of a domain to which mail goes by DNS may have had none for a while, and be made by this.

        Raises:
            Refusal: there is no such queue, or it is one that sends nothing anyway.
        """
        lane = find_lane(self._delivery, key) or self._expected_lane(now, key)
        if lane.key.delivery_type in SHELVES:
            raise Refusal(f'nothing is sent from queue "{lane.key}" as it is; there is nothing to hold')
        if not lane.held:
            lane.held = True
            self._delivery.held_queues.add(str(lane.key))
            self.writes.append(HoldQueue(str(lane.key), held=True))
        return Done(lane.part_count)

    def _expected_lane(self, now: float, key: str) -> Lane:
        """The queue that the next mail to a domain will get into.

        Raises:
            Refusal: it is not one of a domain, or mail to it would go another way, past the hold.
        """
        kind, _, name = key.strip().partition(":")
        if kind.casefold() != DeliveryType.DNS.value:
            raise no_queue(key)
        try:
            domain = parse_domain(name)
        except Refusal as refusal:
            raise no_queue(key) from refusal
        target = self._delivery.router.route(f"postmaster@{domain}", 1)
        if isinstance(target, NextHopKey) and str(target) == f"{DeliveryType.DNS.value}:{domain}":
            return self._delivery.outbound.lane(now, target)
        raise Refusal(
            f'there is no queue "{key}", and mail to {domain} would not get into it '
            f"({words_of_target(target)}); those that there are: holdfast queue list"
        )

    def release_queue(self, key: str) -> Done:
        """Let a queue that was held go on.

        Raises:
            Refusal: there is no such queue, or it is not held.
        """
        lane = find_lane(self._delivery, key)
        name = str(lane.key) if lane is not None else key
        held = next((each for each in self._delivery.held_queues if each.casefold() == name.casefold()), None)
        if held is None:
            if lane is None:
                raise no_queue(key)
            raise Refusal(f'queue "{name}" is not held; of its messages: holdfast queue show {name}')
        self._delivery.held_queues.discard(held)
        self.writes.append(HoldQueue(held, held=False))
        if lane is None:
            return Done()
        lane.held = False
        self._stir(lane)
        return Done(lane.part_count)

    def retry_queue(self, now: float, key: str) -> Done:
        """Try a queue at once: its next hop, and its messages that wait for an instant of their own.

        Of the unreachable queue every message is routed anew.

        Raises:
            Refusal: there is no such queue, or it is held, or it waits for an administrator.
        """
        lane = self.lane(key)
        if lane.key.delivery_type in (DeliveryType.HELD, DeliveryType.POISON):
            raise Refusal(
                f'what is in queue "{lane.key}" waits for you: holdfast queue release --message NUMBER'
            )
        if lane.held:
            raise Refusal(
                f'queue "{lane.key}" is held; let it go on first: holdfast queue release {lane.key}'
            )
        lane.not_before = 0.0
        lane.failure_count = 0
        for part in [part for _, part in self._delivery.deferred_parts() if part.lane is lane]:
            part.entry.failure_count = 0
            self._route_anew(now, part)
        if lane.key.delivery_type is DeliveryType.UNREACHABLE:
            self._delivery.route_anew(now, lane)
        self._stir(lane)
        return Done(lane.part_count)

    # --- messages -------------------------------------------------------------------------------

    def hold_messages(self, now: float, numbers: Iterable[int]) -> Done:
        """Take messages out of their queues until they are released, also after a restart.

        Raises:
            Refusal: one of them does not wait here.
        """
        return self._mark(now, numbers, lambda marks: replace(marks, held=True))

    def release_messages(self, now: float, numbers: Iterable[int]) -> Done:
        """Let messages go on that were held, or set aside as poison.

        Raises:
            Refusal: one of them does not wait here.
        """
        return self._mark(now, numbers, lambda marks: replace(marks, held=False, poison=False))

    def redirect(self, now: float, entries: Iterable[tuple[Entry, tuple[Part, ...]]], host: str) -> Done:
        """Send messages to a host of the administrator's choice; an empty one lets them go their way again.

        Of a message that was found by one of its queues only what waits there is redirected, with what
        else it has for the same domains.

        Raises:
            Refusal: what is required of the host, it cannot have; nothing was changed.
        """
        entries = list(entries)
        if host.startswith("["):
            for entry, parts in entries:
                self._check_address(entry, parts, host)
        done_count = busy_count = 0
        for entry, parts in entries:
            before = entry.message.marks.redirect
            recipients = (recipient for part in parts for recipient in part.recipients)
            whole = len(parts) == len(entry.parts)
            after = host if whole else redirected(before, recipients, host)
            if after == before:
                continue
            marks = replace(entry.message.marks, redirect=after)
            said = f"redirected to {host}" if host else "no longer redirected"
            busy_count += self._take_marks(now, entry, marks, EventId.REDIRECT, said, parts)
            done_count += 1
        return Done(done_count, busy_count)

    def _check_address(self, entry: Entry, parts: tuple[Part, ...], host: str) -> None:
        """Refuse an address where a valid certificate is required: there is no name that it could be for."""
        router = self._delivery.router
        for recipient in dict.fromkeys(each for part in parts for each in part.recipients):
            key = router.route(recipient, entry.message.size_bytes, host)
            profile = router.profile(key) if isinstance(key, NextHopKey) else None
            if profile is not None and profile.tls in (SendTls.CERTIFICATE, SendTls.DOMAIN):
                raise Refusal(
                    f"mail to {recipient} must go to a host with a valid certificate (holdfast tls list, "
                    f"holdfast connector list), and {host} has no name that it could be for; "
                    "give the host's name: --to HOST"
                )

    def remove(
        self, now: float, entries: Iterable[tuple[Entry, tuple[Part, ...]]], *, with_bounce: bool
    ) -> Done:
        """Give up recipients; their senders get a bounce, or nobody is told.

        Args:
            now: when.
            entries: messages, and of each the parts to remove.
            with_bounce: whether the senders are told.
        """
        done_count = busy_count = 0
        for entry, parts in entries:
            free = tuple(part for part in parts if _is_free(part))
            busy_count += len(free) != len(parts)
            if free:
                done_count += 1
                self.removed.append(entry)
            for part in free:
                part.lane.drop(now, part)
                if with_bounce:
                    self._delivery.outcomes.failed(now, entry, part.recipients, REMOVED, SOURCE)
                else:
                    self._delivery.outcomes.dropped(now, entry, part.recipients, REMOVED.text)
        return Done(done_count, busy_count)

    # --- what operations are about ----------------------------------------------------------------

    def lane(self, key: str) -> Lane:
        """The queue of a key as people type it.

        Raises:
            Refusal: there is none.
        """
        found = find_lane(self._delivery, key)
        if found is None:
            raise no_queue(key)
        return found

    def entries(self, numbers: Iterable[int]) -> list[tuple[Entry, tuple[Part, ...]]]:
        """Messages by number, each with all its parts.

        Raises:
            Refusal: one of them does not wait here.
        """
        found = []
        for number in numbers:
            entry = self._queue.get(number)
            if entry is None:
                raise no_message(str(number))
            found.append((entry, entry.parts))
        return found

    def entries_of(
        self, key: str, count_max: int, *, number_below: int = 0, but_redirected_to: str | None = None
    ) -> list[tuple[Entry, tuple[Part, ...]]]:
        """Messages of a queue that can be taken out of it, each with its parts there.

        Args:
            key: the queue.
            count_max: how many at most.
            number_below: only those with a lower number, so that what comes later stays; 0 for all.
            but_redirected_to: without those that go to this host already.

        Raises:
            Refusal: there is no such queue.
        """
        lane = self.lane(key)
        deferred = (part for _, part in self._delivery.deferred_parts())
        found: dict[int, tuple[Entry, tuple[Part, ...]]] = {}
        for part in chain(lane.waiting, deferred):
            entry = part.entry
            if part.lane is not lane or not _is_free(part) or entry.message.number in found:
                continue
            if number_below and entry.message.number >= number_below:
                continue
            redirect = entry.message.marks.redirect
            if all(host_for(redirect, each) == but_redirected_to for each in part.recipients):
                continue
            if len(found) == count_max:
                break
            parts = tuple(each for each in entry.parts if each.lane is lane and _is_free(each))
            found[entry.message.number] = (entry, parts)
        return list(found.values())

    # --- details ----------------------------------------------------------------------------------

    def _mark(self, now: float, numbers: Iterable[int], change: Callable[[Marks], Marks]) -> Done:
        done_count = busy_count = 0
        for entry, _ in self.entries(numbers):
            before = entry.message.marks
            marks = change(before)
            if marks == before:
                continue
            poison = before.poison and not marks.poison
            event_id = EventId.POISONMESSAGE if poison else EventId.RESUBMIT
            said = "held" if marks.held else "released"
            busy_count += self._take_marks(
                now, entry, marks, event_id if not marks.held else EventId.DEFER, said
            )
            done_count += 1
        return Done(done_count, busy_count)

    def _take_marks(
        self,
        now: float,
        entry: Entry,
        marks: Marks,
        event_id: EventId,
        said: str,
        parts: tuple[Part, ...] | None = None,
    ) -> bool:
        """Mark a message, write that down and route anew what is free of these parts, else of all.

        Returns:
            Whether something was not free.
        """
        self._queue.mark(entry, marks)
        parts = entry.parts if parts is None else parts
        recipients = tuple(dict.fromkeys(name for part in parts for name in part.recipients))
        line = self._tracking.line(
            now, event_id, SOURCE, facts_of(entry.message), recipients, LineDetails(custom_data=said)
        )
        self.writes.append(MarkMessage(entry.message.number, marks, line))
        for part in parts:
            if _is_free(part):
                self._route_anew(now, part)
        return any(part.state is PartState.AT_WORK for part in parts)

    def _route_anew(self, now: float, part: Part) -> None:
        part.lane.drop(now, part)
        self._delivery.route(now, part.entry, part.recipients)

    def _stir(self, lane: Lane) -> None:
        if isinstance(lane, OutboundQueue):
            self._delivery.outbound.stir(lane)


def _is_free(part: Part) -> bool:
    """Whether a part waits, so that it can be taken elsewhere."""
    return part.state in (PartState.WAITING, PartState.DEFERRED, PartState.READING)


def no_queue(key: str) -> Refusal:
    """The refusal for a queue that is not there."""
    return Refusal(f'there is no queue "{key}"; those that there are: holdfast queue list')


def no_message(name: str) -> Refusal:
    """The refusal for a message that does not wait here."""
    return Refusal(
        f'no message "{name}" waits here; where it went: holdfast message track --id {name}, and what '
        "waits: holdfast queue show QUEUE"
    )
