"""Rates of the DHCP scenarios."""

from __future__ import annotations

import random
from dataclasses import fields

from holdfast.sim.dhcp_rates import DHCP_SCENARIOS, DhcpRates, draw_rates


def test_every_range_names_a_rate_and_is_drawn_within() -> None:
    names = {field.name for field in fields(DhcpRates)}
    for name, ranges in DHCP_SCENARIOS.items():
        assert ranges.keys() <= names
        for seed in range(50):
            rates = draw_rates(name, random.Random(seed))
            for key, (low, high) in ranges.items():
                assert low <= getattr(rates, key) <= high
    assert isinstance(draw_rates("dhcp", random.Random(1)).client_count, int)
    assert "client_count=" in str(draw_rates("dhcp", random.Random(1)))
