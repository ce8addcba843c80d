"""One of two failover partners of the made-up world: a machine with a drifting clock and a disk to lose."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from holdfast.dhcp.desk import Link
from holdfast.dhcp.failover_declared import declared_settings
from holdfast.dhcp.failover_pools import free_counts, surplus
from holdfast.dhcp.failover_record import Agreed, Departed, Record, Remembered, Span, read_spans
from holdfast.dhcp.failover_states import State
from holdfast.dhcp.lease import BACKUP, Lease
from holdfast.dhcp.replies import Reply
from holdfast.directory.model import Organisation
from holdfast.kernel.errors import Refusal
from holdfast.node.dhcp import CommitLeases, DhcpNode, DhcpOutput
from holdfast.node.failover import Command, Dial, HangUp, SendToPartner
from holdfast.sim.dhcp_machine import Machine
from holdfast.sim.dhcp_rates import DhcpRates
from holdfast.sim.pair_wire import PairWire
from holdfast.sim.world import World

MakePairNode = Callable[[Organisation, str, list[Lease], list[Remembered], float], DhcpNode]
WORD = "known to both"
RELATIONSHIP = "pair"
APART_S = 20.0  # how far the two wall clocks are apart from the start, at most


def make_pair_node(
    organisation: Organisation,
    name: str,
    leases: list[Lease],
    records: list[Remembered],
    alive_at: float,
) -> DhcpNode:
    """A server as it is."""
    return DhcpNode(organisation, name, leases, failover=records, alive_at=alive_at)


class PairMachine(Machine):
    """One of the two.

    Attributes:
        records: what is durable of the relationship, by name.
        departed: what is durable of a scope that has left, by its addresses.
        agreed: what is durable of the reservations that both had.
        is_behind: whether the process has still to go by what an administrator changed.
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
        self.departed: dict[Span, Departed] = {}
        self.agreed: dict[str, Agreed] = {}
        self.is_behind = False
        self.make_pair_node: MakePairNode = make_pair_node
        self.recorded: Callable[[PairMachine, Record], None] = lambda machine, record: None
        self._wire = wire
        self._luck = world.luck(f"machine {number}")
        self._rate = 1.0 + self._luck.uniform(-1.0, 1.0) * drift_rate
        self._wall_ahead_s = self._luck.uniform(-1.0, 1.0) * APART_S
        self._booted_at = world.now - self._luck.uniform(0, 1e5)
        self.has_secret = getattr(rates, "secret_rate", 0.0) > 0.5
        self.lost_disk_at = float("-inf")
        self.left_at = float("-inf")  # when it last went by it that the scope is no more its own
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
        records: list[Remembered] = [*self.records.values(), *self.departed.values(), *self.agreed.values()]
        node = self.make_pair_node(
            self._organisation, self.name, list(self.disk.values()), records, alive_at
        )  # fmt: skip
        node.failover.clock_offset_s = self._wall - self.lease_now()
        self._follow(node)
        return node

    def _follow(self, node: DhcpNode) -> None:
        secret = WORD if self.has_secret else None
        settings = declared_settings(self._organisation, self.name, lambda _: secret)
        node.failover.follow(self.lease_now(), settings)
        self.is_behind = False
        if not self._organisation.scopes_of(self.name):
            self.left_at = self._world.now

    def change(self, organisation: Organisation) -> None:
        """An administrator changed the organisation; the process goes by it between two commits."""
        self._organisation = organisation
        self.is_behind = self._node is not None
        self._catch_up()

    def _catch_up(self) -> None:
        if self.is_behind and self._node is not None and self._committing is None:
            self._node.organisation_changed(self.lease_now(), self._organisation)
            self._follow(self._node)
            self._drain()

    def _commit_ends(self, life: int, took_s: float) -> None:
        super()._commit_ends(life, took_s)
        self._catch_up()

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
        self.departed.clear()
        self.agreed.clear()
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
            if isinstance(record, Departed):
                self._keep_departed(record)
                continue
            if isinstance(record, Agreed):
                self.agreed[record.relationship] = record
                if not record.version:
                    del self.agreed[record.relationship]
                continue
            before = self.state
            if record.state:
                self.records[record.relationship] = record
            else:
                self.records.pop(record.relationship, None)  # it may never have been written down
            if record.state and record.state != before:
                self._world.note(f"{self.name} is in {State(record.state).text}")
            self.recorded(self, record)

    def _keep_departed(self, departed: Departed) -> None:
        span = (departed.first, departed.last)
        if departed.since:
            self.departed[span] = departed
        else:
            self.departed.pop(span, None)  # it may be over before it was written down
        self._world.note(f"{self.name} has {'left' if departed.since else 'done with leaving'}")

    # --- what the administrator and the checkers see -------------------------------------------------

    @property
    def _shared(self) -> list[Span]:
        return [span for each in self.records.values() for span in read_spans(each.shared)]

    @property
    def has_left(self) -> bool:
        """Whether it is written down that the scope is shared with nobody."""
        return not self._shared and not self.is_behind

    @property
    def has_lost(self) -> bool:
        """Whether it lost its disk, and was not told everything since."""
        wanted = any(each.wanted or each.everything_wanted for each in self.records.values())
        return self.lost_disk_at > float("-inf") and (wanted or not self.records)

    @property
    def shares(self) -> bool:
        """Whether it shares the scope, and was told all of it."""
        wanted = any(each.wanted or each.everything_wanted for each in self.records.values())
        return bool(self._shared) and not wanted and not self.is_behind

    @property
    def reserved_addresses(self) -> set[int]:
        """The addresses that are not for everybody."""
        scopes = () if self._node is None else self._node.server.table.scopes
        return {address for scope in scopes for address in scope.served.reserved}

    def has_room(self, squatted_count: int) -> bool:
        """Whether it serves new clients and has an address of its own that nobody was offered."""
        node = self._node
        if node is None or not node.server.table.scopes:
            return False
        (scope,) = node.server.table.scopes
        authority = node.server.chooser.authority(scope)
        if not authority.leases(self.lease_now()):
            return False
        primarys, secondarys = free_counts(scope)
        own = primarys if authority.free_status != BACKUP else secondarys
        if authority.fresh and authority.free_status == BACKUP:
            own += primarys  # after PARTNER-DOWN and MCLT
        return own > len(scope.offers) + squatted_count

    def puts_off(self, hardware: bytes) -> bool:
        """Whether a client gets no offer for a while, since it declined one address after the other."""
        node = self._node
        return node is not None and node.server.declines.is_put_off(self.lease_now(), b"\x01" + hardware)

    def misbalance(self) -> str | None:
        """What is wrong with the shares of the free addresses; None when nothing is."""
        endpoint = None if self._node is None else self._node.failover.endpoints.get(RELATIONSHIP)
        if endpoint is None:
            return None
        primary = endpoint.settings.primary
        if not endpoint.pools.scopes:
            return f"{self.name} shares nothing yet"
        count = surplus(free_counts(endpoint.pools.scopes[0]), endpoint.percent, primary=primary)
        return f"{self.name} has {count} free addresses more than its share" if count else None

    def in_world(self, instant: float) -> float:
        """An instant of this machine's leases by the world's clock, as its clock goes now."""
        return self._world.now + (instant - self.lease_now()) / self._rate


def partner_address(number: int) -> str:
    """Where a server is reached by its partner."""
    return f"10.9.0.{number}"
