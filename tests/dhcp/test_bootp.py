"""Clients that speak BOOTP."""

from __future__ import annotations

from dhcp.conversations import Client, World, option, organisation, packed, reservation, scope
from holdfast.dhcp import records
from holdfast.directory.dhcp import ClientKind


def boots(world: World, client: Client) -> str:
    answers = world.say(client.message(None))
    return "" if not answers else ".".join(map(str, answers[0].message.yiaddr))


def test_nobody_boots_where_the_scope_does_not_say_so() -> None:
    world = World()
    assert boots(world, Client(1)) == ""
    assert world.server.dropped == {"BOOTP not allowed": 1}


def test_a_reservation_is_given_by_bootp_too() -> None:
    world = World(organisation(reservations=(reservation("10.0.0.9", "02:00:00:00:00:07"),)))
    assert boots(world, Client(7)) == "10.0.0.9"
    assert world.records() == [records.BOOTP_LEASE]
    only_dhcp = reservation("10.0.0.9", "02:00:00:00:00:07", serves=ClientKind.DHCP)
    assert boots(World(organisation(reservations=(only_dhcp,))), Client(7)) == ""


def test_an_address_of_the_pool_is_kept_as_long_as_the_client_boots_now_and_then() -> None:
    world = World(
        organisation(scope(serves=ClientKind.BOTH, bootp_lease_s=86400.0, options=(option(3, "10.0.0.254"),)))
    )
    (answer,) = world.say(Client(1).message(None, None, file=b"kernel"))
    assert answer.message.yiaddr == packed("10.0.0.10")
    assert answer.message.options == {1: packed("255.255.255.0"), 3: packed("10.0.0.254")}
    assert world.records() == [records.DYNAMIC_BOOTP_LEASE]
    world.later(80_000)
    assert boots(world, Client(1)) == "10.0.0.10"
    world.later(80_000)
    assert "10.0.0.10" in world.active()
    world.later(7_000)
    assert world.active() == {}
    assert Client(2).gets(world) == "10.0.0.11"


def test_how_many_is_bounded() -> None:
    world = World(organisation(scope(serves=ClientKind.BOOTP, bootp_client_count_max=2)))
    assert [boots(world, Client(number)) for number in (1, 2, 3, 1)] == [
        "10.0.0.10",
        "10.0.0.11",
        "",
        "10.0.0.10",
    ]
    assert Client(4).gets(world) == "", "the scope is not for DHCP"


def test_an_answer_by_bootp_waits_for_the_disk() -> None:
    world = World(organisation(scope(serves=ClientKind.BOTH)))
    world.disk_is_full = True
    assert boots(world, Client(1)) == ""
    assert world.active() == {}
