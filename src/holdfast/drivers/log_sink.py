"""Write log events down: one JSON object per line, or coloured text on a terminal.

A log must never stop the service: what cannot be written is counted, and the
count is written once writing works again. Fields are bounded, and control
characters that came from a peer never reach a terminal.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from holdfast.drivers.events import LOG_LINES_LOST
from holdfast.drivers.metrics import LOG_EVENTS
from holdfast.kernel.events import Field, LogEvent, Severity, happened

FIELD_CHARACTERS_MAX = 16_384  # a traceback fits; what a peer sent cannot fill the disk with one line

_COLOURS = {
    Severity.INFO: "",
    Severity.WARNING: "\x1b[33m",
    Severity.ERROR: "\x1b[31m",
    Severity.FATAL: "\x1b[1;31m",
    Severity.BROKEN: "\x1b[1;35m",
}
_RESET = "\x1b[0m"


class LogSink:
    """Where one process writes its log events."""

    def __init__(self, role: str, stream: TextIO, *, clock: Callable[[], float] = time.time) -> None:
        """Write for ``role`` to ``stream``; text when the stream is a terminal, else JSON lines."""
        self._role = role
        self._stream = stream
        self._clock = clock
        self._pid = os.getpid()
        self._lost_count = 0
        self._for_people = _is_terminal(stream)

    def write(self, event: LogEvent) -> None:
        """Write one event; never raises."""
        LOG_EVENTS.labels(event.kind.event_id, event.kind.severity.value).inc()
        if self._lost_count and self._put(happened(LOG_LINES_LOST, lost_count=self._lost_count)):
            self._lost_count = 0
        if self._lost_count or not self._put(event):
            self._lost_count += 1

    def _put(self, event: LogEvent) -> bool:
        line = self._as_text(event) if self._for_people else self._as_json(event)
        try:
            self._stream.write(line)
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream was closed
            return False
        return True

    def _as_json(self, event: LogEvent) -> str:
        record = {
            "time": _timestamp(self._clock()),
            "id": event.kind.event_id,
            "severity": event.kind.severity.value,
            "role": self._role,
            "pid": self._pid,
            "message": _bounded(_message(event)),
            "fields": {name: _bounded(value) for name, value in event.fields.items()},
        }
        return msgspec.json.encode(record).decode() + "\n"

    def _as_text(self, event: LogEvent) -> str:
        kind = event.kind
        colour = _COLOURS[kind.severity]
        moment = datetime.fromtimestamp(self._clock()).astimezone().strftime("%H:%M:%S")
        severity = "" if kind.severity is Severity.INFO else f"{kind.severity.value}: "
        text = "".join(
            character if character.isprintable() or character == "\n" else "�"
            for character in str(_bounded(_message(event)))
        )
        return (
            f"{moment} {self._role:<10} {kind.event_id} {colour}{severity}{text}{_RESET if colour else ''}\n"
        )


def _message(event: LogEvent) -> str:
    try:
        return event.message()
    except (LookupError, ValueError, TypeError):
        # A field is missing: the event itself still tells more than nothing.
        return event.kind.text


def _bounded(value: Field) -> Field:
    if not isinstance(value, str):
        return value
    if len(value) > FIELD_CHARACTERS_MAX:
        value = f"{value[:FIELD_CHARACTERS_MAX]}… ({len(value)} characters)"
    # Surrogates come from bytes that are no UTF-8; JSON cannot carry them.
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _timestamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (OSError, ValueError):
        return False
