"""One scope of two halves."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.dhcp.migrate_split import Half, Whole, merge_halves
from holdfast.dhcp.moving import LeaseState, MovedLease
from holdfast.directory.dhcp import Reservation, Scope
from holdfast.directory.dhcp_options import OptionValue
from holdfast.directory.dhcp_ranges import leased_ranges
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange, parse_ip_range

WIDE = parse_ip_range("10.0.0.0/16")
MACS = [bytes((2, 0, 0, 0, 0, number)) for number in range(10)]


def scope(name: str, pool: str | None, *exclusions: str, **more: object) -> Scope:
    return Scope(
        name, WIDE, f"dhcp-{name}", None if pool is None else parse_ip_range(pool),
        exclusions=tuple(map(parse_ip_range, exclusions)), **more,  # type: ignore[arg-type]  # fields of a scope
    )  # fmt: skip


def half(one: Scope, *reservations: Reservation, leases: tuple[MovedLease, ...] = ()) -> Half:
    return Half(f'server "{one.server}"', one, reservations, {each.address: each for each in leases})


def lease(address: str, mac: bytes, state: LeaseState = LeaseState.ACTIVE) -> MovedLease:
    return MovedLease(int(IPv4Address(address)), state, 1, mac, b"", 0.0, 100.0)


def reserve(address: str, mac: bytes, one: str = "b", **more: str) -> Reservation:
    return Reservation(one, IPv4Address(address), mac.hex(":"), **more)


def test_the_usual_80_20_with_exclusions_for_the_other_half() -> None:
    # Both have the whole range, and exclude what the other leases; 10.0.1.5 is a printer's for both.
    source = scope("a", "10.0.0.1-10.0.4.255", "10.0.1.0-10.0.4.255")
    destination = scope("b", "10.0.0.1-10.0.4.255", "10.0.0.1-10.0.0.255", "10.0.1.5-10.0.1.9")
    whole = merge_halves(half(source), half(destination)).scope
    assert (whole.name, whole.server) == ("b", "dhcp-b")
    assert whole.pool == parse_ip_range("10.0.0.1-10.0.4.255")
    assert whole.exclusions == (parse_ip_range("10.0.1.5-10.0.1.9"),)


@pytest.mark.parametrize(
    ("source", "destination", "pool", "exclusions"),
    [
        # A range that the last octet alone would get wrong.
        ("10.0.9.200-10.0.10.20", "10.0.3.100-10.0.9.199", "10.0.3.100-10.0.10.20", ()),
        # What lies between the halves was leased by nobody.
        ("10.0.0.10-10.0.0.20", "10.0.0.30-10.0.0.40", "10.0.0.10-10.0.0.40", ("10.0.0.21-10.0.0.29",)),
        (None, "10.0.0.30-10.0.0.40", "10.0.0.30-10.0.0.40", ()),
        ("10.0.0.10-10.0.0.20", None, "10.0.0.10-10.0.0.20", ()),
        (None, None, None, ()),
    ],
)
def test_ranges_of_any_size(
    source: str | None, destination: str | None, pool: str | None, exclusions: tuple[str, ...]
) -> None:
    whole = merge_halves(half(scope("a", source)), half(scope("b", destination))).scope
    assert whole.pool == (None if pool is None else parse_ip_range(pool))
    assert whole.exclusions == tuple(map(parse_ip_range, exclusions))


parts = st.tuples(st.integers(1, 300), st.integers(0, 300)).map(
    lambda pair: IPRange(IPv4Address(0x0A000000 + pair[0]), IPv4Address(0x0A000000 + pair[0] + pair[1]))
)


@given(parts, st.lists(parts, max_size=3), parts, st.lists(parts, max_size=3))
def test_exactly_what_was_leased_is_leased(
    one: IPRange, one_holes: list[IPRange], other: IPRange, other_holes: list[IPRange]
) -> None:
    halves = [
        replace(scope(name, None), pool=pool, exclusions=tuple(holes))
        for name, pool, holes in (("a", one, one_holes), ("b", other, other_holes))
    ]
    whole = merge_halves(half(halves[0]), half(halves[1])).scope

    def addresses(*scopes: Scope) -> set[int]:
        return {
            number
            for each in scopes
            for part in leased_ranges(each)
            for number in range(int(part.first), int(part.last) + 1)
        }

    assert addresses(whole) == addresses(*halves)


def test_wanted_exclusions_take_the_place_of_all_others() -> None:
    source, destination = scope("a", "10.0.0.10-10.0.0.20"), scope("b", "10.0.0.30-10.0.0.40", "10.0.0.33")
    wanted = (parse_ip_range("10.0.0.15-10.0.0.16"),)
    whole = merge_halves(half(source), half(destination), exclusions=wanted).scope
    assert whole.exclusions == wanted
    with pytest.raises(
        Refusal, match=r"10\.0\.9\.9 does not lie in the merged pool 10\.0\.0\.10-10\.0\.0\.40"
    ):
        merge_halves(half(source), half(destination), exclusions=(parse_ip_range("10.0.9.9"),))


def test_halves_of_two_subnets_are_refused() -> None:
    other = replace(scope("b", None), subnet=parse_ip_range("10.1.0.0/16"))
    with pytest.raises(
        Refusal, match=r'server "dhcp-a" leases 10\.0\.0\.0/16 and server "dhcp-b" leases 10\.1'
    ):
        merge_halves(half(scope("a", None)), half(other))


def test_settings_of_the_destination_hold_and_differences_are_told() -> None:
    source = scope(
        "a", None, lease_s=60.0, relays=(IPv4Address("10.9.9.9"),),
        options=(OptionValue(3, ("10.0.0.1",)), OptionValue(6, ("10.0.0.2",)), OptionValue(15, ("a",))),
    )  # fmt: skip
    destination = scope("b", None, options=(OptionValue(3, ("10.0.0.1",)), OptionValue(6, ("10.0.0.3",))))
    whole = merge_halves(half(source), half(destination))
    assert whole.scope.lease_s == destination.lease_s
    assert whole.scope.options == (*destination.options, OptionValue(15, ("a",)))
    assert [(each.what, each.fate.value) for each in whole.notes] == [
        ('relays 10.9.9.9 of server "dhcp-a"', "left behind"),
        ('lease_s 60.0 of server "dhcp-a"', "left behind"),
        ('option 6 10.0.0.2 of server "dhcp-a"', "left behind"),
        ('option 15 of server "dhcp-a"', "changed"),
    ]


def merged(source: Half, destination: Half, prefer: str = "") -> Whole:
    return merge_halves(source, destination, prefer=prefer)


def test_reservations() -> None:
    a, b = scope("a", None), scope("b", None)
    theirs = (
        reserve("10.0.0.1", MACS[1], "a"),  # the same
        reserve("10.0.0.2", MACS[2], "a", description="there"),  # the same client, other words
        reserve("10.0.0.3", MACS[3], "a"),  # new
        reserve("10.0.0.4", MACS[4], "a", name="x"),  # another client's here
        reserve("10.0.0.5", MACS[5], "a"),  # the client has another address here
    )
    ours = (
        reserve("10.0.0.1", MACS[1]),
        reserve("10.0.0.2", MACS[2]),
        reserve("10.0.0.4", MACS[6]),
        reserve("10.0.0.7", MACS[5]),
    )
    whole = merged(half(a, *theirs), half(b, *ours))
    assert [(each.subject, each.text) for each in whole.conflicts] == [
        (
            "10.0.0.4",
            'is reserved for 02:00:00:00:00:04 ("x") at server "dhcp-a", '
            'for 02:00:00:00:00:06 at server "dhcp-b"',
        ),
        (
            "10.0.0.5",
            'is reserved for 02:00:00:00:00:05 at server "dhcp-a", '
            'who has 10.0.0.7 reserved at server "dhcp-b"',
        ),
    ]
    assert [each.what for each in whole.notes] == ['reservation of 10.0.0.2 at server "dhcp-a"']
    kept = merged(half(a, *theirs), half(b, *ours), "destination")
    assert kept.conflicts == []
    assert kept.reservations == tuple(
        sorted((*ours, reserve("10.0.0.3", MACS[3])), key=lambda each: each.address)
    )
    moved = merged(half(a, *theirs), half(b, *ours), "source")
    assert {str(each.address): each.mac[-1] for each in moved.reservations} == {
        "10.0.0.1": "1", "10.0.0.2": "2", "10.0.0.3": "3", "10.0.0.4": "4", "10.0.0.5": "5",
    }  # fmt: skip
    assert {each.scope for each in moved.reservations} == {"b"}


def test_leases() -> None:
    theirs = (
        lease("10.0.0.1", MACS[1]),  # new
        lease("10.0.0.2", MACS[2]),  # leased to another here
        lease("10.0.0.3", MACS[3]),  # leased to the same here
        lease("10.0.0.4", MACS[4]),  # reserved for another
        lease("10.0.0.5", MACS[5], LeaseState.DECLINED),
        lease("10.0.0.6", MACS[6], LeaseState.REMEMBERED),  # known here
        lease("10.9.0.1", MACS[7]),
    )
    ours = (
        lease("10.0.0.2", MACS[8]),
        lease("10.0.0.3", MACS[3]),
        lease("10.0.0.6", MACS[9], LeaseState.REMEMBERED),
    )
    source = half(scope("a", None), leases=theirs)
    destination = half(scope("b", None), reserve("10.0.0.4", MACS[9], name="tv"), leases=ours)
    source = replace(
        source, leases=dict(source.leases) | {1: lease("192.0.2.1", MACS[0])._replace(address=1)}
    )
    whole = merged(source, destination)
    assert [(each.subject, each.text) for each in whole.conflicts] == [
        (
            "10.0.0.2",
            'is leased to 02:00:00:00:00:02 by server "dhcp-a", to 02:00:00:00:00:08 by server "dhcp-b"',
        ),
        (
            "10.0.0.4",
            'is leased to 02:00:00:00:00:04 by server "dhcp-a", and reserved for 02:00:00:00:00:09 ("tv")',
        ),
    ]
    assert [str(IPv4Address(each.address)) for each in whole.leases] == ["10.0.0.1", "10.0.0.3", "10.0.0.5"]
    assert [each.address & 255 for each in merged(source, destination, "source").leases] == [1, 2, 3, 5]
    # A server that is at work cannot be made to forget a lease by the way.
    serving = merged(source, replace(destination, serves=True), "source")
    assert [each.subject for each in serving.conflicts] == ["10.0.0.2"]
    assert "holdfast dhcp lease remove 10.0.0.2" in serving.conflicts[0].advice
    assert [each.address & 255 for each in merged(source, destination, "destination").leases] == [1, 3, 5]
