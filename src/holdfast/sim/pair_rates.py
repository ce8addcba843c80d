"""How bad the made-up world of two failover partners is: the rates that one seed draws.

Each kind of fault is left out by a part of the seeds. Where everything goes wrong
at once one fault hides what another would have shown: a client that is switched
off keeps no address, a lost message explains every silence.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields

from holdfast.sim.dhcp_rates import DhcpRates, Range, draw_from

LEFT_OUT_RATE = 0.35


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
    deaf_every_s: float = 0.0  # clients do not reach one of the servers, or it does not reach them
    deaf_s: float = 30.0
    disk_every_s: float = 0.0  # a machine comes back with an empty disk
    stop_every_s: float = 0.0  # a clean restart
    outage_every_s: float = 0.0  # a server is away for long, and the other told that it is down
    outage_mclt: float = 3.0  # for how long, in MCLT
    eager_rate: float = 0.5  # of outages, those in which the other one is told at once
    parted_rate: float = 0.5  # of outages (or leavings), those before which the two did not reach each other
    burnt_every_s: float = 0.0  # a disk is lost with what the partner had not heard, and back in a moment
    wrong_every_s: float = 0.0  # the other is told that it is down, and it is not
    long_rate: float = 0.0  # above four fifths: the world goes on to its end, although all is well before


@dataclass(frozen=True, slots=True)
class ChangedRates(PairRates):
    """Every number of a run in which an administrator changes things; settings every ``change_every_s``."""

    leave_every_s: float = 0.0  # the scope leaves the relationship
    away_mclt: float = 1.0  # how long until it joins again, in MCLT
    apart_s: float = 10.0  # how long after one server the other is told
    delete_rate: float = 0.5  # of leavings, those in which the relationship is deleted
    alone_rate: float = 0.0  # above a half: a scope that has left in the end stays so


@dataclass(frozen=True, slots=True)
class ReservedRates(ChangedRates):
    """Every number of a run in which an administrator reserves addresses, and does so no longer."""

    reserve_every_s: float = 0.0


_PAIR_FAULTS: dict[str, Range] = {
    "safety_s": (60, 400),
    "client_count": (2, 60),
    "pool_share": (0.3, 3.0),
    "lease_s": (20, 600),
    "offer_s": (1, 60),
    "decline_s": (5, 100),
    "people_every_s": (5, 200),
    "new_identity_rate": (0, 0.5),
    "squatter_rate": (0, 0.1),
    "delay_s": (0.0001, 1.0),
    "loss_rate": (0, 0.4),
    "doubled_rate": (0, 0.4),
    "commit_s": (0.0002, 0.2),
    "crash_every_s": (10, 300),
    "power_every_s": (15, 400),
    "restart_s": (0.1, 60),
    "full_every_s": (30, 600),
    "full_s": (1, 60),
    "slow_every_s": (20, 400),
    "clock_every_s": (20, 400),
    "clock_s": (1, 7200),
    "mclt_s": (5, 90),
    "split_percent": (0, 100),
    "reserve_percent": (1, 50),
    "standby_rate": (0, 1),
    "secret_rate": (0, 1),
    "link_delay_s": (0.0001, 0.8),
    "receive_timeout_s": (3, 15),
    "drift_rate": (0, 0.0005),
    "cut_every_s": (10, 300),
    "cut_s": (0.5, 90),
    "deaf_every_s": (20, 400),
    "deaf_s": (1, 120),
    "disk_every_s": (60, 900),
    "stop_every_s": (30, 600),
    "outage_every_s": (50, 900),
    "outage_mclt": (0.5, 4),
    "long_rate": (0, 1),
}
PAIR_SCENARIOS: dict[str, dict[str, Range]] = {
    "dhcp-pair": _PAIR_FAULTS,
    # PARTNER-DOWN is declared although the partner lives, by hand and by the switch-over interval.
    "dhcp-pair-wrong": {**_PAIR_FAULTS, "wrong_every_s": (30, 400), "switch_over_s": (0, 120)},
    # A server goes down right after it leased what its partner had not heard of yet; the partner is told at
    # once, needs the other's addresses, and clients keep what they have.
    "dhcp-pair-down": {
        "safety_s": (200, 500), "client_count": (10, 60), "pool_share": (0.7, 1.2), "lease_s": (100, 900),
        "people_every_s": (30, 300), "new_identity_rate": (0, 0.5), "mclt_s": (8, 60),
        "split_percent": (0, 100), "reserve_percent": (1, 50), "standby_rate": (0, 1),
        "link_delay_s": (0.001, 0.3), "offer_s": (1, 20), "cut_every_s": (20, 300), "cut_s": (5, 60),
        "crash_every_s": (50, 500), "restart_s": (0.1, 60), "outage_every_s": (40, 150),
        "outage_mclt": (1, 6), "eager_rate": (0.5, 1), "parted_rate": (0.3, 1), "drift_rate": (0, 0.0005),
    },
    # A server loses its disk, and with it what it leased while its partner did not hear it, and comes back at
    # once: those clients still have their addresses, and others want one.
    "dhcp-pair-burnt": {
        "safety_s": (150, 400), "client_count": (10, 60), "pool_share": (0.5, 1.1), "lease_s": (100, 900),
        "people_every_s": (15, 100), "new_identity_rate": (0, 0.5), "mclt_s": (30, 90),
        "split_percent": (0, 100), "reserve_percent": (10, 50), "standby_rate": (0, 1),
        "link_delay_s": (0.001, 0.3), "offer_s": (1, 10), "cut_s": (3, 30), "restart_s": (0.1, 3),
        "burnt_every_s": (40, 150), "drift_rate": (0, 0.0005),
    },
    # Scopes leave and join, relationships end and begin with either server as primary, settings change, on
    # each server at its own moment, and whatever happens to a pair happens in between.
    "dhcp-pair-changed": {
        "safety_s": (100, 400), "client_count": (2, 30), "pool_share": (0.5, 2.0), "lease_s": (20, 600),
        "offer_s": (1, 20), "people_every_s": (10, 200), "new_identity_rate": (0, 0.5),
        "delay_s": (0.0001, 0.3), "loss_rate": (0, 0.2), "commit_s": (0.0002, 0.1),
        "crash_every_s": (20, 300), "power_every_s": (30, 400), "restart_s": (0.1, 30),
        "full_every_s": (60, 600), "full_s": (1, 30), "slow_every_s": (40, 400),
        "clock_every_s": (40, 400), "clock_s": (1, 7200), "mclt_s": (5, 60), "split_percent": (0, 100),
        "reserve_percent": (1, 50), "standby_rate": (0, 1), "secret_rate": (0, 1),
        "link_delay_s": (0.0001, 0.3), "drift_rate": (0, 0.0005), "cut_every_s": (20, 300),
        "cut_s": (0.5, 60), "parted_rate": (0, 1), "stop_every_s": (30, 600), "outage_every_s": (80, 900),
        "outage_mclt": (0.5, 3),
        "change_every_s": (5, 100), "leave_every_s": (10, 100), "away_mclt": (0, 3), "apart_s": (0.1, 30),
        "delete_rate": (0, 1), "alone_rate": (0, 1),
    },
    # Addresses are reserved for clients, for others, and for nobody, on each server at its own moment.
    "dhcp-pair-reserved": {
        "safety_s": (100, 400), "client_count": (5, 20), "pool_share": (0.3, 1.2), "lease_s": (20, 200),
        "offer_s": (1, 10), "people_every_s": (3, 40), "new_identity_rate": (0, 0.3),
        "delay_s": (0.0001, 0.3), "loss_rate": (0, 0.2), "commit_s": (0.0002, 0.1),
        "crash_every_s": (40, 400), "power_every_s": (40, 400), "restart_s": (0.1, 30),
        "full_every_s": (100, 900), "full_s": (1, 30), "mclt_s": (5, 60),
        "split_percent": (0, 100), "reserve_percent": (10, 50), "standby_rate": (0, 0.7),
        "secret_rate": (0, 1), "link_delay_s": (0.0001, 0.8), "drift_rate": (0, 0.0005),
        "cut_every_s": (10, 60), "cut_s": (5, 90), "parted_rate": (0, 1), "stop_every_s": (60, 900),
        "outage_every_s": (150, 1500), "outage_mclt": (0.5, 3), "apart_s": (0.1, 60),
        "reserve_every_s": (2, 20), "disk_every_s": (150, 1500), "leave_every_s": (150, 1500),
        "away_mclt": (0, 2), "delete_rate": (0, 1), "alone_rate": (0, 1),
    },
    "dhcp-pair-steady": {},
    # Small enough to kill either server before each event in turn.
    "dhcp-pair-tiny": {
        "safety_s": (60, 60), "client_count": (4, 4), "pool_share": (2, 2), "lease_s": (20, 40),
        "people_every_s": (10, 20), "loss_rate": (0.1, 0.1), "restart_s": (0.2, 2), "mclt_s": (5, 15),
    },
}  # fmt: skip
# What a seed may do without. Never what its scenario is about.
MAY_BE_LEFT_OUT = (
    "new_identity_rate", "squatter_rate", "loss_rate", "doubled_rate", "drift_rate", "crash_every_s",
    "power_every_s", "full_every_s", "slow_every_s", "clock_every_s", "cut_every_s", "deaf_every_s",
    "disk_every_s", "stop_every_s",
)  # fmt: skip
_BY_SCENARIO = {
    "dhcp-pair": ("outage_every_s",),
    "dhcp-pair-wrong": ("outage_every_s", "switch_over_s"),
    "dhcp-pair-changed": ("outage_every_s", "change_every_s"),
    "dhcp-pair-reserved": ("outage_every_s", "leave_every_s"),
}
_WHOLE = ("dhcp-pair-steady", "dhcp-pair-tiny")


def may_be_left_out(scenario: str) -> tuple[str, ...]:
    """Which faults of a scenario a seed may do without."""
    return () if scenario in _WHOLE else (*MAY_BE_LEFT_OUT, *_BY_SCENARIO.get(scenario, ()))


def draw_pair_rates(scenario: str, luck: random.Random) -> PairRates:
    """Draw every rate of a scenario; the same luck gives the same rates."""
    ranges = PAIR_SCENARIOS[scenario]
    # Of its own: each number of a run is in its trace.
    kind: type[PairRates] = PairRates
    if "reserve_every_s" in ranges:
        kind = ReservedRates
    elif "leave_every_s" in ranges:
        kind = ChangedRates
    chosen = draw_from(ranges, fields(kind), luck)
    for name in may_be_left_out(scenario):
        if luck.random() < LEFT_OUT_RATE and name in ranges:
            chosen[name] = 0
    return kind(**chosen)  # type: ignore[arg-type]  # whole numbers were made whole there
