"""What a server tells all its clients, and what is its own."""

from __future__ import annotations

import dataclasses

from tests.directory.dhcp_organisation import BASE

from holdfast.directory.dhcp import DhcpServer, FilterAction, MacFilter
from holdfast.directory.server_wide import OWN_FIELDS, SEEN_FIELDS, filters_of, seen_of


def test_every_field_of_a_server_is_seen_or_its_own() -> None:
    # A field that is added later must be put where it belongs: what clients see is compared.
    assert {*OWN_FIELDS, *SEEN_FIELDS} == {each.name for each in dataclasses.fields(DhcpServer)}
    assert {"options", "policies", "dns_servers", "deny_filter", "authoritative"} <= set(SEEN_FIELDS)


def test_a_server_without_an_entry_tells_what_is_usual() -> None:
    entry = DhcpServer("dhcp1", port=1067, interfaces=("eth0",))
    with_entry = dataclasses.replace(BASE, dhcp_servers=(entry,))
    assert seen_of(BASE, "dhcp1") == seen_of(with_entry, "dhcp1") == DhcpServer("")


def test_filters_are_those_that_the_server_goes_by() -> None:
    filters = (
        MacFilter("02:*", FilterAction.DENY, servers=("dhcp2",)),
        MacFilter("01:*", FilterAction.ALLOW, servers=("dhcp1", "dhcp2")),
    )
    organisation = dataclasses.replace(BASE, mac_filters=filters)
    assert [each.pattern for each in filters_of(organisation, "dhcp2")] == ["01:*", "02:*"]
    assert filters_of(organisation, "dhcp1") == (MacFilter("01:*", FilterAction.ALLOW),)
