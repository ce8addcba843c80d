"""The access role: serves IMAP to mail clients."""

from __future__ import annotations

import os
import random
import sys

from holdfast.daemons.door import Door, own_certificate
from holdfast.daemons.role import RoleProcess, run_role
from holdfast.directory.model import Organisation, Server, TlsMode
from holdfast.drivers.listeners import Binding, parse_binding
from holdfast.drivers.role_link import read_organisation
from holdfast.drivers.runner import NodeRunner
from holdfast.node.access import AccessNode
from holdfast.node.ports import AccessOutput


def imap_bindings(organisation: Organisation, server: Server) -> dict[Binding, None]:
    """The addresses and ports where one server serves IMAP, in the order declared."""
    return {
        parse_binding(listener.bind, implicit_tls=listener.tls is TlsMode.IMPLICIT): None
        for listener in server.imap
    }


async def serve(process: RoleProcess) -> int:
    """Serve until told to stop, then let every session finish its command."""
    organisation = read_organisation(process.home)
    own_certificate(process, organisation)
    node = AccessNode(organisation, process.server_name, random.Random(os.urandom(16)))
    runner: NodeRunner[AccessOutput] = NodeRunner(
        node, organisation, process.home, process.log, node.connection_drained
    )
    await Door(process, runner, imap_bindings, node.connection_opened).serve()
    return 0


if __name__ == "__main__":
    sys.exit(run_role("access", serve))
