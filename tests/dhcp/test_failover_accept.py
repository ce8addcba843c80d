"""Which update is taken: the draft's table (figure 7.1.3-1), cell by cell."""

from __future__ import annotations

import pytest

from holdfast.dhcp.failover_accept import SAME_MOMENT_S, Told, judged, lacks, still_used_until, taken
from holdfast.dhcp.lease import ABANDONED, ACTIVE, BACKUP, EXPIRED, FREE, RELEASED, RESET, UNTOLD, Lease
from holdfast.wire.failover_messages import FATAL_CONFLICT, LESS_CRITICAL, MISSING_INFORMATION, OUTDATED

NOW = 1000.0
MAC, OTHER = b"\x01\x02\x00\x00\x00\x00\x01", b"\x01\x02\x00\x00\x00\x00\x02"
COLUMNS = (ACTIVE, EXPIRED, RELEASED, FREE, BACKUP, RESET, ABANDONED)
OLD, LESS = OUTDATED, LESS_CRITICAL
# What is said of a client that spoke before, and what of one that spoke after it last spoke with us.
BEFORE = {
    ACTIVE: (0, OLD, OLD, OLD, OLD, OLD, OLD),
    EXPIRED: (0, 0, 0, 0, 0, 0, 0),  # what only time ended here goes on there
    RELEASED: (OLD, OLD, 0, 0, 0, 0, 0),
    FREE: (0,) * 7,
    BACKUP: (0,) * 7,
    RESET: (OLD, 0, 0, 0, 0, 0, 0),
    ABANDONED: (LESS, LESS, LESS, LESS, LESS, LESS, 0),
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


def test_what_two_did_for_one_client_in_one_moment_has_no_order() -> None:
    """A client gave its address back, and had it of the other one at once, a second behind by its clock."""
    ours = mine(ACTIVE)._replace(flags=UNTOLD)
    for seen_at, reason in ((900, OUTDATED), (900 + SAME_MOMENT_S, OUTDATED), (901 + SAME_MOMENT_S, 0)):
        assert judged(ours, told(RELEASED, seen_at), NOW, primary=True) == reason
    for seen_at, reason in ((900, 0), (901 - SAME_MOMENT_S, 0), (900 - SAME_MOMENT_S, OUTDATED)):
        assert judged(mine(RELEASED), told(ACTIVE, seen_at), NOW, primary=True) == reason
        # It knew of our lease when it said this.
        assert judged(mine(ACTIVE), told(RELEASED, seen_at), NOW, primary=True) == reason


def test_what_only_time_ended_goes_on_for_the_same_client_alone() -> None:
    assert judged(mine(EXPIRED), told(ACTIVE, 800), NOW, primary=True) == 0
    assert judged(mine(EXPIRED), told(ACTIVE, 800, hardware=OTHER), NOW, primary=True) == OUTDATED
    assert judged(mine(EXPIRED), told(ACTIVE, 800), 2600.0, primary=True) == OUTDATED


@pytest.mark.parametrize("status", [EXPIRED, RELEASED, RESET])
def test_that_an_address_was_free_before_it_was_leased_is_no_news(status: int) -> None:
    """It was said again, crossed the lease and its end, and made ours what the partner knew to be leased."""
    ours = mine(status)._replace(started_at=850, flags=UNTOLD)
    for free in (FREE, BACKUP):
        assert judged(ours, told(free, 840), NOW, primary=False) == OUTDATED
        assert judged(ours, told(free, 890), NOW, primary=False) == 0
        assert judged(ours._replace(flags=0), told(free, 840), NOW, primary=False) == 0


def test_the_end_of_an_abandonment_ends_no_lease() -> None:
    """The address was given up here and leased there; the client that used it lost it."""
    assert judged(mine(ACTIVE), told(RESET, 950, hardware=b""), NOW, primary=True) == OUTDATED
    assert judged(mine(ACTIVE), told(ABANDONED, 950, hardware=b""), NOW, primary=True) == 0
    nobodys = mine(RESET)._replace(hardware=b"")
    assert judged(nobodys, told(ACTIVE, 800), NOW, primary=True) == 0
    assert judged(nobodys, told(ACTIVE, 800), 2600.0, primary=True) == OUTDATED


def test_the_end_of_an_earlier_abandonment_does_not_end_this_one() -> None:
    assert judged(mine(ABANDONED), told(RESET, 899), NOW, primary=True) == LESS_CRITICAL
    assert judged(mine(ABANDONED), told(RESET, 900), NOW, primary=True) == 0


def test_a_machine_gives_back_what_it_has_under_another_identifier() -> None:
    """The partner knew of one identifier and we of the other: neither took the other's word."""
    update = told(RELEASED, 950)
    other = update._replace(lease=update.lease._replace(client_id=b"another"))
    assert judged(mine(ACTIVE), other, NOW, primary=True) == 0
