"""The transport role: takes mail in by SMTP, queues it and delivers it to the mailbox databases."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time

from holdfast.daemons.door import Door
from holdfast.daemons.role import RoleProcess, run_role, this_server
from holdfast.directory.model import Organisation, TlsMode
from holdfast.drivers.listeners import Binding, parse_binding
from holdfast.drivers.role_link import read_organisation
from holdfast.drivers.sqlite_queue import QueueWriter
from holdfast.drivers.tls import ensure_certificate
from holdfast.drivers.transport_runner import TransportRunner
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
    organisation = read_organisation(process.home)
    us = this_server(organisation, process.server_name)
    server = organisation.server(us)
    ensure_certificate(process.home / "tls", (server.fqdn if server else "localhost",))
    writer, recovered = QueueWriter.open(process.home / "queue.sqlite", process.home / "tracking")
    node = TransportNode(organisation, us, recovered, random.Random(os.urandom(16)))
    runner = TransportRunner(node, organisation, process.home, process.log, writer)
    node.started(time.time())
    clean = await Door(process, runner, smtp_bindings, "SMTP").serve()
    await asyncio.to_thread(writer.close, clean, node.uncertain)
    return 0


if __name__ == "__main__":
    sys.exit(run_role("transport", serve))
