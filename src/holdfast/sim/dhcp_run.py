"""One simulation of a DHCP server and its clients: a seed and a scenario in, what came of it out.

Two phases as with mail: *safety*, in which anything may happen; then faults
stop, and within a bound everybody must have an address, if there are enough.

Source: architecture, "The simulator"; docs/decisions/0007-simulator.md.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address

from holdfast.dhcp.replies import Reply, Where
from holdfast.directory.dhcp import DhcpServer, Scope
from holdfast.directory.model import Organisation
from holdfast.kernel.iprange import IPRange, parse_ip_range
from holdfast.node.dhcp import DhcpNode
from holdfast.sim.dhcp_checker import DhcpChecker
from holdfast.sim.dhcp_clients import Client
from holdfast.sim.dhcp_machine import Machine, MakeNode
from holdfast.sim.dhcp_rates import DhcpRates, draw_rates
from holdfast.sim.world import EPOCH_S, Violation, World, some

FIRST_ADDRESS = int(IPv4Address("10.0.1.0"))
EVENT_COUNT_MAX = 2_000_000  # a run that needs more is stuck in a loop


@dataclass(frozen=True, slots=True)
class DhcpResult:
    """What came of one simulation; ``failure`` is the checker's sentence, or None."""

    seed: int
    scenario: str
    failure: str | None
    trace_hash: str
    event_count: int
    client_count: int
    lease_count: int
    renewal_count: int
    crash_count: int
    virtual_s: float
    last_lines: tuple[str, ...]


# Called before each event with its number.
BeforeEvent = Callable[["DhcpSimulation", int], None]


class DhcpSimulation:
    """The whole made-up world of one run."""

    def __init__(
        self,
        seed: int,
        scenario: str,
        *,
        make_node: MakeNode = DhcpNode,
        listener: Callable[[str], None] | None = None,
    ) -> None:
        self.scenario = scenario
        self.world = World(seed, listener)
        self.rates: DhcpRates = draw_rates(scenario, self.world.luck("rates"))
        self.world.note(f"seed {seed} scenario {scenario} {self.rates}")
        self._luck = self.world.luck("faults")
        self._network_luck = self.world.luck("network")
        self._stopped = False
        self.organisation = _organisation(self.rates)
        self.checker = DhcpChecker(self.world)
        self.machine = Machine(self.world, self.rates, self.organisation, self._from_server, make_node)
        self.machine.squatted = self._is_squatted
        self.clients = [
            Client(number, self.world, self.rates, self._from_client, self.checker)
            for number in range(self.rates.client_count)
        ]
        size = _pool_size(self.rates)
        self._squatted = {
            FIRST_ADDRESS + at for at in range(size) if self._luck.random() < self.rates.squatter_rate
        }
        for client in self.clients:
            client.squatted = self._is_squatted

    def _is_squatted(self, address: int) -> bool:
        return address in self._squatted

    # --- the wire --------------------------------------------------------------------------------

    def _carry(self, deliver: Callable[[], None]) -> None:
        """Lose, double and delay what is sent; each copy takes its own time, so order is not kept."""
        luck, rates = self._network_luck, self.rates
        if self._stopped:
            self.world.after(0.001, "", deliver)
            return
        if luck.random() < rates.loss_rate:
            return
        for _ in range(2 if luck.random() < rates.doubled_rate else 1):
            self.world.after(some(luck, rates.delay_s), "", deliver)

    def _from_client(self, client: Client, data: bytes, to_server: bool) -> None:
        source = client.address.to_bytes(4, "big")
        self._carry(partial(self.machine.receive, data, unicast=to_server, source=source))

    def _from_server(self, reply: Reply) -> None:
        if reply.where is Where.CLIENT:
            address = int.from_bytes(reply.address, "big")
            for client in self.clients:
                if client.address == address:
                    self._carry(partial(client.heard, reply.data))
            return
        # A broadcast: everybody hears it, and the one it is for recognises it.
        hardware = reply.data[28:34]
        for client in self.clients:
            if client.hardware == hardware:
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

    def crash(self, *, power: bool = False) -> None:
        """Kill the server, and look whether its promises are on its disk."""
        self.world.note("the machine loses its power" if power else "the process dies")
        self.machine.crash(some(self._luck, self.rates.restart_s), power=power)
        self.checker.check_durable(self.machine.disk, self.machine.lease_now)

    def _set_clock(self) -> None:
        step_s = self._luck.uniform(-1.0, 1.0) * self.rates.clock_s
        self.world.note(f"the wall clock is set by {step_s:.1f} s")
        self.machine.set_wall_clock(step_s)

    def _fill_disk(self) -> None:
        self.machine.full_until = self.world.now + some(self._luck, self.rates.full_s)
        self.world.note("the disk is full")

    def _slow_disk(self) -> None:
        self.machine.slow_until = self.world.now + some(self._luck, self.rates.slow_s)
        self.world.note("the disk is slow")

    def _change(self) -> None:
        """An administrator excludes a part of the pool, or takes all exclusions back."""
        scope = self.organisation.scopes[0]
        exclusions: tuple[IPRange, ...] = ()
        if self._luck.random() < 0.5:
            first = FIRST_ADDRESS + self._luck.randrange(_pool_size(self.rates))
            last = min(first + 5, FIRST_ADDRESS + _pool_size(self.rates) - 1)
            exclusions = (IPRange(IPv4Address(first), IPv4Address(last)),)
        self.world.note(f"the scope excludes {', '.join(map(str, exclusions)) or 'nothing'}")
        self.machine.change(replace(self.organisation, scopes=(replace(scope, exclusions=exclusions),)))

    # --- the run -----------------------------------------------------------------------------------

    def run(self, before_event: BeforeEvent | None = None) -> DhcpResult:
        """Run both phases."""
        failure = None
        try:
            self._run(before_event)
        except Violation as violation:
            failure = str(violation)
        except Exception as error:  # noqa: BLE001 - whatever a seed makes the code do is a finding
            failure = f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-6)}"
        return DhcpResult(
            self.world.seed, self.scenario, failure, self.world.trace_hash, self.world.event_count,
            len(self.clients), self.checker.lease_count, self.checker.renewal_count,
            self.machine.crash_count, round(self.world.elapsed_s, 3), tuple(self.world.last_lines),
        )  # fmt: skip

    def _run(self, before_event: BeforeEvent | None) -> None:
        rates = self.rates
        self.machine.start()
        for client in self.clients:
            self.world.after(some(self._luck, min(30.0, rates.people_every_s)), "", client.live)
        self._again(rates.crash_every_s, self.crash)
        self._again(rates.power_every_s, partial(self.crash, power=True))
        self._again(rates.full_every_s, self._fill_disk)
        self._again(rates.slow_every_s, self._slow_disk)
        self._again(rates.clock_every_s, self._set_clock)
        self._again(rates.change_every_s, self._change)
        self._until(EPOCH_S + rates.safety_s, before_event)
        self._grow_calm()
        self._until(EPOCH_S + rates.safety_s + self._bound_s(), before_event)
        self.checker.check_durable(self.machine.disk, self.machine.lease_now)
        if self._has_enough():
            self.checker.check_served(self.clients)

    def _until(self, instant: float, before_event: BeforeEvent | None) -> None:
        while self.world.now < instant:
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
        self.machine.full_until = self.machine.slow_until = 0.0
        self.machine.change(self.organisation)
        self.machine.start()
        for client in self.clients:
            client.calm = True

    def _bound_s(self) -> float:
        """What everybody needs at most: leases of who went away and declined addresses end first."""
        rates = self.rates
        return (
            rates.liveness_s + 2 * rates.lease_s + rates.offer_s + rates.decline_s + rates.people_every_s * 4
        )

    def _has_enough(self) -> bool:
        return _pool_size(self.rates) >= len(self.clients)


