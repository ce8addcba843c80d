"""Free addresses are shared by the configured part, and never owned twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dhcp.conversations import scope
from dhcp.partners import FIRST, Pair
from holdfast.dhcp.failover_pools import free_counts, owned, secondarys_share, surplus
from holdfast.dhcp.lease import ACTIVE, BACKUP, FREE, Lease


@pytest.mark.parametrize(
    ("free", "percent", "share"),
    [(10, 50, 5), (10, 5, 1), (10, 0, 0), (1, 50, 0), (2, 5, 1), (200, 5, 10), (0, 50, 0)],
)
def test_the_share_of_the_secondary(free: int, percent: int, share: int) -> None:
    assert secondarys_share(free, percent) == share


@pytest.mark.parametrize(
    ("counts", "primary", "count"),
    [
        ((100, 0), True, 50),
        ((55, 45), True, 0),  # a little too much is left alone
        ((40, 60), True, 0),  # that is the secondary's to give
        ((40, 60), False, 0),
        ((35, 65), False, 15),
        ((0, 3), False, 1),
        ((2, 0), True, 1),
    ],
)
def test_what_is_handed_over(counts: tuple[int, int], primary: bool, count: int) -> None:
    assert surplus(counts, 50, primary=primary) == count


def test_a_partner_that_asks_gets_the_last_one() -> None:
    assert surplus((55, 45), 50, primary=True, at_once=True) == 5


def test_an_address_keeps_its_last_client_when_it_changes_hands() -> None:
    old = Lease(FIRST, FREE, 0, b"\x01mac", b"id", 1, 2, 3, 4, potential_acked=9)
    new = owned(old, FIRST, BACKUP, 100.0)
    assert (new.status, new.key, new.changed_at, new.potential_acked) == (BACKUP, b"id", 100, 0)


@pytest.mark.parametrize(("percent", "expected"), [(50, (5, 5)), (20, (8, 2)), (80, (2, 8))])
def test_a_pair_shares_by_the_split(percent: int, expected: tuple[int, int]) -> None:
    pair = Pair(split_percent=100 - percent).normal()
    assert free_counts(pair.first.endpoint.pools.scopes[0]) == expected
    assert free_counts(pair.second.endpoint.pools.scopes[0]) == expected


def test_what_a_partner_used_up_it_gets_again() -> None:
    pair = Pair().normal()
    for client in range(4):
        assert pair.second.lease(client) is not None
    pair.pass_s(12)
    assert free_counts(pair.first.endpoint.pools.scopes[0]) == (3, 3)
    assert sum(each.status == ACTIVE for each in pair.first.disk.values()) == 4


def test_a_large_pool_is_shared_at_once_and_to_its_end() -> None:
    pair = Pair()
    for server in (pair.first, pair.second):
        office = scope("office", "10.0.0.0/16", "10.0.16.0-10.0.47.255")
        server.declared = replace(server.declared, scopes=(office,))
    pair.start()
    while pair.states != ("NORMAL", "NORMAL"):
        pair.pass_s(0.25)
    pair.pass_s(2)
    assert free_counts(pair.second.endpoint.pools.scopes[0]) == (4096, 4096)
