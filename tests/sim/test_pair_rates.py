"""The rates of a pair's world: decided by the seed."""

from __future__ import annotations

import random

import pytest

from holdfast.sim.pair_rates import PAIR_SCENARIOS, PairRates, draw_pair_rates, may_be_left_out


@pytest.mark.parametrize("scenario", PAIR_SCENARIOS)
def test_the_same_luck_gives_the_same_rates(scenario: str) -> None:
    drawn = [draw_pair_rates(scenario, random.Random("7")) for _ in range(2)]
    assert drawn[0] == drawn[1]
    for name, (low, high) in PAIR_SCENARIOS[scenario].items():
        value = getattr(drawn[0], name)
        assert low <= value <= high or (value == 0 and name in may_be_left_out(scenario))


def test_the_steady_world_has_no_faults() -> None:
    rates = draw_pair_rates("dhcp-pair-steady", random.Random("7"))
    assert rates == PairRates()
    assert rates.cut_every_s == rates.crash_every_s == rates.wrong_every_s == 0


def test_each_fault_is_in_some_seeds_and_not_in_others() -> None:
    drawn = [draw_pair_rates("dhcp-pair", random.Random(str(seed))) for seed in range(100)]
    for name in may_be_left_out("dhcp-pair"):
        assert 20 <= sum(getattr(each, name) > 0 for each in drawn) <= 90, name
    for name in ("deaf_every_s", "cut_every_s", "disk_every_s", "outage_every_s", "drift_rate"):
        assert name in may_be_left_out("dhcp-pair")
