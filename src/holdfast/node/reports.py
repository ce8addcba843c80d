"""The reports of the transport role: what became of recipients is written down together with what is told of
it.

A report needs the message it is about. When that is only on disk it is read first, and
the outcome waits for it, so that both are in one commit.

Source: exchange-behaviour QU-3; RFC 3461; RFC 3464.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from holdfast.transport.bounce import Bouncer
from holdfast.transport.delivery import Delivery
from holdfast.transport.queue import AddMessage, Entry, Failure, MarkMessage, Queue, QueueWrite

Delayed = tuple[tuple[str, Failure], ...]  # recipients that wait, each with why


class Reports:
    """Writes down outcomes, with the reports that they call for.

    Attributes:
        wanted: numbers of messages whose data is to be read.
        writes: for the queue database.
        made_of: numbers of the reports that were made of a message, until it is finished.
        kept_at: gives the instant at which a message that is finished now goes to the Safety Net, 0 for none.
    """

    def __init__(self, queue: Queue, delivery: Delivery, bouncer: Bouncer) -> None:
        self._queue = queue
        self._delivery = delivery
        self.bouncer = bouncer
        self.wanted: list[int] = []
        self.writes: list[QueueWrite] = []
        self.made_of: dict[int, tuple[int, ...]] = {}
        self.kept_at: Callable[[float], float] = lambda _: 0.0
        # Messages whose data is being read for a report; recipients whose sender is told that they wait.
        self._reading: set[int] = set()
        self._waiting_to_tell: dict[int, Delayed] = {}

    def record(self, now: float, entry: Entry, data: bytes | None) -> None:
        """Write down what became of recipients; in the same commit come the reports on it."""
        reported = self.bouncer.needs_original(entry.message, entry.outcomes)
        if reported and data is None:
            self._read(entry)
            return
        number = self._queue.at_work[0] = entry.message.number
        write, outcomes = self._queue.begin_write(entry, self.kept_at(now))
        self.writes.append(write)
        if reported:
            for made in self.bouncer.reports(now, entry.message, outcomes, data or b""):
                self.writes.append(made.write)
                if isinstance(made.write, AddMessage):
                    self.made_of[number] = (*self.made_of.get(number, ()), made.write.message.number)
                if made.event is not None:
                    self._delivery.outcomes.logs.append(made.event)

    def _read(self, entry: Entry) -> None:
        number = entry.message.number
        if number not in self._reading:
            self._reading.add(number)
            self.wanted.append(number)

    def data_read(self, now: float, number: int, data: bytes | None) -> None:
        """The data of a message, which may be one that a report waits for."""
        if number not in self._reading:
            return
        self._reading.discard(number)
        entry = self._queue.get(number)
        if entry is not None and number in self._waiting_to_tell:
            self._tell_delay(now, entry, data or b"")
        self._waiting_to_tell.pop(number, None)
        if entry is not None and entry.outcomes and entry.writing is None:
            self.record(now, entry, data or b"")

    def tell_delayed(self, now: float, delayed: list[tuple[Entry, Delayed]]) -> None:
        """Tell senders that their messages wait, once (exchange-behaviour QU-3)."""
        for entry, recipients in delayed:
            number = entry.message.number
            self._queue.untold.pop(number, None)
            self._waiting_to_tell[number] = recipients
            if entry.message.data is None:
                self._read(entry)
            else:
                self._tell_delay(now, entry, entry.message.data)

    def _tell_delay(self, now: float, entry: Entry, data: bytes) -> None:
        recipients = self._waiting_to_tell.pop(entry.message.number)
        self._queue.at_work[0] = entry.message.number
        report = self.bouncer.delay(now, entry.message, recipients, data)
        if report is not None:
            self._queue.mark(entry, replace(entry.message.marks, delay_told=True))
            # Both in one commit: the sender is told once, and it is known that it was.
            self.writes += (report.write, MarkMessage(entry.message.number, entry.message.marks))
