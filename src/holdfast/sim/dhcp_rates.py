"""How bad the made-up world of one DHCP server is: the rates that one seed draws.

As with the mail scenarios each rate is drawn from a range, its ends on purpose
every now and then. Rates named ``…_every_s`` are the mean time between two
faults; 0 means never.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import Field, dataclass, fields

EXTREME_RATE = 0.15


@dataclass(frozen=True, slots=True)
class DhcpRates:
    """Every number of one run."""

    safety_s: float = 600.0  # how long faults happen
    liveness_s: float = 1500.0  # within which everybody has an address after the last fault
    client_count: int = 100
    pool_share: float = 2.5  # addresses per client
    lease_s: float = 300.0
    offer_s: float = 30.0
    decline_s: float = 120.0
    probe_count: int = 0
    people_every_s: float = 60.0  # how often a client is switched on or off
    new_identity_rate: float = 0.0  # starts with a client identifier that was never seen
    squatter_rate: float = 0.0  # addresses of the pool that somebody uses without asking
    delay_s: float = 0.01
    loss_rate: float = 0.0
    doubled_rate: float = 0.0
    commit_s: float = 0.003
    durable_untold_rate: float = 0.5  # a commit that a crash interrupted is durable all the same
    crash_every_s: float = 0.0  # the process alone
    power_every_s: float = 0.0  # the whole machine: another boot
    restart_s: float = 1.0
    full_every_s: float = 0.0
    full_s: float = 20.0
    slow_every_s: float = 0.0
    slow_s: float = 20.0
    slow_factor: float = 100.0
    clock_every_s: float = 0.0  # somebody sets the wall clock
    clock_s: float = 3600.0
    change_every_s: float = 0.0  # an administrator changes the scope

    def __str__(self) -> str:
        return " ".join(f"{field.name}={getattr(self, field.name):g}" for field in fields(self))


Range = tuple[float, float]
CALM: dict[str, Range] = {}
_FAULTS: dict[str, Range] = {
    "safety_s": (100, 900),
    "client_count": (3, 100),
    "pool_share": (0.3, 3.0),
    "lease_s": (20, 3600),
    "offer_s": (1, 120),
    "decline_s": (5, 3600),
    "probe_count": (0, 2),
    "people_every_s": (5, 300),
    "new_identity_rate": (0, 0.5),
    "squatter_rate": (0, 0.2),
    "delay_s": (0.0001, 3.0),
    "loss_rate": (0, 0.5),
    "doubled_rate": (0, 0.5),
    "commit_s": (0.0002, 0.5),
    "crash_every_s": (3, 300),
    "power_every_s": (10, 600),
    "restart_s": (0.1, 60),
    "full_every_s": (10, 300),
    "full_s": (1, 120),
    "slow_every_s": (10, 300),
    "clock_every_s": (5, 200),
    "clock_s": (2, 90_000),
    "change_every_s": (10, 300),
}
DHCP_SCENARIOS: dict[str, dict[str, Range]] = {
    "dhcp": _FAULTS,
    # Nothing but a hundred clients: everybody must have an address, at any time a renewal.
    "dhcp-steady": CALM,
    # Small enough to kill the process before each event in turn.
    "dhcp-tiny": {
        "safety_s": (60, 60), "client_count": (4, 4), "pool_share": (1, 1), "lease_s": (20, 40),
        "people_every_s": (10, 20), "loss_rate": (0.1, 0.1), "doubled_rate": (0.2, 0.2),
        "liveness_s": (200, 200), "restart_s": (0.2, 2),
    },
}  # fmt: skip


def draw_rates(scenario: str, luck: random.Random) -> DhcpRates:
    """Draw every rate of a scenario; the same luck gives the same rates."""
    chosen = draw_from(DHCP_SCENARIOS[scenario], fields(DhcpRates), luck)
    return DhcpRates(**chosen)  # type: ignore[arg-type]  # whole numbers were made whole there


def draw_from(
    ranges: dict[str, Range], rates: Iterable[Field[object]], luck: random.Random
) -> dict[str, float]:
    """Draw those rates that have a range."""
    chosen: dict[str, float] = {}
    for field in rates:
        if field.name in ranges:
            value = _draw(luck, *ranges[field.name])
            chosen[field.name] = round(value) if field.type == "int" else value
    return chosen


def _draw(luck: random.Random, low: float, high: float) -> float:
    draw, spread = luck.random(), luck.random()
    if draw < EXTREME_RATE:
        return low
    if draw < 2 * EXTREME_RATE:
        return high
    if low <= 0:
        return low + (high - low) * spread
    return low * math.exp(math.log(high / low) * spread)
