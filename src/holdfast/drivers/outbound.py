"""Connections of ours to next hops: opened, put under TLS as far as is demanded, and told to the node.

The node numbers them from -1 downwards (``node.ports.Connect``). Whatever goes
wrong, a name that TLS cannot carry as well as a certificate of somebody else,
ends in ``connection_lost`` with a reason for people.

Source: RFC 3207 section 4.1; RFC 7435 (opportunistic); RFC 7672 (DANE); RFC 9325 section 3.1.1.
"""

from __future__ import annotations

import asyncio
import datetime
import errno
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, assert_never

from holdfast.directory.server_certificates import sha256_of
from holdfast.drivers import clock
from holdfast.drivers.handshake import peer_chain, version_and_cipher
from holdfast.drivers.tcp import WRITE_BUFFER_BYTES_MAX, ConnectionInputs, Connections, Stream, plain_address
from holdfast.drivers.trusted import Trusted, unverifying_context
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Abort, Connect, StartTls
from holdfast.transport.tls_policy import TlsDemand, TlsFacts, TlsLevel

_REASONS = {
    errno.ECONNREFUSED: "the connection was refused",
    errno.ENETUNREACH: "there is no route to the network",
    errno.EHOSTUNREACH: "there is no route to the host",
    errno.ETIMEDOUT: "the host did not answer",
    errno.ECONNRESET: "the connection was reset",
    errno.EPIPE: "the connection was reset",
    errno.EADDRNOTAVAIL: "the source address is not one of this machine",
    errno.EMFILE: "this process has too many files and connections open",
    errno.EACCES: "the system does not let us",
}


class OutboundInputs(ConnectionInputs, Protocol):
    """What a node hears about connections that it asked for."""

    def outbound_connected(self, now: float, connection_id: ConnectionId, local_address: str) -> None: ...


class OutboundConnections:
    """All connections to next hops of one role."""

    def __init__(
        self,
        node: OutboundInputs,
        connections: Connections,
        home: Path,
        server_context: Callable[[], ssl.SSLContext] = unverifying_context,
    ) -> None:
        """Have none yet.

        Args:
            node: asks for them and hears of them.
            connections: the role's connections; those to next hops are its ``outgoing``.
            home: the state directory; authorities in ``tls/trusted`` are trusted besides the system's.
            server_context: the context of connections to servers of ours, which shows our certificate.
        """
        self.node = node
        self.connections = connections
        self.trusted = Trusted(home / "tls" / "trusted")
        self._server_context = server_context
        self._connecting: dict[ConnectionId, asyncio.Task[None]] = {}

    def perform(self, output: Connect | Abort) -> None:
        """Open or drop a connection."""
        match output:
            case Connect():
                self._connecting[output.connection_id] = self.connections.begin(self._connect(output))
            case Abort():
                connecting = self._connecting.pop(output.connection_id, None)
                if connecting is not None:
                    connecting.cancel()  # perhaps before it has begun, so it cannot tell the end itself
                    asyncio.get_running_loop().call_soon(self._lost, output.connection_id, "given up")
                elif (connection := self.connections.outgoing.get(output.connection_id)) is not None:
                    connection.abort()
            case _:
                assert_never(output)

    async def _connect(self, wanted: Connect) -> None:
        connection_id = wanted.connection_id
        loop = asyncio.get_running_loop()
        connection = Outgoing(self, connection_id)
        source = (wanted.source_address, 0) if wanted.source_address else None
        try:
            async with asyncio.timeout(wanted.timeout_s):
                await loop.create_connection(
                    lambda: connection, wanted.address, wanted.port, local_addr=source
                )
        except TimeoutError:
            reason = f"the host did not answer within {wanted.timeout_s:.0f} s"
        except (OSError, ValueError) as error:
            reason = reason_of(error)
        except asyncio.CancelledError:
            connection.drop()
            raise
        else:
            reason = connection.lost_early
        self._connecting.pop(connection_id, None)
        if not reason:
            await connection.begin(wanted.tls)
            return
        connection.drop()
        self._lost(connection_id, reason)

    def _lost(self, connection_id: ConnectionId, reason: str) -> None:
        self.node.connection_lost(clock.steady(), connection_id, reason)
        self.connections.drain()

    def context(self, demand: TlsDemand) -> ssl.SSLContext:
        """The context of one connection.

        Raises:
            Unavailable: we have no certificate that we could show to a server of ours.
        """
        return self._server_context() if demand.server else self.trusted.context(demand)

    def close(self) -> None:
        """Give up what is being opened; connections that are open are the role's to drop."""
        for task in self._connecting.values():
            task.cancel()


