"""Clients that speak BOOTP: a reservation, or an address of the pool where the scope allows it.

Such a client never renews and never releases, so its address is kept for as
long as it was heard of lately (``bootp_lease_s`` of the scope).

Source: RFC 1534 section 2; RFC 951.
"""

from __future__ import annotations

from holdfast.dhcp import records
from holdfast.dhcp.choice import Asking, Choice
from holdfast.dhcp.desk import Desk
from holdfast.dhcp.lease import ACTIVE, BOOTP, RESERVED, Lease
from holdfast.dhcp.lease_table import ScopeState
from holdfast.dhcp.names import host_name_of
from holdfast.dhcp.replies import Granted, way
from holdfast.wire.dhcp4 import OPTION_RELAY_AGENT


def boot(desk: Desk, now: float, asking: Asking) -> None:
    """Answer a BOOTP request; what is answered waits for the commit."""
    if not asking.scopes:
        desk.no_scope(now, asking)
        return
    choice = _choose(desk, asking)
    if choice is None:
        desk.drop("BOOTP not allowed")
        return
    state, address, reservation = choice.state, choice.address, choice.reservation
    old = desk.table.leases.get(address)
    met = desk.chooser.policies_met(state, asking)
    block = desk.blocks.block(state.served, met, reservation, asking.facts)
    had_it = old is not None and old.status == ACTIVE and old.key == asking.key
    seconds = int(now)
    lease = Lease(
        address,
        ACTIVE,
        BOOTP | (RESERVED if reservation else 0),
        asking.hardware,
        asking.client_id,
        old.started_at if had_it and old is not None else seconds,
        seconds + 1 + int(state.served.scope.bootp_lease_s),
        old.changed_at if had_it and old is not None else seconds,
        seconds,
        host_name_of(asking.facts),
        asking.message.options.get(OPTION_RELAY_AGENT, b""),
        desk.wish(now, asking, choice, block, old),
    )
    event_id = records.BOOTP_LEASE if reservation else records.DYNAMIC_BOOTP_LEASE
    desk.put(lease, desk.record(event_id, asking, address))
    state.offers.drop(asking.key)
    packed = address.to_bytes(4, "big")
    data = desk.writer.granted(asking.message, Granted(0, asking.server_id, packed, None, block))
    desk.waiting.append(way(asking.message, asking.link, packed, data, asking.relay_port))
    desk.counts["BOOTP"] += 1


def _choose(desk: Desk, asking: Asking) -> Choice | None:
    reserved = desk.chooser.reserved(asking, bootp=True)
    if reserved is not None:
        is_free = desk.chooser.holder(reserved, asking) is None
        return reserved if is_free and not desk.chooser.may_be_partners(reserved) else None
    # A lease by BOOTP has no end that its client knows of: no partner can be sure (draft section 5.14).
    asking.scopes = [
        state
        for state in asking.scopes
        if state.served.bootp and _has_room(state, asking) and desk.chooser.is_own(state)
    ]
    return desk.chooser.choose(asking, 0) if asking.scopes else None


def _has_room(state: ScopeState, asking: Asking) -> bool:
    """Whether the scope takes one more BOOTP client; one that it has already is always served."""
    most = state.served.scope.bootp_client_count_max
    return most == 0 or asking.key in state.by_client or state.bootp_count < most
