"""One of two machines: what it loses with its disk, and what a command does."""

from __future__ import annotations

from holdfast.dhcp.failover_states import State
from holdfast.node.failover import Command
from holdfast.sim.pair_machine import partner_address
from holdfast.sim.pair_run import PairSimulation


def test_a_disk_is_lost_with_everything_on_it() -> None:
    simulation = PairSimulation(1, "dhcp-pair-steady")
    for machine in simulation.machines:
        machine.start()
    simulation._until(simulation.world.now + 30, None)
    first, second = simulation.machines
    assert (first.state, second.state) == (State.NORMAL, State.NORMAL)
    assert first.records
    first.crash(1000.0)
    first.lose_disk()
    assert (first.state, first.disk, first.mark) == (0, {}, None)
    assert second.command(Command.PARTNER_DOWN, force=True)
    simulation._until(simulation.world.now + 1, None)
    assert second.state == State.PARTNER_DOWN
    assert not second.command(Command.RESUME)
    assert partner_address(2) == "10.9.0.2"
