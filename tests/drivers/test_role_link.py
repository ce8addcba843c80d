"""A role's link to management, on a real socket and a real directory."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from holdfast.directory.model import AcceptedDomain, Organisation
from holdfast.directory.plan import plan_change
from holdfast.drivers import management_socket as protocol
from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.role_link import RoleLink
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal, Unavailable

LIMIT_S = 20


def _change(home: Path, name: str) -> int:
    store = DirectoryStore.open(home / "directory.sqlite", writable=True)
    before = store.read()
    after = replace(before, accepted_domains=(*before.accepted_domains, AcceptedDomain(name)))
    after = store.apply(plan_change(before, after), who="test", why="", at=0.0)
    store.close()
    return after.revision


class Management:
    """The other end: takes one role at a time and writes down what it says."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[protocol.ToManagement] = asyncio.Queue()
        self.writers: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.put_nowait(writer)
        while (body := await protocol.read_frame(reader)) is not None:
            self.heard.put_nowait(protocol.decode_to_management(body))
        writer.close()


@asynccontextmanager
async def _management(home: Path) -> AsyncIterator[Management]:
    management = Management()
    server = await asyncio.start_unix_server(management.serve, sock=protocol.open_listener(home))
    try:
        yield management
    finally:
        server.close()
        while not management.writers.empty():
            management.writers.get_nowait().close()


