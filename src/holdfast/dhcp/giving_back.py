"""Messages that end a lease or ask for none: RELEASE, DECLINE, INFORM; and the end of a lease by time.

Source: RFC 2131 sections 4.3.3 to 4.3.5.
"""

from __future__ import annotations

from holdfast.dhcp import events, records
from holdfast.dhcp.choice import Asking
from holdfast.dhcp.declines import PUT_OFF_S
from holdfast.dhcp.desk import Arrival, Desk
from holdfast.dhcp.lease import (
    ABANDONED,
    ACTIVE,
    BACKUP,
    EXPIRED,
    FREE,
    RELEASED,
    RESET,
    Lease,
    address_text,
    hardware_text,
)
from holdfast.dhcp.records import Record
from holdfast.dhcp.replies import Granted, way
from holdfast.wire import dhcp4
from holdfast.wire.dhcp4 import NO_ADDRESS
from holdfast.wire.dhcp4_values import REQUESTED_ADDRESS, SERVER_ID

# Leases that end in one step of the timer: a commit of so many takes a few milliseconds.
ENDED_COUNT_MAX = 500


def release(desk: Desk, now: float, asking: Asking) -> None:
    """A client gives its address back (RFC 2131 section 4.3.4)."""
    if not _is_for_us(desk, asking):
        desk.drop("other server")
        return
    address = int.from_bytes(asking.message.ciaddr, "big")
    lease = desk.table.leases.get(address)
    if lease is None or lease.status != ACTIVE or lease.key != asking.key:
        desk.drop("not its lease")
        return
    state = desk.table.scope_of(address)
    if state is not None and not desk.chooser.authority(state).gave(lease, late=now < desk.late_until):
        # It waited here while the client came back and got the address of our partner, or may have.
        desk.drop("other server")
        return
    desk.counts["RELEASE"] += 1
    lease = lease._replace(seen_at=int(now))
    desk.put(_ended(desk, now, lease, RELEASED), desk.record(records.RELEASED, asking, address))


def decline(desk: Desk, now: float, asking: Asking) -> None:
    """A client found its address in use (RFC 2131 section 4.3.3)."""
    if not _is_for_us(desk, asking):
        desk.drop("other server")
        return
    value = asking.message.options.get(REQUESTED_ADDRESS, b"")
    address = int.from_bytes(value, "big") if len(value) == 4 else 0
    state = next((each for each in asking.scopes if each.served.first <= address <= each.served.last), None)
    lease = desk.table.leases.get(address)
    has_it = lease is not None and lease.status == ACTIVE and lease.key == asking.key
    if state is None or not (has_it or state.offers.by_address.get(address) == asking.key):
        # Anybody could else take addresses out of the pool by naming them.
        desk.drop("not its lease")
        return
    desk.counts["DECLINE"] += 1
    state.offers.drop(asking.key)
    desk.abandon(now, address, asking)
    client = hardware_text(asking.hardware)
    desk.said.always(
        events.ADDRESS_DECLINED,
        client=client,
        address=address_text(address),
        wait_s=int(desk.served.server.decline_s),
    )
    if declined_count := desk.declines.declined(now, asking.hardware):
        desk.said.always(
            events.CLIENT_DECLINES_ALL, client=client, declined_count=declined_count, wait_s=int(PUT_OFF_S)
        )


def inform(desk: Desk, asking: Asking, arrival: Arrival) -> None:
    """A client that has an address by other means wants options (RFC 2131 section 4.3.5)."""
    message = asking.message
    if message.ciaddr == NO_ADDRESS:
        # Some clients leave the field empty although they have an address.
        if arrival.source == NO_ADDRESS and message.giaddr == NO_ADDRESS:
            desk.drop("no address")
            return
        if message.giaddr == NO_ADDRESS:
            message = message._replace(ciaddr=arrival.source)
    scopes = desk.wire(int.from_bytes(message.ciaddr, "big")) or asking.scopes
    if not scopes:
        desk.drop("no scope")
        return
    state = scopes[0]
    met = desk.chooser.policies_met(state, asking)
    reservation = desk.chooser.reservation(state, asking)
    block = desk.blocks.block(state.served, met, reservation, asking.facts)
    more = desk.selection(message) if desk.served.server.subnet_selection else ()
    data = desk.writer.granted(message, Granted(dhcp4.ACK, asking.server_id, NO_ADDRESS, None, block, more))
    if message.ciaddr != NO_ADDRESS:
        message = message._replace(giaddr=NO_ADDRESS)  # straight to the client, also past a relay
    desk.replies.append(way(message, asking.link, NO_ADDRESS, data, asking.relay_port))
    desk.counts["INFORM"] += 1


def end_leases(desk: Desk, now: float) -> None:
    """End what is over: leases, and the keeping back of declined addresses."""
    for lease in desk.table.due(now, ENDED_COUNT_MAX):
        if lease.status == ABANDONED:
            desk.put(lease._replace(status=_ended_status(desk, lease, RESET), changed_at=int(now)))
            continue
        record = Record(records.EXPIRED, lease.address, lease.host_name, lease.hardware, relay=lease.relay)
        desk.put(_ended(desk, now, lease, EXPIRED), record)
        desk.counts["expired"] += 1


def take_away(desk: Desk, now: float, address: int) -> Lease | None:
    """An administrator removes a lease; what it was, None when there is none."""
    lease = desk.table.leases.get(address)
    if lease is None or lease.status in (FREE, BACKUP):
        return None
    record = Record(records.DELETED, lease.address, lease.host_name, lease.hardware, relay=lease.relay)
    desk.put(_ended(desk, now, lease, RESET), record)
    return lease


def _ended(desk: Desk, now: float, lease: Lease, status: int) -> Lease:
    """A lease that is over; its client is remembered, so that it gets the same address again."""
    status = _ended_status(desk, lease, status)
    # A shared lease is over when the partner has confirmed it: until then it may have extended it.
    dns = desk.registrar.ended(lease) if lease.dns and status == FREE else lease.dns
    return lease._replace(status=status, expires_at=int(now), changed_at=int(now), flags=0, dns=dns)


def _ended_status(desk: Desk, lease: Lease, status: int) -> int:
    state = desk.table.scope_of(lease.address)
    return FREE if state is None else desk.chooser.authority(state).ended_status(status)


def _is_for_us(desk: Desk, asking: Asking) -> bool:
    """Whether a message that must name its server names us; one that names none is taken."""
    server_id = asking.message.options.get(SERVER_ID)
    return server_id is None or server_id == asking.server_id or server_id in desk.own_ids
