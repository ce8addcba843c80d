"""The server of the made-up world: its process, its disk, its clocks.

A commit takes time, in which the process may die: what it committed is then
durable or not, by a draw. The machine's wall clock is set by somebody, its
monotonic clock begins anew with each boot; the clock of leases is made of both
exactly as on a real machine (``dhcp.lease_time``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from holdfast.dhcp.desk import Arrival, Link
from holdfast.dhcp.lease import Lease
from holdfast.dhcp.lease_time import Mark, going_on
from holdfast.dhcp.probing import Probe
from holdfast.dhcp.replies import Reply
from holdfast.directory.model import Organisation
from holdfast.node.dhcp import AskAddress, CommitLeases, DhcpNode, DhcpOutput, SendReplies
from holdfast.sim.dhcp_rates import DhcpRates
from holdfast.sim.world import World

MakeNode = Callable[[Organisation, str, list[Lease]], DhcpNode]
MARK_EVERY_S = 10.0
TICK_S = 0.1
PROBE_S = 0.4
NOTED_STEP_S = 0.05  # as the driver does it
LINK = Link(1, "eth0", 0x0A000001)


class Machine:
    """One server.

    Attributes:
        disk: what is durable: every lease, by address.
        mark: the clocks that are durable with them.
        up: whether the process runs.
        link: where it is on the clients' wire.
    """

    link = LINK
    tick_s = TICK_S

    def __init__(
        self,
        world: World,
        rates: DhcpRates,
        organisation: Organisation,
        send: Callable[[Reply], None],
        make_node: MakeNode = DhcpNode,
    ) -> None:
        self.disk: dict[int, Lease] = {}
        self.mark: Mark | None = None
        self.up = False
        self.crash_count = 0
        self.full_until = self.slow_until = 0.0
        self.squatted: Callable[[int], bool] = lambda address: False
        self._world = world
        self._rates = rates
        self._organisation = organisation
        self._send = send
        self._make_node = make_node
        self._luck = world.luck("machine")
        self._life = 0
        self._node: DhcpNode | None = None
        self._wall_ahead_s = self._luck.uniform(-1e6, 1e6)
        self._booted_at = world.now - self._luck.uniform(0, 1e5)
        self._boot_count = 1
        self._origin = 0.0
        self._committing: CommitLeases | None = None
        self._marked_at = 0.0

    # --- clocks --------------------------------------------------------------------------------

    @property
    def _wall(self) -> float:
        return self._world.now + self._wall_ahead_s

    @property
    def _monotonic(self) -> float:
        return self._world.now - self._booted_at

    def lease_now(self) -> float:
        """The clock of leases: what it says, or would say if the process started now."""
        if self.up:
            return self._origin + self._monotonic
        return going_on(
            self.mark, boot_id=f"boot {self._boot_count}", monotonic=self._monotonic, wall=self._wall
        )

    def set_wall_clock(self, step_s: float) -> None:
        """Somebody sets the wall clock; forward only while that can be written down.

        Set forward while the machine is off, or the disk full until it loses its
        power, a clock cannot be told from time that passed (docs/decisions/0021).
        """
        if step_s > 0 and not (self.up and self._world.now >= self.full_until):
            return
        self._wall_ahead_s += step_s
        if self.up and abs(step_s) >= NOTED_STEP_S:
            self._keep_mark()

    def _keep_mark(self) -> None:
        """As the driver does it: within a tick, with a write of its own that a full disk does not take."""
        if self._world.now >= self.full_until:
            self.mark = Mark(self.lease_now(), self._wall, self._monotonic, f"boot {self._boot_count}")
            self._marked_at = self._world.now

    # --- life and death --------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process; nothing when it runs."""
        if self.up:
            return
        self._origin = self.lease_now() - self._monotonic
        self.up = True
        self._life += 1
        self._node = self._new_node()
        self._node.links_changed([self.link])
        self._world.note(f"the server starts with {len(self.disk)} leases")
        self._keep_mark()
        self._drain()
        self._tick(self._life)

    def _new_node(self) -> DhcpNode:
        return self._make_node(self._organisation, "ns1", list(self.disk.values()))

    def crash(self, restart_s: float, *, power: bool = False) -> None:
        """Kill the process, or take the power from the whole machine; it comes back after a while."""
        if self.up:
            self.up = False
            self.crash_count += 1
            committing, self._committing = self._committing, None
            if committing is not None and self._luck.random() < self._rates.durable_untold_rate:
                self._store(committing)
            self._node = None
        if power:
            self._boot_count += 1
            self._booted_at = self._world.now
        self._world.after(restart_s, "", self.start)

    def change(self, organisation: Organisation) -> None:
        """An administrator changed the organisation."""
        self._organisation = organisation
        if self._node is not None:
            self._node.organisation_changed(self.lease_now(), organisation)
            self._drain()

    # --- what happens to the process ---------------------------------------------------------------

    def receive(self, data: bytes, *, unicast: bool, source: bytes) -> None:
        """A message arrived at the machine."""
        if self._node is not None:
            self._node.datagrams_received(
                self.lease_now(), [Arrival(data, self.link.number, source, unicast)]
            )
            self._drain()

    def _tick(self, life: int) -> None:
        if life != self._life or self._node is None:
            return
        now = self.lease_now()
        deadline = self._node.deadline()
        if deadline is not None and deadline <= now:
            self._node.timer(now)
            self._drain()
        if self._world.now - self._marked_at >= MARK_EVERY_S:
            self._keep_mark()
        self._world.after(self._look_again_s(deadline, now), "", partial(self._tick, life))

    def _look_again_s(self, deadline: float | None, now: float) -> float:
        """When to look again whether something is due."""
        return self.tick_s

    def _drain(self) -> None:
        node = self._node
        while node is not None and node.outputs:
            outputs, node.outputs = node.outputs, []
            for output in outputs:
                match output:
                    case SendReplies():
                        for reply in output.replies:
                            self._send(reply)
                    case CommitLeases():
                        self._commit(output)
                    case AskAddress():
                        self._world.after(
                            PROBE_S * output.probe.times, "", partial(self._probed, self._life, output.probe)
                        )
                    case _:
                        self._do(output)

    def _do(self, output: DhcpOutput) -> None:
        """Whatever else the node wants done."""

    def _commit(self, output: CommitLeases) -> None:
        self._committing = output
        slow = self._world.now < self.slow_until
        span_s = self._rates.commit_s * (self._rates.slow_factor if slow else 1.0)
        span_s *= self._luck.uniform(0.5, 1.5)
        self._world.after(span_s, "", partial(self._commit_ends, self._life, span_s))

    def _commit_ends(self, life: int, took_s: float) -> None:
        if life != self._life or self._node is None or self._committing is None:
            return
        output, self._committing = self._committing, None
        if self._world.now < self.full_until:
            self._node.commit_failed(self.lease_now(), "the disk is full")
        else:
            self._store(output)
            self._node.leases_committed(self.lease_now(), took_s)
        self._drain()

    def _store(self, output: CommitLeases) -> None:
        for lease in output.leases:
            self.disk[lease.address] = lease
        self._world.note(f"{len(output.leases)} leases are durable")

    def _probed(self, life: int, probe: Probe) -> None:
        if life == self._life and self._node is not None:
            self._node.probe_answered(self.lease_now(), probe.number, in_use=self.squatted(probe.address))
            self._drain()
