"""The catalogue of log events: every thing that a log may say, with advice.

Each event has an id that never changes its meaning, a severity, a text with
named fields (units in the names) and one paragraph of advice. ``holdfast
explain TRN-0101`` prints it; docs/reference/events.md is generated from it.

Severities have a fixed meaning: *info*; *warning*, it works, look at it;
*error*, one thing failed; *fatal*, the environment stops the service;
*broken*, our own bug. Model: Kea's message files.
"""

from __future__ import annotations

import enum
import string
from collections.abc import Mapping
from dataclasses import dataclass

Field = str | int | float | bool | None


class Severity(enum.Enum):
    """How bad it is; see the module's text for what each promises."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    FATAL = "fatal"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class EventKind:
    """One entry of the catalogue.

    Attributes:
        event_id: ``ROOM-NNNN``; never reused.
        severity: see :class:`Severity`.
        text: one line with ``{field}`` places.
        advice: what an administrator should think and do.
    """

    event_id: str
    severity: Severity
    text: str
    advice: str

    @property
    def field_names(self) -> tuple[str, ...]:
        """The names of the fields that the text needs, in order."""
        return tuple(name for _, name, _, _ in string.Formatter().parse(self.text) if name)


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event that happened, with its fields; a driver writes it down."""

    kind: EventKind
    fields: Mapping[str, Field]

    def message(self) -> str:
        """The event as one line for people."""
        return self.kind.text.format(**self.fields)


CATALOGUE: dict[str, EventKind] = {}


def declare(event_id: str, severity: Severity, text: str, advice: str) -> EventKind:
    """Add an event to the catalogue; an id may be declared only once."""
    assert event_id not in CATALOGUE, event_id
    kind = EventKind(event_id, severity, text, advice)
    CATALOGUE[event_id] = kind
    return kind


def happened(kind: EventKind, **fields: Field) -> LogEvent:
    """State that an event happened; every field of its text must be given."""
    assert set(kind.field_names) <= fields.keys(), (kind.event_id, sorted(fields))
    return LogEvent(kind, fields)
