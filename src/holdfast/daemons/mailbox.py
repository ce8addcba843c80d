"""The mailbox role: serves the mailbox databases of this server to transport and access."""

from __future__ import annotations

import sys

from holdfast.daemons.role import RoleProcess, run_role, this_server
from holdfast.directory.model import Organisation
from holdfast.drivers.role_link import RoleLink
from holdfast.drivers.sqlite_mailbox import MailboxDatabase
from holdfast.drivers.store_client import store_socket
from holdfast.drivers.store_server import StoreServer


class MailboxRole:
    """The databases that are open, kept equal to what the organisation declares for this server."""

    def __init__(self, process: RoleProcess) -> None:
        self._process = process
        self._servers: dict[str, tuple[StoreServer, MailboxDatabase]] = {}

    async def follow(self, organisation: Organisation) -> None:
        """Serve databases that were added; those that were removed are served until the next start."""
        us = this_server(organisation, self._process.server_name)
        for name in [each.name for each in organisation.mailbox_databases if us in ("", each.server)]:
            if name not in self._servers:
                directory = self._process.home / "mailbox"
                directory.mkdir(mode=0o700, exist_ok=True)
                database = MailboxDatabase.open(directory / f"{name}.sqlite", self._process.log.write)
                self._servers[name] = (StoreServer(name, database, self._process.log), database)
                await self._servers[name][0].listen(store_socket(self._process.home, name))

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
        process.start(role.follow(organisation))

    link = RoleLink(
        process.home, "mailbox", organisation_changed, generate_latest, role.state, log=process.log
    )
    process.watch_signals(link.reload)
    await role.follow(link.read_organisation())
    process.start(link.run())
    process.tell_ready([])
    await process.stop.wait()
    # The supervisor stops transport and access first; what they still asked is answered.
    await process.until_idle(role.idle)
    role.close()
    return 0


if __name__ == "__main__":
    sys.exit(run_role("mailbox", serve))
