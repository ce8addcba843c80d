"""The mailbox process of the made-up world: a real ``MailboxNode`` on a made-up disk."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

from holdfast.kernel.ids import ConnectionId, MailboxId
from holdfast.mailbox import service
from holdfast.node.mailbox import Disconnect, MailboxLog, MailboxNode, Perform, Performed, SendFrame
from holdfast.sim.disk import Job, Weather, Writer, store_writer_rates
from holdfast.sim.mailbox_tables import MemoryTables
from holdfast.sim.network import Endpoint, Network, Receiver
from holdfast.sim.process import Process
from holdfast.sim.queue_view import marker_of
from holdfast.sim.scenario import Rates
from holdfast.sim.world import Violation, World, some
from holdfast.wire import store

READ_UIDS_MAX = 100

# The operations of the mailbox role; a test may plant a bug here.
PerformOperation = Callable[[store.Operation, MemoryTables, float, random.Random], service.Performance]


@dataclass(slots=True)
class MailboxDisk:
    """One mailbox database as it lies on the disk; it survives every crash."""

    name: str = "store disk"
    weather: Weather = field(default_factory=Weather)
    tables: MemoryTables = field(default_factory=MemoryTables)
    commit_count: int = 0

    def commit(self) -> None:
        """End a transaction."""
        self.tables.commit()
        self.commit_count += 1


class _Client:
    """The mailbox process's end of a connection."""

    def __init__(self, process: MailboxProcess, client_id: ConnectionId) -> None:
        self._process = process
        self._id = client_id

    def opened(self) -> None:
        raise AssertionError("only the end that asked for a connection hears that it stands")

    def received(self, data: bytes) -> None:
        self._process.node.bytes_received(self._id, data)
        self._process.after_input()

    def ended(self) -> None:
        self._process.clients[self._id].close()

    def lost(self) -> None:
        del self._process.clients[self._id]
        self._process.node.client_lost(self._id)
        self._process.after_input()


