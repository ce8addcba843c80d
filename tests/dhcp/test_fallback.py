"""Addresses for want of a lease: which, in which order, how often. The whole paths: test_client.py."""

from __future__ import annotations

import math
from ipaddress import IPv4Address, IPv4Network

from dhcp.client_world import MAC, RIVAL, Level
from holdfast.dhcp.client_outputs import AskArp, DropAddress, Output, UseAddress
from holdfast.dhcp.fallback import Alternate, Fallback, link_local_address
from holdfast.wire.frames import ARP_REPLY, Arp


def used(address: IPv4Address) -> Arp:
    return Arp(ARP_REPLY, RIVAL, address.packed, MAC, bytes(4))


def run(fallback: Fallback, until: float) -> list[Output]:
    out: list[Output] = []
    while fallback.wake_at <= until:
        out += fallback.due(fallback.wake_at)
    return out


def asked(outputs: list[Output]) -> list[IPv4Address]:
    return [each.address for each in outputs if isinstance(each, AskArp)]


def test_link_local_addresses_are_those_of_the_standard_and_of_the_machine() -> None:
    whole = IPv4Network("169.254.0.0/16")
    found = [link_local_address(MAC, number) for number in range(20_000)]
    assert all(each in whole and 0 < each.packed[2] < 255 for each in found)
    assert len(set(found)) > 15_000, "they are spread over all that there are"
    assert link_local_address(MAC, 0) == found[0] != link_local_address(RIVAL, 0)


def test_after_ten_that_were_taken_one_a_minute() -> None:
    fallback = Fallback(MAC, Level(), None, link_local=True)
    fallback.begin(0.0)
    now = 0.0
    moments = []
    for _ in range(13):
        before = now
        now = fallback.wake_at
        (address,) = asked(fallback.due(now)) or asked(fallback.due(fallback.wake_at))
        moments.append(now - before)
        fallback.heard(now, used(address))
    assert max(moments[:11]) <= 1
    assert min(moments[11:]) >= 60


def test_begun_twice_it_goes_on() -> None:
    fallback = Fallback(MAC, Level(), None, link_local=True)
    fallback.begin(0.0)
    assert fallback.begin(1.0) == []
    use = next(each for each in run(fallback, 10.0) if isinstance(each, UseAddress))
    assert use.address == fallback.address == link_local_address(MAC, 0)
    assert fallback.begin(300.0) == []


def test_neither_alternate_nor_link_local() -> None:
    fallback = Fallback(MAC, Level(), None, link_local=False)
    assert fallback.begin(0.0) == []
    assert not fallback.is_on
    assert (fallback.wake_at, fallback.address, fallback.end()) == (math.inf, None, [])


def test_an_alternate_address_that_is_taken_is_tried_again_when_it_begins_again() -> None:
    alternate = Alternate(IPv4Address("192.0.2.7"), 24)
    fallback = Fallback(MAC, Level(), alternate, link_local=False)
    for begins_at in (0.0, 300.0):
        fallback.begin(begins_at)
        assert asked(fallback.due(fallback.wake_at)) == [alternate.address]
        fallback.heard(begins_at + 1, used(alternate.address))
        assert not fallback.is_on


def test_its_end_drops_what_was_used_and_nothing_else() -> None:
    fallback = Fallback(MAC, Level(), None, link_local=True)
    fallback.begin(0.0)
    fallback.due(fallback.wake_at)
    assert fallback.end() == [], "it was asked for, and not yet used"
    fallback.begin(50.0)
    run(fallback, 60.0)
    assert fallback.end()[0] == DropAddress(link_local_address(MAC, 0))
    assert fallback.end() == []
