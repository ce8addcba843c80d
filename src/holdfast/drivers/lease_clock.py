"""The clock that leases are counted on: it only goes forward, over restarts and whoever sets the machine's.

While the process runs, ``now`` is what the monotonic clock has counted since an
origin. The origin is chosen at the start so that the instants in the lease
database keep their meaning:

- the machine was not booted since the last mark: the monotonic clock says how
  much time has passed, whatever the wall clock was set to meanwhile;
- it was: the wall clock says so, less what it was ahead at the last mark; but
  no earlier than the mark, so that no lease that ended comes back.

A mark is written every few seconds and whenever the wall clock was set.

Source: clock_gettime(2), CLOCK_MONOTONIC; proc(5), /proc/sys/kernel/random/boot_id.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

MARK_EVERY_S = 10.0
STEP_S = 1.0  # a wall clock that moved further against the monotonic one was set
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Mark(NamedTuple):
    """Three clocks at one instant.

    Attributes:
        node_at: ours.
        wall_at: the machine's.
        monotonic_at: what the system counts since it was booted.
        boot_id: which boot that was.
    """

    node_at: float
    wall_at: float
    monotonic_at: float
    boot_id: str


class LeaseClock:
    """Ours, for one process."""

    def __init__(
        self,
        last: Mark | None,
        boot_id: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Go on from the last mark.

        Args:
            last: what the lease database has; None in a new one.
            boot_id: of the system as it runs.
            monotonic: the system's steady clock.
            wall: the system's wall clock.
        """
        self._monotonic = monotonic
        self._wall = wall
        self._boot_id = boot_id
        self._origin = _start(last, boot_id, monotonic(), wall()) - monotonic()
        self._marked_at = float("-inf")
        self._marked_offset_s = 0.0

    def now(self) -> float:
        """Our instant, in seconds."""
        return self._origin + self._monotonic()

    def wall_offset_s(self) -> float:
        """How far the machine's clock is ahead of ours."""
        return self._wall() - self.now()

    def due_mark(self) -> tuple[Mark, float] | None:
        """A mark to be written now, with by how much the clock was set since the last; None for not yet."""
        now, offset_s = self.now(), self.wall_offset_s()
        first = self._marked_at == float("-inf")
        step_s = 0.0 if first else offset_s - self._marked_offset_s
        if abs(step_s) < STEP_S:
            step_s = 0.0
        if not first and step_s == 0.0 and now - self._marked_at < MARK_EVERY_S:
            return None
        self._marked_at, self._marked_offset_s = now, offset_s
        return self.mark(), step_s

    def mark(self) -> Mark:
        """The clocks now."""
        return Mark(self.now(), self._wall(), self._monotonic(), self._boot_id)


def _start(last: Mark | None, boot_id: str, monotonic: float, wall: float) -> float:
    if last is None:
        return wall
    if last.boot_id == boot_id and boot_id and monotonic >= last.monotonic_at:
        return last.node_at + (monotonic - last.monotonic_at)
    return max(last.node_at, wall - (last.wall_at - last.node_at))


def read_boot_id() -> str:
    """Which boot of the system this is; empty where it does not tell."""
    try:
        return BOOT_ID.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
