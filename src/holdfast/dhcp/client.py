"""The DHCP client: when it asks, whom, for what, and which address it may use meanwhile.

::

    INIT -> SELECTING -> REQUESTING -> CHECKING -> BOUND -> RENEWING -> REBINDING
     ^         |             |  NAK       |  taken  ^  \\ kept: every 5 minutes
     |         | nobody      v            v         |   v
     +---------+-------------+------------+   CHECKING, PINGING <- REBOOTING <- a lease from before
     (fallback address, again 5 minutes after the round began)

An address of a lease is used from the moment that nobody answered ARP for it
until the lease ends by the client's own count, a server says no, somebody else
defends it, or it is given back. While no server answers, an alternate or
link-local address is used instead (``fallback.py``), never beside a leased one.

The machine is told what happens and when, and says what is to be done
(``client_outputs.py``). Its ``now`` never goes back.

Source: spec/dhcp.md section 1, client behaviour and "no server"; RFC 2131 sections 3.1,
3.2, 4.1 and 4.4.
"""

from __future__ import annotations

import enum
import math
import random
from dataclasses import dataclass
from ipaddress import IPv4Address

from holdfast.dhcp import client_messages as messages
from holdfast.dhcp.address_claim import LEASED, AddressClaim, Pace, Phase
from holdfast.dhcp.client_lease import ClientLease, read_grant, readable
from holdfast.dhcp.client_messages import NOBODY, Attempt, Identity
from holdfast.dhcp.client_outputs import (
    DropAddress,
    ForgetLease,
    KeepLease,
    Output,
    PingGateway,
    SendMessage,
    Told,
    UseAddress,
)
from holdfast.dhcp.fallback import Alternate, Fallback
from holdfast.kernel.errors import Refusal
from holdfast.wire import dhcp4
from holdfast.wire import dhcp4_values as values
from holdfast.wire.dhcp4 import Message
from holdfast.wire.frames import Arp

# RFC 2131 section 4.1: doubled, each varied by a second; section 3.1 step 5: four times, a minute in all.
WAITS_S = (4.0, 8.0, 16.0, 32.0)
VARIATION_S = 1.0
ROUND_EVERY_S = 300.0  # spec/dhcp.md section 1: the pattern repeats every five minutes
# A machine that starts has users who wait: after two questions it looks for its gateway.
REBOOT_WAITS_S = (4.0, 8.0)
PING_COUNT, PING_INTERVAL_S = 3, 1.0
DECLINE_WAIT_S = 10.0  # RFC 2131 section 3.1, step 5
NAK_WAIT_S = 10.0  # after a second refusal in a row, for a server may offer what another one refuses
EXTEND_WAIT_MIN_S = 60.0  # RFC 2131 section 4.4.5
# The standard's minute would leave a lease of two minutes one try.
_EXTEND_WAIT_SHARE, _EXTEND_WAIT_LEAST_S = 1 / 32, 1.0


class State(enum.Enum):
    """The states of RFC 2131 figure 5, CHECKING and PINGING before BOUND, and the end."""

    INIT = "init"
    SELECTING = "selecting"
    REQUESTING = "requesting"
    REBOOTING = "rebooting"
    CHECKING = "checking"
    PINGING = "pinging"
    BOUND = "bound"
    RENEWING = "renewing"
    REBINDING = "rebinding"
    ENDED = "ended"


