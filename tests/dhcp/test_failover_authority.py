"""Who leases what in a shared scope, and for how long."""

from __future__ import annotations

import pytest

from holdfast.dhcp.balance import bucket_of, buckets_of
from holdfast.dhcp.failover_authority import PairAuthority
from holdfast.dhcp.failover_states import State
from holdfast.dhcp.lease import ACTIVE, BACKUP, FREE, NEVER, UNTOLD, Lease
from holdfast.directory.dhcp import UNLIMITED_LEASE_S

NOW = 10_000.0
OURS = next(bytes((each,)) for each in range(256) if bucket_of(bytes((each,))) < 128)
THEIRS = next(bytes((each,)) for each in range(256) if bucket_of(bytes((each,))) >= 128)


def made(state: State, *, primary: bool = True, mclt_s: int = 60) -> PairAuthority:
    authority = PairAuthority(lambda now, leases: None, primary=primary)
    authority.state, authority.mclt_s, authority.buckets = state, mclt_s, buckets_of(128)
    return authority


def lease(**more: int) -> Lease:
    return Lease(7, ACTIVE, 0, b"\x01mac", b"", 0, 0, 0, 0)._replace(**more)  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize("state", State, ids=lambda each: each.text)
def test_who_is_answered_in_which_state(state: State) -> None:
    authority = made(state)
    everybody = {
        State.COMMUNICATIONS_INTERRUPTED, State.PARTNER_DOWN, State.RESOLUTION_INTERRUPTED,
        State.CONFLICT_DONE,
    }  # fmt: skip
    assert authority.answers(NOW, OURS, 0) == (state in everybody | {State.NORMAL})
    assert authority.answers(NOW, THEIRS, 0) == (state in everybody)
    assert authority.leases(NOW) == (state in everybody | {State.NORMAL})
    assert authority.extends(NOW) == (state in everybody | {State.NORMAL, State.RECOVER_DONE})


def test_the_partners_client_is_answered_once_it_has_to_ask_again() -> None:
    authority = made(State.NORMAL)
    assert not authority.answers(NOW, THEIRS, 0)
    assert not authority.answers(NOW + 0.5, THEIRS, 0)
    assert authority.answers(NOW + 1.5, THEIRS, 0)
    assert not made(State.NORMAL).answers(NOW, THEIRS, 2)
    assert made(State.NORMAL).answers(NOW, THEIRS, 3)
    assert made(State.NORMAL, primary=False).answers(NOW, THEIRS, 0)


def test_a_lease_ends_at_most_mclt_after_what_the_partner_knows() -> None:
    """The row of spec/dhcp.md section 2.7: mclt 60, lease 120 gives 60 s, then 120 s, told until +180 s."""
    authority = made(State.NORMAL)
    assert authority.lease_s(NOW, None, 120) == 60
    first = authority.granted(NOW, lease(expires_at=10_060), 120)
    assert 10_150 <= first.potential_sent <= 10_152
    known = first._replace(potential_acked=first.potential_sent)
    assert authority.lease_s(NOW + 30, known, 120) == 120
    second = authority.granted(NOW + 30, known._replace(expires_at=10_150), 120)
    assert 10_210 <= second.potential_sent <= 10_212
    assert authority.lease_s(NOW, lease(potential_received=10_030), 3600) == 90
    assert authority.lease_s(NOW, lease(status=FREE, potential_received=10_030), 3600) == 60


def test_nobody_else_extends_a_lease_of_a_partner_that_is_down() -> None:
    authority = made(State.PARTNER_DOWN)
    assert authority.lease_s(NOW, None, 86_400) == 86_400
    assert authority.granted(NOW, lease(expires_at=96_400), 86_400).potential_sent == 96_400


def test_a_lease_without_end_is_told_as_one() -> None:
    authority = made(State.NORMAL)
    assert authority.lease_s(NOW, None, UNLIMITED_LEASE_S) == 60
    told = authority.granted(NOW, lease(expires_at=10_060), UNLIMITED_LEASE_S)
    assert told.potential_sent == NEVER
    assert (
        authority.lease_s(NOW, told._replace(potential_acked=NEVER), UNLIMITED_LEASE_S) == UNLIMITED_LEASE_S
    )


def test_free_addresses_have_one_owner() -> None:
    primary, secondary = made(State.NORMAL), made(State.NORMAL, primary=False)
    for free in (None, lease(status=FREE), lease(status=BACKUP)):
        assert primary.is_free(free) != secondary.is_free(free)
    assert not primary.is_free(lease())
    assert primary.changed(lease()).flags == UNTOLD
