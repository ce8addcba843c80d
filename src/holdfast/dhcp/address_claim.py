"""One address on the wire: asked for by ARP, announced, defended, given up.

An address is free once nobody answered for it. While it is held, the first packet
of somebody else who uses it is answered with an announcement; the second within
ten seconds ends the claim, for two that shout at each other help nobody.

Source: RFC 5227 sections 2.1.1, 2.3 and 2.4; RFC 3927 sections 2.2.1, 2.4 and 2.5.
"""

from __future__ import annotations

import enum
import math
import random
from dataclasses import dataclass
from ipaddress import IPv4Address

from holdfast.dhcp.client_outputs import Announce, AskArp, Output
from holdfast.wire.frames import ARP_REQUEST, Arp

DEFEND_INTERVAL_S = 10.0
ANNOUNCE_COUNT, ANNOUNCE_INTERVAL_S = 2, 2.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How an address is asked for.

    Attributes:
        first_wait_s: a random wait up to this comes before.
        ask_count: how often; 0 takes the address unasked.
        gap_min_s: the shortest time between two questions.
        gap_max_s: the longest.
        last_wait_s: how long the last question may be answered.
    """

    first_wait_s: float
    ask_count: int
    gap_min_s: float
    gap_max_s: float
    last_wait_s: float


# RFC 5227 section 1.1, and the same for an address that nobody granted: RFC 3927 section 9.
UNGRANTED = Pace(1.0, 3, 1.0, 2.0, 2.0)
# A server vouches for a leased address: one second is enough, and a machine that starts waits for it.
LEASED = Pace(0.0, 2, 0.5, 0.5, 0.5)
UNASKED = Pace(0.0, 0, 0.0, 0.0, 0.0)


class Phase(enum.Enum):
    """How far a claim is."""

    ASKING = "asking"
    FREE = "free"  # nobody answered; it is not used yet
    HELD = "held"
    LOST = "lost"


class AddressClaim:
    """The claim to one address.

    Attributes:
        address: which.
        phase: how far it is.
        rival: the hardware address of who has it, once it is lost.
        wake_at: when ``due`` wants to be called; infinity for never.
    """

    def __init__(self, address: IPv4Address, mac: bytes, pace: Pace, now: float, luck: random.Random) -> None:
        """Begin to ask; ``mac`` is our own hardware address."""
        self.address = address
        self.phase = Phase.ASKING
        self.rival = b""
        self.wake_at = now + luck.uniform(0.0, pace.first_wait_s)
        self._mac = mac
        self._pace = pace
        self._luck = luck
        self._asked_count = 0
        self._announced_count = 0
        self._defended_at = -math.inf

    def due(self, now: float) -> list[Output]:
        """Do what is to be done by now."""
        if now < self.wake_at:
            return []
        if self.phase is Phase.HELD:
            return self._announce(now)
        if self._asked_count < self._pace.ask_count:
            return self._ask(now)
        self.phase = Phase.FREE
        self.wake_at = math.inf
        return []

    def hold(self, now: float) -> list[Output]:
        """The free address is used from now on; nothing happens when it is already."""
        assert self.phase in (Phase.FREE, Phase.HELD)
        if self.phase is Phase.HELD:
            return []
        self.phase = Phase.HELD
        return self._announce(now)

    def _ask(self, now: float) -> list[Output]:
        self._asked_count += 1
        last = self._asked_count == self._pace.ask_count
        pace = self._pace
        self.wake_at = now + (
            pace.last_wait_s if last else self._luck.uniform(pace.gap_min_s, pace.gap_max_s)
        )
        return [AskArp(self.address)]

    def _announce(self, now: float) -> list[Output]:
        self._announced_count += 1
        self.wake_at = now + ANNOUNCE_INTERVAL_S if self._announced_count < ANNOUNCE_COUNT else math.inf
        return [Announce(self.address)]

    def heard(self, now: float, arp: Arp) -> list[Output]:
        """An ARP packet came by; the claim may be lost afterwards."""
        if arp.sender_mac == self._mac or self.phase is Phase.LOST:
            return []
        uses = arp.sender == self.address.packed
        # RFC 5227 section 2.1.1: somebody asks for the same address at the same time.
        asks = (
            self.phase is Phase.ASKING
            and arp.operation == ARP_REQUEST
            and arp.sender == bytes(4)
            and arp.target == self.address.packed
        )
        if not uses and not asks:
            return []
        if self.phase is Phase.HELD and now - self._defended_at >= DEFEND_INTERVAL_S:
            self._defended_at = now
            return [Announce(self.address)]
        self.phase = Phase.LOST
        self.rival = arp.sender_mac
        self.wake_at = math.inf
        return []
