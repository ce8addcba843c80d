"""Between the dhcp node and the world: empty the socket, decide, commit once, answer.

All of it happens in one step of the loop, commit included: what arrives while
the disk writes waits in the socket and is the next batch, so that a slow disk
makes larger batches and not a queue of our own. Measured in docs/decisions/0021.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from holdfast.dhcp import events
from holdfast.dhcp.desk import Link
from holdfast.dhcp.failover_declared import declared_settings
from holdfast.dhcp.saying import Sayer
from holdfast.directory.dhcp import DhcpServer
from holdfast.directory.model import Organisation
from holdfast.directory.partners import partner_address, relationships_of
from holdfast.drivers.address_probe import AddressProber
from holdfast.drivers.audit_log import AuditLog
from holdfast.drivers.bulk_lease_queries import BulkLeaseQueries
from holdfast.drivers.dhcp_answers import DhcpAnswers
from holdfast.drivers.dhcp_metrics import DhcpCollector
from holdfast.drivers.dhcp_sockets import DhcpSockets
from holdfast.drivers.dns_updates import DnsUpdater
from holdfast.drivers.failover_links import FailoverLinks, Place
from holdfast.drivers.failover_replica import Replica
from holdfast.drivers.interfaces import Interface, read_interfaces
from holdfast.drivers.lease_clock import LeaseClock
from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.sqlite_leases import LeaseStore
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.events import happened
from holdfast.node.dhcp import (
    AskAddress,
    CommitLeases,
    DhcpLog,
    DhcpNode,
    SendReplies,
    UpdateDns,
    WriteRecords,
)
from holdfast.node.failover import Dial, HangUp, PartnerSaid, SendToPartner
from holdfast.wire.dns_update import UpdateAnswer

TICK_S = 0.1
LOOK_AT_INTERFACES_S = 5.0
SAID_STEP_S = 1.0  # a clock that is corrected by less is no news


class DhcpRunner:
    """Runs one node."""

    def __init__(
        self,
        node: DhcpNode,
        store: LeaseStore,
        clock: LeaseClock,
        audit: AuditLog,
        log: LogSink,
        port: int,
    ) -> None:
        """Make a runner that is not started.

        Args:
            node: what decides.
            store: where its leases are.
            clock: what they are counted on.
            audit: where its records go.
            log: where its events go.
            port: where it listens.
        """
        self.node = node
        self._store = store
        self._clock = clock
        self._audit = audit
        self._log = log
        self._sockets = DhcpSockets(port, self._not_sent)
        self._prober = AddressProber(self._probe_answered)
        self._updater = DnsUpdater(self._dns_answered, self._tsig_secret)
        self.bulk = BulkLeaseQueries(node, clock.now, clock.wall_offset_s, log.write)
        self._following: set[asyncio.Task[None]] = set()
        # The secret of a TSIG key by its name; set by who knows where secrets are.
        self.tsig_secret: Callable[[str], str | None] = lambda name: None
        self._said = Sayer()
        self._timer: asyncio.TimerHandle | None = None
        self._look_at = 0.0
        self._is_open = self._said_closed = False
        self._said_step_s = 0.0
        self._interfaces: list[Interface] = []
        self._missing: set[str] = set()
        self._declared = DhcpServer("")
        self._organisation = Organisation()
        self._links = FailoverLinks(node.failover, clock.now, self.drain, log.write)
        self._replica = Replica(self._say_privately, log.write)
        self._replica.shares = self._partner_shares
        self._relationships_due = False
        # Gives the shared secret of a relationship; set by whoever knows where they are kept.
        self.secret_of: Callable[[str], str | None] = lambda name: None
        self.answers = DhcpAnswers(node, self.drain, clock.now)
        self.answers.failover.reread = self.follow_relationships
        self.answers.failover.fetch = self._replica.fetch
        self.answers.failover.compared = self._replica.compared
        self.answers.failover.differences = self._replica.differences
        self.metrics: DhcpCollector | None = None
        self.port = port

    def start(self, organisation: Organisation, server: DhcpServer) -> None:
        """Serve; a port that cannot be had now is tried again by itself."""
        self._declared = server
        self._organisation = organisation
        self._updater.follow(server)
        self._follow_bulk(server)
        self._open_port()
        self._follow_interfaces()
        self.follow_relationships()
        self.drain()
        self._audit.started()
        self._tick()

    def follow(self, organisation: Organisation, server: DhcpServer) -> None:
        """Go by another organisation."""
        self._declared = server
        self._organisation = organisation
        self._updater.follow(server)
        self._follow_bulk(server)
        if server.port != self.port:
            self._move_port(server.port)
        elif not self._is_open:
            self._open_port()
        self.node.organisation_changed(self._clock.now(), organisation)
        self._follow_interfaces()
        self.follow_relationships()
        self.drain()

    def _follow_bulk(self, server: DhcpServer) -> None:
        task = asyncio.get_running_loop().create_task(self.bulk.follow(server))
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    def follow_relationships(self) -> None:
        """Go by the failover relationships and their secrets as they are now."""
        name = self._declared.server
        try:
            settings = declared_settings(self._organisation, name, self.secret_of)
        except (Unavailable, Refusal):
            self._relationships_due = True  # without its secret a partner must not be spoken to
            return
        self._relationships_due = False
        self._replica.follow(self._organisation, name)
        relationships = relationships_of(self._organisation, name)
        own = [partner_address(self._organisation, each, name) for each in relationships]
        self._links.follow(
            Place(own_address, each.port, each.partner)
            for own_address, each in zip(own, settings, strict=True)
        )
        self.node.failover.clock_offset_s = self._clock.wall_offset_s()
        self.node.failover.follow(self._clock.now(), settings)

    def _say_privately(self, relationship: str, kind: int, data: bytes) -> bool:
        is_said = self.node.failover.say_privately(self._clock.now(), relationship, kind, data)
        self.drain()
        return is_said

    def _partner_shares(self, relationship: str, spans: list[tuple[int, int]]) -> None:
        self.node.failover.partner_shares(self._clock.now(), relationship, spans)
        self.drain()

    def _compare_with_partners(self) -> None:
        states = self.node.failover.status(self._clock.now())
        for each in states:
            if not each.connected:
                self._replica.forget(each.relationship)
        self._replica.tell([each.relationship for each in states if each.connected])

    def _open_port(self) -> None:
        try:
            descriptor = self._sockets.open()
        except Unavailable as error:
            if not self._said_closed:
                self._said_closed = True
                self._log.write(
                    happened(events.INTERFACE_NOT_SERVED, interface=f"port {self.port}", reason=error.text)
                )
            return
        self._is_open = True
        asyncio.get_running_loop().add_reader(descriptor, self._readable)

    def _move_port(self, port: int) -> None:
        """Listen at another port; answers that are still to come leave by the new one."""
        descriptor = self._sockets.move(port)
        if descriptor is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
        self.port = port
        self._is_open = self._said_closed = False
        self._open_port()

    def serves_on(self) -> list[str]:
        """Where we serve, for people."""
        if not self._is_open:
            return []
        return [f"{each.addresses[0]}:{self.port}" for each in self._interfaces]

    def _readable(self) -> None:
        arrivals = self._sockets.receive()
        if not arrivals:
            return
        if self._links.gathered_bytes:
            with self.node.together():
                self._links.hand_over()
                self.node.datagrams_received(self._clock.now(), arrivals)
        else:
            self.node.datagrams_received(self._clock.now(), arrivals)
        self.drain()

    def drain(self) -> None:
        """Do everything that the node wants done, in order."""
        node = self.node
        while node.outputs:
            outputs, node.outputs = node.outputs, []
            for output in outputs:
                match output:
                    case SendReplies():
                        self._sockets.send(output.replies)
                    case CommitLeases():
                        self._commit(output)
                    case WriteRecords():
                        if self._declared.audit_log:
                            self._audit.write(output.records)
                    case AskAddress():
                        self._prober.ask(output.probe)
                    case DhcpLog():
                        self._log.write(output.event)
                    case Dial() | SendToPartner() | HangUp():
                        self._links.do(output)
                    case PartnerSaid():
                        # Not here: an answer would be sent before what is still to be done.
                        asyncio.get_running_loop().call_soon(
                            self._replica.heard, output.relationship, output.kind, output.data
                        )
                    case UpdateDns():
                        self._updater.send(output.update)

    def _commit(self, output: CommitLeases) -> None:
        # A commit without leases asks whether the disk takes writes again: only a write tells.
        mark = None if output.leases or output.failover else self._clock.mark()
        began = self._clock.now()
        try:
            self._store.commit(output.leases, mark, output.failover)
        except Unavailable as error:
            self._count("failed")
            self.node.commit_failed(self._clock.now(), error.text)
        else:
            self._count("done")
            now = self._clock.now()
            self.node.leases_committed(now, now - began)

    def _count(self, outcome: str) -> None:
        if self.metrics is not None:
            self.metrics.commit_counts[outcome] += 1

    def _probe_answered(self, number: int, in_use: bool) -> None:
        self.node.probe_answered(self._clock.now(), number, in_use=in_use)
        self.drain()

    def _dns_answered(self, number: int, answer: UpdateAnswer) -> None:
        self.node.dns_answered(self._clock.now(), number, answer)
        self.drain()

    def _tsig_secret(self, name: str) -> str | None:
        return self.tsig_secret(name)

    def _not_sent(self, target: str, reason: str) -> None:
        self._said.sometimes(self._clock.now(), events.REPLY_NOT_SENT, target=target, reason=reason)

    def _tick(self) -> None:
        """Do what is due. Looking ten times a second is far cheaper than moving a timer per message."""
        now = self._clock.now()
        deadline = self.node.deadline()
        if deadline is not None and deadline <= now:
            self.node.timer(now)
            self.drain()
        if now >= self._look_at:
            if not self._is_open:
                self._open_port()
            self._follow_interfaces()
            if self._relationships_due:
                self.follow_relationships()
                self.drain()
            self._compare_with_partners()
        self._keep_mark()
        # Without the microseconds between two clocks that are read one after the other.
        self.answers.clock_offset_s = self.node.failover.clock_offset_s = round(
            self._clock.wall_offset_s(), 1
        )
        for event in self._said.events:
            self._log.write(event)
        self._said.events = []
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _keep_mark(self) -> None:
        due = self._clock.due_mark()
        if due is None:
            return
        mark, step_s = due
        if abs(step_s) >= SAID_STEP_S and round(step_s) != round(self._said_step_s):
            self._said_step_s = step_s
            self._log.write(happened(events.CLOCK_SET, step_s=round(step_s, 1)))
        if self.node.durable:
            # One that a full disk does not take is tried again at every tick; the next lease says why.
            with contextlib.suppress(Unavailable):
                self._store.commit((), mark)
                self._clock.marked(mark)
                self._said_step_s = 0.0

    def _follow_interfaces(self) -> None:
        """Serve on what is declared and there; what is not is said once."""
        self._look_at = self._clock.now() + LOOK_AT_INTERFACES_S
        try:
            there = read_interfaces()
        except OSError as error:
            self._said.sometimes(
                self._clock.now(), events.INTERFACE_NOT_SERVED, interface="any", reason=error.strerror or "?"
            )
            return
        wanted = self._declared.interfaces
        chosen = [each for each in there if (each.name in wanted if wanted else not each.is_loopback)]
        missing = set(wanted) - {each.name for each in chosen}
        for name in sorted(missing - self._missing):
            reason = "there is no such interface with an IPv4 address"
            self._log.write(happened(events.INTERFACE_NOT_SERVED, interface=name, reason=reason))
        self._missing = missing
        if chosen == self._interfaces:
            return
        before = {each.name: each.addresses for each in self._interfaces}
        for each in chosen:
            if before.get(each.name) != each.addresses:
                address = str(each.addresses[0])
                self._log.write(happened(events.INTERFACE_SERVED, interface=each.name, address=address))
        self._interfaces = chosen
        self._sockets.follow(chosen)
        self._prober.follow(chosen)
        self.node.links_changed([_link(each) for each in chosen])

    def close(self) -> None:
        """Serve no more; the mark of a clean end is written."""
        if self._timer is not None:
            self._timer.cancel()
        self.node.failover.stopping(self._clock.now())
        self.drain()
        self._links.close()
        self._replica.close()
        self._prober.close()
        self._updater.close()
        self.bulk.close()
        self._sockets.close()
        self._audit.stopped()
        with contextlib.suppress(Unavailable):  # the next start goes by the mark before
            self._store.commit((), self._clock.mark())
        self._store.close()


def _link(interface: Interface) -> Link:
    first, *others = map(int, interface.addresses)
    return Link(interface.number, interface.name, first, tuple(others))
