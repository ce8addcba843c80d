"""A home with a management service that answers on a real socket, in a thread of its own."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.admin.service import ManagementService
from holdfast.directory.defaults import DemonstrationPorts, demonstration_organisation
from holdfast.directory.plan import plan_change
from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.management_socket import open_listener
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.ids import MailboxId


def _prepare(home: Path) -> None:
    organisation = demonstration_organisation(
        server_name="demo",
        fqdn="demo.example.test",
        alice=MailboxId("a" * 32),
        bob=MailboxId("b" * 32),
        ports=DemonstrationPorts(),
    )
    servers = tuple(replace(each, metrics="") for each in organisation.servers)
    store = DirectoryStore.open(home / "directory.sqlite", writable=True)
    store.apply(
        plan_change(store.read(), replace(organisation, servers=servers)), who="test", why="start", at=0.0
    )
    store.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home of a management that runs."""
    monkeypatch.delenv("HOLDFAST_HOME", raising=False)
    _prepare(tmp_path)
    ready, stop, running = threading.Event(), asyncio.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        service = ManagementService(tmp_path, "demo", LogSink("management", io.StringIO()))
        await service.start(open_listener(tmp_path))
        ready.set()
        await stop.wait()
        await service.close()

    thread = threading.Thread(target=running.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    yield tmp_path
    running.call_soon_threadsafe(stop.set)
    thread.join(30)
    running.close()
