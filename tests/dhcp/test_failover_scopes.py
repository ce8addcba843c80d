"""Leases of a scope that left a relationship, as with one server alone; the rest is in tests/node."""

from __future__ import annotations

import pytest

from dhcp.partners import FIRST, Pair
from holdfast.dhcp.failover_record import VERSION, Departed
from holdfast.dhcp.failover_scopes import Departures
from holdfast.dhcp.lease import ABANDONED, ACTIVE, BACKUP, EXPIRED, FREE, RELEASED, RESET, UNTOLD, Lease

SINCE, MCLT_S = 10_000, 60
NOW = SINCE + MCLT_S + 1
CLIENT = b"\x01client"
BEFORE, AFTER = SINCE - 50, SINCE + 5
LATER = NOW + 100


def lease(status: int, *, expires_at: int = BEFORE, seen_at: int = BEFORE, potential: int = 0) -> Lease:
    return Lease(
        FIRST, status, UNTOLD, CLIENT, b"", BEFORE, expires_at, BEFORE, seen_at,
        potential_sent=potential,
    )  # fmt: skip


CASES = {
    "the partner's free address": (lease(BACKUP), (FREE, BEFORE)),
    "ended, and nobody can have it": (lease(EXPIRED), (FREE, BEFORE)),
    "ended, and the partner may have extended it": (
        lease(EXPIRED, potential=LATER),
        (ACTIVE, LATER + MCLT_S),
    ),
    "given back before": (lease(RELEASED, potential=LATER), (ACTIVE, LATER + MCLT_S)),
    "taken back before": (lease(RESET, potential=LATER), (ACTIVE, LATER + MCLT_S)),
    "ended, and its client was here since": (
        lease(EXPIRED, seen_at=AFTER, potential=LATER),
        (FREE, BEFORE),
    ),
    "leased, and the partner may have extended it": (
        lease(ACTIVE, expires_at=NOW + 5, potential=LATER),
        (ACTIVE, LATER + MCLT_S),
    ),
    "leased, and its client was here since": (
        lease(ACTIVE, expires_at=NOW + 5, seen_at=AFTER, potential=LATER),
        (ACTIVE, NOW + 5),
    ),
}


def departures(known: Lease) -> tuple[Departures, Pair]:
    pair = Pair()
    pair.first.start()
    assert pair.first.node is not None
    desk = pair.first.node.server
    desk.table.put(known)
    return Departures(desk, [Departed(FIRST - 10, FIRST + 20, VERSION, SINCE, MCLT_S, 1)]), pair


@pytest.mark.parametrize("name", CASES)
def test_a_lease_after_mclt(name: str) -> None:
    known, (status, expires_at) = CASES[name]
    left, pair = departures(known)
    assert pair.first.node is not None
    desk = pair.first.node.server
    left.timer(NOW - 1)
    assert desk.table.leases[FIRST] == known
    left.timer(NOW)
    found = desk.table.leases[FIRST]
    assert (found.status, found.expires_at) == (status, expires_at)
    assert (found.flags & UNTOLD, found.potential_sent) == (0, 0)
    assert not left.is_dirty
    left.timer(NOW)
    assert left.is_dirty  # nothing is left to be done


@pytest.mark.parametrize("status", [FREE, ABANDONED])
def test_what_is_as_with_one_server_stays(status: int) -> None:
    left, _ = departures(lease(status))
    left.timer(NOW)
    assert [each.since for each in left.changed.values()] == [0]
    assert left.committed()


def test_a_partner_that_still_leases_there_begins_the_time_anew() -> None:
    left, _ = departures(lease(BACKUP))
    left.heard(NOW - 5, FIRST + 1000, primary=True)
    left.heard(NOW - 5, FIRST, primary=False)  # in another relationship: it is a secondary that waits for us
    assert left.deadline() == NOW
    left.heard(NOW - 5, FIRST, primary=True)
    assert left.deadline() == NOW - 5 + MCLT_S + 1
    assert not left.committed()
