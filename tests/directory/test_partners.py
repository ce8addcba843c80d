"""Who is whose partner, and where it is reached."""

from __future__ import annotations

import dataclasses

from tests.directory.dhcp_organisation import BASE

from holdfast.directory.model import FailoverRelationship, Organisation, Server
from holdfast.directory.partners import partner_address, partner_of, relationships_of

PAIR = FailoverRelationship("pair", ("dhcp1", "dhcp2"))


def with_addresses(*addresses: str) -> Organisation:
    servers: list[Server] = [
        dataclasses.replace(each, addresses=addresses) if each.name == "dhcp2" else each
        for each in BASE.servers
    ]
    return dataclasses.replace(BASE, servers=tuple(servers))


def test_partner_is_the_other_one() -> None:
    assert (partner_of(PAIR, "dhcp1"), partner_of(PAIR, "dhcp2")) == ("dhcp2", "dhcp1")


def test_relationships_of_a_server_are_whole_ones() -> None:
    half = FailoverRelationship("half", ("dhcp1",))
    twice = FailoverRelationship("twice", ("dhcp1", "dhcp1"))
    other = FailoverRelationship("other", ("dhcp2", "dhcp3"))
    found = dataclasses.replace(BASE, failover_relationships=(half, twice, other, PAIR))
    assert relationships_of(found, "dhcp1") == (PAIR,)
    assert relationships_of(found, "dhcp2") == (other, PAIR)


def test_address_is_that_of_the_relationship_else_the_first_ipv4_address_of_the_server() -> None:
    assert partner_address(BASE, PAIR, "dhcp2") == ""
    assert partner_address(BASE, FailoverRelationship("p", ("dhcp1", "gone")), "gone") == ""
    found = with_addresses("2001:db8::2", "no address", "192.0.2.2", "192.0.2.3")
    assert partner_address(found, PAIR, "dhcp2") == "192.0.2.2"
    own = dataclasses.replace(PAIR, addresses=("198.51.100.1", "198.51.100.2"))
    assert partner_address(found, own, "dhcp2") == "198.51.100.2"
