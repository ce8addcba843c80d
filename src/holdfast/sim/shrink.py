"""Find the shortest schedule that still fails: leave out faults and letters as long as the failure stays.

First halves, then quarters, and so on down to single ones (delta debugging);
faults before letters, and again until nothing more can go. A run that fails
for another reason does not count: digits and markers apart, its sentence must
be the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from holdfast.sim.run import Parts, Result, Simulation
from holdfast.sim.scenario import Scenario
from holdfast.sim.schedule import Schedule

RUN_COUNT_MAX = 3000

_VARYING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\bL[0-9]+-[0-9]+|[0-9]+")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The shortest failing schedule that was found.

    Attributes:
        schedule: what is left.
        result: of its run.
        faults: its faults, a line each.
        run_count: how many runs it took.
    """

    schedule: Schedule
    result: Result
    faults: tuple[str, ...]
    run_count: int


def kind_of(failure: str) -> str:
    """The sentence of a checker without what differs from run to run."""
    return _VARYING.sub("#", failure)


def shrink(
    seed: int,
    scenario: Scenario,
    parts: Parts | None = None,
    tell: Callable[[int], None] = lambda count: None,
) -> Shrunk | None:
    """Shrink a failing run; None when it does not fail.

    Args:
        seed: of the run.
        scenario: of the run.
        parts: what is simulated.
        tell: told after each run how many there were.
    """
    shrinker = _Shrinker(seed, scenario, parts, tell)
    first = shrinker.run(Schedule())
    if first.result.failure is None:
        return None
    shrinker.kind = kind_of(first.result.failure)
    return shrinker.shrink(first)


class _Shrinker:
    def __init__(
        self, seed: int, scenario: Scenario, parts: Parts | None, tell: Callable[[int], None]
    ) -> None:
        self._seed = seed
        self._scenario = scenario
        self._parts = parts
        self._tell = tell
        self._run_count = 0
        self.kind = ""

    def run(self, schedule: Schedule) -> Shrunk:
        simulation = Simulation(self._seed, self._scenario, self._parts, schedule=schedule)
        result = simulation.run()
        self._run_count += 1
        self._tell(self._run_count)
        taken = Schedule(simulation.sent_letters(), frozenset(simulation.faults.happened))
        return Shrunk(taken, result, tuple(simulation.faults.happened.values()), self._run_count)

    def _still_fails(self, schedule: Schedule) -> Shrunk | None:
        if self._run_count >= RUN_COUNT_MAX:
            return None
        found = self.run(schedule)
        failure = found.result.failure
        return found if failure is not None and kind_of(failure) == self.kind else None

    def shrink(self, best: Shrunk) -> Shrunk:
        while True:
            before = best.schedule
            best = self._fewer(
                best,
                lambda found: sorted(found.schedule.faults or ()),
                lambda found, left: Schedule(found.schedule.letters, frozenset(left)),
            )
            best = self._fewer(
                best,
                lambda found: sorted(found.schedule.letters or ()),
                lambda found, left: Schedule(frozenset(left), found.schedule.faults),
            )
            if best.schedule == before:
                return Shrunk(best.schedule, best.result, best.faults, self._run_count)

    def _fewer(
        self,
        best: Shrunk,
        items_of: Callable[[Shrunk], list[Item]],
        with_items: Callable[[Shrunk, list[Item]], Schedule],
    ) -> Shrunk:
        """Leave out pieces of one kind, ever smaller ones."""
        size = max(1, len(items_of(best)) // 2)
        while True:
            start = 0
            while start < len(items_of(best)):
                items = items_of(best)
                found = self._still_fails(with_items(best, items[:start] + items[start + size :]))
                if found is None:
                    start += size
                else:
                    best = found
            if size == 1:
                return best
            size = max(1, size // 2)
