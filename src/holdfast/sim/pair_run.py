"""One simulation of two failover partners and their clients: a seed and a scenario in, what came of it out.

Two phases as with one server: *safety*, in which anything may happen; then
faults stop, clocks are set right, both machines run, and within a bound the two
are in NORMAL, know the same, and everybody has an address, if there are enough.
Most runs end as soon as that is so; some go on to the bound.

Source: architecture, "The simulator"; docs/decisions/0025.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address

from holdfast.dhcp.failover_bindings import AGAIN_MAX_S
from holdfast.dhcp.failover_states import MAY_TAKE_OVER, State
from holdfast.dhcp.replies import Reply, Where
from holdfast.directory.dhcp import DhcpServer, Scope
from holdfast.directory.failover import FailoverMode, FailoverRelationship
from holdfast.directory.model import Organisation
from holdfast.kernel.iprange import IPRange, parse_ip_range
from holdfast.node.failover import Command
from holdfast.sim.dhcp_clients import Client
from holdfast.sim.pair_changes import Administrator
from holdfast.sim.pair_checker import PairChecker
from holdfast.sim.pair_machine import RELATIONSHIP, MakePairNode, PairMachine, make_pair_node, partner_address
from holdfast.sim.pair_rates import ChangedRates, PairRates, draw_pair_rates
from holdfast.sim.pair_watch import PairWatch
from holdfast.sim.pair_wire import PairWire
from holdfast.sim.world import EPOCH_S, Violation, World, some

FIRST_ADDRESS = int(IPv4Address("10.0.1.0"))
EVENT_COUNT_MAX = 3_000_000  # a run that needs more is stuck in a loop
LOOK_EVERY_S = 5.0
QUIET_S = 150.0  # without clients, in the end: what is under way arrives, what was refused is said again
QUIET_LEAST_S = 10.0
LONG_RATE = 0.8


@dataclass(frozen=True, slots=True)
class PairResult:
    """What came of one simulation; ``failure`` is the checker's sentence, or None."""

    seed: int
    scenario: str
    failure: str | None
    trace_hash: str
    event_count: int
    client_count: int
    lease_count: int
    renewal_count: int
    admitted_count: int
    crash_count: int
    virtual_s: float
    last_lines: tuple[str, ...]


BeforeEvent = Callable[["PairSimulation", int], None]


