"""The clock of leases: forward only, over restarts and whoever sets the machine's."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from holdfast.dhcp.lease_time import Mark
from holdfast.drivers.lease_clock import BOOT_ID, MARK_EVERY_S, LeaseClock, read_boot_id


@dataclass
class Machine:
    """Its two clocks, and which boot it is."""

    wall: float = 1000.0
    monotonic: float = 50.0
    boot_id: str = "first"

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def reboots(self, off_s: float) -> None:
        self.wall += off_s
        self.monotonic = 5.0
        self.boot_id += "+"

    def starts(self, last: Mark | None) -> LeaseClock:
        return LeaseClock(last, self.boot_id, monotonic=lambda: self.monotonic, wall=lambda: self.wall)


@pytest.mark.parametrize("step_s", [0.0, -3600.0, 3600.0])
def test_whoever_sets_the_clock_while_we_run_changes_nothing(step_s: float) -> None:
    machine = Machine()
    clock = machine.starts(None)
    assert clock.now() == 1000.0
    machine.passes(100)
    machine.wall += step_s
    machine.passes(100)
    assert clock.now() == 1200.0
    assert clock.wall_offset_s() == step_s
    # And the next process goes on from there, without the machine having been booted.
    mark = clock.mark()
    machine.passes(30)
    machine.wall -= 777.0
    assert machine.starts(mark).now() == 1230.0


@pytest.mark.parametrize("step_s", [0.0, -3600.0, 3600.0])
def test_a_step_before_a_boot_is_known_from_the_mark(step_s: float) -> None:
    machine = Machine()
    clock = machine.starts(None)
    machine.passes(100)
    machine.wall += step_s
    mark = clock.mark()
    machine.reboots(60)
    assert machine.starts(mark).now() == 1160.0


def test_a_clock_that_was_set_back_while_the_machine_was_off_does_not_go_back() -> None:
    machine = Machine()
    clock = machine.starts(None)
    machine.passes(100)
    mark = clock.mark()
    machine.reboots(-3600)
    assert machine.starts(mark).now() == 1100.0


def test_a_mark_every_few_seconds_and_at_each_step_until_it_is_durable() -> None:
    machine = Machine()
    clock = machine.starts(None)

    def due() -> float | None:
        found = clock.due_mark()
        if found is None:
            return None
        clock.marked(found[0])
        return found[1]

    assert due() == 0.0
    machine.passes(MARK_EVERY_S / 2)
    assert due() is None
    machine.wall -= 3600
    stepped = clock.due_mark()
    assert stepped is not None
    assert clock.due_mark() == stepped, "the disk did not take it: it is due still"
    assert due() == -3600.0
    assert due() is None
    machine.passes(MARK_EVERY_S)
    assert due() == 0.0


def test_the_system_says_which_boot_it_is() -> None:
    assert len(read_boot_id()) == 36 or not BOOT_ID.exists()