def _pool_size(rates: DhcpRates) -> int:
    return max(1, int(rates.client_count * rates.pool_share))


def _organisation(rates: DhcpRates) -> Organisation:
    last = FIRST_ADDRESS + _pool_size(rates) - 1
    scope = Scope(
        "wire",
        parse_ip_range("10.0.0.0/16"),
        "ns1",
        IPRange(IPv4Address(FIRST_ADDRESS), IPv4Address(last)),
        lease_s=rates.lease_s,
    )
    server = DhcpServer(
        "ns1", offer_s=rates.offer_s, decline_s=rates.decline_s, probe_count=rates.probe_count
    )
    return Organisation(scopes=(scope,), dhcp_servers=(server,))


def simulate_dhcp(seed: int, scenario: str = "dhcp") -> DhcpResult:
    """Run one seed of a scenario."""
    return DhcpSimulation(seed, scenario).run()


def crash_dhcp_everywhere(
    seed: int, scenario: str = "dhcp-tiny", *, make_node: MakeNode = DhcpNode, every: int = 1
) -> tuple[int, list[DhcpResult]]:
    """Kill the process right before each event of a run, in turn; how many runs, and those that failed."""
    count = DhcpSimulation(seed, scenario, make_node=make_node).run().event_count
    failed = []
    moments = range(0, count, every)
    for moment in moments:

        def before(simulation: DhcpSimulation, number: int, moment: int = moment) -> None:
            if number == moment and simulation.machine.up:
                simulation.crash()

        result = DhcpSimulation(seed, scenario, make_node=make_node).run(before)
        if result.failure is not None:
            failed.append(result)
    return len(moments), failed
