"""What leaves for another server."""

from __future__ import annotations

import math
from dataclasses import replace

from dhcp.moving_samples import EMPTY
from holdfast.dhcp.departing import (
    Departure,
    class_names,
    exact_lease,
    note_settings_without_a_word,
    policies_of,
)
from holdfast.dhcp.moving import LeaseState, MovedLease
from holdfast.directory.dhcp import DhcpServer, FilterAction, MacFilter, Policy, Scope
from holdfast.directory.dhcp_options import OptionValue
from holdfast.kernel.iprange import parse_ip_range

POOL = parse_ip_range("192.0.2.10-192.0.2.20")
ONE = Scope("one", parse_ip_range("192.0.2.0/24"), "dhcp1", POOL)


def departure(*scopes: Scope, **server: object) -> Departure:
    return Departure(replace(EMPTY, scopes=scopes), DhcpServer("dhcp1", **server), scopes)  # type: ignore[arg-type]  # its fields


def test_policies_keep_their_names_where_these_differ() -> None:
    policies = (Policy("a", (), ranges=(POOL,)), Policy("b", (), ranges=(POOL,)), Policy("c", ()))
    there = departure(replace(ONE, policies=policies), policies=(Policy("a", ()), Policy("d", ())))
    assert class_names(there) == {("", "a"): "a", ("", "d"): "d", ("one", "a"): "one: a", ("one", "b"): "b"}


def test_what_is_disabled_or_has_no_word_is_noted() -> None:
    there = departure(ONE)
    assert policies_of(there, [Policy("a", (), enabled=False), Policy("b", ())], "server") == [
        Policy("b", ())
    ]
    note_settings_without_a_word(
        there, replace(ONE, delay_ms=5, longest_lease_s=9e5), ("delay_ms", "longest_lease_s")
    )
    note_settings_without_a_word(there, ONE, ("delay_ms",))
    assert [each.what for each in there.notes] == ['policy "a"', "delay_ms 5", "longest_lease_s 900000"]


def test_options_filters_and_leases() -> None:
    there = departure(ONE)
    assert there.data(OptionValue(230, ("01:02",))) == b"\1\2"
    there.organisation = replace(
        EMPTY,
        mac_filters=(MacFilter("02*", FilterAction.DENY), MacFilter("03*", FilterAction.DENY, ("dhcp2",))),
    )
    assert [each.pattern for each in there.filters] == ["02*"]
    lease = MovedLease(9, LeaseState.ACTIVE, 1, b"\2", b"", 0.0, 10.0)
    assert exact_lease(lease, 9.0)
    assert not exact_lease(lease, 10.0)
    assert exact_lease(lease._replace(ends_at=math.inf), 1e12)
    assert not exact_lease(lease._replace(state=LeaseState.REMEMBERED), 0.0)
