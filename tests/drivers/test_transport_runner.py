"""The transport node on asyncio with a real queue database and a real mailbox database behind it."""

from __future__ import annotations

import asyncio
import io
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from holdfast.directory.connectors import SendConnector
from holdfast.directory.defaults import DemonstrationPorts, demonstration_organisation
from holdfast.drivers.busy_polling import BusyPolling
from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.queue_journal import IN_FLIGHT_FILE, InFlightFile
from holdfast.drivers.queue_reader import read_ledger
from holdfast.drivers.queue_writer import QueueWriter
from holdfast.drivers.sqlite_mailbox import MailboxDatabase
from holdfast.drivers.store_client import StoreClient, store_socket
from holdfast.drivers.store_server import StoreServer
from holdfast.drivers.tcp import Connection
from holdfast.drivers.transport_runner import TransportRunner
from holdfast.kernel.ids import ConnectionId, MailboxId
from holdfast.kernel.iprange import parse_ip_range
from holdfast.node.ports import FetchPolicy, Peer
from holdfast.node.transport import TransportNode
from holdfast.transport.kept import KeptFile
from holdfast.wire import store

ALICE, BOB = MailboxId("a" * 32), MailboxId("b" * 32)
ORGANISATION = demonstration_organisation(
    server_name="demo", fqdn="demo.example.test", alice=ALICE, bob=BOB, ports=DemonstrationPorts()
)


