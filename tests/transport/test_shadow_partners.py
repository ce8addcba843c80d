from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.directory.model import Role, ShadowPreference, Site, TlsMode
from holdfast.transport.shadow_partners import shadow_demands, shadow_partners, why_no_partner
from node.pair import organisation

THREE = organisation(3)
TWO_SITES = replace(
    THREE,
    sites=(Site("here"), Site("there")),
    servers=(*THREE.servers[:2], replace(THREE.servers[2], site="there")),
)


def names(changed: object = TWO_SITES, own: str = "mail1", **settings: object) -> list[str]:
    found = replace(changed, **settings)  # type: ignore[type-var]  # an organisation
    return [each.name for each in shadow_partners(found, found.server(own))]


@pytest.mark.parametrize(
    ("preference", "expected"),
    [
        (ShadowPreference.PREFER_REMOTE, ["mail3", "mail2"]),
        (ShadowPreference.REMOTE_ONLY, ["mail3"]),
        (ShadowPreference.LOCAL_ONLY, ["mail2"]),
        (ShadowPreference.OFF, []),
    ],
)
def test_the_preference_orders_the_partners(preference: ShadowPreference, expected: list[str]) -> None:
    assert names(shadow_preference=preference) == expected


def test_each_server_begins_with_the_one_behind_it() -> None:
    assert [names(THREE, own) for own in ("mail1", "mail2", "mail3")] == [
        ["mail2", "mail3"], ["mail3", "mail1"], ["mail1", "mail2"],
    ]  # fmt: skip


def test_who_is_not_known_runs_no_transport_or_offers_no_tls_is_no_partner() -> None:
    first, second, third = THREE.servers
    assert names(THREE, servers=(first, replace(second, certificate=""), third)) == ["mail3"]
    assert names(THREE, servers=(replace(first, certificate=""), second, third)) == []
    assert names(THREE, servers=(first, second, replace(third, roles=(Role.MAILBOX,)))) == ["mail2"]
    plain = tuple(replace(each, tls=TlsMode.NONE) for each in THREE.receive_connectors)
    assert names(THREE, receive_connectors=plain) == []
    assert shadow_partners(THREE, None) == ()


def test_a_link_goes_to_where_servers_take_mail() -> None:
    first = shadow_partners(THREE, THREE.server("mail1"))[0]
    assert (first.address, first.port, first.fqdn) == ("192.0.2.2", 26, "mail2.example.test")
    assert set(shadow_demands(THREE)) == {"mail1", "mail2", "mail3"}


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, ""),
        ({"shadow_preference": ShadowPreference.OFF}, "shadow_preference is off"),
        (
            {"shadow_preference": ShadowPreference.REMOTE_ONLY},
            "it is in this site, and shadow_preference is remote-only",
        ),
        ({"second": {"site": "there"}}, ""),
        (
            {"second": {"site": "there"}, "shadow_preference": ShadowPreference.LOCAL_ONLY},
            "it is in another site, and shadow_preference is local-only",
        ),
        (
            {"second": {"certificate": ""}},
            "the certificate of mail2 is not known: holdfast server trust mail2 FILE",
        ),
        (
            {"first": {"certificate": ""}},
            "the certificate of mail1 is not known: holdfast server trust mail1 FILE",
        ),
        ({"second": {"roles": (Role.MAILBOX,)}}, "it has no transport role"),
        ({"first": {"roles": (Role.MAILBOX,)}}, "this server has no transport role"),
        (
            {"receive_connectors": ()},
            "none of its receive connectors takes mail of servers: see holdfast connector list",
        ),
        (
            {
                "receive_connectors": tuple(
                    replace(each, tls=TlsMode.NONE) for each in THREE.receive_connectors
                )
            },
            "its receive connector for servers offers no TLS",
        ),
    ],
)
def test_why_a_server_keeps_no_copies(settings: dict[str, object], why: str) -> None:
    first, second, third = THREE.servers
    first = replace(first, **settings.pop("first", {}))  # type: ignore[arg-type]  # fields of a server
    second = replace(second, **settings.pop("second", {}))  # type: ignore[arg-type]  # fields of a server
    found = replace(TWO_SITES, servers=(first, second, third), **settings)  # type: ignore[arg-type]  # fields
    assert why_no_partner(found, first, second) == why
