"""Connections of the made-up world: in order, cut in one direction, closed by who dies."""

from __future__ import annotations

from holdfast.sim.pair_wire import PairWire
from holdfast.sim.world import World


class Server:
    """An end that writes down what happens to it."""

    def __init__(self, wire: PairWire, number: int) -> None:
        self.number = number
        self.happened: list[str] = []
        self.listens = True
        wire.ends[number] = self

    def offered(self, source: int) -> int | None:
        return 100 + source if self.listens else None

    def opened(self, connection: int) -> None:
        self.happened.append(f"opened {connection}")

    def arrived(self, connection: int, data: bytes) -> None:
        self.happened.append(f"{connection} {data.decode()}")

    def closed(self, connection: int, reason: str) -> None:
        self.happened.append(f"closed {connection}")


def connected() -> tuple[World, PairWire, Server, Server]:
    world = World(1)
    wire = PairWire(world, 0.5)
    one, two = Server(wire, 1), Server(wire, 2)
    wire.dial(one, 7)
    run(world, 3)
    assert one.happened == ["opened 7"]
    return world, wire, one, two


def run(world: World, span_s: float) -> None:
    end = world.now + span_s
    while world.step(end):
        pass


def test_what_is_sent_arrives_in_order_and_then_the_end() -> None:
    world, wire, _, two = connected()
    for text in "abcdef":
        wire.send(1, 7, text.encode())
    wire.hang_up(1, 7)
    run(world, 10)
    assert two.happened == [*(f"101 {each}" for each in "abcdef"), "closed 101"]
    wire.send(1, 7, b"late")
    run(world, 10)
    assert len(two.happened) == 7


def test_a_cut_holds_back_one_direction() -> None:
    world, wire, one, two = connected()
    wire.cut.add(2)
    wire.send(1, 7, b"there")
    wire.send(2, 101, b"back")
    run(world, 10)
    assert two.happened == []
    assert one.happened[-1] == "7 back"
    wire.cut.clear()
    run(world, 10)
    assert two.happened == ["101 there"]


def test_a_process_that_dies_is_noticed_and_a_power_cut_is_not() -> None:
    world, wire, one, two = connected()
    wire.process_died(2)
    run(world, 10)
    assert one.happened[-1] == "closed 7"
    world, wire, one, two = connected()
    wire.power_lost(2)
    wire.send(1, 7, b"hello")
    run(world, 10)
    assert one.happened == ["opened 7"]
    assert two.happened == []


def test_nobody_listens() -> None:
    world = World(1)
    wire = PairWire(world, 0.5)
    one, two = Server(wire, 1), Server(wire, 2)
    two.listens = False
    wire.dial(one, 7)
    run(world, 3)
    assert one.happened == ["closed 7"]
