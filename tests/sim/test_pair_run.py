"""Two failover partners in the made-up world: what is promised holds, and one seed is one run."""

from __future__ import annotations

import pytest

from holdfast.dhcp.failover_authority import PairAuthority
from holdfast.dhcp.failover_link import Link
from holdfast.dhcp.lease import BACKUP, FREE, Lease
from holdfast.sim.pair_run import simulate_pair


@pytest.mark.parametrize("seed", range(20))
def test_seeds_keep_every_promise(seed: int) -> None:
    assert simulate_pair(seed).failure is None


@pytest.mark.parametrize("seed", range(8))
def test_a_wrong_word_leads_to_what_the_draft_admits_and_to_no_more(seed: int) -> None:
    assert simulate_pair(seed, "dhcp-pair-wrong").failure is None


def test_a_hundred_clients_of_a_pair_without_faults() -> None:
    result = simulate_pair(1, "dhcp-pair-steady")
    assert result.failure is None
    assert result.client_count == 100
    assert result.renewal_count > 500
    assert result.admitted_count == 0


def test_one_seed_is_one_run() -> None:
    results = [simulate_pair(3, "dhcp-pair-tiny") for _ in range(2)]
    assert results[0] == results[1]
    assert results[0].trace_hash != simulate_pair(4, "dhcp-pair-tiny").trace_hash


def is_found(seeds: range) -> bool:
    return any(simulate_pair(seed).failure is not None for seed in seeds)


def test_planted_the_partners_free_addresses_are_leased(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_free(self: PairAuthority, lease: Lease | None) -> bool:
        return lease is None or lease.status in (FREE, BACKUP)

    monkeypatch.setattr(PairAuthority, "is_free", is_free)
    assert is_found(range(2, 5))


def test_planted_a_lease_ends_earlier_at_the_partner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Link, "end_from_wire", lambda self, instant: instant - 30)
    assert is_found(range(3))
