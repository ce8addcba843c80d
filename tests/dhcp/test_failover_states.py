"""The tables of a partner's states against the draft's, as spec/dhcp.md section 2.8 has them."""

from __future__ import annotations

import pytest

from holdfast.dhcp.failover_states import DEAF, HEARD, SERVES, Serves, State, failed, heard, resumed

NORMAL, INTERRUPTED, DOWN = State.NORMAL, State.COMMUNICATIONS_INTERRUPTED, State.PARTNER_DOWN
CONFLICT, RESOLUTION, RESOLVED = (
    State.POTENTIAL_CONFLICT,
    State.RESOLUTION_INTERRUPTED,
    State.CONFLICT_DONE,
)
RECOVER, WAIT, DONE, PAUSED, SHUTDOWN = (
    State.RECOVER,
    State.RECOVER_WAIT,
    State.RECOVER_DONE,
    State.PAUSED,
    State.SHUTDOWN,
)
PARTNERS = (NORMAL, INTERRUPTED, DOWN, CONFLICT, RECOVER, PAUSED, SHUTDOWN, DONE, RESOLUTION, RESOLVED, WAIT)
# Draft sections 9.4.3 to 9.12.3; what stands here in place of a dash is our repair of the draft.
DRAFT = {
    # CONFLICT-DONE: a primary that has not heard yet that we are NORMAL again; ISC dhcpd took another
    # POTENTIAL-CONFLICT for an error of ours and shut down.
    NORMAL: (
        NORMAL, NORMAL, CONFLICT, CONFLICT, INTERRUPTED, INTERRUPTED,
        DOWN, NORMAL, CONFLICT, NORMAL, INTERRUPTED,
    ),
    INTERRUPTED: (
        NORMAL, NORMAL, CONFLICT, CONFLICT, INTERRUPTED, INTERRUPTED,
        DOWN, NORMAL, CONFLICT, CONFLICT, INTERRUPTED,
    ),
    DOWN: (
        CONFLICT, CONFLICT, CONFLICT, CONFLICT, DOWN, DOWN,
        DOWN, NORMAL, CONFLICT, CONFLICT, DOWN,
    ),
    RECOVER: (
        RECOVER, RECOVER, RECOVER, CONFLICT, RECOVER, RECOVER,
        RECOVER, RECOVER, CONFLICT, CONFLICT, RECOVER,
    ),
    WAIT: (WAIT,) * 11,
    DONE: (
        NORMAL, DONE, DONE, DONE, DONE, DONE,
        DONE, NORMAL, DONE, DONE, DONE,
    ),
    CONFLICT: (
        CONFLICT, CONFLICT, CONFLICT, CONFLICT, INTERRUPTED, CONFLICT,
        CONFLICT, NORMAL, CONFLICT, CONFLICT, INTERRUPTED,
    ),
    RESOLUTION: (
        CONFLICT, CONFLICT, CONFLICT, CONFLICT, INTERRUPTED, RESOLUTION,
        RESOLUTION, NORMAL, CONFLICT, CONFLICT, INTERRUPTED,
    ),
    RESOLVED: (
        NORMAL, RESOLVED, CONFLICT, RESOLVED, INTERRUPTED, RESOLVED,
        RESOLVED, NORMAL, RESOLVED, RESOLVED, INTERRUPTED,
    ),
    PAUSED: (PAUSED,) * 11,
    SHUTDOWN: (SHUTDOWN,) * 11,
}  # fmt: skip


@pytest.mark.parametrize("mine", DRAFT, ids=lambda each: each.text)
def test_what_the_partner_says_leads_where_the_draft_says(mine: State) -> None:
    found = [heard(mine, partner, database_is_new=False) for partner in PARTNERS]
    assert [each.text for each in found] == [each.text for each in DRAFT[mine]]


def test_communications_that_fail() -> None:
    moved = {each: failed(each) for each in State if failed(each) is not each}
    assert moved == {NORMAL: INTERRUPTED, CONFLICT: RESOLUTION}


def test_a_new_database_never_conflicts() -> None:
    assert {heard(RECOVER, partner, database_is_new=True) for partner in PARTNERS} == {RECOVER}


def test_whom_a_state_serves() -> None:
    assert {each.text for each, serves in SERVES.items() if serves is Serves.NOBODY} == {
        "STARTUP", "POTENTIAL-CONFLICT", "RECOVER", "RECOVER-WAIT", "PAUSED", "SHUTDOWN",
    }  # fmt: skip
    assert SERVES[NORMAL] is Serves.BALANCED
    assert SERVES[DONE] is Serves.EXTENSIONS
    assert set(SERVES) == set(State)


@pytest.mark.parametrize(
    ("mine", "partner", "since", "expected"),
    [
        (NORMAL, NORMAL, 50, INTERRUPTED),
        (INTERRUPTED, INTERRUPTED, 50, INTERRUPTED),
        (NORMAL, DOWN, 150, RECOVER),  # it took over after we were gone
        (NORMAL, DOWN, 50, CONFLICT),  # and here while we still served
        (INTERRUPTED, DOWN, 150, RECOVER),
        (CONFLICT, NORMAL, 50, RESOLUTION),
        (RECOVER, DOWN, 150, RECOVER),
        (DOWN, NORMAL, 150, DOWN),
        (DONE, NORMAL, 150, DONE),
    ],
)
def test_a_start_looks_since_when_the_partner_is_alone(
    mine: State, partner: State, since: float, expected: State
) -> None:
    assert resumed(mine, partner, since, 100) is expected


def test_every_way_of_two_partners_ends_in_normal_when_they_keep_speaking() -> None:
    """Whatever two states meet, they come to rest where somebody acts or all is well."""
    for one in DRAFT:
        for two in DRAFT:
            states = [one, two]
            for _ in range(10):
                states[0] = heard(states[0], states[1], database_is_new=False)
                states[1] = heard(states[1], states[0], database_is_new=False)
            rests = {NORMAL, DOWN, INTERRUPTED}
            acts = {RECOVER, WAIT, DONE, CONFLICT, RESOLVED, PAUSED, SHUTDOWN, RESOLUTION}
            assert set(states) == {NORMAL} or set(states) & acts, (one, two, states)
            if not set(states) & acts:
                assert set(states) <= rests


def test_a_partner_that_rests_or_has_lost_what_it_knew_takes_no_updates_unasked() -> None:
    assert set(DEAF) == {State.STARTUP, PAUSED, SHUTDOWN, State.RECOVER}
    assert all(State.STARTUP not in row for row in HEARD.values())