_ASKS_FOR_A_LEASE = (State.REQUESTING, State.REBOOTING, State.RENEWING, State.REBINDING)


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How a client behaves.

    Attributes:
        identity: who it says it is.
        wanted: an address that it asks for in its DISCOVER.
        alternate: used while no server answers.
        link_local: whether a link-local address is used without an alternate one.
        pace: how a leased address is asked for by ARP.
    """

    identity: Identity
    wanted: IPv4Address | None = None
    alternate: Alternate | None = None
    link_local: bool = True
    pace: Pace = LEASED


class Client:
    """The client of one interface.

    Attributes:
        state: where it is.
        lease: the lease whose address is used; None without one.
        round_count: how many rounds of DISCOVER nobody answered.
    """

    def __init__(self, settings: ClientSettings, luck: random.Random) -> None:
        """Make a client that has not started."""
        self.state = State.INIT
        self.lease: ClientLease | None = None
        self.round_count = 0
        self._settings = settings
        self._identity = settings.identity
        self._luck = luck
        self._fallback = Fallback(
            settings.identity.mac, luck, settings.alternate, link_local=settings.link_local
        )
        self._claim: AddressClaim | None = None
        self._candidate: ClientLease | None = None  # offered, granted and unchecked, or from before
        self._pings_next = False  # a lease from before is used only where its gateway is
        self._is_kept = False  # the lease is used although no server was heard
        self._wish = settings.wanted
        self._due_at = math.inf
        self._out: list[Output] = []
        self._xid = b""
        self._discover_secs = 0
        self._began_at = self._round_at = self._asked_at = 0.0
        self._try_count = 0
        self._nak_count = 0

    @property
    def wake_at(self) -> float:
        """When ``due`` wants to be called; infinity for never."""
        claim_at = math.inf if self._claim is None else self._claim.wake_at
        ends_at = math.inf if self.lease is None else self.lease.ends_at
        return min(self._due_at, claim_at, ends_at, self._fallback.wake_at)

    @property
    def address(self) -> IPv4Address | None:
        """The address that is used now, by a lease or for want of one."""
        return self._fallback.address if self.lease is None else self.lease.address

    # --- inputs --------------------------------------------------------------------------------------

    def start(self, now: float, remembered: ClientLease | None) -> list[Output]:
        """Begin; with a lease from before that has not ended the client asks for its address."""
        assert self.state is State.INIT
        assert self._due_at == math.inf
        if remembered is not None and remembered.asked_at <= now < remembered.ends_at:
            self._candidate = remembered
            self._begin_reboot(now)
        else:
            if remembered is not None:
                self._say("lease", f"the lease of {remembered.address} from before has ended")
                self._out.append(ForgetLease())
            self._begin_discovery(now)
        return self._done()

    def due(self, now: float) -> list[Output]:
        """Do what is to be done by now."""
        if self.lease is not None and now >= self.lease.ends_at:
            self._lease_ended(now, self.lease)
        self._follow_claim(now)
        self._out += self._fallback.due(now)
        if now >= self._due_at:
            self._due_at = math.inf
            self._act(now)
        return self._done()

    def _follow_claim(self, now: float) -> None:
        if self._claim is None:
            return
        self._out += self._claim.due(now)
        if self.state is State.CHECKING and self._claim.phase is Phase.FREE:
            self._checked(now)

    def heard(self, now: float, message: Message) -> list[Output]:
        """A message arrived at the client's port, perhaps a second time, late, or somebody else's."""
        if message.op == dhcp4.REPLY and message.xid == self._xid and message.hardware == self._identity.mac:
            kind = message.options.get(dhcp4.OPTION_MESSAGE_TYPE, b"")
            if kind == bytes((dhcp4.OFFER,)):
                self._offered(now, message)
            elif self.state in _ASKS_FOR_A_LEASE and kind == bytes((dhcp4.ACK,)):
                self._granted(now, message)
            elif self.state in _ASKS_FOR_A_LEASE and kind == bytes((dhcp4.NAK,)):
                self._refused(now, message)
        return self._done()

    def heard_arp(self, now: float, arp: Arp) -> list[Output]:
        """An ARP packet came by."""
        self._out += self._fallback.heard(now, arp)
        claim = self._claim
        if claim is not None:
            self._out += claim.heard(now, arp)
            if claim.phase is Phase.LOST:
                self._lost(now, claim)
        return self._done()

    def gateway_answered(self, now: float) -> list[Output]:
        """The gateway answered the ping: this is still the network of the lease."""
        lease = self._candidate or self.lease
        if self.state is State.PINGING and lease is not None:
            self._say("heard", f"the gateway {lease.gateway} answers: keeps {lease.address}")
            self._bind(now, lease, kept=True)
        return self._done()

    def renew(self, now: float) -> list[Output]:
        """Ask its server for more time now, if it has a lease; somebody wants to see whether that works."""
        lease = self.lease
        if self.state is State.BOUND and lease is not None and now < lease.rebind_at:
            self._ask_for_more(now, State.RENEWING, lease.rebind_at)
        return self._done()

    def end(self, now: float, *, release: bool) -> list[Output]:
        """Stop; with ``release`` the lease is given back, else its address stays good until it ends."""
        if self.state is State.ENDED:
            return []
        lease = self.lease
        self._out += self._fallback.end()
        if lease is not None and release:
            self._new_xid()
            self._out.append(
                SendMessage(messages.release(self._identity, self._xid, lease), lease.address, lease.server)
            )
            self._say("sent", f"RELEASE of {lease.address} to {lease.server}", lease)
            self._stop_using(for_good=True)
        self._go(State.ENDED)
        self._claim = self._candidate = None
        return self._done()

    # --- what the timer does -------------------------------------------------------------------------

    def _act(self, now: float) -> None:
        match self.state:
            case State.INIT:
                self._begin_discovery(now)
            case State.SELECTING if self._try_count < len(WAITS_S):
                self._discover(now)
            case State.SELECTING:
                self._unanswered(now)
            case State.REQUESTING if self._try_count < len(WAITS_S):
                self._request(now)
            case State.REQUESTING:
                self._say("waits", "no answer to REQUEST: begins anew")
                self._begin_discovery(now)
                self._out += self._fallback.begin(now)
            case State.REBOOTING if self._try_count < len(REBOOT_WAITS_S):
                self._reboot(now)
            case State.REBOOTING:
                self._no_server_after_reboot(now)
            case State.PINGING if self._try_count < PING_COUNT:
                self._ping(now)
            case State.PINGING:
                self._gateway_is_silent(now)
            case State.BOUND | State.RENEWING | State.REBINDING:
                self._extend(now)
            case _:
                raise AssertionError(self.state)

    # --- without a lease -----------------------------------------------------------------------------

    def _begin_discovery(self, now: float) -> None:
        assert self.lease is None
        self._go(State.SELECTING)
        self._candidate = self._claim = None
        self._round_at = now
        if self.round_count == 0:
            self._began_at = now
        self._new_xid()
        self._discover(now)

    def _discover(self, now: float) -> None:
        attempt = self._attempt(now)
        self._discover_secs = attempt.secs
        self._broadcast(messages.discover(self._identity, attempt, self._wish))
        self._say("sent", f"DISCOVER, try {self._try_count + 1}{_about(attempt)}")
        self._plan_next_try(now, WAITS_S)

    def _unanswered(self, now: float) -> None:
        self.round_count += 1
        next_at = max(now, self._round_at + ROUND_EVERY_S)
        self._go(State.INIT)
        self._due_at = next_at
        self._say("waits", f"no server answered; asks again in {next_at - now:.0f} s")
        self._out += self._fallback.begin(now)

    def _offered(self, now: float, message: Message) -> None:
        offer = self._read(message, now)
        if offer is None:
            return
        if self.state is not State.SELECTING:
            self._say(
                "ignored", f"OFFER of {offer.address} from {offer.server}: another one came first", offer
            )
            return
        self._say("heard", f"OFFER of {offer.address} from {offer.server}", offer)
        self._go(State.REQUESTING)
        self._candidate = offer
        self._asked_at = now
        self._request(now)

    def _request(self, now: float) -> None:
        offer = self._candidate
        assert offer is not None
        # Table 5: the xid of the OFFER, and the secs of the DISCOVER.
        attempt = Attempt(self._xid, self._discover_secs)
        self._broadcast(messages.select(self._identity, attempt, offer))
        self._say(
            "sent",
            f"REQUEST of {offer.address} from {offer.server}, try {self._try_count + 1}{_about(attempt)}",
        )
        self._plan_next_try(now, WAITS_S)

    # --- a lease from before -------------------------------------------------------------------------

    def _begin_reboot(self, now: float) -> None:
        self._go(State.REBOOTING)
        self._began_at = self._round_at = self._asked_at = now
        self._new_xid()
        self._reboot(now)

    def _reboot(self, now: float) -> None:
        lease = self._candidate or self.lease
        assert lease is not None
        attempt = self._attempt(now)
        self._broadcast(messages.reboot(self._identity, attempt, lease.address))
        self._say("sent", f"REQUEST of {lease.address} as before, try {self._try_count + 1}{_about(attempt)}")
        self._plan_next_try(now, REBOOT_WAITS_S)

    def _no_server_after_reboot(self, now: float) -> None:
        lease = self._candidate or self.lease
        assert lease is not None
        if lease.gateway is None:
            self._say("waits", f"no server answered, and {lease.address} has no gateway to look for")
            self._give_up_lease(now)
        elif self._candidate is not None:
            self._say("waits", f"no server answered: looks for the gateway {lease.gateway}")
            self._check(now, lease, then_ping=True)
        else:
            self._begin_ping(now)

    def _begin_ping(self, now: float) -> None:
        self._go(State.PINGING)
        self._ping(now)

    def _ping(self, now: float) -> None:
        lease = self._candidate or self.lease
        assert lease is not None
        assert lease.gateway is not None
        self._try_count += 1
        self._out.append(PingGateway(lease.gateway, lease.address))
        self._due_at = now + PING_INTERVAL_S

    def _gateway_is_silent(self, now: float) -> None:
        lease = self._candidate or self.lease
        assert lease is not None
        self._say("waits", f"the gateway {lease.gateway} does not answer: {lease.address} is of no use here")
        self._give_up_lease(now)

    def _give_up_lease(self, now: float) -> None:
        """No sign of the network of the lease: use another address, and ask anybody at once."""
        self._stop_using()
        self._begin_discovery(now)
        self._out += self._fallback.begin(now)

    # --- answers -------------------------------------------------------------------------------------

    def _granted(self, now: float, message: Message) -> None:
        lease = self._read(message, self._asked_at)
        if lease is None:
            return
        chosen = self._candidate
        if self.state is State.REQUESTING and chosen is not None and lease.server != chosen.server:
            self._say("ignored", f"ACK from {lease.server}: the offer is that of {chosen.server}")
            return
        self._say("heard", f"ACK of {lease.address} for {_span(lease)} from {lease.server}", lease)
        self._nak_count = 0
        if self.lease is not None and self.lease.address == lease.address:
            self._bind(now, lease)
            return
        self._stop_using()
        self._check(now, lease, then_ping=False)

    def _refused(self, now: float, message: Message) -> None:
        lease = self._candidate or self.lease
        assert lease is not None
        server = _server_of(message)
        if self.state is State.REQUESTING and server != lease.server:
            self._say("ignored", f"NAK from {server}: the offer is that of {lease.server}")
            return
        why = readable(message.options.get(values.ERROR_TEXT, b""))
        self._say("heard", f"NAK of {lease.address} from {server}{f': {why}' if why else ''}")
        self._nak_count += 1
        self._stop_using(for_good=True)
        if self._nak_count == 1:
            self._begin_discovery(now)
        else:
            self._wait(now, NAK_WAIT_S)

    def _read(self, message: Message, asked_at: float) -> ClientLease | None:
        try:
            return read_grant(message, asked_at)
        except Refusal as refusal:
            kind = dhcp4.MESSAGE_NAMES[message.options[dhcp4.OPTION_MESSAGE_TYPE][0]]
            self._say("ignored", f"{kind}: {refusal.text}")
            return None

    # --- the address ---------------------------------------------------------------------------------

    def _check(self, now: float, lease: ClientLease, *, then_ping: bool) -> None:
        self._go(State.CHECKING)
        self._candidate, self._pings_next = lease, then_ping
        self._claim = AddressClaim(lease.address, self._identity.mac, self._settings.pace, now, self._luck)
        self._follow_claim(now)

    def _checked(self, now: float) -> None:
        lease = self._candidate
        assert lease is not None
        if self._pings_next:
            self._begin_ping(now)
        else:
            self._bind(now, lease)

    def _bind(self, now: float, lease: ClientLease, *, kept: bool = False) -> None:
        if lease.ends_at <= now:
            self._lease_ended(now, lease)
            return
        self._out += self._fallback.end()
        self.lease, self._candidate, self._is_kept, self._wish = lease, None, kept, lease.address
        self.round_count = 0
        self._go(State.BOUND)
        # Without a server the gateway is looked for again and again: the machine may have moved.
        self._due_at = min(lease.renew_at, now + ROUND_EVERY_S) if kept else lease.renew_at
        lasts_s = None if math.isinf(lease.ends_at) else lease.ends_at - now
        self._out.append(UseAddress(lease.address, lease.prefix_bits, lease.routers, lease.routes, lasts_s))
        if not kept:
            self._out.append(KeepLease(lease))
        assert self._claim is not None
        self._out += self._claim.hold(now)
        self._say("lease", _terms(lease, now), lease)

    def _lost(self, now: float, claim: AddressClaim) -> None:
        """Somebody else has the address (RFC 2131 section 3.1 step 5)."""
        lease = self._candidate or self.lease
        assert lease is not None
        self._say("address", f"{claim.address} is used by {claim.rival.hex(':')}")
        self._new_xid()
        self._broadcast(messages.decline(self._identity, self._xid, lease))
        self._say("sent", f"DECLINE of {lease.address} to {lease.server}", lease)
        self._stop_using(for_good=True)
        self._wait(now, DECLINE_WAIT_S)

    def _stop_using(self, *, for_good: bool = False) -> None:
        if self.lease is not None:
            self._out.append(DropAddress(self.lease.address))
        self.lease = self._claim = self._candidate = None
        if for_good:
            self._wish = self._settings.wanted
            self._out.append(ForgetLease())

    def _lease_ended(self, now: float, lease: ClientLease) -> None:
        self._say("lease", f"the lease of {lease.address} ended", lease)
        self._stop_using()
        self._out.append(ForgetLease())
        if lease.lease_s > NAK_WAIT_S:
            self._begin_discovery(now)
        else:
            self._wait(now, NAK_WAIT_S)  # a server that grants seconds is not asked every second

    # --- more time -----------------------------------------------------------------------------------

    def _extend(self, now: float) -> None:
        lease = self.lease
        assert lease is not None
        if now >= lease.rebind_at:
            self._ask_for_more(now, State.REBINDING, lease.ends_at)
        elif now >= lease.renew_at or self.state is State.RENEWING:
            self._ask_for_more(now, State.RENEWING, lease.rebind_at)
        else:
            assert self._is_kept
            self._begin_reboot(now)

    def _ask_for_more(self, now: float, state: State, until: float) -> None:
        lease = self.lease
        assert lease is not None
        if self.state is not state:
            if self.state is State.BOUND:
                self._began_at = now
            self._go(state)
        # Each try has an xid of its own, so that the lease is counted from the one that was answered.
        self._asked_at = now
        self._new_xid()
        self._try_count += 1
        attempt = self._attempt(now)
        target = lease.server if state is State.RENEWING else None
        self._out.append(
            SendMessage(messages.extend(self._identity, attempt, lease.address), lease.address, target)
        )
        self._say(
            "sent",
            f"REQUEST for more time of {lease.address} to {'everybody' if target is None else target}, "
            f"try {self._try_count}{_about(attempt)}",
        )
        least_s = min(EXTEND_WAIT_MIN_S, max(_EXTEND_WAIT_LEAST_S, lease.lease_s * _EXTEND_WAIT_SHARE))
        self._due_at = min(until, now + max((until - now) / 2, least_s))

    # --- small things --------------------------------------------------------------------------------

    def _wait(self, now: float, wait_s: float) -> None:
        self._go(State.INIT)
        self._due_at = now + wait_s
        self._say("waits", f"begins anew in {wait_s:.0f} s")

    def _go(self, state: State) -> None:
        self.state = state
        self._try_count = 0
        self._due_at = math.inf

    def _plan_next_try(self, now: float, waits_s: tuple[float, ...]) -> None:
        self._due_at = now + waits_s[self._try_count] + self._luck.uniform(-VARIATION_S, VARIATION_S)
        self._try_count += 1

    def _new_xid(self) -> None:
        self._xid = self._luck.getrandbits(32).to_bytes(4, "big")

    def _attempt(self, now: float) -> Attempt:
        return Attempt(self._xid, min(int(now - self._began_at), messages.SECS_MAX))

    def _broadcast(self, data: bytes) -> None:
        self._out.append(SendMessage(data, NOBODY, None))

    def _say(self, what: str, text: str, lease: ClientLease | None = None) -> None:
        self._out.append(Told(self.state.value, what, text, lease))

    def _done(self) -> list[Output]:
        out, self._out = self._out, []
        return out


def _about(attempt: Attempt) -> str:
    return f" (xid {attempt.xid.hex()}, secs {attempt.secs})"


def _server_of(message: Message) -> IPv4Address | None:
    value = message.options.get(values.SERVER_ID, b"")
    return IPv4Address(value) if len(value) == 4 else None


def _span(lease: ClientLease) -> str:
    return "ever" if math.isinf(lease.lease_s) else f"{lease.lease_s:.0f} s"


def _terms(lease: ClientLease, now: float) -> str:
    if math.isinf(lease.ends_at):
        return f"has {lease.address}/{lease.prefix_bits} for ever"
    times = (lease.renew_at, lease.rebind_at, lease.ends_at)
    renew_s, rebind_s, ends_s = (f"{max(0.0, each - now):.0f}" for each in times)
    return (
        f"has {lease.address}/{lease.prefix_bits}: renews in {renew_s} s, rebinds in {rebind_s} s, "
        f"ends in {ends_s} s"
    )
