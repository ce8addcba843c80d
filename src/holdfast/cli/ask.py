"""Ask management for one verb and show how far it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from holdfast.admin.catalogue import ArgumentValue, Verb
from holdfast.drivers.management_socket import (
    Failed,
    Finished,
    ManagementClient,
    Misused,
    Progress,
    Refused,
    StillWaiting,
    refusal_of,
)
from holdfast.kernel.errors import Unavailable

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

PATIENCE_S = 1.0


class Misuse(Exception):
    """The verb was asked in a way that it does not take."""


class _Display:
    """A progress bar on standard error, made when there is something to wait for."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def update(self, done: int, total: int, text: str) -> None:
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as NewBar

            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            self._bar = NewBar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(self._title, total=None)
            self._bar.start()
        if total or text:
            assert self._task is not None
            self._bar.update(self._task, completed=done, total=total or None, description=text or self._title)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def ask(home: Path, verb: Verb, arguments: dict[str, ArgumentValue]) -> tuple[msgspec.Struct, list[str]]:
    """Have a verb done.

    Returns:
        The result, and warnings.

    Raises:
        Refusal: it was refused.
        Misuse: its arguments are not what it takes.
        Unreachable: management does not answer.
        Unavailable: something that the verb needs is not there now.
    """
    client = ManagementClient(home)
    display = _Display(verb.title)
    try:
        for message in client.ask(verb.noun, verb.name, arguments, patience_s=PATIENCE_S):
            match message:
                case Progress(done, total, text):
                    display.update(done, total, text)
                case StillWaiting():
                    display.update(0, 0, "")
                case Finished(result, warnings):
                    return msgspec.msgpack.decode(result, type=verb.result), warnings
                case Refused():
                    raise refusal_of(message)
                case Misused(text):
                    raise Misuse(text)
                case Failed(text):
                    raise Unavailable(text)
        raise AssertionError("a question ends with an answer")
    finally:
        display.close()
        client.close()
