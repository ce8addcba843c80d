"""The connections to next hops: which host each is made to, how, and what is said on it.

``transport.outbound`` decides what a connection is given and what an answer means;
here connections are opened within their limits, driven, kept for a moment and
closed. What is to be done piles up in ``outputs``; the node takes it.

Invariant: ``InFlight`` is put out before the bytes that could make a next hop
accept a message.

Source: exchange-behaviour SC-4, SC-7, QU-7; RFC 5321 section 5; RFC 7435 for
mail that goes in the clear when TLS fails and nobody demands it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import assert_never

from holdfast.directory.model import Organisation, Role, SmartHostAuth
from holdfast.directory.server_certificates import known_certificates
from holdfast.kernel.events import happened
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import (
    Abort,
    Close,
    Connect,
    FetchPolicy,
    GoOn,
    InFlight,
    Log,
    Resolve,
    Send,
    StartTls,
    TransportOutput,
)
from holdfast.node.tls_reporting import TlsCounting
from holdfast.transport import events
from holdfast.transport.delivery import Delivery
from holdfast.transport.host_health import AllBusy, AllDown, Choice, Endpoint, HostHealth
from holdfast.transport.names import NameCache
from holdfast.transport.next_hop import HopFailure, HostList, Ourselves, Pending, find_hosts
from holdfast.transport.outbound_encoding import Encodings
from holdfast.transport.outbound_envelope import takes_long
from holdfast.transport.outbound_queue import OutboundConnection, OutboundQueue
from holdfast.transport.outbound_session import (
    ClientEvent,
    ClientTlsWanted,
    Credentials,
    DotSent,
    OutboundSession,
    SessionFailed,
    SessionReady,
    Transaction,
    TransactionDone,
)
from holdfast.transport.queue import Failure, NextHopKey
from holdfast.transport.route import HopProfile
from holdfast.transport.sts_policies import StsPolicies
from holdfast.transport.tls_policy import HostRefused, TlsDemand, TlsFacts, TlsLevel, TlsPending, TlsPolicies
from holdfast.transport.tls_report import TlsReports
from holdfast.wire.dns_answers import Answer, Question

CONNECT_TIMEOUT_S = 30.0
# How long a connection without work is kept for the next message.
IDLE_S = 5.0
RATE_SPAN_S = 60.0
# How soon a queue looks again that found no room for one more connection.
LIMITED_S = 0.5
# Hosts that offer CHUNKING and do not know BDAT are few; they are remembered until the process ends.
NO_CHUNKING_COUNT_MAX = 1000


class NextHops:
    """All connections of one server to next hops."""

    def __init__(self, delivery: Delivery, organisation: Organisation, luck: random.Random) -> None:
        self.outputs: list[TransportOutput] = []
        self.names = NameCache()
        self.health = HostHealth(luck)
        self.counting = TlsCounting(TlsReports(self.names, luck))
        self.policies = StsPolicies(self.names, self.counting.reports.policy_failed)
        self.tls = TlsPolicies(self.names, self.policies)
        self.ourselves = Ourselves()
        # Gives the password of a send connector; it is asked when a connection begins, so that a
        # changed one holds for the next connection.
        self.password_of: Callable[[str], str] = lambda _: ""
        self._delivery = delivery
        self._outbound = delivery.outbound
        self._organisation = organisation
        self._connections: dict[ConnectionId, OutboundConnection] = {}
        self._last_id = 0
        self._stopping = False
        self._encodings = Encodings(self._outbound)
        # Queues that found no room for one more connection, and when they look again.
        self._limited: dict[NextHopKey, OutboundQueue] = {}
        self._limited_until = 0.0
        # Queues that wait for DNS or for a policy.
        self._asking: dict[NextHopKey, OutboundQueue] = {}
        # By question, where it is known which: a thousand queues are not looked at after each answer.
        self._asking_for: dict[Question, dict[NextHopKey, OutboundQueue]] = {}
        self._no_chunking: dict[tuple[str, int], None] = {}
        # Servers of ours whose missing certificate was told.
        self._unknown_told: set[str] = set()
        # New connections that may be opened at once; a bucket that fills within a minute.
        self._tokens = float(organisation.outbound_connection_rate_max)
        self._tokens_at = 0.0

    def follow(self, organisation: Organisation, ourselves: Ourselves) -> None:
        """Go by an organisation from now on."""
        before = self._organisation
        if (organisation.resolver_addresses, organisation.resolver_validates) != (
            before.resolver_addresses,
            before.resolver_validates,
        ):
            self.names.forget_all()  # other servers may answer otherwise
        demands = (organisation.dane, organisation.mta_sts, organisation.required_tls)
        if demands != (before.dane, before.mta_sts, before.required_tls):
            for connection in self._connections.values():
                connection.profile = None  # it may have less TLS than is needed now
            for lane in self._outbound.lanes.values():
                lane.unfit.clear()
        self._organisation = organisation
        self.ourselves = ourselves
        for name in sorted(_unknown_servers(organisation, ourselves) - self._unknown_told):
            self._unknown_told.add(name)
            self.outputs.append(Log(happened(events.SERVER_WITHOUT_CERTIFICATE, server=name)))
        self.health.retry_s = organisation.glitch_retry_s
        self.tls.follow(organisation)

    @property
    def open_count(self) -> int:
        """How many connections are open or being opened."""
        return len(self._connections)

    def unfit(self, now: float, key: NextHopKey) -> dict[Endpoint, str]:
        """The hosts that lately did not give the TLS that a queue needs, and why."""
        lane = self._outbound.lanes.get(key)
        return {} if lane is None else lane.unfit_now(now)

    # --- work ---------------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Give messages that wait to connections, and open those that are needed."""
        if self._stopping:
            return
        for lane in self._outbound.take_stirred(now):
            self._serve(now, lane)
        questions = self.names.take_questions()
        if questions:
            self.outputs += [Resolve(question) for question in questions]
        fetches = self.policies.take_fetches()
        if fetches:
            self.outputs += [FetchPolicy(domain) for domain in fetches]
        files = self.policies.take_files()
        if files:
            self.outputs += files
        if self.health.logs:
            self.outputs += [Log(event) for event in self.health.logs]
            self.health.logs = []

    def _serve(self, now: float, lane: OutboundQueue) -> None:
        if lane.profile is None:
            lane.profile = self._delivery.router.profile(lane.key)
            if lane.profile is None:
                failure = Failure("4.4.4", "no connector leads there any more")
                self._outbound.unreachable(now, lane, failure)
                # What a connection or the disk gave back after the change waits for another way.
                self._delivery.route_anew(now, lane)
                return
            for connection in lane.connections.values():
                if connection.profile == lane.profile:
                    connection.profile = lane.profile
        while lane.waiting and lane.idle:
            connection = lane.idle.pop()
            self._fill(now, connection)
            if not connection.given and not connection.closing:
                break
        # One that is free waits for messages to be read: another one could do no more.
        wanted = 0 if lane.idle else lane.wanted_count(lane.profile.connection_count_max)
        for _ in range(wanted):
            if not self._open(now, lane, lane.profile):
                break
        if len(lane.waiting) > len(lane.connections):
            for connection in list(lane.connections.values()):
                if connection.given and connection.session.can_take_more:
                    self._fill(now, connection)

    def _fill(self, now: float, connection: OutboundConnection) -> None:
        """Give a connection what it may take, write, and let it rest when there is nothing."""
        session, lane = connection.session, connection.queue
        assert lane.profile is not None or not lane.waiting
        count_max = _message_count_max(connection)
        while (
            session.can_take_more
            and connection.given_count < count_max
            and not connection.closing
            and not connection.encoding
        ):
            if connection.given and len(lane.waiting) <= len(lane.idle):
                break  # they are served sooner by a connection that is free
            transaction = None if self._stopping else self._outbound.next_transaction(now, connection)
            if transaction is None:
                break
            if takes_long(transaction, session.extensions):
                if not self._encodings:
                    self.outputs.append(GoOn())
                self._encodings.add(connection, transaction)
                break
            self._handle(now, connection, session.deliver(transaction))
        self._write(now, connection)
        if connection.closing or connection.given or not session.idle:
            return
        if self._stopping or connection.given_count >= count_max:
            if 0 < count_max <= connection.given_count:
                # What replaces a connection that carried all it may is no new load for anybody: counted, 20
                # messages a connection and 1,200 new ones a minute would be 400 messages a second in all.
                self._tokens += 1.0
            self._quit(connection)
        elif connection not in lane.idle:
            connection.idle_since = now
            lane.idle.append(connection)

    def go_on(self, now: float) -> None:
        """Do one step for the message that is being encoded, and send it when it was the last one."""
        made = self._encodings.step()
        if self._encodings:
            self.outputs.append(GoOn())
        if made is None:
            return
        connection, message = made
        if isinstance(message, Transaction):
            self._handle(now, connection, connection.session.deliver(message))
        else:
            self._handle(now, connection, [message])
        if not connection.closing:
            self._fill(now, connection)

    def _write(self, now: float, connection: OutboundConnection) -> None:
        data = connection.session.take_output()
        if data:
            self.outputs.append(Send(connection.connection_id, data))
        connection.deadline = connection.session.deadline(now)

    # --- opening --------------------------------------------------------------------------------

    def _open(self, now: float, lane: OutboundQueue, profile: HopProfile) -> bool:
        """Open one more connection for a queue; False when that cannot be, now."""
        hosts = find_hosts(now, self.names, profile, self.ourselves)
        if isinstance(hosts, Pending):
            for question in hosts.questions:
                self._asking_for.setdefault(question, {})[lane.key] = lane
            return False
        if isinstance(hosts, HopFailure):
            if hosts.permanent:
                self._outbound.impossible(now, lane, hosts.failure)
            else:
                self._outbound.unreachable(now, lane, hosts.failure)
            return False
        if self.open_count >= self._organisation.outbound_connection_count_max:
            self._limit(now, lane)
            return False
        unfit = lane.unfit_now(now)
        while True:
            choice = self.health.choose(now, hosts, unfit=unfit)
            if isinstance(choice, AllBusy):
                self._limit(now, lane)
                return False
            if isinstance(choice, AllDown):
                if not lane.connections:
                    reason = next(iter(unfit.values()), choice.reason)
                    status = "4.7.5" if unfit else "4.4.1"
                    lane.unfit.clear()  # the next try, by schedule, is one at all of them
                    self._outbound.unreachable(now, lane, Failure(status, reason))
                return False
            demand = self.tls.demand(now, profile, lane.key.domain, choice.host)
            if isinstance(demand, HostRefused):
                self.counting.refused(now, lane.key, choice.host.name, demand)
                self.health.abandoned(choice)
                unfit[choice.endpoint] = demand.reason
                continue
            if isinstance(demand, TlsPending):
                self.health.abandoned(choice)
                self._asking[lane.key] = lane
                return False
            if not self._token(now):
                self.health.abandoned(choice)
                self._limit(now, lane)
                return False
            self._connect(now, lane, choice, demand)
            return True

    def _limit(self, now: float, lane: OutboundQueue) -> None:
        """Let a queue look again in a moment: there is no room for one more connection."""
        if not self._limited:
            self._limited_until = now + LIMITED_S
        self._limited[lane.key] = lane

    def resolved(self, now: float, answer: Answer) -> None:
        """DNS has answered."""
        self.names.resolved(now, answer)
        for lane in self._asking_for.pop(answer.question, {}).values():
            self._outbound.stir(lane)
        self._look_again()

    def policy_fetched(self, now: float, domain: str, text: bytes | None, reason: str) -> None:
        """A policy's web server has answered."""
        self.policies.policy_fetched(now, domain, text, reason)
        self._look_again()

    def _look_again(self) -> None:
        """Look again at the queues that asked."""
        asking, self._asking = self._asking, {}
        for lane in asking.values():
            self._outbound.stir(lane)

    def _token(self, now: float) -> bool:
        """Whether the rate allows one more connection now; it is counted if so."""
        rate = float(self._organisation.outbound_connection_rate_max)
        self._tokens = min(rate, self._tokens + (now - self._tokens_at) * rate / RATE_SPAN_S)
        self._tokens_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _connect(self, now: float, lane: OutboundQueue, choice: Choice, tls: TlsDemand | None) -> None:
        profile = lane.profile
        assert profile is not None
        connection_id = self.take_id()
        session = OutboundSession(
            ehlo_name=profile.ehlo_name,
            tls=tls,
            tls_active=profile.implicit_tls,
            credentials=self._credentials(profile),
            inactivity_s=profile.inactivity_s,
            chunking=choice.endpoint not in self._no_chunking,
        )
        connection = OutboundConnection(connection_id, lane, choice, session, tls, profile)
        self._connections[connection_id] = lane.connections[connection_id] = connection
        self.outputs.append(
            Connect(
                connection_id,
                choice.address,
                choice.host.port,
                profile.source_address,
                tls if profile.implicit_tls else None,
                CONNECT_TIMEOUT_S,
            )
        )

    def take_id(self) -> ConnectionId:
        """Number one more connection out."""
        self._last_id -= 1
        return ConnectionId(self._last_id)

    def _credentials(self, profile: HopProfile) -> Credentials | None:
        """What to sign in with; a password that nobody has set is empty, and the next hop says no."""
        if profile.auth is SmartHostAuth.NONE:
            return None
        password = self.password_of(profile.key.connector)
        return Credentials(profile.user, password, profile.auth is SmartHostAuth.BASIC_REQUIRE_TLS)

    # --- what happens on connections -------------------------------------------------------------

    def connected(self, now: float, connection_id: ConnectionId) -> None:
        """A connection stands."""
        connection = self._connections.get(connection_id)
        if connection is not None:
            connection.connected = True
            connection.deadline = connection.session.deadline(now)

    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> bool:
        """A next hop said something; returns whether anything but the next words to it follows."""
        connection = self._connections.get(connection_id)
        if connection is None or connection.closing:
            return False
        session = connection.session
        happenings = session.receive(data)
        if not happenings and connection.given and not (connection.queue.waiting and session.can_take_more):
            # A step of a conversation: answers to MAIL, RCPT and DATA, two inputs in three.
            self._write(now, connection)
            return bool(self.outputs)
        self._handle(now, connection, happenings)
        if not connection.closing:
            self._fill(now, connection)
        return True

    def tls_started(self, now: float, connection_id: ConnectionId, facts: TlsFacts | None) -> None:
        """TLS is on; where it was on from the first byte, the session expects it so."""
        connection = self._connections.get(connection_id)
        if connection is None or connection.closing or facts is None:
            return
        profile = connection.queue.profile
        if profile is not None and not profile.implicit_tls:
            self._handle(now, connection, connection.session.tls_started(facts))
            self._write(now, connection)

    def ended(self, now: float, connection_id: ConnectionId) -> None:
        """A next hop says no more; nobody waits for an answer that cannot come."""
        connection = self._connections.get(connection_id)
        if connection is not None and not connection.closing:
            self._handle(now, connection, connection.session.lost())
            self._close(connection)

    def lost(self, now: float, connection_id: ConnectionId, reason: str) -> None:
        """A connection is gone, or could not be made."""
        connection = self._connections.pop(connection_id, None)
        if connection is None:
            return
        if not connection.closing:
            if connection.connected:
                self._handle(now, connection, connection.session.lost(reason))
            else:
                where = f"{connection.host} [{connection.address}]:{connection.choice.host.port}"
                text = f"cannot connect to {where}: {reason or 'no answer'}"
                self._failed(now, connection, SessionFailed(None, text))
        self._leave(connection)
        self._outbound.stir(connection.queue)  # there is room for another one

    def _handle(self, now: float, connection: OutboundConnection, happenings: list[ClientEvent]) -> None:
        for event in happenings:
            match event:
                case DotSent():
                    self.outputs.append(InFlight(self._outbound.dot_sent(connection, event.number)))
                case TransactionDone():
                    self._outbound.done(now, connection, event)
                case SessionReady():
                    connection.ready = True
                    self.counting.ready(now, connection)
                    self.health.connected(now, connection.choice)
                    self._outbound.stir(connection.queue)
                case ClientTlsWanted():
                    self._write(now, connection)
                    self.outputs.append(StartTls(connection.connection_id, demand=connection.tls))
                case SessionFailed():
                    self._failed(now, connection, event)
                case _:
                    assert_never(event)

    def _failed(self, now: float, connection: OutboundConnection, failed: SessionFailed) -> None:
        """A connection is of no more use: its messages wait, and another host or way is tried."""
        lane, tls = connection.queue, connection.tls
        reply = failed.reply
        if reply is not None:
            words = f"{reply.code} {reply.text}"
            status = reply.status if reply.code < 500 else "4.4.1"
            text = f"{connection.host} said at {reply.command}: {words}"
            failure = Failure(status, text, connection.host, words)
        else:
            text = failed.reason if not connection.connected else f"{connection.host}: {failed.reason}"
            failure = Failure("4.7.5" if failed.tls else "4.4.2", text, connection.host)
        # One that was idle may be ended by the next hop. One that was ready and ended at once was of no use.
        worked = bool(connection.done_count) or connection.idle_since is not None
        if not connection.session.chunking and connection.choice.endpoint not in self._no_chunking:
            if len(self._no_chunking) >= NO_CHUNKING_COUNT_MAX:
                del self._no_chunking[next(iter(self._no_chunking))]
            self._no_chunking[connection.choice.endpoint] = None
            worked = True  # the next connection goes by DATA
        in_the_clear = (
            failed.tls
            and tls is not None
            and tls.optional
            and lane.profile is not None
            and connection.profile is lane.profile
        )
        if failed.tls:
            self.counting.failed(now, connection, failure.text)
            if tls is not None and tls.level is TlsLevel.DIRECT:
                said = {"server": tls.server, "address": connection.address, "reason": failed.reason}
                self.outputs.append(Log(happened(events.SERVER_NOT_PROVEN, **said)))
        self._close(connection)
        if worked or in_the_clear:
            self._outbound.lost(now, connection, failure)
            if not worked:
                self._connect(now, lane, connection.choice, None)
            return
        if failed.tls and not connection.choice.host.declared:
            # Of no use for what this domain needs: another one's mail goes there all the same.
            self.health.abandoned(connection.choice)
            lane.unfit[connection.choice.endpoint] = now + self.health.retry_s, failure.text
        else:
            self.health.failed(now, connection.choice, failure.text)
        self._outbound.lost(now, connection, failure, elsewhere=self._has_another_host(now, lane))
        self._outbound.stir(lane)

    def _has_another_host(self, now: float, lane: OutboundQueue) -> bool:
        """Whether a host of a queue may be tried at once, after one has failed."""
        if lane.profile is None:
            return False
        hosts = find_hosts(now, self.names, lane.profile, self.ourselves)
        return isinstance(hosts, HostList) and self.health.has_way(now, hosts, lane.unfit_now(now))

    def _quit(self, connection: OutboundConnection) -> None:
        """Take leave of a next hop."""
        connection.session.quit()
        data = connection.session.take_output()
        if data:
            self.outputs.append(Send(connection.connection_id, data))
        self._close(connection)

    def _close(self, connection: OutboundConnection) -> None:
        if not connection.closing:
            connection.closing = True
            close = Close if connection.connected else Abort
            self.outputs.append(close(connection.connection_id))
        self._leave(connection)

    def _leave(self, connection: OutboundConnection) -> None:
        """Its queue has one connection less."""
        lane = connection.queue
        if lane.connections.pop(connection.connection_id, None) is not None and connection in lane.idle:
            lane.idle.remove(connection)
        connection.deadline = None

    # --- time -----------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called."""
        first = self._limited_until if self._limited else None
        for connection in self._connections.values():
            if connection.closing:
                continue
            due = connection.deadline
            if connection.idle_since is not None:
                due = connection.idle_since + IDLE_S
            if due is not None and (first is None or due < first):
                first = due
        return first

    def timer(self, now: float) -> None:
        """End what took too long, and what is not needed."""
        if self._limited and now >= self._limited_until:
            limited, self._limited = self._limited, {}
            for lane in limited.values():
                self._outbound.stir(lane)
        for connection in list(self._connections.values()):
            if connection.closing:
                continue
            if connection.idle_since is not None:
                if now >= connection.idle_since + IDLE_S:
                    self._quit(connection)
            elif connection.deadline is not None and now >= connection.deadline:
                self._handle(now, connection, connection.session.timed_out())

    def stopping(self, now: float) -> None:
        """Begin nothing new; connections end when what is under way is answered."""
        self._stopping = True
        for connection in list(self._connections.values()):
            if not connection.closing and not connection.given:
                if connection.session.idle:
                    self._quit(connection)
                else:
                    self._close(connection)


def _unknown_servers(organisation: Organisation, ourselves: Ourselves) -> set[str]:
    """The other transport servers of ours that no certificate is known of."""
    return {
        each.name
        for each in organisation.servers
        if Role.TRANSPORT in each.roles
        and each.fqdn.lower() not in ourselves.names
        and not known_certificates(each)
    }


def _message_count_max(connection: OutboundConnection) -> int:
    """How many messages a connection may take in all; none more once another profile holds.

    The profile may ask for TLS, or for a sign-in, that this connection was made without.
    """
    profile = connection.queue.profile
    if profile is None or connection.profile is not profile:
        return 0
    return profile.message_count_per_connection_max
