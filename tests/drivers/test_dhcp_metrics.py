"""What Prometheus reads of the dhcp role."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from dhcp.conversations import LINK, NOW, Client, organisation
from holdfast.dhcp.desk import Arrival
from holdfast.drivers.dhcp_metrics import show_dhcp
from holdfast.drivers.failover_requests import FailoverState, SharedScope
from holdfast.node.dhcp import DhcpNode
from holdfast.wire.dhcp4 import encode_message


def test_answers_drops_and_addresses() -> None:
    node = DhcpNode(organisation(), "ns1", [])
    node.links_changed([LINK])
    registry = CollectorRegistry()
    show_dhcp(node, registry).commit_counts["done"] += 3
    node.datagrams_received(NOW, [Arrival(encode_message(Client(1).discover()), 2, bytes(4), False)])
    node.datagrams_received(NOW, [Arrival(b"x", 2, bytes(4), False)])
    text = generate_latest(registry).decode()
    for line in (
        'holdfast_dhcp_messages_total{kind="OFFER"} 1.0',
        'holdfast_dhcp_dropped_total{reason="malformed"} 1.0',
        'holdfast_dhcp_commits_total{outcome="done"} 3.0',
        'holdfast_dhcp_addresses{scope="office",state="free"} 9.0',
        'holdfast_dhcp_addresses{scope="office",state="offered"} 1.0',
    ):
        assert line in text.splitlines(), text


def test_failover_relationships() -> None:
    registry = CollectorRegistry()
    collector = show_dhcp(DhcpNode(organisation(), "ns1", []), registry)
    assert "failover" not in generate_latest(registry).decode()
    collector.failover_states = lambda: [
        FailoverState(
            "pair", True, "NORMAL", 1.0, "NORMAL", 1.0, True, 2.0, 0.5, 3, 1.5, "", None,
            (SharedScope("office", 4, 5, 5),), "",
        ),
        FailoverState("new", False, "RECOVER", 1.0, "", None, False, None, None, 0, 0.0, "", None, (), "x"),
    ]  # fmt: skip
    lines = generate_latest(registry).decode().splitlines()
    for line in (
        'holdfast_dhcp_failover_connected{relationship="pair"} 1.0',
        'holdfast_dhcp_failover_connected{relationship="new"} 0.0',
        'holdfast_dhcp_failover_state{relationship="pair",side="partner",state="NORMAL"} 1.0',
        'holdfast_dhcp_failover_untold{relationship="pair"} 3.0',
        'holdfast_dhcp_failover_oldest_untold_seconds{relationship="pair"} 1.5',
        'holdfast_dhcp_failover_clock_difference_seconds{relationship="pair"} 0.5',
        'holdfast_dhcp_failover_free{relationship="pair",scope="office",side="partner"} 5.0',
    ):
        assert line in lines, lines
    assert not any('clock_difference_seconds{relationship="new"}' in line for line in lines)


def test_names_in_dns() -> None:
    node = DhcpNode(organisation(), "ns1", [])
    registry = CollectorRegistry()
    show_dhcp(node, registry)
    registrar = node.server.registrar
    registrar.counts["add address: done"] += 2
    registrar.zones.of_name("desk.example.test").failed(NOW, "answers REFUSED", 9005)
    text = generate_latest(registry).decode()
    for line in (
        'holdfast_dhcp_dns_updates_total{outcome="done",what="add address"} 2.0',
        "holdfast_dhcp_dns_waiting 0.0",
        'holdfast_dhcp_dns_zone_failing{zone="example.test"} 1.0',
    ):
        assert line in text.splitlines(), text
