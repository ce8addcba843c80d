"""TCP connections of clients: between asyncio and a node.

One object per connection and no task; what a node wants done to a connection
(``node.ports.ConnectionOutput``) is done here. Every output is one write, and
TCP_NODELAY is on, since two small writes would cost 40 ms.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Protocol, assert_never, cast

from holdfast.drivers import clock
from holdfast.drivers.metrics import CONNECTIONS
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Close, ConnectionOutput, PauseReading, Peer, ResumeReading, Send, StartTls

# A client that does not read its answers is cut off when this much waits for it.
WRITE_BUFFER_BYTES_MAX = 64 << 20
WRITE_BUFFER_HIGH_BYTES = 256 << 10
# How long a closing connection may take to read what was sent to it.
CLOSE_TIMEOUT_S = 2.0
TLS_HANDSHAKE_TIMEOUT_S = 30.0


class ConnectionInputs(Protocol):
    """What a node hears about connections."""

    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> None: ...

    def connection_ended(self, now: float, connection_id: ConnectionId) -> None: ...

    def connection_lost(self, now: float, connection_id: ConnectionId) -> None: ...

    def tls_started(self, now: float, connection_id: ConnectionId) -> None: ...


Drained = Callable[[float, ConnectionId], None]


class Connections:
    """All client connections of one role."""

    def __init__(
        self,
        node: ConnectionInputs,
        drain: Callable[[], None],
        context: Callable[[], ssl.SSLContext],
        drained: Drained | None = None,
    ) -> None:
        """Join connections to a node.

        Args:
            node: hears what happens.
            drain: does what the node wants done; called after every input.
            context: gives the context for STARTTLS.
            drained: is told when a connection's write buffer is small.
        """
        self.node = node
        self.drain = drain
        self.context = context
        self.drained = drained
        self.open: dict[ConnectionId, Connection] = {}
        self._last_id = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, connection: Connection) -> ConnectionId:
        """Number a new connection."""
        self._last_id += 1
        CONNECTIONS.inc()
        connection_id = ConnectionId(self._last_id)
        self.open[connection_id] = connection
        return connection_id

    def perform(self, output: ConnectionOutput) -> None:
        """Do what a node wants done to a connection; one that is gone needs nothing."""
        connection = self.open.get(output.connection_id)
        if connection is None:
            return
        match output:
            case Send():
                connection.send(output.data)
            case Close():
                connection.close()
            case PauseReading():
                connection.pause_reading()
            case ResumeReading():
                connection.resume_reading()
            case StartTls():
                # At once, not in the task: a quick client's handshake may be read before the task begins.
                connection.pause_reading()
                task = asyncio.get_running_loop().create_task(connection.start_tls(self.context()))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case _:
                assert_never(output)

    def abort_all(self) -> None:
        """Drop every connection at once."""
        for connection in list(self.open.values()):
            connection.abort()


class Connection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, connections: Connections, opened: Callable[[ConnectionId, Peer], None]) -> None:
        self._connections = connections
        self._opened = opened
        self._transport: asyncio.Transport | None = None
        self._id = ConnectionId(0)
        self._closing = False
        self._reading = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast(asyncio.Transport, transport)
        tcp_socket = transport.get_extra_info("socket")
        tcp_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_HIGH_BYTES)
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self._id = self._connections.add(self)
        if not peer:  # the client left before we looked
            self.abort()
            return
        tls = transport.get_extra_info("ssl_object") is not None
        self._opened(self._id, Peer(_plain(peer[0]), peer[1], _plain(local[0]), local[1], tls))
        self._connections.drain()

    def data_received(self, data: bytes) -> None:
        """A client said something; what comes after our goodbye is thrown away."""
        if not self._closing:
            self._connections.node.bytes_received(clock.steady(), self._id, data)
            self._connections.drain()

    def eof_received(self) -> bool:
        """A client says no more; it may still be reading, so the node decides when to close."""
        if self._closing:
            return False
        self._connections.node.connection_ended(clock.steady(), self._id)
        self._connections.drain()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._connections.open.pop(self._id, None) is not None:
            self._connections.node.connection_lost(clock.steady(), self._id)
            self._connections.drain()

    def resume_writing(self) -> None:
        """The client has read most of what waited for it."""
        self._tell_drained()

    def _tell_drained(self) -> None:
        if self._connections.drained is not None and self._id in self._connections.open:
            self._connections.drained(clock.steady(), self._id)
            self._connections.drain()

    def send(self, data: bytes) -> None:
        """Write bytes, in one call; after a close there is nobody left to write to."""
        assert self._transport is not None
        if self._closing or self._transport.is_closing():
            return
        self._transport.write(data)
        waiting = self._transport.get_write_buffer_size()
        if waiting > WRITE_BUFFER_BYTES_MAX:
            self.abort()
        elif waiting <= WRITE_BUFFER_HIGH_BYTES and self._connections.drained is not None:
            # Not from inside the node's own output: it is still in the middle of an input.
            asyncio.get_running_loop().call_soon(self._tell_drained)

    def close(self) -> None:
        """Close once everything written has left, and in any case after a while.

        Closing a socket that has unread input resets it, and the client would
        lose our last reply: so say that no more comes, and read on to its end.
        """
        assert self._transport is not None
        if self._closing or self._transport.is_closing():
            return
        self._closing = True
        if self._transport.can_write_eof():
            self.resume_reading()
            self._transport.write_eof()
        else:
            self._transport.close()
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self.abort)

    def abort(self) -> None:
        """Drop the connection now."""
        if self._transport is not None and self._id in self._connections.open:
            self._transport.abort()

    def pause_reading(self) -> None:
        """Let the client wait."""
        if self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read from the client again."""
        if not self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Put TLS on the connection and tell the node, or drop the connection."""
        loop = asyncio.get_running_loop()
        assert self._transport is not None
        plain = self._transport
        try:
            # Reads again by itself, with TLS in between.
            self._reading = True
            upgraded = await loop.start_tls(
                plain, self, context, server_side=True, ssl_handshake_timeout=TLS_HANDSHAKE_TIMEOUT_S
            )
        except (OSError, ssl.SSLError):
            upgraded = None
        if upgraded is None or self._id not in self._connections.open:
            plain.abort()
            self.connection_lost(None)
            return
        self._transport = upgraded
        upgraded.set_write_buffer_limits(high=WRITE_BUFFER_HIGH_BYTES)
        self._connections.node.tls_started(clock.steady(), self._id)
        self._connections.drain()


def _plain(address: str) -> str:
    """An IPv4 client of a dual-stack socket by its IPv4 address."""
    return address[7:] if address.startswith("::ffff:") and "." in address else address.partition("%")[0]