class Stage:
    """One transport on a port of its own; the mailbox role comes and goes."""

    def __init__(self, home: Path, node_type: type[TransportNode] = TransportNode) -> None:
        self.home = home
        (home / "run").mkdir(exist_ok=True)
        self.log = io.StringIO()
        self.writer, recovered = QueueWriter.open(home / "queue.sqlite", home / "tracking")
        self.journal = InFlightFile(home / IN_FLIGHT_FILE)
        node = node_type(ORGANISATION, "demo", recovered, random.Random(1))
        self.runner = TransportRunner(
            node, ORGANISATION, home, LogSink("transport", self.log), self.writer, self.journal
        )
        node.started(time.time())
        self.port = 0
        self.stores: list[tuple[StoreServer, MailboxDatabase]] = []

    async def listen(self) -> asyncio.Server:
        def opened(connection_id: ConnectionId, peer: Peer) -> None:
            self.runner.node.connection_opened(time.time(), connection_id, "internet", peer)

        self.runner.start()
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self.runner.connections, opened), "127.0.0.1", 0
        )
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def open_mailboxes(self) -> None:
        database = MailboxDatabase.open(self.home / "DB01.sqlite")
        server = StoreServer("DB01", database, LogSink("mailbox", self.log))
        await server.listen(store_socket(self.home, "DB01"))
        self.stores.append((server, database))

    async def send(self, name: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        await reader.readline()
        for line in (
            "HELO client.example",
            "MAIL FROM:<a@b.example>",
            "RCPT TO:<alice@example.test>",
            "DATA",
        ):
            writer.write(f"{line}\r\n".encode())
            await reader.readline()
        writer.write(f"Subject: {name}\r\n\r\nhello\r\n.\r\n".encode())
        reply = await reader.readline()
        writer.close()
        return reply

    async def inbox_count(self) -> int:
        client = await StoreClient.connect(store_socket(self.home, "DB01"))
        answer = await client.ask(store.OpenFolder(ALICE, "INBOX", False))
        client.close()
        return len(answer.messages) if isinstance(answer, store.FolderOpened) else 0

    async def until_delivered(self, count: int) -> None:
        # It has no event that a test could wait for.
        while self.runner.node.queued_message_count or await self.inbox_count() < count:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


def run(
    test: Callable[[Stage], Awaitable[None]], home: Path, node_type: type[TransportNode] = TransportNode
) -> None:
    async def main() -> None:
        stage = Stage(home, node_type)
        server = await stage.listen()
        try:
            await asyncio.wait_for(test(stage), 60)
        finally:
            server.close()
            stage.runner.close()
            for store_server, database in stage.stores:
                store_server.close()
                await asyncio.to_thread(database.close)
            await asyncio.to_thread(stage.writer.close, True)

    asyncio.run(main())


def test_a_message_is_acknowledged_kept_and_delivered_when_the_mailboxes_come(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        assert (await stage.send("before")).startswith(b"250 ")
        ledger = read_ledger(stage.home)
        assert (ledger.accepted_count, ledger.queued_count, ledger.unaccounted_count) == (1, 1, 0)
        await stage.open_mailboxes()
        await stage.until_delivered(1)
        assert (await stage.send("after")).startswith(b"250 ")
        await stage.until_delivered(2)

    def counted(name: str) -> float:
        return REGISTRY.get_sample_value(f"holdfast_messages_{name}_total") or 0.0

    before = counted("accepted"), counted("finished")
    run(test, tmp_path)
    assert (counted("accepted") - before[0], counted("finished") - before[1]) == (2, 2)
    ledger = read_ledger(tmp_path)
    assert (ledger.accepted_count, ledger.delivered_count, ledger.unaccounted_count) == (2, 2, 0)


def test_a_conversation_that_goes_on_at_once_keeps_loop_and_writer_awake(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        stage.runner.polling = BusyPolling(2)
        assert (await stage.send("quick")).startswith(b"250 ")
        # Each drain is something that came; the client is connected until its end was read.
        assert stage.runner.connections.open
        while not stage.runner.polling.looking:
            stage.runner.drain()
        assert stage.writer.more_soon()
        while stage.runner.polling.looking:  # noqa: ASYNC110 - it has no event that a test could wait for
            await asyncio.sleep(0.01)
        assert not stage.writer.more_soon(), "the writer sleeps when transport does"

    run(test, tmp_path)


def test_what_waits_is_delivered_by_the_next_life(tmp_path: Path) -> None:
    async def first(stage: Stage) -> None:
        assert (await stage.send("kept")).startswith(b"250 ")

    async def second(stage: Stage) -> None:
        await stage.open_mailboxes()
        await stage.until_delivered(1)

    run(first, tmp_path)
    run(second, tmp_path)
    assert read_ledger(tmp_path).delivered_count == 1


def test_a_policy_s_web_server_is_looked_up_by_our_resolver_and_files_are_kept(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if request.config.getoption("--compiled"):
        pytest.skip("nothing may derive from what is compiled")
    # Names below localhost are this machine's (RFC 6761); nobody serves HTTPS there.
    heard: asyncio.Queue[tuple[str, bytes | None, str]] = asyncio.Queue()

    class Listening(TransportNode):
        def policy_fetched(self, now: float, domain: str, text: bytes | None, reason: str = "") -> None:
            heard.put_nowait((domain, text, reason))

    async def test(stage: Stage) -> None:
        stage.runner.perform(FetchPolicy("x.localhost"))
        nowhere = "mta-sts.x.localhost cannot be reached: it has no public address"
        assert await heard.get() == ("x.localhost", None, nowhere)
        ours = tuple(parse_ip_range(each) for each in ("127.0.0.0/8", "::1/128"))
        connector = SendConnector("ours", ("*",), private_ranges=ours)
        stage.runner.follow(replace(ORGANISATION, send_connectors=(connector,)))
        stage.runner.perform(FetchPolicy("x.localhost"))
        domain, text, reason = await heard.get()
        assert (domain, text) == ("x.localhost", None)
        assert reason.startswith("mta-sts.x.localhost cannot be reached: ")
        assert reason != nowhere, "where the administrator has named them they are asked"
        stage.runner.perform(KeptFile("sts/x.json", b"kept"))

    run(test, tmp_path, Listening)
    assert (tmp_path / "sts" / "x.json").read_bytes() == b"kept"
