"""A role with a door: listens where the organisation says, drives its node, and closes cleanly."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic

from prometheus_client import generate_latest

from holdfast.daemons.role import RoleProcess, this_server
from holdfast.directory.model import Organisation
from holdfast.drivers.events import PORT_NOT_OPENED
from holdfast.drivers.listeners import Binding, Listeners
from holdfast.drivers.role_link import RoleLink
from holdfast.drivers.runner import NodeRunner, NodeType
from holdfast.drivers.tcp import Connection
from holdfast.kernel.events import happened
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Peer
from holdfast.node.transport import TransportNode

Bindings = Callable[[Organisation, str], dict[Binding, None]]


class Door(Generic[NodeType]):
    """The listening side of transport or access."""

    def __init__(
        self, process: RoleProcess, runner: NodeRunner[NodeType], bindings: Bindings, protocol: str
    ) -> None:
        """Join a runner to where it listens.

        Args:
            process: the surroundings.
            runner: drives the node.
            bindings: the addresses and ports of a server in an organisation.
            protocol: its name, for the message that tells where we listen.
        """
        self._process = process
        self._runner: NodeRunner[NodeType] = runner
        self._bindings = bindings
        self._protocol = protocol
        self._listeners = Listeners(
            lambda: Connection(runner.connections, self._opened), runner.tls_context, self._failed
        )
        self._link = RoleLink(
            process.home,
            process.role,
            self._organisation_changed,
            generate_latest,
            self._state,
            log=process.log,
        )

    async def serve(self) -> bool:
        """Serve until the process is told to stop, then let the node finish.

        Returns:
            Whether the node finished everything in time.
        """
        process, runner = self._process, self._runner
        process.watch_signals(self._reload)
        runner.start()
        await self._listeners.follow(self._wanted(runner.organisation))
        process.start(self._link.run())
        process.tell_ready(
            [f"{self._protocol} {each.host}:{each.port}" for each in self._listeners.open_bindings]
        )
        await process.stop.wait()
        self._listeners.close()
        runner.node.stopping(time.time())
        runner.drain()
        clean = await process.until_idle(runner.node.idle)
        runner.close()
        return clean

    def _wanted(self, organisation: Organisation) -> dict[Binding, None]:
        return self._bindings(organisation, this_server(organisation, self._process.server_name))

    def _organisation_changed(self, organisation: Organisation) -> None:
        self._runner.follow(organisation)
        self._process.start(self._listeners.follow(self._wanted(organisation)))

    def _reload(self) -> None:
        self._runner.forget_certificate()
        self._link.reload()

    def _opened(self, connection_id: ConnectionId, peer: Peer) -> None:
        node = self._runner.node
        if isinstance(node, TransportNode):
            # Without a name the node chooses the connector by where the client came to, and whence.
            node.connection_opened(time.time(), connection_id, "", peer)
        else:
            node.connection_opened(time.time(), connection_id, peer)

    def _failed(self, binding: Binding, reason: str) -> None:
        event = happened(
            PORT_NOT_OPENED, role=self._process.role, host=binding.host, port=binding.port, reason=reason
        )
        self._process.log.write(event)

    def _state(self) -> dict[str, str | int | float]:
        bindings = self._listeners.open_bindings
        return self._process.state(
            {
                "ports": ", ".join(f"{each.host}:{each.port}" for each in bindings),
                "connections": len(self._runner.connections.open),
            }
        )
