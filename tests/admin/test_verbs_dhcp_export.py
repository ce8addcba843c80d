"""Moving out by verbs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.admin.conftest import World
from tests.admin.dhcp_answers import DhcpRole, lease

from dhcp.moving_samples import ISC
from holdfast.admin.verbs_dhcp_export import moved_lease
from holdfast.dhcp.moving import LeaseState
from holdfast.kernel.errors import Unavailable
from holdfast.wire.isc_leases import read_leases
from holdfast.wire.kea_config import read_configuration
from holdfast.wire.windows_dhcp_export import read_export

from tests.admin.test_verbs_dhcp_import import packed  # isort: skip

Call = Callable[..., Any]


@pytest.fixture
def moved_in(call: Call, world: World, tmp_path: Path) -> World:
    call("dhcp enable")
    call("dhcp import isc", file=[packed(tmp_path, "dhcpd.conf", ISC)], yes=True)
    world.dhcp = DhcpRole(
        lease("192.0.2.120", scope="192.0.2.0/24", ends_at=1_900_000_000.0, client_id="01:61"),
        lease("192.0.2.121", scope="192.0.2.0/24", state="declined", ends_at=None),
        lease("192.0.2.122", scope="192.0.2.0/24", state="expired"),
    )
    return world


def test_what_moved_in_moves_out(call: Call, moved_in: World) -> None:
    text = call("dhcp export isc").text
    assert "subnet 203.0.113.0 netmask 255.255.255.0" in text
    assert moved_in.warnings == []
    only = call("dhcp export isc", scope=["203.0.113.0/24"]).text
    assert "192.0.2.0" not in only
    kea = call("dhcp export kea").text
    assert "Dhcp4" in read_configuration(kea.encode()).root.members
    assert any("serves both (left behind): Kea serves BOOTP" in each for each in moved_in.warnings)


def test_leases_move_out(call: Call, moved_in: World) -> None:
    found = read_leases(call("dhcp export isc", leases=True).text.encode())
    assert [each.state.value for each in found.leases.values()] == ["active", "abandoned"]
    rows = call("dhcp export kea", leases=True).text.splitlines()
    assert rows[1].startswith("192.0.2.120,02:00:00:00:00:01,01:61,")
    assert len(rows) == 3
    export = read_export(call("dhcp export windows").text.encode())
    assert [each.fields["AddressState"] for each in export.leases] == ["Active", "Declined"]
    assert read_export(call("dhcp export windows", without_leases=True).text.encode()).leases == []


def test_without_the_role_only_the_configuration_can_be_written(call: Call, moved_in: World) -> None:
    moved_in.dhcp = None
    assert call("dhcp export kea").text
    with pytest.raises(Unavailable, match="the dhcp role"):
        call("dhcp export kea", leases=True)


def test_states_of_leases() -> None:
    assert moved_lease(lease("192.0.2.1", state="released")).state is LeaseState.REMEMBERED
    assert moved_lease(lease("192.0.2.1", ends_at=None)).ends_at == float("inf")
