"""Fetch MTA-STS policies over HTTPS.

One request in a thread, with a deadline over all of it; no redirect is
followed, nothing is cached, and the certificate must be valid for
``mta-sts.DOMAIN``. The host's addresses come from the organisation's DNS
servers where a way to ask them is given.

Source: RFC 8461 sections 3.3 and 10.2; RFC 9110; RFC 9525.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from holdfast.drivers.handshake import handshake_problem
from holdfast.drivers.trusted import load_authorities
from holdfast.kernel.errors import Unavailable
from holdfast.wire.mta_sts import POLICY_BYTES_MAX

PATH = "/.well-known/mta-sts.txt"
DEADLINE_S = 60.0  # RFC 8461 section 3.3 suggests one minute
STEP_S = 20.0
FETCHES_AT_ONCE_MAX = 20
ADDRESSES_TRIED_MAX = 4

Addresses = Callable[[str], Awaitable[Sequence[str]]]
Fetched = Callable[[str, bytes | None, str], None]


class PolicyFetcher:
    """Fetches policies, several at a time."""

    def __init__(
        self, trusted: Path, fetched: Fetched, addresses: Addresses | None = None, port: int = 443
    ) -> None:
        """Be ready to fetch.

        Args:
            trusted: the directory of the administrator's own authorities.
            fetched: is told the domain, and the policy or why there is none; on the event loop.
            addresses: looks up a host; without it the system does.
            port: of the web servers.
        """
        self._trusted = trusted
        self._fetched = fetched
        self._addresses = addresses
        self._port = port
        self._threads = ThreadPoolExecutor(FETCHES_AT_ONCE_MAX, thread_name_prefix="mta-sts")
        self._tasks: set[asyncio.Task[None]] = set()

    def fetch(self, domain: str) -> None:
        """Begin to fetch the policy of a domain; ``fetched`` is told, always."""
        task = asyncio.get_running_loop().create_task(self._fetch(domain))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fetch(self, domain: str) -> None:
        host = f"mta-sts.{domain}"
        text: bytes | None = None
        reason = ""
        request = _Request(host, self._port, self._trusted)
        try:
            async with asyncio.timeout(DEADLINE_S):
                addresses: Sequence[str] = (host,)
                if self._addresses is not None:
                    addresses = (await self._addresses(host))[:ADDRESSES_TRIED_MAX]
                text = await asyncio.get_running_loop().run_in_executor(self._threads, request.run, addresses)
        except TimeoutError:
            reason = f"{host} did not answer within {DEADLINE_S:.0f} s"
            request.give_up()
        except Unavailable as error:
            reason = error.text
        self._fetched(domain, text, reason)

    def close(self) -> None:
        """Give up what is being fetched."""
        for task in self._tasks:
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Request:
    """One request, in a thread; ``give_up`` ends it from another."""

    def __init__(self, host: str, port: int, trusted: Path) -> None:
        self._host = host
        self._port = port
        self._trusted = trusted
        self._lock = threading.Lock()
        self._given_up = False
        self._socket: socket.socket | None = None

    def give_up(self) -> None:
        """Close the connection under the thread that reads it: a slow server must not keep it."""
        with self._lock:
            self._given_up = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def run(self, addresses: Sequence[str]) -> bytes:
        """Fetch the policy.

        Raises:
            Unavailable: it cannot be had; the text says why.
        """
        plain = self._connect(addresses)
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            load_authorities(context, self._trusted)
            try:
                with context.wrap_socket(
                    plain,
                    server_hostname=self._host,
                    do_handshake_on_connect=False,
                    suppress_ragged_eofs=False,  # an end that TLS does not vouch for is none
                ) as stream:
                    self._hold(stream)  # which has taken the plain one's place
                    stream.do_handshake()
                    return self._ask(stream)
            except (OSError, ValueError) as error:
                raise Unavailable(f"{self._host}: {_words(error)}") from None
        finally:
            plain.close()

    def _connect(self, addresses: Sequence[str]) -> socket.socket:
        reason = "it has no public address"
        for address in addresses:
            try:
                found = socket.create_connection((address, self._port), timeout=STEP_S)
            except OSError as error:
                reason = (error.strerror or str(error) or "no answer").lower()
                continue
            try:
                self._hold(found)
            except OSError:
                found.close()
                raise Unavailable(f"{self._host} did not answer in time") from None
            return found
        raise Unavailable(f"{self._host} cannot be reached: {reason}")

    def _hold(self, connected: socket.socket) -> None:
        """Let ``give_up`` end a connection from now on; at once when it was called before."""
        with self._lock:
            if self._given_up:
                raise ConnectionAbortedError("given up")
            self._socket = connected

    def _ask(self, stream: ssl.SSLSocket) -> bytes:
        client = http.client.HTTPSConnection(self._host, self._port, timeout=STEP_S)
        client.sock = stream
        try:
            client.request("GET", PATH, headers={"Accept": "text/plain", "Connection": "close"})
            with client.getresponse() as answer:
                if answer.status != http.client.OK:  # RFC 8461 section 3.3: a redirect is not followed either
                    raise Unavailable(f"{self._host} answered {answer.status}")
                kind = answer.headers.get_content_type()
                if kind != "text/plain":  # RFC 8461 section 3.2
                    raise Unavailable(f"{self._host} answered with {kind[:60]}, not text/plain")
                data = answer.read(POLICY_BYTES_MAX + 1)
                if len(data) <= POLICY_BYTES_MAX and answer.length:
                    # Half a policy would be one that names fewer hosts.
                    raise Unavailable(f"{self._host} sent less than it announced")
        except http.client.HTTPException as error:
            raise Unavailable(f"{self._host} does not speak HTTP: {type(error).__name__}") from None
        finally:
            client.close()
        if len(data) > POLICY_BYTES_MAX:
            raise Unavailable(f"the policy at {self._host} is longer than {POLICY_BYTES_MAX} bytes")
        return data


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError | ValueError):
        return handshake_problem(error)
    return (getattr(error, "strerror", None) or str(error) or "the connection broke").lower()
