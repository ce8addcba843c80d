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


KINDS_OF_SEVERAL = {
    "crash_every_s": "fault: transport hub",
    "server_crash_every_s": "fault: server hub",
    "link_every_s": "parted for",
    "slow_link_every_s": "is slow for",
    "full_every_s": "fault: queue disk hub",
    "store_slow_every_s": "fault: store disk hub",
    "clock_jump_every_s": "jumps by",
    "disk_loss_every_s": "loses its disk",
    "declare_every_s": "is declared lost",
}


def lines_of(kind: str, server_count: int = 1) -> list[str]:
    scenario = parse_scenario(
        "mine",
        f"[rates]\nsafety_s = 60\n{kind} = 4\nletter_count = 3\nfull_s = 1\nserver_down_s = 1\n"
        f"server_count = {server_count}\ndisk_loss_count_max = 20\nshadow_rate = 1",
    )
    lines: list[str] = []
    simulation = Simulation(2, scenario, listener=lines.append)
    for server in simulation.servers:
        server.start()
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


@pytest.mark.parametrize(("kind", "words"), sorted(KINDS_OF_SEVERAL.items()))
def test_each_kind_of_fault_happens_to_every_server(kind: str, words: str) -> None:
    lines = [line for line in lines_of(kind, 3) if words in line]
    assert len(lines) > 3
    for number in (1, 2, 3):
        assert any(f"hub{number}" in line or f"db{number}" in line for line in lines), number


def test_servers_are_restarted_one_after_the_other() -> None:
    lines = lines_of("rolling_restart_every_s", 2)
    stops = [line[15:] for line in lines if "is asked to stop" in line]
    assert stops[:4] == [
        f"{process} is asked to stop"
        for process in ("transport hub1", "mailbox db1", "transport hub2", "mailbox db2")
    ]
    back = next(index for index, line in enumerate(lines) if "mailbox db1 starts, incarnation 2" in line)
    next_stop = next(index for index, line in enumerate(lines) if "transport hub2 is asked" in line)
    assert back < next_stop
