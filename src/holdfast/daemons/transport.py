"""The transport role: takes mail in by SMTP, queues it and delivers it to the mailbox databases."""

from __future__ import annotations

import gc
import os
import random
import sys
from dataclasses import replace

from holdfast.daemons.role import EXIT_CANNOT_SERVE, RoleProcess, run_role
from holdfast.drivers.compiled import prefer_compiled

# Before the rooms are imported. A test that imports this module gets the plain ones.
PLAIN_BECAUSE = "this is no process of its own"
if __name__ == "__main__":
    PLAIN_BECAUSE = prefer_compiled("holdfast.node.transport")

from holdfast.daemons.door import Door, own_certificate
from holdfast.directory.model import Organisation, Server, TlsMode
from holdfast.drivers import clock
from holdfast.drivers.events import QUEUE_WRITER_ENDED
from holdfast.drivers.kept_files import read_kept
from holdfast.drivers.listeners import Binding, parse_binding
from holdfast.drivers.queue_journal import (
    AT_WORK_FILE,
    IN_FLIGHT_FILE,
    InFlightFile,
    keep_crashes,
    open_at_work,
    read_crashes,
)
from holdfast.drivers.queue_writer import QueueWriter
from holdfast.drivers.resources import watch_resources
from holdfast.drivers.role_link import read_organisation
from holdfast.drivers.transport_runner import TransportRunner
from holdfast.kernel.errors import Refusal
from holdfast.kernel.events import happened
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Peer
from holdfast.node.transport import TransportNode
from holdfast.transport import sts_policies, tls_report
from holdfast.transport.admission import Doors
from holdfast.transport.events import PLAIN_PYTHON

# New objects until the youngest are looked through for cycles; messages make few (docs/decisions/0009).
GARBAGE_THRESHOLD = 20_000


def smtp_bindings(organisation: Organisation, server: Server) -> dict[Binding, None]:
    """The addresses and ports of the receive connectors of one server, in the order declared."""
    return {
        parse_binding(text, implicit_tls=connector.tls is TlsMode.IMPLICIT): None
        for connector in organisation.receive_connectors
        if connector.server == server.name and connector.enabled
        for text in connector.bindings
    }


class SmtpConnectors:
    """The receive connectors of a server, as its door asks for them before a session begins."""

    def connector(self, organisation: Organisation, server: Server, peer: Peer) -> str:
        """The connector that a client comes to, whose certificate it is shown; empty for none."""
        try:
            doors = _doors(organisation, server)
            return doors.choose(peer.address, peer.local_address, peer.local_port).name
        except Refusal:
            return ""  # the session says so, under TLS

    def balancer(self, organisation: Organisation, server: Server, peer: Peer) -> bool:
        """Whether a peer is a balancer that a connector names."""
        doors = _doors(organisation, server)
        return doors.balancer_expected(peer.address, peer.local_address, peer.local_port)


def _doors(organisation: Organisation, server: Server) -> Doors:
    return Doors(each for each in organisation.receive_connectors if each.server == server.name)


async def serve(process: RoleProcess) -> int:
    """Serve until told to stop, then finish what was acknowledged."""
    organisation = read_organisation(process.home)
    own_certificate(process, organisation)
    # What is found stays for long: looking through it for cycles again and again would be most of a start.
    gc.disable()
    writer, recovered = QueueWriter.open(
        process.home / "queue.sqlite", process.home / "tracking", lock_descriptor=process.lock_descriptor
    )
    journal = InFlightFile(process.home / IN_FLIGHT_FILE)
    crashes = read_crashes(process.home)
    keep_crashes(process.home, crashes, {message.number for message in recovered.messages})
    at_work = open_at_work(process.home / AT_WORK_FILE)
    recovered = replace(recovered, in_flight=journal.numbers, crash_counts=crashes, at_work=at_work)
    node = TransportNode(organisation, process.server_name, recovered, random.Random(os.urandom(16)))
    runner = TransportRunner(node, organisation, process.home, process.log, writer, journal)
    del recovered  # it would keep every message that it names
    process.before_breaking = runner.note_crash

    def ended(reason: str) -> None:
        # As by kill -9: nothing of what is not durable may be acknowledged, and nobody can make it so.
        process.log.write(happened(QUEUE_WRITER_ENDED, reason=reason))
        os._exit(EXIT_CANNOT_SERVE)

    if PLAIN_BECAUSE:
        process.log.write(happened(PLAIN_PYTHON, reason=PLAIN_BECAUSE))
    writer.ended = ended
    writer.attend()
    node.restore_policies(clock.steady(), read_kept(process.home, sts_policies.FILES))
    node.restore_counts(read_kept(process.home, tls_report.FOLDER).get(tls_report.PATH))
    try:
        node.started(clock.steady())
    except Exception:
        runner.note_crash()
        raise
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    gc.enable()
    process.start(watch_resources(node, runner.drain, process.home))

    def opened(now: float, connection_id: ConnectionId, peer: Peer) -> None:
        # Without a name the node chooses the connector by where the client came to, and whence.
        node.connection_opened(now, connection_id, "", peer)

    clean = await Door(process, runner, smtp_bindings, opened, SmtpConnectors()).serve()
    writer.close(clean, node.uncertain)
    journal.close()
    return 0


if __name__ == "__main__":
    sys.exit(run_role("transport", serve))
