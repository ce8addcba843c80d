"""What the checker of leases calls a broken promise."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.dhcp.lease import ACTIVE, FREE, Lease
from holdfast.sim.dhcp_checker import DhcpChecker
from holdfast.sim.world import Violation, World


def client(number: int, address: int = 0) -> Any:
    return SimpleNamespace(number=number, key=b"\x01%d" % number, address=address)


def lease(key: bytes, until: int, status: int = ACTIVE) -> Lease:
    return Lease(1, status, 0, key, b"", 0, until, 0, 0)


def test_two_clients_on_one_address() -> None:
    world = World(1)
    checker = DhcpChecker(world)
    first, second = client(1), client(2)
    checker.begins(first, 1, world.now + 10)
    with pytest.raises(Violation, match=r"0\.0\.0\.1 is used by client 1 and by client 2"):
        checker.begins(second, 1, world.now + 10)
    checker.ends(first, 1)
    checker.begins(second, 1, world.now + 10)
    with pytest.raises(Violation, match="in place of its own"):
        checker.goes_on(first, 1, world.now + 10)
    world.now += 11
    checker.begins(first, 1, world.now + 10)


def test_what_is_acknowledged_is_durable_for_its_client_and_as_long() -> None:
    world = World(1)
    checker = DhcpChecker(world)
    user = client(1)
    checker.begins(user, 1, world.now + 100)
    now = 5000.0
    checker.check_durable({1: lease(user.key, 5100)}, lambda: now)
    for disk in ({}, {1: lease(b"other", 5100)}, {1: lease(user.key, 5100, FREE)}):
        with pytest.raises(Violation, match="does not know it"):
            checker.check_durable(disk, lambda: now)
    with pytest.raises(Violation, match=r"ends 1\.0 s too early"):
        checker.check_durable({1: lease(user.key, 5099)}, lambda: now)


def test_in_the_end_everybody_has_an_address() -> None:
    checker = DhcpChecker(World(1))
    checker.check_served([client(1, 5)])
    with pytest.raises(Violation, match="1 clients have no address"):
        checker.check_served([client(1, 5), client(2)])
