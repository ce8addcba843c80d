"""The mailbox role as a process: it serves a new database as soon as it is declared."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from holdfast.drivers.store_client import StoreClient, store_socket
from holdfast.kernel.ids import MailboxId
from holdfast.wire import store

pytestmark = pytest.mark.process


class Server(Protocol):
    home: Path

    def holdfast(self, *words: str) -> subprocess.CompletedProcess[str]: ...


def test_a_database_that_is_declared_is_served_without_a_restart(
    server: Server, tmp_path: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    from holdfast.directory.model import MailboxDatabase
    from holdfast.directory.toml_format import write_organisation
    from holdfast.drivers.role_link import read_organisation

    organisation = read_organisation(server.home)
    second = MailboxDatabase("DB02", organisation.servers[0].name)
    changed = replace(organisation, mailbox_databases=(*organisation.mailbox_databases, second))
    path = tmp_path / "organisation.toml"
    path.write_text(write_organisation(changed), encoding="utf-8")
    imported = server.holdfast("organisation", "import", str(path))
    assert imported.returncode == 0, imported.stderr
    # The verb returned when every role had been told; the file itself is opened a moment later.
    until(store_socket(server.home, "DB02").exists)

    async def main() -> None:
        client = await StoreClient.connect(store_socket(server.home, "DB02"))
        answer = await client.ask(store.ListFolders(MailboxId("a" * 32)))
        assert isinstance(answer, store.FolderList)
        assert answer.folders[0].name == "INBOX"
        client.close()

    asyncio.run(main())
