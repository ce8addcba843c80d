"""The answering side of the store protocol: Unix socket clients, a MailboxNode and its database.

Only processes of our own user (or root) may connect: the socket's directory is
closed to others and the kernel is asked who is at the other end.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import assert_never, cast

from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.metrics import STORE_ANSWERS
from holdfast.drivers.sqlite_mailbox import MailboxDatabase
from holdfast.drivers.unix_socket import open_private_listener, peer_of, trusted_user_ids
from holdfast.kernel.ids import ConnectionId
from holdfast.node.mailbox import Disconnect, MailboxLog, MailboxNode, Perform, Performed, SendFrame


class StoreServer:
    """One mailbox database, served on its Unix socket."""

    def __init__(self, name: str, database: MailboxDatabase, log: LogSink) -> None:
        self.node = MailboxNode()
        self._name = name
        self._database = database
        self._log = log
        self._clients: dict[ConnectionId, asyncio.Transport] = {}
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
        self._clients[client_id] = transport
        self.node.client_connected(client_id)
        return client_id

    def lost(self, client_id: ConnectionId) -> None:
        """A client is gone."""
        if self._clients.pop(client_id, None) is not None:
            self.node.client_lost(client_id)
            self.drain()

    def received(self, client_id: ConnectionId, data: bytes) -> None:
        """A client asked something."""
        self.node.bytes_received(client_id, data)
        self.drain()

    def _performed(self, results: list[Performed]) -> None:
        for result in results:
            STORE_ANSWERS.labels(self._name, type(result.answer).__name__).inc()
        self.node.performed(results)
        self.drain()

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
                                client.write(output.frame)
                        case Perform():
                            if output.writes:
                                self._database.submit([output], self._performed)
                            else:
                                self._database.read(output, self._performed)
                        case Disconnect():
                            if (client := self._clients.get(output.client_id)) is not None:
                                client.abort()
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

    def connection_lost(self, exc: Exception | None) -> None:
        if self._id is not None:
            self._server.lost(self._id)
