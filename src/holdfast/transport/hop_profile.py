"""What routing says of a next hop: how it is reached and treated, or that nothing leads there.

Source: exchange-behaviour RT-6, RT-9, RT-11, SC-4..8.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.directory.model import ErrorPolicy, SendTls, SmartHostAuth
from holdfast.kernel.iprange import IPRange
from holdfast.transport.queue import NextHopKey


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A transport server of ours, and where its internal receive connector listens.

    Attributes:
        certificates: those by which it must prove that it is itself, as DER; none where the directory has
            none, or the connector offers no TLS.
    """

    name: str
    fqdn: str
    address: str
    port: int
    certificates: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class HopProfile:
    """How the next hop of one key is reached and treated.

    Attributes:
        key: the queue.
        ehlo_name: who we say we are.
        port: the next hop's; for servers of ours each has its own.
        smart_hosts: names or address literals, in the order declared; empty for DNS and servers.
        server_groups: servers of ours, the nearest to the destination first; a later group is
            for when no server of an earlier one answers (exchange-behaviour RT-6).
        source_address: ours; empty lets the system choose.
        user: for ``auth``.
        private_ranges: private networks that DNS may lead to.
    """

    key: NextHopKey
    ehlo_name: str
    port: int = 25
    smart_hosts: tuple[str, ...] = ()
    server_groups: tuple[tuple[ServerAddress, ...], ...] = ()
    source_address: str = ""
    tls: SendTls = SendTls.OPPORTUNISTIC
    implicit_tls: bool = False
    tls_domain: str = ""
    auth: SmartHostAuth = SmartHostAuth.NONE
    user: str = ""
    message_count_per_connection_max: int = 20
    connection_count_max: int = 20
    inactivity_s: float = 600.0
    private_ranges: tuple[IPRange, ...] = ()
    error_policies: tuple[ErrorPolicy, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No connector leads there now; the message waits (exchange-behaviour RT-9)."""

    reason: str
