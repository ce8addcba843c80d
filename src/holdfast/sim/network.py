"""The made-up network: byte streams that are delayed, cut anywhere, held up and broken.

What one end writes arrives at the other in order, but in pieces cut and joined
at arbitrary places and after drawn delays. A partition holds up one direction
between two places, or both, until it heals; a writer does not notice. A broken
connection may still deliver some of what was on its way. A connection dies
with the process at either end: the other end hears of it, later. A slow link
takes a multiple of the time.

Bytes, the end of a stream and its death travel in one queue per direction, so
they cannot overtake each other. So does the handshake of TLS: one mark in each
direction; TLS is on at an end that has sent its own and has had the other's.
"""

from __future__ import annotations

import enum
import random
from collections import deque
from collections.abc import Callable
from typing import Protocol

from holdfast.sim.scenario import Rates
from holdfast.sim.world import World, brief, some

CONNECT_WAIT_S = 5.0  # an unanswered attempt is given up after about this long
JOIN_RATE = 0.3  # how often two pieces that wait arrive as one


class Receiver(Protocol):
    """Whoever holds one end of a connection."""

    def opened(self) -> None:
        """The connection stands (told to the end that asked for it)."""

    def received(self, data: bytes) -> None:
        """Bytes came."""

    def ended(self) -> None:
        """The other end will write no more."""

    def lost(self) -> None:
        """The connection is gone, or never came about; said once."""


Accept = Callable[["Endpoint"], Receiver | None]  # None: refused


class _Mark(enum.Enum):
    END = "end"
    LOST = "lost"
    TLS = "handshake"


class Endpoint:
    """One end of a connection, in the hand of a process."""

    def __init__(self, network: Network, place: str, name: str, receiver: Receiver | None) -> None:
        self.network = network
        self.place = place
        self.name = name
        self.receiver = receiver
        self.outgoing = _Stream(network, self)
        self.paused = False
        self.closing = False
        self.gone = False
        self.arrived_bytes = 0  # what whoever holds this end was told of
        self.port = 0  # of the listener that the connection came to
        self._tls_started: Callable[[], None] | None = None  # told when the handshake is complete
        self._tls_answered = False  # the other end's part of it is here
        self.peer: Endpoint  # set as soon as both ends exist

    def send(self, data: bytes) -> None:
        """Write bytes."""
        if not (self.gone or self.closing) and data:
            self.outgoing.put_bytes(data)

    def start_tls(self, started: Callable[[], None]) -> None:
        """Begin TLS after what was written; ``started`` is called once both ends have."""
        if not (self.gone or self.closing):
            self._tls_started = started
            self.outgoing.put(_Mark.TLS)
            self._complete_tls()

    def handshake_arrived(self) -> None:
        """The other end's part of the handshake is here."""
        self._tls_answered = True
        self._complete_tls()

    def _complete_tls(self) -> None:
        if self._tls_answered and self._tls_started is not None and not self.gone:
            started, self._tls_started, self._tls_answered = self._tls_started, None, False
            started()

    def end(self) -> None:
        """Write no more, go on reading."""
        if not (self.gone or self.closing):
            self.outgoing.put(_Mark.END)

    def close(self) -> None:
        """Close after what was written; ``lost`` is told when that is complete."""
        if not (self.gone or self.closing):
            self.outgoing.put(_Mark.END)
            self.closing = True

    def abort(self) -> None:
        """Break the connection at once from this end, as a crash of its process does."""
        if not self.gone:
            self.gone = True
            self.receiver = None
            self.outgoing.cut()

    def vanish(self) -> None:
        """Break the connection from this end; behind a partition nobody ever hears of it.

        A reset is sent once. The other end learns it when it writes, or by its own patience.
        """
        if hasattr(self, "peer") and self.network.held_s(self.place, self.peer.place) > 0:
            self.gone = True
            self.receiver = None
            if not (self.outgoing.waiting and self.outgoing.waiting[-1] is _Mark.LOST):
                self.outgoing.waiting.clear()  # else it was broken from outside, which both ends learn
        else:
            self.abort()

    def pause(self) -> None:
        """Take nothing until ``resume``."""
        self.paused = True

    def resume(self) -> None:
        """Take what waits and what comes."""
        self.paused = False
        self.peer.outgoing.move()

    def lose(self) -> None:
        """Tell whoever holds this end that the connection is gone."""
        if not self.gone:
            self.gone = True
            receiver, self.receiver = self.receiver, None
            if receiver is not None:
                receiver.lost()


