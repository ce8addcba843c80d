"""Parts of a pool are excluded, joined, and leased again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.admin.conftest import World
from tests.admin.dhcp_answers import DhcpRole, lease

from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def _office(call: Call) -> None:
    call("dhcp enable")
    call("dhcp scope add", name="office", subnet="192.0.2.0/24", pool="192.0.2.10-192.0.2.200")


def _listed(call: Call) -> list[tuple[str, str, int]]:
    return [(each.first, each.last, each.address_count) for each in call("dhcp exclusion list").exclusions]


def test_what_overlaps_becomes_one(call: Call) -> None:
    call("dhcp exclusion add", range="192.0.2.100-192.0.2.109", yes=True)
    call("dhcp exclusion add", range="192.0.2.20", yes=True)
    call("dhcp exclusion add", range="192.0.2.105-192.0.2.119", scope="OFFICE", yes=True)
    assert _listed(call) == [("192.0.2.20", "192.0.2.20", 1), ("192.0.2.100", "192.0.2.119", 20)]
    assert call("dhcp exclusion list", scope="office").exclusions[0].scope == "office"


def test_exclusion_tells_that_clients_lose_addresses(call: Call) -> None:
    with pytest.raises(Refusal) as caught:
        call("dhcp exclusion add", range="192.0.2.100-192.0.2.109")
    assert "no longer leases 192.0.2.100-192.0.2.109" in str(caught.value.problems[0])


def test_exclusion_tells_how_many_clients_have_its_addresses(call: Call, world: World) -> None:
    world.dhcp = DhcpRole(lease("192.0.2.100"), lease("192.0.2.101"), lease("192.0.2.102", state="offered"))
    with pytest.raises(Refusal) as caught:
        call("dhcp exclusion add", range="192.0.2.101-192.0.2.109")
    assert [each.text for each in caught.value.problems][1:] == ["1 client has one of these addresses now"]


def test_part_of_an_exclusion_is_leased_again(call: Call) -> None:
    call("dhcp exclusion add", range="192.0.2.100-192.0.2.109", yes=True)
    call("dhcp exclusion remove", range="192.0.2.103-192.0.2.104")
    assert _listed(call) == [("192.0.2.100", "192.0.2.102", 3), ("192.0.2.105", "192.0.2.109", 5)]
    with pytest.raises(Refusal, match=r'192.0.2.103-192.0.2.104 is not excluded in scope "office"'):
        call("dhcp exclusion remove", range="192.0.2.102-192.0.2.105")
    call("dhcp exclusion remove", range="192.0.2.100-192.0.2.102")
    call("dhcp exclusion remove", range="192.0.2.105-192.0.2.109")
    assert _listed(call) == []


def test_what_is_in_no_scope_or_outside_the_pool_is_refused(call: Call) -> None:
    with pytest.raises(Refusal, match="lies in the subnet of no scope"):
        call("dhcp exclusion add", range="192.0.3.1")
    with pytest.raises(Refusal, match="is not a range of IPv4"):
        call("dhcp exclusion add", range="2001:db8::/64")
    with pytest.raises(Refusal) as caught:
        call("dhcp exclusion add", range="192.0.2.1-192.0.2.20", yes=True)
    assert "does not lie in its pool" in str(caught.value.problems[0])
