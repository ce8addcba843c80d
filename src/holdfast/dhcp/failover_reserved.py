"""Reservations of shared scopes: both partners go by the same, or keep the address back until they do.

Either partner gives a reserved address to its owner, whosever free address it is (draft section 5.13). That
is right only while both have the same reservations, and an administrator tells one after the other. So what
changes here is *in doubt* from then on, with everything that was declared since both had the same:

* A free address in doubt is leased by whom it belongs to alone.
* Where there is one owner, new or old, the reservation holds so: one that is removed goes on, and one that is
  new takes no address of the partner's. Where there are several nobody gets it.

The doubt ends once the partner says that it has the same, and has heard of ours: each says its *edition*, a
number that grows with every change, a digest, and the edition of the other that it heard of. Who hears its
own edition and its own digest knows that the partner is not behind; one that went ahead since has doubts of
its own. Nothing is said before it is durable, and before the partner was sent what it has to hear of such
addresses.

Who does not know what both had (a lost disk, a relationship or a scope that is new here) says so when it
connects, asks for everything, and says so until both agree; then all of its partner's reservations are in
doubt there. Neither agrees before both are in NORMAL: what a lost disk had leased is over then.

A scope that has left is no other case, until what the partner may have leased there is over: only that nobody
ends a doubt then.

A partner that is down, and was taken over, leases nothing. One that is not ours says nothing of all this, and
may have reservations of its own: against it only what is new since we started is in doubt.

Invariant: whoever has no doubt about an owner knows that the partner gives the address to nobody else, but
for its own free addresses.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from holdfast.dhcp.authority import Authority
from holdfast.dhcp.failover_endpoint import Endpoint
from holdfast.dhcp.failover_link import Peer
from holdfast.dhcp.failover_record import Agreed
from holdfast.dhcp.failover_states import State
from holdfast.dhcp.lease import UNTOLD, Lease
from holdfast.dhcp.served import ServedScope

VERSION = 1  # of what ``Agreed`` has
RESERVATIONS = 205  # a type of message that every other server passes over
SAY_AGAIN_S = 2.0
SEVERAL = 2  # owners: then an address is nobody's
# The edition, the partner's edition that was heard, the digest, and 1 where it is not known what both had.
_SAID = struct.Struct(">II32sB")
_ENTRY = struct.Struct(">IB")  # an address, and how many owners it may have

Owner = tuple[bytes, ...]  # by what a client is known, see ``Lease.key``; empty for nobody
Reserved = dict[int, Owner]
Doubts = dict[int, tuple[Owner, ...]]  # the first is what both had


@dataclass(slots=True)
class _Talk:
    """What was said over one connection."""

    peer: Peer
    edition: int = 0
    echoed: int = 0
    next_at: float = 0.0


class _Shared:
    """The reservations of one relationship, by scope."""

    def __init__(self) -> None:
        self.agreed: dict[str, Reserved] = {}
        self.doubts: dict[str, Doubts] = {}
        self.declared: dict[str, Reserved] = {}
        self.at_start: dict[str, Reserved] | None = None
        self.is_unknown = True  # what both had
        self.edition = 0
        self.digest = b""
        self.is_dirty, self.is_writing, self.was_written = True, False, False
        self.is_asked = False  # for everything
        self.is_foreign = False  # the partner that spoke last is none of ours
        self.is_kept = True  # what is in doubt holds
        self.talk: _Talk | None = None

    @property
    def in_doubt(self) -> frozenset[int]:
        return frozenset(address for doubts in self.doubts.values() for address in doubts)

    def declare(self, declared: dict[str, Reserved]) -> None:
        """What is shared is this now."""
        if declared == self.declared and self.edition:
            return
        self.edition += 1
        self.declared, self.digest = declared, b""
        if self.at_start is None:
            self.at_start = declared
        if declared.keys() - self.agreed.keys():
            self.is_unknown = self.is_dirty = True
        for gone in self.agreed.keys() - declared.keys():
            del self.agreed[gone]
            self.doubts.pop(gone, None)
            self.is_dirty = True
        for scope, reserved in declared.items():
            before = self.agreed.setdefault(scope, {})
            doubts = self.doubts.setdefault(scope, {})
            for address in (reserved.keys() | before.keys()) if reserved != before else tuple(doubts):
                owners = doubts.get(address) or (before.get(address, ()),)
                self._add(doubts, address, owners, reserved.get(address, ()))

    def _add(self, doubts: Doubts, address: int, owners: tuple[Owner, ...], owner: Owner) -> bool:
        # Where there are two already it is nobody's, and no third one changes that.
        if owner in owners or len(list(filter(None, owners))) >= SEVERAL:
            return False
        doubts[address] = (*owners, owner)
        self.is_dirty = True
        return True

    def part(self, scope: str) -> _Shared:
        """What is known of one scope, which leaves."""
        left = _Shared()
        left.agreed[scope], left.doubts[scope] = self.agreed[scope], self.doubts.get(scope, {})
        return left

    def partner_forgot(self) -> None:
        """The partner does not know what both had: it may lease each of these addresses to anybody."""
        added = [
            self._add(doubts, address, doubts.get(address) or (owner,), ())
            for doubts, reserved in ((self.doubts[scope], each) for scope, each in self.agreed.items())
            for address, owner in reserved.items()
        ]
        self.edition += any(added)  # to which it answers

    def agree(self) -> None:
        """Both have the same."""
        self.agreed = {scope: dict(reserved) for scope, reserved in self.declared.items()}
        self.doubts = {scope: {} for scope in self.declared}
        self.is_unknown, self.is_dirty = False, True

    def take_as_alike(self) -> None:
        """The partner says nothing of this: it is taken to have what we had when we started."""
        declared, self.declared = self.declared, self.at_start or {}
        self.agree()
        self.declared = {}
        self.declare(declared)

    @property
    def is_open(self) -> bool:
        """Whether anything is to be said until the partner has the same.

        Who reserves nothing need not ask what both had: who does hears of it when we connect.
        """
        return any(self.doubts.values()) or (self.is_unknown and any(self.declared.values()))

    def kept(self, scope: ServedScope) -> Reserved:
        """The owners of addresses in doubt that hold in place of what is declared."""
        found: Reserved = {}
        for address, owners in self.doubts.get(scope.name, {}).items():
            some = [each for each in owners if each]
            if len(some) >= SEVERAL:
                found[address] = ()
            elif some[0] != self.declared[scope.name].get(address, ()):
                found[address] = some[0]
        return found


class Reservations:
    """Those of all relationships of one server."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        leases: Mapping[int, Lease],
        departed: Callable[[], Mapping[str, Authority]],
        agreed: Iterable[Agreed],
    ) -> None:
        """Go by what was known when this server ran last.

        Args:
            endpoints: the relationships, which come and go.
            leases: of the whole server.
            departed: gives the scopes that have left and are not all ours yet, with who is asked in them.
            agreed: what the lease database has.
        """
        # What holds is something else than what is served: it is to be made anew.
        self.is_due = False
        self._endpoints = endpoints
        self._leases = leases
        self._departed = departed
        self._left: dict[str, _Shared] = {}  # not written down: after a start nothing is known of them
        self._shared = {each.relationship: _read(each) for each in agreed}
        self._declared: dict[str, Reserved] = {}
        self._served: dict[str, ServedScope] = {}
        self._kept: dict[str, Reserved] = {}
        self._ended: list[str] = []

    # What is declared

    def declare(self, scopes: Iterable[ServedScope]) -> None:
        """These scopes are declared: what is in doubt holds in them in place of that."""
        self._served = {each.name: each for each in scopes}
        self._declared = {
            name: {address: each.keys for address, each in scope.reserved.items()}
            for name, scope in self._served.items()
        }
        self._doubt()
        self._kept = self._to_keep()
        for name, reserved in self._kept.items():
            self._served[name].keep(reserved)
        self._say_all_in_doubt()
        self.is_due = False

    def follow(self, begun: Collection[str]) -> None:
        """The relationships may be others now; of those that have begun anew nothing is known."""
        for name in begun:
            if name in self._endpoints:
                self._shared[name] = _Shared()
        for name in self._shared.keys() - self._endpoints.keys():
            gone = self._shared.pop(name)
            self._left |= {scope: gone.part(scope) for scope in gone.agreed}
            if gone.was_written:
                self._ended.append(name)
        self._doubt()
        self._say_all_in_doubt()
        self._look(is_changed=True)

    def _doubt(self) -> None:
        for name, endpoint in self._endpoints.items():
            declared = {scope: self._declared.get(scope, {}) for scope in endpoint.settings.scopes}
            shared = self._shared.get(name)
            if shared is None:  # a database from before this was written down
                shared = self._shared[name] = _Shared()
                shared.agreed = {scope: dict(reserved) for scope, reserved in declared.items()}
                shared.is_unknown = False
            self._left |= {scope: shared.part(scope) for scope in shared.agreed.keys() - declared.keys()}
            shared.declare(declared)
        self._left = {name: self._left.get(name, _Shared()) for name in self._departed()}
        for name, left in self._left.items():
            left.declare({name: self._declared.get(name, {})})

    def _say_all_in_doubt(self) -> None:
        for name, endpoint in self._endpoints.items():
            self._say_in_doubt(endpoint, self._shared[name])
        for name, authority in self._departed().items():
            authority.unsettled = self._left[name].in_doubt.union(self._kept.get(name, ()))

    def _say_in_doubt(self, endpoint: Endpoint, shared: _Shared) -> None:
        # What is served as it was kept, until it is made anew, is no more certain than before.
        kept = [self._kept[name].keys() for name in endpoint.settings.scopes if name in self._kept]
        endpoint.authority.unsettled = frozenset().union(shared.in_doubt if shared.is_kept else (), *kept)

    def _to_keep(self) -> dict[str, Reserved]:
        left = {
            name: kept
            for name, left in self._left.items()
            if (scope := self._served.get(name)) is not None and (kept := left.kept(scope))
        }
        return left | {
            name: kept
            for relationship, endpoint in self._endpoints.items()
            for name in endpoint.settings.scopes
            if (shared := self._shared[relationship]).is_kept and not shared.is_foreign
            if (scope := self._served.get(name)) is not None and (kept := shared.kept(scope))
        }

    def _look(self, *, is_changed: bool = False) -> None:
        """Partners may have gone, or come back."""
        for name, endpoint in self._endpoints.items():
            shared = self._shared[name]
            is_kept = endpoint.is_connected or not endpoint.taken_over
            if is_kept != shared.is_kept:
                shared.is_kept, is_changed = is_kept, True
                self._say_in_doubt(endpoint, shared)
        if is_changed:
            self.is_due = self._to_keep() != self._kept

    # What is said

    def deadline(self) -> float | None:
        """When ``take_messages`` has something to say, or ``is_due``; None for never."""
        if self.is_due:
            return 0.0
        instants = [
            0.0 if talk is None else talk.next_at
            for name, endpoint in self._endpoints.items()
            if (shared := self._shared.get(name)) is not None and endpoint.is_connected
            if self._has_to_say(shared, talk := self._talk(endpoint, shared))
        ]
        return min(instants, default=None)

    def _talk(self, endpoint: Endpoint, shared: _Shared) -> _Talk | None:
        """What was said over the connection that there is; None for one that is new."""
        talk = shared.talk
        return talk if talk is not None and talk.peer is endpoint.link.peer else None

    def _has_to_say(self, shared: _Shared, talk: _Talk | None) -> bool:
        if talk is None:
            return shared.is_open
        return talk.peer.is_ours and (talk.edition != talk.echoed or shared.is_open)

    def take_messages(self, now: float) -> Iterator[tuple[str, bytes]]:
        """What partners are to be told now: relationship and data, as type ``RESERVATIONS``."""
        self._look()
        for name, endpoint in self._endpoints.items():
            shared = self._shared[name]
            if not endpoint.is_connected or endpoint.link.peer is None:
                continue
            talk = self._meet(endpoint, shared, endpoint.link.peer)
            if talk.next_at > now or not self._has_to_say(shared, talk):
                continue
            talk.next_at = now + SAY_AGAIN_S
            if self._may_say(endpoint, shared):
                talk.echoed = talk.edition
                digest = self._digest(endpoint, shared)
                yield name, _SAID.pack(shared.edition, talk.edition, digest, shared.is_unknown)

    def _meet(self, endpoint: Endpoint, shared: _Shared, peer: Peer) -> _Talk:
        """A partner is there."""
        talk = self._talk(endpoint, shared)
        if talk is None:
            talk = shared.talk = _Talk(peer)
            if not peer.is_ours and not shared.is_foreign:
                shared.take_as_alike()
            elif peer.is_ours and not peer.knows_us:
                shared.partner_forgot()
            shared.is_foreign = not peer.is_ours
            self._changed(endpoint, shared)
        return talk

    def _changed(self, endpoint: Endpoint, shared: _Shared) -> None:
        self._say_in_doubt(endpoint, shared)
        self._look(is_changed=True)

    def asked(self, relationship: str, *, for_everything: bool) -> None:
        """Whether the partner needs everything of us: it lost its database, or a scope is new to it."""
        shared = self._shared.get(relationship)
        if shared is not None and shared.is_asked != for_everything:
            shared.is_asked = for_everything
            if for_everything:
                shared.partner_forgot()
                self._changed(self._endpoints[relationship], shared)

    def _may_say(self, endpoint: Endpoint, shared: _Shared) -> bool:
        """Whether what is declared is durable, and the partner was told of all leases that it matters to.

        Of one that lost its disk that cannot be said before it has waited for what it gave.
        """
        if shared.is_dirty or shared.is_writing:
            return False
        if endpoint.state is not State.NORMAL or endpoint.partner_state is not State.NORMAL:
            return False
        # What is in no pool goes to its owner alone; and its partner may refuse to hear of it.
        found = [
            self._leases.get(address)
            for name, doubts in shared.doubts.items()
            if (scope := self._served.get(name)) is not None
            for address in doubts
            if scope.in_pool(address)
        ]
        return not any(each.flags & UNTOLD for each in found if each is not None)

    def heard(self, relationship: str, data: bytes) -> None:
        """What a partner says; what makes no sense is passed over."""
        endpoint = self._endpoints.get(relationship)
        if endpoint is None or endpoint.link.peer is None or len(data) != _SAID.size:
            return
        shared = self._shared[relationship]
        talk = self._meet(endpoint, shared, endpoint.link.peer)
        edition, heard, digest, forgot = _SAID.unpack(data)
        if forgot and edition != talk.edition:
            shared.partner_forgot()
        talk.edition = edition
        if talk.edition != talk.echoed:
            talk.next_at = 0.0
        if shared.is_open and heard == shared.edition and digest == self._digest(endpoint, shared):
            shared.agree()
        self._changed(endpoint, shared)

    def _digest(self, endpoint: Endpoint, shared: _Shared) -> bytes:
        if not shared.digest:
            spans = dict(zip(endpoint.settings.scopes, endpoint.settings.spans, strict=True))
            state = hashlib.sha256()
            for span, scope in sorted((spans[name], name) for name in shared.declared):
                state.update(struct.pack(">II", *span))
                for address, owner in sorted(shared.declared[scope].items()):
                    state.update(_entry(address, (tuple(sorted(owner)),)))
            shared.digest = state.digest()
        return shared.digest

    # What is durable

    @property
    def is_dirty(self) -> bool:
        """Whether something is to be made durable."""
        return bool(self._ended) or any(each.is_dirty for each in self._shared.values())

    def begin_commit(self) -> list[Agreed]:
        """A commit begins: what must be in it."""
        records = [Agreed(name, 0, b"") for name in self._ended]
        for name, shared in self._shared.items():
            if shared.is_dirty:
                shared.is_dirty, shared.is_writing, shared.was_written = False, True, True
                records.append(Agreed(name, VERSION, _write(shared)))
        return records

    def committed(self) -> None:
        """It is done."""
        self._ended = []
        for shared in self._shared.values():
            shared.is_writing = False

    def commit_failed(self) -> None:
        """It changed nothing."""
        for shared in self._shared.values():
            shared.is_dirty |= shared.is_writing
            shared.is_writing = False


