"""The requests that management makes of the dhcp role about failover, typed on both sides.

Instants are seconds since the epoch by the machine's clock, so that an answer can be shown as it is.
"""

from __future__ import annotations

import msgspec

from holdfast.drivers.dhcp_requests import DHCP
from holdfast.drivers.role_requests import Nothing, RequestKind


class SharedScope(msgspec.Struct, frozen=True):
    """The free addresses of one scope: ours to lease, the partner's, and how many ours should be."""

    scope: str
    own_free_count: int
    partner_free_count: int
    wanted_count: int


class FailoverState(msgspec.Struct, frozen=True):
    """How one relationship is, as this server sees it; see ``node.failover.Status``.

    Attributes:
        relationship: its name.
        primary: whether this server is the primary.
        state: ours, as the draft calls it.
        since_at: since when.
        partner_state: the partner's, as it said last; empty when it never spoke.
        partner_since_at: since when; None when it never spoke.
        connected: whether the partner speaks with us.
        spoken_at: when it last did; None for never.
        clock_difference_s: by how much the partner's clock is ahead; None while nobody knows.
        untold_count: leases that the partner has not acknowledged.
        oldest_untold_s: for how long the oldest of them waits.
        serves: in words, whom we serve now.
        waits_until_at: until when the state lasts at least; None when for nothing.
        scopes: their free addresses.
        trouble: why there is no connection, or why updates are refused; empty when all is well.
        configuration: whether the partner's is the same: ``the same``, ``different``, or empty for not known.
        differences: in what the partners differ, in words: each a scope, the relationship, the server, or an
            address of which one told and that the other does not share.
        in_doubt: addresses whose reservation changed here, and that the partner may have otherwise.
    """

    relationship: str
    primary: bool
    state: str
    since_at: float
    partner_state: str
    partner_since_at: float | None
    connected: bool
    spoken_at: float | None
    clock_difference_s: float | None
    untold_count: int
    oldest_untold_s: float
    serves: str
    waits_until_at: float | None
    scopes: tuple[SharedScope, ...]
    trouble: str
    configuration: str = ""
    differences: tuple[str, ...] = ()
    in_doubt: tuple[str, ...] = ()


class FailoverStates(msgspec.Struct, frozen=True):
    """All relationships of this server."""

    relationships: tuple[FailoverState, ...]


class FailoverOrder(msgspec.Struct, frozen=True):
    """What an administrator orders: a value of ``node.failover.Command``.

    ``force`` does it although it is dangerous.
    """

    relationship: str
    command: str
    force: bool = False


class SharedQuestion(msgspec.Struct, frozen=True):
    """What the partner of a relationship shares."""

    relationship: str


class SharedTold(msgspec.Struct, frozen=True):
    """What it shares, as ``directory.replicate.write_part`` writes it."""

    text: str


SHOW_FAILOVER = RequestKind("failover.show", Nothing, FailoverStates, DHCP)
ORDER_FAILOVER = RequestKind("failover.order", FailoverOrder, FailoverState, DHCP)
# The secrets are no part of the organisation: the role is told when one was changed.
ASK_PARTNER = RequestKind("failover.shared", SharedQuestion, SharedTold, DHCP)
REREAD_SECRETS = RequestKind("failover.secrets", Nothing, Nothing, DHCP)
