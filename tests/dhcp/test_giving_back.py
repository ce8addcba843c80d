"""Leases that end: by their client, by time, by an administrator."""

from __future__ import annotations

from dhcp.conversations import SERVER, Client, World, organisation, packed, scope
from holdfast.dhcp import giving_back, records
from holdfast.wire import dhcp4


def test_a_release_that_names_another_server_is_not_ours() -> None:
    world, client = World(), Client(1)
    client.gets(world)
    other = client.message(dhcp4.RELEASE, {54: packed("10.0.0.2")}, ciaddr=packed("10.0.0.10"))
    world.say(other, client.message(dhcp4.DECLINE, {54: packed("10.0.0.2"), 50: packed("10.0.0.10")}))
    assert world.server.dropped["other server"] == 2
    assert world.active() == {"10.0.0.10": client.key}
    assert packed("10.0.0.1") == SERVER


def test_leases_that_end_at_once_end_in_batches() -> None:
    last = giving_back.ENDED_COUNT_MAX + 100
    world = World(organisation(scope(subnet="10.0.0.0/16", pool="10.0.1.0-10.0.4.255")))
    for number in range(last):
        Client(number).gets(world)
    world.records()
    world.now += 3602
    world.server.timer(world.now)
    assert len(world.server.writes) == giving_back.ENDED_COUNT_MAX
    world.commit()
    world.server.timer(world.now)
    world.commit()
    assert world.active() == {}
    assert world.records() == [records.EXPIRED] * last


def test_an_end_that_could_not_be_kept_comes_again() -> None:
    world = World()
    Client(1).gets(world)
    world.disk_is_full = True
    world.now += 3602
    world.server.timer(world.now)
    world.commit()
    assert "10.0.0.10" in world.active()
    world.disk_is_full = False
    world.server.timer(world.now)
    world.commit()
    assert world.active() == {}


def test_an_administrator_takes_a_lease_away() -> None:
    world, client = World(), Client(1)
    client.gets(world)
    world.records()
    address = int.from_bytes(packed("10.0.0.10"), "big")
    taken = giving_back.take_away(world.server, world.now, address)
    world.commit()
    assert taken is not None
    assert taken.key == client.key
    assert (world.active(), world.records()) == ({}, [records.DELETED])
    assert giving_back.take_away(world.server, world.now, address) is None
