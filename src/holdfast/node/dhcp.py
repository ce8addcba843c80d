"""The dhcp role of one server: what arrives, what is to be made durable, what is sent when.

A driver hands over what it read from its sockets at once, in one batch; does
the outputs in order; and says when a commit is done or has failed. What arrives
while a commit is under way waits, bounded. See ``node.ports`` for how a node is
driven; ``now`` is the clock of leases, which nobody sets and which goes on over
restarts (``drivers.lease_clock``).

Invariants: one commit at a time; an answer that rests on a lease is in a
``SendReplies`` after the commit of that lease and in none before; while nothing
can be made durable nothing is offered, and it is tried again every second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from holdfast.dhcp import events
from holdfast.dhcp.arriving import arrive
from holdfast.dhcp.authority import Authority
from holdfast.dhcp.desk import Arrival, Link
from holdfast.dhcp.failover_declared import shared_scopes
from holdfast.dhcp.failover_record import Departed, Remembered, Span
from holdfast.dhcp.failover_scopes import Departures
from holdfast.dhcp.giving_back import take_away
from holdfast.dhcp.lease import Lease
from holdfast.dhcp.moving import MovedLease
from holdfast.dhcp.probing import Probe
from holdfast.dhcp.records import Record
from holdfast.dhcp.replies import Reply
from holdfast.dhcp.served import Served, make_served
from holdfast.dhcp.server import LeaseServer
from holdfast.directory.dhcp import Scope
from holdfast.directory.model import Organisation
from holdfast.directory.partners import relationships_of
from holdfast.kernel.events import LogEvent, happened
from holdfast.node.failover import FailoverOutput, Partners, PartnerSaid
from holdfast.wire.dns_update import DnsUpdate, UpdateAnswer

RETRY_S = 1.0
IDLE_S = 0.2  # after so long between two commits whatever had come was read
INBOX_COUNT_MAX = 4096


@dataclass(slots=True)
class CommitLeases:
    """Make leases and what failover must remember durable, all or none.

    ``leases_committed`` or ``commit_failed`` reports.

    Without any of it it is a question whether the disk takes writes again.
    """

    leases: list[Lease]
    failover: list[Remembered] = field(default_factory=list)


@dataclass(slots=True)
class SendReplies:
    """Send answers."""

    replies: list[Reply]


@dataclass(slots=True)
class WriteRecords:
    """Write lines of the audit log."""

    records: list[Record]


@dataclass(slots=True)
class AskAddress:
    """Find out whether somebody uses an address; ``probe_answered`` reports, always, in bounded time."""

    probe: Probe


@dataclass(slots=True)
class DhcpLog:
    """Write an event of the catalogue to the log."""

    event: LogEvent


@dataclass(slots=True)
class UpdateDns:
    """Have a zone changed; ``dns_answered`` reports, always, in bounded time."""

    update: DnsUpdate


DhcpOutput = (
    CommitLeases
    | SendReplies
    | WriteRecords
    | AskAddress
    | DhcpLog
    | UpdateDns
    | FailoverOutput
    | PartnerSaid
)


def _span(scope: Scope) -> Span:
    return int(scope.subnet.first), int(scope.subnet.last)


class DhcpNode:
    """Everything that the dhcp role of one server decides."""

    def __init__(
        self,
        organisation: Organisation,
        server_name: str,
        leases: list[Lease],
        *,
        authorities: dict[str, Authority] | None = None,
        failover: Sequence[Remembered] = (),
        alive_at: float = 0.0,
    ) -> None:
        """Make the node of a server.

        Args:
            organisation: what it goes by.
            server_name: its name there.
            leases: what its lease database has.
            authorities: by scope, for those that are shared with a partner.
            failover: what its lease database has of its relationships, and of scopes that were shared until a
                while ago; ``failover.follow`` starts them.
            alive_at: the last mark of that database; 0 for a new one.
        """
        self.outputs: list[DhcpOutput] = []
        self._server_name = server_name
        self._organisation = organisation
        served = make_served(organisation, server_name)
        shared = {} if authorities is None else authorities
        self.server = LeaseServer(served, authorities=shared)
        self.server.load(leases)
        self._say_problems(served)
        self._committing = False
        self._is_gathering = False
        self._inbox: list[Arrival] = []
        self._probe_inbox: list[tuple[int, bool]] = []  # no longer than the probes that were asked
        self._dns_inbox: list[tuple[int, UpdateAnswer]] = []  # likewise, than the updates
        self._next_served: Served | None = None
        self._retry_at: float | None = None
        # Since when the disk keeps us from reading, and when it did last.
        self._busy_since = self._committed_at = 0.0
        self._has_read = True
        departures = Departures(self.server, [each for each in failover if isinstance(each, Departed)])
        records = [each for each in failover if not isinstance(each, Departed)]
        self.failover = Partners(self.server, shared, records, departures, alive_at, self._pass_on)
        self.failover.reservations.declare(served.scopes)
        self._close_scopes(organisation)

    @property
    def durable(self) -> bool:
        """Whether leases can be made durable, as far as we know."""
        return self._retry_at is None

    # What comes in

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is reported meanwhile gets one commit: what partners said first, then datagrams.

        A commit costs clients the time of the disk, whoever it is for.
        """
        self._is_gathering = True
        try:
            yield
        finally:
            self._is_gathering = False
            self._pass_on()

    def datagrams_received(self, now: float, arrivals: list[Arrival]) -> None:
        """Messages arrived together."""
        if self._committing:
            room = INBOX_COUNT_MAX - len(self._inbox)
            self._inbox += arrivals[:room]
            if len(arrivals) > room:
                self.server.dropped["overload"] += len(arrivals) - room
            return
        self._has_read = True
        self.server.receive(now, arrivals)
        self._pass_on()

    def leases_committed(self, now: float, took_s: float = 0.0) -> None:
        """The last ``CommitLeases`` is durable.

        Args:
            now: by our clock.
            took_s: for how long the disk kept us from reading.
        """
        assert self._committing
        self._committing = False
        began = now - took_s
        if self._has_read or began > self._committed_at + IDLE_S:
            self._busy_since = began
        self._has_read, self._committed_at = False, now
        # What clients sent waits for all commits that partners' messages have made one after the other.
        self.server.committed(now, now - self._busy_since)
        if self.failover:
            self.failover.committed(now)
        if self._retry_at is not None:
            self._retry_at = None
            self.server.may_offer = True
            self.outputs.append(DhcpLog(happened(events.LEASES_DURABLE)))
        self._go_on(now)

    def commit_failed(self, now: float, reason: str) -> None:
        """The last ``CommitLeases`` changed nothing."""
        assert self._committing
        self._committing = False
        reply_count = self.server.commit_failed()
        if self._retry_at is None:
            event = happened(events.LEASES_NOT_DURABLE, reason=reason, reply_count=reply_count)
            self.outputs.append(DhcpLog(event))
        self._retry_at = now + RETRY_S
        self.server.may_offer = False
        if self.failover:
            self.failover.commit_failed(now)
        self._go_on(now)

    def probe_answered(self, now: float, number: int, *, in_use: bool) -> None:
        """What an ``AskAddress`` found."""
        if self._committing:
            self._probe_inbox.append((number, in_use))
            return
        self.server.probe_answered(now, number, in_use=in_use)
        self._pass_on()

    def dns_answered(self, now: float, number: int, answer: UpdateAnswer) -> None:
        """What came of an ``UpdateDns``."""
        if self._committing:
            self._dns_inbox.append((number, answer))
            return
        self.server.registrar.answered(now, number, answer)
        self._pass_on()

    def retry_dns(self, now: float) -> int:
        """An administrator wants zones that took no updates to be asked at once; how many there are.

        Only while no commit is under way; the driver's commits are done when it returns.
        """
        assert not self._committing
        count = self.server.registrar.try_now(now)
        self._pass_on()
        return count

    def organisation_changed(self, now: float, organisation: Organisation) -> None:
        """Go by another organisation, from the next message on."""
        self._organisation = organisation
        served = self._make_served()
        self._say_problems(served)
        self._close_scopes(organisation)
        if self._committing:
            self._next_served = served
        else:
            self.server.follow(served)

    def _make_served(self) -> Served:
        """What is declared, but for what a partner may still go by."""
        served = make_served(self._organisation, self._server_name)
        self.failover.reservations.declare(served.scopes)
        return served

    def _close_scopes(self, organisation: Organisation) -> None:
        shared = [
            scope.name
            for each in relationships_of(organisation, self._server_name)
            for scope in shared_scopes(organisation, each)
        ]
        own = [_span(each) for each in organisation.scopes if each.server == self._server_name]
        self.failover.close_scopes(shared, own)

    def links_changed(self, links: list[Link]) -> None:
        """Serve on these interfaces."""
        self.server.serve_on(links)

    def take_away(self, now: float, addresses: list[int]) -> list[int]:
        """An administrator removes leases; those that there were. Durable with the next commit.

        Only while no commit is under way; the driver's commits are done when it returns.
        """
        assert not self._committing
        found = [each for each in addresses if take_away(self.server, now, each) is not None]
        self._pass_on()
        return found

    def arrive(self, now: float, leases: list[MovedLease], clock_offset_s: float) -> list[int]:
        """Leases come over from another server; those addresses that others have from us, who keep them.

        Only while no commit is under way; the driver's commits are done when it returns.
        """
        assert not self._committing
        kept = arrive(self.server, now, leases, clock_offset_s)
        self._pass_on()
        return kept

    # Time

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called next."""
        if self._committing:
            return None
        instants = [self.server.deadline(), self._retry_at]
        if self.failover:
            instants.append(self.failover.deadline())
        known = [each for each in instants if each is not None]
        return min(known) if known else None

    def timer(self, now: float) -> None:
        """Do what is due."""
        if self._committing:
            return
        if self._retry_at is not None:
            if self._retry_at > now:
                return  # nothing can be written now; what is due is still due then
            self._begin_commit()
            return
        if self.failover.reservations.is_due:
            self.server.follow(self._make_served())
        self.server.timer(now)
        if self.failover:
            self.failover.timer(now)
        self._pass_on()

    def idle(self) -> bool:
        """Whether nothing waits for the disk."""
        return not self._committing and not self._inbox

    # What goes out

    def _go_on(self, now: float) -> None:
        if self._next_served is not None:
            served, self._next_served = self._next_served, None
            self.server.follow(served)
        self._pass_on()
        if self.failover and not self._committing:
            self.failover.go_on(now)
            self._pass_on()
        while self._probe_inbox and not self._committing:
            number, in_use = self._probe_inbox.pop(0)
            self.server.probe_answered(now, number, in_use=in_use)
            self._pass_on()
        while self._dns_inbox and not self._committing:
            self.server.registrar.answered(now, *self._dns_inbox.pop(0))
            self._pass_on()
        if self._inbox and not self._committing:
            arrivals, self._inbox = self._inbox, []
            self._has_read = True
            self.server.receive(now, arrivals)
            self._pass_on()

    def _pass_on(self) -> None:
        """Hand what the server decided to the driver, answers that wait for nothing first."""
        server, outputs = self.server, self.outputs
        if server.replies:
            outputs.append(SendReplies(server.replies))
            server.replies = []
        if server.probes:
            outputs += map(AskAddress, server.probes)
            server.probes = []
        if server.registrar.updates:
            outputs += map(UpdateDns, server.registrar.updates)
            server.registrar.updates = []
        if server.said.events:
            outputs += map(DhcpLog, server.said.events)
            server.said.events = []
        if server.records:
            outputs.append(WriteRecords(server.records))
            server.records = []
        partners = self.failover
        if partners.outputs:
            outputs += partners.outputs
            partners.outputs = []
        if self._committing or self._is_gathering:
            return
        # What failover must remember waits for the disk as everything does, and is no reason to try it again.
        also = server.acknowledged.is_due or (partners and partners.is_dirty)
        if server.writes or (also and self._retry_at is None):
            self._begin_commit()

    def _begin_commit(self) -> None:
        self._committing = True
        # Who has nothing to do with failover does not hear either that the commit is done.
        records = self.failover.begin_commit() if self.failover else []
        self.outputs.append(CommitLeases(self.server.begin_commit(), records))

    def _say_problems(self, served: Served) -> None:
        for problem in served.problems:
            self.outputs.append(DhcpLog(happened(events.NOT_SERVED, problem=problem)))
