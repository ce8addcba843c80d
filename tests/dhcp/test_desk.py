"""What becomes of answers and records by a commit."""

from __future__ import annotations

from dhcp.conversations import NOW, Client, World
from holdfast.dhcp.desk import Arrival
from holdfast.wire.dhcp4 import encode_message


def test_answers_and_records_wait_for_the_commit() -> None:
    world, client = World(), Client(1)
    world.say(client.discover())
    server = world.server
    server.receive(NOW, [Arrival(encode_message(client.select("10.0.0.10")), 2, bytes(4), False)])
    assert (len(server.replies), len(server.waiting), len(server.writes), server.records) == (0, 1, 1, [])
    server.committed(NOW)
    assert (len(server.replies), len(server.waiting), len(server.writes), len(server.records)) == (1, 0, 0, 1)


def test_a_failed_commit_says_how_many_were_not_answered() -> None:
    world = World()
    clients = [Client(number) for number in range(3)]
    for client in clients:
        world.say(client.discover())
    world.server.receive(
        NOW,
        [
            Arrival(encode_message(client.select(f"10.0.0.1{at}")), 2, bytes(4), False)
            for at, client in enumerate(clients)
        ],
    )
    assert world.server.commit_failed() == 3
    assert (world.server.waiting, world.server.writes, world.server.records) == ([], [], [])
