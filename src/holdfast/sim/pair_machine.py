"""One of two failover partners of the made-up world: a machine with a drifting clock and a disk to lose."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from holdfast.dhcp.desk import Link
from holdfast.dhcp.failover_declared import declared_settings
from holdfast.dhcp.failover_pools import free_counts, surplus
from holdfast.dhcp.failover_record import Record
from holdfast.dhcp.failover_states import SERVES, Serves, State
from holdfast.dhcp.lease import Lease
from holdfast.dhcp.replies import Reply
from holdfast.directory.model import Organisation
from holdfast.kernel.errors import Refusal
from holdfast.node.dhcp import CommitLeases, DhcpNode, DhcpOutput
from holdfast.node.failover import Command, Dial, HangUp, SendToPartner
from holdfast.sim.dhcp_machine import Machine
from holdfast.sim.dhcp_rates import DhcpRates
from holdfast.sim.pair_wire import PairWire
from holdfast.sim.world import World

MakePairNode = Callable[[Organisation, str, list[Lease], list[Record], float], DhcpNode]
WORD = "known to both"
RELATIONSHIP = "pair"
APART_S = 20.0  # how far the two wall clocks are apart from the start, at most


def make_pair_node(
    organisation: Organisation, name: str, leases: list[Lease], records: list[Record], alive_at: float
) -> DhcpNode:
    """A server as it is."""
    return DhcpNode(organisation, name, leases, failover=records, alive_at=alive_at)


class PairMachine(Machine):
    """One of the two.

    Attributes:
        records: what is durable of the relationship, by name.
        state: the state that is durable; 0 for none.
    """

    tick_s = 0.25
    look_s_max = 1.0  # nothing is due before: half of a run's time went into looking

    def __init__(
        self,
        world: World,
        rates: DhcpRates,
        organisation: Organisation,
        number: int,
        send: Callable[[Reply], None],
        wire: PairWire,
    ) -> None:
        drift_rate: float = getattr(rates, "drift_rate", 0.0)
        super().__init__(world, rates, organisation, send)
        self.number = number
        self.name = f"ns{number}"
        self.link = Link(1, "eth0", 0x0A000000 + number)
        self.records: dict[str, Record] = {}
        self.make_pair_node: MakePairNode = make_pair_node
        self.recorded: Callable[[PairMachine, Record], None] = lambda machine, record: None
        self._wire = wire
        self._luck = world.luck(f"machine {number}")
        self._rate = 1.0 + self._luck.uniform(-1.0, 1.0) * drift_rate
        self._wall_ahead_s = self._luck.uniform(-1.0, 1.0) * APART_S
        self._booted_at = world.now - self._luck.uniform(0, 1e5)
        self.has_secret = getattr(rates, "secret_rate", 0.0) > 0.5
        self.lost_disk_at = float("-inf")
        wire.ends[number] = self

    @property
    def _monotonic(self) -> float:
        return (self._world.now - self._booted_at) * self._rate

    @property
    def _wall(self) -> float:
        # A machine's wall clock goes as its crystal does; time servers keep it near the others'.
        return self._world.now + self._wall_ahead_s

    @property
    def wall_ahead_s(self) -> float:
        """How wrong the wall clock is."""
        return self._wall_ahead_s

    def set_wall_clock(self, step_s: float) -> None:
        """Somebody sets the wall clock, in either direction only while that can be written down.

        A clock of leases that is late is no danger to a server alone. Of two it makes what was long ago look
        as if it had been since.
        """
        if self.up and self._world.now >= self.full_until:
            super().set_wall_clock(step_s)

    def right_clock(self) -> None:
        """Somebody sets the clock right."""
        self.set_wall_clock(-self._wall_ahead_s)

    @property
    def state(self) -> int:
        """What is durable."""
        record = self.records.get(RELATIONSHIP)
        return 0 if record is None else record.state

    # --- life and death --------------------------------------------------------------------------

    def _new_node(self) -> DhcpNode:
        alive_at = 0.0 if self.mark is None else self.mark.node_at
        organisation, records = self._organisation, list(self.records.values())
        node = self.make_pair_node(organisation, self.name, list(self.disk.values()), records, alive_at)
        node.failover.clock_offset_s = self._wall - self.lease_now()
        secret = WORD if self.has_secret else None
        node.failover.follow(self.lease_now(), declared_settings(organisation, self.name, lambda _: secret))
        return node

    def crash(self, restart_s: float, *, power: bool = False) -> None:
        """The process dies, or the power goes."""
        if self.up:
            (self._wire.power_lost if power else self._wire.process_died)(self.number)
        super().crash(restart_s, power=power)

    def lose_disk(self) -> None:
        """While the machine is off its disk is replaced by an empty one."""
        assert not self.up
        self.disk.clear()
        self.records.clear()
        self.mark = None
        self.lost_disk_at = self._world.now
        self._world.note(f"{self.name} lost its disk")

    def stop_cleanly(self, restart_s: float) -> None:
        """The service is restarted: the partner is told."""
        if self._node is not None:
            self._node.failover.stopping(self.lease_now())
            self._drain()
        self.crash(restart_s)

    def command(self, command: Command, *, force: bool = False) -> bool:
        """An administrator's order; whether it was taken."""
        if self._node is None or self._committing is not None:
            return False
        try:
            self._node.failover.command(self.lease_now(), RELATIONSHIP, command, force=force)
        except Refusal:
            return False
        self._drain()
        return True

    # --- what happens to the process ---------------------------------------------------------------

    def _tick(self, life: int) -> None:
        if life == self._life and self._node is not None:
            self._node.failover.clock_offset_s = self._wall - self.lease_now()
        super()._tick(life)

    def _look_again_s(self, deadline: float | None, now: float) -> float:
        if deadline is None or deadline <= now:
            return self.tick_s
        return min(max(self.tick_s, deadline - now), self.look_s_max)

    def offered(self, source: int) -> int | None:
        """The partner dials."""
        if self._node is None:
            return None
        connection = self._node.failover.accepted(self.lease_now(), partner_address(source))
        self._world.after(0.0, "", partial(self._drain_of, self._life))
        return connection

    def _drain_of(self, life: int) -> None:
        if life == self._life:
            self._drain()

    def opened(self, connection: int) -> None:
        """A connection that we dialled is there."""
        if self._node is not None:
            self._node.failover.connected(self.lease_now(), connection)
            self._drain()

    def arrived(self, connection: int, data: bytes) -> None:
        """Bytes came."""
        if self._node is not None:
            self._node.failover.received(self.lease_now(), connection, data)
            self._drain()

    def closed(self, connection: int, reason: str) -> None:
        """A connection ended."""
        if self._node is not None:
            self._node.failover.disconnected(self.lease_now(), connection, reason)
            self._drain()

    def _do(self, output: DhcpOutput) -> None:
        match output:
            case Dial():
                self._wire.dial(self, output.connection)
            case SendToPartner():
                self._wire.send(self.number, output.connection, output.data)
            case HangUp():
                self._wire.hang_up(self.number, output.connection)
            case _:
                pass

    def _store(self, output: CommitLeases) -> None:
        super()._store(output)
        for record in output.failover:
            before = self.state
            self.records[record.relationship] = record
            if record.state != before:
                self._world.note(f"{self.name} is in {State(record.state).text}")
            self.recorded(self, record)

    def has_room(self, squatted_count: int) -> bool:
        """Whether it serves new clients and has an address of its own that nobody was offered."""
        endpoint = None if self._node is None else self._node.failover.endpoints.get(RELATIONSHIP)
        if endpoint is None or SERVES[endpoint.state] not in (Serves.BALANCED, Serves.EVERYBODY):
            return False
        scope = endpoint.pools.scopes[0]
        primarys, secondarys = free_counts(scope)
        own = primarys if endpoint.settings.primary else secondarys
        if endpoint.authority.fresh and not endpoint.settings.primary:
            own += primarys  # after PARTNER-DOWN and MCLT
        return own > len(scope.offers) + squatted_count

    def misbalance(self) -> str | None:
        """What is wrong with the shares of the free addresses; None when nothing is."""
        endpoint = None if self._node is None else self._node.failover.endpoints.get(RELATIONSHIP)
        if endpoint is None:
            return None
        primary = endpoint.settings.primary
        count = surplus(free_counts(endpoint.pools.scopes[0]), endpoint.percent, primary=primary)
        return f"{self.name} has {count} free addresses more than its share" if count else None

    def in_world(self, instant: float) -> float:
        """An instant of this machine's leases by the world's clock, as its clock goes now."""
        return self._world.now + (instant - self.lease_now()) / self._rate


def partner_address(number: int) -> str:
    """Where a server is reached by its partner."""
    return f"10.9.0.{number}"
