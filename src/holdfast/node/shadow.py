"""Shadow copies of one server, put together: links, our messages' copies at partners, and others' copies
here.

The transport node asks ``before_commit`` of each new message, tells what the queue database has done, and
takes what piles up after every input (``work``).

A start with messages whose copy a partner holds asks that partner first: it may have taken them over while
we were away. They are not delivered before it has answered, or ``ASK_FIRST_S`` have passed: a partner
that does not answer is dead itself, and mail goes on.

Source: exchange-behaviour SR13-1..11; docs/decisions/0016.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import assert_never

from holdfast.directory.model import Organisation, Protect, Server
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.events import LogEvent, happened
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Log, ReadQueued, TransportOutput
from holdfast.node.resubmission import Resubmission
from holdfast.node.shadow_links import ShadowLinks
from holdfast.transport import shadow_events as events
from holdfast.transport.delivery import Delivery
from holdfast.transport.intake import Intake
from holdfast.transport.protection import Protection
from holdfast.transport.queue import AddMessage, Entry, Queue, QueuedMessage, QueueWrite
from holdfast.transport.shadow_partners import shadow_partners
from holdfast.transport.shadow_queues import HolderWrite, ShadowQueues
from holdfast.transport.shadow_writes import (
    RecoveredShadows,
    Resubmit,
)
from holdfast.transport.tls_policy import TlsDemand
from holdfast.transport.tracking import TrackingWriter
from holdfast.wire import shadow

ASK_FIRST_S = 10.0


class Shadows:
    """All that one server has to do with copies.

    Attributes:
        outputs: for the drivers.
        writes: for the queue database.
        ready: messages of clients that may be committed.
        refused: messages whose sender is to be put off (451 4.4.0).
    """

    def __init__(
        self,
        queue: Queue,
        delivery: Delivery,
        intake: Intake,
        tracking: TrackingWriter,
        luck: random.Random,
        new_id: Callable[[], ConnectionId],
    ) -> None:
        """Put the parts together; no partner yet."""
        self._queue = queue
        self._delivery = delivery
        self._intake = intake
        self._tracking = tracking
        self.protection = Protection(queue, tracking)
        self.held = ShadowQueues(queue, tracking)
        self.links = ShadowLinks(self, luck, new_id)
        self.resubmission = Resubmission(tracking, lambda: delivery.mailboxes.categorizer)
        self._required_domains: frozenset[str] = frozenset()
        # Messages that wait for a partner's word before they are routed, by partner; and until when.
        self._asking: dict[str, list[Entry]] = {}
        self._asking_until = 0.0
        # Messages that partners took over (two may: the copy moved) and we have not quite finished with.
        self._noting: dict[int, set[str]] = {}
        # Those of them that are not in our queue yet: their commit is under way.
        self._noting_later: dict[int, set[str]] = {}
        self.sent_by_both_count = 0
        self.outputs: list[TransportOutput] = []
        self.writes: list[QueueWrite] = []
        self.ready: list[AddMessage] = []
        self.refused: list[AddMessage] = []
        self.logs: list[LogEvent] = []

    # --- the organisation ---------------------------------------------------------------------------

    def follow(
        self, now: float, organisation: Organisation, own: Server | None, demands: dict[str, TlsDemand]
    ) -> None:
        """Go by an organisation from now on.

        Args:
            now: when.
            organisation: the new one.
            own: ourselves in it.
            demands: the TLS that a connection to each server of ours needs.
        """
        partners = tuple(each for each in shadow_partners(organisation, own) if each.name in demands)
        links = self.links
        links.own_name = own.name if own is not None else ""
        links.ehlo_name = own.fqdn if own is not None else "localhost"
        links.heartbeat_s = organisation.shadow_heartbeat_s
        links.follow(now, partners, demands)
        active_before = self.protection.active
        self.protection.follow(now, tuple(each.name for each in partners), organisation.shadow_wait_s)
        if self.protection.active and not active_before:
            self._expose_rest(now)
        self.held.takeover_s = organisation.shadow_takeover_s
        self.held.keeps = organisation.safety_net_hold_s > 0
        self.resubmission.hold_s = organisation.safety_net_hold_s
        self._required_domains = frozenset(
            each.name for each in organisation.accepted_domains if each.protect is Protect.REQUIRED
        )

    def _expose_rest(self, now: float) -> None:
        """There is a partner for the first time: what waits already has no copy."""
        protection = self.protection
        for entry in self._queue:
            number = entry.message.number
            if protection.holder_of(number) is None:
                protection.unprotected[number] = now

    def started(self, now: float, shadows: RecoveredShadows) -> list[Entry]:
        """Take over what an earlier life has written down.

        Returns:
            The messages that are not to be routed yet: a partner may have taken them over.
        """
        self.links.own_identity = shadows.identity
        self.protection.recovered(shadows.holders, shadows.discards)
        self.held.recovered(now, shadows)
        for copy in shadows.copies:  # whose senders may come here, now as before
            if copy.message.fingerprint:
                self._intake.first_try_elsewhere(
                    now,
                    copy.message.fingerprint,
                    copy.message.network_message_id,
                    named=copy.message.message_id != "",
                )
        if self.protection.active:
            self._expose_rest(now)
        waiting = []
        for name in self.protection.partner_names:
            entries = [self._queue[number] for number in self.protection.held_by(name)]
            if entries:
                self._asking[name] = entries
                waiting += entries
        self._asking_until = now + ASK_FIRST_S
        return waiting

    # --- new messages --------------------------------------------------------------------------------

    def before_commit(self, now: float, write: AddMessage, *, required: bool) -> bool:
        """Have a new message copied; returns whether it may be committed at once.

        Raises:
            Refusal: 451 4.4.0, it can have no copy and needs one.
        """
        if not required and self._required_domains:
            required = any(self._is_required(each) for each in write.message.recipients)
        return self.protection.take(now, write, required=required)

    def _is_required(self, recipient: str) -> bool:
        return recipient.rpartition("@")[2].lower() in self._required_domains

    @property
    def stirred(self) -> bool:
        """Whether there may be anything to do: a server without partners and copies has nothing."""
        return (
            self.protection.active
            or bool(self.held.copy_count or self.links.incoming or self.links.out)
            or self.resubmission.busy
        )

    def _come_to_us(self, now: float, messages: list[QueuedMessage]) -> None:
        """Messages are in our queue database that are not new: route them, and have them copied."""
        for message in messages:
            # One from the Safety Net has been delivered before; its wait begins now.
            age_s = 0.0 if message.marks.resubmitted else self._tracking.wall(now) - message.received_at
            entry = self._queue.add(now, message, age_s)
            if self.protection.active:
                self.protection.unprotected[message.number] = now
            self._delivery.route(now, entry, entry.remaining)

    def finished(self, now: float, entry: Entry, *, kept: bool, reports: tuple[int, ...]) -> None:
        """A message has left our queue, durably; ``reports`` were made of it."""
        number = entry.message.number
        self.resubmission.finished(now, number)
        self.protection.finished(number, kept=kept, outside=entry.outside, reports=reports)
        if number in self._noting:
            for name in sorted(self._noting.pop(number)):
                self._note(name, number)

    def narrowed(self, entry: Entry) -> None:
        """Some recipients of a message are finished, durably, and a host outside has it."""
        self.protection.narrowed(entry.message.number, entry.remaining)

    def answers_read(self, fingerprints: tuple[bytes, ...]) -> None:
        """Senders have read their 250: partners need not know these messages as first tries any more."""
        for name in self.protection.partner_names:
            self.links.to_partner(name, shadow.AnswersRead(fingerprints))

    # --- links (``LinkListener``) ----------------------------------------------------------------------

    def partner_up(self, now: float, name: str) -> None:
        """A partner may be asked; it lists first what it has."""
        self.protection.link_up(name)

    def partner_down(self, now: float, name: str) -> None:
        """A partner is gone."""
        self.protection.link_down(now, name)

    def partner_said(self, now: float, name: str, frame: shadow.HolderFrame) -> None:
        """A partner answered."""
        match frame:
            case shadow.Held():
                self.protection.held(now, name, frame.numbers)
            case shadow.NotHeld():
                self.protection.not_held(now, name, frame)
            case shadow.Discarded():
                self.protection.discarded(name, frame.numbers)
            case shadow.Holding():
                self.protection.holding(now, name, frame)
                if frame.complete:
                    self._release(now, name)
            case shadow.TookOver():
                self._took_over(now, name, frame.numbers)
            case shadow.Pong():
                pass
            case _:
                assert_never(frame)

    def primary_up(self, now: float, name: str, identity: str) -> None:
        """Another server has us keep its copies."""
        self.held.link_up(now, name, identity)

    def primary_down(self, now: float, name: str) -> None:
        """Its link is gone."""
        self.held.link_down(now, name)

    def primary_said(self, now: float, name: str, frame: shadow.PrimaryFrame) -> None:
        """It asked something."""
        if isinstance(frame, shadow.AnswersRead):
            self._intake.answers_read_elsewhere(frame.fingerprints)
        elif isinstance(frame, shadow.Copy) and frame.fingerprint:
            self._intake.first_try_elsewhere(
                now, frame.fingerprint, frame.network_message_id, named=frame.message_id != ""
            )
        elif isinstance(frame, shadow.Finished):
            for message in self.held.copies_of(name, frame.gone):
                self._intake.try_gone_elsewhere(message.fingerprint, message.network_message_id)
        self.held.said(now, name, frame)

    def heard(self, now: float, name: str) -> None:
        """A server of ours lives."""
        self.held.heard(now, name)

    # --- what a partner took over ------------------------------------------------------------------------

    def _took_over(self, now: float, name: str, numbers: tuple[int, ...]) -> None:
        """A partner answers for messages of ours: leave to it what waits here."""
        left_count = both_count = 0
        for number in numbers:
            if self.protection.is_committing(number):
                self._noting_later.setdefault(number, set()).add(name)
                continue
            outside = self.protection.taken_over(name, number)
            entry = self._queue.get(number)
            if entry is None:
                both_count += outside
                self._note(name, number)
                continue
            self._noting.setdefault(number, set()).add(name)
            if self._delivery.leave_to(now, entry, name):
                left_count += 1
            else:
                both_count += 1
        self.logs.append(
            happened(events.TAKEN_OVER_HERE, server=name, message_count=len(numbers), left_count=left_count)
        )
        if both_count:
            self.sent_by_both_count += both_count
            self.logs.append(happened(events.SENT_BY_BOTH, server=name, message_count=both_count))

    def _take_up_later(self, now: float) -> None:
        """See to what was taken over before it was in our queue."""
        for number, names in list(self._noting_later.items()):
            if not self.protection.is_committing(number):
                del self._noting_later[number]
                for name in sorted(names):
                    self._took_over(now, name, (number,))

    def _note(self, name: str, number: int) -> None:
        self.links.to_partner(name, shadow.Noted((number,)))

    def _release(self, now: float, name: str) -> None:
        """A partner has told what it took over, or does not answer: what is left is ours to deliver."""
        for entry in self._asking.pop(name, ()):
            left = entry.outcomes or entry.writing is not None  # to the partner that took it over
            if self._queue.get(entry.message.number) is entry and not left:
                self._delivery.route(now, entry, entry.remaining)

    # --- the queue database ----------------------------------------------------------------------------

    def committed(self, now: float, write: QueueWrite) -> None:
        """A write of ours is durable."""
        if isinstance(write, Resubmit):
            self.resubmission.committed(now, write)
        elif isinstance(write, HolderWrite):
            self.held.committed(write)

    def failed(self, now: float, write: QueueWrite, error: Unavailable) -> bool:
        """A write did not happen; returns whether it was ours, and so is taken care of."""
        if isinstance(write, Resubmit):
            self.resubmission.failed(now, write)
            return True
        if isinstance(write, HolderWrite):
            self.held.failed(now, write, error.text)
            return True
        return False

    # --- time ------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called."""
        due = (
            self.links.deadline(),
            self.protection.deadline(),
            self.held.deadline(),
            self.resubmission.deadline(),
            self._asking_until if self._asking else None,
        )
        return min((each for each in due if each is not None), default=None)

    def timer(self, now: float) -> None:
        """Do what is due."""
        self.protection.timer(now)
        self.links.timer(now)
        self.held.timer(now)
        self.resubmission.timer(now)
        if self._asking and now >= self._asking_until:
            for name in list(self._asking):
                self._release(now, name)

    def work(self, now: float) -> bool:
        """Turn what the parts have decided into outputs and writes; returns whether there is anything new."""
        protection, held, links = self.protection, self.held, self.links
        if self._noting_later:
            self._take_up_later(now)
        if protection.active or protection.frames:
            protection.advance(now)
        while protection.distrusted:
            name, reason = protection.distrusted.pop()
            links.distrust(now, name, reason)
        if protection.frames:
            frames, protection.frames = protection.frames, []
            for name, frame in frames:
                self._to_partner(now, name, frame)
        if held.frames:
            replies, held.frames = held.frames, []
            for name, reply in replies:
                links.to_primary(name, reply)
        links.write(now)
        self._gather(now)
        return bool(self.outputs or self.writes or self.ready or self.refused)

    def _to_partner(self, now: float, name: str, frame: shadow.PrimaryFrame) -> None:
        try:
            self.links.to_partner(name, frame)
        except Refusal as refusal:
            assert isinstance(frame, shadow.Copy)
            self.protection.not_held(now, name, shadow.NotHeld((frame.number,), refusal.text))

    def _gather(self, now: float) -> None:
        protection, held, links, resubmission = self.protection, self.held, self.links, self.resubmission
        if protection.ready:
            self.ready += protection.ready
            protection.ready = []
        if protection.writes:
            self.writes += protection.writes
            protection.writes = []
        if held.writes:
            self.writes += held.writes
            held.writes = []
        if protection.refused:
            self.refused += protection.refused
            protection.refused = []
        if protection.wanted:
            self.outputs.append(ReadQueued(protection.wanted))
            protection.wanted = []
        if held.taken_over:
            taken_over, held.taken_over = held.taken_over, []
            self._come_to_us(now, taken_over)
        if resubmission.came_back:
            came_back, resubmission.came_back = resubmission.came_back, []
            self._come_to_us(now, came_back)
        if resubmission.writes:
            self.writes += resubmission.writes
            resubmission.writes = []
        if resubmission.outputs:
            self.outputs += resubmission.outputs
            resubmission.outputs = []
        if links.outputs:
            self.outputs += links.outputs
            links.outputs = []
        for source in (protection, held, links, resubmission, self):
            if source.logs:
                self.outputs += [Log(event) for event in source.logs]
                source.logs = []
