"""The sockets that a role listens on, kept equal to what the organisation declares.

``follow`` opens what is new and closes what is no longer wanted, while the
connections that are open go on. A binding that cannot be opened is logged with
its owner and tried again, and does not keep the others from being served.
"""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from holdfast.drivers.port_owner import port_owner
from holdfast.kernel.backoff import Backoff
from holdfast.kernel.errors import Unavailable

BACKLOG = 1024
RETRY = Backoff(first_s=0.2, longest_s=10.0)


@dataclass(frozen=True, slots=True)
class Binding:
    """An address and port, and whether TLS is on from the first byte."""

    host: str
    port: int
    implicit_tls: bool

    def __str__(self) -> str:
        """As the organisation writes it: ``address:port``, IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_binding(text: str, *, implicit_tls: bool) -> Binding:
    """Read ``address:port``; IPv6 in brackets. The directory has checked the syntax."""
    host, _, port = text.rpartition(":")
    return Binding(host.strip("[]"), int(port), implicit_tls)


class Listeners:
    """The listening sockets of one role."""

    def __init__(
        self,
        connection: Callable[[Binding], asyncio.Protocol],
        failed: Callable[[Binding, str], None],
        opened_late: Callable[[Binding], None],
    ) -> None:
        """Start with none.

        Args:
            connection: makes the protocol of a new connection; TLS from the first byte is its work, since it
                knows the client, who may be one of several connectors at this binding.
            failed: is told each time a binding cannot be opened, and why.
            opened_late: is told when such a binding is open after all.
        """
        self._connection = connection
        self._failed = failed
        self._opened_late = opened_late
        self._servers: dict[Binding, asyncio.Server] = {}
        self._retries: dict[Binding, asyncio.Task[None]] = {}
        self._reasons: dict[Binding, str] = {}

    @property
    def open_bindings(self) -> tuple[Binding, ...]:
        """What is being listened on now."""
        return tuple(self._servers)

    @property
    def not_open(self) -> dict[Binding, str]:
        """What could not be opened and is tried again, and why."""
        return {each: self._reasons[each] for each in self._retries}

    async def follow(self, wanted: Mapping[Binding, None]) -> None:
        """Listen on exactly these; returns when each was tried once."""
        for binding in [each for each in self._retries if each not in wanted]:
            self._retries.pop(binding).cancel()
            del self._reasons[binding]
        for binding in [each for each in self._servers if each not in wanted]:
            server = self._servers.pop(binding)
            server.close()
        for binding in wanted:
            if binding not in self._servers and binding not in self._retries:
                await self._open_or_retry(binding)

    async def _open_or_retry(self, binding: Binding) -> None:
        try:
            await self._open(binding)
        except Unavailable as error:
            self._reasons[binding] = error.text
            self._failed(binding, error.text)
            self._retries[binding] = asyncio.get_running_loop().create_task(self._retry(binding))

    async def _retry(self, binding: Binding) -> None:
        luck = random.Random()
        failure_count = 0
        while True:
            failure_count += 1
            await asyncio.sleep(RETRY.wait_s(failure_count, luck))
            try:
                await self._open(binding)
            except Unavailable as error:
                self._reasons[binding] = error.text
                # Every tenth try is said again: often enough to be seen, too seldom to fill a log.
                if failure_count % 10 == 0:
                    self._failed(binding, error.text)
                continue
            del self._retries[binding]
            del self._reasons[binding]
            self._opened_late(binding)
            return

    async def _open(self, binding: Binding) -> None:
        try:
            self._servers[binding] = await asyncio.get_running_loop().create_server(
                partial(self._connection, binding),
                binding.host,
                binding.port,
                backlog=BACKLOG,
                reuse_address=True,
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason = f"the port is in use by {port_owner(binding.port)}"
            elif error.errno in (errno.EADDRNOTAVAIL, None):  # newer asyncio gives no number for this one
                reason = "this machine does not have that address"
            else:
                reason = error.strerror or str(error)
            raise Unavailable(f"cannot listen on {binding.host}:{binding.port}: {reason}") from None

    def close(self) -> None:
        """Listen on nothing; open connections go on."""
        for task in self._retries.values():
            task.cancel()
        self._retries.clear()
        self._reasons.clear()
        for server in self._servers.values():
            server.close()
        self._servers.clear()
