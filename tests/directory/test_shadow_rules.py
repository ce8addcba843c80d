"""Settings of shadow copies that contradict each other, and copies that are required and cannot be made."""

from __future__ import annotations

import dataclasses
import typing

import pytest

from holdfast.directory.dangers import find_dangers
from holdfast.directory.model import (
    AcceptedDomain,
    Organisation,
    Protect,
    ReceiveConnector,
    Role,
    Server,
    ShadowPreference,
)
from holdfast.directory.shadow_rules import check_shadow, find_shadow_dangers

DOOR = ReceiveConnector("door", "a", ("127.0.0.1:25",), ())
SAFE_DOOR = dataclasses.replace(DOOR, protect=Protect.REQUIRED)
DOMAIN = AcceptedDomain("example.test")
SAFE_DOMAIN = dataclasses.replace(DOMAIN, protect=Protect.REQUIRED)
A, B = Server("a", "a.example.test", "here"), Server("b", "b.example.test", "here")
FAR = Server("far", "far.example.test", "there")
STORE = Server("store", "store.example.test", "here", (Role.MAILBOX,))

CHECKS: dict[str, tuple[dict[str, typing.Any], list[str]]] = {
    "defaults": ({}, []),
    "no span": (
        {"shadow_wait_s": 0.0, "shadow_heartbeat_s": 0.0},
        ["shadow_wait is 0 seconds", "shadow_heartbeat is 0 seconds"],
    ),
    "never by silence": ({"shadow_takeover_s": 0.0}, []),
    "three heartbeats": ({"shadow_takeover_s": 6.0}, []),
    "too soon": ({"shadow_takeover_s": 5.0}, ["is 5 seconds, less than 3 heartbeats of 2 seconds"]),
    "no Safety Net": ({"safety_net_hold_s": 0.0}, []),
    "a Safety Net longer than a database remembers": (
        {"safety_net_hold_s": 7 * 86400.0},
        ["safety_net_hold is 7d, longer than the 5d for which a mailbox database knows a message again"],
    ),
    "required and off": (
        {
            "shadow_preference": ShadowPreference.OFF,
            "receive_connectors": (SAFE_DOOR,),
            "accepted_domains": (SAFE_DOMAIN,),
        },
        ['receive connector "door": requires a protected copy', 'accepted domain "example.test": requires'],
    ),
}


@pytest.mark.parametrize(("settings", "expected"), CHECKS.values(), ids=CHECKS)
def test_contradictions_are_told(settings: dict[str, typing.Any], expected: list[str]) -> None:
    found = [str(each) for each in check_shadow(Organisation(**settings))]
    assert len(found) == len(expected)
    for text, part in zip(found, expected, strict=True):
        assert part in text


def _with(*servers: Server, **settings: typing.Any) -> Organisation:
    defaults: dict[str, typing.Any] = {"receive_connectors": (SAFE_DOOR,), "accepted_domains": (DOMAIN,)}
    return Organisation(servers=servers, **(defaults | settings))


DANGERS: dict[str, tuple[Organisation, list[str]]] = {
    "a partner": (_with(A, B), []),
    "alone": (_with(A), ['receive connector "door" requires a protected copy', 'for server "a"']),
    "only a store beside it": (_with(A, STORE), ['"door" requires']),
    "nobody asks": (_with(A, receive_connectors=(DOOR,)), []),
    "the door is closed": (
        _with(A, receive_connectors=(dataclasses.replace(SAFE_DOOR, enabled=False),)),
        [],
    ),
    "the partner is near, and must be far": (
        _with(A, B, shadow_preference=ShadowPreference.REMOTE_ONLY),
        ["(shadow_preference remote-only)"],
    ),
    "the partner is far, and must be near": (
        _with(A, FAR, shadow_preference=ShadowPreference.LOCAL_ONLY),
        ["(shadow_preference local-only)"],
    ),
    "far and far": (_with(A, FAR, shadow_preference=ShadowPreference.REMOTE_ONLY), []),
    "a domain asks of each server": (
        _with(
            A,
            B,
            FAR,
            receive_connectors=(),
            accepted_domains=(SAFE_DOMAIN,),
            shadow_preference=ShadowPreference.LOCAL_ONLY,
        ),
        ['accepted domain "example.test" requires', 'server "far"'],
    ),
    "switched off": (
        _with(A, B, receive_connectors=(DOOR,), shadow_preference=ShadowPreference.OFF),
        ["shadow copies are switched off"],
    ),
}


@pytest.mark.parametrize(("after", "parts"), DANGERS.values(), ids=DANGERS)
def test_what_can_no_longer_be_protected_is_told_before(after: Organisation, parts: list[str]) -> None:
    found = list(find_shadow_dangers(Organisation(), after))
    assert len(found) == (1 if parts else 0)
    for part in parts:
        assert part in found[0]
    assert list(find_shadow_dangers(after, after)) == []


def test_a_server_without_its_certificate_is_told() -> None:
    known = dataclasses.replace(A, certificate="some")
    (danger,) = find_dangers(Organisation(servers=(known, B)), Organisation(servers=(A, B)))
    assert 'server "a" is no longer known by a certificate' in danger
