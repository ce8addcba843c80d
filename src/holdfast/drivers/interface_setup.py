"""Give an interface the address and routes of a DHCP client, and take them away, by iproute2's ``ip``.

The kernel is told when the address ends, so that one whose client died does not
outlive its lease. Routes name the address as their source: the kernel removes
them with it. Names of DNS servers are not touched.

Source: ip-address(8), valid_lft; ip-route(8), src; RFC 3442.
"""

from __future__ import annotations

import errno
import math
import os
import subprocess
from ipaddress import IPv4Address, IPv4Network

from holdfast.dhcp.client_outputs import UseAddress
from holdfast.kernel.errors import Unavailable

Command = tuple[str, ...]
METRIC = "1024"  # what NetworkManager and networkd leave for others lies on both sides of it
_PATIENCE_S = 10
# As iproute2 6.1 and older ones say it.
_IS_GONE = ("Address not found", os.strerror(errno.EADDRNOTAVAIL))
_NOWHERE = IPv4Address(0)
_EVERYWHERE = IPv4Network("0.0.0.0/0")


def use_commands(name: str, use: UseAddress) -> list[Command]:
    """What gives an interface an address, in order; done again it changes only what is new."""
    own = f"{use.address}/{use.prefix_bits}"
    whole = IPv4Network(own, strict=False)
    address: list[str] = ["ip", "addr", "replace", own]
    if use.prefix_bits < 31:
        address += ["broadcast", str(whole.broadcast_address)]
    address += ["dev", name]
    if use.lasts_s is not None:
        lasts = str(max(1, math.floor(use.lasts_s)))
        address += ["valid_lft", lasts, "preferred_lft", lasts]
    routes = [(_EVERYWHERE, router) for router in use.routers[:1]]
    routes += [(each.destination, each.router) for each in use.routes]
    return [tuple(address), *(_route(name, use.address, *each) for each in routes)]


def _route(name: str, source: IPv4Address, destination: IPv4Network, router: IPv4Address) -> Command:
    where = ("dev", name, "src", str(source), "metric", METRIC, "proto", "dhcp")
    if router == _NOWHERE:  # RFC 3442: the destination is on this wire
        return ("ip", "route", "replace", str(destination), *where, "scope", "link")
    return ("ip", "route", "replace", str(destination), "via", str(router), *where, "onlink")


def drop_command(name: str, use: UseAddress) -> Command:
    """What takes an address away, and with it its routes."""
    return ("ip", "addr", "del", f"{use.address}/{use.prefix_bits}", "dev", name)


def drop(name: str, use: UseAddress) -> None:
    """Take an address away; the kernel may have done that already, at the end of its lease.

    Raises:
        Unavailable: it is still there.
    """
    try:
        run(drop_command(name, use))
    except Unavailable as error:
        if not any(each in error.text for each in _IS_GONE):
            raise


def up_command(name: str) -> Command:
    """What switches an interface on."""
    return ("ip", "link", "set", name, "up")


def run(command: Command) -> None:
    """Run one command.

    Raises:
        Unavailable: it failed, or there is no such program.
    """
    try:
        # The words are ours and checked: an interface that exists, and addresses.
        done = subprocess.run(  # noqa: S603  # as said above
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except FileNotFoundError:
        raise Unavailable("there is no program ip; install iproute2") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{' '.join(command)}: {error}") from None
    if done.returncode:
        raise Unavailable(f"{' '.join(command)}: {done.stderr.strip()}")
