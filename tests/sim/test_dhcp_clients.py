"""A client of the made-up world behaves as RFC 2131 wants it."""

from __future__ import annotations

from holdfast.sim.dhcp_checker import DhcpChecker
from holdfast.sim.dhcp_clients import Client, Where
from holdfast.sim.dhcp_rates import DhcpRates
from holdfast.sim.world import World
from holdfast.wire.dhcp4 import Message, encode_message, read_message

SERVER = b"\x0a\0\0\1"


class Wire:
    """Hears one client, and answers as the test wants."""

    def __init__(self) -> None:
        self.world = World(5)
        self.said: list[tuple[float, Message, bool]] = []
        self.client = Client(1, self.world, DhcpRates(), self.hear, DhcpChecker(self.world))

    def hear(self, client: Client, data: bytes, to_server: bool) -> None:
        self.said.append((self.world.elapsed_s, read_message(data), to_server))

    def answer(self, kind: int, address: int = 7, lease_s: int = 80) -> None:
        asked = self.said[-1][1]
        options = {53: bytes((kind,)), 54: SERVER, 51: lease_s.to_bytes(4, "big")}
        answer = asked._replace(op=2, yiaddr=address.to_bytes(4, "big"), options=options)
        self.client.heard(encode_message(answer))

    def run(self, seconds: float) -> None:
        until = self.world.now + seconds
        while self.world.step(until):
            pass

    def bind(self) -> None:
        self.client.power_on()
        self.answer(2)
        self.answer(5)


def test_renews_at_half_rebinds_at_seven_eighths_and_stops_at_the_end() -> None:
    wire = Wire()
    wire.bind()
    assert (wire.client.where, wire.client.address) == (Where.BOUND, 7)
    said_count = len(wire.said)
    wire.run(39)
    assert len(wire.said) == said_count
    wire.run(2)
    at, message, to_server = wire.said[said_count]
    assert (at, message.ciaddr, to_server) == (40.0, b"\0\0\0\7", True)
    wire.run(30)
    assert [to_server for _, _, to_server in wire.said[said_count:]][-1] is False
    assert wire.client.address == 7
    wire.run(10)
    assert wire.client.address == 0
    assert wire.said[-1][1].options[53] == b"\x01"


def test_an_answer_to_somebody_else_or_to_an_old_question_is_nothing() -> None:
    wire = Wire()
    wire.client.power_on()
    first = wire.said[-1][1]
    wire.run(20)
    assert len(wire.said) > 1
    late = first._replace(op=2, options={53: b"\x02", 54: SERVER, 51: bytes(4)})
    wire.client.heard(encode_message(late))
    assert wire.client.where is Where.SELECTING


def test_refused_it_begins_anew_and_off_it_uses_nothing() -> None:
    wire = Wire()
    wire.bind()
    wire.run(41)
    wire.answer(6)
    assert (wire.client.where, wire.client.address) == (Where.SELECTING, 0)
    wire.bind()
    wire.client.power_off()
    assert wire.client.address == 0
    wire.client.power_on()
    wire.bind()


def test_an_address_that_somebody_uses_is_declined() -> None:
    wire = Wire()
    wire.client.squatted = lambda address: True
    wire.bind()
    assert wire.said[-1][1].options[53] == b"\x04"
    assert wire.client.address == 0


def test_release_says_so_and_is_off() -> None:
    wire = Wire()
    wire.bind()
    wire.client.release()
    assert wire.said[-1][1].options[53] == b"\x07"
    assert wire.client.where is Where.OFF
