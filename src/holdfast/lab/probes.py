"""Look every half second whether each door of each server still answers, as a client would find it.

A port that takes connections proves nothing: a frozen server's kernel does too.
So a probe counts only when the server has said its greeting and answered once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from holdfast.lab.load import Place

INTERVAL_S = 0.5
TIMEOUT_S = 2.0
LINE_BYTES_MAX = 8192


@dataclass(frozen=True, slots=True)
class Door:
    """One protocol at one server: ``SMTP``, ``submission`` or ``IMAP``."""

    protocol: str
    place: Place


@dataclass(frozen=True, slots=True)
class Look:
    """One probe: when it began, and whether the door answered."""

    at: float
    answered: bool


@dataclass(slots=True)
class Watched:
    """What was seen at each door, in order."""

    looks: dict[Door, list[Look]] = field(default_factory=dict)


_WORDS = {
    "SMTP": (b"220", b"EHLO probe.outside.example\r\n", b"250"),
    "submission": (b"220", b"EHLO probe.outside.example\r\n", b"250"),
    "IMAP": (b"* OK", b"p NOOP\r\n", b"p OK"),
}


async def watch(doors: tuple[Door, ...], watched: Watched, stop: asyncio.Event) -> None:
    """Look at every door again and again until ``stop``."""
    await asyncio.gather(*(_watch_one(door, watched, stop) for door in doors))


async def _watch_one(door: Door, watched: Watched, stop: asyncio.Event) -> None:
    looks = watched.looks.setdefault(door, [])
    while not stop.is_set():
        at = time.monotonic()
        looks.append(Look(at, await answers(door)))
        rest_s = max(0.0, at + INTERVAL_S - time.monotonic())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), rest_s or 0.001)


async def answers(door: Door) -> bool:
    """Whether a door says its greeting and answers one command in time."""
    greeting, command, answer = _WORDS[door.protocol]
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(
                door.place.address, door.place.port, limit=LINE_BYTES_MAX
            )
            if not (await reader.readline()).startswith(greeting):
                return False
            writer.write(command)
            while line := await reader.readline():
                if line.startswith(answer):
                    return True
            return False
    except (OSError, TimeoutError, ValueError):
        return False
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
