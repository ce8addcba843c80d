"""Servers: their processes die together with the power, and their disks stay."""

from __future__ import annotations

from holdfast.sim.run import Simulation
from holdfast.sim.scenario import parse_scenario


def two_servers() -> Simulation:
    return Simulation(3, parse_scenario("mine", "[rates]\nserver_count = 2\nsender_count = 1"))


def run(made: Simulation, span_s: float) -> None:
    until = made.world.now + span_s
    while made.world.step(until):
        pass


def test_each_server_has_processes_and_disks_of_its_own() -> None:
    made = two_servers()
    names = [process.name for server in made.servers for process in server.processes]
    assert names == ["transport hub1", "mailbox db1", "transport hub2", "mailbox db2"]
    assert [server.queue_disk.name for server in made.servers] == ["queue disk hub1", "queue disk hub2"]
    assert made.servers[0].store_disk is not made.servers[1].store_disk


def test_the_power_takes_all_processes_of_one_server_and_some_notes() -> None:
    made = two_servers()
    first, second = made.servers
    first.start()
    second.start()
    run(made, 1.0)
    first.queue_disk.in_flight = list(range(100))
    first.crash(down_s=5.0)
    assert not first.up
    assert second.up
    assert 0 < len(first.queue_disk.in_flight) < 100  # they were in memory only
    run(made, 4.9)
    assert not first.transport.up
    run(made, 0.2)
    assert first.up


def test_a_machine_has_one_clock() -> None:
    made = two_servers()
    made.servers[0].jump_clock(7.0)
    made.servers[0].drift(0.5)
    assert [process.wall_offset_s for process in made.processes] == [7.0, 7.0, 0.0, 0.0]
    assert [process.drift for process in made.processes] == [0.5, 0.5, 0.0, 0.0]
