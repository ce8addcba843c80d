"""Whether what the partner says of an address is taken over: the draft's table, and what we then know.

Rows are what we know, columns what came; what each word asks for is at ``Rule``.
A lease whose time is over counts as EXPIRED, also while no timer has ended it,
which is the draft's time(2).

Repair: RESET or ABANDONED takes an ACTIVE lease away only when it happened after
the client last spoke with us. The draft takes it always, and so a RESET that is
said again after a lost connection would take the address from the client that
was given it since. And what ended for one client never ends another's lease.

Repair: what two servers did for one client within a few seconds has no order:
instants are whole, and how long a message took is not known. Then the client
has its lease, for the other mistake is an address used twice; and what only time
ended here has not ended while the partner's lease for the same client goes on.

Repair: that an address was free before it was leased is no news once that lease
has ended here. The draft takes FREE and BACKUP always, and so one that was said
again (UPDREQALL) and crossed the lease and its end on the way made the address
ours to lease, while the partner still knew of the lease (docs/decisions/0025).

Source: draft-ietf-dhc-failover-12 sections 7.1.3 to 7.1.5; spec/dhcp.md section 2.6.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple, cast

from holdfast.dhcp.lease import (
    ABANDONED,
    ACTIVE,
    BACKUP,
    EXPIRED,
    FREE,
    RELEASED,
    RESET,
    UNTOLD,
    Lease,
    new_lease,
)
from holdfast.wire.failover_messages import FATAL_CONFLICT, LESS_CRITICAL, MISSING_INFORMATION, OUTDATED

ENDED: Final = (EXPIRED, RELEASED, RESET)
FREE_STATUSES: Final = (FREE, BACKUP)
SAME_MOMENT_S: Final = 3
# Ends of one lease that differ by less, by the time that a message took, are as good as the same.
APART_S: Final = 10


class Rule(enum.Enum):
    """When what came is taken."""

    YES = "always"
    FREED = "when it came free there after the lease began that has ended here, or the partner knows of that"
    CLIENT = "when it is the same client, or we are the secondary"
    RELEASED = "time(1), and it is the same client or machine"
    SPOKEN = "time(1): when the client spoke with the partner after it last spoke with us"
    EXTENDED = "time(1), or it is the same client, and its lease there goes on"
    SINCE = (
        "time(3): when the client spoke with the partner after the address came into its status here; or "
        "when it is not known here whom the address was taken from, and the lease there goes on"
    )
    AFTER = "when it happened after the client last spoke with us"
    OUTDATED = "never: we know something newer"
    LESS = "never: we know something more critical"
    ENDED = "when it happened after the address was given up here"


_YES, _SPOKEN, _FREED, _LESS, _OLD = Rule.YES, Rule.SPOKEN, Rule.FREED, Rule.LESS, Rule.OUTDATED
_COLUMNS = (ACTIVE, EXPIRED, RELEASED, FREE, BACKUP, RESET, ABANDONED)
_TABLE = {
    ACTIVE: (Rule.CLIENT, _OLD, Rule.RELEASED, _OLD, _OLD, Rule.AFTER, Rule.AFTER),
    EXPIRED: (Rule.EXTENDED, _YES, _YES, _FREED, _FREED, _YES, _YES),
    RELEASED: (_SPOKEN, _SPOKEN, _YES, _FREED, _FREED, _YES, _YES),
    FREE: (_YES,) * 7,
    BACKUP: (_YES,) * 7,
    RESET: (Rule.SINCE, _YES, _YES, _FREED, _FREED, _YES, _YES),
    ABANDONED: (_LESS, _LESS, _LESS, _LESS, _LESS, Rule.ENDED, _YES),
}
RULES: Final = {mine: dict(zip(_COLUMNS, row, strict=True)) for mine, row in _TABLE.items()}


class Told(NamedTuple):
    """What came of one address, its instants by our clock; None where nothing was said.

    Attributes:
        lease: as the partner has it; ``potential_received`` is what it told us, the other potentials 0.
        expires_at, seen_at, changed_at: whether they were said; 0 in ``lease`` where not.
    """

    lease: Lease
    has_expiry: bool
    has_seen: bool
    has_changed: bool


# A named tuple's own call takes 0.3 us more.
new_told: Final = cast("Callable[[tuple[object, ...]], Told]", partial(tuple.__new__, Told))


def lacks(told: Told) -> int:
    """The reject reason for what is not enough to go by; 0 when it is enough."""
    lease = told.lease
    if not FREE <= lease.status <= BACKUP:
        return MISSING_INFORMATION
    if lease.status in (ACTIVE, EXPIRED, RELEASED) and len(lease.hardware) < 1:
        return MISSING_INFORMATION
    if lease.status == ACTIVE and not told.has_expiry:
        return MISSING_INFORMATION
    return 0


def judged(mine: Lease | None, told: Told, now: float, *, primary: bool) -> int:
    """The reject reason for what the partner says; 0 when it is taken.

    Args:
        mine: what we know of the address.
        told: what the partner says.
        now: by our clock.
        primary: whether we are the primary.
    """
    if mine is None:
        return 0
    over = mine.status == ACTIVE and mine.expires_at < now
    lease = told.lease
    rule = RULES[EXPIRED if over else mine.status][lease.status]
    if rule is Rule.YES:
        return 0
    match rule:
        case Rule.FREED:
            # What was said before the lease crossed the news of its end: the partner has the lease still.
            before = told.has_changed and lease.changed_at <= mine.started_at + SAME_MOMENT_S
            return OUTDATED if before and mine.flags & UNTOLD else 0
        case Rule.CLIENT:
            if lease.key == mine.key:
                return 0
            if lease.hardware == mine.hardware:
                # A machine that starts under another identifier may get its own address again (``choice``).
                return 0 if _spoke_after(told, mine.seen_at) else OUTDATED
            return FATAL_CONFLICT if primary else 0
        case Rule.RELEASED:
            # What the partner knows of ours it did not say before that; else a moment has no order.
            unsure_s = SAME_MOMENT_S if mine.flags & UNTOLD else -SAME_MOMENT_S
            is_its = lease.key == mine.key or lease.hardware == mine.hardware
            return 0 if is_its and _spoke_after(told, mine.seen_at + unsure_s) else OUTDATED
        case Rule.EXTENDED if lease.key == mine.key and lease.expires_at > now:
            return 0
        case Rule.SPOKEN | Rule.EXTENDED:
            same_s = SAME_MOMENT_S if lease.status == ACTIVE and lease.key == mine.key else 0
            return 0 if _spoke_after(told, mine.seen_at - same_s) else OUTDATED
        case Rule.SINCE if not mine.hardware and lease.expires_at > now:
            return 0
        case Rule.SINCE:
            return 0 if _spoke_after(told, mine.changed_at) else OUTDATED
        case Rule.AFTER:
            # The end of an abandonment names no client, and may end one that was before this lease.
            same = lease.key == mine.key or (lease.status == ABANDONED and not lease.key)
            return 0 if same and told.has_changed and lease.changed_at >= mine.seen_at else OUTDATED
        case Rule.OUTDATED:
            return OUTDATED
        case Rule.ENDED if not told.has_changed or lease.changed_at >= mine.changed_at:
            return 0
        case Rule.LESS | Rule.ENDED:
            return LESS_CRITICAL


def _spoke_after(told: Told, than: int) -> bool:
    """Whether the partner heard the client after an instant."""
    return told.has_seen and told.lease.seen_at > than


def taken(mine: Lease | None, told: Told, now: float) -> Lease:
    """What we know of the address once what the partner says is taken.

    What ended there is free with us: the partner frees it as well once it has our answer (draft
    section 5.2.2). A lease that both extended lasts as long as the longer of the two, for nobody knows
    which answer its client took. So does an address that both gave up: else each would take the other's word
    by turns, for ever.
    """
    lease, seconds = told.lease, int(now)
    dns = b"" if mine is None else mine.dns
    if lease.status in ENDED or lease.status in FREE_STATUSES:
        return lease._replace(
            status=lease.status if lease.status in FREE_STATUSES else FREE,
            expires_at=min(lease.expires_at, seconds),
            changed_at=lease.changed_at if told.has_changed else seconds,
            flags=0,
            dns=dns,
            potential_received=0,
        )
    if lease.status == ABANDONED:
        if mine is not None and mine.status == ABANDONED and lease.expires_at <= mine.expires_at + APART_S:
            return mine._replace(changed_at=max(mine.changed_at, lease.changed_at))
        return lease._replace(dns=dns, potential_received=0)
    same = mine is not None and mine.status == ACTIVE and mine.key == lease.key
    if not same or mine is None:
        return lease._replace(dns=dns) if dns else lease
    return new_lease((
        lease.address,
        lease.status,
        lease.flags,
        lease.hardware,
        lease.client_id,
        min(mine.started_at, lease.started_at),
        max(mine.expires_at, lease.expires_at),
        min(mine.changed_at, lease.changed_at) if told.has_changed else mine.changed_at,
        max(mine.seen_at, lease.seen_at),
        lease.host_name or mine.host_name,
        lease.relay or mine.relay,
        dns,
        mine.potential_sent,
        mine.potential_acked,
        max(mine.potential_received, lease.potential_received),
    ))  # fmt: skip


def still_used_until(lease: Lease) -> int:
    """Until when the partner may have given a lease, MCLT not counted (draft section 7.1.5)."""
    return max(lease.expires_at, lease.potential_sent, lease.potential_acked, lease.potential_received)