def _entry(address: int, owners: tuple[Owner, ...]) -> bytes:
    parts = [_ENTRY.pack(address, len(owners))]
    for owner in owners:
        parts.append(bytes([len(owner)]))
        parts += [bytes([len(key)]) + key for key in owner]
    return b"".join(parts)


def _write(shared: _Shared) -> bytes:
    """Whether it is unknown what both had; by scope its name, how many addresses, and the owners of each."""
    # Of a partner that is not ours nobody learns what it has: the next start takes it to be ours.
    parts = [bytes([shared.is_unknown and not shared.is_foreign])]
    for scope, agreed in (shared.declared if shared.is_foreign else shared.agreed).items():
        doubts = {} if shared.is_foreign else shared.doubts.get(scope, {})
        name = scope.encode()
        owners = {address: (owner,) for address, owner in agreed.items()} | doubts
        parts.append(struct.pack(">HI", len(name), len(owners)) + name)
        parts += [_entry(address, each) for address, each in owners.items()]
    return b"".join(parts)


def _read(record: Agreed) -> _Shared:
    """Read it again; of what is damaged, or of another version, it is not known what both had."""
    try:
        shared = _read_all(record.data) if record.version == VERSION else _Shared()
    except (struct.error, IndexError, ValueError):
        shared = _Shared()
    shared.was_written = True
    return shared


def _read_all(data: bytes) -> _Shared:
    shared, at = _Shared(), 0
    shared.is_dirty = False

    def take(count: int) -> bytes:
        nonlocal at
        at += count
        return data[at - count : at]

    shared.is_unknown = bool(take(1)[0])
    while at < len(data):
        name_bytes, count = struct.unpack(">HI", take(6))
        scope = take(name_bytes).decode()
        agreed, doubts = shared.agreed.setdefault(scope, {}), shared.doubts.setdefault(scope, {})
        for _ in range(count):
            address, owner_count = _ENTRY.unpack(take(_ENTRY.size))
            owners = tuple(tuple(take(take(1)[0]) for _ in range(take(1)[0])) for _ in range(owner_count))
            if not any(owners) or at > len(data):
                raise ValueError(f"address {address} has no owner")
            if owners[0]:
                agreed[address] = owners[0]
            if len(owners) > 1:
                doubts[address] = owners
    return shared
