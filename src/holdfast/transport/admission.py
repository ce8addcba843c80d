"""Decide who may open a session, by which connector, and for how long.

A connector is found by where the client came to and where it comes from: among
the connectors bound there, the one whose remote range that holds the client is
the most specific. Then its counts decide, in all and per source. While a
session is open, two deadlines run: silence, and length in all.

Cost: an activity is one store; a connection has one place in a heap, which is
moved only when it comes up. Signing in and the number of messages a minute are
limited too, with a bounded memory of who did what.

Source: exchange-behaviour RC-1 and RC-7; RFC 5321 section 4.5.3.2 for the waits.
"""

from __future__ import annotations

import enum
import heapq
import ipaddress
import math
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeVar

from holdfast.directory.model import ReceiveConnector
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import ConnectionId
from holdfast.kernel.iprange import IPAddress

_Key = TypeVar("_Key")

# One household or machine gets a whole /64 (RFC 6177); counting single IPv6
# addresses would count nothing.
_IPV6_SOURCE_BITS = 64
_LOOPBACK_SOURCES = ("127.0.0.1", "::/64")
# Users and sources that are remembered; beyond it who was quiet the longest is forgotten.
REMEMBERED_COUNT_MAX = 50_000
CHOSEN_COUNT_MAX = 4096
# Heap places of closed connections are swept when they outnumber the open ones by this.
_SWEEP_SLACK = 64


class Doors:
    """The receive connectors of one server, to be found by a client's connection."""

    def __init__(self, connectors: Iterable[ReceiveConnector]) -> None:
        """Take the connectors of one server; those that are disabled are not there."""
        self._by_port: dict[int, list[tuple[IPAddress, ReceiveConnector]]] = {}
        for connector in connectors:
            if not connector.enabled:
                continue
            for binding in connector.bindings:
                host, _, port = binding.rpartition(":")
                address = ipaddress.ip_address(host.strip("[]"))
                self._by_port.setdefault(int(port), []).append((address, connector))
        self._balancers = any(
            connector.proxy_from for bound in self._by_port.values() for _, connector in bound
        )
        # Clients come again and again; a search takes 20 µs, and the connectors here do not change.
        self._chosen: dict[tuple[str, str, int], ReceiveConnector] = {}

    def balancer_expected(self, client: str, local_address: str, local_port: int) -> bool:
        """Whether a connection comes from a balancer, which says with the PROXY protocol for whom.

        True when any connector that is bound there names the address.
        """
        if not self._balancers:
            return False
        peer, local = parse_ip(client), parse_ip(local_address)
        return any(
            peer in balancer
            for bound, connector in self._by_port.get(local_port, ())
            if connector.proxy_from and _holds(bound, local)
            for balancer in connector.proxy_from
        )

    def choose(self, client: str, local_address: str, local_port: int) -> ReceiveConnector:
        """Find the connector for a client (an IP address as text) at an address and port of ours.

        Raises:
            Refusal: 554 5.7.1, no connector there is meant for this client.

        Source: exchange-behaviour RC-1; the more specific binding wins when ranges are equal.
        """
        known = self._chosen.get((client, local_address, local_port))
        if known is not None:
            return known
        peer, local = parse_ip(client), parse_ip(local_address)
        best: tuple[int, bool, str] | None = None
        chosen: ReceiveConnector | None = None
        for bound, connector in self._by_port.get(local_port, ()):
            if not _holds(bound, local):
                continue
            for remote in connector.remote_ranges:
                if peer in remote:
                    rank = (remote.address_count, bound.is_unspecified, connector.name)
                    if best is None or rank < best:
                        best, chosen = rank, connector
        if chosen is None:
            raise Refusal("no service for your address here", code=554, status="5.7.1")
        if len(self._chosen) >= CHOSEN_COUNT_MAX:
            self._chosen.clear()
        self._chosen[(client, local_address, local_port)] = chosen
        return chosen


def _holds(bound: IPAddress, local: IPAddress) -> bool:
    """Whether a binding covers an address of ours."""
    return bound == local or (bound.is_unspecified and bound.version == local.version)


