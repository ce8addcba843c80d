"""Two dhcp runners on loopback that should be partners: well together, or refused with a reason by both."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from dhcp.conversations import Client
from dhcp_service import RELAY, RELAY_OPTION, free_udp_port, organisation, relay
from holdfast.directory.model import FailoverRelationship, Organisation, Reservation, Server
from holdfast.drivers.audit_log import AuditLog
from holdfast.drivers.dhcp_runner import DhcpRunner
from holdfast.drivers.failover_requests import FailoverState
from holdfast.drivers.lease_clock import LeaseClock
from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.sqlite_leases import LeaseStore, read_leases
from holdfast.node.dhcp import DhcpNode
from holdfast.wire.dhcp4 import Message, encode_message, read_message

ADDRESSES = ("127.0.0.1", "127.0.0.3")
NAMES = ("ns1", "ns2")
PATIENCE_S = 120.0  # no measure of speed: it bounds a hang


@dataclass(frozen=True)
class Told:
    """What one side goes by."""

    organisation: Organisation
    secret: str | None = None
    clock_ahead_s: float = 0.0


def declared(ports: tuple[int, int], port: int) -> Organisation:
    """One scope behind the relay, and two servers that share it, each with DHCP at a port of its own."""
    plain = organisation(ports[0], pool="10.0.1.0-10.0.1.99")
    (first,) = plain.dhcp_servers
    servers = tuple(
        Server(name, f"{name}.example.test", "here", plain.servers[0].roles, (address,), metrics="")
        for name, address in zip(NAMES, ADDRESSES, strict=True)
    )
    return replace(
        plain,
        servers=servers,
        dhcp_servers=(first, replace(first, server="ns2", port=ports[1])),
        failover_relationships=(FailoverRelationship("pair", NAMES, ("office",), port=port, mclt_s=60.0),),
    )


class Side:
    """One of the two runners."""

    def __init__(self, home: Path, name: str, told: Told) -> None:
        home.mkdir()
        self.told = told
        self.name = name
        self.log = io.StringIO()
        self.database = home / "leases.sqlite"
        store = LeaseStore.open(self.database)
        sink = LogSink("dhcp", self.log)
        self.moved_s = 0.0  # a test moves both clocks on
        clock = LeaseClock(
            store.read_mark(), "boot", monotonic=lambda: time.monotonic() + self.moved_s,
            wall=lambda: time.time() + self.moved_s + told.clock_ahead_s,
        )  # fmt: skip
        server = told.organisation.dhcp_server(name)
        node = DhcpNode(told.organisation, name, store.read(), failover=store.read_failover())
        self.runner = DhcpRunner(node, store, clock, AuditLog(home / "audit", sink.write), sink, server.port)
        self.runner.secret_of = lambda _: told.secret
        self.port = server.port

    def start(self) -> None:
        self.runner.start(self.told.organisation, self.told.organisation.dhcp_server(self.name))

    @property
    def state(self) -> FailoverState:
        (state,) = self.runner.answers.failover.states()
        return state

    async def lease(self, number: int) -> str:
        """A client behind the relay; the address that it got, empty for none."""
        client = Client(number, giaddr=RELAY)
        offer = await self._ask(client.discover(RELAY_OPTION))
        if offer is None:
            return ""
        address = str(IPv4Address(offer.yiaddr))
        ack = await self._ask(client.select(address, RELAY_OPTION, server=offer.options[54]))
        return address if ack is not None and ack.options[53] == b"\x05" else ""

    async def _ask(self, message: Message) -> Message | None:
        with relay(self.port) as wire:
            wire.setblocking(False)
            running = asyncio.get_running_loop()
            await running.sock_sendall(wire, encode_message(message))
            try:
                return read_message(await asyncio.wait_for(running.sock_recv(wire, 4096), 1.0))
            except TimeoutError:
                return None


async def until(fact: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait for a fact about the runners, which tell a test nothing when they have got somewhere."""
    running = asyncio.get_running_loop()
    deadline = running.time() + PATIENCE_S
    while not fact():
        assert running.time() < deadline, what()
        await asyncio.sleep(0.05)


def play(
    home: Path,
    scene: Callable[[Side, Side], Awaitable[None]],
    change: Callable[[Told], Told] = lambda told: told,
    *,
    secret: str | None = None,
    first: Callable[[Told], Told] = lambda told: told,
) -> None:
    """Run both, the second with a change in what it goes by; ``first`` changes what the first does."""

    async def main() -> None:
        told = Told(declared((free_udp_port(), free_udp_port()), free_udp_port()), secret)
        one, other = Side(home / "a", "ns1", first(told)), Side(home / "b", "ns2", change(told))
        for each in (one, other):
            each.start()
        try:
            await scene(one, other)
        finally:
            for each in (one, other):
                each.runner.close()

    asyncio.run(main())


def with_pair(told: Told, **changes: object) -> Told:
    (pair,) = told.organisation.failover_relationships
    changed = replace(pair, **changes)  # type: ignore[arg-type]  # as drawn
    return replace(told, organisation=replace(told.organisation, failover_relationships=(changed,)))


