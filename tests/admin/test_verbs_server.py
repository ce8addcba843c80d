"""The status verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from holdfast.admin.context import RoleState
from holdfast.drivers.transport_requests import LIST_QUEUES, SHOW_PRESSURE, PressureState, QueueStates
from holdfast.transport.back_pressure import Level, Pressure
from holdfast.transport.queue_report import QueueState

NOW = 1_800_000_000.0


def test_status_shows_roles_that_are_here_and_those_that_are_not(
    call: Callable[..., Any], world: Any
) -> None:
    world.roles = [
        RoleState("management", 7, 1, {"started_at": NOW - 60}),
        RoleState("supervisor", 6, 1, {"state": "serving", "restart_count_transport": 2}),
        RoleState("transport", 8, 1, {"started_at": NOW - 5, "connections": 3, "pid": 8}),
        RoleState(
            "access", 9, 1, {"ports": "", "not_open_127.0.0.1:2143": "cannot listen on 127.0.0.1:2143"}
        ),
    ]
    status = call("status")
    rows = {row.role: row for row in status.roles}
    assert status.server == "demo"
    assert rows["transport"].restart_count == 2
    assert rows["transport"].uptime_s == 5.0
    assert "127.0.0.1:2525" in rows["transport"].ports
    assert rows["transport"].detail == "connections 3"
    assert rows["supervisor"].state == "serving"
    assert (rows["access"].ports, rows["access"].detail) == ("", "cannot listen on 127.0.0.1:2143")
    del world.roles[-1]
    (access,) = [row for row in call("status").roles if row.role == "access"]
    assert (access.state, access.pid) == ("not connected", None)
    assert "127.0.0.1:2143" in access.ports


def test_status_tells_what_waits(call: Callable[..., Any], world: Any) -> None:
    queues = tuple(
        QueueState(key, "dns", "x", "", status, count, None, "", 0, None)
        for key, status, count in (
            ("a", "ready", 4),
            ("b", "retry", 2),
            ("c", "retry", 0),
            ("d", "suspended", 1),
        )
    )
    answers = {
        LIST_QUEUES.name: QueueStates(queues),
        SHOW_PRESSURE.name: PressureState(Pressure(Level.MEDIUM), (), ()),
    }
    world.transport = lambda verb, _: msgspec.msgpack.encode(answers[verb])
    world.roles = [RoleState("transport", 8, 1, {})]
    status = call("status")
    assert (status.queued_message_count, status.waiting_queue_count, status.back_pressure) == (7, 2, "medium")
    world.roles = [RoleState("transport", 8, 1, {"state": "does not answer"})]
    assert call("status").queued_message_count is None
    assert world.warnings == []
    world.roles, world.transport = [RoleState("transport", 8, 1, {})], None
    assert call("status").back_pressure == ""
    assert "what waits in the queues is not known" in world.warnings[0]
