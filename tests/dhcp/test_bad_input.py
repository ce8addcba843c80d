"""What clients, clocks and disks do to a server of leases: the named cases."""

from __future__ import annotations

import random

from dhcp.conversations import NOW, Client, World, organisation, packed, scope
from holdfast.dhcp.declines import PUT_OFF_S
from holdfast.wire.dhcp4 import encode_message

FOUR = organisation(scope(pool="10.0.0.10-10.0.0.13"))


def test_malformed_frames_lead_to_no_lease_and_one_counted_drop_each() -> None:
    luck = random.Random(11)
    world = World()
    client = Client(1)
    frames = [
        encode_message(client.discover({55: b"\x01\x03", 82: b"\x01\x02ab"})),
        encode_message(client.message(None)),
        encode_message(client.inform("10.0.0.9")),
    ]
    sent_count = 0
    for _ in range(4000):
        frame = bytearray(luck.choice(frames))
        for _ in range(luck.randint(1, 6)):
            frame[luck.choice((luck.randrange(44), luck.randrange(236, len(frame))))] = luck.randrange(256)
        cut = bytes(frame[: luck.choice((len(frame), luck.randint(0, len(frame))))])
        world.arrive(cut)
        sent_count += 1
    server = world.server
    counted = sum(server.dropped.values()) + sum(server.counts.values())
    assert counted == sent_count, "each message is answered or dropped, once"
    assert server.dropped["malformed"] > 500
    assert world.disk == {}


def test_pool_exhausted_is_silence_an_event_a_record_and_a_count() -> None:
    world = World(FOUR)
    assert all(Client(number).gets(world) for number in range(4))
    world.events()
    world.records()
    assert Client(5).gets(world) == ""
    assert Client(6).gets(world) == ""
    assert world.events() == ["DHC-0101"]
    assert world.records() == [14, 14]
    assert world.server.dropped["exhausted"] == 2
    # Who asks for an address that another has is told so.
    assert [str(each) for each in world.say(Client(6).select("10.0.0.10"))] == ["NAK"]
    world.say(Client(0).release("10.0.0.10"))
    world.server.timer(world.now)
    assert "DHC-0102" in world.events()
    assert Client(6).gets(world) == "10.0.0.10"


def test_a_flood_of_fifty_unique_clients_per_millisecond() -> None:
    world = World(organisation(scope(pool="10.0.0.10-10.0.0.209")))
    regular = Client(0)
    assert regular.gets(world)
    for step in range(200):
        world.now = NOW + step / 1000
        world.say(*(Client(1000 + 50 * step + number).discover() for number in range(50)))
    server = world.server
    assert server.counts["OFFER"] == 200
    assert server.dropped["exhausted"] == 200 * 50 - 199
    assert len(server.said.events) < 10
    assert [str(each) for each in world.say(regular.renew("10.0.0.10"))] == ["ACK 10.0.0.10"]
    world.later(61)
    assert Client(1).gets(world), "what the flood was offered comes back by itself"


def test_a_client_that_declines_everything_is_put_off() -> None:
    world = World(organisation(scope(pool="10.0.0.10-10.0.0.29")))
    client = Client(1)
    declined = 0
    while address := client.gets(world):
        world.say(client.decline(address))
        declined += 1
    assert declined == 5
    assert "DHC-0105" in world.events()
    assert Client(2).gets(world), "others are served"
    # A new identifier does not help: the hardware address is the same.
    assert Client(1, client_id=b"\0other").gets(world) == ""
    world.later(PUT_OFF_S + 1)
    assert client.gets(world)


def test_two_clients_with_one_client_id_share_its_address_and_are_named() -> None:
    world = World()
    first, second = Client(1, client_id=b"\0cloned"), Client(2, client_id=b"\0cloned")
    assert first.gets(world) == second.gets(world)
    assert world.events() == ["DHC-0109"]
    assert len(world.active()) == 1


def test_a_client_id_that_changes_each_boot_does_not_use_up_the_pool() -> None:
    world = World(FOUR)
    addresses = [Client(1, client_id=b"\0boot %d" % boot).gets(world) for boot in range(20)]
    assert all(addresses), "its own older lease is taken when nothing else is left"
    assert len(world.active()) == 4
    # The others cannot have what it has.
    assert Client(2).gets(world) == ""


def test_a_full_disk_promises_nothing_and_recovers() -> None:
    world = World(FOUR)
    holder = Client(1)
    assert holder.gets(world) == "10.0.0.10"
    before = dict(world.disk)
    world.disk_is_full = True
    assert world.say(holder.renew("10.0.0.10")) == []
    assert world.say(holder.release("10.0.0.10")) == []
    assert Client(2).gets(world) == ""
    assert world.disk == before
    assert world.active() == {"10.0.0.10": holder.key}
    assert world.records().count(12) == 0, "what did not happen is not written down"
    world.disk_is_full = False
    assert Client(2).gets(world) != "10.0.0.10"
    assert [str(each) for each in world.say(holder.renew("10.0.0.10"))] == ["ACK 10.0.0.10"]


def test_everything_of_a_batch_that_cannot_be_kept_is_put_back() -> None:
    world = World(FOUR)
    clients = [Client(number) for number in range(4)]
    for client in clients[:2]:
        client.gets(world)
    offers = world.say(*(client.discover() for client in clients[2:]))
    state = dict(world.server.table.leases)
    world.disk_is_full = True
    world.say(
        clients[0].release("10.0.0.10"),
        clients[1].decline("10.0.0.11"),
        *(client.select(offer.address) for client, offer in zip(clients[2:], offers, strict=True)),
        clients[3].release(offers[1].address),
        clients[2].renew(offers[0].address),
    )
    assert world.server.table.leases == state
    world.disk_is_full = False
    assert [client.gets(world) for client in clients[:2]] == ["10.0.0.10", "10.0.0.11"]
    assert {client.gets(world) for client in clients[2:]} == {"10.0.0.12", "10.0.0.13"}
    world.restart()
    assert set(world.active().values()) == {client.key for client in clients}


def test_a_lease_neither_ends_early_nor_comes_back_by_time_alone() -> None:
    world, client = World(FOUR), Client(1)
    client.gets(world)
    world.later(3600)
    assert world.active() == {"10.0.0.10": client.key}
    world.later(2.5)
    assert world.active() == {}
    world.restart()
    world.now -= 3600  # what a clock that was set back would say, if anybody asked it
    assert world.active() == {}, "that it ended is durable"


def test_a_client_without_any_identity_is_no_client() -> None:
    world = World()
    assert world.say(Client(1).discover(hardware=b"")) == []
    assert world.server.dropped == {"malformed": 1}
    assert packed("10.0.0.10")
