"""What a made-up queue database holds for other servers, and knows of what they hold for it.

Source: ``transport.shadow_writes``; the counterpart is ``drivers.sqlite_shadows``.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field

from holdfast.sim.world import Violation
from holdfast.transport.queue import NO_MARKS, Marks, QueuedMessage
from holdfast.transport.shadow_writes import (
    Copied,
    DropCopies,
    ForgetCopies,
    ForgetTakeOver,
    HeldCopy,
    HoldCopy,
    KeptBatch,
    NarrowCopy,
    PurgeKept,
    RecoveredShadows,
    Resubmit,
    ShadowWrite,
    TakeOver,
)

KEPT_COUNT = 20  # small, so that a few messages take several steps


def identity_of(name: str, generation: int) -> str:
    """The identity of a queue database; another one in its place is of another generation."""
    return hashlib.blake2b(f"{name} {generation}".encode(), digest_size=16).hexdigest()


@dataclass(slots=True)
class ShadowTables:
    """The tables beside the messages.

    Attributes:
        messages: the queue, by number; the disk's own.
        identity: of this database.
        copies: held for other servers, with their data, by our number.
        kept: the Safety Net: message and since when, by our number.
        holders: who holds the copy of a message in the queue (empty: nobody) and since when.
        discards: who has not heard yet that a message is finished.
        taken_over: primary, identity and number there, of what was taken over and its primary does not know.
    """

    messages: dict[int, QueuedMessage]
    identity: str
    copies: dict[int, HeldCopy] = field(default_factory=dict)
    kept: dict[int, tuple[QueuedMessage, float]] = field(default_factory=dict)
    holders: dict[int, tuple[str, float]] = field(default_factory=dict)
    discards: dict[int, str] = field(default_factory=dict)
    taken_over: dict[tuple[str, str, int], None] = field(default_factory=dict)
    # The recipients that a message came with, where fewer are left.
    originals: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def added(self, message: QueuedMessage, holder: str | None) -> None:
        """A message of ours is there."""
        if holder is not None:
            self.holders[message.number] = (holder, message.received_at)

    def finished(self, message: QueuedMessage, kept: float) -> None:
        """A message of ours has left the queue."""
        original = self.originals.pop(message.number, message.recipients)
        if kept:
            whole = dataclasses.replace(message, recipients=original, marks=NO_MARKS)
            self.kept[message.number] = (whole, kept)
        holder, _ = self.holders.pop(message.number, ("", 0.0))
        if holder:
            self.discards[message.number] = holder

    def apply(self, write: ShadowWrite) -> None:
        """Make a write durable.

        Raises:
            Violation: it takes over, or resubmits, what is not there.
        """
        match write:
            case Copied(number, holder, since):
                if number in self.messages:
                    self.holders[number] = (holder, since)
            case ForgetCopies(numbers):
                for number in numbers:
                    self.discards.pop(number, None)
                    if number in self.messages:
                        self.holders[number] = ("", 0.0)
            case HoldCopy(message, primary, identity, primary_number):
                self.copies[message.number] = HeldCopy(message, primary, identity, primary_number)
            case DropCopies(kept, gone, at):
                for number in kept:
                    if number in self.copies:
                        message = self.copies.pop(number).message
                        original = self.originals.pop(number, message.recipients)
                        self.kept[number] = (dataclasses.replace(message, recipients=original), at)
                for number in gone:
                    self.copies.pop(number, None)
                    self.originals.pop(number, None)
            case NarrowCopy(number, recipients):
                if (held := self.copies.get(number)) is not None:
                    self.originals.setdefault(number, held.message.recipients)
                    message = dataclasses.replace(held.message, recipients=recipients)
                    self.copies[number] = dataclasses.replace(held, message=message)
            case TakeOver(numbers, since):
                for number in numbers:
                    self._take_over(number, since)
            case ForgetTakeOver(primary, identity, numbers):
                for number in numbers:
                    self.taken_over.pop((primary, identity, number), None)
            case Resubmit(number, recipients):
                if number not in self.kept:
                    raise Violation(f"queue number {number} is not in the Safety Net")
                message, at = self.kept.pop(number)
                self.originals[number] = message.recipients
                marks = Marks(resubmitted=True)
                self.messages[number] = dataclasses.replace(message, recipients=recipients, marks=marks)
                self.holders[number] = ("", at)
            case PurgeKept(before):
                for number in [each for each, (_, at) in self.kept.items() if at < before]:
                    del self.kept[number]

    def _take_over(self, number: int, since: float) -> None:
        held = self.copies.pop(number, None)
        if held is None:
            raise Violation(f"queue number {number} is taken over, and is no copy")
        self.messages[number] = held.message
        self.holders[number] = ("", since)
        self.taken_over[(held.primary, held.identity, held.primary_number)] = None

    def recover(self) -> RecoveredShadows:
        """Read what a starting transport finds."""
        return RecoveredShadows(
            identity=self.identity,
            holders=dict(self.holders),
            discards=tuple((number, holder, number in self.kept) for number, holder in self.discards.items()),
            copies=tuple(
                dataclasses.replace(held, message=dataclasses.replace(held.message, data=None))
                for held in self.copies.values()
            ),
            taken_over=tuple(self.taken_over),
            something_kept=bool(self.kept),
        )

    def read_kept(self, since: float, until: float, after_number: int) -> KeptBatch:
        """Read some messages of the Safety Net; see ``node.ports.ReadKept``."""
        numbers = sorted(each for each in self.kept if each > after_number)
        looked, at_end = numbers[:KEPT_COUNT], len(numbers) <= KEPT_COUNT
        found = [(self.kept[each][0], self.kept[each][1]) for each in looked]
        wanted = tuple(
            (dataclasses.replace(message, data=None, fingerprint=b""), at)
            for message, at in found
            if since <= at <= until
        )
        return KeptBatch(wanted, looked[-1] if looked else after_number, at_end)

    def read(self, number: int) -> bytes | None:
        """The data of a message that is not in the queue."""
        if number in self.copies:
            return self.copies[number].message.data
        return self.kept[number][0].data if number in self.kept else None
