"""What the server works on: leases, offers, answers and records, and what becomes of them by a commit.

Every change of a lease goes through ``put``; answers that rest on changes wait
in ``waiting`` until ``committed``, and ``commit_failed`` puts everything back.
What a partner acknowledges is no such change (``acknowledged``).

Invariant: between the first ``put`` and the end of its commit nothing is
decided on leases that were made durable meanwhile: there are none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, cast

from holdfast.dhcp import events
from holdfast.dhcp.acknowledged import Acknowledged
from holdfast.dhcp.authority import Alone, Authority
from holdfast.dhcp.choice import Asking, Choice, Chooser
from holdfast.dhcp.client_match import Facts
from holdfast.dhcp.declines import Declines
from holdfast.dhcp.lease import ABANDONED, UNTOLD, Lease, address_text, hardware_text
from holdfast.dhcp.lease_table import LeaseTable, ScopeState
from holdfast.dhcp.names import host_name_of
from holdfast.dhcp.option_blocks import Block, OptionBlocks
from holdfast.dhcp.probing import Probe, Probing
from holdfast.dhcp.records import IN_USE, Record
from holdfast.dhcp.registrar import Registrar
from holdfast.dhcp.replies import Reply, ReplyWriter
from holdfast.dhcp.saying import Sayer
from holdfast.dhcp.served import Served
from holdfast.kernel.errors import Refusal
from holdfast.wire.dhcp4 import NO_ADDRESS, OPTION_RELAY_AGENT, Message
from holdfast.wire.dhcp4_values import SUBNET_SELECTION, USER_CLASS, VENDOR_CLASS
from holdfast.wire.relay_agent import LINK_SELECTION


class Arrival:
    """One datagram at our port; a plain class, for two are made per exchange.

    Attributes:
        data: its payload.
        link: the number of the interface that it came in by.
        source: the IP address that it came from, four bytes.
        unicast: whether it was sent to us alone.
        port: the UDP port that it came from.
    """

    __slots__ = ("data", "link", "port", "source", "unicast")

    def __init__(self, data: bytes, link: int, source: bytes, unicast: bool, port: int = 67) -> None:
        self.data = data
        self.link = link
        self.source = source
        self.unicast = unicast
        self.port = port


@dataclass(frozen=True, slots=True)
class Link:
    """An interface where we serve.

    Attributes:
        number: the system's number of it.
        name: for people.
        address: ours on it, as a number; what its clients call us.
        others: further addresses of ours on it.
    """

    number: int
    name: str
    address: int
    others: tuple[int, ...] = ()


class Delayed(NamedTuple):
    """An answer that is held back for a while."""

    due_at: float
    reply: Reply


LATE_S = 1.0  # a commit that took longer kept messages waiting
LATE_MAX_S = 60.0  # and no longer than this is doubted what came meanwhile

# A named tuple's own call takes 0.3 us more.
_new_record: Final = cast("Callable[[tuple[object, ...]], Record]", partial(tuple.__new__, Record))


class Desk:
    """The state of one server; ``server.LeaseServer`` decides on it."""

    def __init__(self, served: Served, *, authorities: dict[str, Authority] | None = None) -> None:
        """Make a server that knows no lease yet; ``load`` and ``follow`` come before the first message.

        Args:
            served: what it leases.
            authorities: by scope, for those that are shared with a partner.
        """
        self.table = LeaseTable()
        self.replies: list[Reply] = []
        self.writes: list[Lease] = []
        self.waiting: list[Reply] = []
        self.records: list[Record] = []
        self.probes: list[Probe] = []
        self.delayed: list[Delayed] = []
        self.counts: defaultdict[str, int] = defaultdict(int)  # what was answered, by kind of message
        self.dropped: defaultdict[str, int] = defaultdict(int)  # by reason
        self.said = Sayer()
        # Set by the node while nothing can be made durable: then nothing is offered that would not be given.
        self.may_offer = True
        self.late_until = 0.0  # until then what is decided may have waited for a slow disk
        self.acknowledged = Acknowledged()
        self._told: dict[int, tuple[Authority, list[Lease]]] = {}  # changes that a partner hears of
        self._undo: list[tuple[int, Lease | None]] = []
        self._waiting_records: list[Record] = []
        # The very dictionary: the scopes that are shared change with the organisation.
        self.chooser = Chooser(self.table, {} if authorities is None else authorities, Alone())
        self.writer = ReplyWriter()
        self.declines = Declines()
        self.probing = Probing()
        self.full: set[str] = set()
        self.links: dict[int, Link] = {}
        self._wires: dict[int, list[ScopeState]] = {}
        self._relays: dict[int, ScopeState] = {}
        self._wire_of_relay: dict[bytes, list[ScopeState]] = {}
        self.link_ids: dict[int, bytes] = {}
        self.own_ids: frozenset[bytes] = frozenset()
        self.served = served
        self.blocks = OptionBlocks(served)
        self.registrar = Registrar(self.table, self.said, self.put, self._note)

    def load(self, leases: list[Lease]) -> None:
        """Take what was durable at the start."""
        self.table.load(leases)
        self.follow(self.served)

    def follow(self, served: Served) -> None:
        """Go by another organisation."""
        assert not self.writes, "the organisation changes between batches"
        self.served = served
        self.blocks = OptionBlocks(served)
        self.probing.forget_all()
        self.table.follow(served.scopes)
        self.registrar.follow(served)
        by_superscope: dict[str, list[ScopeState]] = {}
        for state in self.table.scopes:
            if state.served.scope.superscope:
                by_superscope.setdefault(state.served.scope.superscope, []).append(state)
        self._wires = {}
        self._wire_of_relay = {}
        for state in self.table.scopes:
            others = by_superscope.get(state.served.scope.superscope, [])
            self._wires[state.served.first] = [state, *(each for each in others if each is not state)]
        self._relays = {
            int(relay): state for state in self.table.scopes for relay in state.served.scope.relays
        }

    def serve_on(self, links: list[Link]) -> None:
        """Go by other interfaces."""
        self.links = {each.number: each for each in links}
        self.link_ids = {each.number: each.address.to_bytes(4, "big") for each in links}
        self.own_ids = frozenset(
            address.to_bytes(4, "big") for each in links for address in (each.address, *each.others)
        )

    def begin_commit(self) -> list[Lease]:
        """What a commit that begins now makes durable."""
        return self.writes + self.acknowledged.take()

    def committed(self, now: float, took_s: float = 0.0) -> None:
        """What was in ``writes`` is durable, ``took_s`` after it was given: answers that waited may go."""
        if took_s > LATE_S:
            # How much of what is read next came meanwhile is not known: it is read in as long at most.
            self.late_until = now + min(took_s, LATE_MAX_S)
        told, self._told = self._told, {}
        if self.registrar.is_on:
            self.registrar.durable(now, self.writes)
        self.writes = []
        self._undo = []
        self.acknowledged.committed()
        self.replies += self.waiting
        self.records += self._waiting_records
        self.waiting = []
        self._waiting_records = []
        for authority, leases in told.values():
            authority.committed(now, leases)

    def commit_failed(self) -> int:
        """What was in ``writes`` is not durable: put everything back; how many answers are not given."""
        for address, lease in reversed(self._undo):
            if lease is None:
                self.table.remove(address)
            else:
                self.table.put(lease)
        if self.registrar.is_on:
            self.registrar.undone(lease for _, lease in self._undo if lease is not None)
        self.acknowledged.commit_failed()
        count = len(self.waiting)
        self.writes, self._undo, self.waiting, self._waiting_records = [], [], [], []
        self._told = {}
        return count

    def put(self, lease: Lease, record: Record | None = None) -> None:
        """Change a lease; it is durable, and its record written, with the next commit."""
        if not self.chooser.is_alone:
            state = self.table.scope_of(lease.address)
            if state is not None and type(authority := self.chooser.authority(state)) is not Alone:
                lease = authority.changed(lease)
                self._tell(authority, lease)
        self._write(lease)
        if record is not None:
            self._waiting_records.append(record)

    def put_told(self, lease: Lease) -> None:
        """Change a lease as the partner said, or acknowledged: it is told of what it does not know yet."""
        if lease.flags & UNTOLD:
            state = self.table.scope_of(lease.address)
            if state is not None:
                self._tell(self.chooser.authority(state), lease)
        self._write(lease)

    def put_acknowledged(self, now: float, lease: Lease) -> None:
        """Note what the partner knows of a lease that is durable."""
        self.table.amend(lease)
        self.acknowledged.add(now, lease)

    def _tell(self, authority: Authority, lease: Lease) -> None:
        """Have a partner told once a lease is durable."""
        told = self._told.get(id(authority))
        if told is None:
            told = self._told[id(authority)] = (authority, [])
        told[1].append(lease)

    def _write(self, lease: Lease) -> None:
        address = lease.address
        self._undo.append((address, self.table.put(lease)))
        self.writes.append(lease)
        self.acknowledged.overtaken(address)

    def _note(self, record: Record) -> None:
        self.records.append(record)

    def wish(self, now: float, asking: Asking, choice: Choice, block: Block, old: Lease | None) -> bytes:
        """What the lease of a client says of its names in DNS; as before while none are registered."""
        if not self.registrar.is_on:
            return b"" if old is None else old.dns
        chosen = self.registrar.name(now, asking, choice.state, block, choice.reservation)
        return self.registrar.wish(asking, choice.state, chosen, old)

    def scopes_of(self, message: Message, link: Link, facts: Facts, arrival: Arrival) -> list[ScopeState]:
        """The scopes of a client's wire."""
        if self.served.server.subnet_selection and SUBNET_SELECTION in message.options:
            subnet = message.options[SUBNET_SELECTION]
            if len(subnet) != 4:
                raise Refusal(f"option {SUBNET_SELECTION} has {len(subnet)} bytes; an address has 4")
            if LINK_SELECTION not in facts.relay:  # RFC 3527 section 3: the relay's word goes first
                return self.wire(int.from_bytes(subnet, "big"))
        if message.giaddr != NO_ADDRESS and OPTION_RELAY_AGENT not in message.options:
            found = self._wire_of_relay.get(message.giaddr)
            if found is None:
                found = self.wire(int.from_bytes(message.giaddr, "big"))
                if found:  # only relays that are known: others could be made up without end
                    self._wire_of_relay[message.giaddr] = found
            return found
        if message.giaddr != NO_ADDRESS:
            # RFC 3527 section 3: where the client is may differ from where the relay is reached.
            selected = facts.relay.get(LINK_SELECTION) if OPTION_RELAY_AGENT in message.options else None
            return self.wire(int.from_bytes(selected or message.giaddr, "big"))
        if arrival.unicast and message.ciaddr != NO_ADDRESS:
            return self.wire(int.from_bytes(message.ciaddr, "big"))
        for address in (link.address, *link.others):
            if found := self.wire(address):
                return found
        return []

    def wire(self, address: int) -> list[ScopeState]:
        state = self._relays.get(address) or self.table.scope_of(address)
        return [] if state is None else self._wires[state.served.first]

    def selection(self, message: Message) -> tuple[tuple[int, bytes], ...]:
        """The subnet that a client selects, to be told back to it as it came (RFC 3011 section 2)."""
        selected = message.options.get(SUBNET_SELECTION)
        return () if selected is None else ((SUBNET_SELECTION, selected),)

    def drop(self, reason: str) -> None:
        """A message leads to nothing; reasons are few, for each is a series of a metric."""
        self.dropped[reason] += 1

    def no_scope(self, now: float, asking: Asking) -> None:
        """Nobody declared a scope for the client's wire."""
        self.drop("no scope")
        message = asking.message
        link = self.links.get(asking.link)
        network = "an interface without a scope" if link is None else f"interface {link.name}"
        if message.giaddr != NO_ADDRESS:
            network = f"the network of relay {address_text(int.from_bytes(message.giaddr, 'big'))}"
        if self.served.server.subnet_selection and SUBNET_SELECTION in message.options:
            selected = int.from_bytes(message.options[SUBNET_SELECTION], "big")
            network += f", and selects the subnet of {address_text(selected)}"
        self.said.sometimes(now, events.NO_SCOPE, client=hardware_text(asking.hardware), network=network)

    def record(self, event_id: int, asking: Asking, address: int, detail: str = "") -> Record:
        """What the audit log says of a message."""
        options = asking.message.options
        return _new_record((
            event_id, address, host_name_of(asking.facts), asking.hardware, asking.message.xid,
            options.get(VENDOR_CLASS, b""), options.get(USER_CLASS, b""),
            options.get(OPTION_RELAY_AGENT, b""), detail, 0,
        ))  # fmt: skip

    def abandon(self, now: float, address: int, asking: Asking) -> None:
        """Somebody uses an address without a lease of it: keep it back for a while."""
        seconds = int(now)
        until = seconds + 1 + int(self.served.server.decline_s)
        old = self.table.leases.get(address)
        lease = Lease(address, ABANDONED, 0, b"", b"", seconds, until, seconds, seconds)
        if old is not None and old.dns:
            lease = lease._replace(dns=self.registrar.ended(old))
        self.put(lease, self.record(IN_USE, asking, address))
