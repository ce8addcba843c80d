"""What becomes of answers and records by a commit."""

from __future__ import annotations

import pytest

from dhcp.conversations import NOW, Client, World, organisation, packed, scope
from holdfast.dhcp.desk import Arrival
from holdfast.directory.dhcp import DhcpServer
from holdfast.wire.dhcp4 import encode_message


def test_answers_and_records_wait_for_the_commit() -> None:
    world, client = World(), Client(1)
    world.say(client.discover())
    server = world.server
    server.receive(NOW, [Arrival(encode_message(client.select("10.0.0.10")), 2, bytes(4), False)])
    assert (len(server.replies), len(server.waiting), len(server.writes), server.records) == (0, 1, 1, [])
    server.committed(NOW)
    assert (len(server.replies), len(server.waiting), len(server.writes), len(server.records)) == (1, 0, 0, 1)


def test_a_failed_commit_says_how_many_were_not_answered() -> None:
    world = World()
    clients = [Client(number) for number in range(3)]
    for client in clients:
        world.say(client.discover())
    world.server.receive(
        NOW,
        [
            Arrival(encode_message(client.select(f"10.0.0.1{at}")), 2, bytes(4), False)
            for at, client in enumerate(clients)
        ],
    )
    assert world.server.commit_failed() == 3
    assert (world.server.waiting, world.server.writes, world.server.records) == ([], [], [])


LAB = scope("lab", "10.5.0.0/24", "10.5.0.10-10.5.0.19")
SELECTS_LAB = {118: packed("10.5.0.0")}
# As a relay says it: link selection, sub-option 5.
RELAY_SAYS_OFFICE = {82: b"\x05\x04" + packed("10.0.0.0")}


def _two_subnets(*, allowed: bool = True) -> World:
    return World(organisation(scope(), LAB, server=DhcpServer("ns1", subnet_selection=allowed)))


def test_a_client_selects_its_subnet_and_is_told_so() -> None:
    world, client = _two_subnets(), Client(1)
    (offer,) = world.say(client.discover(SELECTS_LAB))
    (ack,) = world.say(client.select("10.5.0.10", SELECTS_LAB))
    (again,) = world.say(client.renew("10.5.0.10", SELECTS_LAB))
    (informed,) = world.say(client.inform("10.5.0.10", SELECTS_LAB))
    assert [str(each) for each in (offer, ack, again)] == [
        "OFFER 10.5.0.10",
        "ACK 10.5.0.10",
        "ACK 10.5.0.10",
    ]
    assert {each.message.options.get(118) for each in (offer, ack, again, informed)} == {packed("10.5.0.0")}
    assert 118 not in world.say(Client(2).discover())[0].message.options


@pytest.mark.parametrize(
    ("allowed", "giaddr", "options", "offered"),
    [
        (True, "0.0.0.0", SELECTS_LAB, "OFFER 10.5.0.10"),
        (True, "10.0.0.3", SELECTS_LAB, "OFFER 10.5.0.10"),
        (True, "10.5.0.3", {118: packed("10.0.0.0")}, "OFFER 10.0.0.10"),
        (True, "10.5.0.3", SELECTS_LAB | RELAY_SAYS_OFFICE, "OFFER 10.0.0.10"),
        (True, "10.0.0.3", SELECTS_LAB | {82: b"\x01\x01p"}, "OFFER 10.5.0.10"),
        (False, "0.0.0.0", SELECTS_LAB, "OFFER 10.0.0.10"),
    ],
)
def test_whose_word_about_the_subnet_goes_first(
    allowed: bool, giaddr: str, options: dict[int, bytes], offered: str
) -> None:
    (offer,) = _two_subnets(allowed=allowed).say(Client(1, giaddr=giaddr).discover(options))
    assert (str(offer), 118 in offer.message.options) == (offered, allowed)


def test_a_subnet_that_is_not_ours_or_none_is_not_answered() -> None:
    world = _two_subnets()
    assert world.say(Client(1).discover({118: packed("10.9.0.0")})) == []
    assert world.say(Client(1).discover({118: b"\x0a\x05"})) == []
    assert world.server.dropped == {"no scope": 1, "malformed": 1}
    assert "selects the subnet of 10.9.0.0" in str(world.server.said.events[0])
