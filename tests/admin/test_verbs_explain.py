"""``message explain`` on the demonstration organisation, with and without the transport role."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.directory.model import Resource, SendConnector
from holdfast.directory.plan import plan_change
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.drivers.tls import ensure_certificate
from holdfast.drivers.transport_requests import TransportRequests
from holdfast.kernel.errors import Refusal
from holdfast.node.administration import QueueTarget
from holdfast.node.ports import CommitQueue
from holdfast.node.transport import TransportNode
from holdfast.transport.back_pressure import Reading
from holdfast.transport.queue import DeliveryType, NextHopKey, RecoveredQueue

NOW = 1_800_000_000.0
Call = Callable[..., Any]


@pytest.fixture
def port(store: DirectoryStore, tmp_path: Path) -> int:
    """The port of the door that takes mail from this machine; a smart host takes what leaves."""
    ensure_certificate(tmp_path / "tls", ("demo.example.test",))
    before = store.read()
    smart = SendConnector("smart", ("*",), smart_hosts=("[192.0.2.7]",), source_servers=("demo",))
    store.apply(plan_change(before, replace(before, send_connectors=(smart,))), who="t", why="", at=NOW)
    internet = before.receive_connectors[0]
    return int(internet.bindings[0].rpartition(":")[2])


@pytest.fixture
def node(port: int, store: DirectoryStore, world: Any) -> TransportNode:
    node = TransportNode(store.read(), "demo", RecoveredQueue((), 1, {}), random.Random(1))
    node.started(NOW)
    requests = TransportRequests(node, node.outputs.clear)
    world.transport = lambda verb, body: asyncio.run(requests.answer(verb, body))
    return node


def explain(call: Call, port: int, *recipients: str, **more: Any) -> Any:
    given = {
        "client_ip": "127.0.0.1",
        "sender": "x@elsewhere.example.net",
        "recipient": list(recipients),
        "port": port,
        **more,
    }
    return call("message explain", **given)


def test_a_message_into_a_mailbox(call: Call, port: int, node: TransportNode) -> None:
    shown = explain(call, port, "alice@example.test", "nobody@example.test")
    assert shown.receive_connector
    assert "demo.example.test" in shown.certificate_shown
    assert {row.subject: row.code for row in shown.replies} == {
        "MAIL FROM:<x@elsewhere.example.net>": 250,
        "size": 250,
        "recipients": 250,
        "RCPT TO:<alice@example.test>": 250,
        "RCPT TO:<nobody@example.test>": 550,
    }
    assert [(row.queue, row.recipients) for row in shown.copies] == [("mailbox:DB01", ["alice@example.test"])]
    assert (shown.notes, shown.hosts) == ([], [])


def test_a_message_that_leaves(call: Call, port: int, node: TransportNode, store: DirectoryStore) -> None:
    submission = next(
        each for each in store.read().receive_connectors if "client" in each.usage.value
    ).bindings[0]
    shown = explain(
        call,
        int(submission.rpartition(":")[2]),
        "someone@elsewhere.example.net",
        signed_in="alice@example.test",
        sender="alice@example.test",
    )
    (copy,) = shown.copies
    assert (copy.queue, copy.send_connector, copy.found_by) == ("smart-host:smart", "smart", "smart host")
    (host,) = shown.hosts
    assert (host.address, host.port, host.state) == ("192.0.2.7", 25, "not tried yet")
    (connector,) = shown.send_connectors
    assert (connector.send_connector, connector.chosen, connector.why_not) == ("smart", True, "")


def test_a_queue_that_is_held_or_waits_is_told(call: Call, port: int, node: TransportNode) -> None:
    """Explain named hosts and said nothing of a queue that an administrator had stopped."""
    held = NextHopKey(DeliveryType.MAILBOX, "DB01")
    node.store_connected(NOW, "DB01")
    node.administration.hold(NOW, QueueTarget(str(held)))
    _write_down(node)
    (copy,) = explain(call, port, "alice@example.test").copies
    assert copy.problem == "the queue is held, nothing leaves it before: holdfast queue release mailbox:DB01"
    node.administration.release(NOW, QueueTarget(str(held)))
    _write_down(node)
    (copy,) = explain(call, port, "alice@example.test").copies
    assert copy.problem == ""


def _write_down(node: TransportNode) -> None:
    """What an administrator did becomes durable."""
    node.administered(NOW)
    outputs, node.outputs = node.outputs, []
    for output in outputs:
        if isinstance(output, CommitQueue):
            node.queue_committed(NOW, output.writes)


def test_back_pressure_is_told(call: Call, port: int, node: TransportNode) -> None:
    node.resources_sampled(NOW, {Resource.QUEUE_DISK: Reading(99.5)})
    shown = explain(call, port, "alice@example.test")
    assert "back pressure: mail from everybody is put off (452 4.3.1)" in shown.notes[0]


def test_without_the_transport_role_the_rest_is_explained(call: Call, port: int) -> None:
    shown = explain(call, port, "alice@example.test")
    assert [row.queue for row in shown.copies] == ["mailbox:DB01"]
    assert "back pressure is not known: the transport role is not running" in shown.notes[0]


def test_what_cannot_be_explained_is_said(call: Call, port: int) -> None:
    with pytest.raises(Refusal, match="more than the 1000"):
        explain(call, port, *(f"a{number}@example.test" for number in range(1001)))
    with pytest.raises(Refusal, match="not an IP address"):
        explain(call, port, "alice@example.test", client_ip="here")
    nobody = explain(call, 9, "alice@example.test", sender="<>")
    assert (nobody.receive_connector, nobody.certificate_shown, nobody.replies) == ("", "", [])
    assert nobody.other_connectors
