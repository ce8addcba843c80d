"""What Prometheus reads of the dhcp role."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from dhcp.conversations import LINK, NOW, Client, organisation
from holdfast.dhcp.desk import Arrival
from holdfast.drivers.dhcp_metrics import show_dhcp
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
