"""Tell how names in DNS stand: what waits, what is refused, which zone takes no updates.

A million leases are looked through in pieces, and clients are served between them.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from holdfast.dhcp.dns_state import REFUSED, read_state
from holdfast.dhcp.dns_zones import Zone
from holdfast.dhcp.lease import Lease, address_text, hardware_text
from holdfast.drivers.dhcp_requests import DnsNameState, DnsQuestion, DnsState, DnsZoneState
from holdfast.node.dhcp import DhcpNode

PIECE_COUNT = 5000
NAME_COUNT_MAX = 5000
REGISTERED, WAITS, REFUSED_STATE, TO_BE_REMOVED = "registered", "waits", "refused", "to be removed"


async def dns_report(node: DhcpNode, question: DnsQuestion, offset_s: float) -> DnsState:
    """Look through everything.

    Args:
        node: what decides.
        question: how much is wanted.
        offset_s: the wall clock minus the clock of leases.
    """
    registrar = node.server.registrar
    count_max = min(max(0, question.count_max), NAME_COUNT_MAX)
    counts: Counter[str] = Counter()
    names: list[DnsNameState] = []
    addresses = list(node.server.table.leases)
    for start in range(0, len(addresses), PIECE_COUNT):
        for address in addresses[start : start + PIECE_COUNT]:
            lease = node.server.table.leases.get(address)
            for name, state in _names(lease) if lease is not None and lease.dns else ():
                counts[state] += 1
                if state != REGISTERED and lease is not None and len(names) < count_max:
                    client = hardware_text(lease.hardware)
                    names.append(DnsNameState(address_text(address), name, state, client))
        await asyncio.sleep(0)
    return DnsState(
        is_on=registrar.is_on,
        zones=tuple(_zone(each, offset_s) for _, each in sorted(registrar.zones.by_name.items())),
        registered_count=counts[REGISTERED],
        waiting_count=counts[WAITS],
        refused_count=counts[REFUSED_STATE],
        removal_count=counts[TO_BE_REMOVED],
        in_flight_count=registrar.in_flight_count,
        names=tuple(names),
    )


def _names(lease: Lease) -> list[tuple[str, str]]:
    """The names of an address, each with its state."""
    state = read_state(lease.dns)
    found = [(each.name, TO_BE_REMOVED) for each in state.stale]
    wanted = state.wanted
    if wanted is not None:
        word = REFUSED_STATE if wanted.flags & REFUSED else WAITS if wanted.is_pending else REGISTERED
        found.append((wanted.name, word))
    return found


def _zone(zone: Zone, offset_s: float) -> DnsZoneState:
    since = zone.failing_since
    return DnsZoneState(
        zone.name,
        zone.reason,
        None if since is None else since + offset_s,
        None if since is None else zone.retry_at + offset_s,
        len(zone.parked),
    )
