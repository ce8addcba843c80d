"""Answer bulk lease queries by TCP: who may ask is told of all leases, as fast as it reads.

Leases are looked through in pieces; between them clients are served, and a
requester that does not read keeps its own answer waiting and no memory. Queries
of one connection are answered one after the other; at most ten connections.

Source: RFC 6926 sections 6.1, 6.3 and 8.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

from holdfast.dhcp import events
from holdfast.dhcp.bulk_query import BulkQuery, Status, done, read_query, told
from holdfast.dhcp.saying import Sayer
from holdfast.directory.dhcp import DhcpServer
from holdfast.kernel.errors import Refusal
from holdfast.kernel.events import LogEvent, happened
from holdfast.node.dhcp import DhcpNode
from holdfast.wire.dhcp4 import MESSAGE_BYTES_MAX, MESSAGE_BYTES_MIN, read_message

# RFC 6926 section 6.3
CONNECTION_COUNT_MAX = 10
SILENCE_S = 300.0
PIECE_COUNT = 200  # telling so many takes 3 ms
_SEND_BUFFER_BYTES = 65_536

Found = TypeVar("Found")


class BulkLeaseQueries:
    """The door for them."""

    def __init__(
        self,
        node: DhcpNode,
        now: Callable[[], float],
        offset_s: Callable[[], float],
        log: Callable[[LogEvent], None],
        *,
        silence_s: float = SILENCE_S,
    ) -> None:
        """Listen for nobody yet.

        Args:
            node: whose leases are told.
            now: the clock of leases.
            offset_s: the wall clock minus it.
            log: writes an event.
            silence_s: how long a requester may neither ask nor read.
        """
        self._node = node
        self._now = now
        self._offset_s = offset_s
        self._log = log
        self._silence_s = silence_s
        self._declared = DhcpServer("")
        self._listener: asyncio.Server | None = None
        self._wanted_port = 0
        self._said = Sayer()
        self._said_closed = False
        self._connections: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()

    @property
    def connection_count(self) -> int:
        """How many requesters are connected."""
        return len(self._connections)

    async def follow(self, declared: DhcpServer) -> None:
        """Go by other settings; a port that cannot be had is said once, and tried with the next change."""
        self._declared = declared
        async with self._changing:
            await self._listen(declared.port if declared.bulk_lease_query_from else 0)

    async def _listen(self, port: int) -> None:
        if port == self._wanted_port and (self._listener is not None) == bool(port):
            return
        self._wanted_port = port
        self._close_listener()
        if not port:
            return
        try:
            door = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                door.bind(("0.0.0.0", port))
                self._listener = await asyncio.start_server(self._connected, sock=door)
            except OSError:
                door.close()
                raise
        except OSError as error:
            if not self._said_closed:
                self._log(happened(events.BULK_NOT_SERVED, port=port, reason=error.strerror or str(error)))
            self._said_closed = True
            return
        self._said_closed = False

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def close(self) -> None:
        """Stop; whoever is connected is hung up on."""
        self._close_listener()
        for each in self._connections:
            each.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        address = ipaddress.IPv4Address(peer[0] if peer else "0.0.0.0")
        reason = ""
        if not any(address in each for each in self._declared.bulk_lease_query_from):
            reason = "it is not among bulk_lease_query_from"
        elif len(self._connections) >= CONNECTION_COUNT_MAX:
            reason = f"{CONNECTION_COUNT_MAX} others are connected"
        if reason:
            self._said.sometimes(self._now(), events.BULK_REFUSED, requester=str(address), reason=reason)
            self._say()
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        writer.transport.set_write_buffer_limits(_SEND_BUFFER_BYTES)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, Refusal):
            pass  # it hung up, fell silent, or sent what has no end that could be found
        except asyncio.CancelledError:
            pass  # we end
        finally:
            self._connections.discard(task)
            writer.close()
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()  # nobody reads it any more

    def _say(self) -> None:
        for event in self._said.events:
            self._log(event)
        self._said.events = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            size = int.from_bytes(await self._within(reader.readexactly(2)), "big")
            if not MESSAGE_BYTES_MIN <= size <= MESSAGE_BYTES_MAX:
                raise Refusal(f"a message of {size} bytes")
            message = read_message(await self._within(reader.readexactly(size)))
            server_id = _own_address(writer)
            self._node.server.counts["BULKLEASEQUERY"] += 1
            try:
                query = read_query(message)
            except Refusal as refusal:
                _send(writer, done(message, Status.MALFORMED_QUERY, refusal.text, server_id))
            else:
                await self._answer(query, writer, server_id)
            await self._within(writer.drain())

    async def _answer(self, query: BulkQuery, writer: asyncio.StreamWriter, server_id: bytes) -> None:
        table = self._node.server.table
        wire: set[str] | None = None
        if query.link is not None:
            wire = {state.served.name for state in self._node.server.wire(query.link)}
        addresses = list(table.leases)
        for start in range(0, len(addresses), PIECE_COUNT):
            now, offset_s = self._now(), self._offset_s()
            for address in addresses[start : start + PIECE_COUNT]:
                lease = table.leases.get(address)
                if lease is None or not query.meets(lease, offset_s):
                    continue
                if wire is not None:
                    state = table.scope_of(address)
                    if state is None or state.served.name not in wire:
                        continue
                _send(writer, told(query, lease, now=now, wall=now + offset_s, server_id=server_id))
                server_id = b""  # once is enough (RFC 6926 section 8)
            await self._within(writer.drain())
            await asyncio.sleep(0)
        _send(writer, done(query.message, Status.SUCCESS, "", server_id))

    async def _within(self, waiting: Awaitable[Found]) -> Found:
        return await asyncio.wait_for(waiting, self._silence_s)


def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(len(data).to_bytes(2, "big") + data)


def _own_address(writer: asyncio.StreamWriter) -> bytes:
    with contextlib.suppress(ValueError, TypeError, IndexError):
        return ipaddress.IPv4Address(writer.get_extra_info("sockname")[0]).packed
    return b""
