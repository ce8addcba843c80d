"""Plan the network of a lab as commands: a namespace per server, a bridge per site, a router between.

Everything lies in namespaces of the lab's own, the bridges and the router too,
so that two labs may have the same addresses and the machine's own network is
not touched. What the lab is not, senders and readers, is in one more namespace
behind the router.

A cut drops packets on the way, silently, as a broken cable does: neither end is
told. It has a direction, so that a cable can also be broken one way.

Invariant: every name of a lab begins with ``hf-ID-``; deleting those namespaces
takes down everything that was made.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.lab.sheet import SITE_PREFIX, Sheet

Command = tuple[str, ...]

OUTSIDE_NETWORK = ipaddress.IPv4Network("203.0.113.0/30")  # for documentation, so nobody has it
OUTSIDE_ADDRESS = str(OUTSIDE_NETWORK[2])
_OUTSIDE_ROUTER = str(OUTSIDE_NETWORK[1])
OUTSIDE = "outside"
_ROUTER = "router"


@dataclass(frozen=True, slots=True)
class Cut:
    """Packets of one address to another are dropped; an empty one means every address."""

    source: str
    target: str


class Network:
    """The network of one lab, as names and commands; it runs nothing itself."""

    def __init__(self, lab_id: str, sheet: Sheet) -> None:
        """Take the servers; ``lab_id`` is hexadecimal and different for each lab."""
        self._prefix = prefix_of(lab_id)
        self._sheet = sheet

    def namespace(self, name: str) -> str:
        """The namespace of a server, or of ``OUTSIDE``."""
        return f"{self._prefix}{name}"

    def up(self) -> list[Command]:
        """What lays it out, in order."""
        router = self.namespace(_ROUTER)
        commands: list[Command] = [
            ("ip", "netns", "add", router),
            ("ip", "-n", router, "link", "set", "lo", "up"),
            ("ip", "netns", "exec", router, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"),
        ]
        for number, site in enumerate(self._sheet.sites):
            bridge = f"site{number}"
            commands.append(("ip", "-n", router, "link", "add", bridge, "type", "bridge"))
            for network in self._networks(site):
                own = f"{network[-2]}/{SITE_PREFIX}"
                commands.append(("ip", "-n", router, "addr", "add", own, "dev", bridge))
            commands.append(("ip", "-n", router, "link", "set", bridge, "up"))
        for number, machine in enumerate(self._sheet.machines):
            port = f"port{number}"
            network = _network_of(machine.address)
            bridge = f"site{self._sheet.sites.index(machine.site)}"
            commands += self._host(machine.name, port, f"{machine.address}/{SITE_PREFIX}", str(network[-2]))
            commands.append(("ip", "-n", router, "link", "set", port, "master", bridge))
        commands += self._host(
            OUTSIDE, OUTSIDE, f"{OUTSIDE_ADDRESS}/{OUTSIDE_NETWORK.prefixlen}", _OUTSIDE_ROUTER
        )
        outside = f"{_OUTSIDE_ROUTER}/{OUTSIDE_NETWORK.prefixlen}"
        commands.append(("ip", "-n", router, "addr", "add", outside, "dev", OUTSIDE))
        commands += [("ip", "netns", "exec", router, "nft", each) for each in _TABLES]
        return commands

    def _networks(self, site: str) -> list[ipaddress.IPv4Network]:
        return list(dict.fromkeys(_network_of(each.address) for each in self._sheet.of_site(site)))

    def _host(self, name: str, port: str, address: str, gateway: str) -> list[Command]:
        """A namespace with one cable, whose other end is in the router's."""
        router, own = self.namespace(_ROUTER), self.namespace(name)
        return [
            ("ip", "netns", "add", own),
            ("ip", "-n", own, "link", "set", "lo", "up"),
            ("ip", "-n", router, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", own),
            ("ip", "-n", router, "link", "set", port, "up"),
            ("ip", "-n", own, "addr", "add", address, "dev", "eth0"),
            ("ip", "-n", own, "link", "set", "eth0", "up"),
            ("ip", "-n", own, "route", "add", "default", "via", gateway),
        ]

    def down(self, existing: Iterable[str]) -> list[Command]:
        """What takes away those namespaces of this lab that exist."""
        return [("ip", "netns", "del", each) for each in existing if each.startswith(self._prefix)]

    def cut(self, cut: Cut) -> list[Command]:
        """What begins a cut."""
        return self._change("add", cut)

    def heal(self, cut: Cut) -> list[Command]:
        """What ends a cut."""
        return self._change("delete", cut)

    def _change(self, verb: str, cut: Cut) -> list[Command]:
        if cut.source and cut.target:
            name, element = "pairs", f"{cut.source} . {cut.target}"
        elif cut.source:
            name, element = "silent", cut.source
        else:
            name, element = "deaf", cut.target
        router = self.namespace(_ROUTER)
        # Inside a site packets pass the bridge, between sites the router: both drop them.
        return [
            ("ip", "netns", "exec", router, "nft", f"{verb} element {family} lab {name} {{ {element} }}")
            for family in _FAMILIES
        ]

    def inside(self, name: str, command: Command) -> Command:
        """A command as it is run in the namespace of a server or ``OUTSIDE``."""
        return ("ip", "netns", "exec", self.namespace(name), *command)


_FAMILIES = ("bridge", "inet")
_TABLES = tuple(
    f"add table {family} lab; "
    f"add set {family} lab pairs {{ type ipv4_addr . ipv4_addr; }}; "
    f"add set {family} lab silent {{ type ipv4_addr; }}; "
    f"add set {family} lab deaf {{ type ipv4_addr; }}; "
    f"add chain {family} lab way {{ type filter hook forward priority 0; policy accept; }}; "
    f"add rule {family} lab way ip saddr . ip daddr @pairs drop; "
    f"add rule {family} lab way ip saddr @silent drop; "
    f"add rule {family} lab way ip daddr @deaf drop"
    for family in _FAMILIES
)


def prefix_of(lab_id: str) -> str:
    """How the names of a lab's namespaces begin."""
    return f"hf-{lab_id}-"


def _network_of(address: str) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(f"{address}/{SITE_PREFIX}", strict=False)


def cuts_between(sheet: Sheet, one: str, other: str, *, one_way: bool) -> tuple[Cut, ...]:
    """The cuts between two servers or sites, or between one and everything.

    Args:
        one: a server or a site.
        other: likewise; empty means everything.
        one_way: only what ``one`` sends is dropped.

    Raises:
        Refusal: there is no such server or site.
    """
    sources = _addresses(sheet, one)
    targets = _addresses(sheet, other) if other else ("",)
    found = [Cut(source, target) for source in sources for target in targets if source != target]
    if not one_way:
        found += [Cut(cut.target, cut.source) for cut in found]
    return tuple(found)


def _addresses(sheet: Sheet, name: str) -> tuple[str, ...]:
    machines = sheet.of_site(name) or (sheet.machine(name),)
    return tuple(each.address for each in machines)
