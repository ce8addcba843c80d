"""Limits of connections by source."""

from __future__ import annotations

import pytest

from holdfast.access.crowd import Crowd, source_of
from holdfast.access.imap_conversation import SessionSettings
from holdfast.kernel.ids import ConnectionId


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("somewhere", "somewhere"),
    ],
)
def test_a_source_is_an_ipv4_address_or_a_network_of_ipv6(address: str, source: str) -> None:
    assert source_of(address) == source


def test_limits_in_all_by_source_and_before_sign_in() -> None:
    settings = SessionSettings(
        connection_count_max=6, connection_count_per_source_max=4, strangers_per_source_max=2
    )
    crowd = Crowd(settings)
    ids = [ConnectionId(number) for number in range(10)]
    assert [crowd.came(ids[number], f"2001:db8::{number}") for number in range(2)] == ["", ""]
    assert "have not signed in" in crowd.came(ids[2], "2001:db8::2")
    crowd.left(ids[2])
    crowd.signed_in(ids[0])
    crowd.signed_in(ids[0])
    assert crowd.came(ids[2], "2001:db8::2") == ""
    crowd.signed_in(ids[1])
    crowd.signed_in(ids[2])
    assert crowd.came(ids[3], "2001:db8::2") == ""
    assert "from this source are open" in crowd.came(ids[4], "2001:db8::2")
    assert crowd.came(ids[5], "192.0.2.1") == crowd.came(ids[6], "192.0.2.2") == ""
    assert crowd.came(ids[7], "192.0.2.3") == "6 connections are open"
    for connection_id in ids:
        crowd.left(connection_id)
    assert crowd.came(ids[7], "192.0.2.3") == ""
