"""Take over where other servers register names in DNS: zones, their servers, and the key that signs.

Ours has one list of servers and one key for all zones; what asks for more is noted. Secrets are never taken
over, so that none travels in a file: each is named, with the command that sets it.

Source: dhcpd.conf(5) of ISC dhcpd 4.4, "dynamic DNS updates"; the manual of Kea's DHCP-DDNS server.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address

from holdfast.dhcp.moving import Arrival
from holdfast.directory.dhcp import DhcpServer, KeyAlgorithm
from holdfast.wire.isc_conf import Statement
from holdfast.wire.kea_config import Node

_KEA_DOMAINS = ("forward-ddns", "reverse-ddns")


@dataclass(frozen=True, slots=True)
class ForeignZone:
    """One zone of another server.

    Attributes:
        place: where it stands.
        text: as it might be written, for people.
        name: of the zone.
        servers: addresses, with a port where it is not 53.
        key: the name of its key; empty for none.
    """

    place: str
    text: str
    name: str
    servers: tuple[str, ...]
    key: str


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """One key of another server; its secret is not read."""

    place: str
    name: str
    algorithm: str


def take_zones(arrival: Arrival, zones: list[ForeignZone], keys: dict[str, ForeignKey]) -> None:
    """Make the zones the server's, as far as one list of servers and one key hold them."""
    server = arrival.server
    for zone in zones:
        key = zone.key.rstrip(".")
        if not zone.servers:
            arrival.left(zone.place, zone.text, "it names no server by its address")
        elif server.dns_servers and (set(zone.servers) - set(server.dns_servers) or key != server.dns_key):
            reason = "all updates go to the same servers, signed with the same key, here"
            arrival.left(zone.place, zone.text, reason)
        else:
            server = replace(
                server,
                dns_servers=server.dns_servers or zone.servers,
                dns_zones=(*server.dns_zones, zone.name.rstrip(".").lower()),
                dns_key=key,
            )
    arrival.server = _with_key(arrival, server, keys) if server.dns_key else server


def _with_key(arrival: Arrival, server: DhcpServer, keys: dict[str, ForeignKey]) -> DhcpServer:
    key = keys.get(server.dns_key.lower())
    if key is None:
        return server
    what = f"secret of key {key.name}"
    arrival.left(key.place, what, f"set it with: holdfast dhcp dns set-secret {key.name} --ask-secret")
    word = key.algorithm.lower().removesuffix(".sig-alg.reg.int")
    for each in KeyAlgorithm:
        if each.value == word:
            return replace(server, dns_key_algorithm=each)
    reason = (
        f"a key with {word or 'no algorithm'} is not safe: make one with {server.dns_key_algorithm.value}"
    )
    arrival.left(key.place, f"key {key.name}", reason)
    return server


def isc_zone(statement: Statement) -> ForeignZone:
    """Read ``zone example.test. { primary 192.0.2.53; key k; }``."""
    servers: list[str] = []
    key = ""
    for each in statement.block or ():
        words = [one.text for one in each.words[1:]]
        if each.head in ("primary", "secondary"):
            servers += filter(_is_address, (one.strip(",") for one in words))
        elif each.head == "key" and words:
            key = words[0]
    name = statement.words[1].text if len(statement.words) > 1 else ""
    return ForeignZone(statement.place, statement.text, name, tuple(servers), key)


def isc_key(statement: Statement) -> ForeignKey:
    """Read ``key k { algorithm hmac-sha256; secret …; }``."""
    words = [each.word(1) for each in statement.block or () if each.head == "algorithm"]
    name = statement.words[1].text if len(statement.words) > 1 else ""
    return ForeignKey(statement.place, name, words[0] if words else "")


def kea_zones(name: str, node: Node) -> tuple[list[ForeignZone], dict[str, ForeignKey]]:
    """Read ``DhcpDdns``, the configuration of Kea's program for DNS.

    Args:
        name: the file's, for notes.
        node: the part.
    """
    zones = []
    for direction in _KEA_DOMAINS:
        part = node.members.get(direction)
        domains = part.members.get("ddns-domains") if part is not None else None
        for each in domains.items if domains is not None else ():
            servers = []
            declared = each.members.get("dns-servers")
            for server in declared.items if declared is not None else ():
                address, port = _text(server, "ip-address"), server.members.get("port")
                if _is_address(address):
                    number = 53 if port is None or not isinstance(port.value, int) else port.value
                    host = f"[{address}]" if ":" in address else address
                    servers.append(address if number == 53 else f"{host}:{number}")
            zone = _text(each, "name")
            zones.append(
                ForeignZone(
                    f"{name} line {each.line}",
                    f"ddns-domains {zone}",
                    zone,
                    tuple(servers),
                    _text(each, "key-name"),
                )
            )
    keys = {}
    declared = node.members.get("tsig-keys")
    for each in declared.items if declared is not None else ():
        key = ForeignKey(f"{name} line {each.line}", _text(each, "name"), _text(each, "algorithm"))
        keys[key.name.rstrip(".").lower()] = key
    return zones, keys


def _text(node: Node, key: str) -> str:
    member = node.members.get(key)
    return "" if member is None else member.text


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