@pytest.mark.parametrize("secret", [None, "open sesame"])
def test_partners_meet_lease_and_know_of_each_other(tmp_path: Path, secret: str | None) -> None:
    async def scene(first: Side, second: Side) -> None:
        def both_normal() -> bool:
            return first.state.state == second.state.state == "NORMAL"

        await until(both_normal, lambda: f"{first.state} {second.state}\n{first.log.getvalue()}")
        assert first.state.connected
        assert second.state.partner_state == "NORMAL"
        number = 0
        got: dict[str, Side] = {}
        while set(got.values()) != {first, second}:  # each answers its share of new clients
            number += 1
            for side in (first, second):
                if address := await side.lease(number):
                    assert address not in got
                    got[address] = side
            assert number < 40
        wanted = {int(IPv4Address(each)) for each in got}

        def active(side: Side) -> set[int]:
            return {each.address for each in read_leases(side.database) if each.status == 2}

        await until(
            lambda: active(first) == active(second) == wanted, lambda: f"{active(first)}, {active(second)}"
        )

    play(tmp_path, scene, secret=secret)


# What the second side goes by, and what each log must say.
REFUSALS: dict[str, tuple[Callable[[Told], Told], str, str]] = {
    "another secret": (lambda told: replace(told, secret="another word"), "", "digest"),
    "no secret": (lambda told: replace(told, secret=None), "", "digest"),
    "another name": (
        lambda told: with_pair(told, name="other"),
        "no such relationship",
        "no such relationship",
    ),
    "another lead time": (
        lambda told: with_pair(told, mclt_s=61.0),
        "MCLT",
        "MCLT is 60 s at the primary, 61 s",
    ),
    "a clock that is ten minutes ahead": (
        lambda told: replace(told, clock_ahead_s=600.0),
        "clocks differ",
        "the clocks differ by -60",
    ),
    "two primaries": (
        lambda told: with_pair(told, servers=("ns2", "ns1")),
        "both servers say that they are the primary",
        "both servers say that they are the primary",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_does_not_fit_is_refused_with_a_reason_on_both_sides(tmp_path: Path, case: str) -> None:
    change, first_says, second_says = REFUSALS[case]

    async def scene(first: Side, second: Side) -> None:
        def said() -> bool:
            return first_says in first.log.getvalue() and second_says in second.log.getvalue()

        def what() -> str:
            return f"{first.log.getvalue()}\n---\n{second.log.getvalue()}"

        await until(said, what)
        await until(
            lambda: bool(first.state.trouble and second.state.trouble),
            lambda: f"{first.state} {second.state}",
        )
        assert not first.state.connected
        assert not second.state.connected
        assert await second.lease(1) == ""
        assert read_leases(first.database) == read_leases(second.database) == []

    play(tmp_path, scene, change, secret="open sesame")


def test_what_partners_share_is_compared_and_fetched(tmp_path: Path) -> None:
    reserved = Reservation("office", IPv4Address("10.0.1.50"), "02:00:00:00:00:50")

    def more(told: Told) -> Told:
        return replace(told, organisation=replace(told.organisation, reservations=(reserved,)))

    async def scene(first: Side, second: Side) -> None:
        def known() -> bool:
            return {first.state.configuration, second.state.configuration} == {"different"}

        await until(known, lambda: f"{first.state} {second.state}")
        assert "02:00:00:00:00:50" in await first.runner.answers.failover.fetch("pair")
        first.runner.follow(more(first.told).organisation, first.told.organisation.dhcp_server("ns1"))

        def same() -> bool:
            return {first.state.configuration, second.state.configuration} == {"the same"}

        await until(same, lambda: f"{first.state} {second.state}")

    play(tmp_path, scene, more, secret="open sesame")


def test_two_secondaries_wait_for_each_other_and_say_so(tmp_path: Path) -> None:
    async def scene(first: Side, second: Side) -> None:
        await until(
            lambda: all("CONNECT" in each.state.trouble + each.log.getvalue() for each in (first, second)),
            lambda: f"{first.state} {first.log.getvalue()}\n---\n{second.state} {second.log.getvalue()}",
        )
        assert not first.state.connected

    play(tmp_path, scene, first=lambda told: with_pair(told, servers=("ns2", "ns1")))


def test_updates_about_other_scopes_are_refused_and_change_no_lease(tmp_path: Path) -> None:
    async def scene(first: Side, second: Side) -> None:
        await until(
            lambda: first.state.state == second.state.state == "NORMAL",
            lambda: f"{first.state} {second.state}",
        )
        number = 0
        while not await first.lease(number):
            number += 1
            assert number < 20

        def said() -> bool:
            return all("is in no pool" in each.log.getvalue() for each in (first, second))

        await until(said, lambda: f"{first.log.getvalue()}\n---\n{second.log.getvalue()}")
        assert read_leases(second.database) == []
        await until(lambda: second.state.configuration == "different", lambda: str(second.state))

    play(tmp_path, scene, lambda told: with_pair(told, scopes=()))
