"""Unix sockets: private, reachable under any path, and the kernel says who is there."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from holdfast.drivers.unix_socket import (
    PATH_BYTES_MAX,
    Peer,
    open_private_listener,
    peer_of,
    reachable_name,
    trusted_user_ids,
)
from holdfast.kernel.errors import Unavailable


def test_a_listener_is_for_our_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "run" / "x.sock"
    with open_private_listener(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    # A socket that a killed process left behind is no obstacle, nor is a directory open to all.
    path.parent.chmod(0o755)
    open_private_listener(path).close()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("length", [1, 60, 200])
def test_a_socket_is_reached_however_long_its_path_is(tmp_path: Path, length: int) -> None:
    path = tmp_path / ("d" * length) / "x.sock"
    descriptors = set(os.listdir("/proc/self/fd"))
    with open_private_listener(path) as listener, socket.socket(socket.AF_UNIX) as client:
        with reachable_name(path) as name:
            assert len(name) <= PATH_BYTES_MAX
            client.connect(name)
        listener.setblocking(True)
        listener.accept()[0].close()
    assert set(os.listdir("/proc/self/fd")) == descriptors


def test_a_socket_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "x.sock", tmp_path / ("n" * 108)):
        with pytest.raises(Unavailable, match="cannot open the socket"):
            open_private_listener(path)


def test_the_kernel_says_who_is_there() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = peer_of(ours.fileno())
    assert (peer.pid, peer.uid) == (os.getpid(), os.getuid())
    assert peer.user
    assert Peer(1, 4_000_000_000).user == "uid 4000000000"


def test_our_user_and_root_are_heard() -> None:
    assert trusted_user_ids() == {os.getuid(), 0}
