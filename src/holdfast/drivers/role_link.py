"""A role's link to management: gets told when the organisation changed, answers what it is asked.

A role reads the organisation itself, from the directory database, so it starts
and goes on without management; the link only says when to look again. It comes
back for ever. Invariant: ``Applied(n)`` is said only after ``on_organisation``
and ``on_taken`` returned for revision ``n`` or a later one.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from holdfast.directory.model import Organisation
from holdfast.drivers.events import DIRECTORY_UNREADABLE
from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.management_socket import (
    Applied,
    NotApplied,
    OrganisationChanged,
    ReportWanted,
    RoleAnswer,
    RoleHello,
    RoleRefused,
    RoleReport,
    RoleRequest,
    StateValue,
    decode_to_role,
    encode_message,
    management_socket,
    read_frame,
)
from holdfast.drivers.sqlite_directory import DirectoryStore, KnownObjects
from holdfast.drivers.unix_socket import reachable_name
from holdfast.kernel.backoff import Backoff
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.events import happened

RECONNECT = Backoff(first_s=0.05, longest_s=2.0)
DIRECTORY_FILE = "directory.sqlite"

OnTaken = Callable[[Organisation], Awaitable[None]]
OnRequest = Callable[[str, bytes], Awaitable[bytes]]


def read_organisation(home: Path, known: KnownObjects | None = None) -> Organisation:
    """Read the organisation of this home as it is now.

    Raises:
        Refusal: the database is of a newer version.
        Unavailable: it is not there or cannot be read.

    ``known`` is what was read before; what did not change since is not read again.
    """
    store = DirectoryStore.open(home / DIRECTORY_FILE, writable=False, known=known)
    try:
        return store.read()
    finally:
        store.close()


class RoleLink:
    """The link of one role process; see the module's text."""

    def __init__(
        self,
        home: Path,
        role: str,
        on_organisation: Callable[[Organisation], None],
        metrics: Callable[[], bytes],
        state: Callable[[], Mapping[str, StateValue]],
        *,
        log: LogSink | None = None,
    ) -> None:
        """Make a link that is not yet running.

        Args:
            home: the state directory.
            role: our name, for example ``transport`` or ``transport-2``.
            on_organisation: takes a changed organisation.
            metrics: gives our metrics as Prometheus text.
            state: gives what ``holdfast status`` shows of us; ``state`` and
                ``ports`` have columns of their own there.
            log: where to say that the directory cannot be read.
        """
        # Does what a verb of the administrator asks of this role: verb and body in, body out; may
        # raise Refusal and Unavailable. A role without one refuses everything.
        self.on_request: OnRequest | None = None
        # Does what must wait for something, such as opening ports, once the organisation was handed on.
        self.on_taken: OnTaken | None = None
        self._home = home
        self._known = KnownObjects()
        self._role = role
        self._on_organisation = on_organisation
        self._metrics = metrics
        self._state = state
        self._log = log
        self._revision: int | None = None
        self._started_at = time.time()
        self._applying = asyncio.Lock()
        self._reloads: set[asyncio.Task[str | None]] = set()
        self._requests: set[asyncio.Task[None]] = set()
        self._luck = random.Random()

    @property
    def revision(self) -> int:
        """The revision that the role works with; 0 before it has read any."""
        return self._revision or 0

    def read_organisation(self) -> Organisation:
        """Read the organisation for the start of the role, which takes it as read.

        Raises:
            Refusal: the database is of a newer version.
            Unavailable: it is not there or cannot be read.
        """
        organisation = read_organisation(self._home, self._known)
        self._revision = organisation.revision
        return organisation

    def reload(self) -> None:
        """Read the organisation again now (SIGHUP)."""
        task = asyncio.get_running_loop().create_task(self._take_latest())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def run(self) -> None:
        """Keep the link until cancelled."""
        if self._revision is None:
            await self._take_latest()
        failure_count = 0
        while True:
            if await self._converse():
                failure_count = 0
            failure_count += 1
            await asyncio.sleep(RECONNECT.wait_s(failure_count, self._luck))

    async def _converse(self) -> bool:
        """Talk to management until it is gone; whether it said anything at all."""
        try:
            with reachable_name(management_socket(self._home)) as name:
                reader, writer = await asyncio.open_unix_connection(name)
        except OSError:
            return False
        was_heard = False
        try:
            writer.write(encode_message(RoleHello(self._role, os.getpid(), self.revision)))
            while (body := await read_frame(reader)) is not None:
                was_heard = True
                await self._answer(body, writer)
        except (OSError, Refusal):
            pass  # the other side is gone, or is not management; come back later
        finally:
            for task in self._requests:
                task.cancel()  # nobody is left to hear the answer
            writer.close()
        return was_heard

    async def _answer(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        match decode_to_role(body):
            case OrganisationChanged(revision):
                reason = None
                if revision != self._revision:
                    reason = await self._take_latest()
                answer: Applied | NotApplied = Applied(self.revision)
                if reason is not None:
                    answer = NotApplied(revision, reason)
                writer.write(encode_message(answer))
            case ReportWanted(number):
                writer.write(
                    encode_message(
                        RoleReport(number, self._metrics(), {"started_at": self._started_at, **self._state()})
                    )
                )
            case RoleRequest() as request:
                # In a task of its own: an answer that takes long (a question to DNS) holds up no change.
                task = asyncio.get_running_loop().create_task(self._do(request, writer))
                self._requests.add(task)
                task.add_done_callback(self._requests.discard)
        await writer.drain()

    async def _do(self, request: RoleRequest, writer: asyncio.StreamWriter) -> None:
        """Do one request of management and answer it."""
        answer: RoleAnswer | RoleRefused
        try:
            if self.on_request is None:
                raise Refusal(f'role {self._role} does not know the request "{request.verb}"')
            answer = RoleAnswer(request.number, await self.on_request(request.verb, request.body))
        except Refusal as refusal:
            answer = RoleRefused(request.number, refusal.text, unavailable=False)
        except Unavailable as error:
            answer = RoleRefused(request.number, error.text, unavailable=True)
        try:
            frame = encode_message(answer)
        except Refusal as refusal:  # larger than a frame
            frame = encode_message(RoleRefused(request.number, refusal.text, unavailable=False))
        if not writer.is_closing():
            writer.write(frame)

    async def _take_latest(self) -> str | None:
        """Read the organisation and hand it on if it is another one; the reason when it cannot be read."""
        async with self._applying:
            try:
                # In a thread: a directory of 100,000 mailboxes takes longer to read than a reply may wait.
                organisation = await asyncio.to_thread(read_organisation, self._home, self._known)
            except (Refusal, Unavailable) as error:
                if self._log is not None:
                    self._log.write(happened(DIRECTORY_UNREADABLE, role=self._role, reason=error.text))
                return error.text
            if organisation.revision != self._revision:
                self._on_organisation(organisation)
                if self.on_taken is not None:
                    await self.on_taken(organisation)
                self._revision = organisation.revision
            return None
