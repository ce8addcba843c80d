"""Turn the leases of other servers into leases that can arrive here, one at a time.

An active lease that has ended is remembered, so that its client gets the address again; free addresses say
nothing. Instants stay those of the wall clock: the role that takes the leases over counts on its own.

Source: dhcpd.leases(5) of ISC dhcpd 4.4; Kea Administrator Reference Manual, "Memfile"; spec/dhcp.md
section 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from holdfast.dhcp.moving import Arrival, LeaseState, MovedLease
from holdfast.wire import isc_leases, kea_leases
from holdfast.wire.isc_leases import BindingState, IscLease
from holdfast.wire.kea_leases import UNLIMITED_S, KeaLease

_ENDED = (
    BindingState.EXPIRED,
    BindingState.RELEASED,
    BindingState.RESET,
    BindingState.FREE,
    BindingState.BACKUP,
)
_KEA_STATES = (
    LeaseState.ACTIVE,
    LeaseState.DECLINED,
    LeaseState.REMEMBERED,
    LeaseState.REMEMBERED,
    LeaseState.REMEMBERED,
)


def from_isc(lease: IscLease) -> MovedLease | None:
    """One entry of dhcpd.leases; None when it says nothing of a client."""
    if lease.state in _ENDED:
        if not lease.mac and not lease.uid:
            return None
        state = LeaseState.REMEMBERED
    elif lease.state is BindingState.ABANDONED:
        state = LeaseState.DECLINED
    else:
        state = LeaseState.ACTIVE
    return MovedLease(
        lease.address,
        state,
        lease.hardware_type,
        lease.mac,
        lease.uid,
        lease.starts_at,
        lease.ends_at,
        lease.host_name,
        lease.line,
    )


def from_kea(lease: KeaLease) -> MovedLease:
    """One row of Kea's lease file."""
    unlimited = lease.valid_lifetime_s == UNLIMITED_S
    return MovedLease(
        lease.address,
        _KEA_STATES[lease.state],
        1,
        lease.mac,
        lease.client_id,
        float(max(0, lease.expire_at - lease.valid_lifetime_s)),
        math.inf if unlimited else float(lease.expire_at),
        lease.hostname.encode(),
        lease.line,
    )


def add_isc_leases(arrival: Arrival, file: isc_leases.LeaseFile, *, name: str) -> None:
    """Put the leases of a file into an arrival; a later file's take the place of an earlier one's."""
    _add(arrival, (from_isc(each) for each in file.leases.values()))
    for line, text in file.unknown:
        arrival.left(f"{name} line {line}", text, "this is not known in a lease")
    for peer in file.peers.values():
        arrival.left(
            name, f'failover peer "{peer.name}"', "failover relationships are not taken over: declare it anew"
        )
    for statement in file.others:
        if statement.head in ("host", "group", "subgroup", "class", "subclass"):
            reason = "it was made while dhcpd ran: write it into dhcpd.conf to have it taken over"
            arrival.left(f"{name} line {statement.line}", statement.text, reason)


def add_kea_leases(arrival: Arrival, file: kea_leases.LeaseFile, *, name: str) -> None:
    """Put the leases of a file into an arrival; a later file's take the place of an earlier one's."""
    _add(arrival, (from_kea(each) for each in file.leases.values()))
    for line, text in file.unknown:
        arrival.left(f"{name} line {line}", text, "this row cannot be read")
    if file.unknown_count > len(file.unknown):
        arrival.left(name, f"{file.unknown_count - len(file.unknown)} more rows", "they cannot be read")


def _add(arrival: Arrival, leases: Iterable[MovedLease | None]) -> None:
    for each in leases:
        if each is not None:
            arrival.leases[each.address] = each


def still_active(lease: MovedLease, now: float) -> bool:
    """Whether a client has the address now."""
    return lease.state is LeaseState.ACTIVE and lease.ends_at > now