@asynccontextmanager
async def _running(link: RoleLink) -> AsyncIterator[None]:
    task = asyncio.create_task(link.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _link(home: Path, taken: list[Organisation], log: StringIO | None = None) -> RoleLink:
    sink = LogSink("transport", log) if log is not None else None
    return RoleLink(home, "transport", taken.append, lambda: b"x 1\n", lambda: {"n": 3}, log=sink)


def _run(scenario: Callable[[], object]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await scenario()  # type: ignore[misc]  # every scenario is a coroutine function

    asyncio.run(bounded())


def test_ports_are_open_before_a_change_is_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        _change(tmp_path, "one.test")
        link = _link(tmp_path, [])
        opening: asyncio.Queue[int] = asyncio.Queue()
        opened = asyncio.Event()

        async def on_taken(organisation: Organisation) -> None:
            opening.put_nowait(organisation.revision)
            await opened.wait()

        link.read_organisation()
        link.on_taken = on_taken
        async with _management(tmp_path) as management, _running(link):
            await management.heard.get()  # it says who it is
            writer = await management.writers.get()
            second = _change(tmp_path, "two.test")
            writer.write(protocol.encode_message(protocol.OrganisationChanged(second)))
            assert await opening.get() == second
            assert management.heard.empty()
            assert link.revision < second
            opened.set()
            assert await management.heard.get() == protocol.Applied(second)
            writer.close()

    _run(scenario)


def test_a_change_is_applied_before_it_is_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        _change(tmp_path, "one.test")
        taken: list[Organisation] = []
        link = _link(tmp_path, taken)
        assert link.read_organisation().domain_names == {"one.test"}
        async with _management(tmp_path) as management, _running(link):
            assert await management.heard.get() == protocol.RoleHello("transport", os.getpid(), 1)
            writer = await management.writers.get()
            writer.write(protocol.encode_message(protocol.OrganisationChanged(1)))
            assert await management.heard.get() == protocol.Applied(1)
            assert taken == []
            revision = _change(tmp_path, "two.test")
            writer.write(protocol.encode_message(protocol.OrganisationChanged(revision)))
            assert await management.heard.get() == protocol.Applied(revision)
            assert taken[-1].domain_names == {"one.test", "two.test"}
            writer.write(protocol.encode_message(protocol.ReportWanted(9)))
            report = await management.heard.get()
            assert isinstance(report, protocol.RoleReport)
            assert (report.number, report.metrics, report.state["n"]) == (9, b"x 1\n", 3)
            writer.close()

    _run(scenario)


def test_a_role_works_without_management_and_comes_back_to_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        _change(tmp_path, "one.test")
        taken: list[Organisation] = []
        link = _link(tmp_path, taken)
        async with _running(link):
            while not taken:  # noqa: ASYNC110  # nothing tells a test
                await asyncio.sleep(0)
            assert link.revision == 1
            for _ in range(2):
                async with _management(tmp_path) as management:
                    assert isinstance(await management.heard.get(), protocol.RoleHello)
                    (await management.writers.get()).close()

    _run(scenario)


def test_whoever_is_not_management_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        _change(tmp_path, "one.test")
        link = _link(tmp_path, [])
        link.read_organisation()
        async with _management(tmp_path) as management, _running(link):
            await management.heard.get()
            (await management.writers.get()).write(b"\0\0\0\x01\xc1")
            assert isinstance(await management.heard.get(), protocol.RoleHello)

    _run(scenario)


def test_a_directory_that_cannot_be_read_is_said_and_the_role_goes_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        _change(tmp_path, "one.test")
        log = StringIO()
        taken: list[Organisation] = []
        link = _link(tmp_path, taken, log)
        link.read_organisation()
        async with _management(tmp_path) as management, _running(link):
            await management.heard.get()
            writer = await management.writers.get()
            for path in tmp_path.glob("directory.sqlite*"):
                path.unlink()
            writer.write(protocol.encode_message(protocol.OrganisationChanged(2)))
            answer = await management.heard.get()
            assert isinstance(answer, protocol.NotApplied)
            assert (link.revision, taken) == (1, [])
            assert json.loads(log.getvalue())["id"] == "DRV-0207"
            writer.close()

    _run(scenario)


def test_reload_reads_again_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        _change(tmp_path, "one.test")
        taken: list[Organisation] = []
        link = _link(tmp_path, taken)
        link.read_organisation()
        link.reload()
        _change(tmp_path, "two.test")
        link.reload()
        while not taken:  # noqa: ASYNC110  # nothing tells a test
            await asyncio.sleep(0)
        assert taken[-1].revision == 2

    _run(scenario)


def test_without_a_directory_a_role_cannot_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        with pytest.raises((Refusal, Unavailable)):
            _link(tmp_path, []).read_organisation()

    _run(scenario)


def test_requests_are_done_beside_changes_and_answered_by_number(tmp_path: Path) -> None:
    async def scenario() -> None:
        _change(tmp_path, "one.test")
        link = _link(tmp_path, [])
        link.read_organisation()
        may_go_on = asyncio.Event()

        async def do(verb: str, body: bytes) -> bytes:
            match verb:
                case "slow":
                    await may_go_on.wait()
                case "wrong":
                    raise Refusal("there is no such queue")
                case "away":
                    raise Unavailable("not now")
                case "large":
                    return bytes(protocol.FRAME_BYTES_MAX)
            return body[::-1]

        async with _management(tmp_path) as management, _running(link):
            await management.heard.get()
            writer = await management.writers.get()

            async def asked(number: int, verb: str) -> protocol.ToManagement:
                writer.write(protocol.encode_message(protocol.RoleRequest(number, verb, b"abc")))
                return await management.heard.get()

            refused = await asked(1, "anything")
            assert isinstance(refused, protocol.RoleRefused)
            assert 'does not know the request "anything"' in refused.text
            link.on_request = do
            writer.write(protocol.encode_message(protocol.RoleRequest(2, "slow", b"abc")))
            assert await asked(3, "wrong") == protocol.RoleRefused(3, "there is no such queue", False)
            assert await asked(4, "away") == protocol.RoleRefused(4, "not now", True)
            assert await asked(5, "quick") == protocol.RoleAnswer(5, b"cba")
            too_large = await asked(6, "large")
            assert isinstance(too_large, protocol.RoleRefused)
            assert not too_large.unavailable
            may_go_on.set()
            assert await management.heard.get() == protocol.RoleAnswer(2, b"cba")
            may_go_on.clear()
            writer.write(protocol.encode_message(protocol.RoleRequest(7, "slow", b"")))
            writer.close()  # what is under way is given up: nobody would hear the answer
            assert isinstance(await management.heard.get(), protocol.RoleHello)

    _run(scenario)
