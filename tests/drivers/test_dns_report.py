"""How names in DNS stand, as management is told."""

from __future__ import annotations

import asyncio

from dhcp.conversations import Client
from dhcp.made_up_dns import MadeUpDns, let_dns_work
from dhcp.test_registrar import REVERSE, name, world
from holdfast.drivers.dhcp_requests import DnsNameState, DnsQuestion, DnsState
from holdfast.drivers.dns_report import dns_report
from holdfast.node.dhcp import DhcpNode


def report(count_max: int = 100) -> DnsState:
    """Of a server that registered one name, was refused one, removes one, and has one that waits."""
    made, dns = world(), MadeUpDns()
    for number, text in enumerate(("desk", "desk", "chair")):
        Client(number).gets(made, name(text))
        let_dns_work(made, dns)
    dns.down = {"example.test"}
    made.say(Client(2).release("10.0.0.12"))
    Client(3).gets(made, name("lamp"))
    let_dns_work(made, dns)
    node = DhcpNode(made.organisation, "ns1", [])
    node.server = made.server
    return asyncio.run(dns_report(node, DnsQuestion(count_max), offset_s=100.0))


def test_what_is_not_as_it_should_be() -> None:
    found = report()
    assert (found.is_on, found.in_flight_count) == (True, 0)
    assert (found.registered_count, found.refused_count, found.removal_count, found.waiting_count) == (
        1,
        1,
        1,
        1,
    )
    assert set(found.names) == {
        DnsNameState("10.0.0.11", "desk.example.test", "refused", "02:00:00:00:00:01"),
        DnsNameState("10.0.0.12", "chair.example.test", "to be removed", "02:00:00:00:00:02"),
        DnsNameState("10.0.0.13", "lamp.example.test", "waits", "02:00:00:00:00:03"),
    }
    zones = {each.zone: each for each in found.zones}
    assert (zones[REVERSE].reason, zones[REVERSE].failing_since, zones[REVERSE].retry_at) == ("", None, None)
    failing = zones["example.test"]
    assert "no answer within 3 s" in failing.reason
    assert failing.waiting_count == 2
    assert failing.failing_since is not None
    assert failing.retry_at is not None
    assert failing.retry_at > failing.failing_since > 1_700_000_000


def test_the_list_is_bounded_and_the_counts_are_not() -> None:
    found = report(1)
    assert (len(found.names), found.removal_count, found.waiting_count) == (1, 1, 1)
