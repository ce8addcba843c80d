"""What a drill draws from its seed, and what it refuses to do."""

from __future__ import annotations

import pytest

from holdfast.kernel.errors import Refusal
from holdfast.lab.drill_plan import BACK_AFTER_S, Orders, letters, parse_minutes, parse_rate, schedule

SERVERS = ("mail1", "mail2")
MAILBOXES = ("a@lab.test", "b@lab.test", "c@lab.test")


def orders(**given: object) -> Orders:
    return Orders(**({"rate": 10.0, "load_s": 60.0, "seed": 7} | given))  # type: ignore[arg-type]  # one of each


@pytest.mark.parametrize(("text", "rate"), [("200/s", 200.0), ("200", 200.0), (" 0.5/s ", 0.5)])
def test_a_rate_is_read(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "fast", "0", "-1/s", "5001", "200/m", "1e9", "9" * 100])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="write for example 200/s"):
        parse_rate(text)


def test_minutes_are_read_as_seconds() -> None:
    assert parse_minutes("2") == 120.0
    assert parse_minutes("0.5") == 30.0
    for text in ("", "0", "2m", "soon", "-1", "2000", "9" * 100):
        with pytest.raises(Refusal, match="number of minutes"):
            parse_minutes(text)


def test_the_same_seed_draws_the_same_and_another_one_something_else() -> None:
    assert schedule(orders(), SERVERS) == schedule(orders(), SERVERS)
    drawn = {schedule(orders(seed=seed), SERVERS) for seed in range(50)}
    assert len(drawn) == 50
    assert {each.server for each in drawn} == set(SERVERS)
    assert list(letters(orders(), MAILBOXES)) == list(letters(orders(), MAILBOXES))


def test_the_blow_falls_while_mail_flows() -> None:
    for seed in range(100):
        plan = schedule(orders(seed=seed), SERVERS)
        assert 12.0 <= plan.blow_at_s <= 30.0
        assert plan.back_at_s is not None
        assert BACK_AFTER_S[0] <= plan.back_at_s - plan.blow_at_s <= BACK_AFTER_S[1]
        assert plan.lost_at_s is None


def test_what_is_ordered_is_not_drawn() -> None:
    plan = schedule(orders(server="mail2", back_after_s=3.0, declare_lost_after_s=1.0), SERVERS)
    assert plan.server == "mail2"
    assert plan.back_at_s == pytest.approx(plan.blow_at_s + 3.0)
    assert plan.lost_at_s == pytest.approx(plan.blow_at_s + 1.0)
    assert schedule(orders(no_return=True), SERVERS).back_at_s is None
    with pytest.raises(Refusal, match='no server "mail9" in this drill; there are mail1, mail2'):
        schedule(orders(server="mail9"), SERVERS)


def test_a_second_server_is_hit_while_the_first_is_away() -> None:
    for seed in range(50):
        plan = schedule(orders(seed=seed, both=True), SERVERS)
        assert {plan.server, plan.second} == set(SERVERS)
        assert plan.second_at_s is not None
        assert plan.back_at_s is not None
        assert plan.blow_at_s < plan.second_at_s < plan.back_at_s
    with pytest.raises(Refusal, match="no second server"):
        schedule(orders(both=True), SERVERS[:1])


def test_letters_are_numbered_and_go_to_many_mailboxes() -> None:
    drawn = list(letters(orders(), MAILBOXES))
    assert [each.number for each in drawn] == list(range(1, 601))
    assert {len(each.recipients) for each in drawn} == {1, 2}
    assert {address for each in drawn for address in each.recipients} == set(MAILBOXES)
    assert all(len(set(each.recipients)) == len(each.recipients) for each in drawn)
    assert {each.recipients for each in letters(orders(), MAILBOXES[:1])} == {MAILBOXES[:1]}
