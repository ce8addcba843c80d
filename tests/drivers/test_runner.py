"""A node on asyncio: its outputs are done in order, its timer is called when it is due."""

from __future__ import annotations

import asyncio
import io
import json
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from holdfast.daemons.first_start import CREDENTIALS_FILE, prepare
from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.role_link import read_organisation
from holdfast.drivers.runner import NodeRunner
from holdfast.drivers.tcp import Connection
from holdfast.kernel.ids import ConnectionId
from holdfast.node.access import AccessNode
from holdfast.node.ports import CommitQueue, Peer


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("runner") / "home"
    prepare(made, demonstration=True)
    return made


def run(test: Callable[[NodeRunner[AccessNode], int], Awaitable[None]], home: Path) -> None:
    async def main() -> None:
        organisation = read_organisation(home)
        node = AccessNode(organisation, "demo", random.Random(1))
        runner = NodeRunner(node, organisation, home, LogSink("access", io.StringIO()))

        def opened(connection_id: ConnectionId, peer: Peer) -> None:
            node.connection_opened(time.time(), connection_id, peer)

        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(runner.connections, opened), "127.0.0.1", 0
        )
        runner.start()
        try:
            await asyncio.wait_for(test(runner, server.sockets[0].getsockname()[1]), 60)
        finally:
            server.close()
            runner.close()

    asyncio.run(main())


def test_a_client_signs_in_and_a_missing_database_is_said_to_be_unavailable(home: Path) -> None:
    password = json.loads((home / CREDENTIALS_FILE).read_text())["alice@example.test"]

    async def test(runner: NodeRunner[AccessNode], port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.readline()).startswith(b"* OK")
        writer.write(f'a LOGIN alice@example.test "{password}"\r\n'.encode())
        line = await reader.readline()
        while not line.startswith(b"a "):
            line = await reader.readline()
        assert line.startswith(b"a OK")
        writer.write(b"b SELECT INBOX\r\n")
        assert (await reader.readline()).startswith(b"b NO [UNAVAILABLE]")
        writer.close()

    run(test, home)


def test_a_deadline_that_has_passed_is_acted_on(home: Path) -> None:
    async def test(runner: NodeRunner[AccessNode], port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.readline()).startswith(b"* OK")
        due = runner.node.deadline()
        assert due is not None
        assert due > time.time()
        # The clock of the test stands in for an hour of silence.
        runner.node.timer(due + 1)
        runner.drain()
        assert (await reader.readline()).startswith(b"* BYE")
        assert await reader.read() == b""
        writer.close()

    run(test, home)


def test_another_organisation_is_followed(home: Path) -> None:
    from dataclasses import replace

    async def test(runner: NodeRunner[AccessNode], port: int) -> None:
        changed = replace(runner.organisation, mailbox_databases=(), mailboxes=())
        runner.follow(changed)
        assert runner.organisation is changed
        runner.certificates.forget()

    run(test, home)


def test_only_transport_has_a_queue(home: Path) -> None:
    async def test(runner: NodeRunner[AccessNode], port: int) -> None:
        with pytest.raises(AssertionError):
            runner.perform(CommitQueue([]))

    run(test, home)
