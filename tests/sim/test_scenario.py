"""Scenario files and the rates that are drawn from them."""

from __future__ import annotations

import contextlib
import random
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.sim.scenario import (
    DEFAULT_SCENARIO,
    Rates,
    Scenario,
    load_scenario,
    parse_scenario,
    scenario_names,
)


def test_every_scenario_that_we_ship_is_read() -> None:
    names = scenario_names()
    assert {"plug-pull", "steady", "full-disk", "slow-store", "lost-resets", "tiny"} <= set(names)
    for name in names:
        scenario = load_scenario(name)
        assert scenario.description
        assert scenario.draw(random.Random(1)) == scenario.draw(random.Random(1))
    assert DEFAULT_SCENARIO in names


def test_an_unknown_scenario_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(Refusal, match="there are: clock-steps, disk-loss, full-disk, full-mailbox, lost"):
        load_scenario("../plug-pull")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[rates", "is not TOML"),
        ("[rates]\nspeed = 1", 'no rate "speed"'),
        ("[other]", "nothing else"),
        ("description = 1", "nothing else"),
        ("rates = 1", "nothing else"),
        ("[rates]\nsafety_s = -1", "safety_s = -1"),
        ("[rates]\nsafety_s = [2, 1]", r"neither a number"),
        ("[rates]\nsafety_s = [1, 2, 3]", r"neither a number"),
        ("[rates]\nsafety_s = true", r"neither a number"),
        ('[rates]\nsafety_s = "x"', r"neither a number"),
        ("[rates]\nsafety_s = inf", r"neither a number"),
        ("[rates]\nsafety_s = nan", r"neither a number"),
    ],
)
def test_a_broken_scenario_is_refused(text: str, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        parse_scenario("mine", text)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_scenario_or_refused(text: str) -> None:
    with contextlib.suppress(Refusal):
        assert isinstance(parse_scenario("any", text), Scenario)


def test_draws_stay_in_their_range_and_reach_both_ends() -> None:
    scenario = parse_scenario(
        "mine", "[rates]\nsafety_s = [1, 100]\nretry_s = [0, 8]\nsender_count = [1, 9]\nfull_s = 3"
    )
    drawn = [scenario.draw(random.Random(seed)) for seed in range(300)]
    assert all(1 <= rates.safety_s <= 100 and 0 <= rates.retry_s <= 8 for rates in drawn)
    assert {rates.sender_count for rates in drawn} == set(range(1, 10))
    assert {1.0, 100.0} <= {rates.safety_s for rates in drawn}
    assert {0.0, 8.0} <= {rates.retry_s for rates in drawn}
    assert any(10 < rates.safety_s < 20 for rates in drawn)
    assert all(rates.full_s == 3 for rates in drawn)
    assert all(isinstance(rates.sender_count, int) for rates in drawn)


def test_the_rates_are_written_out_one_by_one() -> None:
    text = str(Rates())
    assert all(f"{field.name}=" in text for field in fields(Rates))
