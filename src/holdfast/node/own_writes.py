"""The writes of the transport role that no client waits for: how many are under way, and those to be tried
again.

What became of messages, and tracking lines, must not get lost over a full disk: a write that failed is kept,
and made again after a while. Meanwhile nothing more is sent to next hops, since a crash would send all of it
again.

Source: docs/decisions/0004; RFC 1047.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from holdfast.kernel.backoff import Backoff
from holdfast.transport.protection import UNPROTECTED
from holdfast.transport.queue import (
    AddMessage,
    Entry,
    HoldQueue,
    MarkMessage,
    QueueWrite,
    TrackOnly,
)
from holdfast.transport.shadow_writes import ShadowWrite

REWRITE = Backoff(first_s=0.5, longest_s=30.0)

Track = TrackOnly | MarkMessage | HoldQueue


class OwnWrites:
    """Writes of our own.

    Attributes:
        pending: for the next commit.
        under_way_count: how many are at the queue database, or pending.
        failure_count: commits that failed since the last one that worked.
        rewrite_at: when what failed is made again; None when nothing waits.
        copied_later: whether messages that we make ourselves get a shadow copy after their commit.
    """

    def __init__(self, luck: random.Random) -> None:
        self._luck = luck
        self.pending: list[QueueWrite] = []
        self.under_way_count = 0
        self.failure_count = 0
        self.rewrite_at: float | None = None
        self.copied_later = False
        self._tracks: set[Track] = set()
        self._failed_entries: list[Entry] = []
        self._failed: list[Track | ShadowWrite] = []
        # Notes of the in-flight journal that are needless once a line is durable.
        self._landing: dict[TrackOnly | MarkMessage, list[int]] = {}

    def add(self, writes: Iterable[QueueWrite]) -> None:
        """Have writes made with the next commit; who fails tells what becomes of them."""
        for write in writes:
            self.pending.append(write)
            self.under_way_count += 1
            if self.copied_later and isinstance(write, AddMessage) and write.holder is None:
                write.holder = UNPROTECTED

    def keep(self, writes: Iterable[Track]) -> None:
        """Have writes made, again and again until they are durable."""
        writes = tuple(writes)
        self._tracks.update(writes)
        self.add(writes)

    def track(self, lines: str, landing: list[int]) -> None:
        """Write tracking lines.

        ``landing`` are messages that they say may be delivered twice: noted until it is written down.
        """
        write = TrackOnly(lines)
        self.land_with(write, landing)
        self.keep((write,))

    def land_with(self, write: TrackOnly | MarkMessage, numbers: list[int]) -> None:
        """Take notes of the in-flight journal away when a write is durable."""
        if numbers:
            self._landing[write] = numbers

    def are_durable(self, writes: Iterable[Track]) -> bool:
        """Whether none of these writes is under way any more, or waits for another try."""
        writes = tuple(writes)
        return self._tracks.isdisjoint(writes) and not any(each in self._failed for each in writes)

    def committed(self, write: QueueWrite) -> list[int]:
        """A write is durable; returns the notes of the in-flight journal that are needless now."""
        self.under_way_count -= 1
        if isinstance(write, Track):
            self._tracks.discard(write)
        return self._landing.pop(write, []) if isinstance(write, TrackOnly | MarkMessage) else []

    def failed(self, write: QueueWrite) -> bool:
        """A write did not happen; returns whether it will be made again."""
        self.under_way_count -= 1
        if isinstance(write, Track) and write in self._tracks:
            self._tracks.discard(write)
            self._failed.append(write)
            return True
        return False

    def again(self, write: ShadowWrite) -> None:
        """Make a write once more, later."""
        self._failed.append(write)

    def outcome_failed(self, entry: Entry) -> None:
        """What became of a message could not be written down."""
        self._failed_entries.append(entry)

    def wait(self, now: float) -> bool:
        """After failures: wait for another try; returns whether anything waits."""
        if not (self._failed or self._failed_entries):
            return False
        if self.rewrite_at is None:
            self.rewrite_at = now + REWRITE.wait_s(self.failure_count, self._luck)
        return True

    def retry(self, now: float) -> list[Entry]:
        """Make again what failed, when it is time; returns messages whose outcomes are to be written anew."""
        if self.rewrite_at is None or now < self.rewrite_at:
            return []
        self.rewrite_at = None
        entries, self._failed_entries = self._failed_entries, []
        failed, self._failed = self._failed, []
        self.keep(each for each in failed if isinstance(each, Track))
        self.add(each for each in failed if isinstance(each, ShadowWrite))
        return entries

    def take(self) -> list[QueueWrite]:
        """What is to be committed now."""
        taken, self.pending = self.pending, []
        return taken
