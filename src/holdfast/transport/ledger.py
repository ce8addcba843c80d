"""The ledger: every recipient of every accepted message is delivered, relayed, queued, bounced or dropped.

It is recomputed from the tracking log and the queue, never kept, so that it
cannot agree with a mistake. The unit is one recipient of one message in the queue: the
same message may be there twice, once from another server and once from the Safety Net.
So a recipient, with a network message id and a number in the queue, opens with RECEIVE
(or DSN, for a message of our own, or RESUBMIT), and closes with DELIVER or
DUPLICATEDELIVER (delivered), SEND (relayed: a next hop answers for it now; transferred,
where that is a server of ours that goes on with the same network message id), FAIL
(bounced), DROP (dropped), or by waiting in the queue (queued). EXPAND replaces a group
by its members, RESOLVE an address by the one it stands for: what was replaced is not
counted, what took its place is.
What stays open is unaccounted: it was acknowledged and is nowhere.

Log files are deleted with age, so a recipient may wait in the queue whose RECEIVE
is gone: it counts as accepted there. A line that closes what is not open is
counted as ``unmatched_count`` and in no sum.

Memory is taken by open pairs only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.kernel.errors import Refusal
from holdfast.transport.tracking import EventId, comparable, read_outcome


@dataclass(frozen=True, slots=True)
class CopyCounts:
    """How many of the messages that wait another server has, too (docs/decisions/0016).

    Attributes:
        protected_count: have a shadow copy at a partner.
        unprotected_count: should have one, and have none ...
        unprotected_since: ... the first of them since this instant; None without any.
        alone_count: are of a time when there was no partner ...
        alone_since: ... the first of them since this instant.
    """

    protected_count: int = 0
    unprotected_count: int = 0
    unprotected_since: float | None = None
    alone_count: int = 0
    alone_since: float | None = None

    def with_partner(self) -> CopyCounts:
        """The same where there is a partner by now: then what has no copy is unprotected."""
        since = [each for each in (self.unprotected_since, self.alone_since) if each is not None]
        count = self.unprotected_count + self.alone_count
        return CopyCounts(self.protected_count, count, min(since, default=None))


NO_COPIES = CopyCounts()


@dataclass(frozen=True, slots=True)
class Ledger:
    """The sums at one instant; ``accepted_count`` is always the sum of the others and ``unaccounted``.

    Attributes:
        accepted_count: recipients that we answer for.
        delivered_count: recipients whose mailbox has the message.
        relayed_count: recipients that a next hop has taken.
        transferred_out_count: recipients that another server of ours has taken, and accounts for.
        queued_count: recipients that wait.
        bounced_count: recipients given up, their sender told where it can be told.
        dropped_count: recipients dropped with a reason: second tries, empty groups.
        transferred_in_count: of the accepted: recipients that another server of ours had before.
        unaccounted: network message id and recipient of each that is nowhere.
        message_count: messages that were opened.
        unmatched_count: lines about a recipient that was not open.
        copies: of the messages that wait, at the same instant.
    """

    accepted_count: int
    delivered_count: int
    relayed_count: int
    transferred_out_count: int
    queued_count: int
    bounced_count: int
    dropped_count: int
    transferred_in_count: int
    unaccounted: tuple[tuple[str, str], ...]
    message_count: int
    unmatched_count: int
    copies: CopyCounts = NO_COPIES

    @property
    def unaccounted_count(self) -> int:
        """How many acknowledged recipients are nowhere; the promise is 0."""
        return len(self.unaccounted)


class LedgerBuilder:
    """Adds up a ledger while lines stream by, oldest first."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], set[str]] = {}  # by network message id and number in the queue
        self._accepted_count = 0
        self._message_count = 0
        self._unmatched_count = 0
        self._transferred_out_count = self._transferred_in_count = 0
        self._closed = {EventId.DELIVER: 0, EventId.SEND: 0, EventId.FAIL: 0, EventId.DROP: 0}

    def add_line(self, line: str) -> None:
        """Take one line of the tracking log; headers and what is not ours are passed over."""
        if not line or line.startswith("#"):
            return
        try:
            event_id, number, network_message_id, recipients, related, transferred = read_outcome(line)
        except Refusal:
            return
        message = network_message_id, number
        match event_id:
            case EventId.RECEIVE | EventId.DSN | EventId.RESUBMIT:
                # A message with very many recipients has several lines; one that was taken over from another
                # server, or comes from the Safety Net, is ours to answer for from then on.
                self._message_count += message not in self._open
                begun_count = self._begin(message, recipients)
                self._transferred_in_count += begun_count if transferred else 0
            case EventId.EXPAND | EventId.RESOLVE:
                self._accepted_count -= self._end(message, related)
                self._begin(message, recipients)
            case EventId.DELIVER | EventId.DUPLICATEDELIVER:
                self._closed[EventId.DELIVER] += self._end(message, recipients)
            case EventId.SEND if transferred:
                self._transferred_out_count += self._end(message, recipients)
            case EventId.SEND | EventId.FAIL | EventId.DROP:
                self._closed[event_id] += self._end(message, recipients)
            case (
                EventId.DEFER
                | EventId.LOAD
                | EventId.REDIRECT
                | EventId.TRANSFER
                | EventId.POISONMESSAGE
                | EventId.HAREDIRECT
                | EventId.HAREDIRECTFAIL
                | EventId.HARECEIVE
                | EventId.HADISCARD
            ):
                pass  # it waits on, or another server answers for it

    def add_lines(self, text: str) -> None:
        """Take many whole lines."""
        for line in text.split("\n"):
            self.add_line(line)

    def _begin(self, message: tuple[str, str], recipients: Iterable[str]) -> int:
        """Open pairs and return how many were not."""
        known = self._open.setdefault(message, set())
        before = len(known)
        known.update(recipients)
        count = len(known) - before
        self._accepted_count += count
        if not known:
            del self._open[message]
        return count

    def _end(self, message: tuple[str, str], recipients: tuple[str, ...]) -> int:
        """Close pairs and return how many were open."""
        known = self._open.get(message, set())
        count = 0
        for recipient in recipients:
            if recipient in known:
                known.discard(recipient)
                count += 1
            else:
                self._unmatched_count += 1
        if count and not known:
            del self._open[message]
        return count

    def finish(
        self, queued: Iterable[tuple[str, int, tuple[str, ...]]], copies: CopyCounts = NO_COPIES
    ) -> Ledger:
        """Close the ledger with the queue of the same instant.

        Args:
            queued: network message id, number and waiting recipients of each queued message.
            copies: how many of these messages another server has.
        """
        queued_count = 0
        for network_message_id, number, recipients in queued:
            message = network_message_id, str(number)
            names = tuple(dict.fromkeys(comparable(recipient) for recipient in recipients))
            self._begin(message, names)
            queued_count += self._end(message, names)
        return Ledger(
            accepted_count=self._accepted_count,
            delivered_count=self._closed[EventId.DELIVER],
            relayed_count=self._closed[EventId.SEND],
            transferred_out_count=self._transferred_out_count,
            queued_count=queued_count,
            bounced_count=self._closed[EventId.FAIL],
            dropped_count=self._closed[EventId.DROP],
            transferred_in_count=self._transferred_in_count,
            unaccounted=tuple(
                (network_message_id, recipient)
                for (network_message_id, _), recipients in self._open.items()
                for recipient in sorted(recipients)
            ),
            message_count=self._message_count,
            unmatched_count=self._unmatched_count,
            copies=copies,
        )