class PairSimulation:
    """The whole made-up world of one run."""

    def __init__(
        self,
        seed: int,
        scenario: str,
        *,
        make_node: MakePairNode = make_pair_node,
        listener: Callable[[str], None] | None = None,
    ) -> None:
        self.scenario = scenario
        self.world = World(seed, listener)
        self.rates: PairRates = draw_pair_rates(scenario, self.world.luck("rates"))
        self.world.note(f"seed {seed} scenario {scenario} {self.rates}")
        self._luck = self.world.luck("faults")
        self._network_luck = self.world.luck("network")
        self._stopped = False
        self._is_quiet = False
        self.wire = PairWire(self.world, self.rates.link_delay_s)
        self.checker = PairChecker(self.world, self.rates.mclt_s, self.rates.receive_timeout_s)
        organisation = organisation_of(self.rates)
        self.machines = [
            PairMachine(
                self.world, self.rates, organisation, number, partial(self._from_server, number), self.wire
            )
            for number in (1, 2)
        ]
        for machine in self.machines:
            machine.make_pair_node = make_node
            machine.recorded = self.checker.recorded
            machine.squatted = self._is_squatted
        self.clients = [
            Client(number, self.world, self.rates, self._from_client, self.checker)
            for number in range(self.rates.client_count)
        ]
        self._squatted = {
            FIRST_ADDRESS + at
            for at in range(pool_size(self.rates))
            if self._luck.random() < self.rates.squatter_rate
        }
        for client in self.clients:
            client.squatted = self._is_squatted
        self._unheard: set[int] = set()  # servers that clients do not reach
        self._mute: set[int] = set()  # servers that do not reach clients
        self.administrator: Administrator | None = None
        if isinstance(self.rates, ChangedRates):
            self.administrator = Administrator(
                self.world, self.rates, organisation, self.machines, self.checker, self._cut
            )  # fmt: skip
        self.watch = PairWatch(self.world, self.rates, self.machines, self.clients, len(self._squatted))

    def _is_squatted(self, address: int) -> bool:
        return address in self._squatted

    # --- the clients' wire ---------------------------------------------------------------------

    def _carry(self, deliver: Callable[[], None]) -> None:
        """Lose, double and delay what is sent; each copy takes its own time, so order is not kept."""
        luck, rates = self._network_luck, self.rates
        if self._is_quiet:
            return
        if self._stopped:
            self.world.after(0.001, "", deliver)
            return
        if luck.random() < rates.loss_rate:
            return
        for _ in range(2 if luck.random() < rates.doubled_rate else 1):
            self.world.after(some(luck, rates.delay_s), "", deliver)

    def _from_client(self, client: Client, data: bytes, to_server: bool) -> None:
        source = client.address.to_bytes(4, "big")
        for machine in self.machines:
            if to_server and client.server_id != machine.link.address:
                continue
            if machine.number not in self._unheard:
                self._carry(partial(machine.receive, data, unicast=to_server, source=source))

    def _from_server(self, number: int, reply: Reply) -> None:
        if number in self._mute:
            return
        hardware = reply.data[28:34]
        for client in self.clients:
            if reply.where is Where.CLIENT:
                if client.address == int.from_bytes(reply.address, "big"):
                    self._carry(partial(client.heard, reply.data))
            elif client.hardware == hardware:
                self._carry(partial(client.heard, reply.data))

    # --- faults ----------------------------------------------------------------------------------

    def _again(self, every_s: float, fault: Callable[[], None]) -> None:
        if every_s <= 0:
            return

        def happen() -> None:
            if not self._stopped:
                fault()
                self._again(every_s, fault)

        self.world.after(some(self._luck, every_s), "", happen)

    def _any(self) -> PairMachine:
        return self.machines[self._luck.randrange(2)]

    def _other(self, machine: PairMachine) -> PairMachine:
        return self.machines[2 - machine.number]

    def crash(self, machine: PairMachine, *, power: bool = False, restart_s: float | None = None) -> None:
        """Kill a server, and look whether its promises are on its disk."""
        what = "loses its power" if power else "dies"
        self.world.note(f"{machine.name} {what}")
        wait_s = some(self._luck, self.rates.restart_s) if restart_s is None else restart_s
        self.watch.disturbed(machine, wait_s)
        machine.crash(wait_s, power=power)
        self.checker.check_durable(machine)

    def _crash(self, *, power: bool) -> None:
        self.crash(self._any(), power=power)

    def _lose_disk(self) -> None:
        self._burn(self._any())

    def _burn_unheard(self) -> None:
        """The disk of a server is lost with what it leased while its partner did not hear it."""
        machine, span_s = self._any(), some(self._luck, self.rates.cut_s)
        self._cut(span_s)

        def burn() -> None:
            if not self._stopped:
                self._burn(machine)

        self.world.after(span_s, "", burn)

    def _burn(self, machine: PairMachine) -> None:
        if self.checker.leased_alone(machine):
            return  # what it leased in PARTNER-DOWN nobody else knows
        if self.administrator is not None and not all(each.shares for each in self.machines):
            return  # nor what it leases alone because the scope has left
        if self._other(machine).state not in (
            State.NORMAL,
            State.COMMUNICATIONS_INTERRUPTED,
            State.PARTNER_DOWN,
        ):
            return  # nobody would know anything any more
        if self._other(machine).lost_disk_at > self.world.now - 3 * self.rates.mclt_s:
            return
        self.crash(machine, power=True)
        machine.lose_disk()

    def _stop(self) -> None:
        machine = self._any()
        self.world.note(f"{machine.name} is restarted")
        wait_s = some(self._luck, self.rates.restart_s)
        self.watch.disturbed(machine, wait_s)
        machine.stop_cleanly(wait_s)
        self.checker.check_durable(machine)

    def _cut(self, span_s: float | None = None) -> None:
        numbers = {1, 2}
        if self._luck.random() < self.rates.one_way_rate:
            numbers = {self._any().number}
        self.world.note(
            f"nothing of its partner reaches {', '.join(f'ns{each}' for each in sorted(numbers))}"
        )
        self.wire.cut |= numbers

        def heal() -> None:
            self.world.note("the partners reach each other")
            self.wire.cut.clear()

        self.world.after(some(self._luck, self.rates.cut_s) if span_s is None else span_s, "", heal)

    def _deafen(self) -> None:
        """Clients and one of the servers lose each other, in one direction or both."""
        machine, ways = self._any(), self._luck.randrange(3)
        number, span_s = machine.number, some(self._luck, self.rates.deaf_s)
        what = ("does not hear clients", "is not heard by clients", "and clients do not hear each other")[
            ways
        ]
        self.world.note(f"{machine.name} {what}")
        self.watch.disturbed(machine, span_s)
        deaf, mute = ways != 1, ways != 0
        self._unheard |= {number} if deaf else set()
        self._mute |= {number} if mute else set()

        def heal() -> None:
            self.world.note(f"{machine.name} and clients hear each other")
            self._unheard.discard(number)
            self._mute.discard(number)

        self.world.after(span_s, "", heal)

    def _set_clock(self) -> None:
        machine = self._any()
        if abs(machine.wall_ahead_s) > 60 or self._luck.random() < 0.3:
            self.world.note(f"the clock of {machine.name} is set right")
            machine.right_clock()
            return
        step_s = self._luck.uniform(-1.0, 1.0) * self.rates.clock_s
        self.world.note(f"the clock of {machine.name} is set by {step_s:.1f} s")
        machine.set_wall_clock(step_s)

    def _fill_disk(self) -> None:
        machine = self._any()
        machine.full_until = self.world.now + some(self._luck, self.rates.full_s)
        self.watch.disturbed(machine, machine.full_until - self.world.now)
        self.world.note(f"the disk of {machine.name} is full")

    def _slow_disk(self) -> None:
        machine = self._any()
        machine.slow_until = self.world.now + some(self._luck, self.rates.slow_s)
        self.watch.disturbed(machine, machine.slow_until - self.world.now)
        self.world.note(f"the disk of {machine.name} is slow")

    def _outage(self) -> None:
        """A server is away for long, and an administrator says so to the other one."""
        rates, luck = self.rates, self._luck
        machine = self._any()
        away_s = luck.uniform(0.5, 1.5) * rates.outage_mclt * rates.mclt_s + 10.0
        is_parted, is_eager = luck.random() < rates.parted_rate, luck.random() < rates.eager_rate
        parted_s = luck.uniform(0.0, 2 * rates.mclt_s) if is_parted else 0.0
        say_s = luck.uniform(0.0, 2.0 if is_eager else away_s / 2)

        def go_down() -> None:
            if self._stopped:
                return
            self.crash(machine, power=True, restart_s=away_s)
            life = machine.crash_count

            def say() -> None:
                if not machine.up and machine.crash_count == life:
                    self._take_over(self._other(machine))

            self.world.after(say_s, "", say)

        if is_parted:
            self._cut(parted_s)
        self.world.after(parted_s, "", go_down)

    def _take_over(self, machine: PairMachine) -> None:
        self.world.note(f"{machine.name} is told that its partner is down")
        machine.command(Command.PARTNER_DOWN)

    def _wrong(self) -> None:
        machine = self._any()
        self.world.note(
            f"{machine.name} is told that its partner is down, which is not so, as far as one knows"
        )
        # By force also while the partner speaks; not while the own database may be empty: that has no bounds.
        force = self._luck.random() < 0.3 and machine.state in MAY_TAKE_OVER
        machine.command(Command.PARTNER_DOWN, force=force)

    # --- the run -----------------------------------------------------------------------------------

    def run(self, before_event: BeforeEvent | None = None) -> PairResult:
        """Run both phases."""
        failure = None
        try:
            self._run(before_event)
        except Violation as violation:
            failure = str(violation)
        except Exception as error:  # noqa: BLE001 - whatever a seed makes the code do is a finding
            failure = f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-6)}"
        checker = self.checker
        return PairResult(
            self.world.seed, self.scenario, failure, self.world.trace_hash, self.world.event_count,
            len(self.clients), checker.lease_count, checker.renewal_count, checker.admitted_count,
            sum(each.crash_count for each in self.machines), round(self.world.elapsed_s, 3),
            tuple(self.world.last_lines),
        )  # fmt: skip

    def _run(self, before_event: BeforeEvent | None) -> None:
        rates = self.rates
        for machine in self.machines:
            machine.start()
        for client in self.clients:
            self.world.after(some(self._luck, min(30.0, rates.people_every_s)), "", client.live)
        self._again(rates.crash_every_s, partial(self._crash, power=False))
        self._again(rates.power_every_s, partial(self._crash, power=True))
        self._again(rates.full_every_s, self._fill_disk)
        self._again(rates.slow_every_s, self._slow_disk)
        self._again(rates.clock_every_s, self._set_clock)
        self._again(rates.cut_every_s, self._cut)
        self._again(rates.deaf_every_s, self._deafen)
        self._again(rates.disk_every_s, self._lose_disk)
        self._again(rates.burnt_every_s, self._burn_unheard)
        self._again(rates.stop_every_s, self._stop)
        self._again(rates.outage_every_s, self._outage)
        self._again(rates.wrong_every_s, self._wrong)
        if self.administrator is not None:
            self.administrator.begin()
        self._until(EPOCH_S + rates.safety_s, before_event, watched=True)
        self._grow_calm()
        end = self.world.now + self._bound_s()
        while self.world.now < end and (rates.long_rate > LONG_RATE or not self._is_well()):
            self._until(min(end, self.world.now + LOOK_EVERY_S), before_event, watched=True)
        if self._has_enough():
            # Who declined everything is put off for ten minutes, and all that it declined is free again.
            self.checker.check_served(
                client
                for client in self.clients
                if not any(machine.puts_off(client.hardware) for machine in self.machines)
            )
        for machine in self.machines:
            self.checker.check_durable(machine)
        self._is_quiet = True
        # Where neither takes the other's word about an address, until the lease ends; then it is said again.
        end = self.world.now + QUIET_S + 1.5 * rates.lease_s + AGAIN_MAX_S
        self._until(self.world.now + QUIET_LEAST_S, before_event)
        # Leases end at any time, and that is told as well.
        while True:
            try:
                self._check_end()
                break
            except Violation:
                if self.world.now >= end:
                    raise
                self._until(self.world.now + 1.0, before_event)

    def _is_well(self) -> bool:
        """Whether everything is as it should be in the end."""
        served = not self._has_enough() or all(client.address for client in self.clients)
        if self.administrator is not None:
            served = served and not self.administrator.is_busy
            if self._is_alone:
                return served
            served = served and all(each.shares for each in self.machines)
        return served and all(each.up and each.state == State.NORMAL for each in self.machines)

    @property
    def _is_alone(self) -> bool:
        """Whether the scope has left, and stays so."""
        return self.administrator is not None and self.administrator.keeper is not None

    def _check_end(self) -> None:
        if self._is_alone:
            self.checker.check_alone(self.machines)
        else:
            self.checker.check_together(self.machines)

    def _until(self, instant: float, before_event: BeforeEvent | None, *, watched: bool = False) -> None:
        while self.world.now < instant:
            if watched and self.world.now >= self.watch.look_at:
                self.watch.look()
            if before_event is not None:
                before_event(self, self.world.event_count)
            if not self.world.step(instant):
                return
            if self.world.event_count > EVENT_COUNT_MAX:
                raise Violation(f"more than {EVENT_COUNT_MAX} events: something is stuck in a loop")

    def _grow_calm(self) -> None:
        self.world.note("faults stop")
        self._stopped = True
        self._squatted.clear()
        self._unheard.clear()
        self._mute.clear()
        self.wire.cut.clear()
        self.wire.delay_s = min(self.wire.delay_s, 0.05)
        if self.administrator is not None:
            self.administrator.grow_calm()
        for machine in self.machines:
            machine.full_until = machine.slow_until = 0.0
            machine.start()
            machine.right_clock()
            self.watch.disturbed(machine, 0.0)
        for client in self.clients:
            client.calm = True

    def _bound_s(self) -> float:
        """What everybody needs at most: a recovery, and the leases of who went away."""
        rates = self.rates
        return (
            rates.liveness_s + 2 * rates.lease_s + 6 * rates.mclt_s + rates.offer_s + rates.decline_s
            + rates.people_every_s * 4
        )  # fmt: skip

    def _has_enough(self) -> bool:
        return pool_size(self.rates) >= len(self.clients)


