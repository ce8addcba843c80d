"""The books of a drill, as tables."""

from __future__ import annotations

from collections import Counter

import pytest

from holdfast.lab.accounts import (
    Gap,
    join_ledgers,
    longest_gap,
    missing_copies,
    outages,
    settle,
    without_service,
)
from holdfast.lab.drill_plan import Letter
from holdfast.lab.load import Acknowledged, Place, Sent
from holdfast.lab.probes import Door, Look

A, B = "a@lab.test", "b@lab.test"


def sent(
    promised: tuple[int, ...] = (1, 2), refused: tuple[int, ...] = (), uncertain: tuple[int, ...] = ()
) -> Sent:
    """Letter 1 to A and B, 2 to A, 3 to B."""
    letters = {1: Letter(1, (A, B), 400), 2: Letter(2, (A,), 400), 3: Letter(3, (B,), 400)}
    return Sent(
        letters,
        {number: Acknowledged(float(number), "mail1") for number in promised},
        dict.fromkeys(refused, "550"),
        set(uncertain),
    )


def test_all_is_well() -> None:
    tally = settle(sent((1, 2, 3)), {A: Counter([1, 2]), B: Counter([1, 3])}, queued=set(), bounced=set())
    assert (tally.sent_count, tally.acknowledged_count, tally.delivered_count) == (4, 4, 4)
    assert (tally.lost_count, tally.doubled_count, tally.foreign) == (0, 0, ())


def test_a_promised_copy_that_is_nowhere_is_lost() -> None:
    found = {A: Counter([1]), B: Counter([1])}
    assert missing_copies(sent(), found) == {(2, A)}
    assert settle(sent(), found, queued=set(), bounced=set()).lost == ((2, A),)
    queued = settle(sent(), found, queued={(2, A)}, bounced=set())
    assert (queued.lost_count, queued.queued_count) == (0, 1)
    bounced = settle(sent(), found, queued=set(), bounced={(2, A)})
    assert (bounced.lost_count, bounced.bounced_count) == (0, 1)


def test_each_recipient_is_promised_by_itself() -> None:
    tally = settle(sent(), {A: Counter([1, 2]), B: Counter()}, queued=set(), bounced=set())
    assert tally.lost == ((1, B),)
    assert tally.delivered_count == 2


def test_what_nobody_was_promised_may_be_there_or_not() -> None:
    there = settle(sent(()), {A: Counter([1]), B: Counter()}, queued=set(), bounced=set())
    assert (there.lost_count, there.unpromised_count, there.unanswered_count) == (0, 1, 4)
    refused = settle(sent((), refused=(1,)), {A: Counter(), B: Counter()}, queued=set(), bounced=set())
    assert (refused.refused_count, refused.unanswered_count) == (2, 2)


@pytest.mark.parametrize(("uncertain", "count"), [((), 0), ((2,), 1)])
def test_twice_in_a_mailbox_is_doubled_whether_promised_or_not(
    uncertain: tuple[int, ...], count: int
) -> None:
    tally = settle(
        sent((1,), uncertain=uncertain), {A: Counter([1, 2, 2]), B: Counter([1])}, queued=set(), bounced=set()
    )
    assert tally.doubled == ((2, A),)
    assert tally.doubled_uncertain_count == count


def test_what_could_not_be_read_is_neither_lost_nor_delivered() -> None:
    found = {A: Counter([1, 2])}
    assert missing_copies(sent(), found) == set()
    tally = settle(sent(), found, queued=set(), bounced=set())
    assert (tally.lost_count, tally.unread_count, tally.delivered_count) == (0, 1, 2)


def test_a_letter_in_a_mailbox_that_it_was_not_sent_to_is_foreign() -> None:
    tally = settle(sent(), {A: Counter([1, 2, 3]), B: Counter([1])}, queued=set(), bounced=set())
    assert tally.foreign == ((3, A),)


@pytest.mark.parametrize(
    ("moments", "gap"),
    [
        ([], Gap(0.0, 10.0)),
        ([101.0, 102.0, 108.0], Gap(2.0, 8.0)),
        ([108.0, 102.0, 101.0], Gap(2.0, 8.0)),
        ([101.0], Gap(1.0, 10.0)),
        ([109.0], Gap(0.0, 9.0)),
        ([50.0, 105.0, 200.0], Gap(0.0, 5.0)),
    ],
)
def test_the_longest_gap_is_found_also_at_both_ends(moments: list[float], gap: Gap) -> None:
    assert longest_gap(moments, 100.0, 110.0) == gap


def looks(text: str) -> list[Look]:
    """``+`` answered, ``-`` did not; one look a second from 100 on."""
    return [Look(100.0 + second, mark == "+") for second, mark in enumerate(text)]


@pytest.mark.parametrize(
    ("text", "gaps"),
    [
        ("++++", []),
        ("+--+", [(1.0, 3.0)]),
        ("--+-", [(0.0, 2.0), (3.0, 4.0)]),
        ("----", [(0.0, 4.0)]),
        ("", []),
    ],
)
def test_an_outage_lasts_until_somebody_answers_again(text: str, gaps: list[tuple[float, float]]) -> None:
    assert [(gap.from_s, gap.until_s) for gap in outages(looks(text), 100.0, 104.0)] == gaps


def test_who_knows_both_servers_is_without_service_only_while_neither_answers() -> None:
    one, other = (Door("SMTP", Place(name, "127.0.0.1", 25)) for name in ("mail1", "mail2"))
    imap = Door("IMAP", Place("mail1", "127.0.0.1", 143))
    seen = {one: looks("+---++++"), other: looks("+++---++"), imap: looks("+-++++++")}
    assert without_service(seen, 100.0, 108.0) == {
        "SMTP": {"mail1": 3.0, "mail2": 3.0, "any": 1.0},
        "IMAP": {"mail1": 1.0, "any": 1.0},
    }


def test_what_one_server_lost_sight_of_another_may_account_for() -> None:
    seen, gone = ("id-1", A), ("id-2", A)
    missing = {"mail1": {seen, gone}, "mail2": set[tuple[str, str]]()}
    # What a server closed and then misses again, because it was opened anew, stays missing.
    closed = {"mail1": {gone}, "mail2": {seen, ("id-3", A)}}
    assert join_ledgers(missing, closed) == (gone,)
    assert join_ledgers({"mail1": set(), "mail2": set()}, closed) == ()


def test_what_was_named_beforehand_is_no_broken_promise() -> None:
    found = {A: Counter([1]), B: Counter()}
    tally = settle(sent(), found, queued=set(), bounced=set(), named={(2, A), (3, B)})
    assert (tally.lost, tally.risked_count) == (((1, B),), 1)
