"""Write the answers of the server, and say where each goes.

The usual answer is put together from pieces that lie ready: 3 µs. One that
would be longer than its client takes goes the long way, by ``encode_message``,
and leaves out what the client wants least.

Source: RFC 2131 sections 4.1 and 4.3, tables 3; RFC 3046 section 2.2; RFC 6842.
"""

from __future__ import annotations

import enum
from typing import Final

from holdfast.dhcp.option_blocks import Block
from holdfast.directory.dhcp import UNLIMITED_LEASE_S
from holdfast.wire.dhcp4 import (
    ANSWER_BYTES_DEFAULT,
    BOOTP_BYTES,
    BROADCAST_FLAG,
    COOKIE,
    FIXED_HEAD,
    NAK,
    NO_ADDRESS,
    OFFER,
    OPTION_MESSAGE_TYPE,
    OPTION_RELAY_AGENT,
    REPLY,
    Message,
    encode_message,
    option_bytes,
    pack_options,
)
from holdfast.wire.dhcp4_values import (
    CLIENT_ID,
    ERROR_TEXT,
    LEASE_TIME,
    REBINDING_TIME,
    RENEWAL_TIME,
    SERVER_ID,
    SIZE_MAX,
)

_HEADERS_BYTES: Final = 28  # of IPv4 and UDP
_LEAST_SIZE_MAX: Final = 576  # RFC 2132 section 9.10
_MOST_SIZE_MAX: Final = 1500  # what goes over an Ethernet in one piece
_TIMES_COUNT_MAX: Final = 1024
_READY_COUNT_MAX: Final = 64
BROADCAST: Final = b"\xff\xff\xff\xff"


class Where(enum.IntEnum):
    """To whom an answer goes."""

    CLIENT = 0  # at its own address, which it has already
    RELAY = 1
    EVERYBODY = 2
    HARDWARE = 3  # a client that has no address yet, at its hardware address


class Reply:
    """One answer, ready to be sent; a plain class, for two are made per exchange.

    Attributes:
        link: the interface that it leaves by, by its number.
        where: to whom it goes.
        address: the IP address that it goes to, four bytes.
        hardware: the hardware address, where it goes by that.
        data: the message.
        port: the relay's port, where it is not the usual one; else 0.
    """

    __slots__ = ("address", "data", "hardware", "link", "port", "where")

    def __init__(
        self, link: int, where: Where, address: bytes, hardware: bytes, data: bytes, port: int = 0
    ) -> None:
        self.link = link
        self.where = where
        self.address = address
        self.hardware = hardware
        self.data = data
        self.port = port


# A member of an enumeration is looked for in its class at each use.
_CLIENT: Final = Where.CLIENT
_RELAY: Final = Where.RELAY
_EVERYBODY: Final = Where.EVERYBODY
_HARDWARE: Final = Where.HARDWARE


