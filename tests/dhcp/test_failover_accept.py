"""Which update is taken: the draft's table (figure 7.1.3-1), cell by cell."""

from __future__ import annotations

import pytest

from holdfast.dhcp.failover_accept import Told, judged, lacks, still_used_until, taken
from holdfast.dhcp.lease import ABANDONED, ACTIVE, BACKUP, EXPIRED, FREE, RELEASED, RESET, Lease
from holdfast.wire.failover_messages import FATAL_CONFLICT, LESS_CRITICAL, MISSING_INFORMATION, OUTDATED

NOW = 1000.0
MAC, OTHER = b"\x01\x02\x00\x00\x00\x00\x01", b"\x01\x02\x00\x00\x00\x00\x02"
COLUMNS = (ACTIVE, EXPIRED, RELEASED, FREE, BACKUP, RESET, ABANDONED)
OLD, LESS = OUTDATED, LESS_CRITICAL
# What is said of a client that spoke before, and what of one that spoke after it last spoke with us.
BEFORE = {
    ACTIVE: (0, OLD, OLD, OLD, OLD, OLD, OLD),
    EXPIRED: (OLD, 0, 0, 0, 0, 0, 0),
    RELEASED: (OLD, OLD, 0, 0, 0, 0, 0),
    FREE: (0,) * 7,
    BACKUP: (0,) * 7,
    RESET: (OLD, 0, 0, 0, 0, 0, 0),
    ABANDONED: (LESS, LESS, LESS, LESS, LESS, 0, 0),
}
AFTER = {
    ACTIVE: (0, OLD, 0, OLD, OLD, 0, 0),
    EXPIRED: (0,) * 7,
    RELEASED: (0,) * 7,
    FREE: (0,) * 7,
    BACKUP: (0,) * 7,
    RESET: (0,) * 7,
    ABANDONED: (LESS, LESS, LESS, LESS, LESS, 0, 0),
}


def mine(status: int, *, expires_at: int = 2000) -> Lease:
    return Lease(7, status, 0, MAC, b"", 500, expires_at, 900, 900)


def told(status: int, seen_at: int, *, hardware: bytes = MAC) -> Told:
    lease = Lease(7, status, 0, hardware, b"", 500, 2500, seen_at, seen_at, potential_received=3000)
    return Told(lease, True, True, True)


@pytest.mark.parametrize("status", BEFORE)
def test_what_happened_before(status: int) -> None:
    found = tuple(judged(mine(status), told(each, 800), NOW, primary=True) for each in COLUMNS)
    assert found == BEFORE[status]


@pytest.mark.parametrize("status", AFTER)
def test_what_happened_since(status: int) -> None:
    found = tuple(judged(mine(status), told(each, 950), NOW, primary=True) for each in COLUMNS)
    assert found == AFTER[status]


def test_of_two_clients_the_primarys_keeps_the_address() -> None:
    other = told(ACTIVE, 950, hardware=OTHER)
    assert judged(mine(ACTIVE), other, NOW, primary=True) == FATAL_CONFLICT
    assert judged(mine(ACTIVE), other, NOW, primary=False) == 0


def test_the_same_machine_under_another_identifier_is_no_other_client() -> None:
    """The partner had given it its own address, and the primary took that for two clients."""
    update = told(ACTIVE, 950)
    other = update._replace(lease=update.lease._replace(client_id=b"another"))
    before = told(ACTIVE, 800)
    older = before._replace(lease=before.lease._replace(client_id=b"another"))
    for primary in (True, False):
        assert judged(mine(ACTIVE), other, NOW, primary=primary) == 0
        assert judged(mine(ACTIVE), older, NOW, primary=primary) == OUTDATED


def test_what_ended_for_one_client_ends_no_others_lease() -> None:
    assert judged(mine(ACTIVE), told(RELEASED, 950, hardware=OTHER), NOW, primary=True) == OUTDATED
    assert judged(mine(ACTIVE), told(RESET, 950, hardware=OTHER), NOW, primary=True) == OUTDATED


def test_a_lease_whose_time_is_over_counts_as_ended() -> None:
    over = mine(ACTIVE, expires_at=999)
    assert judged(over, told(ACTIVE, 950, hardware=OTHER), NOW, primary=True) == 0
    assert judged(over, told(EXPIRED, 800), NOW, primary=True) == 0


def test_a_client_without_a_time_did_not_speak_later() -> None:
    update = told(RELEASED, 950)._replace(has_seen=False)
    assert judged(mine(ACTIVE), update, NOW, primary=True) == OUTDATED


def test_what_is_not_enough_is_refused() -> None:
    assert lacks(told(ACTIVE, 950)) == 0
    assert lacks(told(ACTIVE, 950)._replace(has_expiry=False)) == MISSING_INFORMATION
    assert lacks(told(RELEASED, 950, hardware=b"")) == MISSING_INFORMATION
    assert lacks(told(BACKUP, 950, hardware=b"")) == 0
    assert lacks(told(0, 950)) == lacks(told(8, 950)) == MISSING_INFORMATION


def test_a_lease_that_both_extended_lasts_as_long_as_the_longer() -> None:
    ours = mine(ACTIVE, expires_at=2600)._replace(potential_sent=4000, potential_acked=3500, dns=b"dns")
    lease = taken(ours, told(ACTIVE, 950), NOW)
    assert (lease.expires_at, lease.seen_at, lease.dns) == (2600, 950, b"dns")
    assert lease[12:] == (4000, 3500, 3000)
    assert still_used_until(lease) == 4000


def test_another_clients_lease_brings_no_times_of_the_one_before() -> None:
    ours = mine(ACTIVE)._replace(potential_sent=4000, potential_acked=3500)
    assert taken(ours, told(ACTIVE, 950, hardware=OTHER), NOW)[12:] == (0, 0, 3000)


@pytest.mark.parametrize(
    ("status", "then"), [(EXPIRED, FREE), (RELEASED, FREE), (RESET, FREE), (BACKUP, BACKUP)]
)
def test_what_ended_is_free(status: int, then: int) -> None:
    lease = taken(mine(FREE), told(status, 950), NOW)
    assert (lease.status, lease.changed_at, lease.expires_at) == (then, 950, 1000)
    assert lease[12:] == (0, 0, 0)
