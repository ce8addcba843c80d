"""How the clock of leases goes on after a restart."""

from __future__ import annotations

import pytest

from holdfast.dhcp.lease_time import Mark, going_on

LAST = Mark(1000.0, 1200.0, 50.0, "boot")  # the wall clock was 200 s ahead of ours


@pytest.mark.parametrize(
    ("boot_id", "monotonic", "wall", "now"),
    [
        ("boot", 60.0, 0.0, 1010.0),  # the same boot: the wall clock does not matter
        ("other", 5.0, 1260.0, 1060.0),
        ("other", 5.0, 700.0, 1000.0),  # set back while it was off: never before the mark
        ("boot", 40.0, 1230.0, 1030.0),  # a boot id that lies
        ("", 60.0, 1230.0, 1030.0),
    ],
)
def test_going_on(boot_id: str, monotonic: float, wall: float, now: float) -> None:
    assert going_on(LAST, boot_id=boot_id, monotonic=monotonic, wall=wall) == now


def test_the_first_start() -> None:
    assert going_on(None, boot_id="boot", monotonic=3.0, wall=77.0) == 77.0
    nameless = LAST._replace(boot_id="")
    assert going_on(nameless, boot_id="", monotonic=60.0, wall=1230.0) == 1030.0
