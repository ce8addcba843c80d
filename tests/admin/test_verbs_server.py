"""The status verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.admin.context import RoleState

NOW = 1_800_000_000.0


def test_status_shows_roles_that_are_here_and_those_that_are_not(
    call: Callable[..., Any], world: Any
) -> None:
    world.roles = [
        RoleState("management", 7, 1, {"started_at": NOW - 60}),
        RoleState("supervisor", 6, 1, {"state": "serving", "restart_count_transport": 2}),
        RoleState("transport", 8, 1, {"started_at": NOW - 5, "connections": 3, "pid": 8}),
    ]
    status = call("status")
    rows = {row.role: row for row in status.roles}
    assert status.server == "demo"
    assert rows["transport"].restart_count == 2
    assert rows["transport"].uptime_s == 5.0
    assert "127.0.0.1:2525" in rows["transport"].ports
    assert rows["transport"].detail == "connections 3"
    assert rows["supervisor"].state == "serving"
    assert (rows["access"].state, rows["access"].pid) == ("not connected", None)
    assert "127.0.0.1:2143" in rows["access"].ports
