"""Two failover partners in the made-up world: what is promised holds, and one seed is one run."""

from __future__ import annotations

from math import ceil

import pytest

from holdfast.dhcp import failover_reserved, failover_scopes
from holdfast.dhcp.balance import bucket_of, is_primarys
from holdfast.dhcp.failover_authority import PairAuthority
from holdfast.dhcp.failover_endpoint import Endpoint
from holdfast.dhcp.failover_link import Link
from holdfast.dhcp.failover_pools import Pools
from holdfast.dhcp.failover_record import Agreed
from holdfast.dhcp.failover_scopes import Departures
from holdfast.dhcp.failover_states import SERVES, Serves
from holdfast.dhcp.lease import BACKUP, FREE, Lease
from holdfast.sim.pair_run import simulate_pair

SEEDS_AT_ONCE = 20  # a seed is a third of a second


def failures(scenario: str, seeds: range) -> list[str]:
    results = [simulate_pair(seed, scenario) for seed in seeds]
    return [f"seed {each.seed}: {each.failure}" for each in results if each.failure is not None]


@pytest.mark.parametrize("first", range(0, 120, SEEDS_AT_ONCE))
def test_seeds_keep_every_promise(first: int) -> None:
    assert failures("dhcp-pair", range(first, first + SEEDS_AT_ONCE)) == []


@pytest.mark.parametrize("first", range(0, 40, SEEDS_AT_ONCE))
def test_a_wrong_word_leads_to_what_the_draft_admits_and_to_no_more(first: int) -> None:
    assert failures("dhcp-pair-wrong", range(first, first + SEEDS_AT_ONCE)) == []


@pytest.mark.parametrize("first", range(0, 40, SEEDS_AT_ONCE))
def test_a_server_that_is_down_for_long_takes_no_lease_with_it(first: int) -> None:
    assert failures("dhcp-pair-down", range(first, first + SEEDS_AT_ONCE)) == []


@pytest.mark.parametrize("first", range(0, 20, SEEDS_AT_ONCE))
def test_a_server_that_comes_back_without_its_disk_leases_nothing_that_it_forgot(first: int) -> None:
    assert failures("dhcp-pair-burnt", range(first, first + SEEDS_AT_ONCE)) == []


@pytest.mark.parametrize("first", range(0, 200, SEEDS_AT_ONCE))
def test_an_administrator_changes_things_and_nobody_suffers(first: int) -> None:
    assert failures("dhcp-pair-changed", range(first, first + SEEDS_AT_ONCE)) == []


@pytest.mark.parametrize("first", range(0, 200, SEEDS_AT_ONCE))
def test_reservations_change_on_one_server_after_the_other(first: int) -> None:
    assert failures("dhcp-pair-reserved", range(first, first + SEEDS_AT_ONCE)) == []


def test_a_conflict_that_begins_again_comes_to_its_end() -> None:
    assert failures("dhcp-pair-wrong", range(1742, 1743)) == []


def test_an_address_that_both_gave_up_is_not_told_to_and_fro() -> None:
    assert failures("dhcp-pair-wrong", range(698, 699)) == []


def test_what_was_given_back_untold_is_not_given_again_for_a_partner_that_lost_its_disk() -> None:
    assert failures("dhcp-pair-burnt", range(606, 607)) == []


def test_who_declined_everything_is_put_off_and_no_fault_of_the_pair() -> None:
    assert failures("dhcp-pair-wrong", range(1999, 2000)) == []


def test_a_hundred_clients_of_a_pair_without_faults() -> None:
    result = simulate_pair(1, "dhcp-pair-steady")
    assert result.failure is None
    assert result.client_count == 100
    assert result.renewal_count > 200
    assert result.admitted_count == 0


def test_one_seed_is_one_run() -> None:
    results = [simulate_pair(3, "dhcp-pair-tiny") for _ in range(2)]
    assert results[0] == results[1]
    assert results[0].trace_hash != simulate_pair(4, "dhcp-pair-tiny").trace_hash


