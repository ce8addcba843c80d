"""Between a node and asyncio: inputs in, outputs done, timer armed.

Source: architecture, "One idea"; model: the I/O drivers of the websockets library.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Generic

from holdfast.directory.model import Organisation
from holdfast.drivers import clock
from holdfast.drivers.certificate_store import CertificateStore
from holdfast.drivers.handshake_log import HandshakeLog
from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.metrics import CONNECTIONS_OPEN, SIGN_INS
from holdfast.drivers.role_link import DIRECTORY_FILE
from holdfast.drivers.sign_in import SignIn
from holdfast.drivers.store_client import StoreLink, store_socket
from holdfast.drivers.tcp import Connections, Drained
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId
from holdfast.node.ports import (
    Abort,
    CallStore,
    CheckPassword,
    CommitQueue,
    Connect,
    FetchPolicy,
    GoOn,
    InFlight,
    Landed,
    Log,
    Node,
    OutboundOutput,
    Output,
    ReadKept,
    ReadQueued,
    Resolve,
    Send,
)
from holdfast.transport.kept import KeptFile
from holdfast.wire import store

# No deadline of a node is so near that a tenth of a second late matters.
TICK_S = 0.1


class NodeRunner(Generic[Output]):
    """Runs one node; subclasses say which outputs it has beyond connections and stores."""

    def __init__(
        self,
        node: Node[Output],
        organisation: Organisation,
        home: Path,
        log: LogSink,
        drained: Drained | None = None,
    ) -> None:
        """Make a runner that is not started.

        Args:
            node: what decides.
            organisation: what the node goes by.
            home: the state directory.
            log: where the node's events go.
            drained: is told when a connection's write buffer is small.
        """
        self.node: Node[Output] = node
        self.organisation = organisation
        self.log = log
        self._home = home
        self.certificates = CertificateStore(home, log.write)
        self.certificates.follow(organisation, None)
        self._handshakes = HandshakeLog(log)
        self._links: dict[str, tuple[StoreLink, asyncio.Task[None]]] = {}
        self._sign_in = SignIn(home / DIRECTORY_FILE, lambda: self.organisation)
        self._draining = False
        self._timer: asyncio.TimerHandle | None = None
        self.connections = Connections(
            node,
            self.drain,
            self.certificates.context,
            drained,
            self._handshakes.failed,
            self.certificates.server_of,
        )

    def follow(self, organisation: Organisation) -> None:
        """Go by another organisation: node, and links to its mailbox databases."""
        self.organisation = organisation
        self.node.organisation_changed(clock.steady(), organisation)
        self.link_databases()
        self.drain()

    def start(self) -> None:
        """Begin: links to the mailbox databases, and the timer."""
        CONNECTIONS_OPEN.set_function(lambda: len(self.connections.open))
        self.link_databases()
        self.drain()
        self._tick()

    def link_databases(self) -> None:
        """Keep a link to every mailbox database of the organisation."""
        names = {each.name for each in self.organisation.mailbox_databases}
        for name in [each for each in self._links if each not in names]:
            self._links.pop(name)[1].cancel()
        for name in names - self._links.keys():
            link = StoreLink(
                store_socket(self._home, name),
                connected=partial(self._store_connected, name),
                lost=partial(self._store_lost, name),
                answered=self._store_answered,
            )
            self._links[name] = (link, asyncio.get_running_loop().create_task(link.run()))

    def _store_connected(self, database: str) -> None:
        self.node.store_connected(clock.steady(), database)
        self.drain()

    def _store_lost(self, database: str) -> None:
        self.node.store_lost(clock.steady(), database)
        self.drain()

    def _store_answered(self, number: int, answer: store.Answer) -> None:
        self.node.store_answered(clock.steady(), number, answer)
        self.drain()

    def drain(self) -> None:
        """Do everything that the node wants done, in order."""
        if self._draining:
            return  # the outer call takes what was added meanwhile
        self._draining = True
        try:
            while self.node.outputs:
                outputs = self.node.outputs
                self.node.outputs = []
                for output in outputs:
                    self.perform(output)
        finally:
            self._draining = False

    def perform(self, output: Output) -> None:
        """Do one thing that the node wants done."""
        match output:
            case Send():  # of all outputs of a message three in four
                self.connections.perform(output)
            case CallStore():
                link = self._links.get(output.database)
                if link is not None:
                    link[0].call(output.number, output.operation)
                else:
                    reason = store.RefusalReason.UNAVAILABLE
                    refused = store.Refused(reason, f"there is no mailbox database {output.database}")
                    asyncio.get_running_loop().call_soon(self._store_answered, output.number, refused)
            case CheckPassword():
                self._check_password(output)
            case Log():
                self.log.write(output.event)
            case CommitQueue() | ReadQueued() | ReadKept():
                self.perform_queue(output)
            case (
                Connect() | Abort() | Resolve() | FetchPolicy() | KeptFile() | InFlight() | Landed() | GoOn()
            ):
                self.perform_outbound(output)
            case _:
                self.connections.perform(output)

    async def request(self, verb: str, body: bytes) -> bytes:
        """Do what a verb of the administrator asks of this role; see ``drivers.role_link``.

        Raises:
            Refusal: this role knows no such request.
        """
        raise Refusal(f'this role does not know the request "{verb}" ({len(body)} bytes)')

    def perform_outbound(self, output: OutboundOutput) -> None:
        """Only transport goes out."""
        raise AssertionError(output)

    def perform_queue(self, output: CommitQueue | ReadQueued | ReadKept) -> None:
        """Only transport has a queue."""
        raise AssertionError(output)

    def _check_password(self, asked: CheckPassword) -> None:
        def done(mailbox_id: MailboxId | None) -> None:
            SIGN_INS.labels("refused" if mailbox_id is None else "accepted").inc()
            self.node.password_checked(clock.steady(), asked.connection_id, mailbox_id)
            self.drain()

        self._sign_in.check(asked.user, asked.password, done)

    def _tick(self) -> None:
        """Do what is due. Looking ten times a second is far cheaper than moving a timer per input."""
        now = clock.steady()
        self.node.clock_offset_s = clock.wall_offset_s()
        deadline = self.node.deadline()
        if deadline is not None and deadline <= now:
            self.node.timer(now)
            self.drain()
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def close(self) -> None:
        """Let go of everything that the node used."""
        if self._timer is not None:
            self._timer.cancel()
        for _, task in self._links.values():
            task.cancel()
        self._sign_in.close()
        self.connections.abort_all()
