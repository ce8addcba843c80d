"""When a drill was passed, and what is said when it was not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from holdfast.lab.outcome import SHOWN_MAX, Outcome, as_json
from lab.outcomes import BROKEN, PASSED, TALLY


def test_a_drill_that_was_passed_says_so() -> None:
    assert PASSED.passed
    assert PASSED.headline.startswith("Nothing was lost: mail1 was killed")
    said = json.loads(as_json(PASSED))
    assert (said["passed"], said["faults"], said["seed"], said["acknowledged"]) == (True, [], 7, 1490)
    assert said["without_service_s"]["SMTP"]["mail1"] == 8.1


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (replace(PASSED, tally=replace(TALLY, lost=((1, "a@lab.test"),))), "1 copy lost"),
        (replace(PASSED, tally=replace(TALLY, doubled=((1, "a"), (2, "a")))), "2 copies doubled"),
        (replace(PASSED, tally=replace(TALLY, foreign=((1, "a"),))), "1 copy in the wrong mailbox"),
        (
            replace(PASSED, tally=replace(TALLY, unread_count=5)),
            "5 copies in mailboxes that could not be read",
        ),
        (replace(PASSED, tally=replace(TALLY, acknowledged_count=0)), "no letter got its 250"),
        (replace(PASSED, unaccounted=BROKEN.unaccounted), "2 unaccounted for by the ledgers"),
        (replace(PASSED, silent=("mail2",)), "no ledger from mail2"),
    ],
)
def test_each_broken_promise_fails_it_and_is_said(outcome: Outcome, fault: str) -> None:
    assert not outcome.passed
    assert fault in outcome.headline
    assert any(fault in each for each in json.loads(as_json(outcome))["faults"])


def test_long_lists_are_cut_and_counted() -> None:
    said = json.loads(as_json(BROKEN))
    assert said["lost"] == 30
    assert len(said["lost_copies"]) == SHOWN_MAX


def test_what_was_named_before_it_was_lost_is_said_and_is_no_fault() -> None:
    plan = replace(PASSED.schedule, second="mail2", second_at_s=15.0)
    outcome = replace(PASSED, schedule=plan, tally=replace(TALLY, risked_count=12))
    assert outcome.passed
    assert "12 copies were only on the disk that was lost, as mail2 had said before" in outcome.headline
    assert json.loads(as_json(outcome))["risked"] == 12
