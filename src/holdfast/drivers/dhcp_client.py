"""Run a DHCP client on one interface: frames, timers, the interface's address, the lease on disk.

Everything goes as whole frames, for until it has an address the kernel would
send nothing. Where the client does not give the interface its address, it also
answers ARP for it: renewals come to a machine that has no such address.

A client goes by a clock that no one sets and that counts while the machine
sleeps (CLOCK_BOOTTIME): a lease ends when it ends.

Source: RFC 2131 section 4.1; RFC 826; packet(7); clock_gettime(2).
"""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import assert_never

from holdfast.dhcp.client import Client, ClientSettings, State
from holdfast.dhcp.client_lease import FILE_BYTES_MAX, ClientLease, decode_lease, encode_lease
from holdfast.dhcp.client_messages import NOBODY
from holdfast.dhcp.client_outputs import (
    Announce,
    AskArp,
    DropAddress,
    ForgetLease,
    KeepLease,
    Output,
    PingGateway,
    SendMessage,
    Told,
    UseAddress,
)
from holdfast.drivers import interface_setup
from holdfast.drivers.files import write_private
from holdfast.drivers.packet_link import CLIENT_PORT, SERVER_PORT, Heard, PacketLink
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.wire.dhcp4 import read_message
from holdfast.wire.frames import (
    ARP_REPLY,
    ARP_REQUEST,
    BROADCAST_MAC,
    ICMP_ECHO,
    ICMP_ECHO_REPLY,
    NO_MAC,
    Arp,
    Datagram,
    Echo,
    arp_announcement,
    arp_probe,
    encode_arp,
    encode_echo_frame,
    encode_udp_frame,
)

