"""What a start finds: messages, notes of what was in flight, and messages over which this process died.

Every message that was found gets a LOAD line, some at a time, since a million of
them are 300 MB of text. A message that a next hop may have taken in the last
moment of the last life is named in the log; one over which the process died too
often is set aside.

Source: exchange-behaviour QU-5, MT; RFC 1047.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from holdfast.kernel.events import happened
from holdfast.transport import events
from holdfast.transport.outcomes import Outcomes, facts_of
from holdfast.transport.queue import Entry, MarkMessage, Queue, RecoveredQueue, TrackOnly
from holdfast.transport.tracking import EventId, LineDetails, TrackingWriter

LINES_PER_WRITE = 2000
DOUBTFUL = LineDetails(recipient_status="4.4.2 may be delivered twice: this server was stopped by force")


class Recovery:
    """Works off what was found; ``writes`` are to be made durable, ``landing`` are notes of the in-flight
    journal that are needless once they are."""

    def __init__(self, queue: Queue, outcomes: Outcomes, tracking: TrackingWriter) -> None:
        self._queue = queue
        self._outcomes = outcomes
        self._tracking = tracking
        self._found: deque[Entry] = deque()
        self.writes: list[TrackOnly | MarkMessage] = []
        self.landing: list[int] = []

    @property
    def unfinished(self) -> bool:
        """Whether there are more lines to write."""
        return bool(self._found)

    def started(self, now: float, recovered: RecoveredQueue, poison_count: int) -> int:
        """Look at what was found.

        Args:
            poison_count: crashes over one message after which it is set aside.

        Returns:
            How many messages may be delivered twice.
        """
        self._found.extend(self._queue)
        if self._found or recovered.uncertain:
            self._outcomes.logs.append(
                happened(
                    events.QUEUE_FOUND,
                    message_count=len(self._found),
                    uncertain_count=len(recovered.uncertain),
                )
            )
        self.track_some(now)
        self._set_poison_aside(now, recovered, poison_count)
        return self._tell_doubtful(now, recovered)

    def track_some(self, now: float) -> None:
        """Write LOAD lines of some of the messages that are still there."""
        lines: list[str] = []
        while self._found and len(lines) < LINES_PER_WRITE:
            entry = self._found.popleft()
            if self._queue.get(entry.message.number) is entry:
                facts = facts_of(entry.message)
                lines.append(self._tracking.line(now, EventId.LOAD, "BOOTLOADER", facts, entry.remaining))
        if lines:
            self.writes.append(TrackOnly("".join(lines)))

    def _set_poison_aside(self, now: float, recovered: RecoveredQueue, poison_count: int) -> None:
        for number, crash_count in recovered.crash_counts.items():
            entry = self._queue.get(number)
            if entry is None or entry.message.marks.poison or crash_count < poison_count:
                continue
            marks = replace(entry.message.marks, poison=True)
            self._queue.mark(entry, marks)
            details = LineDetails(custom_data=f"the transport role died {crash_count} times over it")
            facts = facts_of(entry.message)
            line = self._tracking.line(now, EventId.POISONMESSAGE, "QUEUE", facts, entry.remaining, details)
            self.writes.append(MarkMessage(number, marks, line))
            nmid = entry.message.network_message_id
            event = happened(events.MESSAGE_POISON, network_message_id=nmid, crash_count=crash_count)
            self._outcomes.logs.append(event)

    def _tell_doubtful(self, now: float, recovered: RecoveredQueue) -> int:
        self.landing = list(recovered.in_flight)
        found = [entry for number in recovered.in_flight if (entry := self._queue.get(number)) is not None]
        if found:
            lines = [
                self._tracking.line(
                    now, EventId.DEFER, "QUEUE", facts_of(entry.message), entry.remaining, DOUBTFUL
                )
                for entry in found
            ]
            self.writes.append(TrackOnly("".join(lines)))
            self._outcomes.logs.append(happened(events.DUPLICATES_POSSIBLE, message_count=len(found)))
        return len(found)
