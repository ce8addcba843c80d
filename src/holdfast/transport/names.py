"""Remember what DNS answered, and ask each question once at a time.

Whoever needs a name asks here and gets the answer, or None while it is being
asked; after ``resolved`` it asks again. So a decision that needs ten names is
written as if all were known, and is made anew after each answer.

Invariant: at most ``QUESTIONS_AT_ONCE_MAX`` questions are out, none of them
twice, and every question that was asked goes out in the end.

Source: RFC 1035 section 7.4 (caching); RFC 2308 sections 5 and 7 (that there is nothing, and failures).
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.wire.dns_answers import Answer, Outcome, Question, RecordType

# Shorter than a question may take, and hosts would never be found whose records may not be kept at all:
# the MX would be forgotten before the addresses are known.
KEPT_S_MIN = 15.0
KEPT_S_MAX = 86_400.0
NOTHING_KEPT_S_MAX = 300.0  # somebody who corrects a zone wants to see mail flow
FAILURE_KEPT_S_MAX = 60.0
RECORDS_KEPT_MAX = 50_000  # an answer counts as one more than it has records; some 20 MB in all
QUESTIONS_AT_ONCE_MAX = 100

# What follows from an answer goes first, so that hosts are found while it is still kept.
_FOLLOWING = frozenset((RecordType.A, RecordType.AAAA, RecordType.TLSA))


@dataclass(slots=True)
class _Kept:
    """An answer, and until when it holds."""

    answer: Answer
    until: float


class NameCache:
    """The answers of DNS that still hold.

    A public attribute: ``asked_count``, questions that went out so far.
    """

    def __init__(self, records_max: int = RECORDS_KEPT_MAX) -> None:
        """Make an empty one, which keeps about so many records."""
        self._records_max = records_max
        self._record_count = 0
        # The least recently used first: a dict keeps the order in which it was filled.
        self._kept: dict[Question, _Kept] = {}
        self._first: dict[Question, None] = {}
        self._then: dict[Question, None] = {}
        self._out: set[Question] = set()
        self.asked_count = 0

    def ask(self, now: float, question: Question) -> Answer | None:
        """Return the answer; None when it is being asked, see ``take_questions``."""
        kept = self._kept.get(question)
        if kept is not None:
            if now < kept.until:
                del self._kept[question]
                self._kept[question] = kept
                return kept.answer
            self._drop(question)
        if question not in self._out:
            line = self._first if question.record_type in _FOLLOWING else self._then
            line[question] = None
        return None

    def peek(self, now: float, question: Question) -> Answer | None:
        """Return the answer if it is known; nothing is asked."""
        kept = self._kept.get(question)
        return kept.answer if kept is not None and now < kept.until else None

    def take_questions(self) -> list[Question]:
        """Take the questions that are to go out now; look again after each answer."""
        taken: list[Question] = []
        if not (self._first or self._then):
            return taken  # nearly always: asked after every input
        for line in (self._first, self._then):
            while line and len(self._out) < QUESTIONS_AT_ONCE_MAX:
                question = next(iter(line))
                del line[question]
                self._out.add(question)
                taken.append(question)
        self.asked_count += len(taken)
        return taken

    def resolved(self, now: float, answer: Answer) -> None:
        """Take an answer; of several to one question the last holds."""
        question = answer.question
        self._out.discard(question)
        self._first.pop(question, None)
        self._then.pop(question, None)
        if question in self._kept:
            self._drop(question)
        self._kept[question] = _Kept(answer, now + _kept_s(answer))
        self._record_count += 1 + len(answer.records)
        while self._record_count > self._records_max and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def forget(self, name: str) -> None:
        """Ask anew whatever is known of a name, when it is asked for again."""
        for record_type in RecordType:
            question = Question(name, record_type)
            if question in self._kept:
                self._drop(question)

    def forget_all(self) -> None:
        """Ask everything anew: other servers may answer otherwise."""
        self._kept.clear()
        self._record_count = 0

    def _drop(self, question: Question) -> None:
        self._record_count -= 1 + len(self._kept.pop(question).answer.records)


def _kept_s(answer: Answer) -> float:
    """How long an answer is kept, in seconds."""
    longest_s = {Outcome.FOUND: KEPT_S_MAX, Outcome.FAILED: FAILURE_KEPT_S_MAX}.get(
        answer.outcome, NOTHING_KEPT_S_MAX
    )
    # Written so that a TTL that is no number counts as none.
    return max(KEPT_S_MIN, min(longest_s, answer.ttl_s)) if answer.ttl_s > 0 else KEPT_S_MIN
