"""How the clock of leases goes on after a restart: forward only, whoever set the machine's clock.

A mark holds three clocks at one instant. From it and the clocks of now follows
the instant at which the clock of leases goes on:

- the machine was not booted since: its monotonic clock says how much time has
  passed, whatever the wall clock was set to meanwhile;
- it was: the wall clock says so, less what it was ahead at the mark; but no
  earlier than the mark, so that no lease that ended comes back.

Only a wall clock that is set forward while the machine is off cannot be told
from time that passed.
"""

from __future__ import annotations

from typing import NamedTuple


class Mark(NamedTuple):
    """Three clocks at one instant, in seconds.

    Attributes:
        node_at: the clock of leases.
        wall_at: the machine's.
        monotonic_at: what the system counts since it was booted.
        boot_id: which boot that was; empty where the system does not tell.
    """

    node_at: float
    wall_at: float
    monotonic_at: float
    boot_id: str


def going_on(last: Mark | None, *, boot_id: str, monotonic: float, wall: float) -> float:
    """The instant of the clock of leases now; without a mark it begins as the wall clock."""
    if last is None:
        return wall
    if last.boot_id == boot_id and boot_id and monotonic >= last.monotonic_at:
        return last.node_at + (monotonic - last.monotonic_at)
    return max(last.node_at, wall - (last.wall_at - last.node_at))
