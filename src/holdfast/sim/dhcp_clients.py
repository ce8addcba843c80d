"""Clients of the made-up world: lease, renew at half, rebind at seven eighths, and everything that people do.

A client uses its address from the ACK until its lease ends *by its own count*,
which begins when it asked (RFC 2131 section 4.4.5); until it releases it, is
refused it, or loses its power. What it uses is what the checker goes by.

Source: RFC 2131 section 4.4, figure 5.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol

from holdfast.kernel.errors import Refusal
from holdfast.sim.dhcp_rates import DhcpRates
from holdfast.sim.world import World, some
from holdfast.wire import dhcp4
from holdfast.wire.dhcp4 import NO_ADDRESS, Message, encode_message, read_message
from holdfast.wire.dhcp4_values import CLIENT_ID, LEASE_TIME, PARAMETER_LIST, REQUESTED_ADDRESS, SERVER_ID

FIRST_WAIT_S = 4.0  # RFC 2131 section 4.1: then doubled
LONGEST_WAIT_S = 64.0


class Where(enum.Enum):
    """The states of RFC 2131's figure 5, as far as they differ in what is sent."""

    OFF = "off"
    SELECTING = "selecting"
    REQUESTING = "requesting"
    REBOOTING = "rebooting"
    BOUND = "bound"
    RENEWING = "renewing"
    REBINDING = "rebinding"


class Watcher(Protocol):
    """Who sees what clients use."""

    def begins(self, client: Client, address: int, until: float) -> None: ...
    def goes_on(self, client: Client, address: int, until: float) -> None: ...
    def ends(self, client: Client, address: int) -> None: ...


def hardware_of(number: int) -> bytes:
    """The hardware address of a client."""
    return b"\x02\x00" + number.to_bytes(4, "big")


