"""Find every DHCP server of a wire, and say which of them does not belong there.

Everybody is asked several times. The later questions say that the client has
waited for long, so that a failover partner who leaves new clients to the other
server answers too. Where the interface has an address, servers are also asked
for options alone: one whose pool is exhausted still answers that.

A server is known by its address: the one in its answer and the one its datagram
came from must both be known. Whoever answers in the name of a known server from
another address is not that server.

Source: spec/dhcp.md section 1 and section 2.10; RFC 2131 sections 4.3.1 and 4.3.5.
"""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from holdfast.dhcp import client_messages as messages
from holdfast.dhcp.client_messages import NOBODY, Attempt, Identity
from holdfast.dhcp.client_outputs import SendMessage
from holdfast.kernel.errors import Refusal
from holdfast.wire import dhcp4
from holdfast.wire import dhcp4_values as values
from holdfast.wire.dhcp4 import Message, read_message
from holdfast.wire.frames import Datagram

ASKED_AT_S = (0.0, 0.5, 1.5, 3.0)
# More than any partner waits for, in either order of its bytes: some clients of old send them
# swapped, and servers have learnt that (spec/dhcp.md section 2.10).
LONG_WAIT_SECS = 0x1010
FINDINGS_MAX = 1000


class Standing(enum.Enum):
    """Whether a server belongs there."""

    OURS = "ours"  # a DHCP server of the organisation
    KNOWN = "known"  # named by who asks
    ROGUE = "rogue"
    UNKNOWN = "unknown"  # nothing is known to compare it with


@dataclass(frozen=True, slots=True)
class Finding:
    """The first answer of one server.

    Attributes:
        server: option 54; None when it told none, as BOOTP servers do.
        source: where its datagram came from: itself, or a relay.
        mac: the hardware address on the last leg.
        relay: the relay in between (giaddr).
        kind: the name of the message.
        address: what it offers; None when it answered with options alone.
        routers: gateways that it tells.
        dns_servers: DNS servers that it tells.
        lease_s: how long it would lease; None when it did not say, infinity for ever.
        after_s: how long after the first question.
    """

    server: IPv4Address | None
    source: IPv4Address
    mac: bytes
    relay: IPv4Address | None
    kind: str
    address: IPv4Address | None
    routers: tuple[IPv4Address, ...]
    dns_servers: tuple[IPv4Address, ...]
    lease_s: float | None
    after_s: float


class ServerSearch:
    """One search on one wire.

    Attributes:
        findings: one per server, the first to answer first.
        wake_at: when ``due`` wants to be called; infinity for never.
    """

    def __init__(self, identity: Identity, own: IPv4Address | None, now: float, luck: random.Random) -> None:
        """Begin now; ``own`` is the address of the interface, if it has one."""
        self.findings: list[Finding] = []
        self.wake_at = now
        self._identity = identity
        self._own = own
        self._began_at = now
        self._asked_count = 0
        self._xid = luck.getrandbits(32).to_bytes(4, "big")
        self._found: set[tuple[IPv4Address | None, bytes, bool]] = set()

    def due(self, now: float) -> list[SendMessage]:
        """Ask again when it is time."""
        if now < self.wake_at:
            return []
        attempt = Attempt(self._xid, LONG_WAIT_SECS if self._asked_count else 0)
        out = [SendMessage(messages.discover(self._identity, attempt, None), NOBODY, None)]
        if self._own is not None:
            out.append(SendMessage(messages.inform(self._identity, attempt, self._own), self._own, None))
        self._asked_count += 1
        more = self._asked_count < len(ASKED_AT_S)
        self.wake_at = self._began_at + ASKED_AT_S[self._asked_count] if more else math.inf
        return out

    def heard(self, now: float, datagram: Datagram) -> Finding | None:
        """A datagram for a client's port came by; what it tells that is new."""
        try:
            message = read_message(datagram.payload)
        except Refusal:
            return None
        if message.op != dhcp4.REPLY or message.xid != self._xid:
            return None
        finding = _finding(message, datagram, now - self._began_at)
        # An offer tells more than options alone: both are found, and shown as one (``merged``).
        key = (finding.server or finding.source, finding.mac, finding.address is not None)
        if key in self._found or len(self._found) >= FINDINGS_MAX:
            return None
        self._found.add(key)
        self.findings.append(finding)
        return finding

    def merged(self) -> list[Finding]:
        """One finding per server: its offer, where it made one."""
        best: dict[tuple[IPv4Address, bytes], Finding] = {}
        for each in self.findings:
            key = (each.server or each.source, each.mac)
            if key not in best or (best[key].address is None and each.address is not None):
                best[key] = each
        return sorted(best.values(), key=lambda each: each.after_s)


def _finding(message: Message, datagram: Datagram, after_s: float) -> Finding:
    options = message.options
    kind = options.get(dhcp4.OPTION_MESSAGE_TYPE, b"")
    lease = options.get(values.LEASE_TIME, b"")
    lease_s = float(int.from_bytes(lease, "big")) if len(lease) == 4 else None
    return Finding(
        server=next(iter(_addresses(options, values.SERVER_ID)), None),
        source=IPv4Address(datagram.source),
        mac=datagram.source_mac,
        relay=IPv4Address(message.giaddr) if message.giaddr != bytes(4) else None,
        kind=dhcp4.MESSAGE_NAMES.get(kind[0], f"type {kind[0]}") if kind else "BOOTREPLY",
        address=IPv4Address(message.yiaddr) if message.yiaddr != bytes(4) else None,
        routers=_addresses(options, values.ROUTERS),
        dns_servers=_addresses(options, values.DNS_SERVERS),
        lease_s=math.inf if lease == b"\xff" * 4 else lease_s,
        after_s=after_s,
    )


def _addresses(options: dict[int, bytes], code: int) -> tuple[IPv4Address, ...]:
    try:
        return values.read_addresses(options.get(code, b""))
    except Refusal:
        return ()  # whoever answers is shown, also when what he tells is malformed


@dataclass(frozen=True, slots=True)
class Known:
    """Servers that belong there.

    Attributes:
        ours: addresses of our servers, and their names.
        named: addresses that whoever asks named.
        is_complete: whether a server that is not among them is a rogue.
    """

    ours: Mapping[IPv4Address, str]
    named: frozenset[IPv4Address]
    is_complete: bool


def standing_of(finding: Finding, known: Known) -> tuple[Standing, str]:
    """Whether a server belongs there, and its name or the reason."""
    told = {finding.server or finding.source, finding.source}
    if finding.relay is not None:
        told.discard(finding.source)  # its datagram comes from the relay
    if all(each in known.ours for each in told):
        return Standing.OURS, known.ours[finding.server or finding.source]
    if all(each in known.ours or each in known.named for each in told):
        return Standing.KNOWN, ""
    if not known.is_complete:
        return Standing.UNKNOWN, ""
    if finding.server in known.ours or finding.server in known.named:
        return Standing.ROGUE, f"answers as {finding.server} from {finding.source}"
    return Standing.ROGUE, "no server of the organisation, and not named with --known"
