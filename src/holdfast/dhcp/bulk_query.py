"""Tell who may ask for it of many leases at once: what is asked, which leases answer it, how each is told.

One kind of question per query: a hardware address, a client identifier, what a
relay says (its remote id or its own identifier), or everything. Two instants may
bound it to what changed between them, and the relay's link selection to one
wire; the latter is ours. Addresses that nobody had yet are not told.

Source: RFC 6926 sections 6.2, 7 and 8.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from holdfast.dhcp.lease import (
    ABANDONED,
    ACTIVE,
    BACKUP,
    EXPIRED,
    FREE,
    NEVER,
    RELEASED,
    RESET,
    Lease,
)
from holdfast.directory.dhcp import UNLIMITED_LEASE_S
from holdfast.kernel.errors import Refusal
from holdfast.wire.dhcp4 import (
    BULK_LEASE_QUERY,
    LEASE_ACTIVE,
    LEASE_QUERY_DONE,
    LEASE_UNASSIGNED,
    NO_ADDRESS,
    OPTION_MESSAGE_TYPE,
    OPTION_RELAY_AGENT,
    REPLY,
    REQUEST,
    Message,
    encode_message,
)
from holdfast.wire.dhcp4_values import (
    BASE_TIME,
    CLIENT_ID,
    DATA_SOURCE,
    DHCP_STATE,
    HOST_NAME,
    LAST_TRANSACTION,
    LEASE_TIME,
    PARAMETER_LIST,
    QUERY_END,
    QUERY_START,
    SERVER_ID,
    START_OF_STATE,
    STATUS_CODE,
)
from holdfast.wire.relay_agent import LINK_SELECTION, RELAY_ID, REMOTE_ID, read_relay_agent

# RFC 6926 section 6.2: what it calls our states.
_STATES = {FREE: 1, BACKUP: 1, ACTIVE: 2, EXPIRED: 3, RELEASED: 4, ABANDONED: 5, RESET: 6}
# Told to who lists nothing.
_USUAL = bytes((BASE_TIME, DHCP_STATE, START_OF_STATE, LAST_TRANSACTION, LEASE_TIME))
_NUMBER_MAX = 0xFFFF_FFFF
_RELAY_WORDS = (REMOTE_ID, RELAY_ID, LINK_SELECTION)


class Status(enum.IntEnum):
    """How a query ended (RFC 6926 section 6.2)."""

    SUCCESS = 0
    UNSPECIFIED_FAILURE = 1
    QUERY_TERMINATED = 2
    MALFORMED_QUERY = 3
    NOT_ALLOWED = 4


class BulkQuery(NamedTuple):
    """What is asked.

    Attributes:
        message: as it came.
        hardware: hardware type and address; empty where it is not asked by it.
        client_id: likewise.
        relay: by sub-option of option 82; likewise.
        link: an address of the wire that alone is told of; None for all.
        start_at, end_at: seconds since the epoch; None for no bound.
        wanted: codes of options.
    """

    message: Message
    hardware: bytes
    client_id: bytes
    relay: dict[int, bytes]
    link: int | None
    start_at: int | None
    end_at: int | None
    wanted: bytes

    def meets(self, lease: Lease, offset_s: float) -> bool:
        """Whether a lease answers it; the wire is for the caller to look at.

        Args:
            lease: any.
            offset_s: the wall clock minus the clock of leases.
        """
        if self.hardware and lease.hardware != self.hardware:
            return False
        if self.client_id and self.client_id != lease.client_id:
            return False
        if self.relay:
            try:
                said = read_relay_agent(lease.relay)
            except Refusal:
                return False
            if any(said.get(code) != value for code, value in self.relay.items()):
                return False
        # Kept in whole seconds of a clock that is not the wall's: rounded so that nothing is missed.
        last_at = max(lease.changed_at, lease.seen_at) + offset_s
        if self.start_at is not None and last_at + 1 < self.start_at:
            return False
        return self.end_at is None or last_at - 1 <= self.end_at


def read_query(message: Message) -> BulkQuery:
    """Read a query.

    Raises:
        Refusal: it is none that can be answered; the text says why.
    """
    options = message.options
    if message.op != REQUEST or options.get(OPTION_MESSAGE_TYPE) != bytes((BULK_LEASE_QUERY,)):
        raise Refusal("only bulk lease queries are answered here")
    if any(each != NO_ADDRESS for each in (message.ciaddr, message.yiaddr, message.siaddr)):
        raise Refusal("ciaddr, yiaddr and siaddr must be zero")
    hardware = bytes((message.hardware_type,)) + message.hardware if message.hardware else b""
    said = read_relay_agent(options.get(OPTION_RELAY_AGENT, b""))
    if unknown := [str(code) for code in said if code not in _RELAY_WORDS]:
        raise Refusal(f"a query by sub-option {', '.join(unknown)} of the relay agent is not known")
    link = said.pop(LINK_SELECTION, None)
    client_id = options.get(CLIENT_ID, b"")
    if bool(hardware) + bool(client_id) + len(said) > 1:
        raise Refusal("one query asks by one thing")
    return BulkQuery(
        message,
        hardware,
        client_id,
        said,
        None if link is None else int.from_bytes(link, "big"),
        _instant(options, QUERY_START),
        _instant(options, QUERY_END),
        options.get(PARAMETER_LIST, _USUAL),
    )


def _instant(options: dict[int, bytes], code: int) -> int | None:
    value = options.get(code)
    if value is None:
        return None
    if len(value) != 4:
        raise Refusal(f"option {code} has {len(value)} bytes; an instant has 4")
    return int.from_bytes(value, "big")


def told(query: BulkQuery, lease: Lease, *, now: float, wall: float, server_id: bytes) -> bytes:
    """One lease as a message.

    Args:
        query: what it answers.
        lease: what is told.
        now: by the clock of leases.
        wall: the same instant, in seconds since the epoch.
        server_id: ours; empty where an earlier message told it.
    """
    seconds = int(now)
    left_s = UNLIMITED_LEASE_S if lease.expires_at >= NEVER else max(0, lease.expires_at - seconds)
    active = lease.status == ACTIVE
    values = {
        BASE_TIME: _number(int(wall)),
        DHCP_STATE: bytes((_STATES[lease.status],)),
        START_OF_STATE: _number(seconds - lease.changed_at),
        LAST_TRANSACTION: _number(seconds - lease.seen_at),
        DATA_SOURCE: b"\0",
        HOST_NAME: lease.host_name,
        OPTION_RELAY_AGENT: lease.relay,
    }
    if active:
        values[LEASE_TIME] = left_s.to_bytes(4, "big")
    options = _head(LEASE_ACTIVE if active else LEASE_UNASSIGNED, server_id)
    options |= {code: values[code] for code in query.wanted if values.get(code)}
    if lease.client_id:
        options[CLIENT_ID] = lease.client_id
    return _answer(query.message, options, lease)


def done(message: Message, status: Status, text: str, server_id: bytes) -> bytes:
    """The message that ends the answer to a query."""
    options = _head(LEASE_QUERY_DONE, server_id)
    if status is not Status.SUCCESS:
        options[STATUS_CODE] = bytes((status,)) + text.encode()[:250]
    return _answer(message, options, None)


def _head(kind: int, server_id: bytes) -> dict[int, bytes]:
    return {OPTION_MESSAGE_TYPE: bytes((kind,))} | ({SERVER_ID: server_id} if server_id else {})


def _number(value: int) -> bytes:
    return min(max(0, value), _NUMBER_MAX).to_bytes(4, "big")


def _answer(asked: Message, options: dict[int, bytes], lease: Lease | None) -> bytes:
    hardware = b"" if lease is None else lease.hardware
    return encode_message(
        Message(
            op=REPLY, hardware_type=hardware[0] if hardware else 0, hardware=hardware[1:], hops=0,
            xid=asked.xid, secs=0, flags=0,
            ciaddr=NO_ADDRESS if lease is None else lease.address.to_bytes(4, "big"), yiaddr=NO_ADDRESS,
            siaddr=NO_ADDRESS, giaddr=NO_ADDRESS, sname=b"", file=b"", options=options,
        )
    )  # fmt: skip
