"""Tell the sender of a message that recipients of it could not be served.

The bounce enters the queue in the same commit that takes the failed recipients
out of it, so that a crash loses neither and doubles neither. It has the null
sender, hence never causes another bounce. Whom we cannot tell (the null sender,
or a sender that is not ours while no send connector leads outside) is not told,
and the tracking log says so: FAIL for the recipient and DROP for the bounce.

Source: RFC 5321 sections 4.5.5 and 6.1; RFC 3464; exchange-behaviour QU-9.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from holdfast.directory.model import DistributionGroup, Mailbox
from holdfast.kernel.events import LogEvent, happened
from holdfast.kernel.ids import new_network_message_id
from holdfast.transport import events
from holdfast.transport.categorize import Categorizer
from holdfast.transport.delivery import facts_of
from holdfast.transport.queue import AddMessage, Failure, Queue, QueuedMessage, TrackOnly
from holdfast.transport.tracking import EventId, LineDetails, TrackingWriter
from holdfast.wire.dsn import Dsn, RecipientStatus, build_dsn
from holdfast.wire.headers import format_date


@dataclass(frozen=True, slots=True)
class Bounced:
    """What goes into the commit that finishes the failed recipients, and what the log says."""

    write: AddMessage | TrackOnly
    event: LogEvent | None


class Bouncer:
    """Makes the bounces of one server."""

    def __init__(
        self, queue: Queue, categorizer: Categorizer, tracking: TrackingWriter, luck: random.Random, fqdn: str
    ) -> None:
        self._queue = queue
        self.categorizer = categorizer
        self._tracking = tracking
        self._luck = luck
        self.fqdn = fqdn

    def bounce(
        self, now: float, message: QueuedMessage, failed: list[tuple[str, Failure]], original: bytes
    ) -> Bounced:
        """Make the bounce of a message for the recipients that failed.

        Args:
            now: when they are given up.
            message: the message.
            failed: recipients, each with its reason.
            original: data of the message; empty when it cannot be read, then no headers go back.
        """
        assert failed
        recipients = tuple(recipient for recipient, _ in failed)
        reason = self._not_sent_because(message)
        if reason is not None:
            details = LineDetails(related_recipients=recipients, custom_data=reason)
            line = self._tracking.line(now, EventId.DROP, "DSN", facts_of(message), (), details)
            nmid = message.network_message_id
            return Bounced(
                TrackOnly(line), happened(events.BOUNCE_NOT_SENT, network_message_id=nmid, reason=reason)
            )
        bounce = self._message(now, message, failed, original)
        details = LineDetails(
            related_recipients=recipients, reference=message.network_message_id, directionality="Originating"
        )
        line = self._tracking.line(now, EventId.DSN, "DSN", facts_of(bounce), bounce.recipients, details)
        return Bounced(AddMessage(bounce, line), None)

    def _not_sent_because(self, message: QueuedMessage) -> str | None:
        if not message.reverse_path:
            return "no bounce: the message came from the null sender"
        found = self.categorizer.find(message.reverse_path)
        if isinstance(found, DistributionGroup) or (isinstance(found, Mailbox) and found.enabled):
            return None
        return "no bounce: the sender is not one of our users and no send connector leads to it"

    def _message(
        self, now: float, message: QueuedMessage, failed: list[tuple[str, Failure]], original: bytes
    ) -> QueuedMessage:
        network_message_id = new_network_message_id(self._luck)
        message_id = f"<{network_message_id}@{self.fqdn}>"
        data = build_dsn(
            Dsn(
                reporting_host=self.fqdn,
                to=message.reverse_path,
                date=format_date(self._tracking.wall(now)),
                arrival_date=format_date(message.received_at),
                message_id=message_id,
                boundary=f"report-{self._luck.getrandbits(128):032x}",
                recipients=tuple(
                    RecipientStatus(recipient, "failed", failure.status, failure.text)
                    for recipient, failure in failed
                ),
                original=original,
            )
        )
        return QueuedMessage(
            number=self._queue.take_number(),
            network_message_id=network_message_id,
            received_at=self._tracking.wall(now),
            reverse_path="",
            recipients=(message.reverse_path,),
            size_bytes=len(data),
            data=data,
            message_id=message_id,
            subject="Undelivered mail returned to sender",
            fingerprint=b"",
        )
