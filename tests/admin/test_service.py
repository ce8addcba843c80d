"""Management on a real socket with a real directory: who may ask, and that roles follow before the answer."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.admin.results import MailboxAdded, MailboxList, Status
from holdfast.admin.service import ManagementService
from holdfast.directory.model import Organisation, Server
from holdfast.directory.plan import plan_change
from holdfast.drivers import management_socket as protocol
from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.management_socket import (
    Applied,
    Ask,
    Failed,
    Finished,
    Misused,
    Refused,
    RoleHello,
    ToClient,
    management_socket,
    open_listener,
)
from holdfast.drivers.role_link import RoleLink
from holdfast.drivers.sqlite_directory import DirectoryStore

pytestmark = pytest.mark.usefixtures("store")


@asynccontextmanager
async def _service(home: Path, log: io.StringIO, **options: Any) -> AsyncIterator[ManagementService]:
    service = ManagementService(home, "demo", LogSink("management", log), **options)
    await service.start(open_listener(home))
    try:
        yield service
    finally:
        await service.close()


async def _ask(home: Path, noun: str, verb: str, **arguments: Any) -> ToClient | None:
    return await _say(home, Ask(noun, verb, arguments))


async def _say(home: Path, *messages: protocol.Message) -> ToClient | None:
    reader, writer = await asyncio.open_unix_connection(str(management_socket(home)))
    for message in messages:
        writer.write(protocol.encode_message(message))
    try:
        while (body := await protocol.read_frame(reader)) is not None:
            answer = protocol.decode_to_client(body)
            if not isinstance(answer, protocol.Progress):
                return answer
        return None
    finally:
        writer.close()


def _run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await scenario()

    asyncio.run(bounded())


async def _until_a_role_is_connected(service: ManagementService) -> None:
    # What a role says arrives in the service's own tasks, and it has no event that a test could wait for.
    while not service.roles.connected:  # noqa: ASYNC110 - see above
        await asyncio.sleep(0)


def _ids(log: io.StringIO) -> list[str]:
    return [json.loads(line)["id"] for line in log.getvalue().splitlines()]


def test_a_role_works_with_the_change_before_the_verb_is_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = io.StringIO()
        taken: list[Organisation] = []
        followed: list[int] = []
        link = RoleLink(tmp_path, "transport", taken.append, lambda: b"x 1\n", dict)
        link.read_organisation()
        async with _service(tmp_path, log) as service:
            service.on_organisation = lambda organisation: followed.append(organisation.revision)
            role = asyncio.create_task(link.run())
            await _until_a_role_is_connected(service)
            answer = await _ask(tmp_path, "mailbox", "add", address="carol@example.test")
            assert isinstance(answer, Finished)
            assert answer.warnings == []
            assert msgspec.msgpack.decode(answer.result, type=MailboxAdded).revision == 2
            assert "carol@example.test" in taken[-1].recipients
            assert followed == [2]
            page = await service.metrics_page()
            assert b'x{role="transport"} 1.0' in page
            assert b"holdfast_organisation_revision 2.0" in page
            assert b'holdfast_role_up{role="access"} 0.0' in page
            status = await _ask(tmp_path, "status", "")
            assert isinstance(status, Finished)
            rows = {row.role: row for row in msgspec.msgpack.decode(status.result, type=Status).roles}
            assert rows["transport"].revision == 2
            assert rows["management"].uptime_s is not None
            role.cancel()
            with suppress(asyncio.CancelledError):
                await role
        assert {"DRV-0205", "DRV-0204"} <= set(_ids(log))

    _run(scenario)


def test_a_role_that_does_not_follow_is_a_warning(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = io.StringIO()
        async with _service(tmp_path, log, apply_timeout_s=0.05) as service:
            reader, writer = await asyncio.open_unix_connection(str(management_socket(tmp_path)))
            writer.write(protocol.encode_message(RoleHello("mailbox", 5, 1)))
            assert await protocol.read_frame(reader) is not None
            answer = await _ask(tmp_path, "domain", "add", name="second.test")
            assert isinstance(answer, Finished)
            assert "role mailbox (process 5) did not take revision 2" in answer.warnings[0]
            writer.write(protocol.encode_message(Ask("status", "", {})))  # a role asks nothing
            while await protocol.read_frame(reader) is not None:
                pass
            writer.close()
            while service.roles.connected:  # noqa: ASYNC110  # nothing tells a test
                await asyncio.sleep(0)
        assert "DRV-0206" in _ids(log)

    _run(scenario)


def test_a_door_that_cannot_open_is_a_warning_of_the_change(tmp_path: Path) -> None:
    async def scenario() -> None:
        reason = "cannot listen on 192.0.2.1:2556: this machine does not have that address"
        state = {"ports": "127.0.0.1:2525", "not_open_192.0.2.1:2556": reason}
        link = RoleLink(tmp_path, "transport", lambda _: None, lambda: b"x 1\n", lambda: state)
        link.read_organisation()
        async with _service(tmp_path, io.StringIO()) as service:
            door = {"name": "n7", "binding": ["192.0.2.1:2556"]}
            without = await _ask(tmp_path, "connector", "add-receive", **door)
            assert isinstance(without, Finished)
            assert "no connector is open yet: the transport role is not running" in without.warnings[0]
            role = asyncio.create_task(link.run())
            await _until_a_role_is_connected(service)
            for verb, given in (("disable", {"yes": True}), ("set", {"tarpit": "1s"}), ("enable", {})):
                answer = await _ask(tmp_path, "connector", verb, name="n7", **given)
                assert isinstance(answer, Finished), answer
                told = [each for each in answer.warnings if reason in each]
                assert len(told) == (verb == "enable")
            other = await _ask(tmp_path, "domain", "add", name="second.test")
            assert isinstance(other, Finished)
            assert other.warnings == []
            role.cancel()
            with suppress(asyncio.CancelledError):
                await role

    _run(scenario)


def test_a_change_is_in_the_change_log_of_who_asked(tmp_path: Path, store: DirectoryStore) -> None:
    async def scenario() -> None:
        async with _service(tmp_path, io.StringIO()):
            await _ask(tmp_path, "domain", "add", name="second.test", why="merger")
            await _ask(tmp_path, "mailbox", "set-password", address="alice@example.test")
        record = store.history(1)[0]
        assert (record.revision, record.why) == (2, "merger")
        assert record.who not in ("", "test")

    _run(scenario)


def test_refusals_misuse_and_what_is_not_available_travel(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _service(tmp_path, io.StringIO()):
            refused = await _ask(tmp_path, "mailbox", "remove", address="bob@example.test")
            assert isinstance(refused, Refused)
            assert refused.problems
            assert isinstance(await _ask(tmp_path, "mailbox", "explode"), Misused)
            assert isinstance(await _ask(tmp_path, "up", ""), Misused)
            assert isinstance(await _ask(tmp_path, "mailbox", "add", address="nobody"), Misused)
            listed = await _ask(tmp_path, "mailbox", "list")
            assert isinstance(listed, Finished)
            assert "DB01" in listed.warnings[0]
            assert len(msgspec.msgpack.decode(listed.result, type=MailboxList).mailboxes) == 2

    _run(scenario)


def test_a_contradiction_that_an_older_version_stored_is_logged_and_the_server_starts(
    tmp_path: Path, store: DirectoryStore
) -> None:
    before = store.read()
    plan = plan_change(before, replace(before, delay_notice_s=9 * 86400.0))
    assert plan.problems
    store.apply(replace(plan, problems=()), who="test", why="an older version", at=1.0)

    async def scenario() -> None:
        log = io.StringIO()
        async with _service(tmp_path, log) as service:
            assert service.organisation.delay_notice_s == 9 * 86400.0
            assert "delay_notice is 9d, not shorter than expiry with 2d" in log.getvalue()
            answer = await _ask(tmp_path, "mailbox", "add", address="carol@example.test")
            assert isinstance(answer, Finished)
            assert any("still is: the organisation: delay_notice" in each for each in answer.warnings)
            refused = await _ask(tmp_path, "organisation", "set", **{"delay-notice": "8d"})
            assert isinstance(refused, Refused)
            mended = await _ask(tmp_path, "organisation", "set", **{"delay-notice": "4h"})
            assert isinstance(mended, Finished)
        assert "DRV-0209" in _ids(log)

    _run(scenario)


def test_another_user_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = io.StringIO()
        async with _service(tmp_path, log) as service:
            service.allowed_uids = frozenset((4_000_000_000,))
            answer = await _ask(tmp_path, "status", "")
            assert isinstance(answer, Refused)
            assert "may not manage" in answer.text
        assert "DRV-0202" in _ids(log)

    _run(scenario)


def test_too_many_connections_and_strange_first_messages_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _service(tmp_path, io.StringIO()):
            assert await _say(tmp_path, Applied(1)) is None
            reader, writer = await asyncio.open_unix_connection(str(management_socket(tmp_path)))
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await reader.read() == b""
            writer.close()
            idle = [await asyncio.open_unix_connection(str(management_socket(tmp_path))) for _ in range(256)]
            answer = await _say(tmp_path)
            assert isinstance(answer, Failed)
            for _, each in idle:
                each.close()

    _run(scenario)


def test_reload_takes_what_was_written_beside_management(tmp_path: Path, call: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with _service(tmp_path, io.StringIO()) as service:
            call("domain add", name="second.test")
            await service.reload()
            assert service.organisation.revision == 2

    _run(scenario)


def test_a_server_that_was_joined_by_another_enters_its_certificate_when_it_starts(
    tmp_path: Path, store: DirectoryStore
) -> None:
    before = store.read()
    other = Server("mail2", "mail2.example.test", "Main")
    joined = replace(before, servers=(*before.servers, other))
    store.apply(plan_change(before, joined), who="test", why="second", at=1.0)

    async def scenario() -> None:
        log = io.StringIO()
        async with _service(tmp_path, log) as service:
            own = service.organisation.server("demo")
            assert own is not None
            assert own.certificate.startswith("-----BEGIN CERTIFICATE-----")
            assert service.organisation.revision == joined.revision + 2
        async with _service(tmp_path, log) as service:
            assert service.organisation.revision == joined.revision + 2

    _run(scenario)
    assert store.history(1)[0].why == "the certificate by which the other servers know this one"
