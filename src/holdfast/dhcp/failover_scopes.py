"""Scopes that join a relationship, and scopes that leave it: who leases their addresses meanwhile.

A scope that left is leased by one server alone, but the partner may have leased
there until a moment ago: what it gave lasts at most MCLT beyond what it told. So
leaving is PARTNER-DOWN for that scope alone: clients keep what they have, new ones
get what was ours, and after MCLT everything is ours (``Departures``). What ended
before, or may have been extended by the partner, is its client's for as long as
the partner may have promised.

A scope that joins was leased by the primary alone. The primary tells all of it.
The secondary owns nothing there and serves nobody before it was told everything:
it may have missed years (``Joining``).

Each change of leases is done again until it is durable; only then the record
says that the scope is shared, and only then the partner is spoken to.

Source: draft-ietf-dhc-failover-12 sections 7.1.5 and 9.4.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from holdfast.dhcp import failover_events as events
from holdfast.dhcp.authority import Authority
from holdfast.dhcp.desk import Desk
from holdfast.dhcp.failover_accept import ENDED, still_used_until
from holdfast.dhcp.failover_authority import PairAuthority
from holdfast.dhcp.failover_record import VERSION, Departed, Record, Span, read_spans, write_spans
from holdfast.dhcp.failover_settings import Settings
from holdfast.dhcp.failover_states import State
from holdfast.dhcp.lease import ACTIVE, BACKUP, EXPIRED, FREE, NEVER, UNTOLD, Lease

MOVED_COUNT_MAX = 2000  # in one step: a commit of so many takes some milliseconds


def _is_in(address: int, spans: Iterable[Span]) -> bool:
    return any(first <= address <= last for first, last in spans)


def _leases_in(desk: Desk, spans: list[Span]) -> list[Lease]:
    return [each for each in desk.table.leases.values() if _is_in(each.address, spans)]


def _blank(lease: Lease) -> Lease:
    """An address of which nothing is remembered."""
    return Lease(lease.address, FREE, 0, b"", b"", lease.changed_at, lease.changed_at, lease.changed_at, 0)


# Joining


class Joining:
    """The scopes of a relationship that are new to it, and what their leases must say before it begins."""

    def __init__(self, desk: Desk, settings: Settings, record: Record) -> None:
        """See which scopes are new; their leases are durable with the next commit.

        Args:
            desk: has the leases.
            settings: what the relationship goes by.
            record: what is known of it.
        """
        self._desk = desk
        self._settings = settings
        spans = settings.spans
        known = list(spans) if record.version < VERSION else read_spans(record.shared)
        self._new = [each for each in spans if each not in known]
        self._is_put = False
        self.record = record._replace(
            version=VERSION,
            primary=int(settings.primary),
            mclt_s=record.mclt_s or settings.mclt_s,
            shared=write_spans([each for each in known if each in spans]),
            wanted=write_spans([each for each in read_spans(record.wanted) if each in spans]),
        )
        if not self.put():
            self.record = self._joined(self.record)  # nothing has to be durable before

    @property
    def is_done(self) -> bool:
        """Whether all leases are as they must be."""
        return not self._new

    def put(self) -> bool:
        """Change the leases of new scopes, unless that waits for a commit already; whether any had to be."""
        if self._is_put:
            return False
        self._is_put, is_changed = True, False
        for lease in _leases_in(self._desk, self._new):
            after = _as_primary(lease) if self._settings.primary else _as_secondary(lease)
            if after != lease:
                self._desk.put_told(after)
                is_changed = True
        return is_changed

    def committed(self, record: Record) -> Record:
        """A commit is done; the record of the relationship as it must be then."""
        return self._joined(record) if self._is_put else record

    def _joined(self, record: Record) -> Record:
        new, self._new, self._is_put = self._new, [], False
        wanted = record.wanted
        if not self._settings.primary and not record.everything_wanted:
            wanted = write_spans({*read_spans(wanted), *new})
        return record._replace(shared=write_spans(self._settings.spans), wanted=wanted)

    def commit_failed(self) -> None:
        """Nothing of it is durable: ``put`` does it again."""
        self._is_put = False

    def closed(self, record: Record) -> frozenset[str]:
        """The scopes of which we still have to be told what is leased: nothing is leased or handed over."""
        spans = set(read_spans(record.wanted))
        if not self._settings.primary:
            spans.update(self._new)
        named = zip(self._settings.scopes, self._settings.spans, strict=False)
        return frozenset(name for name, span in named if span in spans)


def _as_primary(lease: Lease) -> Lease:
    """What we know is what holds, and the partner hears it; it may extend what it is told from there on."""
    told = max(lease.potential_sent, lease.expires_at) if lease.status == ACTIVE else lease.potential_sent
    return lease._replace(flags=lease.flags | UNTOLD, potential_sent=told)


def _as_secondary(lease: Lease) -> Lease:
    """We own nothing there any more; a lease that we have given the partner hears of."""
    if lease.status in (ACTIVE, *ENDED):
        return lease._replace(flags=lease.flags | UNTOLD)
    if lease.status == BACKUP:
        return lease._replace(status=FREE, flags=0)
    return lease


# Leaving


class Departures:
    """The scopes that have left, until everything in them is ours."""

    def __init__(self, desk: Desk, records: Iterable[Departed]) -> None:
        """Take what the lease database has."""
        self._desk = desk
        self._by_span: dict[Span, Departed] = {}
        self._authorities: dict[Span, PairAuthority] = {}
        self.changed: dict[Span, Departed] = {}  # what is to be written down
        for each in records:
            self._take(each)

    def _take(self, departed: Departed) -> None:
        span = (departed.first, departed.last)
        authority = PairAuthority(lambda now, leases: None, primary=bool(departed.primary))
        authority.state = State.PARTNER_DOWN
        authority.mclt_s = departed.mclt_s
        self._by_span[span] = departed
        self._authorities[span] = authority

    @property
    def is_dirty(self) -> bool:
        """Whether something is to be written down."""
        return bool(self.changed)

    def left(self, now: float, record: Record, shared: Iterable[Span], own: Iterable[Span]) -> None:
        """A relationship goes by other scopes, or is gone.

        Args:
            now: by our clock.
            record: what it was.
            shared: what is shared with anybody from now on.
            own: the scopes that belong to this server, which it leases alone when they are not shared.
        """
        kept, ours = set(shared), set(own)
        for span in read_spans(record.shared):
            if span in kept:
                continue
            # In PARTNER-DOWN the partner was silent before.
            since = record.since if record.state == State.PARTNER_DOWN else int(now)
            departed = Departed(*span, VERSION, since, record.mclt_s, record.primary)
            self._take(departed)
            self.changed[span] = departed
            if span not in ours:
                self._forget(span)
            for name in self._names(span):
                wait_s = max(0, round(_ours_at(departed) - now))
                self._desk.said.always(
                    events.SCOPE_LEFT, relationship=record.relationship, scope=name, wait_s=wait_s
                )

    def _forget(self, span: Span) -> None:
        """The partner leases alone: what we know grows old. What it was not told stays, should we join."""
        for lease in _leases_in(self._desk, [span]):
            if not lease.flags & UNTOLD:
                self._desk.put_told(_blank(lease))

    def joined(self, spans: Iterable[Span]) -> set[Span]:
        """Scopes are shared again; those that were not ours yet."""
        joined, early = list(spans), set()
        for span in list(self._by_span):
            now_shared = [each for each in joined if span[0] <= each[1] and each[0] <= span[1]]
            if now_shared:
                early.update(now_shared)
                self._end(span)
        return early

    def holds(self, span: Span) -> bool:
        """Whether we were the secondary of addresses that left, and they are not all ours yet."""
        return any(
            not each.primary and span[0] <= each.last and each.first <= span[1]
            for each in self._by_span.values()
        )

    def _end(self, span: Span) -> None:
        self.changed[span] = self._by_span.pop(span)._replace(since=0)

    def heard(self, now: float, address: int, *, primary: bool) -> None:
        """The partner tells of an address: it has not been told that the scope left, and goes on leasing.

        Args:
            now: by our clock.
            address: which.
            primary: whether we are the primary of that relationship. Were we not when the scope left, the
                partner is a secondary that waits for us, and only tells what it never got to tell.
        """
        for span, departed in self._by_span.items():
            is_same = primary == bool(departed.primary)
            if is_same and span[0] <= address <= span[1] and departed.since < int(now):
                self._by_span[span] = self.changed[span] = departed._replace(since=int(now))

    def _names(self, span: Span) -> list[str]:
        """The scopes that are served there."""
        return [
            state.served.name
            for state in self._desk.table.scopes
            if state.served.first <= span[1] and span[0] <= state.served.last
        ]

    def authorities(self) -> dict[str, Authority]:
        """Who is asked in the scopes that have left, by name."""
        return {
            name: authority for span, authority in self._authorities.items() for name in self._names(span)
        }

    def committed(self) -> bool:
        """What was written is durable; whether some scopes are all ours now."""
        self.changed = {}
        over = [span for span in self._authorities if span not in self._by_span]
        for span in over:
            del self._authorities[span]
        return bool(over)

    # Time

    def deadline(self) -> float | None:
        """When ``timer`` has something to do."""
        return min((_ours_at(each) for each in self._by_span.values()), default=None)

    def timer(self, now: float) -> None:
        """MCLT is over: make everything ours, in steps, and then forget that it ever was not."""
        for span, departed in list(self._by_span.items()):
            if _ours_at(departed) > now:
                continue
            changes = self._changes(now, departed)
            count = 0
            for count, lease in enumerate(changes, 1):
                self._desk.put_told(lease)
                if count == MOVED_COUNT_MAX:
                    return
            if count == 0:
                self._end(span)
                for name in self._names(span):
                    self._desk.said.always(events.SCOPE_OURS, scope=name)

    def _changes(self, now: float, departed: Departed) -> Iterator[Lease]:
        for lease in _leases_in(self._desk, [(departed.first, departed.last)]):
            after = _as_ours(lease, now, departed)
            if after is not None:
                is_over = lease.status in ENDED and after.status == FREE
                yield after._replace(dns=self._desk.registrar.ended(lease)) if is_over else after


def _ours_at(departed: Departed) -> float:
    return departed.since + departed.mclt_s + 1


def _as_ours(lease: Lease, now: float, departed: Departed) -> Lease | None:
    """A lease of a scope that left as it is with one server alone; None when it is so."""
    seconds = int(now)
    # What happened since the partner leases no more is ours alone to know.
    is_ours = lease.seen_at >= departed.since or (
        lease.status not in (ACTIVE, EXPIRED) and lease.changed_at >= departed.since
    )
    until = 0 if is_ours else min(NEVER, still_used_until(lease) + departed.mclt_s)
    plain = lease._replace(
        flags=lease.flags & ~UNTOLD, potential_sent=0, potential_acked=0, potential_received=0
    )
    if lease.status == ACTIVE:
        has_potential = bool(lease.potential_sent or lease.potential_acked or lease.potential_received)
        return plain._replace(expires_at=max(lease.expires_at, until)) if has_potential else None
    if lease.status in ENDED:
        if lease.hardware and until > now:
            return plain._replace(status=ACTIVE, expires_at=until)
        return plain._replace(status=FREE, flags=0)
    if lease.status == BACKUP:
        return plain._replace(status=FREE, flags=0, changed_at=seconds)
    return None