def pool_size(rates: PairRates) -> int:
    """How many addresses there are."""
    return max(1, int(rates.client_count * rates.pool_share))


def organisation_of(rates: PairRates) -> Organisation:
    """Two servers that share one scope."""
    last = FIRST_ADDRESS + pool_size(rates) - 1
    scope = Scope(
        "wire",
        parse_ip_range("10.0.0.0/16"),
        "ns1",
        IPRange(IPv4Address(FIRST_ADDRESS), IPv4Address(last)),
        lease_s=rates.lease_s,
    )
    servers = tuple(
        DhcpServer(name, offer_s=rates.offer_s, decline_s=rates.decline_s, probe_count=0)
        for name in ("ns1", "ns2")
    )
    relationship = FailoverRelationship(
        RELATIONSHIP,
        ("ns1", "ns2"),
        ("wire",),
        mode=FailoverMode.HOT_STANDBY if rates.standby_rate > 0.5 else FailoverMode.LOAD_BALANCE,
        split_percent=rates.split_percent,
        reserve_percent=rates.reserve_percent,
        mclt_s=rates.mclt_s,
        switch_over_s=rates.switch_over_s,
        receive_timeout_s=rates.receive_timeout_s,
        addresses=(partner_address(1), partner_address(2)),
    )
    return Organisation(scopes=(scope,), dhcp_servers=servers, failover_relationships=(relationship,))


def simulate_pair(seed: int, scenario: str = "dhcp-pair") -> PairResult:
    """Run one seed of a scenario."""
    return PairSimulation(seed, scenario).run()
