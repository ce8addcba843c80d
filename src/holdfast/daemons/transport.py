"""The transport role: takes mail in by SMTP, queues it and delivers it to the mailbox databases."""

from __future__ import annotations

import asyncio
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
from holdfast.drivers.runner import TransportRunner
from holdfast.drivers.sqlite_queue import QueueWriter
from holdfast.drivers.tcp import Connection
from holdfast.drivers.tls import ensure_certificate
from holdfast.kernel.events import happened
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Peer
from holdfast.node.transport import TransportNode


def smtp_bindings(organisation: Organisation, server_name: str) -> dict[Binding, None]:
    """The addresses and ports of the receive connectors of one server, in the order declared."""
    return {
        parse_binding(text, implicit_tls=connector.tls is TlsMode.IMPLICIT): None
        for connector in organisation.receive_connectors
        if connector.server == server_name
        for text in connector.bindings
    }


async def serve(process: RoleProcess) -> int:
    """Serve until told to stop, then finish what was acknowledged."""
    from prometheus_client import generate_latest

    runner: TransportRunner | None = None

    def state() -> dict[str, str | int | float]:
        return {"pid": os.getpid(), "connections": len(runner.connections.open) if runner else 0}

    def organisation_changed(organisation: Organisation) -> None:
        if runner is not None:
            runner.follow(organisation)
            process.start(
                listeners.follow(smtp_bindings(organisation, this_server(organisation, process.server_name)))
            )

    link = RoleLink(process.home, "transport", organisation_changed, generate_latest, state)
    organisation = link.read_organisation()
    us = this_server(organisation, process.server_name)
    server = organisation.server(us)
    ensure_certificate(process.home / "tls", (server.fqdn if server else "localhost",))
    writer, recovered = QueueWriter.open(process.home / "queue.sqlite", process.home / "tracking")
    node = TransportNode(organisation, us, recovered, random.Random(os.urandom(16)))
    runner = TransportRunner(node, organisation, process.home, process.log, writer)
    connections = runner.connections

    def opened(connection_id: ConnectionId, peer: Peer) -> None:
        node.connection_opened(time.time(), connection_id, peer)

    def failed(binding: Binding, reason: str) -> None:
        process.log.write(
            happened(PORT_NOT_OPENED, role="transport", host=binding.host, port=binding.port, reason=reason)
        )

    listeners = Listeners(lambda: Connection(connections, opened), runner.tls_context, failed)
    process.watch_signals(link)
    runner.link_databases()
    node.started(time.time())
    runner.drain()
    await listeners.follow(smtp_bindings(organisation, us))
    process.start(link.run())
    process.tell_ready([f"SMTP {each.host}:{each.port}" for each in listeners.open_bindings])
    await process.stop.wait()
    listeners.close()
    node.stopping(time.time())
    runner.drain()
    clean = await process.until_idle(node.idle)
    runner.close()
    await asyncio.to_thread(writer.close, clean)
    return 0


if __name__ == "__main__":
    sys.exit(run_role("transport", serve))
