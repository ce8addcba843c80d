"""What two DHCP servers that share scopes agree upon: a failover relationship.

Defaults are Windows', where it has one. Both partners must be told the same;
what differs is refused when they connect, with a reason on both sides.

Source: spec/dhcp.md sections 1, 2.9 and 7; draft-ietf-dhc-failover-12 section 5.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from holdfast.directory.about import about

RELATIONSHIP_COUNT_MAX = 31  # of one server, as Windows allows


class FailoverMode(enum.Enum):
    """Who answers new clients while both partners are well."""

    LOAD_BALANCE = "load-balance"  # each its share, by a hash of the client
    HOT_STANDBY = "hot-standby"  # the first server alone


@dataclass(frozen=True, slots=True)
class FailoverRelationship:
    """Two DHCP servers that share scopes, so that one of them can go and clients keep their addresses."""

    name: str = field(
        metadata=about(
            "identity, and the same on both partners, letter for letter: by it they know each other",
            source="draft-ietf-dhc-failover-12 section 12.22",
        )
    )
    servers: tuple[str, ...] = field(
        metadata=about(
            "the two partners; the first is the primary, and the active one of a hot standby",
            unit="names of servers",
            source="draft-ietf-dhc-failover-12 section 5.1.1",
        )
    )
    scopes: tuple[str, ...] = field(default=(), metadata=about("what they share", unit="names of scopes"))
    mode: FailoverMode = field(
        default=FailoverMode.LOAD_BALANCE,
        metadata=about(
            "load-balance: both answer new clients; hot-standby: the first server does, the second while "
            "the first is away",
            source="spec/dhcp.md section 1",
        ),
    )
    split_percent: int = field(
        default=50,
        metadata=about(
            "load balance: the share of new clients that the first server answers",
            unit="percent",
            source="spec/dhcp.md section 2.10",
            least=0,
            most=100,
        ),
    )
    reserve_percent: int = field(
        default=5,
        metadata=about(
            "hot standby: the share of free addresses that the second server may lease on its own while the "
            "first is away",
            unit="percent",
            source="spec/dhcp.md section 2.11",
            least=0,
            most=100,
        ),
    )
    mclt_s: float = field(
        default=3600.0,
        metadata=about(
            "maximum client lead time: by how much a lease may outlast what the partner knows of; a first "
            "lease is so short, and after a partner is down its addresses come free that much later",
            unit="seconds",
            source="draft-ietf-dhc-failover-12 section 5.2.1",
        ),
    )
    switch_over_s: float = field(
        default=0.0,
        metadata=about(
            "how long a partner is not reachable before it is taken for down, and its addresses with it; 0 "
            "means never by itself, only by an administrator's word. Two partners that both live and do not "
            "reach each other would then lease the same addresses",
            unit="seconds",
            source="draft-ietf-dhc-failover-12 section 10",
        ),
    )
    port: int = field(
        default=647,
        metadata=about(
            "where both listen for the other",
            unit="TCP port",
            source="draft-ietf-dhc-failover-12 section 8.2",
            most=65535,
        ),
    )
    receive_timeout_s: float = field(
        default=3.0,
        metadata=about(
            "a partner that said nothing for so long is not reachable; it is asked to speak three times as "
            "often",
            unit="seconds",
            source="draft-ietf-dhc-failover-12 section 8.3",
        ),
    )
    unacknowledged_count_max: int = field(
        default=100,
        metadata=about(
            "how many updates a partner may send before the first of them is acknowledged",
            unit="count",
            source="draft-ietf-dhc-failover-12 section 12.14",
            most=10_000,
        ),
    )
    addresses: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "where the partners reach each other, in the order of the servers; none takes the first IPv4 "
            "address of each server",
            unit="IP addresses",
        ),
    )
