"""What an administrator of the made-up pair does: in which order, and what is written on each server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from holdfast.directory.failover import FailoverMode
from holdfast.directory.model import Organisation
from holdfast.sim.pair_changes import Administrator, Declared, written
from holdfast.sim.pair_run import PairSimulation

SHARED = Declared(1, True, True, is_standby=False, split_percent=70, reserve_percent=9, mclt_s=50.0)


def simulation(seed: int = 1) -> tuple[PairSimulation, Administrator]:
    made = PairSimulation(seed, "dhcp-pair-changed")
    assert made.administrator is not None
    return made, made.administrator


def test_what_is_written_for_a_server() -> None:
    made, _ = simulation()
    base = made.machines[0]._organisation
    (relationship,) = written(base, SHARED).failover_relationships
    assert (relationship.servers, relationship.scopes) == (("ns1", "ns2"), ("wire",))
    assert (relationship.mode, relationship.split_percent) == (FailoverMode.LOAD_BALANCE, 70)
    assert (relationship.reserve_percent, relationship.mclt_s) == (9, 50.0)
    other = written(base, replace(SHARED, keeper=2, is_standby=True))
    assert other.scopes[0].server == "ns2"
    (relationship,) = other.failover_relationships
    assert (relationship.servers, relationship.mode) == (("ns2", "ns1"), FailoverMode.HOT_STANDBY)
    assert relationship.addresses == ("10.9.0.2", "10.9.0.1")
    (relationship,) = written(base, replace(SHARED, is_shared=False)).failover_relationships
    assert relationship.scopes == ()
    alone = replace(SHARED, is_shared=False, has_relationship=False)
    assert written(base, alone).failover_relationships == ()


def test_a_scope_leaves_first_where_it_is_not_leased_any_more_and_joins_when_that_is_durable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, administrator = simulation()
    told: list[tuple[int, bool]] = []
    for machine in made.machines:
        machine.start()
        change = machine.change

        def note(
            organisation: Organisation,
            number: int = machine.number,
            change: Callable[[Organisation], None] = change,
        ) -> None:
            told.append((number, administrator.declared[number].is_shared))
            change(organisation)

        monkeypatch.setattr(machine, "change", note)
    made._until(made.world.now + 60, None)
    for each in made.machines:
        assert each.shares
    administrator._leave()
    made._until(made.world.now + 600, None)
    leaver = 3 - administrator.declared[1].keeper
    assert told[:2] == [(leaver, False), (3 - leaver, False)]
    assert sorted(told[2:]) == [(1, True), (2, True)]
    assert not administrator.is_busy
    assert administrator.keeper is None


def test_no_scope_is_left_with_a_server_that_may_not_know_all() -> None:
    made, administrator = simulation()
    for machine in made.machines:
        machine.start()
    assert administrator._may_keep(1)
    assert not administrator._may_keep(2)  # it was told nothing yet
    made._until(made.world.now + 60, None)
    assert administrator._may_keep(2)
    made.checker._down_since[1] = made.world.now
    assert not administrator._may_keep(2)
    assert administrator._may_keep(1)


def test_a_scope_may_stay_away_in_the_end() -> None:
    kept = [simulation(seed)[1]._stays_alone for seed in range(10)]
    assert set(kept) == {True, False}
    assert False in kept
