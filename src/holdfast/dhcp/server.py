"""Lease addresses: what each message of a client leads to.

A batch of messages comes in; answers that promise nothing new (OFFER, NAK, an
answer to INFORM) go out at once; every lease that changed is in ``writes``, and
the answers that rest on it wait until it is durable (``desk``).

Which message means what is RFC 2131's table (section 4.3.2, table 4):

    SELECTING     server identifier, requested address        our offer: ACK, else NAK
    INIT-REBOOT   requested address, no server identifier     known: ACK; wrong: NAK; unknown: silence
    RENEWING      ciaddr, to us alone                         extend, or as above
    REBINDING     ciaddr, to everybody                        extend, or as above

Invariants: an address is active at one client; an ACK leaves after its lease is
durable; between ``receive`` and the end of its commit nothing else is decided.

Source: RFC 2131; RFC 1534 for BOOTP; RFC 3527; RFC 4039; RFC 5107; RFC 6842.
"""

from __future__ import annotations

from typing import Final

from holdfast.dhcp import bootp, events, giving_back, ipv6_only, lease_query, records
from holdfast.dhcp.choice import Asking, Choice
from holdfast.dhcp.desk import Arrival, Delayed, Desk
from holdfast.dhcp.lease import (
    ABANDONED,
    ACTIVE,
    NEVER,
    RESERVED,
    Lease,
    address_text,
    hardware_text,
    new_lease,
)
from holdfast.dhcp.lease_table import ScopeState
from holdfast.dhcp.names import answer_name, host_name_of
from holdfast.dhcp.option_blocks import Block
from holdfast.dhcp.probing import TRIES_MAX, Parked
from holdfast.dhcp.replies import Granted, refusal_way, way
from holdfast.directory.dhcp import UNLIMITED_LEASE_S
from holdfast.kernel.errors import Refusal
from holdfast.wire import dhcp4
from holdfast.wire.dhcp4 import NO_ADDRESS, OPTION_MESSAGE_TYPE, OPTION_RELAY_AGENT, Message, read_message
from holdfast.wire.dhcp4_values import (
    CLIENT_FQDN,
    CLIENT_ID,
    LEASE_TIME,
    RAPID_COMMIT,
    REQUESTED_ADDRESS,
    SERVER_ID,
)
from holdfast.wire.relay_agent import RELAY_SOURCE_PORT, SERVER_ID_OVERRIDE

# A lease ends here a second or two after its client thinks so: for instants are whole, and clocks differ.
SPARE_S: Final = 2

_LEASE_QUERY: Final = bytes((dhcp4.LEASE_QUERY,))


