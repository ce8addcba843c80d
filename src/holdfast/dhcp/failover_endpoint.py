"""One relationship as one server runs it: its state, its connection, what it tells and is told.

Inputs are what the node reports; outputs lie in ``link`` (bytes, dialling, hanging up), in the desk (leases
that become durable) and in ``record``. A change of state takes effect when its record is durable, not before:
until then nothing more is read from the partner.

The tables are in ``failover_states``.

Source: draft-ietf-dhc-failover-12 section 9; spec/dhcp.md sections 2.8 and 2.9.
"""

from __future__ import annotations

from collections import deque

from holdfast.dhcp import failover_events as events
from holdfast.dhcp.balance import buckets_of
from holdfast.dhcp.desk import Desk
from holdfast.dhcp.failover_accept import ENDED
from holdfast.dhcp.failover_authority import PairAuthority
from holdfast.dhcp.failover_bindings import Bindings
from holdfast.dhcp.failover_link import Link
from holdfast.dhcp.failover_pools import STEP_S, Pools
from holdfast.dhcp.failover_record import Record, first_record, write_spans
from holdfast.dhcp.failover_refused import Refusals
from holdfast.dhcp.failover_scopes import Joining
from holdfast.dhcp.failover_settings import Settings
from holdfast.dhcp.failover_states import (
    DEAF,
    MAY_TAKE_OVER,
    MAY_TAKE_OVER_BLINDLY,
    SERVES,
    TELLS,
    Serves,
    State,
    failed,
    heard,
    resumed,
)
from holdfast.dhcp.lease import Lease
from holdfast.kernel.errors import Refusal
from holdfast.wire.failover_messages import (
    ILLEGAL_ADDRESS,
    NO_TRAFFIC,
    OTHER_REASON,
    STARTUP_FLAG,
    Acknowledgement,
    Message,
    PoolRequest,
    PoolResponse,
    StateTold,
    Unknown,
    Update,
    UpdateDone,
    UpdateRequest,
    UpdateRequestAll,
)

STARTUP_S = 5.0  # draft section 5.9
STARTUP_LONG_S = 30.0  # after more than MCLT away: the partner may have taken our addresses
BALANCE_S = 5.0
POOL_REQUEST_S = 10.0
HEARTBEAT_S = 10.0  # how long we may have lived after what the database says (``drivers.lease_clock``)
EVEN_PERCENT = 50  # ISC shares free addresses evenly, whatever the split


