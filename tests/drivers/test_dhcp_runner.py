"""The runner of the dhcp node: what is acknowledged is in the database, also when the disk was full."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from dhcp.conversations import Client
from dhcp_service import RELAY, RELAY_OPTION, free_udp_port, organisation, relay
from holdfast.dhcp.failover_record import Departed, Record
from holdfast.dhcp.lease import Lease
from holdfast.dhcp.lease_time import Mark
from holdfast.directory.failover import FailoverRelationship
from holdfast.drivers.audit_log import AuditLog
from holdfast.drivers.dhcp_runner import DhcpRunner
from holdfast.drivers.lease_clock import LeaseClock
from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.sqlite_leases import LeaseStore, read_leases
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.iprange import parse_ip_range
from holdfast.node.dhcp import DhcpNode
from holdfast.wire.dhcp4 import Message, encode_message, read_message


class Disk:
    """A lease database whose disk may be full."""

    def __init__(self, store: LeaseStore) -> None:
        self.store = store
        self.is_full = False

    def commit(
        self, leases: list[Lease], mark: Mark | None = None, failover: Sequence[Record | Departed] = ()
    ) -> None:
        if self.is_full:
            raise Unavailable("cannot use the lease database now: the disk is full")
        self.store.commit(leases, mark, failover)

    def close(self) -> None:
        self.store.close()


class Service:
    """A runner on loopback, and one client behind a relay."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_udp_port()
        self.declared = organisation(self.port)
        self.log = io.StringIO()
        store = LeaseStore.open(home / "leases.sqlite")
        self.disk = Disk(store)
        sink = LogSink("dhcp", self.log)
        self.runner = DhcpRunner(
            DhcpNode(self.declared, "ns1", store.read()),
            self.disk,  # type: ignore[arg-type]  # what it uses of a store
            LeaseClock(store.read_mark(), "boot"),
            AuditLog(home / "audit", sink.write),
            sink,
            self.port,
        )

    async def ask(self, message: Message) -> Message | None:
        """Send what a relay passes on; the answer, None when there is none."""
        with relay(self.port) as wire:
            wire.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(wire, encode_message(message))
            try:
                return read_message(await asyncio.wait_for(loop.sock_recv(wire, 4096), 1.5))
            except TimeoutError:
                return None

    async def lease(self, client: Client) -> Message | None:
        offer = await self.ask(client.discover(RELAY_OPTION))
        if offer is None:
            return None
        address = str(IPv4Address(offer.yiaddr))
        return await self.ask(client.select(address, RELAY_OPTION, server=offer.options[54]))


def run(home: Path, scene: Callable[[Service], object]) -> Service:
    async def main() -> Service:
        service = Service(home)
        service.runner.start(service.declared, service.declared.dhcp_server("ns1"))
        try:
            await scene(service)  # type: ignore[misc]  # a coroutine function
        finally:
            service.runner.close()
        return service

    return asyncio.run(main())


