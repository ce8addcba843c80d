"""Checks of the doors: receive and send connectors, one by one.

What two receive connectors claim at once is in ``directory.listening``. A
setting that contradicts another, or has no effect because of it, is a problem:
an administrator who wrote it down believes that it works.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator

from holdfast.directory.address_space import parse_address_space
from holdfast.directory.kinds import subject_of
from holdfast.directory.model import (
    Organisation,
    PermissionGroup,
    ReceiveConnector,
    Role,
    SendConnector,
    SendTls,
    SmartHostAuth,
    TlsMode,
    Usage,
)
from holdfast.directory.references import Names, check_fqdn
from holdfast.kernel.address import parse_domain
from holdfast.kernel.errors import Problem, Refusal
from holdfast.kernel.quantities import format_size

SMART_HOST_COUNT_MAX = 100
_CERTIFICATE_PIN = re.compile(r"[0-9A-Fa-f]{64}|<I>[^<>]+<S>[^<>]+")


def check_receive_connectors(organisation: Organisation) -> Iterator[Problem]:
    """Server, names, limits, rights and TLS of each (exchange-behaviour RC-1..10, TL-6)."""
    names = Names(organisation)
    for connector in organisation.receive_connectors:
        subject = subject_of(connector)
        yield from names.check_role(connector.server, Role.TRANSPORT, subject)
        yield from check_fqdn(connector.fqdn, subject, required=False)
        if not connector.remote_ranges:
            yield Problem(
                subject, "has no remote range, so nobody may use it", "name who may, for example 0.0.0.0/0"
            )
        yield from _limits(connector, organisation, subject)
        yield from _rights(connector, subject)
        yield from _tls_of_clients(connector, subject)
        yield from _named_twice(subject, "proxy_from", map(str, connector.proxy_from))


def _limits(connector: ReceiveConnector, organisation: Organisation, subject: str) -> Iterator[Problem]:
    if connector.inactivity_s <= 0 or connector.session_s <= 0:
        yield Problem(
            subject, "inactivity or session is 0 seconds", "a session needs time: 5m and 10m are usual"
        )
    elif connector.session_s < connector.inactivity_s:  # exchange-behaviour RC-10
        yield Problem(
            subject,
            f"session is {connector.session_s:g} seconds, inactivity is {connector.inactivity_s:g}",
            "let the session be at least as long",
        )
    if connector.connection_count_per_source_max > connector.connection_count_max:
        yield Problem(
            subject,
            f"connection_count_per_source_max is {connector.connection_count_per_source_max}, more than "
            f"connection_count_max with {connector.connection_count_max}",
            "one source cannot have more connections than all together",
        )
    if connector.local_hop_count_max > connector.hop_count_max:
        yield Problem(
            subject,
            f"local_hop_count_max is {connector.local_hop_count_max}, more than hop_count_max with "
            f"{connector.hop_count_max}",
            "our own servers are counted among all: let it be at most as much",
        )
    largest = min(connector.message_bytes_max, organisation.message_bytes_max)
    if largest > organisation.receive_memory_bytes:
        yield Problem(
            subject,
            f"takes messages of {format_size(largest)}, but receive_memory of the organisation is "
            f"{format_size(organisation.receive_memory_bytes)}",
            "such a message would be put off for ever: lower message_size_max or raise receive_memory",
        )


def _rights(connector: ReceiveConnector, subject: str) -> Iterator[Problem]:
    groups = connector.permission_groups
    yield from _named_twice(subject, "permission_groups", [each.value for each in groups])
    if connector.anonymous_relay and set(groups) == {PermissionGroup.USERS}:
        yield Problem(
            subject,
            "lets anonymous clients relay, but its permission groups leave them out",
            "add the group anonymous, or take anonymous_relay away",
        )
    may_relay = connector.anonymous_relay or connector.externally_secured
    if connector.usage is Usage.RELAY and not may_relay and set(groups) <= {PermissionGroup.ANONYMOUS}:
        yield Problem(
            subject,
            "has the usage relay, but nobody may relay by it",
            "name the hosts that may with `holdfast connector allow-relay`, or set anonymous_relay",
        )
    if connector.anonymous_relay and connector.usage is Usage.CLIENT and not groups:
        yield Problem(
            subject,
            "lets anonymous clients relay, but its usage client asks for sign-in",
            "give it the usage relay, or the permission groups anonymous and users",
        )


def _users_alone(connector: ReceiveConnector) -> bool:
    """Whether nobody may send by it without sign-in."""
    groups = set(connector.permission_groups)
    if not groups and connector.usage is Usage.CLIENT:
        groups = {PermissionGroup.USERS}
    return groups == {PermissionGroup.USERS} and not connector.externally_secured


def _tls_of_clients(connector: ReceiveConnector, subject: str) -> Iterator[Problem]:
    if connector.tls is TlsMode.NONE:
        for given, words in (
            (connector.require_tls, "takes mail under TLS only (require_tls)"),
            (bool(connector.client_certificate_domains), "asks for client certificates"),
            (bool(connector.certificate), "pins a certificate"),
            # Sign-in is not offered without TLS, so all mail would be refused for ever (RFC 4954 section 4).
            (_users_alone(connector), "serves users alone, who sign in under TLS only"),
        ):
            if given:
                yield Problem(
                    subject, f'{words}, but its tls is "none"', "offer TLS: set tls to starttls or implicit"
                )
    for domain in connector.client_certificate_domains:
        yield from check_fqdn(domain.removeprefix("*."), subject, required=True)
    yield from _named_twice(subject, "client_certificate_domains", connector.client_certificate_domains)
    if connector.certificate and not _CERTIFICATE_PIN.fullmatch(connector.certificate):
        yield Problem(
            subject,
            f'certificate "{connector.certificate[:80]}" names no certificate',
            "write its SHA-256 as 64 hexadecimal digits without colons, or <I>issuer<S>subject",
        )


def check_send_connectors(organisation: Organisation) -> Iterator[Problem]:
    """Address spaces, next hops, TLS and sign-in of each (exchange-behaviour SC-3..10)."""
    names = Names(organisation)
    for connector in organisation.send_connectors:
        subject = subject_of(connector)
        yield from _address_spaces(connector, subject)
        yield from _smart_hosts(connector, subject)
        yield from _source(connector, names, subject)
        yield from _tls_of_next_hop(connector, subject)
        yield from _sign_in(connector, subject)
        if connector.inactivity_s <= 0:
            yield Problem(subject, "inactivity is 0 seconds", "a next hop needs time to answer: 10m is usual")
        yield from _named_twice(subject, "error_policies", [each.value for each in connector.error_policies])


def _address_spaces(connector: SendConnector, subject: str) -> Iterator[Problem]:
    if not connector.address_spaces:
        yield Problem(subject, "has no address space", "name the domains it serves; * means all")
    seen: set[tuple[str, bool]] = set()
    for text in connector.address_spaces:
        try:
            space = parse_address_space(text)
        except Refusal as refusal:
            yield Problem(
                subject,
                f'address space "{text}" is malformed: {refusal.text}',
                "write example.com, *.example.com or *, with ;cost when it matters",
            )
            continue
        if (space.domain, space.below) in seen:
            yield Problem(subject, f'address space "{text}" is there twice', "take one away")
        seen.add((space.domain, space.below))


def is_smart_host(text: str) -> bool:
    """Whether a text names a smart host: a host name, or an IP address with or without brackets.

    There is no port in it: that is the connector's (exchange-behaviour SC-4).
    """
    try:
        ipaddress.ip_address(text[1:-1] if text.startswith("[") and text.endswith("]") else text)
    except ValueError:
        pass
    else:
        return True
    try:
        # A last label of digits is an address that was mistyped.
        return not text.startswith("[") and not parse_domain(text).rpartition(".")[2].isdigit()
    except Refusal:
        return False


def _smart_hosts(connector: SendConnector, subject: str) -> Iterator[Problem]:
    hosts = connector.smart_hosts
    if len(hosts) > SMART_HOST_COUNT_MAX:
        yield Problem(
            subject,
            f"has {len(hosts)} smart hosts, more than {SMART_HOST_COUNT_MAX}",
            "give many hosts one name in DNS",
        )
    for host in hosts:
        if not is_smart_host(host):
            yield Problem(
                subject,
                f'smart host "{host}" is neither a host name nor an IP address',
                "write mail.example.com or [192.0.2.25]; the port is a setting of the connector",
            )
    yield from _named_twice(subject, "smart_hosts", [host.strip("[]").lower() for host in hosts])


def _source(connector: SendConnector, names: Names, subject: str) -> Iterator[Problem]:
    for server in connector.source_servers:
        yield from names.check_role(server, Role.TRANSPORT, subject)
    yield from _named_twice(subject, "source_servers", connector.source_servers)
    if connector.scoped and not connector.source_servers:
        yield Problem(
            subject,
            "is scoped, but has no source servers",
            "name the servers in whose sites it is seen, or take scoped away",
        )
    yield from check_fqdn(connector.fqdn, subject, required=False)
    if connector.source_address:
        try:
            address = ipaddress.ip_address(connector.source_address)
        except ValueError:
            address = None
        if address is None or address.is_unspecified or address.is_multicast:
            yield Problem(
                subject,
                f'source_address "{connector.source_address}" is not an IP address of a machine',
                "write one address of the source server, for example 192.0.2.10",
            )


def _tls_of_next_hop(connector: SendConnector, subject: str) -> Iterator[Problem]:
    yield from check_fqdn(connector.tls_domain.removeprefix("*."), subject, required=False)
    if connector.tls is SendTls.DOMAIN and not connector.tls_domain:
        yield Problem(
            subject, "has tls domain, but no tls_domain", "name the domain that the certificate must have"
        )
    if connector.tls_domain and connector.tls is not SendTls.DOMAIN:
        yield Problem(
            subject,
            f'has a tls_domain, but its tls is "{connector.tls.value}"',
            "set tls to domain, or take tls_domain away",
        )
    if connector.implicit_tls and connector.tls is SendTls.OPPORTUNISTIC:
        yield Problem(
            subject,
            "has TLS from the first byte (implicit_tls), but its tls is opportunistic",
            "set tls to encrypted, certificate or domain",
        )
    if connector.implicit_tls and not connector.smart_hosts:
        yield Problem(
            subject,
            "has TLS from the first byte (implicit_tls), but no smart hosts",
            "hosts that DNS names offer STARTTLS: name smart hosts, or take implicit_tls away",
        )


def _sign_in(connector: SendConnector, subject: str) -> Iterator[Problem]:
    if connector.auth is SmartHostAuth.NONE:
        if connector.user:
            yield Problem(
                subject,
                f'has the user "{connector.user}", but auth is "none"',
                "set auth to basic-require-tls, or take the user away",
            )
        return
    if not connector.smart_hosts:
        yield Problem(
            subject,
            f'signs in (auth is "{connector.auth.value}"), but has no smart hosts',
            "a password is for hosts that are named: name smart hosts, or set auth to none",
        )
    if not connector.user:
        yield Problem(
            subject,
            f'signs in (auth is "{connector.auth.value}"), but has no user',
            "name the user of the smart host",
        )


def _named_twice(subject: str, key: str, texts: Iterable[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for text in texts:
        if text in seen:
            yield Problem(subject, f'{key} names "{text}" twice', "take one away")
        seen.add(text)
