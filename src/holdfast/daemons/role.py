"""What every role process does alike: one per home, ready, reload, and a clean stop.

A role tells the supervisor that it is ready by one JSON line on the descriptor
it was given. It stops cleanly on SIGTERM and SIGINT, and when its standard
input ends: that is how it learns that its supervisor was killed.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from holdfast.drivers import loop
from holdfast.drivers.capabilities import NET_BIND_SERVICE, keep_only
from holdfast.drivers.log_sink import LogSink
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.events import happened

# Exit code of a role that found a state it must not touch (sysexits.h: EX_CONFIG): trying again is useless.
EXIT_REFUSED = 78
EXIT_CANNOT_SERVE = 1

# How long a stop waits for what is being received or delivered.
STOP_TIMEOUT_S = 25.0
LOCK_TIMEOUT_S = 30.0
_POLL_S = 0.02


class RoleProcess:
    """The surroundings of one role: its arguments, log, link to management and end."""

    def __init__(self, role: str, home: Path, server_name: str, ready_descriptor: int | None) -> None:
        self.role = role
        self.home = home
        self.server_name = server_name
        self.log = LogSink(role, sys.stderr)
        self.stop = asyncio.Event()
        # Called before this process ends for a fault of ours; must not fail.
        self.before_breaking: Callable[[], None] = lambda: None
        self._started_at = time.time()
        self._ready_descriptor = ready_descriptor
        self._lock_descriptor: int | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def lock_descriptor(self) -> int | None:
        """The open file with the lock; who inherits it keeps later lives of this role waiting."""
        return self._lock_descriptor

    def state(self, more: dict[str, str | int | float]) -> dict[str, str | int | float]:
        """What ``holdfast status`` shows of us."""
        serving = "stopping" if self.stop.is_set() else "serving"
        return {"state": serving, "started_at": self._started_at, **more}

    async def take_lock(self) -> None:
        """Make sure that no other process runs this role on this home.

        The only lock there is: queue and mailbox databases rely on it, since their
        writers keep in memory what is in the file, and so do the Unix sockets of
        ``HOME/run``. SQLite's own locks only keep apart single transactions.

        Raises:
            Unavailable: one does, and does not end.
        """
        path = self.home / "run" / f"{self.role}.lock"
        self._lock_descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        waited_s = 0.0
        while True:
            try:
                fcntl.flock(self._lock_descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if waited_s > LOCK_TIMEOUT_S:
                    raise Unavailable(
                        f"another {self.role} process works on {self.home}; stop it first"
                    ) from None
                # The process of an earlier life may still be finishing what it acknowledged.
                await asyncio.sleep(0.1)
                waited_s += 0.1
            else:
                return

    def watch_signals(self, reload: Callable[[], None]) -> None:
        """Stop on SIGTERM, SIGINT or the supervisor's end; call ``reload`` on SIGHUP."""
        running = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            running.add_signal_handler(number, self.stop.set)
        running.add_signal_handler(signal.SIGHUP, reload)
        if self._ready_descriptor is not None:
            running.add_reader(sys.stdin.fileno(), self._supervisor_said)

    def _supervisor_said(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self.stop.set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the role; its failure is our own fault and ends the process."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._task_ended)
        self._tasks.append(task)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a part of the role failed", "exception": error}
            )

    def tell_ready(self, listening: list[str]) -> None:
        """Tell the supervisor what we serve."""
        if self._ready_descriptor is not None:
            line = json.dumps({"role": self.role, "pid": os.getpid(), "listening": listening}) + "\n"
            os.write(self._ready_descriptor, line.encode())
            os.close(self._ready_descriptor)
            self._ready_descriptor = None

    async def until_idle(self, idle: Callable[[], bool]) -> bool:
        """Wait until there is nothing left to finish; False when it took too long."""
        waited_s = 0.0
        while not idle():
            if waited_s >= STOP_TIMEOUT_S:
                return False
            await asyncio.sleep(_POLL_S)
            waited_s += _POLL_S
        return True

    async def end(self) -> None:
        """Stop what runs beside the role."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def broken_handler(process: RoleProcess) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """An error nobody expected is our own: say so and end, the supervisor starts us again."""
    import traceback

    from holdfast.drivers.events import ROLE_BROKEN

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, ConnectionError | TimeoutError) or error is None:
            return  # a peer that hung up in an inconvenient moment
        process.before_breaking()
        text = "".join(traceback.format_exception(error)) if error else str(context.get("message"))
        process.log.write(happened(ROLE_BROKEN, role=process.role, error=text))
        os._exit(70)  # EX_SOFTWARE: nothing of this state can be trusted to be written

    return handle


def run_role(role: str, serve: Callable[[RoleProcess], Coroutine[Any, Any, int]]) -> int:
    """Read the arguments of a role process and run it to its end.

    Returns:
        Exit code: 0 after a clean stop, 1 when it could not serve now, EXIT_REFUSED when it never will.
    """
    parser = argparse.ArgumentParser(prog=f"holdfast-{role}")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--server", default="", help="our name in the organisation, where it has several")
    parser.add_argument("--ready-fd", type=int, default=None, help="for the supervisor")
    arguments = parser.parse_args()
    os.umask(0o077)
    return loop.run(_serve(role, serve, arguments))


async def _serve(
    role: str, serve: Callable[[RoleProcess], Coroutine[Any, Any, int]], arguments: argparse.Namespace
) -> int:
    from holdfast.drivers.events import ROLE_CANNOT_SERVE

    home: Path = arguments.home
    (home / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
    process = RoleProcess(role, home, arguments.server, arguments.ready_fd)
    asyncio.get_running_loop().set_exception_handler(broken_handler(process))
    try:
        await process.take_lock()
        if role != "dhcp":
            keep_only(NET_BIND_SERVICE)
        return await serve(process)
    except (Refusal, Unavailable) as error:
        process.log.write(happened(ROLE_CANNOT_SERVE, role=role, reason=error.text))
        return EXIT_REFUSED if isinstance(error, Refusal) else EXIT_CANNOT_SERVE
    finally:
        await process.end()
