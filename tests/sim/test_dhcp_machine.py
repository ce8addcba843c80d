"""The server of the made-up world: its disk and its clocks."""

from __future__ import annotations

from holdfast.dhcp.replies import Reply
from holdfast.sim.dhcp_machine import Machine
from holdfast.sim.dhcp_rates import DhcpRates
from holdfast.sim.dhcp_run import DhcpSimulation
from holdfast.sim.world import World


def machine(world: World) -> Machine:
    simulation = DhcpSimulation(1, "dhcp-tiny")
    sent: list[Reply] = []
    return Machine(world, DhcpRates(), simulation.organisation, sent.append)


def passes(world: World, seconds: float) -> None:
    until = world.now + seconds
    while world.step(until):
        pass


def test_the_clock_of_leases_counts_what_passes_whatever_is_set() -> None:
    world = World(3)
    made = machine(world)
    made.start()
    began = made.lease_now()
    made.set_wall_clock(5000.0)
    passes(world, 100)
    made.crash(10)
    made.set_wall_clock(-70.0)
    passes(world, 100)
    assert abs(made.lease_now() - began - 200) < 1e-6, "the same boot"
    made.crash(50, power=True)
    passes(world, 100)
    assert abs(made.lease_now() - began - 300) < 1e-6, "another boot, by the mark"
    made.crash(50, power=True)
    made.set_wall_clock(-9999.0)
    now = made.lease_now()
    passes(world, 1)
    assert made.lease_now() >= now, "never back"


def test_off_or_full_a_clock_is_not_set_forward() -> None:
    world = World(3)
    made = machine(world)
    began = made.lease_now()
    made.set_wall_clock(100.0)
    assert made.lease_now() == began
    made.start()
    made.full_until = world.now + 50
    made.set_wall_clock(100.0)
    made.crash(1, power=True)
    assert abs(made.lease_now() - began) < 1e-6
