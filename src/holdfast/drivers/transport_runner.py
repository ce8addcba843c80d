"""Between the transport node and asyncio: a runner that has a queue database too."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from holdfast.directory.model import Organisation
from holdfast.drivers import clock
from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.metrics import MESSAGES_ACCEPTED, MESSAGES_FINISHED, MESSAGES_QUEUED, QUEUE_COMMITS
from holdfast.drivers.outbound import OutboundConnections
from holdfast.drivers.runner import NodeRunner
from holdfast.drivers.sqlite_queue import QueueWriter
from holdfast.kernel.errors import Unavailable
from holdfast.node.ports import Abort, CommitQueue, Connect, OutboundOutput, ReadQueued, TransportOutput
from holdfast.node.transport import TransportNode
from holdfast.transport.queue import AddMessage, FinishRecipients, QueueWrite


class TransportRunner(NodeRunner[TransportOutput]):
    """Runs the transport node, with its queue database."""

    def __init__(
        self, node: TransportNode, organisation: Organisation, home: Path, log: LogSink, writer: QueueWriter
    ) -> None:
        super().__init__(node, organisation, home, log)
        self._transport = node
        self._writer = writer
        self._outbound = OutboundConnections(node, self.connections, home)
        MESSAGES_QUEUED.set_function(lambda: node.queued_message_count)

    def perform_outbound(self, output: OutboundOutput) -> None:
        """Do what a connection to a next hop needs."""
        match output:
            case Connect() | Abort():
                self._outbound.perform(output)
            case _:
                raise AssertionError(output)

    def close(self) -> None:
        """Let go of everything that the node used."""
        self._outbound.close()
        super().close()

    def perform_queue(self, output: CommitQueue | ReadQueued) -> None:
        """Write to or read from the queue database."""
        match output:
            case CommitQueue():
                self._writer.submit(output.writes, self._committed)
            case ReadQueued():
                for number in output.numbers:
                    self._transport.queued_read(clock.steady(), number, self._writer.read(number))
            case _:
                assert_never(output)

    def _committed(self, writes: list[QueueWrite], error: Unavailable | None) -> None:
        QUEUE_COMMITS.labels("refused" if error else "done").inc()
        if error is None:
            MESSAGES_ACCEPTED.inc(sum(isinstance(write, AddMessage) for write in writes))
            MESSAGES_FINISHED.inc(
                sum(isinstance(write, FinishRecipients) and not write.remaining for write in writes)
            )
            self._transport.queue_committed(clock.steady(), writes)
        else:
            self._transport.queue_failed(clock.steady(), writes, error)
        self.drain()
