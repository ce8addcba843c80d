"""Say each kind of event a few times a minute at most, and how often it was not said.

What one client does can happen 20,000 times a second; a log must not.
"""

from __future__ import annotations

from holdfast.kernel.events import EventKind, Field, LogEvent, happened

QUIET_S = 10.0


class Sayer:
    """The events that wait to be logged, bounded."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []
        self._last_at: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def always(self, kind: EventKind, **fields: Field) -> None:
        """Say what an administrator must hear each time."""
        self.events.append(happened(kind, **fields))

    def sometimes(self, now: float, kind: EventKind, **fields: Field) -> None:
        """Say it, unless the kind was said a moment ago; ``unsaid_count`` is filled in."""
        last_at = self._last_at.get(kind.event_id)
        if last_at is not None and now - last_at < QUIET_S:
            self._unsaid[kind.event_id] = self._unsaid.get(kind.event_id, 0) + 1
            return
        self._last_at[kind.event_id] = now
        unsaid_count = self._unsaid.pop(kind.event_id, 0)
        self.events.append(happened(kind, unsaid_count=unsaid_count, **fields))
