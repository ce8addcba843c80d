"""``holdfast dhcp probe``: ask who leases here, and compare with who should."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from holdfast.admin.catalogue import Arguments, find_verb
from holdfast.admin.results import ServerList
from holdfast.admin.results_dhcp_client import DhcpProbe, FoundServerRow
from holdfast.cli import render
from holdfast.cli.ask import ask
from holdfast.cli.tree import Options
from holdfast.dhcp.client_messages import Identity
from holdfast.dhcp.server_search import Finding, Known, Standing, standing_of
from holdfast.directory.dhcp_keys import parse_bytes
from holdfast.directory.model import Role
from holdfast.drivers import loop
from holdfast.drivers.dhcp_search import search_servers
from holdfast.drivers.interfaces import Interface, find_interface, is_up, read_interfaces
from holdfast.drivers.management_socket import Unreachable
from holdfast.drivers.packet_link import PacketLink
from holdfast.kernel.errors import Refusal
from holdfast.wire.dhcp4 import ETHERNET

MAC_BYTES = 6
WAIT_S_MAX = 3600.0


def run(arguments: Arguments, options: Options) -> bool:
    """Search and show; whether no rogue answered.

    Raises:
        Refusal: what was typed makes no sense.
        Unavailable: frames cannot be sent or received.
    """
    wait_s = arguments.optional_span_s("wait") or 0.0
    if not 0 < wait_s <= WAIT_S_MAX:
        raise Refusal(f"wait: {wait_s:g} s is not between 0 and an hour; 5s is enough for most networks")
    interfaces = _interfaces(arguments.texts("interface"))
    known, note = known_servers(options.home, arguments.texts("known"))
    found = _search(interfaces, arguments.optional_text("mac"), wait_s)
    result = probe_result(found, known, note)
    if options.json:
        sys.stdout.write(render.as_json(result) + "\n")
    else:
        render.show(result)
    return result.rogue_count == 0


def _interfaces(names: Iterable[str]) -> list[Interface]:
    wanted = [find_interface(each) for each in dict.fromkeys(names)]
    for each in wanted:
        if not is_up(each.name):
            raise Refusal(f"{each.name} is switched off; switch it on: ip link set {each.name} up")
    found = wanted or [each for each in read_interfaces() if each.mac and is_up(each.name)]
    if not found:
        raise Refusal("no Ethernet interface has an address; name one: holdfast dhcp probe --interface eth0")
    return found


def _search(interfaces: list[Interface], mac: str | None, wait_s: float) -> list[tuple[str, Finding]]:
    played = None
    if mac is not None:
        played = parse_bytes(mac, least=MAC_BYTES, most=MAC_BYTES, what="a hardware address of Ethernet")
    found: list[tuple[str, Finding]] = []

    async def main(links: list[PacketLink]) -> int:
        searches = []
        for link in links:
            asker = played or link.interface.mac
            # Broadcast: the answers to another hardware address would not come here.
            identity = Identity(asker, bytes((ETHERNET,)) + asker, broadcast=True)
            searches.append(search_servers(link, identity, wait_s))
        for link, findings in zip(links, await asyncio.gather(*searches), strict=True):
            found.extend((link.interface.name, each) for each in findings)
        return 0

    with ExitStack() as stack:
        links = []
        for each in interfaces:
            links.append(PacketLink(each))
            stack.callback(links[-1].close)
        loop.run(main(links))
    return found


def known_servers(home: Path, named: Iterable[str]) -> tuple[Known, str]:
    """Which servers belong there, and what about that is not known."""
    given = frozenset(IPv4Address(each) for each in named)
    verb = find_verb("server", "list")
    assert verb is not None
    try:
        result, _ = ask(home, verb, {})
    except Unreachable:
        note = (
            ""
            if given
            else f"no server answers at {home}, and none was named with --known: who is ours is not known"
        )
        return Known({}, given, is_complete=bool(given)), note
    assert isinstance(result, ServerList)
    servers = [each for each in result.servers if Role.DHCP.value in each.roles]
    ours = {address: each.name for each in servers for address in _ipv4(each.addresses)}
    without = [each.name for each in servers if each.name not in ours.values()]
    if not servers:
        note = (
            "" if given else "no server of the organisation leases addresses, and none was named with --known"
        )
        return Known({}, given, is_complete=bool(given)), note
    if without:
        note = (
            f"no IPv4 address is declared for {', '.join(without)}, so nobody is called a rogue; declare it: "
            f"holdfast server set {without[0]} --address ADDRESS"
        )
        return Known(ours, given, is_complete=False), note
    return Known(ours, given, is_complete=True), ""


def _ipv4(addresses: Iterable[str]) -> list[IPv4Address]:
    found = []
    for each in addresses:
        try:
            found.append(IPv4Address(each))
        except AddressValueError:
            continue  # IPv6
    return found


def probe_result(found: list[tuple[str, Finding]], known: Known, note: str) -> DhcpProbe:
    """What is shown; rogues come first."""
    rows = [_row(interface, finding, known) for interface, finding in found]
    order = [Standing.ROGUE.value, Standing.UNKNOWN.value, Standing.KNOWN.value, Standing.OURS.value]
    rows.sort(key=lambda each: order.index(each.standing))
    rogue_count = sum(each.standing == Standing.ROGUE.value for each in rows)
    return DhcpProbe(len(rows), rogue_count, note, rows)


def _row(interface: str, finding: Finding, known: Known) -> FoundServerRow:
    standing, why = standing_of(finding, known)
    lease_s = finding.lease_s
    return FoundServerRow(
        interface=interface,
        standing=standing.value,
        server=str(finding.server or ""),
        name=why if standing is Standing.OURS else "",
        source=str(finding.source),
        mac=finding.mac.hex(":"),
        relay=str(finding.relay or ""),
        answer=finding.kind,
        offers=str(finding.address or ""),
        routers=[str(each) for each in finding.routers],
        dns_servers=[str(each) for each in finding.dns_servers],
        lease_s=None if lease_s is None or math.isinf(lease_s) else lease_s,
        after_s=round(finding.after_s, 3),
        why="" if standing is Standing.OURS else why,
    )
