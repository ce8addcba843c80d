"""Who holds a port."""

from __future__ import annotations

import os
import socket

from holdfast.drivers.port_owner import port_owner


def test_our_own_listening_socket_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert port_owner(listening.getsockname()[1]).startswith(f"process {os.getpid()} (")


def test_ipv6_sockets_are_found_too() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
        assert f"process {os.getpid()} " in port_owner(listening.getsockname()[1])


def test_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert port_owner(bound.getsockname()[1]) == "another process"
