"""Between the transport node and asyncio: a runner that has a queue database too."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import assert_never

from holdfast.directory.model import Organisation
from holdfast.drivers import clock
from holdfast.drivers.busy_polling import BusyPolling
from holdfast.drivers.connector_passwords import read_connector_password
from holdfast.drivers.events import FILE_NOT_KEPT
from holdfast.drivers.kept_files import KeptFiles
from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.metrics import (
    CONNECTIONS_OUT,
    MESSAGES_ACCEPTED,
    MESSAGES_DOUBTFUL,
    MESSAGES_FINISHED,
    MESSAGES_QUEUED,
    QUEUE_COMMITS,
)
from holdfast.drivers.mta_sts_fetch import PolicyFetcher
from holdfast.drivers.outbound import OutboundConnections
from holdfast.drivers.queue_journal import InFlightFile, note_crash
from holdfast.drivers.queue_metrics import show_administration, show_shadows
from holdfast.drivers.queue_writer import QueueWriter
from holdfast.drivers.resolver import Resolver
from holdfast.drivers.runner import NodeRunner
from holdfast.drivers.transport_requests import TransportRequests
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.events import happened
from holdfast.kernel.iprange import IPRange
from holdfast.node.ports import (
    Abort,
    CommitQueue,
    Connect,
    FetchPolicy,
    GoOn,
    InFlight,
    Landed,
    OutboundOutput,
    ReadKept,
    ReadQueued,
    Resolve,
    TransportOutput,
)
from holdfast.node.transport import TransportNode
from holdfast.transport.kept import KeptFile
from holdfast.transport.queue import AddMessage, FinishRecipients, QueueWrite
from holdfast.transport.shadow_writes import KeptBatch
from holdfast.transport.special_purpose import not_led_to
from holdfast.wire.dns_answers import Answer, Question, RecordType

# A child is looked for by its label in 2 µs.
_COMMITS_DONE, _COMMITS_REFUSED = QUEUE_COMMITS.labels("done"), QUEUE_COMMITS.labels("refused")


class TransportRunner(NodeRunner[TransportOutput]):
    """Runs the transport node, with its queue database, journal, resolver and connections to next hops."""

    def __init__(
        self,
        node: TransportNode,
        organisation: Organisation,
        home: Path,
        log: LogSink,
        writer: QueueWriter,
        journal: InFlightFile,
    ) -> None:
        self.polling = BusyPolling()
        super().__init__(node, organisation, home, log)
        self._transport = node
        self._writer = writer
        self.certificates.tells_of_own = True
        self._journal = journal
        writer.more_soon = self._looking
        self._outbound = OutboundConnections(node, self.connections, home, self.certificates.client_context)
        self._resolver = Resolver(self._resolved, log.write)
        self._resolver.follow(organisation)
        self._private_ranges = _private_ranges_of(organisation)
        self._policies = PolicyFetcher(home / "tls" / "trusted", self._policy_fetched, self._addresses)
        self._kept = KeptFiles(home, self._not_kept)
        # Who waits for the addresses of a web server; the node hears these answers, too.
        self._address_waits: dict[Question, asyncio.Future[Answer]] = {}
        node.password_of = self._password_of
        MESSAGES_QUEUED.set_function(lambda: node.queued_message_count)
        MESSAGES_DOUBTFUL.set_function(lambda: node.doubtful_message_count)
        CONNECTIONS_OUT.set_function(lambda: node.outbound_connection_count)
        show_administration(node.administration)
        show_shadows(node.shadow_report)
        self._requests = TransportRequests(node, self.drain)

    def drain(self) -> None:
        """Do everything that the node wants done, in order; more may come at once."""
        super().drain()
        self.polling.heard(clock.steady(), len(self.connections.open))

    def _looking(self) -> bool:
        return self.polling.looking

    async def request(self, verb: str, body: bytes) -> bytes:
        """Do what a verb of the administrator asks; see ``drivers.transport_requests``."""
        return await self._requests.answer(verb, body)

    def follow(self, organisation: Organisation) -> None:
        """Go by another organisation: the servers that are asked for names, too."""
        self._resolver.follow(organisation)
        self._private_ranges = _private_ranges_of(organisation)
        super().follow(organisation)

    def perform_outbound(self, output: OutboundOutput) -> None:
        """Do what mail to next hops needs."""
        match output:
            case InFlight():
                self._journal.note(output.number)
            case Landed():
                self._journal.forget(output.numbers)
            case Connect() | Abort():
                self._outbound.perform(output)
            case Resolve():
                self._resolver.ask(output.question)
            case FetchPolicy():
                self._policies.fetch(output.domain)
            case KeptFile():
                self._kept.perform(output)
            case GoOn():
                asyncio.get_running_loop().call_soon(self._go_on)
            case _:
                assert_never(output)

    def _go_on(self) -> None:
        self._transport.go_on(clock.steady())
        self.drain()

    def _resolved(self, answer: Answer) -> None:
        waiting = self._address_waits.pop(answer.question, None)
        if waiting is not None:
            waiting.set_result(answer)
        self._transport.resolved(clock.steady(), answer)
        self.drain()

    async def _addresses(self, host: str) -> list[str]:
        """The addresses of a web server, by the DNS servers of the organisation."""
        found: list[str] = []
        for record_type in (RecordType.AAAA, RecordType.A):
            question = Question(host, record_type)
            waiting = self._address_waits.get(question)
            if waiting is None:
                waiting = self._address_waits[question] = asyncio.get_running_loop().create_future()
                self._resolver.ask(question)
            # Shielded: who gives up waiting must not take the answer from the resolver.
            answer = await asyncio.shield(waiting)
            found += [each for each in answer.records if isinstance(each, str)]
        # As for exchangers: whoever controls a domain is not to have us talk to hosts in our own network.
        return [each for each in found if not not_led_to(each, self._private_ranges)]

    def _not_kept(self, path: str, reason: str) -> None:
        self.log.write(happened(FILE_NOT_KEPT, path=path, reason=reason))

    def _policy_fetched(self, domain: str, text: bytes | None, reason: str) -> None:
        self._transport.policy_fetched(clock.steady(), domain, text, reason)
        self.drain()

    def _password_of(self, connector: str) -> str:
        """What a smart host is given as password; one that cannot be read is empty, and refused there."""
        try:
            return read_connector_password(self._home, connector) or ""
        except (Refusal, Unavailable):
            return ""

    def note_crash(self) -> None:
        """This process dies of a fault of ours: write down over which message."""
        number = self._transport.message_at_work
        if number:
            note_crash(self._home, number)

    def close(self) -> None:
        """Let go of everything that the node used."""
        self._outbound.close()
        self._resolver.close()
        self._policies.close()
        self._kept.close()
        super().close()

    def perform_queue(self, output: CommitQueue | ReadQueued | ReadKept) -> None:
        """Write to or read from the queue database."""
        match output:
            case CommitQueue():
                self._writer.submit(output.writes, self._committed)
            case ReadQueued():
                for number in output.numbers:
                    self._transport.queued_read(clock.steady(), number, self._writer.read(number))
            case ReadKept():
                # There may be very many, and mail goes on in between.
                self._writer.read_kept(output.since, output.until, output.after_number, self._kept_read)
            case _:
                assert_never(output)

    def _kept_read(self, batch: KeptBatch | None) -> None:
        self._transport.kept_read(clock.steady(), batch)
        self.drain()

    def _committed(self, writes: list[QueueWrite], error: Unavailable | None) -> None:
        # Senders wait for what the node says now; the figures come after it.
        if error is None:
            self._transport.queue_committed(clock.steady(), writes)
        else:
            self._transport.queue_failed(clock.steady(), writes, error)
        self.drain()
        (_COMMITS_REFUSED if error else _COMMITS_DONE).inc()
        if error is None:
            MESSAGES_ACCEPTED.inc(sum(isinstance(write, AddMessage) for write in writes))
            MESSAGES_FINISHED.inc(
                sum(isinstance(write, FinishRecipients) and not write.remaining for write in writes)
            )


def _private_ranges_of(organisation: Organisation) -> tuple[IPRange, ...]:
    """The networks of its own to which the administrator lets DNS lead, by any connector."""
    return tuple(each for connector in organisation.send_connectors for each in connector.private_ranges)
