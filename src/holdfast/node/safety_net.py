"""The Safety Net of one server: what is kept after its delivery, and until when.

Source: exchange-behaviour SN-1, SN-7.
"""

from __future__ import annotations

from holdfast.node.own_writes import OwnWrites
from holdfast.transport.shadow_writes import PurgeKept
from holdfast.transport.tracking import TrackingWriter

PURGE_S = 300.0  # some thousand messages at a time


class SafetyNet:
    """Keeps delivered messages for ``hold_s``; 0 keeps none."""

    def __init__(self, own_writes: OwnWrites, tracking: TrackingWriter) -> None:
        self._own_writes = own_writes
        self._tracking = tracking
        self.hold_s = 0.0
        # When it is looked through, while anything may be in it.
        self.deadline: float | None = None
        self._last_kept_at = 0.0

    def kept_at(self, now: float) -> float:
        """The instant at which what is finished now is kept, by the wall clock; 0 when it is not."""
        return self._tracking.wall(now) if self.hold_s else 0.0

    def kept(self, now: float) -> None:
        """Something is in it."""
        self._last_kept_at = now
        if self.deadline is None:
            self.deadline = now + PURGE_S

    def timer(self, now: float) -> None:
        """Let go of what was kept for long enough, some at a time, while there is anything."""
        if self.deadline is None or now < self.deadline:
            return
        self._own_writes.add((PurgeKept(self._tracking.wall(now) - self.hold_s),))
        done_at = self._last_kept_at + self.hold_s + PURGE_S
        self.deadline = now + PURGE_S if now < done_at else None
