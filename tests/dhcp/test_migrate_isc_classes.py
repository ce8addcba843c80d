"""Classes of an ISC dhcpd configuration."""

from __future__ import annotations

import pytest

from dhcp.moving_samples import notes_of
from dhcp.test_migrate_isc import arrive

POOL = b'subnet 192.0.2.0 netmask 255.255.255.0 { pool { range 192.0.2.9; allow members of "a"; } }'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'class "a" { filename "x"; }', "it says nothing of its members"),
        (b'class "a" { match hardware; filename "x"; }', "it has no members"),
        (b'class "a" { match option host-name; filename "x"; }', '"match option host-name" cannot be said'),
        (
            b'class "a" { spawn with option agent.circuit-id; filename "x"; }',
            "it makes a class for each client",
        ),
        (b'class "a" { match hardware; filename "x"; } subclass "a" zz;', "subclass on line 1 is not known"),
        (b'class "a" { match hardware; filename "x"; } subclass "a";', "subclass on line 1 has no value"),
    ],
)
def test_a_class_whose_members_are_not_known_gives_nothing(text: bytes, reason: str) -> None:
    arrival = arrive(text + POOL)
    assert arrival.server.policies == ()
    assert reason in arrival.notes[0].reason + arrival.notes[-1].reason
    assert any("everybody may get these addresses" in each.reason for each in arrival.notes)
    assert arrival.scopes[0].policies == ()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b'subclass "a" 1:2;', 'subclass "a" 1:2'),
        (b'class "a" { match hardware; } class "a" { }', 'class "a"'),
        (b'class "a" { match hardware; } subclass "a" 1:2 { filename "x"; }', 'subclass "a" 1:2'),
        (POOL, "pool"),
    ],
)
def test_what_does_not_fit_is_noted(text: bytes, what: str) -> None:
    assert what in [note[2] for note in notes_of(arrive(text))]


def test_subclasses_of_texts() -> None:
    text = (
        b'class "a" { match option vendor-class-identifier; filename "x"; }'
        b'subclass "a" "one"; subclass "a" "two";'
    )
    arrival = arrive(text)
    assert arrival.server.policies[0].conditions[0].values == ("one", "two")
    assert arrival.notes == []
