"""Write the small files that a role keeps for its next life, off the event loop; read them at its start."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from holdfast.drivers.files import write_private
from holdfast.transport.kept import KeptFile

FILE_BYTES_MAX = 16 << 20  # a larger one is not ours
FILE_COUNT_MAX = 20_000


def read_kept(home: Path, folder: str) -> dict[str, bytes]:
    """Read what an earlier life kept in a folder: contents by path, as ``KeptFile`` has it.

    What cannot be read is left out: it is fetched or counted anew.
    """
    found: dict[str, bytes] = {}
    with contextlib.suppress(OSError):
        for path in sorted((home / folder).glob("*.json"))[:FILE_COUNT_MAX]:
            with contextlib.suppress(OSError):
                if path.stat().st_size <= FILE_BYTES_MAX:
                    found[f"{folder}/{path.name}"] = path.read_bytes()
    return found


class KeptFiles:
    """Writes kept files one after the other, each whole or not at all."""

    def __init__(self, home: Path, failed: Callable[[str, str], None] = lambda path, reason: None) -> None:
        """Begin with nothing to do.

        Args:
            home: the state directory.
            failed: is told a path that cannot be written, and why, in a thread of ours.
        """
        self._home = home
        self._failed = failed
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kept-files")

    def perform(self, file: KeptFile) -> None:
        """Write or remove one; nobody waits for it."""
        self._thread.submit(self._write, file)

    def _write(self, file: KeptFile) -> None:
        path = self._home / file.path
        assert path.resolve().is_relative_to(self._home.resolve()), file.path
        try:
            if file.data is None:
                path.unlink(missing_ok=True)
            else:
                path.parent.mkdir(mode=0o700, exist_ok=True)
                write_private(path, file.data)
        except OSError as error:
            self._failed(file.path, error.strerror or str(error))

    def close(self) -> None:
        """Finish what is to be written."""
        self._thread.shutdown(wait=True)
