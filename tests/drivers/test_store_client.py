"""The asking side of the store protocol: it comes back, says so, and leaves nobody waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.drivers.store_client import StoreClient, StoreLink, store_socket
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import MailboxId
from holdfast.wire import store
from holdfast.wire.framing import FrameReader

ALICE = MailboxId("a" * 32)


class Answering(asyncio.Protocol):
    """The other end, as bad as a test wants it: the real one is tested in test_store_server."""

    def __init__(self, said: Callable[[store.Request, asyncio.Transport], None]) -> None:
        self._said = said
        self._reader = FrameReader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for body in self._reader.feed(data):
            self._said(store.decode_request(body), self._transport)  # type: ignore[arg-type]  # a stream


def test_the_socket_is_named_after_the_database() -> None:
    assert store_socket(Path("home"), "DB01") == Path("home/run/mailbox-DB01.sock")


def test_a_link_comes_back_and_tells_what_it_lost(tmp_path: Path) -> None:
    path = tmp_path / "store.sock"
    heard: asyncio.Queue[object] = asyncio.Queue()

    def answer(request: store.Request, transport: asyncio.Transport) -> None:
        if isinstance(request.operation, store.Expunge):
            transport.abort()
        else:
            transport.write(store.encode_frame(store.Response(request.number, store.Done())))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        link = StoreLink(
            path,
            connected=lambda: heard.put_nowait("connected"),
            lost=lambda: heard.put_nowait("lost"),
            answered=lambda number, answer: heard.put_nowait((number, answer)),
        )
        link.call(1, store.ListFolders(ALICE))
        number, refused = await heard.get()  # type: ignore[misc]  # an answer comes as a pair
        assert number == 1
        assert isinstance(refused, store.Refused)
        assert refused.reason is store.RefusalReason.UNAVAILABLE
        running = loop.create_task(link.run())
        server = await loop.create_unix_server(lambda: Answering(answer), str(path))
        assert await heard.get() == "connected"
        link.call(2, store.ListFolders(ALICE))
        assert await heard.get() == (2, store.Done())
        link.call(3, store.Expunge(ALICE, 1, None))
        assert await heard.get() == "lost"
        assert await heard.get() == "connected"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        server.close()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_an_answer_that_is_no_answer_ends_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "store.sock"

    async def main() -> None:
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: Answering(lambda _, transport: transport.write(b"\0\0\0\1?")), str(path)
        )
        client = await StoreClient.connect(path)
        with pytest.raises(Unavailable, match="closed the connection"):
            await client.ask(store.ListFolders(ALICE))
        server.close()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"store\.sock does not answer"):
        asyncio.run(StoreClient.connect(tmp_path / "store.sock"))
