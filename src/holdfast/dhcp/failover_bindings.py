"""What is told to the partner and what it tells: lazily, in bounded flights, and acknowledged once durable.

Every change of a shared lease is marked UNTOLD in the lease itself, in the
very commit that makes the lease durable; the mark goes with the partner's
acknowledgement. So what the partner does not know is known after any crash, and
no client waits for it.

What the partner refused is said again after a while, each time later, until
either side's view changes: two servers never talk each other round in circles.

Invariants: nothing is told that is not durable here; nothing is acknowledged
that is not durable here; at most as many messages are under way as the partner
takes.

Source: draft-ietf-dhc-failover-12 sections 5.2, 5.16, 5.17 and 7.1 to 7.5; spec/dhcp.md sections 2.6 and 2.7.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import Final, NamedTuple

from holdfast.dhcp.dns_state import told as names_told
from holdfast.dhcp.failover_accept import (
    APART_S,
    ENDED,
    FREE_STATUSES,
    Told,
    judged,
    lacks,
    new_told,
    still_used_until,
    taken,
)
from holdfast.dhcp.failover_link import Link
from holdfast.dhcp.lease import (
    ABANDONED,
    ACTIVE,
    BOOTP,
    FREE,
    NEVER,
    RESERVED,
    UNTOLD,
    Lease,
    as_acknowledged,
    flagged,
    new_lease,
)
from holdfast.wire.failover import batches
from holdfast.wire.failover_messages import (
    BOOTP_FLAG,
    ILLEGAL_ADDRESS,
    OUTDATED,
    RESERVED_FLAG,
    Acknowledgement,
    Answer,
    Binding,
    Update,
    UpdateDone,
    new_answer,
    new_binding,
)

AGAIN_S: Final = 5.0  # after a refusal; then doubled
AGAIN_MAX_S: Final = 300.0
UNANSWERED_S: Final = 60.0  # a partner that lives and answers no update for so long does not work
BATCH_COUNT_MAX: Final = 40  # bindings in one message, between two servers of ours
_MAGIC: Final = b"\x63\x82\x53\x63"
_HOST_NAME: Final = 12
_RELAY: Final = 82
_OPTION_BYTES_MAX: Final = 255
_NAMES: Final = b"\x01"  # vendor options: what was registered in DNS follows, as ``dns_state`` writes it
_NO_END: Final = 0xFFFF_FFFF  # of a lease, on the wire


class Flight(NamedTuple):
    """A message under way, and what it said."""

    sent_at: float
    leases: tuple[Lease, ...]


class Refused(NamedTuple):
    """An update that one of the two refused; for the log."""

    address: int
    reason: int
    text: str
    by_us: bool
    mine: Lease | None
    theirs: Lease | None


class Book(NamedTuple):
    """What is done with leases: those of the desk.

    Attributes:
        lease_of: what we know of an address.
        is_ours: whether an address is in a pool, or reserved, in a scope of the relationship.
        put: change a lease that the partner knows.
        put_acknowledged: note what the partner knows of an active lease that is durable.
        all_leases: every lease of the relationship's scopes.
        freed: what a lease that is over says of its names in DNS: that they must go.
        registers: whether this server registers names.
    """

    lease_of: Callable[[int], Lease | None]
    is_ours: Callable[[int], bool]
    put: Callable[[Lease], None]
    put_acknowledged: Callable[[float, Lease], None]
    all_leases: Callable[[], Iterable[Lease]]
    freed: Callable[[Lease], bytes]
    registers: Callable[[], bool]


class Bindings:
    """The updates of one relationship, both ways."""

    def __init__(self, book: Book, link: Link, *, primary: bool) -> None:
        """Make it with nothing to tell; ``load`` looks what is untold."""
        self._book = book
        self._link = link
        self._primary = primary
        self._queue: OrderedDict[int, float] = OrderedDict()  # addresses to tell, and since when
        self._flying: dict[int, Flight] = {}
        self._answers: list[tuple[int, int, Acknowledgement]] = []  # (connection, xid, answer), once durable
        self._unanswered: set[int] = set()  # what the partner told of, and hears our answer to once durable
        self._again: list[tuple[float, int]] = []
        self._tries: dict[int, int] = {}
        self._held: dict[int, Lease] = {}  # marked anew, but not to be told at once
        self._airborne: set[int] = set()
        # What the partner asked for: the xid to answer, and what must be told before.
        self._asked: tuple[int, set[int]] | None = None
        self.refused: list[Refused] = []
        self.has_told_all = False  # set when a request was done; the endpoint takes it

    @property
    def untold_count(self) -> int:
        """How many leases the partner has not acknowledged."""
        return len(self._queue) + sum(len(each.leases) for each in self._flying.values())

    def oldest_untold_s(self, now: float) -> float:
        """For how long the oldest of them waits."""
        instants = [each.sent_at for each in self._flying.values()]
        if self._queue:
            instants.append(next(iter(self._queue.values())))
        return max(0.0, now - min(instants)) if instants else 0.0

    def load(self, now: float) -> None:
        """Look for what the partner does not know."""
        for lease in self._book.all_leases():
            if lease.flags & UNTOLD:
                self._queue.setdefault(lease.address, now)

    # Telling

    def changed(self, now: float, leases: Iterable[Lease]) -> None:
        """Leases are durable; those that the partner does not know are told soon."""
        for lease in leases:
            if not lease.flags & UNTOLD:
                continue
            if self._held.pop(lease.address, None) == lease:
                continue  # what changed since is told
            self._queue.setdefault(lease.address, now)
            self._tries.pop(lease.address, None)

    def pump(self, now: float, *, tells: bool) -> None:
        """Send what may be sent now.

        Args:
            now: by our clock.
            tells: whether updates go out as they come; else only what was asked for.
        """
        peer = self._link.peer
        if peer is None:
            return
        while self._again and self._again[0][0] <= now:
            _, address = heappop(self._again)
            lease = self._book.lease_of(address)
            if lease is not None and lease.flags & UNTOLD:
                self._queue.setdefault(address, now)
        room = peer.unacked_max - len(self._flying)
        count_max = BATCH_COUNT_MAX if peer.is_ours else 1
        if room > 0 and self._queue and (tells or self._asked is not None):
            self._send(now, self._next(room * count_max, tells=tells), room, count_max)
        self._finish_request(now)

    def _next(self, count: int, *, tells: bool) -> list[Lease]:
        """What is told next."""
        asked = None if tells or self._asked is None else self._asked[1]
        chosen: list[Lease] = []
        gone: list[int] = []
        for address in self._queue:
            if len(chosen) >= count:
                break
            # Two updates of one address under way could be answered in any order; and of one that the partner
            # has told of it hears our answer first: ISC dhcpd gives up its own update for ours.
            is_under_way = address in self._airborne or address in self._unanswered
            if is_under_way or (asked is not None and address not in asked):
                continue
            lease = self._book.lease_of(address)
            if lease is None:
                gone.append(address)
            else:
                chosen.append(lease)
        for address in gone:
            self._nothing_to_tell(address)
        return chosen

    def _nothing_to_tell(self, address: int) -> None:
        self._queue.pop(address, None)
        if self._asked is not None and address not in self._airborne:
            self._asked[1].discard(address)

    def _send(self, now: float, leases: list[Lease], room: int, count_max: int) -> None:
        link = self._link
        shift_s, ours = link.to_wire_shift_s, link.peer is not None and link.peer.is_ours
        names = _NAMES if ours and self._book.registers() else b""
        bindings = (_binding(each, shift_s, ours, names) for each in leases)
        at = 0
        for count, update in batches(bindings, count_max, link.seal):
            if room <= 0:
                return
            room -= 1
            told = tuple(leases[at : at + count])
            at += count
            for lease in told:
                del self._queue[lease.address]
                self._airborne.add(lease.address)
            self._flying[link.next_xid] = Flight(now, told)
            link.say(now, update)

    def acknowledged(self, now: float, xid: int, acknowledgement: Acknowledgement) -> None:
        """The partner answered an update."""
        flight = self._flying.pop(xid, None)
        if flight is None:
            return
        answers = {each.address: each for each in acknowledgement.answers}
        for sent in flight.leases:
            self._airborne.discard(sent.address)
            answer = answers.get(sent.address, Answer(sent.address, ILLEGAL_ADDRESS, "it was not answered"))
            self._answered(now, sent, answer)
        self._finish_request(now)

    def _answered(self, now: float, sent: Lease, answer: Answer) -> None:
        current = self._book.lease_of(sent.address)
        # A client that renews faster than a partner answers would hold up the request for ever: with the same
        # holder, what the request asked for was told.
        same = current is not None and (current.status, current.key) == (sent.status, sent.key)
        if self._asked is not None and (same or sent.address not in self._queue):
            self._asked[1].discard(sent.address)
        if answer.reason:
            self.refused.append(Refused(sent.address, answer.reason, answer.text, False, current, None))
            self._say_again(now, sent.address)
            return
        if current is None:
            return
        if current != sent and _is_ours_still(sent, current):
            # The partner extended it meanwhile, and knows of ours now: nothing is left to be said.
            self._queue.pop(sent.address, None)
            self._tries.pop(sent.address, None)
            acked = max(current.potential_acked, sent.potential_sent)
            self._book.put(as_acknowledged(current, acked))
            return
        if current != sent:
            # It changed while it was under way. What we say of it next settles what the partner made of it.
            if not current.flags & UNTOLD and not (sent.status in ENDED and current.status == FREE):
                self._book.put(flagged(current, current.flags | UNTOLD))
            return
        self._tries.pop(sent.address, None)
        if sent.status == ACTIVE:
            acked = max(sent.potential_acked, sent.potential_sent)
            if sent.flags & UNTOLD or sent.potential_acked != acked:
                self._book.put_acknowledged(now, as_acknowledged(sent, acked))
        elif sent.status in ENDED:
            self._book.put(
                sent._replace(
                    status=FREE,
                    flags=0,
                    dns=self._book.freed(sent) if sent.dns else b"",
                    potential_sent=0,
                    potential_acked=0,
                    potential_received=0,
                )
            )
        elif sent.flags & UNTOLD or sent.potential_acked:
            self._book.put(as_acknowledged(sent, 0))

    def _say_again(self, now: float, address: int) -> None:
        tries = self._tries.get(address, 0)
        self._tries[address] = tries + 1
        heappush(self._again, (now + min(AGAIN_S * 2**tries, AGAIN_MAX_S), address))

    # Requests of the partner

    def keep_promises(self, now: float, mclt_s: int) -> None:
        """The partner knows nothing any more: what it may have promised to clients is ours to keep.

        It may have extended a lease by as much as MCLT beyond what either told the other, and has no word
        about that any more when it hears that the lease ended here. Where it heard of the end, and we not
        that it did, it may also have leased the address to another client: nobody gets that for as long.
        """
        for lease in self._book.all_leases():
            until = min(NEVER, still_used_until(lease) + mclt_s)
            if lease.status in ENDED:
                until = max(until, int(now) + mclt_s + 1)
                kept = lease._replace(status=ABANDONED, hardware=b"", client_id=b"", changed_at=int(now))
                self._book.put(kept._replace(expires_at=until, flags=lease.flags | UNTOLD))
            elif lease.status == ACTIVE and lease.hardware and until > max(now, lease.expires_at):
                self._book.put(lease._replace(expires_at=until, flags=lease.flags | UNTOLD))

    def requested(self, now: float, xid: int, *, everything: bool) -> None:
        """The partner wants what it does not know, or everything."""
        if everything:
            for lease in self._book.all_leases():
                self._queue.setdefault(lease.address, now)
        for _, address in self._again:
            self._queue.setdefault(address, now)
        self._again = []
        self._asked = (xid, set(self._queue) | self._airborne)

    def _finish_request(self, now: float) -> None:
        """UPDDONE, once all was answered (accepted or refused)."""
        if self._asked is None:
            return
        xid, wanted = self._asked
        if not wanted and self._link.is_up:
            self._asked = None
            self.has_told_all = True
            self._link.answer(now, xid, UpdateDone())

    @property
    def is_asked(self) -> bool:
        """Whether a request of the partner is not done yet."""
        return self._asked is not None

    # Being told

    def told(self, now: float, xid: int, update: Update) -> None:
        """The partner tells of addresses; the answer waits for the commit."""
        happened_s, ends_s = self._link.happened_shift_s, self._link.end_shift_s
        seconds = int(now)
        answers = [self._judge(now, _read(each, seconds, happened_s, ends_s)) for each in update.bindings]
        self._answers.append((self._link.connection, xid, Acknowledgement(tuple(answers))))
        self._unanswered.update([each.address for each in answers])

    def _judge(self, now: float, told: Told) -> Answer:
        address = told.lease.address
        if not self._book.is_ours(address):
            return self._refuse(told, ILLEGAL_ADDRESS, None)
        mine = self._book.lease_of(address)
        reason = lacks(told) or judged(mine, told, now, primary=self._primary)
        if mine is not None and self._is_primarys_word(mine, told):
            reason = OUTDATED
        if reason:
            if mine is not None:
                self._insist(now, mine)
            return self._refuse(told, reason, mine)
        lease = taken(mine, told, now)
        if told.lease.dns or lease.dns:
            lease = lease._replace(dns=self._names(b"" if mine is None else mine.dns, told, lease))
        if told.lease.status in ENDED and mine is not None and self._is_open(mine):
            # What is said already may be refused, since it crossed: then it has to be said once more.
            kept = mine if mine.status != ACTIVE else lease._replace(status=told.lease.status)
            lease = flagged(kept, kept.flags | UNTOLD)
        if (
            mine is not None
            and mine.flags & UNTOLD
            and mine.status == lease.status == ACTIVE
            and mine.key == lease.key
        ):
            lease = flagged(lease, lease.flags | UNTOLD)  # both extended it: ours is still to be told
        elif (
            lease.status == told.lease.status in (ACTIVE, ABANDONED)
            and lease.expires_at > told.lease.expires_at + APART_S
        ):
            lease = flagged(lease, lease.flags | UNTOLD)  # it lasts longer here
        if not lease.flags & UNTOLD:
            self._nothing_to_tell(lease.address)
        if lease != mine:
            self._book.put(lease)
        return new_answer((address, 0, ""))

    def _names(self, mine: bytes, told: Told, lease: Lease) -> bytes:
        """What a lease says of DNS once the partner's word is taken; who tells of an end removes names.

        Args:
            mine: what it said before.
            told: the partner's word; its ``dns`` is the vendor options as they came.
            lease: as it is taken.
        """
        has_told = told.lease.dns[:1] == _NAMES
        if lease.status == ACTIVE:
            return names_told(mine, told.lease.dns[1:]) if has_told else mine
        if not mine or lease.status not in FREE_STATUSES:
            return mine
        if has_told and told.lease.status in ENDED:
            return b""
        return self._book.freed(lease._replace(dns=mine))

    def _is_primarys_word(self, mine: Lease, told: Told) -> bool:
        """Whether both say who owns a free address, and it crossed on the way: the primary's word holds.

        Else each would take the other's, and say that next, for ever.
        """
        return (
            self._primary
            and mine.status in FREE_STATUSES
            and told.lease.status in FREE_STATUSES
            and mine.status != told.lease.status
            and bool(mine.flags & UNTOLD or mine.address in self._airborne)
        )

    def _is_open(self, mine: Lease) -> bool:
        """Whether the partner may take a lease of ours from us yet, although it told us of the end of one.

        Our word of it crossed the partner's on the way, or is still to be said. Free it is once the partner
        has answered what we say last.
        """
        is_said = bool(mine.flags & UNTOLD or mine.address in self._airborne)
        return is_said and mine.status != ABANDONED

    def _insist(self, now: float, mine: Lease) -> None:
        """The partner has an address otherwise than we do: it hears what we have, now or later."""
        address = mine.address
        if address in self._queue or address in self._airborne:
            return
        if not mine.flags & UNTOLD:
            self._held[address] = marked = flagged(mine, mine.flags | UNTOLD)
            self._book.put(marked)
        if address not in self._tries:
            self._tries[address] = 1
            self._queue[address] = now
        else:
            self._say_again(now, address)

    def _refuse(self, told: Told, reason: int, mine: Lease | None) -> Answer:
        self.refused.append(Refused(told.lease.address, reason, "", True, mine, told.lease))
        return Answer(told.lease.address, reason, "")

    # What the node reports

    def committed(self, now: float) -> None:
        """What was put is durable: answers go out."""
        answers, self._answers, self._unanswered = self._answers, [], set()
        for connection, xid, answer in answers:
            if self._link.is_up and connection == self._link.connection:
                self._link.answer(now, xid, answer)

    def commit_failed(self) -> None:
        """Nothing of it is durable: nothing is acknowledged."""
        self._answers, self._unanswered = [], set()

    @property
    def has_answers(self) -> bool:
        """Whether answers wait for a commit."""
        return bool(self._answers)

    def disconnected(self, now: float) -> None:
        """What was under way may not have arrived: it is told again on the next connection."""
        for flight in self._flying.values():
            for lease in flight.leases:
                self._queue.setdefault(lease.address, now)
        self._flying = {}
        self._airborne = set()
        self._answers, self._unanswered = [], set()
        self._asked = None
        for _, address in self._again:
            self._queue.setdefault(address, now)
        self._again = []
        self._tries = {}

    def is_stuck(self, now: float) -> bool:
        """Whether the partner has not answered an update for too long."""
        return any(now - each.sent_at > UNANSWERED_S for each in self._flying.values())

    def deadline(self) -> float | None:
        """When ``pump`` has something to say again."""
        return self._again[0][0] if self._again else None


def _is_ours_still(sent: Lease, current: Lease) -> bool:
    """Whether a lease that changed since it was told changed by the partner's word alone."""
    return (
        sent.status == current.status == ACTIVE
        and sent.key == current.key
        and sent.potential_sent == current.potential_sent
        and sent.potential_received != current.potential_received
    )


