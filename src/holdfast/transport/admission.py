"""Decide who may open a session, by which connector, and for how long.

A connector is found by where the client came to and where it comes from: among
the connectors bound there, the one whose remote range that holds the client is
the most specific. Then its counts decide, in all and per source. While a
session is open, two deadlines run: silence, and length in all.

Cost: an activity is one store; a connection has one place in a heap, which is
moved only when it comes up.

Source: exchange-behaviour RC-1 and RC-7; RFC 5321 section 4.5.3.2 for the waits.
"""

from __future__ import annotations

import enum
import heapq
import ipaddress
from collections.abc import Iterable
from typing import TypeVar

from holdfast.directory.model import ReceiveConnector
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import ConnectionId
from holdfast.kernel.iprange import IPAddress

_Key = TypeVar("_Key")

# One household or machine gets a whole /64 (RFC 6177); counting single IPv6
# addresses would count nothing.
_IPV6_SOURCE_BITS = 64
# Heap places of closed connections are swept when they outnumber the open ones by this.
_SWEEP_SLACK = 64


class Doors:
    """The receive connectors of one server, to be found by a client's connection."""

    def __init__(self, connectors: Iterable[ReceiveConnector]) -> None:
        self._by_port: dict[int, list[tuple[IPAddress, ReceiveConnector]]] = {}
        for connector in connectors:
            for binding in connector.bindings:
                host, _, port = binding.rpartition(":")
                address = ipaddress.ip_address(host.strip("[]"))
                self._by_port.setdefault(int(port), []).append((address, connector))

    def choose(self, client: str, local_address: str, local_port: int) -> ReceiveConnector:
        """Find the connector for a client (an IP address as text) at an address and port of ours.

        Raises:
            Refusal: 554 5.7.1, no connector there is meant for this client.

        Source: exchange-behaviour RC-1; the more specific binding wins when ranges are equal.
        """
        peer, local = parse_ip(client), parse_ip(local_address)
        best: tuple[int, bool, str] | None = None
        chosen: ReceiveConnector | None = None
        for bound, connector in self._by_port.get(local_port, ()):
            if bound != local and not (bound.is_unspecified and bound.version == local.version):
                continue
            for remote in connector.remote_ranges:
                if peer in remote:
                    rank = (remote.address_count, bound.is_unspecified, connector.name)
                    if best is None or rank < best:
                        best, chosen = rank, connector
        if chosen is None:
            raise Refusal("no service for your address here", code=554, status="5.7.1")
        return chosen


def parse_ip(text: str) -> IPAddress:
    """Read an IP address of a socket: without zone, and IPv4 as such where IPv6 carries it."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def source_of(client: str) -> str:
    """Name what is counted as one source: an IPv4 address, or the /64 of an IPv6 address."""
    address = parse_ip(client)
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((int(address), _IPV6_SOURCE_BITS), strict=False))


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

    def __init__(self, *, source_share: float | None = None) -> None:
        """Begin with no connection.

        Args:
            source_share: the part of the connections still free that one
                source may hold (Exchange: 0.02); None leaves it to the
                connector's fixed number.
        """
        assert source_share is None or 0.0 < source_share <= 1.0
        self._source_share = source_share
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
        if source_count >= self._source_count_max(connector, count):
            raise Refusal("too many connections from your address", code=421, status="4.7.0")
        self._count[connector.name] = count + 1
        self._source_count[key] = source_count + 1
        connection = _Open(now, connector, source)
        self._open[connection_id] = connection
        heapq.heappush(self._heap, (connection.due_at(), connection_id))

    def _source_count_max(self, connector: ReceiveConnector, count: int) -> int:
        limit = connector.connection_count_per_source_max
        if self._source_share is None:
            return limit
        # At least one, or the last free connections could be had by nobody.
        return min(limit, max(1, int(self._source_share * (connector.connection_count_max - count))))

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
        """A client said something, or was answered: its silence begins anew."""
        connection = self._open.get(connection_id)
        if connection is not None:
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
