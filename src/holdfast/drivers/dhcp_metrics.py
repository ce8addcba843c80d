"""What the dhcp role counts, for Prometheus; read when somebody asks, so that counting costs nothing more.

Labels are few: kinds of messages, reasons, scopes.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from holdfast.dhcp.lease import ABANDONED, ACTIVE
from holdfast.node.dhcp import DhcpNode


class DhcpCollector(Collector):
    """Tells of one node."""

    def __init__(self, node: DhcpNode) -> None:
        self._node = node
        self.commit_counts = {"done": 0, "failed": 0}

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        server = self._node.server
        answered = CounterMetricFamily(
            "holdfast_dhcp_messages",
            "What messages of clients led to: an answer by its kind, or what was told; ACK counts leases.",
            labels=["kind"],
        )
        for kind, count in server.counts.items():
            answered.add_metric([kind], count)
        dropped = CounterMetricFamily(
            "holdfast_dhcp_dropped", "Messages of clients that led to nothing, by reason.", labels=["reason"]
        )
        for reason, count in server.dropped.items():
            dropped.add_metric([reason], count)
        commits = CounterMetricFamily(
            "holdfast_dhcp_commits", "Group commits of the lease database, by outcome.", labels=["outcome"]
        )
        for outcome, count in self.commit_counts.items():
            commits.add_metric([outcome], count)
        yield from (answered, dropped, commits)
        addresses = GaugeMetricFamily(
            "holdfast_dhcp_addresses",
            "Addresses of a scope by state; free are those of the pools that anybody may get.",
            labels=["scope", "state"],
        )
        for state in server.table.scopes:
            name = state.served.name
            addresses.add_metric([name, "free"], state.free_count)
            addresses.add_metric([name, "active"], state.counts[ACTIVE] + state.counts[0])
            addresses.add_metric([name, "declined"], state.counts[ABANDONED])
            addresses.add_metric([name, "offered"], len(state.offers))
        yield addresses


def show_dhcp(node: DhcpNode, registry: CollectorRegistry = REGISTRY) -> DhcpCollector:
    """Have the metrics of this process tell of a node."""
    collector = DhcpCollector(node)
    registry.register(collector)
    return collector
