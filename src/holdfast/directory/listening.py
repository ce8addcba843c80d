"""Who listens where, and whether two want the same: bindings, receive connectors, IMAP, metrics.

A client must find exactly one receive connector: where several share a binding,
of any two remote ranges that overlap one lies wholly inside the other, so that
there is a most specific one (exchange-behaviour RC-1).
"""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from holdfast.directory.model import Organisation, ReceiveConnector, Role, Server, TlsMode
from holdfast.kernel.errors import Problem
from holdfast.kernel.iprange import IPAddress, IPRange

PORT_MAX = 65_535
RANGES_PER_BINDING_MAX = 2000  # bounds the comparison of each with each
_BINDING = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15})):([0-9]{1,5})")


class Endpoint(NamedTuple):
    """An IP address and a port."""

    address: IPAddress
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


def parse_binding(text: str) -> Endpoint | None:
    """Read ``address:port`` with an IPv6 address in brackets; None when it is malformed."""
    match = _BINDING.fullmatch(text)
    if match is None or not 1 <= int(match[3]) <= PORT_MAX:
        return None
    try:
        address = ipaddress.IPv6Address(match[1]) if match[1] else ipaddress.IPv4Address(match[2])
    except ValueError:
        return None
    return Endpoint(address, int(match[3]))


@dataclass(frozen=True, slots=True)
class _Listener:
    """One who wants an endpoint; ``connector`` is None for IMAP and metrics."""

    subject: str
    endpoint: Endpoint
    tls: TlsMode
    connector: ReceiveConnector | None


def check_listening(organisation: Organisation) -> Iterator[Problem]:
    """Say what is wrong with bindings, and which listeners are in each other's way."""
    by_server: dict[str, list[_Listener]] = defaultdict(list)
    for connector in organisation.receive_connectors:
        subject = f'receive connector "{connector.name}"'
        if not connector.bindings:
            yield Problem(subject, "has no binding", "give it an address and port, for example 192.0.2.10:25")
        for binding in connector.bindings:
            endpoint = parse_binding(binding)
            if endpoint is None:
                yield _malformed(subject, binding)
            elif connector.enabled:  # one that is not may be the replacement of one that is
                by_server[connector.server].append(_Listener(subject, endpoint, connector.tls, connector))
    for server in organisation.servers:
        yield from _of_server(server, by_server[server.name])
    for listeners in by_server.values():
        yield from _clashes(listeners)


def _of_server(server: Server, listeners: list[_Listener]) -> Iterator[Problem]:
    subject = f'server "{server.name}"'
    if server.imap and Role.ACCESS not in server.roles:
        yield Problem(
            subject, "serves IMAP without the role access", "give it the role or take its IMAP listeners away"
        )
    for listener in server.imap:
        endpoint = parse_binding(listener.bind)
        if endpoint is None:
            yield _malformed(subject, listener.bind)
        else:
            listeners.append(_Listener(f'IMAP of server "{server.name}"', endpoint, listener.tls, None))
    if server.metrics:
        endpoint = parse_binding(server.metrics)
        if endpoint is None:
            yield _malformed(subject, server.metrics)
        else:
            listeners.append(_Listener(f'metrics of server "{server.name}"', endpoint, TlsMode.NONE, None))


def _malformed(subject: str, binding: str) -> Problem:
    return Problem(
        subject,
        f'binding "{binding}" is not an IP address and a port from 1 to {PORT_MAX}',
        "write 192.0.2.10:25 or [2001:db8::10]:25; 0.0.0.0 and [::] stand for all addresses",
    )


def _clashes(listeners: list[_Listener]) -> Iterator[Problem]:
    by_port: dict[tuple[int, int], dict[Endpoint, list[_Listener]]] = defaultdict(dict)
    for listener in listeners:
        endpoint = listener.endpoint
        by_port[endpoint.address.version, endpoint.port].setdefault(endpoint, []).append(listener)
    for endpoints in by_port.values():
        for shared in endpoints.values():
            yield from _on_one_endpoint(shared)
        yield from _hidden_by_wildcard(endpoints)


def _on_one_endpoint(listeners: list[_Listener]) -> Iterator[Problem]:
    first = listeners[0]
    connectors: list[ReceiveConnector] = []
    for listener in listeners:
        if listener.connector is not None:
            connectors.append(listener.connector)
        if listener is first:
            continue
        if listener.connector is not None and listener.connector is first.connector:
            yield Problem(listener.subject, f"names the binding {listener.endpoint} twice", "take one away")
        elif listener.connector is None or first.connector is None:
            yield Problem(
                listener.subject,
                f"listens on {listener.endpoint} as does {first.subject}",
                "give one of them another port",
            )
        elif (listener.tls is TlsMode.IMPLICIT) != (first.tls is TlsMode.IMPLICIT):
            yield Problem(
                listener.subject,
                f'has tls "{listener.tls.value}" on {listener.endpoint}, {first.subject} "{first.tls.value}"',
                "TLS from the first byte holds for a whole binding: use another port or the same mode",
            )
    # A connector that names a binding twice must not clash with itself.
    yield from _overlaps(list({each.name: each for each in connectors}.values()), first.endpoint)


def _hidden_by_wildcard(endpoints: dict[Endpoint, list[_Listener]]) -> Iterator[Problem]:
    wildcard = next((each for each in endpoints if each.address.is_unspecified), None)
    if wildcard is None:
        return
    taker = endpoints[wildcard][0]
    for endpoint, listeners in endpoints.items():
        if endpoint != wildcard:
            yield Problem(
                listeners[0].subject,
                f"listens on {endpoint}, but {taker.subject} takes that port on all addresses ({wildcard})",
                "let both name the same address, or give one another port",
            )


def _overlaps(connectors: list[ReceiveConnector], endpoint: Endpoint) -> Iterator[Problem]:
    if len(connectors) < 2:
        return
    ranges = [(each, connector) for connector in connectors for each in connector.remote_ranges]
    if len(ranges) > RANGES_PER_BINDING_MAX:
        yield Problem(
            f"the receive connectors on {endpoint}",
            f"have {len(ranges)} remote ranges, more than {RANGES_PER_BINDING_MAX}",
            "put ranges together or spread them over several ports",
        )
        return
    ranges.sort(key=lambda pair: (pair[0].first.version, int(pair[0].first), -int(pair[0].last)))
    told: set[tuple[str, str]] = set()
    open_ranges: list[tuple[IPRange, ReceiveConnector]] = []
    for current, connector in ranges:
        open_ranges = [pair for pair in open_ranges if pair[0].overlaps(current)]
        for other, other_connector in open_ranges:
            pair = (other_connector.name, connector.name)
            # Sorted so that the earlier is the wider: it is fine when it holds more and all of the later.
            nested = other.contains_range(current) and other != current
            if nested or other_connector is connector or pair in told or pair[::-1] in told:
                continue
            told.add(pair)
            yield _both_claim(other_connector, connector, _shared(other, current), endpoint)
        open_ranges.append((current, connector))


def _shared(one: IPRange, other: IPRange) -> IPRange:
    # Both are of one version, as they overlap; comparing the numbers says the same and is typed.
    return IPRange(max(one.first, other.first, key=int), min(one.last, other.last, key=int))


def _both_claim(
    one: ReceiveConnector, other: ReceiveConnector, shared: IPRange, endpoint: Endpoint
) -> Problem:
    first, second = sorted((one.name, other.name))
    return Problem(
        f'receive connectors "{first}" and "{second}"',
        f"both claim {shared} on port {endpoint.port}",
        "give one a narrower range",
    )
