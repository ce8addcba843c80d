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
from typing import NamedTuple

from holdfast.dhcp.failover_accept import ENDED, FREE_STATUSES, Told, judged, lacks, still_used_until, taken
from holdfast.dhcp.failover_link import Link
from holdfast.dhcp.lease import ACTIVE, BOOTP, FREE, NEVER, RESERVED, UNTOLD, Lease
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
)

AGAIN_S = 5.0  # after a refusal; then doubled
AGAIN_MAX_S = 300.0
UNANSWERED_S = 60.0  # a partner that lives and answers no update for so long does not work
# Ends of one lease that differ by less, by the time that a message took, are as good as the same.
APART_S = 10
BATCH_COUNT_MAX = 40  # bindings in one message, between two servers of ours
_MAGIC = b"\x63\x82\x53\x63"
_HOST_NAME, _RELAY = 12, 82


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
        all_leases: every lease of the relationship's scopes.
    """

    lease_of: Callable[[int], Lease | None]
    is_ours: Callable[[int], bool]
    put: Callable[[Lease], None]
    all_leases: Callable[[], Iterable[Lease]]


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
        self._again: list[tuple[float, int]] = []
        self._tries: dict[int, int] = {}
        self._held: set[int] = set()  # marked anew, but not to be told at once
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
            if lease.address in self._held:
                self._held.discard(lease.address)
                continue
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
            # Two updates of one address under way could be answered in any order.
            if address in self._airborne or (asked is not None and address not in asked):
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
        by_address = {each.address: each for each in leases}
        for batch in batches(map(self._binding, leases), count_max, self._link.seal):
            if room <= 0:
                return
            room -= 1
            told = tuple(by_address[each.address] for each in batch)
            for lease in told:
                del self._queue[lease.address]
                self._airborne.add(lease.address)
            self._flying[self._link.next_xid] = Flight(now, told)
            self._link.say(now, Update(batch))

    def _binding(self, lease: Lease) -> Binding:
        link, wire = self._link, self._link.to_wire
        ours = link.peer is not None and link.peer.is_ours
        has_client = bool(lease.hardware)
        flags = (RESERVED_FLAG if lease.flags & RESERVED else 0) | (BOOTP_FLAG if lease.flags & BOOTP else 0)
        return Binding(
            lease.address,
            lease.status,
            lease.client_id or None if has_client else None,
            lease.hardware if has_client else None,
            _whole(wire, lease.expires_at),
            _whole(wire, lease.potential_sent or lease.expires_at),
            wire(lease.changed_at),
            wire(lease.seen_at) if has_client and lease.seen_at else None,
            flags,
            _request_options(lease) if ours else None,
        )

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
            self._book.put(current._replace(flags=current.flags & ~UNTOLD, potential_acked=acked))
            return
        if current != sent:
            # It changed while it was under way. What we say of it next settles what the partner made of it.
            if not current.flags & UNTOLD and not (sent.status in ENDED and current.status == FREE):
                self._book.put(current._replace(flags=current.flags | UNTOLD))
            return
        self._tries.pop(sent.address, None)
        if sent.status in ENDED:
            after = sent._replace(
                status=FREE, flags=0, potential_sent=0, potential_acked=0, potential_received=0
            )
        else:
            acked = max(sent.potential_acked, sent.potential_sent) if sent.status == ACTIVE else 0
            after = sent._replace(flags=sent.flags & ~UNTOLD, potential_acked=acked)
        if after != sent:
            self._book.put(after)

    def _say_again(self, now: float, address: int) -> None:
        tries = self._tries.get(address, 0)
        self._tries[address] = tries + 1
        heappush(self._again, (now + min(AGAIN_S * 2**tries, AGAIN_MAX_S), address))

    # Requests of the partner

    def keep_promises(self, now: float, mclt_s: int) -> None:
        """The partner knows nothing any more: what it may have promised to clients is ours to keep.

        It may have extended a lease by as much as MCLT beyond what either told the other, and has no word
        about that any more when it hears that the lease ended here.
        """
        for lease in self._book.all_leases():
            until = min(NEVER, still_used_until(lease) + mclt_s)
            if lease.hardware and lease.status in (ACTIVE, *ENDED) and until > max(now, lease.expires_at):
                self._book.put(lease._replace(status=ACTIVE, expires_at=until, flags=lease.flags | UNTOLD))

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
        answers = tuple(self._judge(now, each) for each in update.bindings)
        self._answers.append((self._link.connection, xid, Acknowledgement(answers)))

    def _judge(self, now: float, binding: Binding) -> Answer:
        told = self._read(now, binding)
        if not self._book.is_ours(binding.address):
            return self._refuse(told, ILLEGAL_ADDRESS, None)
        mine = self._book.lease_of(binding.address)
        reason = lacks(told) or judged(mine, told, now, primary=self._primary)
        if mine is not None and self._is_primarys_word(mine, told):
            reason = OUTDATED
        if reason:
            if mine is not None:
                self._insist(now, mine)
            return self._refuse(told, reason, mine)
        lease = taken(mine, told, now)
        if told.lease.status in ENDED and mine is not None and self._is_open(mine):
            # What is said already may be refused, since it crossed: then it has to be said once more.
            kept = mine if mine.status != ACTIVE else lease._replace(status=told.lease.status)
            lease = kept._replace(flags=kept.flags | UNTOLD)
        if (
            mine is not None
            and mine.flags & UNTOLD
            and mine.status == lease.status == ACTIVE
            and mine.key == lease.key
        ):
            lease = lease._replace(flags=lease.flags | UNTOLD)  # both extended it: ours is still to be told
        elif (
            lease.status == told.lease.status == ACTIVE and lease.expires_at > told.lease.expires_at + APART_S
        ):
            lease = lease._replace(flags=lease.flags | UNTOLD)  # it lasts longer here
        if not lease.flags & UNTOLD:
            self._nothing_to_tell(lease.address)
        if lease != mine:
            self._book.put(lease)
        return Answer(binding.address)

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
        return mine.status in (ACTIVE, *ENDED, *FREE_STATUSES) and bool(
            mine.flags & UNTOLD or mine.address in self._airborne
        )

    def _insist(self, now: float, mine: Lease) -> None:
        """The partner has an address otherwise than we do: it hears what we have, now or later."""
        address = mine.address
        if address in self._queue or address in self._airborne:
            return
        if not mine.flags & UNTOLD:
            self._held.add(address)
            self._book.put(mine._replace(flags=mine.flags | UNTOLD))
        if address not in self._tries:
            self._tries[address] = 1
            self._queue[address] = now
        else:
            self._say_again(now, address)

    def _refuse(self, told: Told, reason: int, mine: Lease | None) -> Answer:
        self.refused.append(Refused(told.lease.address, reason, "", True, mine, told.lease))
        return Answer(told.lease.address, reason, "")

    def _read(self, now: float, binding: Binding) -> Told:
        instant = self._link.from_wire
        expires_at = _instant(self._link.end_from_wire, binding.expires_at)
        flags = (RESERVED if binding.ip_flags & RESERVED_FLAG else 0) | (
            BOOTP if binding.ip_flags & BOOTP_FLAG else 0
        )
        host_name, relay = _read_options(binding.request_options)
        seen_at = 0 if binding.seen_at is None else min(instant(binding.seen_at), int(now))
        changed_at = int(now) if not binding.changed_at else min(instant(binding.changed_at), int(now))
        active = binding.status == ACTIVE
        lease = Lease(
            binding.address, binding.status, flags, binding.hardware or b"", binding.client_id or b"",
            changed_at, expires_at, changed_at, seen_at, host_name, relay,
            potential_received=_instant(self._link.end_from_wire, binding.potential_at) if active else 0,
        )  # fmt: skip
        return Told(
            lease, binding.expires_at is not None, binding.seen_at is not None, bool(binding.changed_at)
        )

    # What the node reports

    def committed(self, now: float) -> None:
        """What was put is durable: answers go out."""
        answers, self._answers = self._answers, []
        for connection, xid, answer in answers:
            if self._link.is_up and connection == self._link.connection:
                self._link.answer(now, xid, answer)

    def commit_failed(self) -> None:
        """Nothing of it is durable: nothing is acknowledged."""
        self._answers = []

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
        self._answers = []
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


def _whole(wire: Callable[[float], int], instant: int) -> int:
    return 0xFFFF_FFFF if instant >= NEVER else wire(instant)


def _instant(convert: Callable[[int], int], value: int | None) -> int:
    if not value:
        return 0
    return NEVER if value == 0xFFFF_FFFF else convert(value)


def _request_options(lease: Lease) -> bytes | None:
    """What the partner should know of the client's request: its name and its relay (draft table 7.1.1-2)."""
    parts = [
        bytes((code, len(data))) + data
        for code, data in ((_HOST_NAME, lease.host_name), (_RELAY, lease.relay))
        if data and len(data) <= 255
    ]
    return _MAGIC + b"".join(parts) if parts else None


def _read_options(data: bytes | None) -> tuple[bytes, bytes]:
    """Name and relay of a client; what cannot be read says nothing."""
    found = {_HOST_NAME: b"", _RELAY: b""}
    at = len(_MAGIC)
    while data is not None and data[:4] == _MAGIC and at + 2 <= len(data):
        code, size = data[at], data[at + 1]
        if code in found and at + 2 + size <= len(data):
            found[code] = data[at + 2 : at + 2 + size]
        at += 2 + size
    return found[_HOST_NAME], found[_RELAY]
