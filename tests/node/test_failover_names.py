"""What one partner registered in DNS the other removes when the lease ends, and nobody removes it before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dhcp.partners import Pair, Server
from holdfast.dhcp.dns_state import read_state
from holdfast.dhcp.lease import ACTIVE, BACKUP, Lease
from holdfast.directory.dhcp import DhcpServer, DnsUpdates
from holdfast.directory.model import Organisation
from holdfast.node.failover import Command
from holdfast.wire import dhcp4

NAME = "web.example.test"
MCLT_S = 60


def with_dns(declared: Organisation) -> Organisation:
    servers = tuple(DhcpServer(name, dns_servers=("192.0.2.53",)) for name in ("ns1", "ns2"))
    scopes = tuple(
        replace(
            each,
            dns_updates=DnsUpdates.ALWAYS,
            dns_without_request=True,
            dns_suffix="example.test",
            dns_reverse=False,
            dns_protect=False,
        )
        for each in declared.scopes
    )
    return replace(declared, dhcp_servers=servers, scopes=scopes)


@pytest.fixture
def pair() -> Pair:
    made = Pair()
    made.first.declared = made.second.declared = with_dns(made.first.declared)
    return made.normal()


def lease_of(server: Server) -> Lease:
    (found,) = [each for each in server.disk.values() if each.client_id == b"" and each.host_name == b"web"]
    return found


def leased(pair: Pair) -> str:
    """A client has an address of the first, which has registered its name; the second knows of it."""
    (offer,) = pair.first.ask(1, {53: bytes((dhcp4.DISCOVER,)), 12: b"web"}, secs=9)
    options = {53: bytes((dhcp4.REQUEST_LEASE,)), 50: offer.yiaddr, 54: offer.options[54], 12: b"web"}
    pair.first.ask(1, options)
    assert pair.first.dns_answers() == [NAME]
    pair.pass_s(2)
    assert pair.first.updates == pair.second.updates == []
    wanted = read_state(lease_of(pair.second).dns).wanted
    assert wanted is not None
    assert wanted.name == NAME
    return ".".join(map(str, offer.yiaddr))


def test_the_other_removes_the_name_when_its_server_is_dead_and_the_lease_ends(pair: Pair) -> None:
    leased(pair)
    pair.first.stop()
    pair.pass_s(1)
    assert pair.second.node is not None
    pair.second.node.failover.command(pair.now, "pair", Command.PARTNER_DOWN)
    pair.second.drain()
    pair.pass_s(MCLT_S + 2)  # the lease is over here, but its server may have extended it
    assert pair.second.updates == []
    pair.pass_s(2 * 3600)
    assert set(pair.second.dns_answers()) == {"-" + NAME}
    pair.pass_s(1)
    lease = lease_of(pair.second)
    assert (lease.status, lease.dns) == (BACKUP, b"")


def test_one_of_the_two_removes_the_name_of_a_lease_that_is_given_back(pair: Pair) -> None:
    address = leased(pair)
    pair.pass_s(5)
    pair.first.release(1, address)
    assert pair.first.updates == []  # the partner has not confirmed it
    pair.pass_s(2)
    assert set(pair.first.dns_answers()) == {"-" + NAME}
    assert pair.second.updates == []
    pair.pass_s(2)
    assert lease_of(pair.first).dns == lease_of(pair.second).dns == b""


def test_a_name_stays_while_the_partner_has_extended_the_lease_untold(pair: Pair) -> None:
    address = leased(pair)
    pair.cut = True
    pair.pass_s(MCLT_S / 2)
    options = {53: bytes((dhcp4.REQUEST_LEASE,)), 12: b"web"}
    assert pair.second.ask(1, options, ciaddr=address)
    assert pair.second.updates == []  # the first has registered it
    pair.pass_s(MCLT_S / 2 + 5)
    assert lease_of(pair.first).status != ACTIVE
    assert pair.first.updates == []
    pair.cut = False
    pair.pass_s(20)
    assert pair.states == ("NORMAL", "NORMAL")
    assert lease_of(pair.first).status == ACTIVE
    assert pair.first.updates == pair.second.updates == []


def test_what_its_server_could_not_register_the_other_does_when_the_client_renews(pair: Pair) -> None:
    (offer,) = pair.first.ask(1, {53: bytes((dhcp4.DISCOVER,)), 12: b"web"}, secs=9)
    options = {53: bytes((dhcp4.REQUEST_LEASE,)), 50: offer.yiaddr, 54: offer.options[54], 12: b"web"}
    pair.first.ask(1, options)
    pair.pass_s(2)  # no DNS server has answered
    pair.first.stop()
    pair.pass_s(2)
    assert pair.second.updates == []
    pair.second.ask(
        1, {53: bytes((dhcp4.REQUEST_LEASE,)), 12: b"web"}, ciaddr=".".join(map(str, offer.yiaddr))
    )
    assert pair.second.dns_answers() == [NAME]
