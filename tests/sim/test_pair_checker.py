"""The checker of a pair: what it lets pass, and what it does not."""

from __future__ import annotations

import pytest

from holdfast.dhcp.failover_record import VERSION, Departed, Record, first_record
from holdfast.dhcp.failover_states import State
from holdfast.dhcp.lease import ACTIVE, BACKUP, FREE, Lease
from holdfast.sim.pair_checker import PairChecker
from holdfast.sim.pair_run import PairSimulation
from holdfast.sim.world import Violation

MCLT_S = 60.0


class Scene:
    """Two clients of a world that stands still."""

    def __init__(self) -> None:
        self.simulation = PairSimulation(1, "dhcp-pair-steady")
        self.world = self.simulation.world
        self.checker = PairChecker(self.world, MCLT_S)
        self.one, self.two = self.simulation.clients[:2]

    def served_by(self, client: int, server: int) -> None:
        (self.one, self.two)[client]._server_id = bytes((10, 0, 0, server))

    def state(self, server: int, state: State) -> None:
        machine = self.simulation.machines[server - 1]
        self.checker.recorded(machine, Record("pair", VERSION, state, int(machine.lease_now()), state))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_one_address_is_one_clients(scene: Scene) -> None:
    scene.checker.begins(scene.one, 7, scene.world.now + 100)
    with pytest.raises(Violation, match="used by client 0"):
        scene.checker.begins(scene.two, 7, scene.world.now + 100)


def test_what_the_draft_admits_is_exactly_this(scene: Scene) -> None:
    scene.served_by(0, 1)
    scene.served_by(1, 2)
    scene.state(1, State.PARTNER_DOWN)
    scene.world.now += 10
    scene.checker.begins(scene.two, 7, scene.world.now + 1000)  # of the one that was taken for down
    with pytest.raises(Violation):  # before MCLT its addresses are not the other's
        scene.checker.begins(scene.one, 7, scene.world.now + 1000)
    scene.world.now += MCLT_S
    scene.checker.begins(scene.one, 7, scene.world.now + 1000)
    assert scene.checker.admitted_count == 1


def test_a_lease_of_before_is_never_admitted(scene: Scene) -> None:
    scene.served_by(0, 1)
    scene.served_by(1, 2)
    scene.checker.begins(scene.two, 7, scene.world.now + 1000)
    scene.world.now += 10
    scene.state(1, State.PARTNER_DOWN)
    scene.world.now += MCLT_S + 1
    with pytest.raises(Violation):
        scene.checker.begins(scene.one, 7, scene.world.now + 1000)


def test_who_keeps_the_address_may_renew_and_who_lost_it_may_not(scene: Scene) -> None:
    scene.served_by(0, 1)
    scene.served_by(1, 2)
    scene.state(1, State.PARTNER_DOWN)
    scene.world.now += MCLT_S + 1
    scene.checker.begins(scene.two, 7, scene.world.now + 1000)
    scene.checker.begins(scene.one, 7, scene.world.now + 1000)
    scene.state(1, State.NORMAL)
    scene.state(2, State.NORMAL)
    scene.world.now += 1
    scene.checker.goes_on(scene.one, 7, scene.world.now + 1000)
    with pytest.raises(Violation):
        scene.checker.goes_on(scene.two, 7, scene.world.now + 1000)


def test_databases_that_differ_in_the_end(scene: Scene) -> None:
    first, second = machines = scene.simulation.machines
    for machine in machines:
        machine.start()
    scene.simulation._until(scene.world.now + 30, None)
    scene.checker.check_together(machines)
    now = int(first.lease_now())
    first.disk[7] = Lease(7, ACTIVE, 0, b"\x01a", b"", now, now + 50, now, now)
    with pytest.raises(Violation, match=r"differ on 0\.0\.0\.7: status 2 and 1"):
        scene.checker.check_together(machines)
    second.disk[7] = first.disk[7]._replace(hardware=b"\x01b")
    with pytest.raises(Violation, match="client 0161 and 0162"):
        scene.checker.check_together(machines)
    first.disk[7] = first.disk[7]._replace(status=FREE)
    del second.disk[7]
    scene.checker.check_together(machines)


def test_who_lost_an_address_in_a_conflict_may_use_it_to_its_end(scene: Scene) -> None:
    """Two were in PARTNER-DOWN or alone; the primary's client was off already, and kept the address."""
    scene.served_by(0, 2)
    scene.served_by(1, 1)
    scene.state(2, State.PARTNER_DOWN)
    scene.world.now += MCLT_S + 1
    scene.checker.begins(scene.one, 7, scene.world.now + 1000)
    scene.state(2, State.NORMAL)
    scene.state(1, State.NORMAL)
    scene.world.now += 1
    with pytest.raises(Violation):  # without a conflict nobody lost anything
        scene.checker.begins(scene.two, 7, scene.world.now + 1000)
    scene.state(2, State.POTENTIAL_CONFLICT)
    scene.checker.begins(scene.two, 7, scene.world.now + 1000)


def test_what_was_leased_in_partner_down_is_nowhere_else(scene: Scene) -> None:
    first, second = scene.simulation.machines
    scene.state(1, State.PARTNER_DOWN)
    assert scene.checker.leased_alone(first)
    assert not scene.checker.leased_alone(second)
    scene.state(1, State.NORMAL)
    scene.state(2, State.NORMAL)
    assert not scene.checker.leased_alone(first)


def test_free_addresses_that_one_server_keeps_for_itself(scene: Scene) -> None:
    machines = scene.simulation.machines
    for machine in machines:
        machine.start()
    assert machines[0].misbalance() is not None  # nothing was handed over yet
    scene.simulation._until(scene.world.now + 30, None)
    assert machines[0].misbalance() is None


def test_who_shares_a_scope_no_more_need_not_know_its_leases(scene: Scene) -> None:
    scene.served_by(0, 1)
    scene.checker.begins(scene.one, 7, scene.world.now + 1000)
    first = scene.simulation.machines[0]
    with pytest.raises(Violation, match="does not know it"):
        scene.checker.check_durable(first)
    first.left_at = scene.world.now
    scene.checker.check_durable(first)
    scene.two._asked_at = scene.world.now = scene.world.now + 1
    scene.served_by(1, 1)
    scene.checker.begins(scene.two, 8, scene.world.now + 1000)
    with pytest.raises(Violation, match="does not know it"):
        scene.checker.check_durable(first)


def test_a_relationship_that_begins_in_partner_down_admits_nothing(scene: Scene) -> None:
    first = scene.simulation.machines[0]
    scene.checker.recorded(first, first_record("pair", first.lease_now(), goes_on=True))
    assert not scene.checker.leased_alone(first)


def test_what_is_still_kept_back_for_a_partner_in_the_end(scene: Scene) -> None:
    machines = scene.simulation.machines
    scene.checker.check_alone(machines)
    machines[1].disk[7] = Lease(7, BACKUP, 0, b"", b"", 1, 1, 1, 1)
    with pytest.raises(Violation, match=r"0\.0\.0\.7 is neither leased nor free at ns2"):
        scene.checker.check_alone(machines)
    machines[0].departed[(0, 9)] = Departed(0, 9, VERSION, 1, 60, 1)
    with pytest.raises(Violation, match="ns1 still keeps addresses back"):
        scene.checker.check_alone(machines)
