"""Ports for the servers that tests start."""

from __future__ import annotations

import itertools
import os
import socket

# Below those that the system gives to clients (32768 on): nobody takes one between the look and the start of
# the server that it is for. Each of the processes that test side by side has its own, and begins elsewhere
# each time.
_FIRST, _LAST = 10_000, 32_000
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_OURS = range(_FIRST + _worker, _LAST, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
_start = os.getpid() * 97 % len(_OURS)
_candidates = itertools.cycle((*_OURS[_start:], *_OURS[:_start]))


def free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    """Ports of TCP and UDP that nobody has now at an address; none is given twice soon."""
    found: list[int] = []
    while len(found) < count:
        port = next(_candidates)
        if _is_free(address, port):
            found.append(port)
    return found


def _is_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True
