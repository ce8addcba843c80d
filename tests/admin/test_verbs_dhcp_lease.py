"""Leases are listed, found by whatever is known of them, and removed once the danger was told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.admin.conftest import World
from tests.admin.dhcp_answers import DhcpRole, lease

from holdfast.admin import verbs_dhcp_lease
from holdfast.admin.verbs_dhcp_lease import questions
from holdfast.kernel.errors import Refusal, Unavailable

Call = Callable[..., Any]


@pytest.fixture
def role(call: Call, world: World) -> DhcpRole:
    call("dhcp enable")
    call("dhcp scope add", name="office", subnet="192.0.2.0/24", pool="192.0.2.1-192.0.2.200")
    world.dhcp = DhcpRole(
        lease("192.0.2.9", "00:1a:2b:00:00:09", host_name="Desk-9"),
        lease("192.0.2.10", "00:1a:2b:00:00:10", host_name="cafe"),
        lease("192.0.2.100", "02:00:00:00:00:01", client_id="ff:ca:fe:01", ends_at=None),
        lease("192.0.2.101", state="declined"),
    )
    return world.dhcp


def _found(call: Call, what: str) -> list[str]:
    return [each.address for each in call("dhcp lease find", what=what).leases]


def test_role_that_does_not_run_is_named(call: Call) -> None:
    for title, given in (
        ("dhcp lease list", {}),
        ("dhcp lease find", {"what": "desk"}),
        ("dhcp lease show", {"address": "192.0.2.9"}),
        ("dhcp lease remove", {"address": ["192.0.2.9"]}),
    ):
        with pytest.raises(Unavailable, match="the dhcp role is not running"):
            call(title, **given)


def test_leases_are_listed_by_address_and_in_steps(
    call: Call, role: DhcpRole, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs_dhcp_lease, "STEP_COUNT", 2)
    listed = call("dhcp lease list", scope="OFFICE")
    assert [each.address for each in listed.leases] == [
        "192.0.2.9",
        "192.0.2.10",
        "192.0.2.100",
        "192.0.2.101",
    ]
    assert listed.complete
    assert listed.leases[2].ends_at is None
    assert world.progress[-1] == (4, 0, "4 leases")
    assert [each.address for each in call("dhcp lease list", state=["declined"]).leases] == ["192.0.2.101"]
    cut = call("dhcp lease list", limit="3")
    assert (len(cut.leases), cut.complete) == (3, False)
    assert world.warnings == ["the first 3 leases are listed; raise --limit"]


@pytest.mark.parametrize(
    ("what", "addresses"),
    [
        ("192.0.2.9", ["192.0.2.9"]),
        ("00:1A:2B", ["192.0.2.9", "192.0.2.10"]),
        ("001a2b000010", ["192.0.2.10"]),
        ("desk", ["192.0.2.9"]),
        ("cafe", ["192.0.2.10"]),  # a name, and hexadecimal digits that nothing begins with
        ("ff-ca-fe-01", ["192.0.2.100"]),
        ("192.0.2.77", []),
        ("printer", []),
    ],
)
def test_lease_is_found_by_what_is_known(call: Call, role: DhcpRole, what: str, addresses: list[str]) -> None:
    assert _found(call, what) == addresses


def test_nothing_is_no_question() -> None:
    with pytest.raises(Refusal, match="give an address"):
        questions("")


def test_lease_is_shown(call: Call, role: DhcpRole) -> None:
    shown = call("dhcp lease show", address="192.0.2.9")
    assert (shown.host_name, shown.mac, shown.started_at) == ("Desk-9", "00:1a:2b:00:00:09", 1000.0)
    with pytest.raises(Refusal, match=r"192.0.2.77 is leased to nobody"):
        call("dhcp lease show", address="192.0.2.77")


def test_lease_that_a_client_has_is_removed_only_when_that_is_wanted(call: Call, role: DhcpRole) -> None:
    with pytest.raises(Refusal, match="nothing was removed") as caught:
        call("dhcp lease remove", address=["192.0.2.9", "192.0.2.101"])
    assert "192.0.2.9: is leased to Desk-9" in str(caught.value.problems[0])
    assert len(role.leases) == 4
    done = call("dhcp lease remove", address=["192.0.2.101", "192.0.2.77"])
    assert (done.removed, done.unknown) == (["192.0.2.101"], ["192.0.2.77"])
    assert call("dhcp lease remove", address=["192.0.2.9"], yes=True).removed == ["192.0.2.9"]
    assert sorted(role.leases) == ["192.0.2.10", "192.0.2.100"]
