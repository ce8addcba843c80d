"""Which address a client gets when several are possible."""

from __future__ import annotations

from dhcp.conversations import Client, World, organisation, reservation, scope
from holdfast.directory.dhcp import Condition, ConditionField, Policy
from holdfast.kernel.iprange import parse_ip_range
from holdfast.wire.relay_agent import encode_relay_agent

PHONES = Policy(
    "phones", (Condition(ConditionField.MAC, ("00:1a*",)),), ranges=(parse_ip_range("10.0.0.16-10.0.0.17"),),
    lease_s=600.0,
)  # fmt: skip
PHONE = b"\x00\x1a\x2b\x3c\x4d"


def test_a_policy_with_ranges_is_for_its_clients_alone() -> None:
    world = World(organisation(scope(policies=(PHONES,))))
    phones = [Client(0, mac=PHONE + bytes((number,))) for number in range(3)]
    assert [each.gets(world) for each in phones] == ["10.0.0.16", "10.0.0.17", ""]
    assert [Client(number).gets(world) for number in range(8)][-2:] == ["10.0.0.18", "10.0.0.19"]
    assert Client(99).gets(world) == ""
    (offer,) = world.say(phones[0].discover())
    assert offer.lease_s == 600


def test_a_client_that_comes_under_a_policy_moves_when_it_renews() -> None:
    world = World()
    phone = Client(0, mac=PHONE + b"\x01")
    assert phone.gets(world) == "10.0.0.10"
    world.follow(organisation(scope(policies=(PHONES,))))
    assert [str(each) for each in world.say(phone.renew("10.0.0.10"))] == ["NAK"]
    assert phone.gets(world) == "10.0.0.16"


def test_what_the_client_would_like_is_given_when_it_is_free() -> None:
    world = World()
    assert world.say(Client(1).discover({50: b"\x0a\0\0\x0f"}))[0].address == "10.0.0.15"
    assert world.say(Client(2).discover({50: b"\x0a\0\0\x0f"}))[0].address == "10.0.0.10"
    assert world.say(Client(3).discover({50: b"\x0a\0\0\x63"}))[0].address == "10.0.0.11"


def test_a_reservation_goes_before_what_the_client_has_and_wants() -> None:
    world, client = World(), Client(7)
    client.gets(world)
    world.follow(organisation(reservations=(reservation("10.0.0.50", "02:00:00:00:00:07"),)))
    assert world.say(client.discover({50: b"\x0a\0\0\x0a"}))[0].address == "10.0.0.50"


def test_a_reservation_by_mac_is_for_the_machine_whatever_it_calls_itself() -> None:
    declared = organisation(reservations=(reservation("10.0.0.50", "02:00:00:00:00:07"),))
    world = World(declared)
    boot_rom, system = Client(7, client_id=b"\0rom"), Client(7, client_id=b"\xffsystem")
    assert boot_rom.gets(world) == "10.0.0.50"
    assert system.gets(world) == "10.0.0.50"
    assert boot_rom.gets(world) == "10.0.0.50"
    assert Client(8, client_id=b"\0rom").gets(world) == "10.0.0.10", "another machine with that identifier"


def test_who_sends_no_mac_is_not_the_machine_of_another_who_sends_none() -> None:
    world = World(organisation(reservations=(reservation("10.0.0.50", client_id="ff:00:01:02"),)))
    one, another = Client(0, client_id=b"\xff\x00\x01\x02"), Client(0, client_id=b"\xff\x00\x01\x03")
    one.mac = another.mac = b""
    assert one.gets(world) == "10.0.0.50"
    world.follow(organisation(reservations=(reservation("10.0.0.50", client_id="ff:00:01:03"),)))
    assert another.gets(world) == "10.0.0.10"


def test_a_reservation_by_identifier() -> None:
    declared = organisation(reservations=(reservation("10.0.0.50", client_id="ff:00:01:02"),))
    assert Client(7, client_id=b"\xff\x00\x01\x02").gets(World(declared)) == "10.0.0.50"
    assert Client(7).gets(World(declared)) == "10.0.0.10"


def test_a_policy_by_what_a_relay_adds() -> None:
    policy = Policy(
        "room", (Condition(ConditionField.CIRCUIT_ID, ("port 7",)),), ranges=(parse_ip_range("10.0.0.19"),)
    )
    world = World(organisation(scope(policies=(policy,))))
    relay = {82: encode_relay_agent({1: b"port 7"})}
    assert Client(1, giaddr="10.0.0.3").gets(world, relay) == "10.0.0.19"
    assert Client(2, giaddr="10.0.0.3").gets(world) == "10.0.0.10"
