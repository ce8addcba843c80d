"""Leases on their way to the dhcp role and from it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from tests.admin.dhcp_answers import DhcpRole, lease

from holdfast.admin import lease_handover
from holdfast.admin.context import Context, Surroundings
from holdfast.admin.lease_handover import all_leases, hand_over
from holdfast.dhcp.moving import LeaseState, MovedLease
from holdfast.drivers.dhcp_requests import ImportLeases, LeasesImported
from holdfast.kernel.errors import Refusal


def context_with(role: Any) -> Context:
    def ask(name: str, verb: str, body: bytes) -> bytes:
        assert name == "dhcp"
        answer: bytes = role(verb, body)
        return answer

    surroundings = Surroundings(Path(), "demo", list, lambda *_: [], ask)
    return Context(surroundings, cast(Any, None), "root", 0.0, random.Random(1), lambda *_: None)


LEASES = [MovedLease(number, LeaseState.ACTIVE, 1, b"\2", b"", 0.0, float("inf")) for number in range(5)]


def test_leases_travel_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_handover, "PART_COUNT", 2)
    parts: list[ImportLeases] = []

    def role(verb: str, body: bytes) -> bytes:
        parts.append(msgspec.msgpack.decode(body, type=ImportLeases))
        return msgspec.msgpack.encode(LeasesImported(5, tuple(str(each) for each in range(30))))

    context = context_with(role)
    hand_over(context, LEASES)
    assert [(each.part, each.last) for each in parts] == [(0, False), (1, False), (2, True)]
    assert [one for each in parts for one in each.leases] == LEASES
    assert len({each.batch for each in parts}) == 1
    assert context.warnings[0].startswith("30 addresses")
    assert context.warnings[0].endswith("19 …")
    hand_over(context, [])
    assert len(parts) == 3


def test_a_role_that_refuses_stops_everything() -> None:
    def role(verb: str, body: bytes) -> bytes:
        raise Refusal("no")

    with pytest.raises(Refusal, match="nothing was changed: no"):
        hand_over(context_with(role), LEASES)


def test_all_leases_are_asked_for_in_steps() -> None:
    role = DhcpRole(lease("192.0.2.9", "02:00:00:00:00:09"), lease("192.0.2.10", "02:00:00:00:00:10"))
    found = [each.address for each in all_leases(context_with(role), ["office"])]
    assert found == ["192.0.2.9", "192.0.2.10"]
    assert list(all_leases(context_with(role), [])) == []
