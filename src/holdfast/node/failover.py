"""The connections of a server with its failover partners: which bytes belong to which relationship.

The driver knows connections by number and nothing of the protocol. It does this and no more:

    Dial                connect to the address, then ``connected``; or ``disconnected`` when that fails
    SendToPartner       write the bytes, in order
    HangUp              close after what was written; ``disconnected`` is not reported any more
    (somebody dials)    ``accepted`` gives a number, or None: close it
    (bytes come)        ``received``
    (it ends)           ``disconnected``, once; also when more than ``UNSENT_BYTES_MAX`` wait to be written

A state is durable before it takes effect, and so is what is acknowledged: both are in ``CommitLeases`` of
``node.dhcp`` (leases and records, all or none), and ``leases_committed`` or ``commit_failed`` reports. While
a commit is under way, what comes in waits.

Source: draft-ietf-dhc-failover-12 section 8; spec/dhcp.md section 2.1.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from holdfast.dhcp import failover_events as events
from holdfast.dhcp.authority import Authority
from holdfast.dhcp.desk import Desk
from holdfast.dhcp.failover_authority import PairAuthority
from holdfast.dhcp.failover_endpoint import Endpoint
from holdfast.dhcp.failover_link import CONNECT_S
from holdfast.dhcp.failover_pools import free_counts, secondarys_share
from holdfast.dhcp.failover_record import Record
from holdfast.dhcp.failover_settings import Settings
from holdfast.dhcp.failover_states import State
from holdfast.dhcp.lease import Lease
from holdfast.kernel.errors import Refusal
from holdfast.wire.failover import VERSION, BadMessage, MessageReader, relationship_of, write_message
from holdfast.wire.failover_messages import INVALID_PARTNER, ConnectAnswer, Message, Unknown

UNCLAIMED_COUNT_MAX = 16
UNSENT_BYTES_MAX = 1 << 20  # a partner that does not read


@dataclass(slots=True)
class Dial:
    """Connect to a partner."""

    connection: int
    address: str
    port: int


@dataclass(slots=True)
class SendToPartner:
    """Write bytes to a connection."""

    connection: int
    data: bytes


@dataclass(slots=True)
class HangUp:
    """Close a connection once everything is written."""

    connection: int


FailoverOutput = Dial | SendToPartner | HangUp


@dataclass(slots=True)
class PartnerSaid:
    """A partner that is ours said something beyond the draft; the driver knows what it means."""

    relationship: str
    kind: int
    data: bytes


class Command(enum.Enum):
    """What an administrator may order."""

    PARTNER_DOWN = "partner-down"  # the partner is switched off for certain: take everything over
    RECOVER = "recover"  # our own database is not to be trusted: ask the partner for everything
    PAUSE = "pause"  # serve nothing for a while; the partner goes on with its own share
    SHUTDOWN = "shutdown"  # serve nothing for long; the partner takes everything over
    RESUME = "resume"  # after PAUSE or SHUTDOWN


@dataclass(frozen=True, slots=True)
class Status:
    """How a relationship is, for people. Instants are those of the node's clock.

    Attributes:
        relationship: its name.
        primary: whether we are the primary.
        state: ours, as a word of the draft (``PARTNER-DOWN``).
        since: since when.
        partner_state: the partner's, as it said last; empty when it never spoke.
        partner_since: since when.
        connected: whether the partner speaks with us.
        spoken_at: when it last did; 0 for never.
        clock_difference_s: by how much the partner's clock is ahead of ours; None while nobody knows.
        untold_count: leases that the partner has not acknowledged yet.
        oldest_untold_s: for how long the oldest of them waits.
        serves: in words, whom we serve now.
        waits_until: until when the state lasts at least (MCLT, switch-over); None when for nothing.
        free_counts: by scope: addresses that are ours to lease, the partner's, and the share it should have.
        trouble: why there is no connection, or why updates are refused; empty when all is well.
    """

    relationship: str
    primary: bool
    state: str
    since: int
    partner_state: str
    partner_since: int
    connected: bool
    spoken_at: int
    clock_difference_s: float | None
    untold_count: int
    oldest_untold_s: float
    serves: str
    waits_until: float | None
    free_counts: tuple[tuple[str, int, int, int], ...]
    trouble: str


@dataclass(slots=True)
class _Unclaimed:
    """A connection of a partner's address that is not a relationship's yet: a CONNECT must name one."""

    source: str
    until: float
    reader: MessageReader


class Partners:
    """Every relationship of one server, and its connections; ``DhcpNode`` has it as ``failover``."""

    def __init__(
        self,
        desk: Desk,
        authorities: dict[str, Authority],
        records: Iterable[Record],
        alive_at: float,
        pass_on: Callable[[], None],
    ) -> None:
        """Make it without relationships; ``follow`` gives them.

        Args:
            desk: the leases.
            authorities: by scope; those of shared scopes are put in here.
            records: what the lease database has.
            alive_at: when this server ran last, by its node's clock: the last mark of the database.
            pass_on: called after each input; outputs, and what must be durable, are taken then.
        """
        self._pass_on = pass_on
        self.outputs: list[FailoverOutput | PartnerSaid] = []
        # By how much the machine's clock is ahead of the node's; the driver keeps it right.
        self.clock_offset_s = 0.0
        self._desk = desk
        self._authorities = authorities
        self._records = {each.relationship: each for each in records}
        self._alive_at = alive_at
        self.endpoints: dict[str, Endpoint] = {}
        self._readers: dict[int, tuple[Endpoint, MessageReader]] = {}
        self._unclaimed: dict[int, _Unclaimed] = {}
        self._next_connection = 1
        self._is_committing = False
        self._is_stopping = False
        self._waiting: list[Callable[[float], None]] = []

    def __bool__(self) -> bool:
        return bool(self.endpoints)

    def close_scopes(self, names: Iterable[str]) -> None:
        """Scopes are shared from now on: nobody is served in them before ``follow`` says with whom."""
        for name in names:
            if name not in self._authorities:
                self._authorities[name] = PairAuthority(lambda now, leases: None, primary=False)

    def follow(self, now: float, settings: Iterable[Settings]) -> None:
        """Go by other relationships, while no commit is under way; one that is as before goes on as it is."""
        assert not self._is_committing
        wanted = {each.relationship: each for each in settings}
        for name, endpoint in list(self.endpoints.items()):
            if wanted.get(name) != endpoint.settings:
                self._records[name] = endpoint.record
                endpoint.link.stop()
                self._take_outputs(now, endpoint)
                del self.endpoints[name]
        self._authorities.clear()
        for name, each in wanted.items():
            if name not in self.endpoints:
                record = self._records.pop(name, None)
                alive_at = max(self._alive_at, self._seen_at(each))
                self.endpoints[name] = Endpoint(each, self._desk, record, now, alive_at)
            self._authorities.update(dict.fromkeys(each.scopes, self.endpoints[name].authority))
        self._alive_at = now
        self._take_all(now)
        self._pass_on()

    def _seen_at(self, settings: Settings) -> float:
        """When we last did something for a client of the relationship: we lived then."""
        return max((each.seen_at for each in self._leases_of(settings)), default=0)

    def _leases_of(self, settings: Settings) -> Iterable[Lease]:
        for lease in self._desk.table.leases.values():
            state = self._desk.table.scope_of(lease.address)
            if state is not None and state.served.name in settings.scopes:
                yield lease

    # What the driver reports

    def accepted(self, now: float, source: str) -> int | None:
        """Somebody connected to our port; its number, or None when it is no partner's address."""
        candidates = [each for each in self.endpoints.values() if each.settings.partner == source]
        if not candidates or len(self._unclaimed) >= UNCLAIMED_COUNT_MAX or self._is_stopping:
            reason = "too many connections" if candidates else "no failover partner has this address"
            self._desk.said.sometimes(now, events.STRANGER, source=source, reason=reason)
            return None
        connection = self._new_connection()
        self._unclaimed[connection] = _Unclaimed(source, now + CONNECT_S, MessageReader())
        # A primary speaks first, on whichever connection there is.
        for endpoint in candidates:
            if endpoint.settings.primary and endpoint.link.takes_connection:
                self._claim(connection, endpoint)
                self._do(now, partial(endpoint.link.connected, connection=connection))
                break
        return connection

    def _new_connection(self) -> int:
        self._next_connection += 1
        return self._next_connection - 1

    def _claim(self, connection: int, endpoint: Endpoint) -> None:
        unclaimed = self._unclaimed.pop(connection, None)
        reader = MessageReader() if unclaimed is None else unclaimed.reader
        self._readers[connection] = (endpoint, reader)

    def connected(self, now: float, connection: int) -> None:
        """A ``Dial`` succeeded."""
        found = self._readers.get(connection)
        if found is None:
            self.outputs.append(HangUp(connection))
            self._pass_on()
            return
        self._do(now, lambda at: found[0].link.connected(at, connection))

    def received(self, now: float, connection: int, data: bytes) -> None:
        """Bytes came; those of a connection that is not known any more are passed over."""
        found = self._readers.get(connection)
        unclaimed = self._unclaimed.get(connection)
        reader = found[1] if found is not None else unclaimed.reader if unclaimed is not None else None
        if reader is None:
            return
        try:
            messages = reader.feed(data)
        except BadMessage as bad:
            self._broken(now, connection, bad.text)
            return
        if found is None and messages:
            found = self._named(now, connection, messages[0])
        if found is not None and messages:
            endpoint = found[0]
            self._do(now, lambda at: endpoint.received(at, connection, messages, arrived_at=now))

    def _named(self, now: float, connection: int, first: bytes) -> tuple[Endpoint, MessageReader] | None:
        """The relationship that a partner's first message is about."""
        unclaimed = self._unclaimed[connection]
        try:
            name = relationship_of(first)
        except BadMessage as bad:
            self._broken(now, connection, bad.text)
            return None
        for endpoint in self.endpoints.values():
            settings = endpoint.settings
            if settings.partner == unclaimed.source and settings.name == name:
                self._claim(connection, endpoint)
                # A secondary's old connection is dead to its primary; of two primaries both are told so.
                self._do(now, partial(endpoint.link.takes_over, connection=connection))
                return self._readers[connection]
        text = (
            "no relationship is named" if name is None else "there is no such relationship with this partner"
        )
        answer = ConnectAnswer(name or b"", 0, 0, b"", VERSION, None, INVALID_PARTNER, text)
        xid = int.from_bytes(first[8:12], "big")
        time = int(now + self.clock_offset_s)
        if name is not None:
            self.outputs.append(SendToPartner(connection, write_message(Message(time, xid, answer))))
        shown = "" if name is None else f' "{name[:60].decode("utf-8", "replace")}"'
        self._broken(now, connection, f"{text}{shown}")
        return None

    def _broken(self, now: float, connection: int, reason: str) -> None:
        """What came makes no sense: the connection is closed."""
        unclaimed = self._unclaimed.pop(connection, None)
        if unclaimed is not None:
            self._desk.said.sometimes(now, events.STRANGER, source=unclaimed.source, reason=reason)
            self.outputs.append(HangUp(connection))
            self._pass_on()
            return
        endpoint, _ = self._readers[connection]
        self._do(now, lambda at: endpoint.broken(at, connection, reason))

    def disconnected(self, now: float, connection: int, reason: str) -> None:
        """A connection ended, or a ``Dial`` failed; the reason is for people."""
        self._unclaimed.pop(connection, None)
        found = self._readers.pop(connection, None)
        if found is not None:
            self._do(now, lambda at: found[0].disconnected(at, connection, reason))

    def stopping(self, now: float) -> None:
        """This process ends in a moment: partners are told (PAUSED) and go on at once."""
        self._is_stopping = True
        for endpoint in self.endpoints.values():
            endpoint.stopping(now)
            self._take_outputs(now, endpoint)
        self._pass_on()

    # Commits: the node's

    def begin_commit(self) -> list[Record]:
        """A commit begins: what must be in it; what comes in waits until it ends."""
        self._is_committing = True
        return [each.record for each in self.endpoints.values() if each.is_dirty]

    @property
    def is_dirty(self) -> bool:
        """Whether something has to be made durable, or an answer to a partner waits for it."""
        return any(each.is_dirty or each.bindings.has_answers for each in self.endpoints.values())

    def committed(self, now: float) -> None:
        """The commit is done."""
        self._is_committing = False
        for endpoint in self.endpoints.values():
            endpoint.committed(now)
        self._take_all(now)

    def commit_failed(self, now: float) -> None:
        """The commit changed nothing."""
        self._is_committing = False
        for endpoint in self.endpoints.values():
            endpoint.commit_failed(now)
        self._take_all(now)

    def go_on(self, now: float) -> None:
        """Do what waited for the commit, as far as no other one begins."""
        while self._waiting and not self._is_committing and not (self.is_dirty or self._desk.writes):
            self._waiting.pop(0)(now)
            self._take_all(now)

    def _do(self, now: float, what: Callable[[float], None]) -> None:
        """Do something with a relationship; while a commit is under way it waits."""
        self._waiting.append(what)
        self.go_on(now)
        self._pass_on()

    def say_privately(self, now: float, relationship: str, kind: int, data: bytes) -> bool:
        """Say something beyond the draft to a partner that is ours; False when none is connected.

        Args:
            now: by the node's clock.
            relationship: its name.
            kind: the type of the message, from 128 on.
            data: what the partner hears as ``PartnerSaid``; with its header it must fit into a message.
        """
        endpoint = self.endpoints.get(relationship)
        if endpoint is None or not endpoint.is_connected:
            return False
        peer = endpoint.link.peer
        if peer is None or not peer.is_ours:
            return False
        endpoint.link.say(now, Unknown(kind, data))
        self._take_outputs(now, endpoint)
        self._pass_on()
        return True

    # What an administrator wants

    def command(self, now: float, relationship: str, command: Command, *, force: bool = False) -> None:
        """Do what an administrator orders; durable when the driver's commits are done.

        Args:
            now: by the node's clock.
            relationship: its name.
            command: what.
            force: although it is dangerous: PARTNER_DOWN while the partner speaks with us.

        Raises:
            Refusal: there is no such relationship here, or it makes no sense now; the text says what to do.
        """
        endpoint = self._known(relationship)
        match command:
            case Command.PARTNER_DOWN:
                endpoint.partner_down(now, force=force)
            case Command.RECOVER:
                endpoint.recover(now)
            case Command.PAUSE:
                endpoint.rest(now, State.PAUSED)
            case Command.SHUTDOWN:
                endpoint.rest(now, State.SHUTDOWN)
            case Command.RESUME:
                endpoint.resume(now)
        self._take_outputs(now, endpoint)
        self._pass_on()

    def status(self, now: float) -> list[Status]:
        """How every relationship is."""
        return [_status(now, each) for each in self.endpoints.values()]

    # Time

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called next."""
        instants = [each.deadline() for each in self.endpoints.values()]
        instants += [each.until for each in self._unclaimed.values()]
        known = [each for each in instants if each is not None]
        return min(known) if known else None

    def timer(self, now: float) -> None:
        """Do what is due."""
        for connection, unclaimed in list(self._unclaimed.items()):
            if unclaimed.until <= now:
                self._broken(now, connection, "no CONNECT came")
        for endpoint in self.endpoints.values():
            endpoint.link.clock_offset_s = self.clock_offset_s
            endpoint.link.timer(now, self._new_connection)
            endpoint.timer(now)
        self._take_all(now)

    def _take_all(self, now: float) -> None:
        for endpoint in self.endpoints.values():
            self._take_outputs(now, endpoint)

    def _take_outputs(self, now: float, endpoint: Endpoint) -> None:
        link, settings = endpoint.link, endpoint.settings
        link.clock_offset_s = self.clock_offset_s
        for connection in link.dialled:
            self._readers[connection] = (endpoint, MessageReader())
            self.outputs.append(Dial(connection, settings.partner, settings.port))
        self.outputs += [SendToPartner(connection, data) for connection, data in link.sent]
        for connection in link.hung_up:
            self._readers.pop(connection, None)
            self.outputs.append(HangUp(connection))
        self.outputs += [PartnerSaid(settings.relationship, *each) for each in link.private]
        link.dialled, link.sent, link.hung_up, link.private = [], [], [], []

    def _known(self, relationship: str) -> Endpoint:
        try:
            return self.endpoints[relationship]
        except KeyError:
            names = ", ".join(f'"{each}"' for each in self.endpoints) or "none"
            raise Refusal(
                f'this server has no failover relationship "{relationship}"; it has {names}'
            ) from None


def _status(now: float, endpoint: Endpoint) -> Status:
    record, link = endpoint.record, endpoint.link
    primary = endpoint.settings.primary
    free = []
    for state in endpoint.pools.scopes:
        primarys, secondarys = free_counts(state)
        share = secondarys_share(primarys + secondarys, endpoint.percent)
        ours, theirs = (primarys, secondarys) if primary else (secondarys, primarys)
        free.append((state.served.name, ours, theirs, share if primary else primarys + secondarys - share))
    return Status(
        relationship=record.relationship,
        primary=primary,
        state=endpoint.state.text,
        since=record.since,
        partner_state=State(record.partner_state).text if record.partner_state else "",
        partner_since=record.partner_since,
        connected=endpoint.is_connected,
        spoken_at=int(now) if endpoint.is_connected else record.spoken_at,
        clock_difference_s=link.clock_difference_s,
        untold_count=endpoint.bindings.untold_count,
        oldest_untold_s=endpoint.bindings.oldest_untold_s(now),
        serves=endpoint.serves_text(),
        waits_until=endpoint.waits_until(),
        free_counts=tuple(free),
        trouble=link.trouble,
    )
