"""Byte streams that are cut, held up and broken."""

from __future__ import annotations

import pytest

from holdfast.sim.network import Endpoint, Network, Receiver
from holdfast.sim.scenario import Rates
from holdfast.sim.world import World


class End:
    """Writes down what one end of a connection hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.data = b""
        self.pieces = 0
        self.endpoint: Endpoint

    def opened(self) -> None:
        self.heard.append("opened")

    def received(self, data: bytes) -> None:
        self.data += data
        self.pieces += 1

    def ended(self) -> None:
        self.heard.append("ended")

    def lost(self) -> None:
        self.heard.append("lost")


class Wire:
    """A client and a server, connected."""

    def __init__(self, seed: int = 1, delay_s: float = 0.01, segment_bytes_max: int = 10) -> None:
        self.world = World(seed)
        self.network = Network(self.world, Rates(delay_s=delay_s, segment_bytes_max=segment_bytes_max))
        self.client, self.server = End(), End()
        self.network.listen("server", self.accept)
        self.client.endpoint = self.network.connect("client", "server", self.client)

    def accept(self, endpoint: Endpoint) -> Receiver:
        self.server.endpoint = endpoint
        return self.server

    def run(self, span_s: float = 60.0) -> None:
        until = self.world.now + span_s
        while self.world.step(until):
            pass


DATA = bytes(range(256)) * 8


def test_bytes_arrive_in_order_in_other_pieces() -> None:
    wire = Wire()
    wire.run()
    wire.client.endpoint.send(DATA)
    wire.client.endpoint.send(b"and more")
    wire.server.endpoint.send(b"answer")
    wire.run()
    assert wire.client.heard == ["opened"]
    assert wire.server.data == DATA + b"and more"
    assert wire.client.data == b"answer"
    assert wire.server.pieces > 10


def test_a_connection_to_nobody_is_lost() -> None:
    wire = Wire()
    wire.run()
    nobody = End()
    nobody.endpoint = wire.network.connect("client", "nowhere", nobody)
    wire.run()
    wire.network.listen("server", None)
    refused = End()
    refused.endpoint = wire.network.connect("client", "server", refused)
    wire.run()
    assert nobody.heard == refused.heard == ["lost"]


def test_a_listener_may_refuse() -> None:
    wire = Wire()
    wire.network.listen("door", lambda endpoint: None)
    client = End()
    wire.network.connect("client", "door", client)
    wire.run()
    assert client.heard == ["lost"]


def test_a_client_that_gave_up_before_the_connection_stood_is_not_accepted() -> None:
    wire = Wire()
    wire.client.endpoint.abort()
    wire.run()
    assert wire.client.heard == []
    assert not hasattr(wire.server, "endpoint")


def test_closing_delivers_what_was_written_and_then_says_so_at_both_ends() -> None:
    wire = Wire()
    wire.run()
    wire.server.endpoint.send(DATA)
    wire.server.endpoint.close()
    wire.server.endpoint.send(b"too late")
    wire.run()
    assert wire.client.data == DATA
    assert wire.client.heard == ["opened", "ended"]
    assert wire.server.heard == ["lost"]
    wire.client.endpoint.close()
    wire.run()
    assert wire.client.heard == ["opened", "ended", "lost"]
    assert wire.network.open_connections() == []


def test_half_a_connection_may_be_ended() -> None:
    wire = Wire()
    wire.run()
    wire.client.endpoint.send(b"question")
    wire.client.endpoint.end()
    wire.run()
    assert (wire.server.data, wire.server.heard) == (b"question", ["ended"])
    wire.server.endpoint.send(b"answer")
    wire.run()
    assert wire.client.data == b"answer"


def test_bytes_for_a_closed_end_come_back_as_a_reset() -> None:
    wire = Wire()
    wire.run()
    wire.server.endpoint.close()
    wire.client.endpoint.send(b"crossing")
    wire.run()
    assert wire.client.heard[-1] == "lost"
    assert wire.server.data == b""
    wire.client.endpoint.send(b"to a socket that is gone")
    wire.client.endpoint.close()
    wire.client.endpoint.end()
    wire.client.endpoint.abort()


def test_a_process_that_dies_may_take_the_last_bytes_with_it() -> None:
    arrived = set()
    for seed in range(30):
        wire = Wire(seed)
        wire.run()
        wire.server.endpoint.send(DATA)
        wire.server.endpoint.abort()
        wire.run()
        assert wire.client.heard == ["opened", "lost"]
        assert wire.server.heard == []
        assert DATA.startswith(wire.client.data)
        arrived.add(len(wire.client.data))
    assert len(arrived) > 5


def test_an_end_that_vanishes_behind_a_partition_is_noticed_by_writing_to_it() -> None:
    wire = Wire()
    wire.run()
    wire.network.hold("client", "server", 10.0)
    wire.client.endpoint.vanish()
    wire.run()
    assert wire.server.heard == []
    wire.server.endpoint.send(b"anybody there?")
    wire.run()
    assert wire.server.heard == ["lost"]


def test_an_end_that_vanishes_in_the_open_is_heard() -> None:
    wire = Wire()
    wire.run()
    wire.client.endpoint.vanish()
    wire.run()
    assert wire.server.heard == ["lost"]


def test_a_paused_end_takes_nothing_until_it_resumes() -> None:
    wire = Wire()
    wire.run()
    wire.server.endpoint.pause()
    wire.client.endpoint.send(DATA)
    wire.run()
    assert wire.server.data == b""
    wire.server.endpoint.resume()
    wire.run()
    assert wire.server.data == DATA


def test_a_partition_holds_up_one_direction_until_it_ends() -> None:
    wire = Wire()
    wire.run()
    wire.network.hold("client", "server", 10.0)
    wire.client.endpoint.send(b"held")
    wire.server.endpoint.send(b"free")
    wire.run(9.0)
    assert (wire.server.data, wire.client.data) == (b"", b"free")
    wire.run(2.0)
    assert wire.server.data == b"held"


@pytest.mark.parametrize(("span_s", "heard"), [(1.0, ["opened"]), (100.0, ["lost"])])
def test_connecting_through_a_partition_waits_or_fails(span_s: float, heard: list[str]) -> None:
    wire = Wire()
    wire.run()
    wire.network.hold("server", "client", span_s)
    late = End()
    wire.network.connect("client", "server", late)
    wire.run(50.0)
    assert late.heard == heard
    wire.network.heal()
    assert wire.network.held_s("server", "client") == 0


def test_a_reset_is_heard_at_both_ends() -> None:
    wire = Wire()
    wire.network.reset_one()
    wire.run()
    wire.network.reset_one()
    wire.run()
    assert (wire.client.heard, wire.server.heard) == (["opened", "lost"], ["lost"])


def test_a_connection_comes_to_the_listener_of_its_port() -> None:
    wire = Wire()
    came: list[int] = []

    def accept(endpoint: Endpoint) -> Receiver | None:
        came.append(endpoint.port)
        return None

    wire.network.listen("server", accept, 2525)
    for port in (2525, 2526):
        wire.network.connect("client", "server", End(), port)
    wire.run()
    assert came == [2525]


def test_tls_is_on_when_both_ends_began_it_and_keeps_the_order_of_bytes() -> None:
    wire = Wire()
    wire.run(1.0)
    order: list[str] = []
    wire.client.endpoint.send(b"before")
    wire.client.endpoint.start_tls(lambda: order.append(f"client after {wire.client.data!r}"))
    wire.run(1.0)
    assert wire.server.data == b"before"
    assert order == []
    wire.server.endpoint.send(b"go ahead")
    wire.server.endpoint.start_tls(lambda: order.append("server"))
    wire.run(1.0)
    assert order == ["server", "client after b'go ahead'"]
    wire.client.endpoint.abort()
    wire.client.endpoint.start_tls(lambda: order.append("never"))
    wire.run(1.0)
    assert len(order) == 2


def test_a_slow_link_is_slow_one_way_until_it_heals() -> None:
    wire = Wire(delay_s=0.01, segment_bytes_max=10000)
    wire.run(1.0)
    wire.network.slow("client", "server", 1000.0)
    wire.client.endpoint.send(b"late")
    wire.server.endpoint.send(b"soon")
    wire.run(0.02)
    assert (wire.client.data, wire.server.data) == (b"soon", b"")
    wire.run(2.0)
    assert wire.server.data == b"late"
    wire.network.heal()
    assert wire.network.delay_s("client", "server") <= 0.02
