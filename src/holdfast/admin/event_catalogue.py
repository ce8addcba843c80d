"""Load every room's log events, so that the catalogue is complete.

An event is declared where it happens (``<room>/events.py``, or a file of the room that ends with
``_events``); who wants all of them (``holdfast explain``, the reference page) asks here.
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
        if not room.ispkg or room.name == "kernel":
            continue
        spec = importlib.util.find_spec(f"holdfast.{room.name}")
        assert spec is not None
        for module in pkgutil.iter_modules(spec.submodule_search_locations):
            if module.name == "events" or module.name.endswith("_events"):
                importlib.import_module(f"holdfast.{room.name}.{module.name}")
    return tuple(CATALOGUE[event_id] for event_id in sorted(CATALOGUE))
