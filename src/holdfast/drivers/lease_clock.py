"""The clock that leases are counted on: it only goes forward, over restarts and whoever sets the machine's.

While the process runs, ``now`` is what the monotonic clock has counted since an
origin, which follows from the last mark (``dhcp.lease_time``). A mark is
written every few seconds and whenever the wall clock was set.

Source: clock_gettime(2), CLOCK_MONOTONIC; proc(5), /proc/sys/kernel/random/boot_id.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from holdfast.dhcp.lease_time import Mark, going_on

MARK_EVERY_S = 10.0
# A wall clock that moved further against the monotonic one was set. Leases have more than a second to spare.
STEP_S = 0.05
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


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
        began = monotonic()
        self._origin = going_on(last, boot_id=boot_id, monotonic=began, wall=wall()) - began
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
        return self.mark(), step_s

    def marked(self, mark: Mark) -> None:
        """A mark is durable; the next is due in a while."""
        self._marked_at, self._marked_offset_s = mark.node_at, mark.wall_at - mark.node_at

    def mark(self) -> Mark:
        """The clocks now."""
        return Mark(self.now(), self._wall(), self._monotonic(), self._boot_id)


def read_boot_id() -> str:
    """Which boot of the system this is; empty where it does not tell."""
    try:
        return BOOT_ID.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
