"""The mailbox role: serves the mailbox databases of this server to transport and access."""

from __future__ import annotations

import asyncio
import sys

from holdfast.daemons.role import RoleProcess, run_role
from holdfast.directory.model import Organisation
from holdfast.drivers.events import DATABASE_NOT_OPENED
from holdfast.drivers.role_link import RoleLink
from holdfast.drivers.sqlite_mailbox import MailboxDatabase
from holdfast.drivers.store_client import store_socket
from holdfast.drivers.store_server import StoreServer
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.events import happened

RETRY_S = 5.0


class MailboxRole:
    """The databases that are open, kept equal to what the organisation declares for this server."""

    def __init__(self, process: RoleProcess) -> None:
        self._process = process
        self._servers: dict[str, tuple[StoreServer, MailboxDatabase]] = {}
        self._wanted: tuple[str, ...] = ()
        self._opening = asyncio.Lock()

    def want(self, organisation: Organisation) -> None:
        """Serve what is declared; what was removed is served until the next start."""
        us = organisation.own_server(self._process.server_name)
        names = (each.name for each in organisation.mailbox_databases if us and each.server == us.name)
        self._wanted = tuple(names)

    async def open_wanted(self) -> None:
        """Open what is not open; a database that cannot be opened does not keep the others from being served.

        Raises:
            Refusal: a database is of a newer version, or is none.
        """
        async with self._opening:
            for name in self._wanted:
                if name not in self._servers:
                    try:
                        await self._open(name)
                    except Unavailable as error:
                        self._say_not_opened(name, error.text)

    async def follow(self) -> None:
        """Open what was declared while we serve."""
        try:
            await self.open_wanted()
        except Refusal as refusal:
            self._say_not_opened("declared now", refusal.text)

    async def retry(self) -> None:
        """Try again by schedule what could not be opened."""
        while True:
            await asyncio.sleep(RETRY_S)
            if any(name not in self._servers for name in self._wanted):
                await self.follow()

    async def _open(self, name: str) -> None:
        directory = self._process.home / "mailbox"
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"cannot make {directory}: {error.strerror}") from None
        database = MailboxDatabase.open(directory / f"{name}.sqlite", self._process.log.write)
        server = StoreServer(name, database, self._process.log)
        try:
            await server.listen(store_socket(self._process.home, name))
        except BaseException:
            database.close()
            raise
        self._servers[name] = (server, database)

    def _say_not_opened(self, name: str, reason: str) -> None:
        self._process.log.write(happened(DATABASE_NOT_OPENED, database=name, reason=reason, wait_s=RETRY_S))

    def idle(self) -> bool:
        """Whether every question was answered."""
        return all(server.node.idle() for server, _ in self._servers.values())

    def close(self) -> None:
        """Close the databases."""
        for server, database in self._servers.values():
            server.close()
            database.close()

    def state(self) -> dict[str, str | int | float]:
        """What ``holdfast status`` shows."""
        return self._process.state({"databases": ", ".join(self._servers)})


async def serve(process: RoleProcess) -> int:
    """Serve until told to stop."""
    from prometheus_client import generate_latest

    role = MailboxRole(process)

    def organisation_changed(organisation: Organisation) -> None:
        role.want(organisation)
        process.start(role.follow())

    link = RoleLink(
        process.home, "mailbox", organisation_changed, generate_latest, role.state, log=process.log
    )
    process.watch_signals(link.reload)
    role.want(link.read_organisation())
    await role.open_wanted()
    process.start(role.retry())
    process.start(link.run())
    process.tell_ready([])
    await process.stop.wait()
    # The supervisor stops transport and access first; what they still asked is answered.
    await process.until_idle(role.idle)
    role.close()
    return 0


if __name__ == "__main__":
    sys.exit(run_role("mailbox", serve))
