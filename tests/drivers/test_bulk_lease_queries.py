"""Requesters read all leases by TCP; those who may not, or do not read, cost nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from dhcp.conversations import NOW, Client, World, organisation, packed, scope
from dhcp_service import free_udp_port
from holdfast.directory.dhcp import DhcpServer
from holdfast.drivers import bulk_lease_queries
from holdfast.drivers.bulk_lease_queries import BulkLeaseQueries
from holdfast.kernel.events import LogEvent
from holdfast.kernel.iprange import parse_ip_range
from holdfast.node.dhcp import DhcpNode
from holdfast.wire.dhcp4 import Message, encode_message, read_message

LOOPBACK = (parse_ip_range("127.0.0.0/8"),)
LEASE_COUNT = 30


def bulk(options: dict[int, bytes] | None = None, **changes: object) -> bytes:
    plain = {"hardware": b"", "hardware_type": 0}
    data = encode_message(Client(0).message(14, options, **(plain | changes)))
    return len(data).to_bytes(2, "big") + data


class Door:
    """A server with some leases, and its door."""

    def __init__(self, silence_s: float, count: int) -> None:
        declared = organisation(
            scope("office", "10.0.0.0/16", "10.0.1.0-10.0.250.0"),
            scope("lab", "10.5.0.0/24", "10.5.0.10-10.5.0.19"),
        )
        world = World(declared)
        for number in range(count):
            Client(number).gets(world, {82: b"\x02\x03sw%d" % (number % 3)})
        Client(1, giaddr="10.5.0.1").gets(world)
        self.events: list[LogEvent] = []
        self.node = DhcpNode(declared, "ns1", list(world.disk.values()))
        self.door = BulkLeaseQueries(
            self.node, lambda: NOW, lambda: 0.0, self.events.append, silence_s=silence_s
        )
        self.declared = DhcpServer("ns1", port=free_udp_port(), bulk_lease_query_from=LOOPBACK)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.declared.port)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def left_with(self, count: int) -> None:
        """Wait until no more are connected."""
        for _ in range(100_000):
            if self.door.connection_count <= count:
                return
            await asyncio.sleep(0)
        raise AssertionError("connections stay")

    async def ask(self, *queries: bytes) -> list[list[Message]]:
        """The answers to queries of one connection, each up to and with its end."""
        async with self.connected() as (reader, writer):
            writer.write(b"".join(queries))
            return [await answer_of(reader) for _ in queries]


async def answer_of(reader: asyncio.StreamReader) -> list[Message]:
    found: list[Message] = []
    while not found or found[-1].options[53] != b"\x0f":
        size = int.from_bytes(await reader.readexactly(2), "big")
        found.append(read_message(await reader.readexactly(size)))
    return found


def run(
    scene: Callable[[Door], Awaitable[None]], *, silence_s: float = 20.0, count: int = LEASE_COUNT
) -> Door:
    async def main() -> Door:
        door = Door(silence_s, count)
        await door.door.follow(door.declared)
        try:
            await asyncio.wait_for(scene(door), 60)
        finally:
            door.door.close()
        return door

    return asyncio.run(main())


def test_everything_then_by_each_thing() -> None:
    async def scene(door: Door) -> None:
        everything, mac, nobody, remote, wire, broken = await door.ask(
            bulk(),
            bulk(hardware=Client(7).mac, hardware_type=1),
            bulk({61: b"\0nobody"}),
            bulk({82: b"\x02\x03sw1"}),
            bulk({82: b"\x05\x04" + packed("10.5.0.0")}),
            bulk({61: b"\0id"}, hardware=b"\x01"),
        )
        assert len({each.ciaddr for each in everything[:-1]}) == LEASE_COUNT + 1
        assert [54 in each.options for each in everything] == [True] + [False] * (LEASE_COUNT + 1)
        assert [each.hardware for each in mac[:-1]] == [Client(7).mac]
        assert (len(nobody), 54 in nobody[0].options, 151 in nobody[0].options) == (1, True, False)
        assert len(remote) == 10 + 1
        assert [each.ciaddr for each in wire[:-1]] == [packed("10.5.0.10")]
        assert broken[0].options[151] == b"\x03one query asks by one thing"

    door = run(scene)
    assert door.node.server.counts["BULKLEASEQUERY"] == 6


def test_who_is_not_allowed_is_told_nothing() -> None:
    async def scene(door: Door) -> None:
        await door.door.follow(replace(door.declared, bulk_lease_query_from=(parse_ip_range("192.0.2.1"),)))
        with contextlib.suppress(ConnectionError):
            async with door.connected() as (reader, writer):
                writer.write(bulk())
                assert await reader.read() == b""
        assert [each.kind.event_id for each in door.events] == ["DHC-0606"]

    run(scene)


def test_without_anybody_allowed_nobody_listens() -> None:
    async def scene(door: Door) -> None:
        await door.door.follow(replace(door.declared, bulk_lease_query_from=()))
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", door.declared.port)
        await door.door.follow(door.declared)
        assert len(await door.ask(bulk())) == 1

    run(scene)


def test_a_port_that_another_has_is_said() -> None:
    async def scene(door: Door) -> None:
        other = BulkLeaseQueries(door.node, lambda: NOW, lambda: 0.0, door.events.append)
        await other.follow(door.declared)
        assert [each.kind.event_id for each in door.events] == ["DHC-0605"]
        other.close()

    run(scene)


def test_connections_are_counted() -> None:
    async def scene(door: Door) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(bulk_lease_queries.CONNECTION_COUNT_MAX):
                reader, writer = await stack.enter_async_context(door.connected())
                writer.write(bulk({61: b"\0nobody"}))
                await answer_of(reader)
            with contextlib.suppress(ConnectionError):
                reader, writer = await stack.enter_async_context(door.connected())
                assert await reader.read() == b""
            assert [each.kind.event_id for each in door.events] == ["DHC-0606"]
        await door.left_with(0)
        assert len((await door.ask(bulk()))[0]) == LEASE_COUNT + 2

    run(scene)


@pytest.mark.parametrize(
    "data", [b"\0\x10" + bytes(16), b"\xff\xff" + bytes(9000), b"\1\0" + bytes(256), b"\0", bulk()[:-4]]
)
def test_what_is_no_message_ends_the_connection(data: bytes) -> None:
    async def scene(door: Door) -> None:
        async with door.connected() as (reader, writer):
            writer.write(data)
            writer.write_eof()
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""

    run(scene)


def test_who_says_nothing_is_hung_up_on() -> None:
    async def scene(door: Door) -> None:
        async with door.connected() as (reader, _):
            assert await reader.read() == b""

    run(scene, silence_s=0.2)


def test_who_does_not_read_takes_no_memory_and_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    send = bulk_lease_queries._send

    def counted(writer: asyncio.StreamWriter, data: bytes) -> None:
        send(writer, data)
        written.append(writer.transport.get_write_buffer_size())

    monkeypatch.setattr(bulk_lease_queries, "_send", counted)

    async def scene(door: Door) -> None:
        async with door.connected() as (_, deaf):
            deaf.transport.pause_reading()  # type: ignore[attr-defined]  # it is one of TCP
            # Much more than the buffers of both sides hold.
            deaf.write(bulk() * 40)
            await deaf.drain()
            assert len((await door.ask(bulk({61: b"\0nobody"})))[0]) == 1
            await door.left_with(1)
            assert len((await door.ask(bulk()))[0]) == 2002
            before = -1
            while len(written) != before:  # until it stands still
                before = len(written)
                for _ in range(300):
                    await asyncio.sleep(0)

    run(scene, count=2000)
    per_message = 302
    assert len(written) < 42 * 2002  # the one that does not read has not got everything
    assert max(written) < 65_536 + (bulk_lease_queries.PIECE_COUNT + 2) * per_message
