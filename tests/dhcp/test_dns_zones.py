"""Which zone a name is in, and when one that failed is asked again."""

from __future__ import annotations

import pytest

from holdfast.dhcp.dns_zones import LONGEST_WAIT_S, Zone, Zones

ADDRESS = 0x0A000007  # 10.0.0.7


@pytest.mark.parametrize(
    ("declared", "name", "zone"),
    [
        ((), "desk.office.example.test", "office.example.test"),
        (("example.test",), "desk.office.example.test", "example.test"),
        (("example.test", "Office.Example.Test."), "desk.office.example.test", "office.example.test"),
        (("ple.test",), "desk.example.test", "example.test"),
    ],
)
def test_the_longest_declared_zone_else_the_domain(declared: tuple[str, ...], name: str, zone: str) -> None:
    zones = Zones()
    zones.follow(declared)
    assert zones.of_name(name).name == zone


@pytest.mark.parametrize(
    ("declared", "bits", "zone"),
    [
        ((), 24, "0.0.10.in-addr.arpa"),
        ((), 26, "0.0.10.in-addr.arpa"),
        ((), 20, "0.0.10.in-addr.arpa"),
        ((), 16, "0.10.in-addr.arpa"),
        ((), 8, "10.in-addr.arpa"),
        (("10.in-addr.arpa",), 24, "10.in-addr.arpa"),
        (("10.in-addr.arpa", "0.0.10.in-addr.arpa"), 24, "0.0.10.in-addr.arpa"),
        (("0.in-addr.arpa",), 24, "0.0.10.in-addr.arpa"),
    ],
)
def test_the_zone_of_an_address(declared: tuple[str, ...], bits: int, zone: str) -> None:
    zones = Zones()
    zones.follow(declared)
    assert zones.of_address(ADDRESS, bits).name == zone


def test_waits_grow_and_one_update_asks() -> None:
    zone, now, waits = Zone("example.test"), 100.0, []
    for _ in range(12):
        assert zone.is_open(now)
        zone.in_flight_count += 1
        zone.failed(now, "no answer", 1460)
        zone.in_flight_count -= 1
        assert not zone.is_open(now)
        waits.append(zone.retry_at - now)
        now = zone.retry_at
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == LONGEST_WAIT_S
    zone.in_flight_count = 1
    assert not zone.is_open(now)  # one asks already
    assert zone.worked()
    assert zone.is_open(now)
    assert not zone.worked()


def test_what_fails_together_is_one_failure_and_said_once() -> None:
    zone = Zone("example.test")
    assert [zone.failed(0.0, "no answer", 1) for _ in range(3)] == [True, False, False]
    assert (zone.failure_count, zone.failing_since) == (1, 0.0)
    assert zone.failed(1.0, "REFUSED", 2)


def test_other_settings_ask_at_once() -> None:
    zones = Zones()
    zone = zones.of_name("a.example.test")
    zone.failed(0.0, "REFUSED", 9005)
    zone.parked.append(ADDRESS)
    assert zones.next_retry() == 1.0
    zones.follow(("test",))
    assert zones.next_retry() == 0.0
