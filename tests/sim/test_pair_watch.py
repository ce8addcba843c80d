"""The watch of a pair: who starves without a reason is found, and nobody else."""

from __future__ import annotations

import pytest

from holdfast.sim.dhcp_clients import Where
from holdfast.sim.pair_run import PairSimulation
from holdfast.sim.pair_watch import STARVING_S
from holdfast.sim.world import Violation


def starving() -> PairSimulation:
    """Two servers in NORMAL with half of their pool free, and a client whom none of them answers."""
    simulation = PairSimulation(1, "dhcp-pair-steady")
    for machine in simulation.machines:
        machine.start()
    client = simulation.clients[0]
    client._send = lambda client, data, to_server: None
    client.power_on()
    assert client.where is Where.SELECTING
    return simulation


def run(simulation: PairSimulation, span_s: float) -> None:
    simulation._until(simulation.world.now + span_s, None, watched=True)


def test_a_client_that_nobody_answers_is_found() -> None:
    simulation = starving()
    run(simulation, STARVING_S)
    with pytest.raises(Violation, match="client 0 has sought a server for"):
        run(simulation, 60)


def test_that_no_server_has_an_address_of_its_own_is_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither could lease what is free, it is both who are wrong."""
    simulation = starving()
    for machine in simulation.machines:
        monkeypatch.setattr(machine, "has_room", lambda squatted_count: False)
    with pytest.raises(Violation, match="half of the pool is free"):
        run(simulation, STARVING_S + 60)


def test_servers_that_clients_do_not_reach_are_a_reason() -> None:
    simulation = starving()
    for machine in simulation.machines:
        simulation.watch.disturbed(machine, STARVING_S)
    run(simulation, 2 * STARVING_S - 10)
    with pytest.raises(Violation):
        run(simulation, 60)


@pytest.mark.parametrize(
    ("fault", "number"), [("_unheard", 1), ("_mute", 2)], ids=["hears nobody", "its answers get lost"]
)
def test_a_server_that_is_cut_from_clients_leaves_them_to_the_other_one(fault: str, number: int) -> None:
    """Half of the clients are in buckets of the server that is cut."""
    simulation = PairSimulation(number, "dhcp-pair-steady")
    for machine in simulation.machines:
        machine.start()
    run(simulation, 20)
    getattr(simulation, fault).add(number)
    for client in simulation.clients:
        client.power_on()
    run(simulation, 30)
    assert {client.server_id & 0xFF for client in simulation.clients if client.address} == {3 - number}
    assert sum(client.address > 0 for client in simulation.clients) > 90
