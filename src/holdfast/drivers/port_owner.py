"""Who holds a TCP port: for the message that an administrator gets when a port is in use.

Reads /proc/net/tcp and the descriptors of the processes that we may look into.

Source: proc(5).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_LISTEN = "0A"


def _listening_inodes(port: int) -> set[str]:
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(columns[9])
    return inodes


def port_owner(port: int) -> str:
    """Describe the process that listens on a port, for example ``process 812 (master)``.

    Returns:
        ``another process`` when we may not see which one.
    """
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for directory in Path("/proc").iterdir() if wanted else ():
        if not directory.name.isdigit():
            continue
        if wanted & _descriptors(directory):
            with contextlib.suppress(OSError):  # it has ended since we looked
                command = (directory / "comm").read_text(encoding="utf-8", errors="replace").strip()
                return f"process {directory.name} ({command})"
    return "another process"


def _descriptors(directory: Path) -> set[str]:
    """What the descriptors of a process lead to; nothing for one that is gone or not ours to look into."""
    found: set[str] = set()
    with contextlib.suppress(OSError):
        for link in (directory / "fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(os.readlink(link))
    return found
