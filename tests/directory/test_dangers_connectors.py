"""Before a door is opened or weakened, the administrator is told what that means."""

from __future__ import annotations

import typing
from dataclasses import replace

import pytest

from holdfast.directory.dangers_connectors import (
    find_connector_dangers,
    find_relays_opened,
    wider_than,
)
from holdfast.directory.model import (
    AcceptedDomain,
    DomainKind,
    Organisation,
    PermissionGroup,
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
HALVES = (parse_ip_range("10.0.0.0/8"), parse_ip_range("11.0.0.0/8"))
FEW = tuple(parse_ip_range(f"192.0.2.{number}") for number in range(0, 10, 2))
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
    "two halves of a wide relay": (
        {},
        {"anonymous_relay": True, "remote_ranges": HALVES},
        ["anybody in 10.0.0.0/7 may send anywhere"],
    ),
    "the second half of a wide relay": (
        {"anonymous_relay": True, "remote_ranges": HALVES[:1]},
        {"anonymous_relay": True, "remote_ranges": HALVES},
        ["anybody in 10.0.0.0/7 may send anywhere"],
    ),
    "the whole of two halves that were there": (
        {"anonymous_relay": True, "remote_ranges": HALVES},
        {"anonymous_relay": True, "remote_ranges": (WIDE,)},
        [],
    ),
    "many ranges that are wide in all": (
        {"anonymous_relay": True, "remote_ranges": HALVES[:1]},
        {"anonymous_relay": True, "remote_ranges": (HALVES[0], *FEW)},
        ["anybody in 10.0.0.0/8, 192.0.2.0, 192.0.2.2, 192.0.2.4, 192.0.2.6 and 1 more may send anywhere"],
    ),
    "a relay that is as wide as may be, and as many of IPv6": (
        {},
        {"anonymous_relay": True, "remote_ranges": (HALVES[0], parse_ip_range("2001:db8::/32"))},
        [],
    ),
    "a wide relay that grows by IPv6": (
        {"anonymous_relay": True, "remote_ranges": (WIDE,)},
        {"anonymous_relay": True, "remote_ranges": (WIDE, parse_ip_range("2001:db8::/32"))},
        [],
    ),
    "a wide relay on another port": (
        {"anonymous_relay": True, "remote_ranges": (WIDE,)},
        {"anonymous_relay": True, "remote_ranges": (WIDE,), "bindings": ("192.0.2.1:25", "192.0.2.2:25")},
        ["anybody in 10.0.0.0/7 may send anywhere"],
    ),
    "a wide relay for partners that is for all": (
        {
            "anonymous_relay": True,
            "remote_ranges": (WIDE,),
            "permission_groups": (PermissionGroup.PARTNERS,),
        },
        {"anonymous_relay": True, "remote_ranges": (WIDE,)},
        ["anybody in 10.0.0.0/7 may send anywhere"],
    ),
    "externally secured": (
        {"remote_ranges": (NARROW,)},
        {"remote_ranges": (NARROW,), "externally_secured": True},
        ["takes every client in 192.0.2.0/28 for a server of ours"],
    ),
    "a wide range of balancers": ({}, {"proxy_from": (WIDE,)}, ["believes anybody in 10.0.0.0/7 who its"]),
    "two halves of a wide range of balancers": (
        {},
        {"proxy_from": (parse_ip_range("10.0.0.0/16"), parse_ip_range("10.1.0.0/16"))},
        ["believes anybody in 10.0.0.0/15 who its"],
    ),
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
    wide = wider_than(ranges, {4: 8, 6: 32})
    assert [[str(one) for one in each] for each in wide] == [["10.0.0.0/7"], ["2001:d00::/24"]]
    assert wider_than(HALVES[:1], {4: 8, 6: 32}) == []


OPENED: dict[str, tuple[dict[str, typing.Any] | None, dict[str, typing.Any], list[str]]] = {
    "no relay": (None, {}, []),
    "a new one": (None, {"anonymous_relay": True}, ["0.0.0.0/0 (4294967296 addresses) to 192.0.2.1:25 may"]),
    "switched on": ({}, {"anonymous_relay": True}, ["from 0.0.0.0/0 "]),
    "enabled": (
        {"anonymous_relay": True, "enabled": False},
        {"anonymous_relay": True},
        ["from 0.0.0.0/0 "],
    ),
    "another range": (
        {"anonymous_relay": True, "remote_ranges": (NARROW,)},
        {"anonymous_relay": True, "remote_ranges": (NARROW, parse_ip_range("192.0.2.99"))},
        ["from 192.0.2.99 (1 address) to"],
    ),
    "fewer ranges": (
        {"anonymous_relay": True, "remote_ranges": HALVES},
        {"anonymous_relay": True, "remote_ranges": HALVES[:1]},
        [],
    ),
    "another setting": ({"anonymous_relay": True}, {"anonymous_relay": True, "tarpit_s": 1.0}, []),
    "under TLS, with a certificate": (
        {},
        {"anonymous_relay": True, "require_tls": True, "client_certificate_domains": ("p.example",)},
        ["from 0.0.0.0/0 ", "only with a certificate of p.example", "only under TLS"],
    ),
}


@pytest.mark.parametrize("case", OPENED)
def test_what_a_relay_opens_is_said(case: str) -> None:
    before, after, expected = OPENED[case]
    old = () if before is None else (replace(DOOR, **before),)
    lines = find_relays_opened(
        Organisation(receive_connectors=old), Organisation(receive_connectors=(replace(DOOR, **after),))
    )
    if expected:
        assert "can put it on block lists" in lines.pop()
    assert len(lines) == len(expected), lines
    for line, part in zip(lines, expected, strict=True):
        assert part in line
