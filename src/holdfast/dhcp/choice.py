"""Which address a client gets, and whether it may have the one it asks for.

A client gets, in this order: its reservation; the address it has or had; what
it was offered already; the address it asks for, when that is free; any free
address of the pools that are for it. In a superscope the scope of its own wire
comes first.

Invariant: an address that another client has, was offered, or is reserved for
is never chosen.

Source: RFC 2131 section 4.3.1.
"""

from __future__ import annotations

from holdfast.dhcp.authority import Authority
from holdfast.dhcp.client_match import Facts
from holdfast.dhcp.lease import ABANDONED, ACTIVE, BACKUP, FREE, Lease
from holdfast.dhcp.lease_table import LeaseTable, ScopeState
from holdfast.dhcp.served import ServedReservation
from holdfast.wire.dhcp4 import Message


# Plain classes, not dataclasses: compiled, one that is made by its own code costs 0.1 us in place of 1.
class Asking:
    """One client's message and what is known of it; made once per message.

    Attributes:
        message: what it says.
        key: who it is, see ``Lease.key``.
        hardware: its hardware type and address.
        client_id: option 61; empty when there is none.
        link: the number of the interface that the message came in by.
        server_id: what the client calls us: four bytes.
        scopes: those of its wire, its own first.
        facts: for policies and classes.
        relay_port: where the relay wants its answer (RFC 8357); 0 for the usual port.
    """

    __slots__ = (
        "client_id", "facts", "hardware", "key", "link", "message", "relay_port", "scopes", "server_id",
    )  # fmt: skip

    def __init__(
        self, message: Message, hardware: bytes, client_id: bytes, *, link: int, server_id: bytes
    ) -> None:
        self.message = message
        self.key = client_id or hardware
        self.hardware = hardware
        self.client_id = client_id
        self.link = link
        self.server_id = server_id
        self.scopes: list[ScopeState] = []
        self.facts = Facts(message)
        self.relay_port = 0


class Choice:
    """An address for a client."""

    __slots__ = ("address", "reservation", "state")

    def __init__(self, state: ScopeState, address: int, reservation: ServedReservation | None) -> None:
        self.state = state
        self.address = address
        self.reservation = reservation


