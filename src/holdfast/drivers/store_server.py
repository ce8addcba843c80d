"""The answering side of the store protocol: Unix socket clients, a MailboxNode and its database.

Only processes of our own user (or root) may connect: the socket's directory is
closed to others and the kernel is asked who is at the other end.

A client that does not read makes us hold little: while more than
``WRITE_BUFFER_HIGH_BYTES`` wait for it, nothing more is read from it or for it,
and never are more than ``READS_AT_ONCE_MAX`` of its reads under way, because a
reader's answer is in memory before we know whether it can be written.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never, cast

from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.metrics import STORE_ANSWERS
from holdfast.drivers.sqlite_mailbox import MailboxDatabase
from holdfast.drivers.unix_socket import open_private_listener, peer_of, trusted_user_ids
from holdfast.kernel.ids import ConnectionId
from holdfast.node.mailbox import Disconnect, MailboxLog, MailboxNode, Perform, Performed, SendFrame
from holdfast.wire import store

WRITE_BUFFER_HIGH_BYTES = 8 << 20
READS_AT_ONCE_MAX = 8  # of one client: twice the readers, so that none waits for the event loop


@dataclass(slots=True)
class _Connected:
    """A client: its reads that wait for their turn, and the numbers of those under way."""

    transport: asyncio.Transport
    waiting: deque[Perform] = field(default_factory=deque)
    reading: set[int] = field(default_factory=set)
    full: bool = False


class StoreServer:
    """One mailbox database, served on its Unix socket."""

    def __init__(self, name: str, database: MailboxDatabase, log: LogSink) -> None:
        self.node = MailboxNode()
        self._name = name
        self._database = database
        self._log = log
        self._clients: dict[ConnectionId, _Connected] = {}
        self._last_id = 0
        self._server: asyncio.Server | None = None
        self._path: Path | None = None
        self._draining = False

    async def listen(self, path: Path) -> None:
        """Take clients on a Unix socket of our user alone.

        Raises:
            Unavailable: it cannot be made.
        """
        listener = open_private_listener(path)
        self._path = path
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: _Client(self), sock=listener
        )

    def close(self) -> None:
        """Take no more clients."""
        if self._server is not None:
            self._server.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def opened(self, transport: asyncio.Transport) -> ConnectionId | None:
        """Number a client, unless it is somebody else's process."""
        if peer_of(transport.get_extra_info("socket").fileno()).uid not in trusted_user_ids():
            transport.abort()
            return None
        self._last_id += 1
        client_id = ConnectionId(self._last_id)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_HIGH_BYTES)
        self._clients[client_id] = _Connected(transport)
        self.node.client_connected(client_id)
        return client_id

    def lost(self, client_id: ConnectionId) -> None:
        """A client is gone."""
        client = self._clients.pop(client_id, None)
        if client is not None:
            self.node.client_lost(client_id)
            # The node counts what it asked for, so what was not begun ends here.
            text = "the client is gone"
            refused = store.Refused(store.RefusalReason.UNAVAILABLE, text)
            self._performed([Performed(each.client_id, each.number, refused, ()) for each in client.waiting])

    def write_buffer_filled(self, client_id: ConnectionId, *, full: bool) -> None:
        """More (or again less) waits for a client than is good: stop (or go on) working for it."""
        client = self._clients.get(client_id)
        if client is None or client.transport.is_closing():
            return
        client.full = full
        if full:
            client.transport.pause_reading()
        else:
            client.transport.resume_reading()
            self._read_on(client)

    def received(self, client_id: ConnectionId, data: bytes) -> None:
        """A client asked something."""
        self.node.bytes_received(client_id, data)
        self.drain()

    def _performed(self, results: list[Performed]) -> None:
        for result in results:
            STORE_ANSWERS.labels(self._name, type(result.answer).__name__).inc()
        self.node.performed(results)
        self.drain()  # written first: it shows whether the client's buffer is full now
        for result in results:
            client = self._clients.get(result.client_id)
            if client is not None and result.number in client.reading:
                client.reading.discard(result.number)
                self._read_on(client)

    def _read_on(self, client: _Connected) -> None:
        """Begin as many of a client's reads as it may have under way."""
        while client.waiting and not client.full and len(client.reading) < READS_AT_ONCE_MAX:
            asked = client.waiting.popleft()
            client.reading.add(asked.number)
            self._database.read(asked, self._performed)

    def drain(self) -> None:
        """Do what the node wants done."""
        if self._draining:
            return  # the outer call takes what was added meanwhile
        self._draining = True
        try:
            while self.node.outputs:
                outputs, self.node.outputs = self.node.outputs, []
                for output in outputs:
                    match output:
                        case SendFrame():
                            if (client := self._clients.get(output.client_id)) is not None:
                                client.transport.write(output.frame)
                        case Perform():
                            if output.writes:
                                self._database.submit([output], self._performed)
                            elif (client := self._clients.get(output.client_id)) is not None:
                                client.waiting.append(output)
                                self._read_on(client)
                        case Disconnect():
                            if (client := self._clients.get(output.client_id)) is not None:
                                client.transport.abort()
                        case MailboxLog():
                            self._log.write(output.event)
                        case _:
                            assert_never(output)
        finally:
            self._draining = False


class _Client(asyncio.Protocol):
    def __init__(self, server: StoreServer) -> None:
        self._server = server
        self._id: ConnectionId | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._id = self._server.opened(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        if self._id is not None:
            self._server.received(self._id, data)

    def pause_writing(self) -> None:
        if self._id is not None:
            self._server.write_buffer_filled(self._id, full=True)

    def resume_writing(self) -> None:
        if self._id is not None:
            self._server.write_buffer_filled(self._id, full=False)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._id is not None:
            self._server.lost(self._id)
