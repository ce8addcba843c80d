"""The address of a client that no server answers: the alternate one, else a link-local one.

Each is asked for by ARP before it is used. An alternate address that somebody
has is given up for a link-local one; link-local ones are tried one after the
other in an order that the hardware address decides, so that a machine mostly
gets the same one again. After ten that were taken, one a minute.

Source: spec/dhcp.md section 1, "no server"; RFC 3927 sections 2.1, 2.2.1 and 2.5.
"""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass
from ipaddress import IPv4Address

from holdfast.dhcp.address_claim import UNGRANTED, AddressClaim, Phase
from holdfast.dhcp.client_outputs import DropAddress, Output, Told, UseAddress
from holdfast.wire.frames import Arp

CONFLICTS_MAX, RATE_LIMIT_INTERVAL_S = 10, 60.0  # RFC 3927 section 9
LINK_LOCAL_PREFIX_BITS = 16
_FIRST = int(IPv4Address("169.254.1.0"))  # RFC 3927 section 2.1: the first and last 256 are kept back
_COUNT = 254 * 256
_STATE = "fallback"


@dataclass(frozen=True, slots=True)
class Alternate:
    """An address that the administrator gave for the time without a server.

    Attributes:
        address: which.
        prefix_bits: of its network.
        router: the default gateway, if there is one.
    """

    address: IPv4Address
    prefix_bits: int
    router: IPv4Address | None = None


def link_local_address(mac: bytes, number: int) -> IPv4Address:
    """The address that a machine tries after ``number`` others."""
    digest = hashlib.sha256(mac + number.to_bytes(4, "big")).digest()
    return IPv4Address(_FIRST + int.from_bytes(digest[:8], "big") % _COUNT)


class Fallback:
    """Off until ``begin``."""

    def __init__(
        self, mac: bytes, luck: random.Random, alternate: Alternate | None, *, link_local: bool
    ) -> None:
        """Take what may be used; with neither of them ``begin`` does nothing."""
        self._mac = mac
        self._luck = luck
        self._alternate = alternate
        self._link_local = link_local
        self._claim: AddressClaim | None = None
        self._alternate_is_taken = False
        self._conflict_count = 0
        self._next_at = math.inf  # when the next candidate is asked for

    @property
    def is_on(self) -> bool:
        """Whether an address is used or looked for."""
        return self._claim is not None or self._next_at < math.inf

    @property
    def address(self) -> IPv4Address | None:
        """The address that is used."""
        claim = self._claim
        return claim.address if claim is not None and claim.phase is Phase.HELD else None

    @property
    def wake_at(self) -> float:
        """When ``due`` wants to be called; infinity for never."""
        return min(self._next_at, math.inf if self._claim is None else self._claim.wake_at)

    def begin(self, now: float) -> list[Output]:
        """No server answers: look for an address, unless that goes on already."""
        if self.is_on or (self._alternate is None and not self._link_local):
            return []
        self._alternate_is_taken = False
        self._next_at = now
        return self.due(now)

    def end(self) -> list[Output]:
        """A server answered."""
        address, self._claim, self._next_at = self.address, None, math.inf
        if address is None:
            return []
        return [DropAddress(address), Told(_STATE, "address", f"gives up {address}")]

    def due(self, now: float) -> list[Output]:
        """Do what is to be done by now."""
        out: list[Output] = []
        if self._claim is None and now >= self._next_at:
            address = self._candidate()
            self._next_at = math.inf
            self._claim = AddressClaim(address, self._mac, UNGRANTED, now, self._luck)
            out.append(Told(_STATE, "address", f"no server answers: asks by ARP who has {address}"))
        claim = self._claim
        if claim is None:
            return out
        out += claim.due(now)
        if claim.phase is Phase.FREE:
            out += [self._use(claim.address), Told(_STATE, "address", f"nobody has {claim.address}: uses it")]
            out += claim.hold(now)
        return out

    def _candidate(self) -> IPv4Address:
        if self._alternate is not None and not self._alternate_is_taken:
            return self._alternate.address
        return link_local_address(self._mac, self._conflict_count)

    def _use(self, address: IPv4Address) -> UseAddress:
        alternate = self._alternate
        if alternate is not None and address == alternate.address:
            routers = () if alternate.router is None else (alternate.router,)
            return UseAddress(address, alternate.prefix_bits, routers, (), None)
        return UseAddress(address, LINK_LOCAL_PREFIX_BITS, (), (), None)

    def heard(self, now: float, arp: Arp) -> list[Output]:
        """An ARP packet came by."""
        claim = self._claim
        if claim is None:
            return []
        was = claim.phase
        out = claim.heard(now, arp)
        if claim.phase is not Phase.LOST:
            return out
        if was is Phase.HELD:
            out.append(DropAddress(claim.address))
        out.append(Told(_STATE, "address", f"{claim.address} is used by {claim.rival.hex(':')}"))
        self._claim = None
        if self._alternate is not None and claim.address == self._alternate.address:
            self._alternate_is_taken = True
            self._next_at = now if self._link_local else math.inf
            return out
        self._conflict_count += 1
        self._next_at = now if self._conflict_count <= CONFLICTS_MAX else now + RATE_LIMIT_INTERVAL_S
        return out