class Chooser:
    """Chooses addresses out of a table of leases."""

    def __init__(self, table: LeaseTable, authority_of: dict[str, Authority], default: Authority) -> None:
        """Make a chooser; ``authority_of`` has those scopes that are shared with a partner, by name."""
        self._table = table
        self._leases = table.leases
        self._authority_of = authority_of
        self._default = default

    @property
    def is_alone(self) -> bool:
        """Whether no scope is shared with a partner."""
        return not self._authority_of

    def authority(self, state: ScopeState) -> Authority:
        """Who is asked about the addresses of a scope."""
        if not self._authority_of:  # a server alone: twice per exchange
            return self._default
        return self._authority_of.get(state.served.name, self._default)

    def is_own(self, state: ScopeState) -> bool:
        """Whether the scope's addresses are shared with nobody."""
        return state.served.name not in self._authority_of

    def policies_met(self, state: ScopeState, asking: Asking) -> tuple[int, ...]:
        """The numbers of the scope's policies that a client meets."""
        policies = state.served.policies
        if not policies:
            return ()
        facts = asking.facts
        return tuple([number for number, each in enumerate(policies) if each.test.meets(facts)])

    def reservation(
        self, state: ScopeState, asking: Asking, *, bootp: bool = False
    ) -> ServedReservation | None:
        """The client's reservation in a scope, by its identifier or its hardware address."""
        by_key = state.served.by_key
        if not by_key:
            return None
        found = by_key.get(asking.key) or by_key.get(asking.hardware)
        if found is None or not (found.bootp if bootp else found.dhcp):
            return None
        return found

    def reserved(self, asking: Asking, *, bootp: bool = False) -> Choice | None:
        """The client's reservation on its wire, whether or not it can have it now."""
        for state in asking.scopes:
            found = self.reservation(state, asking, bootp=bootp)
            if found is not None:
                return Choice(state, found.address, found)
        return None

    def holder(self, choice: Choice, asking: Asking) -> Lease | None:
        """Who else has a reserved address; None when the client can have it.

        A machine is one client to its reservation, whatever it calls itself: its boot ROM has another
        identifier than the system that it loads.
        """
        lease = self._leases.get(choice.address)
        if lease is None or lease.status in (FREE, BACKUP):
            return None
        if lease.status != ABANDONED and (
            lease.key in (asking.key, asking.hardware)
            or (lease.hardware == asking.hardware and len(lease.hardware) > 1)
        ):
            return None
        return lease

    def may_be_partners(self, choice: Choice) -> bool:
        """Whether our partner may lease a reserved address that nobody has: to it, it may be as any other."""
        state, address = choice.state, choice.address
        authority = self.authority(state)
        if address not in authority.unsettled or not state.served.in_pool(address):
            return False
        lease = self._leases.get(address)
        # One that ended here the partner may have freed already, and we have not heard its answer.
        return (lease is None or lease.status != ACTIVE) and not authority.is_free(lease)

    def choose(self, asking: Asking, requested: int) -> Choice | None:
        """Choose an address without a reservation; None when none is free.

        Args:
            asking: who asks.
            requested: the address that it would like, 0 for none.
        """
        scopes = asking.scopes
        pools = [self._pool_number(state, asking) for state in scopes]
        for at, state in enumerate(scopes):
            number = pools[at]
            address = state.by_client.get(asking.key)
            if address is not None and self._is_its_own(state, number, asking, address):
                return Choice(state, address, None)
            offer = state.offers.by_client.get(asking.key)
            if offer is not None and self._can_be_new(state, number, asking, offer.address):
                return Choice(state, offer.address, None)
        if requested:
            for at, state in enumerate(scopes):
                if state.served.first <= requested <= state.served.last and self._can_be_new(
                    state, pools[at], asking, requested
                ):
                    return Choice(state, requested, None)
        for at, state in enumerate(scopes):
            authority = self.authority(state)
            address = state.pools[pools[at]].take(authority.free_status, fresh=authority.fresh)
            if address is not None:
                return Choice(state, address, None)
        return self._of_same_machine(asking, pools)

    def _of_same_machine(self, asking: Asking, pools: list[int]) -> Choice | None:
        """The address that the same machine has under another identifier, when nothing else is left.

        A machine that makes up a new identifier at each start would else use up the pool.
        """
        if not asking.client_id or asking.client_id == asking.hardware:
            return None
        for state, number in zip(asking.scopes, pools, strict=True):
            address = state.by_hardware.get(asking.hardware)
            lease = self._leases.get(address) if address is not None else None
            if (
                lease is not None
                and address is not None
                and lease.hardware == asking.hardware
                and lease.status == ACTIVE
                and address in state.pools[number]
                and address not in state.served.reserved
                and address not in state.offers.by_address
            ):
                return Choice(state, address, None)
        return None

    def refusal(self, state: ScopeState, asking: Asking, address: int) -> str:
        """Why a client may not have an address of its wire; empty when it may.

        Source: RFC 2131 section 4.3.2.
        """
        reservation = self.reservation(state, asking)
        lease = self._leases.get(address)
        if reservation is not None:
            reserved = Choice(state, reservation.address, reservation)
            may_be_partners = self.may_be_partners(reserved)
            if reservation.address == address:
                if may_be_partners:
                    return "the partner may not know that the address is reserved"
            elif not may_be_partners and self.holder(reserved, asking) is None:
                return "another address is reserved for this client"
        if reservation is None or reservation.address != address:
            if address in state.served.reserved and not self._is_kept_for(state, lease, asking):
                return "the address is reserved for another client"
            if address not in state.pools[self._pool_number(state, asking)]:
                return "the address is not leased here"
        offered_to = state.offers.by_address.get(address)
        if offered_to is not None and offered_to != asking.key:
            return "the address was offered to another client"
        authority = self.authority(state)
        is_reserved = reservation is not None and reservation.address == address
        if lease is None:
            return "" if is_reserved or authority.fresh else "the address is not free yet"
        if lease.status == ABANDONED:
            return "the address is in use by another machine"
        if lease.status == ACTIVE:
            if lease.key == asking.key or self._is_machine_of(lease, asking, reservation):
                return ""
            return "the address is leased to another client"
        if authority.is_free(lease):
            return ""
        # What is reserved both partners may give to its owner; it came free with both, or was its own.
        if is_reserved and (lease.status in (FREE, BACKUP) or lease.key == asking.key):
            return ""
        return "the address is not free yet"

    def _is_kept_for(self, state: ScopeState, lease: Lease | None, asking: Asking) -> bool:
        """Whether a client has an address that is reserved for another only until our partner agrees."""
        return (
            lease is not None
            and lease.status == ACTIVE
            and lease.key == asking.key
            and lease.address in state.served.kept
        )

    def _is_machine_of(self, lease: Lease, asking: Asking, reservation: ServedReservation | None) -> bool:
        """Whether the same machine holds an address by another identity: reserved, or offered to it so."""
        if lease.hardware != asking.hardware:
            return False
        state = self._table.scope_of(lease.address)
        offered = state is not None and state.offers.by_address.get(lease.address) == asking.key
        return offered or (reservation is not None and reservation.address == lease.address)

    def knows(self, state: ScopeState, asking: Asking, address: int) -> bool:
        """Whether an address is or was last this client's, or is reserved for it."""
        lease = self._leases.get(address)
        if lease is not None and lease.key == asking.key:
            return True
        reservation = self.reservation(state, asking)
        return reservation is not None and reservation.address == address

    def _pool_number(self, state: ScopeState, asking: Asking) -> int:
        """The pool that a client gets addresses from: that of the first policy it meets that has ranges."""
        policies = state.served.policies
        if len(state.pools) > 1:
            for policy in policies[: state.served.policy_from_server]:
                if policy.pool is not None and policy.test.meets(asking.facts):
                    return policy.pool
        return 0

    def _is_its_own(self, state: ScopeState, number: int, asking: Asking, address: int) -> bool:
        """Whether the address that a client has, or had last, is still its to have."""
        lease = self._leases.get(address)
        if lease is None or lease.key != asking.key or address not in state.pools[number]:
            return False
        if address in state.served.reserved and not self._is_kept_for(state, lease, asking):
            return False
        offered_to = state.offers.by_address.get(address)
        if offered_to is not None and offered_to != asking.key:
            return False
        return lease.status in (ACTIVE, self.authority(state).free_status)

    def _can_be_new(self, state: ScopeState, number: int, asking: Asking, address: int) -> bool:
        """Whether an address is free for a client that never had it."""
        if address not in state.pools[number] or address in state.served.reserved:
            return False
        offered_to = state.offers.by_address.get(address)
        if offered_to is not None and offered_to != asking.key:
            return False
        return self.authority(state).is_free(self._leases.get(address))
