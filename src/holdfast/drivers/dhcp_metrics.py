"""What the dhcp role counts, for Prometheus; read when somebody asks, so that counting costs nothing more.

Labels are few: kinds of messages, reasons, scopes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from holdfast.dhcp.lease import ABANDONED, ACTIVE
from holdfast.dhcp.registrar import Registrar
from holdfast.drivers.failover_requests import FailoverState
from holdfast.node.dhcp import DhcpNode


class DhcpCollector(Collector):
    """Tells of one node."""

    def __init__(self, node: DhcpNode) -> None:
        self._node = node
        self.commit_counts = {"done": 0, "failed": 0}
        # How failover relationships are; set by whoever knows, None where nobody does.
        self.failover_states: Callable[[], list[FailoverState]] | None = None

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
            addresses.add_metric([name, "active"], state.counts[ACTIVE] + state.reserved_counts[ACTIVE])
            addresses.add_metric(
                [name, "declined"], state.counts[ABANDONED] + state.reserved_counts[ABANDONED]
            )
            addresses.add_metric([name, "offered"], len(state.offers))
        yield addresses
        yield from _dns_metrics(server.registrar)
        if self.failover_states is not None:
            yield from _failover_metrics(self.failover_states())


def _failover_metrics(states: list[FailoverState]) -> Iterable[Metric]:
    connected = GaugeMetricFamily(
        "holdfast_dhcp_failover_connected", "Whether the partner speaks with us.", labels=["relationship"]
    )
    state = GaugeMetricFamily(
        "holdfast_dhcp_failover_state",
        "1 for the state that each side of a relationship is in; the partner's as it said last.",
        labels=["relationship", "side", "state"],
    )
    untold = GaugeMetricFamily(
        "holdfast_dhcp_failover_untold",
        "Leases that the partner has not acknowledged yet.",
        labels=["relationship"],
    )
    oldest = GaugeMetricFamily(
        "holdfast_dhcp_failover_oldest_untold_seconds",
        "For how long the oldest lease waits that the partner has not acknowledged.",
        labels=["relationship"],
    )
    difference = GaugeMetricFamily(
        "holdfast_dhcp_failover_clock_difference_seconds",
        "By how much the partner's clock is ahead of ours, when it last spoke.",
        labels=["relationship"],
    )
    free = GaugeMetricFamily(
        "holdfast_dhcp_failover_free",
        "Free addresses of a shared scope by whose they are to lease.",
        labels=["relationship", "scope", "side"],
    )
    for each in states:
        name = each.relationship
        connected.add_metric([name], float(each.connected))
        state.add_metric([name, "own", each.state], 1.0)
        if each.partner_state:
            state.add_metric([name, "partner", each.partner_state], 1.0)
        untold.add_metric([name], each.untold_count)
        oldest.add_metric([name], each.oldest_untold_s)
        if each.clock_difference_s is not None:
            difference.add_metric([name], each.clock_difference_s)
        for scope in each.scopes:
            free.add_metric([name, scope.scope, "own"], scope.own_free_count)
            free.add_metric([name, scope.scope, "partner"], scope.partner_free_count)
    yield from (connected, state, untold, oldest, difference, free)


def _dns_metrics(registrar: Registrar) -> Iterable[Metric]:
    updates = CounterMetricFamily(
        "holdfast_dhcp_dns_updates",
        "What was done in DNS for leases, and what came of it.",
        labels=["what", "outcome"],
    )
    for what, count in registrar.counts.items():
        updates.add_metric(what.split(": "), count)
    waiting = GaugeMetricFamily(
        "holdfast_dhcp_dns_waiting", "Addresses whose names in DNS are not as they should be yet."
    )
    waiting.add_metric([], registrar.waiting_count)
    failing = GaugeMetricFamily(
        "holdfast_dhcp_dns_zone_failing", "Whether a zone takes no updates now.", labels=["zone"]
    )
    for zone in registrar.zones.by_name.values():
        failing.add_metric([zone.name], int(bool(zone.failure_count)))
    yield from (updates, waiting, failing)


def show_dhcp(node: DhcpNode, registry: CollectorRegistry = REGISTRY) -> DhcpCollector:
    """Have the metrics of this process tell of a node."""
    collector = DhcpCollector(node)
    registry.register(collector)
    return collector
