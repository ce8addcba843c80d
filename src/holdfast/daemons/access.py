"""The access role: serves IMAP to mail clients."""

from __future__ import annotations

import os
import random
import sys

from holdfast.daemons.door import Door
from holdfast.daemons.role import RoleProcess, run_role, this_server
from holdfast.directory.model import Organisation, TlsMode
from holdfast.drivers.listeners import Binding, parse_binding
from holdfast.drivers.role_link import read_organisation
from holdfast.drivers.runner import NodeRunner
from holdfast.drivers.tls import ensure_certificate
from holdfast.node.access import AccessNode


def imap_bindings(organisation: Organisation, server_name: str) -> dict[Binding, None]:
    """The addresses and ports where one server serves IMAP, in the order declared."""
    server = organisation.server(server_name)
    return {
        parse_binding(listener.bind, implicit_tls=listener.tls is TlsMode.IMPLICIT): None
        for listener in (server.imap if server else ())
    }


async def serve(process: RoleProcess) -> int:
    """Serve until told to stop, then let every session finish its command."""
    organisation = read_organisation(process.home)
    us = this_server(organisation, process.server_name)
    server = organisation.server(us)
    ensure_certificate(process.home / "tls", (server.fqdn if server else "localhost",))
    node = AccessNode(organisation, us, random.Random(os.urandom(16)))
    runner = NodeRunner(node, organisation, process.home, process.log)
    await Door(process, runner, imap_bindings, "IMAP").serve()
    return 0


if __name__ == "__main__":
    sys.exit(run_role("access", serve))
