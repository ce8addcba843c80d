"""The schedule of tries for a next hop that cannot be reached."""

from __future__ import annotations

from holdfast.directory.model import Organisation
from holdfast.transport.retry import wait_s


def test_glitches_then_slower_then_slow() -> None:
    waits = [wait_s(Organisation(), count) for count in range(1, 14)]
    assert waits == [60.0] * 4 + [300.0] * 6 + [600.0] * 3  # exchange-behaviour QU-1


def test_every_step_is_a_setting() -> None:
    organisation = Organisation(
        glitch_retry_count=1, glitch_retry_s=1.0, transient_retry_count=0, transient_retry_s=2.0, retry_s=3.0
    )
    assert [wait_s(organisation, count) for count in (1, 2, 3)] == [1.0, 3.0, 3.0]
