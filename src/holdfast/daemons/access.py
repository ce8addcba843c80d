"""The access role: serves IMAP to mail clients."""

from __future__ import annotations

import os
import random
import sys
import time

from holdfast.daemons.mailbox import this_server
from holdfast.daemons.role import RoleProcess, run_role
from holdfast.directory.model import Organisation, TlsMode
from holdfast.drivers.events import PORT_NOT_OPENED
from holdfast.drivers.listeners import Binding, Listeners, parse_binding
from holdfast.drivers.role_link import RoleLink
from holdfast.drivers.runner import NodeRunner
from holdfast.drivers.tcp import Connection
from holdfast.drivers.tls import ensure_certificate
from holdfast.kernel.events import happened
from holdfast.kernel.ids import ConnectionId
from holdfast.node.access import AccessNode
from holdfast.node.ports import Peer


def imap_bindings(organisation: Organisation, server_name: str) -> dict[Binding, None]:
    """The addresses and ports where one server serves IMAP, in the order declared."""
    server = organisation.server(server_name)
    return {
        parse_binding(listener.bind, implicit_tls=listener.tls is TlsMode.IMPLICIT): None
        for listener in (server.imap if server else ())
    }


async def serve(process: RoleProcess) -> int:
    """Serve until told to stop, then let every session finish its command."""
    from prometheus_client import generate_latest

    runner: NodeRunner[AccessNode] | None = None

    def state() -> dict[str, str | int | float]:
        return {"pid": os.getpid(), "connections": len(runner.connections.open) if runner else 0}

    def organisation_changed(organisation: Organisation) -> None:
        if runner is not None:
            runner.follow(organisation)
            process.start(
                listeners.follow(imap_bindings(organisation, this_server(organisation, process.server_name)))
            )

    link = RoleLink(process.home, "access", organisation_changed, generate_latest, state)
    organisation = link.read_organisation()
    us = this_server(organisation, process.server_name)
    server = organisation.server(us)
    ensure_certificate(process.home / "tls", (server.fqdn if server else "localhost",))
    node = AccessNode(organisation, us, random.Random(os.urandom(16)))
    runner = NodeRunner(node, organisation, process.home, process.log)
    connections = runner.connections

    def opened(connection_id: ConnectionId, peer: Peer) -> None:
        node.connection_opened(time.time(), connection_id, peer)

    def failed(binding: Binding, reason: str) -> None:
        process.log.write(
            happened(PORT_NOT_OPENED, role="access", host=binding.host, port=binding.port, reason=reason)
        )

    listeners = Listeners(lambda: Connection(connections, opened), runner.tls_context, failed)
    process.watch_signals(link)
    runner.link_databases()
    runner.drain()
    await listeners.follow(imap_bindings(organisation, us))
    process.start(link.run())
    process.tell_ready([f"IMAP {each.host}:{each.port}" for each in listeners.open_bindings])
    await process.stop.wait()
    listeners.close()
    node.stopping(time.time())
    runner.drain()
    await process.until_idle(node.idle)
    runner.close()
    return 0


if __name__ == "__main__":
    sys.exit(run_role("access", serve))
