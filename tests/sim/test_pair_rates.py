"""The rates of a pair's world: decided by the seed."""

from __future__ import annotations

import random

import pytest

from holdfast.sim.pair_rates import PAIR_SCENARIOS, PairRates, draw_pair_rates


@pytest.mark.parametrize("scenario", PAIR_SCENARIOS)
def test_the_same_luck_gives_the_same_rates(scenario: str) -> None:
    drawn = [draw_pair_rates(scenario, random.Random("7")) for _ in range(2)]
    assert drawn[0] == drawn[1]
    for name, (low, high) in PAIR_SCENARIOS[scenario].items():
        assert low <= getattr(drawn[0], name) <= high


def test_the_steady_world_has_no_faults() -> None:
    rates = draw_pair_rates("dhcp-pair-steady", random.Random("7"))
    assert rates == PairRates()
    assert rates.cut_every_s == rates.crash_every_s == rates.wrong_every_s == 0
