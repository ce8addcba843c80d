"""Processes of the made-up world: each dies on its own, with its memory, and comes back.

A process holds a node, its connections and its writer. Everything that it
schedules is void once it has died. Inputs go into the node one at a time, and
its outputs are done in order after each, exactly as the drivers do it.

Source: architecture, "Processes"; node.ports.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from holdfast.sim.network import Network
from holdfast.sim.scenario import Rates
from holdfast.sim.world import EPOCH_S, Violation, World, some

STOP_WAIT_S = 60.0  # a process that does not come to rest is killed, as systemd does
# Back and forth it stays below two days, which is how long second tries are known.
CLOCK_STEP_S_MAX = 0.9 * 86400.0
SPIN_COUNT_MAX = 1000  # timers in a row at one instant
TIMER_GRAIN_S = (
    1e-6  # a float of seconds since 1970 resolves a quarter of this; a timer never fires just before
)


class Process:
    """Something that runs, dies and is started again."""

    def __init__(self, name: str, world: World, network: Network, rates: Rates) -> None:
        self.name = name
        self.world = world
        self.network = network
        self.rates = rates
        self.luck: random.Random = world.luck(f"process {name}")
        self.up = False
        self.stopping = False
        self.incarnation = 0
        self.crash_count = 0
        self.wall_offset_s = 0.0
        self.drift = 0.0  # seconds that the clock of its machine gains in a second
        self.grounded = False  # it does not come back, until it may
        self._steady_offset_s = 0.0
        self._timer_at: float | None = None
        self._spin_at = 0.0
        self._spin_count = 0

    # --- what a kind of process adds ---------------------------------------------------------

    def begin(self) -> None:
        """Make the node and begin work."""
        raise NotImplementedError

    def forget(self) -> None:
        """Lose the memory: node, connections, writer."""
        raise NotImplementedError

    def drain(self) -> None:
        """Do what the node wants done."""
        raise NotImplementedError

    def node_deadline(self) -> float | None:
        """When the node wants its timer."""
        return None

    def node_timer(self) -> None:
        """Call the node's timer."""

    def say_stop(self) -> None:
        """Ask for a clean stop."""

    def at_rest(self) -> bool:
        """Whether a stop would lose no work."""
        return True

    def said_goodbye(self) -> None:
        """The process ended at rest."""

    # --- its life ------------------------------------------------------------------------------

    def clock(self) -> float:
        """What the drivers give to the node: wall time at its start, and what has passed since."""
        now = self.world.now
        if self.drift:
            now += self.drift * (now - EPOCH_S)
        return now + self._steady_offset_s

    def _true_instant(self, clock: float) -> float:
        """When the clock will show an instant."""
        instant = clock - self._steady_offset_s
        return EPOCH_S + (instant - EPOCH_S) / (1.0 + self.drift) if self.drift else instant

    @property
    def clock_offset_s(self) -> float:
        """How far the wall clock is ahead of ``clock``, as ``drivers.clock`` tells it to the node."""
        return self.wall_offset_s - self._steady_offset_s

    def clock_stepped(self) -> None:
        """Tell the node of another ``clock_offset_s``."""

    def later(self, delay_s: float, what: str, action: Callable[[], None]) -> None:
        """Let something happen to this process, unless it has died by then."""
        incarnation = self.incarnation

        def guarded() -> None:
            if self.incarnation == incarnation and self.up:
                action()

        self.world.after(delay_s, what, guarded)

    def start(self) -> None:
        """Start it, unless it runs or may not."""
        if not self.up and not self.grounded:
            self.up, self.stopping = True, False
            self.incarnation += 1
            self._timer_at = None
            self._steady_offset_s = self.wall_offset_s
            self.world.note(f"{self.name} starts, incarnation {self.incarnation}")
            self.begin()
            self.after_input()

    def crash(self, down_s: float | None = None) -> None:
        """Kill it; it is started again after a time, which is drawn when it is None."""
        if self.up:
            self.crash_count += 1
            self.world.note(f"fault: {self.name} dies")
            self._end(down_s)

    def stop(self) -> None:
        """Ask it to stop cleanly; it is killed when it does not come to rest."""
        if self.up and not self.stopping:
            self.world.note(f"{self.name} is asked to stop")
            self.stopping = True
            self.say_stop()
            self.later(STOP_WAIT_S, "", self.crash)
            self.after_input()

    def _end(self, down_s: float | None = None) -> None:
        self.up = False
        self.forget()
        if down_s is None:
            down_s = some(self.luck, self.rates.restart_s)
        self.world.after(down_s, "", self.start)

    def after_input(self) -> None:
        """Do what the node wants done, arm its timer, and stop once it is at rest."""
        self.drain()
        self._arm_timer()
        if self.stopping and self.at_rest():
            self.world.note(f"{self.name} stops cleanly")
            self.said_goodbye()
            self._end()

    def _arm_timer(self) -> None:
        deadline = self.node_deadline()
        if deadline is None:
            return
        at = max(self.world.now, self._true_instant(deadline) + TIMER_GRAIN_S)
        if self._timer_at is not None and self._timer_at <= at:
            return  # it fires early, looks, and is armed again, as the driver does it
        self._timer_at = at
        self.later(at - self.world.now, "", lambda: self._timer_fired(at))

    def _timer_fired(self, at: float) -> None:
        if self._timer_at != at:
            return
        self._timer_at = None
        if self._spin_at == self.world.now:
            self._spin_count += 1
            if self._spin_count > SPIN_COUNT_MAX:
                raise Violation(f"{self.name} wants its timer again and again without time passing")
        else:
            self._spin_at, self._spin_count = self.world.now, 0
        self.node_timer()
        self.after_input()

    def jump_clock(self, span_s: float) -> None:
        """Set the wall clock of its machine forward, or back when negative.

        Never further than ``CLOCK_STEP_S_MAX`` from the true time: what is uncertain is forgotten by its
        age, and a process that starts has nothing but the wall clock to tell how long it was away.
        """
        offset_s = max(-CLOCK_STEP_S_MAX, min(CLOCK_STEP_S_MAX, self.wall_offset_s + span_s))
        self.world.note(f"fault: the clock of {self.name} jumps by {offset_s - self.wall_offset_s:.3f} s")
        self.wall_offset_s = offset_s
        if self.up:
            self.clock_stepped()