def _binding(lease: Lease, shift_s: int, ours: bool, names: bytes) -> Binding:
    """What is told of a lease.

    Args:
        lease: as it is durable.
        shift_s: what is added to its instants.
        ours: whether the partner is a server of ours.
        names: what goes before what was registered in DNS; empty where nothing is said of it.
    """
    (
        address, status, flags, hardware, client_id, _, expires_at, changed_at, seen_at, host_name, relay,
        dns, potential_sent, _, _,
    ) = lease  # fmt: skip
    has_client = bool(hardware)
    return new_binding((
        address,
        status,
        client_id if client_id and has_client else None,
        hardware if has_client else None,
        _to_wire(expires_at, shift_s),
        _to_wire(potential_sent or expires_at, shift_s),
        _to_wire(changed_at, shift_s),
        _to_wire(seen_at, shift_s) if has_client and seen_at else None,
        (RESERVED_FLAG if flags & RESERVED else 0) | (BOOTP_FLAG if flags & BOOTP else 0),
        _request_options(host_name, relay) if ours else None,
        None,
        None,
        names + dns if names else None,
    ))  # fmt: skip


def _to_wire(instant: int, shift_s: int) -> int:
    if instant >= NEVER:
        return _NO_END
    shifted = instant + shift_s
    return 0 if shifted < 0 else _NO_END if shifted > _NO_END else shifted


