"""``holdfast up``: one process per role, started, watched and stopped in order.

A role that ends without being told to is started again, sooner at first and
later if it keeps ending (kernel.backoff). A stop goes from the doors inwards:
transport and access finish with their clients while the mailbox role still
answers them, then the mailbox role, then management.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import random
import resource
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.daemons import first_start
from holdfast.daemons.role import EXIT_REFUSED
from holdfast.directory.model import Organisation, Role
from holdfast.drivers import loop
from holdfast.drivers.events import ROLE_ENDED, ROLE_READY
from holdfast.drivers.log_sink import LogSink
from holdfast.drivers.queue_journal import note_end
from holdfast.drivers.role_link import RoleLink
from holdfast.kernel.backoff import Backoff
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.events import happened

ROLES = ("management", "mailbox", "transport", "access")
# Those that run only where the organisation gives the server the role.
DECLARED_ROLES = {"dhcp": Role.DHCP}
STOP_ORDER = (("transport", "access", "dhcp"), ("mailbox",), ("management",))
# A role that keeps ending is tried often all the same: mail waits for it, and a start is cheap.
RESTART = Backoff(first_s=0.1, longest_s=5.0)
# A role that has lived this long starts its back-off anew.
HEALTHY_S = 10.0
STOP_TIMEOUT_S = 40.0
# Each connection is one. What a machine gives unasked is often 1,024: less than one connector may have.
FILE_COUNT_WANTED = 65_536


@dataclass
class RoleState:
    """What the supervisor knows of one role."""

    name: str
    process: asyncio.subprocess.Process | None = None
    listening: list[str] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    restart_count: int = 0
    failure_count: int = 0
    started_at: float = 0.0
    wanted: bool = True


class Supervisor:
    """The role processes of one home."""

    def __init__(self, home: Path, log: LogSink, server_name: str = "") -> None:
        self._home = home
        self._log = log
        self._server_name = server_name
        self._stopping = False
        self._started_at = time.time()
        self._luck = random.Random()
        self.roles = {name: RoleState(name) for name in ROLES}
        self.refused = asyncio.Event()
        self._watchers: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Start every role at once; each waits by itself for what it needs."""
        for state in self.roles.values():
            if state.name not in self._watchers:
                self._watchers[state.name] = asyncio.get_running_loop().create_task(self._keep_running(state))

    def follow(self, organisation: Organisation) -> None:
        """Start and stop the roles that the organisation gives to this server or takes from it."""
        server = organisation.own_server(self._server_name)
        for name, role in DECLARED_ROLES.items():
            wanted = server is not None and role in server.roles and not self._stopping
            state = self.roles.get(name)
            if wanted and (state is None or not state.wanted):
                state = self.roles[name] = RoleState(name)
                before = self._watchers.get(name)
                self._watchers[name] = asyncio.get_running_loop().create_task(
                    self._keep_running_after(before, state)
                )
            elif not wanted and state is not None and state.wanted:
                state.wanted = False
                self._signal_all((name,), signal.SIGTERM)

    async def _keep_running_after(self, before: asyncio.Task[None] | None, state: RoleState) -> None:
        """Run a role whose process of an earlier life may still be ending."""
        if before is not None:
            await asyncio.wait([before])
        await self._keep_running(state)

    async def until_ready(self) -> None:
        """Wait until every role has said that it serves."""
        await asyncio.gather(*(state.ready.wait() for state in self.roles.values()))

    async def _keep_running(self, state: RoleState) -> None:
        while state.wanted:
            await self._run_once(state)
            if self._stopping or not state.wanted:
                return
            code = state.process.returncode if state.process else None
            if code == EXIT_REFUSED:
                # Its own log line says why. Serving without it would look like a server and be none.
                self.refused.set()
                return
            if state.name == "transport" and code is not None:
                note_end(self._home, code)
            if time.monotonic() - state.started_at > HEALTHY_S:
                state.failure_count = 0
            state.failure_count += 1
            state.restart_count += 1
            wait_s = RESTART.wait_s(state.failure_count, self._luck)
            self._log.write(
                happened(ROLE_ENDED, role=state.name, reason=_how_it_ended(code), wait_s=round(wait_s, 1))
            )
            await asyncio.sleep(wait_s)

    async def _run_once(self, state: RoleState) -> None:
        state.ready.clear()
        state.started_at = time.monotonic()
        # The role reads our end of its standard input: it ends when we do, however we end.
        read_ready, write_ready = os.pipe()
        try:
            state.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"holdfast.daemons.{state.name}",
                "--home",
                str(self._home),
                "--server",
                self._server_name,
                "--ready-fd",
                str(write_ready),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(write_ready,),
                start_new_session=True,
            )
        finally:
            os.close(write_ready)
        reader = asyncio.get_running_loop().create_task(self._read_ready(state, read_ready))
        try:
            await state.process.wait()
        finally:
            reader.cancel()

    async def _read_ready(self, state: RoleState, descriptor: int) -> None:
        reader = asyncio.StreamReader()
        pipe = os.fdopen(descriptor, "rb", buffering=0)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            line = await reader.readline()
            if line:
                state.listening = json.loads(line)["listening"]
                state.ready.set()
                listening = ", ".join(state.listening) or "its socket"
                self._log.write(happened(ROLE_READY, role=state.name, listening=listening))
        finally:
            transport.close()

    def state(self) -> dict[str, str | int | float]:
        """What ``holdfast status`` shows of us: how often each role was started again."""
        restarts = {f"restart_count_{state.name}": state.restart_count for state in self.roles.values()}
        serving = "stopping" if self._stopping else "serving"
        return {"state": serving, "started_at": self._started_at, **restarts}

    def open_bindings(self) -> frozenset[str]:
        """Where the roles said that they listen, as ``address:port``."""
        return frozenset(each for state in self.roles.values() for each in state.listening)

    def reload(self) -> None:
        """Pass SIGHUP on to every role."""
        self._signal_all(tuple(self.roles), signal.SIGHUP)

    def _signal_all(self, names: tuple[str, ...], number: signal.Signals) -> None:
        for name in names:
            process = self.roles[name].process if name in self.roles else None
            if process is not None and process.returncode is None:
                process.send_signal(number)

    async def stop(self) -> None:
        """Stop the roles from the doors inwards; one that does not end in time is killed."""
        self._stopping = True
        for names in STOP_ORDER:
            self._signal_all(names, signal.SIGTERM)
            waits = [self._ended(self.roles[name]) for name in names if name in self.roles]
            await asyncio.gather(*waits)
        for task in self._watchers.values():
            task.cancel()
        await asyncio.gather(*self._watchers.values(), return_exceptions=True)

    async def _ended(self, state: RoleState) -> None:
        if state.process is None or state.process.returncode is not None:
            return
        try:
            await asyncio.wait_for(state.process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            state.process.kill()
            await state.process.wait()


def _how_it_ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def raise_file_limit() -> None:
    """Let our roles, which inherit it, open as many files as the system lets them, up to what is wanted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = FILE_COUNT_WANTED if hard == unlimited else min(FILE_COUNT_WANTED, hard)
    if soft != unlimited and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main(home: Path, demonstration: bool = True, server_name: str = "") -> int:
    """Run a server until Ctrl-C or SIGTERM.

    Args:
        home: the state directory; made when it does not exist.
        demonstration: fill an empty state directory with the demonstration organisation.
        server_name: our name, where the organisation has several servers.

    Returns:
        Exit code: 0 after a clean stop, 1 when the state directory is refused.
    """
    os.umask(0o077)
    raise_file_limit()
    try:
        home = home.absolute()
        first_start.make_home(home)
        lock = _take_lock(home)
        try:
            made = first_start.prepare(home, demonstration=demonstration)
            return loop.run(_run(home, server_name, made))
        finally:
            os.close(lock)
    except (Refusal, Unavailable) as error:
        sys.stderr.write(f"{error.text}\n")
        return 1


def _take_lock(home: Path) -> int:
    """Make sure that one supervisor works on a home; the kernel frees the lock however a process ends."""
    path = home / "run" / "supervisor.lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(lock, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise Refusal(
            f"Holdfast (process {owner}) runs on {home} already; "
            "stop it first, or give --home another directory"
        ) from None
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


async def _run(home: Path, server_name: str, made: bool) -> int:
    log = LogSink("supervisor", sys.stderr)
    supervisor = Supervisor(home, log, server_name)
    stop = asyncio.Event()
    running = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, stop.set)
    running.add_signal_handler(signal.SIGHUP, supervisor.reload)
    link = RoleLink(home, "supervisor", supervisor.follow, lambda: b"", supervisor.state, log=log)
    with contextlib.suppress(Refusal, Unavailable):  # the roles say so, and the link tries again
        supervisor.follow(link.read_organisation())
    supervisor.start()
    linked = running.create_task(link.run())
    ready = running.create_task(supervisor.until_ready())
    stopped = running.create_task(stop.wait())
    refused = running.create_task(supervisor.refused.wait())
    await asyncio.wait({ready, stopped, refused}, return_when=asyncio.FIRST_COMPLETED)
    if ready.done():
        bindings = supervisor.open_bindings()
        _say(first_start.welcome(home, new=made, open_bindings=bindings, server_name=server_name))
        _tell_service_manager("READY=1")
        await asyncio.wait({stopped, refused}, return_when=asyncio.FIRST_COMPLETED)
    _say("Holdfast stops: what was acknowledged is finished first.\n")
    for task in (ready, linked, stopped, refused):
        task.cancel()
    _tell_service_manager("STOPPING=1")
    await supervisor.stop()
    return 1 if supervisor.refused.is_set() else 0


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads any more; that is no reason to stop serving
        sys.stdout.write(text)
        sys.stdout.flush()


def _tell_service_manager(text: str) -> None:
    """Tell systemd, where it started us (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        try:
            notify.sendto(text.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            return  # mail matters more than who is told about it
