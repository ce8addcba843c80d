"""Count connections, in all and by source, and say when there are too many.

A source is an IPv4 address, or the /64 of an IPv6 address, because a household
or a machine gets a whole /64 (RFC 6177). Whoever has not signed in counts
separately: he costs nothing but a connection, and a guesser needs many.

Invariant: nobody who left is counted.
"""

from __future__ import annotations

import ipaddress
from collections import Counter

from holdfast.access.imap_conversation import SessionSettings
from holdfast.kernel.ids import ConnectionId


def source_of(address: str) -> str:
    """Name what is counted as one source; what is no IP address stands for itself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))


class Crowd:
    """Who is connected."""

    def __init__(self, settings: SessionSettings) -> None:
        self._settings = settings
        self._sources: dict[ConnectionId, str] = {}
        self._strangers: set[ConnectionId] = set()
        self._by_source: Counter[str] = Counter()
        self._strangers_by_source: Counter[str] = Counter()

    def came(self, connection_id: ConnectionId, address: str) -> str:
        """Count a connection; return why it is one too many (and not counted), or nothing."""
        source = source_of(address)
        settings = self._settings
        if len(self._sources) >= settings.connection_count_max:
            return f"{len(self._sources)} connections are open"
        if self._by_source[source] >= settings.connection_count_per_source_max:
            return f"{self._by_source[source]} connections from this source are open"
        if self._strangers_by_source[source] >= settings.strangers_per_source_max:
            return f"{self._strangers_by_source[source]} connections from this source have not signed in"
        self._sources[connection_id] = source
        self._by_source[source] += 1
        self._strangers.add(connection_id)
        self._strangers_by_source[source] += 1
        return ""

    def signed_in(self, connection_id: ConnectionId) -> None:
        """A connection has given the right password."""
        if connection_id in self._strangers:
            self._strangers.remove(connection_id)
            _count_down(self._strangers_by_source, self._sources[connection_id])

    def left(self, connection_id: ConnectionId) -> None:
        """A connection is gone; one that was refused was never counted."""
        self.signed_in(connection_id)
        source = self._sources.pop(connection_id, None)
        if source is not None:
            _count_down(self._by_source, source)


def _count_down(counts: Counter[str], source: str) -> None:
    counts[source] -= 1
    if not counts[source]:
        del counts[source]