def is_found(seeds: range, scenario: str = "dhcp-pair") -> bool:
    return any(simulate_pair(seed, scenario).failure is not None for seed in seeds)


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> pytest.MonkeyPatch:
    """Puts a bug in the place of a method; compiled code has no room for one."""
    if request.config.getoption("--compiled"):
        pytest.skip("a method of compiled code cannot be replaced")
    return monkeypatch


def test_planted_the_partners_free_addresses_are_leased(plant: pytest.MonkeyPatch) -> None:
    def is_free(self: PairAuthority, lease: Lease | None) -> bool:
        return lease is None or lease.status in (FREE, BACKUP)

    plant.setattr(PairAuthority, "is_free", is_free)
    assert is_found(range(80))


def test_planted_a_lease_ends_earlier_at_the_partner(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Link, "end_shift_s", property(lambda self: ceil(self._last_apart_s) - 1000))
    assert is_found(range(20), "dhcp-pair-down")


def test_planted_a_lease_outlasts_what_the_partner_knows_by_more_than_mclt(
    plant: pytest.MonkeyPatch,
) -> None:
    plant.setattr(PairAuthority, "lease_s", lambda self, now, lease, desired_s: desired_s)
    assert is_found(range(60), "dhcp-pair-down")


def test_planted_partner_down_without_waiting(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Endpoint, "_take_over_at", property(lambda self: self.record.since))
    assert is_found(range(60), "dhcp-pair-down")


def test_planted_recovery_without_waiting(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Endpoint, "_wait_until", property(lambda self: 0.0))
    assert is_found(range(20), "dhcp-pair-burnt")


def test_planted_an_ended_lease_is_leased_although_the_partner_may_have_extended_it(
    plant: pytest.MonkeyPatch,
) -> None:
    def free_at(self: Pools, lease: Lease, entered_at: float) -> int:
        return int(max(lease.expires_at, entered_at)) + self._authority.mclt_s + 1

    plant.setattr(Pools, "_free_at", free_at)
    assert is_found(range(60), "dhcp-pair-down")


def test_planted_free_addresses_are_not_shared(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Pools, "hand_over", lambda self, now, percent, at_once=False: 0)
    assert is_found(range(20))


def test_planted_the_other_ones_clients_are_never_answered(plant: pytest.MonkeyPatch) -> None:
    def answers(self: PairAuthority, now: float, client: bytes, secs: int) -> bool:
        if SERVES[self.state] is not Serves.BALANCED:
            return SERVES[self.state] is Serves.EVERYBODY
        return is_primarys(self.buckets, bucket_of(client)) == self._primary

    plant.setattr(PairAuthority, "answers", answers)
    assert is_found(range(100), "dhcp-pair-down")


def test_planted_a_scope_that_left_is_leased_whole_without_waiting(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(failover_scopes, "_ours_at", lambda departed: departed.since)
    assert is_found(range(20), "dhcp-pair-changed")


def test_planted_nobody_notices_that_a_scope_left(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Departures, "left", lambda self, now, record, shared, own: None)
    assert is_found(range(20), "dhcp-pair-changed")


def test_planted_a_reservation_that_is_removed_is_gone_at_once(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(failover_reserved.Reservations, "_to_keep", lambda self: {})
    assert is_found(range(20, 30), "dhcp-pair-reserved")


def test_planted_a_new_reservation_holds_at_once(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(failover_reserved.Reservations, "_say_in_doubt", lambda self, endpoint, shared: None)
    assert is_found(range(5, 15), "dhcp-pair-reserved")


def test_planted_doubts_are_forgotten_at_a_start(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(failover_reserved.Reservations, "begin_commit", begin_nothing)
    assert is_found(range(141, 151), "dhcp-pair-reserved")


def begin_nothing(self: failover_reserved.Reservations) -> list[Agreed]:
    for shared in self._shared.values():
        shared.is_dirty = False
    return []
