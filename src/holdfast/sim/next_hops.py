"""Next hops: the mail servers elsewhere that our messages go to, as machines with bad days.

A next hop takes a message, puts it or some of its recipients off, refuses them,
breaks the connection at any step, falls silent, or takes a message and breaks
off before it says so. Each writes down what it took at the very moment at which
it took it, whether or not its answer ever arrives.

It is strict where real servers are: a command that it does not expect, a
transaction inside a transaction or a line end that is no CRLF is a violation,
since a sender that does so has lost track of the conversation.

Source: RFC 5321 sections 4.1.4 and 4.5.3.1.10; RFC 2920; RFC 3030; RFC 1047.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.sim.network import Endpoint, Network, Receiver
from holdfast.sim.scenario import Rates
from holdfast.sim.world import Violation, World, brief, some

LINE_BYTES_MAX = 4096
NEVER = 1 << 62  # where the end of an answer is that was not written


def hop_place(index: int) -> str:
    """Where a next hop is: its IP address."""
    return f"203.0.113.{index + 1}"


@dataclass(frozen=True, slots=True)
class Manners:
    """What one next hop offers and demands, whatever day it has.

    Attributes:
        extended: whether it knows EHLO.
        greylist_s: how long a sender and recipient that it never met are put off; 0 is not at all.
        recipient_max: recipients of one transaction.
    """

    extended: bool = True
    pipelining: bool = True
    chunking: bool = False
    greylist_s: float = 0.0
    recipient_max: int = 100


@dataclass(slots=True, eq=False)
class Taken:
    """One message that a next hop took, and when its sender could know.

    Attributes:
        reply_end: at which byte of what the next hop wrote on this connection its 250 ended.
        near: the sender's end of the connection.
        eight_bit: whether the next hop offered 8BITMIME.
        forgotten: recipients for whom the sender died before it had written down that this was taken.
    """

    place: str
    reverse_path: str
    recipients: tuple[str, ...]
    data: bytes
    reply_end: int
    near: Endpoint
    eight_bit: bool = True
    forgotten: list[str] = field(default_factory=list)

    def excused(self, recipient: str) -> bool:
        """Whether the sender cannot know that it was taken, and may send it again (RFC 1047)."""
        over = self.near.gone or self.near.closing
        return recipient in self.forgotten or (over and self.near.arrived_bytes < self.reply_end)


@dataclass(slots=True)
class Memory:
    """What all next hops remember, over every connection and restart.

    Attributes:
        met: when a greylisting next hop first saw (place, sender, recipient).
        refused: recipients that were refused for good, by themselves or with a message.
    """

    met: dict[tuple[str, str, str], float] = field(default_factory=dict)
    refused: dict[str, None] = field(default_factory=dict)


class HopSession:
    """The server's side of one connection. ``receive`` returns what to write; then look at ``wish``."""

    def __init__(
        self,
        world: World,
        rates: Rates,
        manners: Manners,
        memory: Memory,
        endpoint: Endpoint,
        took: Callable[[Taken], None],
    ) -> None:
        """Begin a session on its end of a connection; ``took`` is called at the moment a message is taken."""
        self.calm = False
        self._world = world
        self._rates = rates
        self._manners = manners
        self._memory = memory
        self._endpoint = endpoint
        self._took = took
        self._luck: random.Random = world.luck(f"next hop {endpoint.name}")
        self._buffer = b""
        self._written_bytes = 0
        self._reply = b""
        self._chunk_bytes = -1
        self._in_data = False
        self._sender: str | None = None
        self._recipients: list[str] = []
        # "": go on; "abort", "close": end the connection after what was returned; "silent": say no more.
        self.wish = ""

    def greet(self) -> bytes:
        """What it says first."""
        if self._draw(self._rates.hop_busy_rate):
            self._say(self._luck.choice((b"421 4.3.2 busy", b"554 5.3.2 not now")))
            self.wish = "close"
        else:
            self._say(b"220-a next hop\r\n220 go ahead" if self._draw(0.3) else b"220 a next hop")
        return self._take()

    def receive(self, data: bytes) -> bytes:
        """Read what came; return what to write."""
        self._buffer += data
        while not self.wish:
            if self._in_data:
                if not self._read_data():
                    break
            elif self._chunk_bytes >= 0:
                if len(self._buffer) < self._chunk_bytes:
                    break
                chunk, self._buffer = self._buffer[: self._chunk_bytes], self._buffer[self._chunk_bytes :]
                self._chunk_bytes = -1
                self._message(chunk)
            elif b"\n" in self._buffer:
                line, self._buffer = self._buffer.split(b"\n", 1)
                if not line.endswith(b"\r") or b"\r" in line[:-1]:
                    raise Violation(f"a next hop got the command {line!r}, which does not end with CRLF")
                self._command(line[:-1])
            else:
                if len(self._buffer) > LINE_BYTES_MAX:
                    raise Violation(f"a next hop got a command of {len(self._buffer)} bytes")
                break
        return self._take()

    def _take(self) -> bytes:
        reply, self._reply = self._reply, b""
        return reply

    def _say(self, text: bytes) -> None:
        self._reply += text + b"\r\n"
        self._written_bytes += len(text) + 2

    def _draw(self, rate: float) -> bool:
        return self._luck.random() < rate and not self.calm

    # --- commands --------------------------------------------------------------------------------

    def _command(self, line: bytes) -> None:
        verb = line.split(b" ", 1)[0].upper()
        if self._draw(self._rates.hop_drop_rate):
            self.wish = self._luck.choice(("abort", "abort", "silent"))
            return
        if self._draw(self._rates.hop_drop_rate / 2):
            self._say(b"421 4.3.2 closing")
            self.wish = "close"
            return
        match verb:
            case b"EHLO":
                self._hello()
            case b"HELO" | b"RSET":
                self._forget()
                self._say(b"250 ok")
            case b"MAIL":
                self._mail(line)
            case b"RCPT":
                self._rcpt(line)
            case b"DATA":
                self._data()
            case b"BDAT":
                self._bdat(line)
            case b"QUIT":
                self._say(b"221 bye")
                self.wish = "close"
            case _:
                raise Violation(f"a next hop got {line[:80]!r} where a command was due")

    def _hello(self) -> None:
        self._forget()
        manners = self._manners
        if not manners.extended:
            self._say(b"502 5.5.1 unknown command")
            return
        offers = [b"a next hop", b"8BITMIME"]
        if manners.pipelining:
            offers.append(b"PIPELINING")
        if manners.chunking:
            offers.append(b"CHUNKING")
        for offer in offers[:-1]:
            self._say(b"250-" + offer)
        self._say(b"250 " + offers[-1])

    def _forget(self) -> None:
        self._sender = None
        self._recipients = []

    def _mail(self, line: bytes) -> None:
        if self._sender is not None:
            raise Violation(f"a next hop got {line[:80]!r} inside a transaction")
        if self._draw(self._rates.hop_defer_rate):
            self._say(b"451 4.3.0 try later")
            return
        self._sender = _path(line, b"MAIL FROM:")
        self._say(b"250 2.1.0 sender ok")

    def _rcpt(self, line: bytes) -> None:
        recipient = _path(line, b"RCPT TO:")
        if self._sender is None:
            self._say(b"503 5.5.1 MAIL first")
        elif recipient.startswith("refused"):
            self._memory.refused[recipient] = None
            self._say(b"550-5.1.1 there is\r\n550 5.1.1 nobody of that name")
        elif len(self._recipients) >= self._manners.recipient_max:
            self._say(b"452 4.5.3 too many recipients")
        elif self._greylisted(self._sender, recipient):
            self._say(b"450 4.7.1 come back later")
        elif self._draw(self._rates.hop_defer_rate):
            self._say(b"450 4.2.0 mailbox busy")
        else:
            self._recipients.append(recipient)
            self._say(b"250 2.1.5 recipient ok")

    def _greylisted(self, sender: str, recipient: str) -> bool:
        if not self._manners.greylist_s:
            return False
        key = (self._endpoint.place, sender, recipient)
        first_at = self._memory.met.setdefault(key, self._world.now)
        return self._world.now < first_at + self._manners.greylist_s

    def _data(self) -> None:
        if not self._recipients and self._luck.random() < 0.5:
            self._say(b"554 5.5.1 no valid recipients")
        elif self._draw(self._rates.hop_defer_rate):
            self._say(b"451 4.3.0 not now")
        else:
            self._in_data = True
            self._say(b"354 go ahead")

    def _bdat(self, line: bytes) -> None:
        words = line.split()
        if not self._manners.chunking or len(words) != 3 or words[2] != b"LAST" or not words[1].isdigit():
            raise Violation(f"a next hop got {line[:80]!r}, which it does not take")
        self._chunk_bytes = int(words[1])

    def _read_data(self) -> bool:
        """Whether the message is complete."""
        if self._buffer.startswith(b".\r\n"):
            data, self._buffer = b"", self._buffer[3:]
        else:
            end = self._buffer.find(b"\r\n.\r\n")
            if end < 0:
                return False
            data, self._buffer = self._buffer[: end + 2], self._buffer[end + 5 :]
        self._in_data = False
        data = data.replace(b"\r\n.", b"\r\n")
        self._message(data[1:] if data.startswith(b".") else data)
        return True

    def _message(self, data: bytes) -> None:
        rest = data.replace(b"\r\n", b"")
        if b"\r" in rest or b"\n" in rest:
            raise Violation("a next hop got a message with a line end that is not CRLF")
        sender, recipients = self._sender, tuple(self._recipients)
        self._forget()
        if sender is None or not recipients:
            self._say(b"554 5.5.1 no valid recipients")
        elif self._draw(self._rates.hop_defer_rate):
            self._say(b"452 4.3.1 no room")
        elif self._draw(self._rates.hop_reject_rate):
            for recipient in recipients:
                self._memory.refused[recipient] = None
            self._say(b"554 5.6.0 not such a message")
        elif self._draw(self._rates.hop_drop_after_dot_rate):
            self.wish = "abort"
            if self._luck.random() < 0.5:
                self._take_message(sender, recipients, data, NEVER)
        else:
            self._say(b"250 2.0.0 taken")
            self._take_message(sender, recipients, data, self._written_bytes)

    def _take_message(self, sender: str, recipients: tuple[str, ...], data: bytes, reply_end: int) -> None:
        place, near = self._endpoint.place, self._endpoint.peer
        taken = Taken(place, sender, recipients, data, reply_end, near, self._manners.extended)
        self._world.note(f"{self._endpoint.place} takes {brief(data)} for {' '.join(recipients)}")
        self._took(taken)


