"""Unix sockets between our own processes: names that fit, who is at the other end, and a private listener.

Who is at the other end is what the kernel says (SO_PEERCRED), not what the peer
says; the socket's directory is closed to other users besides.

Source: unix(7).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from holdfast.kernel.errors import Unavailable

PATH_BYTES_MAX = 107  # unix(7): sun_path holds 108 bytes with the final NUL
BACKLOG_COUNT = 128
_UCRED = struct.Struct("iII")  # struct ucred: pid, uid, gid


@contextlib.contextmanager
def reachable_name(path: Path) -> Iterator[str]:
    """A name for a socket that fits into the kernel's structure, however long the path is."""
    if len(os.fsencode(path)) <= PATH_BYTES_MAX:
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


def open_private_listener(path: Path) -> socket.socket:
    """Listen on a socket that is for our user alone; its directory is made, and closed to others.

    The caller holds the lock of its role, so a socket file that is found there
    belongs to a process that is gone.

    Raises:
        Unavailable: the socket cannot be made.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        path.unlink(missing_ok=True)
        with reachable_name(path) as name:
            listener.bind(name)
        path.chmod(0o600)
        listener.listen(BACKLOG_COUNT)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise Unavailable(f"cannot open the socket {path}: {error.strerror or error}") from None
    return listener


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as the kernel knows it."""

    pid: int
    uid: int

    @property
    def user(self) -> str:
        """The user's name, or the number when it has none."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"uid {self.uid}"


def peer_of(descriptor: int) -> Peer:
    """Ask the kernel who is at the other end of a connection (SO_PEERCRED, unix(7))."""
    # A copy of the descriptor: what an event loop calls a socket may lack getsockopt.
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(credentials)
    return Peer(pid, uid)


def trusted_user_ids() -> frozenset[int]:
    """Who is heard: our own user, and root."""
    return frozenset((os.getuid(), 0))