class Client:
    """One machine on the wire."""

    def __init__(
        self,
        number: int,
        world: World,
        rates: DhcpRates,
        send: Callable[[Client, bytes, bool], None],
        watcher: Watcher,
    ) -> None:
        """Make a machine that is off.

        Args:
            number: tells its hardware address.
            world: the clock.
            rates: how often it does what.
            send: takes what it sends, and whether that goes to the server alone.
            watcher: sees what it uses.
        """
        self.number = number
        self.hardware = hardware_of(number)
        self.where = Where.OFF
        self.address = 0
        self.calm = False
        self._world = world
        self._rates = rates
        self._send = send
        self._watcher = watcher
        self._luck = world.luck(f"client {number}")
        self._client_id = b""
        if self._luck.random() < 0.5:
            self._client_id = b"\x00" + b"client %d" % number
        self._xid = b""
        self._asked_at = 0.0
        self._began_at = world.now  # since when it has no address
        self._until = self._renew_at = self._rebind_at = self._quiet_until = 0.0
        self._remembered = 0
        self._server_id = b""
        self._step = 0  # what was planned for an earlier step is passed over
        self._wait_s = FIRST_WAIT_S
        self.squatted: Callable[[int], bool] = lambda address: False

    @property
    def key(self) -> bytes:
        """Who it is for the server."""
        return self._client_id or b"\x01" + self.hardware

    @property
    def server_id(self) -> int:
        """The address of the server that it got its lease from."""
        return int.from_bytes(self._server_id, "big")

    @property
    def asked_at(self) -> float:
        """When it asked last."""
        return self._asked_at

    def seeks_s(self) -> float:
        """For how long it has sought a server in vain, and heard none; 0 when it does not."""
        return self._world.now - self._began_at if self.where is Where.SELECTING else 0.0

    # --- what people do ------------------------------------------------------------------------

    def power_on(self) -> None:
        """Start; with an address that it remembers it asks for that (INIT-REBOOT)."""
        if self.where is not Where.OFF or self._world.now < self._quiet_until:
            return
        if not self.calm and self._luck.random() < self._rates.new_identity_rate:
            self._client_id = b"\x00" + self._luck.getrandbits(64).to_bytes(8, "big")
        if self._remembered and self._luck.random() < 0.6:
            self._begin(Where.REBOOTING)
        else:
            self._begin(Where.SELECTING)

    def power_off(self) -> None:
        """Lose the power: the address is not used any more, and nobody is told."""
        self._stop_using()
        self._go(Where.OFF)

    def release(self) -> None:
        """Give the address back and be off."""
        if not self.address:
            return
        address = self.address
        self._stop_using()
        self._go(Where.OFF)
        self._remembered = 0
        # A RELEASE names no lease: one that is overtaken by the next REQUEST would end what that leads to.
        self._quiet_until = self._world.now + 2 * self._rates.delay_s
        self._say(
            dhcp4.RELEASE, {SERVER_ID: self._server_id}, ciaddr=address.to_bytes(4, "big"), to_server=True
        )

    # --- what happens to it --------------------------------------------------------------------

    def heard(self, data: bytes) -> None:
        """An answer arrived, perhaps a second time or long after."""
        try:
            answer = read_message(data)
        except Refusal as refusal:
            raise AssertionError(f"the server wrote what is no message: {refusal.text}") from None
        if answer.xid != self._xid or answer.hardware != self.hardware:
            return
        kind = answer.options[53][0]
        address = int.from_bytes(answer.yiaddr, "big")
        if kind == dhcp4.OFFER and self.where is Where.SELECTING:
            self._server_id = answer.options[SERVER_ID]
            self._remembered = address
            self._go(Where.REQUESTING)
            self._ask()
        elif kind == dhcp4.ACK and self.where in (
            Where.REQUESTING, Where.REBOOTING, Where.RENEWING, Where.REBINDING,
        ):  # fmt: skip
            self._bind(answer, address)
        elif kind == dhcp4.NAK and self.where is not Where.SELECTING and self.where is not Where.OFF:
            self._stop_using()
            self._remembered = 0
            self._begin(Where.SELECTING)

    def _bind(self, answer: Message, address: int) -> None:
        self._server_id = answer.options[SERVER_ID]
        lease_s = int.from_bytes(answer.options[LEASE_TIME], "big")
        if self.squatted(address):
            self._xid = b""
            self._remembered = 0
            self._say(
                dhcp4.DECLINE, {REQUESTED_ADDRESS: address.to_bytes(4, "big"), SERVER_ID: self._server_id}
            )
            self._go(Where.OFF)
            # RFC 2131 section 3.1, step 5: wait ten seconds at least.
            self._plan(10.0, "asks again after a DECLINE", self.power_on)
            return
        until = self._asked_at + lease_s
        if until <= self._world.now:
            self._begin(Where.SELECTING)  # it came too late to be of use
            return
        if self.address:
            self._watcher.goes_on(self, address, until)
        else:
            self._watcher.begins(self, address, until)
        self.address = self._remembered = address
        self._until = until
        self._renew_at = self._asked_at + lease_s / 2
        self._rebind_at = self._asked_at + lease_s * 7 / 8
        self._go(Where.BOUND)
        self._plan(max(0.0, self._renew_at - self._world.now), "", self._renew)

    def _renew(self) -> None:
        now = self._world.now
        if now >= self._until:
            self._stop_using()
            self._begin(Where.SELECTING)
            return
        self._go(Where.REBINDING if now >= self._rebind_at else Where.RENEWING)
        self._ask()

    # --- asking ------------------------------------------------------------------------------------

    def _begin(self, where: Where) -> None:
        self._go(where)
        self._began_at = self._world.now
        self._wait_s = FIRST_WAIT_S
        self._ask()

    def _ask(self) -> None:
        self._xid = self._luck.getrandbits(32).to_bytes(4, "big")
        self._asked_at = self._world.now
        remembered = self._remembered.to_bytes(4, "big")
        match self.where:
            case Where.SELECTING:
                wish = {REQUESTED_ADDRESS: remembered} if self._remembered else {}
                self._say(dhcp4.DISCOVER, wish)
            case Where.REQUESTING:
                self._say(dhcp4.REQUEST_LEASE, {REQUESTED_ADDRESS: remembered, SERVER_ID: self._server_id})
            case Where.REBOOTING:
                self._say(dhcp4.REQUEST_LEASE, {REQUESTED_ADDRESS: remembered})
            case Where.RENEWING | Where.REBINDING:
                ciaddr = self.address.to_bytes(4, "big")
                self._say(dhcp4.REQUEST_LEASE, {}, ciaddr=ciaddr, to_server=self.where is Where.RENEWING)
            case _:
                return
        self._plan(self._patience_s(), "", self._unheard)

    def _patience_s(self) -> float:
        now = self._world.now
        if self.where in (Where.RENEWING, Where.REBINDING):
            # Half of what is left, one look at least when the lease ends.
            until = self._rebind_at if self.where is Where.RENEWING else self._until
            return min(max(1.0, (until - now) / 2), max(0.0, self._until - now))
        self._wait_s = min(LONGEST_WAIT_S, self._wait_s * 2)
        return self._wait_s / 2 + self._luck.uniform(-1.0, 1.0)

    def _unheard(self) -> None:
        if self.where in (Where.RENEWING, Where.REBINDING):
            self._renew()
        elif self.where is Where.SELECTING:
            self._ask()
        elif self._luck.random() < 0.4:
            self._begin(Where.SELECTING)
        else:
            self._ask()

    def _say(
        self, kind: int, options: dict[int, bytes], *, ciaddr: bytes = NO_ADDRESS, to_server: bool = False
    ) -> None:
        given = {53: bytes((kind,)), **options, PARAMETER_LIST: b"\x01\x03\x33"}
        if self._client_id:
            given[CLIENT_ID] = self._client_id
        message = Message(
            op=1, hardware_type=1, hardware=self.hardware, hops=0, xid=self._xid or bytes(4),
            secs=min(0xFFFF, int(self._world.now - self._began_at)),
            flags=0x8000, ciaddr=ciaddr, yiaddr=NO_ADDRESS, siaddr=NO_ADDRESS, giaddr=NO_ADDRESS, sname=b"",
            file=b"", options=given,
        )  # fmt: skip
        self._send(self, encode_message(message), to_server)

    # --- its own clockwork -------------------------------------------------------------------------

    def _stop_using(self) -> None:
        if self.address:
            self._watcher.ends(self, self.address)
            self.address = 0

    def _go(self, where: Where) -> None:
        self.where = where
        self._step += 1

    def _plan(self, delay_s: float, what: str, action: Callable[[], None]) -> None:
        step = self._step

        def due() -> None:
            if self._step == step:
                action()

        self._world.after(delay_s, f"client {self.number} {what}" if what else "", due)

    def live(self) -> None:
        """Be switched on and off, and give addresses back, as people do."""
        what = self._luck.random()
        if not self.calm:
            if self.where is Where.OFF:
                self.power_on()
            elif what < 0.3:
                self.power_off()
            elif what < 0.6:
                self.release()
        else:
            self.power_on()
        self._world.after(some(self._luck, self._rates.people_every_s), "", self.live)
