"""Next hops: what they say on good and bad days, and what they never let pass."""

from __future__ import annotations

import pytest

from holdfast.sim.network import Endpoint, Network
from holdfast.sim.next_hops import NextHops, Taken, hop_place
from holdfast.sim.scenario import Rates
from holdfast.sim.world import Violation, World

BODY = b"X-Letter: L0\r\n\r\n.dot\r\n"
ENVELOPE = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@far0.example>\r\n"
DATA = b"DATA\r\nX-Letter: L0\r\n\r\n..dot\r\n.\r\n"


class Client:
    """A sender that says what the test tells it, and remembers the answers."""

    def __init__(self, hops: HopWorld) -> None:
        self.heard = b""
        self.is_lost = False
        self.endpoint: Endpoint = hops.network.connect("transport", hop_place(0), self)

    def opened(self) -> None:
        pass

    def received(self, data: bytes) -> None:
        self.heard += data

    def ended(self) -> None:
        self.endpoint.close()

    def lost(self) -> None:
        self.is_lost = True

    @property
    def codes(self) -> list[int]:
        """The codes of all whole replies."""
        return [int(line[:3]) for line in self.heard.splitlines() if line[3:4] == b" "]


class HopWorld:
    """A world with next hops and nothing else."""

    def __init__(self, seed: int = 1, **rates: float) -> None:
        self.world = World(seed)
        self.rates = Rates(hop_count=1, **rates)  # type: ignore[arg-type]  # a table of rates
        self.network = Network(self.world, self.rates)
        self.taken: list[Taken] = []
        self.hops = NextHops(self.world, self.network, self.rates, self.taken.append)

    def run(self, span_s: float = 10.0) -> None:
        """Let everything happen that happens within so many seconds."""
        until = self.world.now + span_s
        while self.world.step(until):
            pass

    def talk(self, *says: bytes) -> Client:
        """Open a connection and say something, a piece at a time."""
        client = Client(self)
        self.run()
        for piece in says:
            client.endpoint.send(piece)
            self.run()
        return client


def test_a_message_is_taken_and_written_down() -> None:
    world = HopWorld(hop_pipelining_rate=1.0, hop_chunking_rate=0.0)
    client = world.talk(b"EHLO me\r\n", ENVELOPE + b"DATA\r\n", DATA[6:], b"QUIT\r\n")
    assert client.codes[-5:] == [250, 250, 354, 250, 221]
    (taken,) = world.taken
    assert (taken.reverse_path, taken.recipients) == ("a@example.org", ("b@far0.example",))
    assert taken.data == BODY
    assert client.is_lost
    assert not taken.excused("b@far0.example")  # its sender has read the 250


@pytest.mark.parametrize("seed", range(4))
def test_a_message_in_one_chunk(seed: int) -> None:
    world = HopWorld(seed, hop_chunking_rate=1.0)
    world.talk(b"EHLO me\r\n" + ENVELOPE + b"BDAT %d LAST\r\n" % len(BODY) + BODY + b"QUIT\r\n")
    assert [taken.data for taken in world.taken] == [BODY]


def test_an_empty_message_for_nobody_is_not_taken() -> None:
    world = HopWorld()
    client = world.talk(b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<refused1@far0.example>\r\nRSET\r\n")
    assert client.codes[-3:] == [250, 550, 250]
    assert "refused1@far0.example" in world.hops.memory.refused
    for _ in range(8):  # DATA is sometimes refused then, and sometimes not
        client.endpoint.send(b"MAIL FROM:<>\r\nRCPT TO:<refused1@far0.example>\r\nDATA\r\n")
        world.run()
        if client.codes[-1] == 354:
            client.endpoint.send(b".\r\n")
            world.run()
        assert client.codes[-1] == 554
        client.endpoint.send(b"RSET\r\n")
        world.run()
    assert 354 in client.codes
    assert world.taken == []


def test_limits_of_recipients() -> None:
    world = HopWorld(hop_recipient_max=1)
    client = world.talk(
        b"HELO me\r\nRCPT TO:<b@far0.example>\r\n", ENVELOPE + b"RCPT TO:<c@far0.example>\r\n"
    )
    assert client.codes[-4:] == [503, 250, 250, 452]


def test_greylisting() -> None:
    world = HopWorld(hop_greylist_rate=1.0, hop_greylist_s=60.0)
    client = world.talk(b"HELO me\r\n", ENVELOPE)
    assert client.codes[-1] == 450
    world.run(120.0)
    client.endpoint.send(b"RSET\r\n" + ENVELOPE)
    world.run()
    assert client.codes[-1] == 250


@pytest.mark.parametrize(
    ("rate", "code"), [("hop_defer_rate", 451), ("hop_reject_rate", 554), ("hop_busy_rate", None)]
)
def test_bad_days(rate: str, code: int | None) -> None:
    world = HopWorld(1, **{rate: 1.0})
    says = [ENVELOPE] if rate == "hop_defer_rate" else [ENVELOPE, DATA]
    client = world.talk(b"HELO me\r\n", *says)
    if code is None:
        assert client.codes in ([421], [554])
        assert client.is_lost
    else:
        assert code in client.codes
    assert world.taken == []
    assert ("b@far0.example" in world.hops.memory.refused) == (rate == "hop_reject_rate")


def test_breaking_off_instead_of_the_answer() -> None:
    taken_count = 0
    for seed in range(8):
        world = HopWorld(seed, hop_drop_after_dot_rate=1.0)
        client = world.talk(b"HELO me\r\n", ENVELOPE, DATA)
        assert client.is_lost
        assert 250 not in client.codes[4:]
        assert all(taken.excused("b@far0.example") for taken in world.taken)
        taken_count += len(world.taken)
    assert 0 < taken_count < 8


def test_connections_break_or_fall_silent() -> None:
    ends = []
    for seed in range(30):
        world = HopWorld(seed, hop_drop_rate=0.5)
        client = world.talk(b"HELO me\r\n", b"RSET\r\n" * 5)
        ends.append("421" if 421 in client.codes else "lost" if client.is_lost else "silent")
        world.hops.grow_calm()
        world.run()
        assert client.is_lost or len(client.codes) == 7
    assert {*ends} == {"421", "lost", "silent"}


def test_a_next_hop_that_is_down() -> None:
    world = HopWorld(hop_down_s=60.0)
    client = world.talk(b"HELO me\r\n")
    world.hops.go_down()
    world.run(0.5)
    assert client.is_lost
    assert Client(world).heard == b""
    late = Client(world)
    world.run(0.5)
    assert late.is_lost
    world.hops.grow_calm()
    assert world.talk(b"HELO me\r\n").codes == [220, 250]


def test_ehlo_is_not_known_everywhere() -> None:
    codes = {
        world_codes for seed in range(30) for world_codes in HopWorld(seed).talk(b"EHLO me\r\n").codes[1:]
    }
    assert codes == {250, 502}


@pytest.mark.parametrize(
    "says",
    [
        b"HELO me\n",
        b"HELO\rme\r\n",
        b"Subject: hello\r\n",
        b"x" * 5000,
        ENVELOPE + b"MAIL FROM:<a@example.org>\r\n",
        b"MAIL FROM: a@example.org\r\n",
        b"BDAT 5\r\nhello",
        ENVELOPE + b"DATA\r\nx\n.\n\r\n.\r\n",
    ],
)
def test_what_no_sender_of_ours_may_say(says: bytes) -> None:
    with pytest.raises(Violation):
        HopWorld(hop_chunking_rate=0.0).talk(says)
