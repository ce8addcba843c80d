"""The two clocks: a steady one for every deadline, the wall clock for what is written down.

A node's ``now`` is the wall time at which the process started and what the
monotonic clock has counted since. An administrator or NTP that sets the wall
clock therefore neither fires nor stalls a deadline. Where an instant is written
down (a header, a line of the log), the node adds ``wall_offset_s``, which the
runner tells it at every tick.

Source: clock_gettime(2), CLOCK_MONOTONIC.
"""

from __future__ import annotations

import time

_ORIGIN = time.time() - time.monotonic()


def steady() -> float:
    """The node's ``now``: seconds since the epoch, by the wall clock when the process started."""
    return _ORIGIN + time.monotonic()


def wall_offset_s() -> float:
    """How far the wall clock is ahead of ``steady``: 0 until somebody sets the clock."""
    return time.time() - steady()