class LeaseServer(Desk):
    """Everything that is decided about messages of clients."""

    def receive(self, now: float, arrivals: list[Arrival]) -> None:
        """Decide about messages that arrived together."""
        for arrival in arrivals:
            try:
                message = read_message(arrival.data)
                if message.op != dhcp4.REQUEST:
                    raise Refusal("an answer of a server")
                self._message(now, message, arrival)
            except Refusal as refusal:
                self._drop_malformed(now, arrival, refusal.text)

    # What a message is

    def _message(self, now: float, message: Message, arrival: Arrival) -> None:
        link = self.links.get(arrival.link)
        if link is None:
            self.drop("interface")
            return
        options = message.options
        kind_value = options.get(OPTION_MESSAGE_TYPE)
        if kind_value is not None and len(kind_value) != 1:
            raise Refusal(f"a message type of {len(kind_value)} bytes")
        hardware = arrival.data[1:2] + message.hardware  # htype is the second byte
        client_id = options.get(CLIENT_ID, b"")
        if len(client_id) == 1 or (len(hardware) == 1 and not client_id and kind_value != _LEASE_QUERY):
            raise Refusal("neither a client identifier nor a hardware address")
        asking = Asking(message, hardware, client_id, link=link.number, server_id=self.link_ids[link.number])
        facts = asking.facts
        asking.scopes = self.scopes_of(message, link, facts, arrival)
        if OPTION_RELAY_AGENT in options and message.giaddr != NO_ADDRESS:
            if SERVER_ID_OVERRIDE in facts.relay:
                asking.server_id = facts.relay[SERVER_ID_OVERRIDE]  # RFC 5107 section 4
            if RELAY_SOURCE_PORT in facts.relay:
                asking.relay_port = arrival.port  # RFC 8357 section 4
        filters = self.served.filters
        if filters.is_on and kind_value != _LEASE_QUERY and not filters.lets_in(message.hardware):
            self.drop("filtered")
            self.said.sometimes(now, events.CLIENT_FILTERED, client=hardware_text(hardware))
            return
        if kind_value is None:
            bootp.boot(self, now, asking)
            return
        match kind_value[0]:
            case dhcp4.DISCOVER:
                self._discover(now, asking)
            case dhcp4.REQUEST_LEASE:
                self._request(now, asking)
            case dhcp4.RELEASE:
                giving_back.release(self, now, asking)
            case dhcp4.DECLINE:
                giving_back.decline(self, now, asking)
            case dhcp4.INFORM:
                giving_back.inform(self, asking, arrival)
            case dhcp4.LEASE_QUERY:
                lease_query.answer_query(self, now, asking)
            case kind:
                raise Refusal(f"message type {kind} is not for a server")

    # DISCOVER

    def _discover(self, now: float, asking: Asking) -> None:
        if not self.may_offer:
            self.drop("not durable")
            return
        if not asking.scopes:
            self.no_scope(now, asking)
            return
        if self.declines.is_put_off(now, asking.hardware):
            self.drop("declines everything")
            return
        if self.probing.waits(asking.key):
            self.drop("probing")
            return
        if not self._is_ours(now, asking):
            self.drop("partner answers")
            return
        if self.served.has_ipv6_only and ipv6_only.offer_nothing(self, asking):
            return
        choice = self._choose(now, asking)
        if choice is None:
            if any(state.served.dhcp for state in asking.scopes):
                self._exhausted(now, asking)
            else:
                self.drop("not by DHCP")
            return
        state = choice.state
        lease = self.table.leases.get(choice.address)
        if RAPID_COMMIT in asking.message.options and state.served.scope.rapid_commit:
            self._grant(now, asking, choice, ((RAPID_COMMIT, b""),))
            return
        if self.served.server.probe_count and (lease is None or lease.status != ACTIVE):
            self._probe(now, Parked(asking, choice, 1))
            return
        self._offer(now, asking, choice)

    def _is_ours(self, now: float, asking: Asking) -> bool:
        """Whether we answer a new client in any scope of its wire, and not our partner."""
        if self.chooser.is_alone:
            return True
        for state in asking.scopes:
            client = asking.client_id or asking.message.hardware
            if self.chooser.authority(state).answers(now, client, asking.message.secs):
                return True
        return False

    def _choose(self, now: float, asking: Asking) -> Choice | None:
        reserved = self.chooser.reserved(asking)
        if reserved is not None:
            holder = self.chooser.holder(reserved, asking)
            if holder is not None:
                self.said.sometimes(
                    now,
                    events.RESERVED_IN_USE,
                    address=address_text(reserved.address),
                    client=hardware_text(asking.hardware),
                    holder=hardware_text(holder.hardware),
                )
            elif not self.chooser.may_be_partners(reserved):
                return reserved
        for state in asking.scopes:
            if state.served.dhcp:
                return self.chooser.choose(asking, _address_option(asking.message, REQUESTED_ADDRESS))
        return None

    def _probe(self, now: float, parked: Parked) -> None:
        """Ask whether an address is in use before it is offered; its client waits."""
        asking, choice = parked.asking, parked.choice
        if not self.probing.has_room:
            self.counts["unprobed offers"] += 1
            self._offer(now, asking, choice)
            return
        choice.state.offers.make(asking.key, choice.address, now + self.served.server.offer_s)
        self.probes.append(self.probing.park(parked, self.served.server.probe_count))

    def probe_answered(self, now: float, number: int, *, in_use: bool) -> None:
        """Somebody uses the address, or nobody answered in time."""
        parked = self.probing.answered(number)
        if parked is None:
            return
        asking, choice = parked.asking, parked.choice
        offered_to = choice.state.offers.by_address.get(choice.address)
        if offered_to != asking.key:
            return  # the offer lapsed, or its client went away
        if not in_use:
            self._offer(now, asking, choice)
            return
        choice.state.offers.drop(asking.key)
        self.said.always(
            events.ADDRESS_IN_USE,
            address=address_text(choice.address),
            client=hardware_text(asking.hardware),
            wait_s=int(self.served.server.decline_s),
        )
        self.abandon(now, choice.address, asking)
        if parked.try_count < TRIES_MAX and (another := self._choose(now, asking)) is not None:
            self._probe(now, Parked(asking, another, parked.try_count + 1))

    def _offer(self, now: float, asking: Asking, choice: Choice) -> None:
        state = choice.state
        offer = state.offers.by_client.get(asking.key)
        offer_s = self.served.server.offer_s
        if offer is None or offer.address != choice.address or offer.until - now < offer_s / 2:
            if offer is not None:
                state.offers.drop(asking.key)
                if offer.address != choice.address:
                    self.table.offer_dropped(state, offer.address)
            if choice.address in state.offers.by_address:
                # A reserved address that its former holder was offered: it is its owner's.
                state.offers.drop(state.offers.by_address[choice.address])
            state.offers.make(asking.key, choice.address, now + offer_s)
        met = self.chooser.policies_met(state, asking)
        block = self.blocks.block(state.served, met, choice.reservation, asking.facts)
        lease_s = self.chooser.authority(state).lease_s(
            now, self.table.leases.get(choice.address), self._lease_s(now, asking, choice, met)
        )
        address = choice.address.to_bytes(4, "big")
        data = self.writer.granted(
            asking.message,
            Granted(
                dhcp4.OFFER, asking.server_id, address, lease_s, block, self._name(now, asking, choice, block)
            ),
        )
        reply = way(asking.message, asking.link, address, data, asking.relay_port)
        self.counts["OFFER"] += 1
        if state.served.scope.delay_ms:
            self.delayed.append(Delayed(now + state.served.scope.delay_ms / 1000, reply))
        else:
            self.replies.append(reply)

    # REQUEST

    def _request(self, now: float, asking: Asking) -> None:
        message = asking.message
        server_id = message.options.get(SERVER_ID)
        requested = _address_option(message, REQUESTED_ADDRESS)
        ciaddr = int.from_bytes(message.ciaddr, "big")
        if not asking.scopes:
            self.no_scope(now, asking)
            return
        if server_id is not None:
            self._selecting(now, asking, server_id, requested or ciaddr)
        elif requested and not ciaddr:
            self._confirm(now, asking, requested)
        elif ciaddr:
            self._confirm(now, asking, ciaddr)
        else:
            self.drop("no address asked for")

    def _selecting(self, now: float, asking: Asking, server_id: bytes, address: int) -> None:
        if server_id != asking.server_id and server_id not in self.own_ids:
            # The client chose another server: what we offered is free again.
            for each in asking.scopes:
                if (dropped := each.offers.drop(asking.key)) is not None:
                    self.table.offer_dropped(each, dropped)
            self.drop("other server")
            return
        state = self._state_on_wire(asking, address)
        if state is None:
            self._refuse(now, asking, address, "the address is not of this network")
            return
        if not self.chooser.is_alone and not self.chooser.authority(state).leases(now):
            self.drop("partner answers")
            return
        reason = self.chooser.refusal(state, asking, address)
        if reason:
            self._refuse(now, asking, address, reason)
        else:
            self._grant(now, asking, self._as_choice(state, asking, address))

    def _confirm(self, now: float, asking: Asking, address: int) -> None:
        """INIT-REBOOT, RENEWING, REBINDING: the client says that it has the address."""
        state = self._state_on_wire(asking, address)
        if state is None:
            if self.served.server.authoritative:
                self._refuse(now, asking, address, "the address is not of this network")
            else:
                self.drop("not of this network")
            return
        if not self.chooser.authority(state).extends(now):
            self.drop("partner answers")
            return
        reason = self.chooser.refusal(state, asking, address)
        if reason:
            self._refuse(now, asking, address, reason)
        elif self.chooser.knows(state, asking, address):
            self._grant(now, asking, self._as_choice(state, asking, address))
        elif any(asking.key in each.by_client for each in asking.scopes):
            self._refuse(now, asking, address, "this client has another address here")
        else:
            # RFC 2131 section 4.3.2: of a client that nobody knows, another server may know more.
            self.drop("unknown client")

    def _state_on_wire(self, asking: Asking, address: int) -> ScopeState | None:
        for state in asking.scopes:
            if state.served.first <= address <= state.served.last:
                return state
        return None

    def _as_choice(self, state: ScopeState, asking: Asking, address: int) -> Choice:
        reservation = self.chooser.reservation(state, asking)
        if reservation is not None and reservation.address != address:
            reservation = None
        return Choice(state, address, reservation)

    def _grant(
        self, now: float, asking: Asking, choice: Choice, more: tuple[tuple[int, bytes], ...] = ()
    ) -> None:
        """Lease an address; the ACK waits for the commit."""
        state, address, reservation = choice.state, choice.address, choice.reservation
        old = self.table.leases.get(address)
        met = self.chooser.policies_met(state, asking)
        block = self.blocks.block(state.served, met, reservation, asking.facts)
        desired_s = self._lease_s(now, asking, choice, met)
        authority = self.chooser.authority(state)
        lease_s = authority.lease_s(now, old, desired_s)
        renewed = old is not None and old.status == ACTIVE and old.key == asking.key
        message, seconds = asking.message, int(now)
        ends_at = NEVER if lease_s == UNLIMITED_LEASE_S else seconds + SPARE_S + lease_s
        if renewed and old is not None and not self.chooser.is_alone and ends_at < old.expires_at:
            ends_at = old.expires_at  # its client counts on that until it hears the shorter one, if it does
        if renewed and old is not None and old.hardware != asking.hardware and old.client_id:
            self._shared_client_id(now, asking, old)
        lease = new_lease(
            (
                address,
                ACTIVE,
                0 if reservation is None else RESERVED,
                asking.hardware,
                asking.client_id,
                old.started_at if renewed and old is not None else seconds,
                ends_at,
                old.changed_at if renewed and old is not None else seconds,
                seconds,
                host_name_of(asking.facts),
                message.options.get(OPTION_RELAY_AGENT, b""),
                self.wish(now, asking, choice, block, old),
                *(old[12:] if old is not None else (0, 0, 0)),
            )
        )
        self.put(
            authority.granted(now, lease, desired_s),
            self.record(records.RENEWED if renewed else records.NEW_LEASE, asking, address),
        )
        state.offers.drop(asking.key)
        if renewed:
            self.declines.kept(asking.hardware)
        self._answer(now, asking, choice, lease_s, block, more)

    def _answer(
        self,
        now: float,
        asking: Asking,
        choice: Choice,
        lease_s: int,
        block: Block,
        more: tuple[tuple[int, bytes], ...],
    ) -> None:
        packed = choice.address.to_bytes(4, "big")
        granted = Granted(
            dhcp4.ACK, asking.server_id, packed, lease_s, block, more + self._name(now, asking, choice, block)
        )
        data = self.writer.granted(asking.message, granted)
        self.waiting.append(way(asking.message, asking.link, packed, data, asking.relay_port))
        self.counts["ACK"] += 1

    def _lease_s(self, now: float, asking: Asking, choice: Choice, met: tuple[int, ...]) -> int:
        """How long the client is told that it may have the address."""
        served = choice.state.served
        lease_s = served.lease_s
        for number in met:
            if (of_policy := served.policies[number].lease_s) is not None:
                lease_s = of_policy
                break
        value = asking.message.options.get(LEASE_TIME)
        if value is not None and len(value) == 4:
            most = served.scope.longest_lease_s
            wanted = min(int.from_bytes(value, "big"), lease_s if most is None else max(int(most), lease_s))
            lease_s = max(wanted, int(served.scope.shortest_lease_s or 1))
        return lease_s

    def _refuse(self, now: float, asking: Asking, address: int, reason: str) -> None:
        data = self.writer.refused(asking.message, asking.server_id, reason)
        self.replies.append(refusal_way(asking.message, asking.link, data, asking.relay_port))
        self.counts["NAK"] += 1
        self.records.append(self.record(records.DENIED, asking, address))
        self.said.sometimes(
            now,
            events.CLIENT_REFUSED,
            client=hardware_text(asking.hardware),
            address=address_text(address),
            reason=reason,
        )

    def _exhausted(self, now: float, asking: Asking) -> None:
        """No address for a client: it hears nothing, and may hear another server."""
        self.drop("exhausted")
        state = asking.scopes[0]
        self.records.append(self.record(records.EXHAUSTED, asking, 0, state.served.name))
        if state.served.name in self.full:
            return
        self.full.add(state.served.name)
        self.said.always(
            events.POOL_EXHAUSTED,
            scope=state.served.name,
            client=hardware_text(asking.hardware),
            leased_count=state.counts[ACTIVE],
            offered_count=len(state.offers),
            declined_count=state.counts[ABANDONED],
            partner_count=state.free_count - self._own_free_count(state),
            size=state.served.unreserved_count,
        )

    def _own_free_count(self, state: ScopeState) -> int:
        authority = self.chooser.authority(state)
        return state.own_free_count(authority.free_status, fresh=authority.fresh)

    def _shared_client_id(self, now: float, asking: Asking, old: Lease) -> None:
        self.said.sometimes(
            now,
            events.SHARED_CLIENT_ID,
            client_id=asking.client_id.hex(":"),
            hardware=hardware_text(asking.hardware),
            hardware_before=hardware_text(old.hardware),
            address=address_text(old.address),
        )

    def _name(
        self, now: float, asking: Asking, choice: Choice, block: Block
    ) -> tuple[tuple[int, bytes], ...]:
        """The answer to option 81, and option 118 as it came, where the client sent them."""
        more = self.selection(asking.message) if self.served.server.subnet_selection else ()
        if CLIENT_FQDN not in asking.message.options:
            return more
        updates, chosen = choice.state.served.scope.dns_updates, None
        if self.registrar.is_on:
            chosen = self.registrar.name(now, asking, choice.state, block, choice.reservation)
        name = "" if chosen is None else chosen.name
        answer = answer_name(asking.facts, updates, registers=chosen is not None, name=name)
        return more if answer is None else (*more, (CLIENT_FQDN, answer))

    def _drop_malformed(self, now: float, arrival: Arrival, reason: str) -> None:
        self.drop("malformed")
        source = address_text(int.from_bytes(arrival.source, "big"))
        self.said.sometimes(now, events.MESSAGE_DROPPED, source=source, reason=reason)

    # Time

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called next."""
        instants = [
            self.table.next_due(), self.registrar.deadline(), self.acknowledged.deadline(),
            *(each.due_at for each in self.delayed),
        ]  # fmt: skip
        known = [each for each in instants if each is not None]
        return min(known) if known else None

    def timer(self, now: float) -> None:
        """Send what was held back, take back offers, end leases; its writes are committed like others."""
        due = [each for each in self.delayed if each.due_at <= now]
        if due:
            self.delayed = [each for each in self.delayed if each.due_at > now]
            self.replies += [each.reply for each in due]
        self.table.lapse_offers(now)
        giving_back.end_leases(self, now)
        self.registrar.timer(now)
        self.acknowledged.timer(now)
        for state in self.table.scopes if self.full else ():
            if state.served.name in self.full and (count := self._own_free_count(state)):
                self.full.discard(state.served.name)
                self.said.always(events.POOL_HAS_ROOM, scope=state.served.name, free_count=count)


def _address_option(message: Message, code: int) -> int:
    """An option that is an address, as a number; 0 when there is none."""
    value = message.options.get(code)
    if value is None:
        return 0
    if len(value) != 4:
        raise Refusal(f"option {code} has {len(value)} bytes; an address has 4")
    return int.from_bytes(value, "big")