def test_an_ack_means_that_the_lease_is_in_the_database(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        ack = await service.lease(Client(1, giaddr=RELAY))
        assert ack is not None
        assert ack.options[53] == b"\x05"
        assert [lease.address for lease in read_leases(tmp_path / "leases.sqlite")] == [0x0A000100]
        assert service.runner.serves_on() == [f"127.0.0.1:{service.port}"]

    run(tmp_path, scene)
    (log,) = (tmp_path / "audit").glob("*.log")
    assert [line.split(",")[0] for line in log.read_text("utf-8").splitlines()] == ["ID", "0", "10", "1"]


def test_another_port_is_listened_at_without_a_restart(tmp_path: Path) -> None:
    # A role that had read the organisation a moment before its port was declared stayed at the old one.
    async def scene(service: Service) -> None:
        old, service.port = service.port, free_udp_port()
        moved = organisation(service.port)
        service.runner.follow(moved, moved.dhcp_server("ns1"))
        assert await service.lease(Client(1, giaddr=RELAY)) is not None
        assert service.runner.serves_on() == [f"127.0.0.1:{service.port}"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("0.0.0.0", old))  # nobody is there any more

    run(tmp_path, scene)


def test_another_port_that_is_taken_is_listened_at_once_it_is_free(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("0.0.0.0", 0))
            service.port = taken.getsockname()[1]
            moved = organisation(service.port)
            service.runner.follow(moved, moved.dhcp_server("ns1"))
            assert service.runner.serves_on() == []
            assert f"cannot listen at UDP port {service.port}" in service.log.getvalue()
        service.runner.follow(moved, moved.dhcp_server("ns1"))
        assert service.runner.serves_on() == [f"127.0.0.1:{service.port}"]
        assert await service.lease(Client(1, giaddr=RELAY)) is not None

    run(tmp_path, scene)


def test_on_a_full_disk_nobody_is_promised_anything_until_it_has_room(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        client = Client(1, giaddr=RELAY)
        offer = await service.ask(client.discover(RELAY_OPTION))
        assert offer is not None
        select = client.select("10.0.1.0", RELAY_OPTION, server=offer.options[54])
        service.disk.is_full = True
        assert await service.ask(select) is None
        assert await service.ask(Client(2, giaddr=RELAY).discover(RELAY_OPTION)) is None
        assert read_leases(tmp_path / "leases.sqlite") == []
        service.disk.is_full = False
        ack = await service.ask(select)
        assert ack is not None
        assert ack.options[53] == b"\x05"
        assert await service.lease(Client(2, giaddr=RELAY)) is not None

    service = run(tmp_path, scene)
    log = service.log.getvalue()
    assert log.count("DHC-0201") == 1
    assert log.count("DHC-0202") == 1


def test_a_change_of_the_organisation_needs_no_restart(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        assert await service.lease(Client(1, giaddr=RELAY)) is not None
        declared = replace(service.declared, scopes=(replace(service.declared.scopes[0], enabled=False),))
        service.runner.follow(declared, declared.dhcp_server("ns1"))
        assert await service.lease(Client(2, giaddr=RELAY)) is None
        settings = replace(declared.dhcp_server("ns1"), interfaces=("none0",))
        service.runner.follow(service.declared, settings)
        assert service.runner.serves_on() == []
        assert await service.lease(Client(2, giaddr=RELAY)) is None

    service = run(tmp_path, scene)
    assert "none0" in service.log.getvalue()


def test_a_port_that_is_taken_is_tried_again(tmp_path: Path) -> None:
    async def main() -> None:
        service = Service(tmp_path)
        (tmp_path / "other").mkdir()
        other = Service(tmp_path / "other")
        other.runner.port = service.port
        service.runner.start(service.declared, service.declared.dhcp_server("ns1"))
        other.runner._sockets = type(service.runner._sockets)(service.port, other.runner._not_sent)
        other.runner.start(service.declared, service.declared.dhcp_server("ns1"))
        assert other.runner.serves_on() == []
        assert "DHC-0302" in other.log.getvalue()
        service.runner.close()
        other.runner._look_at = 0.0
        other.runner._tick()
        assert other.runner.serves_on() == [f"127.0.0.1:{service.port}"]
        other.runner.close()

    asyncio.run(main())


def test_relationships_are_followed_with_their_secrets_once_these_can_be_read(tmp_path: Path) -> None:
    secrets: list[str] = []

    def secret_of(name: str) -> str:
        if not secrets:
            raise Unavailable("the directory database cannot be read now")
        return secrets[-1]

    async def scene(service: Service) -> None:
        partners = service.runner.node.failover
        assert not partners.endpoints
        secrets.append("open sesame")
        service.runner.follow(service.declared, service.declared.dhcp_server("ns1"))
        settings = partners.endpoints["pair"].settings
        assert (settings.relationship, settings.partner, settings.primary, settings.secret) == (
            "pair", "127.0.0.3", True, b"open sesame",
        )  # fmt: skip
        assert abs(partners.clock_offset_s) < 60.0
        secrets.append("another one")
        service.runner.answers.failover.reread()
        assert partners.endpoints["pair"].settings.secret == b"another one"

    async def main() -> bool:
        service = Service(tmp_path)
        first = replace(service.declared.servers[0], addresses=("127.0.0.1",))
        second = replace(first, name="ns2", fqdn="ns2.example.test", addresses=("127.0.0.3",))
        related = FailoverRelationship("pair", ("ns1", "ns2"), ("office",), port=free_udp_port())
        service.declared = replace(
            service.declared, servers=(first, second), failover_relationships=(related,)
        )
        service.runner.secret_of = secret_of
        service.runner.start(service.declared, service.declared.dhcp_server("ns1"))
        try:
            await scene(service)
        finally:
            service.runner.close()
        return service.runner.node.failover.endpoints["pair"].link.enabled

    assert not asyncio.run(main()), "a runner that is closed dials no partner"


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection, as soon as somebody listens."""
    for _ in range(100):  # a few suffice; thousands would once connect to themselves
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0)
    raise AssertionError("nobody listens")


def test_who_is_allowed_reads_the_leases_by_tcp(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        client = Client(1, giaddr=RELAY)
        assert await service.lease(client) is not None
        (server,) = service.declared.dhcp_servers
        allowed = replace(server, bulk_lease_query_from=(parse_ip_range("127.0.0.1"),))
        service.runner.follow(replace(service.declared, dhcp_servers=(allowed,)), allowed)
        reader, writer = await connected(service.port)
        asked = encode_message(Client(0).message(14, {}, hardware=b"", hardware_type=0))
        writer.write(len(asked).to_bytes(2, "big") + asked)
        kinds = []
        for _ in range(2):
            size = int.from_bytes(await reader.readexactly(2), "big")
            answer = read_message(await reader.readexactly(size))
            kinds.append((answer.options[53], answer.hardware))
        writer.close()
        assert kinds == [(b"\x0d", client.mac), (b"\x0f", b"")]

    run(tmp_path, scene)
