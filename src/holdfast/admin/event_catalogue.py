"""Load every room's log events, so that the catalogue is complete.

An event is declared where it happens (``<room>/events.py``); who wants all of
them (``holdfast explain``, the reference page) asks here.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil

import holdfast
from holdfast.kernel.events import CATALOGUE, EventKind


def all_events() -> tuple[EventKind, ...]:
    """Every event of every room, by id."""
    for room in pkgutil.iter_modules(holdfast.__path__):
        name = f"holdfast.{room.name}.events"
        if room.ispkg and room.name != "kernel" and importlib.util.find_spec(name) is not None:
            importlib.import_module(name)
    return tuple(CATALOGUE[event_id] for event_id in sorted(CATALOGUE))
