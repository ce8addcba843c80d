"""The words between nodes and drivers are plain values."""

from __future__ import annotations

from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Close, CommitQueue, Peer, Send
from holdfast.transport.queue import TrackOnly


def test_outputs_are_compared_by_value() -> None:
    assert Send(ConnectionId(1), b"x") == Send(ConnectionId(1), b"x")
    assert Close(ConnectionId(1)) != Close(ConnectionId(2))
    assert CommitQueue([TrackOnly("a")]) == CommitQueue([TrackOnly("a")])


def test_a_peer_is_where_it_came_from_and_to() -> None:
    peer = Peer("198.51.100.7", 1234, "192.0.2.1", 25, tls=False)
    assert (peer.address, peer.local_port, peer.tls) == ("198.51.100.7", 25, False)