class _Stream:
    """One direction: what was written at ``source`` and has not arrived yet."""

    def __init__(self, network: Network, source: Endpoint) -> None:
        self.network = network
        self.source = source
        self.waiting: deque[bytes | _Mark] = deque()
        self.moving = False

    def put_bytes(self, data: bytes) -> None:
        luck, start = self.network.luck, 0
        while start < len(data):
            # Small messages are cut often, megabytes are not cut into a million events.
            size = luck.randrange(1, 2 * max(self.network.rates.segment_bytes_max, len(data) // 40))
            self.put(data[start : start + size])
            start += size

    def put(self, item: bytes | _Mark) -> None:
        if not (self.waiting and self.waiting[-1] is _Mark.LOST):
            self.waiting.append(item)
            self.move()

    def cut(self) -> None:
        """The source is dead: some of what was on its way arrives, then the news."""
        for _ in range(self.network.luck.randrange(len(self.waiting) + 1)):
            self.waiting.pop()
        self.waiting.append(_Mark.LOST)
        self.move()

    def move(self) -> None:
        if not self.moving and self.waiting and hasattr(self.source, "peer") and not self.source.peer.paused:
            self.moving = True
            delay_s = self.network.delay_s(self.source.place, self.source.peer.place)
            self.network.world.after(delay_s, "", self._arrive)

    def _arrive(self) -> None:
        network, target = self.network, self.source.peer
        self.moving = False
        held_s = network.held_s(self.source.place, target.place)
        if held_s > 0:
            self.moving = True
            network.world.after(held_s + network.delay_s(), "", self._arrive)
            return
        if not self.waiting or target.paused:
            return
        item = self.waiting.popleft()
        if isinstance(item, bytes):
            while self.waiting and isinstance(self.waiting[0], bytes) and network.luck.random() < JOIN_RATE:
                item += self.waiting.popleft()  # type: ignore[operator]  # the line above knows it is bytes
            self._arrive_bytes(target, item)
        else:
            network.world.note(f"{self.source.name} → {target.name} {item.value}")
            if item is _Mark.LOST:
                target.lose()
            elif item is _Mark.TLS:
                target.handshake_arrived()
            else:
                self._arrive_end(target)
        self.move()

    def _arrive_bytes(self, target: Endpoint, data: bytes) -> None:
        self.network.world.note(f"{self.source.name} → {target.name} {brief(data)}")
        if target.gone or target.closing:
            # Bytes for a closed socket are answered with a reset.
            target.outgoing.put(_Mark.LOST)
        elif target.receiver is not None:
            target.arrived_bytes += len(data)
            target.receiver.received(data)

    def _arrive_end(self, target: Endpoint) -> None:
        if not target.gone and not target.closing and target.receiver is not None:
            target.receiver.ended()
        if self.source.closing:
            self.source.lose()


class Network:
    """All connections, who listens where, and which directions are held up."""

    def __init__(self, world: World, rates: Rates) -> None:
        self.world = world
        self.rates = rates
        self.luck: random.Random = world.luck("network")
        self._listeners: dict[tuple[str, int], Accept] = {}
        self._held_until: dict[tuple[str, str], float] = {}
        self._slow_until: dict[tuple[str, str], float] = {}
        self._open: list[Endpoint] = []
        self._connection_count = 0

    def delay_s(self, source: str = "", target: str = "") -> float:
        """Draw how long the next piece travels from one place to another."""
        delay_s = some(self.luck, self.rates.delay_s)
        if self._slow_until and self._slow_until.get((source, target), 0.0) > self.world.now:
            delay_s *= self.rates.slow_link_factor
        return delay_s

    def held_s(self, source: str, target: str) -> float:
        """How long a partition still holds up what goes from one place to another."""
        return max(0.0, self._held_until.get((source, target), 0.0) - self.world.now)

    def hold(self, source: str, target: str, span_s: float) -> None:
        """Hold up everything from one place to another for a while."""
        self._held_until[(source, target)] = self.world.now + span_s

    def slow(self, source: str, target: str, span_s: float) -> None:
        """Let everything from one place to another take a multiple of its time for a while."""
        self._slow_until[(source, target)] = self.world.now + span_s

    def heal(self) -> None:
        """End all partitions; what already waits arrives when it would have arrived."""
        self._held_until.clear()
        self._slow_until.clear()

    def listen(self, place: str, accept: Accept | None, port: int = 25) -> None:
        """Take connections at a place, or no longer."""
        if accept is None:
            self._listeners.pop((place, port), None)
        else:
            self._listeners[(place, port)] = accept

    def connect(self, source: str, target: str, receiver: Receiver, port: int = 25) -> Endpoint:
        """Ask for a connection; the receiver hears ``opened`` or ``lost``."""
        self._connection_count += 1
        number = self._connection_count
        near = Endpoint(self, source, f"{source}#{number}", receiver)
        held_s = max(self.held_s(source, target), self.held_s(target, source))
        if held_s > CONNECT_WAIT_S:
            self.world.after(CONNECT_WAIT_S, f"{near.name} connects in vain", near.lose)
        else:
            delay_s = held_s + self.delay_s(source, target)
            far = Endpoint(self, target, f"{target}#{number}", None)
            far.port = port
            self.world.after(delay_s, f"{near.name} connects", lambda: self._accept(near, far))
        return near

    def _accept(self, near: Endpoint, far: Endpoint) -> None:
        if near.gone:
            return
        accept = self._listeners.get((far.place, far.port))
        far.peer, near.peer = near, far
        receiver = accept(far) if accept is not None else None
        if receiver is None:
            near.lose()
            return
        far.receiver = receiver
        self._open = [end for end in self._open if not (end.gone and end.peer.gone)]
        self._open.append(near)
        assert near.receiver is not None
        near.receiver.opened()
        near.outgoing.move()
        far.outgoing.move()

    def open_connections(self) -> list[Endpoint]:
        """The near ends of the connections that stand, oldest first."""
        return [end for end in self._open if not (end.gone or end.peer.gone)]

    def reset_one(self) -> None:
        """Break a connection at both ends."""
        standing = self.open_connections()
        if standing:
            end = standing[self.luck.randrange(len(standing))]
            self.world.note(f"fault: {end.name} is reset")
            end.outgoing.cut()
            end.peer.outgoing.cut()
