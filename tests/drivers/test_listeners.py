"""Listening sockets that follow the organisation."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from holdfast.drivers.listeners import Binding, Listeners, parse_binding


class Greeter(asyncio.Protocol):
    def __init__(self, binding: Binding) -> None:
        self.text = b"hello under TLS" if binding.implicit_tls else b"hello"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self.text)  # type: ignore[attr-defined]  # a stream transport
        transport.close()


def run(test: Callable[[Listeners, list[str]], Awaitable[None]], directory: Path) -> None:
    async def main() -> None:
        failures: list[str] = []
        failed = lambda _, text: failures.append(text)  # noqa: E731 - shorter than a function of its own
        opened = lambda binding: failures.append(f"{binding} is open")  # noqa: E731 - as above
        listeners = Listeners(Greeter, failed, opened)
        try:
            await test(listeners, failures)
        finally:
            listeners.close()

    asyncio.run(main())


async def greeting(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    text = await reader.read()
    writer.close()
    return text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:25", Binding("127.0.0.1", 25, False)),
        ("[::1]:2525", Binding("::1", 2525, False)),
    ],
)
def test_bindings_are_read(text: str, expected: Binding) -> None:
    assert parse_binding(text, implicit_tls=False) == expected


def test_what_is_declared_is_opened_and_what_is_not_is_closed(tmp_path: Path) -> None:
    first, second = (Binding("127.0.0.1", port, False) for port in _ports(2))

    async def test(listeners: Listeners, failures: list[str]) -> None:
        await listeners.follow({first: None})
        assert await greeting(first.port) == b"hello"
        await listeners.follow({first: None, second: None})
        assert await greeting(second.port) == b"hello"
        await listeners.follow({second: None})
        assert listeners.open_bindings == (second,)
        with pytest.raises(ConnectionRefusedError):
            await greeting(first.port)
        assert not failures

    run(test, tmp_path)


def test_a_connection_is_told_its_binding(tmp_path: Path) -> None:
    binding = Binding("127.0.0.1", _ports(1)[0], True)

    async def test(listeners: Listeners, failures: list[str]) -> None:
        await listeners.follow({binding: None})
        assert await greeting(binding.port) == b"hello under TLS"

    run(test, tmp_path)


def test_a_port_in_use_is_named_with_its_owner_and_opened_when_it_is_free(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = Binding("127.0.0.1", holder.getsockname()[1], False)
        free = Binding("127.0.0.1", _ports(1)[0], False)

        async def test(listeners: Listeners, failures: list[str]) -> None:
            await listeners.follow({taken: None, free: None})
            assert listeners.open_bindings == (free,)
            assert listeners.not_open == {taken: failures[0]}
            assert failures == [
                f"cannot listen on 127.0.0.1:{taken.port}: the port is in use by "
                f"process {os.getpid()} ({Path('/proc/self/comm').read_text().strip()})"
            ]
            holder.close()
            while taken not in listeners.open_bindings:  # noqa: ASYNC110 - it has no event to tell a test
                await asyncio.sleep(0.01)
            assert await greeting(taken.port) == b"hello"
            assert listeners.not_open == {}
            assert failures[-1] == f"127.0.0.1:{taken.port} is open"

        run(test, tmp_path)


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_an_address_of_another_machine_is_said_so(address: str, tmp_path: Path) -> None:
    async def test(listeners: Listeners, failures: list[str]) -> None:
        await listeners.follow({Binding(address, 2556, False): None})
        assert failures == [f"cannot listen on {address}:2556: this machine does not have that address"]

    run(test, tmp_path)


def test_a_binding_that_is_given_up_is_tried_no_more(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = Binding("127.0.0.1", holder.getsockname()[1], False)

        async def test(listeners: Listeners, failures: list[str]) -> None:
            await listeners.follow({taken: None})
            assert list(listeners.not_open) == [taken]
            await listeners.follow({})
            await listeners.follow({})
            assert listeners.not_open == {}
            assert listeners.open_bindings == ()

        run(test, tmp_path)


def _ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
