"""TCP connections: between asyncio and a node.

One object per connection and no task; what a node wants done to a connection
(``node.ports.ConnectionOutput``) is done here. Every output is one write, and
TCP_NODELAY is on (every event loop sees to that), since two small writes would cost 40 ms. Clients come in by
``Connection``; connections of ours to next hops are ``drivers.outbound``.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, assert_never, cast

from holdfast.drivers import clock
from holdfast.drivers.handshake import (
    HANDSHAKE_TIMEOUT_S,
    HandshakesUnderWay,
    ServerOf,
    facts_of_client,
    facts_of_server,
    handshake_problem,
)
from holdfast.drivers.metrics import CONNECTIONS
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Close, ConnectionOutput, PauseReading, Peer, ResumeReading, Send, StartTls
from holdfast.transport.admission import source_of
from holdfast.transport.tls_policy import TlsFacts
from holdfast.wire.proxy_protocol import read_proxy_header

# A client that does not read its answers is cut off when this much waits for it.
WRITE_BUFFER_BYTES_MAX = 64 << 20
WRITE_BUFFER_HIGH_BYTES = 256 << 10
# How long a closing connection may take to read what was sent to it.
CLOSE_TIMEOUT_S = 2.0
# A balancer writes its header at once; who is silent for so long is none.
PROXY_WAIT_S = 5.0


class ConnectionInputs(Protocol):
    """What a node hears about connections."""

    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> None: ...

    def connection_ended(self, now: float, connection_id: ConnectionId) -> None: ...

    def connection_lost(self, now: float, connection_id: ConnectionId, reason: str = "") -> None: ...

    def tls_started(self, now: float, connection_id: ConnectionId, facts: TlsFacts | None = None) -> None: ...


Drained = Callable[[float, ConnectionId], None]
# The context for a client that came to a connector (empty where the role has none), and whether it comes from
# where a server of ours is.
ContextFor = Callable[[str, bool], ssl.SSLContext]
# Told of a handshake with a client that failed: its address, where it came to, why, and whether it was asked
# for the certificate of a server of ours.
HandshakeFailed = Callable[[str, str, str, bool], None]


class Connections:
    """All connections of one role: ``open`` those of clients, ``outgoing`` ours to next hops."""

    def __init__(
        self,
        node: ConnectionInputs,
        drain: Callable[[], None],
        context: ContextFor,
        drained: Drained | None = None,
        handshake_failed: HandshakeFailed = lambda *_: None,
        server_of: ServerOf = lambda _: "",
    ) -> None:
        """Join connections to a node.

        Args:
            node: hears what happens.
            drain: does what the node wants done; called after every input.
            context: gives the context for STARTTLS at a connector.
            drained: is told when a connection's write buffer is small.
            handshake_failed: is told when TLS with a client does not come about.
            server_of: says which server of ours a certificate belongs to.
        """
        self.node = node
        self.drain = drain
        self.context = context
        self.drained = drained
        self.handshake_failed = handshake_failed
        self.server_of = server_of
        self.open: dict[ConnectionId, Stream] = {}
        self.outgoing: dict[ConnectionId, Stream] = {}
        # Those that take leave, and until when; the first is the next whose time is up.
        self._leaving: dict[Stream, float] = {}
        self._watching_leave = False
        self.handshakes = HandshakesUnderWay()
        self._last_id = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, connection: Stream) -> ConnectionId:
        """Number a new connection of a client."""
        self._last_id += 1
        CONNECTIONS.inc()
        connection_id = ConnectionId(self._last_id)
        self.open[connection_id] = connection
        return connection_id

    def perform(self, output: ConnectionOutput) -> None:
        """Do what a node wants done to a connection; one that is gone needs nothing."""
        connection_id = output.connection_id
        connection = self.open.get(connection_id) or self.outgoing.get(connection_id)
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
                # At once, not in the task: a quick peer's handshake may be read before the task begins.
                connection.hold()
                self.begin(connection.start_tls(output))
            case _:
                assert_never(output)

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a part of a connection's life that waits for the other side."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a part of a connection failed", "exception": error}
            )

    def leaves(self, connection: Stream) -> None:
        """Wait for the end of a connection that is closing, and drop it when that takes too long.

        One timer for all: one for each would keep every connection of the last seconds in memory.
        """
        loop = asyncio.get_running_loop()
        self._leaving[connection] = until = loop.time() + CLOSE_TIMEOUT_S
        if not self._watching_leave:
            self._watching_leave = True
            loop.call_at(until, self._drop_late)

    def left(self, connection: Stream) -> None:
        """A connection is gone."""
        self._leaving.pop(connection, None)

    def _drop_late(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection, until in list(self._leaving.items()):
            if until > now:
                break
            del self._leaving[connection]
            connection.abort()
        self._watching_leave = bool(self._leaving)
        if self._leaving:
            loop.call_at(next(iter(self._leaving.values())), self._drop_late)

    def abort_all(self) -> None:
        """Drop every connection at once."""
        for connection in [*self.open.values(), *self.outgoing.values()]:
            connection.abort()


@dataclass(frozen=True, slots=True)
class ImplicitTls:
    """What is needed where TLS is on from the first byte.

    Attributes:
        context: for a client.
        balancer: whether a peer is a balancer, which says before TLS who its client is (PROXY protocol).
    """

    context: Callable[[Peer], ssl.SSLContext]
    balancer: Callable[[Peer], bool] = lambda _: False


class Stream(asyncio.Protocol):
    """One connection, whoever opened it."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._id = ConnectionId(0)
        self._closing = False
        self._peer_ended = False
        self._reading = True
        # What comes before somebody is ready for it: the loop may read before it lets us say "wait".
        self._holding = False
        self._held = b""
        self._securing = False  # TLS was asked for, and is not on yet

    def _take(self, transport: asyncio.BaseTransport) -> None:
        """Make a transport ours."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_HIGH_BYTES)

    def data_received(self, data: bytes) -> None:
        """The peer said something; what comes after our goodbye is thrown away."""
        if self._holding:
            self._held += data
        elif not self._closing:
            self._connections.node.bytes_received(clock.steady(), self._id, data)
            self._connections.drain()

    def eof_received(self) -> bool:
        """The peer says no more; it may still be reading, so the node decides when to close."""
        self._peer_ended = True
        if self._closing or self._holding:
            return False
        self._connections.node.connection_ended(clock.steady(), self._id)
        self._connections.drain()
        return True

    def send(self, data: bytes) -> None:
        """Write bytes, in one call; after a close there is nobody left to write to."""
        raise NotImplementedError

    async def start_tls(self, wanted: StartTls) -> None:
        """Put TLS on the connection and tell the node, or drop the connection."""
        raise NotImplementedError

    def hold(self) -> None:
        """Let the peer wait; what it has said already is kept for TLS, which comes next."""
        self._securing = True
        self._holding = True
        self.pause_reading()

    def release(self) -> None:
        """Give the node what came while it was not ready for it."""
        self._holding = False
        held, self._held = self._held, b""
        if held:
            self.data_received(held)

    async def _upgrade(self, context: ssl.SSLContext, server_name: str | None, *, server_side: bool) -> str:
        """Put TLS on the connection.

        Returns:
            Why it is not on, for people; empty when it is.
        """
        plain = self._transport
        assert plain is not None
        if plain.is_closing():  # the loop would raise where nobody can catch it, and the role would end
            return "the connection was closed before TLS began"
        loop = asyncio.get_running_loop()
        self._securing = True
        self.pause_reading()
        upgrading = loop.create_task(
            loop.start_tls(
                plain,
                self,
                context,
                server_side=server_side,
                server_hostname=server_name,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
            )
        )
        # Once it has begun, it reads by itself; what was read before comes before that. What is said under
        # TLS may come together with the end of the handshake: it is kept until the node knows of TLS.
        await asyncio.sleep(0)
        self._reading = True
        if self._held:
            loop.call_soon(_feed, plain, self._held)
            self._held = b""
        try:
            upgraded = await upgrading
        except (OSError, ValueError) as error:  # ValueError: a name that TLS cannot carry
            return handshake_problem(error)
        if upgraded is None:
            return "the other side closed the connection during the TLS handshake"
        self._transport = upgraded
        self._securing = False
        upgraded.set_write_buffer_limits(high=WRITE_BUFFER_HIGH_BYTES)
        return ""

    def close(self) -> None:
        """Close once everything written has left, and in any case after a while.

        Closing a socket that has unread input resets it, and the client would
        lose our last reply: so say that no more comes, and read on to its end.
        """
        assert self._transport is not None
        if self._closing or self._transport.is_closing():
            return
        self._closing = True
        if self._securing:
            # The clear text is over, and TLS cannot carry a goodbye yet: there is nothing left to write, and
            # a handshake that finds the end of writing is an error that nobody can catch.
            self.abort()
            return
        if self._transport.can_write_eof() and not self._peer_ended:
            self.resume_reading()
            self._transport.write_eof()
        else:
            self._transport.close()
        self._connections.leaves(self)

    def abort(self) -> None:
        """Drop the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def pause_reading(self) -> None:
        """Let the peer wait."""
        if self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read from the peer again."""
        if not self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()


class Connection(Stream):
    """One connection of a client."""

    def __init__(
        self,
        connections: Connections,
        opened: Callable[[ConnectionId, Peer], None],
        implicit: ImplicitTls | None = None,
    ) -> None:
        """Wait for a client.

        Args:
            connections: where it belongs.
            opened: tells the node of it.
            implicit: where TLS is on from the first byte.
        """
        super().__init__(connections)
        self._opened = opened
        self._implicit = implicit
        # Where a balancer's header is waited for: set when more of it may be there.
        self._more: asyncio.Event | None = None
        self._client_address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._take(transport)
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if not peer:  # the client left before we looked
            transport.abort()  # type: ignore[attr-defined]  # a stream transport
            return
        tls = self._implicit is not None
        who = Peer(plain_address(peer[0]), peer[1], plain_address(local[0]), local[1], tls)
        self._client_address = who.address
        if self._implicit is not None:
            self._holding = True
            self._connections.begin(self._start_implicit(who, self._implicit))
        else:
            self._open(who)

    def _open(self, who: Peer) -> None:
        self._id = self._connections.add(self)
        self._opened(self._id, who)
        self._connections.drain()

    def data_received(self, data: bytes) -> None:
        """The client, or its balancer, said something."""
        super().data_received(data)
        if self._more is not None:
            self._more.set()

    async def _start_implicit(self, who: Peer, implicit: ImplicitTls) -> None:
        """Make TLS before the node hears of the client."""
        problem = ""
        if implicit.balancer(who):
            try:
                who = await self._announced(who)
            except (Refusal, TimeoutError):
                problem = "the balancer does not say with the PROXY protocol who its client is"
        if not problem:
            self._connections.handshakes.begins(self, source_of(who.address))
            problem = await self._secure(partial(implicit.context, who))
            self._connections.handshakes.ended(self)
        if problem:
            self._connections.handshake_failed(who.address, f"port {who.local_port}", problem, False)
            self.abort()
            return
        assert self._transport is not None
        if self._transport.is_closing():
            return
        self._open(replace(who, facts=facts_of_client(self._transport)))
        self.release()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._connections.left(self)
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

    async def _announced(self, balancer: Peer) -> Peer:
        """Read a balancer's header, which comes before TLS; what is behind it is for TLS.

        Raises:
            Refusal, TimeoutError: it is none, or there is none.
        """
        self._more = asyncio.Event()
        async with asyncio.timeout(PROXY_WAIT_S):
            while (header := read_proxy_header(self._held)) is None:
                await self._more.wait()
                self._more.clear()
        self._more = None
        self._held = self._held[header.header_bytes :]
        if header.client is None:
            return balancer
        address, port = header.client
        return replace(balancer, address=address, port=port)

    async def _secure(self, context: Callable[[], ssl.SSLContext]) -> str:
        """Put TLS on the connection; returns why it is not on, empty when it is."""
        try:
            return await self._upgrade(context(), None, server_side=True)
        except Unavailable as error:  # no certificate, and none can be made
            return error.text

    async def start_tls(self, wanted: StartTls) -> None:
        """Put TLS on the connection and tell the node, or drop the connection."""
        connections, place = self._connections, wanted.connector or "STARTTLS"
        problem = await self._secure(partial(connections.context, wanted.connector, wanted.of_servers))
        if problem or self._id not in connections.open:
            if problem:
                connections.handshake_failed(self._client_address, place, problem, wanted.of_servers)
            self.abort()
            self.connection_lost(None)
            return
        assert self._transport is not None
        if wanted.of_servers:
            facts = facts_of_server(self._transport, connections.server_of)
            if facts.problem:
                connections.handshake_failed(self._client_address, place, facts.problem, True)
        else:
            facts = facts_of_client(self._transport)
        connections.node.tls_started(clock.steady(), self._id, facts)
        connections.drain()
        self.release()


def _feed(transport: asyncio.Transport, data: bytes) -> None:
    """Give TLS what was read before it had begun."""
    protocol = transport.get_protocol()
    if isinstance(protocol, Stream):  # TLS could not begin
        return
    tls = cast(asyncio.BufferedProtocol, protocol)
    while data:
        buffer = memoryview(tls.get_buffer(len(data)))
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        tls.buffer_updated(count)
        data = data[count:]


def plain_address(address: str) -> str:
    """An IPv4 client of a dual-stack socket by its IPv4 address."""
    return address[7:] if address.startswith("::ffff:") and "." in address else address.partition("%")[0]
