"""Tell a relay who has an address, or which address somebody has: RFC 4388's lease query.

Off by default, for it tells about clients. Only a relay that the scopes know is
answered: one whose address lies in a subnet of ours, or that a scope names.

Source: RFC 4388 sections 6.1 and 6.4.
"""

from __future__ import annotations

from holdfast.dhcp.choice import Asking
from holdfast.dhcp.desk import Desk
from holdfast.dhcp.lease import ACTIVE, NEVER, Lease
from holdfast.dhcp.replies import Reply, Where, plain_answer
from holdfast.directory.dhcp import UNLIMITED_LEASE_S
from holdfast.wire.dhcp4 import (
    LEASE_ACTIVE,
    LEASE_UNASSIGNED,
    LEASE_UNKNOWN,
    NO_ADDRESS,
    OPTION_MESSAGE_TYPE,
    OPTION_RELAY_AGENT,
    Message,
    encode_message,
)
from holdfast.wire.dhcp4_values import (
    ASSOCIATED_ADDRESSES,
    CLIENT_ID,
    HOST_NAME,
    LAST_TRANSACTION,
    LEASE_TIME,
    PARAMETER_LIST,
    SERVER_ID,
)

ASSOCIATED_COUNT_MAX = 60  # of one client in all scopes; a value has 255 bytes


def answer_query(desk: Desk, now: float, asking: Asking) -> None:
    """Answer a lease query, where that is allowed."""
    message = asking.message
    if not desk.served.server.lease_query or message.giaddr == NO_ADDRESS:
        desk.drop("lease query not allowed")
        return
    if not asking.scopes:
        desk.no_scope(now, asking)
        return
    kind, found = _look(desk, message)
    options = {OPTION_MESSAGE_TYPE: bytes((kind,)), SERVER_ID: asking.server_id}
    answer = plain_answer(message, options)
    if found:
        answer = _about(found, now, message, answer)
    elif message.ciaddr != NO_ADDRESS:
        answer = answer._replace(ciaddr=message.ciaddr)
    desk.replies.append(
        Reply(asking.link, Where.RELAY, message.giaddr, b"", encode_message(answer), asking.relay_port)
    )
    desk.counts["LEASEQUERY"] += 1


def _look(desk: Desk, message: Message) -> tuple[int, list[Lease]]:
    """What is known; the lease that was heard of last comes first."""
    if message.ciaddr != NO_ADDRESS:
        address = int.from_bytes(message.ciaddr, "big")
        lease = desk.table.leases.get(address)
        if lease is not None and lease.status == ACTIVE:
            return LEASE_ACTIVE, [lease]
        state = desk.table.scope_of(address)
        ours = state is not None and (state.served.in_pool(address) or address in state.served.reserved)
        return (LEASE_UNASSIGNED if ours else LEASE_UNKNOWN), []
    client_id = message.options.get(CLIENT_ID, b"")
    key = client_id or bytes((message.hardware_type,)) + message.hardware
    addresses = [
        address
        for state in desk.table.scopes
        for address in (state.by_client.get(key), None if client_id else state.by_hardware.get(key))
        if address is not None
    ]
    leases = [desk.table.leases[address] for address in dict.fromkeys(addresses)]
    active = [each for each in leases if each.status == ACTIVE]
    active.sort(key=lambda each: (-each.seen_at, each.address))
    return (LEASE_ACTIVE if active else LEASE_UNKNOWN), active[:ASSOCIATED_COUNT_MAX]


def _about(found: list[Lease], now: float, asked: Message, answer: Message) -> Message:
    lease = found[0]
    left_s = UNLIMITED_LEASE_S if lease.expires_at >= NEVER else max(0, lease.expires_at - int(now))
    told = {
        LEASE_TIME: left_s.to_bytes(4, "big"),
        LAST_TRANSACTION: max(0, int(now) - lease.seen_at).to_bytes(4, "big"),
        HOST_NAME: lease.host_name,
        OPTION_RELAY_AGENT: lease.relay,
    }
    wanted = asked.options.get(PARAMETER_LIST, bytes((LEASE_TIME, LAST_TRANSACTION)))
    options = answer.options | {code: told[code] for code in wanted if told.get(code)}
    if lease.client_id:
        options[CLIENT_ID] = lease.client_id
    if len(found) > 1:
        options[ASSOCIATED_ADDRESSES] = b"".join(each.address.to_bytes(4, "big") for each in found)
    return answer._replace(
        ciaddr=lease.address.to_bytes(4, "big"),
        hardware_type=lease.hardware[0] if lease.hardware else asked.hardware_type,
        hardware=lease.hardware[1:],
        options=options,
    )
