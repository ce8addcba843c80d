"""The steady clock starts with the wall clock and only goes forward."""

from __future__ import annotations

import time

from holdfast.drivers import clock


def test_the_steady_clock_is_the_wall_clock_until_that_is_set() -> None:
    before = clock.steady()
    assert clock.steady() >= before
    # A machine that is being tested may be corrected by NTP, but not by minutes.
    assert abs(before - time.time()) < 60.0
    assert abs(clock.wall_offset_s()) < 60.0
