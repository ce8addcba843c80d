"""One simulation: a seed and a scenario in, what came of it out.

Two phases. *Safety*: letters are sent while faults happen at drawn moments, and
nothing acknowledged may be missing or doubled at any of them. *Liveness*:
faults stop, everything that is down comes back, and within a bound every
letter must be answered and everything acknowledged be delivered.

The nodes are the very ones that the daemons run; a test may pass others
(``Parts``) to plant a bug.

Source: architecture, "The simulator"; docs/decisions/0007-simulator.md.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from holdfast.directory.model import Protect
from holdfast.kernel.ids import MailboxId
from holdfast.mailbox import service
from holdfast.node.transport import TransportNode
from holdfast.sim.checkers import MailChecker, Observer
from holdfast.sim.disk import QueueDisk
from holdfast.sim.elsewhere import Names
from holdfast.sim.faults import Faults
from holdfast.sim.mailbox_process import MailboxProcess, PerformOperation
from holdfast.sim.network import Network
from holdfast.sim.next_hops import NextHops
from holdfast.sim.organisation import make_organisation
from holdfast.sim.post import Draft, Sender, draw_letter, sender_place
from holdfast.sim.process import Process
from holdfast.sim.queue_view import QueueView
from holdfast.sim.scenario import Rates, Scenario
from holdfast.sim.schedule import EVERYTHING, Schedule
from holdfast.sim.senders import Letter
from holdfast.sim.servers import MailServer
from holdfast.sim.transport_process import Surroundings, TransportProcess
from holdfast.sim.world import EPOCH_S, Violation, World, some
from holdfast.wire import store

SETTLED_S = 60.0  # after which it is durable that answers were read
EVENT_COUNT_MAX = 400_000  # a run that needs more is stuck in a loop


@dataclass(frozen=True, slots=True)
class Parts:
    """What is simulated."""

    transport: type[TransportNode] = TransportNode
    mailbox: type[MailboxProcess] = MailboxProcess
    perform: PerformOperation = service.perform
    queue_disk: type[QueueDisk] = QueueDisk


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one simulation.

    Attributes:
        failure: the checker's sentence, or None.
        trace_hash: the digest over every event, in order.
        crash_count: how often a process was killed.
        virtual_s: how long it took in the made-up world.
        last_lines: the end of the trace.
        elsewhere_count: copies that next hops took.
        doubled_count: those of them that came once more, since nobody could know of the first.
    """

    seed: int
    scenario: str
    failure: str | None
    trace_hash: str
    event_count: int
    letter_count: int
    acknowledged_count: int
    delivered_count: int
    crash_count: int
    virtual_s: float
    last_lines: tuple[str, ...]
    elsewhere_count: int = 0
    doubled_count: int = 0


# Called before each event with its number; crashes happen there in ``crash_everywhere``.
BeforeEvent = Callable[["Simulation", int], None]


