"""What two failover partners promise, checked at every moment of a simulation.

*No address is used by two clients.* The draft admits one exception, and this is
exactly it: S was told that P is down, and P was not. Then S may lease P's free
addresses, and those whose lease ended, from MCLT after that on; P goes on as it
did. So two clients may use one address only if one got it of S at least MCLT
after S went to PARTNER-DOWN, the other had it of P after that, and they have not
found each other again since. Where both were told so, the other may have had it of
P since P was told.

*Every ACK survives* the death of either server, but not the loss of its disk
before its partner was told, for which MCLT is: that nobody else gets the address
is then the first promise again. *In the end* both are in NORMAL, with equal
databases, and everybody has an address.

Source: draft-ietf-dhc-failover-12 sections 5.2 and 9.4; spec/dhcp.md section 2.7.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.dhcp.failover_record import Record
from holdfast.dhcp.failover_states import State
from holdfast.dhcp.lease import ABANDONED, ACTIVE, FREE, Lease, address_text
from holdfast.sim.dhcp_clients import Client
from holdfast.sim.pair_machine import PairMachine
from holdfast.sim.world import Violation, World

# How far the two databases' ends of one lease may be apart: both round, clocks drift; and however long a
# message took, at most the receive timeout, it counts as if it had taken no time.
APART_S = 10.0


@dataclass(slots=True)
class Use:
    """A client uses an address.

    Attributes:
        until: by its own count.
        server: whose ACK it had last.
        granted_at: when it had it.
        asked_at: when it had asked for it.
        shared: whether another client uses it as well, as the draft admits.
        apart: whether it had it while a server was in PARTNER-DOWN, or had not found the other again.
    """

    until: float
    server: int
    granted_at: float
    asked_at: float
    shared: bool = False
    apart: bool = False


class PairChecker:
    """Sees what clients use, and in which states servers are.

    Attributes:
        mclt_s: the maximum client lead time, the least of them where it is changed.
    """

    def __init__(self, world: World, mclt_s: float, message_s: float = 0.0) -> None:
        """See a world.

        Args:
            world: its clock.
            mclt_s: the maximum client lead time.
            message_s: how long a message of a partner may take.
        """
        self._world = world
        self.mclt_s = mclt_s
        self._apart_s = APART_S + message_s
        self._users: dict[int, dict[Client, Use]] = {}
        self._down_since: dict[int, float] = {}  # servers in PARTNER-DOWN, and until both are in NORMAL again
        self._states: dict[int, int] = {}
        self._conflict_at = float("-inf")
        self._cleared_at = float("-inf")  # when two that were apart so had found each other again
        self.lease_count = 0
        self.renewal_count = 0
        self.admitted_count = 0

    def recorded(self, machine: PairMachine, record: Record) -> None:
        """A server's state is durable."""
        before = self._states.get(machine.number)
        if not record.state:
            self._states.pop(machine.number, None)
            return  # the relationship is deleted
        self._states[machine.number] = record.state
        # One that begins so has a partner that leases nothing yet, and admits nothing.
        begins = before is None and record.everything_asked and not record.spoken_at
        if record.state == State.PARTNER_DOWN and before != State.PARTNER_DOWN and not begins:
            # The order counts, not when it was on a slow disk: the other one was down before.
            self._down_since[machine.number] = machine.in_world(record.since)
        if record.state == State.POTENTIAL_CONFLICT:
            self._conflict_at = self._world.now
        if len(self._states) == 2 and set(self._states.values()) == {State.NORMAL}:
            if self._down_since:
                self._cleared_at = self._world.now
            self._down_since.clear()

    def leased_alone(self, machine: PairMachine) -> bool:
        """Whether a server has been in PARTNER-DOWN since both were in NORMAL."""
        return machine.number in self._down_since

    def _server_of(self, client: Client) -> int:
        return client.server_id & 0xFF

    def begins(self, client: Client, address: int, until: float) -> None:
        """A client uses an address from now on.

        Raises:
            Violation: another one does, and the draft does not admit it.
        """
        self._uses(client, address, until)
        self.lease_count += 1
        self._world.note(f"client {client.number} uses {address_text(address)}")

    def goes_on(self, client: Client, address: int, until: float) -> None:
        """A client renewed.

        Raises:
            Violation: it was given another address than the one it asked to keep, or another one uses it.
        """
        if client not in self._users.get(address, {}):
            raise Violation(
                f"client {client.number} renewed, and got {address_text(address)} in place of its own"
            )
        self._uses(client, address, until)
        self.renewal_count += 1

    def _uses(self, client: Client, address: int, until: float) -> None:
        now = self._world.now
        users = self._users.setdefault(address, {})
        use = Use(until, self._server_of(client), now, client.asked_at, apart=bool(self._down_since))
        for other, theirs in users.items():
            if other is client or theirs.until <= now:
                continue
            if not (self._is_admitted(use, theirs) or self._is_left_over(theirs)):
                raise Violation(
                    f"{address_text(address)} is used by client {other.number} (of ns{theirs.server}) and by "
                    f"client {client.number} (of ns{use.server})"
                )
            use.shared = theirs.shared = True
            self.admitted_count += 1
            self._world.note(f"client {client.number} shares {address_text(address)}: the draft admits it")
        users[client] = use

    def _is_admitted(self, one: Use, other: Use) -> bool:
        """Whether the draft admits that two clients use one address: see above."""
        for down, alive in ((one, other), (other, one)):
            since = self._down_since.get(down.server)
            if since is None or down.server == alive.server:
                continue
            # Who is in PARTNER-DOWN as well gives more than MCLT, and nobody hears of it.
            alone_since = self._down_since.get(alive.server, since)
            if down.granted_at >= since + self.mclt_s * 0.99 and alive.granted_at > min(since, alone_since):
                return True
        return False

    def _is_left_over(self, use: Use) -> bool:
        """Whether a client lost its address when the servers found each other, and does not know it yet."""
        # Where they had a conflict, the primary's client keeps an address, even if it is off by now.
        lost = use.apart and use.granted_at <= self._conflict_at
        return lost or (use.shared and use.granted_at <= self._cleared_at)

    def ends(self, client: Client, address: int) -> None:
        """A client uses its address no more."""
        del self._users[address][client]

    def check_durable(self, machine: PairMachine) -> None:
        """A process is dead: what it acknowledged since it has its disk is there.

        Raises:
            Violation: an address in use is not, is another client's, or ends too early there.
        """
        now = self._world.now
        for address, users in self._users.items():
            if len(users) > 1:
                continue  # they share it, as the draft admits; one of them is known
            for client, use in users.items():
                if use.until <= now or use.server != machine.number or use.asked_at < machine.lost_disk_at:
                    continue
                if use.asked_at <= machine.left_at:
                    continue  # it is its keeper's to know now
                if self._down_since or use.granted_at <= self._cleared_at:
                    continue  # the partner's word about an address may be taken when both were alone
                lease = machine.disk.get(address)
                where = address_text(address)
                if lease is None or lease.status != ACTIVE or lease.key != client.key:
                    raise Violation(
                        f"client {client.number} was given {where}, and the database of ns{machine.number} "
                        "does not know it"
                    )
                missing_s = use.until - machine.in_world(lease.expires_at)
                if missing_s > 0:
                    raise Violation(f"the lease of {where} ends {missing_s:.1f} s too early in the database")

    def check_served(self, clients: Iterable[Client]) -> None:
        """Faults have stopped: everybody who wants an address has one.

        Raises:
            Violation: somebody has none.
        """
        without = [client for client in clients if not client.address]
        if without:
            numbers = ", ".join(str(client.number) for client in without[:10])
            raise Violation(f"{len(without)} clients have no address in the end, among them {numbers}")

    def check_together(self, machines: Iterable[PairMachine]) -> None:
        """Faults have stopped: both are in NORMAL and know the same.

        Raises:
            Violation: they do not.
        """
        first, second = machines
        for machine in (first, second):
            if machine.state != State.NORMAL:
                state = State(machine.state).text if machine.state else "no state"
                raise Violation(f"ns{machine.number} is in {state} in the end")
        if (fault := first.misbalance() or second.misbalance()) is not None:
            raise Violation(fault)
        for address in sorted(first.disk.keys() | second.disk.keys()):
            one, two = first.disk.get(address), second.disk.get(address)
            if (fault := self._difference(first, one, second, two)) is not None:
                raise Violation(f"the databases differ on {address_text(address)}: {fault}")

    def check_alone(self, machines: Iterable[PairMachine]) -> None:
        """Faults have stopped, and the scope has left: whatever was kept back for a partner is free again.

        Raises:
            Violation: it is not.
        """
        for machine in machines:
            if machine.departed:
                raise Violation(f"{machine.name} still keeps addresses back, since the scope left")
            kept = [each for each in machine.disk.values() if each.status not in (ACTIVE, FREE, ABANDONED)]
            if kept:
                raise Violation(
                    f"{address_text(kept[0].address)} is neither leased nor free at {machine.name}, which "
                    "shares nothing"
                )

    def _difference(
        self, first: PairMachine, one: Lease | None, second: PairMachine, two: Lease | None
    ) -> str | None:
        statuses = [FREE if each is None else each.status for each in (one, two)]
        if statuses[0] != statuses[1]:
            return f"status {statuses[0]} and {statuses[1]}"
        if one is None or two is None or one.status != ACTIVE:
            return None
        if one.key != two.key:
            return f"client {one.key.hex()} and {two.key.hex()}"
        apart_s = first.in_world(one.expires_at) - second.in_world(two.expires_at)
        return None if abs(apart_s) <= self._apart_s else f"one ends {apart_s:.1f} s after the other"
