"""How bad the made-up world of two failover partners is: the rates that one seed draws."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields

from holdfast.sim.dhcp_rates import DhcpRates, Range, draw_from


@dataclass(frozen=True, slots=True)
class PairRates(DhcpRates):
    """Every number of one run of a pair."""

    liveness_s: float = 200.0
    mclt_s: float = 60.0
    split_percent: int = 50
    reserve_percent: int = 5
    standby_rate: float = 0.0  # above a half: hot standby
    secret_rate: float = 0.0  # above a half: with a shared secret
    switch_over_s: float = 0.0
    link_delay_s: float = 0.002  # between the partners
    receive_timeout_s: float = 3.0
    drift_rate: float = 0.0  # by how much a clock goes wrong
    cut_every_s: float = 0.0  # the partners do not reach each other
    cut_s: float = 20.0
    one_way_rate: float = 0.5  # of cuts, those in one direction only
    deaf_every_s: float = 0.0  # clients do not reach one of the servers
    disk_every_s: float = 0.0  # a machine comes back with an empty disk
    stop_every_s: float = 0.0  # a clean restart
    outage_every_s: float = 0.0  # a server is away for long, and the other told that it is down
    wrong_every_s: float = 0.0  # the other is told that it is down, and it is not


_PAIR_FAULTS: dict[str, Range] = {
    "safety_s": (100, 900),
    "client_count": (2, 100),
    "pool_share": (0.3, 3.0),
    "lease_s": (20, 900),
    "offer_s": (1, 120),
    "decline_s": (5, 300),
    "people_every_s": (5, 120),
    "new_identity_rate": (0, 0.5),
    "squatter_rate": (0, 0.1),
    "delay_s": (0.0001, 1.0),
    "loss_rate": (0, 0.4),
    "doubled_rate": (0, 0.4),
    "commit_s": (0.0002, 0.2),
    "crash_every_s": (20, 900),
    "power_every_s": (30, 1200),
    "restart_s": (0.1, 90),
    "full_every_s": (60, 2000),
    "full_s": (1, 60),
    "slow_every_s": (30, 1000),
    "clock_every_s": (60, 2000),
    "clock_s": (1, 7200),
    "mclt_s": (5, 120),
    "split_percent": (0, 100),
    "reserve_percent": (1, 50),
    "standby_rate": (0, 1),
    "secret_rate": (0, 1),
    "link_delay_s": (0.0001, 0.8),
    "drift_rate": (0, 0.0005),
    "cut_every_s": (20, 1000),
    "cut_s": (0.5, 120),
    "disk_every_s": (100, 3000),
    "stop_every_s": (60, 2000),
    "outage_every_s": (200, 3000),
}
PAIR_SCENARIOS: dict[str, dict[str, Range]] = {
    "dhcp-pair": _PAIR_FAULTS,
    # PARTNER-DOWN is declared although the partner lives, by hand and by the switch-over interval.
    "dhcp-pair-wrong": {**_PAIR_FAULTS, "wrong_every_s": (50, 1000), "switch_over_s": (0, 120)},
    "dhcp-pair-steady": {},
    # Small enough to kill either server before each event in turn.
    "dhcp-pair-tiny": {
        "safety_s": (60, 60), "client_count": (4, 4), "pool_share": (2, 2), "lease_s": (20, 40),
        "people_every_s": (10, 20), "loss_rate": (0.1, 0.1), "restart_s": (0.2, 2), "mclt_s": (5, 15),
    },
}  # fmt: skip


def draw_pair_rates(scenario: str, luck: random.Random) -> PairRates:
    """Draw every rate of a scenario; the same luck gives the same rates."""
    return PairRates(**draw_from(PAIR_SCENARIOS[scenario], fields(PairRates), luck))  # type: ignore[arg-type]  # whole numbers were made whole there