@lru_cache(maxsize=4096)
def parse_ip(text: str) -> IPAddress:
    """Read an IP address of a socket: without zone, and IPv4 as such where IPv6 carries it."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=4096)
def source_of(client: str) -> str:
    """Name what is counted as one source: an IPv4 address, or the /64 of an IPv6 address."""
    address = parse_ip(client)
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((int(address), _IPV6_SOURCE_BITS), strict=False))


def _source_count_max(connector: ReceiveConnector, count: int, source: str) -> int:
    limit = connector.connection_count_per_source_max
    percent = connector.connection_percent_per_source
    # What runs on this machine is no stranger who takes the places of others.
    if percent >= 100 or source in _LOOPBACK_SOURCES:
        return limit
    # At least one, or the last free connections could be had by nobody.
    return min(limit, max(1, percent * (connector.connection_count_max - count) // 100))


class Expiry(enum.Enum):
    """Which deadline of a session has passed."""

    SILENCE = "nothing was said for too long"
    LENGTH = "the session took too long"


class _Open:
    """One open connection."""

    __slots__ = ("active_at", "connector", "ends_at", "source")

    def __init__(self, now: float, connector: ReceiveConnector, source: str) -> None:
        self.connector = connector
        self.source = source
        self.active_at = now
        self.ends_at = now + connector.session_s

    def due_at(self) -> float:
        return min(self.active_at + self.connector.inactivity_s, self.ends_at)


class Admission:
    """Counts and deadlines of all connections that are open."""

    def __init__(self) -> None:
        """Begin with no connection."""
        self._open: dict[ConnectionId, _Open] = {}
        self._count: dict[str, int] = {}
        self._source_count: dict[tuple[str, str], int] = {}
        self._heap: list[tuple[float, ConnectionId]] = []

    def opened(
        self, now: float, connection_id: ConnectionId, connector: ReceiveConnector, client: str
    ) -> None:
        """Let a client in and count it, or not.

        Raises:
            Refusal: 421 4.3.2 when the connector has all the connections it
                may have, 421 4.7.0 when the client's source has. The refused
                connection is not counted.

        Source: exchange-behaviour RC-7.
        """
        assert connection_id not in self._open
        source = source_of(client)
        count = self._count.get(connector.name, 0)
        if count >= connector.connection_count_max:
            raise Refusal("too many connections, try again later", code=421, status="4.3.2")
        key = (connector.name, source)
        source_count = self._source_count.get(key, 0)
        if source_count >= _source_count_max(connector, count, source):
            raise Refusal("too many connections from your address", code=421, status="4.7.0")
        self._count[connector.name] = count + 1
        self._source_count[key] = source_count + 1
        connection = _Open(now, connector, source)
        self._open[connection_id] = connection
        heapq.heappush(self._heap, (connection.due_at(), connection_id))

    def closed(self, connection_id: ConnectionId) -> None:
        """Count a connection out; one that was refused is not counted and needs nothing."""
        connection = self._open.pop(connection_id, None)
        if connection is None:
            return
        name = connection.connector.name
        _count_down(self._count, name)
        _count_down(self._source_count, (name, connection.source))
        if len(self._heap) > 2 * len(self._open) + _SWEEP_SLACK:
            self._heap = [entry for entry in self._heap if entry[1] in self._open]
            heapq.heapify(self._heap)

    def activity(self, now: float, connection_id: ConnectionId) -> None:
        """A client said something, or was answered: its silence begins anew.

        ``now`` may lie ahead, where an answer is held until then; what is said before does not take it back.
        """
        connection = self._open.get(connection_id)
        if connection is not None and now > connection.active_at:
            connection.active_at = now

    def next_deadline(self) -> float | None:
        """Say when ``expired`` is worth asking next; None when nothing is open."""
        while self._heap:
            due_at, connection_id = self._heap[0]
            connection = self._open.get(connection_id)
            if connection is None:
                heapq.heappop(self._heap)
            elif connection.due_at() > due_at:
                heapq.heapreplace(self._heap, (connection.due_at(), connection_id))
            else:
                return due_at
        return None

    def expired(self, now: float) -> list[tuple[ConnectionId, Expiry]]:
        """Return the connections whose deadline has passed, each once; they count until ``closed``."""
        found: list[tuple[ConnectionId, Expiry]] = []
        due_at = self.next_deadline()
        while due_at is not None and due_at <= now:
            _, connection_id = heapq.heappop(self._heap)
            ends_at = self._open[connection_id].ends_at
            found.append((connection_id, Expiry.LENGTH if ends_at <= now else Expiry.SILENCE))
            due_at = self.next_deadline()
        return found

    def count(self, connector_name: str) -> int:
        """How many connections a connector has."""
        return self._count.get(connector_name, 0)

    @property
    def open_count(self) -> int:
        """How many connections are open in all."""
        return len(self._open)


def _count_down(counts: dict[_Key, int], key: _Key) -> None:
    """Take one off, and forget what is at zero: the sources of a week would fill the memory."""
    if counts[key] == 1:
        del counts[key]
    else:
        counts[key] -= 1


class SignInThrottle:
    """Failed sign-ins, per account and per source: after too many further ones are not even looked at.

    Accounts count by the name that was given, whether there is such an account or not.
    """

    def __init__(self) -> None:
        self.failure_count_max = 10
        self.lock_s = 300.0
        # Account or source to its failures and the last one, the longest quiet first.
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def check(self, now: float, user: str, source: str) -> None:
        """Let a sign-in be looked at, or not.

        Raises:
            Refusal: 421 4.7.0 when the source failed too often, 454 4.7.0 when the account did.
        """
        if self._locked(now, ("source", source)):
            raise Refusal("too many failed sign-ins from your address, try later", code=421, status="4.7.0")
        if self._locked(now, ("user", user.casefold())):  # RFC 4954 section 6: 454, try later
            raise Refusal("too many failed sign-ins of this user, try later", code=454, status="4.7.0")

    def room(self, now: float, key: tuple[str, str]) -> float:
        """How many sign-ins may still fail: of ``("user", folded name)``, or of ``("source", address)``."""
        if key[0] == "source" and key[1] in _LOOPBACK_SOURCES:
            return math.inf
        count, last_at = self._failures.get(key, (0, now))
        if now - last_at >= self.lock_s:
            self._failures.pop(key, None)
            count = 0
        return self.failure_count_max - count

    def _locked(self, now: float, key: tuple[str, str]) -> bool:
        return self.room(now, key) <= 0

    def failed(self, now: float, user: str, source: str) -> bool:
        """Count a sign-in that failed; returns whether it was the one too many, of account or source."""
        became_locked = False
        for key in (("source", source), ("user", user.casefold())):
            self._locked(now, key)  # forgets what is too long ago
            count = self._failures.pop(key, (0, now))[0] + 1
            self._failures[key] = (count, now)
            became_locked = became_locked or count == self.failure_count_max
        while len(self._failures) > REMEMBERED_COUNT_MAX:
            self._failures.popitem(last=False)
        return became_locked

    def succeeded(self, user: str) -> None:
        """Forget the failures of an account; not those of the source, who may be guessing others."""
        self._failures.pop(("user", user.casefold()), None)


class MessageRate:
    """How many messages a minute one user, or one source without sign-in, hands in.

    A bucket per sender, that holds a minute's worth and fills evenly.
    """

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def _left(self, now: float, connector: ReceiveConnector, sender: str) -> float:
        most = float(connector.message_rate_max)
        left, at = self._buckets.get((connector.name, sender), (most, now))
        return min(most, left + (now - at) * most / 60.0)

    def check(self, now: float, connector: ReceiveConnector, sender: str) -> None:
        """Let a message begin, or not.

        Raises:
            Refusal: 450 4.7.0, too many in the last minute.
        """
        if connector.message_rate_max and self._left(now, connector, sender) < 1.0:
            raise Refusal("you send too many messages a minute, try later", code=450, status="4.7.0")

    def count(self, now: float, connector: ReceiveConnector, sender: str) -> None:
        """Count a message that came."""
        if not connector.message_rate_max:
            return
        left = self._left(now, connector, sender)
        key = (connector.name, sender)
        self._buckets.pop(key, None)
        self._buckets[key] = (left - 1.0, now)
        while len(self._buckets) > REMEMBERED_COUNT_MAX:
            self._buckets.popitem(last=False)
