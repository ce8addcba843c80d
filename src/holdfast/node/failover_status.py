"""How a failover relationship is, for people: states, free addresses, what waits and what is wrong.

Source: draft-ietf-dhc-failover-12 section 9; spec/dhcp.md section 2.8.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.dhcp.failover_endpoint import Endpoint
from holdfast.dhcp.failover_pools import free_counts, secondarys_share
from holdfast.dhcp.failover_states import SERVES, State


@dataclass(frozen=True, slots=True)
class Status:
    """How a relationship is, for people. Instants are those of the node's clock.

    Attributes:
        relationship: its name.
        primary: whether we are the primary.
        state: ours, as a word of the draft (``PARTNER-DOWN``).
        since: since when.
        partner_state: the partner's, as it said last; empty when it never spoke.
        partner_since: since when.
        connected: whether the partner speaks with us.
        spoken_at: when it last did; 0 for never.
        clock_difference_s: by how much the partner's clock is ahead of ours; None while nobody knows.
        untold_count: leases that the partner has not acknowledged yet.
        oldest_untold_s: for how long the oldest of them waits.
        serves: in words, whom we serve now.
        waits_until: until when the state lasts at least (MCLT, switch-over); None when for nothing.
        free_counts: by scope: addresses that are ours to lease, the partner's, and the share it should have.
        trouble: why there is no connection, or why updates are refused; empty when all is well.
        in_doubt: addresses whose reservation both may not have alike.
        refused: what was refused since the connection came up because it is not shared, in words.
    """

    relationship: str
    primary: bool
    state: str
    since: int
    partner_state: str
    partner_since: int
    connected: bool
    spoken_at: int
    clock_difference_s: float | None
    untold_count: int
    oldest_untold_s: float
    serves: str
    waits_until: float | None
    free_counts: tuple[tuple[str, int, int, int], ...]
    trouble: str
    in_doubt: tuple[int, ...]
    refused: tuple[str, ...]


def status_of(now: float, endpoint: Endpoint) -> Status:
    """Say how one relationship is, by the node's clock."""
    record, link = endpoint.record, endpoint.link
    primary = endpoint.settings.primary
    free = []
    for state in endpoint.pools.scopes:
        primarys, secondarys = free_counts(state)
        share = secondarys_share(primarys + secondarys, endpoint.percent)
        ours, theirs = (primarys, secondarys) if primary else (secondarys, primarys)
        free.append((state.served.name, ours, theirs, share if primary else primarys + secondarys - share))
    return Status(
        relationship=record.relationship,
        primary=primary,
        state=endpoint.state.text,
        since=record.since,
        partner_state=State(record.partner_state).text if record.partner_state else "",
        partner_since=record.partner_since,
        connected=endpoint.is_connected,
        spoken_at=int(now) if endpoint.is_connected else record.spoken_at,
        clock_difference_s=link.clock_difference_s,
        untold_count=endpoint.bindings.untold_count,
        oldest_untold_s=endpoint.bindings.oldest_untold_s(now),
        serves=SERVES[endpoint.state].value,
        waits_until=endpoint.waits_until(),
        free_counts=tuple(free),
        trouble=link.trouble,
        in_doubt=tuple(sorted(endpoint.authority.unsettled)),
        refused=endpoint.refusals.lines,
    )
