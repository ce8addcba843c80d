"""The shared secret of a failover relationship, read when the partners connect.

As with smart-host passwords: one that was changed holds for the next connection.
"""

from __future__ import annotations

from pathlib import Path

from holdfast.drivers.role_link import DIRECTORY_FILE
from holdfast.drivers.sqlite_directory import DirectoryStore


def read_failover_secret(home: Path, name: str) -> str | None:
    """The shared secret of a relationship; None when none was set.

    Args:
        home: the state directory.
        name: the relationship's name, whatever the case of its letters.

    Raises:
        Unavailable: the directory database cannot be read now.
        Refusal: it is of a newer version.
    """
    store = DirectoryStore.open(home / DIRECTORY_FILE, writable=False)
    try:
        return store.failover_secret(name)
    finally:
        store.close()
