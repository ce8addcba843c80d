"""Decide when the data of a queued message is read from disk, so that memory stays bounded.

Data stays in memory only while it moves. A part whose turn comes without it
waits for a read; parts of one message share one. What is being read counts as
if it were in memory already.

Source: docs/decisions/0004.
"""

from __future__ import annotations

import random

from holdfast.kernel.backoff import Backoff
from holdfast.kernel.events import happened
from holdfast.transport import events
from holdfast.transport.outcomes import Outcomes
from holdfast.transport.queue import Part, PartState, Queue

READ_RETRY = Backoff(first_s=1.0, longest_s=60.0)


class Reading:
    """The reads that are under way; ``wanted`` are the numbers of messages to read."""

    def __init__(self, queue: Queue, outcomes: Outcomes, luck: random.Random) -> None:
        self._queue = queue
        self._outcomes = outcomes
        self._luck = luck
        self._parts: dict[int, list[Part]] = {}
        self._bytes = 0
        self._failure_count = 0
        self.wanted: list[int] = []

    def begin(self, part: Part) -> bool:
        """Have the data of a part read; False when there is no room for it now, then ask again later."""
        message = part.entry.message
        readers = self._parts.get(message.number)
        if readers is not None:
            readers.append(part)
        elif not self._queue.room_for(self._bytes + message.size_bytes) or (
            self._bytes and self._queue.memory_bytes == 0
        ):
            return False
        else:
            self._parts[message.number] = [part]
            self._bytes += message.size_bytes
            self.wanted.append(message.number)
        part.state = PartState.READING
        return True

    def done(self, number: int, data: bytes | None) -> tuple[list[Part], float]:
        """Take the data of a message.

        Returns:
            The parts that waited for it, and after how many seconds they may try again: 0 when the
            data is there, more when it could not be read.
        """
        parts = self._parts.pop(number, [])
        if not parts:
            return [], 0.0
        entry = parts[0].entry
        self._bytes -= entry.message.size_bytes
        waiting = [part for part in parts if part.state is PartState.READING]
        if data is not None:
            self._failure_count = 0
            if waiting:
                self._queue.data_read(entry, data)
            return waiting, 0.0
        self._failure_count += 1
        wait_s = READ_RETRY.wait_s(self._failure_count, self._luck)
        self._outcomes.logs.append(
            happened(
                events.MESSAGE_UNREADABLE,
                network_message_id=entry.message.network_message_id,
                wait_s=round(wait_s, 1),
            )
        )
        return waiting, wait_s