class Simulation:
    """The whole made-up world of one run."""

    def __init__(
        self,
        seed: int,
        scenario: Scenario,
        parts: Parts | None = None,
        listener: Callable[[str], None] | None = None,
        schedule: Schedule = EVERYTHING,
    ) -> None:
        parts = parts or Parts()
        self._schedule = schedule
        self.scenario = scenario
        self.world = World(seed, listener)
        self.rates: Rates = scenario.draw(self.world.luck("rates"))
        self.world.note(f"seed {seed} scenario {scenario.name} {self.rates}")
        self.organisation = make_organisation(self.rates, self.world.luck("organisation"))
        self.network = Network(self.world, self.rates)
        self.servers = self._make_servers(parts)
        queues = [QueueView(server.queue_disk, server.place, server.name) for server in self.servers]
        self.checker = MailChecker(
            self.organisation,
            queues,
            self._read_inbox,
            message_bytes_max=self.rates.message_bytes_max,
            refused_elsewhere=self._refused_elsewhere,
            limited=tuple(
                mailbox.mailbox_id
                for mailbox in self.organisation.mailboxes
                if mailbox.quota_bytes is not None
            ),
        )
        for server, queue in zip(self.servers, queues, strict=True):
            server.transport.ended = partial(self.checker.transport_ended, queue)
            server.queue_disk.observer = Observer(self.checker, queue)
        self._queues = dict(zip([server.name for server in self.servers], queues, strict=True))
        self.hops = NextHops(self.world, self.network, self.rates, self.checker.taken_elsewhere)
        self.faults = Faults(self, schedule)
        self.senders = [
            Sender(
                sender_place(index),
                self.world,
                self.network,
                self.rates,
                self.checker.acknowledged,
                self.checker.repeated,
            )
            for index in range(max(1, self.rates.sender_count))
        ]
        self._letters: list[str] = []
        self._posting_count = 0
        by_database = {server.database: server.mailbox for server in self.servers}
        self._holders = {each.mailbox_id: by_database[each.database] for each in self.organisation.mailboxes}

    def _make_servers(self, parts: Parts) -> list[MailServer]:
        surroundings = Surroundings(
            self.world, self.network, self.rates, self.organisation, Names(self.world, self.rates)
        )
        databases = {each.server: each.name for each in self.organisation.mailbox_databases}
        servers = []
        for each in self.organisation.servers:
            name = f"queue disk {each.name}" if len(self.organisation.servers) > 1 else "queue disk"
            disk = parts.queue_disk(self.organisation.duplicate_memory_s, name)
            server = MailServer(each, databases[each.name], disk)
            server.inhabit(surroundings, parts.transport, parts.mailbox, parts.perform)
            servers.append(server)
        return servers

    @property
    def transport(self) -> TransportProcess:
        """The transport process of the first server."""
        return self.servers[0].transport

    @property
    def mailbox(self) -> MailboxProcess:
        """The mailbox process of the first server."""
        return self.servers[0].mailbox

    @property
    def processes(self) -> list[Process]:
        """Every process of every server."""
        return [process for server in self.servers for process in server.processes]

    def _read_inbox(self, mailbox_id: MailboxId, after_uid: int) -> tuple[list[store.StoredMessage], int]:
        return self._holders[mailbox_id].read_inbox(mailbox_id, after_uid)

    def disk_lost(self, server: MailServer, down_s: float) -> None:
        """A server loses its disk and is down for a while."""
        server.crash(down_s)
        self.checker.disk_lost(self._queues[server.name])
        server.lose_disk(down_s)

    def dead(self, server: MailServer) -> None:
        """A server never comes back, and the others are told."""
        self.world.note(f"fault: server {server.name} is dead for ever")
        server.end()
        self.checker.disk_lost(self._queues[server.name])
        self._queues[server.name].gone = True
        self.checker.dead(server.name)
        for other in self.servers:
            if other is not server:
                self._declare_until_heard(other, server.name)

    @property
    def left_alone_takes_nothing(self) -> bool:
        """Whether a copy is required and one server is not enough for it."""
        connectors = self.organisation.receive_connectors
        return len(self.servers) == 2 and any(each.protect is Protect.REQUIRED for each in connectors)

    def _declare_until_heard(self, server: MailServer, name: str) -> None:
        """An administrator says it, again when the server is down at the moment."""
        if server.transport.up:
            server.transport.declare_lost(name)
        else:
            self.world.after(1.0, "", partial(self._declare_until_heard, server, name))

    def sent_letters(self) -> frozenset[str]:
        """The markers of the letters that were posted, or will be."""
        return frozenset(self._letters)

    def _refused_elsewhere(self, recipient: str) -> bool:
        return recipient in self.hops.memory.refused

    def run(self, before_event: BeforeEvent | None = None) -> Result:
        """Live through both phases, with every check."""
        failure: str | None = None
        try:
            self._live(before_event)
        except Violation as violation:
            failure = str(violation)
        except Exception as error:  # noqa: BLE001  # any exception of a room is a finding, with its place
            place = traceback.extract_tb(error.__traceback__)[-1]
            failure = f"{type(error).__name__} in {place.name}, line {place.lineno}: {error}"
            for line in traceback.format_exc().splitlines()[-30:]:
                self.world.note(line.split("/src/")[-1])
        return Result(
            seed=self.world.seed,
            scenario=self.scenario.name,
            failure=failure,
            trace_hash=self.world.trace_hash,
            event_count=self.world.event_count,
            letter_count=len(self._letters),
            acknowledged_count=self.checker.acknowledged_count,
            delivered_count=self.checker.delivered_count,
            elsewhere_count=self.checker.acceptances.copy_count,
            doubled_count=self.checker.acceptances.doubled_count,
            crash_count=sum(process.crash_count for process in self.processes),
            virtual_s=self.world.elapsed_s,
            last_lines=tuple(self.world.last_lines),
        )

    def _live(self, before_event: BeforeEvent | None) -> None:
        for server in self.servers:
            server.start()
        self._post_letters()
        self.faults.begin()
        safety_until = EPOCH_S + self.rates.safety_s
        while self._step(safety_until, before_event):
            if self._all_done():
                break
        self.world.note("faults stop")
        self.faults.stop()
        for sender in self.senders:
            sender.grow_calm()
        until = self.world.now + self.rates.liveness_s
        while not self._all_done() and self._step(until, before_event):
            pass
        settled_at = self.world.now + SETTLED_S
        while self._step(settled_at, before_event):
            pass
        idle_at = self.world.now + SETTLED_S  # it may just be writing down what a time-out of minutes told it
        while self._first_busy() is not None and self._step(idle_at, before_event):
            pass
        self.world.note("the end")
        self.checker.check_end()
        self.checker.check_refusals()
        left_over = self.checker.copies.left_over()
        if left_over is not None:
            raise Violation(f"long after the last fault {left_over}")
        busy = self._first_busy()
        if busy is not None:
            raise Violation(f"the {busy} is not idle though everything is finished and nobody is connected")

    def _first_busy(self) -> str | None:
        """The first transport process that has something open or under way."""
        for server in self.servers:
            if not self._queues[server.name].gone and not server.transport.node.idle():
                return server.transport.name
        return None

    def _step(self, until: float, before_event: BeforeEvent | None) -> bool:
        if before_event is not None:
            before_event(self, self.world.event_count)
        if self.world.event_count > EVENT_COUNT_MAX:
            raise Violation(f"more than {EVENT_COUNT_MAX} events, the end is not in sight")
        return self.world.step(until)

    def _all_done(self) -> bool:
        """Whether there is nothing left to happen that matters."""
        return (
            not self._posting_count
            and all(sender.finished for sender in self.senders)
            and all(
                self._queues[server.name].gone
                or (server.up and not server.queue_disk.messages and server.transport.at_rest())
                for server in self.servers
            )
            and self.checker.copies.left_over() is None
        )

    def _post(self, sender: Sender, letter: Letter) -> None:
        self._posting_count -= 1
        sender.post(letter)

    def _post_letters(self) -> None:
        luck = self.world.luck("letters")
        draft = Draft(luck, self.rates, self.organisation)
        for index, sender in enumerate(self.senders):
            at_s = 0.0
            for number in range(max(1, self.rates.letter_count)):
                at_s += some(luck, self.rates.letter_every_s)
                letter = draw_letter(draft, f"L{index}-{number}")
                if not self._schedule.sends(letter.marker):
                    continue
                self.checker.posted(letter)
                self._letters.append(letter.marker)
                self._posting_count += 1
                self.world.after(at_s, "", partial(self._post, sender, letter))


def simulate(
    seed: int,
    scenario: Scenario,
    parts: Parts | None = None,
    listener: Callable[[str], None] | None = None,
    schedule: Schedule = EVERYTHING,
) -> Result:
    """Run one simulation; the same arguments give the same result, to the last event."""
    return Simulation(seed, scenario, parts, listener, schedule).run()


def crash_everywhere(seed: int, scenario: Scenario, parts: Parts | None = None) -> Iterator[Result]:
    """Run a scenario once undisturbed, then once more per event and process, killed right before that event.

    Stops after the first failure.
    """
    undisturbed = simulate(seed, scenario, parts)
    yield undisturbed
    if undisturbed.failure is not None:
        return
    for at in range(undisturbed.event_count):
        simulation = Simulation(seed, scenario, parts)
        for index in range(len(simulation.processes)):
            result = _crash_at(simulation, at, index)
            yield result
            if result.failure is not None:
                return
            simulation = Simulation(seed, scenario, parts)


def _crash_at(simulation: Simulation, at: int, index: int) -> Result:
    """Kill one of the processes right before an event."""

    def before_event(simulation: Simulation, event_number: int) -> None:
        if event_number == at:
            simulation.processes[index].crash()
            simulation.checker.check_durable()

    return simulation.run(before_event)
