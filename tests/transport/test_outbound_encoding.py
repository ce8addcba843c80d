"""Large messages are encoded in steps, one after the other, for connections that still want them."""

from __future__ import annotations

import email
from dataclasses import replace

from holdfast.kernel.ids import ConnectionId
from holdfast.wire.seven_bit import STEP_BYTES
from node.next_hops import Hop, World, data_of, queued


def test_a_large_message_is_encoded_step_by_step_while_others_go_on() -> None:
    text = "grüße\r\n".encode() * (10 * STEP_BYTES // 9)
    header = b"Subject: l\r\n\r\n"
    large = replace(queued(1, "bob@other.test"), data=header + text, size_bytes=len(text))
    refused = replace(
        queued(2, "bob@other.test"),
        data=b"MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: x\r\n\r\n"
        + text,
    )
    world = World(large, refused, queued(3, "carol@other.test"))
    hop = Hop()
    world.make_hop = lambda _: hop
    world.settle()
    assert world.goes_on_count == 1
    assert hop.taken == [data_of(3)]
    steps = 0
    while world.goes_on_count:
        world.goes_on_count -= 1
        # A timer that comes in between adds nothing.
        world.do(world.node.timer)
        world.do(world.node.go_on)
        world.settle()
        assert world.goes_on_count <= 1
        steps += 1
    assert steps > 10
    assert len(hop.taken) == 2
    assert email.message_from_bytes(hop.taken[1]).get_payload(decode=True) == text
    assert world.event_ids().count("FAIL") == 1
    world.settle()
    assert not [each for each in world.disk.values() if each.reverse_path]


def test_a_connection_that_ends_while_its_message_is_encoded_leaves_the_message_waiting() -> None:
    text = "grüße\r\n".encode() * (10 * STEP_BYTES // 9)
    world = World(replace(queued(1, "bob@other.test"), data=b"Subject: l\r\n\r\n" + text))
    hop = Hop()
    world.make_hop = lambda _: hop
    world.settle()
    world.do(world.node.connection_lost, ConnectionId(-1), "the connection was reset")
    world.settle()
    while world.goes_on_count:
        world.goes_on_count -= 1
        world.do(world.node.go_on)
        world.settle()
    assert world.disk[1].recipients == ("bob@other.test",)
    assert world.noted == []  # not a byte of it left us
    for _ in range(3):
        world.wait(100.0)
        while world.goes_on_count:
            world.goes_on_count -= 1
            world.do(world.node.go_on)
            world.settle()
    assert len(hop.taken) == 1
    assert not world.disk
