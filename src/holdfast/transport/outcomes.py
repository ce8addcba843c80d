"""Settle what became of recipients: the one place where outcomes, tracking lines and log events are made.

Invariant: a recipient leaves the queue only by an outcome made here, and each
outcome carries the tracking lines that say why.

Source: exchange-behaviour MT; RFC 3463.
"""

from __future__ import annotations

from holdfast.kernel.events import LogEvent, happened
from holdfast.transport import events
from holdfast.transport.queue import Entry, Failure, QueuedMessage, RecipientOutcome, Served
from holdfast.transport.tracking import EventId, LineDetails, MessageFacts, TrackingWriter


def facts_of(message: QueuedMessage) -> MessageFacts:
    """What tracking lines say about a message."""
    return MessageFacts(
        message.number,
        message.message_id,
        message.network_message_id,
        message.size_bytes,
        message.subject,
        message.reverse_path,
    )


class Outcomes:
    """What piles up until the node writes it down.

    ``touched`` are messages with new outcomes, ``tracks`` lines that go with none, ``logs`` events.
    """

    def __init__(self, tracking: TrackingWriter) -> None:
        self._tracking = tracking
        self.touched: list[Entry] = []
        self.tracks: list[str] = []
        self.logs: list[LogEvent] = []

    def settle(self, entry: Entry, outcome: RecipientOutcome) -> None:
        """Take an outcome that is made already."""
        entry.outcomes += (outcome,)
        self.touched.append(entry)

    def stored(self, now: float, entry: Entry, event_id: EventId, recipients: tuple[str, ...]) -> None:
        """Recipients have the message in their mailbox (DELIVER or DUPLICATEDELIVER)."""
        line = self._tracking.line(now, event_id, "STOREDRIVER", facts_of(entry.message), recipients)
        self.settle(entry, RecipientOutcome(recipients, line, served=Served.DELIVERED))

    def expanded(
        self, now: float, entry: Entry, group: str, members: tuple[str, ...], *, empty: bool
    ) -> None:
        """A group's members take its place; ``empty`` says that it has none at all."""
        facts = facts_of(entry.message)
        if empty:
            details = LineDetails(custom_data="the group has no members")
            line = self._tracking.line(now, EventId.DROP, "ROUTING", facts, (group,), details)
        else:
            details = LineDetails(related_recipients=(group,))
            line = self._tracking.line(now, EventId.EXPAND, "ROUTING", facts, members, details)
        self.settle(entry, RecipientOutcome((group,), line, members, served=Served.EXPANDED))

    def failed(
        self, now: float, entry: Entry, recipients: tuple[str, ...], failure: Failure, source: str
    ) -> None:
        """Recipients cannot be served; their sender is told.

        Args:
            now: when.
            entry: the message.
            recipients: those it is about.
            failure: why.
            source: the part that found out: STOREDRIVER, ROUTING, SMTP, QUEUE, ADMIN.
        """
        details = LineDetails(
            recipient_status=f"{failure.status} {failure.text}", custom_data=remote_words(failure)
        )
        line = self._tracking.line(now, EventId.FAIL, source, facts_of(entry.message), recipients, details)
        self.settle(entry, RecipientOutcome(recipients, line, failure=failure))
        for recipient in recipients:
            self.logs.append(
                happened(
                    events.RECIPIENT_FAILED,
                    network_message_id=entry.message.network_message_id,
                    recipient=recipient,
                    status=failure.status,
                    reason=failure.text,
                )
            )

    def dropped(
        self, now: float, entry: Entry, recipients: tuple[str, ...], why: str, source: str = "ADMIN"
    ) -> None:
        """Recipients leave the queue, nobody is told: an administrator wants it, or another server has it."""
        details = LineDetails(custom_data=why)
        line = self._tracking.line(now, EventId.DROP, source, facts_of(entry.message), recipients, details)
        self.settle(entry, RecipientOutcome(recipients, line))

    def deferred(
        self, now: float, entry: Entry, recipients: tuple[str, ...], failure: Failure, source: str
    ) -> None:
        """Recipients wait for another try; the log says so once in the life of this process."""
        if entry.deferred:
            return
        entry.deferred = True
        self.noted(now, entry, EventId.DEFER, source, recipients, failure)

    def noted(
        self,
        now: float,
        entry: Entry,
        event_id: EventId,
        source: str,
        recipients: tuple[str, ...],
        failure: Failure,
    ) -> None:
        """Write a line about recipients that wait on."""
        details = LineDetails(recipient_status=f"{failure.status} {failure.text}")
        facts = facts_of(entry.message)
        self.tracks.append(self._tracking.line(now, event_id, source, facts, recipients, details))


def remote_words(failure: Failure) -> str:
    """The next hop that said no, and its words; empty when it was our own decision."""
    return f"{failure.remote_host}: {failure.reply}" if failure.remote_host else ""
