"""Two failover partners in the made-up world: what is promised holds, and one seed is one run."""

from __future__ import annotations

import pytest

from holdfast.dhcp.balance import bucket_of, is_primarys
from holdfast.dhcp.failover_authority import PairAuthority
from holdfast.dhcp.failover_endpoint import Endpoint
from holdfast.dhcp.failover_link import Link
from holdfast.dhcp.failover_pools import Pools
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


def test_planted_the_partners_free_addresses_are_leased(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_free(self: PairAuthority, lease: Lease | None) -> bool:
        return lease is None or lease.status in (FREE, BACKUP)

    monkeypatch.setattr(PairAuthority, "is_free", is_free)
    assert is_found(range(80))


def test_planted_a_lease_ends_earlier_at_the_partner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Link, "end_from_wire", lambda self, instant: instant - 30)
    assert is_found(range(20))


def test_planted_a_lease_outlasts_what_the_partner_knows_by_more_than_mclt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PairAuthority, "lease_s", lambda self, now, lease, desired_s: desired_s)
    assert is_found(range(60), "dhcp-pair-down")


def test_planted_partner_down_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Endpoint, "_take_over_at", property(lambda self: self.record.since))
    assert is_found(range(60), "dhcp-pair-down")


def test_planted_an_ended_lease_is_leased_although_the_partner_may_have_extended_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def free_at(self: Pools, lease: Lease, entered_at: float) -> int:
        return int(max(lease.expires_at, entered_at)) + self._authority.mclt_s + 1

    monkeypatch.setattr(Pools, "_free_at", free_at)
    assert is_found(range(60), "dhcp-pair-down")


def test_planted_free_addresses_are_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pools, "hand_over", lambda self, now, percent, at_once=False: 0)
    assert is_found(range(20))


def test_planted_the_other_ones_clients_are_never_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(self: PairAuthority, now: float, client: bytes, secs: int) -> bool:
        if SERVES[self.state] is not Serves.BALANCED:
            return SERVES[self.state] is Serves.EVERYBODY
        return is_primarys(self.buckets, bucket_of(client)) == self._primary

    monkeypatch.setattr(PairAuthority, "answers", answers)
    assert is_found(range(100), "dhcp-pair-down")