def _path(line: bytes, word: bytes) -> str:
    path = line[len(word) :].split(b">")[0]
    if not line.upper().startswith(word) or not path.startswith(b"<") or b">" not in line:
        raise Violation(f"a next hop got {line[:80]!r}")
    return path[1:].decode("utf-8")


class _Connection:
    """A next hop's end of one connection: its session, and answers that may take a while."""

    def __init__(self, hops: NextHops, endpoint: Endpoint, session: HopSession) -> None:
        self.session = session
        self.place = endpoint.place
        self._hops = hops
        self._endpoint = endpoint
        self._waiting: deque[tuple[bytes, str]] = deque()
        self._answer(session.greet())

    def opened(self) -> None:
        raise AssertionError("only the end that asked for a connection hears that it stands")

    def received(self, data: bytes) -> None:
        if not self.session.wish:
            self.session.calm = self._hops.calm
            self._answer(self.session.receive(data))

    def ended(self) -> None:
        self._waiting.append((b"", "close"))
        self._hops.later(self._go_on)

    def lost(self) -> None:
        self._waiting.clear()
        self._hops.closed(self)

    def abort(self) -> None:
        """The next hop goes down."""
        self._endpoint.abort()
        self._hops.closed(self)

    def _answer(self, data: bytes) -> None:
        wish = "" if self.session.wish == "silent" else self.session.wish
        self._waiting.append((data, wish))
        self._hops.later(self._go_on)

    def _go_on(self) -> None:
        if not self._waiting or self._endpoint.gone:
            return
        data, wish = self._waiting.popleft()
        self._endpoint.send(data)
        if wish == "close":
            self._endpoint.close()
        elif wish == "abort":
            self.abort()


