"""Gauges of queues and back pressure, as Prometheus reads them."""

from __future__ import annotations

import random

from prometheus_client import REGISTRY

from holdfast.directory.defaults import DemonstrationPorts, demonstration_organisation
from holdfast.directory.model import Resource
from holdfast.drivers.queue_metrics import show_administration, show_shadows
from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.node.transport import TransportNode
from holdfast.transport.back_pressure import Reading
from holdfast.transport.queue import QueuedMessage, RecoveredQueue
from node.pair import Pair


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


def test_gauges_of_copies_on_both_sides() -> None:
    pair = Pair()
    pair.wait(1.0)
    mail1, mail2 = pair.sides.values()
    mail1.stores_up = False
    mail1.do(mail1.node.store_lost, "db1")
    mail1.send("user1@example.test")
    pair.move()

    def values() -> dict[str, float | None]:
        names = ("messages_protected", "messages_unprotected", "shadow_copies_held", "messages_taken_over")
        return {name: REGISTRY.get_sample_value(f"holdfast_{name}") for name in names}

    show_shadows(mail1.node.shadow_report)
    assert values() == {
        "messages_protected": 1.0,
        "messages_unprotected": 0.0,
        "shadow_copies_held": 0.0,
        "messages_taken_over": 0.0,
    }
    assert REGISTRY.get_sample_value("holdfast_messages_refused_unprotected") == 0.0
    assert REGISTRY.get_sample_value("holdfast_messages_sent_by_both") == 0.0
    show_shadows(mail2.node.shadow_report)
    assert values()["shadow_copies_held"] == 1.0
    mail1.die()
    mail2.node.shadow_report.declare_lost(pair.now, "mail1")
    mail2.do(mail2.node.timer)
    pair.move()
    assert values()["messages_taken_over"] == 1.0
