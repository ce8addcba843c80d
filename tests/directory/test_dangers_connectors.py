"""Before a door is opened or weakened, the administrator is told what that means."""

from __future__ import annotations

import typing
from dataclasses import replace

import pytest

from holdfast.directory.dangers_connectors import find_connector_dangers, wider_than
from holdfast.directory.model import (
    AcceptedDomain,
    DomainKind,
    Organisation,
    ReceiveConnector,
    RequiredTls,
    SendConnector,
    SendTls,
    SmartHostAuth,
    TlsMode,
    Usage,
)
from holdfast.kernel.iprange import parse_ip_range

ALL, NARROW, WIDE = (parse_ip_range(each) for each in ("0.0.0.0/0", "192.0.2.0/28", "10.0.0.0/7"))
DOOR = ReceiveConnector("in", "s", ("192.0.2.1:25",), (ALL,))
OUT = SendConnector("out", ("*",), smart_hosts=("smart.example",))


def _dangers(before: Organisation, after: Organisation) -> list[str]:
    return list(find_connector_dangers(before, after))


RECEIVE: dict[str, tuple[dict[str, typing.Any], dict[str, typing.Any], list[str]]] = {
    "nothing": ({}, {}, []),
    "anonymous relay for all": (
        {},
        {"anonymous_relay": True},
        ['receive connector "in" is an open relay: anybody in 0.0.0.0/0 may send anywhere without'],
    ),
    "what is said of a relay, but not allowed": ({}, {"usage": Usage.RELAY}, []),
    "every client is a server of ours": (
        {},
        {"externally_secured": True},
        ["is an open relay", "takes every client in 0.0.0.0/0 for a server of ours"],
    ),
    "relay for few": ({}, {"anonymous_relay": True, "remote_ranges": (NARROW,)}, []),
    "a relay that is not enabled": ({}, {"anonymous_relay": True, "enabled": False}, ["is disabled"]),
    "a wide relay grows": (
        {"anonymous_relay": True, "remote_ranges": (WIDE,)},
        {"anonymous_relay": True, "remote_ranges": (WIDE, ALL)},
        ["anybody in 0.0.0.0/0 may"],
    ),
    "externally secured": (
        {"remote_ranges": (NARROW,)},
        {"remote_ranges": (NARROW,), "externally_secured": True},
        ["takes every client in 192.0.2.0/28 for a server of ours"],
    ),
    "a wide range of balancers": ({}, {"proxy_from": (WIDE,)}, ["believes anybody in 10.0.0.0/7 who its"]),
    "a balancer": ({}, {"proxy_from": (NARROW,)}, []),
    "a wide range of balancers that was there": ({"proxy_from": (ALL,)}, {"proxy_from": (WIDE,)}, []),
    "TLS no more": ({}, {"tls": TlsMode.NONE}, ['lowers tls from "starttls" to "none": mail and passwords']),
    "TLS later": (
        {"tls": TlsMode.IMPLICIT},
        {},
        ['lowers tls from "implicit" to "starttls": clients must ask'],
    ),
    "TLS at once": ({}, {"tls": TlsMode.IMPLICIT}, []),
    "TLS not needed": ({"require_tls": True}, {}, ["takes mail without TLS from now on"]),
    "no client certificates": (
        {"client_certificate_domains": ("p.example",)},
        {},
        ["asks for no client certificate any more: everybody in its ranges is served, not only p.example"],
    ),
    "another certificate": (
        {"certificate": "a" * 64},
        {"certificate": "b" * 64},
        ["shows another certificate"],
    ),
    "a first pin": ({}, {"certificate": "b" * 64}, []),
}


@pytest.mark.parametrize("case", RECEIVE)
def test_receive_connectors(case: str) -> None:
    before, after, expected = RECEIVE[case]
    dangers = _dangers(
        Organisation(receive_connectors=(replace(DOOR, **before),)),
        Organisation(receive_connectors=(replace(DOOR, **after),)),
    )
    assert len(dangers) == len(expected), dangers
    for danger, part in zip(dangers, expected, strict=True):
        assert part in danger


