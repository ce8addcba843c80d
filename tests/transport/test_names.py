"""What DNS answered, for how long, and in which order questions go out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.transport.names import KEPT_S_MIN, QUESTIONS_AT_ONCE_MAX, NameCache
from holdfast.wire.dns_answers import Answer, MxRecord, Outcome, Question, RecordType

MX = Question("example.org", RecordType.MX)
A = Question("mx.example.org", RecordType.A)


def found(question: Question, ttl_s: float = 300.0, count: int = 1) -> Answer:
    records = tuple(MxRecord(number, "mx.example.org") for number in range(count))
    return Answer(question, Outcome.FOUND, records, ttl_s=ttl_s)


def test_a_question_is_asked_once_and_answered_to_everybody() -> None:
    names = NameCache()
    assert names.ask(0, MX) is None
    assert names.ask(0, MX) is None
    assert names.take_questions() == [MX]
    assert names.ask(1, MX) is None
    assert names.take_questions() == []
    answer = found(MX)
    names.resolved(2, answer)
    assert names.ask(3, MX) is answer
    assert names.take_questions() == []
    assert names.asked_count == 1


@pytest.mark.parametrize(
    ("outcome", "ttl_s", "kept_s"),
    [
        (Outcome.FOUND, 300.0, 300.0),
        (Outcome.FOUND, 0.0, KEPT_S_MIN),
        (Outcome.FOUND, -7.0, KEPT_S_MIN),
        (Outcome.FOUND, float("nan"), KEPT_S_MIN),
        (Outcome.FOUND, 1e9, 86_400.0),
        (Outcome.NO_NAME, 86_400.0, 300.0),
        (Outcome.NO_DATA, 60.0, 60.0),
        (Outcome.FAILED, 3_600.0, 60.0),
        (Outcome.FAILED, 0.0, KEPT_S_MIN),
    ],
)
def test_how_long_an_answer_holds(outcome: Outcome, ttl_s: float, kept_s: float) -> None:
    names = NameCache()
    answer = Answer(MX, outcome, ttl_s=ttl_s)
    names.resolved(1000, answer)
    assert names.ask(1000 + kept_s - 0.1, MX) is answer
    assert names.peek(1000 + kept_s - 0.1, MX) is answer
    assert names.peek(1000 + kept_s, MX) is None
    assert names.take_questions() == []
    assert names.ask(1000 + kept_s, MX) is None
    assert names.take_questions() == [MX]


def test_what_follows_from_an_answer_is_asked_first() -> None:
    names = NameCache()
    for question in (MX, Question("example.net", RecordType.TXT), A):
        names.ask(0, question)
    assert names.take_questions() == [A, MX, Question("example.net", RecordType.TXT)]


def test_questions_that_are_out_are_bounded() -> None:
    names = NameCache()
    questions = [Question(f"d{number}.example", RecordType.MX) for number in range(QUESTIONS_AT_ONCE_MAX + 2)]
    for question in questions:
        names.ask(0, question)
    assert names.take_questions() == questions[:QUESTIONS_AT_ONCE_MAX]
    assert names.take_questions() == []
    names.resolved(1, found(questions[7]))
    assert names.take_questions() == [questions[-2]]
    names.resolved(1, found(questions[-1]))  # an answer that nobody waits for is one, too
    names.resolved(1, found(questions[8]))
    assert names.take_questions() == []


def test_memory_is_bounded_and_what_is_used_stays() -> None:
    names = NameCache(records_max=10)
    names.resolved(0, found(MX))
    for number in range(6):
        names.resolved(0, found(Question(f"d{number}.example", RecordType.MX)))
        assert names.ask(1, MX) is not None
    assert names.ask(1, Question("d0.example", RecordType.MX)) is None
    assert names.ask(1, Question("d5.example", RecordType.MX)) is not None
    # One answer that is too large alone stands alone.
    names.resolved(2, found(A, count=50))
    assert names.ask(3, A) is not None
    assert names.ask(3, MX) is None


def test_an_answer_takes_the_place_of_an_older_one() -> None:
    names = NameCache(records_max=4)
    for ttl_s in (100.0, 200.0):
        names.resolved(0, found(MX, ttl_s))
    names.resolved(0, found(A))
    assert names.peek(150, MX) is not None


def test_forgetting() -> None:
    names = NameCache()
    names.resolved(0, found(MX))
    names.resolved(0, found(A))
    names.forget("example.org")
    assert names.peek(1, MX) is None
    assert names.peek(1, A) is not None
    names.forget_all()
    assert names.peek(1, A) is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "take", "answer", "forget"]), st.integers(0, 12), st.sampled_from(RecordType)
    ),
    max_size=60,
)


@given(STEPS)
def test_every_question_goes_out_in_the_end_and_none_twice(steps: list[tuple[str, int, RecordType]]) -> None:
    names = NameCache(records_max=8)
    out: list[Question] = []
    wanted: set[Question] = set()
    now = 0.0
    for step, number, record_type in steps:
        now += 1
        question = Question(f"d{number}.example", record_type)
        match step:
            case "ask":
                if names.ask(now, question) is None:
                    wanted.add(question)
            case "take":
                taken = names.take_questions()
                assert not set(taken) & set(out)
                out += taken
            case "answer" if out:
                question = out.pop(number % len(out))
                wanted.discard(question)
                names.resolved(now, found(question, ttl_s=number, count=number))
                assert names.ask(now, question) is not None
            case "forget":
                names.forget(question.name)
    out += names.take_questions()
    assert wanted <= set(out)
