"""Leases of another server among ours."""

from __future__ import annotations

import math

import pytest

from dhcp.conversations import NOW, Client, World, organisation, reservation, scope
from holdfast.dhcp.arriving import arrive
from holdfast.dhcp.lease import ABANDONED, ACTIVE, FREE, NEVER, RESERVED, Lease
from holdfast.dhcp.moving import LeaseState, MovedLease

OFFSET_S = 100.0
MAC = bytes.fromhex("060000000001")
WALL = NOW + OFFSET_S


def moved(address: int, state: LeaseState = LeaseState.ACTIVE, ends_at: float = WALL + 50.5) -> MovedLease:
    return MovedLease(address, state, 1, MAC, b"", WALL - 10, ends_at, b"pc")


@pytest.fixture
def world() -> World:
    return World(organisation(scope(), reservations=(reservation("10.0.0.12", MAC.hex(":")),)))


def test_a_lease_arrives_by_our_clock_and_never_ends_early(world: World) -> None:
    address = 0x0A00000F  # in the pool
    assert arrive(world.server, NOW, [moved(address)], OFFSET_S) == []
    now = int(NOW)
    assert world.server.table.leases[address] == Lease(
        address, ACTIVE, 0, b"\1" + MAC, b"", now - 10, math.ceil(NOW + 50.5), now, now - 10, b"pc"
    )
    assert [each.address for each in world.server.writes] == [address]
    pool = world.server.table.scopes[0].pools[0]
    taken = [pool.take(FREE, fresh=True) for _ in range(20)]
    assert address not in taken
    assert address - 1 in taken


@pytest.mark.parametrize(
    ("lease", "status", "expires_at"),
    [
        (moved(0x0A000050, ends_at=math.inf), ACTIVE, NEVER),
        (moved(0x0A000050, ends_at=WALL - 5), FREE, int(NOW) - 5),
        (moved(0x0A000050, LeaseState.REMEMBERED, math.inf), FREE, int(NOW)),
        (moved(0x0A000050, LeaseState.DECLINED), ABANDONED, math.ceil(NOW + 50.5)),
        (moved(0x0A000050, LeaseState.DECLINED, math.inf), ABANDONED, int(NOW) + 1 + 86400),
        (moved(0x0B000050), ACTIVE, math.ceil(NOW + 50.5)),
    ],
)
def test_states(world: World, lease: MovedLease, status: int, expires_at: int) -> None:
    arrive(world.server, NOW, [lease], OFFSET_S)
    found = world.server.table.leases[lease.address]
    assert (found.status, found.expires_at) == (status, expires_at)


def test_a_reserved_address_is_marked_so(world: World) -> None:
    arrive(world.server, NOW, [moved(0x0A00000C)], OFFSET_S)
    assert world.server.table.leases[0x0A00000C].flags == RESERVED


def test_what_clients_have_from_us_stays(world: World) -> None:
    Client(1).gets(world)
    (ours,) = world.server.table.leases.values()
    address = ours.address
    before = dict(world.server.table.leases)
    assert arrive(world.server, NOW, [moved(address)], OFFSET_S) == [address]
    assert arrive(world.server, NOW, [moved(address, LeaseState.DECLINED)], OFFSET_S) == [address]
    assert arrive(world.server, NOW, [moved(address, LeaseState.REMEMBERED)], OFFSET_S) == []
    own = moved(address)._replace(mac=ours.hardware[1:], client_id=ours.client_id)
    assert arrive(world.server, NOW, [own._replace(ends_at=WALL + 1)], OFFSET_S) == []
    assert world.server.table.leases == before
    arrive(world.server, NOW, [own._replace(ends_at=math.inf)], OFFSET_S)
    assert world.server.table.leases[address].expires_at == NEVER


def test_what_is_known_of_a_free_address_is_newer(world: World) -> None:
    address = 0x0A000050
    arrive(world.server, NOW, [moved(address, LeaseState.REMEMBERED)], OFFSET_S)
    other = moved(address, LeaseState.REMEMBERED)._replace(mac=b"x" * 6)
    arrive(world.server, NOW, [other], OFFSET_S)
    assert world.server.table.leases[address].hardware == b"\1" + MAC
    arrive(world.server, NOW, [other._replace(state=LeaseState.ACTIVE)], OFFSET_S)
    assert world.server.table.leases[address].status == ACTIVE
