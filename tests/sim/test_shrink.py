"""Shrinking finds the fewest letters and faults with which a run fails for the same reason."""

from __future__ import annotations

from dataclasses import replace

from holdfast.node.transport import TransportNode
from holdfast.sim.run import Parts, simulate
from holdfast.sim.scenario import load_scenario
from holdfast.sim.shrink import kind_of, shrink

SCENARIO = load_scenario("plug-pull")


class ForgetsSecondTries(TransportNode):
    """Does not know after a crash whose 250 may not have been read."""

    def started(self, now: float) -> None:
        self._recovered = replace(self._recovered, uncertain={})
        super().started(now)


def test_a_failure_is_shrunk_to_one_letter_and_one_crash() -> None:
    parts = Parts(transport=ForgetsSecondTries)
    seed = next(seed for seed in range(60) if simulate(seed, SCENARIO, parts).failure is not None)
    counts: list[int] = []
    shrunk = shrink(seed, SCENARIO, parts, counts.append)
    assert shrunk is not None
    assert len(shrunk.schedule.letters or ()) == 1
    assert len(shrunk.faults) == 1
    assert "dies" in shrunk.faults[0]
    assert counts == list(range(1, shrunk.run_count + 1))
    replayed = simulate(seed, SCENARIO, parts, schedule=shrunk.schedule)
    assert replayed.failure == shrunk.result.failure


def test_what_does_not_fail_is_not_shrunk() -> None:
    assert shrink(1, load_scenario("tiny")) is None


def test_the_same_reason_in_other_words() -> None:
    one = "L0-1 got 250 for user3@example.test and is not in 1e00c2a6-a414-4e47-a3b8-b7debd847cf0"
    other = "L2-0 got 250 for user1@example.test and is not in 8b01ad38-5e16-449f-b3e2-7d5e8c54937e"
    assert kind_of(one) == kind_of(other)
    assert kind_of(one) != kind_of("mailbox mailbox-0 holds L0-1 2 times")
