"""The servers of the made-up world: each with a transport and a mailbox process, and their disks.

The processes of a server die one by one, or all at once with the power. What is
on their disks survives both. The notes of what may be in flight outlive a
process, not the power: of those, some are gone.

Source: architecture, "Processes".
"""

from __future__ import annotations

from holdfast.directory.model import Server
from holdfast.sim.disk import QueueDisk
from holdfast.sim.mailbox_process import MailboxDisk, MailboxProcess, PerformOperation
from holdfast.sim.process import Process
from holdfast.sim.transport_process import NodeFactory, Surroundings, TransportProcess


class MailServer:
    """One server.

    Attributes:
        name: as the organisation calls it.
        place: its IP address.
        database: its mailbox database.
    """

    def __init__(self, server: Server, database: str, queue_disk: QueueDisk) -> None:
        self.name = server.name
        self.place = server.addresses[0]
        self.database = database
        self.queue_disk = queue_disk
        self.store_disk = MailboxDisk(queue_disk.name.replace("queue", "store"))
        self.transport: TransportProcess
        self.mailbox: MailboxProcess

    def inhabit(
        self,
        surroundings: Surroundings,
        transport: NodeFactory,
        mailbox: type[MailboxProcess],
        perform: PerformOperation,
    ) -> None:
        """Give it its processes."""
        server = surroundings.organisation.server(self.name)
        assert server is not None
        self.transport = TransportProcess(surroundings, server, self.queue_disk, transport)
        self.mailbox = mailbox(
            surroundings.world,
            surroundings.network,
            surroundings.rates,
            self.database,
            self.store_disk,
            perform,
        )

    @property
    def processes(self) -> tuple[Process, ...]:
        """All its processes."""
        return (self.transport, self.mailbox)

    @property
    def up(self) -> bool:
        """Whether every process runs."""
        return self.transport.up and self.mailbox.up

    def start(self) -> None:
        """Start every process."""
        self.mailbox.start()
        self.transport.start()

    def crash(self, down_s: float) -> None:
        """Pull the plug: every process dies at once, and comes back after so long."""
        for process in self.processes:
            process.crash(down_s)
        notes, luck = self.queue_disk.in_flight, self.transport.luck
        self.queue_disk.in_flight = [number for number in notes if luck.random() < 0.5]

    def lose_disk(self, down_s: float) -> None:
        """The disk of the queue is gone, and with it the server, until there is another one."""
        self.crash(down_s)
        self.queue_disk.lose()

    def end(self) -> None:
        """It never comes back."""
        for process in self.processes:
            process.grounded = True
            process.crash()

    def jump_clock(self, span_s: float) -> None:
        """Set the clock of the machine forward, or back when negative."""
        for process in self.processes:
            process.jump_clock(span_s)

    def drift(self, rate: float) -> None:
        """Let the clock of the machine gain so many seconds in a second, before anything starts."""
        for process in self.processes:
            process.drift = rate
