"""Management at work: who may ask, verbs done one change at a time, roles told before the answer.

Verbs that change something run in one thread that owns the writable directory;
the others run beside it, each with its own view of the database, so that a long
search in the tracking log delays nobody. Invariant: when a changing verb is
answered without a warning, every connected role works with its revision.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import random
import socket
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec

from holdfast.admin.catalogue import Arguments, Runs, Verb, find_verb, read_arguments
from holdfast.admin.context import Context, RoleState, Surroundings, Usage
from holdfast.admin.metrics import MetricsServer, merge_metrics, own_metrics
from holdfast.admin.open_doors import changed_connectors, not_open
from holdfast.admin.own_certificate import with_own_certificate
from holdfast.admin.roles import APPLY_TIMEOUT_S, REQUEST_TIMEOUT_S, ConnectedRole, Roles
from holdfast.directory.model import Organisation, Role
from holdfast.directory.plan import plan_change
from holdfast.drivers import management_socket as protocol
from holdfast.drivers.events import (
    CHANGE_APPLIED,
    MANAGEMENT_REFUSED_PEER,
    ORGANISATION_WRONG,
    ROLE_BEHIND,
    ROLE_CONNECTED,
    VERB_BROKEN,
)
from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.role_link import DIRECTORY_FILE
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.drivers.unix_socket import Peer, peer_of, trusted_user_ids
from holdfast.kernel.errors import Problem, Refusal, Unavailable
from holdfast.kernel.events import happened
from holdfast.kernel.ids import MailboxId

CONNECTION_COUNT_MAX = 256
FIRST_MESSAGE_TIMEOUT_S = 30.0
USAGE_TIMEOUT_S = 5.0
WRONG_LOGGED_MAX = 20  # at a start; `organisation check` lists all
USAGE_BATCH = 1000  # mailboxes per question, so that one answer stays small
PROGRESS_INTERVAL_S = 0.1
READER_COUNT = 4
# A million leases are written in one transaction.
SLOW_REQUESTS_S = {"lease.import": 300.0}


class ManagementService:
    """Everything that management does behind its socket; see the module's text."""

    def __init__(
        self, home: Path, server_name: str, log: LogSink, *, apply_timeout_s: float = APPLY_TIMEOUT_S
    ) -> None:
        """Make a service that is not yet serving."""
        self.home = home
        self.server_name = server_name
        # Where metrics can be read now, for `holdfast status`; set by whoever opens the port.
        self.open_ports: Callable[[], str] = lambda: ""
        self.allowed_uids = trusted_user_ids()
        self.roles = Roles(apply_timeout_s=apply_timeout_s)
        self.metrics = MetricsServer(self.metrics_page)
        self.organisation = Organisation()
        # Called with each new organisation, after the roles were told.
        self.on_organisation: Callable[[Organisation], None] = lambda _: None
        self._log = log
        self._started_at = time.time()
        self._changes = concurrent.futures.ThreadPoolExecutor(1, "changes")
        self._readers = concurrent.futures.ThreadPoolExecutor(READER_COUNT, "readers")
        self._store: DirectoryStore | None = None
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, listener: socket.socket) -> None:
        """Open the directory (made when it is new) and answer on the socket.

        Raises:
            Refusal: the directory is of a newer version.
            Unavailable: it cannot be opened.
        """
        running = asyncio.get_running_loop()
        self.organisation, wrong = await running.run_in_executor(self._changes, self._open)
        for problem in wrong[:WRONG_LOGGED_MAX]:
            self._log.write(happened(ORGANISATION_WRONG, problem=str(problem)))
        self._server = await asyncio.start_unix_server(self._connected, sock=listener)

    def _open(self) -> tuple[Organisation, tuple[Problem, ...]]:
        """The organisation, and what is wrong with it: a server goes by what is stored, whatever it is."""
        self._store = DirectoryStore.open(self.home / DIRECTORY_FILE, writable=True)
        found = self._store.read()
        plan = plan_change(found, with_own_certificate(found, self.home, self.server_name))
        wrong = (*plan.standing, *plan.problems)
        if not plan.changes or plan.problems:
            return found, wrong
        why = "the certificate by which the other servers know this one"
        return self._store.apply(plan, who="holdfast", why=why, at=time.time()), wrong

    async def close(self) -> None:
        """Hang up and close the directory; a change that is being made is finished."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.close()
        running = asyncio.get_running_loop()
        await running.run_in_executor(self._changes, self._close)
        self._changes.shutdown(wait=False)
        self._readers.shutdown(wait=False, cancel_futures=True)

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    async def reload(self) -> None:
        """Read the directory again and tell the roles (SIGHUP)."""
        assert self._store is not None
        running = asyncio.get_running_loop()
        await self._organisation_changed(await running.run_in_executor(self._changes, self._store.read))

    # --- connections -----------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = peer_of(writer.get_extra_info("socket").fileno())
        self._writers.add(writer)
        try:
            if peer.uid not in self.allowed_uids:
                self._log.write(happened(MANAGEMENT_REFUSED_PEER, pid=peer.pid, user=peer.user))
                text = f'user "{peer.user}" may not manage this server; use the user that runs it, or sudo'
                self._send(writer, protocol.Refused(text, []))
            elif len(self._writers) > CONNECTION_COUNT_MAX:
                self._send(
                    writer, protocol.Failed(f"{CONNECTION_COUNT_MAX} connections are open; try again later")
                )
            else:
                await self._converse(reader, writer, peer)
        except (Refusal, TimeoutError, ConnectionError):
            pass  # not our protocol, or silent, or gone: there is nobody to tell
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer) -> None:
        first = await asyncio.wait_for(protocol.read_frame(reader), FIRST_MESSAGE_TIMEOUT_S)
        if first is None:
            return
        match protocol.decode_to_management(first):
            case protocol.Ask() as ask:
                await self._answer(ask, writer, peer)
                await writer.drain()
            case protocol.RoleHello() as hello:
                await self._serve_role(hello, reader, writer)
            case _:
                raise Refusal("the first message is neither a question nor a role's name")

    async def _serve_role(
        self, hello: protocol.RoleHello, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        revision = self.organisation.revision
        role = self.roles.arrived(hello, lambda message: self._send(writer, message), revision)
        self._log.write(happened(ROLE_CONNECTED, role=hello.role, pid=hello.pid, revision=hello.revision))
        try:
            while (body := await protocol.read_frame(reader)) is not None:
                self._heard(role, protocol.decode_to_management(body))
        finally:
            self.roles.left(role)

    def _heard(self, role: ConnectedRole, message: protocol.ToManagement) -> None:
        if isinstance(message, protocol.Ask | protocol.RoleHello):
            raise Refusal("a role asks nothing")
        self.roles.heard(role, message)

    def _send(self, writer: asyncio.StreamWriter, message: protocol.Message) -> None:
        if not writer.is_closing():
            writer.write(protocol.encode_message(message))

    # --- verbs -----------------------------------------------------------------------------

    async def _answer(self, ask: protocol.Ask, writer: asyncio.StreamWriter, peer: Peer) -> None:
        verb = find_verb(ask.noun, ask.verb)
        if verb is None or verb.runs is not Runs.SERVER:
            self._send(writer, protocol.Misused(f'there is no verb "{ask.noun} {ask.verb}" here'))
            return
        try:
            arguments = read_arguments(verb, ask.arguments)
        except Refusal as refusal:
            self._send(writer, protocol.Misused(refusal.text))
            return
        progress = self._progress_of(writer)
        try:
            self._send(writer, await self._perform(verb, arguments, peer.user, progress))
        except Refusal as refusal:
            self._send(writer, protocol.refused(refusal))
        except Unavailable as error:
            self._send(writer, protocol.Failed(error.text))

    def _progress_of(self, writer: asyncio.StreamWriter) -> Callable[[int, int, str], None]:
        running = asyncio.get_running_loop()
        last_at = 0.0

        def progress(done: int, total: int, text: str) -> None:
            nonlocal last_at
            if time.monotonic() - last_at >= PROGRESS_INTERVAL_S:
                last_at = time.monotonic()
                running.call_soon_threadsafe(self._send, writer, protocol.Progress(done, total, text))

        return progress

    async def _perform(
        self, verb: Verb, arguments: Arguments, who: str, progress: Callable[[int, int, str], None]
    ) -> protocol.Finished:
        """Do a verb in its thread, then tell the roles what changed."""
        running = asyncio.get_running_loop()
        surroundings = Surroundings(
            self.home, self.server_name, self._states(running), self._usages(running), self._asks(running)
        )
        luck = random.Random(os.urandom(16))

        def perform() -> tuple[msgspec.Struct, Context]:
            store = self._store if verb.changes else self._own_view()
            assert store is not None
            assert verb.perform is not None
            context = Context(surroundings, store, who, time.time(), luck, progress, known=self.organisation)
            try:
                return verb.perform(context, arguments), context
            except (Refusal, Unavailable):
                raise
            except Exception as error:
                if verb.changes:
                    raise  # what is in memory cannot be trusted any more; the process ends and starts again
                text = "".join(traceback.format_exception(error))
                self._log.write(happened(VERB_BROKEN, verb=verb.title, error=text))
                raise Unavailable(f'"{verb.title}" met a bug of Holdfast ({error}); see the log') from None
            finally:
                if not verb.changes:
                    store.close()

        pool = self._changes if verb.changes else self._readers
        result, context = await running.run_in_executor(pool, perform)
        warnings = list(context.warnings)
        if context.applied:
            revision = context.organisation.revision
            changes = "; ".join(context.applied)
            self._log.write(happened(CHANGE_APPLIED, who=who, revision=revision, changes=changes))
            warnings += await self._organisation_changed(context.organisation)
        return protocol.Finished(msgspec.msgpack.encode(result), warnings)

    def _own_view(self) -> DirectoryStore:
        return DirectoryStore.open(self.home / DIRECTORY_FILE, writable=False)

    async def _organisation_changed(self, organisation: Organisation) -> list[str]:
        if organisation.revision == self.organisation.revision:
            return []
        changed = changed_connectors(self.organisation, organisation, self.server_name)
        expected = self._transport_expected()
        self.organisation = organisation
        warnings = await self.roles.told_all(organisation.revision)
        if changed and expected:
            warnings += not_open(changed, organisation, self.server_name, await self.roles.states())
        for role in self.roles.connected:
            if role.revision < organisation.revision:
                self._log.write(
                    happened(
                        ROLE_BEHIND,
                        role=role.role,
                        pid=role.pid,
                        revision=organisation.revision,
                        waited_s=APPLY_TIMEOUT_S,
                    )
                )
        self.on_organisation(organisation)
        return warnings

    def _transport_expected(self) -> bool:
        """Whether the role that opens connectors should be running; a change may only now ask for it."""
        own = self.organisation.own_server(self.server_name)
        return own is not None and Role.TRANSPORT in own.roles

    # --- what verbs may ask of the world ---------------------------------------------------

    def _states(self, running: asyncio.AbstractEventLoop) -> Callable[[], list[RoleState]]:
        def states() -> list[RoleState]:
            found = asyncio.run_coroutine_threadsafe(self.roles.states(), running).result()
            state: dict[str, str | int | float] = {"started_at": self._started_at, "ports": self.open_ports()}
            ours = RoleState("management", os.getpid(), self.organisation.revision, state)
            return [ours, *found]

        return states

    def _usages(self, running: asyncio.AbstractEventLoop) -> Callable[[str, list[MailboxId]], list[Usage]]:
        def usages(database: str, mailbox_ids: list[MailboxId]) -> list[Usage]:
            future = asyncio.run_coroutine_threadsafe(_read_usage(self.home, database, mailbox_ids), running)
            return future.result()

        return usages

    def _asks(self, running: asyncio.AbstractEventLoop) -> Callable[[str, str, bytes], bytes]:
        def ask(role: str, verb: str, body: bytes) -> bytes:
            timeout_s = SLOW_REQUESTS_S.get(verb, REQUEST_TIMEOUT_S)
            asked = self.roles.ask(role, verb, body, timeout_s=timeout_s)
            return asyncio.run_coroutine_threadsafe(asked, running).result()

        return ask

    async def metrics_page(self) -> bytes:
        """All metrics of this server, collected now."""
        from prometheus_client import generate_latest as own_text

        reports = await self.roles.reported()
        server = self.organisation.own_server(self.server_name)
        up = {role.value: False for role in (server.roles if server else ())}
        up |= {role.role: report is not None for role, report in reports}
        revisions = {role.role: role.revision for role, _ in reports}
        texts = [("management", own_text())]
        texts += [(role.role, report.metrics) for role, report in reports if report is not None]
        return merge_metrics(own_metrics(self.organisation.revision, up, revisions), texts)


async def _read_usage(home: Path, database: str, mailbox_ids: list[MailboxId]) -> list[Usage]:
    from holdfast.drivers.store_client import StoreClient, store_socket
    from holdfast.wire.store import ReadUsage, UsageRead

    client = await StoreClient.connect(store_socket(home, database))
    found: list[Usage] = []
    try:
        async with asyncio.timeout(USAGE_TIMEOUT_S):
            for start in range(0, len(mailbox_ids), USAGE_BATCH):
                answer = await client.ask(ReadUsage(mailbox_ids[start : start + USAGE_BATCH]))
                if not isinstance(answer, UsageRead):
                    raise Unavailable("the mailbox database did not tell")
                found += [Usage(*each) for each in zip(answer.size_bytes, answer.message_count, strict=True)]
    except TimeoutError:
        raise Unavailable(f"the mailbox database did not answer within {USAGE_TIMEOUT_S:g} s") from None
    finally:
        client.close()
    return found