class NextHops:
    """All next hops, what they took, and which of them are down."""

    def __init__(self, world: World, network: Network, rates: Rates, took: Callable[[Taken], None]) -> None:
        """Let them listen; ``took`` is called for every message at the moment at which it is taken."""
        self.calm = False
        self.memory = Memory()
        self.places = [hop_place(index) for index in range(rates.hop_count)]
        self._world = world
        self._network = network
        self._rates = rates
        self._took = took
        self._luck = world.luck("next hops")
        self._connections: list[_Connection] = []
        self._manners = {place: self._draw_manners() for place in self.places}
        self._down_until: dict[str, float] = {}
        for place in self.places:
            network.listen(place, self._accept)

    def _draw_manners(self) -> Manners:
        luck, rates = self._luck, self._rates
        extended, pipelining, chunking, greylists = (luck.random() for _ in range(4))
        return Manners(
            extended=extended >= 0.1,
            pipelining=pipelining < rates.hop_pipelining_rate,
            chunking=chunking < rates.hop_chunking_rate,
            greylist_s=some(luck, rates.hop_greylist_s) if greylists < rates.hop_greylist_rate else 0.0,
            recipient_max=max(1, rates.hop_recipient_max),
        )

    def later(self, action: Callable[[], None]) -> None:
        """Let a next hop do something after as long as they take."""
        delay_s = 0.0 if self.calm else self._rates.hop_delay_s
        self._world.after(some(self._luck, delay_s), "", action)

    def closed(self, connection: _Connection) -> None:
        """A connection is no more."""
        if connection in self._connections:
            self._connections.remove(connection)

    def _accept(self, endpoint: Endpoint) -> Receiver | None:
        if self._world.now < self._down_until.get(endpoint.place, 0.0):
            return None
        session = HopSession(
            self._world, self._rates, self._manners[endpoint.place], self.memory, endpoint, self._took
        )
        session.calm = self.calm
        connection = _Connection(self, endpoint, session)
        self._connections.append(connection)
        return connection

    def go_down(self) -> None:
        """Let one of them be down for a while."""
        place = self.places[self._luck.randrange(len(self.places))]
        span_s = some(self._luck, self._rates.hop_down_s)
        self._world.note(f"fault: {place} is down for {span_s:.3f} s")
        self._down_until[place] = self._world.now + span_s
        for connection in [each for each in self._connections if each.place == place]:
            connection.abort()

    def grow_calm(self) -> None:
        """Faults are over: all are up, and take what they can take; who fell silent hangs up."""
        self.calm = True
        self._down_until.clear()
        for connection in [each for each in self._connections if each.session.wish == "silent"]:
            connection.abort()