class Endpoint:
    """One relationship."""

    def __init__(
        self, settings: Settings, desk: Desk, record: Record | None, now: float, alive_at: float
    ) -> None:
        """Start it: it serves nobody until it has heard the partner, or waited for it.

        Args:
            settings: what it goes by.
            desk: the leases.
            record: what the database has of it; None for a new relationship, or a new database.
            now: by our clock.
            alive_at: when this server ran last.
        """
        self.settings = settings
        self._desk = desk
        self.authority = PairAuthority(self._leases_durable, primary=settings.primary)
        self.authority.load_balance_s = settings.load_balance_s
        self.pools = Pools(desk, self.authority, settings.scopes)
        self.closed_before: frozenset[str] = frozenset()  # as the node has it
        self.strange: list[int] = []  # addresses that the partner told of and that are not shared; the node's
        self.refusals = Refusals(desk.said, settings, self._scope_of)
        self.link = Link(settings, lambda: self.record.spoken_at > 0)
        book = self.pools.book()
        self.bindings = Bindings(book, self.link, primary=settings.primary)
        has_leases = next(self.pools.leases(), None) is not None
        known = record or first_record(settings.relationship, now, goes_on=settings.primary and has_leases)
        self.joining = Joining(desk, settings, known)
        self.record = self.joining.record
        self.is_dirty = self.record != record
        self.pools.closed = self.joining.closed(self.record)
        # The partner is not met before the leases of new scopes are as they must be.
        self.link.enabled = self.joining.is_done
        self.link.connect_time = self.record.connect_time
        self._alive_at = alive_at
        # When we went down, as far as is known: until then we gave leases without telling.
        is_new = record is None or bool(record.everything_wanted)
        self._down_at = now if is_new else min(now, alive_at + HEARTBEAT_S)
        self._first_run = False
        self._connected_at = now
        self.partner_state = State.STARTUP
        self._partner_starts = False
        self._spoken = False  # the partner said its state on this connection
        self._inbox: deque[tuple[int, bytes, float]] = deque()  # with when they arrived
        self._request_xid: int | None = None
        self._balance_at = self._pool_request_at = now
        self.taken_over = False  # the partner is down, and so long that all addresses are ours
        self._pending: State | None = None  # a change that waits for its commit
        self._was_new = is_new
        self._start(now)

    def _start(self, now: float) -> None:
        self.state = State.STARTUP
        away_s = now - self._alive_at
        is_long = self.record.spoken_at > 0 and away_s > self._held_back_s
        self._startup_until = now + (STARTUP_LONG_S if is_long else STARTUP_S)
        self._tell_authority()
        self.bindings.load(now)

    @property
    def is_connected(self) -> bool:
        """Whether the partner speaks with us and is past its start."""
        return self.link.is_up and self._spoken and not self._partner_starts

    @property
    def is_changing(self) -> bool:
        """Whether a change of state waits for its commit."""
        return self._pending is not None

    # What the node reports

    def received(self, now: float, connection: int, messages: list[bytes], *, arrived_at: float) -> None:
        """Whole messages came on the connection of this relationship, now or, while a commit ran, before."""
        self._inbox.extend((connection, each, arrived_at) for each in messages)
        self.go_on(now)

    def disconnected(self, now: float, connection: int, reason: str) -> None:
        """A connection is gone."""
        self.link.disconnected(now, connection, reason)
        self.go_on(now)

    def broken(self, now: float, connection: int, reason: str) -> None:
        """What came on a connection is no message."""
        if connection == self.link.connection:
            self.link.give_up(now, OTHER_REASON, reason)
            self.link.refused = reason
        self.go_on(now)

    def go_on(self, now: float) -> None:
        """Do what can be done: read on, see what the link did, tell."""
        self._look_at_link(now)
        while self._inbox and not self.is_changing:
            connection, data, arrived_at = self._inbox.popleft()
            if connection != self.link.connection:
                continue
            message = self.link.received(now, data, arrived_at=arrived_at)
            self._look_at_link(now)
            if message is not None:
                self._message(now, message)
        if not self.is_changing:
            self.bindings.pump(now, tells=self._tells)
            if self.bindings.has_told_all:
                self.bindings.has_told_all = False
                if self.record.everything_asked:
                    self._keep(everything_asked=0)
        refused, self.bindings.refused = self.bindings.refused, []
        if refused:
            self.refusals.say(now, refused)
            self.strange += [
                each.address for each in refused if each.reason == ILLEGAL_ADDRESS and each.by_us
            ]

    @property
    def _tells(self) -> bool:
        return self.is_connected and self.state in TELLS and self.partner_state not in DEAF

    def committed(self, now: float) -> None:
        """What was put, and the record, are durable."""
        self.bindings.committed(now)
        self.is_dirty = False
        if not self.joining.is_done and (after := self.joining.committed(self.record)) != self.record:
            self.record, self.is_dirty, self.link.enabled = after, True, True
        closed, self.pools.closed = self.pools.closed, self.joining.closed(self.record)
        if closed - self.pools.closed:
            self.bindings.load(now)  # nobody was told here of what became durable while a scope was closed
        if self._pending is not None:
            state, self._pending = self._pending, None
            self._entered(now, state)
        self.go_on(now)

    def commit_failed(self, now: float) -> None:
        """Nothing of it is durable: nothing is answered, and what the partner does not know is looked for."""
        self.bindings.commit_failed()
        self.joining.commit_failed()
        if self.link.is_up:
            self.link.give_up(now, OTHER_REASON, "leases cannot be written now")
            self._look_at_link(now)
        self.bindings.load(now)

    def _leases_durable(self, now: float, leases: list[Lease]) -> None:
        self.bindings.changed(now, leases)
        if self.taken_over:
            for lease in leases:
                if lease.status in ENDED:
                    self.pools.ended(lease, self.record.since)

    # The link

    def _look_at_link(self, now: float) -> None:
        link, said = self.link, self._desk.said
        names = {"relationship": self.settings.relationship, "partner": self.settings.partner}
        if link.refused:
            said.always(events.PARTNER_REFUSED, reason=link.refused, **names)
            link.refused = ""
        if link.refused_by_partner:
            said.always(events.REFUSED_BY_PARTNER, reason=link.refused_by_partner, **names)
            link.refused_by_partner = ""
        if link.went_down:
            said.always(events.DISCONNECTED, reason=link.went_down, **names)
            link.went_down = ""
            self._disconnected(now)
        if link.came_up:
            link.came_up = False
            self._connected(now)

    def _disconnected(self, now: float) -> None:
        self._spoken = self._partner_starts = False
        self._request_xid = None
        self.bindings.disconnected(now)
        self._keep(spoken_at=int(now))
        self._go(now, failed(self.state))

    def _scope_of(self, address: int) -> str:
        state = self._desk.table.scope_of(address)
        return "" if state is None else state.served.name

    def _connected(self, now: float) -> None:
        self.refusals.forget()
        peer = self.link.peer
        assert peer is not None
        if self.record.everything_wanted and not peer.knows_us:
            self._first_run = True
        self._connected_at = now
        self._keep(mclt_s=self._held_back_s)
        if not self.settings.primary and self.link.told is not None:
            self._keep(connect_time=self.link.connect_time, buckets=self.link.told.buckets)
        self._tell_authority()
        self._spoken = self._partner_starts = False
        self._request_xid = None
        self._say_state(now)

    def _say_state(self, now: float) -> None:
        if not self.link.is_up:
            return
        starts = self.state is State.STARTUP
        state = State(self.record.resume if starts else self.state)
        since = self.link.to_wire(self.record.since)
        self.link.say(now, StateTold(state, STARTUP_FLAG if starts else 0, since))

    # Messages

    def _message(self, now: float, message: Message) -> None:
        match message.content:
            case StateTold() as told:
                self._partner_said(now, told)
            case Update() as update:
                self.bindings.told(now, message.xid, update)
            case Acknowledgement() as acknowledgement:
                self.bindings.acknowledged(now, message.xid, acknowledgement)
            case UpdateRequest():
                self._keep(spoken_at=int(now))
                self.bindings.requested(now, message.xid, everything=bool(self.record.everything_asked))
            case UpdateRequestAll():
                self._keep(everything_asked=1, spoken_at=int(now))
                if self.partner_state is not State.NORMAL:  # there it has lost nothing: a scope is new to it
                    self.bindings.keep_promises(now, self._held_back_s)
                self.bindings.requested(now, message.xid, everything=True)
            case UpdateDone():
                self._told_all(now, message.xid)
            case PoolRequest():
                count = 0
                if self.state is State.NORMAL:
                    count = self.pools.hand_over(now, self.percent, at_once=True)
                self.link.answer(now, message.xid, PoolResponse(count))
            case PoolResponse() | Unknown():
                pass
            case content:
                raise AssertionError(f"the link passes on no {content}")

    def _partner_said(self, now: float, told: StateTold) -> None:
        try:
            partner = State(told.state)
        except ValueError:
            self.link.give_up(now, OTHER_REASON, f"state {told.state} is none of the protocol")
            self._look_at_link(now)
            return
        since = self.link.from_wire(told.since)
        first = not self._spoken
        self._spoken = True
        self._partner_starts = bool(told.flags & STARTUP_FLAG)
        self.partner_state = partner
        if (self.record.partner_state, self.record.partner_since) != (partner, since):
            self._keep(partner_state=int(partner), partner_since=since, spoken_at=int(now))
        if first:
            self._desk.said.always(
                events.CONNECTED, relationship=self.settings.relationship, partner=self.settings.partner,
                partner_state=partner.text,
            )  # fmt: skip
        if self.state is State.STARTUP:
            state = resumed(State(self.record.resume), partner, since, self._alive_at)
            after = heard(state, partner, database_is_new=bool(self.record.everything_wanted))
            self._go(now, state if self._partner_starts else after)
        elif self.state is State.SHUTDOWN and partner is State.PARTNER_DOWN:
            self._keep(resume=int(State.RECOVER))
        elif not self._partner_starts:
            self._settle(now)

    def _settle(self, now: float) -> None:
        """The partner's state may lead to another of ours; else do what ours asks for."""
        is_new = bool(self.record.everything_wanted)
        after = heard(self.state, self.partner_state, database_is_new=is_new)
        if after is not self.state:
            self._go(now, after)
        else:
            self._act(now)

    def _told_all(self, now: float, xid: int) -> None:
        """The partner has told all that we asked for."""
        if xid != self._request_xid:
            return
        self._request_xid = None
        is_all = self.settings.primary or self.link.shares_the_same
        missed = write_spans(self.settings.spans) if self.record.everything_wanted else self.record.wanted
        self._keep(everything_wanted=0, wanted=b"" if is_all else missed)
        if self.state is State.RECOVER:
            self._go(now, State.RECOVER_WAIT)
        elif self.state is State.POTENTIAL_CONFLICT:
            self._go(now, State.CONFLICT_DONE if self.settings.primary else State.NORMAL)

    # States

    def _keep(self, **changes: int | bytes) -> None:
        self.record = self.record._replace(**changes)  # type: ignore[arg-type]  # fields of it, by name
        self.is_dirty = True

    def _go(self, now: float, state: State) -> None:
        """Change to a state: it is written down first, and takes effect then."""
        if self._pending is not None or state is self.state:
            return  # what happens meanwhile is looked at once it is durable
        if state == self.record.state:  # a start goes on where it was
            self._entered(now, state)
            return
        self._keep(state=int(state), since=int(now), resume=int(state))
        self._pending = state

    def _entered(self, now: float, state: State) -> None:
        """A change of state is durable: it holds now."""
        before, self.state = self.state, state
        self._request_xid = None
        self._tell_authority()
        if before is State.PARTNER_DOWN:
            self.taken_over = False
            self.pools.give_up_taking()
        if before is not state:
            self._desk.said.always(
                events.STATE_CHANGED, relationship=self.settings.relationship, state_before=before.text,
                state=state.text, partner_state=self.partner_text, serves=SERVES[state].value,
            )  # fmt: skip
        self._say_state(now)
        if self.is_connected and state is State.RECOVER_DONE:
            self._settle(now)  # the partner may be there already, and does not say so again
        elif self.is_connected:
            # A primary that had resolved one conflict begins another when it hears of our PARTNER-DOWN.
            if before is not State.PARTNER_DOWN or self.partner_state is not State.CONFLICT_DONE:
                self._act(now)  # what the partner said before it heard of this means nothing any more
        elif not self.link.is_up:
            self._go(now, failed(state))

    @property
    def partner_text(self) -> str:
        """What the partner is, for people."""
        return self.partner_state.text if self.is_connected else "not reached"

    def _tell_authority(self) -> None:
        authority, record = self.authority, self.record
        authority.state = self.state
        # A longer MCLT is nobody's before the partner has agreed to it, and holds addresses back for as long.
        authority.mclt_s = min(record.mclt_s, self.settings.mclt_s)
        authority.held_back_s = self._held_back_s
        authority.buckets = record.buckets or buckets_of(self.settings.split_count)
        if self.settings.primary:
            authority.buckets = buckets_of(self.settings.split_count)

    def _act(self, now: float) -> None:
        """What a state does towards a partner that speaks."""
        primary = self.settings.primary
        match self.state:
            case State.RECOVER:
                self._request(now)
            case State.POTENTIAL_CONFLICT if primary or self.partner_state is State.CONFLICT_DONE:
                self._request(now)
            case State.RECOVER_WAIT if now >= self._wait_until:
                self._go(now, State.RECOVER_DONE)
            case State.NORMAL if self.partner_state is State.NORMAL:
                if self.record.wanted and self.link.shares_the_same:
                    self._request(now)
                self._balance(now)

    def _request(self, now: float) -> None:
        if self._request_xid is None:
            self._request_xid = self.link.next_xid
            wants_all = self.record.everything_wanted or self.record.wanted
            self.link.say(now, UpdateRequestAll() if wants_all else UpdateRequest())

    @property
    def _wait_until(self) -> float:
        """When RECOVER-WAIT is over: what we gave without telling has ended."""
        vendor_is_other = self._was_new and self.link.peer is not None and not self.link.peer.is_ours
        both_new = vendor_is_other and self.partner_state in (
            State.RECOVER, State.RECOVER_WAIT, State.RECOVER_DONE,
        )  # fmt: skip
        return 0.0 if self._first_run or both_new else self._down_at + self._held_back_s

    @property
    def _held_back_s(self) -> int:
        """How long what either gave without telling may last: by the MCLT that held, and the one to come."""
        return max(self.record.mclt_s, self.settings.mclt_s)

    @property
    def percent(self) -> int:
        """The secondary's share of the free addresses."""
        peer = self.link.peer
        return self.settings.reserve_percent if peer is None or peer.is_ours else EVEN_PERCENT

    def _balance(self, now: float) -> None:
        if now < self._balance_at:
            return
        if self.record.mclt_s > self.settings.mclt_s and now > self._connected_at + self.record.mclt_s:
            self._keep(mclt_s=self.settings.mclt_s)  # what was given by the longer one has ended, or was told
            self._tell_authority()
        self._balance_at = now + (STEP_S if self.pools.hands_over(now, self.percent) else BALANCE_S)
        if now >= self._pool_request_at and self.pools.lacks_addresses(self.percent):
            self._pool_request_at = now + POOL_REQUEST_S
            self.link.say(now, PoolRequest())

    # Time

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called next."""
        instants = [self.link.deadline(), self.bindings.deadline() if self._tells else None]
        if not self.joining.is_done:
            instants.append(0.0)
        match self.state:
            case State.STARTUP:
                instants.append(self._startup_until)
            case State.RECOVER_WAIT:
                instants.append(self._wait_until)
            case State.NORMAL:
                instants.append(self._balance_at)
            case State.PARTNER_DOWN:
                instants.append(self.pools.next_free_at() if self.taken_over else self._take_over_at)
            case State.COMMUNICATIONS_INTERRUPTED if not self.link.is_up:
                instants.append(self._switch_over_at)
        known = [each for each in instants if each is not None]
        return min(known) if known else None

    @property
    def _take_over_at(self) -> float:
        return self.record.since + self._held_back_s + 1

    @property
    def _switch_over_at(self) -> float | None:
        span_s = self.settings.switch_over_s
        return None if span_s is None else self.record.since + span_s

    def timer(self, now: float) -> None:
        """Do what is due; the link's dialling is the node's."""
        if not self.joining.is_done:
            self.joining.put()
            self.is_dirty = True
        if self.is_changing:
            return
        if self.bindings.is_stuck(now) and self.link.is_up:
            self.link.give_up(now, NO_TRAFFIC, "updates were not answered for too long")
        self._look_at_link(now)
        if self._pending is None:
            self._do_what_is_due(now)
        self.go_on(now)

    def _do_what_is_due(self, now: float) -> None:
        match self.state:
            case State.STARTUP if now >= self._startup_until:
                self._go(now, failed(State(self.record.resume)))
            case State.RECOVER_WAIT if now >= self._wait_until:
                self._go(now, State.RECOVER_DONE)
            case State.PARTNER_DOWN if not self.taken_over and now >= self._take_over_at:
                self.taken_over = True
                self.pools.take_over(now, self.record.since)
            case State.PARTNER_DOWN if self.taken_over:
                self.pools.free(now, self.record.since)
            case State.COMMUNICATIONS_INTERRUPTED if not self.link.is_up:
                if self._switch_over_at is not None and now >= self._switch_over_at:
                    self._go(now, State.PARTNER_DOWN)
            case State.NORMAL if self.is_connected:
                self._act(now)

    # What an administrator wants

    def partner_down(self, now: float, *, force: bool = False) -> None:
        """The partner is switched off for certain.

        Raises:
            Refusal: it is not, as far as can be seen, or we may not know all that it knows.
        """
        name = self.settings.relationship
        if self.state is State.PARTNER_DOWN:
            raise Refusal(f'failover relationship "{name}" is in PARTNER-DOWN already')
        if not force and self.is_connected and SERVES[self.partner_state] is not Serves.NOBODY:
            raise Refusal(
                f'the partner in failover relationship "{name}" speaks with us and is in '
                f"{self.partner_state.text}; switch it off first, for two servers that each take the other "
                "for down lease one address twice"
            )
        if self.state not in MAY_TAKE_OVER and not (force and self.state in MAY_TAKE_OVER_BLINDLY):
            raise Refusal(
                f'failover relationship "{name}" is in {self.state.text}, in which this server may not know '
                "all leases of its partner; wait for the partner, or use force and accept that addresses may "
                "be leased twice"
            )
        self._order(now, State.PARTNER_DOWN)

    def recover(self, now: float) -> None:
        """Our database is not to be trusted: the partner is asked for everything, and nobody served before.

        Raises:
            Refusal: nothing can be written now.
        """
        self._keep(everything_wanted=1)
        self._down_at = now
        self._order(now, State.RECOVER)

    def rest(self, now: float, state: State) -> None:
        """Serve nobody, for a while (PAUSED) or for long (SHUTDOWN).

        Raises:
            Refusal: we rest already, or nothing can be written now.
        """
        if self.state in (State.PAUSED, State.SHUTDOWN):
            name = self.settings.relationship
            raise Refusal(f'failover relationship "{name}" is in {self.state.text} already')
        resume = failed(State(self.record.resume) if self.state is State.STARTUP else self.state)
        self._order(now, state)
        self._keep(resume=int(resume))

    def resume(self, now: float) -> None:
        """Serve again, after a look at what the partner does.

        Raises:
            Refusal: we do not rest.
        """
        if self.state not in (State.PAUSED, State.SHUTDOWN):
            name = self.settings.relationship
            raise Refusal(f'failover relationship "{name}" is in {self.state.text}: nothing is to be resumed')
        self._alive_at = float(self.record.since)
        if self.link.is_up:
            self.link.give_up(now, OTHER_REASON, "serving is resumed")
            self._look_at_link(now)
        self._start(now)

    def _order(self, now: float, state: State) -> None:
        if self._pending is not None:
            raise Refusal("a change of state cannot be written now; free space on the disk and try again")
        self._go(now, state)

    def stopping(self, now: float) -> None:
        """This process ends in a moment: the partner goes on at once, and waits for no time-out."""
        if self.link.is_up:
            self.link.say(now, StateTold(State.PAUSED, 0, self.link.to_wire(now)))
        self.link.stop()

    def waits_until(self) -> float | None:
        """Until when the state lasts at least, or its next step; None when for nothing."""
        match self.state:
            case State.STARTUP:
                return self._startup_until
            case State.RECOVER_WAIT:
                return self._wait_until
            case State.PARTNER_DOWN if not self.taken_over:
                return self._take_over_at
            case State.COMMUNICATIONS_INTERRUPTED:
                return self._switch_over_at
        return None
