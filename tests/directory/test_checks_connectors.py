"""What is wrong with a connector is told with its name, the value, and what to do."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.directory.checks_connectors import (
    check_receive_connectors,
    check_send_connectors,
    is_smart_host,
)
from holdfast.directory.model import (
    ErrorPolicy,
    Organisation,
    PermissionGroup,
    ReceiveConnector,
    SendConnector,
    SendTls,
    Server,
    SmartHostAuth,
    TlsMode,
    Usage,
)
from holdfast.kernel.errors import Problem
from holdfast.kernel.iprange import parse_ip_range

Check = Callable[[Organisation], Iterator[Problem]]
BASE = Organisation(servers=(Server("s", "s.example.test", "A"),))
EVERYBODY = (parse_ip_range("0.0.0.0/0"),)
DOOR = ReceiveConnector("in", "s", ("192.0.2.1:25",), EVERYBODY)
OUT = SendConnector("out", ("*",))
SMART = dataclasses.replace(OUT, smart_hosts=("mail.example.com",))


def _expect(check: Check, organisation: Organisation, expected: list[str]) -> None:
    problems = [str(problem) for problem in check(organisation)]
    assert len(problems) == len(expected), problems
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem


RECEIVE: dict[str, tuple[dict[str, typing.Any], list[str]]] = {
    "nothing": ({}, []),
    "more hops of ours than in all": (
        {"local_hop_count_max": 31},
        ["local_hop_count_max is 31, more than hop_count_max with 30"],
    ),
    "a message larger than the memory": (
        {"message_bytes_max": 300 << 20},
        [],  # the organisation's own limit is smaller
    ),
    "group named twice": (
        {"permission_groups": (PermissionGroup.USERS, PermissionGroup.USERS)},
        ['permission_groups names "users" twice'],
    ),
    "relay for nobody": (
        {"anonymous_relay": True, "permission_groups": (PermissionGroup.USERS,)},
        ["lets anonymous clients relay, but its permission groups leave them out"],
    ),
    "usage relay without a right to": (
        {"usage": Usage.RELAY},
        ["has the usage relay, but nobody may relay by it; name the hosts that may with"],
    ),
    "usage relay with rights": (
        {"usage": Usage.RELAY, "permission_groups": (PermissionGroup.ANONYMOUS, PermissionGroup.USERS)},
        [],
    ),
    "relay for partners": (
        {"anonymous_relay": True, "permission_groups": (PermissionGroup.PARTNERS,)},
        [],
    ),
    "relay on a connector for users": (
        {"anonymous_relay": True, "usage": Usage.CLIENT},
        ["its usage client asks for sign-in; give it the usage relay"],
    ),
    "TLS needed but not offered": (
        {
            "tls": TlsMode.NONE,
            "require_tls": True,
            "client_certificate_domains": ("partner.example",),
            "certificate": "a" * 64,
        },
        [
            'takes mail under TLS only (require_tls), but its tls is "none"',
            'asks for client certificates, but its tls is "none"; offer TLS',
            'pins a certificate, but its tls is "none"',
        ],
    ),
    "users, but no TLS to sign in under": (
        {"tls": TlsMode.NONE, "usage": Usage.CLIENT},
        ['serves users alone, who sign in under TLS only, but its tls is "none"; offer TLS: set tls to'],
    ),
    "the group users alone, but no TLS": (
        {"tls": TlsMode.NONE, "permission_groups": (PermissionGroup.USERS,)},
        ['serves users alone, who sign in under TLS only, but its tls is "none"'],
    ),
    "users and others without TLS": (
        {
            "tls": TlsMode.NONE,
            "usage": Usage.CLIENT,
            "permission_groups": (PermissionGroup.USERS, PermissionGroup.ANONYMOUS),
        },
        [],
    ),
    "no TLS where the network sees to it": (
        {"tls": TlsMode.NONE, "usage": Usage.CLIENT, "externally_secured": True},
        [],
    ),
    "client certificates": (
        {"client_certificate_domains": ("*.partner.example", "a b", "x.example", "x.example")},
        ['"a b" is not a host name', 'client_certificate_domains names "x.example" twice'],
    ),
    "pin by hash": ({"certificate": "0123456789abcdefABCDEF" + "0" * 42}, []),
    "pin by names": ({"certificate": "<I>CN=Root,O=Example<S>CN=mail.example.com"}, []),
    "pin with colons": ({"certificate": "aa:" * 32}, ["names no certificate; write its SHA-256 as 64"]),
    "pin without subject": ({"certificate": "<I>CN=Root<S>"}, ["names no certificate"]),
    "balancer named twice": (
        {"proxy_from": (parse_ip_range("192.0.2.9"), parse_ip_range("192.0.2.9"))},
        ['proxy_from names "192.0.2.9" twice'],
    ),
}


@pytest.mark.parametrize("case", RECEIVE)
def test_receive_connectors(case: str) -> None:
    changes, expected = RECEIVE[case]
    connector = dataclasses.replace(DOOR, **changes)
    _expect(check_receive_connectors, dataclasses.replace(BASE, receive_connectors=(connector,)), expected)


def test_no_message_larger_than_the_memory_for_receiving() -> None:
    organisation = dataclasses.replace(BASE, receive_connectors=(DOOR,), receive_memory_bytes=16 << 20)
    _expect(
        check_receive_connectors,
        organisation,
        ["takes messages of 36.00 MB, but receive_memory of the organisation is 16.00 MB; such a message"],
    )


SEND: dict[str, tuple[SendConnector, dict[str, typing.Any], list[str]]] = {
    "by DNS": (OUT, {}, []),
    "by smart hosts": (SMART, {"port": 587, "auth": SmartHostAuth.BASIC_REQUIRE_TLS, "user": "me"}, []),
    "one space twice": (
        OUT,
        {"address_spaces": ("*", "SMTP:*;5")},
        ['address space "SMTP:*;5" is there twice'],
    ),
    "too many smart hosts": (
        OUT,
        {"smart_hosts": tuple(f"h{index}.example" for index in range(101))},
        ["has 101 smart hosts, more than 100"],
    ),
    "smart host twice": (
        OUT,
        {"smart_hosts": ("192.0.2.1", "[192.0.2.1]")},
        ['smart_hosts names "192.0.2.1" twice'],
    ),
    "scoped to nothing": (OUT, {"scoped": True}, ["is scoped, but has no source servers"]),
    "scoped": (OUT, {"scoped": True, "source_servers": ("s",)}, []),
    "host name": (OUT, {"fqdn": "a b"}, ['"a b" is not a host name']),
    "source address": (
        OUT,
        {"source_address": "192.0.2.0/24"},
        ['source_address "192.0.2.0/24" is not an IP address of a machine'],
    ),
    "any source address": (OUT, {"source_address": "0.0.0.0"}, ['source_address "0.0.0.0" is not']),
    "good source address": (OUT, {"source_address": "2001:db8::1"}, []),
    "domain without a domain": (OUT, {"tls": SendTls.DOMAIN}, ["has tls domain, but no tls_domain"]),
    "domain for nothing": (
        OUT,
        {"tls_domain": "example.com"},
        ['has a tls_domain, but its tls is "opportunistic"'],
    ),
    "TLS at once, if at all": (
        SMART,
        {"implicit_tls": True},
        ["has TLS from the first byte (implicit_tls), but its tls is opportunistic"],
    ),
    "TLS at once with whom DNS names": (
        OUT,
        {"implicit_tls": True, "tls": SendTls.CERTIFICATE},
        ["but no smart hosts; hosts that DNS names offer STARTTLS"],
    ),
    "user without sign-in": (SMART, {"user": "me"}, ['has the user "me", but auth is "none"']),
    "sign-in to nobody": (
        OUT,
        {"auth": SmartHostAuth.BASIC},
        ['signs in (auth is "basic"), but has no smart hosts', "but has no user"],
    ),
    "no patience": (OUT, {"inactivity_s": 0.0}, ["inactivity is 0 seconds"]),
    "policy twice": (
        OUT,
        {"error_policies": (ErrorPolicy.DOWNGRADE_DNS_FAILURES, ErrorPolicy.DOWNGRADE_DNS_FAILURES)},
        ["error_policies names"],
    ),
}


@pytest.mark.parametrize("case", SEND)
def test_send_connectors(case: str) -> None:
    base, changes, expected = SEND[case]
    connector = dataclasses.replace(base, **changes)
    _expect(check_send_connectors, dataclasses.replace(BASE, send_connectors=(connector,)), expected)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("mail", True),
        ("mail.example.com", True),
        ("192.0.2.1", True),
        ("[192.0.2.1]", True),
        ("2001:db8::1", True),
        ("[2001:db8::1]", True),
        ("[IPv6:2001:db8::1]", False),
        ("192.0.2.256", False),
        ("192.0.2.1:25", False),
        ("mail.example.com:25", False),
        ("[mail.example.com]", False),
        ("", False),
    ],
)
def test_a_smart_host_is_a_name_or_an_address_without_a_port(text: str, good: bool) -> None:
    assert is_smart_host(text) is good


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_smart_host_or_not(text: str) -> None:
    assert is_smart_host(text) in (True, False)


@pytest.mark.parametrize(
    ("space", "wrong"),
    [
        ("*", ""),
        ("example.com", ""),
        ("*.example.com", ""),
        ("SMTP:example.com;5", ""),
        ("smtp:*;100", ""),
        ("*example.com", "a star stands alone or before a dot"),
        ("*.*.com", "domain is malformed"),
        ("X400:example.com", 'the type "X400" is not SMTP'),
        ("example.com;0", "the cost 0 is not from 1 to 100"),
        ("example.com;101", "the cost 101 is not"),
        ("example.com;x", "it is not type:domain;cost"),
        ("--", "domain is malformed"),
        ("", "domain is malformed"),
        ("[192.0.2.1]", "an address literal is not a domain"),
    ],
)
def test_address_spaces(space: str, wrong: str) -> None:
    organisation = dataclasses.replace(BASE, send_connectors=(SendConnector("out", (space,)),))
    expected = [f'address space "{space}" is malformed: {wrong}'] if wrong else []
    _expect(check_send_connectors, organisation, expected)


def test_smart_hosts_and_source_servers() -> None:
    hosts = ("mail.example.com", "192.0.2.1", "[2001:db8::1]", "a b", "192.0.2.0/24")
    out = SendConnector("out", (), smart_hosts=hosts, source_servers=("s", "t"))
    _expect(
        check_send_connectors,
        dataclasses.replace(BASE, send_connectors=(out,)),
        [
            "has no address space",
            'smart host "a b" is neither',
            'smart host "192.0.2.0/24" is neither',
            'server "t" does not exist',
        ],
    )
