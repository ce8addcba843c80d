"""RFC 2131's table, message by message, and what is easily got wrong in it."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from dhcp.conversations import (
    LINK,
    NOBODY,
    SERVER,
    Client,
    World,
    option,
    organisation,
    packed,
    reservation,
    scope,
)
from holdfast.dhcp import records
from holdfast.dhcp.desk import Link
from holdfast.dhcp.replies import Where
from holdfast.directory.dhcp import DhcpServer
from holdfast.kernel.iprange import parse_ip_range
from holdfast.wire import dhcp4
from holdfast.wire.relay_agent import LINK_SELECTION, SERVER_ID_OVERRIDE, encode_relay_agent


def said(answers: list) -> list[str]:  # type: ignore[type-arg]  # Answer, as text
    return [str(each) for each in answers]


def test_four_messages_make_a_lease() -> None:
    world, client = World(), Client(1)
    (offer,) = world.say(client.discover({55: b"\x01\x03\x33"}))
    assert str(offer) == "OFFER 10.0.0.10"
    assert world.disk == {}, "an offer is not durable"
    (ack,) = world.say(client.select("10.0.0.10"))
    assert str(ack) == "ACK 10.0.0.10"
    assert (ack.lease_s, ack.message.options[58], ack.message.options[59]) == (
        3600, (1800).to_bytes(4, "big"), (3150).to_bytes(4, "big"),
    )  # fmt: skip
    assert ack.message.options[54] == SERVER
    assert world.disk[int.from_bytes(packed("10.0.0.10"), "big")].key == client.key
    assert world.records() == [records.NEW_LEASE]


def test_the_spec_says_t1_and_t2_of_eight_hours() -> None:
    world, client = World(organisation(scope(lease_s=28_800.0))), Client(1)
    (offer,) = world.say(client.discover())
    assert [int.from_bytes(offer.message.options[code], "big") for code in (51, 58, 59)] == [
        28800,
        14400,
        25200,
    ]


def test_an_ack_leaves_after_its_commit_and_not_without() -> None:
    world, client = World(), Client(1)
    world.say(client.discover())
    world.server.receive(world.now, [])
    world.disk_is_full = True
    assert world.say(client.select("10.0.0.10")) == []
    assert world.active() == {}
    world.disk_is_full = False
    assert said(world.say(client.select("10.0.0.10"))) == ["ACK 10.0.0.10"]


def leased(world: World, client: Client) -> None:
    assert client.gets(world) == "10.0.0.10"


CASES = {
    # RFC 2131 section 4.3.2: what is asked, in which state of the client, and what is answered
    "selecting, our offer": (False, lambda c: c.select("10.0.0.10"), ["ACK 10.0.0.10"]),
    "selecting, another server": (False, lambda c: c.select("10.0.0.10", server=packed("10.0.0.2")), []),
    "selecting, what is free but not offered": (False, lambda c: c.select("10.0.0.15"), ["ACK 10.0.0.15"]),
    "selecting, an address outside the pool": (False, lambda c: c.select("10.0.0.30"), ["NAK"]),
    "selecting, an address of another network": (False, lambda c: c.select("10.9.0.10"), ["NAK"]),
    "init-reboot, its lease": (True, lambda c: c.reboot("10.0.0.10"), ["ACK 10.0.0.10"]),
    "init-reboot, another address than its own": (True, lambda c: c.reboot("10.0.0.11"), ["NAK"]),
    "init-reboot, another network": (True, lambda c: c.reboot("10.9.0.10"), ["NAK"]),
    "init-reboot, a client that nobody knows": (False, lambda c: c.reboot("10.0.0.10"), []),
    "renewing": (True, lambda c: c.renew("10.0.0.10"), ["ACK 10.0.0.10"]),
    "renewing, an address that is not its own": (True, lambda c: c.renew("10.0.0.11"), ["NAK"]),
    "renewing, a client that nobody knows": (False, lambda c: c.renew("10.0.0.10"), []),
    "no address at all": (True, lambda c: c.message(dhcp4.REQUEST_LEASE), []),
    "an answer of a server": (True, lambda c: c.message(dhcp4.OFFER), []),
    "a kind of message that nobody knows": (True, lambda c: c.message(99), []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_table_of_requests(case: str) -> None:
    known, ask, answers = CASES[case]
    world, client = World(), Client(1)
    if known:
        leased(world, client)
    assert said(world.say(ask(client))) == answers


@pytest.mark.parametrize("unicast", [True, False])
def test_a_lease_is_extended_from_the_renewal_on(unicast: bool) -> None:
    world, client = World(), Client(1)
    leased(world, client)
    world.records()
    world.later(1800)
    (ack,) = world.say(client.renew("10.0.0.10"), unicast=unicast, source=packed("10.0.0.10"))
    assert (ack.lease_s, ack.message.ciaddr) == (3600, packed("10.0.0.10"))
    assert ack.reply.where is Where.CLIENT
    lease = world.disk[int.from_bytes(packed("10.0.0.10"), "big")]
    assert (lease.started_at, lease.expires_at) == (int(world.now) - 1800, int(world.now) + 3602)
    assert world.records() == [records.RENEWED]
    world.later(3599)
    assert world.active() == {"10.0.0.10": client.key}


def test_a_server_that_is_not_authoritative_says_no_to_nobody() -> None:
    world = World(organisation(server=DhcpServer("ns1", authoritative=False)))
    assert world.say(Client(1).reboot("10.9.0.10")) == []


def test_who_chooses_another_server_gives_our_offer_back() -> None:
    world = World(organisation(scope(pool="10.0.0.10")))
    first, second = Client(1), Client(2)
    world.say(first.discover())
    assert world.say(second.discover()) == []
    world.say(first.select("10.0.0.99", server=packed("10.0.0.2")))
    assert said(world.say(second.discover())) == ["OFFER 10.0.0.10"]


def test_two_clients_never_get_the_same_offer() -> None:
    world = World()
    offers = [
        world.say(Client(number).discover({50: packed("10.0.0.12")}))[0].address for number in range(10)
    ]
    assert offers[0] == "10.0.0.12"
    assert len(set(offers)) == 10


def test_a_client_that_repeats_itself_is_offered_the_same() -> None:
    world, client = World(), Client(1)
    assert said(world.say(client.discover(), client.discover())) == ["OFFER 10.0.0.10"] * 2


def test_an_offer_that_is_not_taken_lapses() -> None:
    world = World(organisation(scope(pool="10.0.0.10")))
    world.say(Client(1).discover())
    world.later(59)
    assert world.say(Client(2).discover()) == []
    world.later(2)
    assert said(world.say(Client(2).discover())) == ["OFFER 10.0.0.10"]
    assert said(world.say(Client(1).select("10.0.0.10"))) == ["NAK"]


def test_an_offer_is_remembered_by_the_client_after_a_crash() -> None:
    world, client = World(), Client(1)
    world.say(client.discover())
    world.restart()
    assert said(world.say(client.select("10.0.0.10"))) == ["ACK 10.0.0.10"]


def test_a_client_gets_its_last_address_again() -> None:
    world, client = World(), Client(3)
    for number in range(3):
        Client(number).gets(world)
    assert client.gets(world) == "10.0.0.13"
    world.later(4000)
    assert world.active() == {}
    assert client.gets(world) == "10.0.0.13"


def test_release_and_what_it_needs() -> None:
    world, client = World(), Client(1)
    leased(world, client)
    world.say(Client(2).release("10.0.0.10"))
    assert world.active() == {"10.0.0.10": client.key}
    world.records()
    assert world.say(client.release("10.0.0.10")) == []
    assert world.active() == {}
    assert world.records() == [records.RELEASED]
    assert [lease.status for lease in world.disk.values()] == [1]


def test_decline_keeps_an_address_back_for_a_day() -> None:
    world, client = World(organisation(scope(pool="10.0.0.10"))), Client(1)
    leased(world, client)
    world.say(client.decline("10.0.0.10"))
    assert world.events() == ["DHC-0103"]
    assert records.IN_USE in world.records()
    assert client.gets(world) == ""
    world.restart()
    world.later(86_000)
    assert client.gets(world) == ""
    world.later(402)
    assert client.gets(world) == "10.0.0.10"


def test_nobody_declines_for_another() -> None:
    world, client = World(), Client(1)
    leased(world, client)
    world.say(Client(2).decline("10.0.0.10"), Client(2).decline("10.0.0.11"))
    assert world.active() == {"10.0.0.10": client.key}
    assert world.events() == []


def test_inform_gives_options_and_no_lease() -> None:
    world = World(organisation(scope(options=(option(3, "10.0.0.254"),))))
    (answer,) = world.say(Client(1).inform("10.0.0.77", {55: b"\x03"}))
    assert (str(answer), answer.reply.where, answer.reply.address) == (
        "ACK 0.0.0.0",
        Where.CLIENT,
        packed("10.0.0.77"),
    )
    assert answer.message.options[3] == packed("10.0.0.254")
    assert {51, 58, 59} & answer.message.options.keys() == set()
    assert world.disk == {}
    assert world.say(Client(1).inform("0.0.0.0")) == []
    (answer,) = world.say(Client(1).inform("0.0.0.0"), source=packed("10.0.0.5"))
    assert answer.reply.address == packed("10.0.0.5")


def test_rapid_commit_needs_the_client_and_the_scope() -> None:
    client = Client(1)
    assert said(World().say(client.discover({80: b""}))) == ["OFFER 10.0.0.10"]
    world = World(organisation(scope(rapid_commit=True)))
    assert said(world.say(client.discover())) == ["OFFER 10.0.0.10"]
    (ack,) = world.say(client.discover({80: b""}))
    assert str(ack) == "ACK 10.0.0.10"
    assert ack.message.options[80] == b""
    assert world.disk
    world.disk_is_full = True
    assert world.say(Client(2).discover({80: b""})) == []


WAYS = {
    "to its hardware address": ({}, {}, Where.HARDWARE, "10.0.0.10"),
    "the client asks for a broadcast": ({"flags": 0x8000}, {}, Where.EVERYBODY, "255.255.255.255"),
    "the relay": ({"giaddr": packed("10.0.0.3")}, {}, Where.RELAY, "10.0.0.3"),
    "InfiniBand has no such address": (
        {"hardware": b"", "hardware_type": 32}, {61: b"\xffabcd"}, Where.EVERYBODY, "255.255.255.255",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WAYS)
def test_where_an_offer_goes(case: str) -> None:
    changes, options, where, address = WAYS[case]
    (offer,) = World().say(Client(1).discover(options, **changes))
    assert (offer.reply.where, offer.reply.address) == (where, packed(address))
    assert offer.message.flags == changes.get("flags", 0)
    assert offer.reply.hardware == (Client(1).mac if where is Where.HARDWARE else b"")


def test_where_a_refusal_goes() -> None:
    (refusal,) = World().say(Client(1).reboot("10.9.0.10"))
    assert (refusal.reply.where, refusal.message.flags) == (Where.EVERYBODY, 0)
    (refusal,) = World().say(Client(1, giaddr="10.0.0.3").reboot("10.9.0.10"))
    assert (refusal.reply.where, refusal.message.flags) == (Where.RELAY, 0x8000)
    assert refusal.message.options[56] == b"the address is not of this network"


def test_what_the_relay_added_comes_back_as_the_last_option() -> None:
    relay = encode_relay_agent({1: b"port 7", 2: b"switch"})
    (offer,) = World().say(Client(1, giaddr="10.0.0.3").discover({82: relay, 12: b"host"}))
    assert offer.message.options[82] == relay
    assert list(offer.message.options)[-1] == 82


def test_the_clients_identifier_comes_back() -> None:
    client = Client(1, client_id=b"\xff\0\0\0\1\0\1duid")
    world = World()
    (offer,) = world.say(client.discover())
    assert offer.message.options[61] == client.client_id
    (refusal,) = world.say(client.reboot("10.9.0.10"))
    assert refusal.message.options[61] == client.client_id


def test_an_identifier_of_type_and_hardware_is_the_hardware() -> None:
    world = World()
    assert Client(1).gets(world) == Client(1, client_id=b"\x01" + Client(1).mac).gets(world) == "10.0.0.10"


TWO = (
    scope("here", "10.0.0.0/24", "10.0.0.10-10.0.0.12"),
    scope("there", "10.5.0.0/24", "10.5.0.10-10.5.0.12"),
)


def test_a_relay_is_served_from_its_own_network() -> None:
    world = World(organisation(*TWO))
    assert Client(1).gets(world) == "10.0.0.10"
    assert Client(2, giaddr="10.5.0.1").gets(world) == "10.5.0.10"
    assert world.say(Client(3, giaddr="10.7.0.1").discover()) == []
    assert world.events() == ["DHC-0108"]


def test_a_relay_whose_address_lies_elsewhere_is_named_in_the_scope() -> None:
    there = scope(
        "there",
        "10.5.0.0/24",
        "10.5.0.10-10.5.0.12",
        relays=(IPv4Address("172.16.0.1"),),
    )
    assert Client(2, giaddr="172.16.0.1").gets(World(organisation(there))) == "10.5.0.10"


def test_link_selection_goes_before_the_relays_address() -> None:
    world = World(organisation(*TWO))
    relay = encode_relay_agent({LINK_SELECTION: packed("10.5.0.0")})
    (offer,) = world.say(Client(1, giaddr="10.0.0.3").discover({82: relay}))
    assert (offer.address, offer.reply.address) == ("10.5.0.10", packed("10.0.0.3"))
    # What a client itself puts into the option is nothing to go by.
    assert world.say(Client(2).discover({82: relay}))[0].address == "10.0.0.10"


def test_a_relay_may_stand_in_for_the_server() -> None:
    world = World()
    relay = {82: encode_relay_agent({SERVER_ID_OVERRIDE: packed("10.0.0.3")})}
    client = Client(1, giaddr="10.0.0.3")
    (offer,) = world.say(client.discover(relay))
    assert offer.message.options[54] == packed("10.0.0.3")
    assert said(world.say(client.select(offer.address, relay, server=packed("10.0.0.3")))) == [
        "ACK 10.0.0.10"
    ]


def test_each_interface_serves_its_own_network() -> None:
    links = (LINK, Link(3, "eth1", int.from_bytes(packed("10.5.0.1"), "big")))
    world = World(organisation(*TWO), links=links)
    (offer,) = world.say(Client(1).discover(), link=3)
    assert (offer.address, offer.message.options[54], offer.reply.link) == (
        "10.5.0.10",
        packed("10.5.0.1"),
        3,
    )
    assert world.say(Client(1).discover(), link=9) == []
    # A client that moved from one to the other is told so.
    assert said(world.say(Client(1).select("10.5.0.10", server=packed("10.5.0.1")), link=3)) == [
        "ACK 10.5.0.10"
    ]
    assert said(world.say(Client(1).reboot("10.5.0.10"), link=2)) == ["NAK"]


def test_a_superscope_goes_on_where_the_first_scope_is_full() -> None:
    declared = organisation(
        *(scope(each.name, str(each.subnet), str(each.pool), superscope="wire") for each in TWO)
    )
    world = World(declared)
    assert [Client(number).gets(world) for number in range(7)] == [
        "10.0.0.10", "10.0.0.11", "10.0.0.12", "10.5.0.10", "10.5.0.11", "10.5.0.12", "",
    ]  # fmt: skip
    assert said(world.say(Client(5).renew("10.5.0.12"))) == ["ACK 10.5.0.12"]


def test_the_lease_that_a_client_asks_for() -> None:
    def given(asked: int, **more: object) -> int:
        (offer,) = World(organisation(scope(**more))).say(Client(1).discover({51: asked.to_bytes(4, "big")}))
        return offer.lease_s

    assert given(600) == 600
    assert given(600, shortest_lease_s=900.0) == 900
    assert given(7200) == 3600
    assert given(7200, longest_lease_s=5400.0) == 5400
    assert given(0) == 1
    assert given(0xFFFFFFFF, lease_unlimited=True) == 0xFFFFFFFF


def test_a_lease_without_end_does_not_end() -> None:
    world, client = World(organisation(scope(lease_unlimited=True))), Client(1)
    leased(world, client)
    world.later(10 * 365 * 86400.0)
    assert world.active() == {"10.0.0.10": client.key}


def test_a_reservation_is_its_clients_alone() -> None:
    declared = organisation(
        scope(pool="10.0.0.10-10.0.0.11"),
        reservations=(
            reservation("10.0.0.10", "02:00:00:00:00:07"),
            reservation("10.0.0.200", "02:00:00:00:00:08"),
        ),
    )
    world = World(declared)
    assert Client(1).gets(world) == "10.0.0.11"
    assert Client(2).gets(world) == ""
    assert Client(7).gets(world) == "10.0.0.10"
    assert Client(8).gets(world) == "10.0.0.200", "a reservation may lie outside the pool"
    assert said(world.say(Client(2).select("10.0.0.200"))) == ["NAK"]
    assert said(world.say(Client(8).renew("10.0.0.200"))) == ["ACK 10.0.0.200"]


def test_a_reservation_made_for_an_address_in_use_waits_for_its_end() -> None:
    world, holder, owner = World(), Client(1), Client(7)
    leased(world, holder)
    world.follow(organisation(reservations=(reservation("10.0.0.10", "02:00:00:00:00:07"),)))
    assert owner.gets(world) == "10.0.0.11"
    assert world.events() == ["DHC-0110"]
    assert said(world.say(holder.renew("10.0.0.10"))) == ["NAK"]
    world.later(3700)
    assert owner.gets(world) == "10.0.0.10"


def test_a_client_is_moved_to_its_new_reservation_when_it_renews() -> None:
    world, client = World(), Client(7)
    leased(world, client)
    world.follow(organisation(reservations=(reservation("10.0.0.50", "02:00:00:00:00:07"),)))
    assert said(world.say(client.renew("10.0.0.10"))) == ["NAK"]
    assert client.gets(world) == "10.0.0.50"


def test_an_excluded_address_is_leased_no_more() -> None:
    world, client = World(), Client(1)
    leased(world, client)
    world.follow(organisation(scope(exclusions=(parse_ip_range("10.0.0.10-10.0.0.12"),))))
    assert said(world.say(client.renew("10.0.0.10"))) == ["NAK"]
    assert client.gets(world) == "10.0.0.13"


def test_a_disabled_scope_answers_nobody() -> None:
    world = World(organisation(scope(enabled=False)))
    assert world.say(Client(1).discover(), Client(1).renew("10.0.0.10")) == []
    assert world.say(Client(1).renew("10.0.0.10"), unicast=True) == []


def test_a_delayed_offer() -> None:
    world = World(organisation(scope(delay_ms=500)))
    assert world.say(Client(1).discover()) == []
    assert world.later(0.4) == []
    assert said(world.later(0.2)) == ["OFFER 10.0.0.10"]


def test_answers_to_the_name_of_a_client() -> None:
    world = World()
    (offer,) = world.say(Client(1).discover({81: b"\x05\0\0\x04host\0"}))
    assert offer.message.options[81] == b"\x0e\xff\xff\x04host\0", "nothing is registered: N and O, not S"
    world.say(Client(1).select(offer.address, {81: b"\x05\0\0\x04host\0"}))
    assert [lease.host_name for lease in world.disk.values()] == [b"host"]


def test_the_first_message_that_makes_no_sense_is_named_and_all_are_counted() -> None:
    world = World()
    world.arrive(b"", b"\x02" + bytes(300), bytes(300))
    world.say(
        Client(1).message(None, {53: b"\x01\x01"}),
        Client(1).discover({61: b"x"}),
        Client(1).discover({50: b"abc"}),
    )
    assert world.server.dropped == {"malformed": 6}
    assert world.events() == ["DHC-0111"]
    assert world.disk == {}


def test_nothing_is_offered_while_nothing_can_be_kept() -> None:
    world = World()
    world.server.may_offer = False
    assert world.say(Client(1).discover()) == []
    assert world.server.dropped == {"not durable": 1}
    assert bytes(4) == NOBODY
