"""What goes wrong says what happened and what to do."""

from __future__ import annotations

from holdfast.kernel.errors import Problem, Refusal, Unavailable


def test_problem_reads_as_one_sentence() -> None:
    problem = Problem('site "A"', "its cost is 0", "a cost is at least 1")
    assert str(problem) == 'site "A": its cost is 0; a cost is at least 1'


def test_refusal_is_a_permanent_failure_unless_it_says_otherwise() -> None:
    refusal = Refusal("no")
    assert (refusal.text, refusal.code, refusal.status, refusal.problems) == ("no", 550, "5.0.0", ())
    assert str(refusal) == "no"


def test_refusal_carries_reply_and_problems() -> None:
    problem = Problem("a", "b", "c")
    refusal = Refusal("too long", code=501, status="5.1.3", problems=(problem,))
    assert (refusal.code, refusal.status, refusal.problems) == (501, "5.1.3", (problem,))


def test_unavailable_carries_its_text() -> None:
    assert Unavailable("disk full").text == str(Unavailable("disk full")) == "disk full"
