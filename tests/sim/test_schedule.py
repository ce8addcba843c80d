"""Schedules leave out letters and faults, and change nothing else that a seed draws."""

from __future__ import annotations

from holdfast.sim.run import Simulation, simulate
from holdfast.sim.scenario import load_scenario
from holdfast.sim.schedule import EVERYTHING, Schedule


def test_everything_is_what_is_not_said() -> None:
    assert EVERYTHING.sends("L0-0")
    assert EVERYTHING.has_fault(7)
    some = Schedule(frozenset({"L0-0"}), frozenset({3}))
    assert some.sends("L0-0")
    assert not some.sends("L0-1")
    assert some.has_fault(3)
    assert not some.has_fault(4)


def test_a_test_can_write_it_as_it_is_printed() -> None:
    some = Schedule(frozenset({"L1-0", "L0-0"}), frozenset({3, 1}))
    assert str(some) == "Schedule(letters=frozenset(['L0-0', 'L1-0']), faults=frozenset([1, 3]))"
    assert eval(str(some)) == some
    assert str(EVERYTHING) == "Schedule()"


def test_what_is_left_happens_when_it_was_drawn() -> None:
    scenario = load_scenario("plug-pull-pair")
    whole = Simulation(4, scenario)
    whole.run()
    number, words = next(iter(whole.faults.happened.items()))
    letter = min(whole.sent_letters())
    less = Simulation(4, scenario, schedule=Schedule(frozenset({letter}), frozenset({number})))
    result = less.run()
    assert less.faults.happened == {number: words}
    assert less.sent_letters() == {letter}
    assert result.letter_count == 1
    assert result.failure is None


def test_the_whole_schedule_is_the_same_run() -> None:
    scenario = load_scenario("plug-pull")
    whole = Simulation(4, scenario)
    result = whole.run()
    # Only faults up to the end happened; none comes after it.
    again = Schedule(whole.sent_letters(), frozenset(whole.faults.happened))
    assert simulate(4, scenario, schedule=again) == result
