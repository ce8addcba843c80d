"""The DHCP client without a network: what happens when, and what it does, as lines of text."""

from __future__ import annotations

import random
from collections.abc import Callable
from ipaddress import IPv4Address

from holdfast.dhcp.client import Client, ClientSettings
from holdfast.dhcp.client_lease import ClientLease
from holdfast.dhcp.client_messages import Identity
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
from holdfast.wire import dhcp4
from holdfast.wire import dhcp4_values as values
from holdfast.wire.dhcp4 import Message, read_message
from holdfast.wire.frames import ARP_REPLY, ARP_REQUEST, NO_MAC, Arp

START = 1_700_000_000.0
MAC = bytes.fromhex("020000000007")
RIVAL = bytes.fromhex("020000000099")
SERVER, OTHER_SERVER, GATEWAY, ADDRESS = "10.0.0.1", "10.0.0.2", "10.0.0.254", "10.0.0.9"
LEASE_S = 28_800


class Level(random.Random):
    """Luck without ups and downs: the middle of every span, and numbers that count."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2

    def getrandbits(self, k: int) -> int:
        self.count = getattr(self, "count", 0) + 1
        return self.count


Happening = Callable[["World"], list[Output]]


class World:
    """One client, and what it did with the time since the start."""

    def __init__(self, **settings: object) -> None:
        identity = settings.pop("identity", Identity(MAC, b"\x01" + MAC))
        self.client = Client(ClientSettings(identity, **settings), Level())  # type: ignore[arg-type]  # by name
        self.now = START
        self.did: list[tuple[float, str]] = []
        self.told: list[Told] = []
        self.kept: ClientLease | None = None
        self.last = b""

    def run_until(self, elapsed_s: float) -> None:
        """Let time pass; every timer fires at its own moment."""
        until = START + elapsed_s
        while self.client.wake_at <= until:
            assert self.client.wake_at >= self.now, "a timer in the past would never end"
            before = self.client.wake_at
            self.now = max(self.now, before)
            self.take(self.client.due(self.now))
            assert self.client.wake_at > before or self.client.wake_at >= self.now, "it makes no headway"
        self.now = until

    def happen(self, elapsed_s: float, happening: Happening | None) -> None:
        """Let something happen at a moment."""
        self.run_until(elapsed_s)
        if happening is not None:
            self.take(happening(self))
            self.run_until(elapsed_s)

    def take(self, outputs: list[Output]) -> None:
        for each in outputs:
            if isinstance(each, Told):
                self.told.append(each)
                continue
            if isinstance(each, SendMessage):
                self.last = each.data
            if isinstance(each, KeepLease):
                self.kept = each.lease
            self.did.append((round(self.now - START, 3), words(each)))

    def answer(self, kind: int, **options: object) -> Message:
        """A server's answer to the last message."""
        return answer_to(self.last, kind, **options)


def words(output: Output) -> str:
    """An output as the tables have it."""
    match output:
        case SendMessage(data, source, target):
            return _message_words(data, source, target)
        case AskArp(address):
            return f"who has {address}"
        case Announce(address):
            return f"announce {address}"
        case PingGateway(gateway, address):
            return f"ping {gateway} from {address}"
        case UseAddress(address, prefix_bits, routers, routes, lasts_s):
            via = " ".join(map(str, (*routers, *(each.router for each in routes))))
            return f"use {address}/{prefix_bits} via {via or '-'} for {lasts_s}"
        case DropAddress(address):
            return f"drop {address}"
        case KeepLease(lease):
            return f"keep {lease.address}"
        case ForgetLease():
            return "forget"
    raise AssertionError(output)


def _message_words(data: bytes, source: IPv4Address, target: IPv4Address | None) -> str:
    message = read_message(data)
    name = dhcp4.MESSAGE_NAMES[message.options[53][0]]
    parts = [name]
    for code, word in ((values.REQUESTED_ADDRESS, ""), (values.SERVER_ID, "of ")):
        if code in message.options:
            parts.append(word + str(IPv4Address(message.options[code])))
    if message.ciaddr != bytes(4):
        parts.append(f"having {IPv4Address(message.ciaddr)}")
        assert source.packed == message.ciaddr
    if target is not None:
        parts.append(f"to {target}")
    return " ".join(parts)


def answer_to(question: bytes, kind: int, **more: object) -> Message:
    """An answer of a server: a grant of ADDRESS for LEASE_S unless ``more`` says otherwise."""
    asked = read_message(question)
    options: dict[int, bytes] = {53: bytes((kind,))}
    options[values.SERVER_ID] = IPv4Address(str(more.get("server", SERVER))).packed
    if kind != dhcp4.NAK:
        options[values.LEASE_TIME] = int(str(more.get("lease_s", LEASE_S))).to_bytes(4, "big")
        options[values.SUBNET_MASK] = bytes((255, 255, 255, 0))
        options[values.ROUTERS] = IPv4Address(str(more.get("router", GATEWAY))).packed
    options |= more.get("options", {})  # type: ignore[arg-type]  # a dictionary, by name
    for code in more.get("without", ()):  # type: ignore[attr-defined]  # a list, by name
        options.pop(code, None)
    yiaddr = bytes(4) if kind == dhcp4.NAK else IPv4Address(str(more.get("address", ADDRESS))).packed
    return asked._replace(op=dhcp4.REPLY, yiaddr=yiaddr, ciaddr=bytes(4), options=options)


def offer(**more: object) -> Happening:
    return lambda world: world.client.heard(world.now, world.answer(dhcp4.OFFER, **more))


def ack(**more: object) -> Happening:
    return lambda world: world.client.heard(world.now, world.answer(dhcp4.ACK, **more))


def nak(**more: object) -> Happening:
    return lambda world: world.client.heard(world.now, world.answer(dhcp4.NAK, **more))


def arp(address: str, *, mac: bytes = RIVAL) -> Happening:
    """Somebody says that he has an address."""
    packed = IPv4Address(address).packed
    return lambda world: world.client.heard_arp(world.now, Arp(ARP_REPLY, mac, packed, MAC, bytes(4)))


def arp_probe(address: str, *, mac: bytes = RIVAL) -> Happening:
    """Somebody asks for an address before he takes it."""
    packed = IPv4Address(address).packed
    return lambda world: world.client.heard_arp(world.now, Arp(ARP_REQUEST, mac, bytes(4), NO_MAC, packed))


def gateway(world: World) -> list[Output]:
    return world.client.gateway_answered(world.now)


def renew(world: World) -> list[Output]:
    return world.client.renew(world.now)


def start(world: World) -> list[Output]:
    return world.client.start(world.now, None)


def start_with(**more: object) -> Happening:
    """Start with a lease from before; a half of it is left unless ``more`` says otherwise."""
    lease = remembered(**more)
    return lambda world: world.client.start(world.now, lease)


def remembered(
    *, asked_ago_s: float = LEASE_S / 4, lease_s: float = LEASE_S, router: str = GATEWAY
) -> ClientLease:
    asked_at = START - asked_ago_s
    return ClientLease(
        address=IPv4Address(ADDRESS), prefix_bits=24, server=IPv4Address(SERVER),
        routers=(IPv4Address(router),) if router else (), asked_at=asked_at,
        renew_at=asked_at + lease_s / 2, rebind_at=asked_at + lease_s * 7 / 8, ends_at=asked_at + lease_s,
    )  # fmt: skip


def end(*, release: bool) -> Happening:
    return lambda world: world.client.end(world.now, release=release)
