"""Run a coroutine on the quickest event loop there is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

try:
    import uvloop
except ImportError:  # pragma: no cover - a machine for which uvloop has no build
    uvloop = None  # type: ignore[assignment]  # a module, or nothing


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run ``main`` to its end and return its exit code."""
    factory = uvloop.new_event_loop if uvloop is not None else None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
