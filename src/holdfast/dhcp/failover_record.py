"""What one server must still know of a relationship when it starts again: durable before it takes effect.

Instants are those of leases: whole seconds of the node's clock (``drivers.lease_clock``).

Source: draft-ietf-dhc-failover-12 sections 9.2, 9.3.2, 7.8.2 and 11.1; spec/dhcp.md section 2.8.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from holdfast.dhcp.failover_states import State

VERSION = 2  # 1 did not say which addresses are shared, nor our role; see ``drivers.sqlite_leases``
Span = tuple[int, int]  # the first and the last address of a scope's subnet


class Record(NamedTuple):
    """One relationship; the very row of the lease database.

    Attributes:
        relationship: its name.
        version: of this record.
        state: ours (``failover_states.State``); never STARTUP. 0 in a record that is to be forgotten.
        since: since when.
        resume: the state that a start goes on with; differs from ``state`` in PAUSED and SHUTDOWN only.
        partner_state: what the partner said last; 0 when it never spoke.
        partner_since: since when, as it said; converted to our clock.
        spoken_at: when we last had a connection on which the partner spoke; 0 for never.
        mclt_s: the longest maximum client lead time by which a lease may still last that nobody told of; 0
            before any held.
        buckets: the assignment of hash buckets as the secondary was told; empty before that.
        connect_time: the partner's clock in the last CONNECT that was taken: none may come twice.
        everything_asked: the partner needs everything of us, until it has it.
        everything_wanted: we need everything of the partner (our database was new), until we have it.
        primary: whether we are the primary.
        shared: the addresses that are shared, as far as that has taken effect (``write_spans``).
        wanted: of these, those of which we still need everything of the partner.
    """

    relationship: str
    version: int
    state: int
    since: int
    resume: int
    partner_state: int = 0
    partner_since: int = 0
    spoken_at: int = 0
    mclt_s: int = 0
    buckets: bytes = b""
    connect_time: int = 0
    everything_asked: int = 0
    everything_wanted: int = 0
    primary: int = 0
    shared: bytes = b""
    wanted: bytes = b""


def first_record(relationship: str, now: float, *, goes_on: bool) -> Record:
    """A relationship that is new here, or a database that is.

    A primary that has leases served alone until now, and goes on so until its partner is there.
    Otherwise nobody is served before the partner was asked (draft section 9.3.2).

    Args:
        relationship: its name.
        now: by our clock.
        goes_on: whether we are that primary.
    """
    state = State.PARTNER_DOWN if goes_on else State.RECOVER
    return Record(
        relationship, VERSION, state, int(now), state, everything_asked=1, everything_wanted=int(not goes_on)
    )


class Departed(NamedTuple):
    """Addresses that were shared and are not any more, until nobody else can have leased them.

    Attributes:
        first: the first address of the scope's subnet.
        last: the last one.
        version: of this record.
        since: since when the partner is taken to lease them no more; 0 in one that is to be forgotten.
        mclt_s: the maximum client lead time that held.
        primary: whether we were the primary.
    """

    first: int
    last: int
    version: int
    since: int
    mclt_s: int
    primary: int


class Agreed(NamedTuple):
    """Which reservations both partners had, and what was declared here since (``failover_reserved``).

    Attributes:
        relationship: its name.
        version: of this record; 0 in one that is to be forgotten.
        data: as ``failover_reserved`` writes it.
    """

    relationship: str
    version: int
    data: bytes


Remembered = Record | Departed | Agreed


def write_spans(spans: Iterable[Span]) -> bytes:
    """Spans as a record has them."""
    return b"".join(struct.pack(">II", first, last) for first, last in sorted(spans))


def read_spans(data: bytes) -> list[Span]:
    """Read them again."""
    return [(first, last) for first, last in struct.iter_unpack(">II", data)]
