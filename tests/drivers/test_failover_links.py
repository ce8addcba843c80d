"""Connections between partners on loopback: dialled, accepted, written, closed, bounded."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from holdfast.drivers.failover_links import FailoverLinks, Place
from holdfast.kernel.events import LogEvent
from holdfast.node.failover import UNSENT_BYTES_MAX, Dial, HangUp, SendToPartner
from ports import free_ports

FIRST, SECOND = "127.0.0.1", "127.0.0.2"
PATIENCE_S = 60.0


class Side:
    """What one side hears, as tuples; it takes connections of ``known`` alone."""

    def __init__(self, *known: str) -> None:
        self.known = known
        self.heard: asyncio.Queue[tuple[object, ...]] = asyncio.Queue()
        self.logged: list[LogEvent] = []
        self.accepted_count = 0
        self.drained_count = 0
        self.links = FailoverLinks(self, lambda: 7.0, self._drain, self.logged.append)

    def _drain(self) -> None:
        self.drained_count += 1

    def accepted(self, now: float, source: str) -> int | None:
        self.heard.put_nowait(("accepted", source))
        if source not in self.known:
            return None
        self.accepted_count += 1
        return 100 + self.accepted_count

    def connected(self, now: float, connection: int) -> None:
        assert now == 7.0
        self.heard.put_nowait(("connected", connection))

    def received(self, now: float, connection: int, data: bytes) -> None:
        self.heard.put_nowait(("received", connection, data))

    def disconnected(self, now: float, connection: int, reason: str) -> None:
        self.heard.put_nowait(("disconnected", connection, reason))

    async def next(self) -> tuple[object, ...]:
        return await asyncio.wait_for(self.heard.get(), PATIENCE_S)


async def follow(side: Side, *places: Place) -> None:
    task = side.links.follow(places)
    assert task is not None
    await task


def play(scene: Callable[[Side, Side, int], Awaitable[None]]) -> tuple[Side, Side]:
    """Two sides that know each other; the second listens."""

    async def main() -> tuple[Side, Side]:
        port = free_ports(1, "0.0.0.0")[0]
        first, second = Side(SECOND), Side(FIRST)
        await follow(first, Place(FIRST, port + 1, SECOND))
        await follow(second, Place(SECOND, port, FIRST))
        try:
            await scene(first, second, port)
        finally:
            first.links.close()
            second.links.close()
        return first, second

    return asyncio.run(main())


def test_bytes_go_both_ways_and_the_source_is_our_own_address() -> None:
    async def scene(first: Side, second: Side, port: int) -> None:
        assert second.links.listens_at == [f"{SECOND}:{port}"]
        first.links.do(Dial(1, SECOND, port))
        assert await first.next() == ("connected", 1)
        assert await second.next() == ("accepted", FIRST)
        first.links.do(SendToPartner(1, b"hello"))
        assert await second.next() == ("received", 101, b"hello")
        second.links.do(SendToPartner(101, b"you too"))
        assert await first.next() == ("received", 1, b"you too")
        assert first.drained_count == 2

    play(scene)


def test_what_was_written_before_hanging_up_arrives_and_only_the_other_side_is_told() -> None:
    async def scene(first: Side, second: Side, port: int) -> None:
        first.links.do(Dial(1, SECOND, port))
        assert await first.next() == ("connected", 1)
        assert await second.next() == ("accepted", FIRST)
        first.links.do(SendToPartner(1, b"last words"))
        first.links.do(HangUp(1))
        assert await second.next() == ("received", 101, b"last words")
        assert await second.next() == ("disconnected", 101, "the partner closed the connection")
        second.links.do(SendToPartner(101, b"into the void"))
        second.links.do(HangUp(101))
        assert first.heard.empty()

    play(scene)


def test_what_comes_shortly_after_each_other_is_handed_over_together_also_before_its_time() -> None:
    async def scene(first: Side, second: Side, port: int) -> None:
        first.links.do(Dial(1, SECOND, port))
        assert await first.next() == ("connected", 1)
        assert await second.next() == ("accepted", FIRST)
        for word in (b"one", b"two"):
            gathered = second.links.gathered_bytes + len(word)
            first.links.do(SendToPartner(1, word))
            while second.links.gathered_bytes < gathered:
                assert second.heard.empty()
                await asyncio.sleep(0)
        second.links.hand_over()
        assert second.heard.get_nowait() == ("received", 101, b"onetwo")
        assert second.links.gathered_bytes == 0

    play(scene)


def test_what_was_gathered_of_a_connection_that_is_hung_up_is_forgotten() -> None:
    async def scene(first: Side, second: Side, port: int) -> None:
        first.links.do(Dial(1, SECOND, port))
        assert await first.next() == ("connected", 1)
        assert await second.next() == ("accepted", FIRST)
        first.links.do(SendToPartner(1, b"too late"))
        while not second.links.gathered_bytes:
            assert second.heard.empty()
            await asyncio.sleep(0)
        second.links.do(HangUp(101))
        second.links.hand_over()
        assert second.heard.empty()

    play(scene)


def test_a_stranger_is_hung_up_on_at_once() -> None:
    async def scene(first: Side, second: Side, port: int) -> None:
        reader, writer = await asyncio.open_connection(SECOND, port, local_addr=("127.0.0.3", 0))
        assert await second.next() == ("accepted", "127.0.0.3")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), PATIENCE_S)
        writer.close()
        assert second.heard.empty()

    play(scene)


def test_a_try_that_fails_says_why() -> None:
    async def scene(first: Side, second: Side, port: int) -> None:
        first.links.do(Dial(1, SECOND, free_ports(1, "0.0.0.0")[0]))
        kind, number, reason = await first.next()
        assert (kind, number) == ("disconnected", 1)
        assert "nobody listens there" in str(reason)

    play(scene)


def test_an_address_that_is_not_ours_is_named() -> None:
    async def scene(first: Side, second: Side, port: int) -> None:
        await follow(first, Place("192.0.2.77", port, SECOND))
        first.links.do(Dial(1, SECOND, port))
        kind, number, reason = await first.next()
        assert (kind, number) == ("disconnected", 1)
        assert "our own address of the relationship is not one of this machine" in str(reason)
        assert "dhcp failover does not serve 192.0.2.77 port" in first.logged[0].message()

    play(scene)


def test_hanging_up_while_dialling_reports_nothing() -> None:
    async def scene(first: Side, second: Side, port: int) -> None:
        first.links.do(Dial(1, SECOND, port))
        first.links.do(HangUp(1))
        first.links.do(Dial(2, SECOND, port))
        assert await first.next() == ("connected", 2)
        assert first.heard.empty()

    play(scene)


def test_a_partner_that_does_not_read_loses_its_connection() -> None:
    async def scene(first: Side, second: Side, port: int) -> None:
        with socket.create_server((SECOND, 0), backlog=1) as deaf:
            first.links.do(Dial(1, SECOND, deaf.getsockname()[1]))
            assert await first.next() == ("connected", 1)
            for _ in range(64):  # what the system's buffers take is not ours
                first.links.do(SendToPartner(1, bytes(UNSENT_BYTES_MAX // 2)))
            kind, number, reason = await first.next()
        assert (kind, number) == ("disconnected", 1)
        assert "the partner does not read: more than 1024 KB wait for it" in str(reason)

    play(scene)


def test_another_place_is_listened_at_and_the_old_one_left() -> None:
    async def scene(first: Side, second: Side, port: int) -> None:
        other = free_ports(1, "0.0.0.0")[0]
        await follow(second, Place(SECOND, other, FIRST))
        assert second.links.listens_at == [f"{SECOND}:{other}"]
        await follow(second)
        assert second.links.listens_at == []
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(SECOND, port)

    play(scene)