class Outgoing(Stream):
    """One connection to a next hop.

    Public attribute: ``lost_early``, why it was lost before the node knew of it; empty when it was not.
    """

    def __init__(self, all_of_us: OutboundConnections, connection_id: ConnectionId) -> None:
        super().__init__(all_of_us.connections)
        self._all = all_of_us
        self._id = connection_id
        self._lost_reason = ""
        self._upgrading = False
        self._ended_early = False
        self.lost_early = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The next hop's system has taken the connection; it is the node's in a moment."""
        self._take(transport)
        # Until the node knows of it, nothing is told: its greeting may be quicker than our task.
        self._holding = True

    def eof_received(self) -> bool:
        """The next hop says no more; before the node knows of it that is kept, too."""
        if self._id in self._connections.outgoing:
            return super().eof_received()
        self._ended_early = True
        return True

    async def begin(self, demand: TlsDemand | None) -> None:
        """Tell the node, and begin TLS where it is on from the first byte."""
        assert self._transport is not None
        self._connections.outgoing[self._id] = self
        local = self._transport.get_extra_info("sockname")
        self._all.node.outbound_connected(clock.steady(), self._id, plain_address(local[0]) if local else "")
        self._connections.drain()
        if self._transport.is_closing():
            return
        if demand is not None:
            await self.start_tls(StartTls(self._id, demand=demand))
            return
        self.release()
        if self._ended_early:
            self.eof_received()

    def drop(self) -> None:
        """Forget a connection that came about although it was given up."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._upgrading:
            return  # the handshake knows better why, and reports it
        self._connections.left(self)
        if self._connections.outgoing.pop(self._id, None) is not None:
            reason = self._lost_reason or ("" if exc is None else reason_of(exc))
            self._all.node.connection_lost(clock.steady(), self._id, reason)
            self._connections.drain()
        else:
            self.lost_early = "the connection was reset" if exc is None else reason_of(exc)

    def send(self, data: bytes) -> None:
        """Write bytes, in one call.

        A message of any size may be written. One that does not read what is written is cut off by
        the node's deadlines, or when more than the most is waiting and still more comes.
        """
        assert self._transport is not None
        if self._closing or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > WRITE_BUFFER_BYTES_MAX:
            self._lost_reason = "the next hop does not read what we send"
            self.abort()
            return
        self._transport.write(data)

    async def start_tls(self, wanted: StartTls) -> None:
        """Put TLS on the connection, judge the certificate and tell the node; or drop the connection."""
        demand = wanted.demand
        assert demand is not None
        self._upgrading = True
        try:
            context = self._all.context(demand)
        except Unavailable as error:
            problem = error.text
        else:
            problem = await self._upgrade(context, demand.server_name or None, server_side=False)
        self._upgrading = False
        assert self._transport is not None
        if not problem and self._transport.is_closing():
            problem = "the other side closed the connection during the TLS handshake"
        if self._id not in self._connections.outgoing:
            return
        if not problem:
            facts = self._facts(demand)
            if not facts.problem or demand.only_report:
                self._all.node.tls_started(clock.steady(), self._id, facts)
                self._connections.drain()
                self.release()
                return
            problem = facts.problem
        self._lost_reason = problem
        self.abort()
        self.connection_lost(None)

    def _facts(self, demand: TlsDemand) -> TlsFacts:
        assert self._transport is not None
        tls = self._transport.get_extra_info("ssl_object")
        version, cipher = version_and_cipher(tls)
        if demand.level in (TlsLevel.OPPORTUNISTIC, TlsLevel.ENCRYPTED):
            return TlsFacts(version, cipher, verified=False)
        if demand.level is TlsLevel.DIRECT:
            return _facts_of_known(demand, peer_chain(tls), version, cipher)
        # Imported here: it takes long, and most mail goes without.
        from holdfast.drivers import peer_certificate

        chain = peer_chain(tls)
        now = datetime.datetime.now(datetime.UTC)
        if demand.level is TlsLevel.DANE:
            problem = peer_certificate.dane_problem(chain, demand.tlsa, demand.names, now)
        else:
            problem = self._all.trusted.problem(chain, demand, now)
        names = peer_certificate.certificate_names(peer_certificate.read_chain(chain[:1])[0])
        return TlsFacts(version, cipher, verified=not problem, problem=problem, peer_names=names)


def _facts_of_known(demand: TlsDemand, chain: tuple[bytes, ...], version: str, cipher: str) -> TlsFacts:
    """Whether a server of ours is itself: it has shown a certificate by which the directory knows it."""
    if chain and chain[0] in demand.certificates:
        return TlsFacts(version, cipher, verified=True, server=demand.server)
    shown = f"SHA-256 {sha256_of(chain[0])}" if chain else "none"
    problem = f"the certificate is not one by which server {demand.server} is known: {shown}"
    return TlsFacts(version, cipher, verified=False, problem=problem)


def reason_of(error: Exception) -> str:
    """Say why a connection could not be made or was lost, for people."""
    if isinstance(error, ssl.SSLError):
        return f"TLS broke: {(getattr(error, 'reason', None) or 'unknown').replace('_', ' ').lower()}"
    if isinstance(error, ConnectionResetError):
        return _REASONS[errno.ECONNRESET]
    number = getattr(error, "errno", None)
    if number in _REASONS:
        return _REASONS[number]
    return str(getattr(error, "strerror", None) or error)[:200]
