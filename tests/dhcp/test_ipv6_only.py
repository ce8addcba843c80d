"""Clients that can do without IPv4 are offered no address (RFC 8925)."""

from __future__ import annotations

import pytest

from dhcp.conversations import Client, World, option, organisation, packed, reservation, scope
from holdfast.directory.dhcp import Condition, ConditionField, DhcpServer, Policy

WANTS = {55: b"\x01\x03\x6c"}
MOSTLY = scope(options=(option(108, "1800"),), rapid_commit=True)
WAIT = (1800).to_bytes(4, "big")


def test_no_address_is_offered_and_none_is_kept() -> None:
    world = World(organisation(MOSTLY))
    (offer,) = world.say(Client(1).discover(WANTS))
    assert (str(offer), offer.message.options[108]) == ("OFFER 0.0.0.0", WAIT)
    assert not {51, 58, 59} & offer.message.options.keys()  # there is no lease to tell of
    assert offer.message.options[54] == packed("10.0.0.1")
    state = world.server.table.scopes[0]
    assert (len(state.offers), state.free_count, world.disk) == (0, 10, {})
    assert world.server.counts == {"OFFER of IPv6 only": 1}


def test_who_does_not_ask_for_it_gets_an_address_and_is_not_told() -> None:
    world = World(organisation(MOSTLY))
    for wanted in ({}, {55: b"\x01\x03"}):
        (offer,) = world.say(Client(1).discover(wanted))
        assert (str(offer), 108 in offer.message.options) == ("OFFER 10.0.0.10", False)


def test_where_it_is_not_declared_an_address_is_offered() -> None:
    world = World(
        organisation(scope(), scope("lab", "10.5.0.0/24", "10.5.0.10-10.5.0.19", options=MOSTLY.options))
    )
    (offer,) = world.say(Client(1).discover(WANTS))
    assert (str(offer), 108 in offer.message.options) == ("OFFER 10.0.0.10", False)
    (offer,) = world.say(Client(1, giaddr="10.5.0.1").discover(WANTS))
    assert str(offer) == "OFFER 0.0.0.0"


def test_also_when_the_pool_is_full_and_never_in_two_messages() -> None:
    world = World(organisation(scope(pool="10.0.0.10-10.0.0.10", options=MOSTLY.options, rapid_commit=True)))
    assert Client(1).gets(world) == "10.0.0.10"
    (offer,) = world.say(Client(2).discover(WANTS | {80: b""}))
    assert (str(offer), offer.message.options[108]) == ("OFFER 0.0.0.0", WAIT)
    assert world.events() == []


def test_an_address_that_was_offered_before_is_free_again() -> None:
    world, client = World(organisation(MOSTLY)), Client(1)
    world.say(client.discover())
    world.say(client.discover(WANTS))
    (offer,) = world.say(Client(2).discover({50: packed("10.0.0.10")}))
    assert str(offer) == "OFFER 10.0.0.10"


def test_who_asks_for_a_lease_all_the_same_gets_it_with_the_option() -> None:
    world, client = World(organisation(MOSTLY)), Client(1)
    world.say(client.discover(WANTS))
    (ack,) = world.say(client.select("10.0.0.12", WANTS))
    assert (str(ack), ack.message.options[108]) == ("ACK 10.0.0.12", WAIT)
    (ack,) = world.say(client.reboot("10.0.0.12", WANTS))
    assert (str(ack), ack.message.options[108]) == ("ACK 10.0.0.12", WAIT)
    # It comes back, and asks anew: its lease stays, and it is told not to bother.
    (offer,) = world.say(client.discover(WANTS))
    assert (str(offer), list(world.active())) == ("OFFER 0.0.0.0", ["10.0.0.12"])


@pytest.mark.parametrize(
    ("number", "offered"), [(1, "OFFER 0.0.0.0"), (2, "OFFER 10.0.0.10"), (3, "OFFER 0.0.0.0")]
)
def test_a_policy_or_a_reservation_may_declare_it(number: int, offered: str) -> None:
    first = Condition(ConditionField.MAC, ("02:00:00:00:00:01",))
    only = (option(108, "0"),)
    declared = organisation(
        scope(policies=(Policy("phones", (first,), options=only),)),
        reservations=(reservation("10.0.0.50", "02:00:00:00:00:03", options=only),),
    )
    (offer,) = World(declared).say(Client(number).discover(WANTS))
    assert str(offer) == offered


def test_an_address_is_not_probed_for_it() -> None:
    world = World(organisation(MOSTLY, server=DhcpServer("ns1", probe_count=2)))
    (offer,) = world.say(Client(1).discover(WANTS))
    assert (str(offer), world.server.probes) == ("OFFER 0.0.0.0", [])
