"""The made-up world's clock, its one heap of events, its luck and its memory of what happened.

Everything that happens in a simulation is an event on one heap, ordered by
time, then by a draw, then by the order of scheduling. One seed decides every
draw; each part draws from a stream of its own, so that one part's draws do not
disturb another's. Each event goes into a running digest in the order in which
it happened: equal seeds give equal digests, whatever PYTHONHASHSEED is.

Only draws whose algorithm never changed are used (``random``, ``uniform``,
``randrange``, ``getrandbits``), and nothing iterates over a set.

Source: docs/decisions/0007-simulator.md; model: TigerBeetle's VOPR.
"""

from __future__ import annotations

import hashlib
import heapq
import random
import zlib
from array import array
from collections import deque
from collections.abc import Callable

EPOCH_S = 1_700_000_000.0  # any fixed instant; the nodes see seconds since 1970
TRACE_LINE_COUNT = 40  # the last lines, printed with a failure
_DIGEST_LINE_COUNT = 500  # taken into the digest at once: one by one took 3 µs of the 20 of an event


class Violation(Exception):
    """A checker found that a promise was broken; the text is its sentence."""


class World:
    """A clock that stands still between events, and what is to happen next."""

    def __init__(self, seed: int, listener: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.now = EPOCH_S
        self.event_count = 0
        self._last: deque[tuple[float, str]] = deque(maxlen=TRACE_LINE_COUNT)
        self._instants, self._texts = array("d"), [""]  # of lines that are not in the digest yet
        self._listener = listener
        self._events: list[tuple[float, int, int, str, Callable[[], None]]] = []
        self._scheduled_count = 0
        self._order_luck = self.luck("order")
        self._digest = hashlib.blake2b(digest_size=16)

    def luck(self, name: str) -> random.Random:
        """A stream of draws of its own, decided by the seed and the name."""
        # A str seed goes through SHA-512 in CPython, never through hash().
        return random.Random(f"holdfast {self.seed} {name}")

    @property
    def trace_hash(self) -> str:
        """The digest over everything that happened so far, in hexadecimal."""
        self._take_in()
        return self._digest.hexdigest()

    @property
    def last_lines(self) -> list[str]:
        """The end of the trace."""
        return [_line(at, text) for at, text in self._last]

    def _take_in(self) -> None:
        """Take the lines that wait into the digest."""
        # Both ends of the machine's byte order would differ; all that we run on have the same.
        self._digest.update(self._instants.tobytes())
        self._digest.update("\n".join(self._texts).encode("utf-8", "backslashreplace"))
        self._instants, self._texts = array("d"), [""]

    @property
    def elapsed_s(self) -> float:
        """How long the world has existed, in its own time."""
        return self.now - EPOCH_S

    def after(self, delay_s: float, what: str, action: Callable[[], None]) -> None:
        """Let something happen later; ``what`` is its line in the trace."""
        assert delay_s >= 0
        self._scheduled_count += 1
        draw = self._order_luck.getrandbits(32)
        heapq.heappush(self._events, (self.now + delay_s, draw, self._scheduled_count, what, action))

    def note(self, text: str) -> None:
        """Put a line into the trace."""
        at = self.now - EPOCH_S
        self._last.append((at, text))
        self._instants.append(at)
        self._texts.append(text)
        if len(self._texts) > _DIGEST_LINE_COUNT:
            self._take_in()
        if self._listener is not None:
            self._listener(_line(at, text))

    def step(self, until: float) -> bool:
        """Let the next event happen; False when none is left before the instant ``until``."""
        if not self._events or self._events[0][0] > until:
            self.now = max(self.now, until)
            return False
        at, _, _, what, action = heapq.heappop(self._events)
        assert at >= self.now
        self.now = at
        self.event_count += 1
        if what:
            self.note(what)
        action()
        return True


def some(luck: random.Random, mean_s: float) -> float:
    """A span around a mean: between nothing and twice the mean."""
    return luck.uniform(0.0, 2.0 * mean_s)


def brief(data: bytes) -> str:
    """Bytes as a word for the trace: their length and a checksum."""
    return f"{len(data)}:{zlib.crc32(data):08x}"


def _line(at: float, text: str) -> str:
    return f"{at:14.6f} {text}"
