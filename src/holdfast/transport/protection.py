"""Decide when a message of ours is protected, and tell its holder when the copy may go.

A message is *protected* when a partner has made a copy of it durable. The order is: the copy at the
partner first, then our own commit, then 250. So whoever reads 250 has two servers that keep its
message; and a crash of ours in between leaves a copy that nobody was promised, which the next
reconciliation throws away. The other order would leave a message in our queue that its sender
believes lost: it sends it again to the partner, and the recipient gets it twice.

When no partner can be asked, or none answers in time, ``protect`` decides: *required* puts the sender off
(451 4.4.0, nothing is kept), *preferred* takes the message *unprotected*, which is written down with it, and
copies it as soon as a partner is there again. Messages that we make ourselves (reports) go the same way.

After a link to a partner begins it lists what it holds for us (``Holding``). What is listed and not in
our queue is finished, or was never taken in: it is discarded. What is not listed and should be is
unprotected again. Only then new copies go there, so a copy never meets an older one of the same number.

A discard goes out when every recipient is finished and each report made of the message is protected itself;
it is kept on disk until the holder has made it durable.

Invariant: what is in ``ready`` is held by the partner that it names, or is marked unprotected.

Source: exchange-behaviour SR13-1..9; docs/decisions/0016.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from holdfast.kernel.errors import Refusal
from holdfast.kernel.events import LogEvent, happened
from holdfast.transport import shadow_events as events
from holdfast.transport.copy_state import KEPT, OUTSIDE, Partner, Waiting
from holdfast.transport.outcomes import facts_of
from holdfast.transport.queue import AddMessage, Queue, QueuedMessage
from holdfast.transport.shadow_copy import copy_of, late_copy_of
from holdfast.transport.shadow_writes import Copied, ForgetCopies
from holdfast.transport.tracking import EventId, LineDetails, TrackingWriter
from holdfast.wire import shadow

UNPROTECTED = ""  # in place of a holder's name
LATE_COPY_COUNT_MAX = 32  # on their way at once
LATE_COPY_BYTES_MAX = 32 << 20
LATE_RETRY_S = 10.0
_NO_COPY = LineDetails(recipient_status="unprotected: no partner could take a copy")
REFUSAL = Refusal("Message failed to be made redundant", code=451, status="4.4.0")  # SR13-3


class Protection:
    """The copies of one server's messages, at its partners.

    What is to be done piles up, and the caller takes it: ``frames``, messages that are ``ready`` for their
    commit or ``refused``, ``writes``, ``wanted`` data of messages, ``distrusted`` partners and why, ``logs``.
    """

    def __init__(self, queue: Queue, tracking: TrackingWriter) -> None:
        self._queue = queue
        self._tracking = tracking
        self._wait_s = 5.0
        # In the order in which they are asked.
        self.partner_names: tuple[str, ...] = ()
        self._partners: dict[str, Partner] = {}
        self._waiting: dict[int, Waiting] = {}
        # Messages that were decided on and are on their way to the disk.
        self._committing: dict[int, AddMessage] = {}
        # Those of them whose holder turned out not to have them any more.
        self._missing: set[int] = set()
        # All copies wait equally long, so the first is due first; may name some that wait no more.
        self._due: deque[tuple[float, int, str]] = deque()
        self._holders: dict[int, str] = {}
        self.unprotected: dict[int, float] = {}
        # Late copies that are on their way, and those whose data is being read.
        self._late: dict[int, tuple[str, int]] = {}
        self._reading: dict[int, int] = {}
        self._late_retry_at = 0.0
        # Reports that must be protected before a message is discarded: message to holder, end, reports.
        self._gated: dict[int, tuple[str, int, set[int]]] = {}
        self._gates: dict[int, int] = {}
        self.refused_count = 0
        self.frames: list[tuple[str, shadow.PrimaryFrame]] = []
        self.ready: list[AddMessage] = []
        self.refused: list[AddMessage] = []
        self.writes: list[Copied | ForgetCopies] = []
        self.wanted: list[int] = []
        self.distrusted: list[tuple[str, str]] = []
        self.logs: list[LogEvent] = []

    # --- who is there ------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether there is a partner at all; if not, copies are no matter."""
        return bool(self.partner_names)

    def follow(self, now: float, names: tuple[str, ...], wait_s: float) -> None:
        """Have other partners from now on, in the order in which they are asked."""
        self.partner_names = names
        self._wait_s = wait_s
        for name in names:
            self._partners.setdefault(name, Partner())
        for name in [each for each in self._partners if each not in names]:
            # A server that is no longer declared: what it holds is nobody's.
            self.link_down(now, name)
            gone = self._partners.pop(name)
            if gone.discards:
                self.writes.append(ForgetCopies(tuple(gone.discards)))
            self._expose(now, [each for each, holder in self._holders.items() if holder == name])

    def recovered(
        self, holders: Mapping[int, tuple[str, float]], discards: Iterable[tuple[int, str, bool]]
    ) -> None:
        """Take over what an earlier life has written down.

        Args:
            holders: of messages in the queue: who holds the copy (empty: nobody) and since when.
            discards: number, holder, whether it goes to the Safety Net.
        """
        for number, (holder, since) in holders.items():
            if holder:
                self._holders[number] = holder
                self.unprotected.pop(number, None)  # as all were taken for before this was read
                self._partners.setdefault(holder, Partner())
            else:
                self.unprotected[number] = since
        for number, holder, kept in discards:
            self._partners.setdefault(holder, Partner()).discards[number] = kept * KEPT | OUTSIDE

    def holder_of(self, number: int) -> str | None:
        """Who holds the copy of a message in our queue; empty for nobody, None when copies are no matter."""
        holder = self._holders.get(number)
        if holder is not None:
            return holder
        return UNPROTECTED if number in self.unprotected else None

    def held_by(self, name: str) -> list[int]:
        """The messages in our queue whose copy a partner holds."""
        return [number for number, holder in self._holders.items() if holder == name]

    @property
    def protected_count(self) -> int:
        """How many messages in our queue have a copy at a partner."""
        return len(self._holders)

    @property
    def waiting_count(self) -> int:
        """How many messages wait for their copy before they are taken in."""
        return len(self._waiting)

    def discard_count(self, name: str) -> int:
        """How many discards a partner has not made durable."""
        partner = self._partners.get(name)
        return len(partner.discards) if partner is not None else 0

    def usable(self, name: str) -> bool:
        """Whether new copies go to a partner now."""
        partner = self._partners.get(name)
        return partner is not None and partner.usable

    def _usable(self, but_not: Collection[str] = ()) -> str | None:
        for name in self.partner_names:
            if name not in but_not and self._partners[name].usable:
                return name
        return None

    # --- new messages --------------------------------------------------------------------------

    def take(self, now: float, write: AddMessage, *, required: bool) -> bool:
        """Have a message copied before it is committed.

        Returns:
            Whether it may be committed at once, unprotected.

        Raises:
            Refusal: 451 4.4.0, there is no partner and a copy is required.
        """
        holder = self._usable()
        if holder is not None:
            self._send_copy(now, write, holder, required=required)
            return False
        if required:
            self.refused_count += 1
            raise REFUSAL
        self._mark_unprotected(now, write)
        return True

    def _send_copy(
        self, now: float, write: AddMessage, holder: str, *, required: bool, asked: tuple[str, ...] = ()
    ) -> None:
        number = write.message.number
        self._waiting[number] = Waiting(write, holder, required, asked)
        self._give(now, holder, copy_of(write.message, self._tracking.wall(now), sender_may_repeat=True))

    def _give(self, now: float, holder: str, copy: shadow.Copy) -> None:
        number = copy.number
        partner = self._partners[holder]
        if number in partner.discards:
            # It was finished before and is in the queue again, from the Safety Net.
            self._forget(partner, [number])
        partner.given.add(number)
        self._due.append((now + self._wait_s, number, holder))
        self.frames.append((holder, copy))

    def _mark_unprotected(self, now: float, write: AddMessage) -> None:
        write.holder = UNPROTECTED
        write.tracking += self._line(now, EventId.HAREDIRECTFAIL, write, _NO_COPY)

    def _line(self, now: float, event_id: EventId, write: AddMessage, details: LineDetails) -> str:
        message = write.message
        facts = facts_of(message)
        return self._tracking.line(now, event_id, "REDUNDANCY", facts, message.recipients, details)

    def _without(self, now: float, waiting: Waiting) -> None:
        """Decide on a message whose partner does not answer: another partner, or none."""
        # Who could not take it once is not asked for the same message again.
        asked = (*waiting.asked, waiting.holder)
        other = self._usable(asked)
        if other is not None:
            self._send_copy(now, waiting.write, other, required=waiting.required, asked=asked)
        elif waiting.required:
            self.refused_count += 1
            self.refused.append(waiting.write)
        else:
            self._mark_unprotected(now, waiting.write)
            self._commit(waiting.write)

    def _commit(self, write: AddMessage) -> None:
        self._committing[write.message.number] = write
        self.ready.append(write)

    def committed(self, now: float, write: AddMessage) -> None:
        """A message is in our queue, with what was written down about its copy."""
        number = write.message.number
        self._committing.pop(number, None)
        if write.holder:
            self._holders[number] = write.holder
            if number in self._missing:
                self._missing.discard(number)
                self._expose(now, [number])
        elif write.holder == UNPROTECTED:
            self.unprotected[number] = now
            for name, partner in self._partners.items():
                if number not in (partner.listed or ()) or number in partner.discards:
                    continue
                if number in self.unprotected:
                    self._protected(now, number, name)  # its copy came about all the same
                else:
                    partner.discard(number, OUTSIDE)  # and another one too

    def failed(self, write: AddMessage) -> None:
        """A message could not be committed here, and its sender is told: its copy may go."""
        number = write.message.number
        self._committing.pop(number, None)
        self._missing.discard(number)
        for name, partner in self._partners.items():
            if write.holder == name or number in (partner.listed or ()):
                partner.discard(number, 0)

    def finished(self, number: int, *, kept: bool, outside: bool, reports: Iterable[int] = ()) -> None:
        """A message has left our queue, and that is durable.

        Args:
            number: of the message.
            kept: whether it goes to the Safety Net.
            outside: whether a next hop may have it.
            reports: numbers of the messages that were made of it; it is discarded when they are protected.
        """
        self.unprotected.pop(number, None)
        holder = self._holders.pop(number, "") or self._late.pop(number, ("", 0))[0]
        self._open_gate(number)
        partner = self._partners.get(holder)
        if partner is None:
            return
        end = kept * KEPT | outside * OUTSIDE
        exposed = {each for each in reports if each in self.unprotected}
        if exposed:
            self._gated[number] = (holder, end, exposed)
            for report in exposed:
                self._gates[report] = number
        else:
            partner.discard(number, end)

    def narrowed(self, number: int, recipients: tuple[str, ...]) -> None:
        """A host outside has a message for some recipients; its holder keeps it for the others alone."""
        holder = self._holders.get(number) or self._late_holder(number)
        if holder and (partner := self._partners.get(holder)) is not None and partner.listed is not None:
            self.frames.append((holder, shadow.Narrowed(number, recipients)))

    def _open_gate(self, report: int) -> None:
        """A report is protected or finished: what waited for it may be discarded."""
        number = self._gates.pop(report, None)
        if number is None:
            return
        holder, end, exposed = self._gated[number]
        exposed.discard(report)
        if not exposed:
            del self._gated[number]
            if (partner := self._partners.get(holder)) is not None:
                partner.discard(number, end)

    # --- what a partner says ---------------------------------------------------------------------

    def link_up(self, name: str) -> None:
        """A link to a partner stands; it lists what it holds before anything else."""
        partner = self._partners.get(name)
        if partner is not None:
            partner.listed = set()
            partner.untold = dict.fromkeys(partner.discards)

    def link_down(self, now: float, name: str) -> None:
        """The link to a partner is gone: what waits for it is decided without it.

        What it has made durable all the same it will list when it is back.
        """
        partner = self._partners.get(name)
        if partner is None:
            return
        partner.listed, partner.usable = None, False
        partner.untold.clear()
        for number in [each for each, (holder, _) in self._late.items() if holder == name]:
            del self._late[number]
        for number, waiting in [each for each in self._waiting.items() if each[1].holder == name]:
            del self._waiting[number]
            self._without(now, waiting)

    def holding(self, now: float, name: str, frame: shadow.Holding) -> None:
        """A partner lists what it holds for us."""
        partner = self._partners.get(name)
        if partner is None or partner.listed is None or partner.usable:
            return
        partner.listed.update(frame.numbers)
        partner.given.difference_update(frame.numbers)
        for number in frame.numbers:
            write = self._committing.get(number)
            if write is not None and write.holder in (name, UNPROTECTED):
                continue  # it is about to be in our queue
            elsewhere = self._holders.get(number, name) != name
            if (self._queue.get(number) is None or elsewhere) and number not in partner.discards:
                partner.discard(number, OUTSIDE)
        if frame.complete:
            self._reconcile(now, name, partner, partner.listed)

    def _reconcile(self, now: float, name: str, partner: Partner, listed: set[int]) -> None:
        partner.usable = True
        for number in listed:
            if number in self.unprotected and number not in partner.discards:
                # its answer came too late, or was lost
                self._protected(now, number, name)
            entry = self._queue.get(number)
            if entry is not None and entry.outside:
                self.narrowed(number, entry.remaining)
        self._missing.update(
            number
            for number, write in self._committing.items()
            if write.holder == name and number not in listed
        )
        missing = [each for each in self.held_by(name) if each not in listed]
        if missing:
            self._expose(now, missing)
            self.logs.append(happened(events.COPIES_MISSING, partner=name, message_count=len(missing)))
        self._forget(partner, [each for each in partner.discards if each not in listed])
        self.logs.append(
            happened(
                events.PARTNER_READY,
                partner=name,
                held_count=len(listed),
                unprotected_count=len(self.unprotected),
            )
        )

    def _protected(self, now: float, number: int, name: str) -> None:
        del self.unprotected[number]
        self._holders[number] = name
        self.writes.append(Copied(number, name, now))
        self._open_gate(number)

    def _expose(self, now: float, numbers: list[int]) -> None:
        """Messages of ours have no copy any more."""
        for number in numbers:
            del self._holders[number]
            self.unprotected[number] = now
            self.writes.append(Copied(number, UNPROTECTED, now))

    def held(self, now: float, name: str, numbers: tuple[int, ...]) -> None:
        """A partner has made copies durable.

        Raises:
            Refusal: it was not asked to hold one of them.
        """
        partner = self._partners[name]
        partner.answered_at = now
        for number in numbers:
            if number not in partner.given:
                raise Refusal(f"it says that it holds message {number}, which it was not given")
            partner.given.discard(number)
            waiting = self._waiting.get(number)
            if waiting is not None and waiting.holder == name:
                del self._waiting[number]
                write = waiting.write
                write.holder = name
                write.tracking += self._line(now, EventId.HAREDIRECT, write, LineDetails(reference=name))
                self._commit(write)
            elif self._is_committed_without(number) and partner.listed is not None:
                partner.listed.add(number)  # decided without it meanwhile; it counts once that is durable
            elif self._late_holder(number) == name:
                del self._late[number]
                if number in self.unprotected:
                    self._protected(now, number, name)
                else:  # meanwhile another partner turned out to have it
                    partner.discard(number, OUTSIDE)
            elif number in self.unprotected and self._queue.get(number) is not None:
                self._protected(now, number, name)  # its commit took longer than the link lived
            elif number not in partner.discards and number not in self._gated:
                partner.discard(number, OUTSIDE)

    def is_committing(self, number: int) -> bool:
        """Whether a message is on its way into our queue, with what is known about its copy."""
        return number in self._committing

    def _is_committed_without(self, number: int) -> bool:
        write = self._committing.get(number)
        return write is not None and write.holder == UNPROTECTED

    def not_held(self, now: float, name: str, frame: shadow.NotHeld) -> None:
        """A partner cannot make copies; those messages go on without it."""
        given = self._partners[name].given
        for number in frame.numbers:
            given.discard(number)
            waiting = self._waiting.get(number)
            if waiting is not None and waiting.holder == name:
                del self._waiting[number]
                self._without(now, waiting)
            elif self._late_holder(number) == name:
                del self._late[number]
        if self._late_retry_at <= now:
            self._late_retry_at = now + LATE_RETRY_S
            self.logs.append(happened(events.COPY_REFUSED, partner=name, reason=frame.reason[:200]))

    def discarded(self, name: str, numbers: tuple[int, ...]) -> None:
        """A partner has made discards durable."""
        partner = self._partners.get(name)
        if partner is not None:
            self._forget(partner, [each for each in numbers if each in partner.discards])

    def _forget(self, partner: Partner, numbers: list[int]) -> None:
        for number in numbers:
            del partner.discards[number]
            partner.untold.pop(number, None)
            if partner.listed is not None:
                partner.listed.discard(number)
        if numbers:
            self.writes.append(ForgetCopies(tuple(numbers)))

    def taken_over(self, name: str, number: int) -> bool:
        """A partner answers for a message now: what it held is no copy of ours any more; what others hold is.

        Returns:
            Whether it may have gone to a host outside already, as far as we know.
        """
        self.unprotected.pop(number, None)
        ends = [each.discards[number] for each in self._partners.values() if number in each.discards]
        its_own = self._holders.get(number) == name
        if its_own:
            del self._holders[number]
        if self._late_holder(number) == name:
            del self._late[number]
        partner = self._partners.get(name)
        if partner is not None and partner.discards.pop(number, None) is not None:
            partner.untold.pop(number, None)
            its_own = True
        gated = self._gated.get(number)
        if gated is not None:
            ends.append(gated[1])
            if gated[0] == name:
                del self._gated[number]
                for report in gated[2]:
                    del self._gates[report]
                its_own = True
        if its_own:
            self.writes.append(ForgetCopies((number,)))
        return bool(ends[0] & OUTSIDE) if ends else True

    # --- time --------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called."""
        self._skip_answered()
        due = self._due[0][0] if self._due else None
        if self._late_retry_at and self.unprotected:
            return self._late_retry_at if due is None else min(due, self._late_retry_at)
        return due

    def _skip_answered(self) -> None:
        while self._due:
            _, number, holder = self._due[0]
            waiting = self._waiting.get(number)
            if (waiting is not None and waiting.holder == holder) or self._late_holder(number) == holder:
                return
            self._due.popleft()

    def timer(self, now: float) -> None:
        """Go on without partners that do not answer in time; who answers for no copy at all is distrusted."""
        if self._late_retry_at <= now:
            self._late_retry_at = 0.0
        self._skip_answered()
        while self._due and self._due[0][0] <= now:
            _, number, holder = self._due.popleft()
            partner = self._partners.get(holder)
            if partner is not None and now - partner.answered_at < self._wait_s:
                waiting = self._waiting.pop(number, None)
                if waiting is not None:
                    self._without(now, waiting)
                else:
                    del self._late[number]
            else:
                self.distrusted.append((holder, f"it did not hold a copy within {self._wait_s:g} s"))
                self.link_down(now, holder)
            self._skip_answered()

    # --- what goes out -----------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Tell discards, and copy what is unprotected."""
        for name, partner in self._partners.items():
            if partner.usable and partner.untold:
                self._tell_discards(name, partner)
        if self.unprotected and self._late_retry_at <= now:
            self._copy_late(now)

    def _tell_discards(self, name: str, partner: Partner) -> None:
        numbers, partner.untold = list(partner.untold), {}
        for start in range(0, len(numbers), shadow.NUMBERS_PER_FRAME):
            some = numbers[start : start + shadow.NUMBERS_PER_FRAME]
            kept = tuple(each for each in some if partner.discards[each] & KEPT)
            gone = tuple(each for each in some if not partner.discards[each] & KEPT)
            self.frames.append((name, shadow.Finished(kept, gone)))

    def _copy_late(self, now: float) -> None:
        holder = self._usable()
        if holder is None:
            return
        for number in self.unprotected:
            if len(self._late) + len(self._reading) >= LATE_COPY_COUNT_MAX:
                return
            if number in self._late or number in self._reading:
                continue
            if number in self._partners[holder].discards:
                continue  # the discard of an older copy could take the new one
            entry = self._queue.get(number)
            if entry is None:
                continue  # it is about to be finished
            size_bytes = entry.message.size_bytes
            under_way_bytes = sum(size for _, size in self._late.values()) + sum(self._reading.values())
            if under_way_bytes and under_way_bytes + size_bytes > LATE_COPY_BYTES_MAX:
                return
            if entry.message.data is not None:
                self._send_late(now, replace(entry.message, recipients=entry.remaining), holder)
            else:
                self._reading[number] = size_bytes
                self.wanted.append(number)

    def _send_late(self, now: float, message: QueuedMessage, holder: str) -> None:
        self._late[message.number] = (holder, message.size_bytes)
        self._give(now, holder, late_copy_of(message, self._tracking.wall(now)))

    def _late_holder(self, number: int) -> str:
        """The partner that a late copy of a message is on its way to; empty for none."""
        return self._late.get(number, ("", 0))[0]

    def data_read(self, now: float, number: int, data: bytes | None) -> None:
        """The data of a message in ``wanted``; None when it cannot be read now."""
        if number not in self._reading:
            return
        del self._reading[number]
        entry = self._queue.get(number)
        holder = self._usable()
        if entry is None or data is None or holder is None or number not in self.unprotected:
            if data is None:
                self._late_retry_at = now + LATE_RETRY_S
        else:
            self._send_late(now, replace(entry.message, data=data, recipients=entry.remaining), holder)
