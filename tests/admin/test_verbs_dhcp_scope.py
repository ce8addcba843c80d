"""Scopes come, change, are shown with their pool, and go; with the dhcp role and without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.admin.conftest import World
from tests.admin.dhcp_answers import DhcpRole, lease

from holdfast.directory.dhcp import Scope
from holdfast.directory.dhcp_options import OptionValue
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import parse_ip_range

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def _office(call: Call) -> None:
    call("dhcp enable")
    call(
        "dhcp scope add",
        name="office",
        subnet="192.0.2.0/24",
        pool="192.0.2.10-192.0.2.29",
        router=["192.0.2.1"],
        dns_server=["192.0.2.2", "192.0.2.3"],
        domain_name="example.test",
        exclusion=["192.0.2.20-192.0.2.24"],
    )


def test_scope_is_made_with_its_first_options(store: DirectoryStore) -> None:
    (scope,) = store.read().scopes
    assert scope == Scope(
        "office",
        parse_ip_range("192.0.2.0/24"),
        "demo",
        parse_ip_range("192.0.2.10-192.0.2.29"),
        exclusions=(parse_ip_range("192.0.2.20-192.0.2.24"),),
        options=(
            OptionValue(3, ("192.0.2.1",)),
            OptionValue(6, ("192.0.2.2", "192.0.2.3")),
            OptionValue(15, ("example.test",)),
        ),
    )


def test_scope_changes(call: Call, store: DirectoryStore) -> None:
    call("dhcp scope set", name="OFFICE", lease="12h", description="third floor")
    scope = store.read().scopes[0]
    assert (scope.name, scope.lease_s, scope.description) == ("office", 43200.0, "third floor")
    call("dhcp scope set", name="office", default=["lease"])
    assert store.read().scopes[0].lease_s == 691200.0
    with pytest.raises(Refusal, match="dangerous") as caught:
        call("dhcp scope set", name="office", pool="192.0.2.10-192.0.2.27")
    assert "no longer leases 192.0.2.28-192.0.2.29" in str(caught.value.problems[0])
    call("dhcp scope disable", name="office", yes=True)
    assert not store.read().scopes[0].enabled
    call("dhcp scope enable", name="office")
    assert store.read().scopes[0].enabled


def test_smaller_pool_tells_how_many_clients_have_its_addresses(call: Call, world: World) -> None:
    world.dhcp = DhcpRole(lease("192.0.2.10"), lease("192.0.2.28"), lease("192.0.2.29"))
    with pytest.raises(Refusal) as caught:
        call("dhcp scope set", name="office", pool="192.0.2.10-192.0.2.27")
    assert [each.text for each in caught.value.problems][1:] == ["2 clients have one of these addresses now"]
    assert call("dhcp scope set", name="office", lease="1h").dangers == []


def test_what_cannot_be_is_refused(call: Call) -> None:
    with pytest.raises(Refusal, match="there already; change it with: holdfast dhcp scope set Office"):
        call("dhcp scope add", name="Office", subnet="198.51.100.0/24")
    with pytest.raises(Refusal) as caught:
        call("dhcp scope add", name="other", subnet="192.0.2.128/25", pool="192.0.3.1-192.0.3.9")
    assert [each.text for each in caught.value.problems] == [
        "its pool 192.0.3.1-192.0.3.9 does not lie in its subnet 192.0.2.128/25",
        "share addresses: 192.0.2.0/24 and 192.0.2.128/25",
    ]
    with pytest.raises(Refusal, match='there is no scope "offices"; the nearest name is "office"'):
        call("dhcp scope show", name="offices")


def test_list_and_show_without_the_role_say_so(call: Call, world: World) -> None:
    (row,) = call("dhcp scope list").scopes
    assert (row.subnet, row.pool, row.address_count) == ("192.0.2.0/24", "192.0.2.10-192.0.2.29", 15)
    assert (row.leased, row.free) == (None, None)
    assert "how many addresses are leased is not known: the dhcp role is not running" in world.warnings[0]
    shown = call("dhcp scope show", name="office")
    assert not shown.live
    assert (shown.address_count, shown.free, shown.excluded) == (20, 15, 5)
    assert "which addresses are leased is not known" in world.warnings[0]


def test_list_and_show_with_the_role(call: Call, world: World) -> None:
    call("dhcp reservation add", address="192.0.2.12", mac="02:00:00:00:00:0c", name="door")
    call("dhcp reservation add", address="192.0.2.5", mac="02:00:00:00:00:05")
    world.dhcp = DhcpRole(
        lease("192.0.2.10"), lease("192.0.2.11", state="declined"), lease("192.0.2.13", state="expired")
    )
    (row,) = call("dhcp scope list").scopes
    assert (row.leased, row.free, row.reservation_count) == (1, 7, 2)
    shown = call("dhcp scope show", name="office")
    assert world.warnings == []
    assert shown.live
    assert (shown.leased, shown.declined, shown.reserved) == (1, 1, 1)
    assert (shown.reservation_count, shown.reserved_outside) == (2, 1)
    assert [(each.first, each.last, each.state, each.address_count) for each in shown.ranges] == [
        ("192.0.2.10", "192.0.2.10", "leased", 1),
        ("192.0.2.11", "192.0.2.11", "declined", 1),
        ("192.0.2.12", "192.0.2.12", "reserved", 1),
        ("192.0.2.13", "192.0.2.19", "free", 7),
        ("192.0.2.20", "192.0.2.24", "excluded", 5),
        ("192.0.2.25", "192.0.2.29", "free", 5),
    ]
    assert {each.name: each.value for each in shown.settings}["lease"] == "8d"


def test_show_tells_what_clients_are_told_and_from_where(call: Call) -> None:
    call("dhcp option set", option="ntp-servers", value=["192.0.2.4"], server="demo")
    call("dhcp option set", option="routers", value=["192.0.2.254"], server="demo")
    options = call("dhcp scope show", name="office").options
    assert [(each.level, each.code, each.text) for each in options] == [
        ("scope", 3, "192.0.2.1"),
        ("scope", 6, "192.0.2.2, 192.0.2.3"),
        ("scope", 15, "example.test"),
        ("server", 42, "192.0.2.4"),
    ]


def test_scope_goes_with_its_reservations_and_after_its_leases_were_told(
    call: Call, store: DirectoryStore, world: World
) -> None:
    call("dhcp reservation add", address="192.0.2.12", mac="02:00:00:00:00:0c")
    world.dhcp = DhcpRole(lease("192.0.2.10"), lease("192.0.2.11"))
    with pytest.raises(Refusal) as caught:
        call("dhcp scope remove", name="office")
    assert [each.text for each in caught.value.problems] == [
        'scope "office" is removed, and its 1 reservation with it: its clients get no answer when they '
        "renew, and lose their addresses when their leases end",
        '2 clients have a lease of scope "office" now',
    ]
    call("dhcp scope remove", name="office", yes=True)
    assert store.read().scopes == ()
    assert store.read().reservations == ()
