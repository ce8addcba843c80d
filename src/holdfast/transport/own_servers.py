"""Find where the transport servers of ours take mail from each other.

A server is reached by its enabled receive connector of usage internal, else by
one of usage internet; of several by the one whose remote ranges hold an address
of a server of ours. A binding to every address means the server's first declared
one. Connectors with TLS from the first byte are for clients and are passed over.

Source: exchange-behaviour RC-2, RC-3, RT-3.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from holdfast.directory.listening import parse_binding
from holdfast.directory.model import Organisation, ReceiveConnector, Role, Server, TlsMode, Usage
from holdfast.directory.server_certificates import known_certificates
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPAddress, parse_ip_range
from holdfast.transport.hop_profile import ServerAddress
from holdfast.transport.special_purpose import address_of

_USAGES = (Usage.INTERNAL, Usage.INTERNET)


@dataclass(frozen=True, slots=True)
class ReachedServer:
    """A server of ours, and whether the connector that we send to offers TLS."""

    address: ServerAddress
    offers_tls: bool


class OwnServers:
    """The transport servers of one organisation that can be sent to."""

    def __init__(self, organisation: Organisation) -> None:
        doors: dict[str, list[ReceiveConnector]] = defaultdict(list)
        for connector in organisation.receive_connectors:
            if connector.enabled and connector.usage in _USAGES and connector.tls is not TlsMode.IMPLICIT:
                doors[connector.server].append(connector)
        peers = {server.name: _addresses(server) for server in organisation.servers}
        self._reached: dict[str, ReachedServer] = {}
        self._in_site: dict[str, tuple[ReachedServer, ...]] = {}
        for server in sorted(organisation.servers, key=lambda each: (each.name.casefold(), each.name)):
            if Role.TRANSPORT not in server.roles:
                continue
            others = [each for name, found in peers.items() if name != server.name for each in found]
            found = _door(server, doors[server.name], others)
            if found is not None:
                self._reached[server.name] = found
                self._in_site[server.site] = (*self._in_site.get(server.site, ()), found)

    def in_site(self, site: str) -> tuple[ReachedServer, ...]:
        """The servers of a site, by name."""
        return self._in_site.get(site, ())

    def reached(self, servers: tuple[Server, ...]) -> tuple[ReachedServer, ...]:
        """Those of some servers that can be sent to."""
        return tuple(self._reached[server.name] for server in servers if server.name in self._reached)


def loopback_source(own: Server, addresses: Iterable[str]) -> str:
    """Our own loopback address, where all servers are on one machine and only it tells us apart.

    The system would take the first one of the machine for all of them. Empty where that is not so.
    """
    loopback = [each for each in _addresses(own) if each.version == 4 and each.is_loopback]
    reached = [ip_address(each) for each in addresses]
    if loopback and all(each.version == 4 and each.is_loopback for each in reached):
        return str(loopback[0])
    return ""


def own_door(organisation: Organisation, server: Server, host: str, port: int) -> str:
    """The receive connector by which a server takes mail at a host and port; empty when none is known to.

    Args:
        organisation: with the connectors.
        server: whose they are.
        host: an address, or a name, which is compared with the server's and not looked up.
        port: there.
    """
    own, address = _addresses(server), address_of(host)
    for connector in organisation.receive_connectors:
        if connector.server != server.name or not connector.enabled:
            continue
        for endpoint in map(parse_binding, connector.bindings):
            if endpoint is None or endpoint.port != port:
                continue
            if address is None:
                same = host.lower() == server.fqdn.lower()
            elif endpoint.address.is_unspecified:
                # The unspecified IPv6 address takes both families.
                of_family = endpoint.address.version in (address.version, 6)
                same = of_family and (address.is_loopback or address in own)
            else:
                same = address == endpoint.address
            if same:
                return connector.name
    return ""


def _addresses(server: Server) -> list[IPAddress]:
    found = []
    for text in server.addresses:
        try:
            found.append(parse_ip_range(text).first)
        except Refusal:
            continue  # the directory refuses it
    return found


def _door(
    server: Server, connectors: list[ReceiveConnector], others: list[IPAddress]
) -> ReachedServer | None:
    own = _addresses(server)

    def rank(connector: ReceiveConnector) -> tuple[int, bool, str]:
        admits = any(each in reach for reach in connector.remote_ranges for each in others)
        return _USAGES.index(connector.usage), not admits, connector.name.casefold()

    for connector in sorted(connectors, key=rank):
        places: list[tuple[bool, IPAddress, int]] = []
        for binding in connector.bindings:
            endpoint = parse_binding(binding)
            if endpoint is None:
                continue
            address = endpoint.address
            if address.is_unspecified:
                # An address of the family that is listened on; the unspecified IPv6 one takes both.
                of_family = (each for each in own if each.version == address.version or address.version == 6)
                found = next(of_family, None)
                if found is None:
                    continue
                address = found
            places.append((address.is_loopback, address, endpoint.port))
        if places:
            # Loopback is right only where all servers run on one machine; anything else goes first.
            loopback_last = min(places, key=lambda place: place[0])
            offers_tls = connector.tls is not TlsMode.NONE
            where = ServerAddress(
                server.name,
                server.fqdn,
                str(loopback_last[1]),
                loopback_last[2],
                known_certificates(server) if offers_tls else (),
            )
            return ReachedServer(where, offers_tls)
    return None
