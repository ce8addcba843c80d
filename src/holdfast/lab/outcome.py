"""What came of a drill, as one value: the report, the JSON and the exit code are made from it alone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from holdfast.lab.accounts import Entry, Gap, Tally
from holdfast.lab.drill_plan import PAST_WORDS, Orders, Schedule

SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class LedgerSums:
    """What the ledger of one server says; transferred: another server of the lab accounts for it."""

    server: str
    accepted: int
    delivered: int
    relayed: int
    transferred: int
    queued: int
    bounced: int
    dropped: int
    unaccounted: int


@dataclass(frozen=True, slots=True)
class Protection:
    """What one server says of second copies; what only its transport role knows is None when it did not say.

    Attributes:
        protected_count: messages in its queue of which a partner has a copy.
        unprotected_count: messages that it alone has.
        taken_over_count: of others, delivered in their place since its start.
        sent_by_both_count: of those, taken over although their server lived and delivered them too.
    """

    server: str
    protected_count: int
    unprotected_count: int
    taken_over_count: int | None
    sent_by_both_count: int | None


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that was done to a server, in seconds from the first letter."""

    at_s: float
    server: str
    what: str


@dataclass(frozen=True, slots=True)
class DoorLane:
    """The spans in which one protocol of one server did not answer."""

    protocol: str
    server: str
    outages: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that the report shows.

    Attributes:
        run: marks the letters of this drill.
        began_at: seconds since the epoch.
        servers: their names, in the order of the sheet.
        down: while each server was killed, frozen or cut off.
        letters_per_s: letters with their 250, for each second, by server.
        without_service_s: per protocol: at each server and at any (key ``any``).
        without_250_s: the longest span in which no sender got a 250, while letters waited.
        drained: whether the queues were empty when the mailboxes were read.
        put_off: the answers that made senders try again, with how often.
        ledgers: of each server that answered.
        protections: of each server that answered, at the end.
        silent: the servers whose ledger did not answer.
        unaccounted: what all ledgers together cannot account for.
        notes: what else the reader should know.
    """

    run: str
    began_at: float
    orders: Orders
    schedule: Schedule
    servers: tuple[str, ...]
    tally: Tally
    ended_s: float
    marks: tuple[Mark, ...]
    down: tuple[tuple[str, Gap], ...]
    letters_per_s: dict[str, tuple[int, ...]]
    doors: tuple[DoorLane, ...]
    without_service_s: dict[str, dict[str, float]]
    without_250_s: float
    drained: bool
    put_off: dict[str, int]
    ledgers: tuple[LedgerSums, ...]
    protections: tuple[Protection, ...]
    silent: tuple[str, ...]
    unaccounted: tuple[Entry, ...]
    notes: tuple[str, ...]

    @property
    def unaccounted_count(self) -> int:
        """Recipients that the ledgers of all servers, taken together, cannot account for."""
        return len(self.unaccounted)

    @property
    def faults(self) -> tuple[str, ...]:
        """What broke a promise, in sentences; none when the drill was passed."""
        tally = self.tally
        found = []
        if tally.lost_count:
            found.append(f"{_counted(tally.lost_count, 'copy', 'copies')} lost")
        if tally.doubled_count:
            found.append(f"{_counted(tally.doubled_count, 'copy', 'copies')} doubled")
        if self.unaccounted_count:
            found.append(f"{self.unaccounted_count} unaccounted for by the ledgers")
        if tally.foreign:
            found.append(f"{_counted(len(tally.foreign), 'copy', 'copies')} in the wrong mailbox")
        # What could not be looked at is no proof of anything.
        if tally.unread_count:
            found.append(
                f"{_counted(tally.unread_count, 'copy', 'copies')} in mailboxes that could not be read"
            )
        if self.silent:
            found.append(f"no ledger from {', '.join(self.silent)}")
        if not tally.acknowledged_count:
            found.append("no letter got its 250, so nothing was tried")
        return tuple(found)

    @property
    def passed(self) -> bool:
        """Whether every promise was kept."""
        return not self.faults

    @property
    def headline(self) -> str:
        """The result in a sentence."""
        tally = self.tally
        if self.passed and tally.risked_count:
            copies = _counted(tally.risked_count, "copy was", "copies were")
            return (
                f"Nothing was lost but what was named: {self.blow_words}, and {copies} only on the disk that "
                f"was lost, as {self.schedule.second} had said before."
            )
        if self.passed:
            return (
                f"Nothing was lost: {self.blow_words}, and every one of the promised copies is there, once."
            )
        return f"A promise was broken: {'; '.join(self.faults)}."

    @property
    def blow_words(self) -> str:
        """What was done to whom, in a few words."""
        word = PAST_WORDS[self.orders.blow]
        return f"{self.schedule.server} was {word}" if word else "no server was touched"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def as_json(outcome: Outcome) -> str:
    """The outcome as JSON: stable names, seconds, lists of faults cut after the first."""
    tally = outcome.tally
    value = {
        "passed": outcome.passed,
        "faults": list(outcome.faults),
        "run": outcome.run,
        "began_at": outcome.began_at,
        "seed": outcome.orders.seed,
        "blow": outcome.orders.blow.value,
        "server": outcome.schedule.server,
        "servers": list(outcome.servers),
        "sent": tally.sent_count,
        "acknowledged": tally.acknowledged_count,
        "delivered": tally.delivered_count,
        "queued": tally.queued_count,
        "bounced": tally.bounced_count,
        "refused": tally.refused_count,
        "unanswered": tally.unanswered_count,
        "unread": tally.unread_count,
        "unpromised": tally.unpromised_count,
        "lost": tally.lost_count,
        "duplicated": tally.doubled_count,
        "duplicated_after_no_answer": tally.doubled_uncertain_count,
        "risked": tally.risked_count,
        "unaccounted": outcome.unaccounted_count,
        "lost_copies": tally.lost[:SHOWN_MAX],
        "unaccounted_entries": outcome.unaccounted[:SHOWN_MAX],
        "duplicated_copies": tally.doubled[:SHOWN_MAX],
        "drained": outcome.drained,
        "without_service_s": outcome.without_service_s,
        "without_250_s": outcome.without_250_s,
        "ended_s": outcome.ended_s,
        "marks": [asdict(each) for each in outcome.marks],
        "put_off": outcome.put_off,
        "ledgers": [asdict(each) for each in outcome.ledgers],
        "protections": [asdict(each) for each in outcome.protections],
        "notes": list(outcome.notes),
    }
    return json.dumps(value, indent=2) + "\n"
