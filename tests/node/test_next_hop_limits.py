"""How many connections to next hops there may be, how fast they are opened, and what one of them carries."""

from __future__ import annotations

import random
from dataclasses import replace

from holdfast.directory.model import Organisation, SendConnector, Server, Site
from holdfast.kernel.ids import ConnectionId, NetworkMessageId
from holdfast.node.ports import Close, CommitQueue, Connect, ReadQueued, Send
from holdfast.node.transport import TransportNode
from holdfast.transport.queue import QueuedMessage, RecoveredQueue
from holdfast.transport.tracking import parse_lines

DATA = b"Subject: x\r\n\r\nx\r\n"
ORGANISATION = Organisation(
    sites=(Site("here"),),
    servers=(Server("mx", "mx.example.test", "here"),),
    send_connectors=tuple(
        SendConnector(f"c{number}", (f"d{number}.test",), (f"192.0.2.{number}",)) for number in range(1, 7)
    ),
)


def message(number: int, domain: str) -> QueuedMessage:
    return QueuedMessage(
        number=number,
        network_message_id=NetworkMessageId(f"{number:032x}"),
        received_at=0.0,
        reverse_path="x@example.org",
        recipients=(f"bob@{domain}",),
        size_bytes=len(DATA),
        data=None,
        message_id="<m>",
        subject="s",
        fingerprint=b"",
    )


class World:
    """A node, and next hops that greet at once and take everything."""

    def __init__(self, organisation: Organisation, *messages: QueuedMessage, **more: object) -> None:
        self.now = 0.0
        recovered = RecoveredQueue(messages, 100, {}, **more)  # type: ignore[arg-type]  # few are given
        self.node = TransportNode(organisation, "mx", recovered, random.Random(1))
        self.connects: list[ConnectionId] = []
        self.closed: list[ConnectionId] = []
        self.events: list[str] = []
        self.mail_count: dict[ConnectionId, int] = {}

    def act(self, *, answer: bool) -> None:
        """Do what the node wants; without ``answer`` next hops stay silent."""
        while self.node.outputs:
            outputs, self.node.outputs = self.node.outputs, []
            for output in outputs:
                match output:
                    case Connect(connection_id):
                        self.connects.append(connection_id)
                        if answer:
                            self.node.outbound_connected(self.now, connection_id)
                            self.node.bytes_received(self.now, connection_id, b"220 hop\r\n")
                    case Close(connection_id):
                        self.closed.append(connection_id)
                        self.node.connection_lost(self.now, connection_id)
                    case Send(connection_id, data) if connection_id < 0:
                        self.node.bytes_received(self.now, connection_id, self.answers(connection_id, data))
                    case ReadQueued(numbers):
                        for number in numbers:
                            self.node.queued_read(self.now, number, DATA)
                    case CommitQueue(writes):
                        for write in writes:
                            self.events += [each.event_id.value for each in parse_lines(write.tracking)]
                        self.node.queue_committed(self.now, writes)

    def answers(self, connection_id: ConnectionId, data: bytes) -> bytes:
        """One step after the other: the hop offers no extension, so each write is a command or a body."""
        if data.startswith(b"MAIL"):
            self.mail_count[connection_id] = self.mail_count.get(connection_id, 0) + 1
        return b"354 go on\r\n" if data.startswith(b"DATA") else b"250 2.0.0 ok\r\n"


def world_of(organisation: Organisation) -> World:
    """One message for each of six next hops."""
    return World(organisation, *(message(number, f"d{number}.test") for number in range(1, 7)))


def test_connections_in_all_are_bounded() -> None:
    world = world_of(replace(ORGANISATION, outbound_connection_count_max=4))
    world.node.started(0.0)
    world.act(answer=False)
    assert len(world.connects) == 4
    world.node.connection_lost(0.0, world.connects[0], "refused")
    world.now = 1.0
    world.node.timer(1.0)
    world.act(answer=False)
    assert len(world.connects) == 5


def test_new_connections_a_minute_are_bounded() -> None:
    world = world_of(replace(ORGANISATION, outbound_connection_rate_max=3))
    world.node.started(0.0)
    world.act(answer=False)
    assert len(world.connects) == 3
    world.now = 20.0  # a third of a minute: one more
    world.node.timer(20.0)
    world.act(answer=False)
    assert len(world.connects) == 4


def test_a_connection_carries_twenty_messages() -> None:
    connector = SendConnector("c", ("d.test",), ("192.0.2.1",), connection_count_per_domain_max=1)
    organisation = replace(ORGANISATION, send_connectors=(connector,))
    world = World(organisation, *(message(number, "d.test") for number in range(1, 51)))
    world.node.started(0.0)
    world.act(answer=True)
    assert list(world.mail_count.values()) == [20, 20, 10]
    assert world.closed == world.connects[:2]
    assert world.events.count("SEND") == 50


def test_a_message_over_which_the_role_died_twice_is_set_aside() -> None:
    world = World(ORGANISATION, message(1, "d1.test"), message(2, "d2.test"), crash_counts={1: 2, 2: 1})
    world.node.started(0.0)
    world.act(answer=True)
    assert world.events.count("POISONMESSAGE") == 1
    assert len(world.connects) == 1  # the other one goes out
    assert world.node.queued_message_count == 1
