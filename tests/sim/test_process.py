"""Processes that run, die, stop cleanly and come back."""

from __future__ import annotations

import pytest

from holdfast.sim.network import Network
from holdfast.sim.process import CLOCK_STEP_S_MAX, SPIN_COUNT_MAX, STOP_WAIT_S, Process
from holdfast.sim.scenario import Rates
from holdfast.sim.world import EPOCH_S, Violation, World


class Clockwork(Process):
    """A process whose node wants a timer at given instants and writes down what happens."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.deadlines: list[float] = []
        self.rests = True
        world = World(1)
        super().__init__("clockwork", world, Network(world, Rates()), Rates(restart_s=1.0))

    def begin(self) -> None:
        self.said.append("begin")

    def forget(self) -> None:
        self.said.append("forget")

    def drain(self) -> None:
        pass

    def node_deadline(self) -> float | None:
        return self.deadlines[0] if self.deadlines else None

    def node_timer(self) -> None:
        while self.deadlines and self.deadlines[0] <= self.clock():
            self.said.append(f"timer {self.deadlines.pop(0) - EPOCH_S:g}")

    def say_stop(self) -> None:
        self.said.append("stopping")

    def at_rest(self) -> bool:
        return self.rests

    def said_goodbye(self) -> None:
        self.said.append("goodbye")

    def run(self, until_s: float) -> None:
        while self.world.step(EPOCH_S + until_s):
            pass


def test_a_killed_process_forgets_what_it_scheduled_and_comes_back() -> None:
    process = Clockwork()
    process.start()
    process.start()
    process.later(5.0, "", lambda: process.said.append("never"))
    process.crash()
    process.crash()
    process.run(10.0)
    assert process.said == ["begin", "forget", "begin"]
    assert (process.crash_count, process.incarnation, process.up) == (1, 2, True)


def test_timers_come_on_time_and_only_when_they_are_due() -> None:
    process = Clockwork()
    process.deadlines = [EPOCH_S + 2, EPOCH_S + 3]
    process.start()
    process.run(2.5)
    assert process.said == ["begin", "timer 2"]
    process.deadlines.insert(0, EPOCH_S + 2.6)
    process.after_input()
    process.run(10.0)
    assert process.said == ["begin", "timer 2", "timer 2.6", "timer 3"]


def test_a_wall_clock_that_steps_moves_no_timer() -> None:
    process = Clockwork()
    process.deadlines = [EPOCH_S + 100, EPOCH_S + 200]
    process.start()
    process.jump_clock(3600.0)
    assert process.clock_offset_s == 3600.0
    process.run(101.0)
    process.jump_clock(-7200.0)
    assert process.clock_offset_s == -3600.0
    process.run(201.0)
    assert process.said == ["begin", "timer 100", "timer 200"]


def test_a_process_begins_with_the_wall_clock_as_it_is() -> None:
    process = Clockwork()
    process.jump_clock(5.0)
    process.start()
    assert process.clock() == EPOCH_S + 5
    assert process.clock_offset_s == 0.0
    process.jump_clock(10 * CLOCK_STEP_S_MAX)
    assert process.wall_offset_s == CLOCK_STEP_S_MAX


def test_a_timer_that_never_lets_time_pass_is_found() -> None:
    process = Clockwork()
    process.deadlines = [EPOCH_S + 1] * (SPIN_COUNT_MAX + 10)
    process.start()
    process.node_timer = lambda: None  # type: ignore[method-assign]  # a node that does nothing about it
    with pytest.raises(Violation, match="again and again"):
        process.run(10.0)


def test_a_clean_stop_waits_for_rest_and_says_goodbye() -> None:
    process = Clockwork()
    process.start()
    process.rests = False
    process.stop()
    process.stop()
    process.run(10.0)
    assert process.said == ["begin", "stopping"]
    process.rests = True
    process.after_input()
    process.run(20.0)
    assert process.said == ["begin", "stopping", "goodbye", "forget", "begin"]
    assert process.crash_count == 0


def test_a_process_that_does_not_come_to_rest_is_killed() -> None:
    process = Clockwork()
    process.start()
    process.rests = False
    process.stop()
    process.run(STOP_WAIT_S + 10)
    assert process.said == ["begin", "stopping", "forget", "begin"]
    assert process.crash_count == 1


def test_a_bare_process_has_nothing_to_wait_for() -> None:
    world = World(1)
    process = Process("bare", world, Network(world, Rates()), Rates())
    assert process.node_deadline() is None
    assert process.at_rest()
    process.node_timer()
    process.say_stop()
    process.said_goodbye()
    for act in (process.begin, process.forget, process.drain):
        with pytest.raises(NotImplementedError):
            act()


def test_a_clock_that_drifts_still_fires_its_timers_in_time() -> None:
    process = Clockwork()
    process.drift = 0.01
    process.deadlines = [EPOCH_S + 101.0]
    process.start()
    process.run(99.9)
    assert process.said == ["begin"]
    process.run(100.1)
    assert process.said == ["begin", "timer 101"]


def test_a_grounded_process_does_not_come_back_until_it_may() -> None:
    process = Clockwork()
    process.start()
    process.crash(3.0)
    process.grounded = True
    process.run(10.0)
    assert not process.up
    process.grounded = False
    process.start()
    assert process.up
