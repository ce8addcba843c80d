"""A door counts as open when somebody answers behind it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from holdfast.lab import probes
from holdfast.lab.load import Place
from holdfast.lab.probes import Door, Watched, answers, watch


async def until_closed(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def until(fact: Callable[[], bool]) -> None:
    while not fact():  # noqa: ASYNC110  # the probe tells nobody that it looked
        await asyncio.sleep(0)


async def others_end() -> None:
    """Wait for the handlers of connections, which the server does not."""
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))


async def listen(lines: list[bytes]) -> tuple[asyncio.Server, int]:
    """A server that says these lines, one for each that it hears after the first; then it hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            for line in lines:
                writer.write(line)
                if not await reader.readline():
                    break
        writer.close()
        await until_closed(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("protocol", "lines", "open_"),
    [
        ("SMTP", [b"220 hello\r\n", b"250-hello\r\n250 SIZE\r\n"], True),
        ("SMTP", [b"220 hello\r\n", b"421 later\r\n"], False),
        ("SMTP", [b"554 no\r\n"], False),
        ("SMTP", [b""], False),
        ("submission", [b"220 hello\r\n", b"250 hello\r\n"], True),
        ("IMAP", [b"* OK hello\r\n", b"p OK done\r\n"], True),
        ("IMAP", [b"* BYE\r\n"], False),
        ("IMAP", [b"x" * 20_000], False),
    ],
)
def test_what_counts_as_an_answer(
    protocol: str, lines: list[bytes], open_: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "TIMEOUT_S", 0.5)

    async def run() -> bool:
        server, port = await listen(lines)
        found = await answers(Door(protocol, Place("mail1", "127.0.0.1", port)))
        server.close()
        await others_end()
        return found

    assert asyncio.run(run()) is open_


def test_nobody_there_is_no_answer_and_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "INTERVAL_S", 0.0)

    async def run() -> Watched:
        server, port = await listen([b"220 hello\r\n", b"250 hello\r\n"])
        door = Door("SMTP", Place("mail1", "127.0.0.1", port))
        watched, stop = Watched(), asyncio.Event()
        task = asyncio.ensure_future(watch((door,), watched, stop))
        async with asyncio.timeout(30):
            await until(lambda: bool(watched.looks.get(door)))
            server.close()
            await until(lambda: not watched.looks[door][-1].answered)
        stop.set()
        await task
        await others_end()
        return watched

    (looks,) = asyncio.run(run()).looks.values()
    assert looks[0].answered
    assert not looks[-1].answered
    assert [each.at for each in looks] == sorted(each.at for each in looks)
