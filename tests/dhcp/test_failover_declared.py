"""Each partner is told its own side of what was declared."""

from __future__ import annotations

import dataclasses

from tests.directory.dhcp_organisation import BASE

from holdfast.dhcp.failover_declared import declared_settings
from holdfast.directory.model import FailoverMode, FailoverRelationship, Organisation

ADDRESSES = {"dhcp1": ("192.0.2.1",), "dhcp2": ("192.0.2.2",)}
PAIR = FailoverRelationship("pair", ("dhcp1", "dhcp2"), ("office",), mclt_s=60.0, port=648)


def declared(**changes: object) -> Organisation:
    pair = dataclasses.replace(PAIR, **changes)  # type: ignore[arg-type]  # as drawn
    servers = tuple(
        dataclasses.replace(each, addresses=ADDRESSES.get(each.name, ())) for each in BASE.servers
    )
    return dataclasses.replace(BASE, servers=servers, failover_relationships=(pair,))


def secret_of(name: str) -> str | None:
    return {"pair": "open sesame"}.get(name)


def test_load_balance() -> None:
    (first,) = declared_settings(declared(split_percent=75), "dhcp1", secret_of)
    (second,) = declared_settings(declared(split_percent=75), "dhcp2", lambda name: None)
    assert (first.relationship, first.primary, first.partner, first.port) == ("pair", True, "192.0.2.2", 648)
    assert (second.primary, second.partner) == (False, "192.0.2.1")
    assert (first.split_count, first.reserve_percent) == (192, 25)
    assert (second.split_count, second.reserve_percent) == (192, 25)
    assert (first.scopes, first.mclt_s, first.switch_over_s) == (("office",), 60, None)
    assert (first.secret, second.secret) == (b"open sesame", b"")
    assert declared_settings(declared(), "mail1", secret_of) == []


def test_hot_standby_is_all_for_the_primary_and_a_reserve_for_the_other() -> None:
    (found,) = declared_settings(
        declared(mode=FailoverMode.HOT_STANDBY, reserve_percent=10, switch_over_s=3600.0), "dhcp2", secret_of
    )
    assert (found.split_count, found.reserve_percent, found.switch_over_s) == (256, 10, 3600.0)


def test_shares_of_all_and_of_nothing() -> None:
    (everything,) = declared_settings(declared(split_percent=100), "dhcp1", secret_of)
    (nothing,) = declared_settings(declared(split_percent=0), "dhcp1", secret_of)
    assert (everything.split_count, everything.reserve_percent) == (256, 0)
    assert (nothing.split_count, nothing.reserve_percent) == (0, 100)
