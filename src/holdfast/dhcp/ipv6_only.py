"""Let clients that can do without IPv4 do so: they are offered no address, and told for how long not to ask.

Such a client lists option 108 among what it wants. Where the option is declared
for it (of the server, a scope, a policy or a reservation: an IPv6-mostly
network), it is offered 0.0.0.0 with the option: no address is taken from the
pool, probed, or kept for it, also when the pool is full, and no lease is given
in two messages. A client that asks for a lease all the same (DHCPREQUEST) is
served like any other, and told the option in the ACK.

Source: RFC 8925 section 3.3; section 3.4 for what clients make of the time.
"""

from __future__ import annotations

from holdfast.dhcp.choice import Asking, Choice
from holdfast.dhcp.desk import Desk
from holdfast.dhcp.option_blocks import Block
from holdfast.dhcp.replies import Granted, way
from holdfast.wire.dhcp4 import NO_ADDRESS, OFFER
from holdfast.wire.dhcp4_values import IPV6_ONLY, PARAMETER_LIST


def offer_nothing(desk: Desk, asking: Asking) -> bool:
    """Offer no address to a client that can do without one; whether it was such a client."""
    if IPV6_ONLY not in asking.message.options.get(PARAMETER_LIST, b""):
        return False
    block = _block(desk, asking)
    if block is None or IPV6_ONLY not in block.options:
        return False
    for each in asking.scopes:
        if (dropped := each.offers.drop(asking.key)) is not None:
            desk.table.offer_dropped(each, dropped)
    more = desk.selection(asking.message) if desk.served.server.subnet_selection else ()
    # Without a lease there is nothing to tell of its length, nor of when to renew it.
    granted = Granted(OFFER, asking.server_id, NO_ADDRESS, None, block, more)
    data = desk.writer.granted(asking.message, granted)
    desk.replies.append(way(asking.message, asking.link, NO_ADDRESS, data, asking.relay_port))
    desk.counts["OFFER of IPv6 only"] += 1
    return True


def _block(desk: Desk, asking: Asking) -> Block | None:
    """What the client is told in its scope: that of its reservation, else the first of its wire."""
    choice = desk.chooser.reserved(asking)
    if choice is None:
        state = next((each for each in asking.scopes if each.served.dhcp), None)
        if state is None:
            return None
        choice = Choice(state, 0, None)
    met = desk.chooser.policies_met(choice.state, asking)
    return desk.blocks.block(choice.state.served, met, choice.reservation, asking.facts)
