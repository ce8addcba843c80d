"""One server's queue disk, as checkers read it: what waits, whose letter that is, and what the log tells.

Lines of the tracking log are read once. A disk that was lost comes back empty;
what was read of it before stays known.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

from holdfast.sim.disk import QueueDisk
from holdfast.transport.ledger import Ledger, LedgerBuilder
from holdfast.transport.queue import QueuedMessage
from holdfast.transport.tracking import TrackingEvent, parse_lines

MARKER_HEADER = b"X-Letter: "


def marker_of(data: bytes) -> str:
    """The word that tells which letter some stored bytes are; empty for none."""
    start = data.find(MARKER_HEADER)
    if start < 0:
        return ""
    start += len(MARKER_HEADER)
    return data[start : data.index(b"\r\n", start)].decode("ascii", "replace")


class QueueView:
    """What a checker knows of one queue disk.

    Attributes:
        place, name: of its server.
        gone: its server never comes back.
        failed_count: recipients that its tracking log has given up.
        twice: whether there was ever a message in two places here, under one network message id: as one
            of its own and as one that it took over. The ledger counts by that id.
    """

    def __init__(self, disk: QueueDisk, place: str = "", name: str = "") -> None:
        self.disk = disk
        self.place = place
        self.name = name
        self.gone = False
        self.failed_count = 0
        self.twice = False
        self._tracked_count = 0
        self._ledger, self._ledger_count = LedgerBuilder(), 0
        self._markers: dict[int, str] = {}

    def new_events(self) -> Iterator[TrackingEvent]:
        """What the tracking log tells since it was last asked."""
        tracking = self.disk.tracking
        new, self._tracked_count = tracking[self._tracked_count :], len(tracking)
        return (event for lines in new for event in parse_lines(lines))

    def disk_lost(self) -> None:
        """The disk is empty from now on."""
        self._tracked_count = self.failed_count = 0
        self._markers.clear()

    def held(self) -> Iterator[tuple[str, QueuedMessage]]:
        """The shadow copies on it, with the markers of their letters."""
        for held in self.disk.shadows.copies.values():
            yield marker_of(held.message.data or b""), held.message

    def waiting(self) -> Iterator[tuple[str, QueuedMessage]]:
        """What waits, with the marker of its letter."""
        for number, message in self.disk.messages.items():
            if number not in self._markers:
                self._markers[number] = marker_of(message.data or b"")
            yield self._markers[number], message

    def ledger(self) -> Ledger:
        """Add up the ledger; holds at any moment."""
        tracking = self.disk.tracking
        if len(tracking) < self._ledger_count:
            self._ledger, self._ledger_count = LedgerBuilder(), 0  # a disk that lost lines
        for lines in tracking[self._ledger_count :]:
            self._ledger.add_lines(lines)
        self._ledger_count = len(tracking)
        # What is open is little; adding all up anew after every fault took a quarter of the time.
        return copy.deepcopy(self._ledger).finish(
            (message.network_message_id, message.number, message.recipients)
            for message in self.disk.messages.values()
        )
