"""Run a coroutine on the quickest event loop there is."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Coroutine
from typing import Any

try:
    import uvloop
except ImportError:  # pragma: no cover - a machine for which uvloop has no build
    uvloop = None  # type: ignore[assignment]  # a module, or nothing


# The writer thread waits for the interpreter after each commit while the loop is busy; the default
# of 5 ms would be longer than the commit itself.
SWITCH_INTERVAL_S = 0.0005
# Messages make many objects that die by themselves; looking for cycles every 700 costs a tenth of the time.
COLLECT_AFTER_OBJECTS = 20_000


def tune() -> None:
    """Set the interpreter up for a process that serves."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 20, 20)


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run ``main`` to its end and return its exit code."""
    tune()
    factory = uvloop.new_event_loop if uvloop is not None else None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
