"""Nobody starves: what is looked for every few seconds while anything may go wrong.

A client that has sought a server in vain for long must have a reason. It has
none while nothing is lost on its wire and, for as long,

* a server that it reaches, whose disk takes what it is given, serves new clients
  and has a free address of its own that nobody was offered; or
* both servers are so, speak with each other in NORMAL, and half of the pool is
  neither leased nor kept back by either.

Which of the two should answer is theirs to settle: what one server knows is the
other's only, if at all, is a reason for seconds and not for a minute.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.dhcp.failover_states import State
from holdfast.dhcp.lease import BACKUP, FREE
from holdfast.sim.dhcp_clients import LONGEST_WAIT_S, Client
from holdfast.sim.pair_machine import PairMachine
from holdfast.sim.pair_rates import PairRates
from holdfast.sim.world import Violation, World

EVERY_S = 5.0
# Twice the longest pause of a client: it asked at least once, and the answer had its time.
STARVING_S = 1.6 * LONGEST_WAIT_S


class PairWatch:
    """Sees who seeks an address, and who could give one."""

    def __init__(
        self,
        world: World,
        rates: PairRates,
        machines: Sequence[PairMachine],
        clients: Sequence[Client],
        squatted_count: int,
    ) -> None:
        self._world = world
        self._rates = rates
        self._machines = machines
        self._clients = clients
        self._squatted_count = squatted_count
        self._disturbed_until = dict.fromkeys((each.number for each in machines), world.now)
        self._no_room_at = dict(self._disturbed_until)
        self._no_half_at = world.now
        # Clients that declare every address used by others are put off; what is lost explains any silence.
        self._is_on = rates.loss_rate == 0 and rates.squatter_rate == 0
        self.look_at = world.now + EVERY_S if self._is_on else float("inf")
        self.served_count = 0  # looks at clients that seek, with a server that could have served them

    def disturbed(self, machine: PairMachine, span_s: float) -> None:
        """Something is wrong with a server for a while, or clients do not reach it."""
        until = self._world.now + span_s
        self._disturbed_until[machine.number] = max(until, self._disturbed_until[machine.number])

    def look(self) -> None:
        """Look whether anybody starves.

        Raises:
            Violation: somebody does.
        """
        now = self._world.now
        self.look_at = now + EVERY_S
        for machine in self._machines:
            if not machine.up or not machine.has_room(self._squatted_count):
                self._no_room_at[machine.number] = now
        if not self._is_half_free():
            self._no_half_at = now
        fine = {
            each.number: min(now - self._disturbed_until[each.number], now - self._no_room_at[each.number])
            for each in self._machines
        }
        half_s = min(now - self._no_half_at, *(now - each for each in self._disturbed_until.values()))
        for client in self._clients:
            seeks_s = client.seeks_s()
            if seeks_s <= 0:
                continue
            for number, fine_s in fine.items():
                self.served_count += fine_s > 0
                if min(seeks_s, fine_s) > STARVING_S:
                    raise Violation(
                        f"client {client.number} has sought a server for {seeks_s:.0f} s, and ns{number} has "
                        "addresses for it"
                    )
            if min(seeks_s, half_s) > STARVING_S:
                raise Violation(
                    f"client {client.number} has sought a server for {seeks_s:.0f} s, "
                    "and half of the pool is free"
                )

    def _is_half_free(self) -> bool:
        """Whether both are in NORMAL, and half of the pool is free by both databases."""
        if not all(each.up and each.state == State.NORMAL and each.shares for each in self._machines):
            return False
        used = set()
        for machine in self._machines:
            used |= {each.address for each in machine.disk.values() if each.status not in (FREE, BACKUP)}
            used |= machine.reserved_addresses
        size = max(1, int(self._rates.client_count * self._rates.pool_share))
        return len(used) * 2 <= size
