"""``holdfast dhcp client``: what was typed becomes a client, and what happens becomes a timeline."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import msgspec

from holdfast.admin.catalogue import Arguments
from holdfast.admin.results_dhcp_client import ClientLeaseShown, TimelineLine
from holdfast.cli.tree import Options
from holdfast.dhcp.client import ClientSettings
from holdfast.dhcp.client_lease import ClientLease
from holdfast.dhcp.client_messages import Identity
from holdfast.dhcp.client_outputs import Told
from holdfast.dhcp.fallback import Alternate
from holdfast.directory.dhcp_keys import CLIENT_ID_BYTES_MIN, OPTION_BYTES_MAX, parse_bytes
from holdfast.drivers import interface_setup, loop
from holdfast.drivers.dhcp_client import ClientOptions, ClientRunner, now_s
from holdfast.drivers.interfaces import find_interface, is_up
from holdfast.drivers.packet_link import PacketLink
from holdfast.kernel.errors import Refusal
from holdfast.wire.dhcp4 import ETHERNET

LEASES_DIRECTORY = "dhcp-client"
_STATE_WIDTH, _WHAT_WIDTH = 10, 7


def run(arguments: Arguments, options: Options) -> bool:
    """Be a client until it is over; whether it had a lease then.

    Raises:
        Refusal: what was typed makes no sense.
        Unavailable: frames cannot be sent or received.
    """
    interface = find_interface(arguments.text("interface"))
    settings = client_settings(arguments, interface.mac)
    if not is_up(interface.name):
        if not arguments.flag("configure"):
            raise Refusal(
                f"{interface.name} is switched off; switch it on: ip link set {interface.name} up, "
                "or use --configure"
            )
        interface_setup.run(interface_setup.up_command(interface.name))
    lease_file, remark = _lease_file(arguments.optional_text("lease-file"), options.home, interface.name)
    show = _json_line if options.json else _text_line
    link = PacketLink(interface)

    async def main() -> int:
        started_at = now_s()
        stop: list[Callable[[], None]] = []

        def told(at: float, line: Told) -> None:
            try:
                sys.stdout.write(show(timeline_line(at, at - started_at, line)) + "\n")
                sys.stdout.flush()
            except BrokenPipeError:
                for each in stop:
                    each()

        if remark:
            told(started_at, Told("init", "failed", remark))
        runner = ClientRunner(link, settings, client_options(arguments, lease_file), told)
        stop.append(runner.stop)
        return int(await runner.run())

    try:
        return bool(loop.run(main()))
    finally:
        link.close()


def client_settings(arguments: Arguments, mac: bytes) -> ClientSettings:
    """Read how the client behaves.

    Raises:
        Refusal: a value makes no sense.
    """
    client_id = bytes((ETHERNET,)) + mac
    if arguments.given("client-id"):
        client_id = parse_bytes(
            arguments.text("client-id"), least=CLIENT_ID_BYTES_MIN, most=OPTION_BYTES_MAX,
            what="a client identifier",
        )  # fmt: skip
    user_class = _option_text(arguments, "user-class", OPTION_BYTES_MAX - 1)
    identity = Identity(
        mac=mac,
        client_id=client_id,
        host_name=_option_text(arguments, "host-name"),
        vendor_class=_option_text(arguments, "vendor-class"),
        # RFC 3004 section 4: each class behind its length.
        user_class=bytes((len(user_class),)) + user_class if user_class else b"",
        broadcast=arguments.flag("broadcast"),
    )
    wanted = arguments.optional_text("address")
    return ClientSettings(
        identity,
        wanted=None if wanted is None else IPv4Address(wanted),
        alternate=_alternate(arguments),
        link_local=not arguments.flag("no-link-local"),
    )


def _option_text(arguments: Arguments, name: str, bytes_max: int = OPTION_BYTES_MAX) -> bytes:
    value = (arguments.optional_text(name) or "").encode()
    if len(value) > bytes_max:
        raise Refusal(f"{name}: {len(value)} bytes do not fit into the option; it holds {bytes_max}")
    return value


def _alternate(arguments: Arguments) -> Alternate | None:
    text, router = arguments.optional_text("alternate"), arguments.optional_text("alternate-router")
    if text is None:
        if router is not None:
            raise Refusal(
                "--alternate-router goes with --alternate: a gateway for an address that is not given"
            )
        return None
    try:
        own = IPv4Interface(text)
    except ValueError:
        raise Refusal(f'alternate: "{text}" is not address/prefix; write 192.0.2.7/24') from None
    if "/" not in text:
        raise Refusal(f'alternate: "{text}" has no prefix; write {text}/24')
    if router is not None and IPv4Address(router) not in own.network:
        raise Refusal(f"alternate-router: {router} does not lie in {own.network}")
    return Alternate(own.ip, own.network.prefixlen, None if router is None else IPv4Address(router))


def client_options(arguments: Arguments, lease_file: Path | None) -> ClientOptions:
    """Read how the client is run."""
    return ClientOptions(
        lease_file=lease_file,
        configure=arguments.flag("configure"),
        remembers=not arguments.flag("new"),
        once=arguments.flag("once"),
        lasts_s=arguments.optional_span_s("for"),
        release=arguments.flag("release"),
    )


def _lease_file(named: str | None, home: Path, interface: str) -> tuple[Path | None, str]:
    """Where the lease is kept, and why it is not."""
    if named is not None:
        return Path(named), ""
    directory = home / LEASES_DIRECTORY
    if home.is_dir():
        with suppress(OSError):
            directory.mkdir(mode=0o700, exist_ok=True)
            return directory / f"{interface}.json", ""
    return None, f"the lease is not kept: {home} is no directory to write to; name a file with --lease-file"


def timeline_line(at: float, elapsed_s: float, told: Told) -> TimelineLine:
    """A line as it is given back."""
    lease = None if told.lease is None else _lease_shown(told.lease)
    return TimelineLine(at, round(elapsed_s, 3), told.state, told.what, told.text, lease)


def _lease_shown(lease: ClientLease) -> ClientLeaseShown:
    moments = (
        None if math.isinf(each) else each for each in (lease.renew_at, lease.rebind_at, lease.ends_at)
    )
    return ClientLeaseShown(
        str(lease.address), lease.prefix_bits, str(lease.server), [str(each) for each in lease.routers],
        [f"{each.destination} via {each.router}" for each in lease.routes],
        [str(each) for each in lease.dns_servers], lease.domain, *moments,
    )  # fmt: skip


def _json_line(line: TimelineLine) -> str:
    return msgspec.json.encode(line).decode()


def _text_line(line: TimelineLine) -> str:
    text = f"{line.elapsed_s:9.3f}  {line.state:<{_STATE_WIDTH}}  {line.what:<{_WHAT_WIDTH}}  {line.text}"
    lease = line.lease
    if lease is None or line.what != "lease" or not text:
        return text
    more = [f"gateway {' '.join(lease.routers)}"] if lease.routers else []
    more += [f"routes {', '.join(lease.routes)}"] if lease.routes else []
    more += [f"DNS {' '.join(lease.dns_servers)}"] if lease.dns_servers else []
    more += [f"domain {lease.domain}"] if lease.domain else []
    return f"{text}; {'; '.join(more)}" if more else text
