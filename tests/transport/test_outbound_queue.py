"""How many connections a queue has: none too few, none too many, and not all at once."""

from __future__ import annotations

import pytest

from holdfast.kernel.ids import ConnectionId, NetworkMessageId
from holdfast.transport.host_health import Choice
from holdfast.transport.next_hop import Host
from holdfast.transport.outbound_queue import OutboundConnection, OutboundQueue, QueueStatus
from holdfast.transport.outbound_session import OutboundSession
from holdfast.transport.queue import DeliveryType, Entry, NextHopKey, QueuedMessage

KEY = NextHopKey(DeliveryType.DNS, "other.test", "out")


def queue(waiting: int, ready: int, connecting: int) -> OutboundQueue:
    lane = OutboundQueue(KEY)
    message = QueuedMessage(1, NetworkMessageId("n"), 0.0, "", ("a@x",), 9, None, "", "", b"")
    for _ in range(waiting):
        lane.put(Entry(message, 0.0, ("a@x",)), ("a@x",))
    for number in range(ready + connecting):
        choice = Choice(Host("mx.test", ("192.0.2.1",), 25), "192.0.2.1")
        session = OutboundSession(ehlo_name="us.test")
        connection = OutboundConnection(ConnectionId(-number), lane, choice, session, ready=number < ready)
        lane.connections[connection.connection_id] = connection
        assert (connection.host, connection.address) == ("mx.test", "192.0.2.1")
    return lane


@pytest.mark.parametrize(
    ("waiting", "ready", "connecting", "wanted"),
    [
        (0, 0, 0, 0),
        (1, 0, 0, 1),  # the first message goes at once
        (5, 0, 0, 1),  # and with it one connection, not five
        (5, 0, 1, 0),
        (1, 1, 0, 1),  # the one that stands is busy
        (5, 1, 1, 1),
        (100, 1, 0, 2),  # one more for each that stands
        (100, 5, 3, 2),  # the limit is near
        (100, 9, 0, 1),  # the limit
        (100, 10, 0, 0),
    ],
)
def test_connections_wanted(waiting: int, ready: int, connecting: int, wanted: int) -> None:
    assert queue(waiting, ready, connecting).wanted_count(10) == wanted


def test_what_it_is_doing() -> None:
    lane = queue(1, 0, 0)
    assert lane.status(5.0) is QueueStatus.READY
    assert queue(1, 1, 0).status(5.0) is QueueStatus.ACTIVE
    lane.not_before = 9.0
    assert lane.status(5.0) is QueueStatus.RETRY
    assert not lane.may_send(5.0)
    assert lane.may_send(9.0)
    lane.held = True
    assert lane.status(5.0) is QueueStatus.SUSPENDED
    assert not lane.may_send(99.0)
