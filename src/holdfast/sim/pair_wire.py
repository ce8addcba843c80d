"""The connections between two failover partners: in order, slow, cut in one direction or both.

TCP as a partner sees it: what is sent arrives in order or not at all; while a
direction is cut nothing arrives that way and the sender hears nothing of it; a
process that dies closes its connections, a machine that loses its power does
not, and answers what still comes for an old connection with a reset.

Source: docs/decisions/0025.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from holdfast.sim.world import World, some

LOOK_AGAIN_S = 0.5  # a segment that did not get through is sent again


class End(Protocol):
    """One server at the end of connections."""

    number: int

    def offered(self, source: int) -> int | None:
        """Somebody dials; the number of the connection here, None when nobody listens."""
        ...

    def opened(self, connection: int) -> None: ...
    def arrived(self, connection: int, data: bytes) -> None: ...
    def closed(self, connection: int, reason: str) -> None: ...


class _Way:
    """One direction of one connection."""

    def __init__(self, to: End, connection: int) -> None:
        self.to = to
        self.connection = connection
        self.queue: deque[tuple[float, Callable[[], None]]] = deque()
        self.is_open = True
        self.is_moving = False
        self.free_at = 0.0


class PairWire:
    """All connections of a pair."""

    def __init__(self, world: World, delay_s: float) -> None:
        self._world = world
        self._luck = world.luck("pair wire")
        self.delay_s = delay_s
        self.cut: set[int] = set()  # numbers of the servers that nothing reaches
        self._ways: dict[tuple[int, int], tuple[_Way, _Way]] = {}  # by (server, connection): to us, from us
        self.ends: dict[int, End] = {}

    def dial(self, caller: End, connection: int) -> None:
        """Connect to the other server."""
        other = next(end for number, end in self.ends.items() if number != caller.number)

        def reach() -> None:
            if self.cut:
                return  # nothing comes back; the caller gives up by itself
            theirs = other.offered(caller.number)
            if theirs is None:
                self._world.after(self.delay_s, "", partial(caller.closed, connection, "refused"))
                return
            there, back = _Way(other, theirs), _Way(caller, connection)
            self._ways[caller.number, connection] = (back, there)
            self._ways[other.number, theirs] = (there, back)
            self._send(back, lambda: caller.opened(connection))

        self._world.after(some(self._luck, self.delay_s), "", reach)

    def send(self, server: int, connection: int, data: bytes) -> None:
        """Send bytes."""
        ways = self._ways.get((server, connection))
        if ways is None:
            return
        way = ways[1]
        self._send(way, lambda: way.to.arrived(way.connection, data))

    def hang_up(self, server: int, connection: int, reason: str = "closed by the partner") -> None:
        """Close a connection; the other side hears it once everything before has arrived."""
        ways = self._ways.pop((server, connection), None)
        if ways is None:
            return
        to_us, way = ways
        to_us.is_open = False

        def close() -> None:
            self._ways.pop((way.to.number, way.connection), None)
            way.is_open = False
            way.to.closed(way.connection, reason)

        self._send(way, close)

    def process_died(self, server: int) -> None:
        """The system closes what the process had open."""
        for number, connection in list(self._ways):
            if number == server:
                self.hang_up(number, connection)

    def power_lost(self, server: int) -> None:
        """Nobody closes anything: the other side finds out when it says something, or by silence."""
        for (number, connection), (to_us, way) in list(self._ways.items()):
            if number != server:
                continue
            del self._ways[number, connection]
            to_us.is_open = False
            way.is_open = False
            to_us.queue.clear()
            way.queue.clear()

    def _send(self, way: _Way, arrive: Callable[[], None]) -> None:
        if not way.is_open:
            return
        at = max(way.free_at, self._world.now + some(self._luck, self.delay_s))
        way.free_at = at
        way.queue.append((at, arrive))
        if not way.is_moving:
            self._move(way)

    def _move(self, way: _Way) -> None:
        """Let the next piece arrive, when its direction is not cut."""
        if not way.queue:
            way.is_moving = False
            return
        way.is_moving = True
        at, _ = way.queue[0]
        wait_s = max(0.0, at - self._world.now)
        self._world.after(wait_s, "", partial(self._arrive, way))

    def _arrive(self, way: _Way) -> None:
        if not way.is_open or not way.queue:
            way.queue.clear()
            way.is_moving = False
            return
        if way.to.number in self.cut:
            self._world.after(LOOK_AGAIN_S, "", partial(self._arrive, way))
            return
        _, arrive = way.queue.popleft()
        arrive()
        self._move(way)