class Times:
    """The options for a lease of so many seconds, as bytes; kept, for leases are of few lengths."""

    def __init__(self) -> None:
        self._encoded: dict[tuple[int, int | None, int | None], bytes] = {}

    def options(self, lease_s: int, block: Block) -> dict[int, bytes]:
        """Lease, T1 = 50 % and T2 = 87.5 %, or as they were declared (RFC 2131 section 4.4.5)."""
        renewal_s, rebinding_s = block.renewal_s, block.rebinding_s
        if lease_s == UNLIMITED_LEASE_S:
            return {LEASE_TIME: lease_s.to_bytes(4, "big")}
        if rebinding_s is None or rebinding_s > lease_s:
            rebinding_s = lease_s * 7 // 8
        if renewal_s is None or renewal_s > rebinding_s:
            renewal_s = min(lease_s // 2, rebinding_s)
        return {
            LEASE_TIME: lease_s.to_bytes(4, "big"),
            RENEWAL_TIME: renewal_s.to_bytes(4, "big"),
            REBINDING_TIME: rebinding_s.to_bytes(4, "big"),
        }

    def encoded(self, lease_s: int, block: Block) -> bytes:
        """The same as bytes."""
        key = (lease_s, block.renewal_s, block.rebinding_s)
        found = self._encoded.get(key)
        if found is None:
            if len(self._encoded) >= _TIMES_COUNT_MAX:
                self._encoded.clear()
            options = self.options(lease_s, block)
            found = b"".join(option_bytes(code, value) for code, value in options.items())
            self._encoded[key] = found
        return found


class Granted:
    """What an OFFER or ACK says.

    Attributes:
        kind: OFFER or ACK; 0 for an answer by BOOTP.
        server_id: what the client calls us.
        address: yiaddr; zeros in an answer to INFORM.
        lease_s: None where no lease is told.
        block: what the client is told besides.
        more: further options, before what the block has.
    """

    __slots__ = ("address", "block", "kind", "lease_s", "more", "server_id")

    def __init__(
        self,
        kind: int,
        server_id: bytes,
        address: bytes,
        lease_s: int | None,
        block: Block,
        more: tuple[tuple[int, bytes], ...] = (),
    ) -> None:
        self.kind = kind
        self.server_id = server_id
        self.address = address
        self.lease_s = lease_s
        self.block = block
        self.more = more


class ReplyWriter:
    """Writes answers; keeps pieces of them."""

    def __init__(self) -> None:
        self._times = Times()

    def granted(self, asked: Message, granted: Granted) -> bytes:
        """Write an OFFER, an ACK, or an answer by BOOTP."""
        kind, server_id, lease_s, block, more = (
            granted.kind, granted.server_id, granted.lease_s, granted.block, granted.more
        )  # fmt: skip
        asked_options = asked.options
        end = block.ready.get((kind, server_id, lease_s))
        if end is None:
            end = self._end(kind, server_id, lease_s, block)
        if more or CLIENT_ID in asked_options or OPTION_RELAY_AGENT in asked_options:
            parts = [end[:-1]]
            parts += [option_bytes(code, value) for code, value in more]
            # RFC 6842 section 3: who sent an identifier gets it back.
            if CLIENT_ID in asked_options:
                parts.append(option_bytes(CLIENT_ID, asked_options[CLIENT_ID]))
            # RFC 3046 section 2.2: echoed as it came, and last.
            if OPTION_RELAY_AGENT in asked_options:
                parts.append(option_bytes(OPTION_RELAY_AGENT, asked_options[OPTION_RELAY_AGENT]))
            parts.append(b"\xff")
            end = b"".join(parts)
        size = len(end) + FIXED_HEAD.size
        if size > ANSWER_BYTES_DEFAULT and size > size_max(asked):
            return self._long(asked, granted)
        head = FIXED_HEAD.pack(
            REPLY, asked.hardware_type, len(asked.hardware), 0, asked.xid, 0, asked.flags,
            NO_ADDRESS if kind == OFFER else asked.ciaddr, granted.address, block.next_server or server_id,
            asked.giaddr, asked.hardware,
        )  # fmt: skip
        return (head + end).ljust(BOOTP_BYTES, b"\0")

    def _end(self, kind: int, server_id: bytes, lease_s: int | None, block: Block) -> bytes:
        """What follows the fixed fields in an answer that says nothing else; kept with the block."""
        parts = [block.names, COOKIE]
        if kind:
            parts.append(bytes((OPTION_MESSAGE_TYPE, 1, kind, SERVER_ID, 4)) + server_id)
            if lease_s is not None:
                parts.append(self._times.encoded(lease_s, block))
        parts += [block.encoded, b"\xff"]
        if len(block.ready) >= _READY_COUNT_MAX:  # clients may ask for any length of a lease
            block.ready.clear()
        end = block.ready[kind, server_id, lease_s] = b"".join(parts)
        return end

    def _long(self, asked: Message, granted: Granted) -> bytes:
        """An answer that needs ``file`` and ``sname``, or leaves options out."""
        kind, server_id, lease_s, block = granted.kind, granted.server_id, granted.lease_s, granted.block
        options: dict[int, bytes] = {}
        if kind:
            options = {OPTION_MESSAGE_TYPE: bytes((kind,)), SERVER_ID: server_id}
            if lease_s is not None:
                options |= self._times.options(lease_s, block)
        if (client_id := asked.options.get(CLIENT_ID)) is not None:
            options[CLIENT_ID] = client_id
        options |= dict(granted.more)
        for code, value in block.options.items():
            options.setdefault(code, value)
        if (relay := asked.options.get(OPTION_RELAY_AGENT)) is not None:
            options[OPTION_RELAY_AGENT] = relay
        limit = size_max(asked)
        packed = pack_options(
            options, limit, file_is_free=not block.boot_file, sname_is_free=not block.server_name
        )
        for code in packed.left_out:
            del options[code]
        answer = plain_answer(asked, options)._replace(
            ciaddr=NO_ADDRESS if kind == OFFER else asked.ciaddr,
            yiaddr=granted.address,
            siaddr=block.next_server or server_id,
            sname=block.server_name,
            file=block.boot_file,
        )
        return encode_message(answer, limit)

    def refused(self, asked: Message, server_id: bytes, reason: str) -> bytes:
        """Write a NAK."""
        options = {
            OPTION_MESSAGE_TYPE: bytes((NAK,)),
            SERVER_ID: server_id,
            ERROR_TEXT: reason.encode()[:255],
        }
        for code in (CLIENT_ID, OPTION_RELAY_AGENT):
            if code in asked.options:
                options[code] = asked.options[code]
        answer = plain_answer(asked, options)
        if asked.giaddr != NO_ADDRESS:
            # RFC 2131 section 4.3.2: the relay is to broadcast it, for the client's address is wrong.
            answer = answer._replace(flags=asked.flags | BROADCAST_FLAG)
        return encode_message(answer)


def plain_answer(asked: Message, options: dict[int, bytes]) -> Message:
    """An answer that gives no address."""
    return Message(
        op=REPLY, hardware_type=asked.hardware_type, hardware=asked.hardware, hops=0, xid=asked.xid, secs=0,
        flags=asked.flags, ciaddr=NO_ADDRESS, yiaddr=NO_ADDRESS, siaddr=NO_ADDRESS, giaddr=asked.giaddr,
        sname=b"", file=b"", options=options,
    )  # fmt: skip


def size_max(asked: Message) -> int:
    """How long an answer may be (RFC 2132 section 9.10)."""
    value = asked.options.get(SIZE_MAX)
    if value is None or len(value) != 2:
        return ANSWER_BYTES_DEFAULT
    told = int.from_bytes(value, "big")
    return min(max(told, _LEAST_SIZE_MAX), _MOST_SIZE_MAX) - _HEADERS_BYTES


def way(asked: Message, link: int, address: bytes, data: bytes, relay_port: int = 0) -> Reply:
    """Say where an OFFER or ACK goes (RFC 2131 section 4.1).

    Args:
        asked: what it answers.
        link: the number of the interface that the client is reached by.
        address: what the client is given.
        data: the answer.
        relay_port: where the relay wants it (RFC 8357 section 4); 0 for the usual port.
    """
    if asked.giaddr != NO_ADDRESS:
        return Reply(link, _RELAY, asked.giaddr, b"", data, relay_port)
    if asked.ciaddr != NO_ADDRESS:
        return Reply(link, _CLIENT, asked.ciaddr, b"", data, 0)
    if asked.flags & BROADCAST_FLAG or len(asked.hardware) != 6 or address == NO_ADDRESS:
        return Reply(link, _EVERYBODY, BROADCAST, b"", data, 0)
    return Reply(link, _HARDWARE, address, asked.hardware, data, 0)


def refusal_way(asked: Message, link: int, data: bytes, relay_port: int = 0) -> Reply:
    """Say where a NAK goes: by the relay, else to everybody (RFC 2131 section 4.1)."""
    if asked.giaddr != NO_ADDRESS:
        return Reply(link, _RELAY, asked.giaddr, b"", data, relay_port)
    return Reply(link, _EVERYBODY, BROADCAST, b"", data, 0)
