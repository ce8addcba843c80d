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
from holdfast.dhcp.failover_record import VERSION as RECORD_VERSION
from holdfast.dhcp.failover_record import Agreed, Record, Remembered, Span, first_record, read_spans
from holdfast.dhcp.failover_reserved import RESERVATIONS, Reservations
from holdfast.dhcp.failover_scopes import Departures
from holdfast.dhcp.failover_settings import Settings
from holdfast.dhcp.failover_states import State
from holdfast.dhcp.lease import Lease
from holdfast.kernel.errors import Refusal
from holdfast.node.failover_status import Status, status_of
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
        records: Iterable[Record | Agreed],
        departures: Departures,
        alive_at: float,
        pass_on: Callable[[], None],
    ) -> None:
        """Make it without relationships; ``follow`` gives them.

        Args:
            desk: the leases.
            authorities: by scope; those of shared scopes are put in here.
            records: what the lease database has.
            departures: the scopes that were shared until a while ago.
            alive_at: when this server ran last, by its node's clock: the last mark of the database.
            pass_on: called after each input; outputs, and what must be durable, are taken then.
        """
        self._pass_on = pass_on
        self.outputs: list[FailoverOutput | PartnerSaid] = []
        # By how much the machine's clock is ahead of the node's; the driver keeps it right.
        self.clock_offset_s = 0.0
        self._desk = desk
        self._authorities = authorities
        known = list(records)
        self._records = {each.relationship: each for each in known if isinstance(each, Record)}
        self.departures = departures
        self._ended: list[Record] = []  # records of relationships that there are no more
        self._own: list[Span] = []
        self._declared: list[Settings] = []
        self._is_due = False  # a scope may join now that had to wait
        self._alive_at = alive_at
        self.endpoints: dict[str, Endpoint] = {}
        agreed = [each for each in known if isinstance(each, Agreed)]
        self.reservations = Reservations(self.endpoints, desk.table.leases, departures.authorities, agreed)
        self._readers: dict[int, tuple[Endpoint, MessageReader]] = {}
        self._unclaimed: dict[int, _Unclaimed] = {}
        self._next_connection = 1
        self._is_committing = False
        self._is_stopping = False
        self._waiting: list[Callable[[float], None]] = []

    def __bool__(self) -> bool:
        is_due = self._is_due or self.reservations.is_due
        return bool(self.endpoints or self.departures.deadline() or self.is_dirty or is_due)

    def close_scopes(self, names: Iterable[str], own: Iterable[Span] = ()) -> None:
        """Scopes are shared from now on: nobody is served in them before ``follow`` says with whom.

        Likewise in those that were shared when this server ran last.

        Args:
            names: of the scopes.
            own: the scopes that belong to this server, shared or not.
        """
        self._own = list(own)
        was = [span for each in self._records.values() for span in read_spans(each.shared)]
        served = {
            state.served.name
            for state in self._desk.table.scopes
            if any(state.served.first <= last and first <= state.served.last for first, last in was)
        }
        for name in (*names, *served, *self.departures.authorities()):
            if name not in self._authorities:
                self._authorities[name] = _closed()

    def follow(self, now: float, settings: Iterable[Settings]) -> None:
        """Go by other relationships, while no commit is under way; one that is as before goes on as it is."""
        assert not self._is_committing
        self._declared = list(settings)
        self._is_due = False
        wanted = self._wanted()
        before: dict[str, Endpoint] = {}
        for name, endpoint in list(self.endpoints.items()):
            if wanted.get(name) != endpoint.settings:
                self._records[name] = endpoint.record
                endpoint.link.stop()
                self._take_outputs(now, endpoint)
                before[name] = self.endpoints.pop(name)
        for name, record in list(self._records.items()):
            # Where we have the other role from now on, the scope left and joined while nobody looked.
            alike = [each for each in self._declared if each.primary == bool(record.primary)]
            self.departures.left(now, record, [span for each in alike for span in each.spans], self._own)
            if name not in wanted:
                self._ended.append(self._records.pop(name)._replace(state=0))
            elif record.version == RECORD_VERSION and wanted[name].primary != bool(record.primary):
                del self._records[name]
        wanted = self._wanted()
        begun = []
        rejoined = self.departures.joined([span for each in wanted.values() for span in each.spans])
        for name, each in wanted.items():
            if name not in self.endpoints:
                known = self._records.pop(name, None)
                begun += [name] if known is None else []
                # Whose scopes have to wait leases them alone, and asks nobody for what it might have lost.
                goes_on = known is None and each not in self._declared
                # What the partner of before leased untold the new one waits for: to it we are no beginner.
                is_other = known is None and each.primary and bool(rejoined.intersection(each.spans))
                if goes_on or is_other:
                    known = first_record(name, now, goes_on=True)._replace(spoken_at=int(now) * is_other)
                alive_at = now if is_other or name in before else max(self._alive_at, self._seen_at(each))
                self.endpoints[name] = made = Endpoint(each, self._desk, known, now, alive_at)
                made.is_dirty |= goes_on or is_other or (name in before and before[name].is_dirty)
                if name in before:  # the partner takes no CONNECT of the same second
                    made.link.said_connect_at = before[name].link.said_connect_at
        self.reservations.follow(begun)
        primary_of = {each.partner for each in wanted.values() if each.primary}
        for endpoint in self.endpoints.values():
            endpoint.link.dials = endpoint.settings.primary or endpoint.settings.partner not in primary_of
        self._share()
        self._alive_at = now
        self._take_all(now)
        self._pass_on()

    def _wanted(self) -> dict[str, Settings]:
        """The relationships as they can be now: a scope whose secondary we were joins once it is all ours.

        Else we would lease at once, as its primary, what the primary of before may have leased untold.
        """
        holds = self.departures.holds
        return {
            each.relationship: each.without([span for span in each.spans if each.primary and holds(span)])
            for each in self._declared
        }

    def _share(self) -> None:
        """Say who is asked in which scope."""
        self._authorities.clear()
        self._authorities.update(self.departures.authorities())
        for endpoint in self.endpoints.values():
            for name in endpoint.settings.scopes:
                is_closed = name in endpoint.pools.closed
                self._authorities[name] = _closed() if is_closed else endpoint.authority
            endpoint.closed_before = endpoint.pools.closed

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
        # A primary speaks first, on whichever connection there is; where the partner is one as well it may be
        # about to.
        for endpoint in candidates if len({each.settings.primary for each in candidates}) == 1 else ():
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
        self._desk.acknowledged.hurry()
        self._pass_on()

    # Commits: the node's

    def begin_commit(self) -> list[Remembered]:
        """A commit begins: what must be in it; what comes in waits until it ends."""
        self._is_committing = True
        records = [each.record for each in self.endpoints.values() if each.is_dirty]
        reserved = self.reservations.begin_commit()
        return [*self._ended, *records, *self.departures.changed.values(), *reserved]

    @property
    def is_dirty(self) -> bool:
        """Whether something has to be made durable, or an answer to a partner waits for it."""
        if self._ended or self.departures.is_dirty or self.reservations.is_dirty:
            return True
        return any(each.is_dirty or each.bindings.has_answers for each in self.endpoints.values())

    def committed(self, now: float) -> None:
        """The commit is done."""
        self._is_committing = False
        self._ended = []
        self.reservations.committed()
        is_shared_otherwise = self.departures.committed()
        if is_shared_otherwise:
            self._is_due = True
        for endpoint in self.endpoints.values():
            endpoint.committed(now)
            is_shared_otherwise |= endpoint.pools.closed != endpoint.closed_before
        if is_shared_otherwise:
            self._share()
        self._take_all(now)

    def commit_failed(self, now: float) -> None:
        """The commit changed nothing."""
        self._is_committing = False
        self.reservations.commit_failed()
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

    def partner_shares(self, now: float, relationship: str, spans: Iterable[Span]) -> None:
        """What a partner of ours shares: where a scope has left here, it goes on leasing.

        Args:
            now: by the node's clock.
            relationship: its name.
            spans: the first and the last address of each scope's subnet.
        """
        endpoint = self.endpoints.get(relationship)
        if endpoint is None or self._is_committing:
            return  # it is told again in a few seconds
        for span in spans:
            if span not in endpoint.settings.spans:
                self.departures.heard(now, span[0], primary=endpoint.settings.primary)
        self._pass_on()

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
        return [status_of(now, each) for each in self.endpoints.values()]

    # Time

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called next."""
        instants = [each.deadline() for each in self.endpoints.values()]
        instants += [each.until for each in self._unclaimed.values()]
        instants += [self.departures.deadline(), self.reservations.deadline(), 0.0 if self._is_due else None]
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
        self.departures.timer(now)
        if self._is_due:
            self.follow(now, self._declared)
        for name, data in self.reservations.take_messages(now):
            self.endpoints[name].link.say(now, Unknown(RESERVATIONS, data))
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
        asked = bool(endpoint.record.everything_asked)
        self.reservations.asked(settings.relationship, for_everything=asked)
        for kind, data in link.private:
            if kind == RESERVATIONS:
                self.reservations.heard(settings.relationship, data)
            else:
                self.outputs.append(PartnerSaid(settings.relationship, kind, data))
        link.dialled, link.sent, link.hung_up, link.private = [], [], [], []
        for address in endpoint.strange:
            self.departures.heard(now, address, primary=settings.primary)
        endpoint.strange = []

    def _known(self, relationship: str) -> Endpoint:
        try:
            return self.endpoints[relationship]
        except KeyError:
            names = ", ".join(f'"{each}"' for each in self.endpoints) or "none"
            raise Refusal(
                f'this server has no failover relationship "{relationship}"; it has {names}'
            ) from None


def _closed() -> Authority:
    """Who is asked where nobody is served."""
    return PairAuthority(lambda now, leases: None, primary=False)
