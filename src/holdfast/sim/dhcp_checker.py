"""What a DHCP server promises, checked at every moment of a simulation.

*No address is used by two clients.* Clients stop by their own count of time, so
this holds whatever clocks say. *Every ACK survives*: whenever the process dies,
each address in use is durable, for the client that uses it and for as long as
it was told. And when faults have stopped, everybody has an address, if there
are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from holdfast.dhcp.lease import ACTIVE, Lease, address_text
from holdfast.sim.dhcp_clients import Client
from holdfast.sim.world import Violation, World


class DhcpChecker:
    """Sees what clients use."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._users: dict[int, tuple[Client, float]] = {}
        self.lease_count = 0
        self.renewal_count = 0

    def begins(self, client: Client, address: int, until: float) -> None:
        """A client uses an address from now on.

        Raises:
            Violation: another one does.
        """
        user = self._users.get(address)
        if user is not None and user[0] is not client and user[1] > self._world.now:
            raise Violation(
                f"{address_text(address)} is used by client {user[0].number} and by client {client.number}"
            )
        self._users[address] = (client, until)
        self.lease_count += 1
        self._world.note(f"client {client.number} uses {address_text(address)}")

    def goes_on(self, client: Client, address: int, until: float) -> None:
        """A client renewed.

        Raises:
            Violation: it was given another address than the one it asked to keep.
        """
        user = self._users.get(address)
        if user is None or user[0] is not client:
            raise Violation(
                f"client {client.number} renewed, and got {address_text(address)} in place of its own"
            )
        self._users[address] = (client, until)
        self.renewal_count += 1

    def ends(self, client: Client, address: int) -> None:
        """A client uses its address no more."""
        user = self._users.get(address)
        assert user is not None
        assert user[0] is client
        del self._users[address]

    def check_durable(self, disk: dict[int, Lease], lease_now: Callable[[], float]) -> None:
        """The process is dead: what it acknowledged must be on its disk.

        Raises:
            Violation: an address in use is not, is another client's, or ends too early there.
        """
        now = self._world.now
        for address, (client, until) in self._users.items():
            if until <= now:
                continue
            lease = disk.get(address)
            where = address_text(address)
            if lease is None or lease.status != ACTIVE or lease.key != client.key:
                raise Violation(
                    f"client {client.number} was given {where}, and the database does not know it"
                )
            # A client counts from when it asked, so that the server's end is never the earlier one.
            missing_s = until - now - (lease.expires_at - lease_now())
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
