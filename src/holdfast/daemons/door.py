"""A role with a door: listens where the organisation says, drives its node, and closes cleanly."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Generic, Protocol

from prometheus_client import generate_latest

from holdfast.daemons.role import RoleProcess
from holdfast.directory.model import Organisation, Server
from holdfast.drivers import clock
from holdfast.drivers.certificate_store import ensure_own
from holdfast.drivers.events import PORT_NOT_OPENED, PORT_OPENED_LATE
from holdfast.drivers.listeners import Binding, Listeners
from holdfast.drivers.management_socket import NOT_OPEN
from holdfast.drivers.role_link import RoleLink
from holdfast.drivers.runner import NodeRunner
from holdfast.drivers.tcp import Connection, ImplicitTls
from holdfast.kernel.events import happened
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Output, Peer

Bindings = Callable[[Organisation, Server], dict[Binding, None]]


Opened = Callable[[float, ConnectionId, Peer], None]


class ConnectorsAt(Protocol):
    """What a role with receive connectors knows of a peer before it has a session."""

    def connector(self, organisation: Organisation, server: Server, peer: Peer) -> str:
        """The connector that a client comes to, by name; empty when there is none."""

    def balancer(self, organisation: Organisation, server: Server, peer: Peer) -> bool:
        """Whether a peer is a balancer, which says first who its client is."""


class NoConnectors:
    """A role without connectors."""

    def connector(self, organisation: Organisation, server: Server, peer: Peer) -> str:
        """There is none."""
        return ""

    def balancer(self, organisation: Organisation, server: Server, peer: Peer) -> bool:
        """Nobody is expected."""
        return False


class Door(Generic[Output]):
    """The listening side of transport or access."""

    def __init__(
        self,
        process: RoleProcess,
        runner: NodeRunner[Output],
        bindings: Bindings,
        opened: Opened,
        connectors: ConnectorsAt | None = None,
    ) -> None:
        """Join a runner to where it listens.

        Args:
            process: the surroundings.
            runner: drives the node.
            bindings: the addresses and ports of a server in an organisation.
            opened: tells the node of a new client.
            connectors: say whose certificate is shown where TLS is on from the first byte.
        """
        self._process = process
        self._runner: NodeRunner[Output] = runner
        self._bindings = bindings
        self._opened = opened
        self._connectors = connectors or NoConnectors()
        self._listeners = Listeners(self._connection, self._failed, self._opened_late)
        runner.certificates.follow(runner.organisation, runner.organisation.own_server(process.server_name))
        self._link = RoleLink(
            process.home,
            process.role,
            self._organisation_changed,
            generate_latest,
            self._state,
            log=process.log,
        )
        self._link.on_request = runner.request
        # Management is told that we follow when ports are open: whoever asked for one may use it then.
        self._link.on_taken = self._follow

    async def serve(self) -> bool:
        """Serve until the process is told to stop, then let the node finish.

        Returns:
            Whether the node finished everything in time.
        """
        process, runner = self._process, self._runner
        process.watch_signals(self._reload)
        runner.start()
        await self._follow(runner.organisation)
        process.start(self._link.run())
        process.tell_ready(self._listening())
        await process.stop.wait()
        self._listeners.close()
        runner.node.stopping(clock.steady())
        runner.drain()
        clean = await process.until_idle(runner.node.idle)
        runner.close()
        return clean

    def _wanted(self, organisation: Organisation) -> dict[Binding, None]:
        server = organisation.own_server(self._process.server_name)
        return {} if server is None else self._bindings(organisation, server)

    def _organisation_changed(self, organisation: Organisation) -> None:
        own_certificate(self._process, organisation)
        self._runner.certificates.follow(organisation, organisation.own_server(self._process.server_name))
        self._runner.follow(organisation)

    async def _follow(self, organisation: Organisation) -> None:
        await self._listeners.follow(self._wanted(organisation))

    def _reload(self) -> None:
        self._runner.certificates.forget()
        self._link.reload()

    def _connection(self, binding: Binding) -> Connection:
        implicit = ImplicitTls(self._context, self._balancer) if binding.implicit_tls else None
        return Connection(self._runner.connections, self._client_came, implicit)

    def _context(self, peer: Peer) -> ssl.SSLContext:
        organisation = self._runner.organisation
        server = organisation.own_server(self._process.server_name)
        connector = "" if server is None else self._connectors.connector(organisation, server, peer)
        return self._runner.certificates.context(connector, False)

    def _balancer(self, peer: Peer) -> bool:
        organisation = self._runner.organisation
        server = organisation.own_server(self._process.server_name)
        return server is not None and self._connectors.balancer(organisation, server, peer)

    def _client_came(self, connection_id: ConnectionId, peer: Peer) -> None:
        self._opened(clock.steady(), connection_id, peer)

    def _failed(self, binding: Binding, reason: str) -> None:
        event = happened(
            PORT_NOT_OPENED, role=self._process.role, host=binding.host, port=binding.port, reason=reason
        )
        self._process.log.write(event)

    def _opened_late(self, binding: Binding) -> None:
        role = self._process.role
        self._process.log.write(happened(PORT_OPENED_LATE, role=role, host=binding.host, port=binding.port))

    def _state(self) -> dict[str, str | int | float]:
        not_open = {f"{NOT_OPEN}{each}": reason for each, reason in self._listeners.not_open.items()}
        return self._process.state(
            {
                "ports": ", ".join(self._listening()),
                "connections": len(self._runner.connections.open),
                **not_open,
            }
        )

    def _listening(self) -> list[str]:
        return [str(each) for each in self._listeners.open_bindings]


def own_certificate(process: RoleProcess, organisation: Organisation) -> None:
    """See to it that there is a certificate, for our name as it is declared now.

    Raises:
        Unavailable: it cannot be made.
    """
    ensure_own(process.home, organisation, organisation.own_server(process.server_name))
