"""Gauges of queues and back pressure, as Prometheus reads them."""

from __future__ import annotations

import random

from prometheus_client import REGISTRY

from holdfast.directory.defaults import DemonstrationPorts, demonstration_organisation
from holdfast.directory.model import Resource
from holdfast.drivers.queue_metrics import show_administration
from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.node.transport import TransportNode
from holdfast.transport.back_pressure import Reading
from holdfast.transport.queue import QueuedMessage, RecoveredQueue


def test_gauges_tell_of_the_moment_they_are_read() -> None:
    organisation = demonstration_organisation(
        server_name="demo",
        fqdn="demo.example.test",
        alice=MailboxId("a" * 32),
        bob=MailboxId("b" * 32),
        ports=DemonstrationPorts(),
    )
    message = QueuedMessage(
        1, NetworkMessageId("1"), 0.0, "", ("alice@example.test",), 9, None, "<m>", "s", b"1"
    )
    node = TransportNode(organisation, "demo", RecoveredQueue((message,), 2, {}), random.Random(1))
    show_administration(node.administration)
    node.started(0.0)

    def value(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(name, labels)

    assert value("holdfast_queued_parts", delivery_type="mailbox") == 1.0
    assert value("holdfast_queued_parts", delivery_type="dns") == 0.0
    assert value("holdfast_back_pressure_refuses") == 0.0
    node.resources_sampled(0.0, {Resource.QUEUE_DISK: Reading(99.5)})
    assert value("holdfast_back_pressure_level", resource="queue-disk") == 2.0
    assert value("holdfast_back_pressure_level", resource="log-disk") == 0.0
    assert value("holdfast_resource_use", resource="queue-disk") == 99.5
    assert value("holdfast_back_pressure_refuses") == 2.0