def _read(binding: Binding, now: int, happened_s: int, ends_s: int) -> Told:
    """What is told of an address, by our clock.

    Args:
        binding: as it came.
        now: by our clock; nothing has happened later.
        happened_s: what is added to what happened.
        ends_s: what is added to ends.
    """
    (
        address, status, client_id, hardware, expires_at, potential_at, changed_at, seen_at, ip_flags,
        request_options, _, _, names,
    ) = binding  # fmt: skip
    host_name, relay = _read_options(request_options)
    since = max(0, min(changed_at + happened_s, now)) if changed_at else now
    lease = new_lease((
        address,
        status,
        (RESERVED if ip_flags & RESERVED_FLAG else 0) | (BOOTP if ip_flags & BOOTP_FLAG else 0),
        hardware or b"",
        client_id or b"",
        since,
        _end_from_wire(expires_at, ends_s),
        since,
        0 if seen_at is None else max(0, min(seen_at + happened_s, now)),
        host_name,
        relay,
        names or b"",
        0,
        0,
        _end_from_wire(potential_at, ends_s) if status == ACTIVE else 0,
    ))  # fmt: skip
    return new_told((lease, expires_at is not None, seen_at is not None, bool(changed_at)))


def _end_from_wire(instant: int | None, shift_s: int) -> int:
    if not instant:
        return 0
    return NEVER if instant == _NO_END else max(0, instant + shift_s)


def _request_options(host_name: bytes, relay: bytes) -> bytes | None:
    """What the partner should know of the client's request: its name and its relay (draft table 7.1.1-2)."""
    options = b""
    if host_name and len(host_name) <= _OPTION_BYTES_MAX:
        options = bytes((_HOST_NAME, len(host_name))) + host_name
    if relay and len(relay) <= _OPTION_BYTES_MAX:
        options += bytes((_RELAY, len(relay))) + relay
    return _MAGIC + options if options else None


def _read_options(data: bytes | None) -> tuple[bytes, bytes]:
    """Name and relay of a client; what cannot be read says nothing."""
    host_name = relay = b""
    if data is None or data[:4] != _MAGIC:
        return host_name, relay
    at = len(_MAGIC)
    while at + 2 <= len(data):
        code, size = data[at], data[at + 1]
        at += 2
        if at + size <= len(data):
            if code == _HOST_NAME:
                host_name = data[at : at + size]
            elif code == _RELAY:
                relay = data[at : at + size]
        at += size
    return host_name, relay
