"""The store protocol over a real Unix socket, with a real mailbox database behind it."""

from __future__ import annotations

import asyncio
import io
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.sqlite_mailbox import MailboxDatabase
from holdfast.drivers.store_client import StoreClient
from holdfast.drivers.store_server import READS_AT_ONCE_MAX, WRITE_BUFFER_HIGH_BYTES, StoreServer
from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.wire import store
from holdfast.wire.framing import FrameReader

ALICE = MailboxId("a" * 32)


def deliver(name: str) -> store.Deliver:
    target = store.Target(ALICE, b"Delivered-To: alice@example.test\r\n", 1 << 30)
    data = b"Subject: hello\r\n\r\nhello\r\n"
    return store.Deliver([store.Delivery(NetworkMessageId(name), data, 1.0, [target])])


def run(test: Callable[[StoreServer, Path], Awaitable[None]], directory: Path) -> None:
    async def main() -> None:
        database = MailboxDatabase.open(directory / "DB01.sqlite")
        server = StoreServer("DB01", database, LogSink("mailbox", io.StringIO()))
        path = directory / "mailbox-DB01.sock"
        await server.listen(path)
        try:
            await asyncio.wait_for(test(server, path), 30)
        finally:
            server.close()
            await asyncio.to_thread(database.close)

    asyncio.run(main())


async def until(reached: Callable[[], bool]) -> None:
    """Let the event loop turn; ``run`` says for how long."""
    while not reached():  # noqa: ASYNC110 (what is waited for is inside a transport, which sets no event)
        await asyncio.sleep(0)


def test_a_delivery_is_answered_after_its_commit_and_can_be_read(tmp_path: Path) -> None:
    async def test(server: StoreServer, path: Path) -> None:
        client = await StoreClient.connect(path)
        assert await client.ask(deliver("one")) == store.Delivered([[store.Outcome.DELIVERED]])
        assert await client.ask(deliver("one")) == store.Delivered([[store.Outcome.DUPLICATE]])
        opened = await client.ask(store.OpenFolder(ALICE, "INBOX", False))
        assert isinstance(opened, store.FolderOpened)
        assert [message.uid for message in opened.messages] == [1]
        client.close()

    run(test, tmp_path)


def test_a_watcher_is_told_of_another_client_s_change(tmp_path: Path) -> None:
    async def test(server: StoreServer, path: Path) -> None:
        deliverer, watcher = await StoreClient.connect(path), await StoreClient.connect(path)
        await deliverer.ask(deliver("one"))
        opened = await watcher.ask(store.OpenFolder(ALICE, "INBOX", False))
        assert isinstance(opened, store.FolderOpened)
        told = asyncio.get_running_loop().create_future()
        watcher.on_changed = told.set_result
        await watcher.ask(store.Watch(ALICE, opened.folder.folder_id, True))
        await deliverer.ask(deliver("two"))
        changed = await told
        assert changed == store.Changed(opened.folder.folder_id, opened.folder.highest_position + 1)
        watcher.close()
        deliverer.close()

    run(test, tmp_path)


def test_whoever_does_not_speak_the_protocol_is_disconnected(tmp_path: Path) -> None:
    async def test(server: StoreServer, path: Path) -> None:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"\0\0\0\5hello")
        assert await reader.read() == b""
        writer.close()
        client = await StoreClient.connect(path)
        assert isinstance(await client.ask(store.ListFolders(ALICE)), store.FolderList)
        client.close()

    run(test, tmp_path)


def test_the_socket_is_ours_alone(tmp_path: Path) -> None:
    async def test(server: StoreServer, path: Path) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    run(test, tmp_path)
    assert not (tmp_path / "mailbox-DB01.sock").exists()


def test_a_client_that_does_not_read_costs_little_memory(tmp_path: Path) -> None:
    size, count = 3 << 20, 60

    async def test(server: StoreServer, path: Path) -> None:
        client = await StoreClient.connect(path)
        append = store.AppendMessage(ALICE, "INBOX", b"x" * size, [], 1.0, 1 << 30)
        assert isinstance(await client.ask(append), store.Appended)
        opened = await client.ask(store.OpenFolder(ALICE, "INBOX", False))
        assert isinstance(opened, store.FolderOpened)
        client.close()
        reader, writer = await asyncio.open_unix_connection(str(path), limit=1024)
        fetch = store.FetchMessages(ALICE, opened.folder.folder_id, [1], store.Part.ALL)
        for number in range(1, count + 1):
            writer.write(store.encode_frame(store.Request(number, fetch)))
        await until(lambda: any(each.full for each in server._clients.values()))
        connected = next(each for each in server._clients.values() if each.full)
        await until(lambda: not connected.reading)
        held = connected.transport.get_write_buffer_size()
        assert held <= WRITE_BUFFER_HIGH_BYTES + (READS_AT_ONCE_MAX + 1) * (size + 1000)
        assert connected.waiting, "the rest was not even read from the disk"
        assert not connected.transport.is_reading()
        frames, got = FrameReader(), 0
        while got < count:
            got += len(frames.feed(await reader.read(1 << 20)))
        assert connected.transport.is_reading()
        writer.close()

    run(test, tmp_path)


def test_reads_that_wait_end_with_their_client(tmp_path: Path) -> None:
    async def test(server: StoreServer, path: Path) -> None:
        client = await StoreClient.connect(path)
        append = store.AppendMessage(ALICE, "INBOX", b"x" * (3 << 20), [], 1.0, 1 << 30)
        await client.ask(append)
        client.close()
        _, writer = await asyncio.open_unix_connection(str(path), limit=1024)
        fetch = store.FetchMessages(ALICE, 1, [1], store.Part.ALL)
        for number in range(1, 41):
            writer.write(store.encode_frame(store.Request(number, fetch)))
        await until(lambda: any(each.full for each in server._clients.values()))
        writer.transport.abort()
        await until(lambda: not server._clients and server.node.idle())

    run(test, tmp_path)
