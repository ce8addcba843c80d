"""The transport role of one server: sessions, intake, queue and delivery, put together.

A message goes: session, intake, commit, 250, delivery, commit. The 250 is said
in ``queue_committed`` and nowhere else. See ``node.ports`` for how a node is
driven, and docs/flow.md for the whole way.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping

from holdfast.directory.model import Organisation, Resource
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.events import EventKind, happened
from holdfast.kernel.ids import ConnectionId, MailboxId, NetworkMessageId
from holdfast.node.administration import Administration
from holdfast.node.outbound import NextHops
from holdfast.node.own_writes import REWRITE, OwnWrites
from holdfast.node.ports import (
    CallStore,
    CommitQueue,
    Landed,
    Log,
    Peer,
    ReadQueued,
    TransportOutput,
)
from holdfast.node.reports import Reports
from holdfast.node.safety_net import SafetyNet
from holdfast.node.shadow import Shadows
from holdfast.node.shadow_report import ShadowReport
from holdfast.node.smtp_doors import SmtpDoors
from holdfast.node.tls_reporting import TlsReporting
from holdfast.transport import events
from holdfast.transport.back_pressure import Reading
from holdfast.transport.bounce import Bouncer
from holdfast.transport.categorize import Categorizer
from holdfast.transport.delivery import Delivery
from holdfast.transport.intake import SETTLE_S, Intake
from holdfast.transport.next_hop import Ourselves
from holdfast.transport.protection import REFUSAL as COPY_REFUSAL
from holdfast.transport.queue import (
    AddMessage,
    Entry,
    FinishRecipients,
    HoldQueue,
    MarkMessage,
    Queue,
    QueueWrite,
    RecoveredQueue,
    SettleAnswers,
    TrackOnly,
)
from holdfast.transport.recovery import Recovery
from holdfast.transport.route import Router
from holdfast.transport.shadow_partners import shadow_demands
from holdfast.transport.shadow_writes import DropCopies, KeptBatch, ShadowWrite
from holdfast.transport.tls_policy import TlsFacts
from holdfast.transport.tracking import TrackingWriter
from holdfast.wire import store
from holdfast.wire.dns_answers import Answer

PIPELINED_BYTES_MAX = 256 << 10  # while a session waits; then its client waits too
NOTHING_RECOVERED = RecoveredQueue((), 1, {})
NO_ROOM = Refusal("no room to store the message, try again later", code=452, status="4.3.1")


class TransportNode:
    """Everything the transport role decides."""

    def __init__(
        self, organisation: Organisation, server_name: str, recovered: RecoveredQueue, luck: random.Random
    ) -> None:
        self._server_name = server_name
        self._luck = luck
        self._recovered = recovered
        self._fqdn = "localhost"
        self._tracking = TrackingWriter(self._fqdn, with_subject=organisation.tracking_subject)
        self._queue = Queue(recovered)
        self._own = OwnWrites(luck)
        self._safety_net = SafetyNet(self._own, self._tracking)
        self._categorizer = Categorizer(organisation)
        self._delivery = Delivery(
            self._queue, organisation, Router(organisation, server_name), self._tracking, luck
        )
        self._recovery = Recovery(self._queue, self._delivery.outcomes, self._tracking)
        self._next_hops = NextHops(self._delivery, organisation, luck)
        self._tls_reporting = TlsReporting(
            self._next_hops.counting.reports, self._queue, self._tracking, luck
        )
        bouncer = Bouncer(self._queue, self._categorizer, self._tracking, luck, self._fqdn)
        bouncer.router = self._delivery.router
        self._reports = Reports(self._queue, self._delivery, bouncer)
        self._reports.kept_at = self._safety_net.kept_at
        self._intake = Intake(self._queue, self._tracking, luck, memory_s=organisation.duplicate_memory_s)
        self._doors = SmtpDoors(self._intake, self._categorizer)
        self._shadows = Shadows(
            self._queue, self._delivery, self._intake, self._tracking, luck, self._next_hops.take_id
        )
        self.shadow_report = ShadowReport(self._shadows)
        self._doors.link_wanted = self._shadows.links.wanted
        self._doors.link_begun = self._shadows.links.begun
        self._organisation = organisation
        self.administration = Administration(self._queue, self._delivery, self._tracking, self._next_hops)
        self.administration.follow(organisation)
        self._shadows.held.refuse_copies = self.administration.refuse_copies
        self._take_identity(organisation)
        self._stopping = False
        self._writes: list[QueueWrite] = []  # of clients, for the next commit
        self._settle_at: float | None = None

    def _take_identity(self, organisation: Organisation) -> None:
        """Take who we are from the organisation: at first start nobody has declared us yet."""
        server = organisation.own_server(self._server_name)
        self._fqdn = self._reports.bouncer.fqdn = server.fqdn if server is not None else "localhost"
        addresses = server.addresses if server is not None else ()
        self._tracking.take_server(self._fqdn, addresses[0] if addresses else "")
        ourselves = Ourselves(frozenset((self._fqdn.lower(),)), frozenset(addresses))
        self._next_hops.follow(organisation, ourselves)
        self._doors.follow(organisation, server.name if server is not None else "", self._fqdn)
        self._tls_reporting.follow(organisation, self._fqdn)

    @property
    def clock_offset_s(self) -> float:
        """Wall clock minus steady clock: added where an instant is written down (``node.ports``)."""
        return self._tracking.clock_offset_s

    @clock_offset_s.setter
    def clock_offset_s(self, offset_s: float) -> None:
        self._tracking.clock_offset_s = offset_s

    # --- the world -------------------------------------------------------------------------

    def started(self, now: float) -> None:
        """Begin work: deliver what was found in the queue."""
        recovered, self._recovered = self._recovered, NOTHING_RECOVERED
        self._intake.recovered(now, recovered.uncertain)
        doubtful_count = self._recovery.started(now, recovered, self._organisation.poison_count)
        self._delivery.outbound.doubtful_count += doubtful_count
        if doubtful_count:
            # The last write is the one that names them, and their notes must not go before it is durable.
            self._own.land_with(self._recovery.writes[-1], self._recovery.landing)
        else:
            self._delivery.outbound.landed += self._recovery.landing
        self.administration.recovered(recovered.held_queues)
        self._follow_shadows(now)
        if recovered.shadows.something_kept:
            self._safety_net.kept(now)
        self._delivery.started(now, self._shadows.started(now, recovered.shadows))
        self._flush(now)

    def _follow_shadows(self, now: float) -> None:
        """Have the partners of this organisation, and demand copies where there is one."""
        organisation = self._organisation
        own = organisation.own_server(self._server_name)
        self._shadows.follow(now, organisation, own, shadow_demands(organisation))
        active = self._shadows.protection.active
        self._doors.before_commit = self._shadows.before_commit if active else None
        self._own.copied_later = active
        self._safety_net.hold_s = organisation.safety_net_hold_s

    def restore_policies(self, now: float, files: dict[str, bytes]) -> None:
        """Take the MTA-STS policies that an earlier life has kept, by path; before ``started``."""
        self._next_hops.policies.restore(now, files)

    def restore_counts(self, data: bytes | None) -> None:
        """Take the counts for TLS reports that an earlier life has kept; None when there are none."""
        self._tls_reporting.restore(data)

    def organisation_changed(self, now: float, organisation: Organisation) -> None:
        """Go by another organisation from now on; sessions that are open keep their limits."""
        self._categorizer = Categorizer(organisation)
        self._reports.bouncer.categorizer = self._categorizer
        self._doors.categorizer = self._categorizer
        self._intake.memory_s = organisation.duplicate_memory_s
        self._tracking.with_subject = organisation.tracking_subject
        self.administration.follow(organisation)
        self._take_identity(organisation)
        router = self._reports.bouncer.router = Router(organisation, self._server_name)
        self._delivery.organisation_changed(now, organisation, router)
        self._organisation = organisation
        self._follow_shadows(now)
        self._flush(now)

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called, or None."""
        instants = (
            self._delivery.deadline(),
            self._next_hops.deadline(),
            self._tls_reporting.deadline(),
            self._doors.next_deadline(),
            self._own.rewrite_at,
            self._settle_at,
            self._shadows.deadline(),
            self._safety_net.deadline,
            0.0 if self._recovery.unfinished else None,
        )
        return min((each for each in instants if each is not None), default=None)

    def timer(self, now: float) -> None:
        """Do what is due."""
        self._doors.timer(now)
        self._delivery.timer(now)
        self._next_hops.timer(now)
        if self._recovery.unfinished:
            self._recovery.track_some(now)
        self._report_tls(now)
        self._shadows.timer(now)
        self._safety_net.timer(now)
        self._delivery.outcomes.touched += self._own.retry(now)
        self._flush(now)

    def stopping(self, now: float) -> None:
        """Take no new message (421), finish what was acknowledged or is being received."""
        self._stopping = True
        self._doors.stopping(now)
        self._next_hops.stopping(now)
        self._shadows.links.stopping()
        self._report_tls(now)
        self._flush(now)

    def idle(self) -> bool:
        """Whether nothing is open, being committed or being delivered: a stop loses no work."""
        return not (
            self._doors.open_count
            or self._doors.writes
            or self._writes
            or self._intake.pending_count
            or self._own.under_way_count
            or self._delivery.in_flight_count
            or self._next_hops.open_count
        )

    @property
    def uncertain(self) -> dict[bytes, NetworkMessageId]:
        """Fingerprints whose sender may not have read our 250; a clean stop hands them to the next life."""
        return self._intake.uncertain

    @property
    def queued_message_count(self) -> int:
        """How many messages wait."""
        return len(self._queue)

    # --- the administrator -----------------------------------------------------------------

    def administered(self, now: float) -> list[MarkMessage | HoldQueue]:
        """Something was wanted of ``administration``: write it down and act on it; returns the writes."""
        writes = self.administration.take_writes()
        self._own.keep(writes)
        self._flush(now)
        return writes

    def is_written_down(self, writes: Iterable[MarkMessage | HoldQueue]) -> bool:
        """Whether none of these writes is under way any more, or waits for another try."""
        return self._own.are_durable(writes)

    def resources_sampled(self, now: float, readings: Mapping[Resource, Reading]) -> None:
        """The driver looked at the machine, every two seconds; what we count ourselves is put to it."""
        waiting = {
            Resource.UNCOMMITTED: Reading(self._intake.pending_count + self._own.under_way_count),
            Resource.SUBMISSION_QUEUE: Reading(self._delivery.unrouted_count),
        }
        self.outputs += [Log(each) for each in self.administration.sampled(now, {**readings, **waiting})]
        pressure = self.administration.pressure
        self._shadows.resubmission.pause(now, paused=pressure.resubmits_paused)
        self._doors.delay_s = pressure.delay_s
        self._doors.refuse_mail = self.administration.refuse_mail if pressure.refuse_outside else None
        self._flush(now)

    @property
    def doubtful_message_count(self) -> int:
        """How many messages since the start may be delivered twice, their answer being lost."""
        return self._delivery.outbound.doubtful_count

    @property
    def outbound_connection_count(self) -> int:
        """How many connections to next hops are open."""
        return self._next_hops.open_count

    @property
    def message_at_work(self) -> int:
        """The number of the message that is being looked at; 0 for none. Read when the process breaks."""
        return self._queue.at_work[0]

    @property
    def password_of(self) -> Callable[[str], str]:
        """Gives the password of a send connector, by its name."""
        return self._next_hops.password_of

    @password_of.setter
    def password_of(self, password_of: Callable[[str], str]) -> None:
        self._next_hops.password_of = password_of

    # --- connections -----------------------------------------------------------------------

    @property
    def outputs(self) -> list[TransportOutput]:
        """What is to be done; the driver takes it after every input, in order."""
        return self._doors.outputs

    @outputs.setter
    def outputs(self, outputs: list[TransportOutput]) -> None:
        self._doors.outputs = outputs

    def connection_opened(self, now: float, connection_id: ConnectionId, connector: str, peer: Peer) -> None:
        """A client came to a binding of a receive connector.

        ``connector`` empty: the node chooses among the connectors bound to where
        the client came to (exchange-behaviour RC-1).
        """
        self._doors.connection_opened(now, connection_id, connector, peer)
        self._flush_doors(now)

    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> None:
        """A client, or a next hop, said something."""
        if self._shadows.links.has(connection_id):
            self._shadows.links.bytes_received(now, connection_id, data)
            self._flush(now)
        elif connection_id < 0:
            if self._next_hops.bytes_received(now, connection_id, data):
                self._flush(now)
        else:
            self._doors.bytes_received(now, connection_id, data)
            self._flush_doors(now)

    def connection_ended(self, now: float, connection_id: ConnectionId) -> None:
        """A client says no more, but may still read (a half-closed connection)."""
        if self._shadows.links.has(connection_id):
            self._shadows.links.ended(now, connection_id)
        elif connection_id < 0:
            self._next_hops.ended(now, connection_id)
        else:
            self._doors.connection_ended(now, connection_id)
        self._flush(now)

    def outbound_connected(self, now: float, connection_id: ConnectionId, local_address: str = "") -> None:
        """A connection of ours to a next hop stands (``Connect``)."""
        if self._shadows.links.has(connection_id):
            self._shadows.links.connected(now, connection_id)
        else:
            self._next_hops.connected(now, connection_id)
        self._flush(now)

    def connection_lost(self, now: float, connection_id: ConnectionId, reason: str = "") -> None:
        """A connection is gone, whoever closed it, or could not be made; what was not sent is lost."""
        if self._shadows.links.has(connection_id):
            self._shadows.links.lost(now, connection_id, reason)
        elif connection_id < 0:
            self._next_hops.lost(now, connection_id, reason)
        else:
            self._doors.connection_lost(now, connection_id)
            self._flush_doors(now)
            return
        self._flush(now)

    def tls_started(self, now: float, connection_id: ConnectionId, facts: TlsFacts | None = None) -> None:
        """TLS is on; the session begins anew."""
        if self._shadows.links.has(connection_id):
            self._shadows.links.tls_started(now, connection_id, facts)
            self._flush(now)
        elif connection_id < 0:
            self._next_hops.tls_started(now, connection_id, facts)
            self._flush(now)
        else:
            self._doors.tls_started(now, connection_id, facts)

    def password_checked(self, now: float, connection_id: ConnectionId, mailbox_id: MailboxId | None) -> None:
        """The answer to ``CheckPassword``."""
        self._doors.password_checked(now, connection_id, mailbox_id)
        self._flush(now)

    # --- the queue database ----------------------------------------------------------------

    def queue_committed(self, now: float, writes: list[QueueWrite]) -> None:
        """Writes are durable."""
        if self._own.failure_count:
            self._own.failure_count = 0
            self._delivery.outbound.can_write()
            self._log(events.QUEUE_WRITABLE)
        landed = self._delivery.outbound.landed
        ended: list[tuple[Entry, FinishRecipients]] = []
        for write in writes:
            if isinstance(write, AddMessage):
                if self._intake.is_pending(write):
                    self._doors.accepted(now, write)
                else:
                    self._own.committed(write)
                age_s = self._tracking.wall(now) - write.message.received_at
                entry = self._queue.add(now, write.message, age_s)
                self._shadows.protection.committed(now, write)
                self._delivery.route(now, entry, entry.remaining)
            elif isinstance(write, FinishRecipients):
                landed += self._queue.landed_by(write)
                self._own.committed(write)
                entry = self._outcome_committed(now, write)
                if not write.remaining:
                    ended.append((entry, write))
            elif isinstance(write, TrackOnly) and self._intake.is_pending(write):
                self._doors.accepted(now, write)
            else:
                landed += self._own.committed(write)
                if isinstance(write, ShadowWrite):
                    self._shadows.committed(now, write)
                    if isinstance(write, DropCopies) and write.kept:
                        self._safety_net.kept(now)
        for entry, write in ended:
            # After all others: the reports on a message are in the queue by now, and not protected yet.
            reports = self._reports.made_of.pop(write.number, ())
            self._shadows.finished(now, entry, kept=write.kept > 0.0, reports=reports)
            if write.kept:
                self._safety_net.kept(now)
        self._flush(now)

    def _outcome_committed(self, now: float, write: FinishRecipients) -> Entry:
        """What became of recipients is durable."""
        entry, added = self._queue.written(write)
        if added:
            self._delivery.route(now, entry, added)
        if entry.outcomes:
            self._delivery.outcomes.touched.append(entry)
        if entry.outside and write.remaining:
            self._shadows.narrowed(entry)
        return entry

    def queue_failed(self, now: float, writes: list[QueueWrite], error: Unavailable) -> None:
        """Writes did not happen (a full disk): 452 to senders, try the rest again later."""
        own = self._own
        if not own.failure_count:
            self._log(events.QUEUE_NOT_WRITABLE, reason=error.text)
        own.failure_count += 1
        for write in writes:
            if isinstance(write, AddMessage | TrackOnly) and self._intake.is_pending(write):
                if isinstance(write, AddMessage):
                    self._shadows.protection.failed(write)
                self._doors.refused(now, write, NO_ROOM)
                continue
            # A bounce is made anew with the outcome that it belongs to; only plain lines are kept.
            if own.failed(write):
                continue
            if isinstance(write, FinishRecipients):
                own.outcome_failed(self._queue.write_failed(write))
            elif isinstance(write, SettleAnswers):
                self._intake.settle_failed(write)
                self._settle_at = now + REWRITE.wait_s(own.failure_count, self._luck)
            elif isinstance(write, MarkMessage):
                self._queue.not_told(write.number)  # the report on the delay is not there either
            elif isinstance(write, ShadowWrite) and not self._shadows.failed(now, write, error):
                own.again(write)
        if own.wait(now):
            # Until they are written down nothing more is sent: a crash would send all of it again.
            self._delivery.outbound.cannot_write()
        self._flush(now)

    def queued_read(self, now: float, number: int, data: bytes | None) -> None:
        """The data of a queued message; None when it could not be read now."""
        self._reports.data_read(now, number, data)
        self._shadows.protection.data_read(now, number, data)
        self._delivery.data_read(now, number, data)
        self._flush(now)

    def kept_read(self, now: float, batch: KeptBatch | None) -> None:
        """The answer to ``ReadKept``; None when it cannot be read now."""
        self._shadows.resubmission.kept_read(now, batch)
        self._flush(now)

    # --- DNS and policies -------------------------------------------------------------------

    def resolved(self, now: float, answer: Answer) -> None:
        """The answer to ``Resolve``."""
        self._next_hops.resolved(now, answer)
        self._flush(now)

    def policy_fetched(self, now: float, domain: str, text: bytes | None, reason: str = "") -> None:
        """The answer to ``FetchPolicy``: the policy's text, or None and why not."""
        self._next_hops.policy_fetched(now, domain, text, reason)
        self._flush(now)

    def go_on(self, now: float) -> None:
        """The answer to ``GoOn``."""
        self._next_hops.go_on(now)
        self._flush(now)

    # --- the mailbox databases -------------------------------------------------------------

    def store_connected(self, now: float, database: str) -> None:
        """A mailbox database can be asked (again)."""
        self._delivery.mailboxes.store_connected(now, database)
        kept = self._safety_net.deadline is not None
        self._shadows.resubmission.store_connected(now, database, something_kept=kept)
        self._flush(now)

    def store_lost(self, now: float, database: str) -> None:
        """A mailbox database went away; every unanswered question to it is void."""
        self._delivery.mailboxes.store_lost(now, database)
        self._shadows.resubmission.store_lost(now, database)
        self._flush(now)

    def store_answered(self, now: float, number: int, answer: store.Answer) -> None:
        """The answer to ``CallStore`` of that number."""
        self._delivery.mailboxes.answered(now, number, answer)
        self._shadows.resubmission.answered(now, number, answer)
        self._flush(now)

    # --- what follows from it ---------------------------------------------------------------

    def _flush(self, now: float) -> None:
        """Turn what the parts have decided into outputs."""
        delivery, outcomes, outputs = self._delivery, self._delivery.outcomes, self._doors.outputs
        reports = self._reports
        if self._shadows.stirred:
            self._do_shadows(now)
        if not self._stopping:
            delivery.mailboxes.dispatch(now)
            self._next_hops.advance(now)
        if delivery.delayed:
            delayed, delivery.delayed = delivery.delayed, []
            reports.tell_delayed(now, delayed)
        if outcomes.touched:
            touched, outcomes.touched = outcomes.touched, []
            for entry in touched:
                if entry.outcomes and entry.writing is None:
                    reports.record(now, entry, entry.message.data)
        if reports.wanted:
            outputs.append(ReadQueued(reports.wanted))
            reports.wanted = []
        if reports.writes:
            self._own.add(reports.writes)
            reports.writes = []
        if self._recovery.writes:
            self._own.keep(self._recovery.writes)
            self._recovery.writes = []
        if outcomes.tracks:
            self._own.track("".join(outcomes.tracks), delivery.outbound.landed_when_tracked)
            outcomes.tracks = []
            delivery.outbound.landed_when_tracked = []
        if self._doors.writes:
            self._writes += self._doors.writes
            self._doors.writes = []
        self._settle(now)
        if self._writes or self._own.pending:
            outputs.append(CommitQueue(self._writes + self._own.take()))
            self._writes = []
        if self._next_hops.outputs:
            outputs += self._next_hops.outputs
            self._next_hops.outputs = []
        if delivery.outbound.landed:
            outputs.append(Landed(delivery.outbound.landed))
            delivery.outbound.landed = []
        if delivery.mailboxes.calls:
            outputs += [CallStore(*call) for call in delivery.mailboxes.calls]
            delivery.mailboxes.calls = []
        if delivery.reading.wanted:
            outputs.append(ReadQueued(delivery.reading.wanted))
            delivery.reading.wanted = []
        if outcomes.logs:
            outputs += [Log(event) for event in outcomes.logs]
            outcomes.logs = []
        self._queue.at_work[0] = 0

    def _flush_doors(self, now: float) -> None:
        """Flush after an input of a client: most change nothing but its session, which has answered."""
        copying = self._shadows.protection.frames or self._shadows.held.frames
        if self._doors.writes or copying or (self._settle_at is None and self._intake.has_settled):
            self._flush(now)

    def _settle(self, now: float) -> None:
        """Write down which answers were read: with the next commit, or by itself after a while."""
        if not self._intake.has_settled:
            self._settle_at = None
        elif self._writes or self._own.pending or (self._settle_at is not None and now >= self._settle_at):
            self._settle_at = None
            settled = self._intake.take_settled()
            self._own.add((settled,))
            self._shadows.answers_read(settled.fingerprints)
        elif self._settle_at is None:
            self._settle_at = now + SETTLE_S

    def _report_tls(self, now: float) -> None:
        """Keep the counts of TLS, and send the reports that are due."""
        messages, files = self._tls_reporting.work(now, stopping=self._stopping)
        self._own.add(messages)
        self.outputs += files

    def _do_shadows(self, now: float) -> None:
        """Do what copies ask for."""
        shadows = self._shadows
        while shadows.work(now):
            self.outputs += shadows.outputs
            shadows.outputs = []
            self._writes += shadows.ready
            shadows.ready = []
            self._own.add(shadows.writes)
            shadows.writes = []
            refused, shadows.refused = shadows.refused, []
            for write in refused:
                self._doors.refused(now, write, COPY_REFUSAL)

    def _log(self, kind: EventKind, **fields: str | int) -> None:
        self.outputs.append(Log(happened(kind, **fields)))
