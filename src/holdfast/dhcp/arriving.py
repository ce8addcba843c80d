"""Take over leases that another server gave: what a client has here already stays with it.

Instants come by the wall clock and are kept by the clock of leases, rounded so that no lease ends early. All
of it is durable with one commit, or none.

Source: spec/dhcp.md section 1, "copy leases"; RFC 2131 section 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from holdfast.dhcp.desk import Desk
from holdfast.dhcp.lease import ABANDONED, ACTIVE, FREE, NEVER, RESERVED, Lease
from holdfast.dhcp.moving import LeaseState, MovedLease


def arrive(desk: Desk, now: float, leases: Iterable[MovedLease], clock_offset_s: float) -> list[int]:
    """Put leases that arrive among ours.

    Args:
        desk: the server.
        now: by the clock of leases.
        leases: by the wall clock.
        clock_offset_s: by how much the wall clock is ahead of the clock of leases.

    Returns:
        Addresses that another client has from us, who keeps them.
    """
    kept: list[int] = []
    for moved in leases:
        old = desk.table.leases.get(moved.address)
        lease = _lease(desk, now, moved, clock_offset_s)
        if old is not None and old.status == ACTIVE:
            if moved.state is LeaseState.REMEMBERED:
                continue
            if lease.status != ACTIVE or old.key != lease.key:
                kept.append(moved.address)
                continue
            if old.expires_at >= lease.expires_at:
                continue  # it was renewed here since
        elif old is not None and lease.status == FREE:
            continue  # what we know of the address is newer
        desk.put(lease if old is None else lease._replace(dns=old.dns))
    return kept


def _lease(desk: Desk, now: float, moved: MovedLease, clock_offset_s: float) -> Lease:
    seconds = int(now)
    ends_at = NEVER if math.isinf(moved.ends_at) else math.ceil(moved.ends_at - clock_offset_s)
    started_at = max(0, int(moved.starts_at - clock_offset_s)) if moved.starts_at else seconds
    hardware = bytes((moved.hardware_type & 0xFF,)) + moved.mac if moved.mac else b""
    status, flags = FREE, 0
    if moved.state is LeaseState.ACTIVE and ends_at > seconds:
        status = ACTIVE
        state = desk.table.scope_of(moved.address)
        if state is not None and moved.address in state.served.reserved:
            flags = RESERVED
    elif moved.state is LeaseState.DECLINED:
        status = ABANDONED
        if not seconds < ends_at < NEVER:
            ends_at = seconds + 1 + int(desk.served.server.decline_s)
    else:
        ends_at = min(ends_at, seconds)
    return Lease(
        moved.address,
        status,
        flags,
        hardware,
        moved.client_id,
        min(started_at, seconds),
        ends_at,
        seconds,
        min(started_at, seconds),
        moved.host_name,
    )
