"""The asking side of the store protocol (``wire.store``), over a Unix socket.

``StoreLink`` serves a node: it stays connected, comes back with growing waits,
and says when the other side is there or gone. ``StoreClient`` serves one-off
questions of the management verbs.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from holdfast.drivers.unix_socket import reachable_name
from holdfast.kernel.backoff import Backoff
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.wire import store
from holdfast.wire.framing import FrameReader

RECONNECT = Backoff(first_s=0.05, longest_s=2.0)


def store_socket(home: Path, database: str) -> Path:
    """Where the mailbox role of this server answers for a mailbox database."""
    return home / "run" / f"mailbox-{database}.sock"


class _FrameProtocol(asyncio.Protocol):
    def __init__(self, answered: Callable[[store.Response], None], gone: Callable[[], None]) -> None:
        self._reader = FrameReader()
        self._answered = answered
        self._gone = gone
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            responses = [store.decode_response(body) for body in self._reader.feed(data)]
        except Refusal:
            # Not our protocol: nothing that comes after can be trusted.
            assert self._transport is not None
            self._transport.abort()  # type: ignore[attr-defined]  # a stream transport of asyncio
            return
        for response in responses:
            self._answered(response)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()


class StoreLink:
    """A lasting connection to one mailbox database."""

    def __init__(
        self,
        path: Path,
        *,
        connected: Callable[[], None],
        lost: Callable[[], None],
        answered: Callable[[int, store.Answer], None],
    ) -> None:
        self._path = path
        self._connected = connected
        self._lost = lost
        self._answered = answered
        self._transport: asyncio.WriteTransport | None = None
        self._luck = random.Random()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        loop = asyncio.get_running_loop()
        failure_count = 0
        try:
            while True:
                gone = loop.create_future()
                try:
                    with reachable_name(self._path) as name:
                        transport, _ = await loop.create_unix_connection(
                            partial(_FrameProtocol, self._answer, partial(_resolve, gone)), name
                        )
                except OSError:
                    failure_count += 1
                    await asyncio.sleep(RECONNECT.wait_s(failure_count, self._luck))
                    continue
                failure_count = 0
                self._transport = transport
                self._connected()
                await gone
                self._transport = None
                self._lost()
        finally:
            if self._transport is not None:
                self._transport.close()

    def call(self, number: int, operation: store.Operation) -> None:
        """Ask; the answer comes with the number. Unconnected, the answer is that it is unavailable."""
        if self._transport is None:
            refused = store.Refused(store.RefusalReason.UNAVAILABLE, "the mailbox database is not reachable")
            asyncio.get_running_loop().call_soon(self._answered, number, refused)
            return
        self._transport.write(store.encode_frame(store.Request(number, operation)))

    def _answer(self, response: store.Response) -> None:
        self._answered(response.number, response.answer)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class StoreClient:
    """A short connection for a few questions."""

    def __init__(self) -> None:
        # Told what comes unasked; questions of the verbs watch nothing.
        self.on_changed: Callable[[store.Changed], None] = lambda _: None
        self._waiting: dict[int, asyncio.Future[store.Answer]] = {}
        self._last_number = 0
        self._transport: asyncio.WriteTransport | None = None

    @classmethod
    async def connect(cls, path: Path) -> StoreClient:
        """Connect to a mailbox database.

        Raises:
            Unavailable: nobody answers there.
        """
        client = cls()
        try:
            with reachable_name(path) as name:
                transport, _ = await asyncio.get_running_loop().create_unix_connection(
                    partial(_FrameProtocol, client._answer, client._gone), name
                )
        except OSError as error:
            reason = error.strerror or str(error)
            raise Unavailable(f"the mailbox database at {path.name} does not answer: {reason}") from None
        client._transport = transport
        return client

    async def ask(self, operation: store.Operation) -> store.Answer:
        """Ask one thing.

        Raises:
            Unavailable: the connection was lost before the answer.
        """
        assert self._transport is not None
        self._last_number += 1
        future: asyncio.Future[store.Answer] = asyncio.get_running_loop().create_future()
        self._waiting[self._last_number] = future
        self._transport.write(store.encode_frame(store.Request(self._last_number, operation)))
        return await future

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _answer(self, response: store.Response) -> None:
        if isinstance(response.answer, store.Changed):
            self.on_changed(response.answer)
        future = self._waiting.pop(response.number, None)
        if future is not None and not future.done():
            future.set_result(response.answer)

    def _gone(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Unavailable("the mailbox database closed the connection"))
        self._waiting.clear()
