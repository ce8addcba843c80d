"""What the queue database is told, and tells at start, of shadow copies, take-over and the Safety Net.

All messages are in one place there. What a message is beside that says who it belongs to: one of our queue
has a row about its copy, one held for another server a row that names it, one in the Safety Net a row with
the instant at which it got there. So a take-over, or a discard, moves no data.

Source: docs/decisions/0016.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import msgspec

if TYPE_CHECKING:  # ``queue`` lists these among its writes
    from holdfast.transport.queue import QueuedMessage


class ShadowStructure(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of those that travel to the writer of the queue database as they are."""


class Copied(ShadowStructure, frozen=True):
    """Record who holds the copy of a message in our queue; an empty ``holder`` is nobody, ``since``."""

    number: int
    holder: str
    since: float
    tracking: str = ""


class ForgetCopies(ShadowStructure, frozen=True):
    """Forget who holds copies: their discard is durable there, or nobody holds them for us any more."""

    numbers: tuple[int, ...]
    tracking: ClassVar[str] = ""


@dataclass(slots=True, unsafe_hash=True)
class HoldCopy:
    """Keep the shadow copy of another server's message.

    Attributes:
        message: with a number of ours, its data and its fingerprint.
        primary: the server that answers for it.
        identity: of that server's queue database.
        primary_number: in that database.
        tracking: as with every write.
    """

    message: QueuedMessage
    primary: str
    identity: str
    primary_number: int
    tracking: str


class DropCopies(ShadowStructure, frozen=True):
    """Let shadow copies go, by our numbers; ``kept`` of them move to the Safety Net at an instant."""

    kept: tuple[int, ...]
    gone: tuple[int, ...]
    at: float
    tracking: str = ""


class NarrowCopy(ShadowStructure, frozen=True):
    """Keep a shadow copy, by our number, for these recipients alone: a host outside has it for the others."""

    number: int
    recipients: tuple[str, ...]
    tracking: ClassVar[str] = ""


class TakeOver(ShadowStructure, frozen=True):
    """Make shadow copies messages of our own queue, by our numbers, without a copy since an instant.

    Until ``ForgetTakeOver`` the queue database remembers that it was so, for the primary when it returns.
    """

    numbers: tuple[int, ...]
    since: float
    tracking: str


class ForgetTakeOver(ShadowStructure, frozen=True):
    """A primary knows that we took over messages of its: ``numbers`` in its database ``identity``."""

    primary: str
    identity: str
    numbers: tuple[int, ...]
    tracking: ClassVar[str] = ""


class Resubmit(ShadowStructure, frozen=True):
    """Put a message of the Safety Net into the queue again, for some recipients, marked ``resubmitted``."""

    number: int
    recipients: tuple[str, ...]
    tracking: str


class PurgeKept(ShadowStructure, frozen=True):
    """Remove what is in the Safety Net since before an instant, some at a time."""

    before: float
    tracking: ClassVar[str] = ""


TableWrite = (
    Copied | ForgetCopies | DropCopies | NarrowCopy | TakeOver | ForgetTakeOver | Resubmit | PurgeKept
)
ShadowWrite = HoldCopy | TableWrite


@dataclass(frozen=True, slots=True)
class KeptBatch:
    """Some messages of the Safety Net, without their data, with their original recipients.

    Attributes:
        messages: each with the instant at which it got there, by the wall clock.
        last_number: up to where was looked; what comes next has a higher number.
        at_end: whether nothing comes next.
    """

    messages: tuple[tuple[QueuedMessage, float], ...]
    last_number: int
    at_end: bool


@dataclass(frozen=True, slots=True)
class HeldCopy:
    """A shadow copy: another server's message, without its data, under a number of ours."""

    message: QueuedMessage
    primary: str
    identity: str
    primary_number: int


@dataclass(frozen=True, slots=True)
class RecoveredShadows:
    """What a queue database holds for and of other servers when its transport starts.

    Attributes:
        identity: of this queue database; another one in its place has another.
        holders: of messages in the queue: who holds the copy (empty: nobody) and since when.
        discards: number, holder, and whether it is in the Safety Net, of messages that are finished.
        copies: those that are held for other servers.
        taken_over: primary, identity of its database, and number there, of what was taken over from it
            and it does not know yet.
        something_kept: whether anything is in the Safety Net.
    """

    identity: str = ""
    holders: Mapping[int, tuple[str, float]] = field(default_factory=dict)
    discards: tuple[tuple[int, str, bool], ...] = ()
    copies: tuple[HeldCopy, ...] = ()
    taken_over: tuple[tuple[str, str, int], ...] = ()
    something_kept: bool = False


NO_SHADOWS = RecoveredShadows()
