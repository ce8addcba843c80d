"""What one server must still know of a relationship when it starts again: durable before it takes effect.

Instants are those of leases: whole seconds of the node's clock (``drivers.lease_clock``).

Source: draft-ietf-dhc-failover-12 sections 9.2, 9.3.2, 7.8.2 and 11.1; spec/dhcp.md section 2.8.
"""

from __future__ import annotations

from typing import NamedTuple

VERSION = 1


class Record(NamedTuple):
    """One relationship; the very row of the lease database.

    Attributes:
        relationship: its name.
        version: of this record.
        state: ours (``failover_states.State``); never STARTUP.
        since: since when.
        resume: the state that a start goes on with; differs from ``state`` in PAUSED and SHUTDOWN only.
        partner_state: what the partner said last; 0 when it never spoke.
        partner_since: since when, as it said; converted to our clock.
        spoken_at: when we last had a connection on which the partner spoke; 0 for never.
        mclt_s: what the secondary was told; 0 before that.
        buckets: the assignment of hash buckets as the secondary was told; empty before that.
        connect_time: the partner's clock in the last CONNECT that was taken: none may come twice.
        everything_asked: the partner needs everything of us, until it has it.
        everything_wanted: we need everything of the partner (our database was new), until we have it.
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