SEND: dict[str, tuple[dict[str, typing.Any], dict[str, typing.Any], list[str]]] = {
    "nothing": ({}, {}, []),
    "a password in the clear": (
        {},
        {"auth": SmartHostAuth.BASIC, "user": "me"},
        ['send connector "out" sends its password in the clear where the smart host offers no TLS'],
    ),
    "it was in the clear": (
        {"auth": SmartHostAuth.BASIC, "user": "me"},
        {"auth": SmartHostAuth.BASIC, "user": "you"},
        [],
    ),
    "a password under TLS": ({}, {"auth": SmartHostAuth.BASIC, "tls": SendTls.ENCRYPTED}, []),
    "DNS leads to ourselves": (
        {},
        {"private_ranges": (parse_ip_range("127.0.0.1"), parse_ip_range("10.0.0.0/8"))},
        ["follows DNS to this machine itself (127.0.0.1)"],
    ),
    "TLS lowered": (
        {"tls": SendTls.CERTIFICATE},
        {"tls": SendTls.ENCRYPTED},
        ['lowers tls from "certificate" to "encrypted": the next hop is no longer checked'],
    ),
    "TLS not needed": (
        {"tls": SendTls.ENCRYPTED},
        {},
        ["mail goes out in the clear where the next hop offers no TLS"],
    ),
    "TLS raised": ({}, {"tls": SendTls.CERTIFICATE}, []),
    "the way out is closed": ({}, {"enabled": False}, ["no send connector serves * any more"]),
    "the way out is narrowed": (
        {},
        {"address_spaces": ("*.example.com", "malformed;;")},
        ["no send connector serves * any more"],
    ),
}


@pytest.mark.parametrize("case", SEND)
def test_send_connectors(case: str) -> None:
    before, after, expected = SEND[case]
    dangers = _dangers(
        Organisation(send_connectors=(replace(OUT, **before),)),
        Organisation(send_connectors=(replace(OUT, **after),)),
    )
    assert len(dangers) == len(expected), dangers
    for danger, part in zip(dangers, expected, strict=True):
        assert part in danger


def test_new_connectors_are_judged_too() -> None:
    after = Organisation(receive_connectors=(replace(DOOR, anonymous_relay=True, externally_secured=True),))
    assert [each.split(":")[0] for each in _dangers(Organisation(), after)] == [
        'receive connector "in" is an open relay',
        'receive connector "in" takes every client in 0.0.0.0/0 for a server of ours',
    ]


def test_required_tls_that_goes_or_is_lowered() -> None:
    before = Organisation(
        required_tls=(RequiredTls("a.example"), RequiredTls("b.example"), RequiredTls("c.example"))
    )
    after = Organisation(required_tls=(RequiredTls("a.example", SendTls.ENCRYPTED), RequiredTls("c.example")))
    lowered, gone = _dangers(before, after)
    assert 'mail to "a.example" is lowered from "certificate" to "encrypted"' in lowered
    assert 'no longer required for mail to "b.example"' in gone


def test_kinds_of_accepted_domains() -> None:
    ours = AcceptedDomain("x.example")
    relay = AcceptedDomain("x.example", DomainKind.INTERNAL_RELAY)
    far = AcceptedDomain("x.example", DomainKind.EXTERNAL_RELAY)
    way = (SendConnector("x", ("x.example",)),)

    def go(before: AcceptedDomain, after: AcceptedDomain, out: tuple[SendConnector, ...]) -> list[str]:
        one = Organisation(accepted_domains=(before,), send_connectors=out)
        return _dangers(one, replace(one, accepted_domains=(after,)))

    assert go(ours, ours, ()) == []
    (told,) = go(ours, relay, way)
    assert (
        "changes from authoritative to internal-relay: mail to an address that is not ours is handed" in told
    )
    assert "is external-relay, but no send connector serves it" in go(ours, far, ())[1]
    assert "is refused from now on" in go(far, ours, ())[0]
    new = Organisation(accepted_domains=(far,))
    assert len(_dangers(Organisation(), new)) == 1


def test_what_is_wide() -> None:
    ranges = [parse_ip_range(each) for each in ("10.0.0.0/8", "10.0.0.0/7", "2001:db8::/32", "2001:d00::/24")]
    assert [str(each) for each in wider_than(ranges, {4: 8, 6: 32})] == ["10.0.0.0/7", "2001:d00::/24"]
