"""Addresses are asked for before they are offered, where the administrator wants it."""

from __future__ import annotations

from dhcp.conversations import Client, World, organisation, scope
from holdfast.dhcp import probing
from holdfast.directory.dhcp import DhcpServer

PROBED = organisation(scope(pool="10.0.0.10-10.0.0.13"), server=DhcpServer("ns1", probe_count=2))


def answered(world: World, *, in_use: bool) -> list[str]:
    probe = world.server.probes.pop(0)
    world.server.probe_answered(world.now, probe.number, in_use=in_use)
    return [str(each) for each in world.commit()]


def test_a_new_client_waits_and_everybody_else_is_served() -> None:
    world = World(PROBED)
    client = Client(1)
    assert world.say(client.discover()) == []
    (probe,) = world.server.probes
    assert (probe.address & 0xFF, probe.times, probe.link) == (10, 2, 2)
    assert world.say(client.discover()) == [], "it repeats itself: one probe"
    world.say(Client(2).discover())
    assert [each.address & 0xFF for each in world.server.probes] == [10, 11]
    assert answered(world, in_use=False) == ["OFFER 10.0.0.10"]
    world.say(client.select("10.0.0.10"))
    assert [str(each) for each in world.say(client.discover())] == ["OFFER 10.0.0.10"], (
        "its own is not asked for"
    )


def test_an_address_in_use_is_kept_back_and_another_one_tried() -> None:
    world = World(PROBED)
    world.say(Client(1).discover())
    assert answered(world, in_use=True) == []
    assert world.events() == ["DHC-0104"]
    assert answered(world, in_use=True) == []
    assert answered(world, in_use=True) == []
    assert world.server.probes == [], "after three it has to ask again"
    assert {lease.status for lease in world.disk.values()} == {5}
    world.say(Client(1).discover())
    assert answered(world, in_use=False) == ["OFFER 10.0.0.13"]


def test_behind_a_relay_only_icmp_reaches() -> None:
    world = World(PROBED)
    world.say(Client(1, giaddr="10.0.0.3").discover())
    assert world.server.probes[0].link == 0


def test_an_answer_that_comes_too_late_does_nothing() -> None:
    world = World(PROBED)
    world.say(Client(1).discover())
    world.later(61)
    assert answered(world, in_use=False) == []
    world.say(Client(1).discover())
    world.follow(PROBED)
    assert answered(world, in_use=True) == []
    assert world.disk == {}


def test_a_flood_is_offered_unasked() -> None:
    world = World(
        organisation(
            scope(subnet="10.0.0.0/16", pool="10.0.1.0-10.0.4.255"), server=DhcpServer("ns1", probe_count=1)
        )
    )
    answers = world.say(*(Client(number).discover() for number in range(probing.OUTSTANDING_MAX + 7)))
    assert len(answers) == 7
    assert world.server.counts["unprobed offers"] == 7
