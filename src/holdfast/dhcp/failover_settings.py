"""What one server of a failover relationship goes by; ``failover_declared`` makes it out of the organisation.

Source: spec/dhcp.md sections 1 and 2.9 to 2.12; draft-ietf-dhc-failover-12 sections 5.15, 8.3, 10 and 11.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from holdfast.dhcp.failover_record import Span
from holdfast.wire.failover import PORT
from holdfast.wire.failover_digest import HMAC_SHA256

OUR_VENDOR = b"holdfast-1"  # the number is that of what we say to each other beyond the draft


@dataclass(frozen=True, slots=True)
class Settings:
    """One relationship as one of its two servers sees it.

    Attributes:
        relationship: its name, the same bytes on both sides.
        primary: whether this server is the primary.
        partner: the partner's IP address.
        port: where the partner listens.
        scopes: the names of the scopes that are shared.
        spans: the first and the last address of each of their subnets, in the same order.
        mclt_s: maximum client lead time, the same on both; a change holds once both have met with it.
        split_count: of 256 hash buckets, how many are the primary's; 256 is hot standby.
        reserve_percent: the secondary's share of the free addresses.
        load_balance_s: after how long of a client's asking the other server answers it.
        receive_timer_s: after which silence of the partner the connection is given up.
        unacked_max: how many updates may be under way to us.
        switch_over_s: how long after an interruption the partner is taken to be down; None for never.
        secret: shared with the partner; empty for no digests.
        digest: the kind of digest, where there is a secret.
        clock_difference_s: by how much the clocks of the two may differ.
    """

    relationship: str
    primary: bool
    partner: str
    port: int = PORT
    scopes: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    mclt_s: int = 3600
    split_count: int = 128
    reserve_percent: int = 50
    load_balance_s: int = 3
    receive_timer_s: int = 3
    unacked_max: int = 100
    switch_over_s: float | None = None
    secret: bytes = b""
    digest: int = HMAC_SHA256
    clock_difference_s: float = 60.0

    @property
    def name(self) -> bytes:
        """The name as it is on the wire."""
        return self.relationship.encode()

    def without(self, spans: Collection[Span]) -> Settings:
        """The same relationship, without the scopes that have these addresses."""
        kept = [(name, span) for name, span in zip(self.scopes, self.spans, strict=True) if span not in spans]
        return replace(self, scopes=tuple(each for each, _ in kept), spans=tuple(each for _, each in kept))
