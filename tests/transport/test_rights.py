"""Who a client is, and what it may do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.directory.model import Organisation, PermissionGroup, ReceiveConnector, Server, Usage
from holdfast.directory.server_certificates import write_certificates
from holdfast.transport.rights import (
    NO_RIGHTS,
    ClientKind,
    Rights,
    certified_addresses_of,
    groups_of,
    kind_of,
    rights_of,
    server_addresses_of,
)

DOOR = ReceiveConnector("door", "mx", (), ())
ANONYMOUS, USER, SERVER, PARTNER = ClientKind
OURS = server_addresses_of(
    Organisation(servers=(Server("mx", "mx.example.test", "here", addresses=("192.0.2.1", "2001:DB8::1")),))
)


@pytest.mark.parametrize(
    ("usage", "group"),
    [
        (Usage.INTERNET, PermissionGroup.ANONYMOUS),
        (Usage.CLIENT, PermissionGroup.USERS),
        (Usage.INTERNAL, PermissionGroup.SERVERS),
        (Usage.PARTNER, PermissionGroup.PARTNERS),
        (Usage.RELAY, PermissionGroup.ANONYMOUS),
    ],
)
def test_a_usage_has_its_groups_unless_the_connector_names_some(usage: Usage, group: PermissionGroup) -> None:
    assert groups_of(replace(DOOR, usage=usage)) == (group,)
    named = replace(DOOR, usage=usage, permission_groups=(PermissionGroup.USERS,))
    assert groups_of(named) == (PermissionGroup.USERS,)
    assert PermissionGroup.SERVERS in groups_of(replace(named, externally_secured=True))


RIGHTS = {
    ANONYMOUS: Rights(submit=True, any_sender=True, own_domain_sender=True, routing_headers=True),
    USER: Rights(submit=True, relay=True, routing_headers=True, bypass_filters=True),
    SERVER: Rights(*[True] * 8),
    PARTNER: Rights(submit=True, any_sender=True, routing_headers=True),
}


@pytest.mark.parametrize("kind", RIGHTS)
def test_each_group_has_fixed_rights(kind: ClientKind) -> None:
    everybody = replace(DOOR, permission_groups=tuple(PermissionGroup))
    assert rights_of(everybody, kind) == RIGHTS[kind]
    assert rights_of(replace(everybody, anonymous_relay=True), kind).relay


def test_who_is_in_no_group_of_the_connector_may_nothing() -> None:
    assert rights_of(DOOR, USER) == NO_RIGHTS
    assert rights_of(replace(DOOR, anonymous_relay=True), USER) == NO_RIGHTS
    both = replace(DOOR, permission_groups=(PermissionGroup.ANONYMOUS,))
    assert rights_of(both, PARTNER) == RIGHTS[ANONYMOUS]


@pytest.mark.parametrize(
    ("connector", "address", "certified", "kind"),
    [
        (DOOR, "192.0.2.1", False, ANONYMOUS),
        (replace(DOOR, usage=Usage.INTERNAL), "192.0.2.1", False, SERVER),
        (replace(DOOR, usage=Usage.INTERNAL), "2001:db8::1", False, SERVER),
        (replace(DOOR, usage=Usage.INTERNAL), "192.0.2.2", False, ANONYMOUS),
        (replace(DOOR, externally_secured=True), "192.0.2.2", False, SERVER),
        (replace(DOOR, usage=Usage.PARTNER), "192.0.2.2", False, PARTNER),
        (
            replace(DOOR, usage=Usage.PARTNER, client_certificate_domains=("x.test",)),
            "192.0.2.2",
            False,
            ANONYMOUS,
        ),
        (
            replace(DOOR, usage=Usage.PARTNER, client_certificate_domains=("x.test",)),
            "192.0.2.2",
            True,
            PARTNER,
        ),
    ],
)
def test_who_a_client_is(
    connector: ReceiveConnector, address: str, certified: bool, kind: ClientKind
) -> None:
    assert kind_of(connector, OURS, address, certified=certified) is kind


@pytest.mark.parametrize(
    ("connector", "address", "server", "kind"),
    [
        # Where a certificate is known the address alone says nothing, and the certificate all.
        (replace(DOOR, usage=Usage.INTERNAL), "192.0.2.8", "", ANONYMOUS),
        (replace(DOOR, usage=Usage.INTERNAL), "192.0.2.8", "known", SERVER),
        (replace(DOOR, usage=Usage.INTERNAL), "198.51.100.1", "known", SERVER),
        (replace(DOOR, permission_groups=tuple(PermissionGroup)), "192.0.2.8", "known", SERVER),
        # A server of ours at a door for others is one of them.
        (DOOR, "192.0.2.8", "known", ANONYMOUS),
        (replace(DOOR, usage=Usage.PARTNER), "192.0.2.8", "known", PARTNER),
        # Where none is known the address is all there is.
        (replace(DOOR, usage=Usage.INTERNAL), "192.0.2.9", "", SERVER),
    ],
)
def test_a_server_that_is_known_by_its_certificate_must_show_it(
    connector: ReceiveConnector, address: str, server: str, kind: ClientKind
) -> None:
    certificate = write_certificates((b"\x30\x01a",))
    organisation = Organisation(
        servers=(
            Server("known", "a.example.test", "here", addresses=("192.0.2.8",), certificate=certificate),
            Server("other", "b.example.test", "here", addresses=("192.0.2.9",)),
        )
    )
    assert certified_addresses_of(organisation) == {"192.0.2.8"}
    assert kind_of(connector, server_addresses_of(organisation), address, server=server) is kind