class MailboxProcess(Process):
    """Runs a mailbox node on one mailbox database."""

    def __init__(
        self,
        world: World,
        network: Network,
        rates: Rates,
        database: str,
        disk: MailboxDisk,
        perform: PerformOperation = service.perform,
    ) -> None:
        super().__init__(f"mailbox {database}", world, network, rates)
        self.disk = disk
        self.node: MailboxNode
        self.clients: dict[ConnectionId, Endpoint] = {}
        self._perform_operation = perform
        self._operation_luck = world.luck(f"{self.name} operations")
        self._writer: Writer
        self._results: list[Performed] = []
        self._reading_count = 0
        self._client_count = 0
        self._unchanged: dict[MailboxId, tuple[tuple[int, int], int]] = {}

    def begin(self) -> None:
        rates = store_writer_rates(self.world, self.rates, self.disk.commit, self.disk.name)
        self._writer = Writer(self.world, self.disk.weather, rates, self.later, self._report)
        self._results = []
        self._reading_count = 0
        self.node = MailboxNode()
        self.network.listen(self.name, self._accept)

    def forget(self) -> None:
        self.network.listen(self.name, None)
        self._writer.crash()
        for endpoint in self.clients.values():
            endpoint.abort()
        self.clients.clear()

    def _accept(self, endpoint: Endpoint) -> Receiver | None:
        self._client_count += 1
        client_id = ConnectionId(self._client_count)
        self.clients[client_id] = endpoint
        self.node.client_connected(client_id)
        self.after_input()
        return _Client(self, client_id)

    def say_stop(self) -> None:
        self.network.listen(self.name, None)
        for endpoint in list(self.clients.values()):
            endpoint.close()

    def at_rest(self) -> bool:
        return self.node.idle() and not self._writer.busy and not self._reading_count

    def drain(self) -> None:
        while self.node.outputs:
            outputs, self.node.outputs = self.node.outputs, []
            for output in outputs:
                match output:
                    case SendFrame(client_id, frame):
                        if client_id in self.clients:
                            self.clients[client_id].send(frame)
                    case Disconnect(client_id):
                        if client_id in self.clients:
                            self.clients[client_id].close()
                    case Perform():
                        self.take(output)
                    case MailboxLog(event):
                        self.world.note(f"log {event.kind.event_id} {event.message()}")
                    case _:
                        assert_never(output)

    def take(self, asked: Perform) -> None:
        """Bring an operation to the writer or to a reader."""
        if asked.writes:
            self._writer.put(self.job(asked))
        else:
            self._reading_count += 1
            self.later(some(self.luck, 0.002), "", lambda: self._read(asked))

    def job(self, asked: Perform) -> Job:
        """What the writer does with an operation, and what is told afterwards."""
        results: list[Performed] = []

        def write() -> None:
            results.append(self._perform(asked))
            if isinstance(asked.operation, store.Deliver):
                for delivery in asked.operation.deliveries:
                    self.world.note(f"{self.disk.name} stores {marker_of(delivery.data)}")

        def failed() -> None:
            self.disk.tables.rollback()
            full = store.Refused(store.RefusalReason.UNAVAILABLE, "the disk of the mailbox database is full")
            self._results.append(Performed(asked.client_id, asked.number, full, ()))

        return Job(write, lambda: self._results.append(results[0]), failed)

    def _report(self) -> None:
        """Tell the node of a whole transaction in one call."""
        results, self._results = self._results, []
        if results:
            self.node.performed(results)
            self.after_input()

    def _read(self, asked: Perform) -> None:
        self._reading_count -= 1
        self.tell(self._perform(asked))

    def _perform(self, asked: Perform) -> Performed:
        result = self._perform_operation(
            asked.operation, self.disk.tables, self.clock() + self.clock_offset_s, self._operation_luck
        )
        return Performed(asked.client_id, asked.number, result.answer, result.touched)

    def tell(self, performed: Performed) -> None:
        """Tell the node what came of an operation."""
        self.node.performed([performed])
        self.after_input()

    def read_inbox(self, mailbox_id: MailboxId, after_uid: int) -> tuple[list[store.StoredMessage], int]:
        """What a mail client would find in an inbox above a UID, and how many messages are in it.

        Raises:
            Violation: the inbox cannot be read.
        """
        # Checkers look after every fault; mostly nothing was committed since they last looked.
        looked = (self.disk.commit_count, after_uid)
        if mailbox_id in self._unchanged and self._unchanged[mailbox_id][0] == looked:
            return [], self._unchanged[mailbox_id][1]
        folder_answer = self._ask(store.OpenFolder(mailbox_id, "INBOX", claim_recent=False))
        if not isinstance(folder_answer, store.FolderOpened):
            return [], 0  # nothing was ever delivered to it
        self._unchanged.pop(mailbox_id, None)
        uids = [state.uid for state in folder_answer.messages if state.uid > after_uid]
        messages: list[store.StoredMessage] = []
        while uids:
            asked, uids = uids[:READ_UIDS_MAX], uids[READ_UIDS_MAX:]
            answer = self._ask(
                store.FetchMessages(mailbox_id, folder_answer.folder.folder_id, asked, store.Part.ALL)
            )
            if not isinstance(answer, store.Messages) or not answer.messages:
                raise Violation(f"mailbox {mailbox_id} lists UIDs {asked} and does not give them: {answer}")
            messages += answer.messages
            if not answer.complete:
                given = answer.messages[-1].uid
                uids = [uid for uid in asked if uid > given] + uids
        if not messages:
            self._unchanged[mailbox_id] = (looked, len(folder_answer.messages))
        return messages, len(folder_answer.messages)

    def _ask(self, operation: store.Operation) -> store.Answer:
        # Luck of its own, so that looking does not change what happens.
        answer = service.perform(operation, self.disk.tables, self.clock(), random.Random(0)).answer
        self.disk.tables.rollback()  # looking at an inbox for the first time would make it
        return answer
