"""What a lease says of its names in DNS: what is to be there, what is there, what must go.

It is a part of the lease (``Lease.dns``), so it is durable with it: whatever was
not done when the process died is found again and done. It can be done twice
without harm, as each update says what must be so.

Form: a byte with the version and whether something is to be done, then per
registration its flags, its kind, the name and the DHCID with their lengths.

Source: ours; RFC 4703 section 5 for what is done.
"""

from __future__ import annotations

from typing import NamedTuple

# Flags of a registration.
FORWARD = 1  # the address of the name (A)
REVERSE = 2  # the name of the address (PTR)
FORWARD_DONE = 4
REVERSE_DONE = 8
REFUSED = 16  # the name is another client's
PROTECTED = 32  # by DHCID: neither taken from another client nor removed for it
_WISHES = FORWARD | REVERSE | PROTECTED

_VERSION = 0x10
_PENDING = 1
_WANTED, _STALE = 0, 1
STALE_COUNT_MAX = 4


class Registration(NamedTuple):
    """One name of an address."""

    name: str
    dhcid: bytes
    flags: int

    @property
    def is_pending(self) -> bool:
        """Whether something of it is still to be registered."""
        flags = self.flags
        if flags & REFUSED:
            return False
        return bool(flags & FORWARD and not flags & FORWARD_DONE) or bool(
            flags & REVERSE and not flags & REVERSE_DONE
        )

    def same_wish(self, other: Registration) -> bool:
        """Whether both want the same, however far they got."""
        return self[:2] == other[:2] and self.flags & _WISHES == other.flags & _WISHES


class DnsState(NamedTuple):
    """Everything that DNS has, or is to have, of one address.

    Attributes:
        wanted: what is to be there; None for nothing.
        stale: what must go.
    """

    wanted: Registration | None = None
    stale: tuple[Registration, ...] = ()

    @property
    def is_pending(self) -> bool:
        """Whether something is to be done."""
        return bool(self.stale) or (self.wanted is not None and self.wanted.is_pending)


NOTHING = DnsState()


def is_pending(dns: bytes) -> bool:
    """Whether something is to be done for a lease."""
    return bool(dns) and bool(dns[0] & _PENDING)


def write_state(state: DnsState) -> bytes:
    """The form in which a lease keeps it; empty for nothing."""
    if state == NOTHING:
        return b""
    parts = [bytes((_VERSION | (_PENDING if state.is_pending else 0),))]
    entries = [(_STALE, each) for each in state.stale]
    if state.wanted is not None:
        entries.insert(0, (_WANTED, state.wanted))
    for kind, (name, dhcid, flags) in entries:
        parts.append(bytes((kind, flags, len(name))) + name.encode("ascii") + bytes((len(dhcid),)) + dhcid)
    return b"".join(parts)


def read_state(dns: bytes) -> DnsState:
    """Read it again; what is of another version or damaged is nothing, and registered anew in time."""
    if not dns or dns[0] & 0xF0 != _VERSION:
        return NOTHING
    wanted: Registration | None = None
    stale: list[Registration] = []
    at = 1
    try:
        while at < len(dns):
            kind, flags, size = dns[at], dns[at + 1], dns[at + 2]
            at += 3
            name = dns[at : at + size].decode("ascii")
            at += size
            dhcid = dns[at + 1 : at + 1 + dns[at]]
            if len(name) != size or len(dhcid) != dns[at]:
                return NOTHING
            at += 1 + dns[at]
            if kind == _WANTED:
                wanted = Registration(name, dhcid, flags)
            else:
                stale.append(Registration(name, dhcid, flags))
    except (IndexError, UnicodeDecodeError):
        return NOTHING
    return DnsState(wanted, tuple(stale))


def with_wish(dns: bytes, wanted: Registration | None, *, remove: bool) -> bytes:
    """What a lease says after its client spoke.

    Args:
        dns: what it said before, of this client or of the one before.
        wanted: what is to be there now; None for nothing.
        remove: whether what was there before goes, where it is another thing.
    """
    before = read_state(dns)
    old = before.wanted
    if old is not None and wanted is not None and old.same_wish(wanted):
        if not old.flags & REFUSED:
            return dns
        # Each time that its client renews it is tried whether the name came free.
        return write_state(DnsState(wanted, before.stale))
    stale = before.stale
    if old is not None and remove:
        gone = left_over(old, wanted)
        if gone is not None:
            stale = (*stale, gone)[-STALE_COUNT_MAX:]
    return write_state(DnsState(wanted, stale))


def left_over(old: Registration, new: Registration | None) -> Registration | None:
    """What of a registration must go when another takes its place; None when nothing does."""
    flags = 0 if old.flags & REFUSED else old.flags & (FORWARD | REVERSE)
    if new is not None:
        if new.flags & REVERSE:
            flags &= ~REVERSE  # the new name of the address takes the place of the old one
        if new.flags & FORWARD and new[:2] == old[:2]:
            flags &= ~FORWARD
    if not flags:
        return None
    return Registration(old.name, old.dhcid, flags | (old.flags & PROTECTED))


def to_go_on_with(dns: bytes) -> bytes:
    """What a lease says, with whatever of it is not done to be done here."""
    return write_state(read_state(dns))


def told(mine: bytes, theirs: bytes) -> bytes:
    """What a lease says once a failover partner has told what it registered for it.

    The partner does what is still to be done for its client; we do it when the client renews here
    (``to_go_on_with``), or remove it when the lease ends. What we are removing we go on removing.

    Args:
        mine: what it said here.
        theirs: what it says there; empty for nothing.
    """
    if not theirs:
        return mine
    state, own = read_state(theirs), read_state(mine)
    is_at_it = own.wanted is not None and own.wanted.is_pending and is_pending(mine)
    if (
        is_at_it
        and own.wanted is not None
        and state.wanted is not None
        and state.wanted.same_wish(own.wanted)
    ):
        return mine
    stale = own.stale if is_pending(mine) else ()
    data = write_state(DnsState(state.wanted, stale))
    return data if stale or not data else bytes((data[0] & ~_PENDING,)) + data[1:]


def merged(now: DnsState, began: DnsState, reached: DnsState) -> DnsState:
    """What a lease says after somebody worked on it, while its client may have spoken.

    Args:
        now: what it says.
        began: what it said when the work began.
        reached: what the work made of that.
    """
    removed = [each for each in began.stale if each not in reached.stale]
    stale = [each for each in now.stale if each not in removed]
    wanted = now.wanted
    if wanted is not None and began.wanted is not None and wanted.same_wish(began.wanted):
        wanted = reached.wanted
    return DnsState(wanted, tuple(stale))