_EVERYBODY = b"\xff" * 4
_TIMER_MAX_S = 30.0  # the loop's timers stand still while the machine sleeps
_LAST_WAIT_S = 1.0
_WAITING_MAX = 64  # frames, each for another neighbour
_PING_IDENTIFIER = 0x4846
_ORIGIN = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def now_s() -> float:
    """Seconds since the epoch: the wall clock when this process started, and what passed since."""
    return _ORIGIN + time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How a client is run.

    Attributes:
        lease_file: where the lease is kept; None keeps none.
        configure: whether the interface is given the address.
        remembers: whether it asks for the address of the lease that was kept.
        once: end with the first lease, or the first round that nobody answered.
        lasts_s: end after this long; None runs until it is told to end.
        release: give the lease back at the end.
    """

    lease_file: Path | None = None
    configure: bool = False
    remembers: bool = True
    once: bool = False
    lasts_s: float | None = None
    release: bool = False


class ClientRunner:
    """One client at work."""

    def __init__(
        self,
        link: PacketLink,
        settings: ClientSettings,
        options: ClientOptions,
        told: Callable[[float, Told], None],
    ) -> None:
        """Make a client that has not started; ``told`` gets each line of the timeline with its time."""
        self._link = link
        self._name = link.interface.name
        self._mac = link.interface.mac
        self._identity = settings.identity
        self._options = options
        self._told = told
        self._client = Client(settings, random.Random())
        self._uses: UseAddress | None = None
        self._answers_for: IPv4Address | None = None  # asked by ARP, as the kernel would
        self._waiting: dict[bytes, Callable[[bytes], bytes]] = {}
        self._ping_count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._over = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._failure: Exception | None = None
        self._port: socket.socket | None = None

    async def run(self) -> bool:
        """Run until it is over; whether it had a lease then."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._failed)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._over.set)
        loop.add_signal_handler(signal.SIGUSR1, lambda: self._do(self._client.renew(now_s())))
        for descriptor in self._link.descriptors():
            loop.add_reader(descriptor, self._receive)
        if self._options.lasts_s is not None:
            loop.call_later(self._options.lasts_s, self._over.set)
        self._take_port()
        try:
            self._do(self._client.start(now_s(), self._read_lease()))
            await self._over.wait()
            if self._failure is not None:
                raise self._failure
            had_lease = self._client.lease is not None
            self._do(self._client.end(now_s(), release=self._options.release))
            if self._waiting:
                # A RELEASE waits for the server's hardware address.
                self._all_sent.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._all_sent.wait(), _LAST_WAIT_S)
            return had_lease
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for descriptor in self._link.descriptors():
                loop.remove_reader(descriptor)
            if self._port is not None:
                self._port.close()

    def stop(self) -> None:
        """End soon."""
        self._over.set()

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        self._failure = error if isinstance(error, Exception) else AssertionError(context.get("message"))
        self._over.set()

    def _take_port(self) -> None:
        """Have the kernel know that somebody listens: else it answers servers that the port is closed."""
        if not self._options.configure:
            return
        port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._name.encode())
            port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)  # what comes here is read as frames
            port.bind(("0.0.0.0", CLIENT_PORT))
        except OSError:
            port.close()  # another client of this machine listens already
        else:
            self._port = port

    # --- what happens ----------------------------------------------------------------------------

    def _receive(self) -> None:
        try:
            found = self._link.receive()
        except Unavailable as error:
            self._say("failed", error.text)
            self._over.set()
            return
        for heard in found:
            self._hear(heard)

    def _hear(self, heard: Heard) -> None:
        match heard.what:
            case Arp() as arp:
                self._answer_arp(arp)
                self._neighbour_answered(arp.sender, arp.sender_mac)
                self._do(self._client.heard_arp(now_s(), arp))
            case Echo(kind, _, target):
                answers_for = self._answers_for
                if kind == ICMP_ECHO_REPLY and answers_for is not None and target == answers_for.packed:
                    self._do(self._client.gateway_answered(now_s()))
            case Datagram() as datagram:
                try:
                    message = read_message(datagram.payload)
                except Refusal as refusal:
                    self._say("ignored", f"from {IPv4Address(datagram.source)}: {refusal.text}")
                    return
                self._do(self._client.heard(now_s(), message))

    def _due(self) -> None:
        self._do(self._client.due(now_s()))

    # --- what is done ----------------------------------------------------------------------------

    def _do(self, outputs: list[Output]) -> None:
        for each in outputs:
            try:
                self._do_one(each)
            except Unavailable as error:
                self._say("failed", error.text)
        client = self._client
        if self._options.once and (client.state is State.BOUND or client.round_count):
            self._over.set()
        if self._timer is not None:
            self._timer.cancel()
        wait_s = min(max(0.0, client.wake_at - now_s()), _TIMER_MAX_S)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._due)

    def _do_one(self, output: Output) -> None:
        match output:
            case SendMessage():
                self._send_message(output)
            case AskArp(address):
                self._link.send(arp_probe(self._mac, address.packed))
            case Announce(address):
                self._link.send(arp_announcement(self._mac, address.packed))
            case PingGateway(gateway, address):
                self._ping(gateway, address)
            case UseAddress():
                self._use(output)
            case DropAddress():
                self._drop()
            case KeepLease(lease):
                self._keep(lease)
            case ForgetLease():
                self._forget()
            case Told():
                self._told(now_s(), output)
            case _:
                assert_never(output)

    def _send_message(self, output: SendMessage) -> None:
        source = output.source.packed

        def frame(mac: bytes) -> bytes:
            target = _EVERYBODY if output.target is None else output.target.packed
            return encode_udp_frame(
                Datagram(self._mac, mac, source, target, CLIENT_PORT, SERVER_PORT, output.data)
            )

        if output.target is None:
            self._link.send(frame(BROADCAST_MAC))
        else:
            self._send_to(self._next_hop(output.target), output.source, frame)

    def _ping(self, gateway: IPv4Address, address: IPv4Address) -> None:
        self._answers_for = address
        self._ping_count += 1
        echo = Echo(
            ICMP_ECHO, address.packed, gateway.packed, _PING_IDENTIFIER, self._ping_count & 0xFFFF, b""
        )
        # The interface need not have the address yet: the question for the gateway tells none.
        self._send_to(gateway, NOBODY, lambda mac: encode_echo_frame(self._mac, mac, echo))

    def _next_hop(self, target: IPv4Address) -> IPv4Address:
        """Whom on this wire a packet goes to."""
        uses = self._uses
        if uses is None or target in IPv4Network(f"{uses.address}/{uses.prefix_bits}", strict=False):
            return target
        routes = [
            (each.destination.prefixlen, each.router) for each in uses.routes if target in each.destination
        ]
        routes += [(0, router) for router in uses.routers[:1]]
        _, router = max(routes, key=lambda each: each[0], default=(0, NOBODY))
        return target if router == NOBODY else router

    def _send_to(self, hop: IPv4Address, source: IPv4Address, frame: Callable[[bytes], bytes]) -> None:
        """Send a frame to a neighbour, who is asked for each time: one that was replaced has another MAC."""
        if len(self._waiting) >= _WAITING_MAX:
            self._waiting.clear()
        self._waiting[hop.packed] = frame
        self._link.send(encode_arp(Arp(ARP_REQUEST, self._mac, source.packed, NO_MAC, hop.packed)))

    def _neighbour_answered(self, address: bytes, mac: bytes) -> None:
        frame = self._waiting.pop(address, None)
        if frame is not None:
            with suppress(Unavailable):
                self._link.send(frame(mac))
        if not self._waiting:
            self._all_sent.set()

    def _answer_arp(self, arp: Arp) -> None:
        ours = self._answers_for
        if ours is None or arp.operation != ARP_REQUEST or arp.target != ours.packed:
            return
        with suppress(Unavailable):
            self._link.send(encode_arp(Arp(ARP_REPLY, self._mac, ours.packed, arp.sender_mac, arp.sender)))

    def _use(self, use: UseAddress) -> None:
        self._uses = use
        self._answers_for = None if self._options.configure else use.address
        if self._options.configure:
            for command in interface_setup.use_commands(self._name, use):
                interface_setup.run(command)

    def _drop(self) -> None:
        uses, self._uses, self._answers_for = self._uses, None, None
        if uses is not None and self._options.configure:
            interface_setup.drop(self._name, uses)

    # --- the lease on disk -------------------------------------------------------------------------

    def _read_lease(self) -> ClientLease | None:
        path = self._options.lease_file
        if path is None or not self._options.remembers:
            return None
        try:
            with path.open("rb") as stream:
                data = stream.read(FILE_BYTES_MAX + 1)
            return decode_lease(data, self._mac, self._identity.client_id)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._say("failed", f"cannot read {path}: {error.strerror}")
        except Refusal as refusal:
            self._say("ignored", f"the lease in {path}: {refusal.text}")
        return None

    def _keep(self, lease: ClientLease) -> None:
        path = self._options.lease_file
        if path is None:
            return
        try:
            write_private(path, encode_lease(lease, self._mac, self._identity.client_id))
        except OSError as error:
            raise Unavailable(f"cannot write {path}: {error.strerror}") from None

    def _forget(self) -> None:
        path = self._options.lease_file
        if path is None:
            return
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"cannot remove {path}: {error.strerror}") from None

    def _say(self, what: str, text: str) -> None:
        self._told(now_s(), Told(self._client.state.value, what, text))
