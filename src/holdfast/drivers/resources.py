"""How much of the machine is used, for back pressure: file systems and memory.

A reading that cannot be taken is left out; nothing here raises.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from holdfast.directory.model import Resource
from holdfast.drivers import clock
from holdfast.node.transport import TransportNode
from holdfast.transport.back_pressure import SAMPLE_INTERVAL_S, Reading

PROCESS_MEMORY_OF_BYTES_MAX = 1 << 40  # exchange-behaviour BP: shares of more than 1 TB say nothing
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")


def read_resources(queue_folder: Path, log_folder: Path, proc: Path = PROC) -> dict[Resource, Reading]:
    """Read what the machine can say now.

    Args:
        queue_folder: lies on the file system of the queue database.
        log_folder: lies on the file system of the tracking log.
        proc: the kernel's tables.
    """
    readings: dict[Resource, Reading | None] = {
        Resource.QUEUE_DISK: read_disk((queue_folder,)),
        Resource.LOG_DISK: read_disk((log_folder, log_folder.parent)),
    }
    total_bytes, available_bytes = _machine_memory(proc)
    if total_bytes > 0:
        used_bytes = total_bytes - min(available_bytes, total_bytes)
        readings[Resource.SYSTEM_MEMORY] = Reading(100.0 * used_bytes / total_bytes)
        resident_bytes = _resident(proc)
        if resident_bytes is not None:
            of_bytes = min(total_bytes, PROCESS_MEMORY_OF_BYTES_MAX)
            readings[Resource.PROCESS_MEMORY] = Reading(100.0 * resident_bytes / of_bytes)
    return {
        resource: reading
        for resource, reading in readings.items()
        if reading is not None and math.isfinite(reading.value)
    }


async def watch_resources(node: TransportNode, drain: Callable[[], None], home: Path) -> None:
    """Look at the machine every two seconds, for back pressure, until cancelled.

    Args:
        node: what decides.
        drain: does what the node wants done.
        home: the state directory; the queue database is in it, the tracking log in a folder of it.
    """
    while True:
        # In a thread: a network file system that hangs must not hold up the mail.
        readings = await asyncio.to_thread(read_resources, home, home / "tracking")
        node.resources_sampled(clock.steady(), readings)
        drain()
        await asyncio.sleep(SAMPLE_INTERVAL_S)


def read_disk(folders: Iterable[Path]) -> Reading | None:
    """Use of the file system of the first folder that can be asked, as df counts it."""
    for folder in folders:
        try:
            found = os.statvfs(folder)
        except OSError:
            continue  # the log's folder is made with its first line
        used = found.f_blocks - found.f_bfree
        # What only root may use is neither used nor free, as in df.
        size = used + found.f_bavail
        if size > 0:
            return Reading(100.0 * used / size, size * found.f_frsize)
    return None


def _machine_memory(proc: Path) -> tuple[int, int]:
    """Memory of the machine and what of it a program could get, in bytes; zeros when it is not told."""
    found: dict[str, int] = {}
    try:
        for line in (proc / "meminfo").read_text("ascii").splitlines():
            name, _, rest = line.partition(":")
            if name in ("MemTotal", "MemAvailable"):
                found[name] = int(rest.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        return 0, 0
    return (found["MemTotal"], found["MemAvailable"]) if len(found) == 2 else (0, 0)


def _resident(proc: Path) -> int | None:
    """Memory that this process takes, in bytes."""
    try:
        return int((proc / "self" / "statm").read_text("ascii").split()[1]) * PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None
