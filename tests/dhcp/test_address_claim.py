"""One address on the wire: asked for, announced, defended, lost; at each phase."""

from __future__ import annotations

import random
from ipaddress import IPv4Address

import pytest

from dhcp.client_world import MAC, RIVAL, Level
from holdfast.dhcp.address_claim import LEASED, UNASKED, UNGRANTED, AddressClaim, Pace, Phase
from holdfast.dhcp.client_outputs import Announce, AskArp
from holdfast.wire.frames import ARP_REPLY, ARP_REQUEST, NO_MAC, Arp

ADDRESS = IPv4Address("10.0.0.9")
USED = Arp(ARP_REPLY, RIVAL, ADDRESS.packed, MAC, bytes(4))
ASKED = Arp(ARP_REQUEST, RIVAL, bytes(4), NO_MAC, ADDRESS.packed)


def asked_at(pace: Pace, luck: random.Random) -> tuple[list[float], AddressClaim]:
    """When it asks, until the address is free."""
    claim = AddressClaim(ADDRESS, MAC, pace, 0.0, luck)
    moments = []
    while claim.phase is Phase.ASKING:
        now = claim.wake_at
        if claim.due(now) == [AskArp(ADDRESS)]:
            moments.append(now)
    return [*moments, now], claim


@pytest.mark.parametrize(
    ("pace", "moments"),
    [(LEASED, [0, 0.5, 1.0]), (UNGRANTED, [0.5, 2.0, 3.5, 5.5]), (UNASKED, [0])],
    ids=["leased", "nobody granted it", "unasked"],
)
def test_when_it_is_asked_for(pace: Pace, moments: list[float]) -> None:
    assert asked_at(pace, Level())[0] == moments


def test_the_times_of_the_standard() -> None:
    for seed in range(200):
        first, second, third, free = asked_at(UNGRANTED, random.Random(seed))[0]
        assert 0 <= first <= 1
        assert 1 <= second - first <= 2
        assert 1 <= third - second <= 2
        assert free - third == pytest.approx(2)


@pytest.mark.parametrize(
    ("arp", "lost"),
    [
        (USED, True),
        (USED._replace(operation=ARP_REQUEST), True),
        (ASKED, True),
        (ASKED._replace(sender_mac=MAC), False),
        (ASKED._replace(sender=b"\x0a\0\0\x08"), False),  # somebody else with an address wants to talk to it
        (USED._replace(sender=b"\x0a\0\0\x08"), False),
    ],
)
def test_what_ends_the_asking(arp: Arp, *, lost: bool) -> None:
    claim = AddressClaim(ADDRESS, MAC, LEASED, 0.0, Level())
    claim.due(0.0)
    assert claim.heard(0.1, arp) == []
    assert (claim.phase is Phase.LOST) == lost
    assert (claim.rival == RIVAL) == lost


def test_free_and_not_used_yet_is_not_defended() -> None:
    claim = asked_at(LEASED, Level())[1]
    assert claim.due(1e9) == []
    assert claim.heard(2.0, ASKED) == []
    assert claim.phase is Phase.FREE
    assert claim.heard(2.0, USED) == []
    assert claim.phase is Phase.LOST


def test_held_is_announced_twice_and_defended_once_in_ten_seconds() -> None:
    claim = asked_at(LEASED, Level())[1]
    announce = [Announce(ADDRESS)]
    assert claim.hold(1.0) == announce
    assert claim.hold(1.0) == []
    assert claim.due(2.9) == []
    assert claim.due(3.0) == announce
    assert claim.due(1e9) == []
    assert claim.heard(20.0, USED) == announce
    assert claim.heard(30.0, USED) == announce
    assert claim.heard(39.9, USED) == []
    assert claim.phase is Phase.LOST
    assert claim.heard(40.0, USED) == []
    assert claim.due(1e9) == []
