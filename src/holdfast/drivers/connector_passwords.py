"""The password that the transport role signs in to a smart host with, read when it is needed.

Read afresh each time: a password that was changed holds for the next connection,
and none stays in a process longer than the session that uses it.
"""

from __future__ import annotations

from pathlib import Path

from holdfast.drivers.role_link import DIRECTORY_FILE
from holdfast.drivers.sqlite_directory import DirectoryStore


def read_connector_password(home: Path, name: str) -> str | None:
    """The password of a send connector; None when none was set.

    Args:
        home: the state directory.
        name: the connector's name, whatever the case of its letters.

    Raises:
        Unavailable: the directory database cannot be read now.
        Refusal: it is of a newer version.
    """
    store = DirectoryStore.open(home / DIRECTORY_FILE, writable=False)
    try:
        return store.connector_password(name)
    finally:
        store.close()
