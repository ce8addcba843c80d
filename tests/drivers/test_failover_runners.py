"""Two dhcp runners on loopback that should be partners: well together, or refused with a reason by both."""

from __future__ import annotations

import asyncio
import io
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

import msgspec
import pytest

from dhcp.conversations import Client
from dhcp_service import RELAY, RELAY_OPTION, free_udp_port, organisation, relay
from holdfast.dhcp.failover_accept import ENDED
from holdfast.dhcp.lease import ACTIVE, BACKUP
from holdfast.directory.model import FailoverRelationship, Organisation, Reservation, Scope, Server
from holdfast.drivers.audit_log import AuditLog
from holdfast.drivers.dhcp_runner import DhcpRunner
from holdfast.drivers.failover_requests import ORDER_FAILOVER, FailoverOrder, FailoverState
from holdfast.drivers.lease_clock import LeaseClock
from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.sqlite_leases import LeaseStore, read_leases
from holdfast.kernel.iprange import parse_ip_range
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
    "another secret": (
        lambda told: replace(told, secret="another word"),
        "the shared secrets differ",
        "the shared secrets differ",
    ),
    "no secret": (
        lambda told: replace(told, secret=None),
        "no shared secret is configured",
        "no shared secret is configured",
    ),
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
        for each in (first, second):  # an event says so, and what to do, not only that there is no connection
            assert {"DHC-0404", "DHC-0405", "DHC-0409"} & set(re.findall(r"DHC-\d{4}", each.log.getvalue()))
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
        # As far as this server knows the partner may lease that to anybody, until it has seen what it has.
        authority = first.runner.node.failover.endpoints["pair"].authority
        assert authority.unsettled == {int(reserved.address)}

        def same() -> bool:
            same = {first.state.configuration, second.state.configuration} == {"the same"}
            return same and not authority.unsettled

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

        wanted = {
            first: ('the relationship (it is of scope \\"office\\" here)', "and not by the partner"),
            second: ("it is in no scope that this server leases", "shared by the partner, and not here"),
        }

        def said() -> bool:
            return all(text in each.log.getvalue() for each, texts in wanted.items() for text in texts)

        await until(said, lambda: f"{first.log.getvalue()}\n---\n{second.log.getvalue()}")
        assert read_leases(second.database) == []
        for each, (_, difference) in wanted.items():
            assert each.state.configuration == "different"
            (drift, refused) = each.state.differences
            assert 'scope "office"' in drift
            assert difference in drift
            assert "10.0.1." in refused

    play(tmp_path, scene, lambda told: with_pair(told, scopes=()))


def test_each_of_two_servers_is_primary_of_its_own_scopes(tmp_path: Path) -> None:
    lab = Scope("lab", parse_ip_range("10.0.2.0/24"), "ns2", parse_ip_range("10.0.2.0-10.0.2.99"))

    def both_ways(told: Told) -> Told:
        organisation = told.organisation
        (pair,) = organisation.failover_relationships
        back = replace(pair, name="back", servers=("ns2", "ns1"), scopes=("lab",))
        after = replace(organisation, scopes=(*organisation.scopes, lab), failover_relationships=(pair, back))
        return replace(told, organisation=after)

    async def scene(first: Side, second: Side) -> None:
        def states() -> list[str]:
            return [each.state for side in (first, second) for each in side.runner.answers.failover.states()]

        def what() -> str:
            return f"{states()}\n{first.log.getvalue()}\n---\n{second.log.getvalue()}"

        await until(lambda: states() == ["NORMAL"] * 4, what)
        shared = [
            {each.relationship: each.scopes[0] for each in side.runner.answers.failover.states()}
            for side in (first, second)
        ]
        assert [each["pair"].scope for each in shared] == ["office", "office"]
        assert [each["back"].scope for each in shared] == ["lab", "lab"]

        def halves() -> bool:
            return all(
                each.scopes[0].own_free_count == 50 and not each.untold_count
                for side in (first, second)
                for each in side.runner.answers.failover.states()
            )

        await until(halves, what)
        assert "refused" not in first.log.getvalue() + second.log.getvalue()

    play(tmp_path, scene, both_ways, secret="open sesame", first=both_ways)


def active_in(side: Side) -> set[int]:
    return {each.address for each in read_leases(side.database) if each.status == ACTIVE}


async def leases_of(sides: list[Side], first: int, count: int) -> None:
    """So many new clients, each with an address of whoever answers it."""
    number, found = first, 0
    while found < count:
        number += 1
        assert number < first + 20 * count, "\n---\n".join(each.log.getvalue() for each in sides)
        for side in sides:
            if await side.lease(number):
                found += 1
                break


def test_a_partner_is_lost_replaced_and_taken_away(tmp_path: Path) -> None:
    """The steps of docs/operate/dhcp-failover.md, with databases and sockets."""

    async def main() -> None:
        plain = Told(declared((free_udp_port(), free_udp_port()), free_udp_port()), "open sesame")
        told = with_pair(plain, mclt_s=2.0)
        first, second = Side(tmp_path / "a", "ns1", told), Side(tmp_path / "b", "ns2", told)
        sides = [first, second]

        def what() -> str:
            return "\n---\n".join(f"{each.name} {each.log.getvalue()}" for each in sides)

        def are_normal() -> bool:
            return first.state.state == sides[1].state.state == "NORMAL"

        def is_shared() -> bool:
            return are_normal() and active_in(first) == active_in(sides[1]) and not first.state.untold_count

        for each in sides:
            each.start()
        try:
            await until(is_shared, what)
            await leases_of(sides, 100, 4)
            await until(is_shared, what)
            # Lost, and said to be down: everything is leased after the MCLT.
            second.runner.close()
            await until(lambda: first.state.state == "COMMUNICATIONS-INTERRUPTED", what)
            order = FailoverOrder("pair", "partner-down")
            await first.runner.answers.failover.answer(ORDER_FAILOVER.name, msgspec.msgpack.encode(order))
            await until(lambda: first.state.state == "PARTNER-DOWN", what)
            await until(lambda: first.state.scopes[0].partner_free_count == 0, what)
            await leases_of([first], 300, 3)  # of full length, not of the MCLT
            # Another machine takes its place: it asks for everything and joins.
            sides[1] = Side(tmp_path / "c", "ns2", told)
            sides[1].start()
            await until(is_shared, what)
            assert len(active_in(sides[1])) >= 3
            await until(lambda: sides[1].state.scopes[0].own_free_count > 0, what)
            # Taken away: first from the one that goes, then from the one that stays.
            alone = replace(told.organisation, failover_relationships=())
            for each in reversed(sides):
                each.runner.follow(alone, alone.dhcp_server(each.name))
            assert await sides[1].lease(500) == ""
            await until(lambda: "DHC-0411" in first.log.getvalue(), what)
            statuses = {each.status for each in read_leases(first.database)}
            assert BACKUP not in statuses
            assert not statuses & set(ENDED)
            await leases_of([first], 600, 3)
        finally:
            for each in sides:
                each.runner.close()

    asyncio.run(main())
