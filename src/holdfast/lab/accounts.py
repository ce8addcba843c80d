"""Close the books of a drill: what was promised, where it is, and for how long nobody served.

The unit is a copy: one recipient of one letter, as in the ledger. A letter with its 250
is a promise for each of its recipients. A promised copy is in a mailbox, or waits in a
queue, or was returned; else it is lost. What no sender was promised may be there all
the same (the 250 did not arrive) and is no fault. More than one in a mailbox is.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from holdfast.lab.load import Sent
from holdfast.lab.probes import Door, Look

Copy = tuple[int, str]  # number of the letter, recipient
Entry = tuple[str, str]  # network message id, recipient: what ledgers are about


@dataclass(frozen=True, slots=True)
class Tally:
    """The sums of a drill, in copies.

    Attributes:
        sent_count: of letters that were begun.
        acknowledged_count: of letters with their 250: promised.
        refused_count: of letters with a 5xx.
        unanswered_count: of letters that had no final answer when the drill ended.
        delivered_count: promised, and in a mailbox.
        queued_count: promised, not in a mailbox, and in a queue.
        bounced_count: promised, and returned to the sender.
        unread_count: promised, for a mailbox that could not be read: nothing is known.
        unpromised_count: in a mailbox without a promise.
        doubled_uncertain_count: of the doubled ones, those whose sender heard no answer and tried again.
        risked_count: promised and nowhere, and named beforehand as what only one server had.
        lost: promised, and nowhere.
        doubled: more than once in a mailbox.
        foreign: in a mailbox that they were not sent to.
    """

    sent_count: int
    acknowledged_count: int
    refused_count: int
    unanswered_count: int
    delivered_count: int
    queued_count: int
    bounced_count: int
    unread_count: int
    unpromised_count: int
    doubled_uncertain_count: int
    risked_count: int
    lost: tuple[Copy, ...]
    doubled: tuple[Copy, ...]
    foreign: tuple[Copy, ...]

    @property
    def lost_count(self) -> int:
        """How many promised copies are nowhere; the promise is 0."""
        return len(self.lost)

    @property
    def doubled_count(self) -> int:
        """How many copies are in a mailbox more than once; the promise is 0."""
        return len(self.doubled)


def missing_copies(sent: Sent, found: Mapping[str, Counter[int]]) -> set[Copy]:
    """The promised copies that are in no mailbox that was read."""
    return {
        (number, recipient)
        for number in sent.acknowledged
        for recipient in sent.letters[number].recipients
        if recipient in found and not found[recipient][number]
    }


def settle(
    sent: Sent,
    found: Mapping[str, Counter[int]],
    *,
    queued: set[Copy],
    bounced: set[Copy],
    named: Set[Copy] = frozenset(),
) -> Tally:
    """Add up a drill.

    Args:
        sent: what the senders know.
        found: the letters in each mailbox that could be read.
        queued: copies that wait in a queue of a server.
        bounced: copies that a server gave up.
        named: copies that a server said only it had, before it lost its disk.
    """
    promised = {
        (number, recipient) for number in sent.acknowledged for recipient in sent.letters[number].recipients
    }
    there = {(number, recipient): count for recipient, box in found.items() for number, count in box.items()}
    unread = {copy for copy in promised if copy[1] not in found}
    missing = promised - there.keys() - unread
    all_copies = {
        (number, recipient) for number, letter in sent.letters.items() for recipient in letter.recipients
    }
    doubled = sorted(copy for copy, count in there.items() if count > 1)
    return Tally(
        sent_count=len(all_copies),
        acknowledged_count=len(promised),
        refused_count=_copies(sent, sent.refused),
        unanswered_count=_copies(sent, sent.letters.keys() - sent.acknowledged.keys() - sent.refused.keys()),
        delivered_count=len(promised & there.keys()),
        queued_count=len(missing & queued),
        bounced_count=len((missing - queued) & bounced),
        unread_count=len(unread),
        unpromised_count=len((there.keys() & all_copies) - promised),
        doubled_uncertain_count=sum(number in sent.uncertain for number, _ in doubled),
        risked_count=len((missing - queued - bounced) & named),
        lost=tuple(sorted(missing - queued - bounced - named)),
        doubled=tuple(doubled),
        foreign=tuple(sorted(there.keys() - all_copies)),
    )


def join_ledgers(missing: Mapping[str, set[Entry]], closed: Mapping[str, set[Entry]]) -> tuple[Entry, ...]:
    """What the servers together cannot account for.

    A server that lost its disk cannot tell what became of a message; its partner, which held a copy, can.

    Args:
        missing: what the ledger of each server calls unaccounted.
        closed: what the tracking log of each server says was delivered, handed on, returned or dropped.
    """
    return tuple(
        sorted(
            {
                entry
                for server, entries in missing.items()
                for entry in entries
                if not any(entry in each for other, each in closed.items() if other != server)
            }
        )
    )


def _copies(sent: Sent, numbers: Iterable[int]) -> int:
    return sum(len(sent.letters[number].recipients) for number in numbers)


@dataclass(frozen=True, slots=True)
class Gap:
    """A span without service, in seconds from the start of the drill."""

    from_s: float
    until_s: float

    @property
    def span_s(self) -> float:
        """How long it was."""
        return self.until_s - self.from_s


def longest_gap(moments: Iterable[float], started_at: float, ended_at: float) -> Gap:
    """The longest span without a moment of service, from the start to the end of the drill."""
    last, longest = started_at, Gap(0.0, 0.0)
    for at in [*sorted(each for each in moments if started_at <= each <= ended_at), ended_at]:
        if at - last > longest.span_s:
            longest = Gap(last - started_at, at - started_at)
        last = at
    return longest


def outages(looks: Iterable[Look], started_at: float, ended_at: float) -> tuple[Gap, ...]:
    """The spans in which a door did not answer: from the first look that failed to the next that did not."""
    found: list[Gap] = []
    failed_at: float | None = None
    for look in looks:
        if not look.answered:
            failed_at = look.at if failed_at is None else failed_at
        elif failed_at is not None:
            found.append(Gap(failed_at - started_at, look.at - started_at))
            failed_at = None
    if failed_at is not None:
        found.append(Gap(failed_at - started_at, ended_at - started_at))
    return tuple(found)


def without_service(
    looks: Mapping[Door, list[Look]], started_at: float, ended_at: float
) -> dict[str, dict[str, float]]:
    """The longest span without service per protocol, in seconds: at each server, and at any (key ``any``).

    A client that knows both servers is without service only while neither answers.
    """
    found: dict[str, dict[str, float]] = {}
    for protocol in dict.fromkeys(door.protocol for door in looks):
        gaps = {
            door.place.server: outages(seen, started_at, ended_at)
            for door, seen in looks.items()
            if door.protocol == protocol
        }
        spans = {server: _longest(each) for server, each in gaps.items()}
        everywhere: tuple[Gap, ...] = functools.reduce(_overlaps, gaps.values())
        found[protocol] = spans | {"any": _longest(everywhere)}
    return found


def _overlaps(some: tuple[Gap, ...], others: tuple[Gap, ...]) -> tuple[Gap, ...]:
    """The spans that are in both."""
    found = (
        Gap(max(one.from_s, other.from_s), min(one.until_s, other.until_s))
        for one in some
        for other in others
    )
    return tuple(gap for gap in found if gap.span_s > 0)


def _longest(gaps: Iterable[Gap]) -> float:
    return max((gap.span_s for gap in gaps), default=0.0)
