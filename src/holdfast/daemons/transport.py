"""The transport role: takes mail in by SMTP, queues it and delivers it to the mailbox databases."""

from __future__ import annotations

import asyncio
import os
import random
import sys

from holdfast.daemons.door import Door, own_certificate
from holdfast.daemons.role import RoleProcess, run_role
from holdfast.directory.model import Organisation, Server, TlsMode
from holdfast.drivers import clock
from holdfast.drivers.listeners import Binding, parse_binding
from holdfast.drivers.role_link import read_organisation
from holdfast.drivers.sqlite_queue import QueueWriter
from holdfast.drivers.transport_runner import TransportRunner
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Peer
from holdfast.node.transport import TransportNode


def smtp_bindings(organisation: Organisation, server: Server) -> dict[Binding, None]:
    """The addresses and ports of the receive connectors of one server, in the order declared."""
    return {
        parse_binding(text, implicit_tls=connector.tls is TlsMode.IMPLICIT): None
        for connector in organisation.receive_connectors
        if connector.server == server.name and connector.enabled
        for text in connector.bindings
    }


async def serve(process: RoleProcess) -> int:
    """Serve until told to stop, then finish what was acknowledged."""
    organisation = read_organisation(process.home)
    own_certificate(process, organisation)
    writer, recovered = QueueWriter.open(process.home / "queue.sqlite", process.home / "tracking")
    node = TransportNode(organisation, process.server_name, recovered, random.Random(os.urandom(16)))
    runner = TransportRunner(node, organisation, process.home, process.log, writer)
    node.started(clock.steady())

    def opened(now: float, connection_id: ConnectionId, peer: Peer) -> None:
        # Without a name the node chooses the connector by where the client came to, and whence.
        node.connection_opened(now, connection_id, "", peer)

    clean = await Door(process, runner, smtp_bindings, opened).serve()
    await asyncio.to_thread(writer.close, clean, node.uncertain)
    return 0


if __name__ == "__main__":
    sys.exit(run_role("transport", serve))
