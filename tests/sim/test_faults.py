"""Faults happen at their rates, and stop."""

from __future__ import annotations

import pytest

from holdfast.sim.run import Simulation
from holdfast.sim.scenario import parse_scenario
from holdfast.sim.world import EPOCH_S

KINDS = {
    "crash_every_s": "fault: transport dies",
    "store_crash_every_s": "fault: mailbox db1 dies",
    "stop_every_s": "transport stops cleanly",
    "store_stop_every_s": "mailbox db1 stops cleanly",
    "reset_every_s": "is reset",
    "partition_every_s": "parted for",
    "full_every_s": "queue disk is full for",
    "store_full_every_s": "store disk is full for",
    "slow_every_s": "queue disk is slow for",
    "store_slow_every_s": "store disk is slow for",
    "clock_jump_every_s": "jumps by",
}


def lines_of(kind: str) -> list[str]:
    scenario = parse_scenario("mine", f"[rates]\nsafety_s = 60\n{kind} = 4\nletter_count = 3\nfull_s = 1")
    lines: list[str] = []
    simulation = Simulation(2, scenario, listener=lines.append)
    simulation.mailbox.start()
    simulation.transport.start()
    simulation.faults.begin()
    while simulation.world.step(EPOCH_S + 60):
        pass
    simulation.faults.stop()
    stopped_at = len(lines)
    while simulation.world.step(EPOCH_S + 200):
        pass
    assert not any("fault:" in line for line in lines[stopped_at:])
    return lines


@pytest.mark.parametrize(("kind", "words"), sorted(KINDS.items()))
def test_each_kind_of_fault_happens_alone_and_stops(kind: str, words: str) -> None:
    lines = lines_of(kind)
    assert sum(words in line for line in lines) > 3
    others = [line for line in lines if "fault:" in line and words not in line]
    assert others == []
