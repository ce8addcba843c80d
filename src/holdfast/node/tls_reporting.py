"""Between the counts of TLS and the queue: what happens on connections is counted, reports become mail.

A report enters the queue like a bounce: with the null sender, so that nobody is
told when it cannot be delivered.

Source: RFC 8460.
"""

from __future__ import annotations

import random

from holdfast.directory.model import Organisation
from holdfast.kernel.ids import new_network_message_id
from holdfast.transport.kept import KeptFile
from holdfast.transport.outbound_queue import OutboundConnection
from holdfast.transport.outcomes import facts_of
from holdfast.transport.queue import AddMessage, DeliveryType, NextHopKey, Queue, QueuedMessage
from holdfast.transport.tls_policy import HostRefused
from holdfast.transport.tls_report import ReportMail, TlsReports
from holdfast.transport.tracking import EventId, TrackingWriter

NOT_OFFERED = "the next hop does not offer STARTTLS"


class TlsReporting:
    """Counts what connections by DNS give, and makes messages of the reports."""

    def __init__(
        self, reports: TlsReports, queue: Queue, tracking: TrackingWriter, luck: random.Random
    ) -> None:
        self._reports = reports
        self._queue = queue
        self._tracking = tracking
        self._luck = luck
        self._stopping = False

    def follow(self, organisation: Organisation, fqdn: str) -> None:
        """Go by another organisation from now on."""
        self._reports.follow(organisation, fqdn)

    def restore(self, data: bytes | None) -> None:
        """Take the counts of an earlier life."""
        self._reports.restore(data)

    def deadline(self) -> float | None:
        """When ``work`` wants to be called; never while the process stops, since nothing is reported then."""
        return None if self._stopping else self._reports.deadline()

    def work(self, now: float, *, stopping: bool = False) -> tuple[list[AddMessage], list[KeptFile]]:
        """What is due: reports for the queue, and the counts to be kept."""
        self._stopping = stopping
        self._reports.clock_offset_s = self._tracking.clock_offset_s
        mails = [] if stopping else self._reports.take_reports(now)
        return [self._message(now, each) for each in mails], self._reports.take_files(now, stopping=stopping)

    def _message(self, now: float, mail: ReportMail) -> AddMessage:
        network_message_id = new_network_message_id(self._luck)
        message = QueuedMessage(
            number=self._queue.take_number(),
            network_message_id=network_message_id,
            received_at=self._tracking.wall(now),
            reverse_path="",
            recipients=(mail.recipient,),
            size_bytes=len(mail.data),
            data=mail.data,
            message_id=f"<{mail.message_id}>",
            subject=f"Report Domain: {mail.domain}",
            fingerprint=b"",
        )
        line = self._tracking.line(now, EventId.RECEIVE, "AGENT", facts_of(message), message.recipients)
        return AddMessage(message, line)


class TlsCounting:
    """What a connection to a next hop tells the counts; only DNS delivery has domains to report to."""

    def __init__(self, reports: TlsReports) -> None:
        self.reports = reports

    def ready(self, now: float, connection: OutboundConnection) -> None:
        """A session is ready: under TLS, perhaps with a problem that is only reported, or in the clear."""
        queue, tls, facts = connection.queue, connection.tls, connection.session.tls_facts
        if queue.key.delivery_type is not DeliveryType.DNS or tls is None:
            return  # after a handshake that failed it is tried in the clear, and was counted then
        if facts is None and not (queue.profile is not None and queue.profile.implicit_tls):
            self._failed(now, connection, NOT_OFFERED)
        elif facts is not None and facts.problem:
            self._failed(now, connection, facts.problem)
        else:
            self.reports.succeeded(now, queue.key.domain, tls)

    def failed(self, now: float, connection: OutboundConnection, reason: str) -> None:
        """TLS with a next hop did not come about, or not as it was demanded."""
        if connection.queue.key.delivery_type is DeliveryType.DNS:
            self._failed(now, connection, reason)

    def _failed(self, now: float, connection: OutboundConnection, reason: str) -> None:
        if connection.tls is not None:
            self.reports.failed(
                now,
                connection.queue.key.domain,
                connection.tls,
                host=connection.host,
                address=connection.address,
                reason=reason,
            )

    def refused(self, now: float, key: NextHopKey, host: str, refused: HostRefused) -> None:
        """A host got no mail since a policy does not let it."""
        if key.delivery_type is DeliveryType.DNS:
            self.reports.refused(now, key.domain, host, refused)
